"""Processes that train one model together: what each of them has to know of the others.

This module imports Keras and TensorFlow only in functions: most fits have a single process, and check their arguments
before the import.
"""

import functools
import os
import pickle
import sys
import threading

import numpy as np


class Workers:
    """The processes that train a model together under a ``tf.distribute.MultiWorkerMirroredStrategy``.

    All of them call the same methods in the same order, and wait for each other in each. As a context manager it waits
    for all to end, and raises an error in all if one of them has raised one.

    Parameters
    ----------
    strategy : tf.distribute.Strategy, default=None
        None if this process is alone.

    Attributes
    ----------
    rank : int
        The position of this process, from 0.
    count : int
        Number of processes.
    """

    def __init__(self, strategy=None):
        self.rank, self.count = 0, 1
        self._strategy = strategy
        if strategy is not None and strategy.num_replicas_in_sync > 1:
            token = os.urandom(16)
            tokens = self._gathered(token)
            self.rank, self.count = tokens.index(token), len(tokens)

    @property
    def is_alone(self):
        """Whether there is no other process."""
        return self.count == 1

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if self.is_alone or not (error is None or isinstance(error, Exception)):
            return
        if isinstance(error, _FailedElsewhere):
            raise RuntimeError(str(error)) from None
        from tensorflow.errors import OpError

        try:
            if error is None:
                self.gather(None)
            elif not isinstance(error, OpError):
                self._gathered(_Failure(f"{type(error).__name__}: {error}"))
        except _FailedElsewhere as other:
            raise RuntimeError(str(other)) from None
        except OpError as lost:
            error = error or lost
        if isinstance(error, OpError):
            raise RuntimeError(
                "Training by several processes has ended, because another process has ended or cannot be reached. "
                "Start all of them again."
            ) from error

    def gather(self, value):
        """Return the values of all processes, in the order of their ranks.

        Parameters
        ----------
        value : object
            Can be pickled.
        """
        if self.is_alone:
            return [value]
        values = self._gathered(value)
        for rank, failure in enumerate(values):
            if isinstance(failure, _Failure):
                raise _FailedElsewhere(f"Process {rank} of {self.count} that train together has failed. {failure.text}")
        return values

    def outside_scope(self, function):
        """Return ``function()``, called where no scope of a strategy holds: variables are then ordinary ones.

        A scope holds in a thread. As in every thread, no custom object scope of Keras holds in the new one.
        """
        if self._strategy is None:
            return function()
        import keras

        policy, outcome = keras.config.dtype_policy(), {}

        def call():
            keras.config.set_dtype_policy(policy)  # each thread has its own
            try:
                outcome["result"] = function()
            except BaseException as error:
                outcome["error"] = error

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        thread.join()
        if "error" in outcome:
            raise outcome["error"]
        return outcome["result"]

    def batches(self, groups, batch_size, holds_all_rows):
        """Return this process' rows of each batch.

        Parameters
        ----------
        groups : list of ndarray of int
            No batch mixes two groups.
        batch_size : int
            Rows of a batch, of all processes.
        holds_all_rows : bool
            Whether the groups are the rows of all processes, and this one takes its share of each batch; or they are
            its own, and it makes as many batches as the others.

        Returns
        -------
        list of ndarray of int
            There may be empty ones.
        """
        if holds_all_rows:
            starts = [(group, i) for group in groups for i in range(0, len(group), batch_size)]
            return [group[i : i + batch_size][self.rank :: self.count] for group, i in starts]
        (rows,) = groups
        n_batches = -(-len(rows) * self.count // batch_size)
        return np.array_split(rows, max(self.gather(n_batches)))

    def weighted_means(self, tensors, weight):
        """Return the means of tensors over all processes, inside a graph.

        Parameters
        ----------
        tensors : list of tf.Tensor or tf.IndexedSlices
            Those of a process of weight 0 may hold NaN. The indices of the slices that are returned are unique.
        weight : tf.Tensor of shape ()
            The weight of this process.
        """
        import tensorflow as tf

        def weighted(tensor):
            return tf.where(weight > 0, tensor, 0) * tf.cast(weight, tensor.dtype)

        is_sliced = [isinstance(tensor, tf.IndexedSlices) for tensor in tensors]
        dense = [tensor for tensor, sliced in zip(tensors, is_sliced, strict=True) if not sliced]
        flat = tf.concat([*(tf.reshape(weighted(t), [-1]) for t in dense), [tf.cast(weight, dense[0].dtype)]], axis=0)
        flat = self._strategy.run(_sum_over_processes, (flat,))
        total = tf.maximum(flat[-1], np.finfo(flat.dtype.as_numpy_dtype).tiny)
        parts = iter(tf.split(flat[:-1] / total, [tensor.shape.num_elements() for tensor in dense]))
        means = []
        for tensor, sliced in zip(tensors, is_sliced, strict=True):
            if not sliced:
                means.append(tf.reshape(next(parts), tensor.shape))
                continue
            indices = self._strategy.run(_all_of_processes, (tensor.indices,))
            values = self._strategy.run(_all_of_processes, (weighted(tensor.values) / total,))
            indices, position = tf.unique(indices)
            values = tf.math.unsorted_segment_sum(values, position, tf.size(indices))
            means.append(tf.IndexedSlices(values, indices, tensor.dense_shape))
        return means

    def _gathered(self, value):
        """Return the values of all processes, failures among them."""
        data = pickle.dumps(value)
        # Whole numbers of 8 bytes, as TensorFlow gathers no single bytes. The first is the number of the others.
        words = np.frombuffer(len(data).to_bytes(8, "little") + data + bytes(-len(data) % 8), np.int64)
        gathered, values = np.asarray(self._gather_words(words)), []
        while len(gathered):
            n_bytes = int(gathered[0])
            stop = 1 + -(-n_bytes // 8)
            values.append(pickle.loads(gathered[1:stop].tobytes()[:n_bytes]))
            gathered = gathered[stop:]
        return values

    @functools.cached_property
    def _gather_words(self):
        """One graph for all threads: the processes match the operations of graphs by the order of tracing."""
        import tensorflow as tf

        graph = tf.function(lambda words: self._strategy.run(_all_of_processes, (words,)), autograph=False)
        function = graph.get_concrete_function(tf.TensorSpec((None,), "int64"))
        return lambda words: function(tf.constant(words))


class _Failure:
    """In place of a value: this process has raised an error."""

    def __init__(self, text):
        self.text = text


class _FailedElsewhere(Exception):
    """Another process has raised an error."""


def _sum_over_processes(tensor):
    import tensorflow as tf

    # A copy, as only a tensor that is made under the strategy has a device.
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(tensor))


def _all_of_processes(tensor):
    import tensorflow as tf

    return tf.distribute.get_replica_context().all_gather(tf.identity(tensor), axis=0)


def current_workers():
    """Return the `Workers` of the strategy in whose scope this is called.

    Raises
    ------
    ValueError
        If a process has several devices.
    """
    if "tensorflow" not in sys.modules:
        return Workers()
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return Workers()
    devices = strategy.extended.worker_devices
    if len(devices) > 1:
        raise ValueError(
            f"Under MultiWorkerMirroredStrategy a process may have one device, but this one has {len(devices)}: "
            f"{list(devices)}. Start a process for each GPU, with its own CUDA_VISIBLE_DEVICES."
        )
    return Workers(strategy)
