"""The door from Keras' epochs to the tasks of scikit-learn's callbacks."""

import keras


class EpochTasks(keras.callbacks.Callback):
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
