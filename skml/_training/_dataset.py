"""What a network learns from: rows of X and Y, and what each counts for."""

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_consistent_length, validate_data

from skml._targets._labels import format_some
from skml._targets._masks import refuse_mask
from skml._targets._matrix import column_sums, has_missing, missing_entries, to_dense
from skml._targets._warnings import warn_once
from skml._targets._weights import check_sample_weight, effective_rows, without_missing_rows


@dataclass(frozen=True)
class Dataset:
    """Rows to learn from or to evaluate.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, ...)
    Y : ndarray or csr_array of shape (n_samples, n_outputs)
        0, 1 and, if it is of floats, NaN for a missing label.
    weight : ndarray of shape (n_samples,) or (n_samples, n_members), or None
        What rows count for in the loss: sample weights times those of classes, one column for each member where their
        rows differ.
    sample_weight : ndarray of shape (n_samples,), or None
        What rows count for in tuning: the weights of the user, 0 for rows without a known entry.
    """

    X: object
    Y: object
    weight: np.ndarray | None = None
    sample_weight: np.ndarray | None = None

    @property
    def has_missing(self):
        """Whether entries of Y may be NaN."""
        return has_missing(self.Y)

    @property
    def n_samples(self):
        """Number of rows."""
        return self.Y.shape[0]

    def effective_rows(self, rows=None):
        """Return how many rows of equal weight they, or some of them, count for."""
        rows = slice(None) if rows is None else rows
        if self.weight is None:
            return float(np.arange(self.n_samples)[rows].size)
        return effective_rows(self.weight[rows])

    def take(self, rows):
        """Return some of the rows."""
        parts = (self.X, self.Y, self.weight, self.sample_weight)
        return Dataset(*(None if part is None else part[rows] for part in parts))

    def weighted(self, weight):
        """Return the same rows with other weights in the loss."""
        return dataclasses.replace(self, weight=weight)


class ValidationData(NamedTuple):
    """Rows by which to see when to stop.

    Parameters
    ----------
    examples : Dataset
    orders : list of ndarray of int32
        The rows, in parts: no batch joins rows of two.
    """

    examples: Dataset
    orders: list


def read_examples(X, y, sample_weight, class_weight, encoder):
    """Return examples, and the `ClassWeight` that they were weighed by.

    Parameters
    ----------
    X : ndarray or CSR, checked
    y : any form of target
    sample_weight : array-like of shape (n_samples,), or None
    class_weight : the parameter of the estimator
    encoder : TargetEncoder

    Returns
    -------
    examples : Dataset
    class_weight : ClassWeight
    """
    Y = encoder.transform(y)
    check_consistent_length(X, Y)
    _warn_of_unknown_labels(Y, encoder.classes_)
    sample_weight = without_missing_rows(check_sample_weight(sample_weight, X), Y)
    class_weight = encoder.class_weight(class_weight, Y, sample_weight)
    return Dataset(X, Y, class_weight.times(sample_weight, Y), sample_weight), class_weight


def check_X(estimator, X, reset=False):
    """Return X as an estimator's network takes it; `reset` notes the columns, otherwise they must be as noted."""
    if estimator.model is None:
        if not reset and _is_as_it_must_be(estimator, X):
            return X
        refuse_mask("X", X)
        try:
            X = validate_data(estimator, X, reset=reset, accept_sparse="csr", dtype=[np.float64, np.float32])
        except ValueError as error:
            if "could not convert string" not in str(error):
                raise
            raise ValueError(
                f"X must hold numbers: {error}. Make numbers of texts or categories in a step of a Pipeline before "
                "this estimator, such as TfidfVectorizer or OneHotEncoder."
            ) from error
        return _as_floatx(X) if reset else _in_range(X, _dtype_of_network(estimator))
    refuse_mask("X", X)
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


def _as_floatx(X):
    """Return X for training: a sparse one in Keras' dtype, a dense one as it is, as scaling may need all its digits."""
    import keras

    floatx = np.dtype(keras.config.floatx())
    X = _in_range(X, floatx)
    return X.astype(floatx, copy=False) if sparse.issparse(X) else X


