"""Automatic rules and weights."""

import numpy as np
import pytest

from skml import KerasMultiLabelClassifier
from skml._targets._weights import effective_rows

X = np.random.RandomState(0).randn(120, 4)
Y = (X[:, :3] > 0).astype(int)


def fitted(weight, **params):
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=8, n_members=2, early_stopping=False, random_state=0, **params)
    return clf.fit(X, Y, sample_weight=weight)


def test_equal_weights_count_as_rows():
    assert effective_rows(np.full(7, 3.5)) == pytest.approx(7)


def test_one_heavy_row_counts_as_one():
    assert effective_rows(np.array([1e9, 1.0, 1.0])) == pytest.approx(1)


@pytest.fixture(scope="module")
def weight():
    return np.random.RandomState(1).randint(1, 4, len(X)).astype(float)


@pytest.fixture(scope="module")
def plain(weight):
    return fitted(weight)


@pytest.mark.parametrize("factor", [1000.0, 1 / 120, 1e-12, 1e60])
def test_a_factor_of_all_weights_changes_nothing(factor, weight, plain):
    scaled = fitted(factor * weight)
    assert scaled.n_iter_ == plain.n_iter_
    np.testing.assert_allclose(scaled.predict_proba(X), plain.predict_proba(X), atol=1e-3)


def test_weight_2_is_twice_at_the_same_batch_size_and_epochs():
    weight = np.random.RandomState(1).randint(0, 3, 30)
    rows = np.repeat(np.arange(30), weight)
    params = {"hidden_layer_sizes": 8, "n_members": 1, "early_stopping": False, "dropout": 0, "input_dropout": 0}
    make = lambda: KerasMultiLabelClassifier(epochs=30, batch_size=100, random_state=0, **params)  # noqa: E731
    weighted = make().fit(X[:30], Y[:30], sample_weight=weight).predict_proba(X)
    repeated = make().fit(X[rows], Y[rows]).predict_proba(X)
    np.testing.assert_allclose(weighted, repeated, atol=1e-4)
