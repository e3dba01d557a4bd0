"""Checks whether this process can train, and the caches of this package. Imports neither Keras nor TensorFlow."""

import os
from collections.abc import Callable

import numpy as np

from skml._dependencies import check_installed
from skml._keras._private import keras_setting, tensorflow_has_started

__all__ = [
    "check_can_load",
    "check_can_run",
    "check_can_train",
    "check_installed",
    "clear_caches",
    "floatx",
    "register_cache",
]

_TRAINING_PACKAGES = ("tensorflow", "scikeras", "iterative-stratification")

# TensorFlow's threads do not survive a fork: a child process that used TensorFlow again would wait forever.
_lost_threads = False

_cache_clearers: list[Callable[[], None]] = []


def check_can_load():
    """Check that pickles with Keras objects can be loaded.

    Raises
    ------
    ModuleNotFoundError
        If TensorFlow is not installed.
    """
    check_installed("A custom network, or a parameter that is a Keras object,", "tensorflow")


def check_can_train():
    """Check that the packages for training are installed and that TensorFlow works in this process.

    Raises
    ------
    ModuleNotFoundError
        If a package is not installed.
    RuntimeError
        As `check_can_run`.
    """
    check_installed("Training", *_TRAINING_PACKAGES)
    check_can_run()


def check_can_run():
    """Check that TensorFlow works in this process.

    Raises
    ------
    RuntimeError
        If Keras has another backend, or the process was forked from one that had used TensorFlow.
    """
    name = keras_setting("backend", "tensorflow")
    if name != "tensorflow":
        raise RuntimeError(
            "Training, and prediction with a custom model, require the TensorFlow backend of Keras, but KERAS_BACKEND "
            f"is {name!r}. Set the environment variable KERAS_BACKEND=tensorflow before Keras is imported. (A fitted "
            "default network can be loaded and can predict with any backend.)"
        )
    if _lost_threads:
        raise RuntimeError(
            "This process was forked from a process that had used TensorFlow. TensorFlow's threads do not survive a "
            "fork, so training, and prediction with a custom model, would wait forever. Start processes with joblib "
            "(backend loky) or multiprocessing.get_context('spawn'). (A fitted default network can predict here.)"
        )


def floatx():
    """Return the dtype in which Keras trains, without importing Keras."""
    return np.dtype(keras_setting("floatx", "float32"))


def register_cache(clear):
    """Register the function that empties a cache; `clear_caches` calls it."""
    _cache_clearers.append(clear)


def clear_caches():
    """Empty all registered caches. Caches of modules that are not imported yet are empty."""
    for clear in _cache_clearers:
        clear()


def _note_fork():
    global _lost_threads
    _lost_threads = _lost_threads or tensorflow_has_started()


os.register_at_fork(after_in_child=_note_fork)
