"""Training in TensorFlow: one trace runs a whole epoch, and serves later fits too.

``keras.Model.fit`` makes two data iterators an epoch, dispatches every step from Python and traces
anew for every model. Here the model's own ``train_step`` is looped inside one graph over batches that
the graph gathers from in-memory arrays, and compiled models are kept for the next fit of their kind.
"""

import functools
import time

import keras
import numpy as np
import tensorflow as tf

from skml._keras._progress import EpochLines, shows_bar
from skml._keras._rows import BLOCK_ENTRIES, as_array, gather, specs_of

# Between two calls of the graph Python can handle a Ctrl-C.
_SECONDS_PER_CALL = 0.3

_FIRST_BATCHES = 16

# What a row counts for at least: its hidden units.
_MIN_ENTRIES = 2**10

_BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)


class CompiledTrainer:
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
        # OptimizerState that were made inside a graph would keep that graph alive.
        model.optimizer.build(model.trainable_variables)
        self._initial = [(variable, _constant_or_array(variable)) for variable in model.optimizer.variables]
        self._is_new = True
        self.n_entries = sum(int(np.prod(v.shape)) for v in [*model.variables, *model.optimizer.variables])
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

    def fit(self, data, rows, validation, budget, random_state, callbacks):
        """Train for a number of epochs, each on all rows in a new random order.

        Parameters
        ----------
        data : Data
        rows : ndarray of int32
            The rows to train on.
        validation : tuple (Data, list of ndarray of int32) or None
            What to evaluate after each epoch, and on which rows; no batch joins rows of two arrays.
        budget : object
            Has batch_size, epochs, first_epoch and verbose.
        random_state : numpy.random.RandomState
            Draws the order of the rows.
        callbacks : list of keras.callbacks.Callback

        Returns
        -------
        history : dict of list of float
        """
        self._is_new = False
        history, bar = keras.callbacks.History(), shows_bar(budget.verbose)
        callbacks = [*callbacks, history, *([EpochLines()] if budget.verbose and not bar else [])]
        reason = self._why_not_looped(callbacks)
        if reason is None:
            try:
                self._train()
            except Exception as error:  # whatever a custom train_step may raise
                reason = f"its training step cannot be traced ({type(error).__name__}: {error})"
        if reason is None:
            self._fit_looped(data, rows, validation, budget, random_state, callbacks, bar)
        else:
            if budget.verbose:
                print(f"Training in Keras' own loop: {reason}.")
            self._fit_by_keras(data, rows, validation, budget, random_state, callbacks, bar)
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
        specs = [() if layout is None else specs_of(layout) for layout in self.layouts]

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
                step(tuple(gather(layout, part, index) for layout, part in parts))
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

    def _fit_looped(self, data, rows, validation, budget, random_state, callbacks, bar):
        model = self.model
        last_epoch = budget.first_epoch + budget.epochs
        n_steps = -(-len(rows) // budget.batch_size)
        callbacks = keras.callbacks.CallbackList(
            callbacks,
            add_progbar=bar,
            verbose=int(bar),
            epochs=last_epoch,
            steps=n_steps,
            model=model,
        )
        train = _Runner(self._train(), data, budget.batch_size)
        evaluate = None if validation is None else self._evaluation(*validation, budget.batch_size, callbacks)
        model.stop_training = False
        callbacks.on_train_begin()
        for epoch in range(budget.first_epoch, last_epoch):
            callbacks.on_epoch_begin(epoch)
            if bar:
                callbacks.on_train_batch_begin(0)
            self._reset_metrics()
            logs = train([random_state.permutation(rows)])
            if bar:
                callbacks.on_train_batch_end(n_steps - 1, logs)
            if evaluate is not None:
                logs |= evaluate()
            callbacks.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        model.optimizer.finalize_variable_values(model.trainable_weights)
        callbacks.on_train_end(logs)

    def _evaluation(self, data, orders, batch_size, callbacks):
        """Return a function that evaluates the model on rows of data; its logs are named ``val_``."""
        entries = sum(int(np.prod(layout.shape)) for layout in self.layouts if layout is not None)
        test = _Runner(self._test(), data, max(batch_size, BLOCK_ENTRIES // max(entries, _MIN_ENTRIES)))

        def evaluate():
            self._reset_metrics()
            callbacks.on_test_begin()
            logs = test(orders)
            callbacks.on_test_end(logs)
            return {f"val_{name}": value for name, value in logs.items()}

        return evaluate

    def _fit_by_keras(self, data, rows, validation, budget, random_state, callbacks, bar):
        # Keras reads the first batch twice, once to build the model, so the orders are drawn before.
        orders = [random_state.permutation(rows) for _ in range(budget.epochs)]

        n_replicas = self.model.distribute_strategy.num_replicas_in_sync
        batch_size = -(-budget.batch_size // n_replicas) * n_replicas

        def dataset(data, orders):
            # Each replica gets as many rows of a batch.
            orders = [order[: len(order) // n_replicas * n_replicas] for order in orders]
            batches = [order[i : i + batch_size] for order in orders for i in range(0, len(order), batch_size)]
            index = tf.data.Dataset.from_generator(lambda: batches, output_signature=tf.TensorSpec((None,), "int32"))
            return index.apply(tf.data.experimental.assert_cardinality(len(batches))).map(
                lambda index: tuple(gather(part.layout, part.tensors, index) for part in data if part is not None)
            )

        self.model.fit(
            dataset(data, orders),
            steps_per_epoch=-(-(len(rows) // n_replicas * n_replicas) // batch_size),
            validation_data=None if validation is None else dataset(*validation),
            epochs=budget.first_epoch + budget.epochs,
            initial_epoch=budget.first_epoch,
            callbacks=callbacks,
            verbose=int(bar),
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


def _constant_or_array(variable):
    """Return a variable's value, as one number where all its elements agree."""
    value = variable.numpy()
    return value.flat[0] if value.size and (value == value.flat[0]).all() else value
