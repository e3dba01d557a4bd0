"""The default network as NumPy arrays: initial weights and the forward pass."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array, issparse
from scipy.special import erf, expit, log_expit, log_softmax, logsumexp, softmax

from skml._decisions._calibration import NOT_CALIBRATED, Calibration, calibration_of
from skml._targets._matrix import row_blocks

# Bytes of an input and an output of a layer in float64.
_ENTRY_BYTES = 16

# Larger batches are multiplied in the dtype of the network.
_MAX_EXACT_ROWS = 500

# For larger batches the members are computed one after the other.
_MAX_STACKED_ROWS = 32

# If the weights in float64 are larger, they are cast at each call and not kept.
_MAX_KEPT_BYTES = 2**25

# X is scaled in float64 if a column's mean exceeds this number of standard deviations: in float32 less than 4 digits
# of the difference would be left.
_MAX_OFFSET = 2**10

# In bulk, columns are shifted by the bias of the first layer if no mean exceeds this number of standard deviations, as
# the sums lose digits to the shift.
_MAX_FOLDED_OFFSET = 0.25

# In bulk, X is scaled by the kernel if all scales but 0 are in this range; others may leave the range of float32.
_FOLDED_SCALES = 2.0**-60, 2.0**60

# Standard deviation of the standard normal distribution truncated at two standard deviations.
_TRUNCATED_DEVIATION = 0.87962566103423978

# Constants of the activation "selu" (Klambauer et al., 2017).
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


class _Layers(NamedTuple):
    """Weights in the dtype of a product, and the shift and scale that X still needs."""

    kernel: np.ndarray
    bias: np.ndarray
    others: list[tuple[np.ndarray, np.ndarray, bool]]
    shift: np.ndarray | None
    scale: np.ndarray | None


@dataclass(frozen=True)
class DenseNetwork:
    """An ensemble of fully connected networks as arrays.

    A residual connection adds the input of a hidden layer to its output if both have the same width.

    Up to 500 rows are multiplied in float64, so that a prediction does not depend on the other rows of a batch: in
    float32, BLAS rounds differently for other numbers of rows. The product of sparse rows and the first kernel is a sum
    for each row, which needs no float64. More rows are multiplied in the dtype of the network, which is twice as fast,
    and the first kernel scales them, which saves passes over X in float64; a block of rows whose values are too large
    for that is multiplied again in float64.

    Parameters
    ----------
    weights : list of ndarray
        Kernels and biases of the layers in turn. The first layer has the units of all members side by side: shapes
        (n_features, n_members * units) and (n_members * units,). The other layers are stacked: shapes
        (n_members, inputs, units) and (n_members, units).
    activation : str
        A key of ``ACTIVATIONS``, applied after every layer but the last.
    output_activation : {"sigmoid", "softmax"}
    n_members : int, default=1
    shift, scale : ndarray of shape (n_features,), default=None
        The first layer gets ``(X - shift) * scale``; None omits the step. There is no shift for sparse rows.
    dropout, input_dropout : float, default=0.0
        Dropout rates, for training.
    sparse : bool, default=False
        Whether batches are sparse in training.
    row_dropout : float, default=0.0
        Fraction of the sparse rows that are set to 0 in training.
    calibration : Calibration, default=NOT_CALIBRATED
        Applied to the outputs of the network. Training does not use it.
    """

    weights: list
    activation: str
    output_activation: str
    n_members: int = 1
    shift: np.ndarray | None = None
    scale: np.ndarray | None = None
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
        """Number of units of each layer of a member, including the output layer."""
        return [bias.size // self.n_members for bias in self.weights[1::2]]

    @property
    def residuals(self):
        """For each hidden layer, whether its input is added to its output."""
        widths = self.widths[:-1]
        return [layer > 0 and width == widths[layer - 1] for layer, width in enumerate(widths)]

    def layers(self):
        """Yield ``(kernel, bias, has_residual)`` for each layer after the first.

        ``has_residual`` is true if the preceding layer, which is a hidden one, has a residual connection. A forward
        pass is a loop over these layers: activate the sums of the preceding layer, add its residual connection,
        multiply by the kernel.
        """
        yield from zip(self.weights[2::2], self.weights[3::2], self.residuals, strict=True)

    @property
    def dtype(self):
        """Floating dtype of the network."""
        return self.weights[0].dtype

    @property
    def input_dtype(self):
        """Floating dtype in which X is scaled: float64 if a column is too far from 0 for the dtype of the network."""
        if self.shift is None or not np.any(np.abs(self.shift) * self.scale > _MAX_OFFSET):
            return self.dtype
        return np.dtype(np.float64)

    @property
    def architecture(self):
        """Hashable key; equal for networks that differ only in the values of weights, scaling and rates."""
        has_rates = (self.dropout > 0, self.input_dropout > 0, self.row_dropout)
        kinds = (self.activation, self.output_activation, self.n_members, self.scale is not None, *has_rates)
        return (self.n_features, *self.widths, *kinds, self.sparse, self.dtype.name, self.input_dtype.name)

    def calibrated(self, Y, proba, how, sample_weight=None):
        """Return the network with a calibration fitted to its probabilities, and these probabilities calibrated.

        Parameters
        ----------
        Y, proba, how, sample_weight
            As in `calibration_of`.
        """
        calibration = calibration_of(Y, proba, how, self.output_activation, sample_weight)
        return replace(self, calibration=calibration), calibration.proba(proba, self.output_activation)

    def out_of_fold_proba(self, X, fold):
        """Return the probabilities of each row from the member of its fold; from all members if the fold is -1."""
        proba = np.empty((X.shape[0], self.widths[-1]), dtype=self.dtype)
        for j in np.unique(fold):
            network, rows = self if j < 0 else self.member(j), np.flatnonzero(fold == j)
            for block, part in network._blocks(X, network._proba, rows):
                proba[rows[block]] = part
        return proba

    def out_of_fold_average(self, X, fold):
        """Return what the average of all members would be for each row, had none of them learned from it.

        The log-odds of the member of its fold are known, and stand for the mean of all. Those of the others are spread
        as they are around their own mean: what a row has taught them moves them together, and hardly moves them apart.
        """
        proba = np.empty((X.shape[0], self.widths[-1]), dtype=self.dtype)
        for j in np.unique(fold):
            rows = np.flatnonzero(fold == j)
            for block, part in self._blocks(X, lambda logits, j=j: self._proba(_around_member(logits, j)), rows):
                proba[rows[block]] = part
        return proba

    def member(self, j):
        """Return member j as a network with one member."""
        width = self.widths[0]
        units = slice(j * width, (j + 1) * width)
        first = [self.weights[0][:, units], self.weights[1][units]]
        return replace(self, weights=[*first, *(w[[j]] for w in self.weights[2:])], n_members=1)

    def proba(self, X):
        """Return the probabilities of the output units, averaged over members, shape (n_samples, n_outputs)."""
        return self._joined(X, self._proba)

    def proba_blocks(self, X):
        """Yield the probabilities of the output units for blocks of rows in turn."""
        for _, proba in self._blocks(X, self._proba):
            yield proba

    def log_proba(self, X):
        """Return log-odds of sigmoid units, or log-probabilities of softmax units."""
        limit = np.finfo(self.dtype).max  # the logits of X with values of 1e38 may be infinite in this dtype
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
        """Yield blocks of some rows (default: all) as slices, and the result of `combine` for their logits."""
        n_rows, is_sparse = X.shape[0] if rows is None else len(rows), issparse(X)
        widest = self.n_members * max(self.widths)
        blocks = row_blocks(n_rows, widest if is_sparse else max(widest, X.shape[1]), _ENTRY_BYTES)
        layers = self._layers(n_rows, is_sparse)
        for block in blocks:
            part = X if rows is None and len(blocks) == 1 else X[block if rows is None else rows[block]]
            yield block, combine(self._finite_logits(part, layers)).astype(self.dtype, copy=False)

    def _layers(self, n_rows, is_sparse):
        """Return the layers in the dtype for a number of rows, as `_cast_layers` does.

        Layers in float64 are kept, as casting them takes longer than the prediction of a row.
        """
        if n_rows > _MAX_EXACT_ROWS:
            dtype = np.promote_types(self.dtype, np.float32)
            layers = self._cast_layers(dtype, dtype, is_sparse)
            return layers if is_sparse else self._folded(layers)
        kept = vars(self).setdefault("_kept", {})
        if is_sparse in kept:
            return kept[is_sparse]
        layers = self._cast_layers(self.dtype if is_sparse else np.float64, np.float64, is_sparse)
        weights = [layers.kernel, layers.bias, *(weight for *pair, _ in layers.others for weight in pair)]
        if sum(weight.nbytes for weight in weights if weight.dtype != self.dtype) <= _MAX_KEPT_BYTES:
            kept[is_sparse] = layers
        return layers

    def _cast_layers(self, first, dtype, is_sparse):
        """Return the weights with the first kernel in the dtype `first` and the others in `dtype`.

        The tuples ``(kernel, bias, has_residual)`` of the other layers are those of `layers`. They are not stacked if
        there is one member.
        """
        kernel, bias = self.weights[:2]
        if is_sparse and self.shift is not None:
            first = dtype = np.float64  # the shift may be much larger than the difference
            bias = bias - (self.shift * self.scale) @ kernel
        others = [
            (k.astype(dtype, copy=False), b.astype(dtype, copy=False), residual) for k, b, residual in self.layers()
        ]
        if self.n_members == 1:
            others = [(kernels[0], biases[0], has_residual) for kernels, biases, has_residual in others]
        else:
            others = [(kernels, biases[:, None], has_residual) for kernels, biases, has_residual in others]
        kernel, bias = kernel.astype(first, copy=False), bias.astype(dtype, copy=False)
        return _Layers(kernel, bias, others, self.shift, self.scale)

    def _folded(self, layers):
        """Return layers in float32 whose kernel scales X, and whose bias shifts it if its columns are near 0."""
        scale, shift, dtype = self.scale, self.shift, layers.kernel.dtype
        if scale is None or dtype == np.float64:
            return layers
        lowest, highest = _FOLDED_SCALES
        if np.any((scale != 0) & ((scale < lowest) | (scale > highest))):
            return layers
        kernel, bias = layers.kernel * scale.astype(dtype)[:, None], layers.bias
        if shift is not None and np.max(np.abs(shift) * scale) <= _MAX_FOLDED_OFFSET:
            bias, shift = (bias - shift @ kernel).astype(dtype), None
        return layers._replace(kernel=kernel, bias=bias, shift=shift, scale=None)

    def _finite_logits(self, X, layers):
        if layers[0].dtype == np.float64:
            return self._logits(X, layers)
        with np.errstate(over="ignore", invalid="ignore"):
            logits = self._logits(X, layers)
        if np.isfinite(logits).all():
            return logits
        return self._logits(X, self._cast_layers(np.float64, np.float64, issparse(X)))

    def _logits(self, X, layers):
        """Return the logits, shape (n_samples, n_outputs), with an axis of members in front if there are several."""
        kernel, bias, others, shift, scale = layers
        X = _scaled(X, kernel.dtype, shift, scale)
        if self.n_members > 1 and X.shape[0] > _MAX_STACKED_ROWS:
            return np.stack(list(self._logits_in_turn(X, layers)))
        sums = (X @ kernel).astype(bias.dtype, copy=False)
        sums += bias
        if self.n_members > 1:
            sums = sums.reshape(len(sums), self.n_members, -1).swapaxes(0, 1)
        return self._after_first(sums, others)

    def _logits_in_turn(self, X, layers):
        """Yield the logits of each member. One member at a time fits into the processor's cache."""
        kernel, bias, others, *_ = layers
        all_sums, width = X @ kernel if issparse(X) else None, self.widths[0]
        for j in range(self.n_members):
            units = slice(j * width, (j + 1) * width)
            sums = X @ kernel[:, units] if all_sums is None else all_sums[:, units]
            sums = sums.astype(bias.dtype, copy=False)
            sums += bias[units]
            member = [(kernels[j], biases[j], has_residual) for kernels, biases, has_residual in others]
            yield self._after_first(sums, member)

    def _after_first(self, sums, layers):
        """Return the logits from the sums of the first layer."""
        activate, hidden = ACTIVATIONS[self.activation], None
        for kernel, bias, has_residual in layers:
            outputs = activate(sums)
            hidden = outputs + hidden if has_residual else outputs
            sums = hidden @ kernel
            sums += bias
        return sums

    def scaled(self, X, dtype):
        """Return X scaled, in a dtype."""
        return _scaled(X, dtype, self.shift, self.scale)

    def __getstate__(self):
        state = vars(self).copy()  # copied first, as another thread that predicts may add the kept layers
        state.pop("_kept", None)
        return state


