"""Custom networks with several inputs: X as a dict, a DataFrame or a structured array."""

import io

import joblib
import keras
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold

import skml
from estimators import tiny
from skml import KerasMultiLabelClassifier
from skml.inspection import report_html
from skml.metrics import get_scorer
from skml.onnx import to_onnx

WORDS = np.array(["apple", "bread", "cheese"])


def end(meta, *parts):
    joined = keras.layers.Concatenate()(list(parts))
    return keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])(joined)


def two_branches(meta):
    """Two inputs of numbers, in a list."""
    image, age = keras.Input((2, 2), name="image"), keras.Input((1,), name="age")
    return keras.Model([image, age], end(meta, keras.layers.Flatten()(image), age))


def with_text(meta, X):
    """A text input whose words come from the training rows, and a number."""
    text, age = keras.Input((), dtype="string", name="text"), keras.Input((), name="age")
    vectorize = keras.layers.TextVectorization(output_mode="multi_hot")
    vectorize.adapt(X["text"])
    return keras.Model([text, age], end(meta, vectorize(text), keras.layers.Reshape((1,))(age)))


def z_and_rest(meta):
    """An input of a column, and one of the other four."""
    assert meta["feature_names_in_"].tolist() == list("vwxyz")
    last, rest = keras.Input((), name="z"), keras.Input((4,), name="rest")
    return keras.Model([last, rest], end(meta, rest, keras.layers.Reshape((1,))(last)))


class ByName(keras.Model):
    """A subclass whose call takes a dict."""

    def __init__(self, units=3, activation="sigmoid", **kwargs):
        super().__init__(**kwargs)
        self.units, self.activation = units, activation
        self.last = keras.layers.Dense(units, activation)

    def call(self, inputs):
        return self.last(keras.ops.concatenate([keras.ops.reshape(inputs["image"], (-1, 4)), inputs["age"]], axis=1))

    def get_config(self):
        return {"units": self.units, "activation": self.activation}


@pytest.fixture
def arrays(X):
    """The columns of X as an image of 2 x 2 pixels and an age."""
    return {"image": X[:, :4].reshape(-1, 2, 2), "age": X[:, 4]}


@pytest.fixture
def frame(X, label_sets):
    """A DataFrame of texts, a number and two more columns of numbers."""
    texts = [" ".join(sorted(labels)).replace("a", "apple").replace("b", "bread") or "nothing" for labels in label_sets]
    return pd.DataFrame({"text": texts, "age": X[:, 4], "n": np.arange(80) % 5, "wide": X[:, 1] > 0})


def by_hand(clf, image, age):
    """The probabilities of a network whose last layer is its only one with weights."""
    kernel, bias = clf.to_keras().get_weights()
    return 1 / (1 + np.exp(-(np.hstack([image.reshape(-1, 4), np.reshape(age, (-1, 1))]) @ kernel + bias)))


def test_a_dict_of_arrays_goes_to_the_inputs_of_their_names(arrays, Y):
    clf = tiny(two_branches, epochs=30, learning_rate=0.05).fit(arrays, Y)
    np.testing.assert_allclose(clf.predict_proba(arrays), by_hand(clf, **arrays), atol=1e-6)
    assert clf.score(arrays, Y) > 0.6
    assert clf.n_features_in_ == 2
    assert clf.feature_names_in_.tolist() == ["image", "age"]
    # The order of the dict does not count, and lists are arrays, too.
    turned = {"age": arrays["age"][:, None].tolist(), "image": arrays["image"].tolist()}
    np.testing.assert_array_equal(clf.predict_proba(turned), clf.predict_proba(arrays))
    np.testing.assert_allclose(clf.predict_proba({k: v[:1] for k, v in arrays.items()}), clf.predict_proba(arrays)[:1])


def test_two_inputs_train_as_one_input_that_holds_both(X, Y, arrays):
    def one(meta):
        joined = keras.Input((5,))
        return keras.Model(joined, end(meta, joined))

    # The only weights are those of the last layer, from the same seed, and the holdout depends on Y alone.
    several = tiny(two_branches, epochs=5).fit(arrays, Y)
    np.testing.assert_allclose(several.predict_proba(arrays), tiny(one, epochs=5).fit(X, Y).predict_proba(X), atol=1e-6)


