"""The default network in Keras: its layers, and a model whose members are trained on different rows."""

import functools

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from skml import _keras_objects


@keras.saving.register_keras_serializable("skml")
class Scaling(keras.layers.Layer):
    """``(x - shift) * scale``, the values from outside; sparse rows have no shift."""

    def build(self, input_shape):
        """Make the two variables, which training leaves as they are."""
        self.shift = self.add_weight(shape=input_shape[-1:], initializer="zeros", trainable=False, name="shift")
        self.scale = self.add_weight(shape=input_shape[-1:], initializer="ones", trainable=False, name="scale")

    def call(self, inputs):
        """Return the scaled inputs."""
        if isinstance(inputs, tf.SparseTensor):
            return inputs.with_values(inputs.values * ops.take(self.scale, inputs.indices[:, 1]))
        return (inputs - self.shift) * self.scale

    def compute_output_spec(self, inputs):
        """Return the spec of the inputs."""
        return keras.KerasTensor(inputs.shape, inputs.dtype, inputs.sparse)


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
class Split(keras.layers.Layer):
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


@keras.saving.register_keras_serializable("skml")
class Ensemble(keras.Model):
    """A functional model that ends in `Average`; its members are trained on the same batches, or on other rows each.

    Sample weights of shape (batch, n_members) say how much a row counts for each member; weights of
    shape (batch,) are those of all. Members share no weights, and each is trained as it would be alone.
    """

    # Whether a row is evaluated by one member: the one for which alone it has a weight, the same in all of a batch.
    cross_fitted = False

    @functools.cached_property
    def members(self):
        """The model of the members' logits, shape (n_members, batch, n_outputs)."""
        return keras.Model(self.inputs, self._average.input)

    @property
    def _average(self):
        return self.layers[-1]

    def train_step(self, data):
        """Update the weights from one batch; return the metrics so far."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            logits = self.members(x, training=True)
            loss = self._loss_of_members(x, y, logits, weight)
            # Of the mean over members each gets a share: this makes it what the member would get alone.
            objective = self.optimizer.scale_loss(loss) * logits.shape[0]
        gradients = tape.gradient(objective, self.trainable_weights)
        self.optimizer.apply(gradients, self.trainable_weights)
        self._track(loss, ops.shape(y)[0])
        return self.compute_metrics(x, y, self._average(logits))

    def test_step(self, data):
        """Evaluate one batch; return the metrics so far."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        if self.cross_fitted:
            member = ops.argmax(weight[0])
            weight = ops.take(weight, member, axis=1)
            logits = self._logits_of_member(x, member)
        else:
            weight = weight if weight is None or len(weight.shape) == 1 else weight[:, 0]
            logits = _logits_of_mean(self.members(x, training=False), self._head)
        loss = self.compute_loss(x, y, self._as_the_loss_wants(logits), weight, training=False)
        self._track(loss, ops.shape(y)[0] if weight is None else ops.sum(weight))
        return self.compute_metrics(x, y, probabilities(logits, self._head))

    @property
    def _head(self):
        return self._average.head

    def _loss_of_members(self, x, y, logits, weight):
        """Return the mean loss of the members."""
        n_members, _, n_outputs = logits.shape
        outputs = ops.reshape(self._as_the_loss_wants(logits), (-1, n_outputs))
        if weight is not None and len(weight.shape) == 1:
            weight = ops.tile(weight, (n_members,))
        elif weight is not None:
            weight = ops.reshape(ops.transpose(weight), (-1,))
        y = ops.tile(y, (n_members, *[1] * (len(y.shape) - 1)))
        return self.compute_loss(x, y, outputs, weight, training=True)

    def _as_the_loss_wants(self, logits):
        """Return what the loss takes."""
        return logits if getattr(self.loss, "from_logits", False) else probabilities(logits, self._head)

    def _logits_of_member(self, x, j):
        """Return the logits of member j alone, shape (batch, n_outputs), in inference."""
        for layer in self.layers:
            if isinstance(layer, Scaling):
                x = layer(x)
        (first,) = (layer for layer in self.layers if isinstance(layer, keras.layers.Dense))
        n_members = self._average.input.shape[0]
        kernel, bias = (ops.reshape(v, (*v.shape[:-1], n_members, -1)) for v in (first.kernel, first.bias))
        hidden = first.activation(ops.matmul(x, ops.take(kernel, j, axis=1)) + bias[j])
        for layer in self.layers:
            if isinstance(layer, StackedDense):
                outputs = layer.of_member(hidden, j)
                hidden = outputs + hidden if layer.has_residual else outputs
        return hidden

    def _track(self, loss, weight):
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=weight)


