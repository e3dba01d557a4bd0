"""One fit: a network to start from, the data, and what comes out of training it."""

import re
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from scipy import sparse

from skml import _engine, _keras_objects, _network
from skml._dense import DenseNetwork, initial_weights
from skml._scikeras import Router


@dataclass
class Plan:
    """What to train on, and how long.

    Parameters
    ----------
    X, Y : ndarray or csr_array
    weight : ndarray of shape (n_samples,), or None
    rows : ndarray of int32
        The rows to train on.
    validation : tuple (X, Y, weight, rows) or None
        What early stopping watches: other rows of the same arrays, or arrays of the same kinds.
    epochs, batch_size, first_epoch, n_iter_no_change, verbose : int
    jit_compile : bool
    random_state : numpy.random.RandomState
    """

    X: object
    Y: object
    weight: object
    rows: np.ndarray
    validation: tuple
    epochs: int
    batch_size: int
    first_epoch: int
    n_iter_no_change: int
    verbose: int
    jit_compile: bool
    random_state: np.random.RandomState


@dataclass
class Slots:
    """State of an optimizer, for training that goes on."""

    description: object
    learning_rate: float
    values: list


class DenseStart:
    """The default network before training.

    Parameters
    ----------
    network : DenseNetwork
        Holds the weights to start from.
    arguments : dict
        Of ``Model.compile``: optimizer, loss and metrics.
    random_state : numpy.random.RandomState
        Seeds dropout.
    """

    def __init__(self, network, arguments, random_state):
        self.arguments = arguments
        self._network = network
        self._dtype = network.dtype
        shape = (network.n_features, *network.widths)
        kinds = (network.activation, network.dropout, network.head, network.sparse, network.dtype.name)
        # Hashable; equal where a session of an earlier fit can be used again.
        self.description = ("dense", shape, *kinds)
        n_dropouts = len(network.widths) - 1 if network.dropout else 0
        self._seeds = random_state.randint(1, 2**31 - 1, size=n_dropouts)

    def rows_of(self, X):
        """Return X as the engine's rows, in the dtype of the network."""
        return _engine.Rows(X.astype(self._dtype, copy=False), self._dtype.name, self._network.sparse)

    def make(self):
        """Return a new compiled model of this architecture."""
        model = _network.build_dense(self._network, _network.has_logits(self.arguments["loss"]))
        model.compile(**self.arguments)
        return model

    def load(self, model):
        """Put the weights and seeds of this start into a model; they are let go here."""
        model.set_weights(self._network.weights)
        self._network = self._network.with_weights(None)
        seeds = [v for v in model.non_trainable_variables if v.name == "seed_generator_state"]
        for variable, seed in zip(seeds, self._seeds, strict=True):
            variable.assign([seed, 0])

    def trained(self, model):
        """Return the trained network."""
        return self._network.with_weights([_engine.as_array(variable) for variable in model.weights])

    def abandon(self):
        """Undo a training that did not end: nothing, as this start holds no model."""


class ModelStart:
    """A compiled Keras model of the user's own before training.

    Parameters
    ----------
    model : keras.Model
        Is trained itself if its description is None, and gets the weights of its trained twin otherwise.
    head : {"sigmoid", "softmax"}
    """

    def __init__(self, model, head):
        self.arguments = _keras_objects.compile_arguments(model)
        self.description = _keras_objects.describe_model(model)
        self._model = model
        self._head = head
        self._before = [variable.numpy() for variable in model.variables] if self.description is None else None

    def rows_of(self, X):
        """Return X as the engine's rows, in the dtype of the model's input."""
        return _engine.rows_of(X, self._model)

    def make(self):
        """Return a compiled twin that can be kept for later fits, or the model itself."""
        return self._model if self.description is None else _keras_objects.copy_model(self._model)

    def load(self, model):
        """Put the weights and seeds of this start into a model."""
        _copy_variables(self._model, model)

    def trained(self, model):
        """Return the trained network."""
        _copy_variables(model, self._model)
        return _network.KerasNetwork(self._model, self._head, _network.has_logits(self._model.loss))

    def abandon(self):
        """Undo a training that did not end."""
        for variable, value in zip(self._model.variables, self._before or [], strict=False):
            variable.assign(value)


