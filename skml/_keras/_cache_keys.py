"""Cache keys of Keras objects, and the parts that an object consists of.

Equal keys mean that a compiled graph of one object serves the other.
"""

import json
import types

import keras
import numpy as np

from skml._keras._private import attributes_outside_config, is_method_wrapper

SHARED_TYPES = (
    keras.Layer,
    keras.Loss,
    keras.Metric,
    keras.Optimizer,
    keras.Initializer,
    keras.Regularizer,
    keras.callbacks.Callback,
    keras.constraints.Constraint,
    keras.optimizers.schedules.LearningRateSchedule,
)


def custom_objects(value):
    """Return the custom classes and functions in an object, by the names that its config may contain."""
    kinds = [_kind(part) for part in custom_parts(value)]
    return {name: kind for kind in kinds for name in (kind.__name__, keras.saving.get_registered_name(kind))}


def custom_parts(value):
    """Return the functions and objects in an object that are not from Keras itself."""
    return [part for part in _parts(value) if not is_keras(_kind(part))]


def model_cache_key(model):
    """Return a hashable key of a model; models with equal keys compute the same function of weights and inputs.

    The key does not contain the names that Keras numbers (``dense_7``) or the initial weights. It is None for a model
    with custom code, which may depend on values that are not in its config.
    """
    layers = all_layers(model)
    if not are_keras([model]) or not is_keras_throughout(list(model.layers)) or _is_patched(model):
        return None
    if any(isinstance(layer, keras.layers.Lambda) or hasattr(layer, "adapt") for layer in layers):
        return None
    try:
        config = json.dumps(_without_names(model.get_config(), {layer.name for layer in layers}), sort_keys=True)
    except (TypeError, NotImplementedError):
        return None
    return (type(model), config, tuple(variable.trainable for variable in model.variables))


def cache_key_of(value):
    """Return a hashable key of a loss, metric or optimizer; None if it has custom code, as in `model_cache_key`."""
    if value is None or isinstance(value, str | bool):
        return ("name", value)
    if isinstance(value, list | tuple):
        parts = tuple(cache_key_of(item) for item in value)
        return None if None in parts else parts
    if isinstance(value, types.FunctionType):
        return ("function", value) if is_keras(value) else None
    config = _trusted_config(value)
    if config is None:
        return None
    if isinstance(value, keras.Optimizer) and isinstance(config.get("learning_rate"), float):
        del config["learning_rate"]
    if not isinstance(value, keras.Metric):
        config.pop("name", None)
    try:
        return (type(value), json.dumps(config, sort_keys=True))
    except TypeError:
        return None


def are_keras(values):
    """Return whether the classes of all values are from Keras."""
    return all(is_keras(type(value)) for value in values)


def _trusted_config(value):
    """Return a config with everything that a trace of an object depends on; None if there is none."""
    if hasattr(value, "trace_config"):  # a loss of this package
        return value.trace_config()
    if not isinstance(value, keras.Loss | keras.Metric | keras.Optimizer):
        return None
    return value.get_config() if is_keras_throughout(value) and not attributes_outside_config(value) else None


def is_keras(value):
    """Return whether a class or function is from Keras."""
    return value.__module__.split(".")[0] == "keras"


def is_keras_throughout(value):
    """Return whether an object has no custom parts."""
    return not custom_parts(value)


def _is_patched(model):
    """Return whether methods were replaced on the model instance, which its config does not show."""
    return any(name in vars(model) for name in ("call", "train_step", "test_step", "compute_loss", "compute_metrics"))


def _kind(part):
    """Return the class of an object, or the function itself: a config contains its name."""
    return part if isinstance(part, types.FunctionType) else type(part)


def _parts(value):
    """Yield the Keras objects and functions that an object consists of, itself included."""
    seen, stack = set(), [value]
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            stack.extend(value.values())
        elif isinstance(value, list | tuple | set):
            stack.extend(value)
        elif isinstance(value, types.FunctionType):
            yield value
        elif isinstance(value, SHARED_TYPES):
            yield value
            stack.extend(part for part in vars(value).values() if not is_method_wrapper(part, type(value)))


def all_layers(model):
    """Return the layers of a model at all depths, itself included."""
    return [part for part in _parts(model) if isinstance(part, keras.Layer)]


def _without_names(config, names):
    """Return a model's config with numbers in place of the names of its layers."""
    numbers = {}
    references = ("keras_history", "input_layers", "output_layers")

    def walk(value, key=None, kind=None):
        if isinstance(value, dict):
            return {k: walk(v, k, value.get("class_name", kind)) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [walk(item, key if key in references else None, kind) for item in value]
        if key in ("name", *references) and value in names and kind != "DTypePolicy":
            return numbers.setdefault(value, len(numbers))
        return value.tolist() if isinstance(value, np.ndarray | np.generic) else value

    return walk(config)
