"""Find thresholds that guarantee precision or recall.

For precision they are found by tests on a grid of thresholds that does not depend on the labels.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import betainc, betaincinv, expit

from skml._decisions._calibration import binned_log_odds
from skml._decisions._entries import as_probabilities
from skml._decisions._guarantees import CONFIDENCE, NEVER
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
    wrong, and p the probabilities of the predicted labels; weights of single labels count as numbers of labels. A
    *unit* is what is independent of the rest: a row, or a group of rows. W, K and E are the sums of w, w k and w e over
    a unit. No unit, in the data or new, may add more than `heaviest` to `predictions`.
    """

    predictions: np.ndarray  # w k
    wrong: np.ndarray  # w e
    expected_right: np.ndarray  # w sum(p)
    squared_weights: np.ndarray  # w^2 k
    squared_predictions: np.ndarray  # K^2
    predictions_times_wrong: np.ndarray  # K E
    squared_wrong: np.ndarray  # E^2
    heaviest: np.ndarray  # max(W) max(k)

    def effective_units(self):
        """Return the number of units of the greatest possible weight that have as many predictions.

        It is the effective number of predictions if the predictions for a unit are all right or all wrong.
        """
        return self.predictions / self.heaviest

    def independent_predictions(self):
        """Return the effective number of predictions if all of them are independent."""
        return self.predictions**2 / self.squared_weights

    def effective_predictions(self):
        """Return the number of independent predictions that carry the same information (Korn and Graubard, 1998).

        For this number, the binomial variance equals the variance of the fraction of wrong predictions, a ratio of two
        sums over units. One unit is added to these: the heaviest, with all its predictions wrong. A few such units can
        determine the precision, although most samples contain none. The number is at most `independent_predictions`.
        """
        predictions, wrong = self.predictions + self.heaviest, self.wrong + self.heaviest
        share = wrong / predictions
        spread = self.squared_wrong - 2 * share * self.predictions_times_wrong + share**2 * self.squared_predictions
        spread = spread + ((1 - share) * self.heaviest) ** 2
        variance = share * (1 - share) * predictions * self.predictions
        number = np.divide(variance, spread, out=self.effective_units(), where=self.wrong < self.predictions)
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

    def guaranteed(self, level):
        """Return the indices of thresholds that guarantee a precision of `level`, the lowest threshold last.

        The risk is that of all of them together, so that any of them may be chosen, in view of the labels too.

        Sequences of tests run down the grid from several starts, each with a share of the risk, until a test fails. A
        sequence that reaches the next start adds its risk there (fallback procedure, Wiens and Dmitrienko, 2005).
        """
        risk, found = 0.0, []
        for i, (p_value, share) in enumerate(zip(self.p_values(level), self._initial_risks(level), strict=True)):
            risk += share
            if risk and p_value <= risk:
                found.append(i)
            else:
                risk = 0.0
        return found

    def lowest_guaranteed(self, level):
        """Return the index of the lowest threshold that guarantees a precision of `level`, or None."""
        return next(reversed(self.guaranteed(level)), None)

    def _initial_risks(self, level):
        """Return the risk with which a sequence of tests starts at each threshold, 0 if none starts there.

        One sequence starts near the highest threshold and one where the tests have the greatest power if the
        probabilities are true. One starts between them, for overconfident probabilities. If no threshold has enough
        units, there is none.
        """
        shares, units = np.zeros(len(self.predictions)), self.effective_units()
        (possible,) = np.nonzero(units >= units_needed(level))
        if not possible.size:
            return shares
        margin = (self.expected_right / self.predictions - level) * np.sqrt(self.independent_predictions())
        (spare,) = np.nonzero(units >= _SPARE_FACTOR * units_needed(level, _RISK / _N_STARTS))
        top = (spare if spare.size else possible)[0]
        surest = max(top, possible[margin[possible].argmax()])
        for wanted in np.geomspace(units[top], max(units[top], units[surest]), _N_STARTS):
            shares[np.argmax(units >= wanted * (1 - 1e-9))] += _RISK / _N_STARTS
        return shares


def units_needed(level, risk=_RISK):
    """Return the least number of units that can prove a precision, which suffices if all predictions are right."""
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
        return entries.rule(float(grid[lowest]), max_labels=most if most < entries.proba.shape[1] else None), None
    return NEVER, (
        f"No threshold guarantees {str(guarantee)!r} with {CONFIDENCE:.0%} confidence. "
        f"{_reason(grid, counts, guarantee, _unit(entries))} No label is predicted. Fit on more {_unit(entries)} or "
        "lower the target level."
    )


def _unit(entries):
    """Return the name of what is independent in the data."""
    return "rows" if entries.group is None else "groups"


