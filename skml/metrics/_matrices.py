"""Helpers of all scores: reading label matrices of 0, 1 and NaN, row weights, and means over defined values."""

import numpy as np
from scipy import sparse
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_array

from skml._targets._encoder import TargetEncoder
from skml._targets._forms import as_array
from skml._targets._warnings import warn_once
from skml._targets._weights import check_sample_weight


def check_truth_and_scores(Y_true, scores, sample_weight):
    """Validate the input of a ranking score; return the true labels as CSR, the scores and the row weights."""
    Y, scores = as_csr(Y_true), check_array(scores, input_name="The array of scores")
    check_same_shape(Y, scores)
    return Y, scores, row_weights(sample_weight, Y)


def as_csr(Y):
    """Validate a label matrix of 0, 1 and NaN and return it as CSR."""
    Y = as_array(Y)
    if not (hasattr(Y, "columns") or sparse.issparse(Y)):
        Y = _as_label_matrix(Y)
    # TargetEncoder reads a dense matrix with one column as single-label y, but a sparse one as an indicator.
    Y = Y if hasattr(Y, "columns") else sparse.csr_array(Y)
    return sparse.csr_array(TargetEncoder().fit_transform(Y))


def _as_label_matrix(Y):
    try:
        matrix = np.asarray(Y)
    except ValueError:  # lists of different lengths
        matrix = np.empty(0)
    if matrix.ndim != 2 or matrix.dtype.kind not in "biufO":
        raise ValueError(
            "The functions of skml.metrics accept label matrices of 0, 1 and NaN of shape (n_samples, n_labels) only. "
            "To score label sets, use a scorer, get_scorer('f1_micro')(clf, X, y), or convert them with "
            "clf.target_encoder_.transform(y) and clf.target_encoder_.transform(clf.predict(X))."
        )
    return matrix


def row_weights(sample_weight, Y):
    """Return the validated weights of the rows, 1 for each row by default."""
    return np.ones(Y.shape[0]) if sample_weight is None else check_sample_weight(sample_weight, Y)


def check_same_shape(Y, other):
    """Raise a ValueError unless the true labels and the predictions have the same shape."""
    if Y.shape != other.shape:
        raise ValueError(
            f"Y_true has the shape {Y.shape}, but the predictions have the shape {other.shape}. Pass one row per "
            "sample and one column per label in both."
        )


def weighted_mean(values, weight):
    """Return the weighted mean of the values that are not NaN."""
    defined = ~np.isnan(values) & (weight > 0)
    return float(np.average(values[defined], weights=weight[defined])) if defined.any() else undefined_score()


def undefined_score():
    """Return NaN and warn that the score is undefined."""
    message = "The score is undefined and set to NaN: Y_true has no observed entry, or no row, that the score can use."
    warn_once(message, UndefinedMetricWarning)
    return np.nan
