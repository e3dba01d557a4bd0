"""Fitted state as arrays, lists, dicts, strings and numbers, which a file can hold without naming code to run."""

import numpy as np
from scipy.sparse import csr_array, csr_matrix

from skml._decisions._calibration import Calibration
from skml._decisions._tuning import TunedThresholds
from skml._networks._dense import DenseNetwork
from skml._networks._scaling import DenseScaler, SparseScaler
from skml._targets._encoder import TargetEncoder
from skml._training._trained import Slots, Trained

_CLASSES = (Calibration, DenseNetwork, DenseScaler, Slots, SparseScaler, TargetEncoder, Trained, TunedThresholds)

# Only what is named here can be made from a state: never what a file names.
_BY_NAME = {kind.__name__: kind for kind in _CLASSES}
_CONTAINERS = {kind.__name__: kind for kind in (csr_array, csr_matrix)}

# The key that tells such a dict from one of a user.
_KIND = "_skml"


def to_plain(value):
    """Return an object of this package as a dict of its class' name and its state, anything else as it is.

    A dtype is one as well. Custom networks, and what else is not of the known classes, stay objects.
    """
    if isinstance(value, np.dtype):
        return {_KIND: "dtype", "state": value.str}
    if isinstance(value, type) and value in _CONTAINERS.values():
        return {_KIND: "container", "state": value.__name__}
    if type(value) not in _CLASSES:
        return value
    state = value._asdict() if isinstance(value, tuple) else value.__getstate__()
    return {_KIND: type(value).__name__, "state": {name: to_plain(part) for name, part in state.items()}}


def from_plain(value):
    """Undo `to_plain`.

    Raises
    ------
    ValueError
        If a state is of a class that is not known.
    """
    if not isinstance(value, dict) or value.keys() != {_KIND, "state"}:
        return value
    name, state = value[_KIND], value["state"]
    if name == "dtype":
        return np.dtype(state)
    if name == "container":
        return _CONTAINERS[state]
    if name not in _BY_NAME:
        raise ValueError(
            f"The state of an estimator holds a {name!r}, which is unknown: the file is damaged, or newer."
        )
    parts = {part: from_plain(plain) for part, plain in state.items()}
    kind = _BY_NAME[name]
    if issubclass(kind, tuple):
        return kind(**parts)
    made = object.__new__(kind)
    vars(made).update(parts)
    return made
