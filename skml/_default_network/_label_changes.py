"""A trained default network whose outputs become those of another label space: arithmetic on arrays."""

from dataclasses import replace

import numpy as np

from skml._decisions._calibration import NOT_CALIBRATED


def with_labels(network, columns, base):
    """Return a trained network with other outputs; it is not calibrated.

    Earlier outputs keep their weights. New ones start from their base rates, whatever X is: their kernel is 0, which
    the hidden layers, trained as they are, do not need to be drawn at random.

    Parameters
    ----------
    network : DenseNetwork
    columns : ndarray of int, shape (n_outputs,)
        Where each output is now; -1 for a new one.
    base : ndarray of shape (n_members, n_outputs)
        Log-odds from which new outputs start.

    Returns
    -------
    DenseNetwork
    """
    *others, kernel, bias = network.weights
    n_before = network.widths[-1]
    kernel, kept = remap_outputs(kernel, columns, n_before), remap_outputs(bias, columns, n_before)
    bias = np.where(columns < 0, base, kept.reshape(base.shape)).astype(bias.dtype).reshape(kept.shape)
    return replace(network, weights=[*others, kernel, bias], calibration=NOT_CALIBRATED)


def remap_outputs(array, columns, n_before, axis=-1, new=0.0):
    """Return an array with other outputs along an axis.

    Parameters
    ----------
    array : ndarray
        Has `n_before` outputs along `axis`, or those of one member after the other.
    columns : ndarray of int, shape (n_outputs,)
        Where each output is now; -1 for a new one.
    n_before : int
    axis : int, default=-1
    new : float, default=0.0
        The value of new ones.

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
