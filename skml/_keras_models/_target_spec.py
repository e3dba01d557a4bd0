"""What is to be learned, and whether a loss can learn it."""

import re
from dataclasses import dataclass

import numpy as np

from skml._keras._router import Router
from skml._keras_models._losses import NAMES, auto_loss, has_nan_support, named_loss


@dataclass
class TargetSpec:
    """What is to be learned.

    Parameters
    ----------
    meta : dict
        What a builder gets as ``meta``.
    positive_weight : ndarray of shape (n_labels,), or None
        Weights of positive entries in the loss.
    has_missing : bool
        Whether entries of Y may be NaN.
    base : ndarray of shape (n_members, n_outputs), or None
        Log-odds of the labels' base rates (logarithms of those of classes), from which output biases start: all, or
        those of new labels.
    columns : ndarray of int, shape (n_outputs,), or None
        Of training that goes on with other labels: the column of each in the trained network, -1 for a new one.
    """

    meta: dict
    positive_weight: object
    has_missing: bool
    base: np.ndarray | None = None
    columns: np.ndarray | None = None


def target_spec(encoder, examples, class_weight, n_features, base=None, columns=None):
    """Return the `TargetSpec` of examples.

    Parameters
    ----------
    encoder : TargetEncoder
    examples : Dataset
    class_weight : ClassWeight
    n_features : int or None
        None for X that has no columns.
    base, columns : ndarray, default=None
        As a `TargetSpec` has them.
    """
    X = examples.X
    meta = {"n_features_in_": n_features, **encoder.meta, "X_shape_": X.shape, "X_dtype_": X.dtype}
    return TargetSpec(meta, class_weight.positive, examples.has_missing, base, columns)


def router_of(params, problem, from_logits=False):
    """Return the router of an estimator's parameters, with our own losses made."""
    loss, meta, positive_weight = params["loss"], problem.meta, problem.positive_weight
    if isinstance(loss, str) and loss == "auto":
        loss = auto_loss(meta["target_type_"], positive_weight, from_logits)
        return Router({**params, "loss": loss}, meta)
    if not isinstance(loss, str) or loss not in NAMES:
        return Router(params, meta)
    if meta["target_type_"] == "multiclass":
        raise ValueError(f'loss={loss!r} is for yes/no questions; for one of more than two classes use "auto".')
    own = {name: value for name, value in params.items() if name.startswith("loss__")}
    if "loss__positive_weight" in own:
        raise ValueError("loss__positive_weight is the parameter class_weight of the estimator; set that.")
    arguments = {"from_logits": from_logits, **{name.removeprefix("loss__"): value for name, value in own.items()}}
    loss = named_loss(loss, positive_weight, **arguments)
    return Router({name: value for name, value in params.items() if name not in own} | {"loss": loss}, meta)


def check_metrics(params, problem):
    """Refuse metrics that would be NaN."""
    if problem.has_missing and params["metrics"] is not None:
        raise ValueError("y holds NaN for missing labels, which metrics of Keras do not leave out. Leave metrics=None.")


def check_loss(loss, problem):
    """Make sure that a loss means what y and class_weight do."""
    target_type = problem.meta["target_type_"]
    if problem.positive_weight is not None and not has_nan_support(loss):
        raise ValueError(
            "class_weight is part of the losses auto, focal and asymmetric, but the network is compiled with "
            f'{loss!r}. Leave class_weight=None, or the loss to loss="auto".'
        )
    if problem.has_missing and not has_nan_support(loss):
        raise ValueError(
            "y holds NaN, which the losses auto, focal and asymmetric read as unknown, but the network is compiled "
            f'with {loss!r}. Leave the loss to loss="auto", or y without NaN.'
        )
    if target_type != "multiclass" and is_named(loss, "sparse_categorical"):
        raise ValueError(f"loss={loss!r} is for exactly one of more than two classes per row; y is {target_type}.")
    if target_type == "binary" and is_named(loss, "categorical"):
        raise ValueError(f'loss={loss!r} learns nothing from one unit, which two classes have; use loss="auto".')


def targets_for(loss, Y):
    """Return Y as the loss wants it: class numbers for a sparse categorical one."""
    return np.asarray(Y.argmax(axis=1)).ravel().astype(np.int32) if is_named(loss, "sparse_categorical") else Y


def is_named(loss, start):
    """Whether the name of a loss, of its class or function, begins so."""
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().startswith(start)
