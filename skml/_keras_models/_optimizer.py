"""Optimizers of the default network."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from skml._default_network._label_changes import remap_outputs
from skml._keras._cache_keys import custom_objects


@keras.saving.register_keras_serializable("skml")
class FusedAdam(keras.optimizers.Adam):
    """Keras' Adam (Kingma and Ba, 2015) by TensorFlow's one operation for it, in place of a dozen.

    A kernel of `SparseInputDense` has one second moment for each unit (the idea of Adam-mini; Zhang et al., 2024), and
    no first: then an update touches only the rows whose columns are in the batch.
    """

    def build(self, variables):
        """Make the slots; a kernel of `SparseInputDense` has no first moment, and one second moment for each unit."""
        if not self.built:
            keras.optimizers.Optimizer.build(self, variables)
            self._first, self._second = [], []
            for variable in variables:
                by_unit = getattr(variable, "one_moment_per_unit", False)
                self._first.append(None if by_unit else self.add_variable_from_reference(variable, "momentum"))
                self._second.append(
                    self.add_variable(variable.shape[1:], "zeros", variable.dtype, name="velocity")
                    if by_unit
                    else self.add_variable_from_reference(variable, "velocity")
                )

    def update_step(self, gradient, variable, learning_rate):
        """Update a variable and its slots."""
        i = self._get_variable_index(variable)
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
        """Update the rows that a gradient has, at the step size of their unit.

        With a second moment for each weight, Adam moves the weights of a column with three values as fast as those of
        one with a thousand, and learns rare columns by heart. The mean over all rows takes its place.
        """
        if isinstance(gradient, tf.IndexedSlices):
            values, rows = gradient.values, gradient.indices
        else:  # of dense batches, or added up over several
            values, rows = gradient, tf.range(variable.shape[0])
        square = ops.sum(ops.square(values), axis=0)
        second.assign(self.beta_2 * second + (1 - self.beta_2) * square)
        deviation = ops.sqrt(second / (1 - ops.power(ops.cast(self.beta_2, values.dtype), step)))
        # The sum takes the place of the mean, which epsilon would outweigh where columns are many.
        scale = ops.cast(learning_rate, values.dtype) * np.sqrt(variable.shape[0]) / (deviation + self.epsilon)
        updated = tf.gather(_variable(variable), rows) - values * scale  # ResourceScatterSub takes longer
        tf.raw_ops.ResourceScatterUpdate(resource=_resource(variable), indices=rows, updates=updated)


def use_fused_adam(optimizer):
    """Return `FusedAdam` in place of Keras' Adam, and any other optimizer as it is."""
    is_plain = type(optimizer) is keras.optimizers.Adam and not optimizer.amsgrad
    if not is_plain or tf.distribute.has_strategy():
        return optimizer
    return _rebuild_as(FusedAdam, optimizer)


def _rebuild_as(kind, optimizer):
    """Return an optimizer of a class with the settings of another one, which may have a custom schedule."""
    with keras.saving.CustomObjectScope(custom_objects(optimizer)):
        return kind.from_config(optimizer.get_config())


def slots_of_outputs(values, optimizer, variables, columns):
    """Return the state of an optimizer for a network whose outputs became others; None if it must begin anew.

    Which slots have an axis of outputs, and what new ones start from, shows in a small twin of the optimizer: there
    only such an axis has 3 elements.

    Parameters
    ----------
    values : list of ndarray
        The state before.
    optimizer : keras.Optimizer
        Built on `variables`.
    variables : list of keras.Variable
        Of the network by now; the kernel and bias of the outputs are the last two.
    columns : ndarray of int, shape (n_outputs,)
        Where each output was before; -1 for a new one.
    """
    if optimizer.use_ema:  # averages of weights, which for new ones would begin at 0
        return None
    twin = _rebuild_as(type(optimizer), optimizer)
    twin.build([*map(_small, variables[:-2]), *(_small(variable, n_outputs=3) for variable in variables[-2:])])
    state = []
    for value, variable, small in zip(values, optimizer.variables, twin.variables, strict=True):
        for axis in np.flatnonzero(np.equal(small.shape, 3)):
            n_before = value.shape[axis] * len(columns) // variable.shape[axis]
            value = remap_outputs(value, columns, n_before, axis, new=small.numpy().flat[0])
        state.append(value)
    return state


def _small(variable, n_outputs=2):
    """Return a variable of the same number of axes, all of 2 elements but the last."""
    small = keras.Variable(np.zeros([*[2] * (len(variable.shape) - 1), n_outputs]), dtype=variable.dtype)
    small.one_moment_per_unit = getattr(variable, "one_moment_per_unit", False)
    return small


def _resource(variable):
    """Return what a raw operation changes."""
    return _variable(variable).handle


def _variable(variable):
    """Return TensorFlow's variable; Keras hands over its own, too."""
    return variable if isinstance(variable, tf.Variable) else variable.value
