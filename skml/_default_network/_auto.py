"""How the default network starts and learns from X of each kind: what its "auto" parameters mean."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import sparse

# Sparse rows with a larger share of stored entries are trained as dense batches.
_MAX_DENSITY = 0.1

# A row of fewer stored values is short: what it says hangs on each of them.
_SHORT_ROW = 20

# Columns are full where the median of them has a value in so large a share of the rows.
_FULL_COLUMN = 0.02

# Fewer rows make too few updates for biases that start at 0 to learn what is true of an empty row.
_FEW_ROWS = 4000
_FEW_ROWS_OF_FULL_COLUMNS = 1000

# AdaptiveRates of dropout in training that sees rows a few times only, and not those that it does not learn from.
_RATES_OF_FEW_EPOCHS = {"dropout": 0.1, "input_dropout": 0.0}


@dataclass(frozen=True)
class AutoSettings:
    """How the default network starts and learns.

    Parameters
    ----------
    widths : tuple of int
        Units of a hidden layer, the most and, where members get too large, fewer.
    n_hidden : int
        Number of hidden layers.
    dropout, input_dropout : float
        The largest rates.
    learning_rate : float
        For batches of 16 rows; it grows with the root of the batch size.
    output_scale : float
        The kernel of the outputs starts at this share of its usual deviation.
    row_dropout : float, default=0.0
        Share of the rows of a batch that are set to 0, so that the biases learn what is true of an empty row.
    prior_bias : bool, default=False
        Whether the biases of the outputs start at the base rates of the labels.
    is_sparse : bool, default=False
        Whether batches are sparse.
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


# A small output kernel leaves nothing to be held_out_predictions: half of the updates do.
DENSE = AutoSettings((256, 128, 64), 2, dropout=0.5, input_dropout=0.3, learning_rate=1e-3, output_scale=0.1)

# From biases of 0 a network learns, row by row, what speaks against a label, which base rates would leave unsaid.
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

# Short rows are learned in few epochs, in which biases would not get anywhere, and leave no value out.
SPARSE_SHORT = AutoSettings(
    (128, 64, 32),
    1,
    dropout=0.3,
    input_dropout=0.0,
    learning_rate=3e-4,
    output_scale=1.0,
    prior_bias=True,
    is_sparse=True,
)


def auto_settings(params, X, weight=None):
    """Return the `AutoSettings` of the default network for X; None for a custom network.

    Parameters
    ----------
    params : dict
        ``model`` and ``jit_compile`` of the estimator.
    X : ndarray or CSR of shape (n_samples, n_features)
    weight : ndarray of shape (n_samples,), default=None
        Rows of weight 0 say nothing.
    """
    if params["model"] is not None:
        return None
    if not sparse.issparse(X) or params["jit_compile"]:  # XLA takes no sparse batches
        return DENSE
    X = X if weight is None else X[weight > 0]
    if not 0 < X.nnz <= _MAX_DENSITY * np.prod(X.shape, dtype=float):
        return DENSE
    if np.median(np.diff(X.indptr)) < _SHORT_ROW:
        return SPARSE_SHORT
    counts = np.bincount(X.indices)
    if np.median(counts[counts > 0]) >= _FULL_COLUMN * X.shape[0]:
        return SPARSE_FREQUENT_FEW if X.shape[0] < _FEW_ROWS_OF_FULL_COLUMNS else SPARSE_FREQUENT
    return SPARSE_LONG_FEW if X.shape[0] < _FEW_ROWS else SPARSE_LONG


@dataclass(frozen=True)
class AdaptiveRates:
    """AdaptiveRates of dropout, and what may move in training.

    Parameters
    ----------
    values : dict of str -> float
        ``dropout`` and ``input_dropout``, to start from.
    adaptive : tuple of str
        Those of them that follow the loss in training.
    learning_rate : float or None
        Where that of the optimizer starts, for batches of 16 rows, if it follows the loss.
    """

    values: dict
    adaptive: tuple
    learning_rate: float | None


