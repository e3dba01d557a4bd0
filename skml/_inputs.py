"""Validation of X and of probabilities, the same in fit and in predict."""

import numpy as np
from scipy import sparse
from sklearn.utils.validation import validate_data


def check_X(estimator, X, *, dtype, reset=False, any_column=False):
    """Return X as the network of an estimator takes it.

    Parameters
    ----------
    estimator : KerasMultiLabelClassifier
        Receives the number and names of columns if `reset` is true; otherwise X must have the same.
    X : array-like, DataFrame or sparse matrix
    dtype : numpy dtype
        Of the default network. A value beyond its range is refused, as it would become infinite.
    reset : bool, default=False
    any_column : bool, default=False
        Whether columns of dense X may have missing values, NaN, and values beyond the range of `dtype`.

    Returns
    -------
    X : ndarray or CSR

    Raises
    ------
    ValueError
        If X holds anything but finite numbers in the range of `dtype`, or has other columns than in fit. NaN is
        accepted in dense X if `any_column` is true.
    """
    if estimator.model is not None:
        return _check_X_of_custom_network(estimator, X, reset)
    if not reset and _needs_no_check(estimator, X, dtype):
        return X
    refuse_mask("X", X)
    check_indices("X", X)
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


def _check_X_of_custom_network(estimator, X, reset):
    refuse_mask("X", X)
    check_indices("X", X)
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
