"""Copies and pickles of Keras objects, also those with custom classes.

Keras rebuilds an object of a custom class only if the class was registered, and its own
``__deepcopy__`` and ``__reduce__`` fail or lose it otherwise. Here the classes travel with the object.
"""

import contextlib
import copy
import random
import tempfile
import threading
import warnings
from pathlib import Path

import keras

from skml._keras._descriptions import (
    SHARED_TYPES,
    all_layers,
    are_keras,
    custom_objects,
    is_keras,
    is_keras_throughout,
    set_later,
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
        If an object of a custom class does not come back from its ``get_config``.
    """
    return unpack(_pack_leaf(value)) if isinstance(value, keras.Loss | keras.Metric | keras.Optimizer) else value


def copy_model(model):
    """Return a copy of a Keras model that starts from its weights and is compiled as it is.

    Raises
    ------
    TypeError
        If the model, or a layer of a custom class, does not come back from its ``get_config``.
    """
    twin = _pack_model(model).unpack()
    for variable, original in zip(twin.variables, model.variables, strict=True):
        variable.trainable = original.trainable
    own = [[layer for layer in all_layers(m) if not is_keras(type(layer))] for m in (twin, model)]
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


def _pack_leaf(value):
    if isinstance(value, keras.Model):
        return _pack_model(value)
    if isinstance(value, keras.Loss) and type(value).get_config is keras.Loss.get_config:
        return PackedKerasObject(_restore_from_attributes, (type(value), dict(vars(value))))
    if isinstance(value, keras.Loss | keras.Metric | keras.Optimizer):
        return PackedKerasObject(_restore_from_config, (type(value), _checked_config(value), set_later(value)))
    if isinstance(value, SHARED_TYPES) and not isinstance(value, keras.callbacks.Callback):
        return PackedKerasObject(_deserialize, (_serialize(value), _travelling_objects(value)))
    return value


def _pack_model(model):
    """Return a model packed; what its config cannot carry goes into a file of Keras' own format."""
    try:
        arguments = pack(compile_arguments(model)) if model.compiled else None
        objects = _travelling_objects(model)
        if any(hasattr(layer, "adapt") for layer in all_layers(model)):
            return PackedKerasObject(_restore_model_file, (_file_of(model), objects, arguments))
        config = _serialize(model)
        config.pop("compile_config", None)
        packed = PackedKerasObject(
            _restore_model, (config, objects, model.get_weights() if model.built else None, arguments)
        )
        if not is_keras_throughout(list(model.layers)) or not are_keras([model]):
            packed.unpack()  # better refused now than when it is loaded
        return packed
    except (NotImplementedError, TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"The {type(model).__name__} cannot be copied or pickled ({error}). Give each custom class a "
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
    # Where its class defines no get_config, a loss' config would forget the arguments that its class adds.
    loss = kind.__new__(kind)
    vars(loss).update(attributes)
    return loss


def _restore_from_config(kind, config, told=None):
    value = kind.from_config(copy.deepcopy(config))
    vars(value).update(told or {})
    return value


def _serialize(value):
    with warnings.catch_warnings():
        # A lambda is fine here: it comes back from the user's own memory, not from a stranger's file.
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
