"""The default network as arrays: the weights to start from, and the forward pass of the trained one."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array, issparse
from scipy.special import erf, expit, log_expit, log_softmax, logsumexp, softmax

from skml._decisions._calibration import NOT_CALIBRATED, Calibration, calibration_of
from skml._targets._matrix import row_blocks

# Inputs and outputs of a layer, in float64.
_ENTRY_BYTES = 16

# Batches of more rows are multiplied in the dtype of the network.
_MAX_EXACT_ROWS = 500

# The members of batches of more rows are computed one after the other.
_MAX_STACKED_ROWS = 32

# A network whose weights in float64 are larger is cast at each call.
_MAX_KEPT_BYTES = 2**25

# Offsets of so many standard deviations are subtracted in float64: float32 would leave less than 4 digits of the rest.
_MAX_OFFSET = 2**10

# Standard deviation of a standard normal distribution that is cut off at 2.
_TRUNCATED_DEVIATION = 0.87962566103423978

# Of the activation "selu" (Klambauer et al., 2017).
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def _selu(x):
    return SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0)))


ACTIVATIONS = {
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: 0.5 * x * (1 + erf(x * 0.5**0.5)),
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

    Up to 500 rows every product is taken in float64: in float32 BLAS rounds a row differently when
    other rows stand beside it, and a prediction must not depend on its neighbours. The first layer of
    sparse rows is summed row by row and needs no such care. More rows are multiplied in the dtype of the
    network, twice as fast; those of a block whose values are too large for that in float64 again.

    Parameters
    ----------
    weights : list of ndarray
        Kernel and bias of each layer in turn. The first layer is that of all members side by side,
        (n_features, n_members * units) and (n_members * units,); the others are stacked,
        (n_members, inputs, units) and (n_members, units).
    activation : str
        A key of ``ACTIVATIONS``, applied after every layer but the last.
    output_activation : {"sigmoid", "softmax"}
    n_members : int, default=1
    shift, scale : ndarray of shape (n_features,), default=None
        A network gets ``(X - shift) * scale``; None leaves that out. Sparse rows have no shift.
    dropout, input_dropout : float, default=0.0
        Not used here; for training that goes on.
    sparse : bool, default=False
        Whether it was trained on sparse rows; for training that goes on.
    row_dropout : float, default=0.0
        Share of the sparse rows that are set to 0 in training that goes on.
    calibration : Calibration, default=NOT_CALIBRATED
        What the outputs go through at last; training goes on without it.
    """

    weights: list
    activation: str
    output_activation: str
    n_members: int = 1
    shift: np.ndarray = None
    scale: np.ndarray = None
    dropout: float = 0.0
    input_dropout: float = 0.0
    sparse: bool = False
    row_dropout: float = 0.0
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
        has_rates = (self.dropout > 0, self.input_dropout > 0, self.row_dropout)
        kinds = (self.activation, self.output_activation, self.n_members, self.scale is not None, *has_rates)
        return (self.n_features, *self.widths, *kinds, self.sparse, self.dtype.name, self.input_dtype.name)

    def calibrated(self, Y, proba, how, sample_weight=None):
        """Return the network with a calibration fitted to probabilities that it gave, and those as it gives them then.

        Parameters
        ----------
        Y, proba, how, sample_weight
            As `calibration_of` takes them.
        """
        calibration = calibration_of(Y, proba, how, self.output_activation, sample_weight)
        return replace(self, calibration=calibration), calibration.proba(proba, self.output_activation)

    def out_of_fold_proba(self, X, fold):
        """Return the probabilities of each row by the member of its fold, by all where that is -1."""
        proba = np.empty((X.shape[0], self.widths[-1]), dtype=self.dtype)
        for j in np.unique(fold):
            network, rows = self if j < 0 else self.member(j), np.flatnonzero(fold == j)
            for block, part in network._blocks(X, network._proba, rows):
                proba[rows[block]] = part
        return proba

    def member(self, j):
        """Return one member as a network of its own."""
        width = self.widths[0]
        own = slice(j * width, (j + 1) * width)
        first = [self.weights[0][:, own], self.weights[1][own]]
        return replace(self, weights=[*first, *(w[[j]] for w in self.weights[2:])], n_members=1)

    def proba(self, X):
        """Return the probabilities of the output units, the members' mean, shape (n_samples, n_outputs)."""
        return self._joined(X, self._proba)

    def proba_blocks(self, X):
        """Yield what `proba` returns, rows in turn."""
        for _, proba in self._blocks(X, self._proba):
            yield proba

    def log_proba(self, X):
        """Return log-odds of sigmoid units, or log-probabilities of softmax units."""
        limit = np.finfo(self.dtype).max  # X of 1e38 is in its range, the logits may not be
        return self._joined(X, lambda logits: np.clip(self._log_proba(logits), -limit, limit))

    def _proba(self, logits):
        if self.calibration.changes:
            return proba_of_logits(self._log_proba(logits), self.output_activation)
        proba = proba_of_logits(logits, self.output_activation)
        return proba if self.n_members == 1 else proba.mean(axis=0)

    def _log_proba(self, logits):
        if self.n_members == 1:
            scores = log_proba_of_logits(logits, self.output_activation)
        else:
            scores = _log_odds_of_mean(logits) if self.output_activation == "sigmoid" else _log_of_mean(logits)
        return self.calibration.log_proba(scores, self.output_activation) if self.calibration.changes else scores

    def _joined(self, X, combine):
        blocks = self._blocks(X, combine)
        rows, first = next(blocks)
        if len(first) == X.shape[0]:
            return first
        outputs = np.empty((X.shape[0], self.widths[-1]), dtype=self.dtype)
        outputs[rows] = first
        for rows, part in blocks:
            outputs[rows] = part
        return outputs

    def _blocks(self, X, combine, rows=None):
        """Yield slices of some rows, of all by default, and what `combine` makes of their logits."""
        n_rows, is_sparse = X.shape[0] if rows is None else len(rows), issparse(X)
        widest = self.n_members * max(self.widths)
        blocks = row_blocks(n_rows, widest if is_sparse else max(widest, X.shape[1]), _ENTRY_BYTES)
        layers = self._layers(n_rows, is_sparse)
        for block in blocks:
            part = X if rows is None and len(blocks) == 1 else X[block if rows is None else rows[block]]
            yield block, combine(self._finite_logits(part, layers)).astype(self.dtype, copy=False)

    def _layers(self, n_rows, is_sparse):
        """Return the layers for so many rows; those in float64, which take longer to cast than a row, are kept."""
        if n_rows > _MAX_EXACT_ROWS:
            dtype = np.promote_types(self.dtype, np.float32)
            return self._cast_layers(dtype, dtype, is_sparse)
        kept = vars(self).setdefault("_kept", {})
        if is_sparse in kept:
            return kept[is_sparse]
        layers = self._cast_layers(self.dtype if is_sparse else np.float64, np.float64, is_sparse)
        if sum(weight.nbytes for weight in layers if weight.dtype != self.dtype) <= _MAX_KEPT_BYTES:
            kept[is_sparse] = layers
        return layers

    def _cast_layers(self, first, dtype, is_sparse):
        """Return the weights in a dtype, the first kernel in one of its own; those of one member are not stacked."""
        kernel, bias, *others = self.weights
        if is_sparse and self.shift is not None:
            first = dtype = np.float64  # what the shift takes away may be much larger than what is left
            bias = bias - (self.shift * self.scale) @ kernel
        first = [kernel.astype(first, copy=False), bias.astype(dtype, copy=False)]
        others = [weight.astype(dtype, copy=False) for weight in others]
        if self.n_members == 1:
            return [*first, *(weight[0] for weight in others)]
        others[1::2] = [bias[:, None] for bias in others[1::2]]
        return [*first, *others]

    def _finite_logits(self, X, layers):
        if layers[0].dtype == np.float64:
            return self._logits(X, layers)
        with np.errstate(over="ignore", invalid="ignore"):
            logits = self._logits(X, layers)
        if np.isfinite(logits).all():
            return logits
        return self._logits(X, self._cast_layers(np.float64, np.float64, issparse(X)))

    def _logits(self, X, layers):
        """Return the logits, shape (n_samples, n_outputs), after an axis of members if there are several."""
        kernel, bias, *others = layers
        X = self.scaled(X, kernel.dtype)
        if self.n_members > 1 and X.shape[0] > _MAX_STACKED_ROWS:
            return np.stack(list(self._logits_in_turn(X, layers)))
        sums = (X @ kernel).astype(bias.dtype, copy=False)
        sums += bias
        if self.n_members > 1:
            sums = sums.reshape(len(sums), self.n_members, -1).swapaxes(0, 1)
        return self._after_first(sums, others)

    def _logits_in_turn(self, X, layers):
        """Yield the logits of each member: what one hands from layer to layer stays in the processor's cache."""
        kernel, bias, *others = layers
        all_sums, width = X @ kernel if issparse(X) else None, self.widths[0]
        for j in range(self.n_members):
            own = slice(j * width, (j + 1) * width)
            sums = X @ kernel[:, own] if all_sums is None else all_sums[:, own]
            sums = sums.astype(bias.dtype, copy=False)
            sums += bias[own]
            yield self._after_first(sums, [weight[j] for weight in others])

    def _after_first(self, logits, layers):
        """Return the logits from the sums of the first layer."""
        activate, hidden = ACTIVATIONS[self.activation], None
        for kernel, bias in zip(layers[::2], layers[1::2], strict=True):
            hidden = _with_residual(activate(logits), hidden)
            logits = hidden @ kernel
            logits += bias
        return logits

    def scaled(self, X, dtype):
        """Return what the first kernel, of that dtype, is multiplied by: SciPy would cast a kernel to that of X."""
        if issparse(X):
            data = X.data.astype(dtype, copy=False)
            return _with_data(X, data if self.scale is None else data * self.scale.astype(dtype)[X.indices])
        if self.scale is not None:
            X = X.astype(np.float64, copy=False)  # what is left of a column far from 0 has digits enough
            X = X * self.scale if self.shift is None else (X - self.shift) * self.scale
        return X.astype(dtype, copy=False)

    def __getstate__(self):
        state = vars(self).copy()  # at once: another thread may predict first, and keep
        state.pop("_kept", None)
        return state


