"""The largest values of each row, found without sorting all of them."""

from numbers import Integral

import numpy as np


def top_columns(values, k):
    """Return the columns of the `k` largest values of each row, the largest first.

    Equal values keep the order of the columns, and NaN come last, as in a stable sort of all values. That would take
    several times as long for thousands of columns.

    Parameters
    ----------
    values : ndarray of float, shape (n_rows, n_columns)
    k : int
        Between 0 and n_columns.

    Returns
    -------
    columns : ndarray of int, shape (n_rows, k)

    Examples
    --------
    >>> top_columns(np.array([[0.2, 0.9, 0.2, 0.5]]), 3)
    array([[1, 3, 0]])
    """
    n_rows, n_columns = values.shape
    if not 0 < k < n_columns:
        return _sorted_columns(values)[:, :k]
    least = -np.partition(-values, k - 1, axis=1)[:, k - 1, None]
    if np.isnan(least).any():  # fewer than k values of a row are numbers
        return _sorted_columns(values)[:, :k]
    chosen = values >= least
    (tied,) = np.nonzero(chosen.sum(axis=1) > k)
    if tied.size:  # some of the values that equal the least one are too many
        equal = values[tied] == least[tied]
        n_left = k - (values[tied] > least[tied]).sum(axis=1, keepdims=True)
        chosen[tied] &= ~equal | (np.cumsum(equal, axis=1) <= n_left)
    columns = np.nonzero(chosen)[1].reshape(n_rows, k)
    order = _sorted_columns(np.take_along_axis(values, columns, axis=1))
    return np.take_along_axis(columns, order, axis=1)


def _sorted_columns(values):
    return np.argsort(-values, axis=1, kind="stable")


def top_labels(blocks, classes, k):
    """Return the `k` most probable labels of each row and their probabilities, the most probable first.

    Parameters
    ----------
    blocks : iterable of ndarray of shape (n_rows, n_labels)
        Probabilities of blocks of rows in turn. Memory is needed for one block and for the result.
    classes : ndarray of shape (n_labels,)
    k : int

    Returns
    -------
    labels : ndarray of shape (n_samples, k)
        In the dtype of `classes`. Labels with equal probabilities keep the order of `classes`.
    proba : ndarray of shape (n_samples, k)

    Raises
    ------
    ValueError
        If `k` is not an integer from 1 to the number of labels.
    """
    if isinstance(k, bool) or not isinstance(k, Integral) or not 1 <= k <= len(classes):
        raise ValueError(f"k must be an integer from 1 to {len(classes)}, the number of labels; got {k!r}.")
    parts = []
    for proba in blocks:
        columns = top_columns(proba, k)
        parts.append((columns, np.take_along_axis(proba, columns, axis=1)))
    columns, proba = (np.concatenate(part) for part in zip(*parts, strict=True))
    return classes[columns], proba
