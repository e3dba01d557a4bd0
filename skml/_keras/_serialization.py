"""Copies and pickles of Keras objects, also those with custom classes.

Keras rebuilds an object of a custom class only if the class was registered, and its own
``__deepcopy__`` and ``__reduce__`` fail or lose it otherwise. Here the classes travel with the object.
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

from skml._keras._environment import check_installed

# Pickles of custom networks, and of parameters that are objects of Keras, lead here.
check_installed("A custom network, or a parameter that is an object of Keras,", "tensorflow")

import keras  # noqa: E402
import numpy as np  # noqa: E402

from skml._keras._cache_keys import (  # noqa: E402
    SHARED_TYPES,
    all_layers,
    are_keras,
    custom_objects,
    custom_parts,
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
    # Nothing but what may fail stands inside: a "try" would be a line at which an error leaves the lock taken.
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

    def unpack(self, seed=0):
        """Return the object; `seed` is for layers that have no seed of their own."""
        with seeded_layers(seed):
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


def copy_model(model, seed=0):
    """Return a copy of a Keras model that starts from its weights and is compiled as it is.

    Its layers that have no seed of their own get theirs from `seed`.

    Raises
    ------
    TypeError
        If the model, or a layer of a custom class, does not come back from its ``get_config``.
    """
    twin = _pack_model(model, with_seeds=False).unpack(seed)
    for variable, original in zip(twin.variables, model.variables, strict=True):
        variable.trainable = original.trainable
    return twin


def copy_callback(callback):
    """Return a copy of a callback that knows no model.

    What a callback of a custom class holds is shared: a study, a logger or an open run has to be the one that
    the user looks at, and a copy of it may fail, or work on what nobody sees.
    """
    if not are_keras([callback]):
        twin = copy.copy(callback)
        keras.callbacks.Callback.set_model(twin, None)
        return twin
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
        objects = _travelling_objects(value) if isinstance(value, keras.Optimizer) else {}  # a custom schedule
        return PackedKerasObject(_restore_from_config, (type(value), _checked_config(value), set_later(value), objects))
    if isinstance(value, SHARED_TYPES) and not isinstance(value, keras.callbacks.Callback):
        return PackedKerasObject(_deserialize, (_serialize(value), _travelling_objects(value)))
    return value


def warn_unless_saved(model):
    """Warn if a model with custom classes cannot be saved, as far as that is known without making it again."""
    try:
        pickle.dumps(_travelling_objects(model))
        _serialize(model)
        with seeded_layers(), keras.saving.CustomObjectScope(custom_objects(model)):
            for part in custom_parts(model):
                if isinstance(part, keras.Layer):
                    # What is not an argument may be there only after build.
                    arguments = inspect.signature(type(part)).parameters
                    _check_alike(type(part).from_config(part.get_config()), part, arguments)
    except Exception as error:  # whatever a custom get_config may raise
        warnings.warn(
            f"The fitted estimator predicts, but cannot be saved with pickle or joblib ({_first_words(error)}). Define "
            "classes and functions of a network at the top of a module, and give each class a get_config() that "
            "returns all arguments of its __init__.",
            stacklevel=2,
        )


def _pack_model(model, with_seeds=True):
    """Return a model packed; what its config cannot carry goes into a file of Keras' own format."""
    try:
        arguments = pack(compile_arguments(model)) if model.compiled else None
        objects = _travelling_objects(model)
        seeds = [variable.numpy() for variable in _seeds_of(model)] if with_seeds else None
        if any(hasattr(layer, "adapt") for layer in all_layers(model)):
            return PackedKerasObject(_restore_model_file, (_file_of(model), objects, arguments, seeds))
        config = _serialize(model)
        config.pop("compile_config", None)
        weights = model.get_weights() if model.built else None
        packed = PackedKerasObject(_restore_model, (config, objects, weights, arguments, seeds))
        if not is_keras_throughout(list(model.layers)) or not are_keras([model]):
            _check_layers_alike(packed.unpack(), model)  # better refused now than when it is loaded
        return packed
    except (NotImplementedError, TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"The {type(model).__name__} cannot be copied or pickled ({_first_words(error)}). Give each custom "
            "class a get_config() that returns all arguments of its __init__; build what Keras itself cannot copy in a "
            "function."
        ) from error


def _first_words(error):
    """Return the message of an error without the examples that Keras adds."""
    return " ".join(str(error).strip().split("\n\n")[0].split())


def _seeds_of(model):
    """Return the states of seed generators: the variables that are no weights."""
    weights = {id(variable) for variable in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]


def _travelling_objects(value):
    """Return the custom objects that a pickle needs: a lambda is in the config as a whole."""
    return {name: part for name, part in custom_objects(value).items() if part.__name__ != "<lambda>"}


def _restore_model(config, objects, weights, arguments, seeds):
    model = _deserialize(config, objects)
    if weights is not None:
        if len(model.weights) < len(weights) and model.inputs:
            _build_sublayers(model)
        model.set_weights(weights)
    return _finished(model, arguments, seeds)


def _build_sublayers(model):
    """Let sublayers make their weights that do so in their first call, which a symbolic one may leave out."""
    from skml._keras._rows import batch_of  # TensorFlow, which clones and pickles do not need

    model(batch_of(np.zeros((1, *(size or 1 for size in model.inputs[0].shape[1:]))), model), training=False)


def _finished(model, arguments, seeds):
    """Return a restored model, compiled and with its seeds as they were."""
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
    return _finished(model, arguments, seeds)


def _restore_from_attributes(kind, attributes):
    # Where its class defines no get_config, a loss' config would forget the arguments that its class adds.
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
            twin = _restore_from_config(type(value), config, objects=custom_objects(value))
        except TypeError as error:
            raise TypeError(
                f"{type(value).__name__} does not come back from its get_config(): {error}. "
                "Give it one that returns all arguments of __init__."
            ) from error
        _check_alike(twin, value)
    return config


def _check_layers_alike(twin, model):
    """Make sure that the layers of custom classes came back as they were."""
    own = [[layer for layer in all_layers(m) if not is_keras(type(layer))] for m in (twin, model)]
    for layer, original in zip(*own, strict=True):
        _check_alike(layer, original)


def _check_alike(twin, value, names=None):
    """Make sure that an object that came back from its config is the same to its user, in some attributes or all."""
    there = _plain_attributes(twin)
    here = _plain_attributes(value)
    lost = [key for key, shown in here.items() if there.get(key) != shown and (names is None or key in names)]
    if lost:
        raise TypeError(f"{type(value).__name__}.get_config() does not hold {lost}; give it one that does.")


def _plain_attributes(value):
    made_by_keras = vars(keras.Model(name="bare"))  # such as built and stop_training
    attributes = {key: v for key, v in vars(value).items() if key not in made_by_keras and not key.startswith("_")}
    return {key: repr(v) for key, v in attributes.items() if key != "name" and _is_plain(v)}


def _is_plain(value):
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
