"""Length of training: epochs and batch size."""

from dataclasses import dataclass

import numpy as np

# Updates that training takes at most by default.
_UPDATES = 2000

# An epoch of more updates is long: there are fewer of them.
_LONG_EPOCH = 400

# Updates between two evaluations, at least, of an epoch that has twice as many.
_ROUND = 500

# Logits of a batch, of all members: the largest array in training, of which there are about ten (640 MB in all).
_MAX_LOGITS = 2**24


@dataclass(frozen=True)
class TrainingConfig:
    """Length and mode of training.

    Parameters
    ----------
    epochs, batch_size : int
    first_epoch : int
        Number of epochs of previous fits.
    patience : int
        Number of epochs without improvement after which training stops.
    round_steps : int
        Updates after which the validation loss is computed, and followed; 0 for those of an epoch.
    verbose : int
        As in ``keras.Model.fit``.
    jit_compile : bool
        Whether XLA compiles the training step.
    """

    epochs: int
    batch_size: int
    first_epoch: int = 0
    patience: int = 10
    round_steps: int = 0
    verbose: int = 0
    jit_compile: bool = False

    def rounds(self, n_rows):
        """Return the number of updates of a round, and the number of rounds of an epoch with some rows."""
        n_steps = -(-n_rows // self.batch_size)
        steps = self.round_steps or n_steps
        return steps, -(-n_steps // steps)


def training_config(params, n_rows, n_logits, first_epoch=0, is_partial_fit=False, n_rounds=None, n_members=1):
    """Return the `TrainingConfig` for the parameters of an estimator.

    Parameters
    ----------
    params : dict
    n_rows : float
        Effective number of training rows.
    n_logits : int
        Number of outputs of all members for a row.
    first_epoch : int, default=0
        Number of epochs of previous fits.
    is_partial_fit : bool, default=False
        Whether training takes a single epoch.
    n_rounds : int, default=None
        Number of rounds of a pass over rows that are not in memory, each of which is an epoch.
    n_members : int, default=1
    """
    batch_size = auto_batch_size(n_rows, n_logits) if params["batch_size"] == "auto" else int(params["batch_size"])
    epochs = auto_epochs(n_rows, batch_size, n_members) if params["epochs"] == "auto" else int(params["epochs"])
    return TrainingConfig(
        1 if is_partial_fit else epochs * (n_rounds or 1),
        batch_size,
        first_epoch,
        patience=params["n_iter_no_change"],
        round_steps=0 if n_rounds else auto_round_steps(n_rows, batch_size),
        verbose=int(params["verbose"]),
        jit_compile=params["jit_compile"],
    )


def auto_batch_size(n_rows, n_logits=1):
    """Return the power of two nearest to a thirtieth of the rows, within [32, 256].

    For many labels it is smaller, but at least 32, so that a batch has at most 16 million logits.
    """
    most = min(8, max(5, np.floor(np.log2(_MAX_LOGITS / n_logits))))
    return int(2 ** np.clip(np.round(np.log2(max(n_rows, 1) / 30)), 5, most))


def auto_round_steps(n_rows, batch_size):
    """Return the updates of a round, about 500, or 0 if an epoch has fewer than twice as many."""
    n_steps = np.ceil(n_rows / batch_size)
    n_rounds = n_steps // _ROUND
    return int(np.ceil(n_steps / n_rounds)) if n_rounds > 1 else 0


def auto_epochs(n_rows, batch_size, n_members=1):
    """Return the number of epochs that makes about 2,000 updates, within [20, 150].

    For a single member there are fewer than 20 of more than 400 updates: the updates of all epochs then grow with the
    square root of the number of rows.
    """
    steps = max(1, np.ceil(n_rows / batch_size))
    least = np.ceil(20 * min(1, _LONG_EPOCH / steps) ** 0.5) if n_members == 1 else 20
    return int(np.clip(np.ceil(_UPDATES / steps), least, 150))
