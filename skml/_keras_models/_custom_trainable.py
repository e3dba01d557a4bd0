"""A custom network before training."""

from typing import Any

import keras
import numpy as np

from skml._inputs import NamedArrays
from skml._keras._cache_keys import model_cache_key
from skml._keras._rows import batch_of, rows_of
from skml._keras._serialization import compile_args, copy_model, seeded_layers, warn_unless_saved
from skml._keras_models._custom_network import KerasNetwork, check_outputs, has_logits
from skml._keras_models._losses import MultiLabelCrossentropy
from skml._keras_models._target_spec import check_loss
from skml._targets._encoder import TargetKind
from skml._typing import Scaler, Trainable


class CustomTrainable:
    """A compiled custom network before training.

    Parameters
    ----------
    model : keras.Model
        Is trained itself if it has no cache key; otherwise it gets the weights of a trained copy.
    output_activation : {"sigmoid", "softmax"}
    feature_names : sequence of str, default=None
        The names of the columns of X, if it has any.
    """

    scaler: Scaler | None = None
    rates: Any = None

    def __init__(self, model, output_activation, feature_names=None):
        self.compile_args = compile_args(model)
        self.cache_key = model_cache_key(model)
        self._model = model
        self._output_activation = output_activation
        self._feature_names = feature_names
        self._before = [variable.numpy() for variable in model.variables] if self.cache_key is None else None

    def rows_of(self, X):
        """Return X as rows of tensors in the dtype of the model's input."""
        return rows_of(X, self._model, self._feature_names)

    def compiled_model(self):
        """Return a compiled copy that can be kept for later fits, or the model itself."""
        return self._model if self.cache_key is None else copy_model(self._model)

    def load_weights(self, model):
        """Set the initial weights and seeds of a compiled model."""
        _copy_variables(self._model, model)

    def optimizer_state(self, values, model):
        """Return the optimizer's previous state."""
        return values

    def trained_network(self, model):
        """Return the network after training."""
        _copy_variables(model, self._model)
        return self._network(self._model, self._model.loss)

    def copy_of_network(self, model):
        """Return a copy of the network as trained so far, as training changes the model."""
        return self._network(copy_model(model), model.loss)

    def _network(self, model, loss):
        return KerasNetwork(model, self._output_activation, has_logits(loss), self._feature_names)

    def rollback(self):
        """Set the weights back to those before an interrupted training."""
        for variable, value in zip(self._model.variables, self._before or [], strict=False):
            variable.assign(value)


def prepare_custom(params, router, X, rows, spec, seeds) -> Trainable:
    """Return a new custom network, compiled and tried on a few rows.

    Parameters
    ----------
    params : dict
        Parameters of the estimator.
    router : Router
    X : ndarray, CSR or NamedArrays
    rows : ndarray of int
        Training rows, which a builder may receive.
    spec : TargetSpec
    seeds : Seeds

    Returns
    -------
    CustomTrainable

    Raises
    ------
    ValueError
        If the output is not one probability (or logit) for each of ``meta["n_outputs_"]``, or the loss does not support
        ``class_weight`` or missing labels.
    """
    seed = seeds.weights().randint(1, 2**31 - 1)
    model = router.build(seed, lambda: X[rows].arrays if isinstance(X, NamedArrays) else X[rows])
    with seeded_layers(seed):  # build() of a custom class may create initializers
        outputs = _build(model, X, spec.meta["feature_names_in_"])
    _compile(model, router, params, spec)
    _check_outputs(model, outputs, spec)
    trainable = CustomTrainable(model, spec.meta["output_activation_"], spec.meta["feature_names_in_"])
    if trainable.cache_key is None:
        warn_unless_saved(model)
    return trainable


def resume_custom(network, params, router, spec) -> Trainable:
    """Return a trained custom network whose training is resumed, compiled anew."""
    if not isinstance(network, KerasNetwork):
        raise ValueError("model was changed after the first fit; training cannot go on with another network.")
    if spec.previous_columns is not None:
        raise ValueError(
            "classes differs from the labels of the previous fit, but the outputs of a custom network cannot change: "
            "fit a new estimator; its model may start from weights of to_keras() of this one."
        )
    _compile(network.model, router, params, spec)
    return CustomTrainable(network.model, network.output_activation, network.feature_names)


def _compile(model, router, params, spec):
    """Compile a custom model; a compiled model keeps its own arguments where our parameters are at their defaults."""
    arguments = router.compile_args()
    if model.compiled:
        own = compile_args(model)
        if params["optimizer"] == "adam" and not any(name.startswith("optimizer__") for name in params):
            arguments["optimizer"] = own["optimizer"]
            router.set_learning_rate(own["optimizer"])
        if params["loss"] == "auto" and not isinstance(own["loss"], MultiLabelCrossentropy):
            if "loss__label_smoothing" in params:
                raise ValueError(
                    "loss__label_smoothing has no effect, because the model is compiled with a loss of its own, "
                    f"{own['loss']!r}. Remove it, or pass a model that is not compiled."
                )
            arguments["loss"] = own["loss"]
        if params["metrics"] is None:
            arguments["metrics"] = own["metrics"]
        arguments = {**own, **arguments}
    check_loss(arguments["loss"], spec)
    model.compile(**arguments)


def _build(model, X, names):
    """Build a model that is not built yet; return its outputs for a few rows of X."""
    is_table = not isinstance(X, NamedArrays) and X.dtype.kind in "biuf"
    if isinstance(model, keras.Sequential) and not model.built and is_table:
        model.build((None, *X.shape[1:]))  # a call with rows would fix the batch size in its config
    return model(batch_of(X[:16], model, names), training=False)


def _check_outputs(model, outputs, spec):
    n_outputs = spec.meta["n_outputs_"]
    if isinstance(outputs, list | tuple | dict):
        raise ValueError(
            f"The network has {len(outputs)} outputs, but one output of {n_outputs} units is needed. End it in one "
            'Dense(meta["n_outputs_"], meta["output_activation_"]), or concatenate the outputs.'
        )
    if len(outputs.shape) != 2 or outputs.shape[-1] != n_outputs:
        raise ValueError(
            f"The network's output has shape (n_samples, {', '.join(map(str, outputs.shape[1:]))}), but y needs "
            f'{n_outputs} units. End it in Dense(meta["n_outputs_"], meta["output_activation_"]).'
        )
    if has_logits(model.loss):
        return
    proba = check_outputs(keras.ops.convert_to_numpy(outputs))
    if spec.kind is TargetKind.MULTICLASS and np.abs(proba.sum(axis=1) - 1).max() > 0.01:
        raise ValueError(
            "For multi-class y the network's probabilities must sum to 1 in each row, but they do not. End it in "
            'activation=meta["output_activation_"], which is "softmax" here.'
        )


def _copy_variables(source, target):
    if source is not target:
        for variable, value in zip(target.variables, source.variables, strict=True):
            variable.assign(value)
