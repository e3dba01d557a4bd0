import functools

import keras
import numpy as np
import pytest
from scipy import sparse

from processes import run_python_in
from skml import KerasMultiLabelClassifier

BASE = {"epochs": 3, "random_state": 0}
TARGETS = {"multi-label": 3, "two classes": 1, "three classes": 3}


def build(meta, units=6, extra=0):
    inputs = keras.Input((meta["n_features_in_"],))
    hidden = keras.layers.Dense(units, "relu")(inputs)
    for _ in range(extra):
        hidden = keras.layers.Dense(units, "relu")(hidden)
    return keras.Model(inputs, keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])(hidden))


@pytest.fixture(params=TARGETS)
def target(request, Y):
    return {"multi-label": Y, "two classes": Y[:, 0], "three classes": Y.sum(axis=1) % 3}[request.param]


def test_one_builder_serves_every_target(target, X):
    clf = KerasMultiLabelClassifier(build, **BASE).fit(X, target)
    proba = clf.predict_proba(X)
    assert proba.shape == (80, len(clf.classes_))
    if target.ndim == 1:
        np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-6)
    assert clf.predict(X).shape == target.shape


def test_meta_describes_the_data(target, X):
    seen = {}

    def spy(meta, params):
        seen.update(meta=meta, params=params)
        return build(meta)

    KerasMultiLabelClassifier(spy, **BASE).fit(X.astype(np.float32), target)
    multi = target.ndim == 2
    n_classes = 3 if multi else len(np.unique(target))
    kind = "multilabel-indicator" if multi else {2: "binary", 3: "multiclass"}[n_classes]
    assert seen["params"]["epochs"] == 3
    classes = seen["meta"].pop("classes_")
    np.testing.assert_array_equal(classes, np.arange(3) if multi else np.unique(target))
    assert seen["meta"] == {
        "n_features_in_": 5,
        "feature_names_in_": None,
        "n_classes_": n_classes,
        "n_outputs_": 1 if kind == "binary" else 3,
        "output_activation_": "softmax" if kind == "multiclass" else "sigmoid",
        "target_type_": kind,
        "X_shape_": (80, 5),
        "X_dtype_": np.dtype(np.float32),
    }


def compiling(meta, compile_kwargs):
    model = build(meta)
    model.compile(**compile_kwargs)
    return model


def test_a_builder_may_compile_with_our_arguments(X, Y):
    ours = KerasMultiLabelClassifier(build, **BASE).fit(X, Y)
    theirs = KerasMultiLabelClassifier(compiling, **BASE).fit(X, Y)
    np.testing.assert_array_equal(ours.predict_proba(X), theirs.predict_proba(X))


def compiled(meta):
    model = build(meta)
    model.compile(keras.optimizers.SGD(0.5), "mse", metrics=["mae"])
    return model


def test_a_compiled_model_keeps_its_settings_for_parameters_at_their_defaults(X, Y):
    clf = KerasMultiLabelClassifier(compiled, **BASE).fit(X, Y)
    assert type(clf.to_keras().optimizer) is keras.optimizers.SGD
    assert clf.to_keras().loss == "mse"
    assert "mae" in clf.history_
    squares = np.mean((clf.predict_proba(X) - Y) ** 2)
    assert abs(squares - clf.history_["loss"][-1]) < 0.05


def test_parameters_of_the_estimator_replace_those_of_a_compiled_model(X, Y):
    params = {"optimizer": "adagrad", "loss": "mae", "metrics": ["mse"], "learning_rate": 0.25}
    clf = KerasMultiLabelClassifier(compiled, **params, **BASE).fit(X, Y)
    assert type(clf.to_keras().optimizer) is keras.optimizers.Adagrad
    assert float(clf.to_keras().optimizer.learning_rate) == 0.25
    assert set(clf.history_) == {"loss", "mse"}


def test_logits_get_our_sigmoid(X, Y):
    def logits(meta):
        model = keras.Sequential([keras.layers.Dense(3)])
        model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
        return model

    clf = KerasMultiLabelClassifier(logits, **BASE).fit(X, Y)
    raw = clf.to_keras().predict(X, verbose=0)
    np.testing.assert_allclose(clf.predict_proba(X), 1 / (1 + np.exp(-raw)), rtol=1e-5)
    np.testing.assert_allclose(clf.decision_function(X), raw, rtol=1e-5)


