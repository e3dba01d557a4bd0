"""Many rows are multiplied in the dtype of the network, few in float64; weights are cast once."""

import pickle
import tracemalloc

import numpy as np
import pytest
from scipy import sparse
from scipy.special import expit, logit

import custom
from estimators import tiny
from skml._decisions._calibration import Calibration
from skml._default_network._initial_weights import initial_weights
from skml._default_network._network import DenseNetwork

CONTAINERS = pytest.mark.parametrize("container", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])


def network_of(widths=(12, 32, 32, 5), output_activation="sigmoid", n_members=3, dtype=np.float32, **params):
    weights = initial_weights(list(widths), np.random.RandomState(0), dtype, n_members)
    return DenseNetwork([w + dtype(0.01) for w in weights], "relu", output_activation, n_members, **params)


def rows_of(n_rows, n_columns=12, seed=1):
    return np.random.RandomState(seed).randn(n_rows, n_columns)


def by_hundreds(function, X):
    return np.concatenate([function(X[start : start + 100]) for start in range(0, X.shape[0], 100)])


@pytest.fixture
def _several_blocks(monkeypatch):
    """Blocks of 87 rows, so that the last one is not full."""
    monkeypatch.setattr("skml._targets._matrix._BLOCK_BYTES", 87 * 3 * 32 * 16)


