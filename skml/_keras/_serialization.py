"""Copies and pickles of Keras objects, including objects of custom classes.

Keras restores an object of a custom class only if the class is registered; without that, the methods ``__deepcopy__``
and ``__reduce__`` of Keras fail or lose the class. Here the classes are packed together with the object.
"""

import contextlib
import copy
import inspect
import pickle
import random
import tempfile
import threading
import warnings
from pathlib import Path

from skml._keras._environment import check_can_load

# Loading a pickle with a Keras object imports this module.
check_can_load()

import keras  # noqa: E402

from skml._keras._cache_keys import (  # noqa: E402
    SHARED_TYPES,
    all_layers,
    are_keras,
    custom_objects,
    custom_parts,
    is_keras,
    is_keras_throughout,
)
from skml._keras._private import attributes_outside_config  # noqa: E402

_seed_lock = threading.RLock()


@contextlib.contextmanager
def seeded_layers(seed=0):
    """Give layers that are created in a ``with`` block the same default seeds each time.

    Keras draws these seeds from Python's global ``random``, whose state is restored afterwards.
    """
    # Keep this body empty: an exception between taking the lock and entering a `try` block would never release it.
    with _seed_lock, _seeded(seed):
        yield


@contextlib.contextmanager
def _seeded(seed):
    state = random.getstate()
    try:
        random.seed(seed)
        yield
    finally:
        random.setstate(state)


class PackedKerasObject:
    """A Keras object in a form that can be pickled, with the custom classes that it needs.

    Parameters
    ----------
    restore : callable
        A function of this module that returns the object.
    state : tuple
        The arguments of `restore`.
    """

    def __init__(self, restore, state):
        self.restore = restore
        self.state = state

    def unpack(self, seed=0):
        """Return the object; `seed` seeds its layers without a seed."""
        with seeded_layers(seed):
            return self.restore(*self.state)


def map_leaves(function, value):
    """Return `value` with `function` applied to each item of the lists, tuples and dicts in it."""
    if type(value) in (list, tuple):
        return type(value)(map_leaves(function, item) for item in value)
    if type(value) is dict:
        return {key: map_leaves(function, item) for key, item in value.items()}
    return function(value)


def holds_keras_object(value):
    """Return whether `value` is or contains a Keras object. These cannot be deep-copied and are safe to share."""
    found = []
    map_leaves(lambda leaf: found.append(isinstance(leaf, SHARED_TYPES)), value)
    return any(found)


def pack(value):
    """Return `value` with every Keras object in it replaced by a `PackedKerasObject`."""
    return map_leaves(_pack_leaf, value)


def unpack(value):
    """Return `value` with every `PackedKerasObject` in it replaced by its Keras object."""
    return map_leaves(lambda leaf: leaf.unpack() if isinstance(leaf, PackedKerasObject) else leaf, value)


def copy_object(value):
    """Return a new copy of a loss, metric or optimizer; return any other value unchanged.

    Raises
    ------
    TypeError
        If an object of a custom class cannot be restored from its ``get_config``.
    """
    return unpack(_pack_leaf(value)) if isinstance(value, keras.Loss | keras.Metric | keras.Optimizer) else value


def copy_model(model, seed=0):
    """Return a copy of a Keras model with the same weights, compiled if the model is compiled.

    Layers without a seed are seeded by `seed`.

    Raises
    ------
    TypeError
        If the model or a layer of a custom class cannot be restored from its ``get_config``.
    """
    copied = _pack_model(model, with_seeds=False).unpack(seed)
    for variable, original in zip(copied.variables, model.variables, strict=True):
        variable.trainable = original.trainable
    return copied


def copy_callback(callback):
    """Return a copy of a callback, without a model.

    Objects that a callback of a custom class refers to are shared. The user looks at the study, logger or open run that
    was passed; a copy of it might fail, or collect results that nobody sees.
    """
    if not are_keras([callback]):
        copied = copy.copy(callback)
        keras.callbacks.Callback.set_model(copied, None)
        return copied
    model = callback.model
    try:
        # The memo makes deepcopy skip the model of a previous fit.
        return copy.deepcopy(callback, {} if model is None else {id(model): None})
    except Exception:  # files and locks, for example, cannot be deep-copied
        return copy.copy(callback)


def compile_args(model):
    """Return the arguments with which a model was compiled."""
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
        objects = _packed_classes(value) if isinstance(value, keras.Optimizer) else {}  # a custom schedule
        return PackedKerasObject(
            _restore_from_config, (type(value), _checked_config(value), attributes_outside_config(value), objects)
        )
    if isinstance(value, SHARED_TYPES) and not isinstance(value, keras.callbacks.Callback):
        return PackedKerasObject(_deserialize, (_serialize(value), _packed_classes(value)))
    return value


def warn_unless_saved(model):
    """Warn if a model with custom classes cannot be pickled, as far as this shows without restoring it."""
    try:
        pickle.dumps(_packed_classes(model))
        _serialize(model)
        with seeded_layers(), keras.saving.CustomObjectScope(custom_objects(model)):
            for part in custom_parts(model):
                if isinstance(part, keras.Layer):
                    # Other attributes may exist only after build.
                    arguments = inspect.signature(type(part)).parameters
                    _check_alike(type(part).from_config(part.get_config()), part, arguments)
    except Exception as error:  # a custom get_config may raise anything
        warnings.warn(
            "The fitted estimator can predict, but it cannot be saved with pickle or joblib "
            f"({_first_paragraph(error)}). Define the classes and functions of the network at the top level of a "
            "module, and give each class a get_config() that returns all arguments of its __init__.",
            stacklevel=2,
        )


