"""Meta-estimator that tunes the thresholds of any classifier on out-of-fold probabilities or scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logit
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skml._decisions._rule import DecisionRule, as_scalar
from skml._decisions._scale import scale_of
from skml._decisions._top_k import top_labels
from skml._decisions._tuning import RULES, check_rule, score, tune
from skml._dependencies import (
    HasMethods,
    Interval,
    RealNotInt,
    StrOptions,
    _fit_context,
    _num_samples,
    _safe_indexing,
)
from skml._inputs import indexable
from skml._state import VersionedState
from skml._targets._groups import group_codes
from skml._targets._weights import aligned_weights, split_weights
from skml._typing import Matrix, RandomState, Target
from skml.metrics._scorer import get_scorer
from skml.model_selection._delegation import (
    accepting_any_target,
    check_prefit_labels,
    encoder_for,
    has_oof_rows,
    label_columns,
    last_step,
    response_blocks,
    response_method,
)
from skml.model_selection._split import resolve_cv
from skml.model_selection._validation import (
    fit_clone,
    predict_columns,
    predict_out_of_fold,
    routed_params,
    router_of,
)


def _gives_probabilities(self):
    return response_method(getattr(self, "estimator_", self.estimator)) == "predict_proba"


class TunedThresholdMultiLabelClassifierCV(ClassifierMixin, MetaEstimatorMixin, VersionedState, BaseEstimator):
    """Meta-estimator that tunes the thresholds of a multi-label classifier by cross-validation.

    This is scikit-learn's `TunedThresholdClassifierCV` for multi-label problems. The probabilities are predicted out
    of fold, once. The thresholds are tuned on them without further fits. Finally, the estimator is fitted to all rows.

    Parameters
    ----------
    estimator : classifier with `predict_proba` or `decision_function`
        Any classifier that accepts an indicator, alone or as the last step of a Pipeline: `KerasMultiLabelClassifier`,
        `MLPClassifier`, ``OneVsRestClassifier(LogisticRegression())``, forests. For single-label ``y``, any binary
        classifier. If it has no `predict_proba`, like ``OneVsRestClassifier(LinearSVC())`` or `RidgeClassifier`, the
        thresholds apply to its `decision_function`. Only `KerasMultiLabelClassifier` can be trained on missing labels
        (NaN).
    scoring : str or callable, default="f1_macro"
        - "f1_macro", "f2_macro", "f0.5_macro", "jaccard_macro" or "balanced_accuracy_macro": one threshold per label.
        - "f1_micro": one threshold for all labels, or one per label if `shrinkage` is not "auto".
        - "f1_samples": one threshold for all labels.
        - "top_k": predict the k most probable labels of each row, with the k that maximizes micro-F1.
        - "proportion": predict each label in the same fraction of the rows in which it occurs in ``y``.
        - "precision>=0.9": the lowest threshold for all labels that guarantees this precision, with 95 % confidence.
          "precision>=0.9 by label" tunes one threshold per label. A label without such a threshold is never predicted.
          The target level is any number in (0, 1).
        - "recall>=0.9": the highest threshold for all labels that guarantees this recall, averaged over the rows that
          have a label.
        - A callable ``scoring(Y, Y_pred) -> float`` of 0/1 matrices: the best of up to 100 thresholds for all labels.
          It receives ``sample_weight=`` if `fit` does.
    shrinkage : "auto", None or float > 0, default="auto"
        Regularizes the thresholds of rare labels, for the macro scores and "f1_micro". None takes the optimum of each
        label, which overfits labels with few positives. A number m shrinks the optimum of a label with n positives
        toward the best threshold for all labels: in log-odds, the optimum has the weight n / (n + m). With
        "auto", "f1_micro" tunes one threshold for all labels; a macro score calibrates the probabilities and computes
        from them the threshold of each label that maximizes the expected score.
    classes : array-like of shape (n_labels,), default=None
        The label space in the order of the columns. Needed for labels that cannot be sorted or that may not occur in
        ``y``, and to name the columns of a "prefit" estimator that was fitted to an indicator. None uses the parameter
        `classes` of a `KerasMultiLabelClassifier`, or the labels of ``y``.
    cv : int, float, splitter, iterable of splits, "prefit" or "oof", default=None
        An int is the number of folds of `MultiLabelStratifiedKFold`, or of `MultiLabelStratifiedGroupKFold` if `fit`
        gets groups; None means 5. A float is the fraction of rows of a single stratified holdout. "prefit" tunes a
        fitted estimator on the X and y passed to `fit`, which should be held-out rows, and requires ``refit=False``.
        "oof" fits the estimator once and uses its ``oof_proba_``, which a `KerasMultiLabelClassifier` with
        ``n_members`` above 1 or an `AveragedMultiLabelClassifier` provides.
    refit : bool, default=True
        Whether to fit the estimator to all rows after tuning. False keeps the estimator that was fitted to the training
        rows, and requires a `cv` with a single split.
    n_jobs : int, default=None
        Number of folds to fit in parallel, as in scikit-learn.
    random_state : int, RandomState instance or None, default=None
        Controls the folds if `cv` is an int, a float or None.
    store_cv_results : bool, default=False
        Whether to store ``cv_results_``.

    Attributes
    ----------
    best_threshold_ : float or ndarray of shape (n_labels,)
        A label is predicted if its probability, or its `decision_function` if the estimator has no `predict_proba`, is
        at least the threshold. A label that is never predicted has a threshold above 1 for probabilities, and an
        infinite one for `decision_function`.
    best_k_ : int or None
        Number of labels predicted for each row, for ``scoring="top_k"``.
    best_max_labels_ : int or None
        Largest number of labels predicted for a row: `best_k_` for ``scoring="top_k"``. For a precision guarantee over
        all labels, it is the largest number that a row of the tuning data gets, and protects the guarantee against
        rare rows with many wrong labels. None sets no limit.
    best_score_ : float
        Score of the tuned thresholds on the out-of-fold probabilities. It is micro-F1 for "top_k" and "proportion", the
        precision of all predicted labels (NaN if none is predicted) for a guarantee of precision, and the mean recall
        of the rows for a guarantee of recall.
    estimator_ : classifier
        The fitted estimator.
    classes_ : ndarray of shape (n_labels,)
        The labels in the order of the columns of `predict_proba`.
    cv_results_ : dict
        Scores of common thresholds, as a baseline for the tuned ones. "thresholds" is the array 0, 0.01, ..., 1, or 101
        values over the range of `decision_function`. "scores" is the score of each as the threshold of all labels.
        Only available with ``store_cv_results=True``.
    target_encoder_ : object
        Converts ``y`` to a 0/1 matrix (``transform``) and back (``inverse_transform``).
    n_features_in_ : int
        Number of columns of X in fit. Only available if the estimator has it.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns of X in fit. Only available if the estimator has them.

    Notes
    -----
    Thresholds per label, "top_k" and "proportion" are the strategies SCut, RCut and PCut of Yang (2001).
    ``shrinkage="auto"`` combines the calibration of Platt (1999) with the optimal thresholds of Lipton et al. (2014).
    It needs no positives of a label, because it relies on the probabilities. ``shrinkage=m`` is the m-estimate of
    Cestnik (1990). If a label has no positives and `scoring` is a macro score, ``shrinkage=None`` sets its threshold
    above all its probabilities, and ``shrinkage=m`` uses the best threshold for all labels.

    Guarantees of precision are found by fixed-sequence testing (Learn then Test; Angelopoulos et al., 2021), and
    guarantees of recall by conformal risk control (Angelopoulos et al., 2022). They assume that new rows follow the
    distribution of the rows passed to `fit`, and that the thresholds were tuned on predictions of ``estimator_``
    itself. This second assumption holds for a float `cv` with ``refit=False``, and for "prefit" with held-out rows.
    With folds, ``estimator_`` is trained on more rows than the estimators of the folds, and the guarantee usually
    holds, too (for the general result see Barber et al., 2021).
    With "oof", a guarantee of recall is tuned on the estimated average of the members, as in
    `KerasMultiLabelClassifier`.

    With "by label", the confidence of 95 % holds for each label separately. The bound on precision is exact (Clopper
    and Pearson, 1934) for one label and equal weights. The labels of a row are not independent; with several labels,
    the bound therefore uses an effective number of predicted labels (Korn and Graubard, 1998), estimated from how the
    wrong ones cluster in rows. Rows with many predicted labels or large weights may be too rare to be in the data: one
    such row, with all its predicted labels wrong, is added to the estimate. It has the largest weight in the tuning
    data, and `best_max_labels_` predicted labels. A guarantee of recall assumes that a new row may have the largest
    weight (Tibshirani et al., 2019). With groups, the same holds for groups instead of rows: the weight of a group is
    that of all its rows, and a guarantee holds for the rows of new groups. Korn and Graubard define the effective
    number for such clusters.

    The soft labels and the hierarchy of a `KerasMultiLabelClassifier` act here as in its own thresholds: tuning uses
    ``y >= 0.5``, and a label is predicted only together with its parents.

    Scores of `decision_function` are treated as log-odds up to a constant factor, for calibration and for shrinkage.

    Examples
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

    __module__ = "skml"  # saved files refer to the class by its public path
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
    def fit(self, X: Matrix, y: Target, *, groups: ArrayLike | None = None, **params: Any) -> Self:
        """Tune the thresholds and fit the estimator.

        Parameters
        ----------
        X : array-like, DataFrame, sparse matrix or list of n_samples items
            Input of the estimator.
        y : label collections, indicator or binary target with n_samples rows
            As in `KerasMultiLabelClassifier.fit`, but single-label ``y`` must be binary. Its threshold is that of the
            second class.
        groups : array-like of shape (n_samples,), default=None
            The group of each row, such as a patient, for `cv`: unless it is a splitter of another kind, the rows of a
            group are in the same fold. Guarantees count groups instead of rows, and hold for the rows of new groups.
            With ``cv="oof"``, the estimator's `fit` receives them; otherwise it does if metadata routing is enabled and
            the estimator requests them.
        **params : dict
            Parameters of the estimator's `fit`, split like X in each fold. ``sample_weight`` (or
            ``step__sample_weight``) also weights the rows, or single labels, in tuning. With metadata routing enabled,
            the parameters are routed as requested by the estimator and by `cv`.

        Returns
        -------
        self : TunedThresholdMultiLabelClassifierCV

        Raises
        ------
        ValueError
            If a parameter, X, y or groups are invalid.
        """
        check_rule(self.scoring, self.shrinkage)
        X, y = indexable(X, y)
        group = group_codes(groups, _num_samples(X))
        is_fitted = isinstance(self.cv, str) and self.cv == "prefit"
        encoder = encoder_for(self.estimator, y, self.classes, is_fitted)
        self._check_target(encoder)
        Y = encoder.transform(y)
        routed = routed_params(self.get_metadata_routing(), params, groups)
        method = response_method(self.estimator)
        estimator, rows, responses = self._fit_and_respond(X, y, encoder, routed, method, groups)
        responses = encoder.output_columns(responses)
        scale = scale_of(responses, are_probabilities=method == "predict_proba")
        tuning = encoder.truth(Y[rows]), scale.proba(responses)
        weight = _sample_weight(self.estimator, routed.estimator.fit, rows, encoder, Y)
        group = None if group is None else group[rows]
        rule, self.best_score_ = tune(*tuning, self.scoring, self.shrinkage, weight, group, encoder.links_)
        if self.store_cv_results:
            data = {"sample_weight": weight, "hierarchy": encoder.links_}
            scores = [score(*tuning, self.scoring, scale.proba(threshold), **data) for threshold in scale.candidates]
            self.cv_results_ = {"thresholds": scale.candidates, "scores": np.array(scores)}
        threshold = scale.scores(rule.threshold)
        self.best_threshold_ = as_scalar(threshold) if not encoder.is_multilabel else threshold
        self.best_k_ = rule.max_labels if self.scoring == "top_k" else None
        self.best_max_labels_ = rule.max_labels
        self.estimator_, self.target_encoder_, self.classes_ = estimator, encoder, encoder.classes_
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(estimator, name):
                setattr(self, name, getattr(estimator, name))
        return self

    def predict(self, X: Matrix) -> Matrix:
        """Predict labels in the form of the ``y`` passed to `fit`.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels), or sparse matrix
            If ``y`` was label collections, an object array of tuples, in the order of ``classes_``.
        """
        rule, encoder = self.decision_rule(), self.target_encoder_
        blocks = self._column_blocks(X, response_method(self.estimator_))
        return encoder.inverse_blocks(rule.decide(encoder.output_columns(block)) for block in blocks)

    @available_if(_gives_probabilities)
    def predict_proba(self, X: Matrix) -> np.ndarray:
        """Predict the probability of each label. Only available if the estimator has `predict_proba`.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        proba : ndarray of shape (n_samples, n_labels)
            The columns have the order of ``classes_``; for binary ``y``, there is one column per class.
        """
        check_is_fitted(self)
        return self._columns(X, "predict_proba")

    @available_if(_gives_probabilities)
    def predict_top_k(self, X: Matrix, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
        """Predict the k most probable labels of each row. Only available if the estimator has `predict_proba`.

        Parameters
        ----------
        X : as in `fit`
        k : int, default=5
            Number of labels for each row, from 1 to the number of labels.

        Returns
        -------
        labels : ndarray of shape (n_samples, k)
            In the dtype of ``classes_``, the most probable label first. Labels with equal probabilities keep the order
            of ``classes_``. Thresholds are not used.
        proba : ndarray of shape (n_samples, k)
            The probabilities of these labels, as in `predict_proba`.

        Raises
        ------
        ValueError
            If k is not an integer from 1 to the number of labels.
        """
        check_is_fitted(self)
        return top_labels(self.proba_blocks(X), self.classes_, k)

    @available_if(_gives_probabilities)
    def predict_log_proba(self, X: Matrix) -> np.ndarray:
        """Predict the logarithm of the probability of each label. Only available if the estimator has `predict_proba`.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        log_proba : ndarray
            The natural logarithm of `predict_proba`, in the same shape. It is -inf where the probability is 0.
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def decision_function(self, X: Matrix) -> np.ndarray:
        """Return the log-odds of `predict_proba`, or the estimator's scores if it has no `predict_proba`.

        The scores do not depend on the thresholds.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        scores : ndarray of shape (n_samples, n_labels)
            For binary ``y``, the shape is (n_samples,), and the scores are those of the second class.
        """
        check_is_fitted(self)
        method = response_method(self.estimator_)
        scores = self._columns(X, method)
        if method == "predict_proba":
            limits = np.finfo(scores.dtype)
            scores = logit(np.clip(scores, limits.tiny, 1 - limits.epsneg))
        return self.target_encoder_.class_scores(self.target_encoder_.output_columns(scores))

    def score(self, X: Matrix, y: Target, sample_weight: ArrayLike | None = None) -> float:
        """Return the subset accuracy: the fraction of samples whose label set is predicted exactly.

        Parameters
        ----------
        X, y : as in `fit`
            Missing labels of ``y`` are ignored. A row with a label that is not in ``classes_`` counts as wrong, with a
            warning.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
        """
        check_is_fitted(self)
        return get_scorer("accuracy")(self, X, y, sample_weight=sample_weight)

    def get_metadata_routing(self) -> MetadataRouter:
        """Return the metadata routing: from `fit` to the `fit` of the estimator and the `split` of `cv`.

        Returns
        -------
        routing : MetadataRouter
        """
        return router_of(self, self.estimator, self.cv)

    def _check_target(self, encoder):
        if hasattr(self.scoring, "set_score_request"):
            raise ValueError(
                f"scoring={self.scoring!r} is a scorer, which is called with an estimator. Pass one of "
                f"{sorted(RULES)}, or a function scoring(Y, Y_pred) of two 0/1 matrices."
            )
        if not encoder.threshold_labels:
            raise ValueError(
                f"Only binary classification is supported for single-label y; got {len(encoder.classes_)} classes. "
                "Multi-class y has no threshold, because the most probable class is predicted: use the estimator alone."
            )
        if not encoder.is_multilabel and isinstance(self.scoring, str) and self.scoring == "top_k":
            raise ValueError("scoring='top_k' is not supported for binary y. Use another scoring, such as 'f1_macro'.")

    def decision_rule(self) -> DecisionRule:
        """Return the rule by which `predict` turns scores into labels; for the other modules of skml."""
        check_is_fitted(self)
        return DecisionRule(self.best_threshold_, self.best_k_ or 0, self.best_max_labels_, self.target_encoder_.links_)

    def proba_blocks(self, X: Matrix) -> Iterator[np.ndarray]:
        """Yield the rows of `predict_proba` in blocks, if the estimator can; for the other modules of skml."""
        return self._column_blocks(X, "predict_proba")

    def _column_blocks(self, X, method):
        for responses in response_blocks(self.estimator_, X, method):
            yield label_columns(responses, self.estimator_, self.target_encoder_, method)

    def _columns(self, X, method):
        """Call a method of the fitted estimator and return its output with one column for each of ``classes_``."""
        return predict_columns(self.estimator_, X, self.target_encoder_, method)

    def _fit_and_respond(self, X, y, encoder, routed, method, groups):
        """Return the fitted estimator, the rows to tune on, and the responses of the method for these rows."""
        params = routed.estimator.fit
        if isinstance(self.cv, str):
            if self.cv == "prefit":
                return self._prefit(X, encoder, method)
            return self._with_oof(X, y, encoder, _with_groups(self.estimator, params, groups))
        splitter = resolve_cv(self.cv, self.random_state, by_group=groups is not None)
        splits = list(splitter.split(X, y, **routed.splitter.split))
        if self.refit:
            rows, responses = predict_out_of_fold(self.estimator, X, y, encoder, splits, params, self.n_jobs, method)
            return fit_clone(self.estimator, X, y, encoder, params), rows, responses
        if len(splits) > 1:
            raise ValueError(
                f"refit=False requires a cv with a single split, whose estimator is kept, but cv={self.cv!r} has "
                f"{len(splits)} splits. Use refit=True, or a float cv, the fraction of rows of a single holdout."
            )
        ((train, rows),) = splits
        estimator = fit_clone(self.estimator, X, y, encoder, params, train)
        return estimator, rows, predict_columns(estimator, _safe_indexing(X, rows), encoder, method)

    def _prefit(self, X, encoder, method):
        if self.refit:
            raise ValueError("cv='prefit' uses the estimator as it is and never fits it. Pass refit=False with it.")
        check_is_fitted(self.estimator)
        if self.classes is None:
            check_prefit_labels(self.estimator, encoder)
        return self.estimator, slice(None), predict_columns(self.estimator, X, encoder, method)

    def _with_oof(self, X, y, encoder, params):
        estimator = fit_clone(self.estimator, X, y, encoder, params)
        last = last_step(estimator)
        try:
            proba = last.oof_proba_
        except AttributeError as error:
            reason = f"{error} " if accepting_any_target(last) is not None else ""
            raise ValueError(
                f"cv='oof' requires an estimator with out-of-fold probabilities, but {last!r} has no oof_proba_. "
                f"{reason}A KerasMultiLabelClassifier with n_members > 1 has it, unless y is very large. Otherwise use "
                "cv=5, or a float cv, the fraction of rows of a single holdout."
            ) from error
        Y = encoder.truth(encoder.transform(y))
        Y, *_ = split_weights(_sample_weight(self.estimator, params, slice(None), encoder, Y), Y)
        if not has_oof_rows(last, Y, proba):
            raise ValueError(
                f"cv='oof' requires that {type(last).__name__} is fitted to the rows of y in their order, but its "
                f"out-of-fold probabilities belong to {len(proba)} other rows than the {Y.shape[0]} rows of y: a "
                "preceding step changes rows, like a sampler, or it is frozen and was fitted to other rows. Use cv=5."
            )
        if hasattr(last, "oof_proba_for"):  # the average of the members decides, not each member
            proba = last.oof_proba_for(self.scoring)
        return estimator, slice(None), label_columns(proba, last, encoder)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.classifier_tags.multi_class = False
        tags.classifier_tags.multi_label = inner.classifier_tags is not None and inner.classifier_tags.multi_label
        tags.input_tags.sparse = inner.input_tags.sparse
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        return tags


def _with_groups(estimator, params, groups):
    """Return the fit parameters with the groups, which the last step needs for its own folds."""
    if groups is None:
        return params
    if not get_config()["enable_metadata_routing"]:
        return {**params, _name_in_last_step(estimator, "groups"): groups}
    if "groups" not in params:
        raise ValueError(
            "cv='oof' uses the folds of the estimator, which does not request groups. Call "
            f"set_fit_request(groups=True) on {type(last_step(estimator)).__name__}, or use cv=5."
        )
    return params


def _name_in_last_step(estimator, name):
    """Return the name by which a Pipeline passes a fit parameter to its last step."""
    while hasattr(estimator, "steps"):
        step, estimator = estimator.steps[-1]
        name = f"{step}__{name}"
    return name


def _sample_weight(estimator, params, rows, encoder, Y):
    """Return the sample weights of the rows to tune on: those in the fit parameters, of the last step if it has any."""
    names = [name for name in params if name.rpartition("__")[2] == "sample_weight"]
    last = f"{estimator.steps[-1][0]}__sample_weight" if hasattr(estimator, "steps") else "sample_weight"
    weight = params[last if last in names else names[0]] if names else None
    return None if weight is None else np.asarray(aligned_weights(weight, Y, encoder.classes_.tolist()))[rows]
