"""What a training leaves. Keras is not needed to load it."""

import dataclasses
from dataclasses import dataclass

import numpy as np


@dataclass
class OptimizerState:
    """State of an optimizer, for training that goes on."""

    description: str
    learning_rate: float
    values: list


@dataclass(frozen=True)
class TrainingResult:
    """What a training leaves.

    Parameters
    ----------
    network : DenseNetwork or KerasNetwork
    history : dict of list of float
        For each epoch the loss, metrics and their ``val_`` twins.
    kept_epoch : int
        The epoch, from 1, whose weights early stopping kept; the last without it.
    slots : OptimizerState or None
    scaler : DenseScaler, SparseScaler or None
    random_state : numpy.random.RandomState
        As training left it.
    callbacks : list of keras.callbacks.Callback
        The copies that it was trained with.
    """

    network: object
    history: dict
    kept_epoch: int
    slots: OptimizerState | None
    scaler: object
    random_state: np.random.RandomState
    callbacks: list = dataclasses.field(default_factory=list)

    @property
    def n_iter(self):
        """Number of epochs."""
        return len(self.history["loss"])

    def after(self, earlier):
        """Return this training as one that went on from an earlier one."""
        history = {name: earlier.history.get(name, []) + values for name, values in self.history.items()}
        return dataclasses.replace(self, history=history, kept_epoch=earlier.n_iter + self.kept_epoch)

    def only_predicting(self):
        """Return it without what only further training needs."""
        return dataclasses.replace(self, slots=None, scaler=None)
