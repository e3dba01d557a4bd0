"""Sets of classes that hold the true one as often as is asked for: adaptive prediction sets."""

from __future__ import annotations

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_array, check_scalar

from skml._targets._matrix import row_blocks, row_sums
from skml._targets._warnings import warn_once
from skml.inspection._report import check_probabilities

# Probabilities of float32 that sum up to 1 miss it by so much.
_ROUNDING = 1e-6


def prediction_sets(
    proba: ArrayLike, y: ArrayLike, proba_y: ArrayLike, *, classes: ArrayLike | None = None, coverage: float = 0.9
) -> list[tuple]:
    """Return for each row the classes among which the true one is with a given probability.

    For y with one label per row. ``prediction_sets(clf.predict_proba(X), y, clf.oof_proba_, classes=clf.classes_)``
    takes the rows of `fit`, whose target ``y`` was, for calibration.

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_classes)
        Probabilities of the rows to predict for.
    y : array-like of shape (n_calibration,)
        The classes of the rows to calibrate on.
    proba_y : array-like of shape (n_calibration, n_classes)
        Their probabilities, by a classifier that has not learned from them.
    classes : array-like of length n_classes, default=None
        The classes, in the order of the columns. None takes those of `y`, sorted.
    coverage : float in (0, 1), default=0.9
        How likely the true class is to be in the set.

    Returns
    -------
    sets : list of tuple
        The classes of each row, the most probable one first, which is in every set.

    Raises
    ------
    ValueError
        If a parameter is not as described, or a row of `y` has not exactly one label.

    Notes
    -----
    Adaptive prediction sets (Romano et al., 2020): the most probable classes until their probabilities sum up to
    a number, the one that the sums up to the true class stay below for the share `coverage` of the rows to calibrate
    on. They are not randomised: the same row always gets the same set, and the sets cover somewhat more than they must.

    The coverage is marginal, over all rows and not for each class, and exact for rows that are exchangeable with
    those of calibration and probabilities of one classifier for both, as with a holdout. Out-of-fold
    probabilities are those of members, of which each has learned from less than all of them together: then it
    holds closely, not exactly (Barber et al., 2021).

    Examples
    --------
    >>> from skml.inspection import prediction_sets
    >>> y, proba_y = 4 * ["cat", "dog", "eel"], 4 * [[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.1, 0.4, 0.5]]
    >>> prediction_sets([[0.6, 0.3, 0.1], [0.4, 0.35, 0.25]], y, proba_y, coverage=0.8)
    [('cat',), ('cat',)]
    """
    check_scalar(coverage, "coverage", Real, min_val=0, max_val=1, include_boundaries="neither")
    Y, proba_y, _, labels = check_probabilities(y, proba_y, 0.5, classes)
    proba = check_array(proba, input_name="proba")
    if proba.shape[1] != len(labels):
        raise ValueError(f"proba has {proba.shape[1]} columns, but there are {len(labels)} classes.")
    if np.any(row_sums(Y) != 1):
        raise ValueError(
            "prediction_sets is for y with one label per row; for any number of labels take threshold='recall>=0.9'."
        )
    limit = _limit(_sums_to_truth(np.asarray(Y.argmax(axis=1)).ravel(), proba_y), coverage)
    return [labels_of for rows in row_blocks(*proba.shape) for labels_of in _sets(proba[rows], limit, labels)]


def _ordered(proba):
    """Return the columns of each row by falling probability, and the sums of probabilities up to each of them."""
    proba = np.asarray(proba, dtype=np.float64)
    order = np.argsort(-proba, axis=1, kind="stable")
    return order, np.cumsum(np.take_along_axis(proba, order, axis=1), axis=1)


def _sums_to_truth(codes, proba):
    """Return the sum of the probabilities of each row's true class and those before it."""
    order, sums = _ordered(proba)
    return sums[order == codes[:, None]]


def _limit(scores, coverage):
    """Return the quantile of the scores that holds for one more row."""
    rank = int(np.ceil((len(scores) + 1) * coverage - 1e-9))
    if rank <= len(scores):
        return np.sort(scores)[rank - 1]
    warn_once(f"coverage={coverage} takes more than the {len(scores)} rows of calibration: the sets hold all classes.")
    return np.inf


def _sets(proba, limit, labels):
    order, sums = _ordered(proba)
    sizes = np.maximum((sums <= limit + _ROUNDING).sum(axis=1), 1)
    return [tuple(labels[j] for j in row[:size]) for row, size in zip(order.tolist(), sizes, strict=True)]
