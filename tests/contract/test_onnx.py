"""Exported graphs, run by onnxruntime, compared with the estimators."""

import copy
import dataclasses
import json
import pickle
import sys
import warnings

import keras
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, OneHotEncoder, StandardScaler

import custom
import skml.onnx
from estimators import SMALL, tiny
from skml import KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV
from skml._decisions._calibration import Calibration
from skml._default_network._activations import ACTIVATIONS
from skml.onnx._classifier_graph import ClassifierGraph
from skml.onnx._dense_graph import ACTIVATIONS as IN_GRAPHS

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

ADD_DECISIONS = ClassifierGraph._add_decisions

# Words of one letter, accents, other scripts, joined words, and no word at all.
WORDS = ["naïve", "cat", "Été", "dog", "I", "a", "ÉCOLE", "x1", "foo_bar", "c'est", "Straße", "日本語", "cat,dog", "!"]


def feeds_of(model, X):
    """Return the inputs of a graph, in the dtypes that it expects."""
    columns = {"X": X.toarray() if sparse.issparse(X) else X} if not hasattr(X, "columns") else dict(X.items())
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    assert columns.keys() == kinds.keys()
    arrays = {
        name: np.asarray(column, onnx.helper.tensor_dtype_to_np_dtype(kinds[name])) for name, column in columns.items()
    }
    return {name: array[:, None] if array.ndim == 1 else array for name, array in arrays.items()}


def outputs_of(model, X):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert [output.name for output in session.get_outputs()] == ["labels", "probabilities"]
    return session.run(None, feeds_of(model, X))


def assert_same(estimator, X, model=None, tolerance=1e-6, predicted_from=None):
    model = skml.onnx.to_onnx(estimator) if model is None else model
    labels, proba = outputs_of(model, X)
    X = X if predicted_from is None else predicted_from
    expected = estimator.predict(X)
    assert proba.dtype == estimator.predict_proba(X).dtype
    np.testing.assert_allclose(proba, estimator.predict_proba(X), rtol=0, atol=tolerance)
    np.testing.assert_array_equal(labels, expected.toarray() if sparse.issparse(expected) else expected)
    return model


@pytest.fixture(scope="module")
def X32(X):
    return X.astype(np.float32)


# The default network


def with_network(clf, **changes):
    """Return an estimator whose network differs in some fields."""
    twin = copy.copy(clf)
    twin._fitted = dataclasses.replace(clf._fitted, network=dataclasses.replace(clf.trained_network(), **changes))
    return twin


@pytest.fixture(scope="module")
def small(X, Y):
    """A default network of several members, with a residual connection."""
    return KerasMultiLabelClassifier(**SMALL).fit(X, Y)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(activation, small, X32):
    assert_same(with_network(small, activation=activation), X32)


def test_graphs_have_the_same_activations_as_the_network():
    assert IN_GRAPHS.keys() == ACTIVATIONS.keys()


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("kind", ["labels", "two classes", "three classes", "integers"])
def test_every_output_activation_calibrated_or_not(n_members, kind, X, X32, Y):
    y = {
        "labels": Y,
        "two classes": np.array(["no", "yes"])[Y[:, 0]],
        "three classes": np.array(["a", "b", "c"], dtype=object)[Y.argmax(axis=1)],
        "integers": Y.argmax(axis=1) + 5,
    }[kind]
    clf = tiny(n_members=n_members, epochs=2, calibrate=False).fit(X, y)
    assert_same(clf, X32)
    network = clf.trained_network()
    offset = 0.0 if network.output_activation == "softmax" else np.full(network.widths[-1], 0.3)
    calibrated = with_network(clf, calibration=Calibration(2.5, offset))
    assert np.abs(calibrated.predict_proba(X) - clf.predict_proba(X)).max() > 0.05
    assert_same(calibrated, X32)


@pytest.mark.parametrize(
    "params", [{"scale": None, "inputs": "auto"}, {"hidden_layer_sizes": (6, 6, 4)}, {"n_members": 1}]
)
def test_other_sizes_and_scales(params, X, X32, Y):
    assert_same(KerasMultiLabelClassifier(**{**SMALL, **params}).fit(3 * X + 5, Y), 3 * X32 + 5)


def test_a_column_far_from_0_makes_the_input_float64(X, Y):
    X = X + np.array([1e8, 0, 0, 0, 0])
    model = assert_same(KerasMultiLabelClassifier(**SMALL).fit(X, Y), X)
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.DOUBLE


