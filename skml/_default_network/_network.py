"""The default network as NumPy arrays: initial weights and the forward pass."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.sparse import issparse

from skml._decisions._calibration import NOT_CALIBRATED, Calibration, calibration_of
from skml._default_network._activations import ACTIVATIONS
from skml._default_network._averages import (
    around_known,
    log_odds_of_mean,
    log_of_mean,
    log_proba_of_logits,
    mean_of_members,
    proba_of_logits,
)
from skml._default_network._encoding import ColumnEncoding
from skml._default_network._scaling import fits_float32, scaled_input
from skml._targets._matrix import row_blocks, to_dense

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

# Ramps with larger values are computed in float64, as float32 could not hold them.
_LARGE = 1e30

# In bulk, columns are shifted by the bias of the first layer if no mean exceeds this number of standard deviations, as
# the sums lose digits to the shift.
_MAX_FOLDED_OFFSET = 0.25


class _Layers(NamedTuple):
    """Weights in the dtype of a product, and the shift and scale that X still needs."""

    kernel: np.ndarray
    bias: np.ndarray
    ramps: list[np.ndarray]
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
        (n_columns, n_members * units) and (n_members * units,). Kernels of ramps follow, one for each of
        ``encoding.ramps``, shape (n_members of these, n_ramps, units). The other layers are stacked: shapes
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
    encoding : ColumnEncoding, default=None
        Features of the members that are made of the scaled columns and of X; None for the scaled columns alone.
    member_weights : ndarray of shape (n_members,), default=None
        Weights of the members in their average, with the sum 1; None for equal ones.
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
    encoding: ColumnEncoding | None = None
    member_weights: np.ndarray | None = None

    @property
    def n_features(self):
        """Number of columns of X."""
        return len(self.weights[0]) if self.encoding is None else len(self.shift)

    @property
    def ramps(self):
        """The ramps of its encoding."""
        return () if self.encoding is None else self.encoding.ramps

    @property
    def n_kinds(self):
        """Number of kinds of members."""
        return 1 if self.encoding is None else len(self.encoding.kinds)

    @property
    def n_first_weights(self):
        """Number of weight arrays of the first layer."""
        return 2 + len(self.ramps)

    @property
    def output_weights(self):
        """Positions of the weights of the output layer: kernel and bias, then kernels of ramps."""
        if len(self.weights) > self.n_first_weights:
            return [len(self.weights) - 2, len(self.weights) - 1]
        return list(range(self.n_first_weights))

    @property
    def widths(self):
        """Number of units of each layer of a member, including the output layer."""
        biases = [self.weights[1], *self.weights[self.n_first_weights + 1 :: 2]]
        return [bias.size // self.n_members for bias in biases]

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
        start = self.n_first_weights
        yield from zip(self.weights[start::2], self.weights[start + 1 :: 2], self.residuals, strict=True)

    def first_kernel(self):
        """Return the first kernel, multiplied by the factors of its columns if they are encoded."""
        kernel = self.weights[0]
        if self.encoding is None:
            return kernel
        by_member = kernel.reshape(len(kernel), self.n_members, -1) * self.encoding.factor[..., None]
        return by_member.reshape(kernel.shape)

    @property
    def dtype(self):
        """Floating dtype of the network."""
        return self.weights[0].dtype

    @property
    def input_dtype(self):
        """Floating dtype in which X is scaled: float64 if a column is too far from 0 for the dtype of the network."""
        pairs = (
            [] if self.shift is None else [(self.shift, self.scale), *((r.shift, r.inverse_width) for r in self.ramps)]
        )
        is_far = any(np.any(np.abs(shift) * scale > _MAX_OFFSET) for shift, scale in pairs)
        is_large = any(np.any(np.abs(shift) > _LARGE) for shift, _ in pairs)
        return np.dtype(np.float64) if is_far or is_large else self.dtype

    @property
    def architecture(self):
        """Hashable key; equal for networks that differ only in the values of weights, scaling and rates."""
        has_rates = (self.dropout > 0, self.input_dropout > 0, self.row_dropout)
        kinds = (self.activation, self.output_activation, self.n_members, self.scale is not None, *has_rates)
        encoding = None if self.encoding is None else self.encoding.architecture
        return (self.n_features, *self.widths, *kinds, encoding, self.sparse, self.dtype.name, self.input_dtype.name)

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
            network, rows = self if j < 0 else self.take(self.members_of_fold(j)), np.flatnonzero(fold == j)
            for block, part in network._blocks(X, network._proba, rows):
                proba[rows[block]] = part
        return proba

    def out_of_fold_average(self, X, fold, entries):
        """Return what the average of all members would be for some entries, had no member learned from their rows.

        The log-odds of the member of the row's fold, one of each kind, are known, and stand for the mean of its kind.
        Those of the others are spread around it as around their own mean, but further: what a row has taught them moves
        them together.

        Parameters
        ----------
        X : ndarray or CSR of shape (n_samples, n_features)
        fold : ndarray of int, shape (n_samples,)
            The fold of each row; -1 if no member learns from it.
        entries : tuple of ndarray of int, each of shape (n_entries,)
            Rows, in ascending order, and columns of entries with the same label, as learning moves those alike.

        Returns
        -------
        proba : ndarray of shape (n_entries,)
        """
        rows, columns = entries
        logits = np.empty((self.n_members, 1, len(rows)), dtype=self.dtype)
        for block, part in self._blocks(X, lambda logits: logits):
            some = slice(*np.searchsorted(rows, [block.start, block.stop]))
            logits[:, 0, some] = part[:, rows[some] - block.start, columns[some]]
        is_known = fold[rows] >= 0
        for of_kind in np.split(logits[:, 0], self.n_kinds):  # views
            of_kind[:, is_known] = around_known(of_kind[:, is_known], fold[rows[is_known]])
        return replace(self, calibration=self.calibration.with_labels(columns))._proba(logits)[0]

    def members_of_fold(self, j):
        """Return the members that are not trained on fold j: one of each kind."""
        return np.arange(j, self.n_members, self.n_members // self.n_kinds)

    def members_of_kind(self, k):
        """Return the members of kind k."""
        n_members = self.n_members // self.n_kinds
        return np.arange(k * n_members, (k + 1) * n_members)

    def take(self, members):
        """Return the network of some of the members, given in increasing order."""
        members, width = np.asarray(members), self.widths[0]
        units = (members[:, None] * width + np.arange(width)).ravel()
        kernels = [
            kernel[np.intersect1d(members, np.arange(self.n_members)[ramps.members]) - ramps.first_member]
            for kernel, ramps in zip(self.weights[2 : self.n_first_weights], self.ramps, strict=True)
        ]
        weights = [self.weights[0][:, units], self.weights[1][units], *(kernel for kernel in kernels if len(kernel))]
        member_weights = None if self.member_weights is None else self.member_weights[members]
        return replace(
            self,
            weights=[*weights, *(weight[members] for weight in self.weights[self.n_first_weights :])],
            n_members=len(members),
            encoding=None if self.encoding is None else self.encoding.take(members),
            member_weights=None if member_weights is None else member_weights / member_weights.sum(),
        )

    def input_weights(self):
        """Return the weight of each kind of members in the average."""
        per_kind = self.n_members // self.n_kinds
        weights = np.full(self.n_members, 1 / self.n_members) if self.member_weights is None else self.member_weights
        return dict(zip(self.encoding.kinds, weights.reshape(-1, per_kind).sum(axis=1).tolist(), strict=True))

    def with_kind_weights(self, kind_weights):
        """Return the network whose kinds of members have some weights in the average; those of weight 0 are left out.

        Parameters
        ----------
        kind_weights : ndarray of shape (n_kinds,)
            Their sum is 1.
        """
        per_kind = self.n_members // self.n_kinds
        weights = np.repeat(kind_weights / per_kind, per_kind)
        return replace(self, member_weights=weights).take(np.flatnonzero(weights))

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
        return proba if self.n_members == 1 else mean_of_members(proba, self.member_weights)

    def _log_proba(self, logits):
        if self.n_members == 1:
            scores = log_proba_of_logits(logits, self.output_activation)
        else:
            log_mean = log_odds_of_mean if self.output_activation == "sigmoid" else log_of_mean
            scores = log_mean(logits, self.member_weights)
        return self.calibration.log_proba(scores, self.output_activation) if self.calibration.changes else scores

    def log_proba_of_first(self, sums):
        """Return what `log_proba` does for sums of the first layer, which may be changed."""
        others = self._layers(1, False).others
        if self.n_members > 1:
            sums = sums.reshape(len(sums), self.n_members, -1).swapaxes(0, 1)
        return self._log_proba(self._after_first(sums, others))

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
        n_rows, is_sparse = X.shape[0] if rows is None else len(rows), issparse(X) and self.encoding is None
        widest = self.n_members * max(self.widths)
        blocks = row_blocks(n_rows, widest if is_sparse else max(widest, X.shape[1]), _ENTRY_BYTES)
        layers = self._layers(n_rows, is_sparse)
        for block in blocks:
            part = X if rows is None and len(blocks) == 1 else X[block if rows is None else rows[block]]
            part = part if self.encoding is None else to_dense(part)
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
        weights = [
            layers.kernel,
            layers.bias,
            *layers.ramps,
            *(weight for *pair, _ in layers.others for weight in pair),
        ]
        if sum(weight.nbytes for weight in weights if weight.dtype != self.dtype) <= _MAX_KEPT_BYTES:
            kept[is_sparse] = layers
        return layers

    def _cast_layers(self, first, dtype, is_sparse):
        """Return the weights with the first kernels in the dtype `first` and the others in `dtype`.

        The tuples ``(kernel, bias, has_residual)`` of the other layers are those of `layers`. They are not stacked if
        there is one member. The first kernel includes the factors of encoded columns.
        """
        kernel, bias = self.first_kernel(), self.weights[1]
        if is_sparse and self.shift is not None:
            first = dtype = np.float64  # the shift may be much larger than the difference
            bias = bias - (self.shift * self.scale) @ kernel
        ramps = [kernels.astype(first, copy=False) for kernels in self.weights[2 : self.n_first_weights]]
        others = [
            (k.astype(dtype, copy=False), b.astype(dtype, copy=False), residual) for k, b, residual in self.layers()
        ]
        if self.n_members == 1:
            others = [(kernels[0], biases[0], has_residual) for kernels, biases, has_residual in others]
        else:
            others = [(kernels, biases[:, None], has_residual) for kernels, biases, has_residual in others]
        kernel, bias = kernel.astype(first, copy=False), bias.astype(dtype, copy=False)
        return _Layers(kernel, bias, ramps, others, self.shift, self.scale)

    def _folded(self, layers):
        """Return layers in float32 whose kernel scales X, and whose bias shifts it if its columns are near 0."""
        scale, shift, dtype = self.scale, self.shift, layers.kernel.dtype
        if scale is None or self.encoding is not None or dtype == np.float64 or not fits_float32(scale):
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
        kernel, bias, ramps, others, shift, scale = layers
        columns = self._columns(X, kernel.dtype, shift, scale)
        if self.n_members > 1 and X.shape[0] > _MAX_STACKED_ROWS:
            return np.stack(list(self._logits_in_turn(X, columns, layers)))
        sums = (columns @ kernel).astype(bias.dtype, copy=False)
        sums += bias
        if self.n_members > 1:
            sums = sums.reshape(len(sums), self.n_members, -1).swapaxes(0, 1)
        for part, kernels in zip(self.ramps, ramps, strict=True):
            of_part = part.features(X).astype(kernels.dtype, copy=False) @ kernels
            if self.n_members > 1:
                sums[part.members] += of_part
            else:
                sums += of_part[0]
        return self._after_first(sums, others)

    def _logits_in_turn(self, X, columns, layers):
        """Yield the logits of each member. One member at a time fits into the processor's cache."""
        kernel, bias, ramps, others, *_ = layers
        all_sums, width = columns @ kernel if issparse(columns) else None, self.widths[0]
        for j in range(self.n_members):
            units = slice(j * width, (j + 1) * width)
            sums = columns @ kernel[:, units] if all_sums is None else all_sums[:, units]
            sums = sums.astype(bias.dtype, copy=False)
            sums += bias[units]
            for part, kernels in zip(self.ramps, ramps, strict=True):
                own = j - part.first_member
                if 0 <= own < part.n_members:
                    sums += part.take([own], 0).features(X)[0].astype(kernels.dtype, copy=False) @ kernels[own]
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
        """Return X scaled, in a dtype; with an encoding its columns, without their factors."""
        return self._columns(X, dtype, self.shift, self.scale)

    def _columns(self, X, dtype, shift, scale):
        if self.encoding is None:
            return scaled_input(X, dtype, shift, scale)
        return self.encoding.columns(X, shift, scale, dtype if fits_float32(scale) else np.float64).astype(
            dtype, copy=False
        )

    def __getstate__(self):
        state = vars(self).copy()  # copied first, as another thread that predicts may add the kept layers
        state.pop("_kept", None)
        return state
