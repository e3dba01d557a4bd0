"""Many dense rows are scaled by the first kernel, and shifted by its bias where float32 keeps the digits."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from skml import KerasMultiLabelClassifier
from skml._default_network._initial_weights import initial_weights
from skml._default_network._network import DenseNetwork

N_ROWS, N_COLUMNS = 700, 60


def problem(offsets, deviations=1.0, n_members=3, dtype=np.float32):
    """Return rows of columns around some offsets, and a network that standardises them."""
    rng = np.random.RandomState(0)
    scale = np.broadcast_to(1 / np.asarray(deviations, dtype=np.float64), N_COLUMNS)
    X = (rng.randn(N_ROWS, N_COLUMNS) + offsets) / scale
    weights = initial_weights([N_COLUMNS, 40, 40, 6], rng, dtype, n_members, output_scale=0.5)
    network = DenseNetwork([w + dtype(0.01) for w in weights], "relu", "sigmoid", n_members, offsets / scale, scale)
    return X, network


def scaled_first(network, X):
    """Return probabilities of rows that are scaled in float64 before the network gets them."""
    shift = 0 if network.shift is None else network.shift
    return replace(network, shift=None, scale=None).proba((X - shift) * network.scale)


def by_hand(network, X):
    """Return probabilities of the plain formula in float64."""
    X = (X - network.shift) * network.scale
    proba = []
    for j in range(network.n_members):
        member = network.take([j])
        kernel, bias, kernels, biases, last_kernels, last_biases = (w.astype(np.float64) for w in member.weights)
        first = np.maximum(X @ kernel + bias, 0)
        second = np.maximum(first @ kernels[0] + biases[0], 0) + first
        proba.append(expit(second @ last_kernels[0] + last_biases[0]))
    return np.mean(proba, axis=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("offset", [0, 0.2, -3])
def test_ordinary_columns_get_the_probabilities_of_columns_scaled_first(offset, n_members, dtype):
    X, network = problem(np.full(N_COLUMNS, offset), np.geomspace(1e-3, 1e3, N_COLUMNS), n_members)
    X = X.astype(dtype)
    layers = network._layers(N_ROWS, is_sparse=False)
    assert layers.scale is None
    assert (layers.shift is None) == (abs(offset) < 0.25)
    np.testing.assert_allclose(network.proba(X), scaled_first(network, X), rtol=0, atol=5e-7)
    np.testing.assert_allclose(network.proba(X), by_hand(network, X), rtol=0, atol=5e-7)


@pytest.mark.parametrize("far", [[7], [0, 59], range(60)])
def test_columns_far_from_0_are_as_accurate_as_columns_scaled_first(far):
    offsets = np.linspace(-0.2, 0.2, N_COLUMNS)
    offsets[list(far)] = 1e6
    X, network = problem(offsets)
    before = X.copy()
    exact = by_hand(network, X)
    assert np.abs(network.proba(X) - exact).max() <= np.abs(scaled_first(network, X) - exact).max() + 2e-7
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("deviation", [1e-42, 1e-30, 1e30, 1e37])
@pytest.mark.filterwarnings("error")
def test_scales_beyond_float32_are_applied_in_float64(deviation):
    X, network = problem(np.ones(N_COLUMNS), np.where(np.arange(N_COLUMNS) == 5, deviation, 1.0))
    np.testing.assert_allclose(network.proba(X), by_hand(network, X), rtol=0, atol=5e-7)


@pytest.mark.parametrize("offset", [0, 1e6])
@pytest.mark.filterwarnings("error")
def test_rows_too_large_for_float32_products_are_shifted_and_scaled_in_float64(offset):
    X, network = problem(np.full(N_COLUMNS, offset))
    X[1], X[2] = 3e38, -3e38
    np.testing.assert_allclose(network.proba(X), by_hand(network, X), rtol=0, atol=1e-6)


def test_a_network_without_a_shift_is_scaled_by_its_kernel():
    X, network = problem(np.zeros(N_COLUMNS), np.geomspace(1e-3, 1e3, N_COLUMNS))
    network = replace(network, shift=None)
    np.testing.assert_allclose(network.proba(X), scaled_first(network, X), rtol=0, atol=5e-7)


def test_a_network_in_float64_is_scaled_first():
    X, network = problem(np.ones(N_COLUMNS), dtype=np.float64)
    np.testing.assert_allclose(network.proba(X), scaled_first(network, X), rtol=0, atol=1e-15)


def test_many_rows_of_a_fitted_classifier_are_predicted_as_few_are(X, Y):
    rng = np.random.RandomState(0)
    params = {"hidden_layer_sizes": (8,), "epochs": 3, "n_members": 2, "random_state": 0}
    columns = rng.gamma(2.0, size=(900, X.shape[1]))
    columns[:, 1] = 1e6 + rng.randn(900)
    columns[:, 2] = 5  # constant
    clf = KerasMultiLabelClassifier(**params).fit(columns[: len(Y)], Y)
    few = np.concatenate([clf.predict_proba(columns[start : start + 100]) for start in range(0, 900, 100)])
    np.testing.assert_allclose(clf.predict_proba(columns), few, rtol=0, atol=5e-7)
