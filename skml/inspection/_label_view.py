"""A fitted multi-label classifier, seen as the binary classifier of one label."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skml._decisions._rule import DecisionRule, MostProbable
from skml._targets._labels import label_index
from skml._targets._types import Matrix, Target
from skml.model_selection._delegation import as_scores, labels_of, threshold_in_force, truth_of_label


def label_view(estimator: BaseEstimator, label: Hashable) -> LabelView:
    """Return a fitted classifier as the binary classifier of one of its labels.

    It is for all that takes a binary classifier: scikit-learn's `CalibrationDisplay`, `RocCurveDisplay`,
    `PrecisionRecallDisplay`, `DecisionBoundaryDisplay`, `permutation_importance`,
    ``CalibratedClassifierCV(FrozenEstimator(view))``, ``shap.Explainer(view.predict_proba, X)``.

    Parameters
    ----------
    estimator : fitted classifier with predict_proba
        `KerasMultiLabelClassifier`, `TunedThresholdMultiLabelClassifierCV` or any other multi-label classifier, also
        in a Pipeline or search. It is not copied: ``set_params(threshold=...)`` on it acts at once.
    label : object
        One of ``classes_``; of a classifier that has classes for each output, the number of the output. With one
        label per row, the class that is set against the others.

    Returns
    -------
    view : LabelView
        With ``classes_`` 0 and 1, ``threshold_``, `predict_proba`, `decision_function` where the estimator has it,
        `predict`, `score` and `target`. It is never fitted again, nor cloned.

    Raises
    ------
    ValueError
        If the estimator does not know the label.
    AttributeError
        If it has no `predict_proba`.
    sklearn.exceptions.NotFittedError
        If it is not fitted.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.multiclass import OneVsRestClassifier
    >>> from skml import TunedThresholdMultiLabelClassifierCV
    >>> from skml.inspection import label_view
    >>> X = np.random.RandomState(0).randn(200, 2)
    >>> y = [{name for name, x in zip(["left", "up"], row) if x > 1} for row in X]
    >>> clf = TunedThresholdMultiLabelClassifierCV(OneVsRestClassifier(LogisticRegression())).fit(X, y)
    >>> view = label_view(clf, "up")
    >>> view.predict([[2, 0], [0, 2]])
    array([0, 1])
    >>> view.target(y[:4]).tolist() == ["up" in row for row in y[:4]]
    True
    >>> from sklearn.metrics import RocCurveDisplay
    >>> display = RocCurveDisplay.from_estimator(view, X, view.target(y))
    """
    check_is_fitted(estimator)
    if not hasattr(estimator, "predict_proba"):
        raise AttributeError(f"label_view needs probabilities, but {type(estimator).__name__} has no predict_proba.")
    label_index(label, labels_of(estimator))
    return LabelView(estimator, label)


def _has_decision_function(view):
    return hasattr(view.estimator, "decision_function")


class LabelView(ClassifierMixin, BaseEstimator):
    """A fitted multi-label classifier as the binary classifier of one label.

    Make it by `label_view`.

    Parameters
    ----------
    estimator : fitted classifier with predict_proba
    label : object
        One of its labels.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        0, and 1 for rows that have the label.
    threshold_ : float
        What the estimator predicts the label from, 0.5 if it has no threshold. NaN for multi-class ``y``, where the
        most probable class is predicted.
    n_features_in_, feature_names_in_
        Those of the estimator, if it has them.
    """

    def __init__(self, estimator, label):
        self.estimator = estimator
        self.label = label

    @property
    def classes_(self) -> np.ndarray:
        """Without and with the label."""
        return np.array([0, 1])

    @property
    def threshold_(self) -> float:
        """The threshold in force."""
        return float(threshold_in_force(self.estimator, len(labels_of(self.estimator)))[self._column])

    @property
    def n_features_in_(self):
        """Number of columns of X in fit."""
        return self.estimator.n_features_in_

    @property
    def feature_names_in_(self):
        """Names of the columns of X in fit."""
        return self.estimator.feature_names_in_

    def predict_proba(self, X: Matrix) -> np.ndarray:
        """Predict the probability of the label.

        Parameters
        ----------
        X : what the estimator predicts from

        Returns
        -------
        proba : ndarray of shape (n_samples, 2)
            Without and with the label.
        """
        proba = self._scores(X, "predict_proba")[:, self._column]
        return np.column_stack([1 - proba, proba])

    @available_if(_has_decision_function)
    def decision_function(self, X: Matrix) -> np.ndarray:
        """Return the estimator's score of the label.

        Parameters
        ----------
        X : what the estimator predicts from

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            Log-odds, if the estimator is `KerasMultiLabelClassifier`; for multi-class ``y`` log-probabilities.
        """
        return self._scores(X, "decision_function")[:, self._column]

    def predict(self, X: Matrix) -> np.ndarray:
        """Predict whether rows have the label: where its probability is at least its threshold.

        The estimator's `predict` says the same, unless it limits the labels of a row (``min_labels``, ``max_labels``,
        "top_k"): that is a matter of all labels, and has no part here.

        Parameters
        ----------
        X : what the estimator predicts from

        Returns
        -------
        y : ndarray of shape (n_samples,)
            0 and 1.
        """
        proba, threshold = self._scores(X, "predict_proba"), self.threshold_
        rule = MostProbable() if np.isnan(threshold) else DecisionRule(threshold)
        return rule.decide(proba)[:, self._column].astype(np.int64)

    def target(self, y: Target) -> np.ndarray:
        """Return which rows of ``y`` have the label, for all that compares with `predict` or `predict_proba`.

        Parameters
        ----------
        y : label collections, indicator, or one label per row, n_samples in all
            As the estimator takes it in fit: `KerasMultiLabelClassifier` knows the columns of a DataFrame by their
            names, others know columns by their position.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            0 and 1 as int64. If there are missing labels, float64 with NaN; leave such rows out, as scikit-learn takes
            no NaN: ``known = ~np.isnan(view.target(y))``.
        """
        return truth_of_label(self.estimator, y, self.label)

    def fit(self, X, y=None):
        """Refuse to learn: it is the estimator that is fitted, and before it is looked at.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise NotImplementedError(
            "A LabelView shows one label of a fitted classifier and is never fitted: fit that classifier, and where "
            "something fits what it is given, such as CalibratedClassifierCV, pass FrozenEstimator(view)."
        )

    @property
    def _column(self):
        return label_index(self.label, labels_of(self.estimator))

    def _scores(self, X, method):
        return as_scores(getattr(self.estimator, method)(X), self.estimator)

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_clone__(self):
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags
