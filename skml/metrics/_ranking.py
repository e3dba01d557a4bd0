"""Scores of probabilities and rankings, computed over the observed entries.

Scores of single rows are implemented here, because scikit-learn's functions return the mean over rows only and
require the same number of labels in each row.
"""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike
from sklearn import metrics
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_scalar

from skml._targets._labels import format_some
from skml._targets._matrix import row_blocks
from skml._targets._warnings import warn_once
from skml._typing import Matrix
from skml.metrics._matrices import (
    check_scores,
    check_truth,
    check_truth_and_scores,
    undefined_score,
    weighted_mean,
)
from skml.metrics._ranks import RankedLabels, area_of_rows, average_precision_of_rows, gain, n_at_least

# Memory that sorting the entries of labels needs for each, in bytes.
_SORTING_BYTES = 120


def roc_auc_score(
    Y_true: Matrix,
    scores: ArrayLike,
    *,
    average: str | None = "macro",
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
) -> float | np.ndarray:
    """Return the area under the ROC curve, computed for each label over its observed entries.

    Parameters
    ----------
    Y_true, sample_weight : as in `precision_score`
    scores : array-like of shape (n_samples, n_labels)
        Probabilities, or other values that are larger for more likely labels.
    average : {"macro", "micro", "weighted", "samples"} or None, default="macro"
        "macro" is the mean over the labels, and "weighted" weights it by the number of their positive entries. Labels
        whose observed entries are all 0 or all 1 are skipped, and a warning lists them. "micro" pools all observed
        entries into one problem. "samples" is the mean over the rows that have both 0 and 1. None returns one score
        per label.
    labels : sequence of length n_labels, default=None
        The labels of the columns of `scores`, such as ``clf.classes_``. Required if `Y_true` holds label sets; for a
        label of `Y_true` that it lacks, a column of the lowest score is added, with a warning. Warnings name labels by
        it; None uses the column numbers.

    Returns
    -------
    score : float or ndarray of shape (n_labels,)
        NaN where the score is undefined.

    Examples
    --------
    >>> import numpy as np
    >>> from skml.metrics import roc_auc_score
    >>> Y = np.array([[1, np.nan], [0, 1], [1, 0]])
    >>> roc_auc_score(Y, [[0.9, 0.1], [0.2, 0.3], [0.1, 0.4]], average=None)
    array([0.5, 0. ])
    """
    if average == "samples":
        return _mean_over_rows(area_of_rows, Y_true, scores, sample_weight, labels)
    functions = metrics.roc_auc_score, RankedLabels.area
    return _average_label_scores(*functions, Y_true, scores, average, sample_weight, labels)


def average_precision_score(
    Y_true: Matrix,
    scores: ArrayLike,
    *,
    average: str | None = "macro",
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
) -> float | np.ndarray:
    """Return the average precision, computed for each label over its observed entries.

    The parameters and the return value are the same as in `roc_auc_score`.
    """
    if average == "samples":
        return _mean_over_rows(average_precision_of_rows, Y_true, scores, sample_weight, labels)
    functions = metrics.average_precision_score, RankedLabels.average_precision
    return _average_label_scores(*functions, Y_true, scores, average, sample_weight, labels)


def label_ranking_average_precision_score(
    Y_true: Matrix, scores: ArrayLike, *, sample_weight: ArrayLike | None = None, labels: ArrayLike | None = None
) -> float:
    """Return the label ranking average precision over the observed entries.

    Parameters
    ----------
    Y_true, scores, sample_weight, labels : as in `roc_auc_score`

    Returns
    -------
    score : float
        The mean over the rows with an observed entry. The best value is 1. A row without a true label scores 1, as in
        scikit-learn.
    """

    def score_rows(positive, observed, scores):
        precision = n_at_least(scores, positive) / n_at_least(scores, observed)
        n_positive = positive.sum(axis=1)
        return np.where(n_positive > 0, np.where(positive, precision, 0).sum(axis=1) / n_positive, 1.0)

    return _mean_over_rows(score_rows, Y_true, scores, sample_weight, labels)


def coverage_error(
    Y_true: Matrix, scores: ArrayLike, *, sample_weight: ArrayLike | None = None, labels: ArrayLike | None = None
) -> float:
    """Return the coverage error: the number of top-ranked labels needed to include all true labels of a row.

    Only labels observed in the row are ranked.

    Parameters
    ----------
    Y_true, scores, sample_weight, labels : as in `roc_auc_score`

    Returns
    -------
    error : float
        The mean over the rows with an observed entry. A row without a true label scores 0.
    """

    def score_rows(positive, observed, scores):
        return np.where(positive, n_at_least(scores, observed), 0).max(axis=1)

    return _mean_over_rows(score_rows, Y_true, scores, sample_weight, labels)


