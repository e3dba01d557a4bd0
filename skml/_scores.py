"""Scores of two matrices, of which the true one may have cells that are not known: arithmetic, no estimator.

Where all cells are known the numbers are scikit-learn's. Its functions do the work where unknown cells can be
hidden from them; those that score row by row return only a mean over rows of equal width, and are done here.
"""

import warnings
from numbers import Integral

import numpy as np
from scipy import sparse
from scipy.stats import rankdata
from sklearn import metrics
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_array, check_scalar, gen_batches

from skml._decisions import decide
from skml._targets import TargetEncoder
from skml._weights import check_sample_weight

# Cells of (rows, labels) that a ranking score holds as float64 at a time.
_CHUNK_CELLS = 2**20


def precision_score(Y_true, Y_pred, *, average="macro", sample_weight=None, zero_division="warn"):
    """Return the share of right labels among the predicted ones, over known cells.

    Parameters
    ----------
    Y_true : array-like, sparse matrix or DataFrame of 0, 1 and NaN, shape (n_samples, n_labels)
        NaN is a cell that is not known and counts nowhere. A row or label without known cells is left out.
    Y_pred : array-like or sparse matrix of 0 and 1, shape (n_samples, n_labels)
        The labels decided for.
    average : {"micro", "macro", "weighted", "samples"} or None, default="macro"
        As in scikit-learn; None returns one score for each label, NaN for one without known cells.
    sample_weight : array-like of shape (n_samples,), default=None
    zero_division : "warn", 0.0, 1.0 or nan, default="warn"
        Value where there is nothing to divide by; "warn" is 0.0 with a warning, nan leaves it out.

    Returns
    -------
    score : float or ndarray of shape (n_labels,)
        NaN, with a warning, if no cell is known.

    Examples
    --------
    >>> from skml.metrics import precision_score
    >>> precision_score([[1, 0], [0, float("nan")], [1, 1]], [[1, 1], [1, 1], [0, 1]])
    0.5
    """
    return _averaged(metrics.precision_score, Y_true, Y_pred, average, sample_weight, zero_division)


def recall_score(Y_true, Y_pred, *, average="macro", sample_weight=None, zero_division="warn"):
    """Return the share of true labels that are predicted, over known cells; as `precision_score`."""
    return _averaged(metrics.recall_score, Y_true, Y_pred, average, sample_weight, zero_division)


def f1_score(Y_true, Y_pred, *, average="macro", sample_weight=None, zero_division="warn"):
    """Return the harmonic mean of precision and recall over known cells; as `precision_score`."""
    return _averaged(metrics.f1_score, Y_true, Y_pred, average, sample_weight, zero_division)


def jaccard_score(Y_true, Y_pred, *, average="macro", sample_weight=None, zero_division="warn"):
    """Return intersection over union of labels, over known cells; as `precision_score`."""
    return _averaged(metrics.jaccard_score, Y_true, Y_pred, average, sample_weight, zero_division)


def accuracy_score(Y_true, Y_pred, *, sample_weight=None):
    """Return the share of rows whose known cells are all right (subset accuracy).

    Parameters
    ----------
    Y_true, Y_pred, sample_weight : as in `precision_score`

    Returns
    -------
    score : float
    """
    Y, D, _, weight = _known_decisions(Y_true, Y_pred, sample_weight)
    return _weighted_mean(_n_wrong(Y, D) == 0, weight)


def hamming_loss(Y_true, Y_pred, *, sample_weight=None):
    """Return the share of wrong cells among the known ones.

    Parameters
    ----------
    Y_true, Y_pred, sample_weight : as in `precision_score`

    Returns
    -------
    loss : float
    """
    Y, D, unknown, weight = _known_decisions(Y_true, Y_pred, sample_weight)
    n_known = Y.shape[1] - unknown.sum(axis=1)
    return _weighted_mean(_n_wrong(Y, D) / n_known, weight * n_known)


