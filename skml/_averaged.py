"""Meta-estimator that averages the probabilities of several classifiers, with weights found out of fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logit
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.utils import Bunch, get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from skml._decisions._convex_weights import convex_weights
from skml._decisions._rule import DecisionRule, MostProbable, decision_rule, is_rule_name
from skml._decisions._tuning import TunedThresholds
from skml._dependencies import StrOptions, _BaseComposition, _check_sample_weight, _fit_context, _num_samples
from skml._inputs import indexable, open_interval
from skml._state import VersionedState
from skml._targets._warnings import warn_once
from skml._typing import Matrix, RandomState, Target, TargetMatrix
from skml.metrics._scorer import get_scorer
from skml.model_selection._delegation import classes_of, encoder_for, has_oof_rows, label_columns, last_step
from skml.model_selection._labelwise import labelwise_if_needed, weight_parameter
from skml.model_selection._split import resolve_cv
from skml.model_selection._validation import fit_clone, in_order, predict_columns, predict_out_of_fold


class AveragedMultiLabelClassifier(ClassifierMixin, MetaEstimatorMixin, VersionedState, _BaseComposition):
    """Weighted average of the probabilities of several classifiers, for ``y`` in every form.

    This is scikit-learn's ``VotingClassifier(voting="soft")`` for multi-label problems. Its weights are found on
    out-of-fold probabilities. Networks and trees make different errors, so that their average is often better than
    both: see lesson 11 in ``examples/11_the_best_of_both.py``.

    Parameters
    ----------
    estimators : list of (str, classifier) tuples
        Classifiers with `predict_proba`, or Pipelines that end in one. If a classifier accepts neither several labels
        nor missing labels (NaN), one clone of it is trained for each label, on the rows in which the label is observed;
        the transformers of a Pipeline are fitted once, unless they select or encode columns by ``y``.
        "drop" in place of a classifier leaves it out, as in ``set_params(trees="drop")``.
    weights : "oof", array-like of shape (n_estimators,) or None, default="oof"
        Weights of the probabilities. "oof" finds the weights of at least 0 with the smallest log-loss on out-of-fold
        probabilities (Breiman, 1996). An array holds numbers of at least 0, which are divided by their sum. None
        weights all classifiers alike.
    threshold : float, array-like of shape (n_labels,), mapping label -> float, or str, default=0.5
        A label is predicted if its probability is at least its threshold, as in `KerasMultiLabelClassifier`. "f1_micro"
        and "f1_macro", and guarantees such as "precision>=0.9", are tuned on the out-of-fold probabilities. `predict`
        reads this parameter, so ``set_params`` acts on a fitted estimator. Multi-class y has no threshold.
    classes : array-like of shape (n_labels,), default=None
        The label space in the order of the columns. Needed for labels that cannot be sorted or that may not occur in
        ``y``. None uses the parameter `classes` of a `KerasMultiLabelClassifier` in the list, or the labels of ``y``.
    cv : int, splitter, iterable of (train, test) or None, default=None
        The folds of the out-of-fold probabilities, each row in one test part. An int is the number of folds of
        `MultiLabelStratifiedKFold`. None is 5 if `weights` or `threshold` needs them, and otherwise no folds. A
        classifier that has ``oof_proba_`` after its fit, such as `KerasMultiLabelClassifier`, needs no fit per fold.
    n_jobs : int, default=None
        Number of fits in parallel, as in scikit-learn.
    random_state : int, RandomState instance or None, default=None
        Controls the folds if `cv` is an int or None.

    Attributes
    ----------
    estimators_ : list of classifier
        The classifiers fitted to all rows, without those that are "drop".
    named_estimators_ : Bunch
        The same by name, and "drop" where one was left out.
    weights_ : ndarray of shape (n_estimators,)
        Their weights, which add up to 1. A classifier with weight 0 is not used in predictions.
    oof_proba_ : ndarray of shape (n_samples, n_labels)
        Out-of-fold probabilities of the training rows: the average of those of the classifiers. Not available without
        folds (see `cv`), and not pickled. Its weights were found on the same rows, which matters little, as they are
        few.
    threshold_ : float, ndarray of shape (n_labels,) or None
        The threshold in use.
    classes_ : ndarray of shape (n_labels,)
        The labels in the order of the columns of `predict_proba`.
    target_encoder_ : object
        Converts ``y`` to a 0/1 matrix (``transform``) and back (``inverse_transform``).
    n_features_in_ : int
        Number of columns of X in fit. Only available if a classifier has it.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns of X in fit. Only available if a classifier has them.

    See Also
    --------
    TunedThresholdMultiLabelClassifierCV : More rules for thresholds; around this class use ``cv="oof"``.

    Notes
    -----
    The loss is that of `skml.metrics.log_loss`, with probabilities of at least 1.2e-7. Convex weights need no
    regularization: with any number of classifiers, the average is about as good as the best of them (van der Laan et
    al., 2007).

    A label whose observed entries are all 0, or all 1, in the rows of a fit gets a constant probability where one clone
    is trained per label.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import ExtraTreesClassifier
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skml import AveragedMultiLabelClassifier
    >>> X = np.random.RandomState(0).randn(200, 2)
    >>> y = [{name for name, x in zip(["left", "up"], row) if x > 0.5} for row in X]
    >>> trees = ExtraTreesClassifier(20, random_state=0)
    >>> clf = AveragedMultiLabelClassifier([("linear", LogisticRegression()), ("trees", trees)], random_state=0)
    >>> clf.fit(X, y).predict([[2, 0], [2, 2]])
    array([('left',), ('left', 'up')], dtype=object)
    >>> clf.weights_.shape
    (2,)
    """

    __module__ = "skml"  # saved files refer to the class by its public path
    accepts_any_target = True  # fit and score accept y in any form, and there is a parameter classes
    _parameter_constraints = {
        "estimators": [list],
        "weights": [StrOptions({"oof"}), "array-like", None],
        "classes": ["array-like", set, None],
        "cv": ["cv_object"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimators: Sequence[tuple[str, BaseEstimator | str]],
        *,
        weights: ArrayLike | str | None = "oof",
        threshold: float | str | Mapping[Any, float] | ArrayLike = 0.5,
        classes: ArrayLike | None = None,
        cv: Any = None,
        n_jobs: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.estimators = estimators
        self.weights = weights
        self.threshold = threshold
        self.classes = classes
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)  # the classifiers validate their own parameters
    def fit(self, X: Matrix, y: Target, sample_weight: ArrayLike | None = None, **params: Any) -> Self:
        """Fit the classifiers and find their weights.

        Parameters
        ----------
        X : array-like, DataFrame, sparse matrix or list of n_samples items
            Input of the classifiers.
        y : label collections, indicator or single-label target with n_samples rows
            As in `KerasMultiLabelClassifier.fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            Passed to the classifiers whose `fit` takes weights, with a warning that names the others. It also weights
            the rows in the loss and for thresholds. With metadata routing, it is passed to those that request it.
        **params : dict
            Further parameters, only with metadata routing enabled: they are routed as requested by the classifiers and
            by `cv`.

        Returns
        -------
        self : AveragedMultiLabelClassifier

        Raises
        ------
        ValueError
            If a parameter, X or y is invalid. The estimator then stays as it was.
        """
        X, y = indexable(X, y)
        named = self._named_classifiers()
        given = self._given_weights()
        encoder = self._encoder(named, y)
        decision_rule(encoder, self.threshold, 0, None)  # refuses bad thresholds before training
        Y = encoder.transform(y)
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        routed, of_split = self._routed(named, sample_weight, params)
        jobs = [(labelwise_if_needed(estimator, encoder, Y), routed[name]) for name, estimator in named.items()]
        fitted = Parallel(n_jobs=self.n_jobs)(
            delayed(_fit_classifier)(estimator, X, y, encoder, Y, of_fit) for estimator, of_fit in jobs
        )
        estimators, left = map(list, zip(*fitted, strict=True))
        oof_probas = self._oof_probas(X, y, encoder, jobs, left, of_split)
        if isinstance(self.weights, str):
            outputs = [encoder.output_columns(proba) for proba in oof_probas]
            given = convex_weights(Y, outputs, weight, is_multiclass=not encoder.threshold_labels)
        self.estimators_, self.weights_ = estimators, given
        self.target_encoder_, self.classes_ = encoder, encoder.classes_
        self._names = [(name, name in named) for name, _ in self.estimators]
        self._oof_proba, self._tuned = None, TunedThresholds()
        if oof_probas is not None:
            self._oof_proba = _average(oof_probas, given)
            self._tuned = TunedThresholds(Y, encoder.output_columns(self._oof_proba), weight)
        self._set_features()
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
        return encoder.inverse_transform(rule.decide(encoder.output_columns(self.predict_proba(X))))

    def predict_proba(self, X: Matrix) -> np.ndarray:
        """Predict the probability of each label: the weighted average of the classifiers.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        proba : ndarray of shape (n_samples, n_labels)
            Inside (0, 1), with columns as in ``classes_``. For single-label ``y`` the shape is (n_samples, n_classes).
        """
        check_is_fitted(self)
        used = [pair for pair in zip(self.estimators_, self.weights_, strict=True) if pair[1] > 0]
        columns = [predict_columns(estimator, X, self.target_encoder_, "predict_proba") for estimator, _ in used]
        return open_interval(_average(columns, [weight for _, weight in used]))

    def predict_log_proba(self, X: Matrix) -> np.ndarray:
        """Predict the logarithm of the probability of each label.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        log_proba : ndarray
            The natural logarithm of `predict_proba`, in the same shape.
        """
        return np.log(self.predict_proba(X))

    def decision_function(self, X: Matrix) -> np.ndarray:
        """Predict log-odds.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        scores : ndarray of shape (n_samples, n_labels)
            Log-odds of each label. For binary y of shape (n_samples,), the log-odds of the second class; for
            multi-class y log-probabilities of shape (n_samples, n_classes).
        """
        proba, encoder = self.predict_proba(X), self.target_encoder_
        scores = logit(proba) if encoder.threshold_labels else np.log(proba)
        return encoder.class_scores(encoder.output_columns(scores))

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

    @property
    def named_estimators_(self) -> Bunch:
        """The fitted classifiers by name."""
        if "_names" not in vars(self):
            raise AttributeError("named_estimators_ is only available after fit.")
        estimators = iter(self.estimators_)
        return Bunch(**{name: next(estimators) if is_kept else "drop" for name, is_kept in self._names})

    @property
    def oof_proba_(self) -> np.ndarray:
        """Out-of-fold probabilities of the training rows."""
        proba = vars(self).get("_oof_proba")
        if proba is None:
            raise AttributeError(
                "oof_proba_ is only available after a fit with weights='oof', a tuned threshold, or cv=5 or another "
                "cv; it is not pickled."
            )
        return proba

    @property
    def threshold_(self) -> float | np.ndarray | None:
        """The threshold in use."""
        if "target_encoder_" not in vars(self):
            raise AttributeError("threshold_ is only available after fit.")
        try:
            return self.decision_rule().threshold
        except ValueError as error:  # a name that was not tuned
            raise AttributeError(str(error)) from error

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, with ``deep=True`` also the classifiers by name and their parameters.

        Parameters
        ----------
        deep : bool, default=True

        Returns
        -------
        params : dict
        """
        return self._get_params("estimators", deep=deep)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, classifiers by name (or "drop"), and their parameters as ``name__parameter``.

        Parameters
        ----------
        **params : dict

        Returns
        -------
        self : AveragedMultiLabelClassifier
        """
        return self._set_params("estimators", **params)

    def get_metadata_routing(self) -> MetadataRouter:
        """Return the metadata routing: from `fit` to the `fit` of each classifier and the `split` of `cv`.

        Returns
        -------
        routing : MetadataRouter
        """
        router, fit = MetadataRouter(owner=self), MethodMapping().add(callee="fit", caller="fit")
        for name, estimator in self.estimators:
            if not _is_dropped(estimator):
                router.add(**{name: estimator}, method_mapping=fit)
        # A classifier cannot have this name, which is a parameter.
        return router.add(cv=self.cv, method_mapping=MethodMapping().add(callee="split", caller="fit"))

    # For the other modules of skml, which must not read private attributes.

    def decision_rule(self) -> DecisionRule | MostProbable:
        """Return the rule by which `predict` turns probabilities into labels; for the other modules of skml."""
        check_is_fitted(self)
        return decision_rule(self.target_encoder_, self.threshold, 0, None, self._tuned)

    def oof_target(self) -> TargetMatrix:
        """Return the 0/1 matrix of the rows that ``oof_proba_`` predicts; for the other modules of skml."""
        check_is_fitted(self)
        return self._tuned.Y

    def _named_classifiers(self):
        """Return name -> classifier, without those that are dropped, after checking all of them."""
        if not all(_is_named(item) for item in self.estimators):
            raise ValueError(
                f"estimators must be a list of (name, classifier) tuples, such as [('net', KerasMultiLabelClassifier()"
                f"), ('trees', ExtraTreesClassifier())]; got {self.estimators!r}."
            )
        self._validate_names([name for name, _ in self.estimators])
        named = {name: estimator for name, estimator in self.estimators if not _is_dropped(estimator)}
        if not named:
            raise ValueError(
                f"estimators must have at least one classifier that is not 'drop'; got {self.estimators!r}."
            )
        for name, estimator in named.items():
            if not hasattr(estimator, "fit") or not hasattr(estimator, "predict_proba"):
                raise ValueError(
                    f"Each classifier needs predict_proba, but {name!r} is {estimator!r}, which has none. Use "
                    "CalibratedClassifierCV around it, or a loss or parameter with which it has probabilities."
                )
        return named

    def _given_weights(self):
        """Return the weights of the classifiers that are not dropped, with sum 1; None if fit finds them."""
        if isinstance(self.weights, str):
            return None
        n_estimators = len(self.estimators)
        weights = np.ones(n_estimators) if self.weights is None else np.asarray(self.weights)
        weights = weights.astype(np.float64) if weights.dtype.kind in "biuf" else np.array(np.nan)
        if weights.shape != (n_estimators,) or not np.isfinite(weights).all() or weights.min() < 0:
            raise ValueError(
                f"weights must be 'oof', None or {n_estimators} finite numbers of at least 0, one for each of "
                f"estimators; got {self.weights!r}."
            )
        weights = weights[[not _is_dropped(estimator) for _, estimator in self.estimators]]
        if not weights.sum():
            raise ValueError(
                f"weights must be above 0 for at least one classifier that is not 'drop'; got {self.weights!r}."
            )
        return weights / weights.sum()

    def _encoder(self, named, y):
        """Return an encoder fitted to ``y``, with the classes of this estimator or of one in the list."""
        _check_hard_and_flat(named)
        with_classes = [estimator for estimator in named.values() if classes_of(estimator) is not None]
        if not with_classes:
            return encoder_for(None, y, self.classes)
        classes = classes_of(with_classes[0]) if self.classes is None else self.classes
        encoders = [encoder_for(estimator, y, classes) for estimator in with_classes]  # raises unless all agree
        return encoders[0]

    def _routed(self, named, sample_weight, params):
        """Return name -> parameters of each classifier's `fit`, and the parameters of `split`."""
        if get_config()["enable_metadata_routing"]:
            weights = {} if sample_weight is None else {"sample_weight": sample_weight}
            routed = process_routing(self, "fit", **weights, **params)
            return {name: routed[name].fit for name in named}, routed["cv"].split
        if params:
            raise ValueError(
                f"fit takes {', '.join(map(repr, params))} only with metadata routing: call "
                "sklearn.set_config(enable_metadata_routing=True), and set_fit_request on the classifiers."
            )
        if sample_weight is None:
            return {name: {} for name in named}, {}
        parameters = {name: weight_parameter(estimator) for name, estimator in named.items()}
        without = [name for name, parameter in parameters.items() if parameter is None]
        if without:
            warn_once(
                f"sample_weight is not passed to the classifiers {', '.join(map(repr, without))}, whose fit takes no "
                "weights. It weights the rows in the loss of the average."
            )
        return {name: {p: sample_weight} if p is not None else {} for name, p in parameters.items()}, {}

    def _oof_probas(self, X, y, encoder, jobs, oof_probas, of_split):
        """Return the out-of-fold probabilities of each classifier; None if nothing needs them."""
        if not (isinstance(self.weights, str) or is_rule_name(self.threshold) or self.cv is not None):
            return None
        if all(proba is not None for proba in oof_probas):
            return oof_probas
        splits = list(resolve_cv(self.cv, self.random_state).split(X, y, **of_split))
        n_samples = _num_samples(X)
        return [
            in_order(*predict_out_of_fold(estimator, X, y, encoder, splits, of_fit, self.n_jobs), n_samples)
            if proba is None
            else proba
            for (estimator, of_fit), proba in zip(jobs, oof_probas, strict=True)
        ]

    def _set_features(self):
        for name in ("n_features_in_", "feature_names_in_"):
            vars(self).pop(name, None)
            values = [getattr(estimator, name) for estimator in self.estimators_ if hasattr(estimator, name)]
            if values:
                setattr(self, name, values[0])

    def __getstate__(self):
        state = super().__getstate__()
        return {**state, "_oof_proba": None} if "_oof_proba" in state else state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # Tags are asked for before fit refuses what is no list of pairs.
        inner = [
            get_tags(item[1]).input_tags for item in self.estimators if _is_named(item) and not _is_dropped(item[1])
        ]
        tags.classifier_tags.multi_label = True
        tags.input_tags.sparse = all(tag.sparse for tag in inner)
        tags.input_tags.allow_nan = all(tag.allow_nan for tag in inner)
        return tags


def _is_named(item):
    return isinstance(item, tuple | list) and len(item) == 2 and isinstance(item[0], str)


def _is_dropped(estimator):
    return isinstance(estimator, str) and estimator == "drop"


def _average(columns, weights):
    return sum(weight * np.asarray(proba, dtype=np.float64) for proba, weight in zip(columns, weights, strict=True))


def _fit_classifier(estimator, X, y, encoder, Y, params):
    """Return a classifier fitted to all rows, and the out-of-fold probabilities that its fit left, or None."""
    estimator = fit_clone(estimator, X, y, encoder, params)
    last = last_step(estimator)
    proba = getattr(last, "oof_proba_", None)  # read here, as it does not travel to another process
    if proba is None or not has_oof_rows(last, Y, proba):
        return estimator, None
    return estimator, label_columns(proba, last, encoder)


def _check_hard_and_flat(named):
    """Raise a ValueError for a classifier whose labels are soft or have a hierarchy, which the others do not know."""
    for name, estimator in named.items():
        for parameter in ("soft_labels", "hierarchy"):
            value = getattr(last_step(estimator), parameter, None)
            if value:
                raise ValueError(
                    f"AveragedMultiLabelClassifier does not support {parameter}={value!r} of the classifier {name!r}. "
                    "Use this classifier alone, or leave the parameter at its default."
                )
