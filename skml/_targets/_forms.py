"""Detect the form of ``y`` and read its items."""

from collections.abc import Iterable, Mapping, Sequence, Set, ValuesView
from numbers import Integral, Number

import numpy as np
from scipy import sparse
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from skml._targets._joined import call_for_joined_labels
from skml._targets._labels import as_labels, is_hashable, is_missing, sorted_labels
from skml._targets._rows import are_indicator_rows, are_probability_rows, as_items, refuse_binary_rows
from skml._targets._warnings import warn_once

FORMS = """y must have one of these forms:
  - multi-label, label sets: a list, Series or 1-D object array with one collection of labels per sample,
    such as [{"a", "b"}, {"b"}, set()]
  - multi-label, indicator: a 2-D array, sparse matrix or DataFrame of shape (n_samples, n_labels) of 0 and 1,
    such as [[1, 1], [0, 1], [0, 0]]; NaN marks a missing label
  - single-label (binary or multi-class): an array of shape (n_samples,), such as ["a", "b", "a"]"""

SOFT_HINT = " If these are probabilities of labels, set soft_labels=True; to score them, pass y >= 0.5."


def as_array(y):
    """Convert array-likes (Series, tensors, memoryviews) to arrays and Arrow tables to DataFrames."""
    if isinstance(y, np.ma.MaskedArray):
        return _fill_mask(y)
    if hasattr(y, "to_pandas") and not hasattr(y, "to_numpy"):
        return y.to_pandas()  # np.asarray of a pyarrow.Table would lose the column names
    has_array = hasattr(y, "__array__") or isinstance(y, memoryview)
    if has_array and not (is_dataframe(y) or sparse.issparse(y)):
        y = np.asarray(y)
    has_items = isinstance(y, list | tuple | ValuesView) or (
        isinstance(y, np.ndarray) and y.dtype == object and y.ndim == 1
    )
    if not has_items:
        return y
    items = as_items(y)
    return items if _is_converted(items, y) else y


def _is_converted(items, y):
    return isinstance(y, ValuesView) or any(item is not original for item, original in zip(items, y, strict=True))


def _fill_mask(y):
    """Return a masked ``y`` as a plain array, with NaN for the masked entries of an indicator."""
    if not np.ma.is_masked(y):
        return np.asarray(y)
    if y.ndim != 2 or y.dtype.kind not in "biuf":
        raise ValueError(
            f"y is a masked array of shape {y.shape} and dtype {y.dtype} with masked items. Only a 2-D indicator of 0 "
            "and 1 may have masked entries, which are missing labels. Remove the masked rows from X and y."
        )
    return y.astype(y.dtype if y.dtype.kind == "f" else np.float64).filled(np.nan)


def form_of(y):
    """Return the form of ``y``: "dataframe", "sparse", "indicator", "rows", "single" or "collections".

    "rows" are lists of 0 and 1, which are an indicator unless ``classes`` makes them collections of ids.
    """
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
    if isinstance(y, Set):
        raise ValueError(
            f"Got y of type {type(y).__name__}, which is unordered, so that its items cannot be matched with the rows "
            "of X.\n" + FORMS
        )
    # Ask the type: a class such as ``list`` has the attribute __len__, but no length.
    if isinstance(y, str | bytes | Mapping) or not hasattr(type(y), "__len__"):
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
            "y is a 2-D array of strings, which is not an indicator of 0 and 1. If each row lists the labels of a "
            "sample, pass y.tolist().\n" + FORMS
        )
    return "indicator"


def _form_of_items(y):
    items = list(y)
    if not items:
        raise ValueError("y has no rows.\n" + FORMS)
    check_no_missing_items(items)
    scalar = [isinstance(item, str | bytes | Number | np.generic) for item in items]
    if all(scalar):
        return "single"
    if any(scalar):
        label_rows(items)  # raises an error that names the item
    if any(np.ndim(item) > 1 for item in items if isinstance(item, np.ndarray)):
        raise ValueError("y must have 1 or 2 dimensions; got items that are 2-D arrays.\n" + FORMS)
    if are_indicator_rows(items):
        return "rows"
    refuse_binary_rows(items)
    return "collections"


def check_no_soft_rows(y):
    """Raise a ValueError for rows of probabilities that are no label sets, and warn if they may be some."""
    items = list(y)
    if not are_probability_rows(items):
        return
    message = f"y holds rows of numbers in [0, 1], such as {items[0]!r}.{SOFT_HINT}"
    if any(len(set(item)) < len(item) for item in items):
        raise ValueError(f"{message}\n{FORMS}")
    warn_once(f"{message} They are read as label sets.")


def with_soft_rows(y):
    """Return rows of probabilities as a 2-D array, and any other ``y`` unchanged."""
    is_rows = isinstance(y, list | tuple) or (isinstance(y, np.ndarray) and y.dtype == object and y.ndim == 1)
    if is_rows and len(y) and are_probability_rows(list(y), bounded=False):
        return np.asarray([list(row) for row in y], dtype=np.float64)
    return y