def _with_residual(outputs, inputs):
    """Return what a hidden layer passes on: its input is added where the widths agree."""
    return outputs + inputs if inputs is not None and inputs.shape == outputs.shape else outputs


def _log_odds_of_mean(logits):
    """Return the log-odds of the mean over the first axis of the sigmoids of logits."""
    yes, no = expit(logits).mean(axis=0), expit(-logits).mean(axis=0)
    if min(yes.min(), no.min()) >= np.finfo(logits.dtype).tiny:
        return np.log(yes) - np.log(no)
    return logsumexp(log_expit(logits), axis=0) - logsumexp(log_expit(-logits), axis=0)


def _log_of_mean(logits):
    """Return the logarithm of the mean over the first axis of the softmax of logits."""
    proba = softmax(logits, axis=-1).mean(axis=0)
    if proba.min() >= np.finfo(logits.dtype).tiny:
        return np.log(proba)
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


def log_odds(proba):
    """Return log(p / (1 - p)) of probabilities inside (0, 1)."""
    return np.log(proba) - np.log1p(-proba)


def log_proba_of_logits(logits, output_activation):
    """Return what `DenseNetwork.log_proba` does from the logits of any network."""
    return logits if output_activation == "sigmoid" else log_softmax(logits, axis=1)


def proba_of_logits(logits, output_activation):
    """Return what `DenseNetwork.proba` does from the logits of any network."""
    return expit(logits) if output_activation == "sigmoid" else softmax(logits, axis=-1)
