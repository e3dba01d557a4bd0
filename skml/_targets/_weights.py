"""Sample weights, class weights and weights of positive entries."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from skml._dependencies import _check_sample_weight
from skml._inputs import refuse_mask
from skml._targets._labels import as_labels, column_order, per_label
from skml._targets._matrix import has_missing, known_entries, missing_entries, row_sums, to_dense

# Bounds of a "balanced" weight, so that a label with one positive in 10,000 rows does not dominate the loss.
_BALANCED_BOUNDS = (0.01, 100.0)


def check_sample_weight(sample_weight, X):
    """Check ``sample_weight`` and return a copy as a float64 array of shape (n_samples,), or None."""
    if sample_weight is None:
        return None
    refuse_mask("sample_weight", sample_weight)
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True, copy=True)
    if not weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number; got only zeros.")
    return weight


def are_label_weights(sample_weight):
    """Return whether ``sample_weight`` has two dimensions, a weight for each label of each row."""
    return getattr(sample_weight, "ndim", None) == 2 or (
        isinstance(sample_weight, list | tuple) and np.ndim(sample_weight) == 2
    )


def split_weights(sample_weight, Y, labels=None):
    """Split sample weights into weights of rows and relative weights of the labels within a row.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_labels), or None
        A DataFrame is aligned to `labels` by the names of its columns.
    Y : ndarray or csr_array of shape (n_samples, n_labels)
    labels : list of length n_labels, default=None
        None reads the columns by position.

    Returns
    -------
    Y : ndarray or csr_array
        With NaN for entries of weight 0, as for missing labels.
    weight : ndarray of shape (n_samples,), or None
        The mean weight of the observed entries of each row.
    label_weight : ndarray of shape (n_samples, n_labels), or None
        The weight of each entry divided by that of its row; 1 for missing labels. None if all are 1.
    """
    if not are_label_weights(sample_weight):
        return Y, check_sample_weight(sample_weight, Y), None
    weight = label_weights(sample_weight, Y.shape, labels)
    if not weight.all():
        Y = np.where(weight == 0, np.nan, to_dense(Y)).astype(np.float32)
    is_observed = ~to_dense(missing_entries(Y)) if has_missing(Y) else np.ones(Y.shape, dtype=bool)
    total = (weight * is_observed).sum(axis=1)
    row_weight = total / np.maximum(is_observed.sum(axis=1), 1)
    least, most = (limit(weight, axis=1, where=is_observed, initial=start) for limit, start in _LIMITS)
    row_weight = np.where(least == most, most, row_weight)  # exactly, so that equal weights are those of the row
    relative = np.divide(
        weight, row_weight[:, None], out=np.ones_like(weight), where=is_observed & (total > 0)[:, None]
    )
    return (Y, row_weight, None) if (relative == 1).all() else (to_dense(Y), row_weight, relative)


_LIMITS = ((np.min, np.inf), (np.max, 0.0))


def aligned_weights(sample_weight, Y, labels):
    """Return weights of single labels as an array with the columns of a label matrix, and any others unchanged."""
    return label_weights(sample_weight, Y.shape, labels) if are_label_weights(sample_weight) else sample_weight


def joined_weights(weight, label_weight):
    """Return the sample weights that `split_weights` has split."""
    return weight if label_weight is None else weight[:, None] * label_weight


def label_weights(sample_weight, shape, labels=None):
    """Validate weights of single labels for a label matrix of a shape, and return them as a float64 array.

    Its columns have the order of the labels, if these are given.
    """
    refuse_mask("sample_weight", sample_weight)
    if hasattr(sample_weight, "columns") and labels is not None:
        message = "The columns of the DataFrame sample_weight must be the labels."
        columns = as_labels(list(sample_weight.columns))
        order = column_order(columns, labels, message, "Rename them, or pass an array in the order of classes_.")
        sample_weight = np.asarray(sample_weight)[:, order]
    try:
        weight = np.array(to_dense(sample_weight), dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"sample_weight must hold numbers; got {sample_weight!r}.") from None
    if weight.shape != shape:
        raise ValueError(
            f"sample_weight must have the shape (n_samples,), here ({shape[0]},), or (n_samples, n_labels), here "
            f"{shape}, to weight single labels; got the shape {weight.shape}. Its columns are the labels in the "
            "order of classes_."
        )
    if not np.all((weight >= 0) & np.isfinite(weight)):
        raise ValueError("sample_weight must be finite and not negative. Pass 0 to leave out a single label of a row.")
    if not weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number; got only zeros.")
    return weight


def without_missing_rows(weight, Y):
    """Return the sample weights with 0 for rows without an observed label."""
    if not has_missing(Y):
        return weight
    is_observed = row_sums(missing_entries(Y)) < Y.shape[1]
    if not is_observed.any():
        raise ValueError("y has no observed label: all entries are NaN. Pass at least one 0 or 1.")
    return is_observed * (1.0 if weight is None else weight)


def effective_rows(weight):
    """Return the effective sample size: the squared sum of the weights over the sum of their squares (Kish, 1965).

    It does not change if all weights are multiplied by a constant, which does not change a fit either.
    """
    weight = weight / weight.max()  # squares of very large or small weights would overflow or underflow
    return float(weight.sum() ** 2 / (weight**2).sum())


def total_weight(weight, n_samples):
    """Return the sum of the sample weights, by default the number of samples."""
    return float(n_samples if weight is None else weight.sum())


class ClassWeight(NamedTuple):
    """The parameter ``class_weight``, resolved for a target.

    Parameters
    ----------
    positive : ndarray of shape (n_labels,), or None
        Weights in the loss of the positive entries of each label, for multi-label y.
    by_class : ndarray of shape (n_classes,), or None
        Weights of the rows of each class, for single-label y.
    """

    positive: np.ndarray | None = None
    by_class: np.ndarray | None = None

    def times(self, weight, Y):
        """Return the sample weights multiplied by the weights of the rows' classes, which must not all be 0."""
        weight = self.of_rows(weight, Y)
        if self.by_class is not None and not weight.any():
            raise ValueError(
                "The product of class_weight and sample_weight is 0 for each row. At least one row must have a weight "
                "above 0."
            )
        return weight

    def of_rows(self, weight, Y):
        """Return the sample weights multiplied by the weights of the rows' classes."""
        if self.by_class is None:
            return weight
        row_weight = self.by_class[class_codes(Y)]
        return row_weight if weight is None else row_weight * weight


