"""Conversion of targets, and of the responses of any classifier, to matrices with one column per label."""

import numpy as np
from scipy import sparse
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from skml._inputs import n_rows_of
from skml._targets._encoder import TargetEncoder
from skml._targets._labels import as_labels, format_some, format_values, label_index, label_space
from skml._targets._matrix import equal_matrices, has_missing, to_dense
from skml._targets._warnings import warn_once
from skml._targets._weights import are_label_weights, label_weights

# Sparse y with more entries (256 MB as dense int64) stays CSR, although few classifiers accept a sparse y.
_MAX_DENSE_ENTRIES = 2**25


def last_step(estimator):
    """Return the last step of a Pipeline, or the estimator itself if it is no Pipeline."""
    while hasattr(estimator, "steps"):
        estimator = estimator.steps[-1][1]
    return estimator


def find_fitted(estimator, *names):
    """Return the first estimator, searching Pipelines and meta-estimators, with one of the attributes, or None."""
    while estimator is not None and not any(hasattr(estimator, name) for name in names):
        inner = last_step(estimator)
        if inner is estimator:
            inner = getattr(estimator, "best_estimator_", getattr(estimator, "estimator_", None))
        estimator = inner
    return estimator


def last_step_and_input(estimator, X, names=None):
    """Return the innermost estimator of Pipelines and searches, the X that it receives, and the column names of X.

    The names are None if a transformer has no names.
    """
    if hasattr(estimator, "steps"):
        if len(estimator.steps) > 1:
            X, names = estimator[:-1].transform(X), _feature_names_out(estimator[:-1])
        return last_step_and_input(estimator.steps[-1][1], X, names)
    inner = getattr(estimator, "best_estimator_", getattr(estimator, "estimator_", None))
    return (estimator, X, names) if inner is None else last_step_and_input(inner, X, names)


def _feature_names_out(transformer):
    try:
        return transformer.get_feature_names_out()
    except AttributeError:  # a step does not implement get_feature_names_out
        return None


def accepting_any_target(estimator):
    """Return the last step if it accepts ``y`` in every form and has a parameter ``classes``, else None."""
    estimator = last_step(estimator)
    return estimator if getattr(estimator, "accepts_any_target", False) else None


def is_frozen(estimator):
    """Return whether an estimator, or the last step of a Pipeline, is a `FrozenEstimator`.

    It has all attributes of the fitted estimator in it, but neither its parameters nor its fit can change.
    """
    while hasattr(estimator, "steps") and not isinstance(estimator, FrozenEstimator):
        estimator = estimator.steps[-1][1]
    return isinstance(estimator, FrozenEstimator)


def truth_and_responses(estimator, X, y, *wanted):
    """Return ``y`` and the responses of a fitted estimator for ``X`` as matrices with the same columns.

    Single-label ``y`` becomes an indicator with one column per class, also if it is binary. For each label of ``y``
    that the estimator was not fitted with, a column is appended and a warning lists the label. In the responses, the
    column contains the decision 0, the probability 0, or the lowest score.

    Parameters
    ----------
    estimator : fitted classifier
        If it, or an estimator inside it, has a ``target_encoder_``, that reads ``y``. Otherwise the columns of an
        indicator are matched to the outputs by position, and label collections by the names in ``classes_``.
    X : input of the estimator
    y : any form of target with n_samples rows
    *wanted : tuple of str
        Alternative method names for each response. The first method that the estimator has is called.

    Returns
    -------
    Y : ndarray or csr_array of shape (n_samples, n_labels)
        0 and 1, and NaN for missing labels. A soft label of at least 0.5 is 1, any other 0.
    responses : list of ndarray or csr_array of shape (n_samples, n_labels)
        For each of `wanted`, the decisions of `predict`, or probabilities or scores.
    classes : list of length n_labels

    Raises
    ------
    AttributeError
        If the estimator has none of the methods.
    ValueError
        If a response and ``y`` have different numbers of rows or labels.
    """
    raw = [_call_first_method(estimator, X, methods) for methods in wanted]
    encoder = _encoder_of(estimator, y)
    Y, unknown = _indicator(encoder, y)
    Y = encoder.truth(Y)
    responses = [
        _indicator(encoder, response)[0] if method == "predict" else as_scores(response, estimator)
        for method, response in raw
    ]
    for (method, _), response in zip(raw, responses, strict=True):
        _check_shape(Y, response.shape, estimator, method)
    Y, classes, n_new = _with_unknown_labels(Y, encoder, unknown)
    return Y, [append_lowest(response, n_new) if n_new else response for response in responses], classes