def test_networks_that_take_a_dict(arrays, Y):
    def as_dict(meta):
        inputs = {"image": keras.Input((2, 2), name="image"), "age": keras.Input((1,), name="age")}
        return keras.Model(inputs, end(meta, keras.layers.Flatten()(inputs["image"]), inputs["age"]))

    def subclass(meta):
        return ByName(meta["n_outputs_"], meta["output_activation_"])

    arrays = {**arrays, "age": arrays["age"][:, None]}
    expected = tiny(two_branches).fit(arrays, Y).predict_proba(arrays)
    np.testing.assert_array_equal(tiny(as_dict).fit(arrays, Y).predict_proba(arrays), expected)
    clf = tiny(subclass).fit(arrays, Y)
    np.testing.assert_allclose(clf.predict_proba(arrays), by_hand(clf, **arrays), atol=1e-6)


def test_inputs_of_a_kept_trainer_may_have_other_names(arrays, Y):
    skml.clear_cache()

    def renamed(meta):
        image, age = keras.Input((2, 2), name="picture"), keras.Input((1,), name="years")
        return keras.Model([image, age], end(meta, keras.layers.Flatten()(image), age))

    first, second = tiny(two_branches).fit(arrays, Y), tiny(renamed)
    second.fit({"years": arrays["age"], "picture": arrays["image"]}, Y)
    np.testing.assert_array_equal(
        second.predict_proba({"picture": arrays["image"], "years": arrays["age"]}), first.predict_proba(arrays)
    )


def test_a_given_model_with_several_inputs_is_fine_tuned(arrays, Y):
    meta = {"n_outputs_": 3, "output_activation_": "sigmoid"}
    image, age = keras.Input((2, 2), name="image"), keras.Input((1,), name="age")
    frozen = keras.layers.Dense(4, "relu", name="frozen", trainable=False)
    model = keras.Model([image, age], end(meta, frozen(keras.layers.Flatten()(image)), age))
    before = model.get_weights()
    clf = tiny(model, epochs=5, learning_rate=0.1).fit(arrays, Y)
    after = clf.to_keras().get_weights()
    np.testing.assert_array_equal(after[0], before[0])
    assert not np.allclose(after[2], before[2])
    assert all(np.array_equal(*pair) for pair in zip(model.get_weights(), before, strict=True))


def test_validation_data_and_training_that_goes_on(frame, label_sets):
    frame = frame[["text", "age"]]
    train, test = frame[:60], frame[60:].assign(text=frame["text"][60:] + " a text longer than all others before")
    clf = tiny(with_text, epochs=4).fit(train, label_sets[:60], X_val=test, y_val=label_sets[60:])
    assert len(clf.history_["val_loss"]) == 4
    Y = clf.target_encoder_.transform(label_sets[60:])
    proba = np.float64(clf.predict_proba(test))
    best = -(Y * np.log(proba) + (1 - Y) * np.log(1 - proba)).mean()
    assert min(clf.history_["val_loss"]) == pytest.approx(best, rel=1e-5)
    clf.partial_fit(dict(test), label_sets[60:])
    assert clf.n_iter_ == 5


def test_a_frame_with_texts_and_its_dict_are_the_same(frame, label_sets):
    frame = frame[["text", "age"]]
    clf = tiny(with_text, epochs=30, learning_rate=0.05).fit(frame, label_sets)
    assert clf.score(frame, label_sets) > 0.8
    assert clf.feature_names_in_.tolist() == ["text", "age"]
    as_dict = {"age": frame["age"].to_numpy(), "text": frame["text"].tolist()}
    np.testing.assert_array_equal(clf.predict_proba(as_dict), clf.predict_proba(frame))
    np.testing.assert_array_equal(clone(clf).fit(as_dict, label_sets).predict_proba(frame), clf.predict_proba(frame))
    (vectorize,) = [layer for layer in clf.to_keras().layers if hasattr(layer, "get_vocabulary")]
    assert {"apple", "bread"} < set(vectorize.get_vocabulary())


