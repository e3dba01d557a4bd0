"""Widths and number of members of the default network."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

# Each update goes through all weights of all members.
_MAX_WEIGHTS = 16_000_000

# Fewer rows than this do not fill wide layers.
_FEW_ROWS = 300


class Size(NamedTuple):
    """Units of each hidden layer of a member, and the number of members."""

    hidden: list
    n_members: int


def size_of(params, n_features, n_outputs, n_rows):
    """Return the `Size` that an estimator's parameters mean.

    Parameters
    ----------
    params : dict
        ``hidden_layer_sizes`` and ``n_members``.
    n_features, n_outputs : int
    n_rows : float
        How many rows of equal weight there are.
    """
    hidden = params["hidden_layer_sizes"]
    if isinstance(hidden, str):
        hidden = auto_hidden_layer_sizes(n_features, n_outputs, n_rows)
    else:
        hidden = np.atleast_1d(hidden).tolist()
        if not all(isinstance(width, int) and width > 0 for width in hidden):
            raise ValueError(f"hidden_layer_sizes must hold positive integers; got {params['hidden_layer_sizes']!r}.")
    n_members = params["n_members"]
    return Size(hidden, auto_members([n_features, *hidden, n_outputs]) if n_members == "auto" else int(n_members))


def auto_hidden_layer_sizes(n_features, n_outputs, n_rows):
    """Return two layers of 256 units, of 128 for fewer than 300 rows.

    They have 128 or 64 where five such members have over 8 million weights.
    """
    for width in (256, 128, 64)[n_rows < _FEW_ROWS :]:
        if 5 * _count_weights([n_features, width, width, n_outputs]) <= _MAX_WEIGHTS // 2:
            break
    return [width, width]


def auto_members(widths):
    """Return 5 members, or as many as have at most 16 million weights."""
    return int(np.clip(_MAX_WEIGHTS // _count_weights(widths), 1, 5))


def _count_weights(widths):
    return sum(a * b for a, b in pairwise(widths))
