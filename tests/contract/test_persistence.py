import copy
import pickle
import shutil

import cloudpickle
import joblib
import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_validate

import custom
from processes import run_python_in
from skml import KerasMultiLabelClassifier

ESTIMATORS = {
    "default": {},
    "builder": {"model": custom.network, "model__units": 4},
    "compiled builder": {"model": custom.compiled_network},
    "objects": {
        "model": custom.network,
        "loss": custom.PoweredLoss(3.0),
        "metrics": [custom.MeanOutput(2.0), "binary_accuracy"],
        "optimizer": keras.optimizers.SGD(0.05),
        "callbacks": [keras.callbacks.EarlyStopping("loss")],
    },
    "functions": {"loss": custom.squared},
}
each_estimator = pytest.mark.parametrize("name", ESTIMATORS)


def make(params):
    size = {} if "model" in params else {"hidden_layer_sizes": (4,)}
    return KerasMultiLabelClassifier(**{"epochs": 2, "random_state": 0, **size, **params})


@pytest.fixture(scope="module")
def estimators(X, label_sets):
    """Each estimator, fitted, by its name."""
    return {name: make(params).fit(X, label_sets) for name, params in ESTIMATORS.items()}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory, X, Y, estimators):
    """Predictions of a fresh process for each estimator, by its name: after loading, and after fitting there."""
    folder = tmp_path_factory.mktemp("elsewhere")
    shutil.copy(custom.__file__, folder)
    joblib.dump((estimators, X, Y), folder / "job.joblib")
    unfitted = {name: make(params) for name, params in ESTIMATORS.items()}
    (folder / "job.pkl").write_bytes(cloudpickle.dumps(unfitted))  # as loky sends them to its workers
    code = """
import joblib, pickle
fitted, X, Y = joblib.load("job.joblib")
loaded = {name: clf.predict_proba(X) for name, clf in fitted.items()}
unfitted = pickle.load(open("job.pkl", "rb"))
joblib.dump((loaded, {name: clf.fit(X, Y).predict_proba(X) for name, clf in unfitted.items()}), "done.joblib")
"""
    run_python_in(folder, code, imported="keras")
    return joblib.load(folder / "done.joblib")


@each_estimator
def test_a_fresh_process_predicts_the_same(name, estimators, elsewhere, X):
    np.testing.assert_array_equal(elsewhere[0][name], estimators[name].predict_proba(X))


@each_estimator
def test_an_unfitted_estimator_trains_elsewhere_as_here(name, estimators, elsewhere, X):
    np.testing.assert_array_equal(elsewhere[1][name], estimators[name].predict_proba(X))


@each_estimator
def test_clones_train_alike_and_leave_the_original_alone(name, estimators, X, Y):
    clf = estimators[name]
    before = clf.get_params()
    assert all(before[parameter] is value for parameter, value in ESTIMATORS[name].items())
    proba, twin = clf.predict_proba(X), clone(clf)
    assert not hasattr(twin, "classes_")
    np.testing.assert_array_equal(twin.fit(X, Y).predict_proba(X), proba)
    np.testing.assert_array_equal(clf.predict_proba(X), proba)
    assert all(clf.get_params()[parameter] is value for parameter, value in before.items())


@each_estimator
def test_deepcopies_predict_the_same(name, estimators, X):
    clf = estimators[name]
    np.testing.assert_array_equal(copy.deepcopy(clf).predict_proba(X), clf.predict_proba(X))


@pytest.mark.slow
def test_loky_workers_get_objects_of_custom_classes(X, Y):
    clf = make(ESTIMATORS["objects"])
    result = cross_validate(clf, X, Y, cv=2, n_jobs=2, error_score="raise")
    alone = cross_validate(clf, X, Y, cv=2, error_score="raise")
    np.testing.assert_allclose(result["test_score"], alone["test_score"])


def test_a_grid_takes_losses_as_classes_and_functions(X, Y):
    grid = {"loss": [custom.PoweredLoss, custom.squared, "binary_crossentropy"]}
    search = GridSearchCV(make({}), grid, cv=[(range(40), range(40, 80))], error_score="raise").fit(X, Y)
    assert search.best_params_["loss"] in grid["loss"]


def test_a_loss_that_a_grid_damaged_is_named(X, Y):
    with pytest.raises(ValueError, match=r"(?s)PoweredLoss.*grid.*classes or functions"):
        make({"loss": "PoweredLoss"}).fit(X, Y)


@pytest.mark.parametrize("warm_start", [False, True])
def test_optimizer_state_is_pickled_only_to_go_on(warm_start, X, Y):
    clf = make({"hidden_layer_sizes": (2000,), "inputs": "plain", "warm_start": warm_start}).fit(X, Y)
    weights = sum(w.nbytes for w in clf.to_keras().get_weights())
    size = len(pickle.dumps(clf))
    assert size > 3 * weights if warm_start else size < 1.5 * weights


