import numpy as np
import pytest
from scipy import sparse

from skml import KerasMultiLabelClassifier
from skml._default_network._activations import ACTIVATIONS
from skml._default_network._averages import log_odds
from skml._default_network._initial_weights import initial_weights
from skml._default_network._network import DenseNetwork
from skml._inputs import open_interval


def network_of(widths, activation="relu", output_activation="sigmoid"):
    weights = initial_weights(widths, np.random.RandomState(0), np.float32)
    weights = [w + 0.1 for w in weights]  # biases that are not zero
    return DenseNetwork(weights, activation, output_activation)


@pytest.mark.parametrize("output_activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_forward_pass_is_that_of_keras(activation, output_activation):
    from skml._keras_models._ensemble import rebuild

    network = network_of([7, 16, 9, 4], activation, output_activation)
    X = np.random.RandomState(1).randn(50, 7).astype(np.float32)
    np.testing.assert_allclose(network.proba(X), rebuild(network).predict(X, verbose=0), atol=1e-6)
    np.testing.assert_allclose(network.proba(sparse.csr_array(X)), network.proba(X), atol=1e-6)


def test_log_proba_is_the_logit_or_the_logarithm():
    X = np.random.RandomState(1).randn(20, 7)
    sigmoid, softmax = network_of([7, 5, 4]), network_of([7, 5, 4], output_activation="softmax")
    np.testing.assert_allclose(sigmoid.log_proba(X), log_odds(sigmoid.proba(X).astype(float)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(softmax.log_proba(X), np.log(softmax.proba(X)), rtol=1e-5)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_a_row_does_not_depend_on_its_neighbours(container):
    network = network_of([103, 100, 14])
    X = np.random.RandomState(0).randn(300, 103).astype(np.float32)
    together = network.log_proba(container(X))
    alone = np.vstack([network.log_proba(container(X[[i]])) for i in range(300)])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-7)


def test_chunks_do_not_show(monkeypatch):
    network, X = network_of([7, 5, 4]), np.random.RandomState(1).randn(50, 7)
    whole = network.proba(X)
    monkeypatch.setattr("skml._targets._matrix._BLOCK_BYTES", 7 * 3 * 8)
    np.testing.assert_array_equal(network.proba(X), whole)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_open_interval_is_open_by_one_ulp(dtype):
    low, middle, high = open_interval(np.array([0, 0.25, 1], dtype=dtype))
    assert low == np.nextafter(dtype(0), dtype(1))
    assert middle == 0.25
    assert high == np.nextafter(dtype(1), dtype(0))


def test_saturated_probabilities_stay_inside_the_open_interval(X, Y):
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=(8,), epochs=5, random_state=0).fit(X, Y)
    proba = clf.predict_proba(X * 1e4)
    assert proba.min() > 0
    assert proba.max() < 1
    assert np.isfinite(log_odds(proba)).all()


def test_initial_weights_are_he_normal_for_each_member():
    from scipy.stats import kstest, truncnorm

    first, first_bias, last, last_bias = initial_weights([300, 200, 50], np.random.RandomState(0), np.float64, 3)
    assert [w.shape for w in (first, first_bias, last, last_bias)] == [(300, 600), (600,), (3, 200, 50), (3, 50)]
    for kernel, fan_in in ((first, 300), (last, 200)):
        np.testing.assert_allclose(kernel.std(), np.sqrt(2 / fan_in), rtol=0.01)
        cut = truncnorm(-2, 2)
        assert kstest(kernel.ravel() / kernel.std() * cut.std(), cut.cdf).pvalue > 0.01
    assert not first_bias.any()
    assert not last_bias.any()


def test_the_default_network_is_rebuilt_in_keras(X, Y):
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=(8, 6), n_members=1, epochs=3).fit(X, Y)
    assert [layer.units for layer in clf.to_keras().layers if hasattr(layer, "units")] == [8, 6, 3]
    np.testing.assert_allclose(clf.to_keras().predict(X, verbose=0), clf.predict_proba(X), atol=1e-6)


def test_hidden_layers_of_equal_widths_have_residual_connections():
    network = network_of([7, 5, 5, 4, 4, 4])
    assert network.residuals == [False, True, False, True]  # the output layer has none
    layers = list(network.layers())
    assert [has_residual for *_, has_residual in layers] == network.residuals
    for (kernel, bias, _), *expected in zip(layers, network.weights[2::2], network.weights[3::2], strict=True):
        assert [kernel is expected[0], bias is expected[1]] == [True, True]
    assert list(network_of([7, 4]).layers()) == []


def test_a_residual_connection_adds_the_input_of_a_hidden_layer():
    network, x = network_of([7, 5, 5, 4], "tanh"), np.random.RandomState(1).randn(3, 7)
    w1, b1, w2, b2, w3, b3 = (weight.astype(float) for weight in network.weights)
    first = np.tanh(x @ w1 + b1)
    second = np.tanh(first @ w2[0] + b2[0]) + first
    np.testing.assert_allclose(network.log_proba(x), second @ w3[0] + b3[0], rtol=1e-5)
