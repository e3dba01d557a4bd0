"""Which Keras objects compute alike: keys of compiled graphs; the parts that an object consists of."""

import inspect
import json
import re
import types

import keras
import numpy as np

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
    """Return name -> class or function for all that is not Keras' own in an object."""
    own = [_kind(part) for part in custom_parts(value)]
    return {name: part for part in own for name in (part.__name__, keras.saving.get_registered_name(part))}


def custom_parts(value):
    """Return the functions, and the objects of classes, that are not Keras' own in an object."""
    return [part for part in _parts(value) if not is_keras(_kind(part))]


def model_cache_key(model):
    """Return a hashable key; equal keys mean equal computation. None where no key can be trusted.

    Names that Keras counts up (``dense_7``) do not count, initial weights neither. Custom code
    may read what no config shows.
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
    """Return a hashable description of a loss, metric or optimizer, or None as in `model_cache_key`."""
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
    """Whether all values are of classes of Keras' own."""
    return all(is_keras(type(value)) for value in values)


def _trusted_config(value):
    """Return the config that says all that a trace of an object depends on, or None."""
    if hasattr(value, "trace_config"):  # our own loss
        return value.trace_config()
    if not isinstance(value, keras.Loss | keras.Metric | keras.Optimizer):
        return None
    return value.get_config() if is_keras_throughout(value) and not set_later(value) else None


def is_keras(value):
    return value.__module__.split(".")[0] == "keras"


def is_keras_throughout(value):
    return not custom_parts(value)


def _is_patched(model):
    """Whether methods were replaced on the model itself, which its config does not show."""
    return any(name in vars(model) for name in ("call", "train_step", "test_step", "compute_loss", "compute_metrics"))


def _kind(part):
    """Return what names a part in a config: its class, or the function itself."""
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
            stack.extend(part for part in vars(value).values() if not _wraps_method(part, type(value)))


def _wraps_method(part, kind):
    """Whether an attribute is what Keras puts over a method of the class, such as ``build``, for each instance."""
    # It bears the name and module of the method, but is no function that a config or a pickle could name.
    method = getattr(part, "__wrapped__", None)
    return inspect.ismethod(method) and method.__func__ is getattr(kind, method.__name__, None)


def all_layers(model):
    return [part for part in _parts(model) if isinstance(part, keras.Layer)]


def _without_names(config, names):
    """Return a model's config with its layers numbered in place of named."""
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


def set_later(value):
    """Return what was set on an optimizer after it was made, such as names to exclude from weight decay."""
    found = {key: v for key, v in vars(value).items() if isinstance(v, set | re.Pattern) and v}
    return {key: set(v) if isinstance(v, set) else v for key, v in found.items()}