def test_one_input_takes_the_remaining_columns(frame, label_sets):
    def build(meta):
        text, numbers = keras.Input((), dtype="string", name="text"), keras.Input((3,), name="numbers")
        assert meta["X_shape_"] == {"text": (80,), "age": (80,), "n": (80,), "wide": (80,)}
        assert meta["n_features_in_"] == 4
        is_apple = keras.layers.StringLookup(vocabulary=["apple"], output_mode="one_hot")(text)
        return keras.Model([text, numbers], end(meta, numbers, is_apple))

    clf = tiny(build).fit(frame, label_sets)
    kernel, bias = clf.to_keras().get_weights()
    columns = frame[["age", "n", "wide"]].to_numpy(float)
    is_apple = (frame[["text"]].to_numpy() == "apple") == [[False, True]]
    expected = 1 / (1 + np.exp(-(np.hstack([columns, is_apple]) @ kernel + bias)))
    np.testing.assert_allclose(clf.predict_proba(frame), expected, atol=1e-6)
    np.testing.assert_allclose(clf.predict_proba(frame[frame.columns[::-1]]), expected, atol=1e-6)


def test_inputs_named_after_the_columns_of_a_frame_of_numbers(X, Y):
    frame = pd.DataFrame(X, columns=list("vwxyz"))
    clf = tiny(z_and_rest).fit(frame, Y)
    expected = by_hand(clf, X[:, :4], X[:, 4])
    np.testing.assert_allclose(clf.predict_proba(frame), expected, atol=1e-6)
    np.testing.assert_allclose(joblib_copy(clf).predict_proba(dict(frame)), expected, atol=1e-6)


