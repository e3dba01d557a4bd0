"""The default network once it is trained: weights, and a forward pass in NumPy."""

from itertools import pairwise

import numpy as np
from scipy.sparse import issparse
from scipy.special import erf, expit, log_softmax, softmax
from sklearn.utils import gen_batches

# Cells of X or of a layer that one step of the forward pass holds, in float64: 8 MB.
_CHUNK_CELLS = 2**20


def _selu(x):
    return 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))


ACTIVATIONS = {
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: 0.5 * x * (1 + erf(x / np.sqrt(2))),
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0, out=x),
    "selu": _selu,
    "sigmoid": lambda x: expit(x, out=x),
    "silu": lambda x: x * expit(x),
    "softplus": lambda x: np.logaddexp(x, 0),
    "tanh": lambda x: np.tanh(x, out=x),
}


class DenseNetwork:
    """A fully connected network as arrays.

    Every product is taken in float64: in float32 BLAS rounds a row differently when other rows
    stand beside it, and a prediction must not depend on its neighbours. The first layer of sparse
    rows is summed row by row and needs no such care.

    Parameters
    ----------
    weights : list of ndarray
        Kernel and bias of each layer in turn, as Keras orders them.
    activation : str
        A key of ``ACTIVATIONS``, applied after every layer but the last.
    head : {"sigmoid", "softmax"}
    dropout : float, default=0.0
        Not used here; for training that goes on.
    sparse : bool, default=False
        Whether it was trained on sparse rows; for training that goes on.
    """

    def __init__(self, weights, activation, head, dropout=0.0, sparse=False):
        self.weights = weights
        self.activation = activation
        self.head = head
        self.dropout = dropout
        self.sparse = sparse

    def with_weights(self, weights):
        """Return the same network with other weights."""
        return DenseNetwork(weights, self.activation, self.head, self.dropout, self.sparse)

    @property
    def n_features(self):
        """Number of columns of X."""
        return len(self.weights[0])

    @property
    def widths(self):
        """Units of each layer, outputs included."""
        return [len(bias) for bias in self.weights[1::2]]

    @property
    def dtype(self):
        """Floating dtype of the network."""
        return self.weights[0].dtype

    def proba(self, X):
        """Return the probabilities of the output units, shape (n_samples, n_outputs)."""
        return self._outputs(X, expit if self.head == "sigmoid" else lambda z: softmax(z, axis=1))

    def log_proba(self, X):
        """Return log-odds of sigmoid units, or log-probabilities of softmax units."""
        return self._outputs(X, (lambda z: z) if self.head == "sigmoid" else lambda z: log_softmax(z, axis=1))

    def _outputs(self, X, link):
        is_sparse = issparse(X)
        chunk = max(1, _CHUNK_CELLS // max(1 if is_sparse else X.shape[1], *self.widths))
        weights = [weight.astype(np.float64) for weight in self.weights[1 if is_sparse else 0 :]]
        if is_sparse:
            weights.insert(0, self.weights[0])
        outputs = np.empty((X.shape[0], len(weights[-1])), dtype=self.dtype)
        for start in range(0, X.shape[0], chunk):
            outputs[start : start + chunk] = link(self._logits(X[start : start + chunk], weights))
        return outputs

    def _logits(self, X, weights):
        activate = ACTIVATIONS[self.activation]
        hidden = X if issparse(X) else X.astype(np.float64, copy=False)
        last = len(weights) - 2
        for i in range(0, len(weights), 2):
            hidden = (hidden @ weights[i]).astype(np.float64, copy=False)
            hidden += weights[i + 1]
            if i < last:
                hidden = activate(hidden)
        return hidden


def initial_weights(widths, random_state, dtype):
    """Return Glorot uniform kernels and zero biases (Glorot and Bengio, 2010).

    Parameters
    ----------
    widths : list of int
        Features, units of each hidden layer, outputs.
    random_state : numpy.random.RandomState
    dtype : numpy dtype
    """
    weights = []
    for fan_in, fan_out in pairwise(widths):
        limit = np.sqrt(6 / (fan_in + fan_out))
        kernel = np.empty((fan_in, fan_out), dtype)
        for rows in gen_batches(fan_in, max(1, _CHUNK_CELLS // fan_out)):  # the draws are float64
            kernel[rows] = random_state.uniform(-limit, limit, (rows.stop - rows.start, fan_out))
        weights += [kernel, np.zeros(fan_out, dtype)]
    return weights


_BOUNDS = {
    np.dtype(kind): (np.nextafter(kind(0), kind(1)), np.nextafter(kind(1), kind(0)))
    for kind in (np.float16, np.float32, np.float64)
}


def open_interval(proba):
    """Return probabilities inside (0, 1), by one unit in the last place of their dtype; in place."""
    low, high = _BOUNDS[proba.dtype]
    return np.minimum(np.maximum(proba, low, out=proba), high, out=proba)


def log_odds(proba):
    """Return log(p / (1 - p)) of probabilities inside (0, 1)."""
    return np.log(proba) - np.log1p(-proba)


def log_proba_of_logits(logits, head):
    """Return what `DenseNetwork.log_proba` does from the logits of any network."""
    return logits if head == "sigmoid" else log_softmax(logits, axis=1)


def proba_of_logits(logits, head):
    """Return what `DenseNetwork.proba` does from the logits of any network."""
    return expit(logits) if head == "sigmoid" else softmax(logits, axis=1)
