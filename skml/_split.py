"""Which rows train, and which say when to stop: a holdout, or a fold of rows for each member of an ensemble."""

import numpy as np
from scipy import sparse

# A holdout of fewer rows says less about when to stop than those rows teach.
_MIN_HOLDOUT = 10

# Rows of a fold, at least.
_MIN_FOLD = 4

# Iterative stratification takes about half a second for this many.
_MAX_STRATIFIED_CELLS = 2**22


class Split:
    """The rows that train, and those that watch.

    Attributes
    ----------
    rows : ndarray of int32
        The rows to train on.
    fold : ndarray of int, shape (n_samples,), or None
        Which member of an ensemble does not learn from a row.
    held_out : ndarray of int32, or None
        Rows that no network learns from.

    Parameters
    ----------
    Y : ndarray or csr_array of shape (n_samples, n_outputs)
    weight : ndarray of shape (n_samples,), or None
        Rows of weight 0 neither train nor watch.
    n_members : int
        How many folds to make; 1 makes none.
    fraction : float or None
        Share of the rows to hold out, if there are no folds, or too few rows for them.
    random_state : numpy.random.RandomState
    """

    def __init__(self, Y, weight, n_members, fraction, random_state):
        rows = np.arange(Y.shape[0], dtype=np.int32)
        self._weight = weight
        self._n_members = n_members
        self.rows = rows if weight is None else rows[weight > 0]
        self.held_out = None
        self.fold = folds(self.rows, Y, n_members, random_state)
        if self.fold is None and fraction is not None:
            self.rows, self.held_out = holdout(self.rows, Y, fraction, random_state)

    def training_weight(self):
        """Return the weights to train with: of rows, or of rows for each member."""
        return self._weight if self.fold is None else training_weights(self._weight, self.fold, self._n_members)

    def watched(self, X, Y):
        """Return X, Y, weights and lists of rows by which to see when to stop, or None."""
        if self.held_out is not None:
            return X, Y, self._weight, [self.held_out]
        if self.fold is None:
            return None
        orders = [self.rows[self.fold[self.rows] == j] for j in range(self._n_members)]
        orders = [order for order in orders if len(order)]  # stratification may leave a fold empty
        return X, Y, fold_weights(self._weight, self.fold, self._n_members), orders

    def as_given(self, X, Y, weight, orders):
        """Return data that were given to watch; weights are of members where those to train with are."""
        if self.fold is not None:
            weight = np.ones((X.shape[0], self._n_members)) * (1.0 if weight is None else weight[:, None])
        return X, Y, weight, orders


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
    if _can_be_stratified(rows, Y):
        from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

        splitter = MultilabelStratifiedKFold(n_members, shuffle=True, random_state=random_state)
        for j, (_, own) in enumerate(splitter.split(rows, strata(Y[rows]))):
            fold[rows[own]] = j
    else:
        fold[random_state.permutation(rows)] = np.arange(len(rows)) % n_members
    return fold


def training_weights(weight, fold, n_members):
    """Return how much each row counts for each member, shape (n_samples, n_members): its own fold not at all.

    The others count for so much more that the mean over members is that over rows.
    """
    others = fold[:, None] != np.arange(n_members)
    return others * (n_members / (n_members - 1)) * (1.0 if weight is None else weight[:, None])


def fold_weights(weight, fold, n_members):
    """Return weights by which each row is evaluated by the member of its fold, shape (n_samples, n_members)."""
    own = fold[:, None] == np.arange(n_members)
    return own * (1.0 if weight is None else weight[:, None])


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
    if not _can_be_stratified(rows, Y):
        return random_state.permutation(rows)[:n_held_out]
    from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

    splitter = MultilabelStratifiedShuffleSplit(1, test_size=n_held_out, random_state=random_state)
    ((_, drawn),) = splitter.split(rows, strata(Y[rows]))
    return rows[drawn]


def _can_be_stratified(rows, Y):
    return len(rows) * Y.shape[1] <= _MAX_STRATIFIED_CELLS


def strata(Y):
    """Return the cells by which to stratify, dense and bool: of one label both sides; what is not known counts as 0."""
    cells = (Y.toarray() if sparse.issparse(Y) else Y) == 1
    return np.hstack([cells, ~cells]) if Y.shape[1] == 1 else cells


def _needed_in_training(rows, Y, is_held_out):
    """Return held out rows, one for each label that has its positives in them alone."""
    part, held_out = Y[rows[~is_held_out[rows]]], rows[is_held_out[rows]]
    (missing,) = np.nonzero((_positives(part) == 0) & (_positives(Y[held_out]) > 0))
    columns = Y[held_out][:, missing] == 1
    return held_out[np.unique(columns.argmax(axis=0))] if missing.size else held_out[:0]


def _positives(Y):
    return np.asarray((Y == 1).sum(axis=0)).ravel()
