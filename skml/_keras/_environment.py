"""Whether this process can train."""

import importlib.util
import os
import sys

_MODULES = {"tensorflow": "tensorflow", "scikeras": "scikeras", "iterative-stratification": "iterstrat"}

_lost_threads = False


def check_installed(what, *packages):
    """Make sure that packages are there which the default network predicts without.

    Parameters
    ----------
    what : str
        What needs them.
    *packages : str
        Names by which pip knows them.

    Raises
    ------
    ModuleNotFoundError
        If one of them is not installed.
    """
    missing = [name for name in packages if importlib.util.find_spec(_MODULES[name]) is None]
    if missing:
        listed = " and ".join([", ".join(missing[:-1]), missing[-1]] if missing[1:] else missing)
        raise ModuleNotFoundError(f"{what} needs {listed}, not installed here: pip install {' '.join(missing)}")


def check_can_train():
    """Make sure that what training needs is installed, and that TensorFlow can work in this process.

    Raises
    ------
    ModuleNotFoundError
        If something is not installed.
    RuntimeError
        As `check_can_run`.
    """
    check_installed("Training", *_MODULES)
    check_can_run()


def check_can_run():
    """Make sure that TensorFlow can work in this process.

    Raises
    ------
    RuntimeError
        If Keras has another backend, or the process was forked from one in which TensorFlow had worked.
    """
    name = _backend()
    if name != "tensorflow":
        raise RuntimeError(
            f"Training, and predicting with a custom model, need the TensorFlow backend of Keras, but KERAS_BACKEND is "
            f"{name!r}. Set the environment variable KERAS_BACKEND=tensorflow before Keras is imported. (A fitted "
            "default network loads and predicts with any backend.)"
        )
    if _lost_threads:
        raise RuntimeError(
            "This process was forked from one in which TensorFlow had worked, and its threads do not live on in a "
            "fork: training, and predicting with a custom model, would wait for them forever. Start processes by "
            "joblib (loky) or multiprocessing.get_context('spawn'). (A fitted default network predicts here too.)"
        )


def _backend():
    """Return the backend of Keras."""
    named = os.environ.get("KERAS_BACKEND")
    if named and "keras" not in sys.modules:
        return named  # to import Keras fails where the backend is not installed
    import keras

    return keras.config.backend()


def _note_fork():
    global _lost_threads
    _lost_threads = _lost_threads or _has_worked()


def _has_worked():
    """Whether TensorFlow has started its threads, which it does at its first work and not at its import."""
    module = sys.modules.get("tensorflow.python.eager.context")
    context = getattr(module, "_context", None)
    return context is not None and getattr(context, "_initialized", True)


os.register_at_fork(after_in_child=_note_fork)
