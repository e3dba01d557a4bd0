"""Scores of predicted labels, computed over the observed entries by scikit-learn's functions."""

from __future__ import annotations

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn import metrics

from skml._typing import Matrix
from skml.metrics._matrices import truth_and_decisions, undefined_score, weighted_mean, weights_of


def precision_score(
    Y_true: Matrix,
    Y_pred: Matrix,
    *,
    average: str | None = "macro",
    sample_weight: ArrayLike | None = None,
    zero_division: str | float = "warn",
    labels: ArrayLike | None = None,
) -> float | np.ndarray:
    """Return the precision over the observed entries: the fraction of predicted labels that are true.

    Parameters
    ----------
    Y_true : array-like, sparse matrix or DataFrame of 0, 1 and NaN, shape (n_samples, n_labels), or label sets
        True labels. NaN is a missing label and is ignored. Rows and labels without an observed entry are left out.
    Y_pred : array-like or sparse matrix of 0 and 1, shape (n_samples, n_labels), or label sets
        Predicted labels.
    average : {"micro", "macro", "weighted", "samples"} or None, default="macro"
        How to average, as in scikit-learn. None returns one score per label, NaN for a label without an
        observed entry.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_labels), default=None
        Weights of the samples, or of the single entries. None gives each sample the weight 1. An entry of weight 0 is
        ignored. A mean over samples, as in "samples" and `accuracy_score`, weights a sample by the mean weight of its
        other entries.
    zero_division : "warn", 0.0, 1.0 or nan, default="warn"
        Value of a score whose denominator is 0. "warn" uses 0.0 and warns. nan leaves the score out of the average.
    labels : sequence of length n_labels, default=None
        The labels of the columns, such as ``clf.classes_``. None takes the columns of a DataFrame, or all labels of two
        collections of label sets; it is required for label sets and an array. A label of a set that it lacks is scored
        as a column of its own, with a warning.

    Returns
    -------
    score : float or ndarray of shape (n_labels,)
        NaN, with a warning, if no entry is observed.

    Examples
    --------
    >>> from skml.metrics import precision_score
    >>> precision_score([[1, 0], [0, float("nan")], [1, 1]], [[1, 1], [1, 1], [0, 1]])
    0.5
    >>> precision_score([{"a"}, {"b"}], [("a", "b"), ()], average="micro")
    0.5
    """
    return _average_score(metrics.precision_score, Y_true, Y_pred, average, sample_weight, zero_division, labels)


def recall_score(
    Y_true: Matrix,
    Y_pred: Matrix,
    *,
    average: str | None = "macro",
    sample_weight: ArrayLike | None = None,
    zero_division: str | float = "warn",
    labels: ArrayLike | None = None,
) -> float | np.ndarray:
    """Return the recall over the observed entries: the fraction of true labels that are predicted.

    The parameters and the return value are the same as in `precision_score`.
    """
    return _average_score(metrics.recall_score, Y_true, Y_pred, average, sample_weight, zero_division, labels)


def f1_score(
    Y_true: Matrix,
    Y_pred: Matrix,
    *,
    average: str | None = "macro",
    sample_weight: ArrayLike | None = None,
    zero_division: str | float = "warn",
    labels: ArrayLike | None = None,
) -> float | np.ndarray:
    """Return the F1 score over the observed entries: the harmonic mean of precision and recall.

    The parameters and the return value are the same as in `precision_score`.
    """
    return _average_score(metrics.f1_score, Y_true, Y_pred, average, sample_weight, zero_division, labels)


def jaccard_score(
    Y_true: Matrix,
    Y_pred: Matrix,
    *,
    average: str | None = "macro",
    sample_weight: ArrayLike | None = None,
    zero_division: str | float = "warn",
    labels: ArrayLike | None = None,
) -> float | np.ndarray:
    """Return the Jaccard score over the observed entries: the intersection over the union of true and predicted labels.

    The parameters and the return value are the same as in `precision_score`, except that `zero_division` must be
    "warn", 0.0 or 1.0.

    Raises
    ------
    ValueError
        If `zero_division` is nan, which scikit-learn's `jaccard_score` does not accept.
    """
    if isinstance(zero_division, Real) and np.isnan(zero_division):
        raise ValueError(
            "jaccard_score does not accept zero_division=nan. Pass zero_division=0.0 or 1.0, or use f1_score, which "
            "accepts nan."
        )
    return _average_score(metrics.jaccard_score, Y_true, Y_pred, average, sample_weight, zero_division, labels)


def accuracy_score(
    Y_true: Matrix, Y_pred: Matrix, *, sample_weight: ArrayLike | None = None, labels: ArrayLike | None = None
) -> float:
    """Return the subset accuracy: the fraction of samples whose observed entries are all predicted correctly.

    Parameters
    ----------
    Y_true, Y_pred, sample_weight, labels : as in `precision_score`

    Returns
    -------
    score : float
        NaN, with a warning, if no entry is observed.
    """
    Y, D, _, weight, _ = _observed_decisions(Y_true, Y_pred, sample_weight, labels)
    return weighted_mean(_n_wrong(Y, D) == 0, weight)