def _pack_model(model, with_seeds=True):
    """Return a packed model; a model with adapted layers is packed as a file in the format of Keras."""
    try:
        arguments = pack(compile_args(model)) if model.compiled else None
        objects = _packed_classes(model)
        seeds = [variable.numpy() for variable in _seeds_of(model)] if with_seeds else None
        if any(hasattr(layer, "adapt") for layer in all_layers(model)):
            return PackedKerasObject(_restore_model_file, (_file_of(model), objects, arguments, seeds))
        config = _serialize(model)
        config.pop("compile_config", None)
        weights = model.get_weights() if model.built else None
        packed = PackedKerasObject(_restore_model, (config, objects, weights, arguments, seeds))
        if not is_keras_throughout(list(model.layers)) or not are_keras([model]):
            _check_layers_alike(packed.unpack(), model)  # so that packing fails, and not loading
        return packed
    except (NotImplementedError, TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"The model of class {type(model).__name__} cannot be copied or pickled ({_first_paragraph(error)}). Give "
            "each custom class a get_config() that returns all arguments of its __init__. If Keras itself cannot copy "
            "the model, pass a function that builds it."
        ) from error


def _first_paragraph(error):
    """Return the message of an error without the examples that Keras appends."""
    return " ".join(str(error).strip().split("\n\n")[0].split())


def _seeds_of(model):
    """Return the states of the seed generators: the variables of a model that are not weights."""
    weights = {id(variable) for variable in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]


def _packed_classes(value):
    """Return the custom classes and functions that a pickle needs; a config contains the code of a lambda."""
    return {name: part for name, part in custom_objects(value).items() if part.__name__ != "<lambda>"}


def _restore_model(config, objects, weights, arguments, seeds):
    model = _deserialize(config, objects)
    if weights is not None:
        if len(model.weights) < len(weights) and model.inputs:
            _build_sublayers(model)
        model.set_weights(weights)
    return _compiled_and_seeded(model, arguments, seeds)


def _build_sublayers(model):
    """Call a model once, as some sublayers create their weights only when they are called with values."""
    from skml._keras._rows import zeros_for  # imports TensorFlow, which clones and pickles do not need

    model(zeros_for(model), training=False)


def _compiled_and_seeded(model, arguments, seeds):
    """Return a restored model after compiling it and restoring its seeds."""
    if arguments is not None:
        model.compile(**unpack(arguments))
    if seeds is not None:
        for variable, value in zip(_seeds_of(model), seeds, strict=True):
            variable.assign(value)
    return model


def _file_of(model):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        return path.read_bytes()


def _restore_model_file(content, objects, arguments, seeds):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        path.write_bytes(content)
        model = keras.saving.load_model(path, custom_objects=objects, compile=False, safe_mode=False)
    return _compiled_and_seeded(model, arguments, seeds)


def _restore_from_attributes(kind, attributes):
    # Without a get_config of its class, the config of a loss lacks the arguments that the class adds.
    loss = kind.__new__(kind)
    vars(loss).update(attributes)
    return loss


def _restore_from_config(kind, config, attributes=None, objects=None):
    with keras.saving.CustomObjectScope(objects or {}):
        value = kind.from_config(copy.deepcopy(config))
    vars(value).update(attributes or {})
    return value


def _serialize(value):
    with warnings.catch_warnings():
        # A lambda is safe here: it comes from the user's memory, not from a file.
        warnings.filterwarnings("ignore", "The object being serialized includes a `lambda`")
        return keras.saving.serialize_keras_object(value)


def _deserialize(config, objects):
    return keras.saving.deserialize_keras_object(copy.deepcopy(config), custom_objects=objects, safe_mode=False)


def _checked_config(value):
    """Return the config of a loss, metric or optimizer, after a check that it is complete."""
    config = value.get_config()
    if not are_keras([value]):
        try:
            restored = _restore_from_config(type(value), config, objects=custom_objects(value))
        except TypeError as error:
            raise TypeError(
                f"{type(value).__name__} cannot be restored from its get_config(): {error}. Define a get_config() that "
                "returns all arguments of __init__."
            ) from error
        _check_alike(restored, value)
    return config


def _check_layers_alike(restored, model):
    """Check that the layers of custom classes in a restored model equal those of the original."""
    custom = [[layer for layer in all_layers(m) if not is_keras(type(layer))] for m in (restored, model)]
    for layer, original in zip(*custom, strict=True):
        _check_alike(layer, original)


def _check_alike(restored_value, value, names=None):
    """Check that a restored object has the same public attributes as the original: all, or some by name."""
    restored, original = _plain_attributes(restored_value), _plain_attributes(value)
    lost = [key for key, text in original.items() if restored.get(key) != text and (names is None or key in names)]
    if lost:
        raise TypeError(f"{type(value).__name__}.get_config() does not return {lost}. Add them to its result.")


def _plain_attributes(value):
    """Return the text of each public attribute with a plain value that Keras has not set itself."""
    set_by_keras = vars(keras.Model(name="bare"))  # such as built and stop_training
    attributes = {key: v for key, v in vars(value).items() if key not in set_by_keras and not key.startswith("_")}
    return {key: repr(v) for key, v in attributes.items() if key != "name" and _is_plain(v)}


def _is_plain(value):
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
