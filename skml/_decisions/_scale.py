"""Scores of ``decision_function`` as numbers in [0, 1], among which thresholds are found."""

from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

# Farther from 0 floats in [0, 1] no longer tell all scores apart.
_LARGEST = 15

# Thresholds that are tried for a table of scores.
_N_TRIED = 101


class Scale(NamedTuple):
    """A monotone map of scores to [0, 1], and of thresholds back.

    It takes a score, divided by `unit`, for log-odds. That keeps the order of scores and 0 at 0.5, and on the scale
    of log-odds thresholds are drawn together and Platt's two numbers fitted, which are then those of the raw scores.

    Parameters
    ----------
    unit : float or None
        None for probabilities, which stay as they are.
    tried : ndarray of shape (101,)
        Thresholds over the range of scores.
    """

    unit: float | None
    tried: np.ndarray

    def proba(self, scores):
        """Return scores in [0, 1]."""
        return scores if self.unit is None else expit(np.asarray(scores, dtype=np.float64) / self.unit)

    def scores(self, proba):
        """Return thresholds for `proba` as thresholds for scores; one that is never reached is infinite."""
        if self.unit is None:
            return proba
        scores = self.unit * logit(np.minimum(proba, 1.0))
        return scores if np.ndim(scores) else float(scores)


def scale_of(scores, are_probabilities):
    """Return the `Scale` of scores; its unit is their size, so that it does not matter what they are measured in."""
    if are_probabilities:
        return Scale(None, np.linspace(0, 1, _N_TRIED))
    finite = np.asarray(scores, dtype=np.float64)[np.isfinite(scores)]
    if not finite.size:
        finite = np.zeros(1)
    unit = max(np.sqrt(np.mean(finite**2)), np.abs(finite).max() / _LARGEST)
    return Scale(float(unit) or 1.0, np.linspace(finite.min(), finite.max(), _N_TRIED))
