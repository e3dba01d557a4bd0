"""Probabilities predicted out of fold, for every form of ``y``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params, _num_samples

from skml._targets._types import Matrix, RandomState, Target
from skml.model_selection._delegation import accepting_any_target, encoder_for, label_columns, matrix_for, own_form_for
from skml.model_selection._split import resolve_cv

# Data for early stopping are the same in each fold, also if they happen to have as many rows as X.
_NOT_SPLIT = ("X_val", "y_val")


def cross_val_predict_proba(
    estimator: BaseEstimator,
    X: Matrix,
    y: Target,
    *,
    cv: object = None,
    n_jobs: int | None = None,
    random_state: RandomState = None,
    params: dict[str, Any] | None = None,
    classes: ArrayLike | None = None,
) -> np.ndarray:
    """Predict for each row the probabilities of its labels, by a clone that was not trained on it.

    scikit-learn's ``cross_val_predict(method="predict_proba")`` reads each column of a multi-label ``y`` as a
    problem of its own and takes no label sets.

    Parameters
    ----------
    estimator : classifier with `predict_proba`
        Its `predict_proba` gives one array of shape (n_samples, n_labels), or a list of n_labels arrays as
        those of forests and `MultiOutputClassifier`. A `KerasMultiLabelClassifier`, alone or as last step of a
        Pipeline, gets ``y`` as a matrix and ``classes=``; any other gets an int64 indicator, and CSR if ``y``
        is sparse and has more than 33 million entries.
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
    classes : array-like of shape (n_labels,), default=None
        The label space in the order of columns, for labels that cannot be sorted or may not occur. None takes the
        parameter `classes` of a `KerasMultiLabelClassifier`, or the labels of ``y``.

    Returns
    -------
    proba : ndarray of shape (n_samples, n_labels)
        Columns in the order of the indicator, of `classes`, or of the sorted labels. A label that does not occur in
        the training rows of a fold has 0 there, unless the estimator says otherwise. For one label per row
        (n_samples, n_classes).

    Raises
    ------
    ValueError
        If the test folds are no partition of the rows, ``y`` has no known form, or ``y`` holds unknown
        entries (NaN) and the estimator is not a `KerasMultiLabelClassifier`.

    Dataset
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
    encoder = encoder_for(estimator, y, classes)
    splits = list(resolve_cv(cv, random_state).split(X, y))
    rows, proba = out_of_fold(estimator, X, y, encoder, splits, params or {}, n_jobs)
    n_samples = _num_samples(X)
    if not np.array_equal(np.sort(rows), np.arange(n_samples)):
        raise ValueError(
            f"cv must put each of the {n_samples} rows in exactly one test fold; got {len(np.unique(rows))} rows "
            f"in {len(rows)} places. Take KFold or MultiLabelStratifiedKFold."
        )
    return proba[np.argsort(rows)]


def out_of_fold(estimator, X, y, encoder, splits, params, n_jobs=None, method="predict_proba"):
    """Fit a clone to the first part of each split and predict the second.

    Returns
    -------
    rows : ndarray of int, shape (n_predicted,)
        The second parts, one after the other.
    answers : ndarray of shape (n_predicted, n_labels)
        Those of the method, as `label_columns` returns them.
    """
    target = matrix_for(estimator, y, encoder)
    answers = Parallel(n_jobs=n_jobs)(
        delayed(_fit_predict)(estimator, X, target, encoder, train, test, params, method) for train, test in splits
    )
    return np.concatenate([test for _, test in splits]), np.concatenate(answers)


def fitted(estimator, X, y, encoder, params, rows=None):
    """Return a clone that is fitted to ``y`` in the form that the estimator takes.

    That is its own form for a `KerasMultiLabelClassifier`, else as in `out_of_fold`.
    """
    return _fitted(estimator, X, own_form_for(estimator, y, encoder), encoder, params, rows)


def _fit_predict(estimator, X, target, encoder, train, test, params, method):
    estimator = _fitted(estimator, X, target, encoder, params, train)
    return columns_for(estimator, _safe_indexing(X, test), encoder, method)


def columns_for(estimator, X, encoder, method):
    """Return what a method of a fitted estimator answers, as `label_columns` does."""
    return label_columns(getattr(estimator, method)(X), estimator, encoder, method)


def _fitted(estimator, X, target, encoder, params, rows=None):
    estimator = clone(estimator)
    keras_classifier = accepting_any_target(estimator)
    if keras_classifier is not None:
        keras_classifier.set_params(classes=encoder.classes_)  # also of labels that these rows lack
    if rows is None:
        return estimator.fit(X, target, **params)
    whole = {name: value for name, value in params.items() if name.rpartition("__")[2] in _NOT_SPLIT}
    params = _check_method_params(X, {name: params[name] for name in params if name not in whole}, rows) | whole
    return estimator.fit(_safe_indexing(X, rows), _safe_indexing(target, rows), **params)
