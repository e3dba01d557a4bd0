"""What a fitted classifier does: it predicts, scores, is pickled and shown. Keras is not needed for it."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Hashable

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from skml._decisions._rule import decision_rule
from skml._default_network._network import DenseNetwork, open_interval
from skml._keras._environment import check_installed
from skml._keras._routed import RoutedParameters
from skml._state import VersionedState, to_plain
from skml._targets._types import Matrix, Target
from skml._training._dataset import check_X
from skml._training._sklearn_callbacks import CallbackSupportMixin
from skml.metrics._scorer import get_scorer


class FittedClassifier(CallbackSupportMixin, ClassifierMixin, VersionedState, RoutedParameters):
    """The half of `KerasMultiLabelClassifier` that comes after fit.

    It reads ``_trained``, ``target_encoder_`` and ``_tuned``, and the parameters of decisions.
    """

    # Of the toolboxes: they hand over y as it is, and set classes.
    _accepts_any_target = True

    def predict(self, X: Matrix) -> Matrix:
        """Predict labels in the form of the ``y`` given to `fit`.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels), or sparse matrix
            For label collections an object array of tuples, in the order of ``classes_``; for a sparse
            ``y`` CSR; for a DataFrame an array of 0 and 1, or of bool.

        Notes
        -----
        Where ``y`` was a DataFrame, ``pd.DataFrame(clf.predict(X), index=X.index, columns=clf.classes_)`` is one again:
        ``set_output`` has a say over what transforms only.

        Tuples equal other tuples only, of the same order. Compare label sets by
        ``[set(p) == set(t) for p, t in zip(clf.predict(X), y)]``, of which `score` is the mean.
        """
        self._check_is_fitted()
        X, rule = check_X(self, X), self._rule()
        blocks = self._network.proba_blocks(X)
        return self.target_encoder_.inverse_blocks(rule.decide(open_interval(proba)) for proba in blocks)

    def predict_proba(self, X: Matrix) -> np.ndarray:
        """Predict the probability of each label.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        proba : ndarray of shape (n_samples, n_labels)
            In the dtype of the network, inside (0, 1), columns as in ``classes_``. With one label per row
            (n_samples, n_classes), rows summing to 1.

        Notes
        -----
        The default network multiplies up to 500 rows in float64: to 1e-7 a row's probabilities do not depend on the
        rows beside it. More rows are multiplied in the dtype of the network, twice as fast: in float32 their
        probabilities are within 1e-6 of those, unless values of X are hundreds of times larger than in `fit`.

        Any number of threads may predict at once. Where many do, limit each to one core:
        ``threadpoolctl.threadpool_limits(1)``, or ``OPENBLAS_NUM_THREADS=1`` before NumPy is imported.
        """
        self._check_is_fitted()
        return open_interval(self.target_encoder_.class_columns(self._network.proba(check_X(self, X))))

    def decision_function(self, X: Matrix) -> np.ndarray:
        """Predict log-odds.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        scores : ndarray of shape (n_samples, n_labels)
            Log-odds of each label. With one label per row (n_samples,) for two classes, the log-odds of
            the second, and log-probabilities of shape (n_samples, n_classes) for more.
        """
        self._check_is_fitted()
        return self.target_encoder_.class_scores(self._network.log_proba(check_X(self, X)))

    def score(self, X: Matrix, y: Target, sample_weight: ArrayLike | None = None) -> float:
        """Return the share of rows whose labels are all predicted right (subset accuracy).

        Parameters
        ----------
        X, y : as in `fit`
            A row of ``y`` with a label that is not in ``classes_`` counts as wrong, with a warning; one of
            which nothing is known does not count.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
        """
        self._check_is_fitted()
        return get_scorer("accuracy")(self, X, y, sample_weight=sample_weight)

    @property
    def threshold_(self) -> float | np.ndarray | None:
        """The threshold in force."""
        if "_trained" not in vars(self):
            raise AttributeError("threshold_ is there after fit.")
        try:
            return self._rule().threshold
        except ValueError as error:  # a display of the estimator must not fail
            raise AttributeError(str(error)) from error

    @property
    def tuned_threshold_(self) -> dict[Hashable, float]:
        """The threshold in force for each label."""
        if "_trained" not in vars(self) or self.target_encoder_.has_one_threshold:
            raise AttributeError("tuned_threshold_ is there after fit, unless y holds one label per row.")
        labels = self.target_encoder_.threshold_labels
        return dict(zip(labels, np.broadcast_to(self.threshold_, len(labels)).tolist(), strict=True))

    def __dir__(self):
        # model_ is there for completion, but not for getmembers, by which scikit-learn's display asks for all values.
        asks_for_values = inspect.currentframe().f_back.f_globals.get("__name__") == "inspect"
        is_left_out = asks_for_values or "_trained" not in vars(self)
        return [*super().__dir__(), *([] if is_left_out else ["model_"])]

    def __getattr__(self, name):
        own = getattr(type(self), name, None)
        if isinstance(own, property):  # Python asks here where it has failed: it fails again, and says why
            return own.fget(self)
        if name == "oof_proba_":
            raise AttributeError(
                "oof_proba_ is there after a fit (not partial_fit) with n_members > 1, at least 4 rows for each member "
                "and warm_start=False; it is not pickled."
            )
        # Not a property: scikit-learn's display reads those, and must neither import Keras nor build a network.
        if name != "model_" or "_trained" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if not isinstance(self._network, DenseNetwork):
            return self._network.model
        if "_rebuilt_model" not in vars(self):
            check_installed("model_", "tensorflow")
            from skml._keras_models._ensemble import rebuild

            self._rebuilt_model = rebuild(self._network)
        return self._rebuilt_model

    def _check_is_fitted(self):
        if "_trained" not in vars(self):  # check_is_fitted takes longer than a row through the network
            check_is_fitted(self, "_trained")

    @property
    def _network(self):
        return self._trained.network

    def _network_input(self, X):
        """Return X as the network takes it."""
        return check_X(self, X)

    def _rule(self):
        """Return the decision rule in force."""
        return decision_rule(self.target_encoder_, self.threshold, self.min_labels, self.max_labels, self._tuned)

    def __getstate__(self):
        state = super().__getstate__()
        for name in ("_rebuilt_model", "oof_proba_"):
            state.pop(name, None)
        if "_trained" in state and not state["_keeps_slots"]:
            state["_trained"] = to_plain(self._trained.only_predicting())
        if state.get("callbacks_"):
            state["callbacks_"] = [callback for callback in state["callbacks_"] if _can_be_pickled(callback)]
        return state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = tags.input_tags.string = self.model is not None
        return tags


def _can_be_pickled(value):
    """Whether a value pickles; a callback may hold an open file."""
    try:
        pickle.dumps(value)
    except Exception:  # whatever a custom class may raise
        return False
    return True
