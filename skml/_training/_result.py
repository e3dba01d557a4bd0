"""The result of training, and of a whole fit. Loading them needs no Keras."""

import dataclasses
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np

from skml._decisions._tuning import TunedThresholds
from skml._targets._encoder import TargetEncoder
from skml._training._seeds import Seeds
from skml._typing import Network, Scaler


@dataclass
class OptimizerState:
    """State of an optimizer, from which training can resume.

    Parameters
    ----------
    cache_key : str
        Tells whether a later fit has the same optimizer.
    learning_rate : float or None
        None for a schedule.
    values : list of ndarray
    """

    cache_key: str
    learning_rate: float | None
    values: list[np.ndarray]


@dataclass(frozen=True)
class TrainingResult:
    """The result of training a network.

    Parameters
    ----------
    network : Network
    history : dict of str to list of float
        For each epoch the loss, the metrics and their ``val_`` counterparts.
    kept_epoch : int
        The epoch, from 1, whose weights early stopping kept; the last one without early stopping.
    optimizer_state : OptimizerState or None
    scaler : Scaler or None
        Statistics of the training rows; None for a custom network and for ``scale=None``.
    seeds : Seeds
        Those of the first fit, which later ones continue.
    callbacks : list of keras.callbacks.Callback
        The copies of the user's callbacks that were used.
    """

    network: Network
    history: dict[str, list]
    kept_epoch: int
    optimizer_state: OptimizerState | None
    scaler: Scaler | None
    seeds: Seeds
    callbacks: list[Any] = dataclasses.field(default_factory=list)

    @property
    def n_iter(self) -> int:
        """Number of epochs."""
        return len(self.history["loss"])

    def with_other_members(self, network: Network) -> "TrainingResult":
        """Return this result for the network without some of its members; the optimizer's state starts anew."""
        state = self.optimizer_state
        state = None if state is None else dataclasses.replace(state, cache_key="", values=[])
        return dataclasses.replace(self, network=network, optimizer_state=state)

    def continuing(self, previous: "TrainingResult | None") -> "TrainingResult":
        """Return this result with the history of the training that it resumed."""
        if previous is None:
            return self
        history = {name: previous.history.get(name, []) + values for name, values in self.history.items()}
        return dataclasses.replace(self, history=history, kept_epoch=previous.n_iter + self.kept_epoch)


@dataclass(frozen=True)
class FittedModel:
    """Everything that a fit leaves on the estimator.

    Parameters
    ----------
    encoder : TargetEncoder
    network : Network
        The trained network, calibrated.
    thresholds : TunedThresholds
    training : TrainingResult
    keeps_optimizer_state : bool
        Whether pickles contain the state of the optimizer.
    oof_proba : ndarray of shape (n_samples, n_labels), or None
        Out-of-fold probabilities of the training rows. Not pickled.
    """

    encoder: TargetEncoder
    network: Network
    thresholds: TunedThresholds
    training: TrainingResult
    keeps_optimizer_state: bool
    oof_proba: np.ndarray | None = None

    @property
    def relevance(self) -> np.ndarray | None:
        """The relevance of the columns of X, None for a custom network and for ``scale=None``."""
        encoding = getattr(self.network, "encoding", None)
        return getattr(self.training.scaler if encoding is None else encoding, "relevance", None)

    def for_pickle(self) -> "FittedModel":
        """Return the model without out-of-fold probabilities and, unless it is to be kept, the optimizer's state."""
        callbacks = [callback for callback in self.training.callbacks if _can_be_pickled(callback)]
        training = dataclasses.replace(self.training, callbacks=callbacks)
        if not self.keeps_optimizer_state:
            training = dataclasses.replace(training, optimizer_state=None)
        return dataclasses.replace(self, training=training, oof_proba=None)


def _can_be_pickled(value):
    """Return whether a value pickles; a callback may hold an open file."""
    try:
        pickle.dumps(value)
    except Exception:  # whatever a custom class may raise
        return False
    return True