def check_no_missing_items(items):
    """Raise a ValueError if an item of ``y`` is None, NaN, NaT or pd.NA."""
    row = next((i for i, item in enumerate(items) if is_missing(item)), None)
    if row is not None:
        call = call_for_joined_labels(items)
        raise ValueError(
            f"y has the missing value {items[row]!r} as an item, first in row {row}. "
            + ("" if call is None else f"If the strings are label sets, pass {call[:-1]}, missing='empty'). ")
            + "For multi-label y, write a sample without labels as an empty collection, such as (). For single-label "
            "y, remove the rows without a label from X and y."
        )


def are_label_ids(rows, labels, strict=True):
    """Return whether rows of 0 and 1 are collections of label ids.

    With `strict`, rows that have one value for each label are an indicator.
    """
    label_set = set(labels)
    if (strict and len(rows[0]) == len(labels)) or any(len(set(row)) < len(row) for row in rows):
        return False
    return all(value in label_set for row in rows for value in row)


def rows_as_array(rows):
    """Return rows of 0, 1 and NaN, in any container, as a 2-D array."""
    return np.asarray([list(row) for row in rows])


def check_rows(X, y):
    """Raise a ValueError if X and ``y`` have different numbers of rows.

    Call this before reading the items of ``y``, so that the error names the type of a ``y`` that is no target at all:
    dask-ml's Incremental passes the name of an array in place of a 2-D ``y``.
    """
    shape = y.shape if hasattr(y, "shape") else (len(y),) if hasattr(type(y), "__len__") else ()
    if shape and shape[0] != X.shape[0]:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: [{X.shape[0]}, {shape[0]}]. X has "
            f"{X.shape[0]}, but y, of type {type(y).__name__}, has {shape[0]}.\n" + FORMS
        )


def is_dataframe(y):
    """Return whether ``y`` is a pandas or polars DataFrame."""
    return hasattr(y, "columns") and hasattr(y, "to_numpy") and not sparse.issparse(y)


def single_labels(y):
    """Return single-label ``y`` as a 1-D array, after checking that its labels have one type."""
    values = np.asarray(y)
    if values.dtype.kind == "c":
        raise ValueError("y holds complex numbers, which cannot be labels. Complex data not supported.\n" + FORMS)
    values = column_or_1d(values, warn=True)
    if values.dtype.kind == "O" or isinstance(y, list | tuple):
        items = list(y) if isinstance(y, list | tuple) else values.tolist()
        check_no_missing_items(items)
        sorted_labels(set(items), remedy="Use labels of one type.")  # NumPy would convert 1 and "a" to strings
        if all(isinstance(item, bool | np.bool_) for item in items):
            values = values.astype(bool)  # after dropna, pandas keeps booleans as objects
        _check_integers(items, values.dtype)
        truncated = [item for item in items if values.dtype.kind == "U" and item.endswith("\0")]
        if truncated:
            raise ValueError(
                f"y holds the label {truncated[0]!r}. NumPy removes NUL characters at the end of a string, so that it "
                "would become another label. Remove these characters from the labels."
            )
    if values.dtype.kind in "mM":
        check_no_missing_items(as_labels(values))
    if values.dtype.kind == "f":
        assert_all_finite(values, input_name="y")
    check_classification_targets(values)
    return values


def _check_integers(items, dtype):
    """Raise a ValueError for integers that NumPy rounds to floats, which can merge classes, or keeps as objects."""
    if dtype.kind in "fO" and all(isinstance(item, Integral) for item in items):
        raise ValueError(
            f"Unknown label type: y holds integers from {min(items)} to {max(items)} as dtype {dtype}. The integer "
            "labels of single-label y must have an integer dtype. Pass np.asarray(y, dtype=np.int64), or strings if "
            "the labels do not all fit into int64 or uint64."
        )


def label_rows(y):
    """Return each collection of labels as a list of Python objects."""
    return [_label_row(row, i) for i, row in enumerate(y)]


def _label_row(row, i):
    if not isinstance(row, Set | Sequence | np.ndarray) or isinstance(row, str | bytes):
        raise ValueError(f"y[{i}] must be a collection of labels; got {row!r}. {_hint(row)}\n" + FORMS)
    if getattr(row, "ndim", 1) != 1:
        raise ValueError(f"y[{i}] must be a 1-D array of labels; got an array of {row.ndim} dimensions.")
    labels = as_labels(row)
    for label in labels:
        if not is_hashable(label):
            raise ValueError(f"y[{i}] holds the label {label!r}, but labels must be hashable.\n" + FORMS)
        if is_missing(label):
            raise ValueError(
                f"y[{i}] holds the missing value {label!r} as a label. Remove it; a sample without labels is an empty "
                "collection, such as ()."
            )
    return labels


def _hint(row):
    if isinstance(row, dict):
        return "If y holds mappings from labels to 0 or 1, pass a DataFrame."
    is_label = isinstance(row, str | bytes) or (is_hashable(row) and not isinstance(row, Iterable))
    return (
        f"Write a single label as ({row!r},)."
        if is_label
        else "Write a sample without labels as an empty collection, such as ()."
    )
