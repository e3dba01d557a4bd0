"""A custom network before training, checked."""

import keras
import numpy as np

from skml._keras._cache_keys import model_cache_key
from skml._keras._rows import batch_of, rows_of
from skml._keras._serialization import compile_arguments, copy_model, seeded_layers, warn_unless_saved
from skml._keras_models._custom_network import KerasNetwork, check_outputs, has_logits
from skml._keras_models._losses import MultiLabelCrossentropy
from skml._keras_models._target_spec import check_loss, check_metrics, router_of


class CustomTrainable:
    """A compiled custom network before training.

    Parameters
    ----------
    model : keras.Model
        Is trained itself if its description is None, and gets the weights of its trained twin otherwise.
    output_activation : {"sigmoid", "softmax"}
    """

    scaler = rates = None

    def __init__(self, model, output_activation):
        self.arguments = compile_arguments(model)
        self.description = model_cache_key(model)
        self._model = model
        self._output_activation = output_activation
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

    def slots(self, values, model):
        """Return the state of an earlier optimizer as one for this model."""
        return values

    def trained(self, model):
        """Return the trained network."""
        _copy_variables(model, self._model)
        return KerasNetwork(self._model, self._output_activation, has_logits(self._model.loss))

    def snapshot(self, model):
        """Return the network as trained so far: a copy, as the model goes on."""
        return KerasNetwork(copy_model(model), self._output_activation, has_logits(model.loss))

    def abandon(self):
        """Undo a training that did not end."""
        for variable, value in zip(self._model.variables, self._before or [], strict=False):
            variable.assign(value)


def prepare_custom(params, X, rows, problem, random_state):
    """Return a custom network before training, compiled and tried on a few rows.

    Parameters
    ----------
    params : dict
        Parameters of the estimator.
    X : ndarray or CSR
    rows : ndarray of int
        Those to train on: what a builder may see.
    problem : TargetSpec
    random_state : numpy.random.RandomState

    Returns
    -------
    CustomTrainable

    Raises
    ------
    ValueError
        If the output is not one probability (or logit) for each of ``meta["n_outputs_"]``, or ``class_weight`` or NaN
        cannot act through the loss.
    """
    check_metrics(params, problem)
    router, meta = router_of(params, problem), problem.meta
    seed = random_state.randint(1, 2**31 - 1)
    model = router.build(seed, lambda: X[rows])
    with seeded_layers(seed):  # a custom build() may make initializers
        outputs = _build(model, X)
    _compile(model, router, params, problem)
    _check_probe(model, outputs, meta)
    made = CustomTrainable(model, meta["output_activation_"])
    if made.description is None:
        warn_unless_saved(model)
    return made


def resume_custom(network, params, problem):
    """Return a trained custom network before training goes on, compiled anew."""
    _compile(network.model, router_of(params, problem), params, problem)
    return CustomTrainable(network.model, network.output_activation)


def _compile(model, router, params, problem):
    """Compile a custom model; a compiled one keeps what our parameters leave at their defaults."""
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
    check_loss(arguments["loss"], problem)
    model.compile(**arguments)


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
