"""Which of its forms y has, and how its items are read."""

import ast
from collections.abc import Iterable, Mapping, Sequence, Set, ValuesView
from numbers import Integral, Number

import numpy as np
from scipy import sparse
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from skml._targets._labels import as_labels, is_hashable, is_missing, sorted_labels
from skml._targets._rows import are_indicator_rows, as_items, refuse_binary_rows
from skml._targets._warnings import warn_once

FORMS = """y must be one of
  - a list (or Series, or 1-D object array) of label collections: [{"a", "b"}, {"b"}, set()]
  - a 2-D array, sparse matrix or DataFrame of 0 and 1, one column per label: [[1, 1], [0, 1], [0, 0]];
    NaN is a missing label
  - a 1-D array of one label per row: ["a", "b", "a"]"""


def as_array(y):
    """Return Series, tensors, memoryviews and the like as arrays, Arrow tables as DataFrames."""
    if isinstance(y, np.ma.MaskedArray):
        return _unmasked(y)
    if hasattr(y, "to_pandas") and not hasattr(y, "to_numpy"):
        return y.to_pandas()  # a pyarrow.Table is an array, too, but one without the names of its columns
    has_array = hasattr(y, "__array__") or isinstance(y, memoryview)
    if has_array and not (is_dataframe(y) or sparse.issparse(y)):
        y = np.asarray(y)
    has_items = isinstance(y, list | tuple | ValuesView) or (
        isinstance(y, np.ndarray) and y.dtype == object and y.ndim == 1
    )
    if not has_items:
        return y
    items = as_items(y)
    return items if _differ(items, y) else y


def _differ(items, y):
    return isinstance(y, ValuesView) or any(item is not original for item, original in zip(items, y, strict=True))


def _unmasked(y):
    """Return a masked ``y`` as an array, in which NaN stands for a masked entry, where an entry may be unknown."""
    if not np.ma.is_masked(y):
        return np.asarray(y)
    if y.ndim != 2 or y.dtype.kind not in "biuf":
        raise ValueError(
            f"y is a masked array of shape {y.shape} and dtype {y.dtype} with masked items. Only entries of a 2-D "
            "indicator of 0 and 1 may be masked, that is unknown; leave out the rows without a label."
        )
    return y.astype(y.dtype if y.dtype.kind == "f" else np.float64).filled(np.nan)


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
    if isinstance(y, Set):
        raise ValueError(f"Got y of type {type(y).__name__}, which has no order that goes with X.\n" + FORMS)
    if isinstance(y, str | bytes | Mapping) or not hasattr(type(y), "__len__"):  # a class has it, and no length
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
    check_known(items)
    scalar = [isinstance(item, str | bytes | Number | np.generic) for item in items]
    if all(scalar):
        return "single"
    if any(scalar):
        label_rows(items)  # raises, naming the item
    if any(np.ndim(item) > 1 for item in items if isinstance(item, np.ndarray)):
        raise ValueError("y must have 1 or 2 dimensions; got rows that are 2-D.\n" + FORMS)
    if are_indicator_rows(items):
        return "rows"
    refuse_binary_rows(items)
    return "collections"


def check_known(items):
    """Make sure that no item of ``y`` is missing."""
    row = next((i for i, item in enumerate(items) if is_missing(item)), None)
    if row is not None:
        raise ValueError(
            f"y holds {items[row]!r} as an item, first in row {row}. A row without labels is an empty collection, such "
            "as (); where each row has one label, leave out the rows without one."
        )


def are_label_ids(rows, labels, strict=True):
    """Whether rows of 0 and 1 are better read as ids: with `strict`, if they cannot be an indicator."""
    known = set(labels)
    if (strict and len(rows[0]) == len(labels)) or any(len(set(row)) < len(row) for row in rows):
        return False
    return all(value in known for row in rows for value in row)


def rows_as_array(rows):
    """Return rows of 0, 1 and NaN in any container as a 2-D array."""
    return np.asarray([list(row) for row in rows])


def check_rows(X, y):
    """Make sure that ``y`` has a row for each of X, before its items are looked at.

    What is no ``y`` at all, such as the name of an array that dask-ml's Incremental passes for a 2-D one, is told so.
    """
    shape = y.shape if hasattr(y, "shape") else (len(y),) if hasattr(type(y), "__len__") else ()
    if shape and shape[0] != X.shape[0]:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: [{X.shape[0]}, {shape[0]}]. X has "
            f"{X.shape[0]}, but y, of type {type(y).__name__}, has {shape[0]}.\n" + FORMS
        )