def hamming_loss(
    Y_true: Matrix, Y_pred: Matrix, *, sample_weight: ArrayLike | None = None, labels: ArrayLike | None = None
) -> float:
    """Return the Hamming loss: the fraction of the observed entries that are predicted incorrectly.

    Parameters
    ----------
    Y_true, Y_pred, sample_weight, labels : as in `precision_score`

    Returns
    -------
    loss : float
        NaN, with a warning, if no entry is observed.
    """
    Y, D, missing, weight, label_weight = _observed_decisions(Y_true, Y_pred, sample_weight, labels)
    n_observed = Y.shape[1] - missing.sum(axis=1)
    n_wrong = _n_wrong(Y, D) if label_weight is None else ((Y != D).toarray() * label_weight).sum(axis=1)
    return weighted_mean(n_wrong / n_observed, weight * n_observed)


def _average_score(score_func, Y_true, Y_pred, average, sample_weight, zero_division, labels):
    """Compute one of scikit-learn's scores over the observed entries."""
    Y, D, missing, weight, label_weight = _observed_decisions(Y_true, Y_pred, sample_weight, labels)
    (labels,) = np.nonzero(missing.sum(axis=0) < missing.shape[0])
    label_scores = np.full(Y.shape[1], np.nan)
    if not labels.size:
        return label_scores if average is None else undefined_score()
    if label_weight is not None and average != "samples":
        scores = _entry_weighted(score_func, Y, D, weight[:, None] * label_weight, labels, average, zero_division)
    else:
        scores = _row_weighted(score_func, Y, D, weight, labels, average, zero_division)
    if average is not None:
        return float(scores)
    label_scores[labels] = scores
    return label_scores


def _row_weighted(score_func, Y, D, weight, labels, average, zero_division):
    """Return an average of scores, or the scores of some labels, for weights of rows."""
    if Y.shape[1] == 1:  # scikit-learn takes a single column for a binary problem, so add an empty second one
        Y, D = (sparse.csr_array((M.data, M.indices, M.indptr), shape=(M.shape[0], 2)) for M in (Y, D))
    return score_func(Y, D, labels=labels, average=average, sample_weight=weight, zero_division=zero_division)


def _entry_weighted(score_func, Y, D, weight, labels, average, zero_division):
    """Return an average of scores, or the scores of some labels, for weights of entries: each label is a problem."""
    Y, D, weight = Y[:, labels].toarray(), D[:, labels].toarray(), weight[:, labels]
    if average not in ("micro", "macro", "weighted", None):
        raise ValueError(f"average must be 'micro', 'macro', 'weighted', 'samples' or None; got {average!r}.")
    if average == "micro":
        return score_func(Y.ravel(), D.ravel(), sample_weight=weight.ravel(), zero_division=zero_division)
    columns = zip(Y.T, D.T, weight.T, strict=True)
    scores = np.array([score_func(y, d, sample_weight=w, zero_division=zero_division) for y, d, w in columns])
    if average is None:
        return scores
    support = (Y * weight).sum(axis=0) if average == "weighted" else np.ones(len(scores))
    defined = ~np.isnan(scores) & (support > 0)
    return np.average(scores[defined], weights=support[defined]) if defined.any() else np.nan


def _observed_decisions(Y_true, Y_pred, sample_weight, labels):
    """Return the true labels, the decisions and the missing labels as CSR, and the weights of rows and of labels.

    Rows without an observed entry and rows of weight 0 are left out. A missing label is 0 in both the true labels and
    the decisions, which makes it a true negative: precision, recall, F1 and Jaccard do not count true negatives.
    """
    Y, D = truth_and_decisions(Y_true, Y_pred, labels)
    if np.isnan(D.data).any():
        raise ValueError(
            "Y_pred contains NaN or masked entries, but every entry of Y_pred must be 0 or 1. Only Y_true may have "
            "missing labels."
        )
    Y, weight, label_weight = weights_of(sample_weight, Y, labels)
    missing = sparse.csr_array((np.isnan(Y.data), Y.indices, Y.indptr), shape=Y.shape)
    (rows,) = np.nonzero((missing.sum(axis=1) < Y.shape[1]) & (weight > 0))
    Y, D, missing = Y[rows], D[rows], missing[rows]
    Y.data = np.nan_to_num(Y.data).astype(np.uint8)
    D = D - D.multiply(missing)
    Y.eliminate_zeros()
    D.eliminate_zeros()
    return Y, D, missing, weight[rows], None if label_weight is None else label_weight[rows]


def _n_wrong(Y, D):
    """Return the number of wrong entries of each row."""
    return (Y != D).sum(axis=1)
