"""Columns far from 0, as timestamps and ids are."""

import numpy as np
import pytest

from skml import KerasMultiLabelClassifier


@pytest.fixture(scope="module")
def problem():
    rng = np.random.RandomState(0)
    X = rng.randn(300, 5)
    return X, (X @ rng.randn(5, 3) > 0).astype(int)


def fitted(X, Y):
    return KerasMultiLabelClassifier(epochs=15, n_members=2, hidden_layer_sizes=20, random_state=0).fit(X, Y)


@pytest.mark.parametrize("offset", [1e4, 1e8, -1e12])
def test_an_offset_of_dense_columns_changes_nothing(problem, offset):
    X, Y = problem
    moved = np.round(X, 3) + offset  # so that float64 holds the digits at all
    plain = fitted(moved - offset, Y)
    np.testing.assert_allclose(fitted(moved, Y).predict_proba(moved), plain.predict_proba(moved - offset), atol=2e-3)


@pytest.mark.parametrize("offset", [0, 1e3, 1e6, 1e9])
def test_the_keras_model_scales_as_the_arrays_do(problem, offset):
    X, Y = problem
    clf = fitted(X + offset, Y)
    np.testing.assert_allclose(clf.to_keras()(X + offset).numpy(), clf.predict_proba(X + offset), atol=2e-6)


def test_a_column_near_0_is_scaled_in_float32(problem):
    X, Y = problem
    assert fitted(X, Y).to_keras().inputs[0].dtype == "float32"


def test_training_resumes_with_an_offset(problem):
    X, Y = problem
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=20, dropout=0, input_dropout=0, random_state=0)
    for _ in range(20):
        clf.partial_fit(X + 1e8, Y)
    assert clf.score(X + 1e8, Y) > 0.7
