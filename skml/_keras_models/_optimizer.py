"""Optimizer of the default network, and optimizer states for other labels."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from skml._default_network._label_changes import remap_outputs
from skml._keras._cache_keys import custom_objects
from skml._keras._private import resource_handle, variable_index


@keras.saving.register_keras_serializable("skml")
class FusedAdam(keras.optimizers.Adam):
    """Adam (Kingma and Ba, 2015) as a single operation of TensorFlow, where Keras uses a dozen.

    A kernel of `SparseInputDense` has one second moment for each unit, as in Adam-mini (Zhang et al., 2024), and no
    first moment, so that an update touches only the rows of columns that are in the batch. A variable with the
    attribute ``rate_factor`` is trained with that multiple of the learning rate.
    """

    def build(self, variables):
        """Create the moments of each variable."""
        if not self.built:
            keras.optimizers.Optimizer.build(self, variables)
            self._first, self._second = [], []
            self._rate_factors = [getattr(variable, "rate_factor", 1) for variable in variables]
            for variable in variables:
                by_unit = getattr(variable, "one_moment_per_unit", False)
                self._first.append(None if by_unit else self.add_variable_from_reference(variable, "momentum"))
                self._second.append(
                    self.add_variable(variable.shape[1:], "zeros", variable.dtype, name="velocity")
                    if by_unit
                    else self.add_variable_from_reference(variable, "velocity")
                )

    def update_step(self, gradient, variable, learning_rate):
        """Update a variable and its moments."""
        i = variable_index(self, variable)
        if self._rate_factors[i] != 1:
            learning_rate = learning_rate * self._rate_factors[i]
        step = ops.cast(self.iterations + 1, variable.dtype)
        if self._first[i] is None:
            self._update_rows(gradient, variable, self._second[i], learning_rate, step)
            return
        tf.raw_ops.ResourceApplyAdam(
            var=_resource(variable),
            m=_resource(self._first[i]),
            v=_resource(self._second[i]),
            beta1_power=ops.power(ops.cast(self.beta_1, variable.dtype), step),
            beta2_power=ops.power(ops.cast(self.beta_2, variable.dtype), step),
            lr=ops.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )

    def _update_rows(self, gradient, variable, second, learning_rate, step):
        """Update the rows of a kernel that are in the gradient.

        Adam gives rare features the same step size as frequent ones and overfits them. One second moment per unit,
        averaged over all rows, avoids this.
        """
        if isinstance(gradient, tf.IndexedSlices):
            values, rows = gradient.values, gradient.indices
        else:  # the gradient of dense batches, or accumulated over several batches
            values, rows = gradient, tf.range(variable.shape[0])
        square = ops.sum(ops.square(values), axis=0)
        second.assign(self.beta_2 * second + (1 - self.beta_2) * square)
        deviation = ops.sqrt(second / (1 - ops.power(ops.cast(self.beta_2, values.dtype), step)))
        # The sum in place of the mean, which would be small compared with epsilon if there are many columns.
        scale = ops.cast(learning_rate, values.dtype) * np.sqrt(variable.shape[0]) / (deviation + self.epsilon)
        updated = tf.gather(_variable(variable), rows) - values * scale  # ResourceScatterSub is slower
        tf.raw_ops.ResourceScatterUpdate(resource=_resource(variable), indices=rows, updates=updated)


def use_fused_adam(optimizer):
    """Return a `FusedAdam` for an Adam of Keras; return any other optimizer unchanged."""
    is_plain = type(optimizer) is keras.optimizers.Adam and not optimizer.amsgrad
    if not is_plain or tf.distribute.has_strategy():
        return optimizer
    return _rebuild_as(FusedAdam, optimizer)


def _rebuild_as(kind, optimizer):
    """Return an optimizer of class `kind` with the settings of another one, which may have a custom schedule."""
    with keras.saving.CustomObjectScope(custom_objects(optimizer)):
        return kind.from_config(optimizer.get_config())


def slots_of_outputs(values, optimizer, variables, columns, outputs):
    """Return the state of an optimizer for a network with other outputs; None if it cannot be continued.

    A small copy of the optimizer, with 3 outputs and 2 elements along all other axes, shows which variables of the
    optimizer have an axis of outputs, and their initial values.

    Parameters
    ----------
    values : list of ndarray
        The previous state.
    optimizer : keras.Optimizer
        An optimizer that was built on `variables`.
    variables : list of keras.Variable
        Variables of the network with other outputs.
    columns : ndarray of int, shape (n_outputs,)
        The previous column of each output; -1 for a new output.
    outputs : list of int
        Positions of the variables of the output layer.

    Returns
    -------
    list of ndarray, or None
    """
    if optimizer.use_ema:  # it averages weights; for new outputs the average would start at 0
        return None
    small_optimizer = _rebuild_as(type(optimizer), optimizer)
    small_variables = [_small(variable, 3 if i in outputs else 2) for i, variable in enumerate(variables)]
    small_optimizer.build(small_variables)
    state = []
    for value, variable, small in zip(values, optimizer.variables, small_optimizer.variables, strict=True):
        for axis in np.flatnonzero(np.equal(small.shape, 3)):
            n_before = value.shape[axis] * len(columns) // variable.shape[axis]
            value = remap_outputs(value, columns, n_before, axis, new=small.numpy().flat[0])
        state.append(value)
    return state


def _small(variable, n_outputs=2):
    """Return a variable with the same number of axes, with 2 elements along all but the last axis."""
    small = keras.Variable(np.zeros([*[2] * (len(variable.shape) - 1), n_outputs]), dtype=variable.dtype)
    small.one_moment_per_unit = getattr(variable, "one_moment_per_unit", False)
    return small


def _resource(variable):
    """Return the resource that a raw operation updates."""
    return resource_handle(_variable(variable))


def _variable(variable):
    """Return the TensorFlow variable of a Keras variable; Keras passes both kinds to an optimizer."""
    return variable if isinstance(variable, tf.Variable) else variable.value
