"""Copies, pickles and descriptions of Keras objects, also those with classes of the user's own.

Keras rebuilds an object of a custom class only if the class was registered, and its own
``__deepcopy__`` and ``__reduce__`` fail or lose it otherwise. Here the classes travel with the object.
"""

import copy
import json
import tempfile
import types
import warnings
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

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


class PackedKerasObject:
    """A Keras object in a form that pickles, with the classes that it needs.

    Parameters
    ----------
    restore : callable
        One of this module's functions.
    state : tuple
        The arguments of `restore`.
    """

    def __init__(self, restore, state):
        self.restore = restore
        self.state = state

    def unpack(self):
        """Return the object."""
        return self.restore(*self.state)


def map_leaves(function, value):
    """Return `value` with `function` applied to what lists, tuples and dicts in it hold."""
    if type(value) in (list, tuple):
        return type(value)(map_leaves(function, item) for item in value)
    if type(value) is dict:
        return {key: map_leaves(function, item) for key, item in value.items()}
    return function(value)


def holds_keras_object(value):
    """Whether `value` is or contains an object that cannot be deep-copied and is safe to share."""
    found = []
    map_leaves(lambda leaf: found.append(isinstance(leaf, SHARED_TYPES)), value)
    return any(found)


def pack(value):
    """Return `value` with every Keras object in it replaced by a `PackedKerasObject`."""
    return map_leaves(_pack_leaf, value)


def unpack(value):
    """Undo `pack`."""
    return map_leaves(lambda leaf: leaf.unpack() if isinstance(leaf, PackedKerasObject) else leaf, value)


def copy_object(value):
    """Return a fresh copy of a loss, metric or optimizer; anything else as it is.

    Raises
    ------
    TypeError
        If an object of the user's own class does not come back from its ``get_config``.
    """
    packed = _pack_leaf(value) if isinstance(value, keras.Loss | keras.Metric | keras.Optimizer) else value
    return unpack(packed)


def copy_model(model):
    """Return a copy of a Keras model that starts from its weights and is compiled as it is.

    Raises
    ------
    TypeError
        If the model's class does not come back from its ``get_config``.
    """
    try:
        return unpack(pack(model))
    except (NotImplementedError, TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"The {type(model).__name__} cannot be copied ({error}). Give its class a get_config(), or pass a "
            "function that builds the model."
        ) from error


def copy_callback(callback):
    """Return a copy of a callback that knows no model."""
    model = callback.model
    try:
        # The memo makes deepcopy skip the model that an earlier fit left in the callback.
        return copy.deepcopy(callback, {} if model is None else {id(model): None})
    except Exception:  # files, locks and the like cannot be copied in depth
        return copy.copy(callback)


def compile_arguments(model):
    """Return the arguments that a compiled model's ``compile`` was given."""
    config = model.get_compile_config() or {}
    arguments = {"optimizer": model.optimizer, "loss": model.loss, "run_eagerly": model.run_eagerly}
    for name in ("metrics", "weighted_metrics", "loss_weights"):
        arguments[name] = _deserialize(config.get(name), custom_objects(model))
    return arguments


def custom_objects(value):
    """Return name -> class or function for all that is not Keras' own in an object."""
    parts = (part if isinstance(part, types.FunctionType) else type(part) for part in _parts(value))
    own = [part for part in parts if not _is_keras(part)]
    return {name: part for part in own for name in (part.__name__, keras.saving.get_registered_name(part))}


def _travelling_objects(value):
    """Return the custom objects that a pickle needs: a lambda is in the config as a whole."""
    return {name: part for name, part in custom_objects(value).items() if part.__name__ != "<lambda>"}


def describe_model(model):
    """Return a hashable description under which two models compute alike, or None.

    Names that Keras counts up (``dense_7``) do not count, initial weights neither. None means that
    the model holds what a description cannot show: functions of the user's own, or a class of model
    that is not Keras' own.
    """
    own = custom_objects(list(model.layers))
    if not _is_keras(type(model)) or any(isinstance(value, types.FunctionType) for value in own.values()):
        return None
    if any(isinstance(layer, keras.layers.Lambda) or _has_hidden_state(layer) for layer in _all_layers(model)):
        return None
    try:
        names = {layer.name for layer in _all_layers(model)}
        config = json.dumps(_without_names(model.get_config(), names), sort_keys=True)
    except (TypeError, NotImplementedError):
        return None
    return (type(model), config, tuple(sorted(own.items(), key=lambda item: item[0])))


