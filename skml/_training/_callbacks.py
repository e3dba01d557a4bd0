"""Keras callbacks of the default network: adaptive dropout, the learning rate, early stopping."""

import keras
import numpy as np

from skml._keras._compiled_trainer import RoundCallback
from skml._keras._rows import as_array
from skml._keras_models._ensemble import set_rates

# A later epoch is as good if its loss is at most this factor above the best one; it is better calibrated.
_AS_GOOD = 1.02

# Dropout keeps the training loss at this fraction of the validation loss.
_TARGET = 0.9

# Change of the dropout strength in 100 updates if the loss is too high by a factor of e; the strength is at most 2.
_GAIN = 4.0

# A relative decrease of the loss that counts as progress; updates without progress after which the decay starts.
_PROGRESS = 0.003
_UPDATES_WITHOUT = 150

# The more rows, the longer a network goes on learning slowly.
_UPDATES_WITHOUT_IF_LONG = 2000

# Length of the decay: a fraction of the epochs before it, and at least this number of updates.
_DECAY = 1.0
_MIN_DECAY = 150


def default_callbacks(split, config, rates, n_rows, is_long):
    """Return the callbacks that follow the validation loss.

    They adapt the rates of the default network, stop training and restore the weights of the epoch to keep.

    Parameters
    ----------
    split : Split
    config : TrainingConfig
    rates : AdaptiveRates or None
        None for a custom network.
    n_rows : int
        Number of rows that an epoch trains on.
    is_long : bool
        Whether a pass over the rows has several rounds.
    """
    if split.validation is None:
        return []
    callbacks, patience = [], config.patience
    steps, rounds = config.rounds(n_rows)
    if rates is not None and rates.adaptive:
        callbacks.append(AdaptiveDropout(rates.values, rates.adaptive, steps))
    if rates is not None and rates.learning_rate is not None:
        peak = rates.learning_rate * (config.batch_size / 16) ** 0.5
        without = _UPDATES_WITHOUT_IF_LONG if is_long else _UPDATES_WITHOUT
        callbacks.append(PlateauThenLinearDecay(peak, steps, config.epochs * rounds, patience, without))
        patience = config.epochs  # the decay ends training
    if split.is_cross_fitted:
        return [*callbacks, KeepLastGoodWeights(patience)]
    return [*callbacks, keras.callbacks.EarlyStopping("val_loss", patience=patience, restore_best_weights=True)]


def kept_epoch(history, split):
    """Return the epoch, from 1, whose weights were kept; the last one without early stopping."""
    if split.validation is None:
        return len(history["loss"])
    losses = np.array(history["val_loss"])
    if split.is_cross_fitted:
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
        Number of epochs without such an epoch after which training stops.
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


class AdaptiveDropout(RoundCallback):
    """Lower the dropout rates while a network underfits, and raise them while it overfits.

    Training starts with the highest rates. A single strength moves both: from 2 to 1 the rate of the input falls to 0,
    from 1 to 0 the rate of the hidden layers. The strength falls while the training loss is above 0.9 times
    ``val_loss``, averaged over the values before and after the epoch, and rises otherwise.

    Parameters
    ----------
    rates : dict
        The initial rates.
    adaptive : tuple of str
        Names of the rates that may change.
    steps : int
        Updates of an epoch.
    """

    def __init__(self, rates, adaptive, steps):
        super().__init__()
        self._rates = rates
        self._adaptive = adaptive
        self._steps = steps
        self._strength = 2.0
        self._before = None

    def on_epoch_end(self, epoch, logs=None):
        """Change the rates."""
        before, self._before = self._before, logs["val_loss"]
        if before is None:
            return
        excess = np.log(2 * logs["loss"] / (before + logs["val_loss"]) / _TARGET)
        if np.isfinite(excess):
            self._strength = float(np.clip(self._strength - _GAIN * self._steps / 100 * excess, 0, 2))
        factors = {"dropout": min(self._strength, 1.0), "input_dropout": max(self._strength - 1.0, 0.0)}
        rates = {name: rate * (factors[name] if name in self._adaptive else 1) for name, rate in self._rates.items()}
        set_rates(self.model, **rates)


class PlateauThenLinearDecay(RoundCallback):
    """Keep the learning rate constant until ``val_loss`` plateaus, then decay it linearly to 0, and stop training.

    Parameters
    ----------
    peak : float
        The constant learning rate.
    steps, epochs : int
        Updates of an epoch, and the maximum number of epochs.
    patience : int
        The largest number of epochs without progress before the decay starts.
    updates_without : int
        Updates without progress after which it starts.
    """

    def __init__(self, peak, steps, epochs, patience, updates_without=_UPDATES_WITHOUT):
        super().__init__()
        self._peak = peak
        self._steps = steps
        self._epochs = epochs
        self._patience = min(max(2, -(-updates_without // steps)), patience)
        self._n_done = 0
        self._best, self._when = np.inf, 0
        self._start = self._length = None

    def on_train_begin(self, logs=None):
        """Set the constant learning rate."""
        self._own = float(as_array(self.model.optimizer.learning_rate))
        self.model.optimizer.learning_rate = self._peak

    def on_epoch_end(self, epoch, logs=None):
        """Count epochs without progress, or lower the learning rate."""
        self._n_done += 1
        if logs["val_loss"] < self._best * (1 - _PROGRESS):
            self._best, self._when = logs["val_loss"], self._n_done
        if self._start is None:
            length = max(int(np.ceil(_DECAY * self._n_done)), -(-_MIN_DECAY // self._steps))
            is_over = self._n_done + length >= self._epochs
            if not is_over and self._n_done - self._when < self._patience:
                return
            self._start, self._length = self._n_done, length
        left = 1 - (self._n_done - self._start) / self._length
        self.model.optimizer.learning_rate = self._peak * max(left, 0.0)
        if left <= 0:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        """Restore the optimizer's learning rate, for training that resumes."""
        self.model.optimizer.learning_rate = self._own


class EpochTaskCallback(keras.callbacks.Callback):
    """Report each epoch to scikit-learn's callbacks, and stop training if one of them asks for it.

    Parameters
    ----------
    listener : EpochListener
    result_so_far : callable
        ``result_so_far(model, history)`` returns the training result so far.
    """

    def __init__(self, listener, result_so_far):
        super().__init__()
        self._listener = listener
        self._result_so_far = result_so_far
        self._history = {}

    def on_epoch_begin(self, epoch, logs=None):
        """Report the begin of the epoch."""
        self._listener.begin_epoch()

    def on_epoch_end(self, epoch, logs=None):
        """Report the end of the epoch."""
        for name, value in logs.items():
            self._history.setdefault(name, []).append(value)
        if self._listener.end_epoch(lambda: self._result_so_far(self.model, self._history)):
            self.model.stop_training = True
