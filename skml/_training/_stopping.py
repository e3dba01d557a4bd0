"""Early stopping, and the epoch whose weights are kept."""

import keras
import numpy as np

from skml._keras._rows import as_array
from skml._training._schedule import Decay, DropoutControl

# An epoch whose loss is at most so many times the best one is as good, and later ones are better calibrated.
_AS_GOOD = 1.02


def watchers_of(split, budget, rates):
    """Return the callbacks that follow the loss of rows that were not learned from.

    They move the rates of the default network, stop training, and restore the weights of the epoch that is kept.

    Parameters
    ----------
    split : Split
    budget : Budget
    rates : Rates or None
        None for a custom network.
    """
    if split.watched is None:
        return []
    watchers, patience = [], budget.patience
    steps = -(-len(split.rows) // budget.batch_size)
    if rates is not None and rates.free:
        watchers.append(DropoutControl(rates.values, rates.free, steps))
    if rates is not None and rates.learning_rate is not None:
        peak = rates.learning_rate * (budget.batch_size / 16) ** 0.5
        watchers.append(Decay(peak, steps, budget.epochs, patience))
        patience = budget.epochs  # the fall of the learning rate ends training
    if split.cross_fitted:
        return [*watchers, LastGoodEpoch(patience)]
    return [*watchers, keras.callbacks.EarlyStopping("val_loss", patience=patience, restore_best_weights=True)]


def kept_epoch(history, split):
    """Return the epoch, from 1, that the watchers of a training kept; the last without any."""
    if split.watched is None:
        return len(history["loss"])
    losses = np.array(history["val_loss"])
    if split.cross_fitted:
        (epochs,) = np.nonzero(losses <= _AS_GOOD * np.fmin.accumulate(losses))
    else:
        (epochs,) = np.nonzero(losses == np.fmin.reduce(losses))
        epochs = epochs[:1]
    return int(epochs[-1]) + 1 if len(epochs) else len(history["loss"])


class LastGoodEpoch(keras.callbacks.Callback):
    """Keep the weights of the last epoch whose ``val_loss`` is within 2 % of the best so far.

    Parameters
    ----------
    patience : int
        Training stops after so many epochs without one.
    """

    def __init__(self, patience):
        super().__init__()
        self._patience = patience
        self._best = np.inf
        self._waited = 0
        self._weights = None

    def on_epoch_end(self, epoch, logs=None):
        """Keep the weights, or count the epoch."""
        loss = logs["val_loss"]
        self._best = min(self._best, loss)
        self._waited += 1
        if loss <= _AS_GOOD * self._best:
            self._waited = 0
            self._weights = [as_array(variable) for variable in self.model.trainable_variables]
        if self._waited >= self._patience:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        """Restore the weights that were kept."""
        for variable, weight in zip(self.model.trainable_variables, self._weights or [], strict=False):
            variable.assign(weight)
