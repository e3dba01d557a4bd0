"""Training in TensorFlow: one graph runs a whole epoch, and later fits use it again.

``keras.Model.fit`` creates two data iterators for each epoch, dispatches every step from Python and traces every model
anew. Here one graph calls the model's ``train_step`` in a loop, on batches that it gathers from arrays in memory.
Compiled models are kept for later fits of the same kind.
"""

import functools
import itertools
import time

import keras
import numpy as np
import tensorflow as tf

from skml._keras._private import strategy_of
from skml._keras._progress import EpochLines, shows_bar
from skml._keras._rows import BLOCK_ENTRIES, as_array, gather, n_entries_of, specs_of
from skml._keras._workers import Workers

# Python can handle Ctrl-C between two calls of the graph only.
_SECONDS_PER_CALL = 0.3

_FIRST_BATCHES = 16

# Minimum number of entries that a row counts for in evaluation, because of its hidden units.
_MIN_ENTRIES = 2**10

_ALONE = Workers()

_BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)


class RoundCallback(keras.callbacks.Callback):
    """A callback whose ``on_epoch_end`` is called after each round of updates, of which a long epoch has several."""


class CompiledTrainer:
    """A compiled model with the graphs that train and evaluate it on data of one layout.

    Parameters
    ----------
    model : keras.Model
        A built and compiled model.
    layouts : tuple of Layout
        The layouts of X, Y and the sample weights.
    jit_compile : bool, default=False
        Whether XLA compiles the training step.
    workers : Workers, default=Workers()
        The processes that train the model together. The training step of the model combines their gradients.
    """

    def __init__(self, model, layouts, jit_compile=False, workers=_ALONE):
        self.model = model
        self.layouts = layouts
        self._workers = workers
        # Built here, as variables that are created inside a graph keep the graph alive.
        model.optimizer.build(model.trainable_variables)
        self._initial = [(variable, _constant_or_array(variable)) for variable in model.optimizer.variables]
        self._is_new = True
        self.n_entries = sum(int(np.prod(v.shape)) for v in [*model.variables, *model.optimizer.variables])
        train_step = tf.function(model.train_step, jit_compile=True) if jit_compile else model.train_step
        self._train = functools.cache(lambda: self._trace(train_step))
        self._test = functools.cache(lambda: self._trace(model.test_step))
        # Metrics create their variables in the first step, so that the graph can reset only the loss.
        self._resets_inside = len(model.metrics) == 1 and workers.is_alone

    def reset_optimizer(self, values=None):
        """Set the optimizer to the state of a new one, or to a state that `optimizer_state` returned."""
        if values is None and self._is_new:
            return
        values = [initial for _, initial in self._initial] if values is None else values
        for (variable, _), value in zip(self._initial, values, strict=True):
            variable.assign(np.broadcast_to(value, variable.shape))

    def optimizer_state(self):
        """Return the optimizer's variables as read-only arrays."""
        return [as_array(variable) for variable in self.model.optimizer.variables]

    def fit(self, data, rows, order, validation, config, callbacks):
        """Train the model for a number of epochs, each on all training rows in a new random order.

        Parameters
        ----------
        data : Data or iterator of Data
            All rows. Or an iterator that gives the rows of this process for each epoch, in the layouts of the trainer.
        rows : ndarray of int32
            Training rows; those of an iterator are all rows.
        order : callable
            ``order(rows, epoch)`` returns the rows in the random order of an epoch.
        validation : tuple (Data, list of ndarray of int32) or None
            Data to evaluate after each epoch, and groups of row indices; no batch mixes two groups.
        config : TrainingConfig
            Its batch_size, epochs, first_epoch, round_steps and verbose are used.
        callbacks : list of keras.callbacks.Callback

        Returns
        -------
        history : dict of str to list of float
        """
        self._is_new = False
        history, bar = keras.callbacks.History(), shows_bar(config.verbose)
        callbacks = [*callbacks, history, *([EpochLines()] if config.verbose and not bar else [])]
        reason = self._reason_against_loop(callbacks)
        if reason is None:
            try:
                self._train()
            except Exception as error:  # a custom train_step may raise anything
                reason = f"its training step cannot be traced ({type(error).__name__}: {error})"
        if reason is None:
            self._fit_looped(data, rows, order, validation, config, callbacks, bar)
        elif rows is None or not self._workers.is_alone:
            what = "Blocks of rows" if rows is None else "Several processes"
            raise ValueError(f"{what} cannot be trained by the loop of Keras, but {reason}.")
        else:
            if config.verbose:
                print(f"Training uses the loop of Keras, which is slower: {reason}.")
            self._fit_by_keras(data, rows, order, validation, config, callbacks, bar)
        return history.history

    def _reason_against_loop(self, callbacks):
        """Return why ``keras.Model.fit`` has to train the model, None if the graph can."""
        if self.model.run_eagerly:
            return "the model is compiled with run_eagerly=True"
        if tf.distribute.has_strategy() or strategy_of(self.model).num_replicas_in_sync > 1:
            return "a tf.distribute strategy is active"
        for callback in callbacks:
            for name in _BATCH_HOOKS:
                hook = getattr(callback, name)
                if getattr(hook, "__func__", None) is not getattr(keras.callbacks.Callback, name):
                    return f"the callback {type(callback).__name__} has the method {name}"
        return None

    def _trace(self, step):
        """Return a graph that calls `step` on the batches of some rows of data."""
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
        # A concrete function does not normalise its arguments at each call.
        return tf.function(run, autograph=False, input_signature=signature).get_concrete_function()

    def _reset_metrics(self):
        if not self._resets_inside:
            self.model.reset_metrics()

    def _fit_looped(self, data, rows, order, validation, config, callbacks, bar):
        model = self.model
        last_epoch = config.first_epoch + config.epochs
        n_steps = -(-(data.n_rows if rows is None else len(rows)) // config.batch_size)
        followers = keras.callbacks.CallbackList([c for c in callbacks if isinstance(c, RoundCallback)], model=model)
        callbacks = keras.callbacks.CallbackList(
            [c for c in callbacks if not isinstance(c, RoundCallback)],
            add_progbar=bar,
            verbose=int(bar),
            epochs=last_epoch,
            steps=n_steps,
            model=model,
        )
        evaluate = None if validation is None else self._evaluation(*validation, config.batch_size, callbacks)
        train = functools.partial(self._train_round, self._training(config.batch_size, rows is not None), evaluate)
        model.stop_training = False
        callbacks.on_train_begin()
        followers.on_train_begin()
        for epoch in range(config.first_epoch, last_epoch):
            callbacks.on_epoch_begin(epoch)
            logs, report = [], _bar_of(callbacks, n_steps, config) if bar else None
            for part, index in _rounds(data, rows, order, epoch, config):
                if logs:  # the round before is not the last one
                    followers.on_epoch_end(epoch, logs[-1])
                if model.stop_training:
                    break
                logs.append(train(part, index, report))
            part = None  # freed before the next one is made
            callbacks.on_epoch_end(epoch, _logs_of_epoch(logs))
            model.stop_training = any(self._workers.gather(model.stop_training))
            followers.on_epoch_end(epoch, logs[-1])
            if model.stop_training:
                break
        model.optimizer.finalize_variable_values(model.trainable_weights)
        callbacks.on_train_end(_logs_of_epoch(logs))
        followers.on_train_end(logs[-1])

    def _training(self, batch_size, holds_all_rows):
        """Return a function that trains the model on groups of rows and returns logs."""
        divide = functools.partial(self._batches, batch_size, holds_all_rows=holds_all_rows)
        # Processes match exchanges by calls of the graph. Calls of other lengths would wait for each other for ever.
        return _Runner(self._train(), divide, n_batches=None if self._workers.is_alone else 1)

    def _train_round(self, run, evaluate, data, index, report):
        """Train on some rows of data, evaluate, and return the logs of both."""
        self._reset_metrics()
        logs = self._logs_of_all(run(data, [index]))
        if report is not None:
            report(logs)
        return logs if evaluate is None else logs | evaluate()

    def _evaluation(self, data, groups, batch_size, callbacks):
        """Return a function that evaluates the model on groups of rows and returns logs with the prefix ``val_``."""
        entries = sum(n_entries_of(layout) for layout in self.layouts if layout is not None)
        size = max(batch_size, BLOCK_ENTRIES // max(entries, _MIN_ENTRIES))
        test = _Runner(self._test(), functools.partial(self._batches, size, holds_all_rows=True, drops_empty=True))

        def evaluate():
            self._reset_metrics()
            callbacks.on_test_begin()
            logs = self._logs_of_all(test(data, groups))
            callbacks.on_test_end(logs)
            return {f"val_{name}": value for name, value in logs.items()}

        return evaluate

    def _batches(self, batch_size, groups, *, holds_all_rows, drops_empty=False):
        """Return the rows of all batches, one after the other, and the positions at which batches begin and end."""
        if self._workers.is_alone:
            return np.concatenate(groups), _bounds(groups, batch_size)
        batches = self._workers.batches(groups, batch_size, holds_all_rows)
        sizes = [len(batch) for batch in batches if len(batch) or not drops_empty]
        return np.concatenate(batches), np.cumsum([0, *sizes], dtype=np.int32)

    def _logs_of_all(self, logs):
        """Return the loss and metrics of the rows of all processes; `logs` are those of the rows of this one."""
        if self._workers.is_alone:
            return logs
        variables = [variable for metric in self.model.metrics for variable in metric.variables]
        values = self._workers.gather([as_array(variable) for variable in variables])
        for variable, of_processes in zip(variables, zip(*values, strict=True), strict=True):
            variable.assign(np.sum(of_processes, axis=0, dtype=of_processes[0].dtype))
        return _numbers(self.model.get_metrics_result())

    def _fit_by_keras(self, data, rows, order, validation, config, callbacks, bar):
        # Drawn in advance, as Keras reads the first batch twice: to build the model and to train it.
        orders = [order(rows, epoch) for epoch in range(config.first_epoch, config.first_epoch + config.epochs)]

        n_replicas = strategy_of(self.model).num_replicas_in_sync
        batch_size = -(-config.batch_size // n_replicas) * n_replicas

        def dataset(data, orders):
            # Each replica gets the same number of rows of a batch.
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
            epochs=config.first_epoch + config.epochs,
            initial_epoch=config.first_epoch,
            callbacks=callbacks,
            verbose=int(bar),
            shuffle=False,
        )


def _rounds(data, rows, order, epoch, config):
    """Yield the data and the rows of each round of an epoch, in random order."""
    if rows is None:
        data = next(data)
        rows = np.arange(data.Y.n_rows, dtype=np.int32)
    rows = order(rows, epoch)
    size = config.round_steps * config.batch_size or len(rows)
    for start in range(0, len(rows), size):
        yield data, rows[start : start + size]


def _bar_of(callbacks, n_steps, config):
    """Return a function that moves the progress bar of an epoch after each round."""
    callbacks.on_train_batch_begin(0)
    done = itertools.accumulate(itertools.repeat(config.round_steps or n_steps))
    return lambda logs: callbacks.on_train_batch_end(min(next(done), n_steps) - 1, logs)


def _logs_of_epoch(logs):
    """Return the mean of the training loss and metrics of the rounds of an epoch, and the last evaluation."""
    if len(logs) == 1:
        return logs[0]
    means = {name: sum(entry[name] for entry in logs) / len(logs) for name in logs[0]}
    return means | {name: value for name, value in logs[-1].items() if name.startswith("val_")}


def _bounds(groups, batch_size):
    """Return the positions at which batches begin and end; no batch mixes two groups."""
    bounds, start = [0], 0
    for group in groups:
        bounds += [*range(start + batch_size, start + len(group), batch_size), start + len(group)]
        start += len(group)
    return np.array(bounds, dtype=np.int32)


def _numbers(tensors):
    return {name: np.asarray(value).tolist() for name, value in tensors.items()}


class _Runner:
    """Calls a graph on groups of rows, with a number of batches that takes about `_SECONDS_PER_CALL` for each call.

    Parameters
    ----------
    function : callable
    divide : callable
        ``divide(groups)`` returns rows, and the positions at which batches begin and end.
    n_batches : int, default=None
        Number of batches for each call in place of one that takes about that time.
    """

    def __init__(self, function, divide, n_batches=None):
        self._function = function
        self._divide = divide
        self._is_fixed = n_batches is not None
        self._n_batches = n_batches or _FIRST_BATCHES
        self._flags = tf.constant(False), tf.constant(True)

    def __call__(self, data, groups):
        tensors = data.tensors
        order, bounds = self._divide(groups)
        order = tf.convert_to_tensor(order)
        start, logs = 0, None
        while start < len(bounds) - 1:
            stop = start + self._n_batches
            logs = self._run(tensors, order, bounds[start : stop + 1], start == 0)
            start = stop
        return logs

    def _run(self, tensors, order, bounds, is_first):
        began = time.perf_counter()
        logs = self._function(order, tf.convert_to_tensor(bounds), self._flags[is_first], *tensors)
        logs = _numbers(logs)
        if not self._is_fixed:
            n_batches = (len(bounds) - 1) * _SECONDS_PER_CALL / (time.perf_counter() - began)
            self._n_batches = max(_FIRST_BATCHES, int(min(n_batches, 100 * self._n_batches)))
        return logs


def _constant_or_array(variable):
    """Return a variable's value, as a single number if all its elements are equal."""
    value = variable.numpy()
    return value.flat[0] if value.size and (value == value.flat[0]).all() else value