def _dtype_of_network(estimator):
    """Return the dtype in which X is taken, which for X_val of a first fit is Keras'."""
    trained = vars(estimator).get("_trained")
    if trained is not None and hasattr(trained.network, "dtype"):
        return trained.network.dtype
    import keras

    return np.dtype(keras.config.floatx())


def _in_range(X, dtype):
    """Return X, after making sure that a dtype can hold its values, which are infinite there otherwise."""
    values = X.data if sparse.issparse(X) else X
    limit = np.finfo(dtype).max
    if X.dtype != dtype and values.size and not -limit <= values.min() <= values.max() <= limit:
        raise ValueError(f"Input X contains infinity or a value too large for {dtype!r}.")
    return X


def _is_as_it_must_be(estimator, X):
    """Whether X passes all that a fitted estimator with the default network checks, seen in one pass over its values.

    For one row scikit-learn's checks take longer than the network. False says nothing: they tell what is wrong.
    """
    state = vars(estimator)
    if "_trained" not in state or "feature_names_in_" in state or not _is_plain(X):
        return False
    if X.ndim != 2 or not X.shape[0] or X.shape[1] != state.get("n_features_in_"):
        return False
    values = X.data if sparse.issparse(X) else X.ravel(order="K")
    with np.errstate(over="ignore"):
        squares = np.dot(values, values)  # NaN and infinity come through
    return squares < np.finfo(state["_trained"].network.dtype).max


def _is_plain(X):
    """Whether X is CSR, or an array in one piece, of float32 or float64."""
    if type(X) is np.ndarray:
        return X.dtype.char in "fd" and X.dtype.isnative and X.flags.forc
    return sparse.issparse(X) and X.format == "csr" and X.dtype.char in "fd" and X.dtype.isnative


def _holds_text(X):
    if X.dtype.kind in "UST":
        return True
    flat = np.asarray(X).ravel()
    return flat.size > 0 and isinstance(flat[0], str)


def check_given(X_val, y_val, early_stopping):
    """Whether a user gave data to watch, after making sure that they can be used."""
    if (X_val is None) != (y_val is None):
        raise ValueError("X_val and y_val must be given together.")
    if X_val is not None and not early_stopping:
        raise ValueError("X_val and y_val are for early stopping, but early_stopping=False.")
    return X_val is not None


def read_watched(X, y, encoder, examples, class_weight):
    """Return data that a user gave to watch, dense or sparse and in the dtypes as the training data are.

    Parameters
    ----------
    X : ndarray or CSR, checked
    y : any form of target
    encoder : TargetEncoder
    examples : Dataset
        The training data. Both are weighed, or neither.
    class_weight : ClassWeight

    Returns
    -------
    examples : Dataset
        The training data, in floats if `y` has missing labels.
    watched : ValidationData
    """
    Y = encoder.transform(y)
    check_consistent_length(X, Y)
    if has_missing(Y):
        examples = dataclasses.replace(examples, Y=examples.Y.astype(Y.dtype))
    known = without_missing_rows(np.ones(X.shape[0]), Y)
    weight = None if examples.weight is None else class_weight.times(known, Y)
    given = Dataset(_as_kind_of(X, examples.X), _as_kind_of(Y, examples.Y), weight)
    return examples, ValidationData(given, [np.flatnonzero(known).astype(np.int32)])


def _as_kind_of(array, model):
    if sparse.issparse(model):
        return sparse.csr_array(array).astype(model.dtype)
    return to_dense(array).astype(model.dtype, copy=False)


def _warn_of_unknown_labels(Y, classes):
    if not has_missing(Y):
        return
    labels = classes[column_sums(missing_entries(Y)) == Y.shape[0]].tolist()
    if labels:
        warn_once(f"y holds only NaN for the labels {format_some(labels, len(classes))}: nothing is learned of them.")
