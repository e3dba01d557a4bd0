"""The attributes of a fitted estimator."""

from collections.abc import Hashable
from typing import Any

import numpy as np

from skml._targets._encoder import TargetEncoder
from skml._training._result import FittedModel


class FittedAttributes:
    """Attributes of an estimator that are read from its fitted model, ``_fitted``."""

    threshold: Any

    def decision_rule(self) -> Any:
        """Return the rule by which `predict` turns probabilities into labels."""
        raise NotImplementedError

    @property
    def classes_(self) -> np.ndarray:
        """The labels."""
        return self._model_with("classes_").encoder.classes_

    @property
    def target_encoder_(self) -> TargetEncoder:
        """Converts ``y`` into a 0/1 matrix and back."""
        return self._model_with("target_encoder_").encoder

    @property
    def history_(self) -> dict[str, list]:
        """Loss and metrics of each epoch."""
        return self._model_with("history_").training.history

    @property
    def n_iter_(self) -> int:
        """Number of epochs."""
        return self._model_with("n_iter_").training.n_iter

    @property
    def kept_epoch_(self) -> int:
        """The epoch whose weights were kept."""
        return self._model_with("kept_epoch_").training.kept_epoch

    @property
    def callbacks_(self) -> list:
        """The copies of `callbacks` that the last fit used."""
        return self._model_with("callbacks_").training.callbacks

    @property
    def oof_proba_(self) -> np.ndarray:
        """Out-of-fold probabilities of the training rows."""
        return self._model_with("oof_proba_").all_oof_proba()

    @property
    def threshold_(self) -> float | np.ndarray | None:
        """The threshold in use."""
        self._model_with("threshold_")
        try:
            return self.decision_rule().threshold
        except ValueError as error:  # displaying the estimator must not fail
            raise AttributeError(str(error)) from error

    @property
    def tuned_threshold_(self) -> dict[Hashable, float]:
        """The threshold in use for each label."""
        encoder = self._model_with("tuned_threshold_").encoder
        if not encoder.is_multilabel:
            raise AttributeError("tuned_threshold_ is only available for multi-label y.")
        labels, thresholds = encoder.threshold_labels, np.asarray(self.threshold_)
        return dict(zip(labels, np.broadcast_to(thresholds, len(labels)).tolist(), strict=True))

    @property
    def input_weights_(self) -> dict[str, float]:
        """The weight of each kind of inputs in the average."""
        network: Any = self._model_with("input_weights_").network
        if getattr(network, "encoding", None) is None:
            raise AttributeError('input_weights_ is only available for dense X with scale="auto".')
        return network.input_weights()

    @property
    def relevance_(self) -> np.ndarray:
        """The relevance of the columns of X."""
        relevance = self._model_with("relevance_").relevance
        if relevance is None:
            raise AttributeError('relevance_ is only available for the default network with scale="auto".')
        return relevance

    def _model_with(self, attribute) -> FittedModel:
        """Return the fitted model, or raise the AttributeError of an attribute that needs it."""
        fitted = vars(self).get("_fitted")
        if fitted is None:
            raise AttributeError(f"{attribute} is only available after fit.")
        return fitted
