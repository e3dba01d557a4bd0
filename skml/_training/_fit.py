"""One call of fit, from examples to what a training leaves. Keras is imported when training starts."""

import contextlib
from dataclasses import dataclass

import numpy as np

from skml._default_network._auto import Architecture, adaptive_rates, auto_architecture, auto_settings
from skml._default_network._scaling import new_scaler, updated
from skml._targets._encoder import TargetEncoder
from skml._targets._weights import ClassWeight
from skml._training._config import budget
from skml._training._result import TrainingResult
from skml._training._split import split


@contextlib.contextmanager
def restore_on_error(estimator):
    """Leave an estimator as it was if what happens inside fails."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


@dataclass(frozen=True)
class Fit:
    """How a call of fit trains.

    Parameters
    ----------
    params : dict
        Parameters of the estimator.
    encoder : TargetEncoder
    class_weight : ClassWeight
    n_features : int or None
        None for X that has no columns.
    earlier : TrainingResult or None
        What training goes on from.
    columns : ndarray of int, shape (n_outputs,), or None
        The column of each label in `earlier`, -1 for a new label; None if the labels are the same.
    one_epoch : bool
        Whether to train for one epoch on all rows, as ``partial_fit`` does.
    random_state : numpy.random.RandomState
    """

    params: dict
    encoder: TargetEncoder
    class_weight: ClassWeight
    n_features: int | None
    earlier: TrainingResult | None
    columns: np.ndarray | None
    one_epoch: bool
    random_state: np.random.RandomState

    @property
    def new_labels(self):
        """Labels that `earlier` has not learned, if there is one."""
        return [] if self.columns is None else self.encoder.classes_[self.columns < 0].tolist()

    def recipe(self, examples):
        """Return how the default network learns; None for a custom one."""
        return auto_settings(self.params, examples.X, examples.weight)

    def size(self, examples, recipe):
        """Return the size of the default network; a custom one has one member."""
        if self.earlier is not None:
            return Architecture(None, getattr(self.earlier.network, "n_members", 1))
        if recipe is None:
            return Architecture(None, 1)
        return auto_architecture(
            self.params, recipe, examples.X.shape[1], examples.Y.shape[1], examples.effective_rows()
        )

    def split(self, examples, given, size):
        """Return which of the examples train, for which members, and which watch."""
        has_folds = not (self.one_epoch or self.params["warm_start"])
        has_holdout = self.params["early_stopping"] and not self.one_epoch
        return split(
            examples,
            given,
            n_folds=size.n_members if has_folds else 1,
            fraction=self.params["validation_fraction"] if has_holdout else None,
            watches=self.params["early_stopping"],
            random_state=self.random_state,
        )

    def budget(self, examples, parts):
        """Return how long to train on the parts of a split."""
        n_earlier = self.earlier.n_iter if self.earlier else 0
        return budget(self.params, examples.effective_rows(parts.rows), n_earlier, self.one_epoch)

    def train(self, examples, parts, recipe, size, length, task=None):
        """Return what training on the parts of a split leaves, as long as a budget lasts."""
        from skml._training._run import train

        start = self._start(examples, parts, recipe, size)
        return train(start, parts, length, self.params, self.random_state, self.earlier, task)

    def _start(self, examples, parts, recipe, size):
        from skml._keras_models._custom_trainable import prepare_custom
        from skml._keras_models._default_trainable import resume_default, start
        from skml._keras_models._target_spec import target_spec

        base = self._base(examples, parts, recipe, size)
        problem = target_spec(self.encoder, examples, self.class_weight, self.n_features, base, self.columns)
        # Of a network that was loaded without them, the statistics stay as they are.
        scaler = self.earlier.scaler if self.earlier else new_scaler(self.params, examples.X)
        scaler = updated(scaler, examples, parts.rows)
        rates = adaptive_rates(self.params, recipe, self.one_epoch)
        if self.earlier is not None:
            return resume_default(self.earlier.network, self.params, problem, scaler, rates, self.random_state)
        if recipe is None:
            return prepare_custom(self.params, examples.X, parts.rows, problem, self.random_state)
        return start(
            self.params, examples.X, problem, recipe, size, scaler, rates, parts.cross_fitted, self.random_state
        )

    def _base(self, examples, parts, recipe, size):
        """Return the log-odds from which output biases of each member start, of the rows that it learns from."""
        has_base = recipe is not None and recipe.is_sparse and (recipe.prior_bias or self.one_epoch)
        if self.columns is None and (self.earlier is not None or not has_base):
            return None
        weight = parts.examples.weight
        if weight is None or weight.ndim == 1:
            trains = np.zeros(examples.n_samples)
            trains[parts.rows] = 1.0 if weight is None else weight[parts.rows]
            weight = np.repeat(trains[:, None], size.n_members, axis=1)
        return self.encoder.base_log_odds(examples.Y, weight, self.class_weight.positive)
