"""Iterative stratification of rows by their labels (Sechidis et al., 2011), where it can be afforded."""

import numpy as np

from skml._keras._environment import check_installed
from skml._targets._matrix import column_sums, to_dense
from skml._targets._strata import strata_of

# A holdout of fewer rows says less about when to stop than those rows teach.
_MIN_HOLDOUT = 10

# Rows of a fold, at least.
_MIN_FOLD = 4

# Iterative stratification walks through all entries once for each label; and a row costs as much as so many steps.
_STEPS_PER_ROW = 40_000
_STEPS_PER_SECOND = 2**32

# What it may take: a fit of a second should not wait for it, a search that the user asked for may.
_FIT_SECONDS = 0.5
_SEARCH_SECONDS = 4


def folds(rows, Y, n_members, random_state):
    """Return the fold of each row, which is the member that does not learn from it; stratified as `holdout` is.

    Parameters
    ----------
    rows : ndarray of int
        The rows to train on.
    Y : ndarray or csr_array of shape (n_samples, n_outputs)
    n_members : int
    random_state : numpy.random.RandomState

    Returns
    -------
    ndarray of int, shape (n_samples,), or None
        -1 for other rows. None if a fold would have fewer than 4 rows.
    """
    if n_members == 1 or len(rows) < _MIN_FOLD * n_members:
        return None
    fold = np.full(Y.shape[0], -1)
    if _is_affordable(len(rows), Y.shape[1], _FIT_SECONDS):
        splitter = _splitter("MultilabelStratifiedKFold", n_splits=n_members, shuffle=True, random_state=random_state)
        for j, (_, own) in enumerate(splitter.split(rows, _strata(Y[rows]))):
            fold[rows[own]] = j
    else:
        fold[random_state.permutation(rows)] = np.arange(len(rows)) % n_members
    return fold


def holdout(rows, Y, fraction, random_state):
    """Split rows into those to train on and those to hold out.

    The holdout is stratified by label (Sechidis et al., 2011), at random where Y is large. A label with a
    positive keeps one in training.

    Parameters
    ----------
    rows : ndarray of int
    Y : ndarray or csr_array of shape (n_samples, n_outputs)
    fraction : float
        Share of the rows to hold out.
    random_state : numpy.random.RandomState

    Returns
    -------
    rows, held_out : ndarray of int32
        The second is None if there would be fewer than 10.
    """
    n_held_out = int(len(rows) * fraction)
    if n_held_out < _MIN_HOLDOUT or n_held_out == len(rows):
        return rows, None
    is_held_out = np.zeros(Y.shape[0], dtype=bool)
    is_held_out[_drawn(rows, Y, n_held_out, random_state)] = True
    is_held_out[_needed_in_training(rows, Y, is_held_out)] = False
    return rows[~is_held_out[rows]], rows[is_held_out[rows]]


def _drawn(rows, Y, n_held_out, random_state):
    if not _is_affordable(len(rows), Y.shape[1], _FIT_SECONDS):
        return random_state.permutation(rows)[:n_held_out]
    params = {"n_splits": 1, "test_size": n_held_out, "random_state": random_state}
    splitter = _splitter("MultilabelStratifiedShuffleSplit", **params)
    ((_, drawn),) = splitter.split(rows, _strata(Y[rows]))
    return rows[drawn]


def _splitter(name, **params):
    """Return a splitter of iterative-stratification."""
    check_installed("Stratification by label", "iterative-stratification")
    from iterstrat import ml_stratifiers

    return getattr(ml_stratifiers, name)(**params)


def _is_affordable(n_samples, n_labels, seconds):
    """Whether iterative stratification takes no longer than that."""
    return n_samples * (n_labels**2 + _STEPS_PER_ROW) <= seconds * _STEPS_PER_SECOND


def _strata(Y):
    """Return the entries by which to stratify, dense and bool: of one label both sides; a missing label counts as 0."""
    entries = to_dense(Y) == 1
    return np.hstack([entries, ~entries]) if Y.shape[1] == 1 else entries


def _needed_in_training(rows, Y, is_held_out):
    """Return held out rows, one for each label that has its positives in them alone."""
    part, held_out = Y[rows[~is_held_out[rows]]], rows[is_held_out[rows]]
    (missing,) = np.nonzero((column_sums(part == 1) == 0) & (column_sums(Y[held_out] == 1) > 0))
    columns = Y[held_out][:, missing] == 1
    return held_out[np.unique(columns.argmax(axis=0))] if missing.size else held_out[:0]


def stratified_splits(y, params, by_label, by_class, by_chance):
    """Return splits of the rows of ``y``, for every form of it.

    Parameters
    ----------
    y : any form of target
    params : dict
        Of each of the splitters.
    by_label : str
        Name of a splitter of iterative-stratification.
    by_class : splitter class
        For one label per row.
    by_chance : splitter class
        Where stratification would take too long, or leaves a part empty.
    """
    classes, Y = strata_of(y)
    plain = by_chance(**params)
    if classes is not None:
        return by_class(**params).split(classes, classes)
    if not (Y.shape[1] and _is_affordable(*Y.shape, _SEARCH_SECONDS)):
        return plain.split(np.zeros(Y.shape[0]))
    entries = _strata(Y)
    splits = list(_splitter(by_label, **params).split(entries, entries))
    return splits if all(len(train) and len(test) for train, test in splits) else plain.split(entries)
