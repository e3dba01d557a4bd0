"""States of estimators in files: plain values, which name no code to run, and the versions that made them."""

import dataclasses
import functools
import warnings
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from scipy.sparse import csr_array, csr_matrix
from sklearn.exceptions import InconsistentVersionWarning

from skml._decisions._calibration import Calibration
from skml._decisions._tuning import TunedThresholds
from skml._default_network._encoding import ColumnEncoding, Ramps
from skml._default_network._network import DenseNetwork
from skml._default_network._scaling import DenseScaler, SparseScaler
from skml._dependencies import parse_version
from skml._targets._encoder import TargetEncoder
from skml._targets._hierarchy import Hierarchy
from skml._training._result import FittedModel, OptimizerState, TrainingResult
from skml._training._seeds import Seeds
from skml._version import __version__

_CLASSES = (
    Calibration,
    ColumnEncoding,
    DenseNetwork,
    DenseScaler,
    FittedModel,
    Hierarchy,
    OptimizerState,
    Ramps,
    Seeds,
    SparseScaler,
    TargetEncoder,
    TrainingResult,
    TunedThresholds,
)

# A state can create objects of these classes only, whatever a file names.
_BY_NAME = {kind.__name__: kind for kind in _CLASSES}
_CONTAINERS = {kind.__name__: kind for kind in (csr_array, csr_matrix)}

# Which fit sets, for every form of y.
_ENCODER_FIELDS = {"classes", "soft_labels", "hierarchy", "form_", "target_type_", "dtype_", "classes_", "_labels"}
_ENCODER_FIELDS |= {"links_"}

# The key that distinguishes such a dict from a dict of the user.
_KIND = "_skml"


def to_plain(value):
    """Convert objects of the known classes, and dtypes, into dicts of a class name and a state.

    So is a dict of the user that could be taken for one of these. Anything else, such as a custom network, is returned
    unchanged.
    """
    if isinstance(value, dict) and _KIND in value:
        return {_KIND: "dict", "state": value}
    if isinstance(value, np.dtype):
        return {_KIND: "dtype", "state": value.str}
    if isinstance(value, type) and value in _CONTAINERS.values():
        return {_KIND: "container", "state": value.__name__}
    if isinstance(value, tuple) and any(type(part) in _CLASSES for part in value):
        return {_KIND: "tuple", "state": [to_plain(part) for part in value]}
    if type(value) not in _CLASSES:
        return value
    state = value._asdict() if isinstance(value, tuple) else value.__getstate__()
    return {_KIND: type(value).__name__, "state": {name: to_plain(part) for name, part in state.items()}}


def from_plain(value):
    """Restore the objects that `to_plain` converted.

    Raises
    ------
    ValueError
        If a state names an unknown class, or has not exactly the fields of its class.
    """
    if not isinstance(value, dict) or _KIND not in value:
        return value
    name, state = value[_KIND], value.get("state")
    if name == "dict":
        return state
    if name == "tuple" and isinstance(state, list):
        return tuple(from_plain(part) for part in state)
    if name == "dtype" and isinstance(state, str):
        return np.dtype(state)
    if name == "container" and isinstance(state, str) and state in _CONTAINERS:
        return _CONTAINERS[state]
    if not isinstance(name, str) or name not in _BY_NAME:
        raise _damaged(f"contains an unknown {name!r}")
    kind = _BY_NAME[name]
    _check_fields(kind, state)
    parts = {part: from_plain(plain) for part, plain in state.items()}
    if issubclass(kind, tuple):
        return kind(**parts)
    made = object.__new__(kind)
    vars(made).update(parts)
    return made


def _check_fields(kind, state):
    """Raise a ValueError unless a state has the fields of a class: no default may stand in for one of them."""
    if not isinstance(state, dict):
        raise _damaged(f"has no fields for {kind.__name__!r}")
    if issubclass(kind, tuple):
        fields = set(kind._fields)
    elif dataclasses.is_dataclass(kind):
        fields = {field.name for field in dataclasses.fields(kind)}
    else:
        fields = _ENCODER_FIELDS if kind is TargetEncoder else set(vars(kind()))
    differ = fields.symmetric_difference(state) - {"sparse_container_"}  # which the encoder of a sparse y has
    if differ:
        raise _damaged(f"has other fields than {kind.__name__!r} (different: {', '.join(map(repr, sorted(differ)))})")


def _damaged(what):
    return ValueError(
        f"The state of the estimator {what}: the file is damaged, or it was saved by a newer or older skml. Load it "
        "with the version of skml that saved it, or fit the estimator again."
    )


_PACKAGES = ("numpy", "scikit-learn", "keras")


class VersionWarning(InconsistentVersionWarning):
    """An estimator was pickled with other versions than the installed ones.

    Parameters
    ----------
    estimator_name : str
    saved, current : dict of str to str
        Versions of the packages whose versions differ, by name.
    """

    def __init__(self, estimator_name, saved, current):
        here, there = (versions.get("scikit-learn") for versions in (current, saved))
        super().__init__(estimator_name=estimator_name, current_sklearn_version=here, original_sklearn_version=there)
        self.saved = saved
        self.current = current

    def __str__(self):
        changes = [f"{name} {there} (here {self.current.get(name)})" for name, there in self.saved.items()]
        text = f"{self.estimator_name} was pickled with {', '.join(changes)}. It may fail or give other predictions."
        here, there = (versions.get("skml") for versions in (self.current, self.saved))
        if here and there and parse_version(there) > parse_version(here):
            text += f" skml {there} is newer than the {here} that loads it: update skml."
        return text


class VersionedState:
    """Mixin of estimators: states are plain values with versions; loading with other versions warns once."""

    def __getstate__(self):
        state = {name: to_plain(value) for name, value in super().__getstate__().items()}
        return {**state, "_versions": current_versions()}

    def __setstate__(self, state):
        state = dict(state)
        saved, current = state.pop("_versions", {}), current_versions()
        if not isinstance(saved, dict) or not all(isinstance(there, str | None) for there in saved.values()):
            raise _damaged("has no readable versions")
        # A package that is not installed does not matter: it raises an error if it is needed.
        changed = {name: there for name, there in saved.items() if current.get(name) not in (there, None)}
        if changed:
            # Before anything that may fail because of it.
            warnings.warn(VersionWarning(type(self).__name__, changed, current), stacklevel=2)
        super().__setstate__({name: from_plain(value) for name, value in state.items()})


@functools.cache
def current_versions():
    """Return the versions of the packages that a state depends on, without importing them."""
    return {"skml": __version__, **{name: _version_of(name) for name in _PACKAGES}}


def _version_of(name):
    try:
        return version(name)
    except PackageNotFoundError:  # for instance a checkout on the path
        return None