def adaptive_rates(params, recipe, is_partial_fit=False):
    """Return the `AdaptiveRates` that an estimator's parameters mean; None for a custom network.

    Parameters
    ----------
    params : dict
        Parameters of the estimator.
    recipe : AutoSettings or None
    is_partial_fit : bool, default=False
        Whether training sees rows a few times only, and not those that it does not learn from.
    """
    if recipe is None:
        return None
    auto = _RATES_OF_FEW_EPOCHS if is_partial_fit else {name: getattr(recipe, name) for name in _RATES_OF_FEW_EPOCHS}
    is_auto = [name for name in auto if isinstance(params[name], str)]
    values = {name: auto[name] if name in is_auto else params[name] for name in auto}
    is_set = params["learning_rate"] is not None or any(name.startswith("optimizer__") for name in params)
    follows = params["optimizer"] == "adam" and not is_set and not is_partial_fit
    adaptive = () if is_partial_fit else tuple(name for name in is_auto if values[name])
    return AdaptiveRates(values, adaptive, recipe.learning_rate if follows else None)


# Each update goes through all weights of all members; of five wide ones half as many.
_MAX_WEIGHTS = 16_000_000

# Of sparse rows an update touches only the columns that they have: this is for memory, 128 MB.
_MAX_SPARSE_WEIGHTS = 2**25

# Wide layers cost too much beyond so many weights also then.
_MAX_WIDE_WEIGHTS = {256: _MAX_WEIGHTS // 2, 128: 2**24}

# Fewer rows than this do not fill the widest layers.
_MIN_ROWS_OF_WIDEST = 300


class Architecture(NamedTuple):
    """Units of each hidden layer of a member, and the number of members."""

    hidden: list
    n_members: int


def auto_architecture(params, recipe, n_features, n_outputs, n_rows):
    """Return the `Architecture` that an estimator's parameters mean.

    Parameters
    ----------
    params : dict
        ``hidden_layer_sizes`` and ``n_members``.
    recipe : AutoSettings
    n_features, n_outputs : int
    n_rows : float
        How many rows of equal weight there are.
    """
    hidden = params["hidden_layer_sizes"]
    if isinstance(hidden, str):
        hidden = auto_hidden_layer_sizes(recipe, n_features, n_outputs, n_rows)
    else:
        hidden = np.atleast_1d(hidden).tolist()
        if not all(isinstance(width, int) and width > 0 for width in hidden):
            raise ValueError(f"hidden_layer_sizes must hold positive integers; got {params['hidden_layer_sizes']!r}.")
    n_members = params["n_members"]
    if n_members == "auto":
        n_members = auto_members([n_features, *hidden, n_outputs], recipe.is_sparse)
    return Architecture(hidden, int(n_members))


def auto_hidden_layer_sizes(recipe, n_features, n_outputs, n_rows):
    """Return the widest hidden layers of a recipe of which five members have not too many weights.

    The widest are left out for fewer than 300 rows. Dense members have at most 8 million weights; sparse ones as many
    with 256 units, 16 million with 128 and 32 million with 64.
    """
    for width in [w for w in recipe.widths if w < 256 or n_rows >= _MIN_ROWS_OF_WIDEST]:
        most = _MAX_WIDE_WEIGHTS.get(width, _MAX_SPARSE_WEIGHTS) if recipe.is_sparse else _MAX_WEIGHTS // 2
        if 5 * _count_weights([n_features, *recipe.n_hidden * [width], n_outputs]) <= most:
            break
    return recipe.n_hidden * [width]


def auto_members(widths, is_sparse=False):
    """Return 5 members, or as many as have at most 16 million weights, with sparse rows 32 million."""
    most = _MAX_SPARSE_WEIGHTS if is_sparse else _MAX_WEIGHTS
    return int(np.clip(most // _count_weights(widths), 1, 5))


def _count_weights(widths):
    return sum(a * b for a, b in pairwise(widths))
