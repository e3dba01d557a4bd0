"""Early stopping, and the epoch whose weights are kept."""

import keras
import numpy as np

from skml._keras._rows import as_array
from skml._keras_models._ensemble import set_rates

# An epoch whose loss is at most so many times the best one is as good, and later ones are better calibrated.
_AS_GOOD = 1.02


def default_callbacks(split, budget, rates):
    """Return the callbacks that follow the loss of rows that were not learned from.

    They move the rates of the default network, stop training, and restore the weights of the epoch that is kept.

    Parameters
    ----------
    split : Split
    budget : TrainingConfig
    rates : AdaptiveRates or None
        None for a custom network.
    """
    if split.watched is None:
        return []
    watchers, patience = [], budget.patience
    steps = -(-len(split.rows) // budget.batch_size)
    if rates is not None and rates.free:
        watchers.append(AdaptiveDropout(rates.values, rates.free, steps))
    if rates is not None and rates.learning_rate is not None:
        peak = rates.learning_rate * (budget.batch_size / 16) ** 0.5
        watchers.append(PlateauThenLinearDecay(peak, steps, budget.epochs, patience))
        patience = budget.epochs  # the fall of the learning rate ends training
    if split.cross_fitted:
        return [*watchers, KeepLastGoodWeights(patience)]
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


class KeepLastGoodWeights(keras.callbacks.Callback):
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


class AdaptiveDropout(keras.callbacks.Callback):
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


class PlateauThenLinearDecay(keras.callbacks.Callback):
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


class EpochTaskCallback(keras.callbacks.Callback):
    """Each epoch is a subtask of a fit, and what asks it to stop stops training.

    Parameters
    ----------
    task : FitTask
    trained : callable
        ``trained(model, history)`` returns what the training has left so far.
    """

    def __init__(self, task, trained):
        super().__init__()
        self._task = task
        self._trained = trained
        self._history = {}

    def on_epoch_begin(self, epoch, logs=None):
        """Begin a subtask."""
        self._task.begin_epoch()

    def on_epoch_end(self, epoch, logs=None):
        """End it."""
        for name, value in logs.items():
            self._history.setdefault(name, []).append(value)
        if self._task.end_epoch(lambda: self._trained(self.model, self._history)):
            self.model.stop_training = True
