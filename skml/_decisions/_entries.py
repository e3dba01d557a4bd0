"""Iterate over the entries from which thresholds are found, in blocks of limited memory."""

import itertools
from typing import NamedTuple

import numpy as np
from scipy import sparse

from skml._targets._matrix import row_blocks, to_dense
from skml._targets._weights import check_sample_weight

# Memory that sorting needs per entry, in bytes.
_ENTRY_BYTES = 80


class Entries(NamedTuple):
    """The rows with a positive weight: label matrix `Y` (dense or CSR), probabilities, row weights and groups.

    `group` holds the number of the group of each row. None means that the rows are independent.
    """

    Y: np.ndarray | sparse.csr_array
    proba: np.ndarray
    weight: np.ndarray
    group: np.ndarray | None = None

    def unit_weights(self, weight=None):
        """Return the weight of each independent unit: of each group, or of each row if there are no groups.

        `weight` holds other weights of the rows than their own.
        """
        weight = self.weight if weight is None else weight
        return weight if self.group is None else np.bincount(self.group, weight)

    def sorted_by_group(self):
        """Return the same entries with the rows of each group together."""
        if self.group is None:
            return self
        order = np.argsort(self.group, kind="stable")
        return Entries(self.Y[order], self.proba[order], self.weight[order], self.group[order])

    def by_rows(self, width=0):
        """Yield blocks of rows.

        Parameters
        ----------
        width : int, default=0
            Numbers that the caller needs per row, if this is more than the number of labels. Blocks are smaller then.

        Yields
        ------
        truth : ndarray of bool, shape (n_rows, n_labels)
            Whether an entry is 1.
        observed : ndarray of bool, shape (n_rows, n_labels)
            Whether an entry is not NaN.
        proba : ndarray of float64, shape (n_rows, n_labels)
        weight : ndarray of shape (n_rows,)
        """
        n_samples, n_labels = self.proba.shape
        for rows in row_blocks(n_samples, max(n_labels, width), _ENTRY_BYTES):
            Y = to_dense(self.Y[rows])
            yield Y == 1, Y == Y, as_probabilities(self.proba[rows]), self.weight[rows]  # NaN != NaN

    def by_labels(self):
        """Yield blocks of labels, transposed, with the entries of each label sorted by descending probability.

        Yields
        ------
        labels : slice
        proba : ndarray of shape (n_labels, n_samples)
            -1 for missing labels, which come last.
        weight : ndarray of shape (n_labels, n_samples)
            0 for missing labels.
        truth : ndarray of bool, shape (n_labels, n_samples)
        """
        n_samples, n_labels = self.proba.shape
        columns = sparse.csc_array(self.Y) if sparse.issparse(self.Y) else self.Y
        for labels in row_blocks(n_labels, n_samples, _ENTRY_BYTES):
            Y = to_dense(columns[:, labels]).T
            p = np.where(Y == Y, as_probabilities(self.proba[:, labels].T), -1.0)
            order = np.argsort(-p, axis=1)
            p = np.take_along_axis(p, order, axis=1)
            yield labels, p, np.where(p >= 0, self.weight[order], 0.0), np.take_along_axis(Y == 1, order, axis=1)

    def groups_by_labels(self):
        """Yield the groups of the entries as `by_labels` yields the entries, or None for each block of labels."""
        if self.group is None:
            yield from itertools.repeat(None)
        for _, _, group, _ in self._replace(weight=self.group, group=None).by_labels():
            yield group.astype(np.intp)


def entries_of(Y, proba, sample_weight, group=None):
    """Validate probabilities and weights, and return the `Entries` of all rows with a positive weight."""
    proba = np.asarray(proba)
    if proba.shape != Y.shape:
        raise ValueError(f"proba must have the same shape as Y, {Y.shape}; got {proba.shape}.")
    if np.isnan(proba).any():
        raise ValueError("proba contains NaN. It must hold a probability in [0, 1] for each entry of Y.")
    if sample_weight is None:
        return Entries(Y, proba, np.ones(len(proba)), group)
    weight = check_sample_weight(sample_weight, proba)
    kept = weight > 0
    if kept.all():
        return Entries(Y, proba, weight, group)
    return Entries(Y[kept], proba[kept], weight[kept], None if group is None else group[kept])


def as_probabilities(p):
    """Return a C-ordered float64 copy, clipped to [0, 1]: sums in float32 can exceed 1 slightly."""
    return np.clip(np.ascontiguousarray(p, dtype=np.float64), 0, 1)


def prefix_sums(weight):
    """Return, for each row, the sums of its first 0, 1, ..., n values."""
    sums = np.zeros((weight.shape[0], weight.shape[1] + 1))
    np.cumsum(weight, axis=1, out=sums[:, 1:])
    return sums
