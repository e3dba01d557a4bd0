"""Build, check and sum label matrices of 0 and 1, in which NaN marks a missing label."""

from decimal import Decimal
from numbers import Number, Real

import numpy as np
from scipy import sparse

from skml._inputs import check_indices
from skml._targets._forms import FORMS, SOFT_HINT
from skml._targets._labels import format_values, is_missing

# Size of a block of rows, for work that is done block by block.
_BLOCK_BYTES = 2**24

# Types of the observed entries of an indicator of objects.
_NUMBERS = Real | Decimal | np.bool_

# Label collections and classes become a CSR matrix if it has more entries than this.
_MAX_DENSE_ENTRIES = 2**22


def dataframe_entries(y):
    """Return a pandas or polars DataFrame as one array, with NaN for missing labels."""
    if _has_only_numbers(y) and y.isna().to_numpy().any():
        return y.to_numpy(dtype=np.float64, na_value=np.nan)
    entries = y.to_numpy()
    return entries if entries.dtype != object else _number_entries(entries, list(y.columns))


def _has_only_numbers(y):
    """Return whether ``y`` is a pandas DataFrame whose columns all have a numeric or bool dtype."""
    # polars has no ``isna``.
    return hasattr(y, "isna") and all(dtype.kind in "biuf" for dtype in y.dtypes)


def _number_entries(entries, names):
    """Return entries of mixed types as bool if all are bool, otherwise as floats with NaN for missing labels.

    Strings are refused, since "1" may be the name of a label or a grade.
    """
    missing = np.frompyfunc(is_missing, 1, 1)(entries).astype(bool)
    for name, column, observed in zip(names, entries.T, ~missing.T, strict=True):
        wrong = next((value for value in column[observed] if not isinstance(value, _NUMBERS)), None)
        if wrong is not None:
            kind = type(wrong).__name__
            hint = "" if isinstance(wrong, str | Number) else f" If the column holds label sets, pass y[{name!r}]."
            raise ValueError(
                f"An indicator y must hold 0 and 1; got {wrong!r} ({kind}) in column {name!r}.{hint}\n" + FORMS
            )
    if all(isinstance(value, bool | np.bool_) for value in entries.flat):
        return entries.astype(bool)
    return np.where(missing, np.nan, entries).astype(np.float64)


def binary_entries(y, soft_labels=None):
    """Check an indicator, dense or CSR, and return it as uint8, or as float32 if it has missing or soft labels.

    Parameters
    ----------
    y : indicator
    soft_labels : list of length n_labels, default=None
        The labels of the columns, if entries may be probabilities.
    """
    if sparse.issparse(y):
        check_indices("y", y)
        Y = sparse.csr_array(y, copy=True)
        Y.sum_duplicates()
        Y.eliminate_zeros()
    else:
        Y = np.asarray(y)
        if Y.dtype == object:
            Y = _number_entries(Y, range(Y.shape[1]))
    entries = Y.data if sparse.issparse(Y) else Y
    if soft_labels is not None and entries.dtype.kind in "iuf":
        _check_probabilities(Y, soft_labels)
        return Y.astype(np.uint8 if np.isin(entries, (0, 1)).all() else np.float32)
    return Y.astype(_checked_dtype(entries))


def _check_probabilities(Y, labels):
    """Raise a ValueError that names the first entry of an indicator that is neither in [0, 1] nor NaN."""
    rows, columns, values = sparse.find(Y) if sparse.issparse(Y) else (None, None, Y)
    (wrong, *more) = np.nonzero((values < 0) | (values > 1))
    if not wrong.size:
        return
    i = wrong[0] if rows is None else rows[wrong[0]]
    j = more[0][0] if rows is None else columns[wrong[0]]
    value = Y[i, j]
    raise ValueError(
        "An indicator y must hold 0 and 1, or with soft_labels=True probabilities in [0, 1], and NaN for missing "
        f"labels; got {value.item()!r} in row {i} for the label {labels[j]!r}. Divide counts of votes by the number of "
        "votes.\n" + FORMS
    )


def hard_labels(Y):
    """Return a label matrix with 1 for probabilities of at least 0.5, 0 for smaller ones, and NaN as it is."""
    if not has_missing(Y):
        return Y
    entries = Y.data if sparse.issparse(Y) else Y
    is_missing = np.isnan(entries)
    hard = np.where(is_missing, np.nan, entries >= 0.5).astype(Y.dtype if is_missing.any() else np.uint8)
    if not sparse.issparse(Y):
        return hard
    Y = sparse.csr_array((hard, Y.indices.copy(), Y.indptr.copy()), shape=Y.shape)
    Y.eliminate_zeros()
    return Y


def known_entries(Y):
    """Return a label matrix with 0 for missing labels, dense or CSR."""
    if not has_missing(Y):
        return Y
    if sparse.issparse(Y):
        return sparse.csr_array((np.nan_to_num(Y.data), Y.indices, Y.indptr), shape=Y.shape)
    return np.nan_to_num(Y)


def _checked_dtype(entries):
    """Check that entries are 0, 1 or NaN, and return the dtype for them: float32 if there is a NaN, else uint8."""
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
    hint = SOFT_HINT if wrong[0] > 0 and wrong[-1] < 1 else ""
    raise ValueError(f"An indicator y must hold 0 and 1; got {format_values(wrong.tolist())}.{hint}\n" + FORMS)


def matrix_of(columns, width):
    """Return the 0/1 matrix whose row i has ones in columns[i], as CSR if it is large."""
    splits = np.cumsum([0] + [len(row) for row in columns])
    indices = np.fromiter((j for row in columns for j in row), dtype=np.int32, count=splits[-1])
    Y = sparse.csr_array((np.ones(len(indices), np.uint8), indices, splits), shape=(len(columns), width))
    return Y if len(columns) * width > _MAX_DENSE_ENTRIES else Y.toarray()


def has_missing(Y):
    """Return whether a label matrix may contain missing labels, by its dtype."""
    return Y.dtype.kind == "f"


def has_soft(Y):
    """Return whether entries of a label matrix are neither 0 nor 1 nor NaN."""
    entries = Y.data if sparse.issparse(Y) else Y
    return has_missing(Y) and bool(((entries > 0) & (entries < 1)).any())


def missing_entries(Y):
    """Return the mask of the missing labels, dense or CSR like the matrix."""
    return Y != Y  # only NaN differs from itself


def equal_matrices(Y, other):
    """Return whether two matrices have the same entries, dense or CSR; NaN equals NaN."""
    if Y.shape != other.shape:
        return False
    blocks = row_blocks(*Y.shape)
    return all(np.array_equal(*(to_dense(M[rows]) for M in (Y, other)), equal_nan=True) for rows in blocks)


def to_dense(Y):
    """Return a dense or sparse matrix as an array."""
    return Y.toarray() if sparse.issparse(Y) else Y


def column_sums(entries):
    """Return the sum of each column, shape (n_columns,)."""
    return np.asarray(entries.sum(axis=0)).ravel()


def row_sums(entries):
    """Return the sum of each row, shape (n_rows,)."""
    return np.asarray(entries.sum(axis=1)).ravel()


def row_blocks(n_rows, n_columns, entry_bytes=8):
    """Return slices that divide the rows into blocks of 16 MB, so that temporary arrays stay small.

    Parameters
    ----------
    n_rows, n_columns : int
    entry_bytes : int, default=8
        Memory that the work on one entry needs, in bytes.
    """
    size = max(1, _BLOCK_BYTES // (n_columns * entry_bytes))
    return [slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]
