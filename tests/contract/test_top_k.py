"""`predict_top_k` and what stands on it: the most probable labels, without the matrix of all probabilities."""

import tracemalloc

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from estimators import tiny
from skml import KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV, metrics
from skml.inspection import label_probabilities
from skml.metrics import get_scorer

TARGETS = {
    "label sets": lambda Y: [{"abc"[j] for j in np.flatnonzero(row)} for row in Y],
    "indicator": lambda Y: Y,
    "multi-class": lambda Y: Y.sum(axis=1),
    "binary": lambda Y: np.where(Y[:, 0], "yes", "no"),
}


@pytest.mark.parametrize("form", TARGETS)
def test_the_labels_are_the_first_of_the_sorted_probabilities(form, X, Y):
    clf = tiny(n_members=2, epochs=1).fit(X, TARGETS[form](Y))
    proba = clf.predict_proba(X)
    labels, values = clf.predict_top_k(X, 2)
    order = np.argsort(-proba, axis=1, kind="stable")[:, :2]
    np.testing.assert_array_equal(labels, clf.classes_[order])
    np.testing.assert_array_equal(values, np.take_along_axis(proba, order, axis=1))
    assert labels.dtype == clf.classes_.dtype
    assert values.dtype == proba.dtype


@pytest.mark.parametrize("k", [0, 4, 1.0, True, "1", None])
def test_other_numbers_of_labels_are_refused(k, clf, X):
    for estimator in (clf, TunedThresholdMultiLabelClassifierCV(clf, cv="prefit", refit=False)):
        if estimator is not clf:
            estimator.fit(X, clf.predict(X))
        with pytest.raises(ValueError, match=rf"k must be an integer from 1 to 3.*got {k!r}"):
            estimator.predict_top_k(X, k)


@pytest.fixture(scope="module")
def wide():
    """An estimator with 10,000 labels, and rows for it whose probabilities fill 24 MB."""
    rng = np.random.RandomState(0)
    X, classes = rng.randn(600, 3).astype(np.float32), [f"label {j}" for j in range(10_000)]
    y = [{classes[17 * i % 10_000]} for i in range(40)]
    return tiny(hidden_layer_sizes=(2,), n_members=2, epochs=1, classes=classes).fit(X[:40], y), X


def test_the_matrix_of_all_probabilities_is_never_made(wide, monkeypatch):
    clf, X = wide
    order = np.argsort(-clf.predict_proba(X), axis=1, kind="stable")[:, :3]
    # A block holds rows whose logits of both members fill 16 MB in float64; this leaves it a few rows.
    monkeypatch.setattr("skml._targets._matrix._BLOCK_BYTES", 2**21)
    tracemalloc.start()
    try:
        labels, proba = clf.predict_top_k(X, 3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(labels, clf.classes_[order])
    assert proba.shape == (600, 3)
    assert peak < 600 * 10_000 * 4 / 3


@pytest.fixture
def blocks_only(monkeypatch):
    """Make `predict_proba` of our estimator fail, and return a function that switches that on."""

    def fail(self, X):
        raise AssertionError("the matrix of all probabilities was asked for")

    return lambda: monkeypatch.setattr(KerasMultiLabelClassifier, "predict_proba", fail)


BY_ROW = {
    "precision_at_2": lambda Y, proba: metrics.precision_at_k(Y, proba, 2),
    "recall_at_2": lambda Y, proba: metrics.recall_at_k(Y, proba, 2),
    "ndcg_at_3": lambda Y, proba: metrics.ndcg_at_k(Y, proba, 3),
    "label_ranking_average_precision": metrics.label_ranking_average_precision_score,
    "neg_log_loss": lambda Y, proba: -metrics.log_loss(Y, proba),
    "roc_auc_samples": lambda Y, proba: metrics.roc_auc_score(Y, proba, average="samples"),
}


@pytest.mark.parametrize("name", BY_ROW)
def test_scorers_of_rows_read_the_probabilities_in_blocks(name, X, Y, clf, label_sets, blocks_only, monkeypatch):
    expected = BY_ROW[name](Y, clf.predict_proba(X))
    monkeypatch.setattr("skml._targets._matrix._BLOCK_BYTES", 2**10)
    blocks_only()
    assert get_scorer(name)(clf, X, label_sets) == pytest.approx(expected, abs=1e-9)


def test_pipelines_searches_and_the_tuner_are_read_in_blocks(X, Y, blocks_only):
    search = GridSearchCV(tiny(n_members=2, epochs=1), {"n_members": [2]}, cv=2)
    pipeline = make_pipeline(StandardScaler(), "passthrough", search).fit(X, Y)
    tuner = TunedThresholdMultiLabelClassifierCV(pipeline, cv="prefit", refit=False).fit(X, Y)
    proba, predicted = pipeline.predict_proba(X), tuner.predict(X)
    labels = np.argsort(-proba, axis=1, kind="stable")[:, :2]
    blocks_only()
    for estimator in (pipeline, tuner):
        assert [[label for label, _ in row] for row in label_probabilities(estimator, X, k=2)] == labels.tolist()
        assert get_scorer("precision_at_1")(estimator, X, Y) == metrics.precision_at_k(Y, proba, 1)
    np.testing.assert_array_equal(tuner.predict_top_k(X, 2)[0], labels)
    np.testing.assert_array_equal(tuner.predict(X), predicted)


def test_the_tuner_knows_the_most_probable_labels_of_any_classifier(X, Y, label_sets):
    tuner = TunedThresholdMultiLabelClassifierCV(RandomForestClassifier(5, random_state=0), cv=2).fit(X, label_sets)
    proba, (labels, values) = tuner.predict_proba(X), tuner.predict_top_k(X, 1)
    assert labels.ravel().tolist() == tuner.classes_[proba.argmax(axis=1)].tolist()
    np.testing.assert_array_equal(values.ravel(), proba.max(axis=1))


def test_a_scorer_of_rows_refuses_other_rows_and_columns(clf, X, Y):
    with pytest.raises(ValueError, match=r"y has the shape \(79, 3\).*returns the shape \(80, 3\)"):
        get_scorer("precision_at_1")(clf, X, Y[1:])
