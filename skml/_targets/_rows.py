"""Rows of a target: labels in any container, and rows of 0 and 1 that are no label sets."""

from collections.abc import Iterable, Mapping, Set
from numbers import Number

import numpy as np

from skml._targets._labels import is_missing

# What stays as it is; anything else that holds values becomes a list.
_PLAIN = str | bytes | Number | np.generic | np.ndarray | list | tuple | Set | Mapping | None

# Methods by which pyarrow, pandas and polars give their values as a list.
_LIST_METHODS = ("to_pylist", "to_list", "tolist")

# The values of rows that look like an indicator.
_BINARY = {0, 1, -1, "0", "1"}


def as_items(y):
    """Return the items of ``y`` with rows of pandas, polars and pyarrow, and views of dicts, as lists."""
    return [item if isinstance(item, _PLAIN) else _as_plain(item) for item in y]


def _as_plain(item):
    if hasattr(item, "as_py"):  # a scalar of pyarrow, which may be a list
        return item.as_py()
    for name in _LIST_METHODS:
        if hasattr(item, name):
            return list(getattr(item, name)())
    if isinstance(item, Iterable) and hasattr(item, "__len__"):  # not an iterator, which can be read only once
        return list(item)
    return item


def are_indicator_rows(items):
    """Return whether all items are sequences of one length of at least 2 that hold only 0, 1 and NaN."""
    if not _have_one_width(items):
        return False
    values = (value for item in items for value in item)
    return all(
        isinstance(v, Number | np.generic) and not isinstance(v, str) and (v in (0, 1) or v != v) for v in values
    )


def refuse_binary_rows(items):
    """Raise a ValueError for rows that can only be meant as an indicator, but are none.

    A set holds a value once: rows in which 0 or 1 occurs twice are not label sets.
    """
    kinds = _binary_kinds(items)
    if kinds is None:
        return
    has_one_width, repeats = _have_one_width(items), any(len(set(item)) < len(item) for item in items)
    if has_one_width and str in kinds:
        raise ValueError(
            'y holds rows of the strings "0" and "1", which look like an indicator: pass np.array(y, dtype=int). If '
            '"0" and "1" are labels, pass sets.'
        )
    if has_one_width and None in kinds:
        raise ValueError(
            "y holds None in rows of 0 and 1. If it stands for a missing label, pass np.array(y, dtype=float), in "
            "which it is NaN."
        )
    if repeats and -1 in kinds:
        raise ValueError("An indicator y must hold 0 and 1; got -1. If it stands for a missing label, pass NaN.")
    if repeats and not has_one_width:
        raise ValueError(
            f"y holds rows of 0 and 1 of different lengths, {min(map(len, items))} to {max(map(len, items))}: an "
            "indicator needs one column for each label. If 0 and 1 are labels, pass sets."
        )


def _have_one_width(items):
    if not all(isinstance(item, list | tuple | np.ndarray) for item in items):
        return False
    width = len(items[0])
    return width >= 2 and all(len(item) == width for item in items)


def _binary_kinds(items):
    """Return which of str, None and -1 occur in rows of 0 and 1; None if there are other values, or sets."""
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
