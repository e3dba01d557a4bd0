import numpy as np
import pytest
from sklearn import metrics as theirs

from skml.metrics import accuracy_score, f1_score, get_scorer, hamming_loss, jaccard_score

NAN = float("nan")
Y = np.array([[1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0], [1, 0, 1, 1]])
D = np.array([[1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 1, 1]])
AVERAGES = ["micro", "macro", "weighted", "samples", None]


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("zero_division", [0.0, 1.0])
def test_jaccard_of_undefined_labels_equals_that_of_scikit_learn(average, zero_division):
    options = {"average": average, "zero_division": zero_division}
    np.testing.assert_allclose(jaccard_score(Y, D, **options), theirs.jaccard_score(Y, D, **options))


@pytest.mark.parametrize("nan", [NAN, np.float32("nan")])
def test_jaccard_refuses_nan_as_the_value_of_undefined_labels(nan):
    with pytest.raises(ValueError, match=r"jaccard_score .*zero_division=nan.*0\.0 or 1\.0.*f1_score"):
        jaccard_score(Y, D, zero_division=nan)
    assert f1_score(Y, D, zero_division=nan) == theirs.f1_score(Y, D, average="macro", zero_division=nan)


@pytest.mark.parametrize("score", [f1_score, jaccard_score, accuracy_score, hamming_loss])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_masked_entries_are_missing_labels_in_Y_true_and_refused_in_Y_pred(score):
    masked = np.ma.masked_array(Y, mask=np.arange(16).reshape(4, 4) % 5 == 0)
    assert score(masked, D) == score(masked.astype(float).filled(np.nan), D)
    for decisions in (masked, masked.astype(float).filled(np.nan)):
        with pytest.raises(ValueError, match=r"Y_pred .*NaN or masked entries.* 0 or 1"):
            score(Y, decisions)


def test_the_error_of_get_scorer_explains_strings():
    with pytest.raises(ValueError, match=r"'f1_micr'.*'f1_micro'\?.*scikit-learn's scorer.*NaN"):
        get_scorer("f1_micr")