def class_codes(Y):
    """Return the class number of each row of a single-label matrix: one-hot, or one column for two classes."""
    return np.asarray(Y.argmax(axis=1) if Y.shape[1] > 1 else Y[:, 0]).ravel().astype(np.intp)


def positive_weights(class_weight, labels, Y, weight):
    """Return the weight in the loss of the positive entries of each label.

    Parameters
    ----------
    class_weight : "balanced", mapping label -> float, or array-like of shape (n_labels,)
        "balanced" is the ratio negatives / positives of the label's observed entries, clipped to [0.01, 100].
    labels : list of length n_labels
    Y : ndarray or csr_array of shape (n_samples, n_labels)
    weight : ndarray of shape (n_samples,) or (n_samples, n_labels), or None

    Returns
    -------
    ndarray of shape (n_labels,), float64
    """
    if isinstance(class_weight, str):
        positives, negatives = entry_weights(Y, weight)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(positives + negatives > 0, negatives / positives, 1.0)
        return np.clip(ratio, *_BALANCED_BOUNDS)
    return _explicit_weights(class_weight, labels)


def weights_by_class(class_weight, labels, codes, weight):
    """Return the weight of the rows of each class, like scikit-learn's ``class_weight``.

    Parameters
    ----------
    class_weight : "balanced", mapping class -> float, or array-like of shape (n_classes,)
    labels : list of length n_classes
    codes : ndarray of int, shape (n_samples,)
        The class of each row, as a position in `labels`.
    weight : ndarray of shape (n_samples,) or None

    Returns
    -------
    ndarray of shape (n_classes,), float64
    """
    if isinstance(class_weight, str):
        counts = np.bincount(codes, weights=weight, minlength=len(labels))
        present = counts > 0
        by_class = np.ones(len(labels))
        by_class[present] = counts.sum() / (present.sum() * counts[present])
        return by_class
    return _explicit_weights(class_weight, labels)


def entry_weights(Y, weight):
    """Return the total weights of the positive and of the negative entries of each label.

    `weight` has the shape (n_samples,) or (n_samples, n_labels). A soft label counts as a fraction of an entry.
    """
    positives = _column_weights(known_entries(Y), weight)
    missing = _column_weights(missing_entries(Y), weight) if has_missing(Y) else 0.0
    total = total_weight(weight, Y.shape[0]) if np.ndim(weight) < 2 else weight.sum(axis=0)
    return positives, total - positives - missing


def _column_weights(entries, weight):
    if np.ndim(weight) == 2:
        return (to_dense(entries) * weight).sum(axis=0)
    if sparse.issparse(entries):
        entries = sparse.csr_array(entries).astype(np.float64)
        return np.asarray(entries.sum(axis=0) if weight is None else entries.T @ weight).ravel()
    return entries.sum(axis=0, dtype=np.float64) if weight is None else weight @ entries


def _explicit_weights(class_weight, labels):
    weights = per_label("class_weight", class_weight, labels, default=1.0)
    if not weights.ndim:
        raise ValueError(
            f'class_weight must be "balanced", a mapping from labels to numbers, or one number for each of the '
            f"{len(labels)} labels; got {class_weight!r}."
        )
    if not np.all((weights >= 0) & np.isfinite(weights)):
        raise ValueError(f"class_weight must be finite and not negative; got {class_weight!r}.")
    return weights
