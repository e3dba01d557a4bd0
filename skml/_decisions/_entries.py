"""Iterate over the entries from which thresholds are found, in blocks of limited memory."""

import itertools
from typing import NamedTuple

import numpy as np
from scipy import sparse

from skml._decisions._rule import DecisionRule
from skml._targets._hierarchy import Hierarchy
from skml._targets._matrix import row_blocks, to_dense
from skml._targets._weights import joined_weights, split_weights

# Memory that sorting needs per entry, in bytes.
_ENTRY_BYTES = 80


class Entries(NamedTuple):
    """The rows with a positive weight: label matrix `Y` (dense or CSR), probabilities, weights, groups and a hierarchy.

    `group` holds the number of the group of each row. None means that the rows are independent.

    `weight` has the shape (n_samples,); `label_weight`, if it is not None, the shape (n_samples, n_labels) and is
    relative to it. A score of rows uses the weights of rows; any other the weights of entries, the products of both.
    """

    Y: np.ndarray | sparse.csr_array
    proba: np.ndarray
    weight: np.ndarray
    group: np.ndarray | None = None
    label_weight: np.ndarray | None = None
    hierarchy: Hierarchy | None = None

    def unit_weights(self, weight=None):
        """Return the weight of each independent unit: of each group, or of each row if there are no groups.

        `weight` holds other weights of the rows than their own.
        """
        weight = self.weight if weight is None else weight
        return weight if self.group is None else np.bincount(self.group, weight)

    def heaviest_unit(self):
        """Return the greatest weight of a unit with one entry in each row: the heaviest of the row."""
        weight = self.entry_weight
        return self.unit_weights(weight if weight.ndim == 1 else weight.max(axis=1)).max()

    def sorted_by_group(self):
        """Return the same entries with the rows of each group together."""
        return self if self.group is None else self.of_rows(np.argsort(self.group, kind="stable"))

    def of_rows(self, rows):
        """Return the entries of some rows."""
        by_row = ("Y", "proba", "weight", "group", "label_weight")
        parts = {name: getattr(self, name) for name in by_row}
        return self._replace(**{name: part[rows] for name, part in parts.items() if part is not None})

    @property
    def entry_weight(self):
        """Weights of the entries, shape (n_samples, n_labels), or (n_samples,) if they are those of the rows."""
        return joined_weights(self.weight, self.label_weight)

    def of_labels(self, labels):
        """Return the entries of some labels, a mask, without the hierarchy."""
        label_weight = None if self.label_weight is None else self.label_weight[:, labels]
        return self._replace(
            Y=self.Y[:, labels], proba=self.proba[:, labels], label_weight=label_weight, hierarchy=None
        )

    def rule(self, threshold, **limits):
        """Return the decision rule of a threshold, coherent with the hierarchy."""
        return DecisionRule(threshold, **limits, hierarchy=self.hierarchy)

    def by_rows(self, width=0, by_entry=False):
        """Yield blocks of rows.

        Parameters
        ----------
        width : int, default=0
            Numbers that the caller needs per row, if this is more than the number of labels. Blocks are smaller then.
        by_entry : bool, default=False
            Whether to yield the weights of entries, as in `entry_weight`.

        Yields
        ------
        truth : ndarray of bool, shape (n_rows, n_labels)
            Whether an entry is 1.
        observed : ndarray of bool, shape (n_rows, n_labels)
            Whether an entry is not NaN.
        proba : ndarray of float64, shape (n_rows, n_labels)
        weight : ndarray of shape (n_rows,), or (n_rows, n_labels)
        """
        weight = self.entry_weight if by_entry else self.weight
        for rows in self.blocks(width):
            Y = to_dense(self.Y[rows])
            yield Y == 1, Y == Y, as_probabilities(self.proba[rows]), weight[rows]  # NaN != NaN

    def blocks(self, width=0):
        """Return the blocks of `by_rows` as slices."""
        n_samples, n_labels = self.proba.shape
        return row_blocks(n_samples, max(n_labels, width), _ENTRY_BYTES)

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
            weight = self.weight[order]
            if self.label_weight is not None:
                weight = weight * np.take_along_axis(self.label_weight[:, labels].T, order, axis=1)
            yield labels, p, np.where(p >= 0, weight, 0.0), np.take_along_axis(Y == 1, order, axis=1)

    def groups_by_labels(self):
        """Yield the groups of the entries as `by_labels` yields the entries, or None for each block of labels."""
        if self.group is None:
            yield from itertools.repeat(None)
        for _, _, group, _ in self._replace(weight=self.group, group=None, label_weight=None).by_labels():
            yield group.astype(np.intp)


def entries_of(Y, proba, sample_weight, group=None, hierarchy=None):
    """Validate probabilities and weights, and return the `Entries` of all rows with a positive weight.

    Weights of shape (n_samples, n_labels) are those of single entries; an entry of weight 0 is a missing label.
    """
    proba = np.asarray(proba)
    if proba.shape != Y.shape:
        raise ValueError(f"proba must have the same shape as Y, {Y.shape}; got {proba.shape}.")
    if np.isnan(proba).any():
        raise ValueError("proba contains NaN. It must hold a probability in [0, 1] for each entry of Y.")
    if sample_weight is None:
        return Entries(Y, proba, np.ones(len(proba)), group, hierarchy=hierarchy)
    Y, weight, label_weight = split_weights(sample_weight, Y)
    entries = Entries(Y, proba, weight, group, label_weight, hierarchy)
    kept = weight > 0
    return entries if kept.all() else entries.of_rows(kept)


def as_probabilities(p):
    """Return a C-ordered float64 copy, clipped to [0, 1]: sums in float32 can exceed 1 slightly."""
    return np.clip(np.ascontiguousarray(p, dtype=np.float64), 0, 1)


def weighted_sums(weight, entries):
    """Return the sum of each column, weighted by weights of rows or of entries, shape (n_columns,)."""
    return weight @ entries if weight.ndim == 1 else (weight * entries).sum(axis=0)


def prefix_sums(weight):
    """Return, for each row, the sums of its first 0, 1, ..., n values."""
    sums = np.zeros((weight.shape[0], weight.shape[1] + 1))
    np.cumsum(weight, axis=1, out=sums[:, 1:])
    return sums
