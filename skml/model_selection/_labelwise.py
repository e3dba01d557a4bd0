"""One classifier per label, for classifiers that support neither several labels nor missing labels."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.feature_selection import SelectorMixin
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.multioutput import ClassifierChain
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping
from sklearn.utils.validation import has_fit_parameter

from skml._dependencies import _check_method_params, _num_samples, _safe_indexing
from skml._targets._matrix import has_missing, to_dense
from skml._typing import Matrix, TargetMatrix
from skml.model_selection._delegation import (
    accepting_any_target,
    accepts_single_column,
    as_scores,
    is_frozen,
    last_step,
)


class LabelwiseClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Train one clone of a classifier for each label, on the rows in which the label is observed.

    This is `MultiOutputClassifier` with missing labels. A label whose observed entries are all equal gets a constant
    probability, with half an entry of each kind added (Krichevsky and Trofimov, 1981).

    Parameters
    ----------
    estimator : classifier with `predict_proba`

    Attributes
    ----------
    estimators_ : list of classifier or float
        For each label the fitted classifier, or the constant probability.
    classes_ : ndarray of shape (n_labels,)
        The numbers of the columns.
    """

    accepts_label_matrix = True  # fit accepts the label matrix as it is, with NaN

    def __init__(self, estimator: BaseEstimator) -> None:
        self.estimator = estimator

    def fit(self, X: Matrix, Y: TargetMatrix, **params: Any) -> Self:
        """Fit a clone for each column of Y. Parameters with n_samples items are selected like the rows of X."""
        columns = Y.tocsc() if hasattr(Y, "tocsc") else Y
        fitted = [self._fit_label(X, to_dense(columns[:, [j]]).ravel(), params) for j in range(Y.shape[1])]
        self.estimators_, self.classes_ = fitted, np.arange(Y.shape[1])
        return self

    def _fit_label(self, X, column, params):
        observed = column == column
        n_positive, n_observed = np.sum(column == 1), observed.sum()
        if n_positive in (0, n_observed):
            return float((n_positive + 0.5) / (n_observed + 1))
        if n_observed < len(column):
            (rows,) = np.nonzero(observed)
            X, column, params = _safe_indexing(X, rows), column[rows], _check_method_params(X, params, rows)
        y = column.astype(np.int64)
        y = y[:, None] if accepts_single_column(self.estimator) else y
        return clone(self.estimator).fit(X, y, **params)

    def predict_proba(self, X: Matrix) -> np.ndarray:
        """Return the probability of each label, shape (n_samples, n_labels)."""
        proba = np.empty((_num_samples(X), len(self.estimators_)))
        for j, estimator in enumerate(self.estimators_):
            is_constant = isinstance(estimator, float)
            proba[:, j] = estimator if is_constant else as_scores(estimator.predict_proba(X), estimator)[:, -1]
        return proba

    def get_metadata_routing(self) -> MetadataRouter:
        """Return the routing from `fit` to the `fit` of the classifier."""
        mapping = MethodMapping().add(callee="fit", caller="fit")
        return MetadataRouter(owner=self).add(estimator=self.estimator, method_mapping=mapping)

    def __getattr__(self, name):
        if name in ("n_features_in_", "feature_names_in_") and "estimators_" in vars(self):
            for estimator in self.estimators_:
                if hasattr(estimator, name):
                    return getattr(estimator, name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags


def labelwise_if_needed(estimator, encoder, Y):
    """Return the estimator, or a `LabelwiseClassifier` if it cannot be trained on the matrix Y.

    Of a Pipeline only the last step becomes one, so that X is transformed once, unless a transformer depends on y.
    """
    if not encoder.is_multilabel or accepting_any_target(estimator) is not None or is_frozen(estimator):
        return estimator
    takes_matrix = _accepts_several_labels(estimator) and not has_missing(Y)
    return estimator if takes_matrix else _with_labelwise_last_step(estimator)


def _with_labelwise_last_step(estimator):
    if not hasattr(estimator, "steps") or any(map(_reads_y, estimator[:-1])):
        return LabelwiseClassifier(estimator)
    name, last = estimator.steps[-1]
    return clone(estimator).set_params(**{name: _with_labelwise_last_step(last)})


def _reads_y(transformer):
    """Return whether a transformer, such as `SelectKBest` or `TargetEncoder`, may depend on the label."""
    is_selector = isinstance(transformer, SelectorMixin)  # its tags do not tell
    return is_selector or (hasattr(transformer, "fit") and get_tags(transformer).target_tags.required)


def _accepts_several_labels(estimator):
    """Return whether the last step is to be trained on an indicator.

    `MultiOutputClassifier` and `OneVsRestClassifier` have no tag `multi_label`. They are trained once per label with
    the same result, so that a fold in which a label has one class is no error. In a search, they choose parameters for
    all labels.
    """
    last = last_step(estimator)
    if isinstance(last, GridSearchCV | RandomizedSearchCV):
        return _accepts_several_labels(last.estimator) or get_tags(last_step(last.estimator)).target_tags.multi_output
    tags = get_tags(last).classifier_tags
    return isinstance(last, ClassifierChain) or (tags is not None and tags.multi_label)


def weight_parameter(estimator):
    """Return the name of the parameter of `fit` for the sample weights of the last step, or None if it takes none."""
    if hasattr(estimator, "steps"):
        step, last = estimator.steps[-1]
        name = weight_parameter(last)
        return None if name is None else f"{step}__{name}"
    inner = getattr(estimator, "estimator", None)
    if isinstance(estimator, GridSearchCV | RandomizedSearchCV):
        return weight_parameter(inner)
    # MultiOutputClassifier has the parameter, and refuses it if the classifier in it has not.
    takes_weights = has_fit_parameter(estimator, "sample_weight") and (inner is None or weight_parameter(inner))
    return "sample_weight" if takes_weights else None
