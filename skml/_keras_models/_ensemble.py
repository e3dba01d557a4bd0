"""The default network in Keras: a model whose members are trained on different rows."""

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
    """A functional model that ends in `Average`; its members are trained on the same batches, or on other rows each.

    Sample weights of shape (batch, n_members) say how much a row counts for each member; weights of
    shape (batch,) are those of all. Members share no weights, and each is trained as it would be alone.
    """

    # Whether a row is evaluated by one member: the only member with non-zero weights, constant within a batch.
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
            logits = _logits_of_mean(self.members(x, training=False), self._output_activation)
        loss = self.compute_loss(x, y, self._as_the_loss_wants(logits), weight, training=False)
        self._track(loss, ops.shape(y)[0] if weight is None else ops.sum(weight))
        return self.compute_metrics(x, y, probabilities(logits, self._output_activation))

    @property
    def _output_activation(self):
        return self._average.output_activation

    def _loss_of_members(self, x, y, logits, weight):
        """Return the mean loss of the members."""
        n_members, _, n_outputs = logits.shape
        outputs = ops.reshape(self._as_the_loss_wants(logits), (-1, n_outputs))
        if weight is not None and len(weight.shape) == 1:
            weight = ops.tile(weight, (n_members,))
        elif weight is not None:
            weight = ops.reshape(ops.transpose(weight), (-1,))
        y = ops.tile(y, (n_members, *[1] * (len(y.shape) - 1)))
        return self.compute_loss(x, y, outputs, weight, training=True) * share_of_replica(self.loss, y, weight)

    def _as_the_loss_wants(self, logits):
        """Return what the loss takes."""
        return logits if getattr(self.loss, "from_logits", False) else probabilities(logits, self._output_activation)

    def _logits_of_member(self, x, j):
        """Return the logits of member j alone, shape (batch, n_outputs), in inference."""
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
        # For the sum of gradients over replicas Keras divides a loss by their number; each records its whole one.
        loss = loss * tf.distribute.get_strategy().num_replicas_in_sync
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=weight)


def build_compiled(model, y, y_pred):
    """Let loss and metrics make their variables; Keras' own fit would do so with weights of another shape."""
    model.compute_loss(y=y, y_pred=y_pred)
    model.compute_metrics(None, y, y_pred)
    model.reset_metrics()


def _logits_of_mean(logits, output_activation):
    """Return logits of the members' mean probabilities."""
    if output_activation == "softmax":
        return ops.logsumexp(ops.log_softmax(logits, axis=-1), axis=0)
    return ops.logsumexp(ops.log_sigmoid(logits), axis=0) - ops.logsumexp(ops.log_sigmoid(-logits), axis=0)


def build(network, logits=False):
    """Return a Keras model of the architecture of a `DenseNetwork`, uncompiled, with new weights.

    Parameters
    ----------
    network : DenseNetwork
    logits : bool, default=False
        Whether a network of one member ends before the sigmoid or softmax, as a loss with ``from_logits`` wants it.
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
    """Return a `DenseNetwork` as a Keras model with its weights, uncompiled."""
    model = build(network)
    load(network, model)
    calibration = network.calibration
    if not calibration.changes:
        return model
    numbers = float(calibration.slope), np.asarray(calibration.offset, dtype=np.float64).tolist()
    outputs = Calibrated(network.output_activation, *numbers, dtype=network.dtype.name)(model.outputs[0])
    return keras.Model(model.inputs, outputs)


def load(network, model):
    """Put the weights of a `DenseNetwork` into a model that `build` made for it."""
    for layer in model.layers:
        if isinstance(layer, Scaling):
            layer.shift.assign(np.zeros(network.n_features) if network.shift is None else network.shift)
            layer.scale.assign(network.scale)
    for variable, value in zip(model.trainable_variables, network.weights, strict=True):
        variable.assign(value.reshape(variable.shape))


def _plain_layers(network, hidden, output_activation):
    """Return the outputs of one member."""
    (*widths, n_outputs), dtype = network.widths, network.dtype.name
    before = None
    for width in widths:
        hidden = _dense(network, width, network.activation, is_first=before is None)(hidden)
        hidden = _dropped(network, hidden)
        if before is not None and before.shape == hidden.shape:
            hidden = keras.layers.Add(dtype=dtype)([hidden, before])
        before = hidden
    return _dense(network, n_outputs, output_activation, is_first=before is None)(hidden)


def _member_layers(network, inputs):
    """Return the logits of all members."""
    (*widths, n_outputs), dtype = network.widths, network.dtype.name
    k = network.n_members
    if not widths:
        return MemberSplit(k, dtype=dtype)(_dense(network, n_outputs, None, is_first=True)(inputs))
    first = _dense(network, widths[0], network.activation, is_first=True)(inputs)
    hidden = MemberSplit(k, dtype=dtype)(_dropped(network, first))
    for width in widths[1:]:
        has_residual = width == hidden.shape[-1]
        outputs = StackedDense(width, network.activation, has_residual, dtype=dtype)(hidden)
        outputs = _dropped(network, outputs)
        hidden = keras.layers.Add(dtype=dtype)([outputs, hidden]) if has_residual else outputs
    return StackedDense(n_outputs, dtype=dtype)(hidden)


def _dense(network, units, activation, is_first):
    """Return a Dense layer; the first layer is one of all members, and of sparse rows another class."""
    k, dtype = network.n_members if is_first else 1, network.dtype.name
    if is_first and network.sparse:
        return SparseInputDense(k, units, activation, dtype=dtype)
    return keras.layers.Dense(k * units, activation, dtype=dtype)


def _dropped(network, hidden):
    return Dropout(network.dropout, dtype=network.dtype.name)(hidden) if network.dropout else hidden


def set_rates(model, dropout, input_dropout):
    """Set the rates of the dropout layers that a model has."""
    for layer in model.layers:
        if isinstance(layer, Dropout):
            layer.rate.assign(input_dropout if layer.name == "input_dropout" else dropout)


class Replicated(keras.Model):
    """A functional model whose loss is the same, whether one replica reads a batch or several do."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return what this replica adds to the loss of a batch."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        return loss * share_of_replica(self.loss, y, sample_weight)


def share_of_replica(loss, y, weight):
    """Return the weight of this replica's rows, over the mean of all replicas'; part of a graph.

    Keras averages over replicas, whatever their rows weigh.
    """
    replica = tf.distribute.get_replica_context()
    is_shared = replica is not None and replica.num_replicas_in_sync > 1
    if not is_shared or getattr(loss, "reduction", None) != "mean_with_sample_weight":
        return 1.0
    own = tf.reduce_sum(tf.ones_like(y[:, 0]) if weight is None else weight)
    total = replica.all_reduce(tf.distribute.ReduceOp.SUM, own)
    return tf.math.divide_no_nan(own * replica.num_replicas_in_sync, total)
