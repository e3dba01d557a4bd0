import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.metrics import accuracy_score

from estimators import tiny
from skml import KerasMultiLabelClassifier


def test_it_learns(X, Y):
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=(16,), learning_rate=0.01, random_state=0).fit(X, Y)
    assert clf.score(X, Y) > 0.8


@pytest.mark.parametrize("n_rows", [1, 80])
def test_proba_has_two_dimensions(fitted, X, n_rows):
    proba = fitted.predict_proba(X[:n_rows])
    assert proba.shape == (n_rows, 3)
    assert proba.dtype == np.float32


def test_one_label_keeps_its_column(X, Y):
    clf = tiny().fit(X, pd.DataFrame({"a": Y[:, 0]}))
    assert clf.predict_proba(X).shape == clf.predict(X).shape == (80, 1)


def test_answers_become_a_dataframe_as_predict_says(X, Y):
    X = pd.DataFrame(X, index=[f"row {i}" for i in range(80)]).rename(columns=str)
    y = pd.DataFrame(Y.astype(bool), index=X.index, columns=["a", "b", "c"])
    clf = tiny().fit(X, y)
    predicted = pd.DataFrame(clf.predict(X), index=X.index, columns=clf.classes_)
    expected = pd.DataFrame(clf.predict_proba(X) >= 0.5, index=y.index, columns=y.columns)
    pd.testing.assert_frame_equal(predicted, expected)


def test_answers_are_compared_with_label_sets_as_predict_says(fitted, X, label_sets):
    is_right = [set(p) == set(t) for p, t in zip(fitted.predict(X), label_sets, strict=True)]
    assert np.mean(is_right) == fitted.score(X, label_sets)


@pytest.mark.parametrize("form", [lambda y: pd.DataFrame({"a": y}), lambda y: sparse.csr_array(y[:, None])])
def test_one_label_is_scored_in_kind(form, X, Y):
    clf = tiny().fit(X, form(Y[:, 0]))
    assert clf.score(X, clf.predict(X)) == 1.0


