"""Scaling of the input of the default network by weighted statistics of the training rows."""

import copy

import numpy as np
from scipy import sparse
from sklearn.preprocessing import StandardScaler

from skml._default_network._relevance import sparse_relevance
from skml._targets._matrix import row_blocks, to_dense

# Added to the variance of a column of range 1. It limits the scale of columns in which few values differ.
_DAMPING = 1e-3

# Largest error of rounding a column's mean, in standard deviations of the column.
_ROUNDING = 1e-3

# Root mean square norm of sparse rows after scaling. With a norm of 1, as in tf-idf, training is too slow.
_SPARSE_NORM = 8.0

# In bulk, X is scaled by the kernel if all scales but 0 are in this range; others may leave the range of float32.
_SAFE_SCALES = 2.0**-60, 2.0**60


def new_scaler(params, dataset, rows, power):
    """Return a new scaler for a dataset; None for a custom network and for ``scale=None``.

    Parameters
    ----------
    params : dict
        Parameters of the estimator; ``model`` and ``scale`` are used.
    dataset : Dataset
    rows : ndarray of int
        Training rows, from which the weights of sparse columns are found.
    power : float
        Exponent of the relevance of sparse columns in their weights.
    """
    if params["model"] is not None or params["scale"] is None:
        return None
    if not sparse.issparse(dataset.X):
        return DenseScaler()
    if params["scale"] != "auto":
        return SparseScaler()
    weight = np.ones(len(rows)) if dataset.loss_weight is None else dataset.loss_weight[rows]
    relevance = sparse_relevance(dataset.X[rows], dataset.Y[rows], weight, dataset.effective_rows(rows))
    return SparseScaler(relevance, power)


def updated_scaler(scaler, dataset, rows):
    """Return a copy of a scaler whose statistics include some rows of a dataset; None for None."""
    scaler = copy.deepcopy(scaler)
    if scaler is not None:
        scaler.update(dataset.X, rows, dataset.loss_weight)
    return scaler


class DenseScaler:
    """Standardises columns: ``(x - shift) * scale``.

    A thousandth of the squared range of the column is added to its variance, so that the scale of a column in which
    few values differ is not too large. The result does not depend on the unit of a column. A constant column becomes 0.
    """

    def __init__(self):
        self._statistics = StandardScaler()
        self._lowest, self._highest = np.inf, -np.inf

    def update(self, X, rows, weight=None):
        """Update the statistics with some rows of X.

        Parameters
        ----------
        X : ndarray or CSR of shape (n_samples, n_features)
        rows : ndarray of int
        weight : ndarray of shape (n_samples,), default=None
        """
        for chunk in row_blocks(len(rows), X.shape[1], X.dtype.itemsize):
            part = to_dense(X[rows[chunk]])
            self._statistics.partial_fit(part, sample_weight=None if weight is None else weight[rows[chunk]])
            # fmin and fmax ignore missing values.
            self._lowest = np.fmin(self._lowest, np.fmin.reduce(part, axis=0).astype(np.float64))
            self._highest = np.fmax(self._highest, np.fmax.reduce(part, axis=0).astype(np.float64))

    @property
    def shift(self):
        """Subtracted from each column, shape (n_features,), float64.

        The values are rounded to float32 where that is accurate enough, so that both dtypes subtract the same.
        """
        rounded = self._statistics.mean_.astype(np.float32).astype(np.float64)
        is_close = np.abs(self._statistics.mean_ - rounded) * self.scale <= _ROUNDING
        return np.where(is_close, rounded, self._statistics.mean_)

    @property
    def scale(self):
        """Factor of each column after the shift, shape (n_features,), float64."""
        spread = self._highest - self._lowest
        # The mean and variance of a constant column have rounding errors, and the variance may be negative.
        varies = spread > 0
        variance = np.maximum(self._statistics.var_, 0) + _DAMPING * spread**2
        return np.where(varies, 1 / np.sqrt(np.where(varies, variance, 1)), 0)


class SparseScaler:
    """Divides columns by their largest absolute value if that is above 1, then multiplies all by a common factor.

    The factor makes the root mean square norm of the rows 8. Zeros remain zeros.

    Parameters
    ----------
    relevance : ndarray of shape (n_features,), default=None
        Relevance of the columns to the labels. None gives them equal weights.
    power : float, default=1.0
        Its exponent in the weights of the columns.
    """

    shift = None

    def __init__(self, relevance=None, power=1.0):
        self.relevance = relevance
        self._power = power
        self._largest = self._squares = self._total = 0.0

    def update(self, X, rows, weight=None):
        """Update the statistics with some rows of X.

        Parameters
        ----------
        X : ndarray or CSR of shape (n_samples, n_features)
        rows : ndarray of int
        weight : ndarray of shape (n_samples,), default=None
        """
        part = sparse.csr_array(X[rows])
        weight = np.ones(len(rows)) if weight is None else weight[rows]
        self._largest = np.maximum(self._largest, abs(part).max(axis=0).toarray().ravel())
        part.data = part.data.astype(np.float64) ** 2
        self._squares = self._squares + part.T @ weight
        self._total += weight.sum()

    @property
    def scale(self):
        """Factor of each column, shape (n_features,), float64."""
        by_column = 1 / np.maximum(self._largest, 1.0)
        if self.relevance is not None:
            by_column = by_column * (self.relevance / self.relevance.max(initial=0)) ** self._power
        mean_square = (self._squares * by_column**2).sum() / self._total
        return by_column * (_SPARSE_NORM / np.sqrt(mean_square) if mean_square > 0 else 1.0)


def fits_float32(scale):
    """Return whether float32 can scale X: products with other scales may leave its range."""
    lowest, highest = _SAFE_SCALES
    return not np.any((scale != 0) & ((scale < lowest) | (scale > highest)))


def scaled_input(X, dtype, shift, scale):
    """Return X scaled, in the dtype of the first kernel; for another dtype, SciPy would cast the kernel."""
    if sparse.issparse(X):
        data = X.data.astype(dtype, copy=False)
        return _with_data(X, data if scale is None else data * scale.astype(dtype)[X.indices])
    if scale is not None:
        X = X.astype(np.float64, copy=False)  # float32 may lack the digits for a column far from 0
        X = X * scale if shift is None else np.nan_to_num((X - shift) * scale, copy=False)
    elif shift is not None:  # subtracted in float64 and rounded once, whatever the dtypes
        return np.subtract(X, shift, out=np.empty(X.shape, dtype), casting="same_kind")
    return X.astype(dtype, copy=False)


def _with_data(X, data):
    """Return CSR with other values at the same positions."""
    return sparse.csr_array((data, X.indices, X.indptr), shape=X.shape)
