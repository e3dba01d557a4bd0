"""A function with an argument X, which builds the network, gets the training rows."""

import joblib
import keras
import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from estimators import tiny

seen = []


@pytest.fixture(autouse=True)
def _nothing_seen():
    seen.clear()


def output_layer(meta):
    return keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])


def looking(meta, X, units=4):
    seen.append(X)
    return keras.Sequential([keras.Input(X.shape[1:]), keras.layers.Dense(units, "relu"), output_layer(meta)])


def normalising(meta, X):
    normalise = keras.layers.Normalization()
    normalise.adapt(X)
    return keras.Sequential([keras.Input(X.shape[1:]), normalise, output_layer(meta)])


def reading(meta, X, units=4):
    seen.append(X)
    vectorize = keras.layers.TextVectorization(output_mode="multi_hot")
    vectorize.adapt(X)
    inputs = keras.Input((), dtype="string")
    return keras.Model(inputs, output_layer(meta)(keras.layers.Dense(units, "relu")(vectorize(inputs))))


@pytest.fixture(scope="module")
def texts(label_sets):
    """80 texts: a number, and a word for each label of the row and one for none."""
    words = {"a": "apple", "b": "bread", "c": "cheese"}
    return [" ".join([f"n{i}", "and", *sorted(words[label] for label in row)]) for i, row in enumerate(label_sets)]


def test_it_gets_the_rows_that_train_and_no_others(X, Y):
    weight = np.r_[np.zeros(5), np.ones(75)]
    tiny(looking, early_stopping=False).fit(X, Y, sample_weight=weight)
    np.testing.assert_array_equal(seen[0], X[5:])
    tiny(looking, validation_fraction=0.25).fit(X, Y)
    rows = {row.tobytes() for row in X}
    trained = {row.tobytes() for row in seen[1]}
    assert len(trained) == len(seen[1]) == 60
    assert trained < rows
    tiny(looking).fit(X, Y, X_val=X[:20], y_val=Y[:20])
    np.testing.assert_array_equal(seen[2], X)


def test_changes_of_these_rows_change_no_data(X, Y):
    def spoiling(meta, X):
        X[:] = 0
        return looking(meta, X)

    before = X.copy()
    spoiled = tiny(spoiling, early_stopping=False).fit(X, Y)
    np.testing.assert_array_equal(X, before)
    np.testing.assert_array_equal(
        spoiled.predict_proba(X), tiny(looking, early_stopping=False).fit(X, Y).predict_proba(X)
    )


def test_it_gets_sparse_rows_as_they_are(X, Y):
    given = sparse.csr_array(X * (X > 0))
    tiny(looking, early_stopping=False).fit(given, Y)
    assert sparse.issparse(seen[0])
    np.testing.assert_array_equal(seen[0].toarray(), given.toarray())


def test_normalization_adapts_to_the_training_rows(X, Y):
    clf = tiny(normalising, early_stopping=False).fit(3 * X + 7, Y)
    layer = clf.to_keras().layers[0]
    np.testing.assert_allclose(np.ravel(layer.mean), (3 * X + 7).mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(np.ravel(layer.variance), (3 * X).var(axis=0), rtol=1e-4)


def test_each_fold_of_a_search_sees_its_own_rows_after_the_steps_before(X, Y):
    pipeline = make_pipeline(StandardScaler(), tiny(looking, early_stopping=False))
    search = GridSearchCV(pipeline, {"kerasmultilabelclassifier__model__units": [2, 3]}, cv=KFold(2)).fit(X, Y)
    halves = [X[train] for train, _ in KFold(2).split(X)]
    expected = [StandardScaler().fit_transform(rows) for rows in [*halves, *halves, X]]
    for rows, there in zip(seen, expected, strict=True):
        np.testing.assert_array_equal(rows, there)
    assert search.best_estimator_[-1].to_keras().layers[0].units in (2, 3)


@pytest.mark.parametrize("form", [list, np.array, lambda texts: np.array(texts, dtype=object)])
def test_text_vectorization_adapts_to_texts(form, texts, label_sets):
    clf = tiny(reading, epochs=30, learning_rate=0.05).fit(form(texts), label_sets)
    assert clf.score(form(texts), label_sets) > 0.9
    vocabulary = clf.to_keras().layers[1].get_vocabulary()
    assert {"apple", "bread", "cheese"} < set(vocabulary)
    assert len(vocabulary) == 1 + 80 + 4  # the unknown word, numbers and words
    seen.clear()
    np.testing.assert_array_equal(
        clone(clf).fit(form(texts), label_sets).predict_proba(texts), clf.predict_proba(texts)
    )


def test_words_of_the_holdout_are_unknown(texts, label_sets):
    clf = tiny(reading, validation_fraction=0.25).fit(texts, label_sets)
    assert len(clf.to_keras().layers[1].get_vocabulary()) == 1 + 60 + 4


def test_adapted_layers_stay_when_training_resumes(texts, label_sets):
    clf = tiny(reading, early_stopping=False).fit(texts[:40], label_sets[:40])
    vocabulary = clf.to_keras().layers[1].get_vocabulary()
    clf.partial_fit(texts[40:], label_sets[40:])
    assert clf.to_keras().layers[1].get_vocabulary() == vocabulary
    assert len(seen) == 1


def test_adapted_layers_survive_a_pickle_in_a_fresh_process(texts, label_sets, tmp_path, run_python):
    clf = tiny(reading).fit(texts, label_sets)
    joblib.dump(clf, tmp_path / "clf.joblib")
    joblib.dump(texts, tmp_path / "texts.joblib")
    code = """
import joblib, numpy as np
np.save("proba.npy", joblib.load("clf.joblib").predict_proba(joblib.load("texts.joblib")))
"""
    run_python(code, imported="keras")
    np.testing.assert_array_equal(np.load(tmp_path / "proba.npy"), clf.predict_proba(texts))


def test_a_value_for_the_argument_that_is_filled_is_an_error(X, Y):
    with pytest.raises(ValueError, match=r"model__X.*argument X of looking.*training rows"):
        tiny(looking, model__X=3).fit(X, Y)
