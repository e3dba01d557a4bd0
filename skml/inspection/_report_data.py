"""What the HTML report shows of a label: points of curves, mistakes, likely wrong entries, pairs, and columns."""

import importlib.util
import math

import numpy as np
from scipy import sparse

from skml._targets._matrix import column_sums, row_blocks

# The area of a picture, in pixels, and the number of points of a curve and of bins of probabilities.
WIDTH, HEIGHT = 200, 100
_N_POINTS = 41
_N_BINS = 10


def threshold_curve(truth, proba, threshold):
    """Return the points of precision, recall and F1 against the threshold, in pixels, or None without a positive.

    Parameters
    ----------
    truth : ndarray of bool, shape (n_entries,)
    proba : ndarray of shape (n_entries,)
    threshold : float
        The threshold in use, which may be NaN.

    Returns
    -------
    dict
        ``lines``, name -> points of a polyline; ``limit``, the probability at the right edge; ``threshold``, the
        position of the threshold or None.
    """
    if not truth.any():
        return None
    limit = _round_up(max(proba.max(), threshold if threshold <= 1 else 0))
    thresholds = np.linspace(0, limit, _N_POINTS)
    predicted, hits = (_counts_from(values, thresholds) for values in (proba, proba[truth]))
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = hits / predicted
    recall, f1 = hits / truth.sum(), 2 * hits / (predicted + truth.sum())
    x = WIDTH * thresholds / limit
    lines = {name: _points(x, y) for name, y in (("precision", precision), ("recall", recall), ("F1", f1))}
    return {"lines": lines, "limit": limit, "threshold": WIDTH * threshold / limit if threshold <= 1 else None}


def _counts_from(values, thresholds):
    """Return the number of values of at least each threshold."""
    return len(values) - np.searchsorted(np.sort(values), thresholds, side="left")


def _round_up(value):
    """Return the smallest of 1, 2 or 5 times a power of ten that is not below a value, at most 1."""
    power = 10.0 ** math.floor(math.log10(max(value, 1e-6)))
    return min(1.0, next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9)))


def _points(x, y):
    """Return the points of a polyline as SVG wants them, without undefined ones and those inside a flat part."""
    defined = ~np.isnan(y)
    x, y = np.rint(x[defined]).astype(int), np.rint(HEIGHT * (1 - y[defined])).astype(int)
    bends = np.diff(y) != 0
    kept = np.append(True, bends) | np.append(bends, True)
    return " ".join(f"{a},{b}" for a, b in zip(x[kept], y[kept], strict=True))


def calibration(truth, proba):
    """Return the calibration of probabilities in bins of equal width.

    Returns
    -------
    dict
        ``points``, positions in pixels and radius of each bin; ``error``, the mean difference between the mean
        probability and the fraction of true entries of a bin, weighted by entries (expected calibration error;
        Naeini et al., 2015); ``expected``, the sum of the probabilities. The error is NaN without an entry.
    """
    if not len(proba):
        return {"points": [], "error": np.nan, "expected": 0.0}
    bins = np.minimum((proba * _N_BINS).astype(int), _N_BINS - 1)
    counts, sums, hits = (np.bincount(bins, weights, _N_BINS) for weights in (None, proba, truth.astype(float)))
    used = counts > 0
    mean, fraction, share = sums[used] / counts[used], hits[used] / counts[used], counts[used] / len(proba)
    radius = 1.5 + 4 * np.sqrt(share)
    points = [
        (round(HEIGHT * x), round(HEIGHT * (1 - y)), round(r, 1))
        for x, y, r in zip(mean.tolist(), fraction.tolist(), radius.tolist(), strict=True)
    ]
    return {"points": points, "error": float(share @ np.abs(mean - fraction)), "expected": float(proba.sum())}


def confident_mistakes(truth, proba, decided, n):
    """Return the rows of the most confident mistakes: of missed entries and of wrongly predicted ones, n each."""
    missed, wrong = np.flatnonzero(truth & ~decided), np.flatnonzero(~truth & decided)
    return (
        missed[np.argsort(proba[missed], kind="stable")[:n]],
        wrong[np.argsort(-proba[wrong], kind="stable")[:n]],
    )


def likely_issues(truth, proba):
    """Return the rows of one label whose entry is likely to be wrong, the least credible first.

    This is cleanlab's `find_label_issues` if cleanlab is installed, otherwise the plain rule of confident learning.

    Parameters
    ----------
    truth : ndarray of shape (n_samples,)
        0 and 1, and NaN for missing labels, which are never returned.
    proba : ndarray of shape (n_samples,)
        Out-of-fold probabilities.

    Returns
    -------
    rows : ndarray of int
    """
    (observed,) = np.nonzero(~np.isnan(truth))
    given, proba = truth[observed] == 1, proba[observed].astype(np.float64)
    if given.all() or not given.any():  # nothing to compare with
        return observed[:0]
    if not has_cleanlab():
        return observed[confident_issues(given, proba)]
    from cleanlab.filter import find_label_issues

    columns = np.column_stack([1 - proba, proba])
    rows = find_label_issues(given.astype(int), columns, return_indices_ranked_by="self_confidence", n_jobs=1)
    return observed[np.asarray(rows, dtype=int)]


