"""Dense columns cut into bins at quantiles, and sums of the labels in each bin."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from skml._targets._matrix import known_entries, missing_entries, row_blocks, to_dense

# Bins of a column begin at this number of quantiles and at the smallest value. Thresholds are found between bins.
N_QUANTILES = 64
N_BINS = N_QUANTILES + 1

# The bin of missing values comes after the others.
MISSING = N_BINS

# Values are clipped to this size, so that differences are finite.
LARGEST = 1e150

# Relative difference of values that are the same but for errors of rounding.
_ROUNDING = 1e-15

# Narrower bins, relative to the interquartile range and to their position, would need float64.
_NARROW = 1e-3

# Of many labels, those with the largest variance are summed.
_MAX_LABELS = 64

# Added to the standard deviation of labels, so that very rare ones do not decide.
_DAMPING = 1e-3

# Columns that are summed at a time have at most this number of sums.
_MAX_SUMS = 2**22


@dataclass(frozen=True)
class ColumnBins:
    """Bins of columns.

    Parameters
    ----------
    edges : list of ndarray
        For each column the smallest value of each of its bins, increasing; the last one is the largest value.
    quartiles : ndarray of shape (3, n_features)
    eighths : list of ndarray
        For each column the increasing edges of up to 8 bins with about as many rows each, a subset of `edges`.
    codes : ndarray of uint8, shape (n_rows, n_features)
        The bin of each value; ``MISSING`` for NaN.
    """

    edges: list
    quartiles: np.ndarray
    eighths: list
    codes: np.ndarray

    @property
    def has_missing(self):
        """For each column, whether it has a missing value."""
        return (self.codes == MISSING).any(axis=0)


def bin_columns(X, weight):
    """Return the `ColumnBins` of rows with weights."""
    n_rows, n_features = X.shape
    codes = np.empty((n_rows, n_features), np.uint8)
    edges, eighths, quartiles = [], [], np.zeros((3, n_features))
    for j in range(n_features):
        x = np.clip(X[:, j].astype(np.float64), -LARGEST, LARGEST)
        quantiles = _quantiles(x, weight)
        edges.append(distinct(quantiles))
        eighths.append(distinct(quantiles[:: N_QUANTILES // 8]))
        quartiles[:, j] = quantiles[[N_QUANTILES // 4, N_QUANTILES // 2, 3 * N_QUANTILES // 4]]
        codes[:, j] = np.where(np.isnan(x), MISSING, np.searchsorted(edges[j][1:], x, side="right"))
    return ColumnBins(edges, quartiles, eighths, codes)


def one_hot_groups(bins):
    """Return the columns of each category that is one-hot encoded, in at least three columns.

    They are neighbours with two values each, and each row has the larger value in exactly one of them. Constant columns
    between them, such as those of categories that do not occur, are left out.

    Parameters
    ----------
    bins : ColumnBins

    Returns
    -------
    list of ndarray of int
    """
    groups, start, count = [], 0, np.zeros(len(bins.codes), np.int16)
    for j, (edges, has_missing) in enumerate(zip(bins.edges, bins.has_missing, strict=True)):
        if len(edges) > 2 or has_missing:
            start, count[:] = j + 1, 0
            continue
        count += bins.codes[:, j]
        while count.max() > 1:  # the first columns exclude none of these rows
            count -= bins.codes[:, start]
            start += 1
        if count.min() == 1:
            columns = np.array([k for k in range(start, j + 1) if len(bins.edges[k]) == 2])
            groups += [columns] if len(columns) > 2 else []
            start, count[:] = j + 1, 0
    return groups


def distinct(values, spread=0.0):
    """Return increasing values without those that hardly differ from the preceding one.

    Those that differ by errors of rounding are left out, and with the interquartile range as `spread` also those
    between which a bin would be narrow.
    """
    values = np.unique(values)
    size = np.maximum(np.abs(values[1:]), np.abs(values[:-1]))
    is_far = np.diff(values) > np.maximum(_ROUNDING * size, _NARROW * np.minimum(size, spread))
    return values[np.concatenate([[True], is_far])]


def _quantiles(x, weight):
    """Return the quantiles at ``N_QUANTILES`` equal steps: values of x that a repeated row moves as its weight does."""
    order = np.argsort(x, kind="stable")
    order = order[: len(x) - np.isnan(x).sum()]
    if not len(order):
        return np.zeros(N_QUANTILES + 1)
    total = np.cumsum(weight[order])
    # A rounding error must not move a quantile to the next value.
    steps = np.linspace(0, 1, N_QUANTILES + 1) * total[-1] * (1 - 1e-9)
    return x[order][np.searchsorted(total, steps)]


@dataclass(frozen=True)
class BinSums:
    """Sums over the rows in each bin.

    Parameters
    ----------
    weight : ndarray of shape (n_features, N_BINS + 1)
    target : ndarray of shape (n_features, N_BINS + 1, n_targets)
        Sums of the labels.
    square : ndarray of shape (n_targets,)
        Sums of the squares of the labels over all rows.
    """

    weight: np.ndarray
    target: np.ndarray
    square: np.ndarray

    def __add__(self, other):
        return BinSums(self.weight + other.weight, self.target + other.target, self.square + other.square)

    def standardised(self, reference):
        """Return the sums of labels that have mean 0 and variance 1 in the rows of other sums."""
        total = reference.weight[0].sum()
        mean = reference.target[0].sum(axis=0) / total
        deviation = np.sqrt(np.maximum(reference.square / total - mean**2, 0)) + _DAMPING
        target = (self.target - mean * self.weight[..., None]) / deviation
        square = self.square - 2 * mean * self.target[0].sum(axis=0) + mean**2 * self.weight[0].sum()
        return BinSums(self.weight, target, square / deviation**2)


def sums_of_groups(codes, targets, weight, group, n_groups):
    """Return the `BinSums` of each group of rows, for some columns of codes."""
    n_rows, n_features = codes.shape
    n_bins = N_BINS + 1
    columns = codes + n_bins * np.arange(n_features) + (n_bins * n_features) * group[:, None]
    starts = np.arange(0, n_rows * n_features + 1, n_features)
    shape = (n_rows, n_groups * n_features * n_bins)
    in_bin = sparse.csr_array((np.repeat(weight, n_features), columns.ravel(), starts), shape=shape)
    target = (in_bin.T @ targets).reshape(n_groups, n_features, n_bins, -1)
    weights = np.bincount(columns.ravel(), in_bin.data, shape[1]).reshape(n_groups, n_features, n_bins)
    squares = [(weight * (group == g)) @ targets**2 for g in range(n_groups)]
    return [BinSums(*parts) for parts in zip(weights, target, squares, strict=True)]


def column_blocks(n_rows, n_features, n_targets, n_groups):
    """Return slices of columns whose sums are computed at a time; there is an index for each of their values."""
    size = max(1, _MAX_SUMS // max(n_rows, n_groups * (N_BINS + 1) * n_targets))
    return [slice(start, start + size) for start in range(0, n_features, size)]


def labels_of_rows(Y, rows, weight):
    """Return the labels of some rows as floats; missing ones have the mean of their label. Of many, the most balanced.

    Parameters
    ----------
    Y : ndarray or csr_array of shape (n_samples, n_outputs)
    rows : ndarray of int
    weight : ndarray of shape (n_rows,)
    """
    Y, share = Y[rows], weight / weight.sum()
    if Y.shape[1] > _MAX_LABELS:
        mean = share @ known_entries(Y)
        Y = Y[:, np.sort(np.argsort(np.abs(mean - 0.5), kind="stable")[:_MAX_LABELS])]
    return with_means(Y, share)


def with_means(Y, share):
    """Return labels as an array of floats; missing ones have the mean of their label, by the shares of rows."""
    labels = to_dense(Y).astype(np.float64)
    if Y.dtype.kind != "f":
        return labels
    missing = to_dense(missing_entries(labels))
    labels[missing] = 0
    observed = np.maximum(share @ ~missing, np.finfo(np.float64).tiny)
    return np.where(missing, share @ labels / observed, labels)


def halves(codes):
    """Return for each row one of two halves; equal rows are in the same one, whatever the units of the columns."""
    factors = np.random.RandomState(0).randint(2**62, size=codes.shape[1]).astype(np.uint64) * np.uint64(2) + np.uint64(
        1
    )
    blocks = row_blocks(*codes.shape)
    mixed = np.concatenate([codes[block].astype(np.uint64) @ factors for block in blocks])
    mixed ^= mixed >> np.uint64(31)
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    return ((mixed >> np.uint64(40)) & np.uint64(1)).astype(int)
