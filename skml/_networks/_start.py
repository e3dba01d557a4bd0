"""A network before training, checked."""

import re
from dataclasses import dataclass, replace

import keras
import numpy as np
import tensorflow as tf
from scipy import sparse

from skml._keras._copies import compile_arguments, copy_model, seeded_layers, warn_unless_saved
from skml._keras._descriptions import describe_model
from skml._keras._router import Router
from skml._keras._rows import Rows, as_array, batch_of, rows_of
from skml._networks._dense import DenseNetwork, initial_weights
from skml._networks._ensemble import Ensemble, build, build_compiled, load
from skml._networks._keras_network import KerasNetwork, check_outputs, has_logits
from skml._networks._losses import NAMES, MultiLabelCrossentropy, auto_loss, has_nan_support, named_loss
from skml._networks._optimizers import fused

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
        Whether cells of Y may be NaN.
    """

    meta: dict
    positive_weight: object
    has_unknown: bool


def problem_of(encoder, examples, class_weight, n_features):
    """Return the `Problem` of examples.

    Parameters
    ----------
    encoder : TargetEncoder
    examples : Examples
    class_weight : ClassWeight
    n_features : int or None
        None for X that has no columns.
    """
    X = examples.X
    meta = {"n_features_in_": n_features, **encoder.meta, "X_shape_": X.shape, "X_dtype_": X.dtype}
    return Problem(meta, class_weight.positive, examples.has_unknown)


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
    scaler : DenseScaler, SparseScaler or None
        Whose statistics the network scales by; for training that goes on.
    """

    def __init__(self, network, arguments, cross_fitted, random_state, scaler):
        self.arguments = arguments
        self.scaler = scaler
        self._network = network
        self._shapes = [weight.shape for weight in network.weights]  # Keras does not stack one member
        self._cross_fitted = cross_fitted
        # Hashable; equal where a session of an earlier fit can be used again.
        self.description = ("dense", network.architecture, cross_fitted)
        n_dropouts = bool(network.input_dropout) + bool(network.dropout) * (len(network.widths) - 1)
        self._seeds = random_state.randint(1, 2**31 - 1, size=n_dropouts)

    def rows_of(self, X):
        """Return X as the engine's rows, in the dtype in which the network scales them."""
        dtype = self._network.input_dtype
        return Rows(X.astype(dtype, copy=False), dtype.name, self._network.sparse)

    def make(self):
        """Return a new compiled model of this architecture."""
        model = build(self._network, has_logits(self.arguments["loss"]))
        optimizer = self.arguments["optimizer"]
        if isinstance(model, Ensemble):
            model.cross_fitted = self._cross_fitted
            optimizer = fused(optimizer)
        model.compile(**{**self.arguments, "optimizer": optimizer})
        if tf.distribute.has_strategy():
            cells = np.zeros((1, self._network.widths[-1]), self._network.dtype)
            build_compiled(model, targets_for(self.arguments["loss"], cells), cells)
        return model

    def load(self, model):
        """Put the weights and seeds of this start into a model; they are let go here."""
        load(self._network, model)
        self._network = replace(self._network, weights=None)
        seeds = [v for v in model.non_trainable_variables if v.name == "seed_generator_state"]
        for variable, seed in zip(seeds, self._seeds, strict=True):
            variable.assign([seed, 0])

    def trained(self, model):
        """Return the trained network."""
        pairs = zip(model.trainable_variables, self._shapes, strict=True)
        weights = [as_array(variable).reshape(shape) for variable, shape in pairs]
        if not all(np.isfinite(weight).all() for weight in weights):
            raise ValueError(
                "Training diverged: the weights are not finite. Take a smaller learning_rate, and look for very large "
                "values in X."
            )
        return replace(self._network, weights=weights)

    def abandon(self):
        """Nothing to undo: this start holds no model."""


class ModelStart:
    """A compiled custom network before training.

    Parameters
    ----------
    model : keras.Model
        Is trained itself if its description is None, and gets the weights of its trained twin otherwise.
    head : {"sigmoid", "softmax"}
    """

    scaler = None

    def __init__(self, model, head):
        self.arguments = compile_arguments(model)
        self.description = describe_model(model)
        self._model = model
        self._head = head
        self._before = [variable.numpy() for variable in model.variables] if self.description is None else None

    def rows_of(self, X):
        """Return X as the engine's rows, in the dtype of the model's input."""
        return rows_of(X, self._model)

    def make(self):
        """Return a compiled twin that can be kept for later fits, or the model itself."""
        return self._model if self.description is None else copy_model(self._model)

    def load(self, model):
        """Put the weights and seeds of this start into a model."""
        _copy_variables(self._model, model)

    def trained(self, model):
        """Return the trained network."""
        _copy_variables(model, self._model)
        return KerasNetwork(self._model, self._head, has_logits(self._model.loss))

    def abandon(self):
        """Undo a training that did not end."""
        for variable, value in zip(self._model.variables, self._before or [], strict=False):
            variable.assign(value)


