"""Widths and number of members of the default network."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

# Each update goes through all weights of all members; of five wide ones half as many.
_MAX_WEIGHTS = 16_000_000

# Of sparse rows an update touches only the columns that they have: this is for memory, 128 MB.
_MAX_SPARSE_WEIGHTS = 2**25

# Wide layers cost too much beyond so many weights also then.
_MAX_WIDE_WEIGHTS = {256: _MAX_WEIGHTS // 2, 128: 2**24}

# Fewer rows than this do not fill the widest layers.
_FEW_ROWS = 300


class Size(NamedTuple):
    """Units of each hidden layer of a member, and the number of members."""

    hidden: list
    n_members: int


def size_of(params, recipe, n_features, n_outputs, n_rows):
    """Return the `Size` that an estimator's parameters mean.

    Parameters
    ----------
    params : dict
        ``hidden_layer_sizes`` and ``n_members``.
    recipe : Recipe
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
    return Size(hidden, int(n_members))


def auto_hidden_layer_sizes(recipe, n_features, n_outputs, n_rows):
    """Return the widest hidden layers of a recipe of which five members have not too many weights.

    The widest are left out for fewer than 300 rows. Dense members have at most 8 million weights; sparse ones as many
    with 256 units, 16 million with 128 and 32 million with 64.
    """
    for width in [w for w in recipe.widths if w < 256 or n_rows >= _FEW_ROWS]:
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
