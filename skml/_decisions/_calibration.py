"""The plug-in rule: thresholds that are best if calibrated probabilities are true."""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit

from skml._decisions._blocks import summed
from skml._decisions._rule import DEFAULT_THRESHOLD

# Log-odds are taken of probabilities cut off here: forests and nearest neighbours answer 0 and 1.
_EPSILON = 1e-7

# Log-odds are calibrated in bins 0.002 wide: two numbers are fitted to 16,384 cells, not to millions.
_BINS = 2**14

# A flatter calibration says that the probabilities tell nothing: it is not used.
_MIN_SLOPE = 0.05


def plug_in(cells, measure):
    """Return the thresholds that would be best if the calibrated probabilities were true."""
    slope, shift = _calibrate(cells)
    thresholds = np.empty(cells.proba.shape[1])
    for labels, p, weight, _ in cells.by_labels():
        weight_true = weight * expit(slope * clipped_log_odds(p) + shift)
        tp, predicted = summed(weight_true), summed(weight)
        best = measure.value(tp, predicted, tp[:, -1:], predicted[:, -1:]).max(axis=1)
        worth = measure.worth(best, tp[:, -1], predicted[:, -1])
        is_known = predicted[:, -1] > 0
        thresholds[labels] = np.where(is_known, expit((clipped_log_odds(worth) - shift) / slope), DEFAULT_THRESHOLD)
    return thresholds


def clipped_log_odds(p):
    """Return the log-odds of probabilities, those of 0 and 1 cut off."""
    return logit(np.clip(p, _EPSILON, 1 - _EPSILON))


def _calibrate(cells):
    """Return slope and shift of the log-odds with the least log-loss, or 1 and 0 if there is no slope to speak of."""
    end = logit(1 - _EPSILON)
    positive, known = np.zeros(_BINS), np.zeros(_BINS)
    for truth, is_known, p, weight in cells.by_rows():
        bins = np.rint((clipped_log_odds(p) + end) * ((_BINS - 1) / (2 * end))).astype(np.intp).ravel()
        positive += np.bincount(bins, (truth * weight[:, None]).ravel(), _BINS)
        known += np.bincount(bins, (is_known * weight[:, None]).ravel(), _BINS)
    n_positive, n_known = positive.sum(), known.sum()
    # Platt's targets: with those of 0 and 1 the slope of a perfect ranking would have no end.
    high, low = (n_positive + 1) / (n_positive + 2), 1 / (n_known - n_positive + 2)
    wanted = positive * high + (known - positive) * low
    z = np.linspace(-end, end, _BINS)

    def loss(params):
        u = params[0] * z + params[1]
        error = known * expit(u) - wanted
        total = -(wanted * log_expit(u) + (known - wanted) * log_expit(-u)).sum()
        return total / n_known, np.array([error @ z, error.sum()]) / n_known

    if n_positive == 0:
        return 1.0, 0.0
    slope, shift = minimize(loss, [1.0, 0.0], jac=True, method="BFGS").x
    return (slope, shift) if slope >= _MIN_SLOPE else (1.0, 0.0)