def describe_object(value):
    """Return a hashable description of a loss, metric or optimizer, or None as in `describe_model`."""
    if value is None or isinstance(value, str | bool):
        return ("name", value)
    if isinstance(value, list | tuple):
        parts = tuple(describe_object(item) for item in value)
        return None if None in parts else parts
    if isinstance(value, types.FunctionType):
        return ("function", value) if _is_keras(value) else None
    if not isinstance(value, keras.Loss | keras.Metric | keras.Optimizer):
        return None
    own = custom_objects(value)
    if any(isinstance(part, types.FunctionType) for part in own.values()):
        return None
    config = _plain_attributes(value) if isinstance(value, keras.Loss) and not _is_keras(type(value)) else {}
    config |= value.trace_config() if hasattr(value, "trace_config") else value.get_config()
    if isinstance(value, keras.Optimizer) and isinstance(config.get("learning_rate"), float):
        del config["learning_rate"]
    if not isinstance(value, keras.Metric):
        config.pop("name", None)
    try:
        return (type(value), json.dumps(config, sort_keys=True), tuple(own.values()))
    except TypeError:
        return None


def _pack_leaf(value):
    if isinstance(value, keras.Model):
        arguments = compile_arguments(value) if value.compiled else None
        config = _serialize(value)
        config.pop("compile_config", None)
        weights = value.get_weights() if value.built else None
        if _has_more_than_weights(value):
            return PackedKerasObject(
                _restore_model_file, (_file_of(value), _travelling_objects(value), pack(arguments))
            )
        return PackedKerasObject(_restore_model, (config, _travelling_objects(value), weights, pack(arguments)))
    if isinstance(value, keras.Loss) and type(value).get_config is keras.Loss.get_config:
        return PackedKerasObject(_restore_from_attributes, (type(value), dict(vars(value))))
    if isinstance(value, keras.Loss | keras.Metric | keras.Optimizer):
        return PackedKerasObject(_restore_from_config, (type(value), _checked_config(value)))
    if isinstance(value, SHARED_TYPES) and not isinstance(value, keras.callbacks.Callback):
        config = _serialize(value)
        return PackedKerasObject(_deserialize, (config, _travelling_objects(value)))
    return value


def _restore_model(config, objects, weights, arguments):
    model = _deserialize(config, objects)
    if weights is not None:
        model.set_weights(weights)
    if arguments is not None:
        model.compile(**unpack(arguments))
    return model


def _file_of(model):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        return path.read_bytes()


def _restore_model_file(content, objects, arguments):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        path.write_bytes(content)
        model = keras.saving.load_model(path, custom_objects=objects, compile=False, safe_mode=False)
    if arguments is not None:
        model.compile(**unpack(arguments))
    return model


def _restore_from_attributes(kind, attributes):
    # Without a get_config of its own, a loss' config would forget the arguments that its class adds.
    loss = kind.__new__(kind)
    vars(loss).update(attributes)
    return loss


def _restore_from_config(kind, config):
    return kind.from_config(copy.deepcopy(config))


def _serialize(value):
    with warnings.catch_warnings():
        # A lambda is fine here: what comes back is the user's own.
        warnings.filterwarnings("ignore", "The object being serialized includes a `lambda`")
        return keras.saving.serialize_keras_object(value)


def _deserialize(config, objects):
    return keras.saving.deserialize_keras_object(copy.deepcopy(config), custom_objects=objects, safe_mode=False)


def _checked_config(value):
    """Return the config of a loss, metric or optimizer, after making sure that it says everything."""
    config = value.get_config()
    name = type(value).__name__
    if not _is_keras(type(value)):
        try:
            twin = _restore_from_config(type(value), config)
        except TypeError as error:
            raise TypeError(
                f"{name} does not come back from its get_config(): {error}. "
                "Give it one that returns all arguments of __init__."
            ) from error
        lost = _plain_attributes(value).items() - _plain_attributes(twin).items()
        if lost:
            raise TypeError(f"{name}.get_config() does not hold {sorted(dict(lost))}; give it one that does.")
    return config


def _plain_attributes(value):
    kinds = (bool, int, float, str, type(None))
    return {key: v for key, v in vars(value).items() if isinstance(v, kinds) and not key.startswith("_")}


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
            stack.extend(vars(value).values())


def _all_layers(model):
    return [part for part in _parts(model) if isinstance(part, keras.Layer)]


def _has_more_than_weights(model):
    """Whether layers keep vocabularies or statistics outside their weights."""
    return any(hasattr(layer, "adapt") for layer in _all_layers(model))


def _has_hidden_state(layer):
    """Whether a layer may compute with what neither its config nor its weights show."""
    arrays = np.ndarray | tf.Tensor | tf.Variable
    own = not _is_keras(type(layer))
    return hasattr(layer, "adapt") or (own and any(isinstance(value, arrays) for value in vars(layer).values()))


def _is_keras(value):
    return value.__module__.split(".")[0] == "keras"


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
