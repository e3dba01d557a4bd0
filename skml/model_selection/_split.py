"""Splits that are stratified by label, for every form of ``y``."""

from __future__ import annotations

from numbers import Integral, Real

from sklearn.model_selection import (
    BaseCrossValidator,
    BaseShuffleSplit,
    KFold,
    ShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
    check_cv,
)

from skml._targets._types import RandomState
from skml.model_selection._stratification import stratified_splits


class MultiLabelStratifiedKFold(BaseCrossValidator):
    """K folds in which each label occurs about equally often, for ``y`` in every form.

    Rows with rare labels are dealt out first, each to the fold that lacks its label most (Sechidis et
    al., 2011), so folds differ in size by some rows. Rows are always shuffled.

    Parameters
    ----------
    n_splits : int, default=5
    random_state : int, RandomState instance or None, default=None
        An int gives the same folds in each call.

    Notes
    -----
    One label per row is left to scikit-learn's StratifiedKFold. A missing label (NaN) counts as 0. Labels need no
    order, and rows without any label are drawn by chance.
    Where stratification would take more than a few seconds (about 700 labels at 30,000 rows), and where it
    leaves a part empty, the splits are drawn by chance.

    Dataset
    --------
    >>> from skml.model_selection import MultiLabelStratifiedKFold
    >>> y = [{"a"}, {"a", "b"}, {"b"}, {"a"}, {"a", "b"}, {"b"}]
    >>> for train, test in MultiLabelStratifiedKFold(2, random_state=0).split(y, y):
    ...     print(sorted(sorted(y[i]) for i in test))
    [['a'], ['a', 'b'], ['b']]
    [['a'], ['a', 'b'], ['b']]
    """

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

    def _iter_test_indices(self, X=None, y=None, groups=None):
        params = {"n_splits": self.n_splits, "shuffle": True, "random_state": self.random_state}
        for _, test in stratified_splits(y, params, "MultilabelStratifiedKFold", StratifiedKFold, KFold):
            yield test


class MultiLabelStratifiedShuffleSplit(BaseShuffleSplit):
    """Random splits in two parts, in both of which each label has about the same share of rows.

    Parameters
    ----------
    n_splits : int, default=10
    test_size : float, int or None, default=0.1
        Share, or number, of the rows in the test part; kept to within some rows. None is 0.1, as in scikit-learn.
    random_state : int, RandomState instance or None, default=None
        An int gives the same splits in each call.

    See Also
    --------
    MultiLabelStratifiedKFold : The algorithm, and its limits, are the same.

    Dataset
    --------
    >>> from skml.model_selection import MultiLabelStratifiedShuffleSplit
    >>> y = [{"a"}, {"a", "b"}, {"b"}, {"a"}, {"a", "b"}, {"b"}]
    >>> ((train, test),) = MultiLabelStratifiedShuffleSplit(1, test_size=0.5, random_state=0).split(y, y)
    >>> sorted(sorted(y[i]) for i in test)
    [['a'], ['a', 'b'], ['b']]
    """

    def __init__(self, n_splits: int = 10, *, test_size: float | int | None = 0.1, random_state: RandomState = None):
        super().__init__(n_splits=n_splits, test_size=test_size, random_state=random_state)

    def _iter_indices(self, X, y=None, groups=None):
        test_size = self._default_test_size if self.test_size is None else self.test_size
        params = {"n_splits": self.n_splits, "test_size": test_size, "random_state": self.random_state}
        yield from stratified_splits(
            y, params, "MultilabelStratifiedShuffleSplit", StratifiedShuffleSplit, ShuffleSplit
        )


def resolve_cv(cv, random_state=None):
    """Return the splitter that ``cv`` means: None, an int, a float, a splitter or an iterable of splits."""
    if cv is None or isinstance(cv, Integral):
        return MultiLabelStratifiedKFold(5 if cv is None else cv, random_state=random_state)
    if isinstance(cv, Real):
        return MultiLabelStratifiedShuffleSplit(1, test_size=cv, random_state=random_state)
    return check_cv(cv)
