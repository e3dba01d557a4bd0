"""Networks in Keras: the default one, its loss, and any trained one of the user's own."""

import keras
import numpy as np
from keras import ops

from skml import _engine, _keras_objects
from skml._dense import log_odds, log_proba_of_logits, open_interval, proba_of_logits


def build_dense(network, logits=False):
    """Return a Keras model of the architecture of a `DenseNetwork`, uncompiled and with weights of its own.

    Parameters
    ----------
    network : DenseNetwork
    logits : bool, default=False
        Whether it ends before the sigmoid or softmax, as a loss with ``from_logits`` wants it.
    """
    dtype = network.dtype.name
    inputs = keras.Input((network.n_features,), sparse=network.sparse, dtype=dtype)
    hidden = inputs
    with _keras_objects.seeded_layers():
        for width in network.widths[:-1]:
            hidden = keras.layers.Dense(width, network.activation, dtype=dtype)(hidden)
            if network.dropout:
                hidden = keras.layers.Dropout(network.dropout, dtype=dtype)(hidden)
        head = keras.layers.Dense(network.widths[-1], None if logits else network.head, dtype=dtype)
        return keras.Model(inputs, head(hidden))


def rebuild(network):
    """Return a `DenseNetwork` as a Keras model with its weights, uncompiled."""
    model = build_dense(network)
    model.set_weights(network.weights)
    return model


@keras.saving.register_keras_serializable("skml")
class MultiLabelCrossentropy(keras.losses.Loss):
    """Binary cross-entropy, averaged over a row's labels, then over rows by their weights.

    Parameters
    ----------
    positive_weight : array-like of shape (n_labels,), default=None
        Weight of each label's positive cells; negative cells weigh 1.
    from_logits : bool, default=False
    name : str, default="multi_label_crossentropy"
    """

    def __init__(self, positive_weight=None, from_logits=False, name="multi_label_crossentropy"):
        super().__init__(name=name, reduction="mean_with_sample_weight")
        self.from_logits = from_logits
        # A variable, so that a traced training step serves other weights too.
        self.positive_weight = None
        if positive_weight is not None:
            self.positive_weight = keras.Variable(np.asarray(positive_weight), dtype=self.dtype, trainable=False)

    def call(self, y_true, y_pred):
        """Return the loss of each row, shape (batch_size,)."""
        cells = ops.binary_crossentropy(y_true, y_pred, from_logits=self.from_logits)
        if self.positive_weight is not None:
            cells = cells * (1 + y_true * (self.positive_weight - 1))
        return ops.mean(cells, axis=-1)

    def get_config(self):
        """Return the arguments of ``__init__``."""
        weight = None if self.positive_weight is None else ops.convert_to_numpy(self.positive_weight).tolist()
        return {"positive_weight": weight, "from_logits": self.from_logits, "name": self.name}

    def trace_config(self):
        """Return what of the config a traced training step depends on."""
        return {"weighted": self.positive_weight is not None, "from_logits": self.from_logits}


def auto_loss(target_type, positive_weight=None):
    """Return the loss of a problem: binary cross-entropy, or categorical for more than two classes."""
    if target_type == "multiclass":
        return keras.losses.CategoricalCrossentropy(reduction="mean_with_sample_weight")
    return MultiLabelCrossentropy(positive_weight)


def has_logits(loss):
    """Whether a loss says that the outputs are logits."""
    return bool(getattr(loss, "from_logits", False))


class KerasNetwork:
    """A trained Keras model of the user's own.

    Parameters
    ----------
    model : keras.Model
    head : {"sigmoid", "softmax"}
        What makes probabilities of logits.
    logits : bool
        Whether the model's outputs are logits.
    """

    def __init__(self, model, head, logits):
        self.model = model
        self.head = head
        self.logits = logits
        self._predictor = None

    @property
    def dtype(self):
        """Floating dtype of the network."""
        return np.dtype(self.model.outputs[0].dtype if self.model.outputs else keras.config.floatx())

    def outputs(self, X):
        """Return the outputs of the model, shape (n_samples, n_outputs)."""
        if self._predictor is None:
            description = _keras_objects.describe_model(self.model)
            self._predictor = _engine.predictor(self.model, description, _keras_objects.copy_model)
        return self._predictor(self.model, X)

    def proba(self, X):
        """Return the probabilities of the output units, shape (n_samples, n_outputs)."""
        outputs = self.outputs(X)
        return proba_of_logits(outputs, self.head) if self.logits else check_outputs(outputs)

    def log_proba(self, X):
        """Return log-odds of sigmoid units, or log-probabilities of softmax units."""
        if self.logits:
            return log_proba_of_logits(self.outputs(X), self.head)
        proba = open_interval(self.proba(X))
        return log_odds(proba) if self.head == "sigmoid" else np.log(proba)

    def __getstate__(self):
        return {**vars(self), "model": _keras_objects.pack(self.model), "_predictor": None}

    def __setstate__(self, state):
        vars(self).update(state, model=_keras_objects.unpack(state["model"]))


def check_outputs(outputs):
    """Return a network's outputs, after making sure that they are probabilities."""
    tolerance = 1e-6
    if np.isnan(outputs).any():
        raise ValueError("The network's outputs are NaN. Are the values of X finite, and not too large for float32?")
    if outputs.size and not (outputs.min() >= -tolerance and outputs.max() <= 1 + tolerance):
        low, high = outputs.min(), outputs.max()
        raise ValueError(
            f"The network's outputs must be probabilities, but they lie in [{low:.3g}, {high:.3g}]. End it in "
            'activation=meta["output_activation_"], or compile it with a loss that says from_logits=True.'
        )
    return np.clip(outputs, 0, 1)
