"""Groups of rows: which rows belong together, as numbers."""

import reprlib
from collections.abc import Mapping, Set

import numpy as np

from skml._inputs import refuse_mask
from skml._targets._labels import is_missing


def group_codes(groups, n_samples):
    """Return the number of the group of each row. Groups are numbered as they occur: their names change nothing.

    Parameters
    ----------
    groups : array-like of shape (n_samples,), or None
        Any hashable values: numbers, strings, dates, tuples.
    n_samples : int

    Returns
    -------
    codes : ndarray of int, shape (n_samples,), or None

    Raises
    ------
    ValueError
        If groups are not one value for each row.

    Examples
    --------
    >>> group_codes(["b", "a", "b"], 3)
    array([0, 1, 0])
    """
    if groups is None:
        return None
    refuse_mask("groups", groups)
    items = _items(groups)
    if len(items) != n_samples:
        raise ValueError(
            f"groups must hold one value for each of the {n_samples} rows of X; got {len(items)} values. Pass the "
            "column of the same table that X comes from."
        )
    numbers = {}
    try:
        codes = np.array([numbers.setdefault(item, len(numbers)) for item in items], dtype=np.intp)
    except TypeError as error:
        raise ValueError(
            f"groups must hold hashable values, such as numbers or strings; got an item that is not: {error}. Pass one "
            "name for each row."
        ) from error
    if any(map(is_missing, numbers)):
        row = next(i for i, item in enumerate(items) if is_missing(item))
        raise ValueError(
            f"groups must name the group of each row; got {items[row]!r} for row {row}. Give a row that belongs to no "
            "group a value of its own, or leave the row out."
        )
    return codes


def count_of_values(n):
    """Return the number of different groups in words, for error messages."""
    return "1 different value" if n == 1 else f"{n} different values"


def _items(groups):
    """Return the groups of all rows as a list of Python objects."""
    is_sequence = hasattr(type(groups), "__len__") and hasattr(type(groups), "__iter__")
    if not is_sequence or isinstance(groups, str | bytes | Set | Mapping):
        raise ValueError(
            f"groups must be an array-like with one value for each row; got {reprlib.repr(groups)}. Pass the column "
            "itself, such as groups=df['patient']."
        )
    if len(getattr(groups, "shape", (0,))) != 1:
        raise ValueError(
            f"groups must be one-dimensional; got the shape {groups.shape}. Pass one column, such as "
            "groups=df['patient']."
        )
    return groups.tolist() if hasattr(groups, "tolist") else list(groups)