def test_training_goes_on_after_pickling_as_without(X, Y):
    first = make({"warm_start": True}).fit(X, Y)
    second = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(first.fit(X, Y).predict_proba(X), second.fit(X, Y).predict_proba(X))


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_pickle_is_no_larger_than_that_of_mlpclassifier(X, Y):
    from sklearn.neural_network import MLPClassifier

    ours = KerasMultiLabelClassifier(hidden_layer_sizes=(100,), n_members=1, epochs=2).fit(X, Y)
    theirs = MLPClassifier(max_iter=2).fit(X, Y)
    assert len(pickle.dumps(ours)) <= len(pickle.dumps(theirs))


def test_a_given_model_travels_with_its_weights_and_compilation(X, Y):
    model = custom.compiled_network({"n_features_in_": 5, "n_outputs_": 3, "output_activation_": "sigmoid"})
    clf = pickle.loads(pickle.dumps(make({"model": model})))
    for ours, theirs in zip(clf.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert clf.model.loss.power == 3.0
    np.testing.assert_array_equal(clf.fit(X, Y).predict_proba(X), make({"model": model}).fit(X, Y).predict_proba(X))


def test_a_metric_that_forgets_its_arguments_is_refused(X, Y):
    with pytest.raises((TypeError, ValueError), match=r"ForgetfulMetric.*get_config"):
        make({"metrics": [custom.ForgetfulMetric(3.0)]}).fit(X, Y)


def test_a_callback_that_does_not_pickle_stays_behind(X, Y, tmp_path):
    clf = make({"callbacks": [keras.callbacks.CSVLogger(tmp_path / "log.csv"), keras.callbacks.History()]}).fit(X, Y)
    assert len(clf.callbacks_) == 2
    loaded = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    assert [type(callback) for callback in loaded.callbacks_] == [keras.callbacks.History]


class Subclassed(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.output_activation = keras.layers.Dense(units, "sigmoid")

    def call(self, x):
        return self.output_activation(x)


@pytest.mark.filterwarnings("ignore:The fitted estimator can predict")
def test_a_network_that_cannot_be_rebuilt_is_refused_when_pickled(X, Y):
    clf = make({"model": lambda meta: Subclassed(3)}).fit(X, Y)
    assert clf.predict_proba(X).shape == (80, 3)
    with pytest.raises(TypeError, match=r"(?s)Subclassed.*get_config"):
        pickle.dumps(clf.trained_network())


def test_adapted_layers_keep_their_statistics(X, Y):
    def builder(meta):
        normalise = keras.layers.Normalization()
        normalise.adapt(X)
        return keras.Sequential([keras.Input((5,)), normalise, keras.layers.Dense(3, "sigmoid")])

    clf = make({"model": builder}).fit(X, Y)
    loaded = pickle.loads(pickle.dumps({"clf": clf.set_params(model=None)}))["clf"].set_params(model=custom.network)
    np.testing.assert_allclose(loaded.predict_proba(X), clf.set_params(model=custom.network).predict_proba(X))
    np.testing.assert_allclose(clf.predict_proba(X), clf.to_keras().predict(X, verbose=0), atol=1e-6)
    assert np.abs(clf.to_keras().layers[0](X).numpy().mean(axis=0)).max() < 1e-5
    assert np.abs(loaded.to_keras().layers[0](X).numpy().mean(axis=0)).max() < 1e-5


def test_import_and_unpickling_and_display_need_no_tensorflow(X, label_sets, tmp_path, run_python):
    joblib.dump(make({}).fit(X, label_sets), tmp_path / "clf.joblib")
    printed = run_python(
        """
import pickle, sys, numpy as np, joblib, skml
clf = joblib.load("clf.joblib")
clf.predict(np.zeros((2, 5))), clf.score(np.zeros((1, 5)), [{"a"}]), repr(clf), clf._repr_html_(), skml.clear_cache()
from sklearn.base import clone
clone(clf)
pickle.dumps(clf), pickle.dumps(skml.KerasMultiLabelClassifier())
print([name for name in ("keras", "tensorflow", "scikeras") if name in sys.modules])
""",
        imported="sklearn",
    )
    assert printed.strip() == "[]"


def test_importing_scikeras_leaves_keras_as_it_was(run_python):
    printed = run_python(
        """
import keras
kinds = (keras.Model, keras.Loss, keras.Metric, keras.Optimizer)
before = [(kind.__reduce__, getattr(kind, "__deepcopy__", None)) for kind in kinds]
import skml._keras._router
print(before == [(kind.__reduce__, getattr(kind, "__deepcopy__", None)) for kind in kinds])
""",
        imported="keras",
    )
    assert printed.strip() == "True"
