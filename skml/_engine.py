"""Training and prediction in TensorFlow: one trace runs a whole epoch, and serves later fits too.

``keras.Model.fit`` makes two data iterators an epoch, dispatches every step from Python and traces
anew for every model. Here the model's own ``train_step`` is looped inside one graph over batches that
the graph gathers from in-memory arrays, and compiled models are kept for the next fit of their kind.
"""

import contextlib
import functools
import os
import threading
import time
from collections import OrderedDict, namedtuple

import keras
import numpy as np
import tensorflow as tf
from scipy import sparse

# Between two calls of the graph Python can handle a Ctrl-C.
_SECONDS_PER_CALL = 0.3
_FIRST_BATCHES = 16
# Cells that one step of validation or prediction holds.
_CHUNK_CELLS = 2**22
# What a row counts for at least: its hidden units.
_MIN_CELLS = 2**10

_BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)

Layout = namedtuple("Layout", ["kind", "shape", "dtype", "stored"])
"""How rows lie in tensors: kind is "dense", "sparse" (batches are sparse) or "densified"."""


class Rows:
    """In-memory rows as tensors, from which a graph gathers batches.

    Parameters
    ----------
    array : ndarray of shape (n_samples, ...) or CSR
    dtype : str
        Of the batches. A smaller dtype of the array is kept in memory.
    sparse_batches : bool, default=False
        Whether batches of a CSR array are sparse tensors.
    """

    def __init__(self, array, dtype, sparse_batches=False):
        self.n_rows = array.shape[0]
        if sparse.issparse(array):
            kind = "sparse" if sparse_batches else "densified"
            index = np.int32 if array.nnz < 2**31 else np.int64
            parts = (array.data, array.indices.astype(np.int32, copy=False), array.indptr.astype(index, copy=False))
            self.tensors = tuple(tf.convert_to_tensor(part) for part in parts)
        else:
            kind = "dense"
            if array.size <= _CHUNK_CELLS and array.dtype.kind in "biu":
                array = array.astype(dtype)  # a cast in every step costs more than the memory is worth
            self.tensors = (tf.convert_to_tensor(array),)
        stored = (self.tensors[0].dtype.name, self.tensors[-1].dtype.name)
        self.layout = Layout(kind, tuple(array.shape[1:]), dtype, stored)


def _specs(layout):
    first, last = layout.stored
    if layout.kind == "dense":
        return (tf.TensorSpec((None, *layout.shape), first),)
    return tf.TensorSpec((None,), first), tf.TensorSpec((None,), "int32"), tf.TensorSpec((None,), last)


def _gather(layout, tensors, index):
    """Return the batch of the rows `index`; part of a graph."""
    if layout.kind == "dense":
        batch = tf.gather(tensors[0], index)
        return batch if batch.dtype == layout.dtype else tf.cast(batch, layout.dtype)
    values, columns, splits = tensors
    start = tf.gather(splits, index)
    length = tf.gather(splits, index + 1) - start
    before = tf.cumsum(length, exclusive=True)
    position = tf.range(tf.reduce_sum(length)) + tf.repeat(start - before, length)
    row = tf.repeat(tf.range(tf.size(index)), length)
    cells = tf.stack([row, tf.gather(columns, position)], axis=1)
    values = tf.cast(tf.gather(values, position), layout.dtype)
    if layout.kind == "sparse":
        shape = tf.stack([tf.size(index, tf.int64), layout.shape[0]])
        return tf.SparseTensor(tf.cast(cells, tf.int64), values, shape)
    batch = tf.scatter_nd(cells, values, tf.stack([tf.size(index), layout.shape[0]]))
    return tf.ensure_shape(batch, (None, *layout.shape))


class Data(namedtuple("Data", ["X", "Y", "weight"])):
    """Rows of X, of Y and of the sample weights (or None)."""

    @property
    def layouts(self):
        """Layout of each of the three."""
        return tuple(rows and rows.layout for rows in self)

    @property
    def tensors(self):
        """Tensors of all three."""
        return [tensor for rows in self if rows for tensor in rows.tensors]