def truth_and_blocks(estimator, X, y):
    """Return the same as `truth_and_responses` for `predict_proba`, but the response as an iterator of blocks of rows.

    See `response_blocks`.
    """
    encoder = _encoder_of(estimator, y)
    Y, unknown = _indicator(encoder, y)
    Y = encoder.truth(Y)
    all_Y, classes, n_new = _with_unknown_labels(Y, encoder, unknown)

    def blocks():
        for response in response_blocks(estimator, X, "predict_proba"):
            scores = as_scores(response, estimator)
            _check_shape(Y, (n_rows_of(X), scores.shape[1]), estimator, "predict_proba")
            yield append_lowest(scores, n_new) if n_new else scores

    return all_Y, blocks(), classes


def _check_shape(Y, shape, estimator, method):
    if shape != Y.shape:
        raise ValueError(
            f"As an indicator, y has the shape {Y.shape}, but {method} of {type(estimator).__name__} returns the shape "
            f"{shape}. Pass an X and a y with the same rows, and a y with the labels that the estimator was fitted "
            "with."
        )


def _with_unknown_labels(Y, encoder, unknown):
    """Return Y with a column for each label that the encoder does not know, all labels, and how many were added."""
    classes = encoder.classes_.tolist()
    if not unknown:
        return Y, classes, 0
    new = list(dict.fromkeys(label for row in unknown.values() for label in row))
    warn_once(
        "y contains labels that the estimator was not fitted with; they count as never predicted: "
        f"{format_some(new, len(classes) + len(new))}. If only a training fold lacks them, pass classes=[...] to the "
        "estimator."
    )
    return _hstack(Y, _indicator_of(unknown, new, Y.shape[0])), classes + new, len(new)


def response_blocks(estimator, X, method):
    """Yield the responses of a fitted estimator for blocks of rows in turn.

    For `predict_proba` of a `KerasMultiLabelClassifier`, also in Pipelines and searches, the blocks are small, so that
    the matrix of all probabilities is never in memory. Any other estimator predicts all rows at once: it may not
    predict a row as it does among others.
    """
    if method == "predict_proba" and hasattr(estimator, "proba_blocks"):
        yield from estimator.proba_blocks(X)
    elif type(estimator) is Pipeline:
        for _, step in estimator.steps[:-1]:
            X = X if step in (None, "passthrough") else step.transform(X)
        yield from response_blocks(estimator.steps[-1][1], X, method)
    elif hasattr(estimator, "best_estimator_"):
        yield from response_blocks(estimator.best_estimator_, X, method)
    else:
        yield getattr(estimator, method)(X)


def weights_for_scores(estimator, sample_weight, Y):
    """Return the weights for a matrix from `truth_and_responses`.

    Weights of single labels become an array with the columns of the matrix: a DataFrame is aligned by the names of the
    labels, and a label that the estimator was not fitted with gets the mean weight of the row.
    """
    if not are_label_weights(sample_weight):
        return sample_weight
    encoder = getattr(find_fitted(estimator, "target_encoder_"), "target_encoder_", None)
    if encoder is None:
        return label_weights(sample_weight, Y.shape)
    if not encoder.is_multilabel:
        raise ValueError(
            f"For single-label y, sample_weight must have the shape (n_samples,), here ({Y.shape[0]},); got "
            f"{np.shape(sample_weight)}."
        )
    known = encoder.classes_.tolist()
    weight = label_weights(sample_weight, (Y.shape[0], len(known)), known)
    return np.hstack([weight, np.repeat(weight.mean(axis=1, keepdims=True), Y.shape[1] - len(known), axis=1)])


