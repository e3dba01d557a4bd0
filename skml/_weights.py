"""Weights of rows and of labels, and the rules that follow from them: arithmetic on arrays."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from scipy import sparse
from sklearn.utils.validation import _check_sample_weight

from skml._decisions import by_label

# Bounds of a "balanced" label weight: a label with one positive in 10,000 rows must not drown the rest.
_BALANCED_BOUNDS = (0.01, 100.0)

_UPDATES = 2000

_MAX_WEIGHTS = 16_000_000

_FEW_ROWS = 300


def check_sample_weight(sample_weight, X):
    """Return ``sample_weight`` as a float64 array of shape (n_samples,), or None."""
    if sample_weight is None:
        return None
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number; got only zeros.")
    return weight


def without_unknown_rows(weight, Y):
    """Return the weights with 0 for rows of which no cell is known."""
    if Y.dtype.kind != "f":
        return weight
    unknown = np.asarray((Y != Y).sum(axis=1)).ravel()
    is_known = unknown < Y.shape[1]
    if not is_known.any():
        raise ValueError("y holds no cell that is known: all are NaN.")
    return is_known * (1.0 if weight is None else weight)


def total_weight(weight, n_samples):
    """Return how many rows the data count for: the sum of their weights."""
    return float(n_samples if weight is None else weight.sum())


def positive_weights(class_weight, labels, Y, weight):
    """Return the weight in the loss of each label's positive cells.

    Parameters
    ----------
    class_weight : "balanced", mapping label -> float, or array-like of shape (n_labels,)
        "balanced" is negatives / positives of each label's known cells, within [0.01, 100].
    labels : list of length n_labels
    Y : ndarray or csr_array of shape (n_samples, n_labels)
    weight : ndarray of shape (n_samples,) or None

    Returns
    -------
    ndarray of shape (n_labels,), float64
    """
    if isinstance(class_weight, str):
        positives, negatives = _cell_weights(Y, weight)
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


def auto_hidden_layer_sizes(n_features, n_outputs, total):
    """Return two layers of 256 units, of 128 for fewer than 300 rows.

    They have 128 or 64 where five such members have over 8 million weights.
    """
    for width in (256, 128, 64)[total < _FEW_ROWS :]:
        if 5 * _count_weights([n_features, width, width, n_outputs]) <= _MAX_WEIGHTS // 2:
            break
    return [width, width]


def auto_members(widths):
    """Return 5 members, or as many as have at most 16 million weights, which every update goes through."""
    return int(np.clip(_MAX_WEIGHTS // _count_weights(widths), 1, 5))


def _count_weights(widths):
    return sum(a * b for a, b in pairwise(widths))


def auto_batch_size(total):
    """Return the power of two nearest to a thirtieth of the rows, within [32, 256]."""
    return int(2 ** np.clip(np.round(np.log2(max(total, 1) / 30)), 5, 8))


def auto_epochs(total, batch_size):
    """Return the epochs that make about 2,000 updates, within [20, 150]."""
    steps = max(1, np.ceil(total / batch_size))
    return int(np.clip(np.ceil(_UPDATES / steps), 20, 150))


def _cell_weights(Y, weight):
    """Return the weights of each label's positive and of its negative cells, as far as they are known."""
    positives = _column_weights(Y == 1, weight)
    unknown = _column_weights(Y != Y, weight) if Y.dtype.kind == "f" else 0.0
    return positives, total_weight(weight, Y.shape[0]) - positives - unknown


def _column_weights(cells, weight):
    if sparse.issparse(cells):
        cells = sparse.csr_array(cells).astype(np.float64)
        return np.asarray(cells.sum(axis=0) if weight is None else cells.T @ weight).ravel()
    return cells.sum(axis=0, dtype=np.float64) if weight is None else weight @ cells


def _explicit_weights(class_weight, labels):
    class_weight = by_label(class_weight)
    if isinstance(class_weight, Mapping):
        unknown = [label for label in class_weight if label not in labels]
        if unknown:
            raise ValueError(f"class_weight names labels that do not exist: {unknown!r}. The labels are {labels!r}.")
        class_weight = [class_weight.get(label, 1.0) for label in labels]
    values = np.asarray(class_weight, dtype=np.float64)
    if values.shape != (len(labels),):
        raise ValueError(
            f"class_weight must hold one weight for each of the {len(labels)} labels; got shape {values.shape}."
        )
    if not np.all((values >= 0) & np.isfinite(values)):
        raise ValueError(f"class_weight must be finite and not negative; got {class_weight!r}.")
    return values