def start(params, X, problem, size, scaler, cross_fitted, random_state):
    """Return what the parameters describe, before training: a `DenseStart` or `ModelStart`.

    Parameters
    ----------
    params : dict
        Parameters of the estimator.
    X : ndarray or CSR
    problem : Problem
    size : Size or None
        None for a custom network.
    scaler : DenseScaler, SparseScaler or None
    cross_fitted : bool
        Whether members of the default network are evaluated on a fold of rows each.
    random_state : numpy.random.RandomState

    Raises
    ------
    ValueError
        If the output of a custom network is not one probability (or logit) for each of
        ``meta["n_outputs_"]``, or ``class_weight`` or NaN cannot act through its loss.
    """
    _check_metrics(params, problem)
    meta = problem.meta
    if params["model"] is None:
        widths = [X.shape[1], *size.hidden, meta["n_outputs_"]]
        network = DenseNetwork(
            initial_weights(widths, random_state, keras.config.floatx(), size.n_members),
            head=meta["output_activation_"],
            activation=params["activation"],
            n_members=size.n_members,
            sparse=_trains_sparse(X, params["jit_compile"]),
        )
        return _start_dense(network, params, problem, scaler, cross_fitted, random_state)
    router = _router(params, problem)
    seed = random_state.randint(1, 2**31 - 1)
    model = router.build(seed)
    with seeded_layers(seed):  # a build() of the user's own may make initializers
        outputs = _build(model, X)
    _compile(model, router, params, problem)
    _check_probe(model, outputs, meta)
    made = ModelStart(model, meta["output_activation_"])
    if made.description is None:
        warn_unless_saved(model)
    return made


def go_on(network, params, problem, scaler, random_state):
    """Return a start that goes on where a trained network stopped.

    Raises
    ------
    ValueError
        If the parameters describe another network by now.
    """
    _check_metrics(params, problem)
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


def targets_for(loss, Y):
    """Return Y as the loss wants it: class numbers for a sparse categorical one."""
    return np.asarray(Y.argmax(axis=1)).ravel().astype(np.int32) if _is_named(loss, "sparse_categorical") else Y


def _is_named(loss, start):
    """Whether the name of a loss, of its class or function, begins so."""
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().startswith(start)


def _router(params, problem, from_logits=False):
    loss, meta, positive_weight = params["loss"], problem.meta, problem.positive_weight
    if isinstance(loss, str) and loss == "auto":
        loss = auto_loss(meta["target_type_"], positive_weight, from_logits)
        return Router({**params, "loss": loss}, meta)
    if not isinstance(loss, str) or loss not in NAMES:
        return Router(params, meta)
    if meta["target_type_"] == "multiclass":
        raise ValueError(f'loss={loss!r} is for yes/no questions; for one of more than two classes use "auto".')
    own = {name: value for name, value in params.items() if name.startswith("loss__")}
    if "loss__positive_weight" in own:
        raise ValueError("loss__positive_weight is the parameter class_weight of the estimator; set that.")
    arguments = {"from_logits": from_logits, **{name.removeprefix("loss__"): value for name, value in own.items()}}
    loss = named_loss(loss, positive_weight, **arguments)
    return Router({name: value for name, value in params.items() if name not in own} | {"loss": loss}, meta)


def _start_dense(network, params, problem, scaler, cross_fitted, random_state):
    # An ensemble's metrics get probabilities all the same; those of a plain network get what the loss gets.
    arguments = _router(params, problem, from_logits=network.n_members > 1).compile_arguments()
    _check_loss(arguments["loss"], problem)
    scaling = {} if scaler is None else {"shift": scaler.shift, "scale": scaler.scale}
    network = replace(network, dropout=params["dropout"], input_dropout=params["input_dropout"], **scaling)
    return DenseStart(network, arguments, cross_fitted, random_state, scaler)


def _compile(model, router, params, problem):
    """Compile the user's model; a compiled one keeps what our parameters leave at their defaults."""
    arguments = router.compile_arguments()
    if model.compiled:
        own = compile_arguments(model)
        if params["optimizer"] == "adam" and not any(name.startswith("optimizer__") for name in params):
            arguments["optimizer"] = own["optimizer"]
            router.set_learning_rate(own["optimizer"])
        if params["loss"] == "auto" and not isinstance(own["loss"], MultiLabelCrossentropy):
            arguments["loss"] = own["loss"]
        if params["metrics"] is None:
            arguments["metrics"] = own["metrics"]
        arguments = {**own, **arguments}
    _check_loss(arguments["loss"], problem)
    model.compile(**arguments)


def _check_metrics(params, problem):
    if problem.has_unknown and params["metrics"] is not None:
        raise ValueError("y holds NaN for unknown cells, which metrics of Keras do not leave out. Leave metrics=None.")


def _check_loss(loss, problem):
    """Make sure that a loss means what y and class_weight do."""
    target_type = problem.meta["target_type_"]
    if problem.positive_weight is not None and not has_nan_support(loss):
        raise ValueError(
            "class_weight is part of the losses auto, focal and asymmetric, but the network is compiled with "
            f'{loss!r}. Leave class_weight=None, or the loss to loss="auto".'
        )
    if problem.has_unknown and not has_nan_support(loss):
        raise ValueError(
            "y holds NaN, which the losses auto, focal and asymmetric read as unknown, but the network is compiled "
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
    return model(batch_of(X[:16], model), training=False)


def _check_probe(model, outputs, meta):
    n_units, n_outputs = outputs.shape[-1], meta["n_outputs_"]
    if len(outputs.shape) != 2 or n_units != n_outputs:
        raise ValueError(
            f"The network's output has shape (n_samples, {', '.join(map(str, outputs.shape[1:]))}), but y needs "
            f'{n_outputs} units. End it in Dense(meta["n_outputs_"], meta["output_activation_"]).'
        )
    if has_logits(model.loss):
        return
    proba = check_outputs(keras.ops.convert_to_numpy(outputs))
    if meta["target_type_"] == "multiclass" and np.abs(proba.sum(axis=1) - 1).max() > 0.01:
        raise ValueError(
            "With one label per row the network's probabilities must sum to 1, but they do not. End it in "
            'activation=meta["output_activation_"], which is "softmax" here.'
        )


def _copy_variables(source, target):
    if source is not target:
        for variable, value in zip(target.variables, source.variables, strict=True):
            variable.assign(value)
