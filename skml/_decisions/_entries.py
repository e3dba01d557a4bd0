"""The entries from which thresholds are found, block by block."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from skml._targets._matrix import row_blocks, to_dense
from skml._targets._weights import check_sample_weight

# Memory of one entry while it is sorted.
_ENTRY_BYTES = 80


class Entries(NamedTuple):
    """Rows that count: `Y` (dense or CSR), probabilities, and the weight of each row."""

    Y: np.ndarray | sparse.csr_array
    proba: np.ndarray
    weight: np.ndarray

    def by_rows(self, width=0):
        """Yield blocks of rows: what is true, what is known, probabilities (float64) and weights.

        The work on a row may need `width` numbers in place of one for each label.
        """
        n_samples, n_labels = self.proba.shape
        for rows in row_blocks(n_samples, max(n_labels, width), _ENTRY_BYTES):
            Y = to_dense(self.Y[rows])
            yield Y == 1, Y == Y, as_probabilities(self.proba[rows]), self.weight[rows]  # NaN is not itself

    def by_labels(self):
        """Yield blocks of labels, a label to a row, the most probable entries first.

        A block is the slice of labels, probabilities (-1 where the entry is unknown), weights (then 0)
        and what is true, each of shape (n_labels, n_samples).
        """
        n_samples, n_labels = self.proba.shape
        columns = sparse.csc_array(self.Y) if sparse.issparse(self.Y) else self.Y
        for labels in row_blocks(n_labels, n_samples, _ENTRY_BYTES):
            Y = to_dense(columns[:, labels]).T
            p = np.where(Y == Y, as_probabilities(self.proba[:, labels].T), -1.0)
            order = np.argsort(-p, axis=1)
            p = np.take_along_axis(p, order, axis=1)
            yield labels, p, np.where(p >= 0, self.weight[order], 0.0), np.take_along_axis(Y == 1, order, axis=1)


def entries_of(Y, proba, sample_weight):
    """Return the `Entries` of rows with a weight, checked."""
    proba = np.asarray(proba)
    if proba.shape != Y.shape:
        raise ValueError(f"proba must have the shape of Y, {Y.shape}; got {proba.shape}.")
    if np.isnan(proba).any():
        raise ValueError("proba contains NaN.")
    if sample_weight is None:
        return Entries(Y, proba, np.ones(len(proba)))
    weight = check_sample_weight(sample_weight, proba)
    kept = weight > 0
    return Entries(Y, proba, weight) if kept.all() else Entries(Y[kept], proba[kept], weight[kept])


def as_probabilities(p):
    """Return a copy in float64 and C order, in [0, 1], which float32 sums may leave."""
    return np.clip(np.ascontiguousarray(p, dtype=np.float64), 0, 1)


def prefix_sums(weight):
    """Return the weight of the first 0, 1, ..., n entries of each row."""
    sums = np.zeros((weight.shape[0], weight.shape[1] + 1))
    np.cumsum(weight, axis=1, out=sums[:, 1:])
    return sums
