"""Scorers for ``scoring=`` that accept ``y`` in every form that the estimator accepts."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.metadata_routing import MetadataRequest

from skml._dependencies import _BaseScorer
from skml._typing import Matrix, Target
from skml.metrics._classification import (
    accuracy_score,
    f1_score,
    hamming_loss,
    jaccard_score,
    precision_score,
    recall_score,
)
from skml.metrics._ranking import (
    average_precision_score,
    coverage_error,
    label_ranking_average_precision_score,
    label_ranking_loss,
    log_loss,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
    roc_auc_score,
)
from skml.model_selection._delegation import truth_and_blocks, truth_and_responses, weights_for_scores

# A ranking score needs no probabilities, so it falls back to the decision function, for linear models.
_RANKING = ("predict_proba", "decision_function")

_AT_K = {"ndcg": ndcg_at_k, "precision": precision_at_k, "recall": recall_at_k}

_AVERAGED = {"f1": f1_score, "jaccard": jaccard_score, "precision": precision_score, "recall": recall_score}

_AREAS = {"average_precision": average_precision_score, "roc_auc": roc_auc_score}

# The mean over rows of scores that depend on the row only: they read the probabilities block by block.
_BY_ROW = {
    *_AT_K.values(),
    coverage_error,
    label_ranking_average_precision_score,
    label_ranking_loss,
    log_loss,
}

# Name -> score function and keyword arguments of make_scorer.
_SCORERS: dict[str, tuple[Callable, dict[str, Any]]] = {
    "accuracy": (accuracy_score, {}),
    "subset_accuracy": (accuracy_score, {}),
    "neg_hamming_loss": (hamming_loss, {"greater_is_better": False}),
    "neg_log_loss": (log_loss, {"greater_is_better": False, "response_method": "predict_proba"}),
    "label_ranking_average_precision": (label_ranking_average_precision_score, {"response_method": _RANKING}),
    "neg_coverage_error": (coverage_error, {"greater_is_better": False, "response_method": _RANKING}),
    "neg_label_ranking_loss": (label_ranking_loss, {"greater_is_better": False, "response_method": _RANKING}),
    **{name: (score_func, {"response_method": _RANKING}) for name, score_func in _AREAS.items()},
    **{
        f"{name}_{average}": (score_func, {"response_method": _RANKING, "average": average})
        for name, score_func in _AREAS.items()
        for average in ("macro", "micro", "weighted", "samples")
    },
    **{
        f"{name}_{average}": (score_func, {"average": average})
        for name, score_func in _AVERAGED.items()
        for average in ("macro", "micro", "samples", "weighted")
    },
}


def get_scorer(name: str) -> _Scorer:
    """Return the scorer with the given name, to pass as ``scoring=`` or to call as ``scorer(estimator, X, y)``.

    Pass ``scoring=get_scorer("f1_micro")`` to a search over label sets. The string in ``scoring="f1_micro"`` selects
    scikit-learn's scorer, which does not support label sets: the search fits every candidate and reports NaN for each.

    Parameters
    ----------
    name : str
        One of `get_scorer_names`. In "precision_at_k", "recall_at_k" and "ndcg_at_k", k may be any positive integer.

    Returns
    -------
    scorer : callable
        See `make_scorer`.

    Raises
    ------
    ValueError
        If no scorer has this name.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from skml.metrics import get_scorer
    >>> X, Y = [[0.0], [1.0], [2.0]], np.array([[0, 1], [1, 1], [1, 0]])
    >>> clf = KNeighborsClassifier(1).fit(X, Y)
    >>> get_scorer("f1_macro")(clf, X, Y)
    1.0
    >>> get_scorer("precision_at_1")(clf, X, [{0, 1}, {1}, {0}])
    0.8333333333333334
    """
    at_k = re.fullmatch(r"(precision|recall|ndcg)_at_([1-9]\d*)", name) if isinstance(name, str) else None
    if at_k:
        return make_scorer(_AT_K[at_k[1]], response_method=_RANKING, k=int(at_k[2]))
    if name not in _SCORERS:
        names = get_scorer_names()
        averages = [known for known in names if known.startswith(f"{name}_")]
        near = averages or difflib.get_close_matches(str(name), names, 1)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise ValueError(
            f"get_scorer does not support the name {name!r}.{hint} Supported names are {', '.join(names)}. To score "
            "label sets, pass scoring=get_scorer(...): a string selects scikit-learn's scorer, which returns NaN for "
            "label sets."
        )
    score_func, options = _SCORERS[name]
    return make_scorer(score_func, **options)


def get_scorer_names() -> list[str]:
    """Return the names that `get_scorer` accepts.

    Returns
    -------
    names : list of str
        The names ``"..._at_k"`` are listed for k = 1, 3 and 5, but `get_scorer` accepts every k.

    Examples
    --------
    >>> from skml.metrics import get_scorer_names
    >>> "f1_samples" in get_scorer_names()
    True
    """
    return sorted([*_SCORERS, *(f"{name}_at_{k}" for name in _AT_K for k in (1, 3, 5))])


def make_scorer(
    score_func: Callable,
    *,
    response_method: str | Sequence[str] = "predict",
    greater_is_better: bool = True,
    **kwargs: object,
) -> _Scorer:
    """Make a scorer from a score function of two matrices.

    The scorer accepts ``y`` in every form that the estimator accepts. Single-label ``y`` becomes an indicator with one
    column per class, two for binary ``y``. A label of ``y`` that is not in the ``classes_`` of the estimator counts as
    a label that is never predicted, and a warning lists it.

    Parameters
    ----------
    score_func : callable
        Called as ``score_func(Y_true, Y_pred, **kwargs)``. ``Y_true`` is a 0/1 matrix of shape (n_samples, n_labels),
        dense or CSR, with NaN for missing labels. ``Y_pred`` is a 0/1 matrix or an array of probabilities or scores of
        the same shape. The keywords ``sample_weight`` and ``classes``, the list of labels, are passed if the signature
        has them.
    response_method : str or sequence of str, default="predict"
        "predict", "predict_proba" or "decision_function". From a sequence, the first method that the estimator has is
        used.
    greater_is_better : bool, default=True
        Whether larger values are better. If False, the scorer returns the negative of the score.
    **kwargs
        Additional keyword arguments of `score_func`.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y, sample_weight=None)`` returns a float. Weights of single labels have the columns of
        the estimator's ``classes_``; a DataFrame of them is aligned by name. With metadata routing,
        ``scorer.set_score_request(sample_weight=True)`` requests the weights, as for scikit-learn's scorers.

    Examples
    --------
    >>> from skml.metrics import f1_score, make_scorer
    >>> make_scorer(f1_score, average="samples", zero_division=1.0)
    make_scorer(f1_score, response_method='predict', average='samples', zero_division=1.0)
    """
    methods = (response_method,) if isinstance(response_method, str) else tuple(response_method)
    return _Scorer(score_func, methods, 1 if greater_is_better else -1, kwargs)


class _Scorer(_BaseScorer):
    """Scorer returned by `make_scorer`."""

    def __init__(self, score_func, response_methods, sign, kwargs):
        super().__init__(score_func, sign, kwargs, response_methods)
        self._weight_request = None

    def _score(self, method_caller, estimator, X, y, **kwargs):
        # scikit-learn calls this for several scorers. Its cache of responses in `method_caller` does not apply here.
        return self(estimator, X, y, **kwargs)

    def __call__(self, estimator: BaseEstimator, X: Matrix, y: Target, sample_weight: ArrayLike | None = None) -> float:
        """Score the predictions of a fitted estimator for X against y."""
        Y, responses, classes = self._truth_and_responses(estimator, X, y)
        kwargs = dict(self._kwargs)
        names = inspect.signature(self._score_func).parameters
        if "classes" in names:
            kwargs.setdefault("classes", classes)
        if self._score_func in _AREAS.values():  # warnings name the labels
            kwargs.setdefault("labels", classes)
        if sample_weight is not None and "sample_weight" not in names:
            raise ValueError(
                f"{self!r} does not accept sample_weight: its score function has no parameter of this name. Add the "
                "parameter, or score without weights."
            )
        if sample_weight is not None:
            kwargs["sample_weight"] = weights_for_scores(estimator, sample_weight, Y)
        return self._sign * self._score_func(Y, responses, **kwargs)

    def _truth_and_responses(self, estimator, X, y):
        by_row = self._score_func in _BY_ROW or (
            self._score_func in _AREAS.values() and self._kwargs.get("average") == "samples"
        )
        if by_row and self._response_method[0] == "predict_proba" and hasattr(estimator, "predict_proba"):
            return truth_and_blocks(estimator, X, y)
        Y, (responses,), classes = truth_and_responses(estimator, X, y, self._response_method)
        return Y, responses, classes

    def __repr__(self):
        methods = self._response_method[0] if len(self._response_method) == 1 else self._response_method
        sign = "" if self._sign > 0 else ", greater_is_better=False"
        kwargs = "".join(f", {name}={value!r}" for name, value in self._kwargs.items())
        name = getattr(self._score_func, "__name__", repr(self._score_func))
        return f"make_scorer({name}, response_method={methods!r}{sign}{kwargs})"

    def set_score_request(self, *, sample_weight: bool | str | None) -> _Scorer:
        """Request sample weights for metadata routing: True, False, None or the name of another metadata."""
        self._weight_request = sample_weight
        return self

    def get_metadata_routing(self) -> MetadataRequest:
        """Return the metadata request that `set_score_request` sets."""
        request = MetadataRequest(owner=type(self).__name__)
        if self._accept_sample_weight():
            request.score.add_request(param="sample_weight", alias=self._weight_request)
        return request

    def _accept_sample_weight(self):
        # scikit-learn's searches call this to decide whether to pass on the sample weights of fit.
        return "sample_weight" in inspect.signature(self._score_func).parameters
