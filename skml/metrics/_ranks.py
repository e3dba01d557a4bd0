"""Scores of many rows, or of many labels, at once, from the order of the scores in each.

Scores of missing labels are -inf. They are never counted.
"""

import numpy as np
from scipy.stats import rankdata


def n_at_least(scores, selected):
    """Return, for each entry, the number of selected entries in its row with at least the same score."""
    return rankdata(-np.where(selected, scores, -np.inf), method="max", axis=1)


def gain(positive, scores, discount):
    """Return the sum of the discounts of the true labels of each row; the label of rank r has ``discount[r - 1]``.

    Labels with equal scores share the mean discount of their ranks, which is the mean over all orders of them.
    """
    n_rows, n_labels = scores.shape
    total = np.zeros(n_labels + 1)  # of the first ranks
    total[1:] = np.cumsum(np.append(discount[:n_labels], np.zeros(max(0, n_labels - len(discount)))))
    rows, columns = np.nonzero(positive)  # few, so that only these are ranked
    ascending, own = np.sort(scores, axis=1), scores[rows, columns]
    starts = np.searchsorted(rows, np.arange(n_rows + 1))
    gains = np.zeros(len(rows))
    for i in np.unique(rows):
        part = slice(starts[i], starts[i + 1])
        last, first = (n_labels - np.searchsorted(ascending[i], own[part], side) for side in ("left", "right"))
        gains[part] = (total[last] - total[first]) / (last - first)
    return np.bincount(rows, gains, n_rows)


def average_precision_of_rows(positive, observed, scores):
    """Return the average precision of each row, NaN for rows without true or without false labels."""
    n_positive = positive.sum(axis=1)
    precision = np.where(positive, n_at_least(scores, positive) / n_at_least(scores, observed), 0).sum(axis=1)
    return np.where(n_positive < observed.sum(axis=1), precision / n_positive, np.nan)


def area_of_rows(positive, observed, scores):
    """Return the area under the ROC curve of each row, NaN for rows without true or without false labels."""
    n_positive, n_observed = positive.sum(axis=1), observed.sum(axis=1)
    ranks = rankdata(scores, axis=1) - (scores.shape[1] - n_observed)[:, None]  # missing labels rank below all others
    n_right = np.where(positive, ranks, 0).sum(axis=1) - n_positive * (n_positive + 1) / 2
    return n_right / (n_positive * (n_observed - n_positive))


class RankedLabels:
    """The entries of some labels, one label after another, from the largest score to the smallest.

    Parameters
    ----------
    positive : ndarray of bool, shape (n_labels, n_samples)
    weight : ndarray of shape (n_labels, n_samples)
        0 for missing labels.
    scores : ndarray of shape (n_labels, n_samples)
    """

    def __init__(self, positive, weight, scores):
        order = np.argsort(-scores, axis=1)
        scores, weight, positive = (np.take_along_axis(part, order, axis=1) for part in (scores, weight, positive))
        self.positive, self.negative = weight * positive, weight * ~positive
        n_labels, n_samples = scores.shape
        changes = scores[:, 1:] != scores[:, :-1]
        edge, position = np.ones((n_labels, 1), dtype=bool), np.arange(n_samples)
        # Equal scores are one step of the curve, whatever their order: where the step of an entry starts and ends.
        start = np.where(np.hstack([edge, changes]), position, 0)
        self._start = np.maximum.accumulate(start, axis=1)
        end = np.where(np.hstack([changes, edge]), position, n_samples)[:, ::-1]
        self._end = np.minimum.accumulate(end, axis=1)[:, ::-1]

    def average_precision(self):
        """Return the average precision of each label, NaN unless the label has both true and false entries."""
        n_positive, n_negative = (np.cumsum(part, axis=1) for part in (self.positive, self.negative))
        above, wrong = (np.take_along_axis(part, self._end, axis=1) for part in (n_positive, n_negative))
        precision = above / np.maximum(above + wrong, np.finfo(float).tiny)
        return self._defined((self.positive * precision).sum(axis=1) / n_positive[:, -1])

    def area(self):
        """Return the area under the ROC curve of each label, NaN unless it has both true and false entries."""
        n_positive = np.cumsum(self.positive, axis=1)
        until = np.take_along_axis(n_positive, self._end, axis=1)
        before = np.take_along_axis(n_positive - self.positive, self._start, axis=1)
        n_right = (self.negative * (before + until)).sum(axis=1) / 2
        return self._defined(n_right / (n_positive[:, -1] * self.negative.sum(axis=1)))

    def _defined(self, values):
        has_both = (self.positive > 0).any(axis=1) & (self.negative > 0).any(axis=1)
        return np.where(has_both, values, np.nan)
