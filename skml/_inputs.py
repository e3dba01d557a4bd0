"""Validation of X and of probabilities, the same in fit and in predict."""

from collections.abc import Mapping

import numpy as np
from scipy import sparse
from sklearn import utils
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from skml._dependencies import _num_samples


def is_dict(X):
    """Return whether X is a mapping, but not a sparse matrix in SciPy's format DOK, which is a dict as well."""
    return isinstance(X, Mapping) and not sparse.issparse(X)


def indexable(*data):
    """Return X, y and other data as scikit-learn's function of this name does; refuse a dict, which has no rows."""
    if any(is_dict(values) for values in data):
        raise ValueError(
            "X is a dict, which cannot be divided into rows. Pass a DataFrame with the arrays as columns or, for "
            "arrays of more dimensions, a structured array: see the notes of KerasMultiLabelClassifier."
        )
    return utils.indexable(*data)


class NamedArrays:
    """The rows of several named arrays: X of a network with several inputs.

    Parameters
    ----------
    arrays : dict of str to ndarray or CSR
        Numbers, or texts as objects, all with the same number of rows.
    """

    def __init__(self, arrays):
        self.arrays = arrays

    @property
    def shape(self):
        """Number of rows, and of arrays."""
        return (next(iter(self.arrays.values())).shape[0], len(self.arrays))

    @property
    def shapes(self):
        """The shape of each array, by name."""
        return {name: array.shape for name, array in self.arrays.items()}

    @property
    def dtypes(self):
        """The dtype of each array, by name."""
        return {name: array.dtype for name, array in self.arrays.items()}

    def __getitem__(self, rows):
        """Return some of the rows."""
        return NamedArrays({name: array[rows] for name, array in self.arrays.items()})


def is_text(array):
    """Return whether an array that `check_X` returned holds texts."""
    return array.dtype.kind in "OUS"


def n_rows_of(X):
    """Return the number of rows of X in any form that `fit` accepts."""
    return _num_samples(next(iter(X.values())) if is_dict(X) else X)


def check_X(estimator, X, y=None, *, dtype, reset=False, any_column=False):
    """Return X as the network of an estimator takes it.

    Parameters
    ----------
    estimator : KerasMultiLabelClassifier
        Receives the number and names of columns if `reset` is true; otherwise X must have the same.
    X : array-like, DataFrame, sparse matrix or mapping
    y : any form of target, default=None
        Tells a list of the arrays of several inputs from a list of rows.
    dtype : numpy dtype
        Of the default network. A value beyond its range is refused, as it would become infinite.
    reset : bool, default=False
    any_column : bool, default=False
        Whether columns of dense X may have missing values, NaN, and values beyond the range of `dtype`.

    Returns
    -------
    X : ndarray or CSR, or `NamedArrays` for a custom network

    Raises
    ------
    ValueError
        If X holds anything but finite numbers in the range of `dtype`, or has other columns than in fit. NaN is
        accepted in dense X if `any_column` is true.
    """
    if estimator.model is not None:
        return _check_X_of_custom_network(estimator, X, y, reset)
    if not reset and _needs_no_check(estimator, X, dtype):
        return X
    _refuse_what_is_no_matrix(X, y)
    any_column = any_column and not sparse.issparse(X)
    finite = "allow-nan" if any_column else True
    try:
        X = validate_data(
            estimator,
            X,
            reset=reset,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            ensure_all_finite=finite,
        )
    except ValueError as error:
        if "contains NaN" in str(error) and estimator.scale is None and not sparse.issparse(X):
            raise ValueError(
                f'{str(error).splitlines()[0]} Missing values have no meaning with scale=None: leave scale="auto", or '
                "fill them in a preceding step of a Pipeline, such as SimpleImputer."
            ) from error
        if "could not convert string" not in str(error):
            raise
        raise ValueError(
            f"X must hold numbers: {error}. Convert texts or categories to numbers in a preceding step of a Pipeline, "
            "such as TfidfVectorizer or OneHotEncoder."
        ) from error
    X = X if any_column else _check_range(X, dtype)
    # Dense columns keep their digits until they are scaled.
    return X.astype(dtype, copy=False) if reset and sparse.issparse(X) else X