def start(params, X, meta, positive_weight, random_state):
    """Return what the parameters describe, before training: a `DenseStart` or `ModelStart`.

    Raises
    ------
    ValueError
        If the output of the user's model is not one probability (or logit) for each of
        ``meta["n_outputs_"]``, or ``class_weight`` cannot act through its loss.
    """
    router = _router(params, meta, positive_weight)
    if params["model"] is None:
        hidden = np.atleast_1d(params["hidden_layer_sizes"]).tolist()
        if not all(isinstance(width, int) and width > 0 for width in hidden):
            raise ValueError(f"hidden_layer_sizes must hold positive integers; got {params['hidden_layer_sizes']!r}.")
        weights = initial_weights([X.shape[1], *hidden, meta["n_outputs_"]], random_state, keras.config.floatx())
        head = meta["output_activation_"]
        is_sparse = sparse.issparse(X) and not tf.distribute.has_strategy()  # replicas take dense batches
        network = DenseNetwork(weights, params["activation"], head, params["dropout"], is_sparse)
        return _start_dense(network, router, positive_weight, meta["target_type_"], random_state)
    model = router.build(random_state.randint(1, 2**31 - 1))
    outputs = _build(model, X)
    _compile(model, router, params, positive_weight, meta["target_type_"])
    _check_probe(model, outputs, meta)
    return ModelStart(model, meta["output_activation_"])


def go_on(network, params, meta, positive_weight, random_state):
    """Return a start that goes on where a trained network stopped.

    Raises
    ------
    ValueError
        If the parameters describe another network by now.
    """
    router = _router(params, meta, positive_weight)
    if isinstance(network, DenseNetwork) != (params["model"] is None):
        raise ValueError("model was changed after the first fit; training cannot go on with another network.")
    if not isinstance(network, DenseNetwork):
        _compile(network.model, router, params, positive_weight, meta["target_type_"])
        return ModelStart(network.model, network.head)
    hidden = np.atleast_1d(params["hidden_layer_sizes"]).tolist()
    if (hidden, params["activation"]) != (network.widths[:-1], network.activation):
        raise ValueError(
            f"The fitted network has hidden_layer_sizes={network.widths[:-1]} and activation={network.activation!r}; "
            f"training cannot go on with {hidden} and {params['activation']!r}."
        )
    weights, head = network.weights, network.head
    network = DenseNetwork(weights, network.activation, head, params["dropout"], network.sparse)
    return _start_dense(network, router, positive_weight, meta["target_type_"], random_state)


def callbacks(params):
    """Return fresh callbacks for one fit."""
    return Router(params).callbacks()


def train(start, plan, callbacks, slots=None):
    """Train a network.

    Parameters
    ----------
    start : DenseStart or ModelStart
    plan : Plan
    callbacks : list of keras.callbacks.Callback
        They know no model afterwards.
    slots : Slots, default=None
        State of the optimizer to go on from.

    Returns
    -------
    network : DenseNetwork or KerasNetwork
    history : dict of list
    slots : Slots
    """
    described = [start.description, *map(_keras_objects.describe_object, start.arguments.values())]
    data = _data_of(plan.X, plan.Y, plan.weight, start)
    key = (*described, data.layouts, plan.jit_compile, keras.config.floatx(), keras.config.dtype_policy().name)
    # A callback of the user's own may keep the model, and a strategy is part of it.
    if None in described or tf.distribute.has_strategy() or not _keras_objects.are_keras(callbacks):
        key = None
    validation = None
    watchers = list(callbacks)
    if plan.validation is not None:
        *arrays, rows = plan.validation
        is_holdout = arrays[0] is plan.X
        validation = (data if is_holdout else _data_of(*arrays, start), rows)
        watchers.append(
            keras.callbacks.EarlyStopping("val_loss", patience=plan.n_iter_no_change, restore_best_weights=True)
        )
    try:
        with _engine.pool.lend(key, lambda: _engine.Session(start.make(), data.layouts, plan.jit_compile)) as session:
            slots = _load(session, start, slots)
            history = session.fit(data, validation, plan, watchers)
            slots.values = session.optimizer_state()
            return start.trained(session.model), history, slots
    except BaseException:
        start.abandon()
        raise
    finally:
        for callback in watchers:
            keras.callbacks.Callback.set_model(callback, None)  # one that overrides it may not take None


def _data_of(X, Y, weight, start):
    floatx = keras.config.floatx()
    Y = _targets_for(start.arguments["loss"], Y)
    weight = None if weight is None else _engine.Rows(weight.astype(floatx), floatx)
    return _engine.Data(start.rows_of(X), _engine.Rows(Y, floatx), weight)


