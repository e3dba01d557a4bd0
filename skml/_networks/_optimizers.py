"""Optimizers of the default network."""

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable("skml")
class FusedAdam(keras.optimizers.Adam):
    """Keras' Adam (Kingma and Ba, 2015) by TensorFlow's one operation for it, in place of a dozen."""

    def build(self, variables):
        """Make the slots."""
        if not self.built:
            keras.optimizers.Optimizer.build(self, variables)
            self._first = [self.add_variable_from_reference(v, "momentum") for v in variables]
            self._second = [self.add_variable_from_reference(v, "velocity") for v in variables]

    def update_step(self, gradient, variable, learning_rate):
        """Update a variable and its slots."""
        i = self._get_variable_index(variable)
        step = ops.cast(self.iterations + 1, variable.dtype)
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


def fused(optimizer):
    """Return `FusedAdam` in place of Keras' Adam, and any other optimizer as it is."""
    is_plain = type(optimizer) is keras.optimizers.Adam and not optimizer.amsgrad
    return FusedAdam.from_config(optimizer.get_config()) if is_plain and not tf.distribute.has_strategy() else optimizer


def _resource(variable):
    """Return what a raw operation changes; Keras hands over its own variables and TensorFlow's."""
    return (variable if isinstance(variable, tf.Variable) else variable.value).handle
