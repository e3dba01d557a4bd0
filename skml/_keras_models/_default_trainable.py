"""The default network before training."""

from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

from skml._decisions._calibration import NOT_CALIBRATED
from skml._default_network._initial_weights import initial_weights
from skml._default_network._label_changes import with_labels
from skml._default_network._network import DenseNetwork
from skml._keras._rows import Rows, as_array
from skml._keras_models._custom_network import has_logits
from skml._keras_models._ensemble import Ensemble, Replicated, build, build_compiled, load, set_rates
from skml._keras_models._optimizer import slots_of_outputs, use_fused_adam
from skml._keras_models._target_spec import check_loss, targets_for
from skml._typing import Trainable

# Factor of the learning rate of the biases of a linear network for sparse rows that start at 0. There are too few
# updates for them to reach the log-odds of rare labels, so that the weights of words would take over what is true of
# every row, and a row with other words than in training would have too large probabilities.
_LINEAR_BIAS_RATE = 20


class DefaultTrainable:
    """The default network before training.

    Parameters
    ----------
    network : DenseNetwork
        Has the initial weights.
    compile_args : dict
        Optimizer, loss and metrics of ``Model.compile``.
    scaler : Scaler or None
        Statistics by which the network scales its input; training that resumes updates them.
    rates : AdaptiveRates
    seeds : Seeds
    is_cross_fitted : bool, default=False
        Whether each member is evaluated on its own fold.
    first_epoch : int, default=0
    previous_columns : ndarray of int, shape (n_outputs,), default=None
        The previous output of each label, if the labels have changed.
    bias_rate : float, default=1
        Factor of Adam's learning rate for the biases of the outputs.
    workers : Workers
        The processes that train the network together.
    """

    def __init__(
        self,
        network,
        compile_args,
        scaler,
        rates,
        seeds,
        *,
        is_cross_fitted=False,
        first_epoch=0,
        previous_columns=None,
        bias_rate=1,
        workers,
    ):
        self.compile_args = compile_args
        self.scaler = scaler
        self.rates = rates
        self.cache_key = ("dense", network.architecture, is_cross_fitted, bias_rate)
        self._network = network
        self._input_dtype = network.input_dtype
        self._shapes = [weight.shape for weight in network.weights]  # Keras does not stack a single member
        self._output_weights = network.output_weights
        self._is_cross_fitted = is_cross_fitted
        self._previous_columns = previous_columns
        self._bias_rate = bias_rate
        self._workers = workers
        n_random = bool(network.dropout) * (len(network.widths) - 1)
        n_random += bool(network.input_dropout) * (1 + len(network.ramps))
        n_random += bool(network.sparse and network.row_dropout)
        self._seeds = seeds.dropout(n_random, first_epoch) ^ workers.rank  # each process drops other entries

    def rows_of(self, X):
        """Return X as rows of tensors in the dtype in which the network scales them."""
        dtype = self._input_dtype
        return Rows(X.astype(dtype, copy=False), dtype.name, self._network.sparse)

    def compiled_model(self):
        """Return a new compiled model of this architecture."""
        loss, optimizer = self.compile_args["loss"], self.compile_args["optimizer"]
        model = build(self._network, has_logits(loss), as_ensemble=not self._workers.is_alone)
        if isinstance(model, Ensemble):
            model.cross_fitted = self._is_cross_fitted
            model.workers = None if self._workers.is_alone else self._workers
        elif tf.distribute.has_strategy():
            model = Replicated(model.inputs, model.outputs)
        if self._network.n_members > 1 or self._network.sparse:
            model.trainable_variables[-1].rate_factor = self._bias_rate
            optimizer = use_fused_adam(optimizer)
        model.compile(**{**self.compile_args, "optimizer": optimizer})
        if tf.distribute.has_strategy():
            outputs = np.zeros((1, self._network.widths[-1]), self._network.dtype)
            build_compiled(model, targets_for(loss, outputs), outputs)
        return model

    def load_weights(self, model):
        """Set the initial weights and seeds of a model; this object keeps no copy of the weights."""
        load(self._network, model)
        set_rates(model, **self.rates.values)
        self._network = replace(self._network, weights=None)
        seeds = [v for v in model.non_trainable_variables if v.name == "seed_generator_state"]
        for variable, seed in zip(seeds, self._seeds, strict=True):
            variable.assign([seed, 0])

    def optimizer_state(self, values, model):
        """Return the optimizer's previous state adapted to the model, None if it has to start anew."""
        if self._previous_columns is None:
            return values
        variables, outputs = model.trainable_variables, self._output_weights
        return slots_of_outputs(values, model.optimizer, variables, self._previous_columns, outputs)

    def trained_network(self, model):
        """Return the network after training."""
        pairs = zip(model.trainable_variables, self._shapes, strict=True)
        weights = [as_array(variable).reshape(shape) for variable, shape in pairs]
        if not all(np.isfinite(weight).all() for weight in weights):
            raise ValueError(
                "Training diverged: the weights are not finite. Set a smaller learning_rate, and check X for very "
                "large values."
            )
        return replace(self._network, weights=weights)

    def copy_of_network(self, model):
        """Return the network as trained so far; the weights are views, so nothing is copied."""
        return self.trained_network(model)

    def rollback(self):
        """Do nothing: no object of the previous fit was changed."""


