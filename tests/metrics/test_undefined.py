import numpy as np
import pytest
from sklearn import metrics as theirs

from skml.metrics import accuracy_score, f1_score, get_scorer, hamming_loss, jaccard_score

NAN = float("nan")
Y = np.array([[1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0], [1, 0, 1, 1]])
D = np.array([[1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 1, 1]])
WEIGHT = np.array([1.0, 2.0, 3.0, 0.5])
AVERAGES = ["micro", "macro", "weighted", "samples", None]


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_jaccard_leaves_out_what_is_undefined(average, weight):
    score = jaccard_score(Y, D, average=average, sample_weight=weight, zero_division=NAN)
    if average == "samples":
        kept = (Y | D).any(axis=1)
        Y_kept, D_kept, weights = Y[kept], D[kept], None if weight is None else weight[kept]
    else:
        kept = (Y | D).any(axis=0)
        Y_kept, D_kept, weights = Y[:, kept], D[:, kept], weight
    expected = theirs.jaccard_score(Y_kept, D_kept, average=average, sample_weight=weights)
    if average is None:
        assert np.isnan(score).tolist() == [False, True, False, False]
        score = score[kept]
    np.testing.assert_allclose(score, expected)


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("zero_division", [0.0, 1.0, NAN])
def test_jaccard_of_what_is_defined_is_that_of_scikit_learn(average, zero_division):
    keep = [0, 1, 3]
    Y_all, D_all = Y[keep][:, [0, 2, 3]], D[keep][:, [0, 2, 3]]
    expected = theirs.jaccard_score(Y_all, D_all, average=average)
    np.testing.assert_allclose(jaccard_score(Y_all, D_all, average=average, zero_division=zero_division), expected)


@pytest.mark.filterwarnings("ignore:The score is not defined")
def test_jaccard_of_nothing_is_nan():
    nothing = np.zeros((3, 2), dtype=int)
    for average in AVERAGES:
        assert np.isnan(jaccard_score(nothing, nothing, average=average, zero_division=NAN)).all()
    assert jaccard_score([[1], [NAN]], [[1], [1]], zero_division=NAN) == 1.0  # one label, one entry known


@pytest.mark.parametrize("score", [f1_score, jaccard_score, accuracy_score, hamming_loss])
def test_masked_cells_are_unknown_in_truth_and_refused_in_decisions(score):
    masked = np.ma.masked_array(Y, mask=np.arange(16).reshape(4, 4) % 5 == 0)
    assert score(masked, D) == score(masked.astype(float).filled(np.nan), D)
    for decisions in (masked, masked.astype(float).filled(np.nan)):
        with pytest.raises(ValueError, match="Y_pred holds NaN or masked entries; a decision is 0 or 1"):
            score(Y, decisions)


def test_the_error_of_get_scorer_says_what_the_name_alone_means():
    with pytest.raises(ValueError, match=r"did you mean 'f1_micro'\? .* scikit-learn's scorer, which gives NaN"):
        get_scorer("f1_micr")