def read_target(y, classes=None):
    """Return ``y`` as an indicator matrix, and the list of its labels, which is ``classes`` if given."""
    encoder = TargetEncoder(classes).fit(y)
    encoder.transform(y)  # raises for labels that are not in classes
    return _indicator(encoder, y)[0], encoder.classes_.tolist()


def threshold_in_force(estimator, n_labels):
    """Return the threshold of each label in a fitted estimator, 0.5 if the estimator has no thresholds.

    Parameters
    ----------
    estimator : fitted classifier
    n_labels : int
        Includes labels that the estimator was not fitted with, which come last.

    Returns
    -------
    ndarray of shape (n_labels,), float64
        NaN for multi-class y, where the most probable class is predicted, and for labels without a threshold. For
        binary y, the threshold of the first class is 1 minus that of the second.
    """
    # scikit-learn's TunedThresholdClassifierCV has best_threshold_, too.
    holder = find_fitted(estimator, "best_threshold_", "threshold_")
    value = 0.5 if holder is None else getattr(holder, "best_threshold_", getattr(holder, "threshold_", None))
    thresholds = np.full(n_labels, np.nan)
    thresholds[: np.size(value) if np.ndim(value) else None] = np.nan if value is None else value
    reader = find_fitted(estimator, "target_encoder_")
    return thresholds if reader is None else reader.target_encoder_.class_thresholds(thresholds)


def labels_of(estimator):
    """Return the labels of a fitted estimator in the order of its output columns, or column numbers without names."""
    holder = find_fitted(estimator, "target_encoder_")
    return as_labels(_output_names(estimator) if holder is None else holder.target_encoder_.classes_)


def truth_of_label(estimator, y, label):
    """Return the column of a label in ``y``, read as in `truth_and_responses`: int64, or float64 with NaN."""
    encoder = _encoder_of(estimator, y)
    Y = encoder.truth(_indicator(encoder, y)[0])
    column = to_dense(Y[:, [label_index(label, labels_of(estimator))]]).ravel()
    return column.astype(np.float64 if np.isnan(column).any() else np.int64)


def _call_first_method(estimator, X, methods):
    method = next((name for name in methods if hasattr(estimator, name)), None)
    if method is None:
        raise AttributeError(
            f"{type(estimator).__name__} has none of the methods {', '.join(methods)}. Use a classifier that has one."
        )
    return method, getattr(estimator, method)(X)


def as_scores(responses, estimator=None):
    """Return the output of predict_proba or decision_function as one array of shape (n_samples, n_labels).

    Parameters
    ----------
    responses : ndarray of shape (n_samples,) or (n_samples, n_labels), sparse matrix, or list of n_labels ndarrays
        In a list (from forests, nearest neighbours or MultiOutputClassifier), the array of each label has the shape
        (n_samples, n_classes).
    estimator : fitted classifier, default=None
        In each array of a list, its ``classes_`` determine the column of class 1. Without ``classes_``, the last column
        is taken.

    Returns
    -------
    scores : ndarray of shape (n_samples, n_labels)
    """
    if isinstance(responses, list):
        classes = getattr(estimator, "classes_", None) or [None] * len(responses)
        responses = [to_dense(response) for response in responses]
        return np.column_stack([_positive_column(*pair) for pair in zip(responses, classes, strict=True)])
    scores = np.asarray(to_dense(responses))
    return np.column_stack([-scores, scores]) if scores.ndim == 1 else scores


def _positive_column(proba, classes):
    if classes is None:
        return proba[:, -1]
    (column,) = np.nonzero(np.asarray(classes) == 1)
    return proba[:, column[0]] if column.size else np.zeros(len(proba))  # the label had no positive in fit


