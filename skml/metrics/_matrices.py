"""What all scores need: matrices of 0, 1 and NaN, weights, means over what is defined."""

import numpy as np
from scipy import sparse
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_array

from skml._targets._encoder import TargetEncoder
from skml._targets._forms import as_array
from skml._targets._warnings import warn_once
from skml._targets._weights import check_sample_weight


def truth_and_scores(Y_true, scores, sample_weight):
    """Return truth as CSR, scores as an array, and the weights of rows, checked."""
    Y, scores = as_csr(Y_true), check_array(scores, input_name="The array of scores")
    check_same_shape(Y, scores)
    return Y, scores, row_weights(sample_weight, Y)


def as_csr(Y):
    """Return a matrix of 0, 1 and NaN as CSR, after making sure that it is one."""
    Y = as_array(Y)
    if not (hasattr(Y, "columns") or sparse.issparse(Y)):
        Y = _as_entries(Y)
    # As sparse it is an indicator, also with one column.
    Y = Y if hasattr(Y, "columns") else sparse.csr_array(Y)
    return sparse.csr_array(TargetEncoder().fit_transform(Y))


def _as_entries(Y):
    try:
        entries = np.asarray(Y)
    except ValueError:  # lists of different lengths
        entries = np.empty(0)
    if entries.ndim != 2 or entries.dtype.kind not in "biufO":
        raise ValueError(
            "The functions of skml.metrics take matrices of 0, 1 and NaN, of shape (n_samples, n_labels). For label "
            "sets use a scorer, get_scorer('f1_micro')(clf, X, y), or clf.target_encoder_.transform(y) and "
            "transform(clf.predict(X))."
        )
    return entries


def row_weights(sample_weight, Y):
    """Return the weights of rows, 1 where none are given."""
    return np.ones(Y.shape[0]) if sample_weight is None else check_sample_weight(sample_weight, Y)


def check_same_shape(Y, other):
    """Make sure that truth and what it is compared with go together."""
    if Y.shape != other.shape:
        raise ValueError(f"Y_true has the shape {Y.shape}, but what it is compared with {other.shape}.")


def weighted_mean(values, weight):
    """Return the mean of the values that are defined."""
    defined = ~np.isnan(values) & (weight > 0)
    return float(np.average(values[defined], weights=weight[defined])) if defined.any() else undefined()


def undefined():
    """Return NaN, with a warning."""
    message = "The score is not defined and NaN: Y_true has no known entry or row of the kind that it needs."
    warn_once(message, UndefinedMetricWarning)
    return np.nan
