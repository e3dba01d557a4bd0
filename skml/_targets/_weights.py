"""Sample weights, class weights and weights of positive entries."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from skml._dependencies import _check_sample_weight
from skml._inputs import refuse_mask
from skml._targets._labels import per_label
from skml._targets._matrix import has_missing, missing_entries, row_sums

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
        """Return the sample weights multiplied by the weights of the rows' classes."""
        if self.by_class is None:
            return weight
        row_weight = self.by_class[class_codes(Y)]
        weight = row_weight if weight is None else row_weight * weight
        if not weight.any():
            raise ValueError(
                "The product of class_weight and sample_weight is 0 for each row. At least one row must have a weight "
                "above 0."
            )
        return weight


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
    """Return the total weights of the positive and of the negative entries of each label."""
    positives = _column_weights(Y == 1, weight)
    missing = _column_weights(missing_entries(Y), weight) if has_missing(Y) else 0.0
    return positives, total_weight(weight, Y.shape[0]) - positives - missing


def _column_weights(entries, weight):
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
