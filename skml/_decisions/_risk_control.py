"""Thresholds that keep a guarantee of precision, found by tests on a grid that no label has a say in."""

from typing import NamedTuple

import numpy as np
from scipy.special import betainc, betaincinv, expit

from skml._decisions._calibration import binned
from skml._decisions._entries import as_probabilities
from skml._decisions._guarantees import CONFIDENCE, NEVER
from skml._decisions._rule import DecisionRule
from skml._decisions._search import midpoint, next_below, positive_entries

# How likely a guarantee may be broken.
_RISK = 1 - CONFIDENCE

# Each threshold of the grid applies so many times the tags of the one above it.
_STEP = 1.05

# So many starts share the risk: more find a way around a failure, but each then needs more rows.
_STARTS = 3

# The tests start at so many times the rows that would do if all their tags were right: one wrong must not end them.
_SPARE = 1.5


class PredictionCounts(NamedTuple):
    """Sums over the tags that are applied at each threshold of a grid, from the highest down, shape (n_thresholds,).

    A row of weight w with k tags, of which e are wrong, adds w k to `tags`, w e to `wrong`, and the products that
    the others are named after; `expected` is the sum of the tags' weighted probabilities. No row, seen or not, may add
    more than `heaviest` to `tags`.
    """

    tags: np.ndarray
    wrong: np.ndarray
    expected: np.ndarray
    square_weights: np.ndarray  # w^2 k
    square_tags: np.ndarray  # (w k)^2
    tags_wrong: np.ndarray  # w^2 k e
    square_wrong: np.ndarray  # (w e)^2
    heaviest: np.ndarray

    def rows(self):
        """Return how many of the heaviest rows there may be have so many tags."""
        return self.tags / self.heaviest

    def entries(self):
        """Return the effective number of tags, if those of a row are independent."""
        return self.tags**2 / self.square_weights

    def effective(self):
        """Return the number of independent tags that tell as much, by how the wrong ones cluster in rows.

        It is the number for which the binomial variance is that of the share of wrong tags, a ratio of two sums over
        rows, one of which is added: the heaviest, wrong as a whole. A few such rows can make the precision, and most
        samples hold none of them.
        """
        tags, wrong = self.tags + self.heaviest, self.wrong + self.heaviest
        share = wrong / tags
        spread = self.square_wrong - 2 * share * self.tags_wrong + share**2 * self.square_tags
        spread = spread + ((1 - share) * self.heaviest) ** 2
        number = np.divide(
            share * (1 - share) * tags * self.tags, spread, out=self.rows(), where=self.wrong < self.tags
        )
        return np.minimum(number, self.entries())

    def p_values(self, level):
        """Return how likely so many are right if the precision is below `level` (Clopper and Pearson, 1934)."""
        number = self.effective()
        right = number * (1 - self.wrong / self.tags)
        return np.where(right > 0, betainc(np.maximum(right, 1e-9), number - right + 1, level), 1.0)

    def bounds(self):
        """Return the precision that is reached with the confidence, for each threshold by itself."""
        number = self.effective()
        right = number * (1 - self.wrong / self.tags)
        return np.where(right > 0, betaincinv(np.maximum(right, 1e-9), number - right + 1, _RISK), 0.0)

    def lowest(self, level):
        """Return the position of the last threshold whose precision is shown to be `level`; None if none is.

        Fixed-sequence tests run down the grid from a few starts, each with its share of the risk; one that reaches the
        next start hands its share on (the fallback procedure of Wiens and Dmitrienko, 2005).
        """
        risk, found = 0.0, None
        for i, (p_value, share) in enumerate(zip(self.p_values(level), self._starts(level), strict=True)):
            risk += share
            if risk and p_value <= risk:
                found = i
            else:
                risk = 0.0
        return found

    def _starts(self, level):
        """Return the share of the risk that each threshold starts with; none where the rows cannot do.

        The starts are where the guarantee would be shown most surely if the probabilities were true, near the top, and
        half way between them, for probabilities that are too sure of themselves.
        """
        shares, rows = np.zeros(len(self.tags)), self.rows()
        (possible,) = np.nonzero(rows >= rows_needed(level))
        if not possible.size:
            return shares
        margin = (self.expected / self.tags - level) * np.sqrt(self.entries())
        (spare,) = np.nonzero(rows >= _SPARE * rows_needed(level, _RISK / _STARTS))
        top = (spare if spare.size else possible)[0]
        surest = max(top, possible[margin[possible].argmax()])
        for wanted in np.geomspace(rows[top], max(rows[top], rows[surest]), _STARTS):
            shares[np.argmax(rows >= wanted * (1 - 1e-9))] += _RISK / _STARTS
        return shares