def _reason(grid, counts, guarantee, unit):
    """Return a sentence that explains why no threshold gives a guarantee."""
    found, needed = counts.effective_units().max(initial=0), units_needed(guarantee.level)
    if found < needed:
        return f"It needs at least {needed:.0f} {unit} with correct predictions; the data have {found:.0f} (effective)."
    bounds = counts.lower_bounds()
    best, threshold = bounds.max(), f"threshold={grid[bounds.argmax()]:.4g}"
    if best >= guarantee.level:  # a sequence of tests may have only a share of the risk there
        return f"The {unit} would just suffice for {threshold} alone, but it has to be chosen among several."
    return f"The highest level within reach is about {best:.3f}, with {threshold}."


def _grid(entries, level):
    """Return common thresholds in descending order, chosen by the number of predictions, regardless of the labels."""
    log_odds, _, observed, _ = binned_log_odds(entries)
    predictions = observed[::-1].cumsum()
    weights = entries.unit_weights()
    unit_weight = (weights**2).sum() / weights.sum()  # of an effective unit
    wanted = _grid_sizes(level, predictions[-1] / unit_weight) * unit_weight
    bins = np.unique(np.searchsorted(predictions, wanted).clip(max=len(observed) - 1))
    half_bin = (log_odds[1] - log_odds[0]) / 2
    return np.append(expit(log_odds[::-1][bins] - half_bin), 0.0)


def _grid_sizes(level, most):
    """Return the numbers of predictions at the thresholds of a grid: a geometric sequence up to at least `most`.

    It starts just below the least number that can prove the level.
    """
    first = units_needed(level) / _GRID_RATIO
    return first * _GRID_RATIO ** np.arange(max(1, np.ceil(np.log(max(most / first, 1)) / np.log(_GRID_RATIO)) + 1))


def _count_predictions(entries, grid):
    """Return the `PredictionCounts` of common thresholds in descending order, and the most predictions for a row."""
    entries = entries.sorted_by_group()
    ascending, width = grid[::-1], len(grid) + 1
    totals, most, products = np.zeros((4, len(grid))), np.zeros(len(grid)), _UnitProducts(entries.group)
    for rows, (truth, observed, p, weight) in zip(entries.blocks(width), entries.by_rows(width), strict=True):
        at = np.searchsorted(ascending, p, side="right") + width * np.arange(len(p))[:, None]
        relative = 1.0 if entries.label_weight is None else entries.label_weight[rows]
        counted = observed * relative
        amounts = (counted, counted * ~truth, counted * p, counted * relative, np.ones_like(observed))
        k, e, expected_right, squares, predicted = (_cumulative_by_row(at, part, len(p), width) for part in amounts)
        totals += [weight @ k, weight @ e, weight @ expected_right, weight**2 @ squares]
        products.add(weight[:, None] * k, weight[:, None] * e)
        most = np.maximum(most, predicted.max(axis=0))
    return PredictionCounts(*totals, *products.total, heaviest=entries.heaviest_unit() * most), most


class _UnitProducts:
    """Sum the products of the sums over units, block by block of rows: K^2, K E and E^2 of `PredictionCounts`.

    Parameters
    ----------
    group : ndarray of int, shape (n_samples,), or None
        The group of each row, with the rows of a group together. None if each row is a unit.
    """

    def __init__(self, group):
        self.total = 0.0
        self._group, self._n_rows, self._last = group, 0, None

    def add(self, k, e):
        """Add a block of the next rows: their predictions and their wrong ones, each of shape (n_rows, n_columns)."""
        if self._group is not None:
            k, e = self._by_group(k, e)
        self.total = self.total + _products(k, e)

    def _by_group(self, k, e):
        group = self._group[self._n_rows : self._n_rows + len(k)]
        self._n_rows += len(k)
        starts = np.flatnonzero(np.diff(group, prepend=-1))
        k, e = np.add.reduceat(k, starts), np.add.reduceat(e, starts)
        if self._last is not None and self._last[0] == group[0]:  # the first group began in the block before
            _, last_k, last_e = self._last
            self.total = self.total - _products(last_k, last_e)
            k[:1] += last_k
            e[:1] += last_e
        self._last = group[-1], k[-1:], e[-1:]
        return k, e


def _products(k, e):
    return np.array([(k * k).sum(axis=0), (k * e).sum(axis=0), (e * e).sum(axis=0)])


def _cumulative_by_row(at, amount, n_rows, width):
    """Return, for each row, the sums of an amount over its entries that reach each threshold, in descending order."""
    reached = np.bincount(at.ravel(), amount.ravel(), n_rows * width).reshape(n_rows, width)
    return reached[:, :0:-1].cumsum(axis=1)