def is_dataframe(y):
    return hasattr(y, "columns") and hasattr(y, "to_numpy") and not sparse.issparse(y)


def single_labels(y):
    """Return one label per row as a 1-D array, after making sure that they are labels of one kind."""
    values = np.asarray(y)
    if values.dtype.kind == "c":
        raise ValueError("y holds complex numbers, which are no labels. Complex data not supported.\n" + FORMS)
    values = column_or_1d(values, warn=True)
    if values.dtype.kind == "O" or isinstance(y, list | tuple):
        items = list(y) if isinstance(y, list | tuple) else values.tolist()
        check_known(items)
        sorted_labels(set(items), mend="Use one type.")  # NumPy would make 1 and "a" strings
        if all(isinstance(item, bool | np.bool_) for item in items):
            values = values.astype(bool)  # objects, as pandas leaves them once an entry was missing
        _check_integers(items, values.dtype)
        cut = [item for item in items if values.dtype.kind == "U" and item.endswith("\0")]
        if cut:
            raise ValueError(f"y holds {cut[0]!r}, and NumPy's strings end before a NUL: it would be another label.")
    if values.dtype.kind in "mM":
        check_known(as_labels(values))
    if values.dtype.kind == "f":
        assert_all_finite(values, input_name="y")
    check_classification_targets(values)
    return values


def _check_integers(items, dtype):
    """Refuse integers that NumPy would round to floats, in which several may be one, or keep as objects."""
    if dtype.kind in "fO" and all(isinstance(item, Integral) for item in items):
        raise ValueError(
            f"Unknown label type: y holds integers from {min(items)} to {max(items)}, one per row, as dtype {dtype}. "
            "They must fit into one dtype of NumPy's, int64 or uint64, and have it: pass "
            "np.asarray(y, dtype=np.int64), or the labels as strings."
        )


def warn_of_joined_labels(values):
    """Warn if labels look like several: most of them joined by commas or the like, or labels there are; or as code."""
    labels = (
        [value for value in np.unique(values).tolist() if isinstance(value, str)] if values.dtype.kind in "OUS" else []
    )
    if labels and all(map(_is_written_collection, labels)):
        _warn_of_sets_in(max(labels, key=len), "ast.literal_eval(row)")
        return
    for separator in ",;|":
        joined = [label for label in labels if separator in label]
        are_of_labels = any(set(map(str.strip, label.split(separator))) <= set(labels) for label in joined)
        if are_of_labels or 2 * len(joined) > len(labels):
            _warn_of_sets_in(joined[0], f"row.split({separator!r})")


def _is_written_collection(text):
    """Whether a string is a list, tuple or set as Python writes it, such as those in a CSV file."""
    try:
        return text == "set()" or isinstance(ast.literal_eval(text), list | tuple | set)
    except (SyntaxError, ValueError):
        return False


def _warn_of_sets_in(label, mend):
    warn_once(
        f"y holds strings such as {label!r}, each read as one label. If they are label sets, pass "
        f"[{mend} for row in y]."
    )


def label_rows(y):
    """Return label collections as lists of Python objects."""
    return [_label_row(row, i) for i, row in enumerate(y)]


def _label_row(row, i):
    if not isinstance(row, Set | Sequence | np.ndarray) or isinstance(row, str | bytes):
        raise ValueError(f"y[{i}] is {row!r}, where a collection of labels is expected. {_hint(row)}\n" + FORMS)
    if getattr(row, "ndim", 1) != 1:
        raise ValueError(f"y[{i}] is an array of {row.ndim} dimensions; a collection of labels has one.")
    labels = as_labels(row)
    for label in labels:
        if not is_hashable(label):
            raise ValueError(f"y[{i}] holds the label {label!r}, which is not hashable.\n" + FORMS)
        if is_missing(label):
            raise ValueError(
                f"y[{i}] holds {label!r} as a label; leave it out. A row without labels is an empty collection, ()."
            )
    return labels


def _hint(row):
    if isinstance(row, dict):
        return "For rows of label -> 0 or 1 pass a DataFrame."
    is_label = isinstance(row, str | bytes) or (is_hashable(row) and not isinstance(row, Iterable))
    return f"Write ({row!r},)." if is_label else "A row without labels is an empty collection, such as ()."