def _targets_for(loss, Y):
    """Return Y as the loss wants it: class numbers for a sparse categorical one."""
    return np.asarray(Y.argmax(axis=1)).ravel().astype(np.int32) if _is_named(loss, "sparse_categorical") else Y


def _is_named(loss, start):
    """Whether the name of a loss, of its class or function, begins so."""
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().startswith(start)


def _load(session, start, slots):
    """Put a start into a session; return the slots that training will leave, yet without values."""
    optimizer = start.arguments["optimizer"]
    description = _keras_objects.describe_object(optimizer)
    learning_rate = optimizer.get_config().get("learning_rate")
    learning_rate = learning_rate if isinstance(learning_rate, float) else None
    start.load(session.model)
    loss = start.arguments["loss"]
    if isinstance(loss, _network.MultiLabelCrossentropy) and loss.positive_weight is not None:
        session.model.loss.positive_weight.assign(keras.ops.convert_to_numpy(loss.positive_weight))
    known = slots is not None and slots.description == description
    session.reset_optimizer(slots.values if known else None)
    if learning_rate is not None and not (known and slots.learning_rate == learning_rate):
        session.model.optimizer.learning_rate = learning_rate
    return Slots(description, learning_rate, [])


def _router(params, meta, positive_weight):
    if params["loss"] == "auto":
        params = {**params, "loss": _network.auto_loss(meta["target_type_"], positive_weight)}
    return Router(params, meta)


def _start_dense(network, router, positive_weight, target_type, random_state):
    arguments = router.compile_arguments()
    _check_loss(arguments["loss"], positive_weight, target_type)
    return DenseStart(network, arguments, random_state)


def _compile(model, router, params, positive_weight, target_type):
    """Compile the user's model; a compiled one keeps what our parameters leave at their defaults."""
    arguments = router.compile_arguments()
    if model.compiled:
        own = _keras_objects.compile_arguments(model)
        if params["optimizer"] == "adam" and not any(name.startswith("optimizer__") for name in params):
            arguments["optimizer"] = own["optimizer"]
            router.set_learning_rate(own["optimizer"])
        if params["loss"] == "auto" and not isinstance(own["loss"], _network.MultiLabelCrossentropy):
            arguments["loss"] = own["loss"]
        if params["metrics"] is None:
            arguments["metrics"] = own["metrics"]
        arguments = {**own, **arguments}
    _check_loss(arguments["loss"], positive_weight, target_type)
    model.compile(**arguments)


def _check_loss(loss, positive_weight, target_type):
    """Make sure that a loss means what y and class_weight do."""
    if positive_weight is not None and not isinstance(loss, _network.MultiLabelCrossentropy):
        raise ValueError(
            'class_weight is part of the loss that loss="auto" stands for, but the network is compiled with '
            f'{loss!r}. Leave class_weight=None, or the loss to loss="auto".'
        )
    if target_type != "multiclass" and _is_named(loss, "sparse_categorical"):
        raise ValueError(f"loss={loss!r} is for exactly one of more than two classes per row; y is {target_type}.")
    if target_type == "binary" and _is_named(loss, "categorical"):
        raise ValueError(f'loss={loss!r} learns nothing from one unit, which two classes have; use loss="auto".')


def _build(model, X):
    """Give a model that has none its shapes; return its outputs for a few rows of X."""
    if isinstance(model, keras.Sequential) and not model.built and X.dtype.kind in "biuf":
        model.build((None, *X.shape[1:]))  # called with rows, it would keep their number in its config
    return model(_engine.batch_of(X[:16], model), training=False)


def _check_probe(model, outputs, meta):
    n_units, n_outputs = outputs.shape[-1], meta["n_outputs_"]
    if len(outputs.shape) != 2 or n_units != n_outputs:
        raise ValueError(
            f"The network's output has shape (n_samples, {', '.join(map(str, outputs.shape[1:]))}), but y needs "
            f'{n_outputs} units. End it in Dense(meta["n_outputs_"], meta["output_activation_"]).'
        )
    if _network.has_logits(model.loss):
        return
    proba = _network.check_outputs(keras.ops.convert_to_numpy(outputs))
    if meta["target_type_"] == "multiclass" and np.abs(proba.sum(axis=1) - 1).max() > 0.01:
        raise ValueError(
            "With one label per row the network's probabilities must sum to 1, but they do not. End it in "
            'activation=meta["output_activation_"], which is "softmax" here.'
        )


def _copy_variables(source, target):
    if source is not target:
        for variable, value in zip(target.variables, source.variables, strict=True):
            variable.assign(value)
