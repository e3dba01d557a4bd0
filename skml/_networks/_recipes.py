"""How the default network starts and learns from X of each kind: what its "auto" parameters mean."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

# Sparse rows with a larger share of stored cells are trained as dense batches.
_MAX_DENSITY = 0.1

# A row of fewer stored values is short: what it says hangs on each of them.
_SHORT_ROW = 20

# Columns are full where the median of them has a value in so large a share of the rows.
_FULL_COLUMN = 0.02

# Fewer rows make too few updates for biases that start at 0 to learn what is true of an empty row.
_FEW_ROWS = 4000
_FEW_ROWS_OF_FULL_COLUMNS = 1000

# Rates of dropout in training that sees rows a few times only, and not those that it does not learn from.
_RATES_OF_FEW_EPOCHS = {"dropout": 0.1, "input_dropout": 0.0}


@dataclass(frozen=True)
class Recipe:
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
    emptied : float, default=0.0
        Share of the rows of a batch that are emptied, so that the biases learn what is true of a row without a value.
    starts_at_base : bool, default=False
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
    emptied: float = 0.0
    starts_at_base: bool = False
    is_sparse: bool = False


# A small output kernel leaves nothing to be unlearned: half of the updates do.
DENSE = Recipe((256, 128, 64), 2, dropout=0.5, input_dropout=0.3, learning_rate=1e-3, output_scale=0.1)

# From biases of 0 a network learns, row by row, what speaks against a label, which base rates would leave unsaid.
LONG_ROWS = Recipe(
    (256, 128, 64, 32),
    2,
    dropout=0.5,
    input_dropout=0.1,
    learning_rate=5e-4,
    output_scale=1.0,
    emptied=0.03,
    is_sparse=True,
)
FEW_LONG_ROWS = replace(LONG_ROWS, starts_at_base=True)

FULL_COLUMNS = replace(LONG_ROWS, input_dropout=0.2)
FEW_FULL_COLUMNS = replace(FULL_COLUMNS, starts_at_base=True)

# Short rows are learned in few epochs, in which biases would not get anywhere, and leave no value out.
SHORT_ROWS = Recipe(
    (128, 64, 32),
    1,
    dropout=0.3,
    input_dropout=0.0,
    learning_rate=3e-4,
    output_scale=1.0,
    starts_at_base=True,
    is_sparse=True,
)


def recipe_of(params, X, weight=None):
    """Return the `Recipe` of the default network for X; None for a custom network.

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
        return SHORT_ROWS
    counts = np.bincount(X.indices)
    if np.median(counts[counts > 0]) >= _FULL_COLUMN * X.shape[0]:
        return FEW_FULL_COLUMNS if X.shape[0] < _FEW_ROWS_OF_FULL_COLUMNS else FULL_COLUMNS
    return FEW_LONG_ROWS if X.shape[0] < _FEW_ROWS else LONG_ROWS


@dataclass(frozen=True)
class Rates:
    """Rates of dropout, and what may move in training.

    Parameters
    ----------
    values : dict of str -> float
        ``dropout`` and ``input_dropout``, to start from.
    free : tuple of str
        Those of them that follow the loss in training.
    learning_rate : float or None
        Where that of the optimizer starts, for batches of 16 rows, if it follows the loss.
    """

    values: dict
    free: tuple
    learning_rate: float | None


def rates_of(params, recipe, one_epoch=False):
    """Return the `Rates` that an estimator's parameters mean; None for a custom network.

    Parameters
    ----------
    params : dict
        Parameters of the estimator.
    recipe : Recipe or None
    one_epoch : bool, default=False
        Whether training sees rows a few times only, and not those that it does not learn from.
    """
    if recipe is None:
        return None
    auto = _RATES_OF_FEW_EPOCHS if one_epoch else {name: getattr(recipe, name) for name in _RATES_OF_FEW_EPOCHS}
    is_auto = [name for name in auto if isinstance(params[name], str)]
    values = {name: auto[name] if name in is_auto else params[name] for name in auto}
    is_set = params["learning_rate"] is not None or any(name.startswith("optimizer__") for name in params)
    follows = params["optimizer"] == "adam" and not is_set and not one_epoch
    free = () if one_epoch else tuple(name for name in is_auto if values[name])
    return Rates(values, free, recipe.learning_rate if follows else None)
