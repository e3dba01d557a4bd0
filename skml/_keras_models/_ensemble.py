"""The default network in Keras: a model with several members, which may be trained on different folds."""

import functools

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from skml._keras._serialization import seeded_layers
from skml._keras_models._layers import (
    Average,
    Calibrated,
    Dropout,
    MemberSplit,
    RowDropout,
    Scaling,
    SparseInputDense,
    StackedDense,
    probabilities,
)


@keras.saving.register_keras_serializable("skml")
class Ensemble(keras.Model):
    """A functional model that ends in `Average`, whose members are trained on the same rows or on different ones.

    Sample weights of shape (batch, n_members) are weights for each member; weights of shape (batch,) are for all
    members. Members share no weights, and each is trained as a single network would be.
    """

    # Whether each row is evaluated by a single member: the only one with non-zero sample weights in the batch.
    cross_fitted = False

    @functools.cached_property
    def members(self):
        """A model that returns the logits of the members, shape (n_members, batch, n_outputs)."""
        return keras.Model(self.input, self._average.input)

    @property
    def _average(self):
        return self.layers[-1]

    def train_step(self, data):
        """Update the weights by one batch and return the metrics so far."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            logits = self.members(x, training=True)
            loss = self._loss_of_members(x, y, logits, weight)
            # The loss is a mean over members. Multiplied by their number, each gets the gradient of a single network.
            objective = self.optimizer.scale_loss(loss) * logits.shape[0]
        gradients = tape.gradient(objective, self.trainable_weights)
        self.optimizer.apply(gradients, self.trainable_weights)
        self._track(loss, ops.shape(y)[0])
        return self.compute_metrics(x, y, self._average(logits))

    def test_step(self, data):
        """Evaluate one batch and return the metrics so far."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        if self.cross_fitted:
            member = ops.argmax(weight[0])
            weight = ops.take(weight, member, axis=1)
            logits = self._logits_of_member(x, member)
        else:
            weight = weight if weight is None or len(weight.shape) == 1 else weight[:, 0]
            logits = _logits_of_mean(self.members(x, training=False), self._output_activation)
        loss = self.compute_loss(x, y, self._outputs_for_loss(logits), weight, training=False)
        self._track(loss, ops.shape(y)[0] if weight is None else ops.sum(weight))
        return self.compute_metrics(x, y, probabilities(logits, self._output_activation))

    @property
    def _output_activation(self):
        return self._average.output_activation

    def _loss_of_members(self, x, y, logits, weight):
        """Return the mean loss of the members."""
        n_members, _, n_outputs = logits.shape
        outputs = ops.reshape(self._outputs_for_loss(logits), (-1, n_outputs))
        if weight is not None and len(weight.shape) == 1:
            weight = ops.tile(weight, (n_members,))
        elif weight is not None:
            weight = ops.reshape(ops.transpose(weight), (-1,))
        y = ops.tile(y, (n_members, *[1] * (len(y.shape) - 1)))
        return self.compute_loss(x, y, outputs, weight, training=True) * share_of_replica(self.loss, y, weight)

    def _outputs_for_loss(self, logits):
        """Return logits or probabilities, as the loss requires."""
        return logits if getattr(self.loss, "from_logits", False) else probabilities(logits, self._output_activation)

    def _logits_of_member(self, x, j):
        """Return the logits of member j in inference, shape (batch, n_outputs)."""
        for layer in self.layers:
            if isinstance(layer, Scaling):
                x = layer(x)
        (first,) = (layer for layer in self.layers if isinstance(layer, keras.layers.Dense | SparseInputDense))
        hidden = first.of_member(x, j) if isinstance(first, SparseInputDense) else self._first_of_member(first, x, j)
        for layer in self.layers:
            if isinstance(layer, StackedDense):
                outputs = layer.of_member(hidden, j)
                hidden = outputs + hidden if layer.has_residual else outputs
        return hidden

    def _first_of_member(self, first, x, j):
        n_members = self._average.input.shape[0]
        kernel, bias = (ops.reshape(v, (*v.shape[:-1], n_members, -1)) for v in (first.kernel, first.bias))
        return first.activation(ops.matmul(x, ops.take(kernel, j, axis=1)) + bias[j])

    def _track(self, loss, weight):
        # Keras divides the loss by the number of replicas, whose gradients it sums. The metric gets the full loss.
        loss = loss * tf.distribute.get_strategy().num_replicas_in_sync
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=weight)


def build_compiled(model, y, y_pred):
    """Make loss and metrics create their variables; in ``keras.Model.fit`` they would get weights of another shape."""
    model.compute_loss(y=y, y_pred=y_pred)
    model.compute_metrics(None, y, y_pred)
    model.reset_metrics()


def _logits_of_mean(logits, output_activation):
    """Return the logits of the mean of the members' probabilities."""
    if output_activation == "softmax":
        return ops.logsumexp(ops.log_softmax(logits, axis=-1), axis=0)
    return ops.logsumexp(ops.log_sigmoid(logits), axis=0) - ops.logsumexp(ops.log_sigmoid(-logits), axis=0)


