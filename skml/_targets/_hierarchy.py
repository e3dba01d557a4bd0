"""A hierarchy of labels: it closes label matrices upwards, and makes probabilities and decisions coherent."""

import difflib
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

import numpy as np
from scipy import sparse

from skml._targets._labels import as_labels, format_values, is_hashable
from skml._targets._matrix import has_missing, row_blocks, to_dense


class Hierarchy(NamedTuple):
    """The links between the labels of a label space and their parents.

    Parameters
    ----------
    order : ndarray of int, shape (n_labels,)
        The columns of the labels, ancestors first.
    parents, children : ndarray of int, shape (n_links,)
        The columns that each link joins, in the order of the children.
    """

    order: np.ndarray
    parents: np.ndarray
    children: np.ndarray

    @property
    def links(self):
        """Pairs of the columns of a parent and of its child, ancestors first."""
        return list(zip(self.parents.tolist(), self.children.tolist(), strict=True))

    def raised(self, values):
        """Return values per label, each raised to the largest value of its descendants."""
        raised = np.array(values)
        for parent, child in reversed(self.links):
            np.maximum(raised[..., parent], raised[..., child], out=raised[..., parent])
        return raised

    def lowered(self, values):
        """Return values per label, each lowered to the smallest value of its ancestors."""
        lowered = np.array(values)
        for parent, child in self.links:
            np.minimum(lowered[..., child], lowered[..., parent], out=lowered[..., child])
        return lowered

    def closed(self, Y):
        """Return a label matrix, dense or CSR, in which a label implies its ancestors.

        A missing label becomes 1 if a descendant is 1, and 0 if an ancestor is 0.
        """
        if not sparse.issparse(Y):
            return self._closed(Y)
        blocks = [sparse.csr_array(self._closed(to_dense(Y[rows]))) for rows in row_blocks(*Y.shape)]
        return sparse.csr_array(sparse.vstack(blocks, format="csr"))

    def _closed(self, Y):
        if not has_missing(Y):
            return self.raised(Y)
        is_missing = np.isnan(Y)
        least = self.raised(np.where(is_missing, 0, Y))
        is_missing &= least < 1  # a child with the probability 0.3 leaves a missing parent missing
        most = self.lowered(np.where(is_missing, 1, least))
        return np.where(is_missing & (most > 0), np.nan, np.where(is_missing, 0, least)).astype(Y.dtype)

    def descendants(self):
        """Return the sorted columns of each label and of its descendants: a list of n_labels lists."""
        below = [{j} for j in range(len(self.order))]
        for parent, child in reversed(self.links):
            below[parent] |= below[child]
        return [sorted(columns) for columns in below]

    def ancestors(self):
        """Return the sorted columns of each label and of its ancestors: a list of n_labels lists."""
        above = [{j} for j in range(len(self.order))]
        for parent, child in self.links:
            above[child] |= above[parent]
        return [sorted(columns) for columns in above]


def hierarchy_of(hierarchy, labels):
    """Return the parameter ``hierarchy`` as a `Hierarchy` of the columns of `labels`, or None if it has no links.

    Raises
    ------
    ValueError
        If it is no mapping, names something that is not in `labels`, or has a circle.
    """
    if hierarchy is None:
        return None
    if not isinstance(hierarchy, Mapping):
        raise ValueError(
            f"hierarchy must be None or a mapping from labels to their parent or a list of parents, such as "
            f"{{'dog': 'animal'}}; got {hierarchy!r}."
        )
    column = {label: j for j, label in enumerate(labels)}
    above = {j: set() for j in range(len(labels))}
    for child, given in zip(as_labels(hierarchy), hierarchy.values(), strict=True):
        above[_column_of(child, column)] |= {_column_of(parent, column) for parent in _parents(given, column)}
    depth = _depths(above, labels)
    order = np.argsort(depth, kind="stable")
    links = [(parent, child) for child in order.tolist() for parent in sorted(above[child])]
    parents, children = np.array(links, dtype=np.int64).reshape(-1, 2).T
    return Hierarchy(order, parents, children) if links else None


def _parents(given, column):
    """Return the parents that a value of the mapping names; a tuple that is a label is one parent."""
    if is_hashable(given) and given in column:
        return [given]
    is_collection = isinstance(given, list | tuple | set | frozenset | np.ndarray)
    return as_labels(given) if is_collection else as_labels([given])


def _column_of(label, column):
    if is_hashable(label) and label in column:
        return column[label]
    names = {str(other): other for other in column}
    near = difflib.get_close_matches(str(label), names, n=1)
    hint = f" Did you mean {names[near[0]]!r}?" if near else ""
    raise ValueError(
        f"hierarchy names {label!r}, which is not in the label space {format_values(list(column))}.{hint} Remove it, "
        "or name all labels with classes=[...]."
    )


def _depths(above, labels):
    """Return the length of the longest path from each label up to a root."""
    depth = np.zeros(len(labels), dtype=np.int64)
    try:
        for child in TopologicalSorter(above).static_order():
            depth[child] = max((depth[parent] + 1 for parent in above[child]), default=0)
    except CycleError as error:
        circle = " -> ".join(repr(labels[j]) for j in reversed(error.args[1]))
        raise ValueError(
            f"hierarchy has a circle, from a child to its parent: {circle}. Remove one of these links."
        ) from None
    return depth
