"""A classifier around any other, with thresholds tuned on probabilities or scores that were predicted out of fold."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logit
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, _fit_context
from sklearn.utils import Bunch, _safe_indexing, get_tags, indexable
from sklearn.utils._param_validation import HasMethods, Interval, RealNotInt, StrOptions
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skml._decisions._rule import DecisionRule, as_scalar
from skml._decisions._scale import scale_of
from skml._decisions._tuning import RULES, check_rule, score, tune
from skml._state import VersionedState
from skml._targets._types import Matrix, RandomState, Target
from skml.metrics._scorer import get_scorer
from skml.model_selection._delegation import (
    check_names_of_prefit,
    encoder_for,
    label_columns,
    last_step,
    response_method,
)
from skml.model_selection._split import resolve_cv
from skml.model_selection._validation import columns_for, fitted, out_of_fold


def _gives_probabilities(self):
    return response_method(getattr(self, "estimator_", self.estimator)) == "predict_proba"


class TunedThresholdMultiLabelClassifierCV(ClassifierMixin, MetaEstimatorMixin, VersionedState, BaseEstimator):
    """Classifier whose thresholds are tuned on probabilities predicted out of fold.

    scikit-learn's `TunedThresholdClassifierCV` for multi-label problems. Probabilities are predicted once
    by cross-validation, thresholds found from them without any further fit, and the estimator is fitted to all rows.

    Parameters
    ----------
    estimator : classifier with `predict_proba` or `decision_function`
        Any that takes an indicator, alone or as last step of a Pipeline: `KerasMultiLabelClassifier`,
        `MLPClassifier`, ``OneVsRestClassifier(LogisticRegression())``, forests. For one label per row any
        binary classifier. Of one without `predict_proba`, such as ``OneVsRestClassifier(LinearSVC())`` or
        `RidgeClassifier`, the thresholds are for its `decision_function`. Only `KerasMultiLabelClassifier` can
        learn from missing labels (NaN).
    scoring : str or callable, default="f1_macro"
        - "f1_macro", "f2_macro", "f0.5_macro", "jaccard_macro" or "balanced_accuracy_macro": a threshold
          for each label, for the mean over labels;
        - "f1_micro": one threshold for all labels, or with `shrinkage` other than "auto" one for each;
        - "f1_samples": one threshold for all labels;
        - "top_k": each row gets its k most probable labels, with the k that is best for micro-F1;
        - "proportion": each label gets the threshold that so many of the rows reach as have the label;
        - "precision>=0.9", or another number in (0, 1): the lowest threshold for all labels at which so many of the
          predicted labels are right, with 95 % confidence; "precision>=0.9 by label": one for each label, above 1 (or
          infinite, for `decision_function`) for a label that is never predicted, as no threshold keeps the guarantee;
        - "recall>=0.9": the highest threshold for all labels at which so many of a row's labels are predicted on
          average, over rows that have one;
        - a callable ``scoring(Y, Y_pred) -> float`` of 0/1 matrices, also given ``sample_weight=`` if `fit` got
          one: the best of up to 100 thresholds for all labels.
    shrinkage : "auto", None or float > 0, default="auto"
        For the macro scores and "f1_micro". None takes the exact optimum of each label, which overfits labels
        with few positives. A number m draws the threshold of a label with n positives toward the best one for
        all labels: on the scale of log-odds, it has the weight n / (n + m). "auto" is one threshold for
        all labels for "f1_micro"; for the macro scores it calibrates the probabilities and takes
        the thresholds that are best if they are true.
    classes : array-like of shape (n_labels,), default=None
        The label space in the order of columns, for labels that cannot be sorted or may not occur, and for the
        columns of a "prefit" estimator that has learned an indicator. None takes the parameter `classes` of a
        `KerasMultiLabelClassifier`, or the labels of ``y``.
    cv : int, float, splitter, iterable of splits, "prefit" or "oof", default=None
        None means 5, an int is the number of folds of `MultiLabelStratifiedKFold`, a float the share of
        one stratified holdout. "prefit" tunes a fitted estimator on the X and y given (which it should not have
        seen) and needs ``refit=False``. "oof" fits the estimator once and takes its ``oof_proba_``, which is there
        after a fit of `KerasMultiLabelClassifier` with ``n_members`` above 1.
    refit : bool, default=True
        Whether to fit the estimator to all rows in the end. False keeps the one fitted to the training part
        of the only split.
    n_jobs : int, default=None
        Folds to fit in parallel, as in scikit-learn.
    random_state : int, RandomState instance or None, default=None
        For the folds, unless `cv` makes its own.
    store_cv_results : bool, default=False
        Whether to keep ``cv_results_``.

    Attributes
    ----------
    best_threshold_ : float or ndarray of shape (n_labels,)
        A label is predicted where its probability is at least this, or its `decision_function` if the estimator has
        no `predict_proba`.
    best_k_ : int or None
        The number of labels of each row for ``scoring="top_k"``.
    best_score_ : float
        The score of the tuned thresholds on the out-of-fold probabilities; micro-F1 for "top_k" and "proportion", for
        a guarantee the precision of all predicted labels (NaN if there are none) or the mean recall of rows.
    estimator_ : classifier
        The fitted estimator.
    classes_ : ndarray of shape (n_labels,)
        The labels, in the order of the columns of `predict_proba`.
    cv_results_ : dict
        "thresholds" is an array of 0, 0.01, ..., 1, or of 101 values over the range of `decision_function`, and
        "scores" what each of them gives as the one threshold of all labels: what tuning has to beat.
    target_encoder_ : object
        Reads ``y`` into a 0/1 matrix (``transform``) and back (``inverse_transform``).
    n_features_in_ : int
        Number of columns of X in fit, if the estimator has it.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of X, if the estimator has them.

    Notes
    -----
    Thresholds per label, per rank and by proportion are the SCut, RCut and PCut of Yang (2001); "auto" is after Platt
    (1999) and Lipton et al. (2014), a number for `shrinkage` after Cestnik (1990). For a macro score, a label
    without a positive gets by None a threshold above all its probabilities, by a number the one for all
    labels; "auto" trusts its probabilities.

    Guarantees are kept by fixed-sequence tests (Learn then Test; Angelopoulos et al., 2021) and conformal risk control
    (Angelopoulos et al., 2022). They assume that new rows come from where those of `fit` did, and that the classifier
    is the one that answered for those: as with a float `cv` and ``refit=False``, or "prefit" on rows that it has not
    seen. After folds, the one fitted to all rows has learned from more, and usually keeps them too (Barber et al.,
    2021, on what can be shown). By label, each has its 95 % for itself. The bound on precision is exact (Clopper and
    Pearson, 1934) for one label and equal weights; labels of a row are not independent, so for several it is that of
    an effective number of labels (Korn and Graubard, 1998), seen in how wrong ones come together in rows.

    Scores of `decision_function` are taken for log-odds, up to a factor: on that scale Platt's two numbers are fitted,
    and thresholds are drawn toward the common one.

    Dataset
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.multiclass import OneVsRestClassifier
    >>> from skml import TunedThresholdMultiLabelClassifierCV
    >>> X = np.random.RandomState(0).randn(200, 2)
    >>> y = [{name for name, x in zip(["left", "up"], row) if x > 1} for row in X]
    >>> clf = TunedThresholdMultiLabelClassifierCV(OneVsRestClassifier(LogisticRegression()), random_state=0)
    >>> clf.fit(X, y).predict([[2, 0], [2, 2]])
    array([('left',), ('left', 'up')], dtype=object)
    >>> clf.best_threshold_.shape
    (2,)
    """

    __module__ = "skml"  # the public path, which files name
    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict_proba"]), HasMethods(["fit", "decision_function"])],
        "scoring": [str, callable],
        "shrinkage": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither"), None],
        "classes": ["array-like", set, None],
        "cv": ["cv_object", StrOptions({"prefit", "oof"}), Interval(RealNotInt, 0, 1, closed="neither")],
        "refit": ["boolean"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "store_cv_results": ["boolean"],
    }

    def __init__(
        self,
        estimator: BaseEstimator,
        *,
        scoring: str | Callable[..., float] = "f1_macro",
        shrinkage: float | str | None = "auto",
        classes: ArrayLike | None = None,
        cv: Any = None,
        refit: bool = True,
        n_jobs: int | None = None,
        random_state: RandomState = None,
        store_cv_results: bool = False,
    ) -> None:
        self.estimator = estimator
        self.scoring = scoring
        self.shrinkage = shrinkage
        self.classes = classes
        self.cv = cv
        self.refit = refit
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.store_cv_results = store_cv_results

    @_fit_context(prefer_skip_nested_validation=False)  # the estimator validates its own parameters
    def fit(self, X: Matrix, y: Target, **params: Any) -> Self:
        """Tune the thresholds and fit the estimator.

        Parameters
        ----------
        X : array-like, DataFrame, sparse matrix or list of n_samples items
            As the estimator takes it.
        y : label collections, indicator, or one label per row, n_samples in all
            As in `KerasMultiLabelClassifier.fit`. One label per row must be of two classes; the threshold is that
            of the second.
        **params : dict
            Passed to the `fit` of the estimator, in a fold with its rows. ``sample_weight`` (or
            ``step__sample_weight``) also weighs the rows in tuning. With metadata routing enabled, routed as
            requested by the estimator and by `cv`.

        Returns
        -------
        self : TunedThresholdMultiLabelClassifierCV

        Raises
        ------
        ValueError
            If a parameter, X or y is not as described.
        """
        check_rule(self.scoring, self.shrinkage)
        X, y = indexable(X, y)
        is_fitted = isinstance(self.cv, str) and self.cv == "prefit"
        encoder = encoder_for(self.estimator, y, self.classes, is_fitted)
        self._check_target(encoder)
        Y = encoder.transform(y)
        routed = self._routed(params)
        method = response_method(self.estimator)
        estimator, rows, answers = self._answers(X, y, encoder, routed, method)
        answers = encoder.output_columns(answers)
        scale = scale_of(answers, are_probabilities=method == "predict_proba")
        tuning = Y[rows], scale.proba(answers)
        weight = _sample_weight(self.estimator, routed.estimator.fit, rows)
        rule, self.best_score_ = tune(*tuning, self.scoring, self.shrinkage, weight)
        if self.store_cv_results:
            scores = [score(*tuning, self.scoring, scale.proba(threshold), weight) for threshold in scale.tried]
            self.cv_results_ = {"thresholds": scale.tried, "scores": np.array(scores)}
        threshold = scale.scores(rule.threshold)
        self.best_threshold_ = as_scalar(threshold) if encoder.has_one_threshold else threshold
        self.best_k_ = rule.max_labels
        self.estimator_, self.target_encoder_, self.classes_ = estimator, encoder, encoder.classes_
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(estimator, name):
                setattr(self, name, getattr(estimator, name))
        return self

    def predict(self, X: Matrix) -> Matrix:
        """Predict labels in the form of the ``y`` given to `fit`.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels), or sparse matrix
            For label collections an object array of tuples, in the order of ``classes_``.
        """
        check_is_fitted(self)
        encoder = self.target_encoder_
        answers = self._columns(X, response_method(self.estimator_))
        return encoder.inverse_transform(self._rule().decide(encoder.output_columns(answers)))

    @available_if(_gives_probabilities)
    def predict_proba(self, X: Matrix) -> np.ndarray:
        """Predict the probability of each label by the fitted estimator, which must have the method.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        proba : ndarray of shape (n_samples, n_labels)
            Columns as in ``classes_``; with one label per row those of the two classes.
        """
        check_is_fitted(self)
        return self._columns(X, "predict_proba")

    def decision_function(self, X: Matrix) -> np.ndarray:
        """Predict log-odds, those of `predict_proba`, or the scores of an estimator that has no `predict_proba`.

        The thresholds have no part in them.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        scores : ndarray of shape (n_samples, n_labels)
            With one label per row (n_samples,), for the second class.
        """
        check_is_fitted(self)
        method = response_method(self.estimator_)
        scores = self._columns(X, method)
        if method == "predict_proba":
            limits = np.finfo(scores.dtype)
            scores = logit(np.clip(scores, limits.tiny, 1 - limits.epsneg))
        return self.target_encoder_.class_scores(self.target_encoder_.output_columns(scores))

    def score(self, X: Matrix, y: Target, sample_weight: ArrayLike | None = None) -> float:
        """Return the share of rows whose labels are all predicted right (subset accuracy).

        Parameters
        ----------
        X, y : as in `fit`
            A row of ``y`` is right if its observed entries are. One with a label that is not in ``classes_`` counts as
            wrong, with a warning.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
        """
        check_is_fitted(self)
        return get_scorer("accuracy")(self, X, y, sample_weight=sample_weight)

    def get_metadata_routing(self) -> MetadataRouter:
        """Return how metadata are routed: by `fit` to the `fit` of the estimator and the `split` of `cv`.

        Returns
        -------
        routing : MetadataRouter
        """
        router = MetadataRouter(owner=self)
        router.add(estimator=self.estimator, method_mapping=MethodMapping().add(callee="fit", caller="fit"))
        return router.add(splitter=self.cv, method_mapping=MethodMapping().add(callee="split", caller="fit"))

    def _check_target(self, encoder):
        if hasattr(self.scoring, "set_score_request"):
            raise ValueError(
                f"scoring={self.scoring!r} is a scorer, which takes an estimator; pass one of {sorted(RULES)}, or a "
                "function scoring(Y, Y_pred) of two 0/1 matrices."
            )
        if not encoder.threshold_labels:
            raise ValueError(
                f"Only binary classification is supported with one label per row; got {len(encoder.classes_)} classes, "
                "the most probable one is predicted, and there is no threshold to tune."
            )
        if encoder.has_one_threshold and isinstance(self.scoring, str) and self.scoring == "top_k":
            raise ValueError("scoring='top_k' has no meaning for one label per row; take 'f1_macro'.")

    def _routed(self, params):
        if get_config()["enable_metadata_routing"]:
            return process_routing(self, "fit", **params)
        return Bunch(estimator=Bunch(fit=params), splitter=Bunch(split={}))

    def _rule(self):
        return DecisionRule(self.best_threshold_, self.best_k_ or 0, self.best_k_)

    def _columns(self, X, method):
        """Return what a method of the fitted estimator answers, a column for each of ``classes_``."""
        return columns_for(self.estimator_, X, self.target_encoder_, method)

    def _answers(self, X, y, encoder, routed, method):
        """Return the fitted estimator, the rows to tune on and what its method answers for them."""
        params = routed.estimator.fit
        if isinstance(self.cv, str):
            return self._prefit(X, encoder, method) if self.cv == "prefit" else self._with_oof(X, y, encoder, params)
        splits = list(resolve_cv(self.cv, self.random_state).split(X, y, **routed.splitter.split))
        if self.refit:
            rows, answers = out_of_fold(self.estimator, X, y, encoder, splits, params, self.n_jobs, method)
            return fitted(self.estimator, X, y, encoder, params), rows, answers
        if len(splits) > 1:
            raise ValueError(
                f"refit=False keeps the estimator of the only split, but cv={self.cv!r} makes {len(splits)}; take "
                "refit=True, or a float, the share of one holdout."
            )
        ((train, rows),) = splits
        estimator = fitted(self.estimator, X, y, encoder, params, train)
        return estimator, rows, columns_for(estimator, _safe_indexing(X, rows), encoder, method)

    def _prefit(self, X, encoder, method):
        if self.refit:
            raise ValueError("cv='prefit' tunes on a fitted estimator and never fits it: pass refit=False.")
        check_is_fitted(self.estimator)
        if self.classes is None:
            check_names_of_prefit(self.estimator, encoder)
        return self.estimator, slice(None), columns_for(self.estimator, X, encoder, method)

    def _with_oof(self, X, y, encoder, params):
        estimator = fitted(self.estimator, X, y, encoder, params)
        last = last_step(estimator)
        proba = getattr(last, "oof_proba_", None)
        if proba is None:
            raise ValueError(
                f"cv='oof' takes the out-of-fold probabilities of a fit, but {last!r} has no oof_proba_. It is "
                "there after a fit of KerasMultiLabelClassifier with n_members > 1, unless y is very large; for others "
                "take cv=5."
            )
        return estimator, slice(None), label_columns(proba, last, encoder)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.classifier_tags.multi_class = False
        tags.classifier_tags.multi_label = inner.classifier_tags is not None and inner.classifier_tags.multi_label
        tags.input_tags.sparse = inner.input_tags.sparse
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        return tags


def _sample_weight(estimator, params, rows):
    """Return the weights of the rows to tune on, from what `fit` of the estimator gets: those of the last step."""
    names = [name for name in params if name.rpartition("__")[2] == "sample_weight"]
    last = f"{estimator.steps[-1][0]}__sample_weight" if hasattr(estimator, "steps") else "sample_weight"
    weight = params[last if last in names else names[0]] if names else None
    return None if weight is None else np.asarray(weight)[rows]
