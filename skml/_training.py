"""One fit: a network to start from, the data, and what comes out of training it."""

import re
from dataclasses import dataclass, replace

import keras
import numpy as np
import tensorflow as tf
from scipy import sparse

from skml import _engine, _ensemble, _keras_objects, _losses, _network
from skml._dense import DenseNetwork, initial_weights
from skml._scikeras import Router

# An epoch whose loss is at most so many times the best one is as good, and later ones are better calibrated.
_AS_GOOD = 1.02

_MAX_DENSITY = 0.01


@dataclass
class Problem:
    """What is to be learned.

    Parameters
    ----------
    meta : dict
        What a builder gets as ``meta``.
    positive_weight : ndarray of shape (n_labels,), or None
        Weights of positive cells in the loss.
    has_unknown : bool
        Whether cells of Y are NaN.
    """

    meta: dict
    positive_weight: object
    has_unknown: bool


@dataclass
class Plan:
    """What to train on, and how long.

    Parameters
    ----------
    X, Y : ndarray or csr_array
    weight : ndarray of shape (n_samples,) or (n_samples, n_members), or None
    rows : ndarray of int32
        The rows to train on.
    validation : tuple (X, Y, weight, list of rows) or None
        What early stopping watches: rows of the same arrays, or arrays of the same kinds.
    cross_fitted : bool
        Whether `validation` is one list of rows for each member of an ensemble, by its weights.
    epochs, batch_size, first_epoch, n_iter_no_change, verbose : int
    jit_compile : bool
    random_state : numpy.random.RandomState
    """

    X: object
    Y: object
    weight: object
    rows: np.ndarray
    validation: tuple
    cross_fitted: bool
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
    cross_fitted : bool
        Whether members are evaluated on a fold of rows each.
    random_state : numpy.random.RandomState
        Seeds dropout.
    """

    def __init__(self, network, arguments, cross_fitted, random_state):
        self.arguments = arguments
        self._network = network
        self._shapes = [weight.shape for weight in network.weights]  # Keras does not stack one member
        self._cross_fitted = cross_fitted
        # Hashable; equal where a session of an earlier fit can be used again.
        self.description = ("dense", network.architecture, cross_fitted)
        n_dropouts = bool(network.input_dropout) + bool(network.dropout) * (len(network.widths) - 1)
        self._seeds = random_state.randint(1, 2**31 - 1, size=n_dropouts)

    def rows_of(self, X):
        """Return X as the engine's rows, in the dtype of the network."""
        dtype = self._network.dtype
        return _engine.Rows(X.astype(dtype, copy=False), dtype.name, self._network.sparse)

    def make(self):
        """Return a new compiled model of this architecture."""
        model = _ensemble.build(self._network, _network.has_logits(self.arguments["loss"]))
        optimizer = self.arguments["optimizer"]
        if isinstance(model, _ensemble.Ensemble):
            model.cross_fitted = self._cross_fitted
            optimizer = _ensemble.fused(optimizer)
        model.compile(**{**self.arguments, "optimizer": optimizer})
        if tf.distribute.has_strategy():
            cells = np.zeros((1, self._network.widths[-1]), self._network.dtype)
            _ensemble.build_compiled(model, _targets_for(self.arguments["loss"], cells), cells)
        return model

    def load(self, model):
        """Put the weights and seeds of this start into a model; they are let go here."""
        _ensemble.load(self._network, model)
        self._network = replace(self._network, weights=None)
        seeds = [v for v in model.non_trainable_variables if v.name == "seed_generator_state"]
        for variable, seed in zip(seeds, self._seeds, strict=True):
            variable.assign([seed, 0])

    def trained(self, model):
        """Return the trained network."""
        pairs = zip(model.trainable_variables, self._shapes, strict=True)
        weights = [_engine.as_array(variable).reshape(shape) for variable, shape in pairs]
        if not all(np.isfinite(weight).all() for weight in weights):
            raise ValueError(
                "Training diverged: the weights are not finite. Take a smaller learning_rate, and look for very large "
                "values in X."
            )
        return replace(self._network, weights=weights)

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


