"""Calibrate probabilities: fit a slope and offsets of the log-odds to held-out predictions."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_expit, log_softmax, logit, softmax

from skml._decisions._entries import entries_of
from skml._targets._matrix import has_soft, row_blocks, to_dense
from skml._targets._weights import effective_rows

# Memory that the calibration of an entry needs, in bytes: some arrays in float64.
_ENTRY_BYTES = 40

# Bounds of the slope. It never shrinks log-odds: held-out predictions come from single members, whose log-odds are
# already further from 0 than the log-odds of their average.
_SLOPE_BOUNDS = (1.0, 10.0)

# The least increase in log-likelihood for which "auto" applies a slope.
_MIN_GAIN = 5.0

# A label has a separate offset if its positive and its negative rows both have at least this weight. A normal prior
# with this standard deviation shrinks it toward the common offset of all labels.
_MIN_ROWS = 50
_PRIOR_DEVIATION = 0.5


class Calibration(NamedTuple):
    """Map log-odds to ``slope * log_odds + offset``, or log-probabilities of classes to ``slope * log_proba``.

    The calibrated log-probabilities of classes are normalized.

    Parameters
    ----------
    slope : float
    offset : float or ndarray of shape (n_outputs,)
    """

    slope: float = 1.0
    offset: float | np.ndarray = 0.0

    @property
    def changes(self):
        """Whether the calibration changes probabilities."""
        # Every prediction reads this. np.any would take a twentieth of the time for one row.
        return self.slope != 1 or isinstance(self.offset, np.ndarray) or self.offset != 0

    def log_proba(self, scores, output_activation):
        """Return calibrated log-odds ("sigmoid") or calibrated log-probabilities of classes ("softmax")."""
        if output_activation == "softmax":
            return log_softmax(self.slope * scores, axis=-1)
        return self.slope * scores + self.offset

    def proba(self, proba, output_activation):
        """Return calibrated probabilities in the dtype of `proba`."""
        if not self.changes:
            return proba
        calibrated = np.empty_like(proba)
        for rows in row_blocks(*proba.shape, _ENTRY_BYTES):
            p = np.asarray(proba[rows], dtype=np.float64)
            if output_activation == "softmax":
                calibrated[rows] = softmax(self.slope * np.log(p), axis=-1)
            else:
                calibrated[rows] = expit(self.log_proba(clipped_log_odds(p), output_activation))
        return calibrated

    def with_labels(self, columns):
        """Return the calibration of other labels; a new one has no offset of its own.

        Parameters
        ----------
        columns : ndarray of int, shape (n_outputs,), or None
            The previous column of each label; -1 for a new label. None keeps the labels.
        """
        if columns is None or np.ndim(self.offset) == 0:
            return self
        return self._replace(offset=np.where(columns < 0, 0.0, self.offset[columns]))


NOT_CALIBRATED = Calibration()


def calibration_of(Y, proba, how, output_activation="sigmoid", sample_weight=None):
    """Fit a `Calibration` to held-out probabilities.

    Parameters
    ----------
    Y : ndarray or csr_array of shape (n_samples, n_outputs)
        A soft label q counts as an entry 1 of the weight q and an entry 0 of the weight 1 - q.
    proba : ndarray of shape (n_samples, n_outputs)
        Held-out probabilities.
    how : "auto", True or False
        As the parameter ``calibrate`` of the estimator.
    output_activation : {"sigmoid", "softmax"}
    sample_weight : ndarray of shape (n_samples,) or (n_samples, n_outputs), default=None

    Returns
    -------
    Calibration

    Notes
    -----
    A slope and an offset of the log-odds are Platt scaling (Platt, 1999). A slope alone is temperature scaling (Guo et
    al., 2017).
    """
    if how is False:
        return NOT_CALIBRATED
    if sample_weight is not None:  # multiplying all weights by a number must not change the evidence
        row_weight = sample_weight if sample_weight.ndim == 1 else sample_weight.mean(axis=1)
        sample_weight = sample_weight * (effective_rows(row_weight) / row_weight.sum())
    entries = entries_of(*_hard_entries(Y, proba, sample_weight))
    if output_activation == "softmax":
        return _temperature_of_classes(entries)
    log_odds, target, observed, n_positive = nonempty_bins(entries)
    if n_positive == 0:
        return NOT_CALIBRATED
    if how == "auto":
        return _slope_if_better(lambda slope: log_loss((slope, 0.0), log_odds, target, observed)[0], observed.sum())
    result = minimize(
        log_loss,
        [1.0, 0.0],
        (log_odds, target, observed),
        jac=True,
        method="L-BFGS-B",
        bounds=[_SLOPE_BOUNDS, (None, None)],
    )
    slope, offset = result.x
    return Calibration(float(slope), _label_offsets(entries, slope, offset))


def _hard_entries(Y, proba, weight):
    """Return label matrix, probabilities and weights with two rows in place of each if there are soft labels."""
    if not has_soft(Y):
        return Y, proba, weight
    Y = to_dense(Y)
    weight = np.ones(Y.shape) if weight is None else np.broadcast_to(weight.reshape(len(Y), -1), Y.shape)
    is_observed = ~np.isnan(Y)
    positive, negative = (weight * np.where(is_observed, part, 0) for part in (Y, 1 - Y))
    ones = np.ones(Y.shape, dtype=np.uint8)
    return np.vstack([ones, 0 * ones]), np.vstack([proba, proba]), np.vstack([positive, negative])


def _slope_if_better(loss, total_weight):
    """Return the slope with the least loss if it gains enough log-likelihood over slope 1."""
    slope = minimize_scalar(loss, bounds=_SLOPE_BOUNDS, method="bounded").x
    return Calibration(float(slope)) if total_weight * (loss(1.0) - loss(slope)) > _MIN_GAIN else NOT_CALIBRATED


def _temperature_of_classes(entries):
    log_p, truth = np.log(np.maximum(entries.proba.astype(np.float64), 1e-30)), to_dense(entries.Y) == 1

    def loss(slope):
        return -np.average(log_softmax(slope * log_p, axis=1)[truth], weights=entries.weight)

    return _slope_if_better(loss, entries.weight.sum())


def _label_offsets(entries, slope, common):
    """Return one offset per label, found by Newton's method, or the common offset for labels with too few rows."""
    offsets = np.full(entries.proba.shape[1], common)
    for labels, p, weight, truth in entries.by_labels():
        log_odds, positive = slope * clipped_log_odds(np.maximum(p, 0)), (weight * truth).sum(axis=1)
        has_enough_rows = np.minimum(positive, weight.sum(axis=1) - positive) >= _MIN_ROWS
        fitted = np.full(len(p), common)
        for _ in range(10):
            q = expit(log_odds + fitted[:, None])
            gradient = (weight * q).sum(axis=1) - positive + (fitted - common) / _PRIOR_DEVIATION**2
            fitted -= gradient / ((weight * q * (1 - q)).sum(axis=1) + 1 / _PRIOR_DEVIATION**2)
        offsets[labels] = np.where(has_enough_rows, fitted, common)
    return offsets


