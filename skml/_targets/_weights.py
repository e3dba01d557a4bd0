"""Weights of rows and of positive entries: arithmetic on arrays."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from skml._dependencies import _check_sample_weight
from skml._inputs import refuse_mask
from skml._targets._labels import per_label
from skml._targets._matrix import has_missing, missing_entries, row_sums

# Bounds of a "balanced" label weight: a label with one positive in 10,000 rows must not drown the rest.
_BALANCED_BOUNDS = (0.01, 100.0)


def check_sample_weight(sample_weight, X):
    """Return a copy of ``sample_weight`` as a float64 array of shape (n_samples,), or None."""
    if sample_weight is None:
        return None
    refuse_mask("sample_weight", sample_weight)
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True, copy=True)
    if not weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number; got only zeros.")
    return weight


def without_missing_rows(weight, Y):
    """Return the weights with 0 for rows of which no entry is known."""
    if not has_missing(Y):
        return weight
    is_known = row_sums(missing_entries(Y)) < Y.shape[1]
    if not is_known.any():
        raise ValueError("y holds no entry that is known: all are NaN.")
    return is_known * (1.0 if weight is None else weight)


def effective_rows(weight):
    """Return how many rows of equal weight say as much: the square of the sum over the sum of squares (Kish, 1965).

    It does not change when all weights are multiplied by a number, as a fit does not.
    """
    weight = weight / weight.max()  # squares of very large or small weights leave the range of floats
    return float(weight.sum() ** 2 / (weight**2).sum())


def total_weight(weight, n_samples):
    """Return how many rows the data count for: the sum of their weights."""
    return float(n_samples if weight is None else weight.sum())


class ClassWeight(NamedTuple):
    """What ``class_weight`` means for a target.

    Parameters
    ----------
    positive : ndarray of shape (n_labels,), or None
        Weights in the loss of each label's positive entries.
    by_class : ndarray of shape (n_classes,), or None
        Weights of the rows of each class, where a row has exactly one.
    """

    positive: np.ndarray | None = None
    by_class: np.ndarray | None = None

    def times(self, weight, Y):
        """Return the weights of rows times those of their classes."""
        if self.by_class is None:
            return weight
        of_class = self.by_class[class_codes(Y)]
        weight = of_class if weight is None else of_class * weight
        if not weight.any():
            raise ValueError("class_weight and sample_weight leave no row with a weight above 0.")
        return weight


def class_codes(Y):
    """Return the class number of each row of one-hot Y, or of one column for two classes."""
    return np.asarray(Y.argmax(axis=1) if Y.shape[1] > 1 else Y[:, 0]).ravel().astype(np.intp)


def positive_weights(class_weight, labels, Y, weight):
    """Return the weight in the loss of each label's positive entries.

    Parameters
    ----------
    class_weight : "balanced", mapping label -> float, or array-like of shape (n_labels,)
        "balanced" is negatives / positives of each label's observed entries, within [0.01, 100].
    labels : list of length n_labels
    Y : ndarray or csr_array of shape (n_samples, n_labels)
    weight : ndarray of shape (n_samples,) or None

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
    """Return the weight of the rows of each class, as scikit-learn's ``class_weight`` defines it.

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
    """Return the weights of each label's positive and of its negative entries, as far as they are known."""
    positives = _column_weights(Y == 1, weight)
    unknown = _column_weights(missing_entries(Y), weight) if has_missing(Y) else 0.0
    return positives, total_weight(weight, Y.shape[0]) - positives - unknown


def _column_weights(entries, weight):
    if sparse.issparse(entries):
        entries = sparse.csr_array(entries).astype(np.float64)
        return np.asarray(entries.sum(axis=0) if weight is None else entries.T @ weight).ravel()
    return entries.sum(axis=0, dtype=np.float64) if weight is None else weight @ entries


def _explicit_weights(class_weight, labels):
    weights = per_label("class_weight", class_weight, labels, default=1.0)
    if not weights.ndim:
        raise ValueError(
            f"class_weight must hold one number for each of the {len(labels)} labels; got {class_weight!r}."
        )
    if not np.all((weights >= 0) & np.isfinite(weights)):
        raise ValueError(f"class_weight must be finite and not negative; got {class_weight!r}.")
    return weights
