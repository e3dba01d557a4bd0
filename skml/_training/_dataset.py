"""Training and validation data: rows of X and of the label matrix with their weights."""

import dataclasses
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_consistent_length

from skml._inputs import NamedArrays, is_text
from skml._targets._encoder import TargetEncoder
from skml._targets._labels import format_some, label_space
from skml._targets._matrix import column_sums, has_missing, has_soft, missing_entries, to_dense
from skml._targets._warnings import warn_once
from skml._targets._weights import (
    are_label_weights,
    effective_rows,
    joined_weights,
    split_weights,
    without_missing_rows,
)
from skml._typing import InputMatrix, TargetMatrix


@dataclass(frozen=True)
class Dataset:
    """Rows to train on or to evaluate.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, ...), or NamedArrays
    Y : ndarray or csr_array of shape (n_samples, n_outputs)
        0 and 1; a matrix of floats may contain NaN for missing labels, and soft labels.
    loss_weight : ndarray of shape (n_samples,) or (n_samples, n_members), or None
        Sample weights multiplied by class weights; one column for each member if members train on different folds.
    sample_weight : ndarray of shape (n_samples,), or None
        Weights for tuning thresholds: those of the user, and 0 for rows without an observed label.
    positive_weight : ndarray of shape (n_outputs,), or None
        Weight in the loss of the positive entries of each label.
    group : ndarray of int, shape (n_samples,), or None
        The group of each row. Folds and holdouts keep groups together.
    label_weight : ndarray of shape (n_samples, n_outputs), or None
        Weights of single entries, relative to the weight of their row.
    has_missing, has_soft_labels : bool, default=False
        Whether entries may be NaN, or probabilities, in these rows or in the validation data.
    feature_names : ndarray of str, or None
        The names of the columns of X.
    """

    X: InputMatrix
    Y: TargetMatrix
    loss_weight: np.ndarray | None = None
    sample_weight: np.ndarray | None = None
    positive_weight: np.ndarray | None = None
    group: np.ndarray | None = None
    label_weight: np.ndarray | None = None
    has_missing: bool = False
    has_soft_labels: bool = False
    feature_names: np.ndarray | None = None

    @property
    def entry_weight(self):
        """Weights for tuning: those of the rows, or those of single entries, None if all are 1."""
        return joined_weights(self.sample_weight, self.label_weight)

    @property
    def n_samples(self):
        """Number of rows."""
        return self.Y.shape[0]

    @property
    def n_features(self):
        """Number of columns of X, None if X has no columns."""
        return self.X.shape[1] if len(self.X.shape) > 1 else None

    def effective_rows(self, rows=None):
        """Return the effective number of rows, of all or of some of them."""
        rows = slice(None) if rows is None else rows
        if self.loss_weight is None:
            return float(np.arange(self.n_samples)[rows].size)
        return effective_rows(self.loss_weight[rows])

    def take(self, rows):
        """Return a dataset of some of the rows."""
        by_row = ("X", "Y", "loss_weight", "sample_weight", "group", "label_weight")
        parts = {name: getattr(self, name) for name in by_row}
        return dataclasses.replace(self, **{k: None if v is None else v[rows] for k, v in parts.items()})

    def rows_in_loss(self):
        """Return the rows of weight above 0."""
        rows = np.arange(self.n_samples, dtype=np.int32)
        return rows if self.loss_weight is None else rows[self.loss_weight > 0]

    def with_context(self, group, feature_names):
        """Return the same rows with their groups and the names of the columns."""
        return dataclasses.replace(self, group=group, feature_names=feature_names)

    @property
    def n_entries(self):
        """Number of entries of X and of Y that are stored."""
        return sum(part.nnz if sparse.issparse(part) else part.size for part in (self.X, self.Y))

    def with_weights(self, names):
        """Return the rows with weights of 1 for those of the names that have none."""
        shapes = {"label_weight": self.Y.shape}
        missing = [name for name in names if getattr(self, name) is None]
        return dataclasses.replace(self, **{name: np.ones(shapes.get(name, self.Y.shape[:1])) for name in missing})

    def with_loss_weight(self, loss_weight):
        """Return the same rows with other weights in the loss."""
        return dataclasses.replace(self, loss_weight=loss_weight)


