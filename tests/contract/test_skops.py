"""Files that name no code to run: states of plain values, skops, MLflow."""

import ast
import copy
import datetime
import fractions
import inspect
import pickle

import keras
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import custom
import skml
from estimators import tiny
from skml import AveragedMultiLabelClassifier, KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV
from skml._state import from_plain, to_plain
from skml._training._result import TrainingResult

OURS = ["skml.KerasMultiLabelClassifier"]


@pytest.fixture
def io():
    return pytest.importorskip("skops.io")


def stored(io, estimator):
    """Return the types that a file of an estimator asks for, and the estimator that it gives if they are trusted."""
    file = io.dumps(estimator)
    return io.get_untrusted_types(data=file), io.loads(file, trusted=skml.SKOPS_TRUSTED)


def assert_same(y, y_then):
    if sparse.issparse(y):
        assert type(y) is type(y_then)
        y, y_then = y.toarray(), y_then.toarray()
    assert y.dtype == y_then.dtype
    np.testing.assert_array_equal(y, y_then)


FORMS = {
    "strings": lambda Y: [{name for name, entry in zip("abc", row, strict=True) if entry} for row in Y],
    "integers": lambda Y: [np.flatnonzero(row).tolist() for row in Y],
    "tuples": lambda Y: [[("of", j) for j in np.flatnonzero(row).tolist()] for row in Y],
    "array": lambda Y: Y,
    "bool": lambda Y: Y.astype(bool),
    "dataframe": lambda Y: pd.DataFrame(Y, columns=["a", "b", "c"]),
    "csr_array": sparse.csr_array,
    "csr_matrix": lambda Y: sparse.csr_matrix(Y.astype(np.float32)),
    "two strings": lambda Y: np.array(["no", "yes"])[Y[:, 0]],
    "objects": lambda Y: np.array(["no", "yes", "perhaps"], dtype=object)[Y.argmax(axis=1)],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_y_comes_back_with_one_type_trusted(form, io, X, Y):
    clf = tiny(epochs=1).fit(X, FORMS[form](Y))
    types, loaded = stored(io, clf)
    assert types == OURS
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    assert_same(clf.predict(X), loaded.predict(X))
    assert_same(clf.classes_, loaded.classes_)
    assert list(map(type, loaded.classes_)) == list(map(type, clf.classes_))


@pytest.mark.parametrize("kind", [datetime.date, datetime.datetime])
def test_labels_that_are_dates_come_back(kind, io, X, Y):
    days = [kind(2020, 1, 1 + j) for j in range(3)]
    clf = tiny(epochs=1).fit(X, [{days[j] for j in np.flatnonzero(row)} for row in Y])
    _, loaded = stored(io, clf)
    assert loaded.classes_.tolist() == days
    assert_same(clf.predict(X), loaded.predict(X))


def test_labels_of_other_types_are_listed(io, X, Y):
    shares = [fractions.Fraction(1, 2 + j) for j in range(3)]
    file = io.dumps(tiny(epochs=1).fit(X, [{shares[j] for j in np.flatnonzero(row)} for row in Y]))
    assert io.get_untrusted_types(data=file) == ["fractions.Fraction", *OURS]


def test_a_pipeline_of_texts(io):
    texts, y = 10 * ["to be", "or not", "to be or not", "be"], 10 * [{"be"}, {"not"}, {"be", "not"}, set()]
    pipeline = make_pipeline(TfidfVectorizer(), tiny(epochs=1)).fit(texts, y)
    types, loaded = stored(io, pipeline)
    assert types == OURS
    np.testing.assert_array_equal(loaded.predict_proba(texts), pipeline.predict_proba(texts))


def test_tuned_and_calibrated(io, X, label_sets):
    clf = tiny(epochs=2, n_members=2, threshold="f1_macro", calibrate=True).fit(X, label_sets)
    types, loaded = stored(io, make_pipeline(StandardScaler(), clf))
    assert types == OURS
    assert loaded[-1].tuned_threshold_ == clf.tuned_threshold_
    assert_same(clf.predict(X), loaded[-1].predict(X))
    with pytest.raises(ValueError, match=r"threshold='f1_micro'.*pickled"):
        loaded[-1].set_params(threshold="f1_micro").predict(X)


def test_tuned_by_cross_validation(io, X, label_sets):
    clf = TunedThresholdMultiLabelClassifierCV(tiny(epochs=1), cv=2).fit(X, label_sets)
    types, loaded = stored(io, clf)
    assert types == [*OURS, "skml.TunedThresholdMultiLabelClassifierCV"]
    assert_same(clf.predict(X), loaded.predict(X))


def test_an_average_with_one_classifier_per_label(io, X, Y, label_sets):
    scaled = make_pipeline(StandardScaler(), LogisticRegression())
    clf = AveragedMultiLabelClassifier([("linear", scaled), ("net", tiny(epochs=1))], cv=2).fit(X, label_sets)
    types, loaded = stored(io, clf)
    tuner = "skml.TunedThresholdMultiLabelClassifierCV"
    assert types == sorted(type_ for type_ in skml.SKOPS_TRUSTED if type_.startswith("skml.") and type_ != tuner)
    assert_same(clf.predict(X), loaded.predict(X))
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))


