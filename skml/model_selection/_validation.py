"""Out-of-fold probabilities, for every form of ``y``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn import get_config
from sklearn.base import BaseEstimator, clone
from sklearn.utils import Bunch
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.parallel import Parallel, delayed

from skml._dependencies import _check_method_params, _num_samples, _safe_indexing
from skml._inputs import indexable
from skml._targets._groups import group_codes
from skml._typing import Matrix, RandomState, Target
from skml.model_selection._delegation import (
    accepting_any_target,
    encoder_for,
    is_frozen,
    label_columns,
    target_for_fit,
    target_for_folds,
)
from skml.model_selection._split import MultiLabelStratifiedGroupKFold, resolve_cv

# Validation data are passed to each fold as a whole, even if they happen to have as many rows as X.
_VALIDATION_DATA = ("X_val", "y_val")


def cross_val_predict_proba(
    estimator: BaseEstimator,
    X: Matrix,
    y: Target,
    *,
    groups: ArrayLike | None = None,
    cv: object = None,
    n_jobs: int | None = None,
    random_state: RandomState = None,
    params: dict[str, Any] | None = None,
    classes: ArrayLike | None = None,
) -> np.ndarray:
    """Predict out-of-fold probabilities, for each row by a clone that was not trained on it.

    Unlike scikit-learn's ``cross_val_predict(method="predict_proba")``, this function accepts label sets and always
    returns a single array, also for forests.

    Parameters
    ----------
    estimator : classifier with `predict_proba`
        `predict_proba` may return an array of shape (n_samples, n_labels) or, like forests and `MultiOutputClassifier`,
        a list of n_labels arrays. A `KerasMultiLabelClassifier`, alone or as the last step of a Pipeline, receives
        ``y`` as a matrix and all labels as its parameter `classes`. Other classifiers receive an int64 indicator, which
        is CSR if ``y`` is sparse and has more than 33 million entries.
    X : array-like, DataFrame, sparse matrix or list of n_samples items
        Input of the estimator.
    y : label collections, indicator or single-label target with n_samples rows
        As in `KerasMultiLabelClassifier.fit`.
    groups : array-like of shape (n_samples,), default=None
        The group of each row, such as a patient, for `cv`. If `cv` is an int or None, the rows of a group are in the
        same fold. With metadata routing enabled, `fit` receives them, too, if the estimator requests them.
    cv : int, float, splitter or iterable of (train, test), default=None
        Determines the folds. An int is the number of folds of `MultiLabelStratifiedKFold`, or with `groups` of
        `MultiLabelStratifiedGroupKFold`; None means 5. Each row must be in exactly one test fold.
    n_jobs : int, default=None
        Number of folds to fit in parallel, as in scikit-learn.
    random_state : int, RandomState instance or None, default=None
        Controls the folds if `cv` is an int or None.
    params : dict, default=None
        Parameters of `fit`. Values with n_samples rows are split like X, except for ``X_val`` and ``y_val``. With
        metadata routing enabled, they are passed to the estimator and to `cv` as these request them.
    classes : array-like of shape (n_labels,), default=None
        The label space in the order of the columns. Needed for labels that cannot be sorted or that may not occur in
        ``y``. None uses the parameter `classes` of a `KerasMultiLabelClassifier`, or the labels of ``y``.

    Returns
    -------
    proba : ndarray of shape (n_samples, n_labels)
        The columns have the order of the indicator, of `classes`, or of the sorted labels. A label that the training
        rows of a fold lack has the probability 0 in this fold, unless the estimator predicts another value. For
        single-label ``y``, the shape is (n_samples, n_classes).

    Raises
    ------
    ValueError
        If a row is not in exactly one test fold, if the form of ``y`` or the groups are not as described, or if ``y``
        has missing labels (NaN) and the estimator is not a `KerasMultiLabelClassifier`.

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
    encoder = encoder_for(estimator, y, classes)
    group_codes(groups, _num_samples(X))  # raises for wrong ones
    router = router_of("cross_val_predict_proba", estimator, cv)
    routed = routed_params(router, params or {}, groups)
    splitter = resolve_cv(cv, random_state, by_group=groups is not None)
    splits = list(splitter.split(X, y, **routed.splitter.split))
    rows, proba = predict_out_of_fold(estimator, X, y, encoder, splits, routed.estimator.fit, n_jobs)
    return in_order(rows, proba, _num_samples(X))


