"""Dropout and the learning rate of the default network follow the loss of rows that were not learned from."""

import keras
import numpy as np

from skml._networks._ensemble import set_rates

# The loss in training, with dropout, is kept at this share of the loss of other rows without.
_TARGET = 0.9

# How far the rates move in 100 updates when the loss is e times too high; all the way is 2.
_GAIN = 4.0

# A loss smaller by this share is progress; after so many updates without, the learning rate falls.
_PROGRESS = 0.003
_UPDATES_WITHOUT = 150

# The fall takes this share of the epochs before it, and at least so many updates.
_FALL = 1.0
_MIN_FALL = 150


class DropoutControl(keras.callbacks.Callback):
    """Lower the rates of dropout while a network underfits, and raise them while it learns by heart.

    Training starts with the highest rates. One number holds both: from 2 to 1 the input's rate falls to 0,
    from 1 to 0 that of the hidden layers. It falls while the loss in training is above 0.9 times
    ``val_loss``, the mean of the values before and after the epoch, and rises while it is below.

    Parameters
    ----------
    rates : dict
        The rates to start from.
    free : list of str
        Those that move.
    steps : int
        Updates of an epoch.
    """

    def __init__(self, rates, free, steps):
        super().__init__()
        self._rates = rates
        self._free = free
        self._steps = steps
        self._strength = 2.0
        self._before = None

    def on_epoch_end(self, epoch, logs=None):
        """Move the rates."""
        before, self._before = self._before, logs["val_loss"]
        if before is None:
            return
        excess = np.log(2 * logs["loss"] / (before + logs["val_loss"]) / _TARGET)
        if np.isfinite(excess):
            self._strength = float(np.clip(self._strength - _GAIN * self._steps / 100 * excess, 0, 2))
        shares = {"dropout": min(self._strength, 1.0), "input_dropout": max(self._strength - 1.0, 0.0)}
        rates = {name: rate * (shares[name] if name in self._free else 1) for name, rate in self._rates.items()}
        set_rates(self.model, **rates)


class Decay(keras.callbacks.Callback):
    """Hold the learning rate until ``val_loss`` makes no progress, then let it fall to 0 in a line, and stop.

    Parameters
    ----------
    peak : float
        The learning rate that is held.
    steps, epochs : int
        Updates of an epoch, and epochs in all.
    patience : int
        Epochs without progress that are borne at most.
    """

    def __init__(self, peak, steps, epochs, patience):
        super().__init__()
        self._peak = peak
        self._steps = steps
        self._epochs = epochs
        self._patience = min(max(2, -(-_UPDATES_WITHOUT // steps)), patience)
        self._n_done = 0
        self._best, self._when = np.inf, 0
        self._start = self._length = None

    def on_train_begin(self, logs=None):
        """Start at the peak."""
        self._own = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.model.optimizer.learning_rate = self._peak

    def on_epoch_end(self, epoch, logs=None):
        """Count progress, or lower the learning rate."""
        self._n_done += 1
        if logs["val_loss"] < self._best * (1 - _PROGRESS):
            self._best, self._when = logs["val_loss"], self._n_done
        if self._start is None:
            length = max(int(np.ceil(_FALL * self._n_done)), -(-_MIN_FALL // self._steps))
            is_over = self._n_done + length >= self._epochs
            if not is_over and self._n_done - self._when < self._patience:
                return
            self._start, self._length = self._n_done, length
        left = 1 - (self._n_done - self._start) / self._length
        self.model.optimizer.learning_rate = self._peak * max(left, 0.0)
        if left <= 0:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        """Give the optimizer its own learning rate back, for training that goes on."""
        self.model.optimizer.learning_rate = self._own