def joblib_copy(clf):
    buffer = io.BytesIO()
    joblib.dump(clf, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


@pytest.mark.parametrize("form", [pytest.param("frame", marks=pytest.mark.slow), "structured"])
def test_searches_and_cross_validation(form, arrays, frame, label_sets):
    if form == "frame":
        model, X = with_text, frame[["text", "age"]]
    else:
        model, X = two_branches, np.empty(80, dtype=[("image", "f4", (2, 2)), ("age", "f8")])
        X["image"], X["age"] = arrays["image"], arrays["age"]
    scorer, cv = get_scorer("f1_micro"), KFold(2)
    search = GridSearchCV(tiny(model), {"epochs": [1, 3]}, scoring=scorer, cv=cv, error_score="raise")
    search.fit(X, label_sets)
    first = tiny(model, epochs=3).fit(X[:40], label_sets[:40])
    assert search.cv_results_["split1_test_score"][1] == scorer(first, X[40:], label_sets[40:])
    proba = skml.model_selection.cross_val_predict_proba(tiny(model, epochs=3), X, label_sets, cv=cv)
    np.testing.assert_array_equal(proba[40:], first.predict_proba(X[40:]))


def test_scores_reports_and_the_most_probable_labels_of_a_dict(arrays, label_sets, X, Y):
    clf = tiny(two_branches, epochs=10).fit(arrays, label_sets)
    proba = clf.predict_proba(arrays)
    for name in ("f1_micro", "average_precision", "precision_at_1"):
        structured = np.empty(80, dtype=[("image", "f8", (2, 2)), ("age", "f8")])
        structured["image"], structured["age"] = arrays["image"], arrays["age"]
        assert get_scorer(name)(clf, arrays, label_sets) == get_scorer(name)(clf, structured, label_sets)
    assert clf.score(arrays, label_sets) == ((proba >= 0.5) == Y).all(axis=1).mean()
    labels, _ = clf.predict_top_k(arrays, 1)
    assert labels[:, 0].tolist() == clf.classes_[proba.argmax(axis=1)].tolist()


def test_keras_loop_trains_several_inputs(arrays, Y):
    class Watching(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            pass

    slow = tiny(two_branches, callbacks=Watching()).fit(arrays, Y)
    np.testing.assert_allclose(
        slow.predict_proba(arrays), tiny(two_branches).fit(arrays, Y).predict_proba(arrays), atol=1e-6
    )


def test_an_input_may_be_sparse(X, Y):
    def build(meta):
        words, age = keras.Input((5,), sparse=True, name="words"), keras.Input((1,), name="age")
        hidden = keras.layers.Dense(3)(words)
        return keras.Model([words, age], end(meta, hidden, age))

    dense = np.where(X > 0.5, X, 0)
    given = {"words": sparse.csr_matrix(dense), "age": X[:, 4]}
    clf = tiny(build).fit(given, Y)
    kernel, bias, last, offset = clf.to_keras().get_weights()
    logits = np.hstack([dense @ kernel + bias, X[:, 4:]]) @ last + offset
    np.testing.assert_allclose(clf.predict_proba(given), 1 / (1 + np.exp(-logits)), atol=1e-5)


def test_to_keras_with_a_hierarchy_takes_the_same_inputs(arrays, label_sets):
    clf = tiny(two_branches, hierarchy={"a": "b"}).fit(arrays, label_sets)
    outputs = np.asarray(clf.to_keras()({"image": arrays["image"], "age": arrays["age"][:, None]}))
    np.testing.assert_allclose(outputs, clf.predict_proba(arrays), atol=1e-6)
    assert (outputs[:, 1] >= outputs[:, 0]).all()


@pytest.mark.slow
def test_a_file_is_loaded_in_a_fresh_process(arrays, label_sets, tmp_path, run_python):
    clf = tiny(two_branches).fit(arrays, label_sets)
    joblib.dump((clf, arrays), tmp_path / "clf.joblib")
    code = """
import joblib, numpy as np
clf, arrays = joblib.load("clf.joblib")
np.save("proba.npy", clf.predict_proba(arrays))
"""
    run_python(code, imported="keras")
    np.testing.assert_array_equal(np.load(tmp_path / "proba.npy"), clf.predict_proba(arrays))


def test_a_report_names_the_rows_by_number(arrays, label_sets, tmp_path):
    pytest.importorskip("jinja2")
    report_html(tiny(two_branches).fit(arrays, label_sets), arrays, label_sets, tmp_path / "report.html")
    assert "row 3" in (tmp_path / "report.html").read_text()


def test_what_divides_rows_names_the_forms_that_can_be_divided(arrays, label_sets):
    clf = tiny(two_branches)
    with pytest.raises(ValueError, match=r"X is a dict, which cannot be divided into rows\. Pass a DataFrame"):
        skml.TunedThresholdMultiLabelClassifierCV(clf, cv=2).fit(arrays, label_sets)
    with pytest.raises(ValueError, match="X is a dict, which cannot be divided into rows"):
        skml.model_selection.train_test_split(arrays, label_sets)


# Bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: [a["image"], a["age"]], r"X is a list of 2 arrays with 80 rows each.*X=\{\"image\": A"),
        (lambda a: [a["image"], a["image"]], r"X is a list of 2 arrays with 80 rows each"),
        (lambda a: {}, "X must map the name of each input .* got no array"),
        (lambda a: {0: a["image"]}, "got the key 0"),
        (lambda a: {"image": a["image"]}, r"X has 'image'.*inputs 'image', 'age'.*nothing for 'age'"),
        (lambda a: {**a, "sex": a["age"]}, r"No input takes 'sex'"),
        (lambda a: {**a, "age": a["age"][:70]}, "same number of rows; got 80 in 'image', 70 in 'age'"),
        (lambda a: {**a, "age": np.full(80, np.nan)}, r"Input X\['age'\] contains NaN"),
        (lambda a: {**a, "age": ["old"] * 80}, r"X\['age'\] holds texts, but the input 'age' .* takes float32"),
        (lambda a: {**a, "age": ["old", None] * 40}, r"X\['age'\] holds texts and 40 other values, such as None"),
        (lambda a: {**a, "age": np.datetime64("2020-01-01") + np.arange(80)}, r"X\['age'\] holds datetime64"),
        (lambda a: {**a, "age": 3}, r"X\['age'\] must be an array with a row for each sample; got 3"),
        (
            lambda a: {**a, "image": a["image"][:, :1]},
            r"X\['image'\] has the shape \(n_samples, 1, 2\).*_samples, 2, 2\)",
        ),
        (
            lambda a: a["age"][:, None],
            r"shape \(n_samples, 1\) without names.*X=\{'image': ..., 'age': ...\}",
        ),
        (lambda a: {k: v[:70] for k, v in a.items()}, "X has 70, but y"),
    ],
)
def test_errors_speak_of_x(change, message, arrays, Y):
    clf = tiny(two_branches)
    with pytest.raises(ValueError, match=message):
        clf.fit(change(arrays), Y)
    assert not clf.__sklearn_is_fitted__()


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_errors_in_prediction_speak_of_x(arrays, Y, X):
    clf = tiny(two_branches).fit(arrays, Y)
    before = clf.predict_proba(arrays)
    for given, message in (
        ({"image": arrays["image"]}, "names that it had in fit: 'image', 'age'. Missing here: 'age'"),
        ({**arrays, "sex": arrays["age"]}, "New here: 'sex'"),
        ([arrays["image"], arrays["age"]], "X is a list of 2 arrays"),
        (X, "without names, but the network has the inputs|X has 5 features"),
    ):
        with pytest.raises(ValueError, match=message):
            clf.predict(given)
    np.testing.assert_array_equal(clf.predict_proba(arrays), before)
    with pytest.raises(ValueError, match="X in fit had no names"):
        tiny(lambda meta: keras.Sequential([keras.layers.Dense(3, "sigmoid")])).fit(X, Y).predict({"a": X})


