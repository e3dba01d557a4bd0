"""Find thresholds that guarantee precision or recall.

For precision they are found by tests on a grid of thresholds that does not depend on the labels.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import betainc, betaincinv, expit

from skml._decisions._calibration import binned_log_odds
from skml._decisions._entries import as_probabilities
from skml._decisions._guarantees import CONFIDENCE, NEVER
from skml._decisions._rule import DecisionRule
from skml._decisions._search import midpoint, midpoint_below, positive_entries

# The probability with which a guarantee of precision may fail.
_RISK = 1 - CONFIDENCE

# The ratio of the numbers of predictions at neighboring thresholds of the grid.
_GRID_RATIO = 1.05

# The number of starts of the sequence of tests, which share the risk. With more starts, a failed test matters less, but
# each start needs more rows.
_N_STARTS = 3

# The tests start at 1.5 times the minimum number of rows, so that one false positive does not end the sequence.
_SPARE_FACTOR = 1.5


class PredictionCounts(NamedTuple):
    """Sums over the predicted labels at each threshold of a grid, in descending order, each of shape (n_thresholds,).

    In the comments, w is the weight of a row, k the number of labels predicted for it, e the number of those that are
    wrong, and p the probabilities of the predicted labels. No row, in the data or new, may add more than `heaviest` to
    `predictions`.
    """

    predictions: np.ndarray  # w k
    wrong: np.ndarray  # w e
    expected_right: np.ndarray  # w sum(p)
    squared_weights: np.ndarray  # w^2 k
    squared_predictions: np.ndarray  # (w k)^2
    predictions_times_wrong: np.ndarray  # w^2 k e
    squared_wrong: np.ndarray  # (w e)^2
    heaviest: np.ndarray  # max(w) max(k)

    def effective_rows(self):
        """Return the number of rows of the greatest possible weight that have as many predictions.

        It is the effective number of predictions if the predictions for a row are all right or all wrong.
        """
        return self.predictions / self.heaviest

    def independent_predictions(self):
        """Return the effective number of predictions if the predictions for a row are independent."""
        return self.predictions**2 / self.squared_weights

    def effective_predictions(self):
        """Return the number of independent predictions that carry the same information (Korn and Graubard, 1998).

        For this number, the binomial variance equals the variance of the fraction of wrong predictions, a ratio of two
        sums over rows. One row is added to these: the heaviest, with all its predictions wrong. A few such rows can
        determine the precision, although most samples contain none. The number is at most `independent_predictions`.
        """
        predictions, wrong = self.predictions + self.heaviest, self.wrong + self.heaviest
        share = wrong / predictions
        spread = self.squared_wrong - 2 * share * self.predictions_times_wrong + share**2 * self.squared_predictions
        spread = spread + ((1 - share) * self.heaviest) ** 2
        variance = share * (1 - share) * predictions * self.predictions
        number = np.divide(variance, spread, out=self.effective_rows(), where=self.wrong < self.predictions)
        return np.minimum(number, self.independent_predictions())

    def p_values(self, level):
        """Return p-values of the hypothesis that precision is below `level` (Clopper and Pearson, 1934)."""
        number = self.effective_predictions()
        right = number * (1 - self.wrong / self.predictions)
        return np.where(right > 0, betainc(np.maximum(right, 1e-9), number - right + 1, level), 1.0)

    def lower_bounds(self):
        """Return the lower confidence bound of precision at each threshold, if it alone were tested."""
        number = self.effective_predictions()
        right = number * (1 - self.wrong / self.predictions)
        return np.where(right > 0, betaincinv(np.maximum(right, 1e-9), number - right + 1, _RISK), 0.0)

    def lowest_guaranteed(self, level):
        """Return the index of the lowest threshold that guarantees a precision of `level`, or None.

        Sequences of tests run down the grid from several starts, each with a share of the risk, until a test fails. A
        sequence that reaches the next start adds its risk there (fallback procedure, Wiens and Dmitrienko, 2005).
        """
        risk, found = 0.0, None
        for i, (p_value, share) in enumerate(zip(self.p_values(level), self._initial_risks(level), strict=True)):
            risk += share
            if risk and p_value <= risk:
                found = i
            else:
                risk = 0.0
        return found

    def _initial_risks(self, level):
        """Return the risk with which a sequence of tests starts at each threshold, 0 if none starts there.

        One sequence starts near the highest threshold and one where the tests have the greatest power if the
        probabilities are true. One starts between them, for overconfident probabilities. If no threshold has enough
        rows, there is none.
        """
        shares, rows = np.zeros(len(self.predictions)), self.effective_rows()
        (possible,) = np.nonzero(rows >= rows_needed(level))
        if not possible.size:
            return shares
        margin = (self.expected_right / self.predictions - level) * np.sqrt(self.independent_predictions())
        (spare,) = np.nonzero(rows >= _SPARE_FACTOR * rows_needed(level, _RISK / _N_STARTS))
        top = (spare if spare.size else possible)[0]
        surest = max(top, possible[margin[possible].argmax()])
        for wanted in np.geomspace(rows[top], max(rows[top], rows[surest]), _N_STARTS):
            shares[np.argmax(rows >= wanted * (1 - 1e-9))] += _RISK / _N_STARTS
        return shares


def rows_needed(level, risk=_RISK):
    """Return the least number of rows that can prove a precision, which suffices if all predictions are right."""
    return np.ceil(np.log(risk) / np.log(level))


def common_threshold_for_precision(entries, guarantee):
    """Return the rule with the lowest common threshold that guarantees precision, and a warning message or None.

    If there is no such threshold, `NEVER` is returned instead of a rule. The rule predicts at most as many labels for a
    row as the threshold does for a row of the data. This limits the weight of rows that are too rare to be in the data.
    """
    grid = _grid(entries, guarantee.level)
    counts, max_labels = _count_predictions(entries, grid)
    has_predictions = counts.predictions > 0
    grid, max_labels = grid[has_predictions], max_labels[has_predictions]
    counts = PredictionCounts(*(sums[has_predictions] for sums in counts))
    lowest = counts.lowest_guaranteed(guarantee.level)
    if lowest is not None:
        most = int(max_labels[lowest])
        return DecisionRule(float(grid[lowest]), max_labels=most if most < entries.proba.shape[1] else None), None
    return NEVER, (
        f"No threshold guarantees {str(guarantee)!r} with {CONFIDENCE:.0%} confidence. "
        f"{_reason(grid, counts, guarantee)} No label is predicted. Fit on more rows or lower the target level."
    )


def _reason(grid, counts, guarantee):
    """Return a sentence that explains why no threshold gives a guarantee."""
    n_rows, needed = counts.effective_rows().max(initial=0), rows_needed(guarantee.level)
    if n_rows < needed:
        return f"It needs at least {needed:.0f} rows with correct predictions; the data have {n_rows:.0f} (effective)."
    bounds = counts.lower_bounds()
    return f"The highest level within reach is about {bounds.max():.3f}, with threshold={grid[bounds.argmax()]:.4g}."


def _grid(entries, level):
    """Return common thresholds in descending order, chosen by the number of predictions, regardless of the labels."""
    log_odds, _, observed, _ = binned_log_odds(entries)
    predictions = observed[::-1].cumsum()
    row_weight = (entries.weight**2).sum() / entries.weight.sum()  # the weight of an effective row
    wanted = _grid_sizes(level, predictions[-1] / row_weight) * row_weight
    bins = np.unique(np.searchsorted(predictions, wanted).clip(max=len(observed) - 1))
    half_bin = (log_odds[1] - log_odds[0]) / 2
    return np.append(expit(log_odds[::-1][bins] - half_bin), 0.0)


def _grid_sizes(level, most):
    """Return the numbers of predictions at the thresholds of a grid: a geometric sequence up to at least `most`.

    It starts just below the least number that can prove the level.
    """
    first = rows_needed(level) / _GRID_RATIO
    return first * _GRID_RATIO ** np.arange(max(1, np.ceil(np.log(max(most / first, 1)) / np.log(_GRID_RATIO)) + 1))


def _count_predictions(entries, grid):
    """Return the `PredictionCounts` of common thresholds in descending order, and the most predictions for a row."""
    ascending, width = grid[::-1], len(grid) + 1
    totals, most = np.zeros((7, len(grid))), np.zeros(len(grid))
    for truth, observed, p, weight in entries.by_rows(width):
        at = np.searchsorted(ascending, p, side="right") + width * np.arange(len(p))[:, None]
        amounts = (observed, observed & ~truth, observed * p, np.ones_like(observed))
        k, e, expected_right, predicted = (_cumulative_by_row(at, amount, len(p), width) for amount in amounts)
        totals[:3] += [weight @ amount for amount in (k, e, expected_right)]
        totals[3:] += [weight**2 @ amount for amount in (k, k**2, k * e, e**2)]
        most = np.maximum(most, predicted.max(axis=0))
    return PredictionCounts(*totals, heaviest=entries.weight.max() * most), most


def _cumulative_by_row(at, amount, n_rows, width):
    """Return, for each row, the sums of an amount over its entries that reach each threshold, in descending order."""
    reached = np.bincount(at.ravel(), amount.ravel(), n_rows * width).reshape(n_rows, width)
    return reached[:, :0:-1].cumsum(axis=1)


def label_thresholds_for_precision(entries, guarantee):
    """Return the lowest threshold per label that guarantees precision, or `NEVER`, and a warning message or None."""
    thresholds = np.full(entries.proba.shape[1], NEVER)
    for labels, p, weight, truth in entries.by_labels():
        rows = zip(p, weight, truth, strict=True)
        thresholds[labels] = [_label_threshold(*row, guarantee.level, entries.weight.max()) for row in rows]
    n_never = int((thresholds == NEVER).sum())
    if not n_never:
        return thresholds, None
    return thresholds, (
        f"No threshold guarantees {str(guarantee)!r} with {CONFIDENCE:.0%} confidence for {n_never} of "
        f"{len(thresholds)} labels. These labels are never predicted (threshold {NEVER:.0f}). Each of them needs at "
        f"least {rows_needed(guarantee.level):.0f} rows for which it is predicted correctly. Fit on more rows, lower "
        f"the target level, or use {str(guarantee._replace(by_label=False))!r}, one guarantee for all labels together."
    )


def _label_threshold(p, weight, truth, level, heaviest):
    """Return the threshold of one label, given its entries as `Entries.by_labels` yields them.

    `heaviest` is the greatest weight of all rows.
    """
    n_observed = np.count_nonzero(p >= 0)
    p = np.append(p[:n_observed], -1.0)
    (ends,) = np.nonzero(p[:-1] > p[1:])  # no threshold separates equal probabilities
    if not ends.size:
        return NEVER
    numbers = _grid_sizes(level, n_observed).clip(max=n_observed)
    ends = ends[np.unique(np.searchsorted(ends, np.ceil(numbers) - 1))]
    w, e = weight[:n_observed], weight[:n_observed] * ~truth[:n_observed]
    sums = [np.cumsum(amount)[ends] for amount in (w, e, w * p[:-1], w**2, e**2)]
    counts = PredictionCounts(*sums[:4], sums[3], sums[4], sums[4], np.full(len(ends), heaviest))
    lowest = counts.lowest_guaranteed(level)
    return NEVER if lowest is None else midpoint(max(p[ends[lowest] + 1], 0.0), p[ends[lowest]])


# Tolerance for rounding errors of sums.
_TOLERANCE = 1e-9


def common_threshold_for_recall(entries, guarantee):
    """Return the highest common threshold that guarantees the mean recall of rows, and a warning message or None.

    The loss of a row is the fraction of its true labels that are not predicted. Rows without a true label are left out,
    and the guarantee does not cover them. If there are too few rows to prove the level, the threshold is 0.
    """
    rows, columns = positive_entries(entries.Y)
    n_true = np.bincount(rows, minlength=len(entries.weight))
    weight = np.where(n_true > 0, entries.weight, 0.0)
    n = weight.sum() / weight.max() if rows.size else 0.0  # a new row may have the greatest weight
    if 1 / (n + 1) > 1 - guarantee.level + _TOLERANCE:
        return 0.0, (
            f"{str(guarantee)!r} needs at least {np.ceil(guarantee.level / (1 - guarantee.level) - _TOLERANCE):.0f} "
            f"rows with a true label, and the data have {n:.0f} (effective). The threshold is 0, which predicts every "
            "label for every row. Fit on more rows or lower the target level."
        )
    values, at = np.unique(as_probabilities(entries.proba[rows, columns]), return_inverse=True)
    missed = np.bincount(at, (weight / np.maximum(n_true, 1))[rows])
    loss = (np.cumsum(missed) - missed) / weight.sum()  # the mean loss if each value is the threshold
    is_guaranteed = (n * loss + 1) / (n + 1) <= 1 - guarantee.level + _TOLERANCE
    return midpoint_below(entries, values[np.flatnonzero(is_guaranteed)[-1]]), None
