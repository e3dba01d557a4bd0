"""Which rows train, and which say when to stop: a holdout, or a fold of rows for each member of an ensemble."""

from dataclasses import dataclass

import numpy as np

from skml._training._dataset import Dataset, ValidationData
from skml.model_selection._stratification import folds, holdout

# Entries of out-of-fold probabilities that are kept, and from which thresholds are tuned: 128 MB.
_MAX_KEPT_ENTRIES = 2**25


@dataclass(frozen=True)
class Split:
    """The rows that train, and those that watch.

    Parameters
    ----------
    examples : Dataset
        All rows, with the weights to train with.
    rows : ndarray of int32
        The rows to train on.
    fold : ndarray of int, shape (n_samples,), or None
        Which member of an ensemble does not learn from a row.
    held_out : ValidationData or None
        Rows that no network learns from: a holdout, or data that the user gave.
    watched : ValidationData or None
        What early stopping watches.
    cross_fitted : bool
        Whether each member is watched on its own fold.
    """

    examples: Dataset
    rows: np.ndarray
    fold: np.ndarray | None = None
    held_out: ValidationData | None = None
    watched: ValidationData | None = None
    cross_fitted: bool = False

    @property
    def has_held_out(self):
        """Whether there are rows that a network, or a member, has not learned from."""
        return self.fold is not None or self.held_out is not None

    def held_out_predictions(self, network, random_state):
        """Return rows that a network, or a member, has not learned from, and its probabilities for them.

        Parameters
        ----------
        network : DenseNetwork or KerasNetwork
        random_state : numpy.random.RandomState
            Draws some of the rows, where all would be too many to keep.

        Returns
        -------
        examples : Dataset
        proba : ndarray of shape (n_examples, n_outputs)
        """
        if self.fold is None:
            examples = self.held_out.examples.take(self.held_out.orders[0])
            return examples, network.proba(examples.X)
        rows, n_outputs = slice(None), self.examples.Y.shape[1]
        if self.examples.n_samples * n_outputs > _MAX_KEPT_ENTRIES:
            rows = np.sort(random_state.permutation(self.rows)[: max(1, _MAX_KEPT_ENTRIES // n_outputs)])
        examples = self.examples.take(rows)
        return examples, network.out_of_fold_proba(examples.X, self.fold[rows])


def split(examples, given, n_folds, fraction, watches, random_state):
    """Decide which rows train, for which members, and which watch.

    Parameters
    ----------
    examples : Dataset
        Rows of weight 0 neither train nor watch.
    given : ValidationData or None
        Data to watch in place of folds or a holdout.
    n_folds : int
        One for each member; 1 makes none.
    fraction : float or None
        Share of the rows to hold out, if there are no folds, or too few rows for them, and nothing is given.
    watches : bool
        Whether there is early stopping.
    random_state : numpy.random.RandomState

    Returns
    -------
    Split
    """
    rows, weight, held_out = np.arange(examples.n_samples, dtype=np.int32), examples.weight, given
    rows = rows if weight is None else rows[weight > 0]
    fold = folds(rows, examples.Y, n_folds, random_state)
    if fold is None:
        if given is None and fraction is not None:
            rows, drawn = holdout(rows, examples.Y, fraction, random_state)
            held_out = None if drawn is None else ValidationData(examples, [drawn])
        return Split(examples, rows, held_out=held_out, watched=held_out if watches else None)
    if given is not None:
        given = ValidationData(given.examples.weighted(_for_all(given.examples, n_folds)), given.orders)
    own = given or _folds_watched(examples, rows, fold, n_folds)
    return Split(
        examples.weighted(training_weights(weight, fold, n_folds)),
        rows,
        fold,
        held_out=given,
        watched=own if watches else None,
        cross_fitted=watches and given is None,
    )


def _folds_watched(examples, rows, fold, n_folds):
    orders = [rows[fold[rows] == j] for j in range(n_folds)]
    orders = [order for order in orders if len(order)]  # stratification may leave a fold empty
    return ValidationData(examples.weighted(fold_weights(examples.weight, fold, n_folds)), orders)


def _for_all(examples, n_members):
    """Return the weights of rows as a column for each member."""
    weight = examples.weight
    return np.ones((examples.n_samples, n_members)) * (1.0 if weight is None else weight[:, None])


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
