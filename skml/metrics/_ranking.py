"""Scores of probabilities and rankings, over observed entries.

Those that score row by row are done here, as scikit-learn's return only a mean over rows of equal width.
"""

from __future__ import annotations

from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata
from sklearn import metrics
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_scalar

from skml._decisions._rule import DecisionRule
from skml._targets._labels import format_some
from skml._targets._matrix import row_blocks
from skml._targets._types import Matrix
from skml._targets._warnings import warn_once
from skml.metrics._matrices import truth_and_scores, undefined, weighted_mean


def roc_auc_score(
    Y_true: Matrix,
    scores: ArrayLike,
    *,
    average: str | None = "macro",
    sample_weight: ArrayLike | None = None,
    classes: ArrayLike | None = None,
) -> float | np.ndarray:
    """Return the area under the ROC curve, label by label over the known rows.

    Parameters
    ----------
    Y_true, sample_weight : as in `precision_score`
    scores : array-like of shape (n_samples, n_labels)
        Probabilities, or other values that are larger where a label is more likely.
    average : {"macro", "micro"} or None, default="macro"
        "macro" is the mean over labels, without those whose known rows hold only one class: a warning
        names them. "micro" takes all observed entries as one problem. None returns one score for each label.
    classes : sequence of length n_labels, default=None
        Names of labels for the warning. None has their numbers.

    Returns
    -------
    score : float or ndarray of shape (n_labels,)
        NaN where it is not defined.

    Dataset
    --------
    >>> import numpy as np
    >>> from skml.metrics import roc_auc_score
    >>> Y = np.array([[1, np.nan], [0, 1], [1, 0]])
    >>> roc_auc_score(Y, [[0.9, 0.1], [0.2, 0.3], [0.1, 0.4]], average=None)
    array([0.5, 0. ])
    """
    return _over_labels(metrics.roc_auc_score, Y_true, scores, average, sample_weight, classes)


def average_precision_score(
    Y_true: Matrix,
    scores: ArrayLike,
    *,
    average: str | None = "macro",
    sample_weight: ArrayLike | None = None,
    classes: ArrayLike | None = None,
) -> float | np.ndarray:
    """Return the average precision, label by label over the known rows; as `roc_auc_score`."""
    return _over_labels(metrics.average_precision_score, Y_true, scores, average, sample_weight, classes)


