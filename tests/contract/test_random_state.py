import contextlib
import io
import pickle
import random

import keras
import numpy as np
import pytest
from scipy import sparse

import skml
from estimators import tiny

CODE = """
import numpy as np
from skml import KerasMultiLabelClassifier
import keras
def build(meta):
    layers = [keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.5), keras.layers.Dense(3, "sigmoid")]
    return keras.Sequential(layers)
rng = np.random.RandomState(0)
X = rng.randn(150, 5)
Y = (X[:, :3] > 0).astype(int)
for params in ({"hidden_layer_sizes": (8,)}, {"model": build}):
    clf = KerasMultiLabelClassifier(epochs=3, random_state=0, **params).fit(X, Y)
    print(clf.predict_proba(X).tobytes().hex())
"""


def test_two_processes_give_the_same_model(run_python):
    with contextlib.redirect_stdout(io.StringIO()) as here:
        exec(CODE, {})
    assert run_python(CODE, imported="keras") == here.getvalue() != ""


def build(meta):
    output_activation = keras.layers.Dense(3, "sigmoid")
    return keras.Sequential([keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.5), output_activation])


@pytest.mark.parametrize("model", [None, build])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_the_same_int_gives_the_same_model(model, container, X, Y):
    fits = [tiny(model, random_state=7).fit(container(X), Y) for _ in range(2)]
    np.testing.assert_array_equal(*[clf.predict_proba(X) for clf in fits])
    other = tiny(model, random_state=8).fit(container(X), Y)
    assert np.abs(other.predict_proba(X) - fits[0].predict_proba(X)).max() > 1e-3


def test_a_random_state_object_is_drawn_from(X, Y):
    rng = np.random.RandomState(0)
    first, second = (tiny(random_state=rng).fit(X, Y) for _ in range(2))
    assert np.abs(first.predict_proba(X) - second.predict_proba(X)).max() > 1e-3


@pytest.mark.parametrize("model", [None, build])
def test_no_global_state_is_changed(model, X, Y):
    import tensorflow as tf

    skml.clear_cache()  # a first fit of its kind builds more
    random.seed(1)
    np.random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tobytes()
    clf = tiny(model, random_state=0).fit(X, Y)
    clf.predict(X)
    pickle.loads(pickle.dumps(clf)).to_keras()
    assert (random.getstate(), np.random.get_state()[1].tobytes()) == before
    tf.random.normal((1,))  # raises where op determinism is on and no seed is set


def test_an_unseeded_keras_model_trains_afterwards(run_python):
    printed = run_python(
        CODE
        + """
import os
model = build(None)
model.compile("adam", "binary_crossentropy")
model.fit(X, Y, verbose=0)
print("trained", "TF_DETERMINISTIC_OPS" in os.environ)
""",
        imported="keras",
    )
    assert printed.strip().endswith("trained False")
