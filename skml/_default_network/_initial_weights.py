"""Initial weights of the default network."""

from itertools import pairwise

import numpy as np

# Standard deviation of the standard normal distribution truncated at two standard deviations.
_TRUNCATED_DEVIATION = 0.87962566103423978


def initial_weights(widths, random_state, dtype, n_members=1, output_scale=1.0, ramps=()):
    """Return kernels from truncated normal distributions of variance 2 / inputs (He et al., 2015), and zero biases.

    Parameters
    ----------
    widths : list of int
        Number of columns of the input, of units of each hidden layer, and of outputs.
    random_state : numpy.random.RandomState
    dtype : numpy dtype
    n_members : int, default=1
    output_scale : float, default=1.0
        Factor of the kernel of the outputs.
    ramps : sequence of Ramps, default=()
        Ramps of some members, inputs beside the columns.

    Returns
    -------
    list of ndarray
        Weights of a `DenseNetwork`.
    """
    generator = np.random.default_rng(random_state.randint(2**31 - 1))
    n_columns, *units = widths
    n_inputs = np.full(n_members, n_columns)
    for part in ramps:
        n_inputs[part.members] += part.n_ramps
    of_columns = np.empty((n_columns, n_members, units[0]), dtype)
    _fill_with_truncated_normal(of_columns, np.sqrt(2 / n_inputs)[:, None], generator)
    first = [of_columns.reshape(n_columns, -1), np.zeros(n_members * units[0], dtype)]
    for part in ramps:
        first.append(np.empty((part.n_members, part.n_ramps, units[0]), dtype))
        _fill_with_truncated_normal(first[-1], np.sqrt(2 / n_inputs[part.members])[:, None, None], generator)
    others = []
    for fan_in, fan_out in pairwise(units):
        others += [np.empty((n_members, fan_in, fan_out), dtype), np.zeros((n_members, fan_out), dtype)]
        _fill_with_truncated_normal(others[-2], np.sqrt(2 / fan_in), generator)
    for kernel in others[-2:-1] or [first[0], *first[2:]]:
        kernel *= kernel.dtype.type(output_scale)
    return first + others


def _fill_with_truncated_normal(kernel, deviation, generator):
    """Draw from a normal distribution truncated at two standard deviations; `deviation` is that of the result.

    The deviation may be an array that broadcasts against the kernel.
    """
    flat = kernel.reshape(-1)
    generator.standard_normal(out=flat, dtype=kernel.dtype)
    (outside,) = np.nonzero(np.abs(flat) > 2)
    while outside.size:
        flat[outside] = generator.standard_normal(outside.size, dtype=kernel.dtype)
        outside = outside[np.abs(flat[outside]) > 2]
    kernel *= (deviation / _TRUNCATED_DEVIATION).astype(kernel.dtype)
