"""Helpers of all scores: reading label sets and label matrices, row weights, and means over defined values."""

from numbers import Number

import numpy as np
from scipy import sparse
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_array

from skml._targets._encoder import TargetEncoder
from skml._targets._forms import as_array, form_of, is_dataframe, label_rows
from skml._targets._labels import format_some, sorted_labels
from skml._targets._matrix import matrix_of
from skml._targets._warnings import warn_once
from skml._targets._weights import split_weights
from skml.model_selection._delegation import append_lowest


def check_truth_and_scores(Y_true, scores, sample_weight, labels=None):
    """Validate the input of a ranking score.

    Returns
    -------
    Y : csr_array of shape (n_samples, n_labels)
    scores : ndarray of shape (n_samples, n_labels)
    weight : ndarray of shape (n_samples,)
    label_weight : ndarray of shape (n_samples, n_labels), or None
    labels : list of length n_labels
        The names of the columns, by default their numbers.
    """
    scores = check_scores(scores)
    if are_label_sets(Y_true):
        if labels is None:
            raise ValueError(
                "Y_true holds label sets, so that the columns of the scores need names. Pass them in their order as "
                "labels=[...], such as labels=clf.classes_."
            )
        (Y,), names = _matrices_of_sets([Y_true], labels)
        scores = append_lowest(scores, Y.shape[1] - scores.shape[1]) if scores.shape[1] == len(labels) else scores
    else:
        Y, names = _as_csr(Y_true, labels), None
    check_same_shape(Y, scores)
    names = names or list(range(Y.shape[1]) if labels is None else labels)
    Y, weight, label_weight = weights_of(sample_weight, Y, labels)
    return Y, scores, weight, label_weight, names


def check_truth(Y_true, sample_weight, labels=None):
    """Validate a matrix of true labels and its weights; return it as CSR, and the weights of rows and of entries."""
    return weights_of(sample_weight, _as_csr(Y_true), labels)


def check_scores(scores):
    """Validate scores, of all rows or of a block of rows, and return them as an array."""
    return check_array(scores, input_name="The array of scores")


def truth_and_decisions(Y_true, Y_pred, labels=None):
    """Return true and predicted labels as CSR with the same columns."""
    pair = [Y_true, Y_pred]
    are_sets = [are_label_sets(y) for y in pair]
    if not any(are_sets):
        Y, D = (_as_csr(y, labels) for y in pair)
    else:
        frame = next((y for y in pair if is_dataframe(y)), None)
        if labels is None and frame is not None:
            labels = list(frame.columns)
        if labels is None and not all(are_sets) and any(np.ndim(y) != 1 and not isinstance(y, list) for y in pair):
            raise ValueError(
                "One of Y_true and Y_pred holds label sets and the other is a matrix, so that its columns need names. "
                "Pass them in their order as labels=[...], such as labels=clf.classes_."
            )
        (Y, D), _ = _matrices_of_sets(pair, labels)
    check_same_shape(Y, D)
    return Y, D


def are_label_sets(y):
    """Return whether ``y`` holds label sets, and is no matrix; lists of one 0 or 1 for each row are a matrix."""
    y = as_array(y)
    if isinstance(y, list | tuple) and all(isinstance(row, list | tuple) and len(row) == 1 for row in y):
        return not all(isinstance(v, Number | np.generic) and (v in (0, 1) or v != v) for row in y for v in row)
    return form_of(y) == "collections"


def _matrices_of_sets(targets, labels):
    """Return label sets, or matrices with columns for `labels`, as CSR with a column for each label, and the labels."""
    if labels is None:
        rows = [set(row) for y in targets for row in label_rows(as_array(y))]
        labels = sorted_labels(set().union(*rows), remedy="Set their order with labels=[...].")
    encoder = TargetEncoder(labels).fit(next(y for y in targets if are_label_sets(y)))
    read = [encoder.transform_known(y) for y in targets]
    labels = encoder.classes_.tolist()
    new = list(dict.fromkeys(label for _, unknown in read for row in unknown.values() for label in row))
    if not new:
        return [sparse.csr_array(Y) for Y, _ in read], labels
    warn_once(
        "The label sets hold labels that are not in labels; each is scored as a column of its own: "
        f"{format_some(new, len(labels) + len(new))}. Pass all labels as labels=[...]."
    )
    number = {label: j for j, label in enumerate(new)}
    extra = [
        matrix_of([sorted({number[label] for label in unknown.get(i, ())}) for i in range(Y.shape[0])], len(new))
        for Y, unknown in read
    ]
    pairs = zip(read, extra, strict=True)
    return [sparse.hstack([sparse.csr_array(Y), columns], format="csr") for (Y, _), columns in pairs], labels + new


def _as_csr(Y, labels=None):
    """Validate a label matrix of 0, 1 and NaN and return it as CSR; a DataFrame is aligned with `labels`."""
    Y = as_array(Y)
    if not (hasattr(Y, "columns") or sparse.issparse(Y)):
        Y = _as_label_matrix(Y)
    # TargetEncoder reads a dense matrix with one column as single-label y, but a sparse one as an indicator.
    Y = Y if hasattr(Y, "columns") else sparse.csr_array(Y)
    return sparse.csr_array(TargetEncoder(labels).fit_transform(Y))


def _as_label_matrix(Y):
    try:
        matrix = np.asarray(Y)
    except ValueError:  # lists of different lengths
        matrix = np.empty(0)
    if matrix.ndim != 2 or matrix.dtype.kind not in "biufO":
        raise ValueError(
            "The functions of skml.metrics accept label sets, and label matrices of 0, 1 and NaN of shape (n_samples, "
            "n_labels). To score single labels, use a scorer, get_scorer('f1_micro')(clf, X, y), or the functions of "
            "sklearn.metrics."
        )
    return matrix


def weights_of(sample_weight, Y, labels=None):
    """Return a CSR label matrix, the validated weights of its rows (1 by default), and relative weights of its labels.

    If `sample_weight` has a weight for each label of each row, entries of weight 0 become missing labels, and the
    weight of a row is the mean of the others. Otherwise the weights of labels are None. A DataFrame of weights is
    aligned with `labels`, if there is one for each column.
    """
    if sample_weight is None:
        return Y, np.ones(Y.shape[0]), None
    labels = None if labels is None or len(labels) != Y.shape[1] else list(labels)
    Y, weight, label_weight = split_weights(sample_weight, Y, labels)
    return sparse.csr_array(Y), weight, label_weight


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