def test_decision_function_of_any_network_is_the_logit(target, X):
    clf = KerasMultiLabelClassifier(build, **BASE).fit(X, target)
    proba, scores = clf.predict_proba(X).astype(float), clf.decision_function(X)
    if target.ndim == 2:
        np.testing.assert_allclose(scores, np.log(proba / (1 - proba)), atol=1e-5)
    elif len(clf.classes_) == 2:
        np.testing.assert_allclose(scores, np.log(proba[:, 1] / proba[:, 0]), atol=1e-5)
    else:
        np.testing.assert_allclose(scores, np.log(proba), atol=1e-5)


BAD = {
    "width": (lambda meta: keras.Sequential([keras.layers.Dense(4, "sigmoid")]), r"\(n_samples, 4\), but y needs 3"),
    "no probabilities": (
        lambda meta: keras.Sequential([keras.layers.Dense(3, bias_initializer=keras.initializers.Constant(5.0))]),
        r"must be probabilities.*output_activation_.*from_logits=True",
    ),
}


def two_outputs(meta, container=list, compiled=False):
    inputs = keras.Input((meta["n_features_in_"],))
    outputs = {name: keras.layers.Dense(1, "sigmoid", name=name)(inputs) for name in ("first", "second")}
    model = keras.Model(inputs, outputs if container is dict else list(outputs.values()))
    if compiled:
        model.compile("adam", "binary_crossentropy")
    return model


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("container", [list, dict])
def test_a_network_with_two_outputs_is_refused(container, compiled, X, Y):
    with pytest.raises(ValueError, match=r"2 outputs, but one output of 3 units.*concatenate"):
        KerasMultiLabelClassifier(two_outputs, model__container=container, model__compiled=compiled).fit(X, Y)


@pytest.mark.parametrize(("model", "message"), BAD.values(), ids=BAD.keys())
def test_networks_with_a_wrong_output_are_refused(model, message, X, Y):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        KerasMultiLabelClassifier(model, **BASE).fit(X, Y)


def test_single_labels_need_probabilities_that_sum_to_1(X):
    def sigmoid(meta):
        return keras.Sequential([keras.layers.Dense(3, "sigmoid")])

    with pytest.raises(ValueError, match=r'must sum to 1.*which is "softmax" here'):
        KerasMultiLabelClassifier(sigmoid, **BASE).fit(X, np.arange(80) % 3)


def nothing():
    """Forget to return the network."""


def test_a_builder_must_return_a_model(X, Y):
    with pytest.raises(TypeError, match=r"model must return a keras\.Model; nothing returned None"):
        KerasMultiLabelClassifier(nothing, **BASE).fit(X, Y)


def test_an_unknown_argument_of_the_builder_is_named(X, Y):
    with pytest.raises(ValueError, match=r"model__unit .*function build .*meta, units, extra"):
        KerasMultiLabelClassifier(build, model__unit=3, **BASE).fit(X, Y)


class Callable:
    def __call__(self, meta, units=3):
        return build(meta, units)


@pytest.mark.parametrize("model", [Callable(), functools.partial(build, extra=1)])
def test_any_callable_builds(model, X, Y):
    clf = KerasMultiLabelClassifier(model, model__units=4, **BASE).fit(X, Y)
    assert clf.to_keras().layers[1].units == 4


def test_each_fit_trains_a_copy_of_a_given_model(X, Y):
    model = build({"n_features_in_": 5, "n_outputs_": 3, "output_activation_": "sigmoid"})
    before = model.get_weights()
    first = KerasMultiLabelClassifier(model, **BASE).fit(X, Y)
    second = KerasMultiLabelClassifier(model, **BASE).fit(X, Y)
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert not model.compiled
    assert first.to_keras() is not model
    gone = KerasMultiLabelClassifier(first.to_keras(), **BASE).fit(X, Y)
    assert gone.history_["loss"][0] < first.history_["loss"][0]


def test_x_may_have_three_dimensions(Y):
    X = np.random.RandomState(0).randn(80, 4, 2)
    model = keras.Sequential([keras.layers.GRU(3), keras.layers.Dense(3, "sigmoid")])
    clf = KerasMultiLabelClassifier(model, **BASE).fit(X, Y)
    np.testing.assert_allclose(clf.predict_proba(X), clf.to_keras().predict(X, verbose=0), atol=1e-6)


