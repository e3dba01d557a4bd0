"""Convert the rows of a target to lists, and tell rows of an indicator from label sets."""

from collections.abc import Iterable, Mapping, Set
from numbers import Number, Real

import numpy as np

from skml._targets._labels import is_missing

# Items of these types are kept; other containers become lists.
_PLAIN = str | bytes | Number | np.generic | np.ndarray | list | tuple | Set | Mapping | None

# Methods of pyarrow, pandas and polars that return the values as a list.
_LIST_METHODS = ("to_pylist", "to_list", "tolist")

# Rows of these values look like an indicator.
_BINARY = {0, 1, -1, "0", "1"}


def as_items(y):
    """Return the items of ``y``, converting pandas, polars and pyarrow rows and dict views to lists."""
    return [item if isinstance(item, _PLAIN) else _as_plain(item) for item in y]


def _as_plain(item):
    if hasattr(item, "as_py"):  # a pyarrow scalar, which may be a list
        return item.as_py()
    for name in _LIST_METHODS:
        if hasattr(item, name):
            return list(getattr(item, name)())
    if isinstance(item, Iterable) and hasattr(item, "__len__"):  # an iterator can be read only once
        return list(item)
    return item


def are_indicator_rows(items):
    """Return whether all items are sequences of 0, 1 and NaN that have the same length, at least 2."""
    if not _have_one_width(items):
        return False
    values = (value for item in items for value in item)
    return all(
        isinstance(v, Number | np.generic) and not isinstance(v, str) and (v in (0, 1) or v != v) for v in values
    )


def are_probability_rows(items, bounded=True):
    """Return whether all items are sequences of numbers and NaN of the same length, at least 2, and some are fractions.

    With `bounded`, the numbers must be in [0, 1].
    """
    if not _have_one_width(items):
        return False
    has_fraction = False
    for value in (value for item in items for value in item):
        if not isinstance(value, Real | np.bool_) or (bounded and not (0 <= value <= 1 or value != value)):
            return False
        has_fraction |= bool(value == value and value % 1 != 0)
    return has_fraction


def refuse_binary_rows(items):
    """Raise a ValueError for rows that look like an indicator, but are not a valid one.

    Rows that repeat 0 or 1 cannot be label sets.
    """
    kinds = _binary_kinds(items)
    if kinds is None:
        return
    has_one_width, repeats = _have_one_width(items), any(len(set(item)) < len(item) for item in items)
    if has_one_width and str in kinds:
        raise ValueError(
            'y holds rows of the strings "0" and "1". If it is an indicator, pass np.array(y, dtype=int). If "0" and '
            '"1" are labels, pass sets.'
        )
    if has_one_width and None in kinds:
        raise ValueError(
            "y holds None in rows of 0 and 1. If None marks a missing label, pass np.array(y, dtype=float), which "
            "converts it to NaN."
        )
    if repeats and -1 in kinds:
        raise ValueError("An indicator y must hold 0 and 1; got -1. If -1 marks a missing label, pass NaN.")
    if repeats and not has_one_width:
        raise ValueError(
            f"y holds rows of 0 and 1 of different lengths, from {min(map(len, items))} to {max(map(len, items))}. "
            "The rows of an indicator must have one value for each label. If 0 and 1 are labels, pass sets."
        )


def _have_one_width(items):
    if not all(isinstance(item, list | tuple | np.ndarray) for item in items):
        return False
    width = len(items[0])
    return width >= 2 and all(len(item) == width for item in items)


def _binary_kinds(items):
    """Return the set of str, None and -1 that occur in rows of 0 and 1, or None for rows of other values or sets."""
    kinds = set()
    for item in items:
        if not isinstance(item, list | tuple | np.ndarray):
            return None
        for value in item:
            if is_missing(value):
                kinds.add(None)
            elif not isinstance(value, str | Number | np.generic) or value not in _BINARY:
                return None
            elif isinstance(value, str):
                kinds.add(str)
            elif value == -1:
                kinds.add(-1)
    return kinds