def prepare_default(
    params, router, X, spec, settings, architecture, scaler, rates, seeds, *, encoded, is_cross_fitted, workers
) -> Trainable:
    """Return the default network with new weights.

    Parameters
    ----------
    params : dict
        Parameters of the estimator.
    router : Router
    X : ndarray or CSR
    spec : TargetSpec
    settings : AutoSettings
    architecture : Architecture
    scaler : Scaler or None
    rates : AdaptiveRates
    seeds : Seeds
    encoded : dict
        Fields of the network that encode the columns of X; empty if they are only scaled.
    is_cross_fitted : bool
        Whether each member is evaluated on its own fold.
    workers : Workers

    Returns
    -------
    DefaultTrainable

    Raises
    ------
    ValueError
        If the loss does not support ``class_weight`` or missing labels.
    """
    _check_floatx()
    encoding = encoded.get("encoding")
    n_columns, ramps = (X.shape[1], ()) if encoding is None else (encoding.n_columns, encoding.ramps)
    widths = [n_columns, *architecture.hidden, spec.meta["n_outputs_"]]
    n_members, dtype = architecture.n_members, keras.config.floatx()
    network = DenseNetwork(
        initial_weights(widths, seeds.weights(), dtype, n_members, settings.output_scale, ramps),
        output_activation=spec.meta["output_activation_"],
        activation=params["activation"],
        n_members=n_members,
        sparse=settings.is_sparse and not tf.distribute.has_strategy(),  # replicas take dense batches
        row_dropout=settings.row_dropout,
        **encoded,
    )
    if spec.prior_log_odds is not None:
        network.weights[-1][...] = spec.prior_log_odds.reshape(network.weights[-1].shape)
    compile_args = _compile_args(router, spec)
    network = _with_input(network, scaler, rates)
    starts_at_0 = network.sparse and not architecture.hidden and spec.prior_log_odds is None
    bias_rate = _LINEAR_BIAS_RATE if starts_at_0 and rates.learning_rate is not None else 1  # the user's is kept
    return DefaultTrainable(
        network,
        compile_args,
        scaler,
        rates,
        seeds,
        is_cross_fitted=is_cross_fitted,
        bias_rate=bias_rate,
        workers=workers,
    )


def resume_default(network, params, router, spec, scaler, rates, seeds, first_epoch, workers) -> Trainable:
    """Return a trained default network whose training is resumed.

    Raises
    ------
    ValueError
        If the parameters describe another network by now.
    """
    if not isinstance(network, DenseNetwork):
        raise ValueError("model was changed after the first fit; training cannot go on with another network.")
    fitted = {
        "hidden_layer_sizes": network.widths[:-1],
        "activation": network.activation,
        "n_members": network.n_members // network.n_kinds,
        "scale": None if network.scale is None else params["scale"] or "auto",
    }
    for name, value in fitted.items():
        given = np.atleast_1d(params[name]).tolist() if name == "hidden_layer_sizes" else params[name]
        if given not in (value, "auto", ["auto"]):
            raise ValueError(f"The fitted network has {name}={value!r}; training cannot go on with {given!r}.")
    kinds = set() if network.encoding is None else set(network.encoding.kinds)
    given = set(np.atleast_1d(params["inputs"]).tolist())
    if given != {"auto"} and not (kinds and kinds <= given):
        raise ValueError(
            f"The fitted network has inputs={sorted(kinds)}; training cannot go on with {params['inputs']!r}."
        )
    columns = spec.previous_columns
    if columns is not None:
        network = with_labels(network, columns, spec.prior_log_odds)
    network = _with_input(replace(network, calibration=NOT_CALIBRATED), scaler, rates)
    compile_args = _compile_args(router, spec)
    return DefaultTrainable(
        network,
        compile_args,
        scaler,
        rates,
        seeds,
        first_epoch=first_epoch,
        previous_columns=columns,
        workers=workers,
    )


def _compile_args(router, spec):
    compile_args = router.compile_args()
    check_loss(compile_args["loss"], spec)
    return compile_args


def _with_input(network, scaler, rates):
    """Return the network with the scaling and the dropout rates with which it is trained."""
    scaling = {} if scaler is None else {"shift": scaler.shift, "scale": scaler.scale}
    return replace(network, **rates.values, **scaling)


def _check_floatx():
    """Raise a ValueError for half precision: the state of an optimizer does not fit into it, and losses grow."""
    if keras.config.floatx() not in ("float32", "float64"):
        raise ValueError(
            f"keras.config.floatx() is {keras.config.floatx()!r}, but the default network trains in 'float32' or "
            "'float64'. Call keras.config.set_floatx('float32'), or pass a model whose layers set their own dtype, "
            "such as 'mixed_float16'."
        )
