import pickle
import warnings

import numpy as np
import pytest
from sklearn.exceptions import InconsistentVersionWarning

import skml
from skml import AveragedMultiLabelClassifier, KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV, _state

ESTIMATORS = (
    KerasMultiLabelClassifier(),
    TunedThresholdMultiLabelClassifierCV(KerasMultiLabelClassifier()),
    AveragedMultiLabelClassifier([("net", KerasMultiLabelClassifier())]),
)
each_estimator = pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)


def loaded_with(monkeypatch, estimator, **versions):
    """Return the warnings of loading, with other versions, what was saved with those at hand."""
    saved, here = pickle.dumps(estimator), _state.current_versions() | versions
    monkeypatch.setattr(_state, "current_versions", lambda: here)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        pickle.loads(saved)
    return [str(w.message) for w in caught if issubclass(w.category, InconsistentVersionWarning)]


@each_estimator
def test_a_state_carries_versions(estimator):
    versions = estimator.__getstate__()["_versions"]
    assert list(versions) == ["skml", "numpy", "scikit-learn", "keras"]
    assert (versions["skml"], versions["numpy"]) == (skml.__version__, np.__version__)


@each_estimator
def test_loading_with_the_same_versions_is_silent(estimator, monkeypatch):
    assert loaded_with(monkeypatch, estimator) == []
    assert "_versions" not in vars(pickle.loads(pickle.dumps(estimator)))


def test_loading_with_other_versions_warns_once(monkeypatch):
    (text,) = loaded_with(monkeypatch, ESTIMATORS[0], keras="9.9", numpy="9.8")
    assert f"numpy {np.__version__} (here 9.8), keras " in text
    assert "(here 9.9)" in text
    assert "newer" not in text


def test_a_file_of_a_newer_skml_says_so(monkeypatch):
    (text,) = loaded_with(monkeypatch, ESTIMATORS[0], skml="0.0.9")
    assert "skml 0.1.0 (here 0.0.9)" in text
    assert "newer" in text
    assert "update skml" in text


def test_a_package_that_is_not_installed_here_is_not_warned_of(monkeypatch):
    assert loaded_with(monkeypatch, ESTIMATORS[0], keras=None) == []
