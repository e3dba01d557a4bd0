"""A network before training, checked."""

from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

from skml._decisions._calibration import NOT_CALIBRATED
from skml._default_network._label_changes import with_labels
from skml._default_network._network import DenseNetwork, initial_weights
from skml._keras._rows import Rows, as_array
from skml._keras_models._custom_network import has_logits
from skml._keras_models._custom_trainable import resume_custom
from skml._keras_models._ensemble import Ensemble, Replicated, build, build_compiled, load, set_rates
from skml._keras_models._optimizer import slots_of_outputs, use_fused_adam
from skml._keras_models._target_spec import check_loss, check_metrics, router_of, targets_for


class DefaultTrainable:
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
    rates : AdaptiveRates
    columns : ndarray of int, shape (n_outputs,), or None
        Where its outputs were before, if those are others.
    """

    def __init__(self, network, arguments, cross_fitted, random_state, scaler, rates, columns=None):
        self.arguments = arguments
        self.scaler = scaler
        self.rates = rates
        self._network = network
        self._shapes = [weight.shape for weight in network.weights]  # Keras does not stack one member
        self._cross_fitted = cross_fitted
        self._columns = columns
        # Hashable; equal where a session of an earlier fit can be used again.
        self.description = ("dense", network.architecture, cross_fitted)
        # Without any, the order of rows goes on as in one fit.
        n_random = bool(network.dropout) * (len(network.widths) - 1) + bool(network.input_dropout)
        n_random += bool(network.sparse and network.row_dropout)
        self._seeds = random_state.randint(1, 2**31 - 1, size=n_random)

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
        elif tf.distribute.has_strategy():
            model = Replicated(model.inputs, model.outputs)
        if isinstance(model, Ensemble) or self._network.sparse:
            optimizer = use_fused_adam(optimizer)
        model.compile(**{**self.arguments, "optimizer": optimizer})
        if tf.distribute.has_strategy():
            entries = np.zeros((1, self._network.widths[-1]), self._network.dtype)
            build_compiled(model, targets_for(self.arguments["loss"], entries), entries)
        return model

    def load(self, model):
        """Put the weights and seeds of this start into a model; they are let go here."""
        load(self._network, model)
        set_rates(model, **self.rates.values)
        self._network = replace(self._network, weights=None)
        seeds = [v for v in model.non_trainable_variables if v.name == "seed_generator_state"]
        for variable, seed in zip(seeds, self._seeds, strict=True):
            variable.assign([seed, 0])

    def slots(self, values, model):
        """Return the state of an earlier optimizer as one for this model, or None where there is none."""
        if self._columns is None:
            return values
        return slots_of_outputs(values, model.optimizer, model.trainable_variables, self._columns)

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

    def snapshot(self, model):
        """Return the network as trained so far; as the weights are views, nothing is copied."""
        return self.trained(model)

    def abandon(self):
        """Nothing to undo: this start holds no model."""


def start(params, X, problem, recipe, size, scaler, rates, cross_fitted, random_state):
    """Return the default network that the parameters describe, before training.

    Parameters
    ----------
    params : dict
        Parameters of the estimator.
    X : ndarray or CSR
    problem : TargetSpec
    recipe : AutoSettings
    size : Architecture
    scaler : DenseScaler, SparseScaler or None
    rates : AdaptiveRates
    cross_fitted : bool
        Whether members are evaluated on a fold of rows each.
    random_state : numpy.random.RandomState

    Returns
    -------
    DefaultTrainable

    Raises
    ------
    ValueError
        If ``class_weight`` or NaN cannot act through the loss.
    """
    check_metrics(params, problem)
    _check_floatx()
    meta = problem.meta
    network = DenseNetwork(
        initial_weights(
            [X.shape[1], *size.hidden, meta["n_outputs_"]],
            random_state,
            keras.config.floatx(),
            size.n_members,
            recipe.output_scale,
        ),
        output_activation=meta["output_activation_"],
        activation=params["activation"],
        n_members=size.n_members,
        sparse=recipe.is_sparse and not tf.distribute.has_strategy(),  # replicas take dense batches
        row_dropout=recipe.row_dropout,
    )
    if problem.base is not None:
        network.weights[-1][...] = problem.base.reshape(network.weights[-1].shape)
    return _start_dense(network, params, problem, scaler, rates, cross_fitted, random_state)


def resume_default(network, params, problem, scaler, rates, random_state):
    """Return a start that goes on where a trained network stopped.

    Raises
    ------
    ValueError
        If the parameters describe another network by now.
    """
    check_metrics(params, problem)
    if isinstance(network, DenseNetwork) != (params["model"] is None):
        raise ValueError("model was changed after the first fit; training cannot go on with another network.")
    if not isinstance(network, DenseNetwork):
        _refuse_other_labels(problem)
        return resume_custom(network, params, problem)
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
    if problem.columns is not None:
        network = with_labels(network, problem.columns, problem.base)
    return _start_dense(network, params, problem, scaler, rates, False, random_state)


def _start_dense(network, params, problem, scaler, rates, cross_fitted, random_state):
    # An ensemble's metrics get probabilities all the same; those of a plain network get what the loss gets.
    arguments = router_of(params, problem, from_logits=network.n_members > 1).compile_arguments()
    check_loss(arguments["loss"], problem)
    scaling = {} if scaler is None else {"shift": scaler.shift, "scale": scaler.scale}
    network = replace(network, calibration=NOT_CALIBRATED, **rates.values, **scaling)
    return DefaultTrainable(network, arguments, cross_fitted, random_state, scaler, rates, problem.columns)


def _refuse_other_labels(problem):
    if problem.columns is not None:
        raise ValueError(
            "classes differs from the labels of the earlier fit, and the outputs of a custom network cannot change: "
            "fit a new estimator, whose model may take over weights of this one's model_."
        )


def _check_floatx():
    """Refuse half precision: slots of an optimizer do not fit into it, and losses grow."""
    if keras.config.floatx() not in ("float32", "float64"):
        raise ValueError(
            f"keras.config.floatx() is {keras.config.floatx()!r}, and the default network trains in 'float32' or "
            "'float64'. Call keras.config.set_floatx('float32'), or pass a model whose layers have a dtype of their "
            "own, such as 'mixed_float16'."
        )
