"""Splits that are stratified by label, and probabilities predicted out of fold, for every form of ``y``."""

from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import (
    BaseCrossValidator,
    BaseShuffleSplit,
    KFold,
    ShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
    check_cv,
)
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params, _num_samples

from skml._responses import as_scores
from skml._split import strata
from skml._targets import TargetEncoder

__all__ = ["MultiLabelStratifiedKFold", "MultiLabelStratifiedShuffleSplit", "cross_val_predict_proba"]

# Iterative stratification walks through all cells once for each label; this many steps take about 4 s.
_MAX_STEPS = 2**34
_STEPS_PER_ROW = 40_000

# Larger indicators reach a classifier as CSR, which few take.
_MAX_DENSE_CELLS = 2**25

# Data for early stopping are the same in each fold, also if they happen to have as many rows as X.
_NOT_SPLIT = ("X_val", "y_val")


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
    One label per row is left to scikit-learn's StratifiedKFold. A cell that is not known (NaN) counts as 0.
    Where stratification would take more than a few seconds (about 700 labels at 30,000 rows), and where it
    leaves a part empty, the splits are drawn by chance.

    Examples
    --------
    >>> from skml.model_selection import MultiLabelStratifiedKFold
    >>> y = [{"a"}, {"a", "b"}, {"b"}, {"a"}, {"a", "b"}, {"b"}]
    >>> for train, test in MultiLabelStratifiedKFold(2, random_state=0).split(y, y):
    ...     print(sorted(sorted(y[i]) for i in test))
    [['a'], ['a', 'b'], ['b']]
    [['a'], ['a', 'b'], ['b']]
    """

    def __init__(self, n_splits=5, *, random_state=None):
        self.n_splits = n_splits
        self.random_state = random_state

    def get_n_splits(self, X=None, y=None, groups=None):
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
        for _, test in _split(y, params, "MultilabelStratifiedKFold", StratifiedKFold, KFold):
            yield test


class MultiLabelStratifiedShuffleSplit(BaseShuffleSplit):
    """Random splits in two parts, in both of which each label has about the same share of rows.

    Parameters
    ----------
    n_splits : int, default=10
    test_size : float or int, default=0.1
        Share, or number, of the rows in the test part; kept to within some rows.
    random_state : int, RandomState instance or None, default=None
        An int gives the same splits in each call.

    See Also
    --------
    MultiLabelStratifiedKFold : The algorithm, and its limits, are the same.

    Examples
    --------
    >>> from skml.model_selection import MultiLabelStratifiedShuffleSplit
    >>> y = [{"a"}, {"a", "b"}, {"b"}, {"a"}, {"a", "b"}, {"b"}]
    >>> ((train, test),) = MultiLabelStratifiedShuffleSplit(1, test_size=0.5, random_state=0).split(y, y)
    >>> sorted(sorted(y[i]) for i in test)
    [['a'], ['a', 'b'], ['b']]
    """

    def __init__(self, n_splits=10, *, test_size=0.1, random_state=None):
        super().__init__(n_splits=n_splits, test_size=test_size, random_state=random_state)

    def _iter_indices(self, X, y=None, groups=None):
        params = {"n_splits": self.n_splits, "test_size": self.test_size, "random_state": self.random_state}
        yield from _split(y, params, "MultilabelStratifiedShuffleSplit", StratifiedShuffleSplit, ShuffleSplit)


def cross_val_predict_proba(estimator, X, y, *, cv=None, n_jobs=None, random_state=None, params=None):
    """Predict for each row the probabilities of its labels, by a clone that was not trained on it.

    scikit-learn's ``cross_val_predict(method="predict_proba")`` reads each column of a multi-label ``y`` as a
    problem of its own and takes no label sets.

    Parameters
    ----------
    estimator : classifier with `predict_proba`
        Its `predict_proba` gives one array of shape (n_samples, n_labels), or a list of n_labels arrays as
        those of forests and `MultiOutputClassifier`. A `KerasMultiLabelClassifier`, alone or as last step of a
        Pipeline, gets ``y`` as a matrix and ``classes=``; any other gets an int64 indicator, and CSR if ``y``
        is sparse and has more than 33 million cells.
    X : array-like, DataFrame, sparse matrix or list of n_samples items
    y : label collections, indicator, or one label per row, n_samples in all
        As in `KerasMultiLabelClassifier.fit`.
    cv : int, float, splitter or iterable of (train, test), default=None
        An int is the number of folds of `MultiLabelStratifiedKFold`, None means 5. Each row must be in
        exactly one test fold.
    n_jobs : int, default=None
        Folds to fit in parallel, as in scikit-learn.
    random_state : int, RandomState instance or None, default=None
        For the folds, if `cv` is an int or None.
    params : dict, default=None
        Passed to `fit`, with the rows of the fold where it has n_samples of them (``X_val`` and ``y_val`` whole).

    Returns
    -------
    proba : ndarray of shape (n_samples, n_labels)
        Columns in the order of the indicator, or of the sorted labels, or of the parameter `classes` of a
        `KerasMultiLabelClassifier`. A label that does not occur in the training rows of a fold has 0 there,
        unless the estimator says otherwise. For one label per row (n_samples, n_classes).

    Raises
    ------
    ValueError
        If the test folds are no partition of the rows, ``y`` has no known form, or ``y`` holds cells that are
        not known (NaN) and the estimator is not a `KerasMultiLabelClassifier`.

    Examples
    --------
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from skml.model_selection import cross_val_predict_proba
    >>> X = [[0.0], [0.1], [0.2], [1.0], [1.1], [1.2]]
    >>> y = [{"low"}, {"low"}, {"low"}, {"high", "odd"}, {"high"}, {"high", "odd"}]
    >>> cross_val_predict_proba(KNeighborsClassifier(1), X, y, cv=3, random_state=0)[[0, 4]]
    array([[0., 1., 0.],
           [1., 0., 1.]])
    """
    X, y = indexable(X, y)
    encoder = encoder_for(estimator, y)
    splits = list(resolve_cv(cv, random_state).split(X, y))
    rows, proba = out_of_fold(estimator, X, y, encoder, splits, params or {}, n_jobs)
    n_samples = _num_samples(X)
    if not np.array_equal(np.sort(rows), np.arange(n_samples)):
        raise ValueError(
            f"cv must put each of the {n_samples} rows in exactly one test fold; got {len(np.unique(rows))} rows "
            f"in {len(rows)} places. Take KFold or MultiLabelStratifiedKFold."
        )
    return proba[np.argsort(rows)]


def resolve_cv(cv, random_state=None):
    """Return the splitter that ``cv`` means: None, an int, a float, a splitter or an iterable of splits."""
    if cv is None or isinstance(cv, Integral):
        return MultiLabelStratifiedKFold(5 if cv is None else cv, random_state=random_state)
    if isinstance(cv, Real):
        return MultiLabelStratifiedShuffleSplit(1, test_size=cv, random_state=random_state)
    return check_cv(cv)


def encoder_for(estimator, y, is_fitted=False):
    """Return a `TargetEncoder` fitted to ``y``, with the label space that the estimator has, or was told."""
    return TargetEncoder(getattr(_keras_classifier(estimator), "classes_" if is_fitted else "classes", None)).fit(y)


def out_of_fold(estimator, X, y, encoder, splits, params, n_jobs=None):
    """Fit a clone to the first part of each split and predict the second.

    Returns
    -------
    rows : ndarray of int, shape (n_predicted,)
        The second parts, one after the other.
    proba : ndarray of shape (n_predicted, n_labels)
        As `label_columns` returns them.
    """
    target = _matrix_for(estimator, y, encoder)
    proba = Parallel(n_jobs=n_jobs)(
        delayed(_fit_predict)(estimator, X, target, encoder, train, test, params) for train, test in splits
    )
    return np.concatenate([test for _, test in splits]), np.concatenate(proba)


def fitted(estimator, X, y, encoder, params, rows=None):
    """Return a clone that is fitted to ``y`` in the form that the estimator takes.

    That is its own form for a `KerasMultiLabelClassifier`, else as in `out_of_fold`.
    """
    is_own = _keras_classifier(estimator) is not None and encoder.is_multilabel
    return _fitted(estimator, X, y if is_own else _matrix_for(estimator, y, encoder), encoder, params, rows)


def last_step(estimator):
    """Return what a Pipeline ends in; any other estimator as it is."""
    while hasattr(estimator, "steps"):
        estimator = estimator.steps[-1][1]
    return estimator


def label_columns(proba, estimator, encoder):
    """Return what a fitted estimator gives as probabilities with one column for each of the encoder's classes.

    Raises
    ------
    ValueError
        If it has another number of columns, or the estimator knows other classes.
    """
    labels = encoder.classes_.tolist()
    if not encoder.is_multilabel:
        return _by_class(proba, estimator, labels)
    if len(labels) == 1 and _keras_classifier(estimator) is None:
        return _by_class(proba, estimator, [0, 1])[:, 1:]
    columns = as_scores(proba, estimator)
    if columns.shape[1] != len(labels):
        raise ValueError(
            f"predict_proba of {type(estimator).__name__} has {columns.shape[1]} columns, but y has "
            f"{len(labels)} labels. It must be a multi-label classifier, such as OneVsRestClassifier({estimator!r})."
        )
    return columns


def _split(y, params, by_label, by_class, by_chance):
    """Return the splits of the library's class `by_label`, or of another one where that cannot work."""
    groups, n_samples = _strata(y)
    plain = by_chance(**params)
    if groups is None:
        return plain.split(np.zeros(n_samples))
    if groups.ndim == 1:
        return by_class(**params).split(groups, groups)
    from iterstrat import ml_stratifiers

    splits = list(getattr(ml_stratifiers, by_label)(**params).split(groups, groups))
    return splits if all(len(train) and len(test) for train, test in splits) else plain.split(groups)


