"""Private and undocumented parts of Keras and TensorFlow that this package depends on.

They have no public equivalent. Each function says why it is needed and what breaks it; ``tests/keras/test_private.py``
fails if one of them changes. This module imports neither Keras nor TensorFlow, before a function is called.
"""

import inspect
import json
import os
import re
import sys
from pathlib import Path


def tensorflow_has_started():
    """Return whether TensorFlow has started its threads in this process. False if it is not imported.

    TensorFlow starts them at its first operation, not at import. No public function shows this without starting them.
    It breaks if the module, its variable ``_context`` or the attribute ``_initialized`` is renamed: a fork could then
    hang, or a fork in which training works would be refused.
    """
    module = sys.modules.get("tensorflow.python.eager.context")
    context = getattr(module, "_context", None)
    return context is not None and getattr(context, "_initialized", True)


def strategy_of(model):
    """Return the `tf.distribute` strategy of a Keras model.

    ``tf.distribute.get_strategy()`` is public, but returns the strategy of the current scope, not the strategy under
    which a model was made. It breaks if Keras renames the undocumented property.
    """
    return model.distribute_strategy


def resource_handle(variable):
    """Return the resource of a TensorFlow variable, which operations of ``tf.raw_ops`` read or update.

    Passing the resource in place of the value avoids a copy of the weights at each prediction and update. It breaks
    if TensorFlow renames the undocumented property.
    """
    return variable.handle


def variable_index(optimizer, variable):
    """Return the position of a variable among those on which a Keras optimizer was built.

    An optimizer gets the Keras variable or the TensorFlow variable, and only this method recognises both. It breaks if
    Keras renames the method, which all of its own optimizers call.
    """
    return optimizer._get_variable_index(variable)


def is_method_wrapper(value, kind):
    """Return whether an attribute of an instance is Keras' wrapper of a method of the class `kind`.

    Keras sets such a wrapper, of ``build`` for example, on each layer. It has the name and module of the method, but is
    not a function that a config or a pickle can refer to. It breaks if Keras no longer sets ``__wrapped__``:
    custom layers would then look as if they contained a function.
    """
    method = getattr(value, "__wrapped__", None)
    return inspect.ismethod(method) and method.__func__ is getattr(kind, method.__name__, None)


def attributes_outside_config(optimizer):
    """Return the attributes that ``Optimizer.exclude_from_weight_decay`` has set on a Keras optimizer.

    The config of an optimizer does not contain them. They are found by type: no other attribute of an optimizer is a
    non-empty set or a compiled pattern. It breaks if Keras stores them in another type: copies and pickles would lose
    them.
    """
    found = {name: value for name, value in vars(optimizer).items() if isinstance(value, set | re.Pattern) and value}
    return {name: set(value) if isinstance(value, set) else value for name, value in found.items()}


def keras_setting(name, default):
    """Return the setting of Keras, "backend" or "floatx", without importing Keras.

    Importing Keras takes seconds and imports its backend. Its file ``keras.json`` and its environment variables
    KERAS_HOME and KERAS_BACKEND are documented, but no public function reads them without the import. It breaks if
    Keras reads its settings from other places: an error about X could then come before one about the backend.
    """
    if "keras" in sys.modules:
        import keras  # waits for another thread that is just importing it

        return getattr(keras.config, name)()
    variable = os.environ.get(f"KERAS_{name.upper()}") if name == "backend" else None
    if variable:
        return variable
    home = Path.home()
    folder = os.environ.get("KERAS_HOME") or (home if os.access(home, os.W_OK) else Path("/tmp")) / ".keras"
    try:
        return json.loads(Path(folder, "keras.json").expanduser().read_text()).get(name, default)
    except (OSError, ValueError):
        return default
