"""Compiled trainers of previous fits, kept for later fits of the same kind."""

import contextlib
import os
import threading
from collections import OrderedDict

from skml._keras._environment import register_cache


class TrainerPool:
    """Idle compiled trainers by key; each is borrowed by one fit at a time.

    The least recently used trainer is dropped first.

    Parameters
    ----------
    max_trainers : int, default=8
    max_entries : int, default=2**25
        Largest total number of weights and optimizer values of idle trainers; 128 MB in float32.
    """

    def __init__(self, max_trainers=8, max_entries=2**25):
        self._max_trainers = max_trainers
        self._max_entries = max_entries
        self._idle = OrderedDict()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def borrow(self, key, make):
        """Borrow the trainer of a key for a ``with`` block; it is not returned to the pool after an error.

        Parameters
        ----------
        key : hashable or None
            None for a trainer that must not be kept.
        make : callable
            ``make()`` returns a new trainer, if there is none of the key.
        """
        with self._lock:
            stack = self._idle.get(key)
            trainer = stack.pop() if stack else None
            if stack == []:
                del self._idle[key]
        trainer = trainer or make()
        yield trainer
        if key is None:
            return
        with self._lock:
            self._idle.setdefault(key, []).append(trainer)
            self._idle.move_to_end(key)
            while self._is_too_full():
                oldest = next(iter(self._idle))
                self._idle[oldest].pop()
                if not self._idle[oldest]:
                    del self._idle[oldest]

    def _is_too_full(self):
        trainers = [trainer for stack in self._idle.values() for trainer in stack]
        n_entries = sum(trainer.n_entries for trainer in trainers)
        return len(trainers) > self._max_trainers or n_entries > self._max_entries

    def clear(self):
        """Drop all idle trainers."""
        with self._lock:
            self._idle.clear()

    def clear_after_fork(self):
        """Drop all idle trainers in a child process, where the parent's threads and locks are of no use."""
        self._lock = threading.Lock()
        self._idle = OrderedDict()


pool = TrainerPool()
register_cache(pool.clear)

os.register_at_fork(after_in_child=pool.clear_after_fork)
