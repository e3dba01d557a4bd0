"""Changes of the data that should change nothing in what is learned, or only what they say."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from estimators import tiny

# No early stopping, no dropout: what is left to chance are the first weights and the order of the rows.
STILL = {"dropout": 0, "input_dropout": 0, "early_stopping": False}
N, D, L = 120, 5, 3


@pytest.fixture(scope="module")
def data():
    rng = np.random.RandomState(0)
    X = np.round(rng.randn(N, D), 3)
    return X, (X[:, :L] + 0.3 * rng.randn(N, L) > 0.2).astype(int)


@pytest.fixture(scope="module")
def plain(data):
    """What is learned from the data as they are, by the parameters; each trained once."""
    X, Y = data
    known = {}

    def predictions(**params):
        key = repr(params)
        if key not in known:
            known[key] = learned(X, Y, **params)
        return known[key]

    return predictions


def learned(X, y, X_test=None, **params):
    weight = params.pop("sample_weight", None)
    clf = tiny(**{"n_members": 2, "epochs": 20, "learning_rate": 0.01, **params}).fit(X, y, sample_weight=weight)
    return clf.predict_proba(X if X_test is None else X_test)


# Labels


def test_the_order_in_which_classes_names_the_labels_changes_little(data):
    """The first weights of a label are drawn by its position, so that only what is learned agrees, and the columns."""
    X, Y = data
    order = [2, 0, 1]
    given = [{"abc"[j] for j in np.flatnonzero(row)} for row in Y]
    params = {"epochs": 60, "hidden_layer_sizes": (32,), "n_members": 4}
    plain = learned(X, given, **params)
    moved = learned(X, given, classes=["abc"[j] for j in order], **params)
    assert np.abs(moved - plain[:, order]).mean() < 0.06
    assert np.mean((moved >= 0.5) == (plain[:, order] >= 0.5)) > 0.95
    assert np.mean((moved >= 0.5) == Y[:, order]) > 0.9


@pytest.mark.parametrize("names", ["xyz", (1, 20, 300), ((0,), (1,), (1, 0)), ("", "\u00e9", "\U0001f600")])
def test_names_of_labels_are_only_names(names, data, plain):
    X, Y = data
    y = [{names[j] for j in np.flatnonzero(row)} for row in Y]
    np.testing.assert_array_equal(learned(X, y), plain())


def test_columns_of_a_frame_are_labels_in_their_order(data, plain):
    X, Y = data
    frame = pd.DataFrame(Y, columns=["c", "a", "b"])
    np.testing.assert_array_equal(learned(X, frame), plain())


def test_one_label_is_one_of_two_classes(data):
    X, Y = data
    one = learned(X, sparse.csr_array(Y[:, :1]))
    sets = learned(X, [{"a"} if entry else set() for entry in Y[:, 0]])
    np.testing.assert_array_equal(sets, one)
    two = learned(X, Y[:, 0])
    np.testing.assert_allclose(two[:, 1:], one, atol=1e-6)


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix, pd.DataFrame])
def test_a_label_that_all_rows_or_none_have(value, container, data):
    X, Y = data
    constant = Y.copy()
    constant[:, 1] = value
    clf = tiny(epochs=60, learning_rate=0.02, n_members=2).fit(X, container(constant))
    proba = clf.predict_proba(X)
    assert np.isfinite(proba).all()
    assert np.abs(proba[:, 1] - value).mean() < 0.2
    assert np.mean((proba >= 0.5)[:, [0, 2]] == Y[:, [0, 2]]) > 0.8


@pytest.mark.parametrize("value", [0, 1])
def test_all_cells_alike(value, data):
    X, Y = data
    clf = tiny(epochs=40, learning_rate=0.02, threshold="f1_macro", class_weight="balanced")
    proba = clf.fit(X, np.full_like(Y, value)).predict_proba(X)
    assert np.isfinite(proba).all()
    assert np.abs(proba - value).mean() < 0.3
    assert np.isfinite(clf.threshold_).all()
    assert (clf.predict(X) == value).mean() > 0.9


# Rows and their weights


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 7.0, 1e3, 1e6])
def test_only_ratios_of_weights_count(factor, data, plain):
    X, Y = data
    weight = np.random.RandomState(1).randint(1, 4, N).astype(float)
    np.testing.assert_allclose(learned(X, Y, sample_weight=factor * weight), plain(sample_weight=weight), atol=1e-3)


def test_a_power_of_two_as_factor_changes_no_digit(data, plain):
    X, Y = data
    weight = np.random.RandomState(1).randint(1, 4, N).astype(float)
    np.testing.assert_array_equal(learned(X, Y, sample_weight=2.0**40 * weight), plain(sample_weight=weight))


def test_weights_of_one_are_no_weights(data, plain):
    X, Y = data
    np.testing.assert_allclose(learned(X, Y, sample_weight=np.ones(N)), plain(), atol=1e-5)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_weight_2_is_twice_and_0_is_not_there(container, class_weight, data):
    """At the same epochs, in one batch: which rows share a batch is chance."""
    X, Y = data
    weight = np.random.RandomState(1).randint(0, 3, N)
    rows = np.repeat(np.arange(N), weight)
    params = {**STILL, "n_members": 1, "batch_size": 2 * N, "class_weight": class_weight}
    weighted = learned(container(X), Y, sample_weight=weight, **params)
    repeated = learned(container(X[rows]), Y[rows], container(X), **params)
    np.testing.assert_allclose(weighted, repeated, atol=1e-4)


def test_weight_2_is_twice_to_rounding_in_float64(run_python):
    code = """