def label_ranking_average_precision_score(
    Y_true: Matrix, scores: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Return label ranking average precision over known labels.

    Parameters
    ----------
    Y_true, scores, sample_weight : as in `roc_auc_score`

    Returns
    -------
    score : float
        1 is best, also of a row without a true label, as in scikit-learn.
    """

    def of_rows(positive, known, scores):
        share = _at_least(scores, positive) / _at_least(scores, known)
        n_positive = positive.sum(axis=1)
        return np.where(n_positive > 0, np.where(positive, share, 0).sum(axis=1) / n_positive, 1.0)

    return _mean_over_rows(of_rows, Y_true, scores, sample_weight)


def coverage_error(Y_true: Matrix, scores: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return how far down a row's ranking of its known labels the last true one is, 0 if there is none.

    Parameters
    ----------
    Y_true, scores, sample_weight : as in `roc_auc_score`

    Returns
    -------
    error : float
    """

    def of_rows(positive, known, scores):
        return np.where(positive, _at_least(scores, known), 0).max(axis=1)

    return _mean_over_rows(of_rows, Y_true, scores, sample_weight)


def label_ranking_loss(Y_true: Matrix, scores: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the share of pairs of a true and a false known label of a row that are ranked wrong or equal.

    Parameters
    ----------
    Y_true, scores, sample_weight : as in `roc_auc_score`

    Returns
    -------
    loss : float
        0 is best, also of a row without such pairs, as in scikit-learn.
    """

    def of_rows(positive, known, scores):
        wrong = np.where(positive, _at_least(scores, known) - _at_least(scores, positive), 0).sum(axis=1)
        n_positive = positive.sum(axis=1)
        return wrong / np.maximum(n_positive * (known.sum(axis=1) - n_positive), 1)

    return _mean_over_rows(of_rows, Y_true, scores, sample_weight)


def log_loss(Y_true: Matrix, proba: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the binary cross-entropy: the mean over a row's observed entries, then over rows.

    Parameters
    ----------
    Y_true, sample_weight : as in `precision_score`
    proba : array-like of shape (n_samples, n_labels)
        Clipped by the epsilon of float64, as scikit-learn does.

    Returns
    -------
    loss : float
    """

    def of_rows(positive, known, proba):
        epsilon = np.finfo(np.float64).eps
        proba = np.clip(proba, epsilon, 1 - epsilon)
        loss = -np.where(positive, np.log(proba), np.log1p(-proba))
        return np.where(known, loss, 0).sum(axis=1) / known.sum(axis=1)

    return _mean_over_rows(of_rows, Y_true, proba, sample_weight)


def precision_at_k(Y_true: Matrix, proba: ArrayLike, k: int = 5, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the share of true labels among the k most probable known ones of a row.

    Parameters
    ----------
    Y_true, sample_weight : as in `precision_score`
    proba : array-like of shape (n_samples, n_labels)
        Of equal values the earlier label is first.
    k : int, default=5
        A row with fewer known labels has all of them taken.

    Returns
    -------
    score : float
        The mean over rows with a known entry, those without a true label included (Bhatia et al., 2016).

    Dataset
    --------
    >>> from skml.metrics import precision_at_k
    >>> precision_at_k([[1, 0, 1], [0, 0, 1]], [[0.9, 0.8, 0.7], [0.3, 0.2, 0.9]], k=2)
    0.5
    """
    check_scalar(k, "k", Integral, min_val=1)

    def of_rows(positive, known, proba):
        return _hits(positive, proba, k) / np.minimum(known.sum(axis=1), k)

    return _mean_over_rows(of_rows, Y_true, proba, sample_weight)


def recall_at_k(Y_true: Matrix, proba: ArrayLike, k: int = 5, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the share of a row's true labels that are among its k most probable known ones.

    Parameters
    ----------
    Y_true, proba, k, sample_weight : as in `precision_at_k`

    Returns
    -------
    score : float
        The mean over rows with a true label.
    """
    check_scalar(k, "k", Integral, min_val=1)

    def of_rows(positive, known, proba):
        return _hits(positive, proba, k) / positive.sum(axis=1)

    return _mean_over_rows(of_rows, Y_true, proba, sample_weight)


def ndcg_at_k(Y_true: Matrix, proba: ArrayLike, k: int = 5, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the normalised discounted cumulative gain of the k most probable known labels of a row.

    Parameters
    ----------
    Y_true, proba, k, sample_weight : as in `precision_at_k`

    Returns
    -------
    score : float
        The mean over rows with a true label: of the sum of 1 / log2(rank + 1) over the true labels among
        the k, divided by the largest that it can be (Järvelin and Kekäläinen, 2002).
    """
    check_scalar(k, "k", Integral, min_val=1)

    def of_rows(positive, known, proba):
        order = np.argsort(-proba, axis=1, kind="stable")[:, :k]
        discount = 1 / np.log2(np.arange(order.shape[1]) + 2)
        ideal = np.append(0, np.cumsum(discount))[np.minimum(positive.sum(axis=1), len(discount))]
        return np.take_along_axis(positive, order, axis=1) @ discount / ideal

    return _mean_over_rows(of_rows, Y_true, proba, sample_weight)


def _over_labels(score_func, Y_true, scores, average, sample_weight, classes):
    """Return the score of each label over its known rows, their mean, or the score of all observed entries."""
    if average not in ("macro", "micro", None):
        raise ValueError(f"average must be 'macro', 'micro' or None; got {average!r}.")
    Y, scores, weight = truth_and_scores(Y_true, scores, sample_weight)
    if average == "micro":
        weights = np.broadcast_to(weight[:, None], Y.shape)
        of_labels = _of_known(score_func, Y.toarray().ravel(), scores.ravel(), weights.ravel())
        return of_labels if of_labels == of_labels else undefined()
    columns = Y.tocsc()
    of_labels = np.array(
        [_of_known(score_func, columns[:, [j]].toarray().ravel(), scores[:, j], weight) for j in range(Y.shape[1])]
    )
    if average is None:
        return of_labels
    skipped = np.flatnonzero(np.isnan(of_labels))
    if skipped.size:
        names = [j if classes is None else classes[j] for j in skipped.tolist()]
        warn_once(
            f"{score_func.__name__} skips labels of which the known rows do not hold both 0 and 1: "
            f"{format_some(names, len(of_labels))}.",
            UndefinedMetricWarning,
        )
    return float(np.nanmean(of_labels)) if len(skipped) < len(of_labels) else np.nan


def _of_known(score_func, entries, scores, weight):
    """Return a score of the observed entries of weight above 0, NaN if they are not both 0 and 1."""
    known = ~np.isnan(entries) & (weight > 0)
    entries = entries[known]
    if not entries.size or entries.min() == entries.max():
        return np.nan
    return score_func(entries, scores[known], sample_weight=weight[known])


def _mean_over_rows(of_rows, Y_true, scores, sample_weight):
    """Return the weighted mean of ``of_rows(positive, known, scores)``, NaN left out.

    It is given blocks of rows, and as scores of missing labels -inf.
    """
    Y, scores, weight = truth_and_scores(Y_true, scores, sample_weight)
    values = np.empty(Y.shape[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        for rows in row_blocks(*Y.shape):
            entries = Y[rows].toarray()
            known = ~np.isnan(entries)
            of_block = of_rows(entries == 1, known, np.where(known, scores[rows], -np.inf))
            values[rows] = np.where(known.any(axis=1), of_block, np.nan)
    return weighted_mean(values, weight)


def _at_least(scores, among):
    """Return for each entry how many of the entries of its row in `among` have a score at least as large."""
    return rankdata(-np.where(among, scores, -np.inf), method="max", axis=1)


def _hits(positive, proba, k):
    """Return the number of true labels among the k most probable of each row."""
    return (positive & DecisionRule(0, k, k).decide(proba)).sum(axis=1)