def test_texts_and_fractions_where_an_input_takes_others(X, Y):
    def build(dtype):
        def model(meta):
            code, age = keras.Input((), dtype=dtype, name="code"), keras.Input((1,), name="age")
            lookup = keras.layers.StringLookup(vocabulary=["1"], output_mode="one_hot")
            hidden = lookup(code) if dtype == "string" else keras.layers.Embedding(80, 2)(code)
            return keras.Model([code, age], end(meta, hidden, age))

        return model

    given = {"code": np.arange(80.0), "age": X[:, 4]}
    tiny(build("int32")).fit(given, Y)
    with pytest.raises(ValueError, match=r"X\['code'\] holds fractions, but the input 'code' .* takes int32"):
        tiny(build("int32")).fit({**given, "code": given["code"] + 0.5}, Y)
    with pytest.raises(
        ValueError, match=r"X\['code'\] holds numbers \(float64\), .* takes string. Convert it by .astype"
    ):
        tiny(build("string")).fit(given, Y)


def test_columns_of_texts_and_numbers_do_not_go_into_one_input(frame, label_sets):
    def build(meta):
        age, rest = keras.Input((1,), name="age"), keras.Input((3,), name="rest")
        return keras.Model([age, rest], end(meta, age, rest))

    with pytest.raises(ValueError, match="'text', 'n', 'wide' of X go into one input, but 'text' holds texts"):
        tiny(build).fit(frame, label_sets)


def test_only_a_custom_network_takes_a_dict(arrays, Y):
    with pytest.raises(ValueError, match="X is a dict, which only a custom network takes"):
        tiny().fit(arrays, Y)
    with pytest.raises(ValueError, match="X is a list of 2 arrays with 80 rows each"):
        tiny().fit([arrays["image"], arrays["age"]], Y)


def test_onnx_refuses_several_inputs(arrays, Y):
    with pytest.raises(ValueError, match=r"custom network with several inputs; this one has 'image', 'age'.*to_keras"):
        to_onnx(tiny(two_branches).fit(arrays, Y))


def test_a_sparse_matrix_in_the_format_of_a_dict_is_one_matrix(X, Y):
    X = np.where(X > 0, X, 0)
    one, other = (tiny().fit(sparse.csr_matrix(X).asformat(name), Y).predict_proba(X) for name in ("dok", "csr"))
    np.testing.assert_array_equal(one, other)


def test_one_array_of_the_wrong_shape_is_named(X, Y):
    def build(meta):
        inputs = keras.Input((4,))
        return keras.Model(inputs, end(meta, inputs, inputs))

    with pytest.raises(ValueError, match=r"X has the shape \(n_samples, 5\), but the input .* takes \(n_samples, 4\)"):
        KerasMultiLabelClassifier(build).fit(X, Y)


def test_longer_texts_in_validation_data_are_not_cut(label_sets):
    def build(meta):
        text = keras.Input((1,), dtype="string")
        known = keras.layers.StringLookup(vocabulary=["a", "a much longer text"], output_mode="one_hot")(text)
        return keras.Model(text, end(meta, known, known))

    train, test = np.array(["a"] * 60), np.array(["a much longer text"] * 20)
    clf = tiny(build, epochs=3).fit(train, label_sets[:60], X_val=test, y_val=label_sets[60:])
    proba, Y = np.float64(clf.predict_proba(test)), clf.target_encoder_.transform(label_sets[60:])
    loss = -(Y * np.log(proba) + (1 - Y) * np.log(1 - proba)).mean()
    assert clf.history_["val_loss"][clf.kept_epoch_ - 1] == pytest.approx(loss, rel=1e-5)
