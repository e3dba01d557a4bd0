"""The plug-in rule: thresholds that are best if calibrated probabilities are true."""

import numpy as np
from scipy.special import expit

from skml._decisions._blocks import summed
from skml._decisions._platt import clipped_log_odds, platt
from skml._decisions._rule import DEFAULT_THRESHOLD


def plug_in(cells, measure):
    """Return the thresholds that would be best if the calibrated probabilities were true."""
    slope, shift = platt(cells)
    thresholds = np.empty(cells.proba.shape[1])
    for labels, p, weight, _ in cells.by_labels():
        weight_true = weight * expit(slope * clipped_log_odds(p) + shift)
        tp, predicted = summed(weight_true), summed(weight)
        best = measure.value(tp, predicted, tp[:, -1:], predicted[:, -1:]).max(axis=1)
        worth = measure.worth(best, tp[:, -1], predicted[:, -1])
        is_known = predicted[:, -1] > 0
        thresholds[labels] = np.where(is_known, expit((clipped_log_odds(worth) - shift) / slope), DEFAULT_THRESHOLD)
    return thresholds
