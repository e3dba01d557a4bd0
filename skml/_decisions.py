"""Which labels a row gets, given their probabilities: arithmetic on arrays, no network."""

from collections.abc import Mapping
from numbers import Real

import numpy as np
from scipy import sparse

DEFAULT_THRESHOLD = 0.5

# Thresholds that fit finds.
TUNED = ("f1_micro", "f1_macro")


def by_label(values):
    """Return a pandas Series as the mapping of its index, unless that only counts; all else as it is."""
    if hasattr(values, "to_dict") and hasattr(values, "index"):
        return np.asarray(values) if list(values.index) == list(range(len(values))) else values.to_dict()
    return values


def resolve_threshold(threshold, labels):
    """Return a user's ``threshold`` as one float or one float per label.

    Parameters
    ----------
    threshold : float, array-like of shape (n_labels,) or mapping label -> float
        In [0, 1]. Labels that a mapping leaves out get 0.5. A Series is a mapping by its index.
    labels : list of length n_labels

    Returns
    -------
    float or ndarray of shape (n_labels,), float64

    Raises
    ------
    ValueError
        If a value lies outside [0, 1], the length is wrong, or a mapping names an unknown label.

    Examples
    --------
    >>> resolve_threshold({"b": 0.2}, ["a", "b"])
    array([0.5, 0.2])
    """
    threshold = by_label(threshold)
    if isinstance(threshold, Mapping):
        unknown = [label for label in threshold if label not in labels]
        if unknown:
            raise ValueError(f"threshold names labels that do not exist: {unknown!r}. The labels are {labels!r}.")
        threshold = [threshold.get(label, DEFAULT_THRESHOLD) for label in labels]
    if isinstance(threshold, str):
        raise ValueError(
            f"threshold must be a float, an array of {len(labels)} floats, a mapping label -> float, or one of "
            f"{', '.join(map(repr, TUNED))}; got {threshold!r}."
        )
    try:
        values = np.asarray(threshold, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"threshold must hold numbers in [0, 1]; got {threshold!r}.") from None
    if values.ndim and values.shape != (len(labels),):
        raise ValueError(
            f"threshold must be one float or hold one for each of the {len(labels)} labels; "
            f"got an array of shape {values.shape}."
        )
    if not np.all((values >= 0) & (values <= 1)):  # NaN fails too
        raise ValueError(f"threshold must lie in [0, 1]; got {threshold!r}.")
    return values if values.ndim else float(values)


def is_tuned(threshold):
    """Whether a ``threshold`` is the name of a rule by which fit finds it."""
    return isinstance(threshold, str) and threshold in TUNED


def check_label_counts(min_labels, max_labels, n_labels):
    """Make sure that 0 <= min_labels <= max_labels <= n_labels."""
    if min_labels > n_labels:
        raise ValueError(f"min_labels={min_labels} is more than the {n_labels} labels there are.")
    if max_labels is None:
        return
    if max_labels > n_labels:
        raise ValueError(f"max_labels={max_labels} is more than the {n_labels} labels there are.")
    if min_labels > max_labels:
        raise ValueError(f"min_labels={min_labels} is more than max_labels={max_labels}.")


def check_has_no_meaning(threshold, min_labels, max_labels, target_type):
    """Refuse decision parameters that mean nothing where each row has exactly one label."""
    if min_labels != 0 or max_labels is not None:
        raise ValueError(
            f"min_labels={min_labels} and max_labels={max_labels} mean nothing where each row of y holds exactly "
            "one label; leave them at 0 and None."
        )
    if target_type == "binary" and not (isinstance(threshold, Real) or is_tuned(threshold)):
        raise ValueError(f"With two classes threshold must be one float, for the second class; got {threshold!r}.")
    if target_type == "multiclass" and not (isinstance(threshold, Real) and threshold == DEFAULT_THRESHOLD):
        raise ValueError(
            "threshold means nothing where each row of y holds exactly one of more than two classes: the most "
            f"probable one is predicted. Got {threshold!r}; leave it at {DEFAULT_THRESHOLD}."
        )


def decide(proba, threshold=DEFAULT_THRESHOLD, min_labels=0, max_labels=None):
    """Return which labels each row gets.

    A label is given where its probability reaches its threshold. A row left with fewer than
    `min_labels` gets those with the largest ``proba - threshold``, one with more than `max_labels`
    keeps those; of equals the earlier label.

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_labels)
    threshold : float or array-like of shape (n_labels,), default=0.5
    min_labels : int, default=0
    max_labels : int, default=None
        None sets no limit.

    Returns
    -------
    decisions : ndarray of bool, shape (n_samples, n_labels)

    Examples
    --------
    >>> decide([[0.6, 0.7, 0.1], [0.2, 0.3, 0.4]], min_labels=1, max_labels=1)
    array([[False,  True, False],
           [False, False,  True]])
    """
    margin = np.asarray(proba, dtype=np.float64) - threshold
    decisions = margin >= 0
    count = decisions.sum(axis=1)
    wanted = np.clip(count, min_labels, max_labels)
    (changed,) = np.nonzero(wanted != count)
    if changed.size:
        order = np.argsort(-margin[changed], axis=1, kind="stable")
        kept = np.arange(margin.shape[1]) < wanted[changed, None]
        rows = np.zeros_like(kept)
        np.put_along_axis(rows, order, kept, axis=1)
        decisions[changed] = rows
    return decisions


def count_wrong(decisions, Y):
    """Return how many known cells of each row are decided wrong, and how many cells are known.

    Parameters
    ----------
    decisions : ndarray or csr_array of bool, shape (n_samples, n_labels)
    Y : ndarray or csr_array of shape (n_samples, n_labels)
        0, 1 and NaN for not known.

    Returns
    -------
    wrong, known : ndarray of int, shape (n_samples,)
    """
    if sparse.issparse(Y) != sparse.issparse(decisions):
        Y = Y.toarray() if sparse.issparse(Y) else sparse.csr_array(Y)
    wrong = decisions != (Y == 1)
    unknown = Y != Y
    of_unknown = wrong.multiply(unknown) if sparse.issparse(wrong) else wrong & unknown
    return _row_sums(wrong) - _row_sums(of_unknown), Y.shape[1] - _row_sums(unknown)


def _row_sums(cells):
    return np.asarray(cells.sum(axis=1)).ravel().astype(np.int64)
