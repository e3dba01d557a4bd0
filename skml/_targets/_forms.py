"""Which of its forms y has, and how its items are read."""

import warnings
from collections.abc import Sequence, Set
from numbers import Number

import numpy as np
from scipy import sparse
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from skml._targets._labels import sorted_labels

FORMS = """y must be one of
  - a list (or Series, or 1-D object array) of label collections: [{"a", "b"}, {"b"}, set()]
  - a 2-D array, sparse matrix or DataFrame of 0 and 1, one column per label: [[1, 1], [0, 1], [0, 0]];
    NaN is an unknown cell
  - a 1-D array of one label per row: ["a", "b", "a"]"""


def as_array(y):
    """Return Series, tensors and the like as arrays."""
    is_array = hasattr(y, "__array__") and not (is_dataframe(y) or sparse.issparse(y))
    return np.asarray(y) if is_array else y


def form_of(y):
    if y is None:
        raise ValueError("fit requires y to be passed, but the target y is None.\n" + FORMS)
    if is_dataframe(y):
        return "dataframe"
    if sparse.issparse(y):
        if y.ndim != 2:
            raise ValueError(f"A sparse y must have 2 dimensions; got {y.ndim}.\n" + FORMS)
        return "sparse"
    if isinstance(y, np.ndarray) and y.ndim != 1:
        return _form_of_array(y)
    if isinstance(y, str | bytes | dict) or not hasattr(y, "__len__"):
        raise ValueError(f"Got y of type {type(y).__name__}.\n" + FORMS)
    if isinstance(y, np.ndarray) and y.dtype.kind in "biufcUSMm":
        return "single"
    return _form_of_items(y)


def _form_of_array(y):
    if y.ndim != 2:
        raise ValueError(f"y must have 1 or 2 dimensions; got {y.ndim}.\n" + FORMS)
    if y.shape[1] == 1:
        return "single"
    if y.dtype.kind in "US" or (y.dtype == object and any(isinstance(v, str) for v in y.flat)):
        raise ValueError(
            "A 2-D array of strings is not an indicator. If each row lists the labels of a sample, pass y.tolist().\n"
            + FORMS
        )
    return "indicator"


def _form_of_items(y):
    items = list(y)
    if not items:
        raise ValueError("y has no rows.\n" + FORMS)
    if any(item is None for item in items):
        raise ValueError("y holds None as an item; a row without labels is an empty collection, such as ().")
    scalar = [isinstance(item, str | bytes | Number | np.generic) for item in items]
    if all(scalar):
        return "single"
    if any(scalar):
        label_rows(items)  # raises, naming the item
    if any(np.ndim(item) > 1 for item in items if isinstance(item, np.ndarray)):
        raise ValueError("y must have 1 or 2 dimensions; got rows that are 2-D.\n" + FORMS)
    return "rows" if isinstance(y, list | tuple) and _are_indicator_rows(items) else "collections"


def _are_indicator_rows(items):
    if not all(isinstance(item, list | tuple | np.ndarray) for item in items):
        return False
    width = len(items[0])
    if width < 2 or any(len(item) != width for item in items):
        return False
    values = (value for item in items for value in item)
    return all(
        isinstance(v, Number | np.generic) and not isinstance(v, str) and (v in (0, 1) or v != v) for v in values
    )


def are_label_ids(rows, labels, strict=True):
    """Whether rows of 0 and 1 are better read as ids: with `strict`, if they cannot be an indicator."""
    known = set(labels)
    return not (strict and len(rows[0]) == len(labels)) and all(value in known for row in rows for value in row)


def is_dataframe(y):
    return hasattr(y, "columns") and hasattr(y, "to_numpy") and not sparse.issparse(y)


def single_labels(y):
    values = column_or_1d(np.asarray(y), warn=True)
    if values.dtype.kind == "O" or isinstance(y, list | tuple):
        sorted_labels(set(y if isinstance(y, list | tuple) else values.tolist()))  # NumPy would make 1 and "a" strings
    if values.dtype.kind == "f":
        assert_all_finite(values, input_name="y")
    check_classification_targets(values)
    return values


def warn_of_joined_labels(values):
    """Warn if most of the labels look like several, joined by commas or the like."""
    labels = (
        [value for value in np.unique(values).tolist() if isinstance(value, str)] if values.dtype.kind in "OUS" else []
    )
    for separator in ",;|":
        joined = [label for label in labels if separator in label]
        if 2 * len(joined) > len(labels):
            warnings.warn(
                f"y holds strings such as {joined[0]!r}, each read as one label. If they are label sets, pass "
                f"[row.split({separator!r}) for row in y].",
                stacklevel=6,
            )


def label_rows(y):
    """Return label collections as lists of Python objects."""
    return [_label_row(row, i) for i, row in enumerate(y)]


def _label_row(row, i):
    if not isinstance(row, Set | Sequence | np.ndarray) or isinstance(row, str | bytes):
        raise ValueError(f"y[{i}] is {row!r}, where a collection of labels is expected. {_hint(row)}\n" + FORMS)
    if getattr(row, "ndim", 1) != 1:
        raise ValueError(f"y[{i}] is an array of {row.ndim} dimensions; a collection of labels has one.")
    labels = [label.item() if isinstance(label, np.generic) else label for label in row]
    for label in labels:
        try:
            hash(label)
        except TypeError:
            raise ValueError(f"y[{i}] holds the label {label!r}, which is not hashable.\n" + FORMS) from None
        if label is None:
            raise ValueError(f"y[{i}] holds None as a label; a row without labels is an empty collection, ().")
    return labels


def _hint(row):
    if isinstance(row, dict):
        return "For rows of label -> 0 or 1 pass a DataFrame."
    is_label = isinstance(row, str | Number) and row == row
    return f"Write ({row!r},)." if is_label else "A row without labels is an empty collection, such as ()."
