"""A trained custom network."""

import keras
import numpy as np

from skml._default_network._averages import log_odds, log_proba_of_logits, proba_of_logits
from skml._inputs import open_interval
from skml._keras._cache_keys import model_cache_key
from skml._keras._environment import check_can_run
from skml._keras._predictor import predictor
from skml._keras._serialization import copy_model, pack, unpack


def has_logits(loss):
    """Return whether a loss takes the outputs of a network for logits."""
    return bool(getattr(loss, "from_logits", False))


class KerasNetwork:
    """A trained custom network.

    Parameters
    ----------
    model : keras.Model
    output_activation : {"sigmoid", "softmax"}
        The activation that converts logits to probabilities.
    logits : bool
        Whether the model's outputs are logits.
    feature_names : sequence of str, default=None
        The names of the columns of X in fit, if it had any.
    """

    def __init__(self, model, output_activation, logits, feature_names=None):
        self.model = model
        self.output_activation = output_activation
        self.logits = logits
        self.feature_names = feature_names
        self._predictor = None

    @property
    def dtype(self):
        """Floating dtype of the network."""
        outputs = getattr(self.model, "outputs", None)
        return np.dtype(outputs[0].dtype if outputs else keras.config.floatx())

    def output_blocks(self, X):
        """Yield the outputs of the model for blocks of rows in turn, shape (n_rows, n_outputs)."""
        check_can_run()
        if self._predictor is None:
            self._predictor = predictor(self.model, model_cache_key(self.model), copy_model)
        return self._predictor(self.model, X, self.feature_names)

    def outputs(self, X):
        """Return the outputs of the model, shape (n_samples, n_outputs)."""
        return _joined(self.output_blocks(X))

    def proba_blocks(self, X):
        """Yield the probabilities of the output units for blocks of rows in turn."""
        for outputs in self.output_blocks(X):
            yield proba_of_logits(outputs, self.output_activation) if self.logits else check_outputs(outputs)

    def proba(self, X):
        """Return the probabilities of the output units, shape (n_samples, n_outputs)."""
        return _joined(self.proba_blocks(X))

    def log_proba(self, X):
        """Return log-odds of sigmoid units, or log-probabilities of softmax units."""
        if self.logits:
            return log_proba_of_logits(self.outputs(X), self.output_activation)
        proba = open_interval(self.proba(X))
        return log_odds(proba) if self.output_activation == "sigmoid" else np.log(proba)

    def __getstate__(self):
        return {**vars(self), "model": pack(self.model), "_predictor": None}

    def __setstate__(self, state):
        vars(self).update(state, model=unpack(state["model"]))


def _joined(blocks):
    blocks = list(blocks)
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def check_outputs(outputs):
    """Return the outputs of a network, clipped to [0, 1], after a check that they are probabilities."""
    tolerance = 1e-6
    if np.isnan(outputs).any():
        raise ValueError(
            "The network's outputs are NaN. Check that the values of X are finite and not too large for float32."
        )
    if outputs.size and not (outputs.min() >= -tolerance and outputs.max() <= 1 + tolerance):
        low, high = outputs.min(), outputs.max()
        raise ValueError(
            f"The network's outputs must be probabilities, but they range from {low:.3g} to {high:.3g}. Set "
            'activation=meta["output_activation_"] in its last layer, or compile it with a loss with from_logits=True.'
        )
    return np.clip(outputs, 0, 1)
