"""Settings outside the estimator: precision, replicas, the backend."""

import sys
from pathlib import Path

import joblib
import keras
import pytest

from skml import KerasMultiLabelClassifier

sys.path.insert(0, str(Path(__file__).parents[1]))
from processes import run_python_in


@pytest.fixture
def half_precision():
    keras.config.set_floatx("float16")
    yield
    keras.config.set_floatx("float32")


@pytest.mark.usefixtures("half_precision")
def test_half_precision_is_refused_for_the_default_network(X, Y):
    with pytest.raises(ValueError, match=r"floatx\(\) is 'float16'.*set_floatx\('float32'\)"):
        KerasMultiLabelClassifier(epochs=1).fit(X, Y)


TWO_REPLICAS = """
import numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], 2 * [tf.config.LogicalDeviceConfiguration()]
)
from skml import KerasMultiLabelClassifier
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])  # TensorFlow mixes up the variables of two in a process
rng = np.random.RandomState(0)
X, weight = rng.randn(64, 5), rng.rand(64)
Y = (X[:, :3] > 0).astype(float)
unknown = np.where((rng.rand(64, 3) < 0.2) & [False, True, True], np.nan, Y)
options = {"epochs": 2, "random_state": 0, "dropout": 0.0, "input_dropout": 0.0, "batch_size": 8}
options["hidden_layer_sizes"] = (8, 8)

def check(y, weight, **params):
    clf = KerasMultiLabelClassifier(**options | params).fit(X, y, weight)
    alone = [variable.numpy() for variable in clf.to_keras().variables]
    losses = clf.history_["loss"]
    with strategy.scope():
        clf.fit(X, y, weight)
    for variable, value in zip(clf.to_keras().variables, alone, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, atol=1e-5)
    np.testing.assert_allclose(clf.history_["loss"], losses, rtol=1e-5)
"""


def test_two_replicas_train_the_weights_of_one(tmp_path):
    """Without dropout, in batches that they share evenly: the sum of two gradients is that of all rows."""
    run_python_in(tmp_path, TWO_REPLICAS + 'check(Y, weight, n_members=3, optimizer="sgd")', imported="keras")


@pytest.mark.slow
def test_two_replicas_train_the_weights_of_one_in_each_setting(tmp_path):
    code = """
check(Y, None, n_members=1, early_stopping=False)
check(Y, None, batch_size=64)  # more than a fold has
check(Y, weight, n_members=1)
check(unknown, weight)
check(Y.sum(axis=1), weight, n_members=3)
check(Y, weight, n_members=3, loss="binary_crossentropy")
options["learning_rate"] = 0.01
alone = KerasMultiLabelClassifier(**options).fit(X, Y).predict_proba(X)
options["batch_size"] = 7  # each gets four rows
with strategy.scope():
    both = KerasMultiLabelClassifier(**options).fit(X, Y).predict_proba(X)
np.testing.assert_allclose(both, alone, atol=1e-5)
"""
    run_python_in(tmp_path, TWO_REPLICAS + code, imported="keras")


@pytest.mark.parametrize("imported", ["", "import keras\nkeras.config.backend = lambda: 'jax'\n"])
def test_another_backend_is_refused_before_training_and_default_networks_predict(imported, X, Y, tmp_path):
    clf = KerasMultiLabelClassifier(epochs=1, random_state=0).fit(X, Y)
    joblib.dump((clf, X, Y, clf.predict_proba(X)), tmp_path / "clf.joblib")
    code = """
import joblib, numpy as np, sys
from sklearn.base import clone
clf, X, Y, expected = joblib.load("clf.joblib")
np.testing.assert_array_equal(clf.predict_proba(X), expected)
joblib.dump(clone(clf), "clone.joblib"), repr(clf)
try:
    clf.fit(X, Y)
except RuntimeError as error:
    print(error, "tensorflow" in sys.modules)
np.testing.assert_array_equal(clf.predict_proba(X), expected)
"""
    settings = {"imported": "keras"} if imported else {"imported": "sklearn", "KERAS_BACKEND": "jax"}
    printed = run_python_in(tmp_path, imported + code, **settings)
    facts = ("TensorFlow backend", "KERAS_BACKEND is 'jax'", "KERAS_BACKEND=tensorflow")
    assert all(fact in printed for fact in facts), printed
