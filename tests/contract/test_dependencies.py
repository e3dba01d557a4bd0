"""The private parts of scikit-learn that are used: each must still do what it is used for."""

import inspect

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier

from skml import _dependencies


def test_parameters_are_validated_as_scikit_learn_does():
    class Estimator(BaseEstimator):
        _parameter_constraints = {
            "share": [_dependencies.Interval(_dependencies.RealNotInt, 0, 1, closed="neither")],
            "mode": [_dependencies.StrOptions({"auto"})],
            "inner": [_dependencies.HasMethods(["fit"])],
        }

        def __init__(self, share=0.5, mode="auto", inner=None):
            self.share = share
            self.mode = mode
            self.inner = inner

        @_dependencies._fit_context(prefer_skip_nested_validation=True)
        def fit(self, X=None):
            return self

    assert Estimator(inner=Estimator()).fit()
    for wrong in ({"share": 1}, {"share": 1.5}, {"mode": "other"}, {"inner": 3}):
        (name,) = wrong
        with pytest.raises(ValueError, match=f"The '{name}' parameter of Estimator"):
            Estimator(**{"inner": Estimator(), **wrong}).fit()


def test_a_scorer_has_the_arguments_and_attributes_that_ours_set():
    parameters = list(inspect.signature(_dependencies._BaseScorer.__init__).parameters)
    assert parameters[:4] == ["self", "score_func", "sign", "kwargs"]
    assert "response_method" in parameters


def test_rows_are_selected_counted_and_weighted():
    assert _dependencies._safe_indexing(["a", "b", "c"], np.array([2, 0])) == ["c", "a"]
    assert _dependencies._num_samples([[1], [2]]) == 2
    params = _dependencies._check_method_params(np.zeros(3), {"sample_weight": [1, 2, 3], "flag": True}, np.array([2]))
    assert params == {"sample_weight": [3], "flag": True}
    X = np.zeros((2, 1))
    weight = _dependencies._check_sample_weight([1, 2], X, dtype=np.float64, ensure_non_negative=True)
    assert weight.dtype == np.float64
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        _dependencies._check_sample_weight([1, -2], X, dtype=np.float64, ensure_non_negative=True)


def test_named_estimators_have_parameters():
    class Composed(_dependencies._BaseComposition):
        def __init__(self, parts):
            self.parts = parts

        def get_params(self, deep=True):
            return self._get_params("parts", deep=deep)

    composed = Composed([("a", DummyClassifier())])
    assert composed.get_params()["a__strategy"] == "prior"
    composed._set_params("parts", a="drop")
    assert composed.parts == [("a", "drop")]
    for names in (["a", "a"], ["parts"], ["a__b"]):
        with pytest.raises(ValueError, match=r"[Nn]ames"):
            composed._validate_names(names)


def test_versions_are_compared_by_number():
    assert _dependencies.parse_version("1.10") > _dependencies.parse_version("1.9.1")


def test_what_is_not_installed_is_named_with_its_cure():
    with pytest.raises(ImportError, match=r"A plot needs the package nothing_here.*pip install nothing_here"):
        _dependencies.import_optional("nothing_here.sub", "A plot")
    with pytest.raises(ImportError, match=r"pip install 'skml\[onnx\]'"):
        _dependencies.import_optional("nothing_here", "The export", extra="onnx")
    with pytest.raises(
        ModuleNotFoundError, match=r"Training needs nothing-here and nor-this, .*pip install nothing-here"
    ):
        _dependencies.check_installed("Training", "numpy", "nothing-here", "nor-this")