@dataclass(frozen=True)
class ValidationData:
    """Validation data for early stopping.

    Parameters
    ----------
    dataset : Dataset
    groups : list of ndarray of int32
        Row indices; no batch mixes two groups.
    """

    dataset: Dataset
    groups: list[np.ndarray]


def check_validation(X_val, y_val, early_stopping):
    """Return whether validation data were passed; raise a ValueError if they cannot be used."""
    if (X_val is None) != (y_val is None):
        raise ValueError("X_val and y_val must be given together.")
    if X_val is not None and not early_stopping:
        raise ValueError("X_val and y_val are for early stopping, but early_stopping=False.")
    return X_val is not None


def encoder_for_fit(y, classes, params, previous=None, is_partial_fit=False):
    """Return the encoder that reads ``y`` in a fit.

    Parameters
    ----------
    y : any form of target
    classes : array-like of shape (n_labels,) or None
        The argument of `partial_fit` or `fit_batches`.
    params : dict
        Parameters of the estimator. If `classes` is passed twice, both must be equal.
    previous : TargetEncoder, default=None
        The encoder of the previous fit, if training is resumed. `classes` may add and remove labels.
    is_partial_fit : bool, default=False
        Whether labels may be absent from this ``y``, so that the label space must be known from `classes`, or from the
        columns of an indicator.
    """
    given, reading = params["classes"], (params["soft_labels"], params["hierarchy"])
    if classes is not None and given is not None and label_space(classes) != label_space(given):
        raise ValueError(
            f"classes={classes!r}, passed to this method, differs from the parameter classes={given!r} of the "
            "estimator. Pass the same labels, or change the parameter with set_params."
        )
    classes = given if classes is None else classes
    if previous is not None:
        return previous.with_params(classes, *reading)
    encoder = TargetEncoder(classes, *reading).fit(y)
    if is_partial_fit and classes is None and not encoder.has_columns:
        raise ValueError(
            "classes must be passed to fit_batches, and on the first call to partial_fit, because labels may be absent "
            "from this y. Pass all labels as classes=[...]."
        )
    return encoder


def read_dataset(X, y, sample_weight, encoder):
    """Return the training data, which have no loss weights yet.

    Parameters
    ----------
    X : ndarray or CSR
    y : any form of target
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_labels), or None
    encoder : TargetEncoder

    Returns
    -------
    Dataset
    """
    Y = encoder.transform(y)
    check_consistent_length(X, Y)
    _warn_of_missing_labels(Y, encoder.classes_)
    return read_rows(X, Y, sample_weight, encoder)


def read_rows(X, Y, sample_weight, encoder):
    """Return rows of X and of the label matrix with sample weights as a dataset, which has no loss weights yet."""
    if not encoder.is_multilabel and are_label_weights(sample_weight):
        raise ValueError(
            f"For single-label y, sample_weight must have the shape (n_samples,), here ({Y.shape[0]},): weights of "
            f"single labels are for multi-label y. Got the shape {np.shape(sample_weight)}."
        )
    Y, sample_weight, label_weight = split_weights(sample_weight, Y, encoder.classes_.tolist())
    sample_weight = without_missing_rows(sample_weight, Y)
    labels = {"label_weight": label_weight, "has_missing": _any_missing(Y), "has_soft_labels": has_soft(Y)}
    return Dataset(X, Y, None, sample_weight, **labels)


def with_class_weight(dataset, encoder, class_weight):
    """Return a dataset with its loss weights, and the resolved `ClassWeight`."""
    weight = encoder.class_weight(class_weight, dataset.Y, dataset.entry_weight)
    loss_weight = weight.times(dataset.sample_weight, dataset.Y)
    return dataclasses.replace(dataset, loss_weight=loss_weight, positive_weight=weight.positive), weight


def joined_datasets(datasets):
    """Return the rows of several datasets as one; where only some have weights, those of the others are 1."""
    first = datasets[0]
    if len(datasets) == 1:
        return first
    weights = weights_of(*datasets)
    datasets = [dataset.with_weights(weights) for dataset in datasets]
    parts = {name: _joined([getattr(dataset, name) for dataset in datasets]) for name in ("X", "Y", *weights)}
    flags = {name: any(getattr(d, name) for d in datasets) for name in ("has_missing", "has_soft_labels")}
    return dataclasses.replace(first, **parts, **flags)


