"""What Keras needs to know about the target: outputs, loss and metrics."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from skml._inputs import NamedArrays
from skml._keras._router import Router
from skml._keras_models._losses import NAMES, auto_loss, has_nan_support, named_loss
from skml._targets._encoder import TargetKind


@dataclass(frozen=True)
class TargetSpec:
    """What Keras needs to know about the target.

    Parameters
    ----------
    kind : TargetKind
    meta : dict
        The argument ``meta`` of a builder.
    positive_weight : ndarray of shape (n_labels,), or None
        Weights of positive entries in the loss.
    has_missing : bool
        Whether entries of Y may be NaN.
    prior_log_odds : ndarray of shape (n_members, n_outputs), or None
        Log-odds of the labels' base rates (logarithms of the base rates of classes) to which the output biases, or
        those of new labels, are initialised.
    previous_columns : ndarray of int, shape (n_outputs,), or None
        The output of each label in the previous network, -1 for a new label; None if the labels are the same.
    has_soft_labels : bool, default=False
        Whether entries of Y may be probabilities.
    has_label_weights : bool, default=False
        Whether single entries have weights in the loss.
    """

    kind: TargetKind
    meta: dict[str, Any]
    positive_weight: np.ndarray | None
    has_missing: bool
    prior_log_odds: np.ndarray | None = None
    previous_columns: np.ndarray | None = None
    has_soft_labels: bool = False
    has_label_weights: bool = False

    @classmethod
    def of(cls, encoder, dataset, prior_log_odds=None, previous_columns=None):
        """Return the specification for an encoder and a dataset."""
        X, names = dataset.X, dataset.feature_names
        shape, dtype = (X.shapes, X.dtypes) if isinstance(X, NamedArrays) else (X.shape, X.dtype)
        meta = {"n_features_in_": dataset.n_features, "feature_names_in_": names, **encoder.meta}
        meta |= {"X_shape_": shape, "X_dtype_": dtype}
        return cls(
            encoder.kind,
            meta,
            dataset.positive_weight,
            dataset.has_missing,
            prior_log_odds,
            previous_columns,
            has_soft_labels=dataset.has_soft_labels,
            has_label_weights=dataset.label_weight is not None,
        )


def make_router(params, spec, from_logits=False):
    """Return the `Router` for an estimator's parameters, with an instance in place of the name of one of our losses."""
    loss, weight = params["loss"], spec.positive_weight
    if not isinstance(loss, str) or loss not in (*NAMES, "auto"):
        return Router(params, spec.meta)
    routed = {name: value for name, value in params.items() if name.startswith("loss__")}
    others = {name: value for name, value in params.items() if name not in routed}
    arguments = {"from_logits": from_logits}
    arguments |= {name.removeprefix("loss__"): value for name, value in routed.items()}
    for name, parameter in (("positive_weight", "class_weight"), ("soft_labels", "soft_labels")):
        if name in arguments:
            raise ValueError(f"loss__{name} cannot be set: use the parameter {parameter} of the estimator.")
    arguments["soft_labels"] = spec.has_soft_labels
    if loss == "auto":
        return Router({**others, "loss": auto_loss(spec.kind, weight, **arguments)}, spec.meta)
    if spec.kind is TargetKind.MULTICLASS:
        raise ValueError(f'loss={loss!r} is for multi-label and binary y; for multi-class y use loss="auto".')
    return Router({**others, "loss": named_loss(loss, weight, **arguments)}, spec.meta)


def check_metrics(params, spec):
    """Raise a ValueError for metrics that would be NaN."""
    if spec.has_missing and params["metrics"] is not None:
        raise ValueError(
            "y holds NaN for missing labels, which the metrics of Keras do not leave out: set metrics=None."
        )
    if spec.has_label_weights and params["metrics"] is not None:
        raise ValueError(
            "sample_weight has a weight for each label, which the metrics of Keras do not take: set metrics=None, or "
            "pass a weight for each row."
        )


def check_loss(loss, spec):
    """Raise a ValueError if a loss does not suit y or `class_weight`."""
    if spec.positive_weight is not None and not has_nan_support(loss):
        raise ValueError(
            "class_weight is supported by the losses auto, focal and asymmetric only, but the network is compiled with "
            f'{loss!r}. Set class_weight=None or loss="auto".'
        )
    if spec.has_missing and not has_nan_support(loss):
        raise ValueError(
            "y holds NaN for missing labels, which the losses auto, focal and asymmetric leave out, but the network is "
            f'compiled with {loss!r}. Set loss="auto", or pass y without NaN.'
        )
    if spec.has_label_weights and not has_nan_support(loss):
        raise ValueError(
            "Weights of single labels in sample_weight are supported by the losses auto, focal and asymmetric only, "
            f'but the network is compiled with {loss!r}. Set loss="auto", or pass a weight for each row.'
        )
    if spec.kind is not TargetKind.MULTICLASS and is_named(loss, "sparse_categorical"):
        raise ValueError(f"loss={loss!r} is for multi-class y; y is {spec.kind.value}.")
    if spec.kind is TargetKind.BINARY and is_named(loss, "categorical"):
        raise ValueError(f'loss={loss!r} cannot train the single output unit of binary y; use loss="auto".')


def targets_for(loss, Y, label_weight=None):
    """Return Y as a loss takes it: class numbers for a sparse categorical loss, or with weights beside the labels."""
    if label_weight is not None:
        return np.hstack([Y, label_weight])
    return np.asarray(Y.argmax(axis=1)).ravel().astype(np.int32) if is_named(loss, "sparse_categorical") else Y


def is_named(loss, start):
    """Return whether the name of a loss, or of its class or function, starts with a word."""
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().startswith(start)