import keras, numpy as np
keras.config.set_floatx("float64")
from skml import KerasMultiLabelClassifier
rng = np.random.RandomState(0)
X, weight = rng.randn(60, 4), rng.randint(0, 3, 60)
Y, rows = (X[:, :2] > 0).astype(int), np.repeat(np.arange(60), weight)
params = dict(hidden_layer_sizes=8, n_members=1, early_stopping=False, dropout=0, input_dropout=0, random_state=0)
make = lambda: KerasMultiLabelClassifier(epochs=30, batch_size=200, learning_rate=0.01, **params)
weighted = make().fit(X, Y, sample_weight=weight).predict_proba(X)
repeated = make().fit(X[rows], Y[rows]).predict_proba(X)
assert weighted.dtype == np.float64
print(np.abs(weighted - repeated).max())
"""
    assert float(run_python(code, imported="keras")) < 1e-9


def test_rows_are_predicted_each_alone(data):
    X, Y = data
    clf = tiny().fit(X, Y)
    proba, labels = clf.predict_proba(X), clf.predict(X)
    order = np.random.RandomState(1).permutation(N)
    np.testing.assert_allclose(clf.predict_proba(X[order]), proba[order], atol=1e-6)
    for i in (0, 7, N - 1):
        assert clf.predict_proba(X[[i]]).shape == (1, L)
        np.testing.assert_allclose(clf.predict_proba(X[[i]])[0], proba[i], atol=1e-6)
        np.testing.assert_array_equal(clf.predict(X[[i]]), labels[[i]])


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array, pd.DataFrame], ids=lambda c: c.__name__)
@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_no_row_is_refused(method, container, data):
    X, Y = data
    clf = tiny(epochs=1).fit(container(X), Y)
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
        getattr(clf, method)(container(X[:0]))
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
        tiny().fit(container(X[:0]), Y[:0])


def test_one_row_is_learned(data):
    X, _ = data
    assert tiny(epochs=1).fit(X[:1], sparse.csr_array([[1, 0, 1]])).predict_proba(X).shape == (N, L)


# Columns


def test_the_order_of_columns_changes_little(data, plain):
    """The first weights of a column are drawn by its position, so that only what is learned agrees."""
    X, Y = data
    order = np.array([3, 0, 4, 2, 1])
    params = {"epochs": 60, "hidden_layer_sizes": (32,), "n_members": 4}
    known, moved = plain(**params), learned(X[:, order], Y, **params)
    assert np.abs(moved - known).mean() < 0.06
    assert np.mean((moved >= 0.5) == (known >= 0.5)) > 0.95


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.1, -1e8, 1e30])
def test_constant_columns_change_little(constant, data, plain):
    """They become 0 where X is dense, but more columns draw other first weights."""
    X, Y = data
    wide = np.hstack([X, np.full((N, 3), constant)])
    params = {"epochs": 60, "hidden_layer_sizes": (32,), "n_members": 4}
    known, moved = plain(**params), learned(wide, Y, **params)
    assert np.abs(moved - known).mean() < 0.06


@pytest.mark.parametrize("unit", [1e-6, 1e-3, 1e3, 1e8])
def test_the_unit_of_a_column_changes_nothing(unit, data, plain):
    X, Y = data
    units = np.array([1, unit, 1, 1, 1 / unit])
    np.testing.assert_allclose(learned(X * units, Y), plain(), atol=2e-3)


@pytest.mark.parametrize("unit", [2.0**-20, 2.0**27])
def test_a_power_of_two_as_unit_changes_hardly_a_digit(unit, data, plain):
    X, Y = data
    np.testing.assert_allclose(learned(X * unit, Y), plain(), atol=1e-5)


@pytest.mark.parametrize("offset", [1e-6, 1.0, 1e4, 1e8])
def test_the_offset_of_a_column_changes_nothing(offset, data, plain):
    X, Y = data
    offsets = np.array([0, offset, 0, -offset, 0])
    np.testing.assert_allclose(learned(X + offsets, Y), plain(), atol=2e-3)


def test_both_at_once(data, plain):
    """A column in millions around a date, as float64 holds it."""
    X, Y = data
    moved = X * 1e6 + 1e12
    np.testing.assert_allclose(learned(moved, Y), plain(), atol=2e-3)


# How X is stored


def test_csr_without_scaling_is_learned_as_dense(data):
    X, Y = data
    X = np.where(np.random.RandomState(3).rand(*X.shape) < 0.5, 0, X)
    params = {**STILL, "scale": None}
    dense, csr = learned(X, Y, **params), learned(sparse.csr_array(X), Y, **params)
    np.testing.assert_allclose(csr, dense, atol=1e-5)


def test_a_fitted_network_predicts_dense_and_csr_alike(data):
    X, Y = data
    for train in (X, sparse.csr_array(X)):
        clf = tiny().fit(train, Y)
        np.testing.assert_allclose(clf.predict_proba(sparse.csc_matrix(X)), clf.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def test_float32_is_learned_as_float64(container, data):
    X, Y = data
    X = X.astype(np.float32)
    np.testing.assert_allclose(learned(container(X), Y), learned(container(X.astype(float)), Y), atol=1e-5)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_read_only_memory_map_is_learned_as_the_array(order, data, plain, tmp_path):
    X, Y = data
    for name, values in {"X": X, "Y": Y}.items():
        np.save(tmp_path / f"{name}.npy", np.asarray(values, order=order))
    mapped_X, mapped_Y = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "XY")
    assert isinstance(mapped_X, np.memmap)
    np.testing.assert_array_equal(learned(mapped_X, mapped_Y), plain())
