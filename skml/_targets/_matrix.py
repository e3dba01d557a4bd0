"""The 0/1 matrix of a target, in which NaN is a missing label: made, and summed up."""

from decimal import Decimal
from numbers import Number, Real

import numpy as np
from scipy import sparse

from skml._inputs import check_indices
from skml._targets._forms import FORMS
from skml._targets._labels import format_values, is_missing

# What is done block by block holds so much of a matrix at a time.
_BLOCK_BYTES = 2**24

# What an entry of an indicator may be, apart from missing.
_NUMBERS = Real | Decimal | np.bool_

# Above this many entries the 0/1 matrix of label collections or classes is built as CSR.
_MAX_DENSE_ENTRIES = 2**22


def dataframe_entries(y):
    """Return the entries of a pandas or polars DataFrame as one array; a missing entry is NaN."""
    if _has_only_numbers(y) and y.isna().to_numpy().any():
        return y.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    entries = y.to_numpy()
    return entries if entries.dtype != object else _number_entries(entries, list(y.columns))


def _has_only_numbers(y):
    """Whether pandas, which alone has ``isna``, tells by the columns' dtypes that all entries are numbers or bool."""
    return hasattr(y, "isna") and all(dtype.kind in "biuf" for dtype in y.dtypes)


def _number_entries(entries, names):
    """Return entries of any types as bool if all are, else as floats with NaN for missing ones.

    Strings are no numbers: "1" may be a label's name or a grade.
    """
    missing = np.frompyfunc(is_missing, 1, 1)(entries).astype(bool)
    for name, column, known in zip(names, entries.T, ~missing.T, strict=True):
        wrong = next((value for value in column[known] if not isinstance(value, _NUMBERS)), None)
        if wrong is not None:
            kind = type(wrong).__name__
            hint = "" if isinstance(wrong, str | Number) else f" For a column of label sets pass y[{name!r}]."
            raise ValueError(
                f"An indicator y must hold 0 and 1; got {wrong!r} ({kind}) in column {name!r}.{hint}\n" + FORMS
            )
    if all(isinstance(value, bool | np.bool_) for value in entries.flat):
        return entries.astype(bool)
    return np.where(missing, np.nan, entries).astype(np.float64)


def binary_entries(y):
    """Return an indicator as uint8, dense or CSR, after making sure that it holds 0 and 1 only."""
    if sparse.issparse(y):
        check_indices("y", y)
        Y = sparse.csr_array(y, copy=True)
        Y.sum_duplicates()
        Y.eliminate_zeros()
        return Y.astype(_checked_dtype(Y.data))
    entries = np.asarray(y)
    if entries.dtype == object:
        entries = _number_entries(entries, range(entries.shape[1]))
    return entries.astype(_checked_dtype(entries))


def _checked_dtype(entries):
    """Return the dtype for the entries of an indicator, after making sure that they hold 0, 1 and NaN only."""
    if entries.dtype.kind == "b":
        return np.uint8
    if entries.dtype.kind not in "iuf":
        raise ValueError(f"An indicator y must hold 0 and 1; got dtype {entries.dtype}.\n" + FORMS)
    wrong = entries[(entries != 0) & (entries != 1)]
    if not wrong.size:
        return np.uint8
    if np.isnan(wrong).all():
        return np.float32
    wrong = np.unique(wrong[~np.isnan(wrong)])
    raise ValueError(f"An indicator y must hold 0 and 1; got {format_values(wrong.tolist())}.\n" + FORMS)


def matrix_of(columns, width):
    """Return the 0/1 matrix whose row i has ones in columns[i]: dense, or CSR where that is large."""
    splits = np.cumsum([0] + [len(row) for row in columns])
    indices = np.fromiter((j for row in columns for j in row), dtype=np.int32, count=splits[-1])
    Y = sparse.csr_array((np.ones(len(indices), np.uint8), indices, splits), shape=(len(columns), width))
    return Y if len(columns) * width > _MAX_DENSE_ENTRIES else Y.toarray()


def has_missing(Y):
    """Whether entries of a target's matrix may be NaN, that is unknown."""
    return Y.dtype.kind == "f"


def missing_entries(Y):
    """Return where the entries of a matrix are unknown, dense or CSR as it is."""
    return Y != Y  # only NaN is not itself


def to_dense(Y):
    """Return a matrix, or a part of one, as an array."""
    return Y.toarray() if sparse.issparse(Y) else Y


def column_sums(entries):
    """Return how many entries of each column are true, shape (n_columns,)."""
    return np.asarray(entries.sum(axis=0)).ravel()


def row_sums(entries):
    """Return how many entries of each row are true, shape (n_rows,)."""
    return np.asarray(entries.sum(axis=1)).ravel()


def row_blocks(n_rows, n_columns, entry_bytes=8):
    """Return slices of rows that hold 16 MB: what is done block by block never needs a second matrix.

    Parameters
    ----------
    n_rows, n_columns : int
    entry_bytes : int, default=8
        What the work on one entry needs.
    """
    size = max(1, _BLOCK_BYTES // (n_columns * entry_bytes))
    return [slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]
