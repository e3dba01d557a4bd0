"""The default network's settings, architecture and dropout rates that replace its "auto" parameters."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import sparse

from skml._default_network._encoding import KINDS

# Sparse X with a larger fraction of stored values is trained in dense batches.
_MAX_DENSITY = 0.1

# A row with fewer stored values is short: each of its values matters.
_SHORT_ROW = 20

# Features are frequent if the median column has a value in at least this fraction of the rows.
_FREQUENT = 0.02

# With fewer rows there are too few updates to learn the output biases from 0.
_FEW_ROWS = 4000
_FEW_ROWS_IF_FREQUENT = 1000

# Dropout rates for `partial_fit`: few passes, no validation data.
_PARTIAL_FIT_RATES = {"dropout": 0.1, "input_dropout": 0.0}


@dataclass(frozen=True)
class AutoSettings:
    """Settings of the default network that depend on X.

    Parameters
    ----------
    widths : tuple of int
        Numbers of units of a hidden layer, in falling order. The first with which members are not too large is used,
        otherwise the last.
    n_hidden : int
        Number of hidden layers.
    dropout, input_dropout : float
        The largest dropout rates.
    learning_rate : float
        Learning rate for batches of 16 rows; it is proportional to the square root of the batch size.
    output_scale : float
        Factor of the usual standard deviation of the initial output kernel.
    row_dropout : float, default=0.0
        Fraction of the rows of a batch that are set to 0, so that the biases learn to predict an empty row.
    prior_bias : bool, default=False
        Whether the output biases start at the log-odds of the labels' base rates.
    is_sparse : bool, default=False
        Whether batches are sparse.
    relevance_power : float, default=0.25
        Exponent of the relevance of sparse columns in their weights.
    """

    widths: tuple
    n_hidden: int
    dropout: float
    input_dropout: float
    learning_rate: float
    output_scale: float
    row_dropout: float = 0.0
    prior_bias: bool = False
    is_sparse: bool = False
    relevance_power: float = 0.25


# With a small output kernel half of the updates suffice, as training need not first unlearn random outputs.
DENSE = AutoSettings((256, 128, 64), 2, dropout=0.5, input_dropout=0.3, learning_rate=1e-3, output_scale=0.1)

# With several kinds of members there are more of them, and each needs fewer units.
DENSE_KINDS = replace(DENSE, widths=(128, 64))

# Few rows are better left out by fifths than by thirds, and smaller members pay for it.
DENSE_KINDS_FEW = replace(DENSE, widths=(64,))
_FEW_ROWS_OF_KINDS = 1500

# With zero output biases the network has to learn negative evidence from the features; biases at the base rates would
# hide it.
SPARSE_LONG = AutoSettings(
    (256, 128, 64, 32),
    2,
    dropout=0.5,
    input_dropout=0.1,
    learning_rate=5e-4,
    output_scale=1.0,
    row_dropout=0.03,
    is_sparse=True,
)
SPARSE_LONG_FEW = replace(SPARSE_LONG, prior_bias=True)

SPARSE_FREQUENT = replace(SPARSE_LONG, input_dropout=0.2)
SPARSE_FREQUENT_FEW = replace(SPARSE_FREQUENT, prior_bias=True)

# Short rows are learned in a few epochs, too few to learn the biases from 0, and need each of their values.
SPARSE_SHORT = AutoSettings(
    (128, 64, 32),
    1,
    dropout=0.3,
    input_dropout=0.0,
    learning_rate=3e-4,
    output_scale=1.0,
    prior_bias=True,
    is_sparse=True,
    relevance_power=0.5,
)


def auto_settings(params, X, weight=None):
    """Return the `AutoSettings` of the default network for X; None for a custom network.

    Parameters
    ----------
    params : dict
        Parameters of the estimator; ``model`` and ``jit_compile`` are used.
    X : ndarray or CSR of shape (n_samples, n_features)
    weight : ndarray of shape (n_samples,), default=None
        Rows of weight 0 are ignored.
    """
    if params["model"] is not None:
        return None
    if not sparse.issparse(X) or params["jit_compile"]:  # XLA does not support sparse batches
        return DENSE
    X = X if weight is None else X[weight > 0]
    if not 0 < X.nnz <= _MAX_DENSITY * np.prod(X.shape, dtype=float):
        return DENSE
    if np.median(np.diff(X.indptr)) < _SHORT_ROW:
        return SPARSE_SHORT
    counts = np.bincount(X.indices)
    if np.median(counts[counts > 0]) >= _FREQUENT * X.shape[0]:
        return SPARSE_FREQUENT_FEW if X.shape[0] < _FEW_ROWS_IF_FREQUENT else SPARSE_FREQUENT
    return SPARSE_LONG_FEW if X.shape[0] < _FEW_ROWS else SPARSE_LONG


@dataclass(frozen=True)
class AdaptiveRates:
    """Dropout rates and the learning rate, and which of them are adapted during training.

    Parameters
    ----------
    values : dict of str to float
        Initial values of ``dropout`` and ``input_dropout``.
    adaptive : tuple of str
        Names of the dropout rates that are adapted to the loss.
    learning_rate : float or None
        Initial learning rate for batches of 16 rows if it is adapted to the loss; None if it is not.
    """

    values: dict
    adaptive: tuple
    learning_rate: float | None

    @property
    def follow_loss(self):
        """Whether a rate is adapted to the loss."""
        return bool(self.adaptive) or self.learning_rate is not None


def adaptive_rates(params, settings, is_partial_fit=False):
    """Return the `AdaptiveRates` for the parameters of an estimator; None for a custom network.

    Parameters
    ----------
    params : dict
        Parameters of the estimator.
    settings : AutoSettings or None
    is_partial_fit : bool, default=False
        Whether to train for one epoch without validation data, so that nothing can be adapted.
    """
    if settings is None:
        return None
    auto = _PARTIAL_FIT_RATES if is_partial_fit else {name: getattr(settings, name) for name in _PARTIAL_FIT_RATES}
    is_auto = [name for name in auto if isinstance(params[name], str)]
    values = {name: auto[name] if name in is_auto else params[name] for name in auto}
    is_set = params["learning_rate"] is not None or any(name.startswith("optimizer__") for name in params)
    follows = params["optimizer"] == "adam" and not is_set and not is_partial_fit
    adaptive = () if is_partial_fit else tuple(name for name in is_auto if values[name])
    return AdaptiveRates(values, adaptive, settings.learning_rate if follows else None)


# Limit of the weights of all members, as each update touches all weights. Five members have at most half of it.
_MAX_WEIGHTS = 16_000_000

# Limit for sparse rows, because of memory (128 MB): an update touches only the columns that a batch contains.
_MAX_SPARSE_WEIGHTS = 2**25

# Limits for wide layers on sparse input, by width.
_MAX_WIDE_WEIGHTS = {256: _MAX_WEIGHTS // 2, 128: 2**24}

# The widest layers are not used for fewer rows.
_MIN_ROWS_OF_WIDEST = 300


# Sparse rows with at least this number of labels get no hidden layer: rare labels would share its units with all
# others, where a linear network has a weight for each word and label.
_MANY_LABELS = 500

# ... unless there are too few columns for labels to have words of their own, or too many weights (3 GB in training).
_MIN_COLUMNS_PER_LABEL = 4
_MAX_LINEAR_WEIGHTS = 2**27


class Architecture(NamedTuple):
    """Number of units of each hidden layer of a member, number of members, and their kinds.

    Without kinds the members are given the scaled columns alone.
    """

    hidden: list
    n_members: int
    kinds: tuple = ()

    @property
    def n_folds(self):
        """Number of folds: each kind has one member for each."""
        return self.n_members // max(1, len(self.kinds))


def auto_kinds(params, X, settings, is_partial_fit):
    """Return the kinds of members: keys of ``KINDS``, or none for members that are given the scaled columns alone.

    Parameters
    ----------
    params : dict
        Parameters of the estimator; ``inputs``, ``scale`` and ``n_members`` are used.
    X : ndarray or CSR
    settings : AutoSettings or None
    is_partial_fit : bool
        The first rows of a stream say little about its columns.
    """
    inputs = np.atleast_1d(params["inputs"]).tolist()
    is_auto = inputs == ["auto"]
    if not is_auto:
        _check_kinds(inputs, params["scale"])
    if settings is None or params["scale"] != "auto" or sparse.issparse(X) or (is_auto and is_partial_fit):
        return ()
    if not is_auto:
        return tuple(name for name in KINDS if name in inputs)
    return ("plain",) if params["n_members"] == 1 or X.shape[1] > _MAX_COLUMNS else tuple(KINDS)


def _check_kinds(inputs, scale):
    unknown = [name for name in inputs if name not in KINDS]
    if unknown or not inputs:
        raise ValueError(
            f'inputs must be "auto", or one or several of {", ".join(KINDS)}; got {unknown or "an empty list"}.'
        )
    if scale != "auto":
        raise ValueError(f'inputs={inputs} requires scale="auto", but scale is {scale!r}. Leave one at its default.')


# With more columns, ramps would make fits long.
_MAX_COLUMNS = 1000


def auto_architecture(params, settings, n_features, n_outputs, n_rows, kinds=(), is_multilabel=True):
    """Return the `Architecture` for the parameters of an estimator.

    Parameters
    ----------
    params : dict
        Parameters of the estimator; ``hidden_layer_sizes`` and ``n_members`` are used.
    settings : AutoSettings
    n_features, n_outputs : int
    n_rows : float
        Effective number of rows.
    kinds : tuple of str, default=()
        Kinds of members.
    is_multilabel : bool, default=True
        Whether the outputs are labels, not classes.

    Raises
    ------
    ValueError
        If ``hidden_layer_sizes`` contains anything but positive integers.
    """
    hidden, n_folds = params["hidden_layer_sizes"], params["n_members"]
    has_few_rows = n_rows < _FEW_ROWS_OF_KINDS
    if len(kinds) > 1:
        settings = DENSE_KINDS_FEW if has_few_rows else DENSE_KINDS
    if isinstance(n_folds, str):
        n_folds = None if len(kinds) < 2 else 5 if has_few_rows else 3
    if not isinstance(hidden, str):
        hidden = np.atleast_1d(hidden).tolist()
        if not all(isinstance(width, int) and width > 0 for width in hidden):
            raise ValueError(
                f'hidden_layer_sizes must be "auto" or positive integers; got {params["hidden_layer_sizes"]!r}.'
            )
    elif settings.is_sparse and is_multilabel and has_words_of_their_own(n_features, n_outputs):
        hidden = []
    else:
        # The bound of dense input does not count the members: each update of a wide network touches all weights.
        counted = n_folds or 5 if settings.is_sparse else 5
        hidden = auto_hidden_layer_sizes(settings, n_features, n_outputs, n_rows, counted)
    if n_folds is None:
        n_folds = auto_members([n_features, *hidden, n_outputs], settings.is_sparse)
    return Architecture(hidden, int(n_folds) * max(1, len(kinds)), kinds)


def has_words_of_their_own(n_features, n_labels):
    """Return whether labels are so many, and words still more, that each is better predicted by its own words alone."""
    is_wide = n_features >= _MIN_COLUMNS_PER_LABEL * n_labels and n_features * n_labels <= _MAX_LINEAR_WEIGHTS
    return n_labels >= _MANY_LABELS and is_wide


def auto_hidden_layer_sizes(settings, n_features, n_outputs, n_rows, n_members=5):
    """Return the widest hidden layers with which `n_members` members do not have too many weights.

    They have at most 8 million weights for dense input. For sparse input the limit is 8 million with 256 units, 16
    million with 128 units and 32 million with fewer. Layers of 256 units need at least 300 rows. Many labels need the
    units more than the members: there, 128 units are kept as long as one member has at most 32 million weights.
    """
    gives_up_members = settings.is_sparse and n_outputs >= _MANY_LABELS
    for width in [w for w in settings.widths if w < 256 or n_rows >= _MIN_ROWS_OF_WIDEST]:
        most = _MAX_WIDE_WEIGHTS.get(width, _MAX_SPARSE_WEIGHTS) if settings.is_sparse else _MAX_WEIGHTS // 2
        n_weights = count_weights([n_features, *settings.n_hidden * [width], n_outputs])
        if n_members * n_weights <= most:
            break
        if gives_up_members and width < 256 and n_weights <= _MAX_SPARSE_WEIGHTS:
            break
    return settings.n_hidden * [width]


def auto_members(widths, is_sparse=False):
    """Return 5, or the largest number of members with at most 16 million weights (32 million for sparse rows).

    Without a hidden layer it is 5 or 1: with two members, each would be trained on half of the rows.
    """
    most = _MAX_SPARSE_WEIGHTS if is_sparse else _MAX_WEIGHTS
    n_members = int(np.clip(most // count_weights(widths), 1, 5))
    return n_members if len(widths) > 2 or n_members == 5 else 1


def count_weights(widths):
    """Return the number of weights of the kernels of a member, for its numbers of features, units and outputs."""
    return sum(a * b for a, b in pairwise(widths))
