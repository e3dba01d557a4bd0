"""Exact optima: which threshold, or number of labels, scores best on given probabilities."""

import numpy as np
from scipy import sparse
from scipy.special import expit

from skml._decisions._calibration import clipped_log_odds, platt
from skml._decisions._entries import as_probabilities, prefix_sums
from skml._decisions._measures import fbeta, micro_f1, ratio
from skml._decisions._rule import DEFAULT_THRESHOLD, DecisionRule

# Thresholds that a scoring function is tried at.
_GRID = 100


def best_by_label(entries, value):
    """Return for each label the threshold with the best value among all there are."""
    thresholds = np.empty(entries.proba.shape[1])
    for labels, p, weight, truth in entries.by_labels():
        tp, predicted = prefix_sums(weight * truth), prefix_sums(weight)
        edges = np.pad(p, [(0, 0), (1, 1)], constant_values=[(0, 0), (1, -1)])
        scores = value(tp, predicted, tp[:, -1:], predicted[:, -1:])
        scores[edges[:, :-1] <= edges[:, 1:]] = -np.inf  # no threshold parts equal or missing labels
        best = scores.argmax(axis=1)[:, None]
        high, low = (np.take_along_axis(edges, at, axis=1)[:, 0] for at in (best, best + 1))
        thresholds[labels] = midpoint(np.maximum(low, 0), high)
    return thresholds


def midpoint(low, high):
    """Return thresholds that ``high`` reaches and ``low`` does not, if they differ at all."""
    middle = low + (high - low) / 2
    return np.where(middle > low, middle, high)


def best_common(entries, value):
    """Return the threshold for all labels with the best value of all entries."""
    values = _candidates(entries)
    reached = sum(_histogram(values, p, weight * truth, weight) for _, p, weight, truth in entries.by_labels())
    (positive, known), (tp, predicted) = reached.sum(axis=1), _cumulative_from_top(reached)
    return _threshold_at(entries, values, value(tp, predicted, positive, known))


def _candidates(entries):
    """Return where a threshold for all labels may lie, ascending: any other cut only adds false positives."""
    p = entries.proba[positive_entries(entries.Y)]
    return np.append(np.unique(as_probabilities(p)), np.inf)  # the last one predicts nothing


def positive_entries(Y):
    """Return the rows and the columns of the entries that are 1."""
    if not sparse.issparse(Y):
        return np.nonzero(Y == 1)
    Y = Y.tocoo()
    is_positive = Y.data == 1
    return Y.row[is_positive], Y.col[is_positive]


def _histogram(values, p, *amounts):
    """Return for each amount its sums over the entries that reach exactly 0, 1, 2, ... of the ascending values."""
    at = np.searchsorted(values, p.ravel(), side="right")
    return np.array([np.bincount(at, amount.ravel(), len(values) + 1) for amount in amounts])


def _cumulative_from_top(reached):
    """Return the sums over the entries that reach each of the values."""
    return reached[:, :0:-1].cumsum(axis=1)[:, ::-1]


def _threshold_at(entries, values, scores):
    """Return the threshold of the last of the best scores."""
    return next_below(entries, values[len(values) - 1 - scores[::-1].argmax()])


def next_below(entries, value):
    """Return the threshold that a value reaches, half way to the next known entry below it."""
    low = max(np.max(p, where=known & (p < value), initial=0.0) for _, known, p, _ in entries.by_rows())
    return float(midpoint(low, min(value, 1.0)))


def best_for_samples(entries):
    """Return the threshold for all labels with the best mean F1 of a row: each entry adds to its row's F1."""
    values = _candidates(entries)
    gains = np.zeros((1, len(values) + 1))
    for truth, known, p, weight in entries.by_rows():
        order = np.argsort(-p, axis=1)
        p, truth, known = (np.take_along_axis(entry, order, axis=1) for entry in (p, truth, known))
        tp, predicted = prefix_sums(truth), prefix_sums(known)
        f1 = fbeta(tp, predicted, tp[:, -1:])
        gains += _histogram(values, p, np.diff(f1) * weight[:, None])
    return _threshold_at(entries, values, _cumulative_from_top(gains)[0])


def best_on_grid(entries, score):
    """Return the threshold for all labels with the best ``score(rule)``, of up to 100 that are tried."""
    values = _candidates(entries)
    if len(values) > _GRID:
        values = values[np.linspace(0, len(values) - 1, _GRID).astype(int)]
    return _threshold_at(entries, values, np.array([score(DecisionRule(value)) for value in values]))


def maximize_micro_f1(entries, common):
    """Return the thresholds of all labels with the best micro-F1.

    What is above the best F1 so far, by 2 tp - F1 (predicted + positive), is a sum over labels, which each label
    maximises alone.
    """
    thresholds = np.full(entries.proba.shape[1], common)
    best = micro_f1(entries, DecisionRule(thresholds))
    while True:
        candidate = best_by_label(entries, lambda tp, predicted, *_, best=best: 2 * tp - best * predicted)
        reached = micro_f1(entries, DecisionRule(candidate))
        if reached <= best:
            return thresholds
        thresholds, best = candidate, reached


def shrink_to_common(entries, own, common, m):
    """Return thresholds of labels, drawn toward the one for all the more the fewer positives a label has."""
    positive = sum(weight @ truth for truth, _, _, weight in entries.by_rows())
    share = ratio(positive, positive + m)
    return expit(share * clipped_log_odds(own) + (1 - share) * clipped_log_odds(common))


def best_k(entries):
    """Return the number of labels a row gets, the most probable ones, with the best micro-F1."""
    tp, predicted = 0, 0
    for truth, known, p, weight in entries.by_rows():
        order = np.argsort(-p, axis=1, kind="stable")
        tp = tp + weight @ np.take_along_axis(truth, order, axis=1)
        predicted = predicted + weight @ np.take_along_axis(known, order, axis=1)
    tp, predicted = prefix_sums(np.array([tp, predicted]))
    return int(fbeta(tp, predicted, tp[-1]).argmax())


def plug_in(entries, measure):
    """Return the thresholds that would be best if the calibrated probabilities were true."""
    slope, shift = platt(entries)
    thresholds = np.empty(entries.proba.shape[1])
    for labels, p, weight, _ in entries.by_labels():
        weight_true = weight * expit(slope * clipped_log_odds(p) + shift)
        tp, predicted = prefix_sums(weight_true), prefix_sums(weight)
        best = measure.value(tp, predicted, tp[:, -1:], predicted[:, -1:]).max(axis=1)
        worth = measure.worth(best, tp[:, -1], predicted[:, -1])
        is_known = predicted[:, -1] > 0
        thresholds[labels] = np.where(is_known, expit((clipped_log_odds(worth) - shift) / slope), DEFAULT_THRESHOLD)
    return thresholds