@CONTAINERS
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("calibration", [Calibration(), Calibration(2.5, 0.5)], ids=["as is", "calibrated"])
@pytest.mark.parametrize("output_activation", ["sigmoid", "softmax"])
@pytest.mark.usefixtures("_several_blocks")
def test_many_rows_get_the_predictions_of_few(output_activation, calibration, n_members, container):
    network, X = (
        network_of(output_activation=output_activation, n_members=n_members, calibration=calibration),
        container(rows_of(1200)),
    )
    np.testing.assert_allclose(network.proba(X), by_hundreds(network.proba, X), atol=1e-6)
    np.testing.assert_allclose(network.log_proba(X), by_hundreds(network.log_proba, X), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(np.concatenate(list(network.proba_blocks(X))), network.proba(X))


@pytest.mark.parametrize("activation", ["elu", "gelu", "linear", "selu", "sigmoid", "silu", "softplus", "tanh"])
def test_many_rows_get_the_predictions_of_few_with_every_activation(activation):
    weights = initial_weights([12, 20, 20, 5], np.random.RandomState(0), np.float32)
    network, X = DenseNetwork(weights, activation, "sigmoid"), rows_of(600)
    np.testing.assert_allclose(network.proba(X), by_hundreds(network.proba, X), atol=1e-6)
    logits = network._logits(X, network._layers(len(X), is_sparse=False))
    assert logits.dtype == np.float32


def test_500_rows_do_not_depend_on_their_neighbours():
    network, X = network_of(), rows_of(500)
    alone = np.vstack([network.log_proba(X[[i]]) for i in range(500)])
    np.testing.assert_allclose(network.log_proba(X), alone, rtol=0, atol=1e-7)


def test_a_network_in_float64_is_exact_with_many_rows():
    network, X = network_of(dtype=np.float64), rows_of(1200)
    np.testing.assert_allclose(network.proba(X), by_hundreds(network.proba, X), rtol=1e-13)


def test_columns_far_from_0_keep_their_digits_with_many_rows():
    X = rows_of(1200)
    near = network_of(shift=np.zeros(12), scale=np.full(12, 0.5))
    far = network_of(shift=np.full(12, 1e9), scale=np.full(12, 0.5))
    moved = X + 1e9
    np.testing.assert_allclose(far.proba(moved), near.proba(moved - 1e9), atol=1e-6)


@pytest.mark.parametrize("n_rows", [3, 1200])
@pytest.mark.parametrize("shift", [1e3, 1e6])
def test_sparse_rows_get_the_predictions_of_dense_ones_from_a_network_of_dense_rows(shift, n_rows):
    X = rows_of(n_rows) + shift
    network = network_of(shift=np.full(12, shift), scale=np.full(12, 0.5))
    np.testing.assert_allclose(network.proba(sparse.csr_array(X)), network.proba(X), atol=1e-6)


@CONTAINERS
@pytest.mark.parametrize("n_rows", [3, 1200])
@pytest.mark.filterwarnings("error")
def test_values_too_large_for_float32_products_are_multiplied_in_float64(n_rows, container):
    X = rows_of(n_rows)
    X[1], X[2] = 3e38, -3e38
    X[0, ::2] = 1e38
    exact = DenseNetwork([w.astype(np.float64) for w in network_of().weights], "relu", "sigmoid", 3)
    np.testing.assert_allclose(network_of().proba(container(X)), exact.proba(container(X)), atol=1e-6)


def test_saturated_members_leave_finite_log_odds_with_many_rows():
    X = rows_of(1200) * 300
    network = network_of(calibration=Calibration(0.1, 0.0))
    np.testing.assert_allclose(network.log_proba(X), by_hundreds(network.log_proba, X), rtol=1e-5, atol=1e-4)
    assert np.abs(network.log_proba(X)).max() > 10  # where the sigmoids themselves are 0 in float32


@CONTAINERS
@pytest.mark.usefixtures("_several_blocks")
def test_each_row_is_predicted_by_the_member_of_its_fold(container):
    network, X = network_of(), container(rows_of(1800))
    fold = np.random.RandomState(2).randint(-1, 3, 1800)
    proba = network.out_of_fold_proba(X, fold)
    for j, member in [(-1, network), *((j, network.take([j])) for j in range(3))]:
        np.testing.assert_allclose(proba[fold == j], by_hundreds(member.proba, X[fold == j]), atol=1e-6)


@CONTAINERS
@pytest.mark.usefixtures("_several_blocks")
def test_the_average_that_no_member_learned_is_that_of_its_member_and_how_the_others_differ(container):
    network, X = network_of(n_members=4, calibration=Calibration(1.5, np.linspace(-1, 1, 5))), container(rows_of(900))
    fold = np.random.RandomState(2).randint(-1, 4, 900)
    rows, columns = np.nonzero(np.random.RandomState(3).rand(900, 5) < 0.3)
    plain = network_of(n_members=4)
    logits = np.array([by_hundreds(plain.take([j]).log_proba, X) for j in range(4)])[:, rows, columns].astype(float)
    held_out, own = fold[rows], np.empty(len(rows))
    for i, j in enumerate(held_out):
        own[i] = logits[j, i]
    others = [np.delete(logits[:, i], j) for i, j in enumerate(held_out) if j >= 0]
    points = [np.quantile(values, np.arange(21) / 20) for values in (others, own[held_out >= 0])]
    expected = expit(logits).mean(axis=0)
    for i in np.flatnonzero(held_out >= 0):
        learned = np.delete(logits[:, i], held_out[i])
        between = 0.5 * learned + 0.5 * np.interp(learned, *points)
        moved = own[i] + np.sqrt(3 / 2) * (between - between.mean())
        expected[i] = (expit(moved).sum() + expit(own[i])) / 4
    expected = expit(1.5 * logit(expected) + np.linspace(-1, 1, 5)[columns])
    np.testing.assert_allclose(network.out_of_fold_average(X, fold, (rows, columns)), expected, atol=1e-6)
    two = network_of(n_members=2)
    fold = np.arange(900) % 2
    of_members = two.out_of_fold_proba(X, fold)[rows, columns]
    np.testing.assert_allclose(two.out_of_fold_average(X, fold, (rows, columns)), of_members, atol=1e-6)


def test_the_average_that_no_member_learned_needs_no_entry_and_gets_by_with_one():
    network, X, none = network_of(n_members=4), rows_of(5), np.empty(0, dtype=int)
    assert network.out_of_fold_average(X, np.arange(5) % 4, (none, none)).shape == (0,)
    one = network.out_of_fold_average(X, np.arange(5) % 4, (np.array([1]), np.array([0])))
    own, *others = (network.take([j]).log_proba(X)[1, 0] for j in (1, 0, 2, 3))
    moved = own + np.sqrt(3 / 2) * (others - np.mean(others)) / 2  # halfway to the only known value
    np.testing.assert_allclose(one, expit([own, *moved]).mean(), rtol=1e-5)


@pytest.mark.parametrize("model", [None, custom.network], ids=["default", "custom"])
@pytest.mark.usefixtures("_several_blocks")
def test_predict_compares_the_probabilities_of_predict_proba(model, X, Y, monkeypatch):
    monkeypatch.setattr("skml._keras._predictor.BLOCK_ENTRIES", 100 * 5)
    clf, many = tiny(model).fit(X, Y), rows_of(1200, 5)
    proba = clf.predict_proba(many)
    for threshold in (float(proba[700, 1]), float(proba[1199, 0])):
        clf.set_params(threshold=threshold)
        np.testing.assert_array_equal(clf.predict(many), proba >= threshold)


@CONTAINERS
@pytest.mark.parametrize("n_rows", [400, 20_000])
def test_memory_is_bounded_by_blocks(n_rows, container):
    network, X = network_of((12, 256, 3), n_members=5), container(rows_of(n_rows))
    tracemalloc.start()
    try:
        network.proba(X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**24  # 100 MB for all hidden units


def test_one_sparse_row_in_float64_casts_no_kernel():
    network, row = (
        network_of((20_000, 100, 3), n_members=1),
        sparse.random_array((1, 20_000), density=0.01, format="csr"),
    )
    assert row.dtype == np.float64
    network.proba(row)
    tracemalloc.start()
    try:
        network.proba(row)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100_000  # the kernel has 8 MB


@CONTAINERS
def test_weights_that_are_kept_in_float64_change_nothing(container, monkeypatch):
    network, X = network_of(shift=np.full(12, 0.1), scale=np.full(12, 2.0)), container(rows_of(20))
    before = pickle.dumps(network)
    first = network.proba(X)
    np.testing.assert_array_equal(network.proba(X), first)
    assert pickle.dumps(network) == before
    assert network._kept
    monkeypatch.setattr("skml._default_network._network._MAX_KEPT_BYTES", 0)
    large = pickle.loads(before)
    np.testing.assert_array_equal(large.proba(X), first)
    assert not large._kept
