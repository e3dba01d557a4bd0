"""Thresholds found from probabilities: which cut of each label's cells scores best. No network."""

from collections.abc import Callable
from functools import partial
from numbers import Real
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit
from sklearn.utils import gen_batches

from skml._decisions import DEFAULT_THRESHOLD, decide
from skml._weights import check_sample_weight

# Cells of (labels, rows) that are sorted at a time; each takes about 80 bytes of memory meanwhile.
_CHUNK_CELLS = 2**18

# Log-odds are taken of probabilities cut off here: forests and nearest neighbours answer 0 and 1.
_EPSILON = 1e-7

# Log-odds are calibrated in bins 0.002 wide: two numbers are fitted to 16,384 cells, not to millions.
_BINS = 2**14

# A flatter calibration says that the probabilities tell nothing: it is not used.
_MIN_SLOPE = 0.05

# Thresholds that a scoring function is tried at.
_GRID = 100


class Tuned(NamedTuple):
    """What `tune` found: with these, `skml._decisions.decide` gets the score on the probabilities given."""

    threshold: float | np.ndarray
    score: float
    k: int | None = None


class _Metric(NamedTuple):
    """A score of what is predicted, and the probability from which a cell is worth predicting."""

    value: Callable  # of the weights of: true positives, predicted, positive and known cells
    worth: Callable  # of the best value, and the weights of positive and known cells


def _ratio(a, b):
    """Return a / b, and 0 where b is 0, as scikit-learn does by default."""
    return np.divide(a, b, out=np.zeros(np.broadcast_shapes(np.shape(a), np.shape(b))), where=np.asarray(b) > 0)


def _fbeta(tp, predicted, positive, known, beta=1.0):
    return _ratio((1 + beta**2) * tp, beta**2 * positive + predicted)


def _jaccard(tp, predicted, positive, known):
    return _ratio(tp, positive + predicted - tp)


def _balanced_accuracy(tp, predicted, positive, known):
    """Return the mean recall of the two classes, or of the one there is."""
    negative = known - positive
    recalls = _ratio(tp, positive) + _ratio(negative - (predicted - tp), negative)
    return _ratio(recalls, (positive > 0) + 1.0 * (negative > 0))


def _share(tp, predicted, positive, known):
    return -np.abs(predicted - positive)


def _fbeta_metric(beta):
    return _Metric(partial(_fbeta, beta=beta), lambda best, positive, known: best / (1 + beta**2))


_F1 = _fbeta_metric(1.0)
_MACRO = {
    "f1_macro": _F1,
    "f2_macro": _fbeta_metric(2.0),
    "f0.5_macro": _fbeta_metric(0.5),
    "jaccard_macro": _Metric(_jaccard, lambda best, positive, known: best / (1 + best)),
    "balanced_accuracy_macro": _Metric(_balanced_accuracy, lambda best, positive, known: _ratio(positive, known)),
}
SCORINGS = (*_MACRO, "f1_micro", "f1_samples", "top_k", "proportion")