def in_order(rows, proba, n_samples):
    """Return out-of-fold probabilities in the order of the rows, after checking that each row was predicted once."""
    if not np.array_equal(np.sort(rows), np.arange(n_samples)):
        raise ValueError(
            f"cv must put each of the {n_samples} rows in exactly one test fold; got {len(rows)} test rows, "
            f"{len(np.unique(rows))} of them different. Use KFold or MultiLabelStratifiedKFold."
        )
    return proba[np.argsort(rows)]


def router_of(owner, estimator, cv):
    """Return the metadata routing of an object whose `fit` calls that of an estimator and the `split` of ``cv``.

    Whatever is no splitter makes use of groups.
    """
    splitter = cv if hasattr(cv, "split") and not isinstance(cv, str) else MultiLabelStratifiedGroupKFold()
    router = MetadataRouter(owner=owner)
    router.add(estimator=estimator, method_mapping=MethodMapping().add(callee="fit", caller="fit"))
    return router.add(splitter=splitter, method_mapping=MethodMapping().add(callee="split", caller="fit"))


def routed_params(router, params, groups):
    """Return the parameters for ``estimator.fit`` and ``splitter.split``.

    Without metadata routing, the estimator receives `params`, and the splitter the groups.
    """
    given = {} if groups is None else {"groups": groups}
    if get_config()["enable_metadata_routing"]:
        return process_routing(router, "fit", **params, **given)
    return Bunch(estimator=Bunch(fit=params), splitter=Bunch(split=given))


def predict_out_of_fold(estimator, X, y, encoder, splits, params, n_jobs=None, method="predict_proba"):
    """Fit a clone to the training rows of each split and predict the test rows.

    Returns
    -------
    rows : ndarray of int, shape (n_predicted,)
        The test rows of all splits, concatenated.
    responses : ndarray of shape (n_predicted, n_labels)
        The output of the method for these rows, with columns as in `label_columns`.
    """
    target = target_for_folds(estimator, y, encoder)
    responses = Parallel(n_jobs=n_jobs)(
        delayed(_fit_predict)(estimator, X, target, encoder, train, test, params, method) for train, test in splits
    )
    return np.concatenate([test for _, test in splits]), np.concatenate(responses)


def fit_clone(estimator, X, y, encoder, params, rows=None):
    """Fit a clone to ``y``, or to some of its rows, in a form that the estimator accepts.

    A `KerasMultiLabelClassifier` receives multi-label ``y`` unchanged. Other estimators receive the same form as in
    `predict_out_of_fold`.
    """
    return _fit_clone(estimator, X, target_for_fit(estimator, y, encoder), encoder, params, rows)


def _fit_predict(estimator, X, target, encoder, train, test, params, method):
    estimator = _fit_clone(estimator, X, target, encoder, params, train)
    return predict_columns(estimator, _safe_indexing(X, test), encoder, method)


def predict_columns(estimator, X, encoder, method):
    """Call a method of a fitted estimator and return its output with columns as in `label_columns`."""
    return label_columns(getattr(estimator, method)(X), estimator, encoder, method)


def _fit_clone(estimator, X, target, encoder, params, rows=None):
    estimator = clone(estimator)
    keras_classifier = accepting_any_target(estimator)
    if keras_classifier is not None and not is_frozen(estimator):
        keras_classifier.set_params(classes=encoder.classes_)  # the rows of a fold may lack some of them
    if rows is None:
        return estimator.fit(X, target, **params)
    whole = {name: value for name, value in params.items() if name.rpartition("__")[2] in _VALIDATION_DATA}
    params = _check_method_params(X, {name: params[name] for name in params if name not in whole}, rows) | whole
    return estimator.fit(_safe_indexing(X, rows), _safe_indexing(target, rows), **params)