def _check_X_of_custom_network(estimator, X, y, reset):
    named = _named(X)
    if named is not None:
        return _check_named(estimator, named, reset)
    _refuse_what_is_no_matrix(X, y)
    first = X if hasattr(X, "dtype") or sparse.issparse(X) else np.asarray(X)
    is_text = getattr(first, "dtype", np.dtype(object)).kind in "OUST" and _holds_text(first)
    return validate_data(
        estimator,
        X,
        reset=reset,
        accept_sparse="csr",
        dtype=None if is_text else "numeric",
        allow_nd=True,
        ensure_2d=not is_text,
    )


def _refuse_what_is_no_matrix(X, y):
    if is_dict(X):
        raise ValueError(
            f"X is a {type(X).__name__}, which only a custom network takes: one with an input for each of its arrays, "
            "passed as model. Pass an array of shape (n_samples, n_features), or a DataFrame."
        )
    _refuse_list_of_arrays(X, y)
    refuse_mask("X", X)
    check_indices("X", X)


def _named(X):
    """Return the arrays of a mapping, of a structured array, or of a DataFrame with texts, by name; else None."""
    if is_dict(X):
        return dict(X)
    if getattr(getattr(X, "dtype", None), "names", None):
        return {name: X[name] for name in X.dtype.names}
    kinds = {getattr(dtype, "kind", "O") for dtype in getattr(X, "dtypes", "O")}
    if not hasattr(X, "columns") or not kinds - set("biuf"):
        return None
    names = list(getattr(X, "column_names", X.columns))  # the first is of pyarrow
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        return None
    columns = {name: X[name] for name in names}
    return columns if any(_has_text(np.asarray(column)) for column in columns.values()) else None


def _has_text(values):
    kind = values.dtype.kind
    return kind in "UST" or (kind == "O" and any(isinstance(value, str | bytes) for value in values.flat))


def _check_named(estimator, named, reset):
    wrong = [name for name in named if not isinstance(name, str)]
    if wrong or not named:
        raise ValueError(
            "X must map the name of each input of the network, a string, to its array; got "
            f"{f'the key {wrong[0]!r}' if wrong else 'no array'}."
        )
    state = vars(estimator)
    if not reset and "feature_names_in_" not in state:
        raise ValueError(
            f"X has named arrays, {quoted(named)}, but the X in fit had no names. Pass X in the same form as in fit."
        )
    names = list(named) if reset else state["feature_names_in_"].tolist()
    missing, unknown = [n for n in names if n not in named], [n for n in named if n not in names]
    if missing or unknown:
        wrong = [f" {what} here: {quoted(some)}." for what, some in (("Missing", missing), ("New", unknown)) if some]
        raise ValueError(f"X must have the names that it had in fit: {quoted(names)}.{''.join(wrong)}")
    X = NamedArrays({name: _check_named_array(name, named[name]) for name in names})
    n_rows = {name: array.shape[0] for name, array in X.arrays.items()}
    if len(set(n_rows.values())) > 1:
        raise ValueError(
            "The arrays in X must have the same number of rows; got "
            + ", ".join(f"{n} in {name!r}" for name, n in n_rows.items())
            + "."
        )
    if reset:
        estimator.n_features_in_, estimator.feature_names_in_ = len(names), np.array(names, dtype=object)
    return X


def quoted(names):
    """Return names as text, each in quotes."""
    return ", ".join(map(repr, names))


def _check_named_array(name, values):
    """Return one of the arrays in X: CSR, an array of numbers, or an array of texts as objects."""
    shown = f"X[{name!r}]"
    refuse_mask(shown, values)
    check_indices(shown, values)
    array = values if sparse.issparse(values) else np.asarray(values)
    if not array.ndim or not array.shape[0]:
        raise ValueError(f"{shown} must be an array with a row for each sample; got {values!r}.")
    if array.dtype.kind in "mM":
        raise ValueError(f"{shown} holds {array.dtype}. Convert dates and durations to numbers, such as days.")
    if array.dtype.kind not in "OUST" or not _has_text(array):
        return check_array(
            values, accept_sparse="csr", dtype="numeric", ensure_2d=False, allow_nd=True, input_name=shown
        )
    array = array.astype(object)
    others = [value for value in array.flat if not isinstance(value, str | bytes)]
    if others:
        raise ValueError(
            f"{shown} holds texts and {len(others)} other values, such as {others[0]!r}. An input takes texts or "
            'numbers: convert the values, and fill missing texts, for example by "".'
        )
    return array