@pytest.mark.parametrize("n_members", [1, 2])
def test_sparse_rows_are_passed_as_dense_ones(n_members, X32, Y):
    X = sparse.csr_array(np.where(X32 > 0.5, X32, 0))
    assert_same(tiny(n_members=n_members).fit(X, sparse.csr_array(Y)), X)


def test_large_values_stay_inside_the_open_interval(X32, Y):
    clf = tiny(scale=None, activation="linear", n_members=1).fit(X32, Y)
    _, proba = outputs_of(assert_same(clf, 1e4 * X32, tolerance=1e-3), 1e4 * X32)
    assert 0 < proba.min() < 1e-30
    assert proba.max() == np.nextafter(np.float32(1), np.float32(0))


@pytest.mark.parametrize("activation", ["selu", "softplus"])
def test_a_network_in_float64_is_a_graph_in_float64(activation, small, X):
    weights = [weight.astype(np.float64) for weight in small.trained_network().weights]
    assert_same(with_network(small, weights=weights, activation=activation), X, tolerance=1e-14)


# Decisions


@pytest.mark.parametrize(
    "rule",
    [
        {"threshold": [0.2, 0.4, 0.9]},
        {"min_labels": 1},
        {"max_labels": 1, "threshold": 0.1},
        {"min_labels": 2, "max_labels": 2},
        {"max_labels": 0},
        {"threshold": 0.0},
    ],
)
def test_every_rule(rule, fitted, X32):
    clf = pickle.loads(pickle.dumps(fitted)).set_params(**rule)
    labels, _ = outputs_of(skml.onnx.to_onnx(clf), X32)
    np.testing.assert_array_equal(labels, clf.decision_rule().decide(clf.predict_proba(X32)))


@pytest.mark.parametrize(
    "rule", [{"min_labels": 2}, {"max_labels": 2, "threshold": 0.2}, {"min_labels": 1, "max_labels": 1}]
)
def test_ties_are_broken_in_the_order_of_the_labels(rule, X32, Y):
    clf = tiny(classes=[0, 1, 2, 3], epochs=1, **rule).fit(X32, np.hstack([Y, Y[:, :1]]))
    clf = with_network(clf, weights=[np.zeros_like(weight) for weight in clf.trained_network().weights])
    assert len(np.unique(clf.predict_proba(X32))) == 1
    assert_same(clf, X32)


@pytest.mark.parametrize("scoring", ["f1_macro", "top_k"])
def test_thresholds_tuned_by_cross_validation(scoring, X, X32, Y):
    assert_same(TunedThresholdMultiLabelClassifierCV(tiny(), scoring=scoring, cv=2).fit(X, Y), X32)


def test_thresholds_tuned_by_fit(X, X32, Y):
    assert_same(tiny(threshold="f1_macro").fit(X, Y), X32)


def test_metadata_are_labels_and_thresholds(fitted):
    clf = pickle.loads(pickle.dumps(fitted)).set_params(threshold={"b": 0.25}, max_labels=2)
    described = {item.key: json.loads(item.value) for item in skml.onnx.to_onnx(clf).metadata_props}
    labels = {"labels": ["a", "b", "c"], "thresholds": [0.5, 0.25, 0.5], "min_labels": 0, "max_labels": 2}
    assert described == {"inputs": ["X"], **labels}


# Pipelines


def texts_of(n):
    rng = np.random.RandomState(0)
    texts = [" ".join(rng.choice(WORDS, rng.randint(0, 9))) for _ in range(n)]
    return texts, [{word for word in ("cat", "dog", "école") if word in text.lower()} for text in texts]


