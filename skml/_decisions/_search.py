"""Exact optima: which threshold, or number of labels, scores best on given probabilities."""

import numpy as np
from scipy import sparse
from scipy.special import expit

from skml._decisions._blocks import clipped, summed
from skml._decisions._measures import fbeta, micro_f1, ratio
from skml._decisions._platt import clipped_log_odds
from skml._decisions._rule import DecisionRule

# Thresholds that a scoring function is tried at.
_GRID = 100


def best_by_label(cells, value):
    """Return for each label the threshold with the best value among all there are."""
    thresholds = np.empty(cells.proba.shape[1])
    for labels, p, weight, truth in cells.by_labels():
        tp, predicted = summed(weight * truth), summed(weight)
        edges = np.pad(p, [(0, 0), (1, 1)], constant_values=[(0, 0), (1, -1)])
        scores = value(tp, predicted, tp[:, -1:], predicted[:, -1:])
        scores[edges[:, :-1] <= edges[:, 1:]] = -np.inf  # no threshold parts equal or unknown cells
        best = scores.argmax(axis=1)[:, None]
        high, low = (np.take_along_axis(edges, at, axis=1)[:, 0] for at in (best, best + 1))
        thresholds[labels] = half_way(np.maximum(low, 0), high)
    return thresholds


def half_way(low, high):
    """Return thresholds that ``high`` reaches and ``low`` does not, if they differ at all."""
    middle = low + (high - low) / 2
    return np.where(middle > low, middle, high)


def best_common(cells, value):
    """Return the threshold for all labels with the best value of all cells."""
    values = _candidates(cells)
    reached = sum(_reached(values, p, weight * truth, weight) for _, p, weight, truth in cells.by_labels())
    (positive, known), (tp, predicted) = reached.sum(axis=1), _above(reached)
    return _threshold_at(cells, values, value(tp, predicted, positive, known))


def _candidates(cells):
    """Return where a threshold for all labels may lie, ascending: any other cut only adds false positives."""
    p = cells.proba[positive_cells(cells.Y)]
    return np.append(np.unique(clipped(p)), np.inf)  # the last one predicts nothing


def positive_cells(Y):
    """Return the rows and the columns of the cells that are 1."""
    if not sparse.issparse(Y):
        return np.nonzero(Y == 1)
    Y = Y.tocoo()
    is_positive = Y.data == 1
    return Y.row[is_positive], Y.col[is_positive]


def _reached(values, p, *amounts):
    """Return for each amount its sums over the cells that reach exactly 0, 1, 2, ... of the ascending values."""
    at = np.searchsorted(values, p.ravel(), side="right")
    return np.array([np.bincount(at, amount.ravel(), len(values) + 1) for amount in amounts])


def _above(reached):
    """Return the sums over the cells that reach each of the values."""
    return reached[:, :0:-1].cumsum(axis=1)[:, ::-1]


def _threshold_at(cells, values, scores):
    """Return the threshold of the last of the best scores."""
    return next_below(cells, values[len(values) - 1 - scores[::-1].argmax()])


def next_below(cells, value):
    """Return the threshold that a value reaches, half way to the next known cell below it."""
    low = max(np.max(p, where=known & (p < value), initial=0.0) for _, known, p, _ in cells.by_rows())
    return float(half_way(low, min(value, 1.0)))


def best_for_samples(cells):
    """Return the threshold for all labels with the best mean F1 of a row: each cell adds to its row's F1."""
    values = _candidates(cells)
    gains = np.zeros((1, len(values) + 1))
    for truth, known, p, weight in cells.by_rows():
        order = np.argsort(-p, axis=1)
        p, truth, known = (np.take_along_axis(cell, order, axis=1) for cell in (p, truth, known))
        tp, predicted = summed(truth), summed(known)
        f1 = fbeta(tp, predicted, tp[:, -1:])
        gains += _reached(values, p, np.diff(f1) * weight[:, None])
    return _threshold_at(cells, values, _above(gains)[0])


def best_on_grid(cells, score):
    """Return the threshold for all labels with the best ``score(rule)``, of up to 100 that are tried."""
    values = _candidates(cells)
    if len(values) > _GRID:
        values = values[np.linspace(0, len(values) - 1, _GRID).astype(int)]
    return _threshold_at(cells, values, np.array([score(DecisionRule(value)) for value in values]))


def ascend(cells, common):
    """Return the thresholds of all labels with the best micro-F1.

    What is above the best F1 so far, by 2 tp - F1 (predicted + positive), is a sum over labels, which each label
    maximises alone.
    """
    thresholds = np.full(cells.proba.shape[1], common)
    best = micro_f1(cells, DecisionRule(thresholds))
    while True:
        candidate = best_by_label(cells, lambda tp, predicted, *_, best=best: 2 * tp - best * predicted)
        reached = micro_f1(cells, DecisionRule(candidate))
        if reached <= best:
            return thresholds
        thresholds, best = candidate, reached


def drawn_together(cells, own, common, m):
    """Return thresholds of labels, drawn toward the one for all the more the fewer positives a label has."""
    positive = sum(weight @ truth for truth, _, _, weight in cells.by_rows())
    share = ratio(positive, positive + m)
    return expit(share * clipped_log_odds(own) + (1 - share) * clipped_log_odds(common))


def best_k(cells):
    """Return the number of labels a row gets, the most probable ones, with the best micro-F1."""
    tp, predicted = 0, 0
    for truth, known, p, weight in cells.by_rows():
        order = np.argsort(-p, axis=1, kind="stable")
        tp = tp + weight @ np.take_along_axis(truth, order, axis=1)
        predicted = predicted + weight @ np.take_along_axis(known, order, axis=1)
    tp, predicted = summed(np.array([tp, predicted]))
    return int(fbeta(tp, predicted, tp[-1]).argmax())
