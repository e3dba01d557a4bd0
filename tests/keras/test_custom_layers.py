import copy
import pickle
import shutil
import warnings

import cloudpickle
import joblib
import numpy as np
import pytest
from sklearn.base import clone

import custom_layers
from processes import run_python_in
from skml import KerasMultiLabelClassifier

META = {"n_features_in_": 5, "n_outputs_": 3, "output_activation_": "sigmoid"}
each_network = pytest.mark.parametrize("network", custom_layers.NETWORKS, ids=lambda network: network.__name__)


def make(model, **params):
    return KerasMultiLabelClassifier(model, **{"epochs": 2, "random_state": 0, **params})


@pytest.fixture(scope="module")
def given(X):
    """A built keras.Model of each network, by its name."""
    models = {network.__name__: network(META) for network in custom_layers.NETWORKS}
    for model in models.values():
        model(X[:2])
    return models


@pytest.fixture(scope="module")
def fitted(X, Y):
    """An estimator of each network, fitted without a warning, by its name."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return {network.__name__: make(network, warm_start=True).fit(X, Y) for network in custom_layers.NETWORKS}


@pytest.fixture(scope="module")
def trained(X, Y, given):
    """The probabilities of an estimator that was fitted with each given model, by its name."""
    return {name: make(model).fit(X, Y).predict_proba(X) for name, model in given.items()}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory, X, Y, given, fitted):
    """Predictions of a fresh process: after joblib, after cloudpickle, and of clones with given models after fit."""
    folder = tmp_path_factory.mktemp("elsewhere")
    shutil.copy(custom_layers.__file__, folder)
    unfitted = {name: clone(make(model)) for name, model in given.items()}
    joblib.dump((fitted, unfitted, X, Y), folder / "job.joblib")
    (folder / "job.pkl").write_bytes(cloudpickle.dumps(fitted))
    code = """
import joblib, pickle
fitted, unfitted, X, Y = joblib.load("job.joblib")
loaded = {name: clf.predict_proba(X) for name, clf in fitted.items()}
again = {name: clf.predict_proba(X) for name, clf in pickle.load(open("job.pkl", "rb")).items()}
joblib.dump((loaded, again, {name: clf.fit(X, Y).predict_proba(X) for name, clf in unfitted.items()}), "done.joblib")
"""
    run_python_in(folder, code, imported="keras")
    return joblib.load(folder / "done.joblib")


@each_network
def test_a_fresh_process_predicts_the_same(network, X, fitted, elsewhere):
    name = network.__name__
    here = fitted[name].predict_proba(X)
    np.testing.assert_array_equal(elsewhere[0][name], here)
    np.testing.assert_array_equal(elsewhere[1][name], here)


@each_network
def test_a_clone_with_a_given_model_trains_elsewhere_as_the_original_here(network, trained, elsewhere):
    np.testing.assert_array_equal(elsewhere[2][network.__name__], trained[network.__name__])


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (custom_layers.forgetful, "factors"),
        (custom_layers.silent, "`get_config"),
        (custom_layers.closure, "Local"),
    ],
)
def test_fit_warns_once_of_a_network_that_cannot_be_saved(network, reason, X, Y):
    with pytest.warns(UserWarning, match=rf"(?s)cannot be saved.*{reason}.*") as caught:
        clf = make(network).fit(X, Y)
    assert len(caught) == 1
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(clf)


@each_network
def test_training_resumes_after_loading_as_without(network, X, Y, fitted):
    """Pickles contain the states of seed generators, so that layers draw the same random numbers."""
    first = copy.copy(fitted[network.__name__])
    second = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(second.fit(X, Y).predict_proba(X), first.fit(X, Y).predict_proba(X))


def test_dropout_of_a_given_model_is_seeded_by_random_state(X, Y):
    """In one batch the order of rows does not matter."""
    model = custom_layers.sequential(META)
    model(X[:2])
    options = {"batch_size": 80, "early_stopping": False, "learning_rate": 0.1}
    first, again, other = (
        make(model, **options).set_params(random_state=seed).fit(X, Y).predict_proba(X) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_weights_that_are_made_in_build_are_seeded_by_random_state(X, Y):
    first, second = (make(custom_layers.sequential).fit(X, Y).predict_proba(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)
