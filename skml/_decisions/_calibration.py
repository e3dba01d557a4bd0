"""Calibration of probabilities by numbers that are fitted to those of rows that were not learned from."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax, softmax

from skml._decisions._blocks import cells_of
from skml._decisions._platt import clipped_log_odds, filled_bins, log_loss
from skml._targets._cells import dense
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

    def log_proba(self, scores, head):
        """Return log-odds, or log-probabilities of classes, calibrated."""
        if head == "softmax":
            return log_softmax(self.slope * scores, axis=-1)
        return self.slope * scores + self.offset

    def proba(self, proba, head):
        """Return probabilities calibrated, in their dtype."""
        if not self.changes:
            return proba
        p = np.asarray(proba, dtype=np.float64)
        if head == "softmax":
            return softmax(self.slope * np.log(p), axis=-1).astype(proba.dtype)
        return expit(self.log_proba(clipped_log_odds(p), head)).astype(proba.dtype)


NOT_CALIBRATED = Calibration()


def calibration_of(Y, proba, how, head="sigmoid", sample_weight=None):
    """Return the `Calibration` that fits probabilities of rows that were not learned from.

    Parameters
    ----------
    Y : ndarray or csr_array of shape (n_samples, n_outputs)
    proba : ndarray of shape (n_samples, n_outputs)
    how : "auto", True or False
        As the parameter ``calibrate`` of the estimator.
    head : {"sigmoid", "softmax"}
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
    cells = cells_of(Y, proba, sample_weight)
    if head == "softmax":
        return _of_classes(cells)
    z, wanted, known, n_positive = filled_bins(cells)
    if n_positive == 0:
        return NOT_CALIBRATED
    if how == "auto":
        return _if_it_gains(lambda slope: log_loss((slope, 0.0), z, wanted, known)[0], known.sum())
    fitted = minimize(
        log_loss, [1.0, 0.0], (z, wanted, known), jac=True, method="L-BFGS-B", bounds=[_SLOPES, (None, None)]
    )
    slope, offset = fitted.x
    return Calibration(float(slope), _offsets(cells, slope, offset))


def _if_it_gains(loss, total):
    slope = minimize_scalar(loss, bounds=_SLOPES, method="bounded").x
    return Calibration(float(slope)) if total * (loss(1.0) - loss(slope)) > _MIN_GAIN else NOT_CALIBRATED


def _of_classes(cells):
    log_p, truth = np.log(np.maximum(cells.proba.astype(np.float64), 1e-30)), dense(cells.Y) == 1

    def loss(slope):
        return -np.average(log_softmax(slope * log_p, axis=1)[truth], weights=cells.weight)

    return _if_it_gains(loss, cells.weight.sum())


def _offsets(cells, slope, common):
    """Return the offset of each label: its own by Newton's method where it has rows enough, else that of all."""
    offsets = np.full(cells.proba.shape[1], common)
    for labels, p, weight, truth in cells.by_labels():
        z, positive = slope * clipped_log_odds(np.maximum(p, 0)), (weight * truth).sum(axis=1)
        enough = np.minimum(positive, weight.sum(axis=1) - positive) >= _MIN_ROWS
        own = np.full(len(p), common)
        for _ in range(10):
            q = expit(z + own[:, None])
            gradient = (weight * q).sum(axis=1) - positive + (own - common) / _PRIOR_DEVIATION**2
            own -= gradient / ((weight * q * (1 - q)).sum(axis=1) + 1 / _PRIOR_DEVIATION**2)
        offsets[labels] = np.where(enough, own, common)
    return offsets
