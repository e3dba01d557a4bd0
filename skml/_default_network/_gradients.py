"""Contributions of the features of a row to the log-odds of an output of the default network."""

from typing import NamedTuple

import numpy as np
from scipy.special import expit, log_expit, log_softmax, logsumexp, ndtr, softmax

from skml._default_network._network import ACTIVATIONS, SELU_ALPHA, SELU_SCALE
from skml._targets._matrix import to_dense

# Largest error of the sum of the contributions: absolute, or relative to the difference if that is above 1.
TOLERANCE = 0.01

# Number of parts of the path from the baseline to the row, with 16 points each. It is doubled until the error is small
# enough. Errors come from the corners of "relu"; smooth activations need the first number only.
_N_PARTS = (8, 16, 32, 64, 128)
_PART = np.polynomial.legendre.leggauss(16)

# Derivative of each of ACTIVATIONS.
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
    """Contributions of the columns of a row to the log-odds of an output, compared with a baseline.

    Parameters
    ----------
    columns : ndarray of int
        The columns that differ from the baseline.
    values : ndarray of float64, of the same length
        Contribution of each of these columns.
    log_odds, baseline_log_odds : float
        Log-odds of the output for the row and for the baseline.
    """

    columns: np.ndarray
    values: np.ndarray
    log_odds: float
    baseline_log_odds: float


def integrated_gradients(network, row, output):
    """Return the contributions of the columns of a row to the log-odds of an output: integrated gradients.

    A contribution is the difference of a column from the baseline multiplied by the gradient of the log-odds, averaged
    over the straight path from the baseline to the row (Sundararajan et al., 2017). The log-odds are those of the
    calibrated mean of the members. The baseline is the mean row if the network subtracts it, otherwise the row of
    zeros.

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
        # Only the layers after the first are integrated, as the first is linear; the number of columns does not matter.
        first = np.outer(points, change @ kernel) + network.weights[1]
        values = change * (kernel @ (weights @ _gradient(network, first, output)))
        if abs(values.sum() - difference) <= TOLERANCE * max(1, abs(difference)):
            break
    return Contributions(columns, values, odds, baseline_odds)


def log_odds_of_output(network, row, output):
    """Return the log-odds of an output for a row; with a softmax, of its class against all other classes."""
    scores = network.log_proba(row)[0].astype(np.float64)
    return float(
        scores[output] - (logsumexp(np.delete(scores, output)) if network.output_activation == "softmax" else 0)
    )


def _quadrature(n_parts):
    """Return points in (0, 1) and their weights: Gauss-Legendre quadrature in each of `n_parts` equal parts."""
    points, weights = _PART
    points = np.arange(n_parts)[:, None] + (points + 1) / 2
    return points.ravel() / n_parts, np.tile(weights / 2, n_parts) / n_parts


def _gradient(network, first, output):
    """Return the gradient of the log-odds with respect to the sums of the first layer.

    Parameters
    ----------
    network : DenseNetwork
    first : ndarray of shape (n_points, n_members * units)
        Sums of the first layer.
    output : int

    Returns
    -------
    ndarray of shape (n_points, n_members * units)
    """
    logits, hidden = first.reshape(len(first), network.n_members, -1).swapaxes(0, 1), None
    layers, passed = list(network.layers()), []
    if network.output_activation == "sigmoid" and layers:  # the other outputs, possibly thousands, are not needed
        kernel, bias, has_residual = layers[-1]
        layers[-1] = kernel[..., [output]], bias[..., [output]], has_residual
        output = 0
    for kernel, bias, has_residual in layers:
        kernel, bias = kernel.astype(np.float64), bias.astype(np.float64)
        slope = DERIVATIVES[network.activation](logits)  # before the activation, which may change the logits in place
        outputs = ACTIVATIONS[network.activation](logits)
        hidden = outputs + hidden if has_residual else outputs
        passed.append((slope, kernel, has_residual))
        logits = hidden @ kernel + bias[:, None]
    gradient_of_output = _gradient_of_sigmoid if network.output_activation == "sigmoid" else _gradient_of_softmax
    gradient, of_residual = gradient_of_output(logits, output, network.calibration.slope), 0
    for slope, kernel, has_residual in reversed(passed):
        of_hidden = gradient @ kernel.swapaxes(1, 2) + of_residual
        gradient, of_residual = of_hidden * slope, of_hidden if has_residual else 0
    return gradient.swapaxes(0, 1).reshape(len(first), -1)


def _gradient_of_sigmoid(logits, output, slope):
    """Return the gradient of the log-odds of the members' mean with respect to their logits."""
    z, gradient = logits[..., output], np.zeros_like(logits)
    of_log_yes, of_log_no = (softmax(log_expit(sign * z), axis=0) * expit(-sign * z) for sign in (1, -1))
    gradient[..., output] = slope * (of_log_yes + of_log_no)
    return gradient


def _gradient_of_softmax(logits, output, slope):
    """Return the gradient of the log-odds of one class of the members' mean with respect to their logits."""
    log_proba = log_softmax(logits, axis=-1)
    others = slope * logsumexp(log_proba, axis=0)
    others[:, output] = -np.inf
    of_mean = -slope * softmax(others, axis=-1)
    of_mean[:, output] = slope
    of_member = of_mean * softmax(log_proba, axis=0)
    return of_member - np.exp(log_proba) * of_member.sum(axis=-1, keepdims=True)