def _strata(y):
    """Return what to stratify by (classes, a boolean matrix, or None if that would take too long), and n_samples."""
    encoder = TargetEncoder().fit(y)
    if not encoder.is_multilabel:
        classes = np.asarray(y).ravel()
        return classes, len(classes)
    Y = encoder.transform(y)
    n_samples, n_labels = Y.shape
    if n_samples * (n_labels**2 + _STEPS_PER_ROW) > _MAX_STEPS:
        return None, n_samples
    return strata(Y), n_samples


def _keras_classifier(estimator):
    """Return the KerasMultiLabelClassifier that an estimator is, or ends in; else None."""
    from skml._classifier import KerasMultiLabelClassifier

    estimator = last_step(estimator)
    return estimator if isinstance(estimator, KerasMultiLabelClassifier) else None


def _matrix_for(estimator, y, encoder):
    """Return ``y`` as a target from which each fold learns columns for the same labels."""
    if not encoder.is_multilabel:
        return np.asarray(y).ravel()
    Y = encoder.transform(y)
    if _keras_classifier(estimator) is not None:
        return Y if Y.shape[1] > 1 else sparse.csr_array(Y)  # one dense column would be one label per row
    if Y.dtype.kind == "f":
        raise ValueError(
            f"y holds cells that are not known (NaN), from which {type(estimator).__name__} cannot learn. Fill them, "
            "leave the rows out, or take KerasMultiLabelClassifier."
        )
    Y = Y.astype(np.int64)
    if encoder.form_ == "sparse" and np.prod(Y.shape, dtype=float) > _MAX_DENSE_CELLS:
        return encoder.sparse_container_(Y)
    Y = Y.toarray() if sparse.issparse(Y) else Y
    return Y if Y.shape[1] > 1 else Y.ravel()


