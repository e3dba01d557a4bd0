"""Progress of training: Keras' progress bar in a terminal or notebook, one line for each epoch in a log file."""

import sys

import keras
import numpy as np


def shows_bar(verbose):
    """Return whether a progress bar is requested and can be drawn; a file would keep each of its states."""
    # As in Keras, except for a check that is true for every process on Linux.
    is_terminal = hasattr(sys.stdout, "isatty") and sys.stdout.isatty()
    return verbose == 1 and (is_terminal or "ipykernel" in sys.modules)


class EpochLines(keras.callbacks.Callback):
    """Print a line for each epoch, such as ``Epoch 3/20 - loss: 0.2134 - val_loss: 0.2415``."""

    def on_epoch_end(self, epoch, logs=None):
        """Print the line of an epoch."""
        values = [f"{name}: {_format(value)}" for name, value in logs.items()]
        print(" - ".join([f"Epoch {epoch + 1}/{self.params['epochs']}", *values]), flush=True)


def _format(value):
    if np.ndim(value):  # a metric with one value for each label
        return str(np.round(value, 4).tolist())
    return f"{value:.4f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.4e}"
