import numpy as np
import pytest
from scipy import sparse

from estimators import SMALL, tiny
from skml import KerasMultiLabelClassifier
from skml._decisions._calibration import Calibration
from skml._default_network._activations import ACTIVATIONS
from skml._default_network._gradients import (
    DERIVATIVES,
    TOLERANCE,
    _gradient,
    integrated_gradients,
    log_odds_of_output,
)
from skml._default_network._initial_weights import initial_weights
from skml._default_network._network import DenseNetwork

OUTPUT_ACTIVATIONS = ["sigmoid", "softmax"]


def network(
    output_activation="sigmoid", activation="relu", widths=(6, 16, 16, 8, 3), n_members=3, shifted=False, **arguments
):
    """Return a network of random weights: one residual connection, one pair of layers of other widths."""
    weights = initial_weights(list(widths), np.random.RandomState(0), np.float64, n_members)
    for bias in weights[1::2]:
        bias[:] = np.random.RandomState(1).randn(*bias.shape)
    if shifted:
        arguments |= {"shift": np.linspace(-1, 1, widths[0]), "scale": np.linspace(0.5, 2, widths[0])}
    return DenseNetwork(weights, activation, output_activation, n_members, **arguments)


def test_each_activation_has_its_derivative():
    assert set(DERIVATIVES) == set(ACTIVATIONS)
    x = np.linspace(-4, 4, 40)  # without 0, where some have no derivative
    for name, derivative in DERIVATIVES.items():
        differences = (ACTIVATIONS[name](x + 1e-6) - ACTIVATIONS[name](x - 1e-6)) / 2e-6
        np.testing.assert_allclose(derivative(x), differences, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("output_activation", OUTPUT_ACTIVATIONS)
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_the_gradient_is_that_of_finite_differences(output_activation, n_members, activation):
    net = network(
        output_activation, activation, n_members=n_members, calibration=Calibration(1.7, np.array([0.1, 0.2, 0.3]))
    )
    row, kernel = np.random.RandomState(2).randn(1, 6), net.weights[0]
    gradient = kernel @ _gradient(net, row @ kernel + net.weights[1], 1)[0]
    steps = 1e-6 * np.eye(6)
    odds = [[log_odds_of_output(net, row + sign * step, 1) for step in steps] for sign in (1, -1)]
    np.testing.assert_allclose(gradient, np.subtract(*odds) / 2e-6, rtol=1e-5, atol=1e-7)


def test_the_gradient_is_that_of_tensorflow(X, label_sets):
    import keras
    import tensorflow as tf

    clf = KerasMultiLabelClassifier(**SMALL | {"inputs": "auto"}, scale="standard", calibrate=True).fit(X, label_sets)
    net, model = clf.trained_network(), clf.to_keras()
    x = tf.Variable(X[:4].astype(np.float32))
    with tf.GradientTape() as tape:
        proba = model(x)[:, 2]
        log_odds = keras.ops.log(proba) - keras.ops.log1p(-proba)
    first = net.scaled(X[:4], np.float64) @ net.weights[0].astype(np.float64) + net.weights[1]
    ours = _gradient(net, first, 2) @ net.weights[0].T * net.scale
    np.testing.assert_allclose(ours, tape.gradient(log_odds, x).numpy(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("output_activation", OUTPUT_ACTIVATIONS)
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("shifted", [False, True])
def test_contributions_sum_to_the_difference_from_the_baseline(output_activation, activation, shifted):
    net = network(output_activation, activation, shifted=shifted, calibration=Calibration(1.5, 0.2))
    baseline = net.shift[None] if shifted else np.zeros((1, 6))
    for row in 3 * np.random.RandomState(3).randn(10, 1, 6):
        contributions = integrated_gradients(net, row, 0)
        odds = [log_odds_of_output(net, x, 0) for x in (row, baseline)]
        np.testing.assert_allclose([contributions.log_odds, contributions.baseline_log_odds], odds, rtol=1e-12)
        assert contributions.values.sum() == pytest.approx(odds[0] - odds[1], rel=TOLERANCE, abs=TOLERANCE)


@pytest.mark.parametrize("output_activation", OUTPUT_ACTIVATIONS)
def test_log_odds_are_those_of_the_probability(output_activation):
    net, row = network(output_activation, n_members=1), np.ones((1, 6))
    proba = net.proba(row)[0, 2]
    assert log_odds_of_output(net, row, 2) == pytest.approx(np.log(proba / (1 - proba)))


def test_of_a_linear_network_they_are_coefficients_times_changes():
    net = network("sigmoid", widths=(6, 3), n_members=1, shifted=True)
    row = np.arange(6.0)[None]
    columns, contributions, *_ = integrated_gradients(net, row, 1)
    np.testing.assert_array_equal(columns, range(6))
    np.testing.assert_allclose(contributions, (row[0] - net.shift) * net.scale * net.weights[0][:, 1])


def test_sparse_rows_have_the_contributions_of_dense_ones():
    for shifted in (False, True):
        net = network(shifted=shifted)
        indices, data = [1, 3, 5, 5], [2.0, 0.0, 1.0, 2.0]  # a stored zero, and a column twice
        stored = sparse.csr_array((data, indices, [0, 4]), shape=(1, 6))
        columns, *others = integrated_gradients(net, stored, 0)
        expected = integrated_gradients(net, stored.toarray(), 0)
        np.testing.assert_array_equal(columns, expected.columns)
        for value, other in zip(others, expected[1:], strict=True):
            np.testing.assert_allclose(value, other)
        assert shifted or columns.tolist() == [1, 5]


def test_a_network_stays_as_it_is(X, Y):
    clf = tiny(activation="tanh").fit(X, Y)  # an activation that works in place
    before = [weights.copy() for weights in clf.trained_network().weights]
    integrated_gradients(clf.trained_network(), X[:1], 0)
    for weights, earlier in zip(clf.trained_network().weights, before, strict=True):
        np.testing.assert_array_equal(weights, earlier)


def test_classes_of_probability_one_have_finite_contributions():
    net = network("softmax")
    row = 1000 * np.random.RandomState(3).randn(1, 6)
    contributions = [integrated_gradients(net, row, output).values for output in range(3)]
    assert np.all(np.isfinite(contributions))
