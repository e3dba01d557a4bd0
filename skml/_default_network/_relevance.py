"""The relevance of columns: how much of a label's variance a column alone explains."""

import numpy as np

from skml._default_network._column_bins import MISSING, with_means

# A column that explains nothing alone may act together with others, and few rows cannot tell.
_SMALLEST, _ROWS_OF_SMALLEST = 1e-3, 0.5

# Leaves of the trees that estimate the relevance, and the smallest share of the rows in a leaf.
_LEAVES, _SMALLEST_LEAF = 8, 0.02

# Added to the relevance of sparse columns, of which most explain nothing alone.
_SPARSE_BASE = 1e-2

# Sums of sparse columns and labels that are computed at a time.
_MAX_SPARSE_SUMS = 2**20

_TINY = np.finfo(np.float64).tiny


def dense_relevance(one, other, n_rows):
    """Return the relevance of columns: a small tree on the column, grown on half of the rows, is judged on the others.

    Parameters
    ----------
    one, other : BinSums
        Of the two halves.
    n_rows : float
        Number of rows of both.

    Returns
    -------
    ndarray of shape (n_features,)
        The largest explained share of a label's variance, the mean of both directions, at least 0.001 and
        at least 1 / (2 n_rows).
    """
    explained = _explained(one, other) + _explained(other, one)
    return np.maximum(explained.max(axis=1, initial=0) / 2, max(_SMALLEST, _ROWS_OF_SMALLEST / n_rows))


def _explained(grown, judged):
    """Return the share of variance that trees explain on other rows, shape (n_features, n_targets)."""
    leaf = np.cumsum(split_bins(grown, _LEAVES, _SMALLEST_LEAF), axis=1)
    leaf = np.column_stack([np.zeros(len(leaf), int), leaf, np.full(len(leaf), _LEAVES)])  # missing values last
    mean = _mean(grown)
    gain = np.zeros((len(leaf), grown.target.shape[-1]))
    for k in range(_LEAVES + 1):
        gain += _gain(grown, judged, leaf == k, mean)
    return gain / _variance(judged, mean)


def level_shares(one, other):
    """Return the share of each label's variance that the mean label in the second bin of a column explains.

    Of the columns of a one-hot encoded category these shares add up to that of the means of all its levels.

    Parameters
    ----------
    one, other : BinSums
        Of the two halves of the rows. The mean in one is judged on the other.

    Returns
    -------
    ndarray of shape (n_features, n_targets)
    """
    shares, second = 0.0, np.arange(MISSING + 1)[None] == 1
    for grown, judged in ((one, other), (other, one)):
        mean = _mean(grown)
        shares = shares + _gain(grown, judged, second, mean) / _variance(judged, mean) / 2
    return shares


def joint_relevance(relevance, shares, groups):
    """Return relevance in which a column of a one-hot encoded category is supported by the other columns.

    A column of a rare level tells little alone. Its relevance becomes the geometric mean of its own, with weight 2/3,
    and of that of the category: with more weight, levels that matter alone would lose.

    Parameters
    ----------
    relevance : ndarray of shape (n_members, n_features)
    shares : ndarray of shape (n_members, n_groups, n_targets)
        The sums of the `level_shares` of the columns of each category.
    groups : list of ndarray of int
        The columns of each category.
    """
    relevance = relevance.copy()
    for columns, joint in zip(groups, shares.max(axis=2, initial=0).T, strict=True):
        own = relevance[:, columns]
        relevance[:, columns] = np.cbrt(own**2 * np.maximum(joint, own.min(axis=1))[:, None])
    return relevance


def _mean(sums):
    """Return the mean labels over all bins, shape (n_features, n_targets)."""
    return sums.target.sum(axis=1) / np.maximum(sums.weight.sum(axis=1), _TINY)[:, None]


def _gain(grown, judged, inside, mean):
    """Return by how much the mean label in some bins lowers the sum of squares of other rows in these bins."""
    weight, total = _inside(grown, inside)
    step = np.where(weight > 0, total / np.maximum(weight, _TINY), mean) - mean
    weight, total = _inside(judged, inside)
    return 2 * step * (total - mean * weight) - step**2 * weight


def _variance(judged, mean):
    weight, total = judged.weight.sum(axis=1)[:, None], judged.target.sum(axis=1)
    return np.maximum(judged.square - 2 * mean * total + mean**2 * weight, _TINY)


