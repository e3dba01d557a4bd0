"""What the members of the default network are given in place of the columns of dense X."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from skml._default_network._column_bins import (
    MISSING,
    N_BINS,
    N_QUANTILES,
    bin_columns,
    column_blocks,
    distinct,
    halves,
    labels_of_rows,
    one_hot_groups,
    sums_of_groups,
)
from skml._default_network._relevance import dense_relevance, joint_relevance, level_shares, split_bins
from skml._targets._matrix import row_blocks

# Added to standard deviations, so that the scale of a column in which few values differ is not too large.
_DAMPING = 1e-2

# The smooth clip of a standardised column: values are in (-3, 3).
CLIP = 3.0

# A standardised value that the clip does not tell from infinity; its square is finite in float32.
FAR = 1e6

# How far the first and the last ramp of a column go on beyond the values of the training rows, in widths of a bin.
_BEYOND = 0.5

_STEPS = 16

# Ramps of a member. Twice as many are no better and make an epoch half as long again.
_MAX_RAMPS = 128


class Kind(NamedTuple):
    """A kind of members.

    Parameters
    ----------
    power : float
        Exponent of the relevance of a column in its weight.
    edges : {"eighths", "splits"} or None
        Between which edges a column has ramps: quantiles, or the splits of a tree on the column alone.
    variance : float or None
        Variance of all ramps of a column, relative to that of the column; None for the number of its ramps.
    """

    power: float
    edges: str | None
    variance: float | None


# "plain" members learn smooth functions and sums, "binned" ones bumps and tails, "steps" thresholds of few columns.
KINDS = {
    "plain": Kind(0.5, None, None),
    "binned": Kind(0.5, "eighths", 1.0),
    "steps": Kind(1.0, "splits", None),
}


@dataclass(frozen=True)
class Ramps:
    """Piecewise-linear features (Gorishniy et al., 2022) of some members.

    A ramp is ``clip((x - shift) * slope, low, high)``; it is 0 for a missing value.

    Parameters
    ----------
    first_member : int
    columns : ndarray of int, shape (n_members, n_ramps)
        The column of each ramp.
    shift, slope, low, high : ndarray of shape (n_members, n_ramps)
        Of each member; zeros for a ramp that a member does not have.
    """

    first_member: int
    columns: np.ndarray
    shift: np.ndarray
    slope: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def n_members(self):
        """Number of members with these features."""
        return len(self.shift)

    @property
    def n_ramps(self):
        """Number of features of each member."""
        return self.shift.shape[1]

    @property
    def inverse_width(self):
        """1 divided by the width of the bin of each ramp; 0 for a ramp that a member does not have."""
        return self.slope / np.maximum(self.high - self.low, np.finfo(np.float64).tiny)

    @property
    def members(self):
        """The members with these features, a slice."""
        return slice(self.first_member, self.first_member + self.n_members)

    def features(self, X):
        """Return the features of rows in float64, shape (n_members, n_samples, n_ramps)."""
        values = np.swapaxes(X[:, self.columns], 0, 1).astype(np.float64) - self.shift[:, None]
        values *= self.slope[:, None]
        np.clip(values, self.low[:, None], self.high[:, None], out=values)
        return np.nan_to_num(values, copy=False, nan=0.0)

    def take(self, members, first_member):
        """Return the ramps of some of the members, given by their position among those with these features."""
        arrays = {name: getattr(self, name)[members] for name in ("columns", "shift", "slope", "low", "high")}
        return replace(self, first_member=first_member, **arrays)


@dataclass(frozen=True)
class ColumnEncoding:
    """Features that members are given in place of the columns of dense X.

    All members are given each column, centred, divided by its interquartile range, clipped smoothly (Holzmueller et
    al., 2024) and multiplied by a weight that follows from its relevance to the labels. A column with missing values in
    training has an indicator of them. Some members are given ramps as well.

    Parameters
    ----------
    kinds : tuple of str
        Keys of ``KINDS``. The members of a kind follow each other, as many of each.
    mean : ndarray of shape (n_features,)
        Mean of each clipped column.
    missing : ndarray of int
        Columns with an indicator.
    missing_mean : ndarray
        Share of missing values of each of these.
    factor : ndarray of shape (n_features + n_missing, n_members)
        Factors of columns and indicators.
    ramps : tuple of Ramps
    relevance : ndarray of shape (n_features,)
        The largest share of a label's variance that a column alone explains, the mean over members.
    """

    kinds: tuple
    mean: np.ndarray
    missing: np.ndarray
    missing_mean: np.ndarray
    factor: np.ndarray
    ramps: tuple
    relevance: np.ndarray

    @property
    def n_columns(self):
        """Number of columns and indicators."""
        return len(self.factor)

    @property
    def architecture(self):
        """Hashable key; equal for encodings that differ only in values."""
        ramps = tuple((part.first_member, *part.shift.shape) for part in self.ramps)
        return (self.kinds, len(self.mean), len(self.missing), ramps)

    def columns(self, X, shift, scale, dtype=np.float64):
        """Return the clipped columns and the indicators of rows in a dtype, without their factors."""
        with np.errstate(over="ignore"):
            values = np.subtract(X, shift, out=np.empty(X.shape, dtype), casting="same_kind")
            values *= scale.astype(dtype)
        values = smooth_clip(values)
        values -= self.mean.astype(dtype)
        absent = np.isnan(values)
        values[absent] = 0
        if not len(self.missing):
            return values
        return np.concatenate([values, (absent[:, self.missing] - self.missing_mean).astype(dtype)], axis=1)

    def take(self, members):
        """Return the encoding of some members, an increasing sequence."""
        members, ramps = np.asarray(members), []
        for part in self.ramps:
            own = (members >= part.first_member) & (members < part.members.stop)
            if own.any():
                ramps.append(part.take(members[own] - part.first_member, int(np.argmax(own))))
        per_kind = self.factor.shape[1] // len(self.kinds)
        kinds = tuple(self.kinds[k] for k in np.unique(members // per_kind))
        return replace(self, kinds=kinds, factor=self.factor[:, members], ramps=tuple(ramps))


def smooth_clip(values):
    """Return values / sqrt(1 + (values / 3)^2), in (-3, 3), in place."""
    values = np.clip(values, -FAR, FAR, out=values)
    root = values / values.dtype.type(CLIP)
    root *= root
    root += 1
    values /= np.sqrt(root, out=root)
    return values


def encode_columns(X, Y, rows, fold, weight, kinds, n_members):
    """Return the statistics by which members see the columns of X.

    What depends on the labels, the weights of columns and the splits, is found on the rows that a member is trained on.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    Y : ndarray or csr_array of shape (n_samples, n_outputs)
    rows : ndarray of int
        Training rows.
    fold : ndarray of int, shape (n_samples,), or None
        The member of each kind that is not trained on a row.
    weight : ndarray of shape (n_samples,), or None
    kinds : sequence of str
    n_members : int
        Number of members of each kind.

    Returns
    -------
    shift, scale : ndarray of shape (n_features,)
    encoding : ColumnEncoding
    """
    X = X if len(rows) == len(X) else X[rows]  # all rows need no copy
    weight = np.ones(len(rows)) if weight is None else weight[rows].astype(np.float64)
    bins = bin_columns(X, weight)
    shift, scale = _robust(bins)
    mean, deviation = _moments(X, shift, scale, weight)
    missing = np.flatnonzero(bins.has_missing)
    missing_mean = weight @ (bins.codes[:, missing] == MISSING) / weight.sum()
    deviation = np.concatenate([deviation, np.sqrt(missing_mean * (1 - missing_mean))]) + _DAMPING
    groups = one_hot_groups(bins)
    relevance, splits = _of_members(bins.codes, Y, rows, fold, weight, n_members, groups, "steps" in kinds)
    factors, ramps = [], []
    for k, name in enumerate(kinds):
        kind = KINDS[name]
        column_weight = _column_weights(relevance, kind.power)
        factors.append(np.concatenate([column_weight, column_weight[:, missing]], axis=1).T / deviation[:, None])
        if kind.edges is not None:
            made = _ramps(bins, splits, X, weight, relevance, kind, k * n_members)
            ramps += [made] if made.columns.size else []
    return (
        shift,
        scale,
        ColumnEncoding(
            tuple(kinds),
            mean,
            missing,
            missing_mean,
            np.concatenate(factors, axis=1),
            tuple(ramps),
            relevance.mean(axis=0),
        ),
    )


def _robust(bins):
    """Return the median of each column, and the factor that makes the interquartile range, or half the range, 1."""
    spread = bins.quartiles[2] - bins.quartiles[0]
    widest = np.array([edges[-1] - edges[0] for edges in bins.edges])
    scale = np.zeros(len(widest))
    scale[widest > 0] = 2 / widest[widest > 0]
    scale[spread > 0] = 1 / spread[spread > 0]
    return bins.quartiles[1], scale


def _moments(X, shift, scale, weight):
    """Return the mean and the standard deviation of clipped columns."""
    total, sums, squares = 0.0, 0.0, 0.0
    for block in row_blocks(*X.shape):
        values = smooth_clip((X[block].astype(np.float64) - shift) * scale)
        present = weight[block, None] * ~np.isnan(values)
        values = np.nan_to_num(values, copy=False)
        total, sums = total + present.sum(axis=0), sums + (present * values).sum(axis=0)
        squares = squares + (present * values**2).sum(axis=0)
    total = np.maximum(total, np.finfo(np.float64).tiny)
    mean = sums / total
    return mean, np.sqrt(np.maximum(squares / total - mean**2, 0))


def _of_members(codes, Y, rows, fold, weight, n_members, one_hot, with_splits):
    """Return the relevance of columns for each member, and whether its tree splits before a bin of a column."""
    targets = labels_of_rows(Y, rows, weight)
    if fold is None:  # all members are trained on all rows
        of_one = _of_members(codes, Y, rows, np.zeros(Y.shape[0], int), weight, 1, one_hot, with_splits)
        return tuple(np.repeat(array, n_members, axis=0) for array in of_one)
    fold = fold[rows]
    group = 2 * fold + halves(codes)
    relevance, splits = np.empty((n_members, codes.shape[1])), np.zeros((n_members, codes.shape[1], N_BINS - 1), bool)
    is_in = np.array([np.isin(np.arange(codes.shape[1]), columns) for columns in one_hot], dtype=float)
    shares = np.zeros((n_members, len(one_hot), targets.shape[1]))
    for block in column_blocks(*codes.shape, targets.shape[1], 2 * n_members):
        groups = sums_of_groups(codes[:, block], targets, weight, group, 2 * n_members)
        for j in range(n_members):
            own = [f for f in range(n_members) if f != j] or [j]
            halves_of_rows = [_total([groups[2 * f + half] for f in own]) for half in (0, 1)]
            both = _total(halves_of_rows)
            one, other = (half.standardised(both) for half in halves_of_rows)
            relevance[j, block] = dense_relevance(one, other, both.weight[0].sum() / weight.min())
            if one_hot:
                shares[j] += is_in[:, block] @ level_shares(one, other)
            if with_splits:
                splits[j, block] = split_bins(both.standardised(both), _STEPS, 1 / N_QUANTILES)
    return joint_relevance(relevance, shares, one_hot), splits


def _total(sums):
    first, *others = sums
    for other in others:
        first = first + other
    return first


def _column_weights(relevance, power):
    """Return the weights of columns for each member, with a mean square of 1."""
    weights = (relevance / relevance.max(axis=1, keepdims=True, initial=1e-3)) ** power
    return weights / np.sqrt((weights**2).mean(axis=1, keepdims=True))


def _ramps(bins, splits, X, weight, relevance, kind, first_member):
    """Return the ramps of the members of a kind.

    Each member has ramps of the columns that are most relevant on its rows, as many as there is room for. The number of
    ramps depends on X alone.

    Parameters
    ----------
    bins : ColumnBins
    splits : ndarray of bool, shape (n_members, n_features, n_bins - 1)
    X, weight : ndarray
    relevance : ndarray of shape (n_members, n_features)
    kind : Kind
    first_member : int
    """
    most = N_QUANTILES // 8 if kind.edges == "eighths" else _STEPS
    n_ramps = np.array([min(len(edges) - 1, most) for edges in bins.edges])
    n_ramps[n_ramps < 2] = 0  # a single ramp would be the column again
    size, column_weight = min(n_ramps.sum(), _MAX_RAMPS), _column_weights(relevance, kind.power)
    spread = bins.quartiles[2] - bins.quartiles[0]
    made = [np.zeros((5, len(relevance), size))]
    columns, *arrays = made[0]
    for member, own in enumerate(relevance):
        start = 0
        for j in np.argsort(-own, kind="stable"):
            if not n_ramps[j] or start + n_ramps[j] > size:
                continue
            edges = bins.eighths[j] if kind.edges == "eighths" else _split_edges(bins.edges[j], splits[member, j])
            edges, factor = distinct(edges, spread[j]), column_weight[member, j]
            factor *= 1.0 if kind.variance is None else np.sqrt(kind.variance / (len(edges) - 1))
            place = slice(start, start + len(edges) - 1)
            columns[member, place] = j
            for array, values in zip(arrays, _ramps_between(edges, X[:, j], weight, factor), strict=True):
                array[member, place] = values
            start += n_ramps[j]
    return Ramps(first_member, columns.astype(np.int32), *arrays)


def _split_edges(edges, splits):
    """Return the ends of a column and where a tree splits it."""
    return np.unique([edges[0], *edges[1:][splits[: len(edges) - 1]], edges[-1]])


def _ramps_between(edges, x, weight, factor):
    """Return the shift, slope, low and high of the ramps between edges, with mean 0 and the factor as deviation."""
    valid = ~np.isnan(x)
    width = np.diff(edges)
    position = np.clip((x[valid, None] - edges[:-1]) / width, 0, 1)
    share = weight[valid] / weight[valid].sum()
    mean = share @ position
    factor = factor / (np.sqrt(np.maximum(share @ position**2 - mean**2, 0)) + _DAMPING)
    low, high = np.zeros(len(width)), np.ones(len(width))
    low[0], high[-1] = -_BEYOND, 1 + _BEYOND
    return edges[:-1] + mean * width, factor / width, (low - mean) * factor, (high - mean) * factor