def roc_auc_score(Y_true, scores, *, average="macro", sample_weight=None, classes=None):
    """Return the area under the ROC curve, label by label over the known rows.

    Parameters
    ----------
    Y_true, sample_weight : as in `precision_score`
    scores : array-like of shape (n_samples, n_labels)
        Probabilities, or other values that are larger where a label is more likely.
    average : {"macro", "micro"} or None, default="macro"
        "macro" is the mean over labels, without those whose known rows hold only one class: a warning
        names them. "micro" takes all known cells as one problem. None returns one score for each label.
    classes : sequence of length n_labels, default=None
        Names of labels for the warning. None has their numbers.

    Returns
    -------
    score : float or ndarray of shape (n_labels,)
        NaN where it is not defined.

    Examples
    --------
    >>> import numpy as np
    >>> from skml.metrics import roc_auc_score
    >>> Y = np.array([[1, np.nan], [0, 1], [1, 0]])
    >>> roc_auc_score(Y, [[0.9, 0.1], [0.2, 0.3], [0.1, 0.4]], average=None)
    array([0.5, 0. ])
    """
    return _over_labels(metrics.roc_auc_score, Y_true, scores, average, sample_weight, classes)


def average_precision_score(Y_true, scores, *, average="macro", sample_weight=None, classes=None):
    """Return the average precision, label by label over the known rows; as `roc_auc_score`."""
    return _over_labels(metrics.average_precision_score, Y_true, scores, average, sample_weight, classes)


def label_ranking_average_precision_score(Y_true, scores, *, sample_weight=None):
    """Return how much of what ranks as high as a true label is true, among a row's known labels.

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


def coverage_error(Y_true, scores, *, sample_weight=None):
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


def label_ranking_loss(Y_true, scores, *, sample_weight=None):
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


def log_loss(Y_true, proba, *, sample_weight=None):
    """Return the binary cross-entropy: the mean over a row's known cells, then over rows.

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


