"""Multi-label losses that ignore missing labels (NaN)."""

import inspect

import keras
import numpy as np
from keras import ops

from skml._targets._encoder import TargetKind


class MultiLabelLoss(keras.losses.Loss):
    """Base class of multi-label losses.

    The loss of a row is the mean over its observed entries; rows are averaged by their weights. An entry of `y_true` is
    1, 0, or NaN for a missing label. Missing labels add nothing to the loss or its gradient, and a row without an
    observed entry has loss 0. Half precision is computed in float32, which can represent small probabilities.

    If `y_true` has twice as many columns as `y_pred`, the second half contains weights of the entries.

    Parameters
    ----------
    positive_weight : array-like of shape (n_labels,), default=None
        Weight of each label's positive entries; negative entries have weight 1.
    from_logits : bool, default=False
        Whether `y_pred` contains logits instead of probabilities.
    name : str, default=None
    soft_labels : bool, default=False
        Whether entries may be probabilities. The loss of an entry q is then q times that of 1, plus 1 - q times that of
        0.
    """

    label_smoothing = 0.0

    def __init__(self, positive_weight=None, from_logits=False, name=None, soft_labels=False):
        dtype = keras.backend.result_type(keras.config.floatx(), "float32")
        super().__init__(name=name, reduction="mean_with_sample_weight", dtype=dtype)
        self.from_logits = bool(from_logits)
        self.soft_labels = bool(soft_labels)
        # A variable, so that a traced training step can be used with other weights.
        self.positive_weight = None
        if positive_weight is not None:
            self.positive_weight = keras.Variable(np.asarray(positive_weight), dtype=self.dtype, trainable=False)

    def call(self, y_true, y_pred):
        """Return the loss of each row, shape (batch_size,)."""
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.cast(y_true, y_pred.dtype)
        n_labels, label_weight = y_pred.shape[-1], None
        if y_true.shape[-1] == 2 * n_labels:
            y_true, label_weight = y_true[..., :n_labels], y_true[..., n_labels:]
        is_missing = ops.isnan(y_true)
        is_observed = ops.cast(ops.logical_not(is_missing), y_pred.dtype)
        # NaN is replaced before any arithmetic, as 0 times NaN is NaN, also in the gradient.
        y_true = ops.where(is_missing, 0.0, y_true)
        if self.soft_labels or self.label_smoothing:
            y_true = y_true * (1 - self.label_smoothing) + self.label_smoothing / 2
            ones = ops.ones_like(y_true)
            positive, negative = self._weighted(ones, y_pred), self._weighted(0 * ones, y_pred)
            entries = (y_true * positive + (1 - y_true) * negative) * is_observed
        else:
            entries = self._weighted(y_true, y_pred, is_observed)
        if label_weight is not None:
            entries = entries * label_weight
        return ops.sum(entries, axis=-1) / ops.maximum(ops.sum(is_observed, axis=-1), 1)

    def _weighted(self, y_true, y_pred, is_observed=1.0):
        """Return the loss of entries of 0 and 1, multiplied by the weights of positive entries."""
        # Keras uses the logits before a sigmoid, so that the loss does not saturate.
        crossentropy = ops.binary_crossentropy(y_true, y_pred, from_logits=self.from_logits)
        proba = ops.sigmoid(y_pred) if self.from_logits else y_pred
        entries = self.entries(y_true, proba, crossentropy) * is_observed
        if self.positive_weight is not None:
            entries = entries * (1 + y_true * (ops.cast(self.positive_weight, y_pred.dtype) - 1))
        return entries

    def entries(self, y_true, proba, crossentropy):
        """Return the loss of each entry, from arrays of shape (batch_size, n_labels) without NaN."""
        raise NotImplementedError

    def get_config(self):
        """Return the arguments of ``__init__``."""
        weight = None if self.positive_weight is None else self.positive_weight.numpy().tolist()
        arguments = {"positive_weight": weight, "from_logits": self.from_logits, "name": self.name}
        return {**arguments, "soft_labels": self.soft_labels}

    def trace_config(self):
        """Return the part of the config on which a traced training step depends."""
        config = self.get_config()
        del config["name"]
        return {**config, "positive_weight": self.positive_weight is not None}


