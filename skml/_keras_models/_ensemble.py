"""The default network in Keras: a model with several members, which may be trained on different folds."""

import functools

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from skml._default_network._network import DenseNetwork
from skml._keras._serialization import seeded_layers
from skml._keras_models._layers import (
    Average,
    Calibrated,
    ClippedColumns,
    Coherent,
    Dropout,
    EncodedDense,
    MemberSplit,
    RampFeatures,
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

    # Whether each row is evaluated by the members of one fold: those with non-zero sample weights in the batch.
    cross_fitted = False

    # Number of kinds of members; members of a kind follow each other, one for each fold.
    n_kinds = 1

    # The processes that train the model together, each on its share of a batch; None for one process.
    workers = None

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
        if self.workers is not None:
            share = weight_in_mean(self.loss, y, weight)
            loss, *gradients = self.workers.weighted_means([loss, *gradients], share)
        self.optimizer.apply(gradients, self.trainable_weights)
        self._track(loss, ops.shape(y)[0])
        return self.compute_metrics(x, y, self._average(logits))

    def test_step(self, data):
        """Evaluate one batch and return the metrics so far."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        if self.cross_fitted:
            fold = ops.argmax(weight[0])
            weight = ops.take(weight, fold, axis=1)
            logits = self._logits_of_fold(x, fold)
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
        # Reshaped, as the tiles of older versions of Keras have no static shape.
        y = ops.reshape(ops.tile(y, (n_members, *[1] * (len(y.shape) - 1))), (-1, *y.shape[1:]))
        return self.compute_loss(x, y, outputs, weight, training=True) * share_of_replica(self.loss, y, weight)

    def _outputs_for_loss(self, logits):
        """Return logits or probabilities, as the loss requires."""
        return logits if getattr(self.loss, "from_logits", False) else probabilities(logits, self._output_activation)

    def _logits_of_fold(self, x, fold):
        """Return the logits of the mean of the members of one fold in inference, shape (batch, n_outputs)."""
        n_folds = self._average.input.shape[0] // self.n_kinds
        members = [fold + n_folds * k for k in range(self.n_kinds)]
        hidden = self._first_of_members(x, fold, members)
        for layer in self.layers:
            if isinstance(layer, StackedDense):
                outputs = layer.of_members(hidden, members)
                hidden = outputs + hidden if layer.has_residual else outputs
        return hidden[0] if len(members) == 1 else _logits_of_mean(hidden, self._output_activation)

    def _first_of_members(self, x, fold, members):
        """Return the outputs of the first layer, shape (len(members), batch, units)."""
        ramps = [layer.of_member(x, fold) for layer in self.layers if isinstance(layer, RampFeatures)]
        for layer in self.layers:
            if isinstance(layer, Scaling | ClippedColumns):
                x = layer(x)
            if isinstance(layer, EncodedDense):
                return layer.of_members([x, *ramps], members)
        (first,) = (layer for layer in self.layers if isinstance(layer, keras.layers.Dense | SparseInputDense))
        outputs = [
            first.of_member(x, j) if isinstance(first, SparseInputDense) else self._first_of_member(first, x, j)
            for j in members
        ]
        return ops.stack(outputs)

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


def build(network, logits=False, as_ensemble=False):
    """Return an uncompiled Keras model with the architecture of a `DenseNetwork` and new weights.

    Parameters
    ----------
    network : DenseNetwork
    logits : bool, default=False
        Whether a network with one member returns logits, as required by a loss with ``from_logits=True``.
    as_ensemble : bool, default=False
        Whether a network with one member is an `Ensemble` too.
    """
    dtype = network.dtype.name
    inputs = keras.Input((network.n_features,), sparse=network.sparse, dtype=network.input_dtype.name)
    with seeded_layers():
        hidden = _scaled(network, inputs)
        if network.sparse and network.row_dropout:
            hidden = RowDropout(network.row_dropout, dtype=dtype)(hidden)
        hidden = _dropped_input(network, hidden)
        if network.encoding is not None:
            hidden = [hidden, *(_dropped_input(network, ramps) for ramps in _ramp_features(network, inputs))]
        if network.n_members == 1 and not as_ensemble:
            return keras.Model(inputs, _plain_layers(network, hidden, None if logits else network.output_activation))
        weights = None if network.member_weights is None else network.member_weights.tolist()
        average = Average(network.output_activation, weights, dtype=dtype)
        if network.n_members == 1:
            members = ops.expand_dims(_plain_layers(network, hidden, None), 0)
        else:
            members = _member_layers(network, hidden)
        model = Ensemble(inputs, average(members))
        model.n_kinds = network.n_kinds
        return model


def _scaled(network, inputs):
    """Return the columns of the input of the first layer."""
    dtype = {"output_dtype": network.dtype.name, "dtype": network.input_dtype.name}
    if network.encoding is not None:
        return ClippedColumns(len(network.encoding.missing), **dtype)(inputs)
    return inputs if network.scale is None else Scaling(**dtype)(inputs)


def _ramp_features(network, inputs):
    dtype = {"output_dtype": network.dtype.name, "dtype": network.input_dtype.name}
    return [RampFeatures(*ramps.shift.shape, **dtype)(inputs) for ramps in network.ramps]


def _dropped_input(network, inputs):
    if not network.input_dropout:
        return inputs
    return Dropout(network.input_dropout, is_input=True, dtype=network.dtype.name)(inputs)


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


def exported(network, hierarchy):
    """Return a trained network as a Keras model, with a last layer that makes it coherent with a `Hierarchy`.

    A custom network is the trained model itself, and shares its weights with a model that has this layer.
    """
    model = rebuild(network) if isinstance(network, DenseNetwork) else network.model
    if hierarchy is None:
        return model
    pairs = [(j, below) for j, columns in enumerate(hierarchy.descendants()) for below in columns]
    layer = Coherent(*map(list, zip(*pairs, strict=True)), dtype=model.compute_dtype, name="coherent")
    if getattr(model, "inputs", None):
        inputs = model.inputs if isinstance(model, keras.Sequential) else model.input
        return keras.Model(inputs, layer(model.outputs[0]))
    return keras.Sequential([model, layer])


def load(network, model):
    """Load the weights and scaling of a `DenseNetwork` into a model that `build` returned for it."""
    for layer in model.layers:
        if isinstance(layer, Scaling | ClippedColumns):
            layer.shift.assign(np.zeros(network.n_features) if network.shift is None else network.shift)
            layer.scale.assign(network.scale)
        if isinstance(layer, ClippedColumns):
            for name in ("mean", "missing", "missing_mean"):
                getattr(layer, name).assign(getattr(network.encoding, name))
        if isinstance(layer, EncodedDense):
            layer.factor.assign(network.encoding.factor)
    layers = [layer for layer in model.layers if isinstance(layer, RampFeatures)]
    for layer, ramps in zip(layers, network.ramps, strict=True):
        for name in ("columns", "shift", "slope", "low", "high"):
            getattr(layer, name).assign(getattr(ramps, name))
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
    split = MemberSplit(k, dtype=dtype) if network.encoding is None else lambda hidden: hidden
    if not widths:
        return split(_dense(network, n_outputs, None, is_first=True)(inputs))
    first = _dense(network, widths[0], network.activation, is_first=True)(inputs)
    hidden = split(_dropped(network, first))
    for width, has_residual in zip(widths[1:], network.residuals[1:], strict=True):
        outputs = StackedDense(width, network.activation, has_residual, dtype=dtype)(hidden)
        outputs = _dropped(network, outputs)
        hidden = keras.layers.Add(dtype=dtype)([outputs, hidden]) if has_residual else outputs
    return StackedDense(n_outputs, dtype=dtype)(hidden)


def _dense(network, units, activation, is_first):
    """Return a dense layer. The first has the units of all members, and other classes for sparse rows and encodings."""
    k, dtype = network.n_members if is_first else 1, network.dtype.name
    if is_first and network.encoding is not None:
        return EncodedDense(k, units, [ramps.first_member for ramps in network.ramps], activation, dtype=dtype)
    if is_first and network.sparse:
        return SparseInputDense(k, units, activation, dtype=dtype)
    return keras.layers.Dense(k * units, activation, dtype=dtype)


def _dropped(network, hidden):
    return Dropout(network.dropout, dtype=network.dtype.name)(hidden) if network.dropout else hidden


def set_rates(model, dropout, input_dropout):
    """Set the rates of the dropout layers of a model."""
    for layer in model.layers:
        if isinstance(layer, Dropout):
            layer.rate.assign(input_dropout if layer.is_input else dropout)


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
    here = weight_in_mean(loss, y, weight)
    total = replica.all_reduce(tf.distribute.ReduceOp.SUM, here)
    return tf.math.divide_no_nan(here * replica.num_replicas_in_sync, total)


def weight_in_mean(loss, y, weight):
    """Return the weight of a batch in a mean over batches, inside a graph: the sum of the weights of its rows.

    Losses of Keras are means over rows, whatever the weights.
    """
    if weight is None or getattr(loss, "reduction", None) != "mean_with_sample_weight":
        return tf.cast(tf.shape(y)[0], keras.config.floatx())
    return tf.reduce_sum(weight)
