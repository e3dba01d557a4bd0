import numpy as np
import pytest
from scipy import sparse
from sklearn.preprocessing import StandardScaler

from estimators import tiny
from skml._default_network._scaling import DenseScaler, SparseScaler

ALL = np.arange(80)


@pytest.fixture
def sparse_X(X):
    """Columns on scales from 0.1 to 1,000, half of the entries zero."""
    return sparse.csr_array(np.where(X > 0, X, 0) * [0.1, 1, 10, 100, 1000])


def scaled(scaler, X):
    return (X.toarray() if sparse.issparse(X) else X - scaler.shift) * scaler.scale


def test_dense_columns_are_standardised(X):
    X = X * [0.5, 1, 10, 100, 1000] + 7
    scaler = DenseScaler()
    scaler.update(X, ALL)
    np.testing.assert_allclose(scaled(scaler, X), StandardScaler().fit_transform(X), rtol=0.03)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_columns_of_few_values_that_differ_are_damped_in_any_unit(unit):
    X = np.zeros((1000, 1))
    X[0] = unit
    scaler = DenseScaler()
    scaler.update(X, np.arange(1000))
    np.testing.assert_allclose(scaled(scaler, X).max(), 0.999 / np.sqrt(0.001 * 0.999 + 0.001))


@pytest.mark.parametrize("weight", [None, np.random.RandomState(0).rand(80)])
def test_constant_columns_are_zero_whatever_rounding_leaves_of_them(weight, X):
    X = np.column_stack([np.full((80, 3), 0.1), X])
    scaler = DenseScaler()
    for _ in range(5):
        scaler.update(X, ALL, weight)
    assert scaler.scale[:3].tolist() == [0, 0, 0]
    assert (scaler.scale[3:] < 3).all()


def test_a_column_counts_the_same_in_any_unit(X, Y):
    units = np.array([1e-4, 1, 1, 1e4, 1])
    one = tiny(n_members=2).fit(X, Y).predict_proba(X)
    other = tiny(n_members=2).fit(X * units, Y).predict_proba(X * units)
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_sparse_columns_are_divided_by_their_maximum_and_rows_have_norm_8(sparse_X):
    scaler = SparseScaler()
    scaler.update(sparse_X, ALL)
    dense = sparse_X.toarray()
    by_hand = dense / np.maximum(dense.max(axis=0), 1)
    by_hand *= 8 / np.sqrt((by_hand**2).sum(axis=1).mean())
    np.testing.assert_allclose(scaled(scaler, sparse_X), by_hand)
    assert scaler.shift is None


def test_sparse_rows_of_nothing_are_left_as_they_are():
    scaler = SparseScaler()
    scaler.update(sparse.csr_array((80, 5)), ALL)
    assert scaler.scale.tolist() == [1] * 5


@pytest.mark.parametrize("kind", [DenseScaler, SparseScaler])
def test_weights_are_repeats_and_parts_are_the_whole(kind, X, sparse_X):
    X = X if kind is DenseScaler else sparse_X
    weight = np.tile([0.0, 1.0, 2.0, 1.0], 20)
    rows = np.flatnonzero(weight)
    weighted, repeated, in_parts = kind(), kind(), kind()
    weighted.update(X, rows, weight)
    repeated.update(X, np.repeat(ALL, weight.astype(int)))
    for part in (rows[:20], rows[20:]):
        in_parts.update(X, part, weight)
    for other in (repeated, in_parts):
        np.testing.assert_allclose(other.scale, weighted.scale)
        if kind is DenseScaler:
            np.testing.assert_allclose(other.shift, weighted.shift, atol=1e-12)


def test_the_scale_of_columns_does_not_change_the_model(X, Y):
    one = tiny(n_members=2).fit(X, Y)
    other = tiny(n_members=2).fit(X * 1000 + 500, Y)
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X * 1000 + 500), atol=0.01)
    unscaled = tiny(scale=None, n_members=2).fit(X * 1000 + 500, Y)
    assert np.abs(unscaled.predict_proba(X * 1000 + 500) - one.predict_proba(X)).max() > 0.1


def test_partial_fit_takes_the_statistics_of_all_calls(X, Y):
    clf = tiny(n_members=2)
    for rows in (slice(0, 30), slice(30, 80)):
        clf.partial_fit(X[rows], Y[rows])
    np.testing.assert_allclose(clf.trained_network().shift, X.mean(axis=0), rtol=1e-4)