def rows_needed(level, risk=_RISK):
    """Return how many rows show a precision if all their tags are right."""
    return np.ceil(np.log(risk) / np.log(level))


def common_threshold_for_precision(entries, guarantee):
    """Return the rule with the lowest threshold for all labels that keeps a guarantee of precision, and what to say.

    Without such a threshold it is `NEVER`. The rule gives no row more labels than a row has here: what rows may weigh
    is known then, also of those that are too rare to be here.
    """
    grid = _grid(entries, guarantee.level)
    tags, max_labels = _count_predictions(entries, grid)
    is_applied = tags.tags > 0
    grid, tags = grid[is_applied], PredictionCounts(*(sums[is_applied] for sums in tags))
    lowest = tags.lowest(guarantee.level)
    if lowest is not None:
        most = int(max_labels[is_applied][lowest])
        return DecisionRule(float(grid[lowest]), max_labels=most if most < entries.proba.shape[1] else None), None
    return NEVER, (
        f"No threshold reaches {str(guarantee)!r} with {CONFIDENCE:.0%} confidence: {_best(grid, tags, guarantee)}. "
        "No label is predicted."
    )


def _best(grid, tags, guarantee):
    """Return in words why a guarantee is not kept."""
    n_rows, needed = tags.rows().max(initial=0), rows_needed(guarantee.level)
    if n_rows < needed:
        return f"it takes {needed:.0f} rows with tags that are all right, and there are {n_rows:.0f} (effective) in all"
    bounds = tags.bounds()
    return f"the best that can be had is about {bounds.max():.3f}, by threshold={grid[bounds.argmax()]:.4g}"


def _grid(entries, level):
    """Return thresholds for all labels, from the highest down, by numbers of tags."""
    log_odds, _, known, _ = binned(entries)
    applied = known[::-1].cumsum()
    unit = (entries.weight**2).sum() / entries.weight.sum()  # of an effective row
    wanted = _grid_sizes(level, applied[-1] / unit) * unit
    bins = np.unique(np.searchsorted(applied, wanted).clip(max=len(known) - 1))
    half_a_bin = (log_odds[1] - log_odds[0]) / 2
    return np.append(expit(log_odds[::-1][bins] - half_a_bin), 0.0)


def _grid_sizes(level, most):
    """Return the numbers of tags that the thresholds of a grid apply, from before the first that can do to the most."""
    first = rows_needed(level) / _STEP
    return first * _STEP ** np.arange(max(1, np.ceil(np.log(max(most / first, 1)) / np.log(_STEP)) + 1))


def _count_predictions(entries, grid):
    """Return the `PredictionCounts` of thresholds for all labels, and the most labels that each gives a row."""
    ascending, width = grid[::-1], len(grid) + 1
    totals, most = np.zeros((7, len(grid))), np.zeros(len(grid))
    for truth, known, p, weight in entries.by_rows(width):
        at = np.searchsorted(ascending, p, side="right") + width * np.arange(len(p))[:, None]
        amounts = (known, known & ~truth, known * p, np.ones_like(known))
        k, e, expected, given = (_applied(at, amount, len(p), width) for amount in amounts)
        totals[:3] += [weight @ amount for amount in (k, e, expected)]
        totals[3:] += [weight**2 @ amount for amount in (k, k**2, k * e, e**2)]
        most = np.maximum(most, given.max(axis=0))
    return PredictionCounts(*totals, heaviest=entries.weight.max() * most), most


