"""View of a fitted multi-label classifier as a binary classifier of one label."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skml._decisions._rule import DecisionRule, MostProbable
from skml._targets._labels import label_index
from skml._typing import Matrix, Target
from skml.model_selection._delegation import as_scores, labels_of, threshold_in_force, truth_of_label


def label_view(estimator: BaseEstimator, label: Hashable) -> LabelView:
    """Return a fitted classifier as a binary classifier of one of its labels.

    The view works with all tools for binary classifiers: scikit-learn's `CalibrationDisplay`, `RocCurveDisplay`,
    `PrecisionRecallDisplay`, `DecisionBoundaryDisplay` and `permutation_importance`,
    ``CalibratedClassifierCV(FrozenEstimator(view))``, and ``shap.Explainer(view.predict_proba, X)``. Legends of
    scikit-learn's displays name the class of the classifier; pass ``name=label`` to name the label.

    Parameters
    ----------
    estimator : fitted classifier with `predict_proba`
        `KerasMultiLabelClassifier`, `TunedThresholdMultiLabelClassifierCV` or any other multi-label classifier, also
        in a Pipeline or search. It is not copied: the view follows changes such as ``set_params(threshold=...)``.
    label : object
        One of ``classes_``, or the number of the output if ``classes_`` is a list of classes for each output. For a
        single-label classifier, the class that is compared with all others.

    Returns
    -------
    view : LabelView
        Has ``classes_`` (0 and 1), ``threshold_``, `predict_proba`, `predict`, `score` and `target`, and
        `decision_function` if the estimator has it. The view cannot be fitted, and `clone` returns the view itself.

    Raises
    ------
    ValueError
        If the estimator has no such label.
    AttributeError
        If the estimator has no `predict_proba`.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.

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
    >>> display = RocCurveDisplay.from_estimator(view, X, view.target(y), name="up")  # the name in the legend
    """
    check_is_fitted(estimator)
    if not hasattr(estimator, "predict_proba"):
        raise AttributeError(
            f"label_view requires a classifier with predict_proba; {type(estimator).__name__} has no predict_proba. "
            "Use a classifier with probabilities, such as OneVsRestClassifier(CalibratedClassifierCV(LinearSVC()))."
        )
    label_index(label, labels_of(estimator))
    return LabelView(estimator, label)


def _has_decision_function(view):
    return hasattr(view.estimator, "decision_function")


class LabelView(ClassifierMixin, BaseEstimator):
    """Binary classifier of one label of a fitted multi-label classifier.

    Create it with `label_view`.

    Parameters
    ----------
    estimator : fitted classifier with `predict_proba`
    label : object
        One of the labels of the estimator.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        0 for rows without the label, 1 for rows with it.
    threshold_ : float
        Probability from which the estimator predicts the label, 0.5 if the estimator has no threshold. NaN for
        multi-class ``y``, where the most probable class is predicted.
    n_features_in_, feature_names_in_
        As in the estimator, if it has them.
    """

    def __init__(self, estimator, label):
        self.estimator = estimator
        self.label = label

    @property
    def classes_(self) -> np.ndarray:
        """0 for rows without the label, 1 for rows with it."""
        return np.array([0, 1])

    @property
    def threshold_(self) -> float:
        """Probability from which the estimator predicts the label."""
        return float(threshold_in_force(self.estimator, len(labels_of(self.estimator)))[self._column])

    @property
    def n_features_in_(self):
        """Number of columns of X in the fit of the estimator."""
        return self.estimator.n_features_in_

    @property
    def feature_names_in_(self):
        """Names of the columns of X in the fit of the estimator."""
        return self.estimator.feature_names_in_

    def predict_proba(self, X: Matrix) -> np.ndarray:
        """Predict the probability of the label.

        Parameters
        ----------
        X : input of the estimator, n_samples rows

        Returns
        -------
        proba : ndarray of shape (n_samples, 2)
            Probabilities of 0 (without the label) and of 1 (with it).
        """
        proba = self._scores(X, "predict_proba")[:, self._column]
        return np.column_stack([1 - proba, proba])

    @available_if(_has_decision_function)
    def decision_function(self, X: Matrix) -> np.ndarray:
        """Return the score of the label from the estimator's `decision_function`.

        Parameters
        ----------
        X : input of the estimator, n_samples rows

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            For a `KerasMultiLabelClassifier` the log-odds of the label, or the log-probability of the class for
            multi-class ``y``.
        """
        return self._scores(X, "decision_function")[:, self._column]

    def predict(self, X: Matrix) -> np.ndarray:
        """Predict 1 for rows in which the probability of the label is at least its threshold, and 0 for the others.

        The result agrees with the estimator's `predict`, except that limits on the number of labels in a row
        (``min_labels``, ``max_labels``, "top_k") are ignored, as they depend on all labels.

        Parameters
        ----------
        X : input of the estimator, n_samples rows

        Returns
        -------
        y : ndarray of shape (n_samples,)
            0 and 1, as int64.
        """
        proba, threshold = self._scores(X, "predict_proba"), self.threshold_
        rule = MostProbable() if np.isnan(threshold) else DecisionRule(threshold)
        return rule.decide(proba)[:, self._column].astype(np.int64)

    def target(self, y: Target) -> np.ndarray:
        """Return the binary target of the label, to compare with `predict` and `predict_proba`.

        Parameters
        ----------
        y : label collections, indicator or single-label target with n_samples rows
            In a form that the estimator accepts in `fit`. `KerasMultiLabelClassifier` matches the columns of a
            DataFrame by name, other estimators by position.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            1 for rows with the label and 0 for the others, as int64. With missing labels, float64 with NaN.
            scikit-learn does not accept NaN: select the rows ``observed = ~np.isnan(view.target(y))``.
        """
        return truth_of_label(self.estimator, y, self.label)

    def fit(self, X, y=None):
        """Not supported: the wrapped estimator must already be fitted.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise NotImplementedError(
            "A LabelView cannot be fitted. Fit the classifier that it wraps instead. To pass the view to a tool that "
            "calls fit, such as CalibratedClassifierCV, wrap it: FrozenEstimator(view)."
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
