"""Packages that may be missing, and the private parts of scikit-learn that are used.

The private names below have no public equivalent. ``tests/contract/test_dependencies.py`` fails if one of them changes.
"""

import importlib
import importlib.util
from types import ModuleType

# Validates parameters and their messages as scikit-learn's estimators do; renamed or moved, the import fails.
from sklearn.base import _fit_context

# The base class by which scikit-learn's searches recognise a single scorer, and pass it sample weights.
from sklearn.metrics._scorer import _BaseScorer

# Selects rows of anything that scikit-learn accepts as X: arrays, sparse matrices, DataFrames and lists.
from sklearn.utils import _safe_indexing

# The constraints that `_fit_context` checks.
from sklearn.utils._param_validation import HasMethods, Interval, RealNotInt, StrOptions

# Compares versions without the package `packaging`, which is no dependency.
from sklearn.utils.fixes import parse_version

# Gets and sets the parameters of a list of named estimators, and checks their names, as VotingClassifier does.
from sklearn.utils.metaestimators import _BaseComposition

# Selects the rows of fit parameters in a fold; counts rows; validates weights, all with scikit-learn's messages.
from sklearn.utils.validation import _check_method_params, _check_sample_weight, _num_samples

__all__ = [
    "HasMethods",
    "Interval",
    "RealNotInt",
    "StrOptions",
    "_BaseComposition",
    "_BaseScorer",
    "_check_method_params",
    "_check_sample_weight",
    "_fit_context",
    "_num_samples",
    "_safe_indexing",
    "check_installed",
    "import_optional",
    "parse_version",
]

# The name that pip knows -> the module, where they differ.
_MODULES = {"iterative-stratification": "iterstrat"}


def import_optional(module: str, needed_for: str, extra: str | None = None) -> ModuleType:
    """Import a module of an optional package.

    Parameters
    ----------
    module : str
    needed_for : str
        Subject of the error message, such as "label_report".
    extra : str, default=None
        The extra of skml that installs the package; None if pip installs it by its own name.

    Raises
    ------
    ImportError
        If the package is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        command = package if extra is None else f"'skml[{extra}]'"
        raise ImportError(
            f"{needed_for} needs the package {package}, which is not installed: pip install {command}"
        ) from error


def check_installed(needed_for: str, *packages: str) -> None:
    """Check that packages are installed, without importing them.

    Parameters
    ----------
    needed_for : str
        Subject of the error message, such as "Training".
    *packages : str
        Names by which pip knows them.

    Raises
    ------
    ModuleNotFoundError
        If one of them is not installed.
    """
    missing = [name for name in packages if importlib.util.find_spec(_MODULES.get(name, name)) is None]
    if missing:
        listed = " and ".join([", ".join(missing[:-1]), missing[-1]] if missing[1:] else missing)
        raise ModuleNotFoundError(f"{needed_for} needs {listed}, not installed here: pip install {' '.join(missing)}")