def weights_of(*datasets):
    """Return the names of the weights that any of the datasets has."""
    names = ("loss_weight", "sample_weight", "label_weight")
    return [name for name in names if any(getattr(dataset, name) is not None for dataset in datasets)]


def _joined(parts):
    return sparse.vstack(parts, format="csr") if sparse.issparse(parts[0]) else np.concatenate(parts)


def _any_missing(Y):
    return has_missing(Y) and bool(column_sums(missing_entries(Y)).any())


def read_validation(X, y, encoder, dataset, class_weight):
    """Return the training data and the validation data.

    Parameters
    ----------
    X : ndarray or CSR
    y : any form of target
    encoder : TargetEncoder
    dataset : Dataset
        The training data.
    class_weight : ClassWeight

    Returns
    -------
    dataset : Dataset
    validation : ValidationData
        Dense or sparse like the training data, in the same dtypes. Both have loss weights, or neither.
    """
    Y, unknown = encoder.transform_known(y)
    check_consistent_length(X, Y)
    if has_missing(Y):  # both must have the dtype that holds NaN and soft labels
        dataset = dataclasses.replace(
            dataset,
            Y=dataset.Y.astype(Y.dtype),
            has_missing=dataset.has_missing or _any_missing(Y),
            has_soft_labels=dataset.has_soft_labels or has_soft(Y),
        )
    observed = without_missing_rows(np.ones(X.shape[0]), Y)
    if unknown:
        _warn_of_unknown_labels(unknown, Y.shape[0], encoder.classes_)
        if not encoder.is_multilabel:  # such a row belongs to none of the classes
            observed[list(unknown)] = 0
            if not observed.any():
                raise ValueError("y_val has no row with a class of y. Pass validation data with the classes of y.")
    loss_weight = None if dataset.loss_weight is None else class_weight.times(observed, Y)
    label_weight = None if dataset.label_weight is None else np.ones(Y.shape)
    given = Dataset(_like(X, dataset.X), _like(Y, dataset.Y), loss_weight, label_weight=label_weight)
    return dataset, ValidationData(given, [np.flatnonzero(observed).astype(np.int32)])


def _like(array, model):
    """Return an array as sparse or dense as another one, in its dtype."""
    if isinstance(model, NamedArrays):
        return NamedArrays({name: _like(array.arrays[name], own) for name, own in model.arrays.items()})
    if is_text(array):  # an array of fixed width would cut longer texts
        return array
    if sparse.issparse(model):
        return sparse.csr_array(array).astype(model.dtype)
    return to_dense(array).astype(model.dtype, copy=False)


def _warn_of_unknown_labels(unknown, n_rows, classes):
    labels = list(dict.fromkeys(label for row in unknown.values() for label in row))
    warn_once(
        "y_val contains labels that are not in y; the validation loss leaves them out: "
        f"{format_some(labels, len(classes) + len(labels))}, in {len(unknown)} of {n_rows} rows. If only the training "
        "rows lack them, pass classes=[...] to the estimator."
    )


def _warn_of_missing_labels(Y, classes):
    if not has_missing(Y):
        return
    n_missing = column_sums(missing_entries(Y))
    if not n_missing.any():  # soft labels only
        return
    positives, negatives = column_sums(Y > 0), Y.shape[0] - n_missing - column_sums(Y == 1)
    labels = classes[n_missing == Y.shape[0]].tolist()
    if labels:
        warn_once(
            f"y has no observed entry for the labels {format_some(labels, len(classes))}: all are NaN, and they "
            "cannot be learned."
        )
    one_sided = [
        (kind, classes[own & (n_missing < Y.shape[0])].tolist())
        for kind, own in (("0", negatives == 0), ("1", positives == 0))
    ]
    found = [f"no {kind} for {format_some(labels, len(classes))}" for kind, labels in one_sided if labels]
    if found:
        warn_once(
            f"y has NaN, and {' and '.join(found)}: these labels will be predicted for every row or for none. If NaN "
            "means that a row does not have the label, fill it: y.fillna(0). Otherwise add rows that are known not to "
            "have the labels."
        )
