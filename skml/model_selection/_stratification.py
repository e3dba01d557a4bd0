"""Iterative stratification of rows by their labels (Sechidis et al., 2011), or random splits where that is too slow."""

import numpy as np
from scipy import sparse

from skml._keras._environment import check_installed
from skml._targets._groups import count_of_values
from skml._targets._matrix import column_sums, to_dense
from skml._targets._strata import strata_of
from skml.model_selection._groups import parts_of_groups

# Minimum number of rows of a holdout. Fewer rows are more useful as training data.
MIN_HOLDOUT = 10

# Minimum number of rows of a fold.
_MIN_FOLD = 4

# Cost of iterative stratification: each row takes n_labels**2 steps, because its entries are read once per label, and a
# constant number of further steps.
_STEPS_PER_ROW = 40_000
_STEPS_PER_SECOND = 2**32

# Time limits in seconds: inside `fit`, and for the public splitters.
_FIT_SECONDS = 0.5
_SEARCH_SECONDS = 4


def folds(rows, Y, n_members, random_state, group=None):
    """Assign each row to a fold, stratified as in `holdout`. The member with this number is not trained on the row.

    Parameters
    ----------
    rows : ndarray of int
        The rows to train on.
    Y : ndarray or csr_array of shape (n_samples, n_outputs)
    n_members : int
    random_state : numpy.random.RandomState
    group : ndarray of int, shape (n_samples,), default=None
        The group of each row. The rows of a group are in the same fold.

    Returns
    -------
    ndarray of int, shape (n_samples,), or None
        Fold numbers, -1 for rows that are not in `rows`. None if a fold would have fewer than 4 rows.
    """
    if n_members == 1 or len(rows) < _MIN_FOLD * n_members:
        return None
    fold = np.full(Y.shape[0], -1)
    if group is not None:
        fold[rows] = _folds_of_groups(rows, Y, n_members, random_state, group)
    elif _is_affordable(len(rows), Y.shape[1], _FIT_SECONDS):
        splitter = _splitter("MultilabelStratifiedKFold", n_splits=n_members, shuffle=True, random_state=random_state)
        for j, (_, test) in enumerate(splitter.split(rows, _strata(Y[rows]))):
            fold[rows[test]] = j
    else:
        fold[random_state.permutation(rows)] = np.arange(len(rows)) % n_members
    return fold


def _folds_of_groups(rows, Y, n_members, random_state, group):
    n_groups = len(np.unique(group[rows]))
    if n_groups < n_members:
        fewer = f"Pass n_members={n_groups}, or divide" if n_groups > 1 else "Divide"
        raise ValueError(
            f"groups has {count_of_values(n_groups)}, too few for the folds of n_members={n_members} members, each of "
            f"which needs at least one group. {fewer} the rows into more groups."
        )
    return parts_of_groups(Y[rows], group[rows], [1 / n_members] * n_members, random_state, _FIT_SECONDS)


def holdout(rows, Y, fraction, random_state, group=None):
    """Split rows into training rows and a holdout.

    The holdout is stratified by label (Sechidis et al., 2011), or random if Y is large. The training rows keep at least
    one positive entry of each label that has any, unless so many labels have a single one that this would leave less
    than half of the holdout.

    Parameters
    ----------
    rows : ndarray of int
    Y : ndarray or csr_array of shape (n_samples, n_outputs)
    fraction : float
        Fraction of the rows to hold out.
    random_state : numpy.random.RandomState
    group : ndarray of int, shape (n_samples,), default=None
        The group of each row. A group is held out as a whole.

    Returns
    -------
    rows, held_out : ndarray of int32
        `held_out` is None if it would have fewer than 10 rows, or if all its groups are needed in training.
    """
    n_held_out = int(len(rows) * fraction)
    if n_held_out < MIN_HOLDOUT or n_held_out == len(rows):
        return rows, None
    is_held_out = np.zeros(Y.shape[0], dtype=bool)
    if group is not None and len(np.unique(group[rows])) == 1:
        raise ValueError(
            "groups has a single value, and the holdout of early stopping needs at least one group beside those to "
            "train on. Divide the rows into more groups, pass X_val and y_val, or set early_stopping=False."
        )
    if group is None:
        is_held_out[_draw_holdout(rows, Y, n_held_out, random_state)] = True
        needed = _needed_in_training(rows, Y, is_held_out)
        if 2 * len(needed) <= n_held_out:
            is_held_out[needed] = False
    else:
        is_held_out[rows[held_out_groups(Y[rows], group[rows], n_held_out / len(rows), random_state)]] = True
        is_held_out[np.isin(group, group[_needed_in_training(rows, Y, is_held_out)])] = False
        if not is_held_out.any():
            return rows, None
    return rows[~is_held_out[rows]], rows[is_held_out[rows]]