def _inside(sums, inside):
    inside = np.broadcast_to(inside, sums.weight.shape)
    return (sums.weight * inside).sum(axis=1)[:, None], np.einsum("jb,jbl->jl", inside, sums.target)


def split_bins(sums, n_leaves, smallest_leaf):
    """Return between which bins of each column a regression tree on that column alone splits.

    The tree is grown best first (Breiman et al., 1984) on all labels together.

    Parameters
    ----------
    sums : BinSums
    n_leaves : int
    smallest_leaf : float
        Smallest share of the weight in a leaf.

    Returns
    -------
    ndarray of bool, shape (n_features, N_BINS - 1)
        Whether there is a split before bins 1, 2, ...
    """
    weight = _cumulated(sums.weight[:, :MISSING])
    target = _cumulated(sums.target[:, :MISSING])
    columns, n_splits = np.arange(len(weight)), MISSING - 1
    at = np.arange(1, MISSING)
    low, high = np.zeros((len(weight), n_splits), int), np.full((len(weight), n_splits), MISSING)
    chosen = np.zeros((len(weight), n_splits), bool)
    smallest = np.maximum(smallest_leaf * weight[:, -1:], _TINY)
    for _ in range(n_leaves - 1):
        gain = _gains(weight, target, low, at, high, smallest, columns)
        best = gain.argmax(axis=1)
        splits = gain[columns, best] > 0
        if not splits.any():
            break
        chosen[columns[splits], best[splits]] = True
        in_leaf = (low == low[columns, best][:, None]) & splits[:, None] & (high == high[columns, best][:, None])
        edge = at[best][:, None]
        low, high = np.where(in_leaf & (at >= edge), edge, low), np.where(in_leaf & (at <= edge), edge, high)
    return chosen


def _cumulated(sums):
    return np.concatenate([np.zeros_like(sums[:, :1]), np.cumsum(sums, axis=1)], axis=1)


def _gains(weight, target, low, at, high, smallest, columns):
    """Return by how much a split lowers the sum of squares of its leaf; -1 where it is not allowed."""
    rows = columns[:, None]
    left, right = weight[:, at] - weight[rows, low], weight[rows, high] - weight[:, at]
    allowed = (left >= smallest) & (right >= smallest)
    left, right = np.maximum(left, _TINY), np.maximum(right, _TINY)
    of_left, of_right = target[:, at] - target[rows, low], target[rows, high] - target[:, at]
    difference = of_left / left[..., None] - of_right / right[..., None]
    gain = np.square(difference, out=difference).sum(axis=-1) * left * right / (left + right)
    return np.where(allowed, gain, -1.0)


def sparse_relevance(X, Y, weight, n_rows):
    """Return the relevance of sparse columns: the squared correlation (phi^2) of having a value with having a label.

    Parameters
    ----------
    X : CSR of shape (n_samples, n_features)
    Y : ndarray or csr_array of shape (n_samples, n_outputs)
        Missing labels, NaN, count as the mean of the label.
    weight : ndarray of shape (n_samples,)
    n_rows : float
        Effective number of rows.

    Returns
    -------
    ndarray of shape (n_features,)
        The largest one over the labels, less what the best of as many labels has by chance, plus 0.01.
    """
    has_value = X.copy()
    has_value.sum_duplicates()
    has_value.data = (has_value.data != 0).astype(np.float64)
    share = weight / weight.sum()
    columns = has_value.T @ share
    squares, size = np.zeros(X.shape[1]), max(1, _MAX_SPARSE_SUMS // X.shape[1])
    for start in range(0, Y.shape[1], size):
        labels = with_means(Y[:, start : start + size], share)
        mean = share @ labels
        labels, mean = labels[:, (mean > 0) & (mean < 1)], mean[(mean > 0) & (mean < 1)]
        covariance = has_value.T @ (labels * share[:, None]) - np.outer(columns, mean)
        of_labels = (covariance**2 / (mean * (1 - mean))).max(axis=1, initial=0)
        squares = np.maximum(squares, of_labels / np.maximum(columns * (1 - columns), _TINY))
    by_chance = 2 * np.log(max(Y.shape[1], 2)) / n_rows
    return np.maximum(squares - by_chance, 0) + _SPARSE_BASE
