"""The truth and any estimator's answers as two matrices of one shape, whatever the form of either."""

import numpy as np
from scipy import sparse
from sklearn.utils import get_tags

from skml._targets._encoder import TargetEncoder
from skml._targets._labels import as_labels, format_some, format_values, label_index, label_space
from skml._targets._matrix import has_missing, to_dense
from skml._targets._warnings import warn_once

# Larger indicators reach a classifier as CSR, which few take: 256 MB as int64.
_MAX_DENSE_ENTRIES = 2**25


def last_step(estimator):
    """Return what a Pipeline ends in; any other estimator as it is."""
    while hasattr(estimator, "steps"):
        estimator = estimator.steps[-1][1]
    return estimator


def find_fitted(estimator, *names):
    """Return the estimator that has one of the fitted attributes, inside Pipelines and searches; None if none has."""
    while estimator is not None and not any(hasattr(estimator, name) for name in names):
        inner = last_step(estimator)
        if inner is estimator:
            inner = getattr(estimator, "best_estimator_", getattr(estimator, "estimator_", None))
        estimator = inner
    return estimator


def last_step_and_input(estimator, X, names=None):
    """Return what a Pipeline ends in, in a search too, X as that gets it, and the names of its columns or None."""
    if hasattr(estimator, "steps"):
        if len(estimator.steps) > 1:
            X, names = estimator[:-1].transform(X), _names_out(estimator[:-1])
        return last_step_and_input(estimator.steps[-1][1], X, names)
    inner = getattr(estimator, "best_estimator_", getattr(estimator, "estimator_", None))
    return (estimator, X, names) if inner is None else last_step_and_input(inner, X, names)


def _names_out(transformer):
    try:
        return transformer.get_feature_names_out()
    except AttributeError:  # one of the steps has no names to give
        return None


def accepting_any_target(estimator):
    """Return the estimator, or last step of a Pipeline, if it takes ``y`` in every form and ``classes``; else None."""
    estimator = last_step(estimator)
    return estimator if getattr(estimator, "_accepts_any_target", False) else None


def truth_and_responses(estimator, X, y, *wanted):
    """Return ``y`` and what a fitted estimator answers for ``X``.

    One label per row becomes one column per class, for two classes as well. A label of ``y`` that the
    estimator does not know becomes a column of its own at the end, with decision 0 and a score below the
    others (probability 0), and a warning names it.

    Parameters
    ----------
    estimator : fitted classifier
        One that has a ``target_encoder_``, somewhere inside of it, reads ``y`` as in its fit. For any other
        the columns of an indicator are its outputs by position, and label collections name its ``classes_``.
    X : what the estimator predicts from
    y : any form of target, n_samples in all
    *wanted : tuple of str
        Names of methods, of which the first that the estimator has is called.

    Returns
    -------
    Y : ndarray or csr_array of shape (n_samples, n_labels)
        0 and 1, and NaN where ``y`` is unknown.
    responses : list of ndarray or csr_array of shape (n_samples, n_labels)
        For each of `wanted` the decisions of `predict`, or probabilities or scores.
    classes : list of length n_labels

    Raises
    ------
    AttributeError
        If the estimator has none of the methods.
    """
    answers = [_answer(estimator, X, methods) for methods in wanted]
    encoder = _encoder(estimator, y)
    Y, unknown = _indicator(encoder, y)
    responses = [
        _indicator(encoder, answer)[0] if method == "predict" else as_scores(answer, estimator)
        for method, answer in answers
    ]
    if any(response.shape != Y.shape for response in responses):
        raise ValueError(f"y has the shape {Y.shape} as a matrix of labels, but the answers {responses[0].shape}.")
    classes = encoder.classes_.tolist()
    if not unknown:
        return Y, responses, classes
    new = list(dict.fromkeys(label for row in unknown.values() for label in row))
    warn_once(
        "y holds labels that the estimator does not know, which count as never predicted: "
        f"{format_some(new, len(classes) + len(new))}. If they are only missing from a fold, pass classes=[...]."
    )
    Y = _beside(Y, _cells_of(unknown, new, Y.shape[0]))
    return Y, [_with_low(response, len(new)) for response in responses], classes + new


def read_target(y, classes=None):
    """Return ``y`` as a matrix of one column per label, and the labels, those of ``classes`` if given."""
    encoder = TargetEncoder(classes).fit(y)
    encoder.transform(y)  # refuses labels that are not in classes
    return _indicator(encoder, y)[0], encoder.classes_.tolist()