def _scaled(X, dtype, shift, scale):
    """Return X scaled, in the dtype of the first kernel; for another dtype, SciPy would cast the kernel."""
    if issparse(X):
        data = X.data.astype(dtype, copy=False)
        return _with_data(X, data if scale is None else data * scale.astype(dtype)[X.indices])
    if scale is not None:
        X = X.astype(np.float64, copy=False)  # float32 may lack the digits for a column far from 0
        X = X * scale if shift is None else (X - shift) * scale
    elif shift is not None:  # subtracted in float64 and rounded once, whatever the dtypes
        return np.subtract(X, shift, out=np.empty(X.shape, dtype), casting="same_kind")
    return X.astype(dtype, copy=False)


def _around_member(logits, j):
    """Return the logits of all members, the others moved so that their mean is that of member j, if there is one."""
    if j < 0:
        return logits
    if len(logits) == 2:  # one other member deviates from nothing
        return np.stack([logits[j]] * 2)
    others = np.arange(len(logits)) != j
    deviations = logits - logits[others].mean(axis=0)
    deviations[j] = 0
    # Member j is taken for the mean: the squares of the others have to make up for its own.
    return logits[j] + np.sqrt((len(logits) - 1) / (len(logits) - 2)) * deviations


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
    """Return CSR with other values at the same positions."""
    return csr_array((data, X.indices, X.indptr), shape=X.shape)


def initial_weights(widths, random_state, dtype, n_members=1, output_scale=1.0):
    """Return kernels from truncated normal distributions of variance 2 / inputs (He et al., 2015), and zero biases.

    Parameters
    ----------
    widths : list of int
        Number of features, of units of each hidden layer, and of outputs.
    random_state : numpy.random.RandomState
    dtype : numpy dtype
    n_members : int, default=1
    output_scale : float, default=1.0
        Factor of the kernel of the outputs.

    Returns
    -------
    list of ndarray
        Weights of a `DenseNetwork`.
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
    """Draw from a normal distribution truncated at two standard deviations; `deviation` is that of the result."""
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
    """Return log-odds of sigmoid units, or log-probabilities of softmax units, from logits."""
    return logits if output_activation == "sigmoid" else log_softmax(logits, axis=1)


def proba_of_logits(logits, output_activation):
    """Return the probabilities of sigmoid or softmax units from logits."""
    return expit(logits) if output_activation == "sigmoid" else softmax(logits, axis=-1)