def tune(Y, proba, scoring="f1_macro", shrinkage="auto", sample_weight=None):
    """Find the thresholds with which probabilities score best.

    The probabilities must come from rows that their classifier was not trained on. A threshold lies
    half way between two neighbouring probabilities, 0 and 1 being the outermost; of equal scores
    the highest threshold, with the fewest labels, is taken.

    Parameters
    ----------
    Y : ndarray or csr_array of shape (n_samples, n_labels)
        0 and 1, or NaN in a float matrix where a cell is not known; such a cell counts nowhere.
    proba : ndarray of shape (n_samples, n_labels)
        In [0, 1].
    scoring : str or callable, default="f1_macro"
        - "f1_macro", "f2_macro", "f0.5_macro", "jaccard_macro" or "balanced_accuracy_macro": a threshold
          for each label, for the mean over labels;
        - "f1_micro": one threshold for all labels, or with `shrinkage` other than "auto" one for each;
        - "f1_samples": one threshold for all labels;
        - "top_k": not a threshold but the number of labels that each row gets, for micro-F1 (RCut);
        - "proportion": the share of rows that get a label is its share in `Y` (PCut);
        - a callable ``scoring(Y, Y_pred) -> float``, also given ``sample_weight=`` if that is not None: the
          best of up to 100 thresholds for all labels.
    shrinkage : "auto", None or float > 0, default="auto"
        For the macro scores and "f1_micro". None is the exact optimum (SCut), which overfits rare labels. A
        number m draws the threshold of a label with n positives toward the best one for all labels: on the
        scale of log-odds it has the weight n / (n + m) against it. "auto" is one threshold for all labels for
        "f1_micro"; for the macro scores it calibrates the probabilities by two numbers and takes the
        threshold that is best if they are true, which needs no positives of a label.
    sample_weight : ndarray of shape (n_samples,), default=None

    Returns
    -------
    tuned : Tuned
        ``threshold``, a float or an array of shape (n_labels,); its ``score`` here, which for "top_k" and
        "proportion" is micro-F1; ``k`` for "top_k", else None.

    Raises
    ------
    ValueError
        If a parameter is not as described, or `proba` has another shape than `Y` or holds NaN.

    Notes
    -----
    SCut, RCut and PCut are those of Yang (2001). The calibration is Platt's (1999), of log-odds. That
    the best F1 is reached at half its own value is shown by Lipton et al. (2014). The weight
    n / (n + m) is the m-estimate of Cestnik (1990). The best thresholds for micro-F1 are found by the
    ascent of Dinkelbach (1967), which starts from the one for all labels and never loses.

    Where nothing known can be gained, no cell is predicted: by SCut a label without a positive gets a threshold
    above every probability seen (as far as 1 allows), one without a known cell 0.5.

    Examples
    --------
    >>> Y = np.array([[1, 0], [1, 0], [0, 1], [0, 0]])
    >>> proba = np.array([[0.5, 0.1], [0.4, 0.2], [0.2, 0.4], [0.1, 0.3]])
    >>> tune(Y, proba, "f1_macro", shrinkage=None)
    Tuned(threshold=array([0.3 , 0.35]), score=1.0, k=None)
    """
    check_rule(scoring, shrinkage)
    cells = _cells(Y, proba, sample_weight)
    if scoring == "top_k":
        k = _best_k(cells)
        return Tuned(DEFAULT_THRESHOLD, _score(cells, scoring, DEFAULT_THRESHOLD, k), k)
    threshold = _best_threshold(cells, scoring, shrinkage)
    return Tuned(threshold, _score(cells, scoring, threshold))


def score(Y, proba, scoring, threshold, sample_weight=None):
    """Return what `scoring` gives for a threshold, a float or an array of shape (n_labels,).

    Parameters and errors are those of `tune`.

    Examples
    --------
    >>> score(np.array([[1, 0], [1, 1]]), np.array([[0.5, 0.1], [0.4, 0.2]]), "f1_micro", 0.5)
    0.5
    """
    check_rule(scoring)
    return _score(_cells(Y, proba, sample_weight), scoring, threshold)


def check_rule(scoring, shrinkage="auto"):
    """Make sure that `scoring` and `shrinkage` are known and go together."""
    if not callable(scoring) and scoring not in SCORINGS:
        raise ValueError(f"scoring must be one of {', '.join(map(repr, SCORINGS))} or a callable; got {scoring!r}.")
    if shrinkage is None or (isinstance(shrinkage, str) and shrinkage == "auto"):
        return
    if isinstance(shrinkage, bool) or not isinstance(shrinkage, Real) or not 0 < shrinkage < np.inf:
        raise ValueError(f"shrinkage must be 'auto', None or a number above 0; got {shrinkage!r}.")
    if scoring not in (*_MACRO, "f1_micro"):
        raise ValueError(
            f"shrinkage={shrinkage!r} has no meaning for scoring={scoring!r}, which fits no threshold to the score of "
            "each label; leave it at 'auto'."
        )