@pytest.mark.parametrize("make_X", [np.asarray, sparse.csr_array])
def test_training_goes_on_as_without_a_file(make_X, io, X, Y):
    X = make_X(X)
    clf = tiny(epochs=2, warm_start=True).fit(X, Y)
    types, loaded = stored(io, clf)
    assert types == OURS
    assert loaded.history_ == clf.history_
    np.testing.assert_array_equal(loaded.fit(X, Y).predict_proba(X), clf.fit(X, Y).predict_proba(X))


def test_an_unfitted_estimator(io):
    types, loaded = stored(io, tiny())
    assert types == OURS
    assert loaded.get_params() == tiny().get_params()


@pytest.mark.filterwarnings("ignore:The fitted estimator predicts")
def test_code_is_not_trusted(io, X, Y):
    for params in ({"model": custom.network}, {"loss": custom.squared}, {"loss": custom.PoweredLoss(2.0)}):
        file = io.dumps(KerasMultiLabelClassifier(epochs=1, **params).fit(X, Y))
        with pytest.raises(io.exceptions.UntrustedTypesFoundException):
            io.loads(file, trusted=skml.SKOPS_TRUSTED)


def test_a_state_makes_known_classes_only():
    with pytest.raises(ValueError, match=r"'subprocess\.Popen'"):
        from_plain({"_skml": "subprocess.Popen", "state": {"args": "ls"}})


def test_a_mapping_of_the_user_stays_one():
    for mapping in ({"_skml": 0.2}, {"state": 0.3, "a": 0.1}, {}, {"_skml": "dict", "state": {}}):
        assert from_plain(to_plain(mapping)) is mapping


def test_labels_may_have_the_names_that_mark_a_state(X, Y):
    names = {"_skml": 0.2, "state": 0.3}
    sets = [{name for name, entry in zip(names, row, strict=False) if entry} for row in Y]
    clf = tiny(epochs=1, threshold=names, class_weight=names).fit(X, sets)
    loaded = pickle.loads(pickle.dumps(clf))
    assert loaded.threshold == loaded.class_weight == loaded.tuned_threshold_ == names
    assert_same(clf.predict(X), loaded.predict(X))


def spoiled(clf, *path, **change):
    """Return the state of an estimator with something else at the end of a path into it."""
    state = clf.__getstate__()
    at = state = copy.deepcopy(state)
    for key in path:
        at = at[key]
    for name, value in change.items():
        del at[name]
        if value is not None:
            at[name] = value
    return state


NETWORK = ("_fitted", "state", "network", "state")


@pytest.mark.parametrize(
    ("path", "change"),
    [
        *((NETWORK, {field: None}) for field in ("shift", "scale", "calibration", "weights", "n_members")),
        (NETWORK[:3], {"_skml": {"a": 1}}),
        (NETWORK[:3], {"_skml": ["DenseNetwork"]}),
        (NETWORK[:3], {"state": None}),
        (NETWORK[:3], {"state": [1.0]}),
        ((*NETWORK, "calibration", "state"), {"slope": None}),
        ((*NETWORK, "encoding", "state"), {"mean": None}),
        ((*NETWORK, "encoding", "state", "ramps"), {"state": "binned"}),
        (("_fitted", "state", "training", "state", "seeds", "state"), {"root": None}),
        (("_fitted", "state", "encoder", "state"), {"classes_": None}),
        (("_fitted", "state", "encoder", "state", "dtype_"), {"state": {}}),
        ((), {"_versions": ["skml", "0.1.0"]}),
        ((), {"_versions": {"skml": 1}}),
    ],
)
def test_a_damaged_state_is_refused_with_one_clear_error(path, change, fitted):
    with pytest.raises(ValueError, match="the file is damaged, or it was saved by a newer or older skml"):
        KerasMultiLabelClassifier().__setstate__(spoiled(fitted, *path, **change))


