"""Sessions of earlier fits, kept for the next fit of their kind."""

import contextlib
import os
import threading
from collections import OrderedDict


class TrainerPool:
    """Sessions of earlier fits, each lent to one fit at a time; the least recently used goes first.

    Parameters
    ----------
    max_sessions : int, default=8
    max_entries : int, default=2**25
        Weights and slots that idle sessions may hold in all; 128 MB in float32.
    """

    def __init__(self, max_sessions=8, max_entries=2**25):
        self._max_sessions = max_sessions
        self._max_cells = max_entries
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
        return len(sessions) > self._max_sessions or sum(s.n_entries for s in sessions) > self._max_cells

    def clear(self):
        """Forget all sessions."""
        with self._lock:
            self._idle.clear()

    def forget_after_fork(self):
        """Forget all sessions in a child process, whose threads and locks are not the parent's."""
        self._lock = threading.Lock()
        self._idle = OrderedDict()


pool = TrainerPool()
clear = pool.clear

os.register_at_fork(after_in_child=pool.forget_after_fork)