class _Cells(NamedTuple):
    """Rows that count: `Y` (dense or CSR), probabilities, and the weight of each row."""

    Y: np.ndarray | sparse.csr_array
    proba: np.ndarray
    weight: np.ndarray

    def by_rows(self):
        """Yield blocks of rows: what is true, what is known, probabilities (float64) and weights."""
        n_samples, n_labels = self.proba.shape
        for rows in gen_batches(n_samples, max(1, _CHUNK_CELLS // n_labels)):
            Y = _dense(self.Y[rows])
            yield Y == 1, Y == Y, _clipped(self.proba[rows]), self.weight[rows]  # NaN is not itself

    def by_labels(self):
        """Yield blocks of labels, a label to a row, the most probable cells first.

        A block is the slice of labels, probabilities (-1 where the cell is not known), weights (then 0)
        and what is true, each of shape (n_labels, n_samples).
        """
        n_samples, n_labels = self.proba.shape
        columns = sparse.csc_array(self.Y) if sparse.issparse(self.Y) else self.Y
        for labels in gen_batches(n_labels, max(1, _CHUNK_CELLS // n_samples)):
            Y = _dense(columns[:, labels]).T
            p = np.where(Y == Y, _clipped(self.proba[:, labels].T), -1.0)
            order = np.argsort(-p, axis=1)
            p = np.take_along_axis(p, order, axis=1)
            yield labels, p, np.where(p >= 0, self.weight[order], 0.0), np.take_along_axis(Y == 1, order, axis=1)


def _cells(Y, proba, sample_weight):
    proba = np.asarray(proba)
    if proba.shape != Y.shape:
        raise ValueError(f"proba must have the shape of Y, {Y.shape}; got {proba.shape}.")
    if np.isnan(proba).any():
        raise ValueError("proba contains NaN.")
    if sample_weight is None:
        return _Cells(Y, proba, np.ones(len(proba)))
    weight = check_sample_weight(sample_weight, proba)
    kept = weight > 0
    return _Cells(Y, proba, weight) if kept.all() else _Cells(Y[kept], proba[kept], weight[kept])


def _dense(Y):
    return Y.toarray() if sparse.issparse(Y) else Y


def _clipped(p):
    """Return a copy in float64 and C order, in [0, 1], which float32 sums may leave."""
    return np.clip(np.ascontiguousarray(p, dtype=np.float64), 0, 1)


def _best_threshold(cells, scoring, shrinkage):
    if callable(scoring):
        return _best_on_grid(cells, scoring)
    if scoring == "f1_samples":
        return _best_for_samples(cells)
    if scoring == "proportion":
        return _best_by_label(cells, _share)
    is_macro, metric = scoring in _MACRO, _MACRO.get(scoring, _F1)
    if is_macro and shrinkage == "auto":
        return _plug_in(cells, metric)
    if is_macro and shrinkage is None:
        return _best_by_label(cells, metric.value)
    common = _best_common(cells, metric.value)
    if shrinkage == "auto":
        return common
    own = _best_by_label(cells, metric.value) if is_macro else _ascend(cells, common)
    return own if shrinkage is None else _drawn_together(cells, own, common, shrinkage)


def _best_by_label(cells, value):
    """Return for each label the threshold with the best value among all there are."""
    thresholds = np.empty(cells.proba.shape[1])
    for labels, p, weight, truth in cells.by_labels():
        tp, predicted = _summed(weight * truth), _summed(weight)
        edges = np.pad(p, [(0, 0), (1, 1)], constant_values=[(0, 0), (1, -1)])
        scores = value(tp, predicted, tp[:, -1:], predicted[:, -1:])
        scores[edges[:, :-1] <= edges[:, 1:]] = -np.inf  # no threshold parts equal or unknown cells
        best = scores.argmax(axis=1)[:, None]
        high, low = (np.take_along_axis(edges, at, axis=1)[:, 0] for at in (best, best + 1))
        thresholds[labels] = _half_way(np.maximum(low, 0), high)
    return thresholds


def _summed(weight):
    """Return the weight of the first 0, 1, ..., n cells of each row."""
    sums = np.zeros((weight.shape[0], weight.shape[1] + 1))
    np.cumsum(weight, axis=1, out=sums[:, 1:])
    return sums


def _half_way(low, high):
    """Return thresholds that ``high`` reaches and ``low`` does not, if they differ at all."""
    middle = low + (high - low) / 2
    return np.where(middle > low, middle, high)


def _best_common(cells, value):
    values = _candidates(cells)
    reached = sum(_reached(values, p, weight * truth, weight) for _, p, weight, truth in cells.by_labels())
    (positive, known), (tp, predicted) = reached.sum(axis=1), _above(reached)
    return _at(cells, values, value(tp, predicted, positive, known))


def _candidates(cells):
    """Return where a threshold for all labels may lie, ascending: anywhere else it only adds negatives."""
    if sparse.issparse(cells.Y):
        Y = cells.Y.tocoo()
        is_positive = Y.data == 1
        p = cells.proba[Y.row[is_positive], Y.col[is_positive]]
    else:
        p = cells.proba[cells.Y == 1]
    return np.append(np.unique(_clipped(p)), np.inf)  # the last one predicts nothing


def _reached(values, p, *amounts):
    """Return for each amount its sums over the cells that reach exactly 0, 1, 2, ... of the ascending values."""
    at = np.searchsorted(values, p.ravel(), side="right")
    return np.array([np.bincount(at, amount.ravel(), len(values) + 1) for amount in amounts])


def _above(reached):
    """Return the sums over the cells that reach each of the values."""
    return reached[:, :0:-1].cumsum(axis=1)[:, ::-1]


def _at(cells, values, scores):
    """Return the threshold of the last of the best scores, half way to the next cell below it."""
    value = values[len(values) - 1 - scores[::-1].argmax()]
    low = max(np.max(p, where=known & (p < value), initial=0.0) for _, known, p, _ in cells.by_rows())
    return float(_half_way(low, min(value, 1.0)))


def _best_for_samples(cells):
    """Return the threshold for all labels with the best mean F1 of a row: each cell adds to its row's F1."""
    values = _candidates(cells)
    gains = np.zeros((1, len(values) + 1))
    for truth, known, p, weight in cells.by_rows():
        order = np.argsort(-p, axis=1)
        p, truth, known = (np.take_along_axis(cell, order, axis=1) for cell in (p, truth, known))
        tp, predicted = _summed(truth), _summed(known)
        f1 = _fbeta(tp, predicted, tp[:, -1:], None)
        gains += _reached(values, p, np.diff(f1) * weight[:, None])
    return _at(cells, values, _above(gains)[0])


def _best_on_grid(cells, scoring):
    values = _candidates(cells)
    if len(values) > _GRID:
        values = values[np.linspace(0, len(values) - 1, _GRID).astype(int)]
    return _at(cells, values, np.array([_score(cells, scoring, value) for value in values]))


def _ascend(cells, common):
    """Return the thresholds of all labels with the best micro-F1.

    What is above the best F1 so far, by 2 tp - F1 (predicted + positive), is a sum over labels, which each label
    maximises alone.
    """
    thresholds = np.full(cells.proba.shape[1], common)
    best = _score(cells, "f1_micro", thresholds)
    while True:
        candidate = _best_by_label(cells, lambda tp, predicted, *_, best=best: 2 * tp - best * predicted)
        reached = _score(cells, "f1_micro", candidate)
        if reached <= best:
            return thresholds
        thresholds, best = candidate, reached


def _drawn_together(cells, own, common, m):
    positive = sum(weight @ truth for truth, _, _, weight in cells.by_rows())
    share = _ratio(positive, positive + m)
    return expit(share * _log_odds(own) + (1 - share) * _log_odds(common))


def _plug_in(cells, metric):
    """Return the thresholds that would be best if the calibrated probabilities were true."""
    slope, shift = _calibrate(cells)
    thresholds = np.empty(cells.proba.shape[1])
    for labels, p, weight, _ in cells.by_labels():
        weight_true = weight * expit(slope * _log_odds(p) + shift)
        tp, predicted = _summed(weight_true), _summed(weight)
        best = metric.value(tp, predicted, tp[:, -1:], predicted[:, -1:]).max(axis=1)
        worth = metric.worth(best, tp[:, -1], predicted[:, -1])
        is_known = predicted[:, -1] > 0
        thresholds[labels] = np.where(is_known, expit((_log_odds(worth) - shift) / slope), DEFAULT_THRESHOLD)
    return thresholds


def _log_odds(p):
    return logit(np.clip(p, _EPSILON, 1 - _EPSILON))


def _calibrate(cells):
    """Return slope and shift of the log-odds with the least log-loss, or 1 and 0 if there is no slope to speak of."""
    end = logit(1 - _EPSILON)
    positive, known = np.zeros(_BINS), np.zeros(_BINS)
    for truth, is_known, p, weight in cells.by_rows():
        bins = np.rint((_log_odds(p) + end) * ((_BINS - 1) / (2 * end))).astype(np.intp).ravel()
        positive += np.bincount(bins, (truth * weight[:, None]).ravel(), _BINS)
        known += np.bincount(bins, (is_known * weight[:, None]).ravel(), _BINS)
    n_positive, n_known = positive.sum(), known.sum()
    # Platt's targets: with those of 0 and 1 the slope of a perfect ranking would have no end.
    high, low = (n_positive + 1) / (n_positive + 2), 1 / (n_known - n_positive + 2)
    wanted = positive * high + (known - positive) * low
    z = np.linspace(-end, end, _BINS)

    def loss(params):
        u = params[0] * z + params[1]
        error = known * expit(u) - wanted
        total = -(wanted * log_expit(u) + (known - wanted) * log_expit(-u)).sum()
        return total / n_known, np.array([error @ z, error.sum()]) / n_known

    if n_positive == 0:
        return 1.0, 0.0
    slope, shift = minimize(loss, [1.0, 0.0], jac=True, method="BFGS").x
    return (slope, shift) if slope >= _MIN_SLOPE else (1.0, 0.0)


def _best_k(cells):
    """Return the number of labels a row gets, the most probable ones, with the best micro-F1."""
    tp, predicted = 0, 0
    for truth, known, p, weight in cells.by_rows():
        order = np.argsort(-p, axis=1, kind="stable")
        tp = tp + weight @ np.take_along_axis(truth, order, axis=1)
        predicted = predicted + weight @ np.take_along_axis(known, order, axis=1)
    tp, predicted = _summed(np.array([tp, predicted]))
    return int(_fbeta(tp, predicted, tp[-1], None).argmax())


def _score(cells, scoring, threshold, k=None):
    if callable(scoring):
        return _score_of(scoring, cells, threshold)
    counts = np.zeros((4, cells.proba.shape[1]))
    f1, total = 0.0, 0.0
    for truth, known, p, weight in cells.by_rows():
        decisions = known & decide(p, threshold, k or 0, k)
        hits = decisions & truth
        counts += [weight @ cell for cell in (hits, decisions, truth, known)]
        f1 += weight @ _fbeta(hits.sum(axis=1), decisions.sum(axis=1), truth.sum(axis=1), None)
        total += weight @ known.any(axis=1)
    if scoring == "f1_samples":
        return float(f1 / total)
    if scoring in _MACRO:
        return float(_MACRO[scoring].value(*counts[:, counts[3] > 0]).mean())
    return float(_fbeta(*counts.sum(axis=1)))


def _score_of(scoring, cells, threshold):
    Y, predicted = cells.Y, (cells.proba.astype(np.float64) >= threshold).astype(np.int64)
    if Y.dtype.kind != "f":
        Y = Y.astype(np.int64)  # a difference of two uint8 would wrap around
    if sparse.issparse(Y):
        predicted = sparse.csr_array(predicted)
    is_weighted = not np.all(cells.weight == 1)
    return float(scoring(Y, predicted, **({"sample_weight": cells.weight} if is_weighted else {})))