def label_ranking_loss(
    Y_true: Matrix, scores: ArrayLike, *, sample_weight: ArrayLike | None = None, labels: ArrayLike | None = None
) -> float:
    """Return the ranking loss: the fraction of a row's pairs of a true and a false label that are ordered incorrectly.

    Only labels observed in the row form pairs. A pair with equal scores counts as ordered incorrectly.

    Parameters
    ----------
    Y_true, scores, sample_weight, labels : as in `roc_auc_score`

    Returns
    -------
    loss : float
        The mean over the rows with an observed entry. The best value is 0. A row without such a pair scores 0, as in
        scikit-learn.
    """

    def score_rows(positive, observed, scores):
        wrong = np.where(positive, n_at_least(scores, observed) - n_at_least(scores, positive), 0).sum(axis=1)
        n_positive = positive.sum(axis=1)
        return wrong / np.maximum(n_positive * (observed.sum(axis=1) - n_positive), 1)

    return _mean_over_rows(score_rows, Y_true, scores, sample_weight, labels)


def log_loss(
    Y_true: Matrix, proba: ArrayLike, *, sample_weight: ArrayLike | None = None, labels: ArrayLike | None = None
) -> float:
    """Return the binary cross-entropy, averaged over the observed entries of each row and then over the rows.

    Parameters
    ----------
    Y_true, sample_weight, labels : as in `roc_auc_score`
    proba : array-like of shape (n_samples, n_labels)
        Probabilities. They are clipped by the machine epsilon of float64, as in scikit-learn.

    Returns
    -------
    loss : float
    """

    def score_rows(positive, observed, proba, label_weight):
        epsilon = np.finfo(np.float64).eps
        proba = np.clip(proba, epsilon, 1 - epsilon)
        loss = -np.where(positive, np.log(proba), np.log1p(-proba)) * label_weight
        return np.where(observed, loss, 0).sum(axis=1) / observed.sum(axis=1)

    return _mean_over_rows(score_rows, Y_true, proba, sample_weight, labels, by_entry=True)


def precision_at_k(
    Y_true: Matrix,
    proba: ArrayLike,
    k: int = 5,
    *,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
) -> float:
    """Return the precision at k: the fraction of true labels among a row's k most probable observed labels.

    Parameters
    ----------
    Y_true, sample_weight, labels : as in `roc_auc_score`
    proba : array-like of shape (n_samples, n_labels)
        Probabilities or other scores. Where equal values leave the ranking open, the score is the mean over all
        rankings, as in scikit-learn's `ndcg_score`.
    k : int, default=5
        Number of labels selected in each row. In a row with fewer observed labels, all of them are selected.

    Returns
    -------
    score : float
        The mean over the rows with an observed entry, including rows without a true label (Bhatia et al., 2016).

    Examples
    --------
    >>> from skml.metrics import precision_at_k
    >>> precision_at_k([[1, 0, 1], [0, 0, 1]], [[0.9, 0.8, 0.7], [0.3, 0.2, 0.9]], k=2)
    0.5
    """
    check_scalar(k, "k", Integral, min_val=1)

    def score_rows(positive, observed, proba):
        return gain(positive, proba, np.ones(k)) / np.minimum(observed.sum(axis=1), k)

    return _mean_over_rows(score_rows, Y_true, proba, sample_weight, labels)


def recall_at_k(
    Y_true: Matrix,
    proba: ArrayLike,
    k: int = 5,
    *,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
) -> float:
    """Return the recall at k: the fraction of a row's true labels that are among its k most probable observed labels.

    Parameters
    ----------
    Y_true, proba, k, sample_weight, labels : as in `precision_at_k`

    Returns
    -------
    score : float
        The mean over the rows with a true label.
    """
    check_scalar(k, "k", Integral, min_val=1)

    def score_rows(positive, observed, proba):
        return gain(positive, proba, np.ones(k)) / positive.sum(axis=1)

    return _mean_over_rows(score_rows, Y_true, proba, sample_weight, labels)


def ndcg_at_k(
    Y_true: Matrix,
    proba: ArrayLike,
    k: int = 5,
    *,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
) -> float:
    """Return the normalised discounted cumulative gain of the k most probable observed labels of a row.

    Parameters
    ----------
    Y_true, proba, k, sample_weight, labels : as in `precision_at_k`

    Returns
    -------
    score : float
        The mean over the rows with a true label. The gain of a row is the sum of 1 / log2(rank + 1) over the true
        labels among its top k, divided by the largest possible sum (Järvelin and Kekäläinen, 2002).
    """
    check_scalar(k, "k", Integral, min_val=1)

    def score_rows(positive, observed, proba):
        discount = 1 / np.log2(np.arange(min(k, proba.shape[1])) + 2)
        ideal = np.append(0, np.cumsum(discount))[np.minimum(positive.sum(axis=1), len(discount))]
        return gain(positive, proba, discount) / ideal

    return _mean_over_rows(score_rows, Y_true, proba, sample_weight, labels)


