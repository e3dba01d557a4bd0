"""What each column of a row adds to the log-odds of an output of the default network: integrated gradients."""

from typing import NamedTuple

import numpy as np
from scipy.special import expit, log_expit, log_softmax, logsumexp, ndtr, softmax

from skml._default_network._network import ACTIVATIONS, SELU_ALPHA, SELU_SCALE
from skml._targets._matrix import to_dense

# The contributions sum to the difference within this, or this share of it where that is above 1.
TOLERANCE = 0.01

# Parts of the path from the baseline to the row, each of 16 points: twice as many until the sum is near enough. What
# is left is due to the corners of "relu"; smooth activations need the first number only.
_N_PARTS = (8, 16, 32, 64, 128)
_PART = np.polynomial.legendre.leggauss(16)

# Of each of ACTIVATIONS.
DERIVATIVES = {
    "elu": lambda x: np.exp(np.minimum(x, 0)),
    "gelu": lambda x: ndtr(x) + x * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi),
    "linear": np.ones_like,
    "relu": lambda x: (x > 0).astype(x.dtype),
    "selu": lambda x: SELU_SCALE * np.where(x > 0, 1, SELU_ALPHA * np.exp(np.minimum(x, 0))),
    "sigmoid": lambda x: expit(x) * expit(-x),
    "silu": lambda x: expit(x) * (1 + x * expit(-x)),
    "softplus": expit,
    "tanh": lambda x: 1 - np.tanh(x) ** 2,
}


class Contributions(NamedTuple):
    """What the columns of a row add to the log-odds of an output, compared with a baseline.

    Parameters
    ----------
    columns : ndarray of int
        Those that differ from the baseline.
    values : ndarray of float64, of the same length
        What each adds.
    log_odds, baseline_log_odds : float
        Of the row and of the baseline.
    """

    columns: np.ndarray
    values: np.ndarray
    log_odds: float
    baseline_log_odds: float


def integrated_gradients(network, row, output):
    """Return what the columns of a row add to the log-odds of an output.

    That is their change from the baseline times the gradient of the log-odds, of the members' mean after calibration,
    averaged over the straight path from the baseline to the row (Sundararajan et al., 2017). The baseline is the mean
    row where the network subtracts one, else the row of zeros.

    Parameters
    ----------
    network : DenseNetwork
    row : ndarray or CSR of shape (1, n_features)
    output : int

    Returns
    -------
    Contributions
    """
    baseline = row * 0
    if network.shift is not None:
        row, baseline = to_dense(row), network.shift[None]
    change = to_dense(network.scaled(row, np.float64))[0]
    columns = np.flatnonzero(change)
    change, kernel = change[columns], network.weights[0][columns].astype(np.float64)
    odds, baseline_odds = (log_odds_of_output(network, x, output) for x in (row, baseline))
    difference = odds - baseline_odds
    for n_parts in _N_PARTS:
        points, weights = _quadrature(n_parts)
        # The first layer is linear: all else takes place behind it, whatever the number of columns.
        first = np.outer(points, change @ kernel) + network.weights[1]
        values = change * (kernel @ (weights @ _gradient(network, first, output)))
        if abs(values.sum() - difference) <= TOLERANCE * max(1, abs(difference)):
            break
    return Contributions(columns, values, odds, baseline_odds)


def log_odds_of_output(network, row, output):
    """Return the log-odds of an output for a row: of one class against the others, where it has a softmax."""
    scores = network.log_proba(row)[0].astype(np.float64)
    return float(
        scores[output] - (logsumexp(np.delete(scores, output)) if network.output_activation == "softmax" else 0)
    )


def _quadrature(n_parts):
    """Return points in (0, 1) and their weights, those of Gauss and Legendre in each of so many parts."""
    points, weights = _PART
    points = np.arange(n_parts)[:, None] + (points + 1) / 2
    return points.ravel() / n_parts, np.tile(weights / 2, n_parts) / n_parts


def _gradient(network, first, output):
    """Return the gradient of the log-odds with respect to what the first layer gives, (n_points, n_members * units)."""
    layers, logits, hidden = [], first.reshape(len(first), network.n_members, -1).swapaxes(0, 1), None
    others = network.weights[2:]
    if network.output_activation == "sigmoid" and others:  # of thousands of labels the others are not needed
        others = [*others[:-2], *(weights[..., [output]] for weights in others[-2:])]
        output = 0
    others = [weights.astype(np.float64) for weights in others]
    for kernel, bias in zip(others[::2], others[1::2], strict=True):
        slope = DERIVATIVES[network.activation](logits)  # first: an activation may work in place
        outputs = ACTIVATIONS[network.activation](logits)
        has_residual = hidden is not None and hidden.shape == outputs.shape
        hidden = outputs + hidden if has_residual else outputs
        layers.append((slope, kernel, has_residual))
        logits = hidden @ kernel + bias[:, None]
    link = _link_of_sigmoid if network.output_activation == "sigmoid" else _link_of_softmax
    gradient, passed_on = link(logits, output, network.calibration.slope), 0
    for slope, kernel, has_residual in reversed(layers):
        of_hidden = gradient @ kernel.swapaxes(1, 2) + passed_on
        gradient, passed_on = of_hidden * slope, of_hidden if has_residual else 0
    return gradient.swapaxes(0, 1).reshape(len(first), -1)


def _link_of_sigmoid(logits, output, slope):
    """Return the gradient of the log-odds of the members' mean with respect to their logits."""
    z, gradient = logits[..., output], np.zeros_like(logits)
    for_it, against_it = (softmax(log_expit(sign * z), axis=0) * expit(-sign * z) for sign in (1, -1))
    gradient[..., output] = slope * (for_it + against_it)
    return gradient


def _link_of_softmax(logits, output, slope):
    """Return the gradient of the log-odds of one class of the members' mean with respect to their logits."""
    log_proba = log_softmax(logits, axis=-1)
    others = slope * logsumexp(log_proba, axis=0)
    others[:, output] = -np.inf
    of_mean = -slope * softmax(others, axis=-1)
    of_mean[:, output] = slope
    of_member = of_mean * softmax(log_proba, axis=0)
    return of_member - np.exp(log_proba) * of_member.sum(axis=-1, keepdims=True)