@pytest.mark.parametrize(
    "vectorizer", [TfidfVectorizer(), TfidfVectorizer(ngram_range=(1, 2)), CountVectorizer(min_df=3)]
)
def test_a_pipeline_of_texts(vectorizer, recwarn):
    pytest.importorskip("skl2onnx")
    texts, y = texts_of(80)
    pipeline = make_pipeline(vectorizer, tiny()).fit(texts, y)
    model = skml.onnx.to_onnx(pipeline, texts)
    assert not [w for w in recwarn if "exported graph" in str(w.message)]
    labels, proba = outputs_of(model, np.array(texts, dtype=object))
    np.testing.assert_allclose(proba, pipeline.predict_proba(texts), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(labels, pipeline[-1].decision_rule().decide(pipeline.predict_proba(texts)))
    assert json.loads({item.key: item.value for item in model.metadata_props}["labels"]) == ["cat", "dog", "école"]


# What texts may have that tokenizers read differently, repeated words above all.
ODD_TEXTS = [
    "cat cat cat dog", "the cat and the dog", "école école ÉCOLE", "", "!!! ...", "a 1 _ x", "Cat, (dog); [cat]'s",
    "dog\t\tcat\ncat", "caté e\u0301cole", "naïve snake_case 42 cat", "the and dog dog",
]  # fmt: skip

VECTORIZERS = [
    TfidfVectorizer(sublinear_tf=True),
    TfidfVectorizer(sublinear_tf=True, norm=None, use_idf=False),
    TfidfVectorizer(sublinear_tf=True, norm="l1", ngram_range=(1, 3), smooth_idf=False),
    TfidfVectorizer(sublinear_tf=True, binary=True, dtype=np.float32),
    TfidfVectorizer(lowercase=False, ngram_range=(2, 2)),
    TfidfVectorizer(stop_words=["the", "and"], max_df=0.9, min_df=2, max_features=6),
    TfidfVectorizer(vocabulary=["cat", "école"], sublinear_tf=True),
    TfidfVectorizer(token_pattern=r"(?u)\b\w+\b"),
    CountVectorizer(token_pattern=r"\w{3,}", binary=True),
    CountVectorizer(token_pattern="[a-z]+"),
    make_pipeline(CountVectorizer(), TfidfTransformer(sublinear_tf=True)),
]


@pytest.mark.parametrize("vectorizer", VECTORIZERS, ids=str)
def test_options_of_vectorizers_are_exported(vectorizer, recwarn):
    pytest.importorskip("skl2onnx")
    texts = 4 * ODD_TEXTS
    y = [len(text) > 12 for text in texts]
    pipeline = make_pipeline(vectorizer, tiny(n_members=1, epochs=1, scale=None)).fit(texts, y)
    model = skml.onnx.to_onnx(pipeline, ["cat dog"])
    assert not [w for w in recwarn if "exported graph" in str(w.message)]
    _, proba = outputs_of(model, np.array(texts, dtype=object))
    np.testing.assert_allclose(proba, pipeline.predict_proba(texts), rtol=0, atol=1e-6)


REFUSED = {
    "analyzer='char'.*cannot be exported": TfidfVectorizer(analyzer="char"),
    "tokenizer=<.*cannot be exported": CountVectorizer(tokenizer=str.split),
    "preprocessor=<.*cannot be exported": CountVectorizer(preprocessor=str.lower),
    "strip_accents='unicode'.*cannot be exported": CountVectorizer(strip_accents="unicode"),
    "stop_words=.*cannot be exported with n-grams": TfidfVectorizer(stop_words=["the"], ngram_range=(1, 2)),
    "token_pattern=.*cannot be exported.*RE2": TfidfVectorizer(token_pattern=r"\b(\w)\w+"),
    "HashingVectorizer cannot be exported": HashingVectorizer(n_features=8),
}


@pytest.mark.parametrize("message", REFUSED)
@pytest.mark.filterwarnings("ignore:The parameter 'token_pattern' will not be used")
def test_options_of_vectorizers_that_cannot_be_exported_are_refused(message, fitted):
    pytest.importorskip("skl2onnx")
    texts, _ = texts_of(60)
    pipeline = make_pipeline(clone(REFUSED[message]).fit(texts), fitted)  # refused before the columns are counted
    with pytest.raises(ValueError, match=message):
        skml.onnx.to_onnx(pipeline, texts)


def test_texts_are_made_that_show_another_weight_of_repeated_words(monkeypatch):
    pytest.importorskip("skl2onnx")
    monkeypatch.setattr("skml.onnx._export.mend_sublinear_tf", lambda model: None)
    texts, y = texts_of(60)
    pipeline = make_pipeline(TfidfVectorizer(sublinear_tf=True), tiny(epochs=30)).fit(texts, y)
    with pytest.warns(UserWarning, match=r"texts made of those of X \(.*repeated words.*\), by up to 0\.\d"):
        skml.onnx.to_onnx(pipeline, ["cat dog tree"])


def test_texts_are_made_for_what_a_sample_lacks():
    pytest.importorskip("skl2onnx")
    texts, y = texts_of(60)
    X = pd.DataFrame({"text": texts})
    ascii_only = {TfidfVectorizer: {"tokenexp": "[a-zA-Z0-9_]+", "locale": "C.UTF-8"}}
    columns = make_column_transformer((TfidfVectorizer(), "text"))
    for rows, vectorizer in ((["cat dog"], TfidfVectorizer()), (pd.DataFrame({"text": ["cat dog"]}), columns)):
        pipeline = make_pipeline(vectorizer, tiny()).fit(texts if isinstance(rows, list) else X, y)
        with pytest.warns(UserWarning, match=r"for \d texts made of those of X \(.*accents.*\), by up to 0\.\d"):
            skml.onnx.to_onnx(pipeline, rows, options=ascii_only)


def test_a_pipeline_of_numbers(X, X32, Y):
    pytest.importorskip("skl2onnx")
    pipeline = make_pipeline(StandardScaler(), tiny()).fit(X, Y)
    assert_same(pipeline, X32, skml.onnx.to_onnx(pipeline, X32))
    assert_same(pipeline, X, skml.onnx.to_onnx(pipeline, X))  # in float64
    tuned = make_pipeline(StandardScaler(), TunedThresholdMultiLabelClassifierCV(tiny(), cv=2)).fit(X, Y)
    assert_same(tuned, X32, skml.onnx.to_onnx(tuned, X32))


def test_a_pipeline_of_columns():
    pytest.importorskip("skl2onnx")
    texts, _ = texts_of(80)
    rng = np.random.RandomState(1)
    X = pd.DataFrame({"text": texts, "size": rng.randn(80), "colour": rng.choice(["red", "green"], 80)})
    columns = make_column_transformer(
        (TfidfVectorizer(), "text"), (StandardScaler(), ["size"]), (OneHotEncoder(), ["colour"])
    )
    Y = np.array([["cat" in text, size > 0] for text, size in zip(texts, X["size"], strict=True)]).astype(int)
    pipeline = make_pipeline(columns, tiny()).fit(X, Y)
    # The steps of scikit-learn are exported in float32, whose errors the slopes of narrow bins enlarge.
    assert_same(pipeline, X, skml.onnx.to_onnx(pipeline, X), tolerance=1e-5)


@pytest.mark.parametrize(
    "dtypes", [("int64", "float64"), ("bool", "float64"), ("float32", "float64"), ("bool", "bool")], ids="-".join
)
def test_columns_of_different_types_are_joined(dtypes, X, Y):
    pytest.importorskip("skl2onnx")
    numbers = {name: (X[:, j] > 0).astype(dtype) for j, (name, dtype) in enumerate(zip("ab", dtypes, strict=True))}
    frame = pd.DataFrame({**numbers, "colour": np.where(X[:, 2] > 0, "red", "green").astype(object)})
    columns = make_column_transformer((OneHotEncoder(), [2]), (StandardScaler(), [0, 1]))
    pipeline = make_pipeline(columns, tiny(epochs=1)).fit(frame, Y)
    assert_same(pipeline, frame, to_onnx_without_warning(pipeline, frame))


def to_onnx_without_warning(*args):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*exported graph", UserWarning)
        return skml.onnx.to_onnx(*args)


@pytest.mark.parametrize(
    ("names", "inputs"),
    [
        (["petal width", "a-b", "a_b", "0"], ["petal width", "a-b", "a_b", "0"]),
        ([0, 1, 2, 3], ["0", "1", "2", "3"]),
        (["a_b", "a-b", "a_b1", "é/İ"], ["a_b", "a-b", "a_b1", "é/İ"]),
        (["labels", "a", "variable", "A"], ["labels1", "a", "variable", "A"]),
        (["concat_result", "transformed_column", "skml_1", "merged_columns"],) * 2,
    ],
)
def test_columns_keep_their_names(names, inputs, X, Y):
    pytest.importorskip("skl2onnx")
    frame = pd.DataFrame(X[:, :4], columns=names)
    columns = make_column_transformer((StandardScaler(), [3, 1]), (Binarizer(), [0, 2]))
    pipeline = make_pipeline(columns, tiny()).fit(frame, Y)
    model = to_onnx_without_warning(pipeline, frame)
    assert [value.name for value in model.graph.input] == inputs
    assert json.loads({item.key: item.value for item in model.metadata_props}["inputs"]) == inputs
    assert_same(pipeline, frame.set_axis(inputs, axis=1), model, predicted_from=frame)


def test_a_column_without_a_name_is_refused(X, Y):
    frame = pd.DataFrame(X, columns=[*"abcd", ""])
    with pytest.raises(ValueError, match="empty string"):
        skml.onnx.to_onnx(make_pipeline(StandardScaler(), tiny(epochs=1)).fit(frame, Y), frame)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_integers_beyond_int64_are_positions(n_classes, X, X32, Y):
    classes = np.array([2**63 + 5, 2**63 + 7, 3], dtype=np.uint64)[:n_classes]
    clf = tiny().fit(X, classes[Y.argmax(axis=1) % n_classes])
    labels, _ = outputs_of(to_onnx_without_warning(clf, X32), X32)
    np.testing.assert_array_equal(clf.classes_[labels], clf.predict(X32))


@pytest.mark.parametrize("kind", ["labels", "two classes", "three classes"])
def test_labels_that_are_not_those_of_the_probabilities_raise_a_warning(kind, X, X32, Y, monkeypatch):
    y = {"labels": Y, "two classes": Y[:, 0], "three classes": Y.argmax(axis=1)}[kind]
    clf = tiny().fit(X, y)
    to_onnx_without_warning(clf, X32)
    monkeypatch.setattr(ClassifierGraph, "_add_decisions", lambda self, graph, outputs: add_wrong(self, graph, outputs))
    with pytest.warns(UserWarning, match=r"labels of the exported graph .* for \d+ of 80 rows"):
        skml.onnx.to_onnx(clf, X32)


def add_wrong(classifier, graph, outputs):
    right = ADD_DECISIONS(classifier, graph, outputs)
    return graph.add("Sub", np.array(1), right)


def test_a_letter_that_the_graph_lowers_differently_raises_a_warning():
    pytest.importorskip("skl2onnx")
    texts = 30 * ["İzmir ev", "ankara ev"]
    pipeline = make_pipeline(TfidfVectorizer(), tiny(epochs=20)).fit(texts, 30 * [{"coast"}, set()])
    with pytest.warns(UserWarning, match="predict_proba for 30 of 60 rows"):
        skml.onnx.to_onnx(pipeline, texts)


@pytest.mark.parametrize("options", [None, {"zipmap": False}, {KerasMultiLabelClassifier: {"zipmap": True}}])
def test_skl2onnx_itself_exports_after_registration(options, X, X32, Y):
    skl2onnx = pytest.importorskip("skl2onnx")
    skml.onnx.register_converter()
    pipeline = make_pipeline(StandardScaler(), tiny()).fit(X, Y)
    assert_same(pipeline, X32, skl2onnx.to_onnx(pipeline, X32[:1], options=options))


def test_a_tokenizer_that_splits_differently_raises_a_warning():
    pytest.importorskip("skl2onnx")
    texts, y = texts_of(60)
    pipeline = make_pipeline(TfidfVectorizer(), tiny()).fit(texts, y)
    ascii_only = {TfidfVectorizer: {"tokenexp": "[a-zA-Z0-9_]+", "locale": "C.UTF-8"}}
    with pytest.warns(UserWarning, match=r"predict_proba for \d+ of 60 rows, by up to 0\.\d.*skml\.onnx\.to_onnx"):
        skml.onnx.to_onnx(pipeline, texts, options=ascii_only)


def test_a_graph_that_cannot_run_here_raises_a_warning():
    pytest.importorskip("skl2onnx")
    texts, y = texts_of(60)
    pipeline = make_pipeline(TfidfVectorizer(), tiny(epochs=1)).fit(texts, y)
    with pytest.warns(UserWarning, match=r"(?s)onnxruntime cannot run the exported graph.*locale.*skml\.onnx\.to_onnx"):
        skml.onnx.to_onnx(pipeline, texts, options={TfidfVectorizer: {"locale": "xx_XX"}})


# Custom networks


def with_logits(meta):
    return keras.Sequential(
        [keras.Input((meta["n_features_in_"],)), keras.layers.Dense(6, "gelu"), keras.layers.Dense(meta["n_outputs_"])]
    )


@pytest.fixture
def tf2onnx():
    return pytest.importorskip("tf2onnx")


def test_a_custom_network_after_loading(tf2onnx, X, X32, Y):
    clf = pickle.loads(pickle.dumps(tiny(custom.network, epochs=1, max_labels=2).fit(X, Y)))
    model = assert_same(clf, X32)
    assert model.graph.input[0].name == "X"


@pytest.mark.parametrize(
    ("y", "loss"),
    [("labels", keras.losses.BinaryCrossentropy), ("three classes", keras.losses.CategoricalCrossentropy)],
)
def test_logits_of_a_custom_network_become_probabilities(y, loss, tf2onnx, X, X32, Y):
    y = Y if y == "labels" else np.array(["a", "b", "c"])[Y.argmax(axis=1)]
    assert_same(tiny(with_logits, epochs=1, loss=loss(from_logits=True)).fit(X, y), X32)


class Subclassed(keras.Model):
    def __init__(self, units=3):
        super().__init__()
        self.output_activation = keras.layers.Dense(units, "sigmoid")

    def call(self, x):
        return self.output_activation(x)

    def get_config(self):
        return {"units": 3}


def test_a_custom_network_without_a_defined_input_shape(tf2onnx, X, X32, Y):
    assert_same(tiny(lambda meta: Subclassed(), epochs=1).fit(X, Y), X32)


def test_a_custom_network_in_a_pipeline(tf2onnx, X, X32, Y):
    pytest.importorskip("skl2onnx")
    pipeline = make_pipeline(StandardScaler(), tiny(custom.network, epochs=1)).fit(X, Y)
    assert_same(pipeline, X32, skml.onnx.to_onnx(pipeline, X32))


def test_a_layer_without_a_counterpart_is_refused(tf2onnx, X, Y):
    def transformed(meta):
        inputs = keras.Input((5,))
        real, _ = keras.ops.fft((inputs, inputs))
        return keras.Model(inputs, keras.layers.Dense(3, "sigmoid")(real))

    clf = tiny(transformed, epochs=1).fit(X, Y)
    with pytest.raises(ValueError, match=r"custom network .*ONNX: .*not support .*FFT.*Replace"):
        skml.onnx.to_onnx(clf)


# Errors


@pytest.mark.parametrize("estimator", [tiny(), make_pipeline(StandardScaler(), tiny())])
def test_unfitted_estimators_are_refused(estimator, X):
    with pytest.raises(NotFittedError, match="not fitted"):
        skml.onnx.to_onnx(estimator, X)


def test_other_estimators_are_refused(X, Y):
    inner = make_pipeline(StandardScaler(), tiny(epochs=1))
    for estimator in (
        LogisticRegression().fit(X, Y[:, 0]),
        TunedThresholdMultiLabelClassifierCV(inner, cv=2).fit(X, Y),
    ):
        with pytest.raises(ValueError, match=r"supports KerasMultiLabelClassifier.*got (Logistic|Pipeline)"):
            skml.onnx.to_onnx(estimator)


def test_a_threshold_that_was_not_tuned_is_refused(fitted):
    clf = pickle.loads(pickle.dumps(fitted)).set_params(threshold="f1_macro")
    with pytest.raises(ValueError, match=r"(?i)threshold='f1_macro'.*fit again"):
        skml.onnx.to_onnx(clf)


def test_a_pipeline_without_rows_is_refused(X, Y):
    with pytest.raises(ValueError, match=r"X=None.*Pipeline.*to_onnx\(pipeline, X\)"):
        skml.onnx.to_onnx(make_pipeline(StandardScaler(), tiny(epochs=1)).fit(X, Y))


@pytest.mark.parametrize("missing", ["tensorflow", "tf2onnx"])
def test_a_missing_package_is_named(missing, X, Y, monkeypatch):
    clf = tiny(custom.network, epochs=1).fit(X, Y)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"ONNX.* {missing}.*pip install 'skml\[onnx\]'"):
        skml.onnx.to_onnx(clf)


def test_importing_skml_onnx_imports_no_other_package(run_python):
    code = "import sys, skml.onnx; print([n for n in ('onnx', 'skl2onnx', 'keras') if n in sys.modules])"
    printed = run_python(code, imported="sklearn")
    assert printed.strip() == "[]"


def test_an_export_changes_nothing(X, X32, Y):
    clf = tiny(epochs=1).fit(X, Y)
    before, proba = pickle.dumps(clf), clf.predict_proba(X)
    skml.onnx.to_onnx(clf, X32)
    assert pickle.dumps(clf) == before
    np.testing.assert_array_equal(clf.predict_proba(X), proba)


def test_the_outputs_have_the_order_of_skl2onnx(X, X32, Y):
    skl2onnx = pytest.importorskip("skl2onnx")
    theirs = skl2onnx.to_onnx(LogisticRegression().fit(X, Y[:, 0]), X32[:1], options={"zipmap": False})
    assert [output.name for output in theirs.graph.output] == ["label", "probabilities"]
    ours = skml.onnx.to_onnx(tiny(epochs=1).fit(X, Y))
    assert [output.name for output in ours.graph.output] == ["labels", "probabilities"]
