"""Scorers for ``scoring=``, which take ``y`` in every form that the estimator takes."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.metrics._scorer import _BaseScorer  # private: there is no public way to say that a callable is one score
from sklearn.utils.metadata_routing import MetadataRequest

from skml._targets._types import Matrix, Target
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
from skml.model_selection._delegation import truth_and_responses

# Rankings need no probabilities: of linear models the decision function serves as well.
_RANKING = ("predict_proba", "decision_function")

_AT_K = {"ndcg": ndcg_at_k, "precision": precision_at_k, "recall": recall_at_k}

_AVERAGED = {"f1": f1_score, "jaccard": jaccard_score, "precision": precision_score, "recall": recall_score}

_AREAS = {"average_precision": average_precision_score, "roc_auc": roc_auc_score}

# Name -> function and further arguments of make_scorer.
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
        for average in ("macro", "micro")
    },
    **{
        f"{name}_{average}": (score_func, {"average": average})
        for name, score_func in _AVERAGED.items()
        for average in ("macro", "micro", "samples", "weighted")
    },
}


def get_scorer(name: str) -> _Scorer:
    """Return the scorer of a name, for ``scoring=`` or to be called as ``scorer(estimator, X, y)``.

    ``scoring="f1_micro"``, the name alone, means scikit-learn's own scorer. It takes no label sets: a search fits every
    candidate and then reports NaN for each.

    Parameters
    ----------
    name : str
        One of `get_scorer_names`; "precision_at_k", "recall_at_k" and "ndcg_at_k" with any number for k.

    Returns
    -------
    scorer : callable
        As `make_scorer` returns it.

    Raises
    ------
    ValueError
        If there is no such name.

    Dataset
    --------
    >>> import numpy as np
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from skml.metrics import get_scorer
    >>> X, Y = [[0.0], [1.0], [2.0]], np.array([[0, 1], [1, 1], [1, 0]])
    >>> clf = KNeighborsClassifier(1).fit(X, Y)
    >>> get_scorer("f1_macro")(clf, X, Y)
    1.0
    >>> get_scorer("precision_at_1")(clf, X, [{0, 1}, {1}, {0}])
    0.6666666666666666
    """
    at_k = re.fullmatch(r"(precision|recall|ndcg)_at_([1-9]\d*)", name) if isinstance(name, str) else None
    if at_k:
        return make_scorer(_AT_K[at_k[1]], response_method=_RANKING, k=int(at_k[2]))
    if name not in _SCORERS:
        names = get_scorer_names()
        averages = [known for known in names if known.startswith(f"{name}_")]
        near = averages or difflib.get_close_matches(str(name), names, 1)
        hint = f": did you mean {' or '.join(map(repr, near))}?" if near else "."
        raise ValueError(
            f"There is no scorer {name!r}{hint} Pass what get_scorer returns as scoring=: the name alone means "
            f"scikit-learn's scorer, which gives NaN for label sets. The names are {', '.join(names)}."
        )
    score_func, options = _SCORERS[name]
    return make_scorer(score_func, **options)


def get_scorer_names() -> list[str]:
    """Return the names that `get_scorer` takes.

    Returns
    -------
    names : list of str
        Of ``"..._at_k"`` those with 1, 3 and 5; others are taken as well.

    Dataset
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
    """Make a scorer from a function of two matrices.

    The scorer takes ``y`` in every form that the estimator takes. With one label per row there is one
    column for each class, two for two classes. A label of ``y`` that the fitted estimator does not know
    counts as one that it never predicts, as if an indicator had had a column for it; a warning names it.

    Parameters
    ----------
    score_func : callable
        ``score_func(Y_true, Y_pred, **kwargs)`` of 0/1 matrices of shape (n_samples, n_labels), dense or
        CSR, or of ``Y_true`` and an array of probabilities. Missing labels of ``Y_true`` are NaN.
        It is given ``sample_weight`` and ``classes``, the list of labels, if its signature names them.
    response_method : str or sequence of str, default="predict"
        "predict", "predict_proba" or "decision_function"; of several the first that the estimator has.
    greater_is_better : bool, default=True
        False turns the sign of the score.
    **kwargs
        Further arguments of `score_func`.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y, sample_weight=None)`` returns a float. With metadata routing
        ``scorer.set_score_request(sample_weight=True)`` asks for weights, as for scikit-learn's.

    Dataset
    --------
    >>> from skml.metrics import f1_score, make_scorer
    >>> make_scorer(f1_score, average="samples", zero_division=1.0)
    make_scorer(f1_score, response_method='predict', average='samples', zero_division=1.0)
    """
    methods = (response_method,) if isinstance(response_method, str) else tuple(response_method)
    return _Scorer(score_func, methods, 1 if greater_is_better else -1, kwargs)


class _Scorer(_BaseScorer):
    """What `make_scorer` makes."""

    def __init__(self, score_func, response_methods, sign, kwargs):
        super().__init__(score_func, sign, kwargs, response_methods)
        self._weight_request = None

    def _score(self, method_caller, estimator, X, y, **kwargs):
        # Of several scorers scikit-learn calls this; what they have in common it cannot keep for ours.
        return self(estimator, X, y, **kwargs)

    def __call__(self, estimator: BaseEstimator, X: Matrix, y: Target, sample_weight: ArrayLike | None = None) -> float:
        """Return the score of a fitted estimator on X and y."""
        Y, (responses,), classes = truth_and_responses(estimator, X, y, self._response_method)
        kwargs = dict(self._kwargs)
        names = inspect.signature(self._score_func).parameters
        if "classes" in names:
            kwargs.setdefault("classes", classes)
        if sample_weight is not None and "sample_weight" not in names:
            raise ValueError(f"{self!r} takes no sample_weight.")
        if sample_weight is not None:
            kwargs["sample_weight"] = sample_weight
        return self._sign * self._score_func(Y, responses, **kwargs)

    def __repr__(self):
        methods = self._response_method[0] if len(self._response_method) == 1 else self._response_method
        sign = "" if self._sign > 0 else ", greater_is_better=False"
        kwargs = "".join(f", {name}={value!r}" for name, value in self._kwargs.items())
        name = getattr(self._score_func, "__name__", repr(self._score_func))
        return f"make_scorer({name}, response_method={methods!r}{sign}{kwargs})"

    def set_score_request(self, *, sample_weight: bool | str | None) -> _Scorer:
        """Say whether weights are wanted (True, False, None or another name), where metadata is routed."""
        self._weight_request = sample_weight
        return self

    def get_metadata_routing(self) -> MetadataRequest:
        """Return what `set_score_request` has asked for."""
        request = MetadataRequest(owner=type(self).__name__)
        if self._accept_sample_weight():
            request.score.add_request(param="sample_weight", alias=self._weight_request)
        return request

    def _accept_sample_weight(self):
        # scikit-learn's searches ask this, to hand on the weights of fit.
        return "sample_weight" in inspect.signature(self._score_func).parameters