def _encoder_of(estimator, y):
    """Return the target encoder of a fitted estimator, or a new one fitted to ``y`` if it has none."""
    holder = find_fitted(estimator, "target_encoder_")
    if holder is not None:
        return holder.target_encoder_
    return TargetEncoder(None if hasattr(y, "columns") else _output_names(estimator)).fit(y)


def _output_names(estimator):
    """Return ``classes_``, or None without it; if it is a list with the classes of each output, the output numbers."""
    classes = getattr(estimator, "classes_", None)
    return range(len(classes)) if isinstance(classes, list) else classes


def _indicator(encoder, y):
    """Return ``y`` with one column per class, and the labels of each row that are not in the encoder's classes."""
    Y, unknown = encoder.transform_known(y)
    columns = encoder.class_columns(Y)
    if columns is not Y:
        columns[list(unknown)] = 0  # in binary y, the row belongs to neither of the two classes
    return columns, unknown


def _indicator_of(unknown, labels, n_samples):
    """Return the indicator of `labels` as CSR; `unknown` maps row numbers to the labels of the row."""
    index = {label: j for j, label in enumerate(labels)}
    entries = [(i, index[label]) for i, row in unknown.items() for label in set(row)]
    rows, columns = zip(*entries, strict=True)
    return sparse.csr_array((np.ones(len(entries), np.uint8), (rows, columns)), shape=(n_samples, len(labels)))


def append_lowest(responses, n_new):
    """Append columns of the decision 0, or of the lowest score, or of the score 0 if that is lower."""
    if sparse.issparse(responses):
        return _hstack(responses, sparse.csr_array((responses.shape[0], n_new), dtype=responses.dtype))
    lowest = min(0, responses.min())
    return np.hstack([responses, np.full((len(responses), n_new), lowest, dtype=responses.dtype)])


def _hstack(left, right):
    if not sparse.issparse(left):
        return np.hstack([left, right.toarray()])
    return sparse.hstack([left, right], format="csr")


def classes_of(estimator, is_fitted=False):
    """Return the classes that an estimator requires, for which it has a parameter or was fitted; None without any."""
    name = "classes_" if is_fitted or is_frozen(estimator) else "classes"
    return getattr(accepting_any_target(estimator), name, None)


def encoder_for(estimator, y, classes=None, is_fitted=False):
    """Return a `TargetEncoder` fitted to ``y``, with the given classes or, by default, the classes of the estimator.

    It has the soft labels and the hierarchy of an estimator that accepts every form of ``y``.
    """
    inner, estimator_classes = accepting_any_target(estimator), classes_of(estimator, is_fitted)
    if is_fitted or is_frozen(estimator):  # as in the fit, if parameters were changed since
        inner = getattr(inner, "target_encoder_", inner)
    reading = {name: getattr(inner, name) for name in ("soft_labels", "hierarchy") if hasattr(inner, name)}
    if classes is None:
        return TargetEncoder(estimator_classes, **reading).fit(y)
    if estimator_classes is not None and label_space(classes) != label_space(estimator_classes):
        raise ValueError(
            f"classes={classes!r} differs from the classes of the estimator, {estimator_classes!r}. Pass the same "
            "classes in both places, or leave one of them at None."
        )
    return TargetEncoder(classes, **reading).fit(y)


def check_prefit_labels(estimator, encoder):
    """Raise a ValueError if label collections cannot be matched by name to the outputs of a fitted estimator."""
    names, labels = _output_names(estimator), encoder.classes_.tolist()
    if encoder.has_label_sets and names is not None and as_labels(names) != labels:
        raise ValueError(
            f"The fitted estimator has outputs for {format_values(as_labels(names))}, but y has the labels "
            f"{format_values(labels)}, so that the columns cannot be matched to the labels. Name the columns in their "
            "order with classes=[...], or pass y as the indicator that the estimator was fitted to."
        )