def held_out_groups(Y, group, fraction, random_state, seconds=_FIT_SECONDS):
    """Return the rows of the groups to hold out: about a fraction of all rows, but at least the smallest group."""
    numbers, sizes = np.unique(group, return_counts=True)
    is_held_out = parts_of_groups(Y, group, [1 - fraction, fraction], random_state, seconds) == 1
    return np.flatnonzero(is_held_out if is_held_out.any() else group == numbers[sizes.argmin()])


def _draw_holdout(rows, Y, n_held_out, random_state):
    if _is_affordable(len(rows), Y.shape[1], _FIT_SECONDS):
        params = {"n_splits": 1, "test_size": n_held_out, "random_state": random_state}
        splitter = _splitter("MultilabelStratifiedShuffleSplit", **params)
        ((_, drawn),) = splitter.split(rows, _strata(Y[rows]))
        if 2 * len(drawn) >= n_held_out:  # it holds out no row with labels that have a single row
            return rows[drawn]
    return random_state.permutation(rows)[:n_held_out]


def _splitter(name, **params):
    """Return a splitter of the package iterative-stratification."""
    check_installed("Stratification by label", "iterative-stratification")
    from iterstrat import ml_stratifiers

    return getattr(ml_stratifiers, name)(**params)


def _is_affordable(n_samples, n_labels, seconds):
    """Return True if the estimated time of iterative stratification is within the limit."""
    return n_samples * (n_labels**2 + _STEPS_PER_ROW) <= seconds * _STEPS_PER_SECOND


def _strata(Y):
    """Return the columns to stratify by, dense and bool; a single label is stratified by its negatives, too."""
    entries = to_dense(Y) >= 0.5  # a missing label counts as 0, a soft one as the nearer of 0 and 1
    return np.hstack([entries, ~entries]) if Y.shape[1] == 1 else entries


def _needed_in_training(rows, Y, is_held_out):
    """Return, for each label without a positive entry in the training rows, a held-out row that has the label."""
    training, held_out = Y[rows[~is_held_out[rows]]], rows[is_held_out[rows]]
    (labels,) = np.nonzero((column_sums(training >= 0.5) == 0) & (column_sums(Y[held_out] >= 0.5) > 0))
    columns = Y[held_out][:, labels] >= 0.5
    return held_out[np.unique(columns.argmax(axis=0))] if labels.size else held_out[:0]


def stratified_group_folds(y, group, n_splits, random_state):
    """Return the fold of each row of a target of any form; the rows of a group are in the same fold."""
    return parts_of_groups(_entries_of(y), group, [1 / n_splits] * n_splits, random_state, _SEARCH_SECONDS)


def stratified_group_holdout(y, group, fraction, random_state):
    """Return the test rows of a target of any form, about a fraction of all rows: whole groups."""
    return held_out_groups(_entries_of(y), group, fraction, random_state, _SEARCH_SECONDS)


def _entries_of(y):
    """Return a matrix with a column for each label or class of ``y``."""
    classes, Y = strata_of(y)
    if classes is None:
        return Y
    n_samples = len(classes)
    return sparse.csr_array((np.ones(n_samples), (np.arange(n_samples), classes)))


def stratified_splits(y, params, by_label, by_class, at_random):
    """Split the rows of a target of any form into training and test rows.

    Parameters
    ----------
    y : any form of target
    params : dict
        Constructor parameters of all three splitters.
    by_label : str
        Name of a splitter of the package iterative-stratification, for multi-label ``y``.
    by_class : splitter class
        For single-label ``y``.
    at_random : splitter class
        Used if stratification by label would take too long or would leave a part empty.
    """
    classes, Y = strata_of(y)
    random_splitter = at_random(**params)
    if classes is not None:
        return by_class(**params).split(classes, classes)
    if not (Y.shape[1] and _is_affordable(*Y.shape, _SEARCH_SECONDS)):
        return random_splitter.split(np.zeros(Y.shape[0]))
    entries = _strata(Y)
    splits = list(_splitter(by_label, **params).split(entries, entries))
    return splits if all(len(train) and len(test) for train, test in splits) else random_splitter.split(entries)
