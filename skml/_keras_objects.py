"""Copies, pickles and descriptions of Keras objects, also those with classes of the user's own.

Keras rebuilds an object of a custom class only if the class was registered, and its own
``__deepcopy__`` and ``__reduce__`` fail or lose it otherwise. Here the classes travel with the object.
"""

import contextlib
import copy
import json
import random
import re
import tempfile
import threading
import types
import warnings
from pathlib import Path

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

_seed_lock = threading.RLock()


@contextlib.contextmanager
def seeded_layers(seed=0):
    """Give the layers that are made inside the same default seeds each time.

    Keras draws them from Python's global ``random``, which is left as it was.
    """
    with _seed_lock:
        state = random.getstate()
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(state)


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
        with seeded_layers():
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
    return unpack(_pack_leaf(value)) if isinstance(value, keras.Loss | keras.Metric | keras.Optimizer) else value


def copy_model(model):
    """Return a copy of a Keras model that starts from its weights and is compiled as it is.

    Raises
    ------
    TypeError
        If the model, or a layer of the user's own class, does not come back from its ``get_config``.
    """
    twin = _pack_model(model).unpack()
    for variable, original in zip(twin.variables, model.variables, strict=True):
        variable.trainable = original.trainable
    own = [[layer for layer in _all_layers(m) if not _is_keras(type(layer))] for m in (twin, model)]
    for layer, original in zip(*own, strict=True):
        _check_alike(layer, original)
    return twin


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


def describe_model(model):
    """Return a hashable description under which two models compute alike, or None.

    Names that Keras counts up (``dense_7``) do not count, initial weights neither. None means that a
    description cannot be trusted: code of the user's own may read what no config shows.
    """
    layers = _all_layers(model)
    if not are_keras([model]) or not _is_keras_throughout(list(model.layers)) or _is_patched(model):
        return None
    if any(isinstance(layer, keras.layers.Lambda) or hasattr(layer, "adapt") for layer in layers):
        return None
    try:
        config = json.dumps(_without_names(model.get_config(), {layer.name for layer in layers}), sort_keys=True)
    except (TypeError, NotImplementedError):
        return None
    return (type(model), config, tuple(variable.trainable for variable in model.variables))


def describe_object(value):
    """Return a hashable description of a loss, metric or optimizer, or None as in `describe_model`."""
    if value is None or isinstance(value, str | bool):
        return ("name", value)
    if isinstance(value, list | tuple):
        parts = tuple(describe_object(item) for item in value)
        return None if None in parts else parts
    if isinstance(value, types.FunctionType):
        return ("function", value) if _is_keras(value) else None
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
    return all(_is_keras(type(value)) for value in values)


def _trusted_config(value):
    """Return the config that says all that a trace of an object depends on, or None."""
    if hasattr(value, "trace_config"):  # our own loss
        return value.trace_config()
    if not isinstance(value, keras.Loss | keras.Metric | keras.Optimizer):
        return None
    return value.get_config() if _is_keras_throughout(value) and not _told_later(value) else None


def _is_keras(value):
    return value.__module__.split(".")[0] == "keras"


def _is_keras_throughout(value):
    return all(_is_keras(part if isinstance(part, types.FunctionType) else type(part)) for part in _parts(value))


def _is_patched(model):
    """Whether methods were replaced on the model itself, which its config does not show."""
    return any(name in vars(model) for name in ("call", "train_step", "test_step", "compute_loss", "compute_metrics"))


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


def _pack_leaf(value):
    if isinstance(value, keras.Model):
        return _pack_model(value)
    if isinstance(value, keras.Loss) and type(value).get_config is keras.Loss.get_config:
        return PackedKerasObject(_restore_from_attributes, (type(value), dict(vars(value))))
    if isinstance(value, keras.Loss | keras.Metric | keras.Optimizer):
        return PackedKerasObject(_restore_from_config, (type(value), _checked_config(value), _told_later(value)))
    if isinstance(value, SHARED_TYPES) and not isinstance(value, keras.callbacks.Callback):
        return PackedKerasObject(_deserialize, (_serialize(value), _travelling_objects(value)))
    return value


def _pack_model(model):
    """Return a model packed; what its config cannot carry goes into a file of Keras' own format."""
    try:
        arguments = pack(compile_arguments(model)) if model.compiled else None
        objects = _travelling_objects(model)
        if any(hasattr(layer, "adapt") for layer in _all_layers(model)):
            return PackedKerasObject(_restore_model_file, (_file_of(model), objects, arguments))
        config = _serialize(model)
        config.pop("compile_config", None)
        packed = PackedKerasObject(
            _restore_model, (config, objects, model.get_weights() if model.built else None, arguments)
        )
        if not _is_keras_throughout(list(model.layers)) or not are_keras([model]):
            packed.unpack()  # better refused now than when it is loaded
        return packed
    except (NotImplementedError, TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"The {type(model).__name__} cannot be copied or pickled ({error}). Give each class of your own a "
            "get_config() that returns all arguments of its __init__; what Keras itself cannot copy, build in a "
            "function."
        ) from error


def _travelling_objects(value):
    """Return the custom objects that a pickle needs: a lambda is in the config as a whole."""
    return {name: part for name, part in custom_objects(value).items() if part.__name__ != "<lambda>"}


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


def _restore_from_config(kind, config, told=None):
    value = kind.from_config(copy.deepcopy(config))
    vars(value).update(told or {})
    return value


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
    if not are_keras([value]):
        try:
            twin = _restore_from_config(type(value), config)
        except TypeError as error:
            raise TypeError(
                f"{type(value).__name__} does not come back from its get_config(): {error}. "
                "Give it one that returns all arguments of __init__."
            ) from error
        _check_alike(twin, value)
    return config


def _check_alike(twin, value):
    """Make sure that an object that came back from its config is the same to its user."""
    there = _plain_attributes(twin)
    lost = [key for key, shown in _plain_attributes(value).items() if there.get(key) != shown]
    if lost:
        raise TypeError(f"{type(value).__name__}.get_config() does not hold {lost}; give it one that does.")


def _plain_attributes(value):
    kinds = (bool, int, float, str, list, tuple, type(None))
    plain = {key: v for key, v in vars(value).items() if isinstance(v, kinds) and not key.startswith("_")}
    return {key: repr(v) for key, v in plain.items() if key != "name" and not holds_keras_object(v)}


def _told_later(value):
    """Return what an optimizer was told after it was made, such as names to exclude from weight decay."""
    told = {key: v for key, v in vars(value).items() if isinstance(v, set | re.Pattern) and v}
    return {key: set(v) if isinstance(v, set) else v for key, v in told.items()}
