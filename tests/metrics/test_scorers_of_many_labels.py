"""Scorers of rows keep a block of probabilities in memory, not those of all rows."""

import tracemalloc

import numpy as np
import pytest
from scipy import sparse

from skml.metrics import get_scorer, precision_at_k


class Wide:
    """Stand-in for a fitted estimator with 4,000 labels, whose rows are numbers of seeds."""

    classes_ = np.arange(4_000)

    def proba_blocks(self, X):
        for start in range(0, len(X), 5):
            yield np.stack([np.random.RandomState(i).rand(4_000) for i in X[start : start + 5, 0]])

    def predict_proba(self, X):
        return np.concatenate(list(self.proba_blocks(X)))


@pytest.mark.parametrize("name", ["precision_at_3", "ndcg_at_3"])
def test_the_peak_is_that_of_a_block(name):
    X = np.arange(300)[:, None]
    Y = sparse.random(300, 4_000, 0.002, format="csr", random_state=0)
    Y.data[:] = 1
    tracemalloc.start()
    try:
        score = get_scorer(name)(Wide(), X, Y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 300 * 4_000 * 8 / 2
    if name == "precision_at_3":
        assert score == pytest.approx(precision_at_k(Y, Wide().predict_proba(X), 3), abs=1e-12)