# Probabilities are clipped to [_EPSILON, 1 - _EPSILON] before the logit: forests and nearest neighbors return 0 and 1.
_EPSILON = 1e-7

# Log-odds are collected in this number of bins, each 0.002 wide, so that the cost of a fit does not grow with the data.
_N_BINS = 2**14

# A fitted slope below this means that the probabilities carry no information: Platt scaling is then not used.
_MIN_SLOPE = 0.05


def clipped_log_odds(p):
    """Return the log-odds of probabilities, which are clipped first."""
    return logit(np.clip(p, _EPSILON, 1 - _EPSILON))


def platt(entries):
    """Return the slope and the offset of Platt scaling, or 1 and 0 if the fitted slope is too small."""
    log_odds, target, observed, n_positive = nonempty_bins(entries)
    if n_positive == 0:
        return 1.0, 0.0
    slope, offset = minimize(log_loss, [1.0, 0.0], (log_odds, target, observed), jac=True, method="BFGS").x
    return (slope, offset) if slope >= _MIN_SLOPE else (1.0, 0.0)


def binned_log_odds(entries):
    """Collect the entries in bins of log-odds.

    Returns
    -------
    log_odds : ndarray of shape (n_bins,)
        The centers of the bins, ascending.
    target : ndarray of shape (n_bins,)
        The sum of weight times Platt's target probability of the entries in each bin.
    observed : ndarray of shape (n_bins,)
        The weight of the observed entries in each bin.
    n_positive : float
        The weight of all positive entries.
    """
    end = logit(1 - _EPSILON)
    positive, observed = np.zeros(_N_BINS), np.zeros(_N_BINS)
    for truth, is_observed, p, weight in entries.by_rows(by_entry=True):
        weight = weight if weight.ndim == 2 else weight[:, None]
        bins = np.rint((clipped_log_odds(p) + end) * ((_N_BINS - 1) / (2 * end))).astype(np.intp).ravel()
        positive += np.bincount(bins, (truth * weight).ravel(), _N_BINS)
        observed += np.bincount(bins, (is_observed * weight).ravel(), _N_BINS)
    n_positive, n_observed = positive.sum(), observed.sum()
    # Platt's targets. With targets of 0 and 1 the slope of a perfect ranking would be infinite.
    high, low = (n_positive + 1) / (n_positive + 2), 1 / (n_observed - n_positive + 2)
    return np.linspace(-end, end, _N_BINS), positive * high + (observed - positive) * low, observed, n_positive


def nonempty_bins(entries):
    """Return the result of `binned_log_odds` without empty bins, which are most bins of a small data set."""
    log_odds, target, observed, n_positive = binned_log_odds(entries)
    has_entries = observed > 0
    return log_odds[has_entries], target[has_entries], observed[has_entries], n_positive


def log_loss(params, log_odds, target, observed):
    """Return the mean log-loss of binned log-odds for a slope and an offset, and its gradient."""
    calibrated = params[0] * log_odds + params[1]
    error = observed * expit(calibrated) - target
    total = -(target * log_expit(calibrated) + (observed - target) * log_expit(-calibrated)).sum()
    # Not ``error @ log_odds``: on arrays this small, BLAS threads cost more than they gain, even more on busy cores.
    return total / observed.sum(), np.array([(error * log_odds).sum(), error.sum()]) / observed.sum()
