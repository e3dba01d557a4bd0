"""Areas and average precision of all labels at once, compared with scikit-learn's of one label after another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse
from sklearn import metrics as sklearn_metrics

from skml import metrics

PAIRS = [
    (metrics.roc_auc_score, sklearn_metrics.roc_auc_score),
    (metrics.average_precision_score, sklearn_metrics.average_precision_score),
]


@st.composite
def problems(draw):
    """Draw labels, some missing, scores with ties, and weights, some 0."""
    shape = draw(st.tuples(st.integers(1, 8), st.integers(2, 4)))
    Y = draw(arrays(float, shape, elements=st.sampled_from([0.0, 0.0, 1.0, 1.0, np.nan])))
    kind = draw(st.sampled_from([np.float32, np.float64]))
    scores = draw(arrays(kind, shape, elements=st.sampled_from([-1.5, 0.25, 0.5, 0.75, 3.0])))
    weight = draw(st.none() | arrays(float, shape[0], elements=st.sampled_from([0.0, 0.3, 1.0, 2.5])))
    return Y, scores, weight if weight is None or weight.any() else None


def one_by_one(score, Y, scores, weight):
    values, weight = [], np.ones(len(Y)) if weight is None else weight
    for entries, column in zip(Y.T, scores.T, strict=True):
        kept = ~np.isnan(entries) & (weight > 0)
        defined = set(entries[kept]) == {0.0, 1.0}
        values.append(score(entries[kept], column[kept], sample_weight=weight[kept]) if defined else np.nan)
    return values


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@given(problem=problems())
def test_each_label_has_the_score_of_scikit_learn(ours, theirs, problem):
    Y, scores, weight = problem
    result = ours(Y, scores, average=None, sample_weight=weight)
    np.testing.assert_allclose(result, one_by_one(theirs, Y, scores, weight), rtol=1e-12)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_labels_are_scored_in_blocks(ours, theirs, monkeypatch):
    monkeypatch.setattr("skml._targets._matrix._BLOCK_BYTES", 2**16)
    rng = np.random.RandomState(0)
    Y, scores, weight = (rng.rand(200, 30) < 0.1).astype(float), rng.rand(200, 30).round(2), rng.rand(200)
    result = ours(sparse.csr_array(Y), scores, average=None, sample_weight=weight)
    np.testing.assert_allclose(result, one_by_one(theirs, Y, scores, weight), rtol=1e-12)