def precision_at_k(Y_true, proba, k=5, *, sample_weight=None):
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
        The mean over rows with a known cell, those without a true label included (Bhatia et al., 2016).

    Examples
    --------
    >>> from skml.metrics import precision_at_k
    >>> precision_at_k([[1, 0, 1], [0, 0, 1]], [[0.9, 0.8, 0.7], [0.3, 0.2, 0.9]], k=2)
    0.5
    """
    check_scalar(k, "k", Integral, min_val=1)

    def of_rows(positive, known, proba):
        return _hits(positive, proba, k) / np.minimum(known.sum(axis=1), k)

    return _mean_over_rows(of_rows, Y_true, proba, sample_weight)


def recall_at_k(Y_true, proba, k=5, *, sample_weight=None):
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


def ndcg_at_k(Y_true, proba, k=5, *, sample_weight=None):
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


def _averaged(score_func, Y_true, Y_pred, average, sample_weight, zero_division):
    """Return what a function of scikit-learn says of the known cells."""
    Y, D, unknown, weight = _known_decisions(Y_true, Y_pred, sample_weight)
    (labels,) = np.nonzero(unknown.sum(axis=0) < unknown.shape[0])
    of_labels = np.full(Y.shape[1], np.nan)
    if not labels.size:
        return of_labels if average is None else _undefined()
    if Y.shape[1] == 1:  # scikit-learn takes one column for a binary problem
        Y, D = (sparse.csr_array((M.data, M.indices, M.indptr), shape=(M.shape[0], 2)) for M in (Y, D))
    scores = score_func(Y, D, labels=labels, average=average, sample_weight=weight, zero_division=zero_division)
    if average is not None:
        return float(scores)
    of_labels[labels] = scores
    return of_labels


def _known_decisions(Y_true, Y_pred, sample_weight):
    """Return truth, decisions and what is not known as CSR, and weights, for the rows that count.

    Cells that are not known are 0 in truth and decisions. Such a pair is a true negative, which neither
    precision nor recall, F1 and Jaccard count.
    """
    Y, D = _cells(Y_true), _cells(Y_pred)
    _check_same_shape(Y, D)
    weight = _row_weights(sample_weight, Y)
    unknown = sparse.csr_array((np.isnan(Y.data), Y.indices, Y.indptr), shape=Y.shape)
    (rows,) = np.nonzero((unknown.sum(axis=1) < Y.shape[1]) & (weight > 0))
    Y, D, unknown = Y[rows], D[rows], unknown[rows]
    Y.data = np.nan_to_num(Y.data).astype(np.uint8)
    D = D - D.multiply(unknown)
    Y.eliminate_zeros()
    D.eliminate_zeros()
    return Y, D, unknown, weight[rows]


def _n_wrong(Y, D):
    """Return the number of wrong cells of each row."""
    return (Y != D).sum(axis=1)


def _over_labels(score_func, Y_true, scores, average, sample_weight, classes):
    """Return the score of each label over its known rows, their mean, or the score of all known cells."""
    if average not in ("macro", "micro", None):
        raise ValueError(f"average must be 'macro', 'micro' or None; got {average!r}.")
    Y, scores, weight = _truth_and_scores(Y_true, scores, sample_weight)
    if average == "micro":
        weights = np.broadcast_to(weight[:, None], Y.shape)
        of_labels = _of_known(score_func, Y.toarray().ravel(), scores.ravel(), weights.ravel())
        return of_labels if of_labels == of_labels else _undefined()
    columns = Y.tocsc()
    of_labels = np.array(
        [_of_known(score_func, columns[:, [j]].toarray().ravel(), scores[:, j], weight) for j in range(Y.shape[1])]
    )
    if average is None:
        return of_labels
    skipped = np.flatnonzero(np.isnan(of_labels))
    if skipped.size:
        names = [j if classes is None else classes[j] for j in skipped.tolist()]
        shown = ", ".join(map(repr, names[:20])) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")
        message = f"{score_func.__name__} skips labels of which the known rows do not hold both 0 and 1: {shown}."
        warnings.warn(message, UndefinedMetricWarning, stacklevel=3)
    return float(np.nanmean(of_labels)) if len(skipped) < len(of_labels) else np.nan


def _of_known(score_func, cells, scores, weight):
    """Return a score of the known cells of weight above 0, NaN if they are not both 0 and 1."""
    known = ~np.isnan(cells) & (weight > 0)
    cells = cells[known]
    if not cells.size or cells.min() == cells.max():
        return np.nan
    return score_func(cells, scores[known], sample_weight=weight[known])


def _mean_over_rows(of_rows, Y_true, scores, sample_weight):
    """Return the weighted mean of ``of_rows(positive, known, scores)``, NaN left out.

    It is given blocks of rows, and as scores of cells that are not known -inf.
    """
    Y, scores, weight = _truth_and_scores(Y_true, scores, sample_weight)
    values = np.empty(Y.shape[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        for rows in gen_batches(Y.shape[0], max(1, _CHUNK_CELLS // Y.shape[1])):
            cells = Y[rows].toarray()
            known = ~np.isnan(cells)
            of_block = of_rows(cells == 1, known, np.where(known, scores[rows], -np.inf))
            values[rows] = np.where(known.any(axis=1), of_block, np.nan)
    return _weighted_mean(values, weight)


def _at_least(scores, among):
    """Return for each cell how many of the cells of its row in `among` have a score at least as large."""
    return rankdata(-np.where(among, scores, -np.inf), method="max", axis=1)


def _hits(positive, proba, k):
    """Return the number of true labels among the k most probable of each row."""
    return (positive & decide(proba, 0, k, k)).sum(axis=1)


def _truth_and_scores(Y_true, scores, sample_weight):
    Y, scores = _cells(Y_true), check_array(scores, input_name="The array of scores")
    _check_same_shape(Y, scores)
    return Y, scores, _row_weights(sample_weight, Y)


def _cells(Y):
    """Return a matrix of 0, 1 and NaN as CSR, after making sure that it is one."""
    if not (hasattr(Y, "columns") or sparse.issparse(Y)):
        Y = _as_array(Y)
    # As sparse it is an indicator, also with one column.
    Y = Y if hasattr(Y, "columns") else sparse.csr_array(Y)
    return sparse.csr_array(TargetEncoder().fit_transform(Y))


def _as_array(Y):
    try:
        cells = np.asarray(Y)
    except ValueError:  # lists of different lengths
        cells = np.empty(0)
    if cells.ndim != 2 or cells.dtype.kind not in "biufO":
        raise ValueError(
            "The functions of skml.metrics take matrices of 0, 1 and NaN, of shape (n_samples, n_labels). For label "
            "sets use a scorer, get_scorer('f1_micro')(clf, X, y), or clf.target_encoder_.transform(y) and "
            "transform(clf.predict(X))."
        )
    return cells


def _row_weights(sample_weight, Y):
    return np.ones(Y.shape[0]) if sample_weight is None else check_sample_weight(sample_weight, Y)


def _check_same_shape(Y, other):
    if Y.shape != other.shape:
        raise ValueError(f"Y_true has the shape {Y.shape}, but what it is compared with {other.shape}.")


def _weighted_mean(values, weight):
    defined = ~np.isnan(values) & (weight > 0)
    return float(np.average(values[defined], weights=weight[defined])) if defined.any() else _undefined()


def _undefined():
    message = "The score is not defined and NaN: Y_true has no known cell or row of the kind that it needs."
    warnings.warn(message, UndefinedMetricWarning, stacklevel=4)
    return np.nan
