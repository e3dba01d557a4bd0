"""Platt's calibration: a slope and a shift of log-odds with the least log-loss (Platt, 1999)."""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit

# Log-odds are taken of probabilities cut off here: forests and nearest neighbours answer 0 and 1.
_EPSILON = 1e-7

# Log-odds are calibrated in bins 0.002 wide: two numbers are fitted to 16,384 cells, not to millions.
_BINS = 2**14

# A flatter calibration says that the probabilities tell nothing: it is not used.
_MIN_SLOPE = 0.05


def clipped_log_odds(p):
    """Return the log-odds of probabilities, those of 0 and 1 cut off."""
    return logit(np.clip(p, _EPSILON, 1 - _EPSILON))


def platt(cells):
    """Return slope and shift of the log-odds with the least log-loss, or 1 and 0 if there is no slope to speak of."""
    z, wanted, known, n_positive = filled_bins(cells)
    if n_positive == 0:
        return 1.0, 0.0
    slope, shift = minimize(log_loss, [1.0, 0.0], (z, wanted, known), jac=True, method="BFGS").x
    return (slope, shift) if slope >= _MIN_SLOPE else (1.0, 0.0)


def binned(cells):
    """Return bins of log-odds, in each the weight that is wanted to be true and that is known, and all positives'."""
    end = logit(1 - _EPSILON)
    positive, known = np.zeros(_BINS), np.zeros(_BINS)
    for truth, is_known, p, weight in cells.by_rows():
        bins = np.rint((clipped_log_odds(p) + end) * ((_BINS - 1) / (2 * end))).astype(np.intp).ravel()
        positive += np.bincount(bins, (truth * weight[:, None]).ravel(), _BINS)
        known += np.bincount(bins, (is_known * weight[:, None]).ravel(), _BINS)
    n_positive, n_known = positive.sum(), known.sum()
    # Platt's targets: with those of 0 and 1 the slope of a perfect ranking would have no end.
    high, low = (n_positive + 1) / (n_positive + 2), 1 / (n_known - n_positive + 2)
    return np.linspace(-end, end, _BINS), positive * high + (known - positive) * low, known, n_positive


def filled_bins(cells):
    """Return what `binned` does, without empty bins: small fits have few others."""
    z, wanted, known, n_positive = binned(cells)
    is_filled = known > 0
    return z[is_filled], wanted[is_filled], known[is_filled], n_positive


def log_loss(params, z, wanted, known):
    """Return the log-loss of a slope and a shift, and its gradient."""
    u = params[0] * z + params[1]
    error = known * expit(u) - wanted
    total = -(wanted * log_expit(u) + (known - wanted) * log_expit(-u)).sum()
    # Not error @ z: threads of BLAS cost more than they gain on so little, far more where cores are busy.
    return total / known.sum(), np.array([(error * z).sum(), error.sum()]) / known.sum()
