"""Map the scores of a ``decision_function`` to [0, 1], where thresholds are tuned, and map thresholds back."""

from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

# Beyond these log-odds, probabilities in float64 no longer distinguish scores that are close together.
_MAX_LOG_ODDS = 15

# Number of thresholds in a table of scores.
_N_CANDIDATES = 101


class Scale(NamedTuple):
    """A monotone map from scores to [0, 1], and from thresholds back to scores.

    A score divided by `unit` is used as log-odds. This keeps the order of scores and maps 0 to 0.5. Shrinkage and Platt
    scaling work on log-odds, so that they act on the original scores.

    Parameters
    ----------
    unit : float or None
        None for probabilities, which are not changed.
    candidates : ndarray of shape (101,)
        Equidistant thresholds from the least to the greatest score.
    """

    unit: float | None
    candidates: np.ndarray

    def proba(self, scores):
        """Map scores to [0, 1]."""
        return scores if self.unit is None else expit(np.asarray(scores, dtype=np.float64) / self.unit)

    def scores(self, proba):
        """Map thresholds for `proba` to thresholds for scores; a threshold of at least 1 becomes infinite."""
        if self.unit is None:
            return proba
        scores = self.unit * logit(np.minimum(proba, 1.0))
        return scores if np.ndim(scores) else float(scores)


def scale_of(scores, are_probabilities):
    """Return the `Scale` of scores. Its unit is their root mean square, so that multiplied scores change nothing."""
    if are_probabilities:
        return Scale(None, np.linspace(0, 1, _N_CANDIDATES))
    finite = np.asarray(scores, dtype=np.float64)[np.isfinite(scores)]
    if not finite.size:
        finite = np.zeros(1)
    unit = max(np.sqrt(np.mean(finite**2)), np.abs(finite).max() / _MAX_LOG_ODDS)
    return Scale(float(unit) or 1.0, np.linspace(finite.min(), finite.max(), _N_CANDIDATES))
