"""One random seed for each purpose, all derived from ``random_state``."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils import check_random_state

# The position of a purpose is part of its seed: append new ones, never reorder them.
_PURPOSES = ("folds", "weights", "order", "dropout", "sampling", "blocks", "buffer", "columns")

# Largest seed that Keras accepts everywhere.
_MAX_SEED = 2**31 - 1


@dataclass(frozen=True)
class Seeds:
    """The random numbers of a fit, by purpose and epoch.

    What is drawn for one purpose does not depend on what is drawn for another, and training that resumes at an epoch
    draws the same numbers as training that never stopped.

    Parameters
    ----------
    root : int
        The number from which all seeds are derived.
    """

    root: int

    @classmethod
    def new(cls, random_state):
        """Return the seeds of a first fit for the parameter ``random_state``."""
        return cls(int(check_random_state(random_state).randint(_MAX_SEED)))

    def folds(self, epoch):
        """Return the RandomState of folds and holdouts of a fit that begins at an epoch."""
        return self._generator("folds", epoch)

    def weights(self):
        """Return the RandomState of initial weights."""
        return self._generator("weights", 0)

    def order(self, rows, epoch):
        """Return the rows in the random order of an epoch."""
        return self._generator("order", epoch).permutation(rows)

    def dropout(self, n_layers, epoch):
        """Return a seed for each dropout layer of a fit that begins at an epoch."""
        return self._generator("dropout", epoch).randint(1, _MAX_SEED, size=n_layers)

    def sampling(self, epoch):
        """Return the RandomState that samples rows where all would be too many."""
        return self._generator("sampling", epoch)

    def block(self, number):
        """Return the RandomState that holds out a block, or some of its rows."""
        return self._generator("blocks", number)

    def buffer(self, epoch):
        """Return the RandomState that mixes blocks in a fit that begins at an epoch."""
        return self._generator("buffer", epoch)

    def columns(self):
        """Return the RandomState that samples rows for statistics of the columns."""
        return self._generator("columns", 0)

    def _generator(self, purpose, epoch):
        sequence = np.random.SeedSequence(self.root, spawn_key=(_PURPOSES.index(purpose), epoch))
        return np.random.RandomState(np.random.MT19937(sequence))