def threshold_in_force(estimator, n_labels):
    """Return the threshold of a fitted estimator for each label: 0.5 if it has none.

    Parameters
    ----------
    estimator : fitted classifier
    n_labels : int
        Labels that the estimator does not know, at the end, included.

    Returns
    -------
    ndarray of shape (n_labels,), float64
        NaN where the most probable of several classes is predicted, and for labels that have none. For binary y, the
        first class gets 1 minus the second's threshold.
    """
    holder = find_fitted(estimator, "best_threshold_", "threshold_")  # scikit-learn's tuner has the first one too
    value = 0.5 if holder is None else getattr(holder, "best_threshold_", getattr(holder, "threshold_", None))
    thresholds = np.full(n_labels, np.nan)
    thresholds[: np.size(value) if np.ndim(value) else None] = np.nan if value is None else value
    reader = find_fitted(estimator, "target_encoder_")
    return thresholds if reader is None else reader.target_encoder_.class_thresholds(thresholds)


def labels_of(estimator):
    """Return the labels of a fitted estimator's outputs in the order of its columns: their numbers if it has none."""
    holder = find_fitted(estimator, "target_encoder_")
    return as_labels(_output_names(estimator) if holder is None else holder.target_encoder_.classes_)


def truth_of_label(estimator, y, label):
    """Return the column of a label in ``y``, read as `truth_and_responses` does: int64, or floats with NaN."""
    Y, _ = _indicator(_encoder(estimator, y), y)
    column = to_dense(Y[:, [label_index(label, labels_of(estimator))]]).ravel()
    return column.astype(np.float64 if np.isnan(column).any() else np.int64)


def _answer(estimator, X, methods):
    method = next((name for name in methods if hasattr(estimator, name)), None)
    if method is None:
        raise AttributeError(f"{type(estimator).__name__} has none of the methods {', '.join(methods)}.")
    return method, getattr(estimator, method)(X)


def as_scores(answers, estimator=None):
    """Return what predict_proba or decision_function gives as one array of shape (n_samples, n_labels).

    Parameters
    ----------
    answers : ndarray of shape (n_samples,) or (n_samples, n_labels), or list of n_labels such arrays
        A list (of forests, neighbours, MultiOutputClassifier) holds (n_samples, n_classes) for each label.
    estimator : fitted classifier, default=None
        Its ``classes_`` tell which column of an item of the list is that of 1; without them the last is.

    Returns
    -------
    scores : ndarray of shape (n_samples, n_labels)
    """
    if isinstance(answers, list):
        classes = getattr(estimator, "classes_", None) or [None] * len(answers)
        return np.column_stack([_column_of_one(*pair) for pair in zip(answers, classes, strict=True)])
    scores = np.asarray(answers)
    return np.column_stack([-scores, scores]) if scores.ndim == 1 else scores


def _column_of_one(proba, classes):
    if classes is None:
        return proba[:, -1]
    (column,) = np.nonzero(np.asarray(classes) == 1)
    return proba[:, column[0]] if column.size else np.zeros(len(proba))  # a label that never occurred in fit


def _encoder(estimator, y):
    """Return the encoder that the estimator was fitted with, or one made for y."""
    holder = find_fitted(estimator, "target_encoder_")
    if holder is not None:
        return holder.target_encoder_
    return TargetEncoder(None if hasattr(y, "columns") else _output_names(estimator)).fit(y)


def _output_names(estimator):
    """Return the labels of a fitted estimator's outputs: their numbers where it has classes for each; or None."""
    classes = getattr(estimator, "classes_", None)
    return range(len(classes)) if isinstance(classes, list) else classes


def _indicator(encoder, y):
    Y, unknown = encoder.transform_known(y)
    columns = encoder.class_columns(Y)
    if columns is not Y:
        columns[list(unknown)] = 0  # of two classes one is the other's complement, but here it is neither
    return columns, unknown


def _cells_of(unknown, labels, n_samples):
    """Return the 0/1 matrix of the labels, given as row -> labels."""
    index = {label: j for j, label in enumerate(labels)}
    entries = [(i, index[label]) for i, row in unknown.items() for label in set(row)]
    rows, columns = zip(*entries, strict=True)
    return sparse.csr_array((np.ones(len(entries), np.uint8), (rows, columns)), shape=(n_samples, len(labels)))


def _with_low(responses, n_new):
    if sparse.issparse(responses):
        return _beside(responses, sparse.csr_array((responses.shape[0], n_new), dtype=responses.dtype))
    low = min(0, responses.min())
    return np.hstack([responses, np.full((len(responses), n_new), low, dtype=responses.dtype)])