def test_x_may_be_integers_for_an_embedding(Y):
    X = np.random.RandomState(0).randint(0, 9, (80, 4))

    def builder(meta):
        inputs = keras.Input((4,), dtype="int32")
        hidden = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(9, 3)(inputs))
        return keras.Model(inputs, keras.layers.Dense(3, "sigmoid")(hidden))

    clf = KerasMultiLabelClassifier(builder, **BASE).fit(X, Y)
    np.testing.assert_allclose(clf.predict_proba(X), clf.to_keras().predict(X, verbose=0), atol=1e-6)


@pytest.mark.parametrize("wrap", [list, np.array, lambda texts: np.array(texts, dtype=object)])
def test_x_may_be_text(wrap, tmp_path):
    import pickle

    texts = 20 * ["a cat", "a dog", "a cat and a dog", "nothing"]
    y = 20 * [{"cat"}, {"dog"}, {"cat", "dog"}, set()]

    def builder(meta):
        vectorize = keras.layers.TextVectorization(output_mode="multi_hot")
        vectorize.adapt(texts)
        inputs = keras.Input((), dtype="string")
        return keras.Model(inputs, keras.layers.Dense(2, "sigmoid")(vectorize(inputs)))

    clf = KerasMultiLabelClassifier(builder, epochs=60, learning_rate=0.1, random_state=0).fit(wrap(texts), y)
    assert clf.predict(wrap(["a dog", "a cat"])).tolist() == [("dog",), ("cat",)]
    network = pickle.loads(pickle.dumps(clf.trained_network()))
    np.testing.assert_allclose(network.proba(np.array(texts[:4])), clf.predict_proba(wrap(texts[:4])), atol=1e-6)


def test_sparse_x_feeds_a_sparse_input(X, Y):
    def builder(meta):
        inputs = keras.Input((meta["n_features_in_"],), sparse=True)
        return keras.Model(inputs, keras.layers.Dense(3, "sigmoid")(inputs))

    def dense_builder(meta):
        inputs = keras.Input((meta["n_features_in_"],))
        return keras.Model(inputs, keras.layers.Dense(3, "sigmoid")(inputs))

    rows = sparse.csr_array(X)
    results = [KerasMultiLabelClassifier(b, **BASE).fit(rows, Y).predict_proba(rows) for b in (builder, dense_builder)]
    np.testing.assert_allclose(*results, atol=1e-5)


def test_sparse_categorical_losses_get_class_numbers(X):
    y = np.array(["a", "b", "c", "a"] * 20)
    loss = {"loss": "sparse_categorical_crossentropy"}
    clf = KerasMultiLabelClassifier(build, **BASE, **loss).fit(X, y)
    plain = KerasMultiLabelClassifier(build, **BASE, loss="categorical_crossentropy").fit(X, y)
    np.testing.assert_allclose(clf.predict_proba(X), plain.predict_proba(X), atol=1e-5)


def test_lambdas_and_functions_of_the_user_train_and_travel(X, Y):
    import pickle

    def builder(meta):
        double = keras.layers.Lambda(lambda x: 2 * x)
        return keras.Sequential([keras.Input((5,)), double, keras.layers.Dense(3, "sigmoid")])

    clf = KerasMultiLabelClassifier(builder, **BASE).fit(X, Y)
    network = pickle.loads(pickle.dumps(clf.trained_network()))
    np.testing.assert_array_equal(network.proba(X), clf.trained_network().proba(X))


LAZY_BUILDER = """
def build(meta):
    import keras
    return keras.Sequential([keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])])
"""

FITTING = """
import joblib, numpy as np, lazy_builder
from skml import KerasMultiLabelClassifier
X = np.random.RandomState(0).randn(40, 5)
joblib.dump(KerasMultiLabelClassifier(lazy_builder.build, epochs=1).fit(X, (X[:, :3] > 0).astype(int)), "clf.joblib")
"""

LOADING_WITHOUT_KERAS = """
import sys
from importlib.machinery import PathFinder

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, *arguments):
        return None if name.partition(".")[0] in ("keras", "tensorflow") else super().find_spec(name, *arguments)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
import joblib
try:
    joblib.load("clf.joblib")
except ModuleNotFoundError as error:
    print(error)
"""


def test_loading_a_custom_network_without_keras_names_the_package_to_install(tmp_path):
    (tmp_path / "lazy_builder.py").write_text(LAZY_BUILDER)
    run_python_in(tmp_path, FITTING, imported="keras")
    assert "pip install tensorflow" in run_python_in(tmp_path, LOADING_WITHOUT_KERAS, imported="sklearn")