def _applied(at, amount, n_rows, width):
    """Return the sums of an amount over each row's entries that reach each threshold, from the highest down."""
    reached = np.bincount(at.ravel(), amount.ravel(), n_rows * width).reshape(n_rows, width)
    return reached[:, :0:-1].cumsum(axis=1)


def label_thresholds_for_precision(entries, guarantee):
    """Return for each label the lowest threshold that keeps a guarantee of precision, else `NEVER`, and what to say."""
    thresholds = np.full(entries.proba.shape[1], NEVER)
    for labels, p, weight, truth in entries.by_labels():
        rows = zip(p, weight, truth, strict=True)
        thresholds[labels] = [_for_label(*row, guarantee.level, entries.weight.max()) for row in rows]
    n_never = int((thresholds == NEVER).sum())
    if not n_never:
        return thresholds, None
    return thresholds, (
        f"{str(guarantee)!r} is kept by no threshold, with {CONFIDENCE:.0%} confidence, for {n_never} of "
        f"{len(thresholds)} labels: they are never predicted, and their threshold is {NEVER:.0f}. Each would need at "
        f"least {rows_needed(guarantee.level):.0f} rows that get it and all have it: fit more rows, guarantee less, or "
        f"guarantee it of all labels together, {str(guarantee._replace(by_label=False))!r}."
    )


def _for_label(p, weight, truth, level, heaviest):
    """Return the threshold of one label, of entries from the most probable to the unknown ones, whose p is -1."""
    n_known = np.count_nonzero(p >= 0)
    p = np.append(p[:n_known], -1.0)
    (ends,) = np.nonzero(p[:-1] > p[1:])  # no threshold parts equal ones
    if not ends.size:
        return NEVER
    numbers = _grid_sizes(level, n_known).clip(max=n_known)
    ends = ends[np.unique(np.searchsorted(ends, np.ceil(numbers) - 1))]
    w, e = weight[:n_known], weight[:n_known] * ~truth[:n_known]
    sums = [np.cumsum(amount)[ends] for amount in (w, e, w * p[:-1], w**2, e**2)]
    tags = PredictionCounts(*sums[:4], sums[3], sums[4], sums[4], np.full(len(ends), heaviest))
    lowest = tags.lowest(level)
    return NEVER if lowest is None else midpoint(max(p[ends[lowest] + 1], 0.0), p[ends[lowest]])


# Sums of floats may miss the number that is meant by so much.
_ROUNDING = 1e-9


def common_threshold_for_recall(entries, guarantee):
    """Return the highest threshold for all labels at which rows keep a guarantee of recall on average, and what to say.

    The loss of a row is the share of its true labels that are not predicted, at most 1. Rows without a true label are
    left out: the guarantee is made to those that have one. The threshold is 0 if even no loss at all would not show it.
    """
    rows, columns = positive_entries(entries.Y)
    n_true = np.bincount(rows, minlength=len(entries.weight))
    weight = np.where(n_true > 0, entries.weight, 0.0)
    n = weight.sum() / weight.max() if rows.size else 0.0  # the next row may weigh as much as the heaviest
    if 1 / (n + 1) > 1 - guarantee.level + _ROUNDING:
        return 0.0, (
            f"{str(guarantee)!r} needs {np.ceil(guarantee.level / (1 - guarantee.level) - _ROUNDING):.0f} rows with a "
            f"true label, and there are {n:.0f} (effective number): the threshold is 0, which predicts every label."
        )
    values, at = np.unique(as_probabilities(entries.proba[rows, columns]), return_inverse=True)
    missed = np.bincount(at, (weight / np.maximum(n_true, 1))[rows])
    loss = (np.cumsum(missed) - missed) / weight.sum()  # of the entries below each value
    keeps = (n * loss + 1) / (n + 1) <= 1 - guarantee.level + _ROUNDING
    return next_below(entries, values[np.flatnonzero(keeps)[-1]]), None