def _fit_predict(estimator, X, target, encoder, train, test, params):
    estimator = _fitted(estimator, X, target, encoder, params, train)
    return label_columns(estimator.predict_proba(_safe_indexing(X, test)), estimator, encoder)


def _fitted(estimator, X, target, encoder, params, rows=None):
    estimator = clone(estimator)
    keras_classifier = _keras_classifier(estimator)
    if keras_classifier is not None:
        keras_classifier.set_params(classes=encoder.classes_)  # also of labels that these rows lack
    if rows is None:
        return estimator.fit(X, target, **params)
    whole = {name: value for name, value in params.items() if name.rpartition("__")[2] in _NOT_SPLIT}
    params = _check_method_params(X, {name: params[name] for name in params if name not in whole}, rows) | whole
    return estimator.fit(_safe_indexing(X, rows), _safe_indexing(target, rows), **params)


def _by_class(proba, estimator, classes):
    """Return the columns of a classifier of single labels in the order of all classes."""
    seen = estimator.classes_.tolist()
    if not set(seen) <= set(classes):
        raise ValueError(f"{type(estimator).__name__} knows the classes {seen!r}, but y has {classes!r}.")
    columns = np.zeros((len(proba), len(classes)), dtype=proba.dtype)
    columns[:, [classes.index(label) for label in seen]] = proba
    return columns
