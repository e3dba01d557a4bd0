"""Training/validation split: a holdout, or one fold per ensemble member."""

from dataclasses import dataclass

import numpy as np

from skml._training._dataset import Dataset, ValidationData
from skml.model_selection._stratification import folds, holdout

# Entries of held-out probabilities that are kept and used to tune thresholds: 128 MB.
_MAX_KEPT_ENTRIES = 2**25


@dataclass(frozen=True)
class Split:
    """Training rows, and validation data.

    Parameters
    ----------
    dataset : Dataset
        All rows, with the loss weights for training.
    rows : ndarray of int32
        Training rows.
    fold : ndarray of int, shape (n_samples,), or None
        The ensemble member of each kind that does not train on a row.
    held_out : ValidationData or None
        Rows that no network trains on: a holdout, or data that the user passed.
    validation : ValidationData or None
        Validation data of early stopping; None without early stopping.
    is_cross_fitted : bool
        Whether each member is evaluated on its own fold.
    """

    dataset: Dataset
    rows: np.ndarray
    fold: np.ndarray | None = None
    held_out: ValidationData | None = None
    validation: ValidationData | None = None
    is_cross_fitted: bool = False

    @property
    def has_held_out(self):
        """Whether there are rows that a network, or a member of it, is not trained on."""
        return self.fold is not None or self.held_out is not None

    @property
    def is_sampled(self):
        """Whether the held-out probabilities of all rows would be too many to keep."""
        n_rows = self.dataset.n_samples if self.fold is not None else len(self._held_out)
        return n_rows * self.dataset.Y.shape[1] > _MAX_KEPT_ENTRIES

    @property
    def n_sampled(self):
        """Number of rows whose held-out probabilities are used if `is_sampled`."""
        return min(len(self._held_out), max(1, _MAX_KEPT_ENTRIES // self.dataset.Y.shape[1]))

    @property
    def _held_out(self):
        """Rows of the folds, or of the held-out data."""
        if self.fold is not None:
            return self.rows
        return self.rows[:0] if self.held_out is None else self.held_out.groups[0]

    def held_out_rows(self, random_state):
        """Return rows that a network, or members of it, are not trained on.

        Parameters
        ----------
        random_state : numpy.random.RandomState
            Samples the rows if the probabilities of all rows would be too many to keep.

        Returns
        -------
        dataset : Dataset
        fold : ndarray of int, shape (n_rows,), or None
            The member of each kind that does not train on a row; None if no member does.
        """
        rows = self._held_out
        if self.is_sampled:
            rows = np.sort(random_state.permutation(rows)[: self.n_sampled])
        elif self.fold is not None:
            rows = slice(None)
        if self.fold is None:
            return self.held_out.dataset.take(rows), None
        return self.dataset.take(rows), self.fold[rows]


def split_dataset(dataset, validation, params, architecture, random_state, *, resumes=False, is_partial_fit=False):
    """Split a dataset into training rows and validation data.

    Rows of weight 0 are in neither.

    Parameters
    ----------
    dataset : Dataset
    validation : ValidationData or None
        Data that the user passed for early stopping, in place of folds or a holdout.
    params : dict
        Parameters of the estimator.
    architecture : Architecture
        Each member of a kind gets a fold, unless there is one only, or training resumes.
    random_state : numpy.random.RandomState
    resumes, is_partial_fit : bool, default=False
        Training that resumes has no folds; ``partial_fit`` has no holdout either.

    Returns
    -------
    Split
    """
    rows, loss_weight = dataset.rows_in_loss(), dataset.loss_weight
    stops_early = params["early_stopping"]
    n_members, n_folds = architecture.n_members, architecture.n_folds
    fold = folds(rows, dataset.Y, 1 if resumes else n_folds, random_state, dataset.group)
    if fold is None:
        if validation is None and stops_early and not is_partial_fit:
            rows, held_out = holdout(rows, dataset.Y, params["validation_fraction"], random_state, dataset.group)
            validation = None if held_out is None else ValidationData(dataset, [held_out])
        return Split(dataset, rows, held_out=validation, validation=validation if stops_early else None)
    if validation is not None:
        weights = _weights_of_members(validation.dataset, n_members)
        validation = ValidationData(validation.dataset.with_loss_weight(weights), validation.groups)
    fold_of_member = np.arange(n_members) % n_folds
    watched = validation or _folds_as_validation(dataset, rows, fold, fold_of_member)
    return Split(
        dataset.with_loss_weight(training_weights(loss_weight, fold, fold_of_member)),
        rows,
        fold,
        held_out=validation,
        validation=watched if stops_early else None,
        is_cross_fitted=stops_early and validation is None,
    )


def _folds_as_validation(dataset, rows, fold, fold_of_member):
    groups = [rows[fold[rows] == j] for j in np.unique(fold_of_member)]
    groups = [group for group in groups if len(group)]  # stratification may leave a fold empty
    return ValidationData(dataset.with_loss_weight(fold_weights(dataset.loss_weight, fold, fold_of_member)), groups)


def _weights_of_members(dataset, n_members):
    """Return the weights of rows as a column for each member."""
    weight = dataset.loss_weight
    return np.ones((dataset.n_samples, n_members)) * (1.0 if weight is None else weight[:, None])


def training_weights(weight, fold, fold_of_member):
    """Return the weight of each row for each member, shape (n_samples, n_members); 0 in the member's own fold.

    The other weights are scaled up so that the mean over members is the mean over rows.
    """
    others, n_folds = fold[:, None] != fold_of_member, fold_of_member.max() + 1
    return others * (n_folds / (n_folds - 1)) * (1.0 if weight is None else weight[:, None])


def fold_weights(weight, fold, fold_of_member):
    """Return weights by which each row is evaluated by the members of its fold, shape (n_samples, n_members)."""
    own = fold[:, None] == fold_of_member
    return own * (1.0 if weight is None else weight[:, None])