def _refuse_list_of_arrays(X, y):
    """Raise a ValueError if X is a list of the arrays of several inputs, as `keras.Model.fit` takes it."""
    if not isinstance(X, list | tuple) or not X or not all(np.ndim(item) and hasattr(item, "shape") for item in X):
        return
    lengths, others = {item.shape[0] for item in X}, {item.shape[1:] for item in X}
    n_rows = _num_samples(y) if hasattr(y, "shape") or hasattr(type(y), "__len__") else len(X)
    if len(lengths) == 1 and (len(others) > 1 or lengths == {n_rows} != {len(X)}):
        raise ValueError(
            f"X is a list of {len(X)} arrays with {lengths.pop()} rows each. Name the arrays: "
            'X={"image": A, "text": B} for a custom network whose inputs are keras.Input(..., name="image") and '
            'keras.Input(..., name="text").'
        )


def _holds_text(X):
    if X.dtype.kind in "UST":
        return True
    flat = np.asarray(X).ravel()
    return flat.size > 0 and isinstance(flat[0], str)


def _check_range(X, dtype):
    values = X.data if sparse.issparse(X) else X
    limit = np.finfo(dtype).max
    if X.dtype != dtype and values.size and not -limit <= values.min() <= values.max() <= limit:
        raise ValueError(f"Input X contains infinity or a value too large for {dtype!r}.")
    return X


def _needs_no_check(estimator, X, dtype):
    """Return True if X certainly passes all checks, which one pass over its values shows.

    For a single row scikit-learn's checks take longer than the network. False means that they have to decide.
    """
    state = vars(estimator)
    if "feature_names_in_" in state or not _is_plain(X):
        return False
    if X.ndim != 2 or not X.shape[0] or X.shape[1] != state.get("n_features_in_"):
        return False
    if sparse.issparse(X) and not _has_valid_indices(X):
        return False
    values = X.data if sparse.issparse(X) else X.ravel(order="K")
    with np.errstate(over="ignore"):
        squares = np.dot(values, values)  # NaN and infinity in X make this NaN or infinite
    return squares < np.finfo(dtype).max


def _is_plain(X):
    """Return True for CSR and for contiguous arrays of native float32 or float64."""
    if type(X) is np.ndarray:
        return X.dtype.char in "fd" and X.dtype.isnative and X.flags.forc
    return sparse.issparse(X) and X.format == "csr" and X.dtype.char in "fd" and X.dtype.isnative


def refuse_mask(name, values):
    """Raise a ValueError if the parameter `name` is an array with masked values, which NumPy would use unmasked."""
    if np.ma.is_masked(values):
        raise ValueError(
            f"{name} is a masked array with {np.ma.count_masked(values)} masked values, which have no meaning there. "
            f"Fill them, as {name}.filled(...) or an imputer does, or leave the rows out."
        )


def check_indices(name, matrix):
    """Raise a ValueError if a CSR or CSC matrix has an index outside its shape, where SciPy reads other memory."""
    if sparse.issparse(matrix) and matrix.format in ("csr", "csc") and not _has_valid_indices(matrix):
        raise ValueError(
            f"{name} is a sparse matrix with an index outside its shape {matrix.shape}: indices from "
            f"{matrix.indices.min()} to {matrix.indices.max()}. Check how it was built; "
            f"{name}.check_format() tells more."
        )


def _has_valid_indices(matrix):
    """Return whether all indices of a CSR or CSC matrix are inside its shape."""
    indices = matrix.indices
    return not indices.size or (indices.min() >= 0 and indices.max() < matrix.shape[matrix.format == "csr"])


_BOUNDS = {
    np.dtype(kind): (np.nextafter(kind(0), kind(1)), np.nextafter(kind(1), kind(0)))
    for kind in (np.float16, np.float32, np.float64)
}


def open_interval(proba):
    """Clip probabilities to the open interval (0, 1), by one unit in the last place of their dtype, in place."""
    low, high = _BOUNDS[proba.dtype]
    return np.minimum(np.maximum(proba, low, out=proba), high, out=proba)
