"""Find the thresholds, or the number of labels per row, that maximize a score on given probabilities."""

import numpy as np
from scipy import sparse
from scipy.special import expit

from skml._decisions._calibration import clipped_log_odds, platt
from skml._decisions._entries import as_probabilities, prefix_sums, weighted_sums
from skml._decisions._measures import fbeta, micro_f1, ratio
from skml._decisions._rule import DEFAULT_THRESHOLD

# The greatest number of thresholds at which a user's scoring function is evaluated.
_MAX_CANDIDATES = 100


def best_by_label(entries, score):
    """Return the threshold with the best score for each label."""
    thresholds = np.empty(entries.proba.shape[1])
    for labels, p, weight, truth in entries.by_labels():
        tp, predicted = prefix_sums(weight * truth), prefix_sums(weight)
        edges = np.pad(p, [(0, 0), (1, 1)], constant_values=[(0, 0), (1, -1)])
        scores = score(tp, predicted, tp[:, -1:], predicted[:, -1:])
        scores[edges[:, :-1] <= edges[:, 1:]] = -np.inf  # no threshold separates equal probabilities or missing labels
        best = scores.argmax(axis=1)[:, None]
        high, low = (np.take_along_axis(edges, at, axis=1)[:, 0] for at in (best, best + 1))
        thresholds[labels] = midpoint(np.maximum(low, 0), high)
    return thresholds


def midpoint(low, high):
    """Return the mean of two probabilities, or ``high`` if rounding would give ``low``."""
    middle = low + (high - low) / 2
    return np.where(middle > low, middle, high)


def best_common(entries, score):
    """Return the common threshold of all labels with the best score over all entries."""
    values = _candidates(entries)
    sums = sum(_histogram(values, p, weight * truth, weight) for _, p, weight, truth in entries.by_labels())
    (positive, observed), (tp, predicted) = sums.sum(axis=1), _cumulative_from_top(sums)
    return _threshold_with_best(entries, values, score(tp, predicted, positive, observed))


def _candidates(entries):
    """Return the probabilities of the positive entries, ascending, and infinity, which predicts nothing.

    A threshold between two of them would only add false positives.
    """
    p = entries.proba[positive_entries(entries.Y)]
    return np.append(np.unique(as_probabilities(p)), np.inf)


def positive_entries(Y):
    """Return the row and column indices of the entries that are 1."""
    if not sparse.issparse(Y):
        return np.nonzero(Y == 1)
    Y = Y.tocoo()
    is_positive = Y.data == 1
    return Y.row[is_positive], Y.col[is_positive]


def _histogram(values, p, *amounts):
    """Return the sums of each amount over the entries whose p reaches exactly 0, 1, 2, ... of the ascending values."""
    n_reached = np.searchsorted(values, p.ravel(), side="right")
    return np.array([np.bincount(n_reached, amount.ravel(), len(values) + 1) for amount in amounts])


def _cumulative_from_top(sums):
    """Turn a histogram into the sums over the entries that reach each of the values."""
    return sums[:, :0:-1].cumsum(axis=1)[:, ::-1]


def _threshold_with_best(entries, values, scores):
    """Return a threshold for the value with the best score; for equal scores, for the greatest value."""
    return midpoint_below(entries, values[len(values) - 1 - scores[::-1].argmax()])


def midpoint_below(entries, value):
    """Return the midpoint of a value and the next lower probability of an observed entry."""
    low = max(np.max(p, where=observed & (p < value), initial=0.0) for _, observed, p, _ in entries.by_rows())
    return float(midpoint(low, min(value, 1.0)))


def best_for_samples(entries):
    """Return the common threshold of all labels with the best mean F1 of the rows."""
    values = _candidates(entries)
    gains = np.zeros((1, len(values) + 1))
    for truth, observed, p, weight in entries.by_rows():
        order = np.argsort(-p, axis=1)
        p, truth, observed = (np.take_along_axis(entry, order, axis=1) for entry in (p, truth, observed))
        tp, predicted = prefix_sums(truth), prefix_sums(observed)
        f1 = fbeta(tp, predicted, tp[:, -1:])
        # The F1 of a row at a threshold is the sum of the gains of its entries above the threshold.
        gains += _histogram(values, p, np.diff(f1) * weight[:, None])
    return _threshold_with_best(entries, values, _cumulative_from_top(gains)[0])


def best_on_grid(entries, score):
    """Return the common threshold of all labels with the best ``score(rule)`` among up to 100 candidates."""
    values = _candidates(entries)
    if len(values) > _MAX_CANDIDATES:
        values = values[np.linspace(0, len(values) - 1, _MAX_CANDIDATES).astype(int)]
    return _threshold_with_best(entries, values, np.array([score(entries.rule(value)) for value in values]))


def maximize_micro_f1(entries, common):
    """Return one threshold per label, which together maximize micro-F1 (Dinkelbach, 1967).

    With F the best micro-F1 so far, other thresholds are better if ``2 tp - F * (predicted + positive)`` is above 0.
    This is a sum over labels, so that each label is maximized separately.
    """
    thresholds = np.full(entries.proba.shape[1], common)
    best = micro_f1(entries, entries.rule(thresholds))
    while True:
        candidate = best_by_label(entries, lambda tp, predicted, *_, best=best: 2 * tp - best * predicted)
        reached = micro_f1(entries, entries.rule(candidate))
        if reached <= best:
            return thresholds
        thresholds, best = candidate, reached


def shrink_to_common(entries, by_label, common, m):
    """Shrink the log-odds of label thresholds toward the common threshold, more for labels with fewer positives."""
    positive = sum(weighted_sums(weight, truth) for truth, _, _, weight in entries.by_rows(by_entry=True))
    share = ratio(positive, positive + m)
    return expit(share * clipped_log_odds(by_label) + (1 - share) * clipped_log_odds(common))


def best_k(entries):
    """Return the number of most probable labels per row with the best micro-F1."""
    tp, predicted = 0, 0
    for truth, observed, p, weight in entries.by_rows(by_entry=True):
        order = np.argsort(-p, axis=1, kind="stable")
        truth, observed = (np.take_along_axis(entry, order, axis=1) for entry in (truth, observed))
        weight = weight if weight.ndim == 1 else np.take_along_axis(weight, order, axis=1)
        tp = tp + weighted_sums(weight, truth)
        predicted = predicted + weighted_sums(weight, observed)
    tp, predicted = prefix_sums(np.array([tp, predicted]))
    return int(fbeta(tp, predicted, tp[-1]).argmax())


def plug_in(entries, measure):
    """Return the threshold per label that maximizes the expected score if the calibrated probabilities are true."""
    slope, offset = platt(entries)
    thresholds = np.empty(entries.proba.shape[1])
    for labels, p, weight, _ in entries.by_labels():
        expected_positive = weight * expit(slope * clipped_log_odds(p) + offset)
        tp, predicted = prefix_sums(expected_positive), prefix_sums(weight)
        positive, observed = tp[:, -1], predicted[:, -1]
        best = measure.score(tp, predicted, positive[:, None], observed[:, None]).max(axis=1)
        optimal = measure.optimal_threshold(best, positive, observed)
        uncalibrated = expit((clipped_log_odds(optimal) - offset) / slope)
        thresholds[labels] = np.where(observed > 0, uncalibrated, DEFAULT_THRESHOLD)
    return thresholds
