"""Calibration of probabilities by numbers that are fitted to those of rows that were not learned from."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_expit, log_softmax, logit, softmax

from skml._decisions._entries import entries_of
from skml._targets._matrix import to_dense
from skml._targets._weights import effective_rows

# Log-odds are never made smaller: those of a single member, which is what there is of rows that were not learned
# from, are further from 0 than those of the mean of all.
_SLOPES = (1.0, 10.0)

# So much likelier, as a logarithm, must the truth become before "auto" scales anything.
_MIN_GAIN = 5.0

# A label with so many rows on either side has an offset of its own, drawn to that of all by a normal prior.
_MIN_ROWS = 50
_PRIOR_DEVIATION = 0.5


class Calibration(NamedTuple):
    """Log-odds become ``slope * log_odds + offset``; log-probabilities of classes ``slope`` times themselves.

    Parameters
    ----------
    slope : float
    offset : float or ndarray of shape (n_outputs,)
    """

    slope: float = 1.0
    offset: float | np.ndarray = 0.0

    @property
    def changes(self):
        """Whether it does anything."""
        # Each prediction asks this: np.any takes a twentieth of the time of a row.
        return self.slope != 1 or isinstance(self.offset, np.ndarray) or self.offset != 0

    def log_proba(self, scores, output_activation):
        """Return log-odds, or log-probabilities of classes, calibrated."""
        if output_activation == "softmax":
            return log_softmax(self.slope * scores, axis=-1)
        return self.slope * scores + self.offset

    def proba(self, proba, output_activation):
        """Return probabilities calibrated, in their dtype."""
        if not self.changes:
            return proba
        p = np.asarray(proba, dtype=np.float64)
        if output_activation == "softmax":
            return softmax(self.slope * np.log(p), axis=-1).astype(proba.dtype)
        return expit(self.log_proba(clipped_log_odds(p), output_activation)).astype(proba.dtype)

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
    """Return the `Calibration` that fits probabilities of rows that were not learned from.

    Parameters
    ----------
    Y : ndarray or csr_array of shape (n_samples, n_outputs)
    proba : ndarray of shape (n_samples, n_outputs)
    how : "auto", True or False
        As the parameter ``calibrate`` of the estimator.
    output_activation : {"sigmoid", "softmax"}
    sample_weight : ndarray of shape (n_samples,), default=None

    Returns
    -------
    Calibration

    Notes
    -----
    Slope and offset of log-odds are Platt's (1999), a slope alone is the temperature of Guo et al. (2017).
    """
    if how is False:
        return NOT_CALIBRATED
    if sample_weight is not None:  # what the data say does not grow with the unit of weights
        sample_weight = sample_weight * (effective_rows(sample_weight) / sample_weight.sum())
    entries = entries_of(Y, proba, sample_weight)
    if output_activation == "softmax":
        return _of_classes(entries)
    z, wanted, known, n_positive = filled_bins(entries)
    if n_positive == 0:
        return NOT_CALIBRATED
    if how == "auto":
        return _if_it_gains(lambda slope: log_loss((slope, 0.0), z, wanted, known)[0], known.sum())
    fitted = minimize(
        log_loss, [1.0, 0.0], (z, wanted, known), jac=True, method="L-BFGS-B", bounds=[_SLOPES, (None, None)]
    )
    slope, offset = fitted.x
    return Calibration(float(slope), _offsets(entries, slope, offset))


def _if_it_gains(loss, total):
    slope = minimize_scalar(loss, bounds=_SLOPES, method="bounded").x
    return Calibration(float(slope)) if total * (loss(1.0) - loss(slope)) > _MIN_GAIN else NOT_CALIBRATED


def _of_classes(entries):
    log_p, truth = np.log(np.maximum(entries.proba.astype(np.float64), 1e-30)), to_dense(entries.Y) == 1

    def loss(slope):
        return -np.average(log_softmax(slope * log_p, axis=1)[truth], weights=entries.weight)

    return _if_it_gains(loss, entries.weight.sum())


def _offsets(entries, slope, common):
    """Return the offset of each label: its own by Newton's method where it has rows enough, else that of all."""
    offsets = np.full(entries.proba.shape[1], common)
    for labels, p, weight, truth in entries.by_labels():
        z, positive = slope * clipped_log_odds(np.maximum(p, 0)), (weight * truth).sum(axis=1)
        enough = np.minimum(positive, weight.sum(axis=1) - positive) >= _MIN_ROWS
        own = np.full(len(p), common)
        for _ in range(10):
            q = expit(z + own[:, None])
            gradient = (weight * q).sum(axis=1) - positive + (own - common) / _PRIOR_DEVIATION**2
            own -= gradient / ((weight * q * (1 - q)).sum(axis=1) + 1 / _PRIOR_DEVIATION**2)
        offsets[labels] = np.where(enough, own, common)
    return offsets


# Log-odds are taken of probabilities cut off here: forests and nearest neighbours answer 0 and 1.
_EPSILON = 1e-7

# Log-odds are calibrated in bins 0.002 wide: two numbers are fitted to 16,384 entries, not to millions.
_BINS = 2**14

# A flatter calibration says that the probabilities tell nothing: it is not used.
_MIN_SLOPE = 0.05


def clipped_log_odds(p):
    """Return the log-odds of probabilities, those of 0 and 1 cut off."""
    return logit(np.clip(p, _EPSILON, 1 - _EPSILON))


def platt(entries):
    """Return slope and shift of the log-odds with the least log-loss, or 1 and 0 if there is no slope to speak of."""
    z, wanted, known, n_positive = filled_bins(entries)
    if n_positive == 0:
        return 1.0, 0.0
    slope, shift = minimize(log_loss, [1.0, 0.0], (z, wanted, known), jac=True, method="BFGS").x
    return (slope, shift) if slope >= _MIN_SLOPE else (1.0, 0.0)


def binned(entries):
    """Return bins of log-odds, in each the weight that is wanted to be true and that is known, and all positives'."""
    end = logit(1 - _EPSILON)
    positive, known = np.zeros(_BINS), np.zeros(_BINS)
    for truth, is_known, p, weight in entries.by_rows():
        bins = np.rint((clipped_log_odds(p) + end) * ((_BINS - 1) / (2 * end))).astype(np.intp).ravel()
        positive += np.bincount(bins, (truth * weight[:, None]).ravel(), _BINS)
        known += np.bincount(bins, (is_known * weight[:, None]).ravel(), _BINS)
    n_positive, n_known = positive.sum(), known.sum()
    # Platt's targets: with those of 0 and 1 the slope of a perfect ranking would have no end.
    high, low = (n_positive + 1) / (n_positive + 2), 1 / (n_known - n_positive + 2)
    return np.linspace(-end, end, _BINS), positive * high + (known - positive) * low, known, n_positive


def filled_bins(entries):
    """Return what `binned` does, without empty bins: small fits have few others."""
    z, wanted, known, n_positive = binned(entries)
    is_filled = known > 0
    return z[is_filled], wanted[is_filled], known[is_filled], n_positive


def log_loss(params, z, wanted, known):
    """Return the log-loss of a slope and a shift, and its gradient."""
    u = params[0] * z + params[1]
    error = known * expit(u) - wanted
    total = -(wanted * log_expit(u) + (known - wanted) * log_expit(-u)).sum()
    # Not error @ z: threads of BLAS cost more than they gain on so little, far more where cores are busy.
    return total / known.sum(), np.array([(error * z).sum(), error.sum()]) / known.sum()