def test_a_field_of_a_newer_version_is_not_ignored(fitted):
    state = copy.deepcopy(fitted.__getstate__())
    state["_fitted"]["state"]["network"]["state"]["views"] = []
    with pytest.raises(ValueError, match="'views'"):
        KerasMultiLabelClassifier().__setstate__(state)


# Pickles


def test_a_pickle_names_the_public_path_and_loads_by_the_older_one(fitted, X):
    data = pickle.dumps(fitted, protocol=0)
    assert b"cskml\nKerasMultiLabelClassifier\n" in data
    assert b"skml._" not in data
    older = data.replace(b"cskml\nKeras", b"cskml._classifier\nKeras")
    np.testing.assert_array_equal(pickle.loads(older).predict_proba(X), fitted.predict_proba(X))


def from_older(clf):
    """Return an estimator loaded from a state as it was before states were plain."""
    state = {name: value for name, value in vars(clf).items() if name != "oof_proba_"}
    loaded = KerasMultiLabelClassifier.__new__(KerasMultiLabelClassifier)
    loaded.__setstate__(pickle.loads(pickle.dumps({**state, "_versions": clf.__getstate__()["_versions"]})))
    return loaded


def test_a_state_that_holds_objects_still_loads(X, label_sets):
    clf = tiny(epochs=1, n_members=2, threshold="f1_macro", calibrate=True).fit(X, label_sets)
    loaded = from_older(clf)
    assert isinstance(loaded._fitted.training, TrainingResult)
    assert_same(clf.predict(X), loaded.predict(X))
    assert loaded.tuned_threshold_ == clf.tuned_threshold_


def test_training_goes_on_from_a_state_that_holds_objects(X, Y):
    clf = tiny(epochs=1, warm_start=True).fit(X, Y)
    state = clf._fitted.training.optimizer_state
    config = ast.literal_eval(state.cache_key.split(", ", 1)[1].removesuffix(")"))
    state.cache_key = (keras.optimizers.Adam, config)
    loaded = from_older(clf)
    np.testing.assert_array_equal(loaded.fit(X, Y).predict_proba(X), clf.fit(X, Y).predict_proba(X))
    plain = tiny(epochs=1, warm_start=True).fit(X, Y).fit(X, Y)
    np.testing.assert_array_equal(loaded.predict_proba(X), plain.predict_proba(X))


def test_a_copy_shares_the_arrays(fitted):
    assert copy.copy(fitted).trained_network().weights[0] is fitted.trained_network().weights[0]


def test_tools_find_the_sources_and_the_description():
    assert "return self._fit(" in inspect.getsource(KerasMultiLabelClassifier.fit)
    assert "skml.KerasMultiLabelClassifier" in repr(KerasMultiLabelClassifier)
    assert "Neural multi-label classifier" in inspect.getdoc(skml.KerasMultiLabelClassifier)


@pytest.mark.slow
def test_mlflow_logs_and_loads_with_one_argument(run_python):
    pytest.importorskip("mlflow.sklearn")
    pytest.importorskip("sqlalchemy")
    printed = run_python(
        """
import mlflow, skml
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
texts, y = 10 * ["to be", "or not", "to be or not", "be"], 10 * [{"be"}, {"not"}, {"be", "not"}, set()]
pipeline = make_pipeline(TfidfVectorizer(), skml.KerasMultiLabelClassifier(epochs=1, hidden_layer_sizes=4))
pipeline.fit(texts, y)
mlflow.set_tracking_uri("sqlite:///runs.db")
with mlflow.start_run():
    model = mlflow.sklearn.log_model(
        pipeline, name="model", skops_trusted_types=skml.SKOPS_TRUSTED, pip_requirements=["skml"]
    )
loaded = mlflow.sklearn.load_model(model.model_uri)
print((loaded.predict_proba(texts) == pipeline.predict_proba(texts)).all())
"""
    )
    assert printed.strip().endswith("True")
