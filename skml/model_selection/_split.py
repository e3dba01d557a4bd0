"""Splitters stratified by label, for every form of ``y``."""

from __future__ import annotations

from collections.abc import Iterator, ValuesView
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.model_selection import (
    BaseCrossValidator,
    BaseShuffleSplit,
    KFold,
    ShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
    check_cv,
)
from sklearn.utils import check_random_state

from skml._dependencies import _num_samples, _safe_indexing
from skml._inputs import indexable
from skml._targets._groups import count_of_values, group_codes
from skml._targets._warnings import warn_once
from skml._typing import Matrix, RandomState, Target
from skml.model_selection._stratification import (
    stratified_group_folds,
    stratified_group_holdout,
    stratified_splits,
)

_Split = tuple[np.ndarray, np.ndarray]


class _StratifiedFolds(BaseCrossValidator):
    """Parameters of a splitter into folds."""

    def __init__(self, n_splits: int = 5, *, random_state: RandomState = None):
        self.n_splits = n_splits
        self.random_state = random_state

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object, default=None
            Ignored.

        Returns
        -------
        n_splits : int
        """
        return self.n_splits


class MultiLabelStratifiedKFold(_StratifiedFolds):
    """K-fold cross-validator that stratifies by label, for ``y`` in every form.

    Each label occurs about equally often in all folds. The rows of the rarest label are assigned first, each to the
    fold that needs this label most (Sechidis et al., 2011). The sizes of the folds may therefore differ by a few rows.
    Rows are always shuffled.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds.
    random_state : int, RandomState instance or None, default=None
        Controls the shuffling. An int gives the same folds in each call.

    Notes
    -----
    Single-label (binary or multi-class) ``y`` is split by scikit-learn's `StratifiedKFold`. A missing label (NaN)
    counts as 0. The labels need not be sortable. Rows without a label are assigned at random.

    The whole split is random if stratification would take more than a few seconds (about 700 labels with 30,000 rows),
    or if it would leave a fold empty.

    Examples
    --------
    >>> from skml.model_selection import MultiLabelStratifiedKFold
    >>> y = [{"a"}, {"a", "b"}, {"b"}, {"a"}, {"a", "b"}, {"b"}]
    >>> for train, test in MultiLabelStratifiedKFold(2, random_state=0).split(y, y):
    ...     print(sorted(sorted(y[i]) for i in test))
    [['a'], ['a', 'b'], ['b']]
    [['a'], ['a', 'b'], ['b']]
    """

    def split(self, X: Matrix, y: Target, groups: Any = None) -> Iterator[_Split]:
        """Divide the rows into training and test rows, once for each fold.

        Parameters
        ----------
        X : object with n_samples rows
            Only the number of rows is used.
        y : target of n_samples rows, in any form
        groups : object, default=None
            Ignored, with a warning. `MultiLabelStratifiedGroupKFold` uses groups.

        Yields
        ------
        train, test : ndarray of int
            Row numbers.
        """
        _warn_of_ignored(groups, self)
        return super().split(X, y, groups)

    def _iter_test_indices(self, X=None, y=None, groups=None):
        params = {"n_splits": self.n_splits, "shuffle": True, "random_state": self.random_state}
        for _, test in stratified_splits(y, params, "MultilabelStratifiedKFold", StratifiedKFold, KFold):
            yield test


class MultiLabelStratifiedGroupKFold(_StratifiedFolds):
    """K-fold cross-validator that stratifies by label and keeps groups together, for ``y`` in every form.

    All rows of a group, such as the records of one patient, are in the same fold. Each label, and each class of
    single-label ``y``, occurs about equally often in all folds, and the folds have about equally many rows, as far as
    the groups allow it. This is scikit-learn's `StratifiedGroupKFold` for multi-label problems. Groups are always
    shuffled.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at most the number of groups.
    random_state : int, RandomState instance or None, default=None
        Controls the shuffling. An int gives the same folds in each call.

    Notes
    -----
    The groups are assigned one by one, first those with the largest shares of the labels, of rare labels above all. A
    group goes to the fold that lacks its labels and rows most. This extends iterative stratification (Sechidis et al.,
    2011) from one label of a row to all labels of a group. A missing label (NaN) counts as 0. The labels need not be
    sortable. The folds are random if stratification would take more than a few seconds (500,000 groups).

    See Also
    --------
    MultiLabelStratifiedKFold : The same without groups.

    Examples
    --------
    >>> from skml.model_selection import MultiLabelStratifiedGroupKFold
    >>> y = [{"a"}, {"a", "b"}, {"b"}, {"a"}, {"a", "b"}, {"b"}, set(), set()]
    >>> patients = ["Ann", "Ann", "Bob", "Bob", "Cid", "Cid", "Dee", "Dee"]
    >>> for train, test in MultiLabelStratifiedGroupKFold(2, random_state=0).split(y, y, patients):
    ...     print([patients[i] for i in test])
    ['Bob', 'Bob', 'Cid', 'Cid']
    ['Ann', 'Ann', 'Dee', 'Dee']
    """

    # Groups are passed to `split` without being requested, as to scikit-learn's splitters of groups.
    __metadata_request__split = {"groups": True}

    def split(self, X: Matrix, y: Target, groups: Any = None) -> Iterator[_Split]:
        """Divide the rows into training and test rows, once for each fold.

        Parameters
        ----------
        X : object with n_samples rows
            Only the number of rows is used.
        y : target of n_samples rows, in any form
        groups : array-like of shape (n_samples,)
            The group of each row: numbers, strings or other hashable values.

        Yields
        ------
        train, test : ndarray of int
            Row numbers.

        Raises
        ------
        ValueError
            If groups are missing, have another length, contain NaN or None, or are fewer than the folds.
        """
        KFold(self.n_splits)  # raises for a wrong number
        if groups is None:
            raise ValueError(
                "MultiLabelStratifiedGroupKFold needs groups, and the parameter groups is None. Pass split(X, y, "
                "groups), or use MultiLabelStratifiedKFold."
            )
        return super().split(X, y, group_codes(groups, _num_samples(X)))

    def _iter_test_indices(self, X=None, y=None, groups=None):
        n_groups = groups.max(initial=-1) + 1
        if n_groups < self.n_splits:
            raise ValueError(
                f"groups has {count_of_values(n_groups)}, fewer than n_splits={self.n_splits} folds. Use fewer folds, "
                "or divide the rows into more groups."
            )
        fold = stratified_group_folds(y, groups, self.n_splits, check_random_state(self.random_state))
        for j in range(self.n_splits):
            yield np.flatnonzero(fold == j)


class MultiLabelStratifiedShuffleSplit(BaseShuffleSplit):
    """Random splitter into training and test rows that stratifies by label, for ``y`` in every form.

    Each label occurs about equally often, relative to the number of rows, in both parts.

    Parameters
    ----------
    n_splits : int, default=10
        Number of splits.
    test_size : float, int or None, default=0.1
        Fraction (float) or number (int) of rows in the test part, which may differ from it by a few rows. None means
        0.1, as in scikit-learn.
    random_state : int, RandomState instance or None, default=None
        Controls the splits. An int gives the same splits in each call.

    See Also
    --------
    MultiLabelStratifiedKFold : Cross-validator with the same algorithm and the same limits.

    Examples
    --------
    >>> from skml.model_selection import MultiLabelStratifiedShuffleSplit
    >>> y = [{"a"}, {"a", "b"}, {"b"}, {"a"}, {"a", "b"}, {"b"}]
    >>> ((train, test),) = MultiLabelStratifiedShuffleSplit(1, test_size=0.5, random_state=0).split(y, y)
    >>> sorted(sorted(y[i]) for i in test)
    [['a'], ['a', 'b'], ['b']]
    """

    def __init__(self, n_splits: int = 10, *, test_size: float | int | None = 0.1, random_state: RandomState = None):
        super().__init__(n_splits=n_splits, test_size=test_size, random_state=random_state)

    def split(self, X: Matrix, y: Target, groups: Any = None) -> Iterator[_Split]:
        """Divide the rows into training and test rows, once for each split.

        Parameters
        ----------
        X : object with n_samples rows
            Only the number of rows is used.
        y : target of n_samples rows, in any form
        groups : object, default=None
            Ignored, with a warning.

        Yields
        ------
        train, test : ndarray of int
            Row numbers.
        """
        _warn_of_ignored(groups, self)
        return super().split(X, y, groups)

    def _iter_indices(self, X, y=None, groups=None):
        test_size = self._default_test_size if self.test_size is None else self.test_size
        params = {"n_splits": self.n_splits, "test_size": test_size, "random_state": self.random_state}
        yield from stratified_splits(
            y, params, "MultilabelStratifiedShuffleSplit", StratifiedShuffleSplit, ShuffleSplit
        )


def train_test_split(
    X: Matrix,
    y: Target,
    *arrays: Any,
    test_size: float | int | None = None,
    train_size: float | int | None = None,
    random_state: RandomState = None,
) -> list:
    """Split data into training and test rows, stratified by label, for ``y`` in every form.

    Each label occurs about equally often, relative to the number of rows, in both parts. Single-label y is split by
    scikit-learn's `StratifiedShuffleSplit`.

    Parameters
    ----------
    X : array-like, DataFrame, sparse matrix or list of n_samples items
        Any input.
    y : label sets, indicator or single-label target with n_samples rows
        As in `KerasMultiLabelClassifier.fit`. The rows are stratified by its labels.
    *arrays : array-like, DataFrame, sparse matrix or list of n_samples items
        Further data to split, such as sample weights.
    test_size, train_size : float, int or None, default=None
        Fraction (float) or number (int) of rows in each part, which may differ from it by a few rows for multi-label
        ``y``. None means the rest, and a quarter of the rows for the test part if both are None.
    random_state : int, RandomState instance or None, default=None
        Controls the split. An int gives the same split in each call.

    Returns
    -------
    splitting : list of length 2 * (2 + len(arrays))
        ``X_train, X_test, y_train, y_test`` and the parts of the other arrays, each in the container that was passed;
        sparse matrices become CSR.

    Raises
    ------
    ValueError
        If the arrays have different numbers of rows, a part would be empty, or ``y`` has none of the supported forms.

    See Also
    --------
    MultiLabelStratifiedShuffleSplit : The same split as a splitter.

    Examples
    --------
    >>> from skml.model_selection import train_test_split
    >>> X, y = [[0], [1], [2], [3]], [{"a"}, {"a", "b"}, {"a"}, {"a", "b"}]
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, random_state=0)
    >>> [sorted(labels) for labels in sorted(y_test, key=len)]
    [['a'], ['a', 'b']]
    """
    data = indexable(*(list(values) if isinstance(values, ValuesView) else values for values in (X, y, *arrays)))
    n_samples, random_state = _num_samples(X), check_random_state(random_state)
    # scikit-learn's splitter computes the sizes, and refuses wrong ones.
    test_size = 0.25 if test_size is None and train_size is None else test_size
    sizes = ShuffleSplit(1, test_size=test_size, train_size=train_size, random_state=0)
    ((train, test),) = sizes.split(np.zeros(n_samples))
    n_left = n_samples - len(train) - len(test)
    rows = np.arange(n_samples)
    if n_left:
        rows = _stratified(data[1], rows, n_left, random_state)[0]
    parts = _stratified(data[1], rows, len(test), random_state)
    return [_rows_of(values, part) for values in data for part in parts]


def _stratified(y, rows, test_size, random_state):
    """Return some rows of ``y`` as training and test rows, in random order."""
    params = {"n_splits": 1, "test_size": test_size, "random_state": random_state}
    names = "MultilabelStratifiedShuffleSplit", StratifiedShuffleSplit, ShuffleSplit
    ((train, test),) = stratified_splits(_rows_of(y, rows), params, *names)
    return rows[train], rows[test]


def _rows_of(values, rows):
    """Return some rows of data, in its container."""
    if isinstance(values, tuple):
        return tuple(values[i] for i in rows)
    return values.take(rows) if hasattr(values, "to_pylist") else _safe_indexing(values, rows)


def _warn_of_ignored(groups, splitter):
    if groups is not None:
        warn_once(
            f"The groups parameter is ignored by {type(splitter).__name__}: a group may have rows in both parts of a "
            "split. MultiLabelStratifiedGroupKFold keeps them together."
        )


class _StratifiedGroupHoldout:
    """A single holdout of whole groups: a float ``cv`` with groups."""

    def __init__(self, test_size, random_state):
        self.test_size = test_size
        self.random_state = random_state

    def split(self, X, y, groups):
        """Yield one pair of training and test rows."""
        group = group_codes(groups, _num_samples(X))
        if group.max() == 0:
            raise ValueError(
                f"groups has a single value, and cv={self.test_size} needs a group for training and another one for "
                "the holdout. Divide the rows into more groups."
            )
        rows = stratified_group_holdout(y, group, self.test_size, check_random_state(self.random_state))
        yield np.setdiff1d(np.arange(len(group)), rows), rows


def resolve_cv(cv, random_state=None, by_group=False):
    """Return the splitter for a parameter ``cv``: None, an int, a float, a splitter or an iterable of splits.

    If `by_group` is true, the splitters of None, an int and a float keep groups together.
    """
    if cv is None or isinstance(cv, Integral):
        kind = MultiLabelStratifiedGroupKFold if by_group else MultiLabelStratifiedKFold
        return kind(5 if cv is None else cv, random_state=random_state)
    if isinstance(cv, Real):
        if by_group:
            return _StratifiedGroupHoldout(cv, random_state)
        return MultiLabelStratifiedShuffleSplit(1, test_size=cv, random_state=random_state)
    return check_cv(cv)