def has_oof_rows(last, Y, proba):
    """Return whether the out-of-fold probabilities of a fitted last step belong to the rows of Y.

    A step before it may have added, dropped or reordered rows, and a frozen classifier was fitted before. Rows with
    equal labels may change places, as losses and thresholds depend on pairs of a probability and a label only.
    """
    fitted_to = last.oof_target() if hasattr(last, "oof_target") else Y
    return len(proba) == Y.shape[0] and equal_matrices(fitted_to, Y)


def response_method(estimator):
    """Return "predict_proba" if the estimator has this method, else "decision_function"."""
    return "predict_proba" if hasattr(estimator, "predict_proba") else "decision_function"


def label_columns(responses, estimator, encoder, method="predict_proba"):
    """Return the output of a fitted estimator's method with one column for each of the encoder's classes.

    Raises
    ------
    ValueError
        If the output has another number of columns, or the estimator was fitted with other classes.
    """
    labels = encoder.classes_.tolist()
    if not encoder.is_multilabel:
        return _class_columns(responses, estimator, labels, method)
    if len(labels) == 1 and not accepts_single_column(estimator):
        return _class_columns(responses, estimator, [0, 1], method)[:, 1:]
    columns = as_scores(responses, estimator)
    if columns.shape[1] != len(labels):
        raise ValueError(
            f"{method} of {type(estimator).__name__} returns {columns.shape[1]} columns, but y has {len(labels)} "
            f"labels. Use a multi-label classifier trained on these labels, such as OneVsRestClassifier({estimator!r})."
        )
    return columns


def target_for_fit(estimator, y, encoder):
    """Return ``y`` unchanged for an estimator that accepts every form, else as `target_for_folds` does."""
    if encoder.is_multilabel and accepting_any_target(estimator) is not None:
        return y
    return target_for_folds(estimator, y, encoder)


def target_for_folds(estimator, y, encoder):
    """Return ``y`` in a form that gives the same output columns in every fold."""
    if not encoder.is_multilabel:
        return np.asarray(y).ravel()
    Y = encoder.transform(y)
    if getattr(last_step(estimator), "accepts_label_matrix", False):
        return Y
    if accepting_any_target(estimator) is not None:
        return Y if Y.shape[1] > 1 else sparse.csr_array(Y)  # a dense column would be read as single-label y
    if has_missing(Y):
        raise ValueError(
            f"y contains missing labels (NaN), which {type(estimator).__name__} does not support. Impute them, remove "
            "the rows, or use KerasMultiLabelClassifier, which supports missing labels."
        )
    Y = Y.astype(np.int64)
    if encoder.is_sparse and np.prod(Y.shape, dtype=float) > _MAX_DENSE_ENTRIES:
        return encoder.sparse_container_(Y)
    Y = to_dense(Y)
    return Y if Y.shape[1] > 1 or accepts_single_column(estimator) else Y.ravel()


def accepts_single_column(estimator):
    """Return True if an estimator takes a single label as an indicator, False if as a 1-D ``y`` of 0 and 1."""
    if accepting_any_target(estimator) is not None:
        return True
    return not get_tags(last_step(estimator)).target_tags.single_output  # MultiOutputClassifier, ClassifierChain


def _class_columns(responses, estimator, classes, method):
    """Return the output of a single-label classifier in the order of `classes`, some of which it may lack."""
    fitted_classes = estimator.classes_.tolist()
    if not set(fitted_classes) <= set(classes):
        raise ValueError(
            f"{type(estimator).__name__} was fitted with the classes {fitted_classes!r}, but y has the classes "
            f"{classes!r}. Pass a y with the classes of the fitted estimator."
        )
    responses = to_dense(responses)
    lowest, highest = (0, 1) if method == "predict_proba" else (-np.inf, np.inf)
    columns = np.full((len(responses), len(classes)), lowest, dtype=responses.dtype)
    values = as_scores(responses) if len(fitted_classes) > 1 else highest
    columns[:, [classes.index(label) for label in fitted_classes]] = values
    return columns