def start(params, X, problem, scaler, hidden, n_members, cross_fitted, random_state):
    """Return what the parameters describe, before training: a `DenseStart` or `ModelStart`.

    Raises
    ------
    ValueError
        If the output of the user's model is not one probability (or logit) for each of
        ``meta["n_outputs_"]``, or ``class_weight`` cannot act through its loss.
    """
    meta = problem.meta
    if params["model"] is None:
        network = DenseNetwork(
            initial_weights([X.shape[1], *hidden, meta["n_outputs_"]], random_state, keras.config.floatx(), n_members),
            head=meta["output_activation_"],
            activation=params["activation"],
            n_members=n_members,
            sparse=_trains_sparse(X, params["jit_compile"]),
        )
        return _start_dense(network, params, problem, scaler, cross_fitted, random_state)
    router = _router(params, problem)
    model = router.build(random_state.randint(1, 2**31 - 1))
    outputs = _build(model, X)
    _compile(model, router, params, problem)
    _check_probe(model, outputs, meta)
    return ModelStart(model, meta["output_activation_"])


def go_on(network, params, problem, scaler, random_state):
    """Return a start that goes on where a trained network stopped.

    Raises
    ------
    ValueError
        If the parameters describe another network by now.
    """
    if isinstance(network, DenseNetwork) != (params["model"] is None):
        raise ValueError("model was changed after the first fit; training cannot go on with another network.")
    if not isinstance(network, DenseNetwork):
        _compile(network.model, _router(params, problem), params, problem)
        return ModelStart(network.model, network.head)
    fitted = {
        "hidden_layer_sizes": network.widths[:-1],
        "activation": network.activation,
        "n_members": network.n_members,
        "scale": None if network.scale is None else "auto",
    }
    for name, value in fitted.items():
        given = np.atleast_1d(params[name]).tolist() if name == "hidden_layer_sizes" else params[name]
        if given not in (value, "auto", ["auto"]):
            raise ValueError(f"The fitted network has {name}={value!r}; training cannot go on with {given!r}.")
    return _start_dense(network, params, problem, scaler, False, random_state)


