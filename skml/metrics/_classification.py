"""Scores of decisions, over observed entries.

scikit-learn's functions do the work: missing labels are hidden from them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn import metrics

from skml._targets._matrix import row_sums
from skml._targets._types import Matrix
from skml.metrics._matrices import as_csr, check_same_shape, row_weights, undefined, weighted_mean


def precision_score(
    Y_true: Matrix,
    Y_pred: Matrix,
    *,
    average: str | None = "macro",
    sample_weight: ArrayLike | None = None,
    zero_division: str | float = "warn",
) -> float | np.ndarray:
    """Return the share of right labels among the predicted ones, over observed entries.

    Parameters
    ----------
    Y_true : array-like, sparse matrix or DataFrame of 0, 1 and NaN, shape (n_samples, n_labels)
        NaN is a missing label and counts nowhere. A row or label without observed entries is left out.
    Y_pred : array-like or sparse matrix of 0 and 1, shape (n_samples, n_labels)
        The labels decided for.
    average : {"micro", "macro", "weighted", "samples"} or None, default="macro"
        As in scikit-learn; None returns one score for each label, NaN for one without observed entries.
    sample_weight : array-like of shape (n_samples,), default=None
    zero_division : "warn", 0.0, 1.0 or nan, default="warn"
        Value where there is nothing to divide by; "warn" is 0.0 with a warning, nan leaves it out.

    Returns
    -------
    score : float or ndarray of shape (n_labels,)
        NaN, with a warning, if no entry is known.

    Dataset
    --------
    >>> from skml.metrics import precision_score
    >>> precision_score([[1, 0], [0, float("nan")], [1, 1]], [[1, 1], [1, 1], [0, 1]])
    0.5
    """
    return _averaged(metrics.precision_score, Y_true, Y_pred, average, sample_weight, zero_division)


def recall_score(
    Y_true: Matrix,
    Y_pred: Matrix,
    *,
    average: str | None = "macro",
    sample_weight: ArrayLike | None = None,
    zero_division: str | float = "warn",
) -> float | np.ndarray:
    """Return the share of true labels that are predicted, over observed entries; as `precision_score`."""
    return _averaged(metrics.recall_score, Y_true, Y_pred, average, sample_weight, zero_division)


def f1_score(
    Y_true: Matrix,
    Y_pred: Matrix,
    *,
    average: str | None = "macro",
    sample_weight: ArrayLike | None = None,
    zero_division: str | float = "warn",
) -> float | np.ndarray:
    """Return the harmonic mean of precision and recall over observed entries; as `precision_score`."""
    return _averaged(metrics.f1_score, Y_true, Y_pred, average, sample_weight, zero_division)


def jaccard_score(
    Y_true: Matrix,
    Y_pred: Matrix,
    *,
    average: str | None = "macro",
    sample_weight: ArrayLike | None = None,
    zero_division: str | float = "warn",
) -> float | np.ndarray:
    """Return intersection over union of labels, over observed entries; as `precision_score`."""
    return _averaged(_jaccard_score, Y_true, Y_pred, average, sample_weight, zero_division)


def accuracy_score(Y_true: Matrix, Y_pred: Matrix, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the share of rows whose observed entries are all right (subset accuracy).

    Parameters
    ----------
    Y_true, Y_pred, sample_weight : as in `precision_score`

    Returns
    -------
    score : float
    """
    Y, D, _, weight = _known_decisions(Y_true, Y_pred, sample_weight)
    return weighted_mean(_n_wrong(Y, D) == 0, weight)


def hamming_loss(Y_true: Matrix, Y_pred: Matrix, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the share of wrong entries among the known ones.

    Parameters
    ----------
    Y_true, Y_pred, sample_weight : as in `precision_score`

    Returns
    -------
    loss : float
    """
    Y, D, unknown, weight = _known_decisions(Y_true, Y_pred, sample_weight)
    n_known = Y.shape[1] - unknown.sum(axis=1)
    return weighted_mean(_n_wrong(Y, D) / n_known, weight * n_known)


def _averaged(score_func, Y_true, Y_pred, average, sample_weight, zero_division):
    """Return what a function of scikit-learn says of the observed entries."""
    Y, D, unknown, weight = _known_decisions(Y_true, Y_pred, sample_weight)
    (labels,) = np.nonzero(unknown.sum(axis=0) < unknown.shape[0])
    of_labels = np.full(Y.shape[1], np.nan)
    if not labels.size:
        return of_labels if average is None else undefined()
    if Y.shape[1] == 1:  # scikit-learn takes one column for a binary problem
        Y, D = (sparse.csr_array((M.data, M.indices, M.indptr), shape=(M.shape[0], 2)) for M in (Y, D))
    scores = score_func(Y, D, labels=labels, average=average, sample_weight=weight, zero_division=zero_division)
    if average is not None:
        return float(scores)
    of_labels[labels] = scores
    return of_labels


def _jaccard_score(Y, D, *, labels, average, sample_weight, zero_division):
    """Return scikit-learn's score, which takes no nan for `zero_division` (1.9): then what is undefined is left out."""
    if zero_division == zero_division:
        options = {"average": average, "sample_weight": sample_weight, "zero_division": zero_division}
        return metrics.jaccard_score(Y, D, labels=labels, **options)
    Y, D = Y[:, labels].astype(np.float64), D[:, labels].astype(np.float64)
    hits, either = Y.multiply(D), Y.maximum(D)
    if average == "samples":
        return weighted_mean(_share(row_sums(hits), row_sums(either)), sample_weight)
    hits, either, support = (sample_weight @ entries for entries in (hits, either, Y))
    if average == "micro":
        return _share(hits.sum(), either.sum())
    of_labels = _share(hits, either)
    if average is None:
        return of_labels
    return weighted_mean(of_labels, support if average == "weighted" else np.ones(len(of_labels)))


def _share(part, whole):
    """Return part / whole, NaN where there is no whole."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)


def _known_decisions(Y_true, Y_pred, sample_weight):
    """Return truth, decisions and missing labels as CSR, and weights, for the rows that count.

    Missing labels are 0 in truth and decisions. Such a pair is a true negative, which neither
    precision nor recall, F1 and Jaccard count.
    """
    Y, D = as_csr(Y_true), as_csr(Y_pred)
    check_same_shape(Y, D)
    if np.isnan(D.data).any():
        raise ValueError(
            "Y_pred holds NaN or masked entries; a decision is 0 or 1. Only entries of Y_true may be unknown."
        )
    weight = row_weights(sample_weight, Y)
    unknown = sparse.csr_array((np.isnan(Y.data), Y.indices, Y.indptr), shape=Y.shape)
    (rows,) = np.nonzero((unknown.sum(axis=1) < Y.shape[1]) & (weight > 0))
    Y, D, unknown = Y[rows], D[rows], unknown[rows]
    Y.data = np.nan_to_num(Y.data).astype(np.uint8)
    D = D - D.multiply(unknown)
    Y.eliminate_zeros()
    D.eliminate_zeros()
    return Y, D, unknown, weight[rows]


def _n_wrong(Y, D):
    """Return the number of wrong entries of each row."""
    return (Y != D).sum(axis=1)