class Session:
    """A compiled model and the graphs that train and evaluate it on one layout of data.

    Parameters
    ----------
    model : keras.Model
        Built and compiled.
    layouts : tuple of Layout
        Of X, Y and the sample weights.
    jit_compile : bool, default=False
        Whether XLA compiles the training step.
    """

    def __init__(self, model, layouts, jit_compile=False):
        self.model = model
        self.layouts = layouts
        # Slots that were made inside a graph would keep that graph alive.
        model.optimizer.build(model.trainable_variables)
        self._initial = [(variable, _constant_or_array(variable)) for variable in model.optimizer.variables]
        self._is_new = True
        self.n_cells = sum(int(np.prod(v.shape)) for v in [*model.variables, *model.optimizer.variables])
        train_step = tf.function(model.train_step, jit_compile=True) if jit_compile else model.train_step
        self._train = functools.cache(lambda: self._trace(train_step))
        self._test = functools.cache(lambda: self._trace(model.test_step))
        # The loss alone is reset inside the graph. Metrics make their variables in the first step.
        self._resets_inside = len(model.metrics) == 1

    def reset_optimizer(self, values=None):
        """Put the optimizer into the state of a new one, or into one that `optimizer_state` returned."""
        if values is None and self._is_new:
            return
        values = [initial for _, initial in self._initial] if values is None else values
        for (variable, _), value in zip(self._initial, values, strict=True):
            variable.assign(np.broadcast_to(value, variable.shape))

    def optimizer_state(self):
        """Return the optimizer's variables as read-only arrays."""
        return [as_array(variable) for variable in self.model.optimizer.variables]

    def fit(self, data, validation, plan, callbacks):
        """Train for a number of epochs, each on all rows in a new random order.

        Parameters
        ----------
        data : Data
        validation : tuple (Data, list of ndarray of int32) or None
            What to evaluate after each epoch, and on which rows; no batch joins rows of two arrays.
        plan : object
            Has rows, random_state, batch_size, epochs, first_epoch, verbose.
        callbacks : list of keras.callbacks.Callback

        Returns
        -------
        history : dict of list of float
        """
        self._is_new = False
        history = keras.callbacks.History()
        callbacks = [*callbacks, history]
        reason = self._why_not_looped(callbacks)
        if reason is None:
            try:
                self._train()
            except Exception as error:  # whatever a train_step of the user's own may raise
                reason = f"its training step cannot be traced ({type(error).__name__}: {error})"
        if reason is None:
            self._fit_looped(data, validation, plan, callbacks)
        else:
            if plan.verbose:
                print(f"Training in Keras' own loop: {reason}.")
            self._fit_by_keras(data, validation, plan, callbacks)
        return history.history

    def _why_not_looped(self, callbacks):
        if self.model.run_eagerly:
            return "the model is compiled with run_eagerly=True"
        if tf.distribute.has_strategy() or self.model.distribute_strategy.num_replicas_in_sync > 1:
            return "a tf.distribute strategy is in force"
        for callback in callbacks:
            for name in _BATCH_HOOKS:
                hook = getattr(callback, name)
                if getattr(hook, "__func__", None) is not getattr(keras.callbacks.Callback, name):
                    return f"{type(callback).__name__} has {name}"
        return None

    def _trace(self, step):
        """Return the graph that runs `step` over rows of data, in batches."""
        specs = [() if layout is None else _specs(layout) for layout in self.layouts]

        def reset():
            self.model.reset_metrics()
            return 0

        def run(order, bounds, is_first, *tensors):
            parts, tensors = [], list(tensors)
            for layout, spec in zip(self.layouts, specs, strict=True):
                if layout is not None:
                    parts.append((layout, [tensors.pop(0) for _ in spec]))
            n_batches = tf.size(bounds) - 1
            if self._resets_inside:
                tf.cond(is_first, reset, lambda: 0)

            def body(i):
                index = order[bounds[i] : bounds[i + 1]]
                step(tuple(_gather(layout, part, index) for layout, part in parts))
                return i + 1

            tf.while_loop(lambda i: i < n_batches, body, [0], parallel_iterations=1)
            return self.model.get_metrics_result()

        signature = [tf.TensorSpec((None,), "int32"), tf.TensorSpec((None,), "int32"), tf.TensorSpec((), "bool")]
        signature += [spec for part in specs for spec in part]
        # A concrete function spares the canonical form of arguments at every call.
        return tf.function(run, autograph=False, input_signature=signature).get_concrete_function()

    def _reset_metrics(self):
        if not self._resets_inside:
            self.model.reset_metrics()

    def _fit_looped(self, data, validation, plan, callbacks):
        model = self.model
        last_epoch = plan.first_epoch + plan.epochs
        n_steps = -(-len(plan.rows) // plan.batch_size)
        callbacks = keras.callbacks.CallbackList(
            callbacks,
            add_progbar=plan.verbose != 0,
            verbose=plan.verbose,
            epochs=last_epoch,
            steps=n_steps,
            model=model,
        )
        train = _Runner(self._train(), data, plan.batch_size)
        if validation is not None:
            validation_data, validation_rows = validation
            cells = sum(int(np.prod(layout.shape)) for layout in self.layouts if layout is not None)
            size = max(plan.batch_size, _CHUNK_CELLS // max(cells, _MIN_CELLS))
            test = _Runner(self._test(), validation_data, size)
        model.stop_training = False
        callbacks.on_train_begin()
        for epoch in range(plan.first_epoch, last_epoch):
            callbacks.on_epoch_begin(epoch)
            if plan.verbose:
                callbacks.on_train_batch_begin(0)
            self._reset_metrics()
            logs = train([plan.random_state.permutation(plan.rows)])
            if plan.verbose:
                callbacks.on_train_batch_end(n_steps - 1, logs)
            if validation is not None:
                self._reset_metrics()
                callbacks.on_test_begin()
                validation_logs = test(validation_rows)
                callbacks.on_test_end(validation_logs)
                logs |= {f"val_{name}": value for name, value in validation_logs.items()}
            callbacks.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        model.optimizer.finalize_variable_values(model.trainable_weights)
        callbacks.on_train_end(logs)

    def _fit_by_keras(self, data, validation, plan, callbacks):
        # Keras reads the first batch twice, once to build the model, so the orders are drawn before.
        orders = [plan.random_state.permutation(plan.rows) for _ in range(plan.epochs)]

        n_replicas = self.model.distribute_strategy.num_replicas_in_sync
        n_rows = len(plan.rows) // n_replicas * n_replicas  # each replica gets as many rows of a batch

        def dataset(data, orders):
            batches = [
                order[i : i + plan.batch_size] for order in orders for i in range(0, len(order), plan.batch_size)
            ]
            index = tf.data.Dataset.from_generator(lambda: batches, output_signature=tf.TensorSpec((None,), "int32"))
            return index.apply(tf.data.experimental.assert_cardinality(len(batches))).map(
                lambda index: tuple(_gather(rows.layout, rows.tensors, index) for rows in data if rows is not None)
            )

        self.model.fit(
            dataset(data, [order[:n_rows] for order in orders]),
            steps_per_epoch=-(-n_rows // plan.batch_size),
            validation_data=None if validation is None else dataset(*validation),
            epochs=plan.first_epoch + plan.epochs,
            initial_epoch=plan.first_epoch,
            callbacks=callbacks,
            verbose=plan.verbose,
            shuffle=False,
        )


class _Runner:
    """Calls a session's graph over all rows, for about `_SECONDS_PER_CALL` at a time."""

    def __init__(self, function, data, batch_size):
        self._function = function
        self._tensors = data.tensors
        self._batch_size = batch_size
        self._n_batches = _FIRST_BATCHES
        self._flags = tf.constant(False), tf.constant(True)

    def __call__(self, orders):
        order, bounds = tf.convert_to_tensor(np.concatenate(orders)), self._bounds(orders)
        start = 0
        while start < len(bounds) - 1:
            stop = start + self._n_batches
            logs = self._run(order, bounds[start : stop + 1], start == 0)
            start = stop
        return logs

    def _bounds(self, orders):
        """Return where batches begin and end; none joins rows of two orders."""
        bounds, start = [0], 0
        for order in orders:
            bounds += [*range(start + self._batch_size, start + len(order), self._batch_size), start + len(order)]
            start += len(order)
        return np.array(bounds, dtype=np.int32)

    def _run(self, order, bounds, is_first):
        began = time.perf_counter()
        logs = self._function(order, tf.convert_to_tensor(bounds), self._flags[is_first], *self._tensors)
        logs = {name: value.numpy().tolist() for name, value in logs.items()}
        n_batches = (len(bounds) - 1) * _SECONDS_PER_CALL / (time.perf_counter() - began)
        self._n_batches = max(_FIRST_BATCHES, int(min(n_batches, 100 * self._n_batches)))
        return logs


def as_array(variable):
    """Return a variable's value as a read-only array, without a copy.

    TensorFlow gives a variable new memory when it next changes while somebody still looks at the old.
    """
    return np.asarray(memoryview(tf.convert_to_tensor(variable.value)))


def _constant_or_array(variable):
    """Return a variable's value, as one number where all its elements agree."""
    value = variable.numpy()
    return value.flat[0] if value.size and (value == value.flat[0]).all() else value


class SessionPool:
    """Sessions of earlier fits, each lent to one fit at a time; the least recently used goes first.

    Parameters
    ----------
    max_sessions : int, default=8
    max_cells : int, default=2**25
        Weights and slots that idle sessions may hold in all; 128 MB in float32.
    """

    def __init__(self, max_sessions=8, max_cells=2**25):
        self._max_sessions = max_sessions
        self._max_cells = max_cells
        self._idle = OrderedDict()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def lend(self, key, make):
        """Lend the session of `key`, or a new one by ``make()``; after an error it is not taken back."""
        with self._lock:
            stack = self._idle.get(key)
            session = stack.pop() if stack else None
            if stack == []:
                del self._idle[key]
        session = session or make()
        yield session
        if key is None:
            return
        with self._lock:
            self._idle.setdefault(key, []).append(session)
            self._idle.move_to_end(key)
            while self._is_too_full():
                oldest = next(iter(self._idle))
                self._idle[oldest].pop()
                if not self._idle[oldest]:
                    del self._idle[oldest]

    def _is_too_full(self):
        sessions = [session for stack in self._idle.values() for session in stack]
        return len(sessions) > self._max_sessions or sum(s.n_cells for s in sessions) > self._max_cells

    def clear(self):
        """Forget all sessions."""
        with self._lock:
            self._idle.clear()

    def forget_after_fork(self):
        """Forget all sessions in a child process, whose threads and locks are not the parent's."""
        self._lock = threading.Lock()
        self._idle = OrderedDict()


class Predictor:
    """The compiled forward pass of one architecture, on any weights.

    Parameters
    ----------
    model : keras.Model
    shared : bool
        Whether models of the same description use it: then the weights are arguments of the graph.
    """

    def __init__(self, model, shared):
        self._model = model
        self._shared = shared
        self._functions = {}

    def __call__(self, model, X):
        """Return the outputs of `model`, shape (n_samples, n_outputs), in chunks of bounded memory."""
        state = _state_of(model) if self._shared else []
        chunk = max(1, _CHUNK_CELLS // int(np.prod(X.shape[1:])))
        outputs = []
        for start in range(0, X.shape[0], chunk):
            rows = rows_of(X[start : start + chunk], model)
            outputs.append(self._function(rows.layout)(*rows.tensors, *state).numpy())
        return np.concatenate(outputs) if len(outputs) > 1 else outputs[0]

    def _function(self, layout):
        if layout not in self._functions:
            specs = _specs(layout)
            state = [tf.TensorSpec((), tf.resource) for _ in self._model.variables]
            forward = tf.function(
                lambda *tensors: self._forward(layout, tensors[: len(specs)], tensors[len(specs) :]),
                autograph=False,
                input_signature=[*specs, *(state if self._shared else [])],
            )
            # A concrete function spares the canonical form of arguments, which costs more than a small network.
            self._functions[layout] = forward.get_concrete_function()
        return self._functions[layout]

    def _forward(self, layout, tensors, state):
        n_rows = tf.shape(tensors[-1])[0] - (0 if layout.kind == "dense" else 1)
        batch = tensors[0] if layout.kind == "dense" else _gather(layout, tensors, tf.range(n_rows))
        if batch.dtype != layout.dtype:
            batch = tf.cast(batch, layout.dtype)
        if not self._shared:
            return self._model(batch, training=False)
        model = self._model
        value = {id(variable): _read(handle, variable) for variable, handle in zip(model.variables, state, strict=True)}
        states = [[value[id(v)] for v in part] for part in (model.trainable_variables, model.non_trainable_variables)]
        return model.stateless_call(*states, batch, training=False)[0]


def _state_of(model):
    """Return what a graph reads the model's variables by; to read them before costs more than a small network."""
    return [variable.value.handle for variable in model.variables]


def _read(handle, variable):
    value = tf.raw_ops.ReadVariableOp(resource=handle, dtype=variable.value.dtype)
    value.set_shape(variable.shape)
    return value


def rows_of(X, model):
    """Return X as `Rows` in the dtype that the model's input has."""
    dtype, sparse_batches = keras.config.floatx(), False
    if getattr(model, "inputs", None):
        dtype, sparse_batches = model.inputs[0].dtype, model.inputs[0].sparse
    if X.dtype.kind == "f":
        X = X.astype(dtype, copy=False)
    elif X.dtype.kind in "OUS":
        dtype = "string"
    return Rows(X, dtype, sparse_batches)


def batch_of(X, model):
    """Return rows of X as the tensor that the model takes."""
    rows = rows_of(X, model)
    return _gather(rows.layout, rows.tensors, tf.range(rows.n_rows))


pool = SessionPool()
_MAX_PREDICTORS = 16
_predictors = OrderedDict()
_predictors_lock = threading.Lock()


def predictor(model, description, copy_model):
    """Return the `Predictor` of a model, shared with others of the same description if that is not None."""
    is_distributed = any(isinstance(v.value, tf.distribute.DistributedValues) for v in model.variables)
    if description is None or is_distributed:
        return Predictor(model, shared=False)
    with _predictors_lock:
        if description not in _predictors:
            _predictors[description] = Predictor(copy_model(model), shared=True)  # nobody changes the copy
        _predictors.move_to_end(description)
        while len(_predictors) > _MAX_PREDICTORS:
            _predictors.popitem(last=False)
        return _predictors[description]


def clear():
    """Forget every trace that is kept for later fits and predictions."""
    pool.clear()
    _predictors.clear()


os.register_at_fork(after_in_child=lambda: (pool.forget_after_fork(), _predictors.clear()))