@keras.saving.register_keras_serializable("skml")
class MultiLabelCrossentropy(MultiLabelLoss):
    """Binary cross-entropy, averaged over the observed labels of a row and then over rows by their weights.

    Parameters
    ----------
    positive_weight : array-like of shape (n_labels,), default=None
        Weight of each label's positive entries; negative entries have weight 1.
    from_logits : bool, default=False
        Whether `y_pred` contains logits instead of probabilities.
    name : str, default="multi_label_crossentropy"
    soft_labels : bool, default=False
        Whether entries may be probabilities.
    label_smoothing : float in [0, 1], default=0.0
        Entries are moved toward 0.5 by this fraction.
    """

    def __init__(
        self,
        positive_weight=None,
        from_logits=False,
        name="multi_label_crossentropy",
        soft_labels=False,
        label_smoothing=0.0,
    ):
        super().__init__(positive_weight, from_logits, name, soft_labels)
        self.label_smoothing = _number("label_smoothing", label_smoothing, 1)

    def entries(self, y_true, proba, crossentropy):
        """Return the loss of each entry."""
        return crossentropy

    def get_config(self):
        """Return the arguments of ``__init__``."""
        return {"label_smoothing": self.label_smoothing, **super().get_config()}


@keras.saving.register_keras_serializable("skml")
class MultiLabelFocal(MultiLabelLoss):
    """Focal loss: cross-entropy that down-weights entries which are already predicted correctly.

    If p_t is the predicted probability of an entry's true value, its loss is ``(1 - p_t) ** gamma * -log(p_t)``. Names
    and defaults are those of `keras.losses.BinaryFocalCrossentropy`.

    Parameters
    ----------
    gamma : float, default=2.0
        Larger values down-weight easy entries more; 0 is the cross-entropy.
    alpha : float in [0, 1], default=0.25
        Weight of positive entries; negative entries have the weight 1 - alpha. Used if `apply_class_balancing` is true.
    apply_class_balancing : bool, default=False
        Whether to weight entries by `alpha`.
    positive_weight : array-like of shape (n_labels,), default=None
        Weight of each label's positive entries, on top of `alpha`.
    from_logits : bool, default=False
        Whether `y_pred` contains logits instead of probabilities.
    name : str, default="multi_label_focal"
    soft_labels : bool, default=False
        Whether entries may be probabilities.

    References
    ----------
    Lin, Goyal, Girshick, He, Dollár (2017). Focal loss for dense object detection. ICCV.
    """

    def __init__(
        self,
        *,
        gamma=2.0,
        alpha=0.25,
        apply_class_balancing=False,
        positive_weight=None,
        from_logits=False,
        name="multi_label_focal",
        soft_labels=False,
    ):
        super().__init__(positive_weight, from_logits, name, soft_labels)
        self.gamma = _number("gamma", gamma)
        self.alpha = _number("alpha", alpha, 1)
        self.apply_class_balancing = bool(apply_class_balancing)

    def entries(self, y_true, proba, crossentropy):
        """Return the loss of each entry."""
        entries = _power(y_true + proba * (1 - 2 * y_true), self.gamma) * crossentropy
        if self.apply_class_balancing:
            entries = entries * (1 - self.alpha + y_true * (2 * self.alpha - 1))
        return entries

    def get_config(self):
        """Return the arguments of ``__init__``."""
        arguments = {"gamma": self.gamma, "alpha": self.alpha, "apply_class_balancing": self.apply_class_balancing}
        return {**arguments, **super().get_config()}


@keras.saving.register_keras_serializable("skml")
class MultiLabelAsymmetric(MultiLabelLoss):
    """Asymmetric loss: focal loss with a larger exponent for negative entries, which ignores very easy negatives.

    If p is the predicted probability of a label and ``p_m = max(p - clip, 0)``, the loss of a positive entry is
    ``(1 - p) ** gamma_positive * -log(p)``, and that of a negative entry is ``p_m ** gamma_negative * -log(1 - p_m)``.
    The defaults are those of the authors. The gradient includes the derivative of the first factor, which some
    implementations omit.

    Parameters
    ----------
    gamma_negative : float, default=4.0
        Larger values down-weight easy negative entries more.
    gamma_positive : float, default=1.0
        Larger values down-weight easy positive entries more.
    clip : float in [0, 1], default=0.05
        Negative entries with a predicted probability up to this value have loss 0.
    positive_weight : array-like of shape (n_labels,), default=None
        Weight of each label's positive entries; negative entries have weight 1.
    from_logits : bool, default=False
        Whether `y_pred` contains logits instead of probabilities.
    name : str, default="multi_label_asymmetric"
    soft_labels : bool, default=False
        Whether entries may be probabilities.

    References
    ----------
    Ridnik, Ben-Baruch, Zamir, Noy, Friedman, Protter, Zelnik-Manor (2021). Asymmetric loss for multi-label
    classification. ICCV.
    """

    def __init__(
        self,
        *,
        gamma_negative=4.0,
        gamma_positive=1.0,
        clip=0.05,
        positive_weight=None,
        from_logits=False,
        name="multi_label_asymmetric",
        soft_labels=False,
    ):
        super().__init__(positive_weight, from_logits, name, soft_labels)
        self.gamma_negative = _number("gamma_negative", gamma_negative)
        self.gamma_positive = _number("gamma_positive", gamma_positive)
        self.clip = _number("clip", clip, 1)

    def entries(self, y_true, proba, crossentropy):
        """Return the loss of each entry."""
        shifted = ops.relu(proba - self.clip)
        # The argument of the logarithm is at least `clip`, so that logits are not needed.
        of_negative = -ops.log(ops.maximum(1 - shifted, keras.config.epsilon())) if self.clip else crossentropy
        positive = _power(1 - proba, self.gamma_positive) * crossentropy
        negative = _power(shifted, self.gamma_negative) * of_negative
        return ops.where(y_true > 0, positive, negative)

    def get_config(self):
        """Return the arguments of ``__init__``."""
        arguments = {"gamma_negative": self.gamma_negative, "gamma_positive": self.gamma_positive, "clip": self.clip}
        return {**arguments, **super().get_config()}


