"""States of estimators: plain values, and the versions that they were made with; loading with others warns."""

import functools
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version

from sklearn.exceptions import InconsistentVersionWarning
from sklearn.utils.fixes import parse_version

from skml._plain import from_plain, to_plain

_PACKAGES = ("numpy", "scikit-learn", "keras")


class VersionWarning(InconsistentVersionWarning):
    """An estimator was pickled with other versions than those at hand.

    Parameters
    ----------
    estimator_name : str
    saved, current : dict of str to str
        Name of a package -> version, of those that differ.
    """

    def __init__(self, estimator_name, saved, current):
        here, there = (versions.get("scikit-learn") for versions in (current, saved))
        super().__init__(estimator_name=estimator_name, current_sklearn_version=here, original_sklearn_version=there)
        self.saved = saved
        self.current = current

    def __str__(self):
        changes = [f"{name} {there} (here {self.current.get(name)})" for name, there in self.saved.items()]
        text = f"{self.estimator_name} was pickled with {', '.join(changes)}. It may fail or predict otherwise."
        here, there = (versions.get("skml") for versions in (self.current, self.saved))
        if here and there and parse_version(there) > parse_version(here):
            text += f" skml {there} is newer than the {here} that loads it: update skml."
        return text


class VersionedState:
    """Mixin of estimators: their states are plain values and carry versions, and loading with others warns once."""

    def __getstate__(self):
        state = {name: to_plain(value) for name, value in super().__getstate__().items()}
        return {**state, "_versions": current_versions()}

    def __setstate__(self, state):
        state = dict(state)
        saved, current = state.pop("_versions", {}), current_versions()
        # What is not installed here does not matter: it raises where it is needed.
        changed = {name: there for name, there in saved.items() if current.get(name) not in (there, None)}
        if changed:
            # Before what may fail because of it.
            warnings.warn(VersionWarning(type(self).__name__, changed, current), stacklevel=2)
        super().__setstate__({name: from_plain(value) for name, value in state.items()})


@functools.cache
def current_versions():
    """Return name -> version of the packages that a state depends on, without importing them."""
    own = sys.modules["skml"].__version__  # importing it here would close a circle
    return {"skml": own, **{name: _version_of(name) for name in _PACKAGES}}


def _version_of(name):
    try:
        return version(name)
    except PackageNotFoundError:  # such as a checkout on the path
        return None
