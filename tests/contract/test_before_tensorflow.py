"""What is wrong with X, y and parameters is said before TensorFlow is imported, which takes seconds."""

import json

import pytest

SETUP = """
import sys
import numpy as np
from scipy import sparse
from skml import KerasMultiLabelClassifier as C, TunedThresholdMultiLabelClassifierCV as T

X, Y = np.random.RandomState(0).rand(40, 3), np.tile([[1, 0, 1], [0, 1, 1]], (20, 1))
sets = [{"a"}, {"b"}] * 20

def nan(X):
    X = X.copy()
    X[3, 1] = np.nan
    return X
"""

# Each call raises an error with this text.
WRONG = {
    "C(scale=None).fit(np.where(X > 0.9, np.inf, X), Y)": "infinity",
    "C().fit(sparse.csr_array(nan(X)), Y)": "NaN",
    "C().fit([['a', 'b']] * 40, Y)": "X must hold numbers",
    "C().fit(X[:, :, None, None], Y)": "dim",
    "C(scale=None).fit(1e300 * X, Y)": "too large",
    "C().fit(X[:9], Y)": "9",
    "C().fit(X, Y + 1)": "0 and 1",
    "C().fit(X, X[:, 0])": "",
    "C().fit(X, ['a', None] * 20)": "None",
    "C(classes=['a']).fit(X, sets)": "'b'",
    "C().fit(X, sets, sample_weight=[-1] * 40)": "",
    "C().fit(X, sets, X_val=X)": "X_val and y_val",
    "C().fit(X, sets, X_val=X[:, :2], y_val=sets)": "2 features",
    "C().fit(X, sets, X_val=X, y_val=[{'a'}] * 9)": "9",
    "C(epochs=0).fit(X, Y)": "'epochs'",
    "C(activation='reluu').fit(X, Y)": "'relu'",
    "C(hidden_layer_sizes=(8, 0)).fit(X, Y)": "hidden_layer_sizes",
    "C(threshold='f1_micor').fit(X, Y)": "'f1_micro'",
    "C(threshold=[0.1]).fit(X, Y)": "3 labels",
    "C(tuned_rules=['f1_micor']).fit(X, Y)": "'f1_micro'",
    "C(min_labels=4).fit(X, Y)": "min_labels",
    "C(class_weight={'c': 2}).fit(X, sets)": "'c'",
    "C(optimizer__beta_1=0.5, loss__gamma=2).fit(X, Y)": "loss__gamma",
    "C(model=lambda meta: None, dropout=0.1).fit(X, Y)": "model__dropout",
    "C(n_members=1, early_stopping=False, threshold='f1_micro').fit(X, Y)": "held-out",
    "C().partial_fit(X, sets)": "classes",
    "T(C(), scoring='f1').fit(X, Y)": "scoring",
    "T(C(), cv='oof').fit(X, Y + 1)": "0 and 1",
}


def test_wrong_input_is_refused_before_tensorflow_is_imported(run_python):
    code = (
        SETUP
        + f"""
for call, text in {WRONG!r}.items():
    try:
        eval(call)
    except (ValueError, TypeError) as error:
        assert text in str(error), (call, str(error))
    else:
        raise AssertionError(call)
    assert not {{"keras", "tensorflow"}} & set(sys.modules), call
print("done")
"""
    )
    assert run_python(code, imported="sklearn") == "done\n"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (None, "tensorflow float32"),
        ({"floatx": "float64", "backend": "jax"}, "jax float64"),
        ({}, "tensorflow float32"),
    ],
)
def test_settings_of_keras_are_known_without_keras(run_python, tmp_path, settings, expected):
    if settings is not None:
        (tmp_path / "keras.json").write_text(json.dumps(settings))
    code = (
        "import sys; from skml._keras._private import keras_setting as setting\n"
        "print(setting('backend', 'tensorflow'), setting('floatx', 'float32'), 'keras' in sys.modules)\n"
    )
    plain = {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": ""}
    assert run_python(code, imported="sklearn", **plain) == f"{expected} False\n"
    told = run_python(code, imported="sklearn", **{**plain, "KERAS_BACKEND": "torch"})
    assert told == f"torch {expected.split()[1]} False\n"


@pytest.mark.slow  # it imports Keras
def test_settings_of_keras_are_those_that_keras_reads(run_python, tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps({"floatx": "float64"}))
    code = (
        "from skml._keras._private import keras_setting\n"
        "before = keras_setting('floatx', 'float32'), keras_setting('backend', 'tensorflow')\n"
        "import keras\n"
        "print(before == (keras.config.floatx(), keras.config.backend()) == ('float64', 'tensorflow'))\n"
        "keras.config.set_floatx('float32'); print(keras_setting('floatx', None))\n"
    )
    assert run_python(code, imported="sklearn", KERAS_HOME=str(tmp_path)) == "True\nfloat32\n"