NAMES: dict[str, type[MultiLabelLoss]] = {"focal": MultiLabelFocal, "asymmetric": MultiLabelAsymmetric}
"""Losses that the estimator accepts by name, in addition to those of Keras."""


def auto_loss(kind, positive_weight=None, from_logits=False, *, soft_labels=False, label_smoothing=0.0):
    """Return the default loss: binary cross-entropy, or categorical cross-entropy for multi-class y.

    Parameters
    ----------
    kind : TargetKind
    positive_weight : array-like of shape (n_labels,), default=None
        Weight of each label's positive entries; ignored for multi-class y.
    from_logits : bool, default=False
    soft_labels : bool, default=False
    label_smoothing : float in [0, 1], default=0.0

    Returns
    -------
    loss : keras.losses.Loss
    """
    smoothing = _number("loss__label_smoothing", label_smoothing, 1)
    if kind is TargetKind.MULTICLASS:
        return keras.losses.CategoricalCrossentropy(
            from_logits=from_logits, label_smoothing=smoothing, reduction="mean_with_sample_weight"
        )
    return MultiLabelCrossentropy(positive_weight, from_logits, soft_labels=soft_labels, label_smoothing=smoothing)


def named_loss(name, positive_weight=None, from_logits=False, **arguments):
    """Return a loss of `NAMES`.

    Parameters
    ----------
    name : {"focal", "asymmetric"}
    positive_weight : array-like of shape (n_labels,), default=None
    from_logits : bool, default=False
    **arguments
        Other arguments of the class, such as ``gamma``.

    Returns
    -------
    loss : MultiLabelLoss

    Raises
    ------
    ValueError
        If there is no such loss, or if an argument or its value is not accepted.
    """
    if name not in NAMES:
        raise ValueError(f"loss must be one of {list(NAMES)}; got {name!r}.")
    accepted = list(inspect.signature(NAMES[name]).parameters)
    unknown = [argument for argument in arguments if argument not in accepted]
    if unknown:
        raise ValueError(f"loss={name!r} has no argument {unknown[0]!r}; its arguments are {', '.join(accepted)}.")
    return NAMES[name](positive_weight=positive_weight, from_logits=from_logits, **arguments)


def has_nan_support(loss):
    """Return whether a loss accepts NaN in `y_true` and has a `positive_weight`."""
    return isinstance(loss, MultiLabelLoss)


def _power(base, exponent):
    """Return ``base ** exponent`` for bases in [0, 1], with a finite derivative at 0."""
    if exponent == 1:
        return base
    if exponent in (2, 4):
        return ops.square(_power(base, exponent / 2))
    # The derivative of pow is infinite at 0 for exponents below 1, and slow for all exponents.
    return ops.exp(exponent * ops.log(ops.maximum(base, keras.config.epsilon())))


def _number(name, value, maximum=np.inf):
    """Return a parameter as a float, after a check that it is finite and in [0, maximum]."""
    is_number = np.isscalar(value) and np.asarray(value).dtype.kind in "iuf" and np.isfinite(value)
    if not (is_number and 0 <= value <= maximum):
        accepted = "[0, inf)" if maximum == np.inf else f"[0, {maximum}]"
        raise ValueError(f"{name} must be a number in {accepted}; got {value!r}.")
    return float(value)
