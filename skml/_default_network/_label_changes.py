"""Changes of the labels of a trained default network."""

from dataclasses import replace

import numpy as np

from skml._decisions._calibration import NOT_CALIBRATED


def with_labels(network, columns, prior_log_odds):
    """Return a trained network with other outputs, without calibration.

    Previous outputs keep their weights. New outputs start at the base rates of their labels, independent of X: their
    kernel is 0. It need not be random, as the hidden layers are trained already.

    Parameters
    ----------
    network : DenseNetwork
    columns : ndarray of int, shape (n_outputs,)
        The previous column of each output; -1 for a new output.
    prior_log_odds : ndarray of shape (n_members, n_outputs)
        Log-odds at which new outputs start.

    Returns
    -------
    DenseNetwork
    """
    n_before, outputs = network.widths[-1], network.output_weights
    weights = list(network.weights)
    for i in outputs:
        weights[i] = remap_outputs(weights[i], columns, n_before)
    kept = weights[outputs[1]]
    bias = np.where(columns < 0, prior_log_odds, kept.reshape(prior_log_odds.shape)).astype(kept.dtype)
    weights[outputs[1]] = bias.reshape(kept.shape)
    return replace(network, weights=weights, calibration=NOT_CALIBRATED)


def remap_outputs(array, columns, n_before, axis=-1, new=0.0):
    """Return an array with other outputs along an axis.

    Parameters
    ----------
    array : ndarray
        An array with `n_before` outputs along `axis`, or with the outputs of several members one after the other.
    columns : ndarray of int, shape (n_outputs,)
        The previous column of each output; -1 for a new output.
    n_before : int
        Previous number of outputs.
    axis : int, default=-1
    new : float, default=0.0
        The value of new outputs.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> remap_outputs(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, -1, 0]), n_before=2)
    array([2., 0., 1., 4., 0., 3.])
    """
    array = np.moveaxis(array, axis, -1)
    by_output = array.reshape(*array.shape[:-1], -1, n_before)
    values = np.where(columns < 0, array.dtype.type(new), by_output[..., columns])
    return np.moveaxis(values.reshape(*array.shape[:-1], -1), -1, axis)