def has_cleanlab():
    """Return whether cleanlab is installed."""
    return importlib.util.find_spec("cleanlab") is not None


def confident_issues(given, proba):
    """Return the rows off the diagonal of the confident joint (Northcutt et al., 2021), the least credible first.

    An entry is confidently 1 if its probability is at least the mean probability of the entries given as 1, and
    confidently 0 if its probability of 0 is at least the mean of those given as 0. If it is both, the more probable
    one counts. An issue is an entry that is confidently other than given.

    Parameters
    ----------
    given : ndarray of bool, shape (n_samples,)
        Both values must occur.
    proba : ndarray of shape (n_samples,)

    Examples
    --------
    >>> confident_issues(np.array([True, True, False, False]), np.array([0.9, 0.1, 0.2, 0.8]))
    array([1, 3])
    """
    is_one = proba >= proba[given].mean()
    is_zero = 1 - proba >= (1 - proba[~given]).mean()
    more_probable = proba > 0.5
    differs = np.where(given, is_zero & ~(is_one & more_probable), is_one & ~(is_zero & ~more_probable))
    credible = np.where(given, proba, 1 - proba)
    (rows,) = np.nonzero(differs)
    return rows[np.argsort(credible[rows], kind="stable")]


def labels_together(ones, n):
    """Return the pairs of labels that mostly occur together.

    Parameters
    ----------
    ones : csc_array of shape (n_samples, n_labels)
    n : int
        The number of pairs, at most.

    Returns
    -------
    list of tuple (first, second, rows with both, rows with one of them)
        Those with the largest Jaccard similarity, if it is at least 0.5 and two rows have both.
    """
    both = sparse.coo_array(sparse.triu(_as_counts(ones).T @ _as_counts(ones), k=1))
    support = column_sums(ones)
    i, j = both.coords
    either = support[i] + support[j] - both.data
    (often,) = np.nonzero((both.data >= 2) & (2 * both.data >= either))
    order = often[np.argsort(-both.data[often] / either[often], kind="stable")[:n]]
    return [tuple(int(values[k]) for values in (i, j, both.data, either)) for k in order]


def labels_confused(missed, wrong, n):
    """Return the pairs of labels of which one is missed and the other wrongly predicted in the same rows.

    Parameters
    ----------
    missed, wrong : csc_array of shape (n_samples, n_labels)
    n : int
        The number of pairs, at most.

    Returns
    -------
    list of tuple (missed label, wrongly predicted label, rows)
        Those with the most rows, at least two.
    """
    pairs = sparse.coo_array(_as_counts(missed).T @ _as_counts(wrong))
    i, j = pairs.coords
    order = np.argsort(-pairs.data, kind="stable")[:n]
    return [(int(i[k]), int(j[k]), int(pairs.data[k])) for k in order if pairs.data[k] >= 2]


def _as_counts(matrix):
    return sparse.csr_array(matrix).astype(np.int32)


def strongest_correlations(X, proba, n):
    """Return the columns of X whose correlation with the probability of each label is largest, in absolute value.

    Parameters
    ----------
    X : ndarray or sparse matrix of shape (n_samples, n_features)
        NaN counts as the mean of its column.
    proba : ndarray of shape (n_samples, n_labels)
    n : int

    Returns
    -------
    list of list of (column, correlation)
        For each label. Columns without any correlation are left out.
    """
    X = _filled(X)
    mean, square = column_sums(X) / X.shape[0], column_sums(X.multiply(X) if sparse.issparse(X) else X**2)
    norm = np.sqrt(np.maximum(square - X.shape[0] * mean**2, 0))
    norm[norm <= 1e-6 * np.sqrt(square)] = np.inf  # constant columns
    found = []
    for labels in row_blocks(proba.shape[1], X.shape[1]):
        p = proba[:, labels] - proba[:, labels].mean(axis=0)
        norm_p = np.sqrt((p**2).sum(axis=0))
        correlation = (X.T @ p) / norm[:, None] / np.where(norm_p > 0, norm_p, np.inf)
        largest = np.argsort(-np.abs(correlation), axis=0, kind="stable")[:n]
        values = np.take_along_axis(correlation, largest, axis=0)
        found += [
            [(j, r) for j, r in zip(*pair, strict=True) if abs(r) > 0.005]  # rounds to 0.01 at least
            for pair in zip(largest.T.tolist(), values.T.tolist(), strict=True)
        ]
    return found


def _filled(X):
    """Return X as float64, CSC if it is sparse, with the means of columns in place of NaN."""
    if sparse.issparse(X):
        return sparse.csc_array(X).astype(np.float64)
    X = np.asarray(X, dtype=np.float64)
    is_nan = np.isnan(X)
    if not is_nan.any():
        return X
    n_known = np.maximum((~is_nan).sum(axis=0), 1)
    return np.where(is_nan, np.where(is_nan, 0, X).sum(axis=0) / n_known, X)
