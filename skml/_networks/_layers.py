"""The layers of the default network in Keras."""

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable("skml")
class Scaling(keras.layers.Layer):
    """``(x - shift) * scale``, the values from outside; sparse rows have no shift.

    Parameters
    ----------
    output_dtype : str
        That of the layer is the one of the computation: of columns far from 0, float32 loses what scaling brings out.
    """

    def __init__(self, output_dtype, **kwargs):
        super().__init__(**kwargs)
        self.output_dtype = output_dtype

    def build(self, input_shape):
        """Make the two variables, which training leaves as they are."""
        self.shift = self.add_weight(shape=input_shape[-1:], initializer="zeros", trainable=False, name="shift")
        self.scale = self.add_weight(shape=input_shape[-1:], initializer="ones", trainable=False, name="scale")

    def call(self, inputs):
        """Return the scaled inputs."""
        if isinstance(inputs, tf.SparseTensor):
            return inputs.with_values(inputs.values * ops.take(self.scale, inputs.indices[:, 1]))
        return ops.cast((inputs - self.shift) * self.scale, self.output_dtype)

    def compute_output_spec(self, inputs):
        """Return the spec of the inputs, in the output's dtype."""
        return keras.KerasTensor(inputs.shape, self.output_dtype, inputs.sparse)

    def get_config(self):
        """Return the arguments of ``__init__``."""
        return {**super().get_config(), "output_dtype": self.output_dtype}


@keras.saving.register_keras_serializable("skml")
class SparseDropout(keras.layers.Dropout):
    """Dropout of the stored values of sparse rows."""

    def call(self, inputs, training=False):
        """Return the inputs, in training with a share of their values at 0."""
        if not isinstance(inputs, tf.SparseTensor):
            return super().call(inputs, training=training)
        return inputs.with_values(super().call(inputs.values, training=training))

    def compute_output_spec(self, inputs, training=False):
        """Return the spec of the inputs."""
        return keras.KerasTensor(inputs.shape, inputs.dtype, inputs.sparse)


@keras.saving.register_keras_serializable("skml")
class MemberSplit(keras.layers.Layer):
    """Cut the columns of the first layer into those of each member: (batch, m * u) becomes (m, batch, u)."""

    def __init__(self, n_members, **kwargs):
        super().__init__(**kwargs)
        self.n_members = n_members

    def call(self, inputs):
        """Return the inputs, members first."""
        width = inputs.shape[-1] // self.n_members
        return ops.transpose(ops.reshape(inputs, (-1, self.n_members, width)), (1, 0, 2))

    def get_config(self):
        """Return the arguments of ``__init__``."""
        return {**super().get_config(), "n_members": self.n_members}


@keras.saving.register_keras_serializable("skml")
class StackedDense(keras.layers.Layer):
    """A Dense layer of each member, as one batched product; its input is (n_members, batch, features)."""

    def __init__(self, units, activation=None, has_residual=False, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.activation = keras.activations.get(activation)
        self.has_residual = has_residual

    def build(self, input_shape):
        """Make the kernel, (n_members, features, units), and the bias, (n_members, units)."""
        n_members, _, n_features = input_shape
        self.kernel = self.add_weight(shape=(n_members, n_features, self.units), initializer="zeros", name="kernel")
        self.bias = self.add_weight(shape=(n_members, self.units), initializer="zeros", name="bias")

    def call(self, inputs):
        """Return the outputs, shape (n_members, batch, units)."""
        return self.activation(ops.matmul(inputs, self.kernel) + ops.expand_dims(self.bias, 1))

    def compute_output_shape(self, input_shape):
        """Return (n_members, batch, units)."""
        return (*input_shape[:-1], self.units)

    def of_member(self, inputs, j):
        """Return the outputs of member j alone, shape (batch, units)."""
        return self.activation(ops.matmul(inputs, self.kernel[j]) + self.bias[j])

    def get_config(self):
        """Return the arguments of ``__init__``."""
        activation = keras.activations.serialize(self.activation)
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activation,
            "has_residual": self.has_residual,
        }


@keras.saving.register_keras_serializable("skml")
class Average(keras.layers.Layer):
    """The mean of the members' probabilities."""

    def __init__(self, head, **kwargs):
        super().__init__(**kwargs)
        self.head = head

    def call(self, logits):
        """Return the mean probabilities, shape (batch, n_outputs), of logits of shape (n_members, batch, n_outputs)."""
        return ops.mean(probabilities(logits, self.head), axis=0)

    def compute_output_shape(self, input_shape):
        """Return (batch, n_outputs)."""
        return input_shape[1:]

    def get_config(self):
        """Return the arguments of ``__init__``."""
        return {**super().get_config(), "head": self.head}


def probabilities(logits, head):
    """Return the sigmoid or softmax of logits."""
    return ops.sigmoid(logits) if head == "sigmoid" else ops.softmax(logits, axis=-1)