def build_compiled(model, y, y_pred):
    """Let loss and metrics make their variables; Keras' own fit would do so with weights of another shape."""
    model.compute_loss(y=y, y_pred=y_pred)
    model.compute_metrics(None, y, y_pred)
    model.reset_metrics()


def fused(optimizer):
    """Return `FusedAdam` in place of Keras' Adam, and any other optimizer as it is."""
    is_plain = type(optimizer) is keras.optimizers.Adam and not optimizer.amsgrad
    return FusedAdam.from_config(optimizer.get_config()) if is_plain and not tf.distribute.has_strategy() else optimizer


def _resource(variable):
    """Return what a raw operation changes; Keras hands over its own variables and TensorFlow's."""
    return (variable if isinstance(variable, tf.Variable) else variable.value).handle


def probabilities(logits, head):
    """Return the sigmoid or softmax of logits."""
    return ops.sigmoid(logits) if head == "sigmoid" else ops.softmax(logits, axis=-1)


def _logits_of_mean(logits, head):
    """Return logits of the members' mean probabilities."""
    if head == "softmax":
        return ops.logsumexp(ops.log_softmax(logits, axis=-1), axis=0)
    return ops.logsumexp(ops.log_sigmoid(logits), axis=0) - ops.logsumexp(ops.log_sigmoid(-logits), axis=0)


def build(network, logits=False):
    """Return a Keras model of the architecture of a `DenseNetwork`, uncompiled and with weights of its own.

    Parameters
    ----------
    network : DenseNetwork
    logits : bool, default=False
        Whether a network of one member ends before the sigmoid or softmax, as a loss with ``from_logits`` wants it.
    """
    dtype = network.dtype.name
    inputs = keras.Input((network.n_features,), sparse=network.sparse, dtype=dtype)
    with _keras_objects.seeded_layers():
        hidden = inputs if network.scale is None else Scaling(dtype=dtype)(inputs)
        hidden = SparseDropout(network.input_dropout, dtype=dtype)(hidden)
        if network.n_members == 1:
            return keras.Model(inputs, _plain_layers(network, hidden, None if logits else network.head))
        return Ensemble(inputs, Average(network.head, dtype=dtype)(_member_layers(network, hidden)))


def rebuild(network):
    """Return a `DenseNetwork` as a Keras model with its weights, uncompiled."""
    model = build(network)
    load(network, model)
    return model


def load(network, model):
    """Put the weights of a `DenseNetwork` into a model that `build` made for it."""
    for layer in model.layers:
        if isinstance(layer, Scaling):
            layer.shift.assign(np.zeros(network.n_features) if network.shift is None else network.shift)
            layer.scale.assign(network.scale)
    for variable, value in zip(model.trainable_variables, network.weights, strict=True):
        variable.assign(value.reshape(variable.shape))


def _plain_layers(network, hidden, head):
    """Return the outputs of one member."""
    *widths, n_outputs, dtype = *network.widths, network.dtype.name
    before = None
    for width in widths:
        hidden = keras.layers.Dense(width, network.activation, dtype=dtype)(hidden)
        hidden = keras.layers.Dropout(network.dropout, dtype=dtype)(hidden)
        if before is not None and before.shape == hidden.shape:
            hidden = keras.layers.Add(dtype=dtype)([hidden, before])
        before = hidden
    return keras.layers.Dense(n_outputs, head, dtype=dtype)(hidden)


def _member_layers(network, inputs):
    """Return the logits of all members."""
    *widths, n_outputs, dtype = *network.widths, network.dtype.name
    k = network.n_members
    if not widths:
        return Split(k, dtype=dtype)(keras.layers.Dense(k * n_outputs, dtype=dtype)(inputs))
    first = keras.layers.Dense(k * widths[0], network.activation, dtype=dtype)(inputs)
    hidden = Split(k, dtype=dtype)(keras.layers.Dropout(network.dropout, dtype=dtype)(first))
    for width in widths[1:]:
        has_residual = width == hidden.shape[-1]
        outputs = StackedDense(width, network.activation, has_residual, dtype=dtype)(hidden)
        outputs = keras.layers.Dropout(network.dropout, dtype=dtype)(outputs)
        hidden = keras.layers.Add(dtype=dtype)([outputs, hidden]) if has_residual else outputs
    return StackedDense(n_outputs, dtype=dtype)(hidden)