def _beside(left, right):
    if not sparse.issparse(left):
        return np.hstack([left, right.toarray()])
    return sparse.hstack([left, right], format="csr")


def encoder_for(estimator, y, classes=None, is_fitted=False):
    """Return a `TargetEncoder` fitted to ``y``, with the label space given, or that the estimator has or was told."""
    own = getattr(accepting_any_target(estimator), "classes_" if is_fitted else "classes", None)
    if classes is not None and own is not None and label_space(classes) != label_space(own):
        raise ValueError(f"classes={classes!r} differs from the classes of the estimator, {own!r}.")
    return TargetEncoder(own if classes is None else classes).fit(y)


def check_names_of_prefit(estimator, encoder):
    """Make sure that a fitted estimator's outputs are the labels of an encoder, where only names can tell."""
    known, labels = _output_names(estimator), encoder.classes_.tolist()
    if encoder.form_ == "collections" and known is not None and as_labels(known) != labels:
        raise ValueError(
            f"The fitted estimator has outputs for {format_values(as_labels(known))}, but y holds the labels {format_values(labels)}: "
            "which column is which label cannot be told. Name the columns in their order with classes=[...], or pass y "
            "as the indicator that the estimator was fitted to."
        )


def response_method(estimator):
    """Return the method by which an estimator rates labels: "predict_proba" if it has that."""
    return "predict_proba" if hasattr(estimator, "predict_proba") else "decision_function"


def label_columns(answers, estimator, encoder, method="predict_proba"):
    """Return what a fitted estimator's method gives with one column for each of the encoder's classes.

    Raises
    ------
    ValueError
        If it has another number of columns, or the estimator knows other classes.
    """
    labels = encoder.classes_.tolist()
    if not encoder.is_multilabel:
        return _by_class(answers, estimator, labels, method)
    if len(labels) == 1 and not _learns_columns(estimator):
        return _by_class(answers, estimator, [0, 1], method)[:, 1:]
    columns = as_scores(answers, estimator)
    if columns.shape[1] != len(labels):
        raise ValueError(
            f"{method} of {type(estimator).__name__} has {columns.shape[1]} columns, but y has "
            f"{len(labels)} labels. It must be a multi-label classifier, such as OneVsRestClassifier({estimator!r})."
        )
    return columns


def own_form_for(estimator, y, encoder):
    """Return ``y`` as it is for an estimator that reads every form, else as `matrix_for` does."""
    if encoder.is_multilabel and accepting_any_target(estimator) is not None:
        return y
    return matrix_for(estimator, y, encoder)


def matrix_for(estimator, y, encoder):
    """Return ``y`` as a target from which each fold learns columns for the same labels."""
    if not encoder.is_multilabel:
        return np.asarray(y).ravel()
    Y = encoder.transform(y)
    if accepting_any_target(estimator) is not None:
        return Y if Y.shape[1] > 1 else sparse.csr_array(Y)  # one dense column would be one label per row
    if has_missing(Y):
        raise ValueError(
            f"y holds missing labels (NaN), from which {type(estimator).__name__} cannot learn. Fill them, "
            "leave the rows out, or take KerasMultiLabelClassifier."
        )
    Y = Y.astype(np.int64)
    if encoder.form_ == "sparse" and np.prod(Y.shape, dtype=float) > _MAX_DENSE_ENTRIES:
        return encoder.sparse_container_(Y)
    Y = to_dense(Y)
    return Y if Y.shape[1] > 1 or _learns_columns(estimator) else Y.ravel()


def _learns_columns(estimator):
    """Whether an estimator takes a single label as an indicator, not as a 1-D ``y`` of 0 and 1."""
    if accepting_any_target(estimator) is not None:
        return True
    return not get_tags(last_step(estimator)).target_tags.single_output  # MultiOutputClassifier, ClassifierChain


def _by_class(answers, estimator, classes, method):
    """Return the columns of a classifier of single labels in the order of all classes."""
    seen = estimator.classes_.tolist()
    if not set(seen) <= set(classes):
        raise ValueError(f"{type(estimator).__name__} knows the classes {seen!r}, but y has {classes!r}.")
    never, always = (0, 1) if method == "predict_proba" else (-np.inf, np.inf)
    columns = np.full((len(answers), len(classes)), never, dtype=answers.dtype)
    columns[:, [classes.index(label) for label in seen]] = as_scores(answers) if len(seen) > 1 else always
    return columns
