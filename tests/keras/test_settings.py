"""What is set around a fit: precision, replicas, the backend."""

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


def test_losses_of_two_replicas_are_those_of_one(tmp_path):
    """Without dropout, in whole batches: replicas share the rows of each."""
    code = """
import numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], 2 * [tf.config.LogicalDeviceConfiguration()]
)
from skml import KerasMultiLabelClassifier
X = np.random.RandomState(0).randn(64, 5)
Y = (X[:, :3] > 0).astype(int)
options = {"epochs": 2, "random_state": 0, "dropout": 0.0, "input_dropout": 0.0, "optimizer": "sgd", "batch_size": 8}
clf = KerasMultiLabelClassifier(n_members=3, **options)
alone = clf.fit(X, Y).history_
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    both = clf.fit(X, Y).history_
for name in ("loss", "val_loss"):
    np.testing.assert_allclose(both[name], alone[name], rtol=0.05)
"""
    run_python_in(tmp_path, code)


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
    variables = {} if imported else {"KERAS_BACKEND": "jax"}
    printed = run_python_in(tmp_path, imported + code, **variables)
    assert "need the TensorFlow backend of Keras, but KERAS_BACKEND is 'jax'. Set the env" in printed