def build(network, logits=False):
    """Return an uncompiled Keras model with the architecture of a `DenseNetwork` and new weights.

    Parameters
    ----------
    network : DenseNetwork
    logits : bool, default=False
        Whether a network with one member returns logits, as required by a loss with ``from_logits=True``.
    """
    dtype = network.dtype.name
    inputs = keras.Input((network.n_features,), sparse=network.sparse, dtype=network.input_dtype.name)
    with seeded_layers():
        hidden = inputs if network.scale is None else Scaling(dtype, dtype=network.input_dtype.name)(inputs)
        if network.sparse and network.row_dropout:
            hidden = RowDropout(network.row_dropout, dtype=dtype)(hidden)
        if network.input_dropout:
            hidden = Dropout(network.input_dropout, dtype=dtype, name="input_dropout")(hidden)
        if network.n_members == 1:
            return keras.Model(inputs, _plain_layers(network, hidden, None if logits else network.output_activation))
        return Ensemble(inputs, Average(network.output_activation, dtype=dtype)(_member_layers(network, hidden)))


def rebuild(network):
    """Return a `DenseNetwork` as an uncompiled Keras model with its weights and calibration."""
    model = build(network)
    load(network, model)
    calibration = network.calibration
    if not calibration.changes:
        return model
    numbers = float(calibration.slope), np.asarray(calibration.offset, dtype=np.float64).tolist()
    outputs = Calibrated(network.output_activation, *numbers, dtype=network.dtype.name)(model.outputs[0])
    return keras.Model(model.input, outputs)


def load(network, model):
    """Load the weights and scaling of a `DenseNetwork` into a model that `build` returned for it."""
    for layer in model.layers:
        if isinstance(layer, Scaling):
            layer.shift.assign(np.zeros(network.n_features) if network.shift is None else network.shift)
            layer.scale.assign(network.scale)
    for variable, value in zip(model.trainable_variables, network.weights, strict=True):
        variable.assign(value.reshape(variable.shape))


def _plain_layers(network, hidden, output_activation):
    """Return the outputs of a network with one member."""
    (*widths, n_outputs), dtype = network.widths, network.dtype.name
    for layer, (width, has_residual) in enumerate(zip(widths, network.residuals, strict=True)):
        outputs = _dropped(network, _dense(network, width, network.activation, is_first=layer == 0)(hidden))
        hidden = keras.layers.Add(dtype=dtype)([outputs, hidden]) if has_residual else outputs
    return _dense(network, n_outputs, output_activation, is_first=not widths)(hidden)


def _member_layers(network, inputs):
    """Return the logits of all members."""
    (*widths, n_outputs), dtype = network.widths, network.dtype.name
    k = network.n_members
    if not widths:
        return MemberSplit(k, dtype=dtype)(_dense(network, n_outputs, None, is_first=True)(inputs))
    first = _dense(network, widths[0], network.activation, is_first=True)(inputs)
    hidden = MemberSplit(k, dtype=dtype)(_dropped(network, first))
    for width, has_residual in zip(widths[1:], network.residuals[1:], strict=True):
        outputs = StackedDense(width, network.activation, has_residual, dtype=dtype)(hidden)
        outputs = _dropped(network, outputs)
        hidden = keras.layers.Add(dtype=dtype)([outputs, hidden]) if has_residual else outputs
    return StackedDense(n_outputs, dtype=dtype)(hidden)


def _dense(network, units, activation, is_first):
    """Return a dense layer. The first has the units of all members, and another class for sparse rows."""
    k, dtype = network.n_members if is_first else 1, network.dtype.name
    if is_first and network.sparse:
        return SparseInputDense(k, units, activation, dtype=dtype)
    return keras.layers.Dense(k * units, activation, dtype=dtype)


def _dropped(network, hidden):
    return Dropout(network.dropout, dtype=network.dtype.name)(hidden) if network.dropout else hidden


def set_rates(model, dropout, input_dropout):
    """Set the rates of the dropout layers of a model."""
    for layer in model.layers:
        if isinstance(layer, Dropout):
            layer.rate.assign(input_dropout if layer.name == "input_dropout" else dropout)


class Replicated(keras.Model):
    """A functional model whose loss does not depend on the number of replicas that share a batch."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the contribution of this replica to the loss of a batch."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        return loss * share_of_replica(self.loss, y, sample_weight)


def share_of_replica(loss, y, weight):
    """Return the weight of the rows of this replica, relative to the mean of all replicas, inside a graph.

    It corrects the average over replicas in Keras, which ignores the weights of their rows.
    """
    replica = tf.distribute.get_replica_context()
    is_shared = replica is not None and replica.num_replicas_in_sync > 1
    if not is_shared or getattr(loss, "reduction", None) != "mean_with_sample_weight":
        return 1.0
    here = tf.reduce_sum(tf.ones_like(y[:, 0]) if weight is None else weight)
    total = replica.all_reduce(tf.distribute.ReduceOp.SUM, here)
    return tf.math.divide_no_nan(here * replica.num_replicas_in_sync, total)