def _average_label_scores(score_func, score_labels, Y_true, scores, average, sample_weight, labels):
    """Compute a binary score for each label or for all observed entries, and average it as requested.

    `score_func` is scikit-learn's, and `score_labels` returns the same values for all labels of a `RankedLabels`.
    """
    if average not in ("macro", "micro", "weighted", None):
        raise ValueError(f"average must be 'macro', 'micro', 'weighted', 'samples' or None; got {average!r}.")
    Y, scores, weight, label_weight, names = check_truth_and_scores(Y_true, scores, sample_weight, labels)
    weights = np.broadcast_to(weight[:, None], Y.shape) if label_weight is None else weight[:, None] * label_weight
    if average == "micro":
        return _score_pooled(score_func, Y.toarray().ravel(), scores.ravel(), weights.ravel())
    label_scores = _label_scores(score_labels, Y.tocsc(), scores, weights)
    if average is None:
        return label_scores
    skipped = np.flatnonzero(np.isnan(label_scores))
    if skipped.size:
        names = [names[j] for j in skipped.tolist()]
        warn_once(
            f"{score_func.__name__} skips labels whose observed entries are not both 0 and 1: "
            f"{format_some(names, len(label_scores))}.",
            UndefinedMetricWarning,
        )
    if len(skipped) == len(label_scores):
        return np.nan
    n_positive = np.ones(len(label_scores))
    if average == "weighted":
        n_positive = weight @ (Y == 1) if label_weight is None else (weights * (Y == 1).toarray()).sum(axis=0)
    defined = ~np.isnan(label_scores)
    return float(np.average(label_scores[defined], weights=n_positive[defined]))


def _label_scores(score_labels, columns, scores, weights):
    """Return a score of each label, computed for blocks of labels; `columns` is the label matrix as CSC."""
    n_samples, n_labels = columns.shape
    label_scores = np.empty(n_labels)
    with np.errstate(divide="ignore", invalid="ignore"):
        for labels in row_blocks(n_labels, n_samples, _SORTING_BYTES):
            entries = columns[:, labels].toarray().T
            observed = ~np.isnan(entries)
            block = np.where(observed, scores[:, labels].T, -np.inf)
            label_scores[labels] = score_labels(RankedLabels(entries == 1, observed * weights[:, labels].T, block))
    return label_scores


def _score_pooled(score_func, entries, scores, weight):
    """Compute a binary score over the observed entries of positive weight; undefined unless both 0 and 1 occur."""
    observed = ~np.isnan(entries) & (weight > 0)
    entries = entries[observed]
    if not entries.size or entries.min() == entries.max():
        return undefined_score()
    return score_func(entries, scores[observed], sample_weight=weight[observed])


def _mean_over_rows(score_rows, Y_true, scores, sample_weight, labels, by_entry=False):
    """Return the weighted mean of ``score_rows(positive, observed, scores)`` over the rows, without NaN.

    `score_rows` is called for blocks of rows. The scores of missing labels are -inf. With `by_entry`, it also gets
    weights of the entries that are relative to those of the rows. `scores` may be an iterator of blocks of rows: a
    scorer passes it, so that the probabilities of all rows are never in memory.
    """
    if isinstance(scores, Iterator):
        Y, weight, label_weight = check_truth(Y_true, sample_weight, labels)
        blocks = map(check_scores, scores)
    else:
        Y, scores, weight, label_weight, _ = check_truth_and_scores(Y_true, scores, sample_weight, labels)
        blocks = (scores[rows] for rows in row_blocks(*Y.shape))
    label_weight = np.broadcast_to(1.0, Y.shape) if label_weight is None else label_weight
    values = []
    with np.errstate(divide="ignore", invalid="ignore"):
        for block in blocks:
            rows = slice(n_done := sum(map(len, values)), n_done + len(block))
            entries = Y[rows].toarray()
            observed = ~np.isnan(entries)
            more = (label_weight[rows],) if by_entry else ()
            row_scores = score_rows(entries == 1, observed, np.where(observed, block, -np.inf), *more)
            values.append(np.where(observed.any(axis=1), row_scores, np.nan))
    return weighted_mean(np.concatenate(values), weight)
