"""Contributions of the features of a row to the log-odds of an output of the default network."""

from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.special import expit, log_expit, log_softmax, logsumexp, ndtr, softmax

from skml._default_network._activations import ACTIVATIONS, SELU_ALPHA, SELU_SCALE
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
    zeros. With an encoding the baseline has the mean of each feature, and the contribution of a column is the sum of
    those of its features.

    Parameters
    ----------
    network : DenseNetwork
    row : ndarray or CSR of shape (1, n_features)
    output : int

    Returns
    -------
    Contributions
    """
    row = row if network.shift is None else to_dense(row)
    inputs, bias = _first_layer_inputs(network, row), network.weights[1].astype(np.float64)
    change = _first_layer_sums(inputs, len(bias))
    odds = _log_odds(network, network.log_proba(row)[0], output)
    baseline_odds = _log_odds(network, network.log_proba_of_first(bias[None].copy())[0], output)
    difference = odds - baseline_odds
    for n_parts in _N_PARTS:
        points, weights = _quadrature(n_parts)
        # Only the layers after the first are integrated, as the first is linear; the number of columns does not matter.
        gradient = weights @ _gradient(network, np.outer(points, change) + bias, output)
        values = _by_column(inputs, gradient, network.n_features)
        if abs(values.sum() - difference) <= TOLERANCE * max(1, abs(difference)):
            break
    columns = np.unique(np.concatenate([columns for columns, *_ in inputs]))
    return Contributions(columns, values[columns], odds, baseline_odds)


def _first_layer_inputs(network, row):
    """Return the inputs of the first layer that are not 0: their columns, values, kernels and the units of these."""
    change = to_dense(network.scaled(row, np.float64))[0]
    used = np.flatnonzero(change)
    source, kernel = np.arange(len(change)), network.first_kernel()[used].astype(np.float64)
    if network.encoding is not None:
        source = np.concatenate([np.arange(network.n_features), network.encoding.missing])
    inputs, width = [(source[used], change[used], kernel, slice(None))], network.widths[0]
    for ramps, kernels in zip(network.ramps, network.weights[2 : network.n_first_weights], strict=True):
        for own, features in enumerate(ramps.features(row)[:, 0]):
            used = np.flatnonzero(features)
            start = (ramps.first_member + own) * width
            kernel = kernels[own, used].astype(np.float64)
            inputs.append((ramps.columns[own, used], features[used], kernel, slice(start, start + width)))
    return inputs


def _first_layer_sums(inputs, n_units):
    """Return the sums of the first layer without its bias, shape (n_units,)."""
    sums = np.zeros(n_units)
    for _, features, kernel, units in inputs:
        sums[units] += features @ kernel
    return sums


def _by_column(inputs, gradient, n_features):
    """Return the contribution of each column, given the gradient with respect to the sums of the first layer."""
    values = np.zeros(n_features)
    for columns, features, kernel, units in inputs:
        np.add.at(values, columns, features * (kernel @ gradient[units]))
    return values


def contributions_of_rows(network, X, outputs):
    """Yield the contributions of all columns for several rows, for each output, from one part of the path.

    Parameters
    ----------
    network : DenseNetwork
    X : ndarray or CSR of shape (n_samples, n_features)
        Few rows: of each, 16 points of the path are held for all units of a layer.
    outputs : iterable of int

    Yields
    ------
    csr_array of shape (n_samples, n_features)
        As in `integrated_gradients`, with a larger error.
    """
    X = X if network.shift is None else to_dense(X)
    inputs = [_first_layer_inputs(network, X[i : i + 1]) for i in range(X.shape[0])]
    bias, (points, weights) = network.weights[1].astype(np.float64), _quadrature(1)
    change = np.stack([_first_layer_sums(row, len(bias)) for row in inputs])
    first = (points[:, None, None] * change + bias).reshape(-1, len(bias))
    for output in outputs:  # an activation may change its input in place, hence the copy
        gradient = _gradient(network, first.copy(), output).reshape(len(points), len(inputs), -1)
        gradient = np.tensordot(weights, gradient, 1)
        rows = (_by_column(*pair, network.n_features) for pair in zip(inputs, gradient, strict=True))
        yield sparse.vstack([sparse.csr_array(values[None]) for values in rows], format="csr")


def log_odds_of_output(network, row, output):
    """Return the log-odds of an output for a row; with a softmax, of its class against all other classes."""
    return _log_odds(network, network.log_proba(row)[0], output)


def _log_odds(network, scores, output):
    scores = scores.astype(np.float64)
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
    weights = network.member_weights
    weights = np.full(network.n_members, 1 / network.n_members) if weights is None else weights
    gradient, of_residual = gradient_of_output(logits, output, network.calibration.slope, weights), 0
    for slope, kernel, has_residual in reversed(passed):
        of_hidden = gradient @ kernel.swapaxes(1, 2) + of_residual
        gradient, of_residual = of_hidden * slope, of_hidden if has_residual else 0
    return gradient.swapaxes(0, 1).reshape(len(first), -1)


def _gradient_of_sigmoid(logits, output, slope, weights):
    """Return the gradient of the log-odds of the members' mean with respect to their logits."""
    z, gradient, log_weights = logits[..., output], np.zeros_like(logits), np.log(weights)[:, None]
    of_log_yes, of_log_no = (softmax(log_expit(sign * z) + log_weights, axis=0) * expit(-sign * z) for sign in (1, -1))
    gradient[..., output] = slope * (of_log_yes + of_log_no)
    return gradient


def _gradient_of_softmax(logits, output, slope, weights):
    """Return the gradient of the log-odds of one class of the members' mean with respect to their logits."""
    log_proba = log_softmax(logits, axis=-1)
    weighed = log_proba + np.log(weights)[:, None, None]
    others = slope * logsumexp(weighed, axis=0)
    others[:, output] = -np.inf
    of_mean = -slope * softmax(others, axis=-1)
    of_mean[:, output] = slope
    of_member = of_mean * softmax(weighed, axis=0)
    return of_member - np.exp(log_proba) * of_member.sum(axis=-1, keepdims=True)
