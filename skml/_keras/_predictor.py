"""Compiled forward passes of custom networks."""

import os
import threading
from collections import OrderedDict

import numpy as np
import tensorflow as tf

from skml._inputs import NamedArrays
from skml._keras._environment import register_cache
from skml._keras._private import resource_handle
from skml._keras._rows import BLOCK_ENTRIES, rows_of, specs_of, whole


class Predictor:
    """The compiled forward pass of an architecture.

    Parameters
    ----------
    model : keras.Model
    shared : bool
        Whether models with the same cache key use it. If so, the weights are arguments of the graph.
    """

    def __init__(self, model, shared):
        self._model = model
        self._shared = shared
        self._functions = {}

    def __call__(self, model, X, names=None):
        """Yield the outputs of `model` for blocks of rows, shape (n_rows, n_outputs); blocks bound the memory."""
        state = _state_of(model) if self._shared else []
        arrays = X.arrays.values() if isinstance(X, NamedArrays) else [X]
        block = max(1, BLOCK_ENTRIES // max(1, sum(int(np.prod(array.shape[1:])) for array in arrays)))
        for start in range(0, X.shape[0], block):
            rows = rows_of(X[start : start + block], model, names)
            yield self._function(rows.layout)(*rows.tensors, *state).numpy()

    def _function(self, layout):
        """Return the compiled forward pass for a layout of rows."""
        if layout not in self._functions:
            specs = specs_of(layout)
            state = [tf.TensorSpec((), tf.resource) for _ in self._model.variables]
            forward = tf.function(
                lambda *tensors: self._forward(layout, tensors[: len(specs)], tensors[len(specs) :]),
                autograph=False,
                input_signature=[*specs, *(state if self._shared else [])],
            )
            # A concrete function does not normalise its arguments, which would take longer than a small network.
            self._functions[layout] = forward.get_concrete_function()
        return self._functions[layout]

    def _forward(self, layout, tensors, state):
        batch = whole(layout, tensors)
        if not self._shared:
            return self._model(batch, training=False)
        model = self._model
        value = {id(variable): _read(handle, variable) for variable, handle in zip(model.variables, state, strict=True)}
        states = [[value[id(v)] for v in part] for part in (model.trainable_variables, model.non_trainable_variables)]
        return model.stateless_call(*states, batch, training=False)[0]


def _state_of(model):
    """Return the resources of a model's variables. Reading their values first takes longer than a small network."""
    return [resource_handle(variable.value) for variable in model.variables]


def _read(handle, variable):
    value = tf.raw_ops.ReadVariableOp(resource=handle, dtype=variable.value.dtype)
    value.set_shape(variable.shape)
    return value


_MAX_PREDICTORS = 16

# By cache key; the least recently used is dropped first.
_predictors: OrderedDict = OrderedDict()
_predictors_lock = threading.Lock()


def predictor(model, cache_key, copy_model):
    """Return the `Predictor` of a model.

    Parameters
    ----------
    model : keras.Model
    cache_key : hashable or None
        Models with the same key share a predictor; None for a predictor of this model alone.
    copy_model : callable
        Returns a copy of a model.
    """
    is_distributed = any(isinstance(v.value, tf.distribute.DistributedValues) for v in model.variables)
    if cache_key is None or is_distributed:
        return Predictor(model, shared=False)
    with _predictors_lock:
        if cache_key not in _predictors:
            # A copy, as the user may change the model.
            _predictors[cache_key] = Predictor(copy_model(model), shared=True)
        _predictors.move_to_end(cache_key)
        while len(_predictors) > _MAX_PREDICTORS:
            _predictors.popitem(last=False)
        return _predictors[cache_key]


def clear():
    """Drop the compiled forward passes that are kept for later predictions."""
    _predictors.clear()


register_cache(clear)

os.register_at_fork(after_in_child=clear)