def label_thresholds_for_precision(entries, guarantee):
    """Return the lowest threshold per label that guarantees precision, or `NEVER`, and a warning message or None.

    In a hierarchy, the threshold of a label is not below those of its parents, so that it is predicted only together
    with them.
    """
    candidates, heaviest, unit = [], entries.heaviest_unit(), _unit(entries)
    for (_, p, weight, truth), group in zip(entries.by_labels(), entries.groups_by_labels(), strict=False):
        by_label = zip(p, weight, truth, [None] * len(p) if group is None else group, strict=True)
        candidates += [_label_thresholds(*label, guarantee.level, heaviest) for label in by_label]
    thresholds = _lowest_coherent(candidates, entries.hierarchy)
    n_never = int((thresholds == NEVER).sum())
    if not n_never:
        return thresholds, None
    return thresholds, (
        f"No threshold guarantees {str(guarantee)!r} with {CONFIDENCE:.0%} confidence for {n_never} of "
        f"{len(thresholds)} labels. These labels are never predicted (threshold {NEVER:.0f}). Each of them needs at "
        f"least {units_needed(guarantee.level):.0f} {unit} for which it is predicted correctly. Fit on more {unit}, "
        f"lower the target level, or use {str(guarantee._replace(by_label=False))!r}, one guarantee for all labels "
        "together."
    )


def _lowest_coherent(candidates, hierarchy):
    """Return the lowest of the thresholds of each label that is not below those of its parents, `NEVER` without one."""
    thresholds = np.array([min(given, default=NEVER) for given in candidates])
    for parent, child in () if hierarchy is None else hierarchy.links:
        # Links come ancestors first. Of several parents, the one with the highest threshold decides.
        least = max(thresholds[parent], thresholds[child])
        thresholds[child] = min((value for value in candidates[child] if value >= least), default=NEVER)
    return thresholds


def _label_thresholds(p, weight, truth, group, level, heaviest):
    """Return the thresholds of one label that guarantee precision, from its entries as `Entries.by_labels` yields them.

    `heaviest` is the greatest weight of all units.
    """
    n_observed = np.count_nonzero(p >= 0)
    p = np.append(p[:n_observed], -1.0)
    (ends,) = np.nonzero(p[:-1] > p[1:])  # no threshold separates equal probabilities
    if not ends.size:
        return []
    numbers = _grid_sizes(level, n_observed).clip(max=n_observed)
    ends = ends[np.unique(np.searchsorted(ends, np.ceil(numbers) - 1))]
    w, e = weight[:n_observed], weight[:n_observed] * ~truth[:n_observed]
    # The sums of the entry's group over the entries before it, by which its weight increases products of sums.
    k_before, e_before = (_sums_before(amount, group) for amount in (w, e))
    products = (w * (2 * k_before + w), w * (e_before + e) + e * k_before, e * (2 * e_before + e))
    sums = [np.cumsum(amount)[ends] for amount in (w, e, w * p[:-1], w**2, *products)]
    counts = PredictionCounts(*sums, np.full(len(ends), heaviest))
    return [float(midpoint(max(p[end + 1], 0.0), p[end])) for end in ends[counts.guaranteed(level)]]


def _sums_before(amount, group):
    """Return, for each entry, the sum of an amount over the entries of its group before it; 0 if `group` is None."""
    if group is None:
        return 0.0
    order = np.argsort(group[: len(amount)], kind="stable")
    ordered, sums = amount[order], np.empty(len(amount))
    before = np.cumsum(ordered) - ordered
    is_first = np.diff(group[order], prepend=-1) != 0
    sums[order] = before - before[is_first][np.cumsum(is_first) - 1]
    return sums


# Tolerance for rounding errors of sums.
_TOLERANCE = 1e-9


def common_threshold_for_recall(entries, guarantee):
    """Return the highest common threshold that guarantees the mean recall of rows, and a warning message or None.

    The loss of a row is the fraction of its true labels that are not predicted. Rows without a true label are left out,
    and the guarantee does not cover them. If there are too few units to prove the level, the threshold is 0.

    With groups, the loss of a group is the sum of ``weight * (loss - risk)`` over its rows, which is at most the
    greatest weight of a group times the target level. Controlled at 0, it controls the mean loss of the rows.
    """
    rows, columns = positive_entries(entries.Y)
    n_true = np.bincount(rows, minlength=len(entries.weight))
    weight = np.where(n_true > 0, entries.weight, 0.0)
    n = weight.sum() / entries.unit_weights(weight).max() if rows.size else 0.0  # a new one may have the most weight
    if 1 / (n + 1) > 1 - guarantee.level + _TOLERANCE:
        return 0.0, (
            f"{str(guarantee)!r} needs at least {np.ceil(guarantee.level / (1 - guarantee.level) - _TOLERANCE):.0f} "
            f"{_unit(entries)} with a true label, and the data have {n:.0f} (effective). The threshold is 0, which "
            f"predicts every label for every row. Fit on more {_unit(entries)} or lower the target level."
        )
    values, at = np.unique(as_probabilities(entries.proba[rows, columns]), return_inverse=True)
    missed = np.bincount(at, (weight / np.maximum(n_true, 1))[rows])
    loss = (np.cumsum(missed) - missed) / weight.sum()  # the mean loss if each value is the threshold
    is_guaranteed = (n * loss + 1) / (n + 1) <= 1 - guarantee.level + _TOLERANCE
    return midpoint_below(entries, values[np.flatnonzero(is_guaranteed)[-1]]), None
