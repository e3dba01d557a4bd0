"""The default network as arrays: the weights to start from, and the forward pass of the trained one."""

from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array, issparse
from scipy.special import erf, expit, log_expit, log_softmax, logsumexp, softmax

from skml._decisions._calibration import NOT_CALIBRATED, Calibration, calibration_of
from skml._targets._cells import row_blocks

# Inputs and outputs of a layer, in float64.
_CELL_BYTES = 16

# Offsets of so many standard deviations are subtracted in float64: float32 would leave less than 4 digits of the rest.
_MAX_OFFSET = 2**10

# Standard deviation of a standard normal distribution that is cut off at 2.
_TRUNCATED_DEVIATION = 0.87962566103423978


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


@dataclass(frozen=True)
class DenseNetwork:
    """Fully connected networks, the members of an ensemble, as arrays.

    Every product is taken in float64: in float32 BLAS rounds a row differently when other rows
    stand beside it, and a prediction must not depend on its neighbours. The first layer of sparse
    rows is summed row by row and needs no such care.

    Parameters
    ----------
    weights : list of ndarray
        Kernel and bias of each layer in turn. The first layer is that of all members side by side,
        (n_features, n_members * units) and (n_members * units,); the others are stacked,
        (n_members, inputs, units) and (n_members, units).
    activation : str
        A key of ``ACTIVATIONS``, applied after every layer but the last.
    head : {"sigmoid", "softmax"}
    n_members : int, default=1
    shift, scale : ndarray of shape (n_features,), default=None
        A network gets ``(X - shift) * scale``; None leaves that out. Sparse rows have no shift.
    dropout, input_dropout : float, default=0.0
        Not used here; for training that goes on.
    sparse : bool, default=False
        Whether it was trained on sparse rows; for training that goes on.
    emptied : float, default=0.0
        Share of the sparse rows that are emptied in training that goes on.
    calibration : Calibration, default=NOT_CALIBRATED
        What the outputs go through at last; training goes on without it.
    """

    weights: list
    activation: str
    head: str
    n_members: int = 1
    shift: np.ndarray = None
    scale: np.ndarray = None
    dropout: float = 0.0
    input_dropout: float = 0.0
    sparse: bool = False
    emptied: float = 0.0
    calibration: Calibration = NOT_CALIBRATED

    @property
    def n_features(self):
        """Number of columns of X."""
        return len(self.weights[0])

    @property
    def widths(self):
        """Units of each layer of a member, outputs included."""
        return [bias.size // self.n_members for bias in self.weights[1::2]]

    @property
    def dtype(self):
        """Floating dtype of the network."""
        return self.weights[0].dtype

    @property
    def input_dtype(self):
        """Floating dtype in which X is scaled: float64 where a column lies too far from 0 for that of the network."""
        if self.shift is None or not np.any(np.abs(self.shift) * self.scale > _MAX_OFFSET):
            return self.dtype
        return np.dtype(np.float64)

    @property
    def architecture(self):
        """What two networks have in common that differ in values only; hashable."""
        has_rates = (self.dropout > 0, self.input_dropout > 0, self.emptied)
        kinds = (self.activation, self.head, self.n_members, self.scale is not None, *has_rates)
        return (self.n_features, *self.widths, *kinds, self.sparse, self.dtype.name, self.input_dtype.name)

    def calibrated(self, Y, proba, how, sample_weight=None):
        """Return the network with a calibration fitted to probabilities that it gave, and those as it gives them then.

        Parameters
        ----------
        Y, proba, how, sample_weight
            As `calibration_of` takes them.
        """
        calibration = calibration_of(Y, proba, how, self.head, sample_weight)
        return replace(self, calibration=calibration), calibration.proba(proba, self.head)

    def out_of_fold_proba(self, X, fold):
        """Return the probabilities of each row by the member of its fold, by all where that is -1."""
        proba = np.empty((X.shape[0], self.widths[-1]), dtype=self.dtype)
        for j in np.unique(fold):
            rows = fold == j
            proba[rows] = (self if j < 0 else self.member(j)).proba(X[rows])
        return proba

    def member(self, j):
        """Return one member as a network of its own."""
        width = self.widths[0]
        own = slice(j * width, (j + 1) * width)
        first = [self.weights[0][:, own], self.weights[1][own]]
        return replace(self, weights=[*first, *(w[[j]] for w in self.weights[2:])], n_members=1)

    def proba(self, X):
        """Return the probabilities of the output units, the members' mean, shape (n_samples, n_outputs)."""
        if self.calibration.changes:
            return self._outputs(X, lambda logits: proba_of_logits(self._log_proba(logits), self.head))
        link = partial(proba_of_logits, head=self.head)
        return self._outputs(X, link if self.n_members == 1 else lambda logits: link(logits).mean(axis=0))

    def log_proba(self, X):
        """Return log-odds of sigmoid units, or log-probabilities of softmax units."""
        limit = np.finfo(self.dtype).max  # X of 1e38 is in its range, the logits may not be
        return self._outputs(X, lambda logits: np.clip(self._log_proba(logits), -limit, limit))

    def _log_proba(self, logits):
        if self.n_members == 1:
            scores = log_proba_of_logits(logits, self.head)
        else:
            scores = _log_odds_of_mean(logits) if self.head == "sigmoid" else _log_of_mean(logits)
        return self.calibration.log_proba(scores, self.head) if self.calibration.changes else scores

    def _outputs(self, X, combine):
        is_sparse = issparse(X)
        widest = self.n_members * max(self.widths)
        blocks = row_blocks(X.shape[0], widest if is_sparse else max(widest, X.shape[1]), _CELL_BYTES)
        weights = self._wide_weights(is_sparse)
        if len(blocks) == 1:
            return combine(self._logits(X, weights)).astype(self.dtype)
        outputs = np.empty((X.shape[0], self.widths[-1]), dtype=self.dtype)
        for rows in blocks:
            outputs[rows] = combine(self._logits(X[rows], weights))
        return outputs

    def _wide_weights(self, is_sparse):
        """Return the weights in float64, bar a first kernel for sparse rows; those of one member are not stacked."""
        kernel, bias, *others = self.weights
        bias = bias.astype(np.float64)
        if is_sparse and self.shift is not None:
            bias -= (self.shift * self.scale) @ kernel
        first = kernel if is_sparse else kernel.astype(np.float64)
        if self.n_members == 1:
            return [first, bias, *(weight[0].astype(np.float64) for weight in others)]
        others = [weight.astype(np.float64) for weight in others]
        others[1::2] = [bias[:, None] for bias in others[1::2]]
        return [first, bias, *others]

    def _logits(self, X, weights):
        """Return the logits, shape (n_samples, n_outputs), after an axis of members if there are several."""
        kernel, bias, *others = weights
        logits = (self.scaled(X) @ kernel).astype(np.float64, copy=False)
        logits += bias
        if self.n_members > 1:
            logits = logits.reshape(len(logits), self.n_members, -1).swapaxes(0, 1)
        activate, hidden = ACTIVATIONS[self.activation], None
        for kernel, bias in zip(others[::2], others[1::2], strict=True):
            hidden = _with_residual(activate(logits), hidden)
            logits = hidden @ kernel
            logits += bias
        return logits

    def scaled(self, X):
        """Return X as the first layer takes it."""
        if issparse(X):
            return X if self.scale is None else _with_data(X, X.data * self.scale.astype(X.dtype)[X.indices])
        X = X.astype(np.float64, copy=False)
        if self.scale is None:
            return X
        return X * self.scale if self.shift is None else (X - self.shift) * self.scale


def _with_residual(outputs, inputs):
    """Return what a hidden layer passes on: its input is added where the widths agree."""
    return outputs + inputs if inputs is not None and inputs.shape == outputs.shape else outputs


def _log_odds_of_mean(logits):
    """Return the log-odds of the mean over the first axis of the sigmoids of logits."""
    return logsumexp(log_expit(logits), axis=0) - logsumexp(log_expit(-logits), axis=0)


def _log_of_mean(logits):
    """Return the logarithm of the mean over the first axis of the softmax of logits."""
    return logsumexp(log_softmax(logits, axis=-1), axis=0) - np.log(len(logits))


def _with_data(X, data):
    """Return CSR with other values at the same places."""
    return csr_array((data, X.indices, X.indptr), shape=X.shape)


def initial_weights(widths, random_state, dtype, n_members=1, output_scale=1.0):
    """Return kernels from truncated normal distributions of variance 2 / inputs (He et al., 2015), and zero biases.

    Parameters
    ----------
    widths : list of int
        Features, units of each hidden layer, outputs.
    random_state : numpy.random.RandomState
    dtype : numpy dtype
    n_members : int, default=1
    output_scale : float, default=1.0
        What the kernel of the outputs is multiplied by.

    Returns
    -------
    list of ndarray
        As `DenseNetwork` holds them.
    """
    generator = np.random.default_rng(random_state.randint(2**31 - 1))
    n_features, *units = widths
    shapes = [(n_features, n_members * units[0]), (n_members * units[0],)]
    for fan_in, fan_out in pairwise(units):
        shapes += [(n_members, fan_in, fan_out), (n_members, fan_out)]
    weights = [np.zeros(shape, dtype) for shape in shapes]
    for kernel in weights[::2]:
        _fill_with_truncated_normal(kernel, np.sqrt(2 / kernel.shape[-2]), generator)
    weights[-2] *= weights[-2].dtype.type(output_scale)
    return weights


def _fill_with_truncated_normal(kernel, deviation, generator):
    """Draw from a normal distribution within two deviations; `deviation` is what is left after that cut."""
    flat = kernel.reshape(-1)
    generator.standard_normal(out=flat, dtype=kernel.dtype)
    (outside,) = np.nonzero(np.abs(flat) > 2)
    while outside.size:
        flat[outside] = generator.standard_normal(outside.size, dtype=kernel.dtype)
        outside = outside[np.abs(flat[outside]) > 2]
    flat *= deviation / _TRUNCATED_DEVIATION


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
    return expit(logits) if head == "sigmoid" else softmax(logits, axis=-1)