def _trains_sparse(X, jit_compile):
    """Whether to train on sparse batches; of fuller rows TensorFlow multiplies dense batches sooner."""
    is_sparse = sparse.issparse(X) and X.nnz <= _MAX_DENSITY * np.prod(X.shape, dtype=float)
    return is_sparse and not jit_compile and not tf.distribute.has_strategy()  # XLA and replicas take dense batches


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
    kept : int or None
        The epoch of this training, from 1, whose weights early stopping kept.
    """
    described = [start.description, *map(_keras_objects.describe_object, start.arguments.values())]
    data = _data_of(plan.X, plan.Y, plan.weight, start)
    key = (*described, data.layouts, plan.jit_compile, keras.config.floatx(), keras.config.dtype_policy().name)
    # A callback of the user's own may keep the model, and a strategy is part of it.
    if None in described or tf.distribute.has_strategy() or not _keras_objects.are_keras(callbacks):
        key = None
    validation = _validation(plan, data, start)
    watchers = list(callbacks)
    if plan.cross_fitted and validation is not None:
        watchers.append(LastGoodEpoch(plan.n_iter_no_change))
    elif validation is not None:
        stopping = keras.callbacks.EarlyStopping("val_loss", patience=plan.n_iter_no_change, restore_best_weights=True)
        watchers.append(stopping)
    try:
        with _engine.pool.lend(key, lambda: _engine.Session(start.make(), data.layouts, plan.jit_compile)) as session:
            slots = _load(session, start, slots)
            history = session.fit(data, validation, plan, watchers)
            slots.values = session.optimizer_state()
            return start.trained(session.model), history, slots, _kept_epoch(history, plan)
    except BaseException:
        start.abandon()
        raise
    finally:
        for callback in watchers:
            keras.callbacks.Callback.set_model(callback, None)  # one that overrides it may not take None


def _kept_epoch(history, plan):
    if plan.validation is None:
        return None
    losses = np.array(history["val_loss"])
    if plan.cross_fitted:
        (epochs,) = np.nonzero(losses <= _AS_GOOD * np.fmin.accumulate(losses))
    else:
        (epochs,) = np.nonzero(losses == np.fmin.reduce(losses))
        epochs = epochs[:1]
    return int(epochs[-1]) + 1 if len(epochs) else None


class LastGoodEpoch(keras.callbacks.Callback):
    """Keep the weights of the last epoch whose ``val_loss`` is within 2 % of the best so far.

    Parameters
    ----------
    patience : int
        Training stops after so many epochs without one.
    """

    def __init__(self, patience):
        super().__init__()
        self._patience = patience
        self._best = np.inf
        self._waited = 0
        self._weights = None

    def on_epoch_end(self, epoch, logs=None):
        """Keep the weights, or count the epoch."""
        loss = logs["val_loss"]
        self._best = min(self._best, loss)
        self._waited += 1
        if loss <= _AS_GOOD * self._best:
            self._waited = 0
            self._weights = [_engine.as_array(variable) for variable in self.model.trainable_variables]
        if self._waited >= self._patience:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        """Restore the weights that were kept."""
        for variable, weight in zip(self.model.trainable_variables, self._weights or [], strict=False):
            variable.assign(weight)


def _validation(plan, data, start):
    """Return what early stopping watches, as the engine takes it."""
    if plan.validation is None:
        return None
    X, Y, weight, orders = plan.validation
    if X is not plan.X:
        return _data_of(X, Y, weight, start), orders
    return (data if weight is plan.weight else data._replace(weight=_weight_rows(weight))), orders


def _data_of(X, Y, weight, start):
    Y = _targets_for(start.arguments["loss"], Y)
    return _engine.Data(start.rows_of(X), _engine.Rows(Y, keras.config.floatx()), _weight_rows(weight))


def _weight_rows(weight):
    floatx = keras.config.floatx()
    return None if weight is None else _engine.Rows(weight.astype(floatx), floatx)


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
    if _losses.has_nan_support(loss) and loss.positive_weight is not None:
        session.model.loss.positive_weight.assign(keras.ops.convert_to_numpy(loss.positive_weight))
    known = slots is not None and slots.description == description
    session.reset_optimizer(slots.values if known else None)
    if learning_rate is not None and not (known and slots.learning_rate == learning_rate):
        session.model.optimizer.learning_rate = learning_rate
    return Slots(description, learning_rate, [])


def _router(params, problem, from_logits=False):
    loss, meta, positive_weight = params["loss"], problem.meta, problem.positive_weight
    if isinstance(loss, str) and loss == "auto":
        loss = _losses.auto_loss(meta["target_type_"], positive_weight, from_logits)
        return Router({**params, "loss": loss}, meta)
    if not isinstance(loss, str) or loss not in _losses.NAMES:
        return Router(params, meta)
    if meta["target_type_"] == "multiclass":
        raise ValueError(f'loss={loss!r} is for yes/no questions; for one of more than two classes use "auto".')
    own = {name: value for name, value in params.items() if name.startswith("loss__")}
    if "loss__positive_weight" in own:
        raise ValueError("loss__positive_weight is the parameter class_weight of the estimator; set that.")
    arguments = {"from_logits": from_logits, **{name.removeprefix("loss__"): value for name, value in own.items()}}
    loss = _losses.named_loss(loss, positive_weight, **arguments)
    return Router({name: value for name, value in params.items() if name not in own} | {"loss": loss}, meta)


def _start_dense(network, params, problem, scaler, cross_fitted, random_state):
    # An ensemble's metrics get probabilities all the same; those of a plain network get what the loss gets.
    arguments = _router(params, problem, from_logits=network.n_members > 1).compile_arguments()
    _check_loss(arguments["loss"], problem)
    scaling = {} if scaler is None else {"shift": scaler.shift, "scale": scaler.scale}
    network = replace(network, dropout=params["dropout"], input_dropout=params["input_dropout"], **scaling)
    return DenseStart(network, arguments, cross_fitted, random_state)


def _compile(model, router, params, problem):
    """Compile the user's model; a compiled one keeps what our parameters leave at their defaults."""
    arguments = router.compile_arguments()
    if model.compiled:
        own = _keras_objects.compile_arguments(model)
        if params["optimizer"] == "adam" and not any(name.startswith("optimizer__") for name in params):
            arguments["optimizer"] = own["optimizer"]
            router.set_learning_rate(own["optimizer"])
        if params["loss"] == "auto" and not isinstance(own["loss"], _losses.MultiLabelCrossentropy):
            arguments["loss"] = own["loss"]
        if params["metrics"] is None:
            arguments["metrics"] = own["metrics"]
        arguments = {**own, **arguments}
    _check_loss(arguments["loss"], problem)
    model.compile(**arguments)


def _check_loss(loss, problem):
    """Make sure that a loss means what y and class_weight do."""
    target_type = problem.meta["target_type_"]
    if problem.positive_weight is not None and not _losses.has_nan_support(loss):
        raise ValueError(
            "class_weight is part of the losses auto, focal and asymmetric, but the network is compiled with "
            f'{loss!r}. Leave class_weight=None, or the loss to loss="auto".'
        )
    if problem.has_unknown and not _losses.has_nan_support(loss):
        raise ValueError(
            "y holds NaN, which the losses auto, focal and asymmetric read as not known, but the network is compiled "
            f'with {loss!r}. Leave the loss to loss="auto", or y without NaN.'
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