def test_decision_function_is_the_log_odds(fitted, X):
    proba = fitted.predict_proba(X).astype(float)
    np.testing.assert_allclose(fitted.decision_function(X), np.log(proba / (1 - proba)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weight", [None, np.arange(80.0)])
def test_score_is_subset_accuracy(fitted, X, Y, label_sets, weight):
    predicted = fitted.target_encoder_.transform(fitted.predict(X))
    expected = accuracy_score(Y, predicted, sample_weight=weight)
    for y in (label_sets, Y, sparse.csr_matrix(Y), pd.DataFrame(Y, columns=list("abc"))[["b", "c", "a"]]):
        assert fitted.score(X, y, weight) == pytest.approx(expected)


def test_score_counts_rows_with_unknown_labels_as_wrong(fitted, X):
    y = [set(row) for row in fitted.predict(X)]
    assert fitted.score(X, y) == 1.0
    y[0], y[7] = y[0] | {"z"}, {"q"}
    with pytest.warns(UserWarning, match=r"'z', 'q'.*classes="):
        assert fitted.score(X, y) == pytest.approx(78 / 80)


def test_sparse_answers_are_sparse_in_chunks(X, Y, monkeypatch):
    clf = tiny().fit(X, sparse.csr_matrix(Y))
    whole = clf.predict(X)
    assert isinstance(whole, sparse.csr_matrix)
    monkeypatch.setattr("skml._targets._matrix._BLOCK_BYTES", 480)
    assert (clf.predict(X) != whole).nnz == 0
    np.testing.assert_array_equal(whole.toarray(), clf.predict_proba(X) >= 0.5)


def test_feature_names_are_checked(X, Y):
    frame = pd.DataFrame(X, columns=list("pqrst"))
    clf = tiny().fit(frame, Y)
    assert clf.feature_names_in_.tolist() == list("pqrst")
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(frame[list("tsrqp")])


def nan_in_x(X, Y):
    return np.where(X > 2, np.nan, X), Y


BAD = {
    "inf in X": (lambda X, Y: (np.where(X > 2, np.inf, X), Y), "Input X contains infinity"),
    "1-D X": (lambda X, Y: (X[:, 0], Y), "Expected 2D array, got 1D"),
    "rows differ": (lambda X, Y: (X[:-1], Y), r"inconsistent numbers of samples: \[79, 80\]"),
    "no y": (lambda X, Y: (X, None), "requires y to be passed"),
    "nothing known in y": (lambda X, Y: (X, np.full(Y.shape, np.nan)), r"\by\b.*NaN"),
    "other values": (lambda X, Y: (X, Y + 1), r"\by .*0 and 1.* 2\b"),
    "continuous y": (lambda X, Y: (X, X[:, 0]), "Unknown label type"),
    "3-D y": (lambda X, Y: (X, np.zeros((80, 2, 2))), r"\by .*1 or 2 dimensions.* 3\b"),
    "no labels": (lambda X, Y: (X, [set()] * 80), r"\by\b.*label.*classes="),
    "unsortable": (lambda X, Y: (X, [{1, "a"}] * 80), "sorted.*classes="),
}


@pytest.mark.parametrize(("make", "message"), BAD.values(), ids=BAD.keys())
@pytest.mark.filterwarnings("ignore:y has no observed entry")
def test_bad_data_are_refused_and_nothing_is_lost(make, message, X, Y):
    clf = tiny()
    with pytest.raises(ValueError, match=message):
        clf.fit(*make(X, Y))
    assert not [name for name in vars(clf) if name.endswith("_") and not name.startswith("_")]
    clf.fit(X, Y)
    before, proba = dict(vars(clf)), clf.predict_proba(X)
    with pytest.raises(ValueError, match=message):
        clf.fit(*make(X, Y))
    assert vars(clf) == before
    np.testing.assert_array_equal(clf.predict_proba(X), proba)


def test_another_number_of_features_is_refused(fitted, X):
    with pytest.raises(ValueError, match="X has 4 features, but KerasMultiLabelClassifier is expecting 5"):
        fitted.predict(X[:, :4])


def test_weights_that_leave_no_row_are_refused(X, Y):
    with pytest.raises(ValueError, match=r"class_weight .*weight above 0"):
        KerasMultiLabelClassifier(class_weight={0: 0.0, 1: 0.0}).fit(X, Y[:, 0])


def test_a_bad_threshold_does_not_break_the_display(X, Y):
    clf = tiny().fit(X, Y).set_params(threshold=1.5)
    assert "threshold" in clf._repr_html_()


def test_attributes_are_there_after_fit_only(X, Y):
    clf = tiny()
    assert not hasattr(clf, "threshold_")
    clf.fit(X, Y)
    for name in ("classes_", "threshold_", "n_features_in_", "n_iter_", "history_", "callbacks_"):
        assert hasattr(clf, name), name
    assert all(type(value) is float for values in clf.history_.values() for value in values)


def test_what_an_attribute_lacks_is_said(X, Y):
    with pytest.raises(AttributeError, match=r"threshold_ .*fit"):
        _ = tiny().threshold_
    with pytest.raises(AttributeError, match=r"tuned_threshold_ .* multi-label"):
        _ = tiny().fit(X, Y[:, 0]).tuned_threshold_
    with pytest.raises(AttributeError, match=r"f1_macro.* fit"):
        _ = tiny().partial_fit(X, Y).set_params(threshold="f1_macro").threshold_


def test_sparse_data_stay_sparse(run_python):
    """5,000 x 50,000 at 0.1 % with 100 labels: dense X would take 1 GB."""
    peak = run_python(
        """
import resource
import numpy as np
from scipy import sparse
from skml import KerasMultiLabelClassifier as Classifier

def matrix(rng, n_rows, n_columns, per_row):
    columns = rng.randint(0, n_columns, (n_rows, per_row), dtype=np.int32)
    columns.sort(axis=1)
    splits = np.arange(0, n_rows * per_row + 1, per_row, dtype=np.int32)
    return sparse.csr_array((np.ones(n_rows * per_row, np.float32), columns.ravel(), splits), (n_rows, n_columns))

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

rng = np.random.RandomState(0)
Classifier(epochs=1).fit(matrix(rng, 100, 10, 2), (matrix(rng, 100, 3, 1) > 0).astype(int))
before = peak()
X, Y = matrix(rng, 5_000, 50_000, 50), matrix(rng, 5_000, 100, 3)
Y.sum_duplicates(); Y.data[:] = 1
clf = Classifier(hidden_layer_sizes=8, n_members=2, epochs=1, random_state=0).fit(X, Y)
answer = clf.predict(X)
assert sparse.issparse(answer), type(answer)
print(peak() - before)
""",
        imported="keras",
    )
    assert float(peak) < 100


def test_a_display_builds_no_keras_model(fitted, monkeypatch):
    clf = pickle.loads(pickle.dumps(fitted))
    monkeypatch.setattr("skml._keras_models._ensemble.build", None)
    assert "KerasMultiLabelClassifier" in clf._repr_html_()
    with pytest.raises(TypeError):
        clf.to_keras()
