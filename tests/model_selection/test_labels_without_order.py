"""Labels that cannot be sorted, y with few labels or none, and prefit estimators with other names of the columns."""

import enum

import numpy as np
import pytest
from scipy import sparse
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from skml import KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV
from skml.model_selection import (
    MultiLabelStratifiedKFold,
    MultiLabelStratifiedShuffleSplit,
    cross_val_predict_proba,
)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"
    GREEN = "green"


SPACES = {"an Enum": [Colour.RED, Colour.BLUE, Colour.GREEN], "mixed types": ["a", 1, ("b", 2.0)]}
BASE = OneVsRestClassifier(LogisticRegression())
SPLITTERS = [
    MultiLabelStratifiedKFold(4, random_state=0),
    MultiLabelStratifiedShuffleSplit(4, test_size=0.25, random_state=0),
]


def named(Y, labels):
    return [{labels[j] for j in np.flatnonzero(row)} for row in Y]


@pytest.mark.parametrize("labels", SPACES.values(), ids=SPACES)
def test_classes_give_the_order_of_labels_that_cannot_be_sorted(labels, X, Y):
    y = named(Y, labels)
    clf = TunedThresholdMultiLabelClassifierCV(BASE, classes=labels, random_state=0).fit(X, y)
    plain = TunedThresholdMultiLabelClassifierCV(BASE, cv=list(SPLITTERS[0].split(X, y))).fit(X, Y)
    assert clf.classes_.tolist() == labels
    np.testing.assert_array_equal(clf.predict_proba(X), plain.predict_proba(X))
    assert clf.score(X, y) > 0.5
    folds = list(SPLITTERS[0].split(X, y))
    proba = cross_val_predict_proba(BASE, X, y, cv=folds, classes=labels)
    np.testing.assert_array_equal(proba, cross_val_predict_proba(BASE, X, Y, cv=folds))


@pytest.mark.parametrize("labels", SPACES.values(), ids=SPACES)
def test_the_error_without_classes_names_a_parameter_that_exists(labels, X, Y):
    y = named(Y, labels)
    for use in (
        TunedThresholdMultiLabelClassifierCV(BASE).fit,
        lambda X, y: cross_val_predict_proba(BASE, X, y),
        KerasMultiLabelClassifier().fit,
    ):
        with pytest.raises(ValueError, match=r"sort.*classes=\["):
            use(X, y)


def test_the_classes_of_the_estimator_give_the_order(X, Y):
    labels = SPACES["an Enum"]
    inner = KerasMultiLabelClassifier(hidden_layer_sizes=4, epochs=1, n_members=1, classes=labels, random_state=0)
    y = named(Y, labels)
    clf = TunedThresholdMultiLabelClassifierCV(inner, cv=0.5).fit(X, y)
    assert clf.classes_.tolist() == labels
    assert cross_val_predict_proba(inner, X, y, cv=2).shape == (80, 3)
    with pytest.raises(ValueError, match=r"classes=\[.*\] .* classes of the estimator, \["):
        TunedThresholdMultiLabelClassifierCV(inner, classes=labels[::-1]).fit(X, y)


@pytest.mark.filterwarnings("ignore:Label not 0 is present")
def test_classes_add_a_column_for_a_label_that_does_not_occur(X, Y):
    y = named(Y, "abc")
    proba = cross_val_predict_proba(BASE, X, y, cv=2, random_state=0, classes=["never", "a", "b", "c"])
    assert proba.shape == (80, 4)
    assert not proba[:, 0].any()
    with pytest.raises(ValueError, match=r"labels .*not in classes.*'c'"):
        TunedThresholdMultiLabelClassifierCV(BASE, classes=["a", "b"]).fit(X, y)


@pytest.mark.parametrize("splitter", SPLITTERS, ids=["folds", "splits"])
@pytest.mark.parametrize("labels", SPACES.values(), ids=SPACES)
def test_stratification_does_not_sort_labels(splitter, labels, X, Y):
    for _, test in splitter.split(X, named(Y, labels)):
        np.testing.assert_allclose(Y[test].mean(axis=0), Y.mean(axis=0), atol=0.06)
    y = [("a", 1)[value] for value in Y[:, 0]]
    for mixed in (y, np.array(y, dtype=object)):
        for _, test in splitter.split(X, mixed):
            np.testing.assert_allclose(Y[test, 0].mean(), Y[:, 0].mean(), atol=0.06)


def test_splits_of_unsortable_labels_are_reproducible_across_processes(run_python):
    code = """
import enum, numpy as np
from skml.model_selection import MultiLabelStratifiedKFold
Colour = enum.Enum("Colour", "RED BLUE GREEN")
rng = np.random.RandomState(0)
y = [{label for label in [*Colour, "a", 1] if rng.rand() < 0.4} for _ in range(40)]
print([test.tolist() for _, test in MultiLabelStratifiedKFold(3, random_state=0).split(y, y)])
"""
    # One with the hash seed of the tests, or a random one, and one with a given seed.
    assert run_python(code, imported="sklearn") == run_python(code, PYTHONHASHSEED="123")


FEW = {
    "one class": ["a"] * 80,
    "one number": np.ones(80, dtype=int),
    "no label": [()] * 80,
    "no positive": np.zeros((80, 3), dtype=int),
    "no column": np.zeros((80, 0), dtype=int),
    "one label": [{"a"}] * 80,
    "a sparse column": sparse.csr_array(np.ones((80, 1))),
    "nothing observed": np.full((80, 2), np.nan),
}


@pytest.mark.parametrize("splitter", SPLITTERS, ids=["folds", "splits"])
@pytest.mark.parametrize("y", FEW.values(), ids=FEW)
def test_y_with_one_class_or_without_labels_is_split(splitter, y, X):
    tests = [test for _, test in splitter.split(X, y)]
    assert len(tests) == 4
    assert all(18 <= len(test) <= 22 for test in tests)
    if isinstance(splitter, MultiLabelStratifiedKFold):
        assert sorted(np.concatenate(tests)) == list(range(80))


@pytest.mark.parametrize("names", [("b", "a", "c"), (2, 0, 1), (True, False), (0.0, 1.0)])
def test_single_label_y_is_split_as_by_scikit_learn(names, X):
    y = np.array(names)[np.random.RandomState(0).randint(len(names), size=80)]
    theirs = StratifiedKFold(4, shuffle=True, random_state=0), StratifiedShuffleSplit(4, test_size=0.25, random_state=0)
    for ours, splitter in zip(SPLITTERS, theirs, strict=True):
        for given in (y, y.tolist(), y.astype(object) if y.dtype.kind == "U" else y):
            for split, expected in zip(ours.split(X, given), splitter.split(X, y), strict=True):
                np.testing.assert_array_equal(split[1], expected[1])


def test_continuous_y_is_refused(X):
    with pytest.raises(ValueError, match=r"continuous"):
        list(SPLITTERS[0].split(X, X[:, 0]))


@pytest.mark.parametrize("form", ["classes", "sets"])
def test_test_size_none_is_that_of_scikit_learn(form, X, Y):
    y = Y[:, 0] if form == "classes" else named(Y, "abc")
    for none, tenth in zip(
        MultiLabelStratifiedShuffleSplit(2, test_size=None, random_state=0).split(X, y),
        MultiLabelStratifiedShuffleSplit(2, test_size=0.1, random_state=0).split(X, y),
        strict=True,
    ):
        np.testing.assert_array_equal(none[1], tenth[1])


FORESTS = {
    "forest": RandomForestClassifier(5, random_state=0),
    "tree": DecisionTreeClassifier(max_depth=3, random_state=0),
    "neighbours": KNeighborsClassifier(),
    "outputs": MultiOutputClassifier(LogisticRegression()),
    "dummy": DummyClassifier(),
    "pipeline": make_pipeline("passthrough", KNeighborsClassifier()),
}


@pytest.mark.parametrize("estimator", FORESTS.values(), ids=FORESTS)
def test_classes_name_the_columns_of_a_prefit_estimator(estimator, X, Y):
    estimator.fit(X[:40], Y[:40])
    y = named(Y[40:], "abc")
    message = r"outputs for 0, 1, 2.* labels 'a', 'b', 'c'.*classes=\[\.\.\.\], or pass y as the indicator"
    with pytest.raises(ValueError, match=message):
        TunedThresholdMultiLabelClassifierCV(estimator, cv="prefit", refit=False).fit(X[40:], y)
    clf = TunedThresholdMultiLabelClassifierCV(estimator, cv="prefit", refit=False, classes=list("abc"))
    clf.fit(X[40:], y)
    plain = TunedThresholdMultiLabelClassifierCV(estimator, cv="prefit", refit=False).fit(X[40:], Y[40:])
    np.testing.assert_array_equal(clf.best_threshold_, plain.best_threshold_)
    assert clf.predict(X).tolist() == [tuple("abc"[j] for j in np.flatnonzero(row)) for row in plain.predict(X)]
    numbered = TunedThresholdMultiLabelClassifierCV(estimator, cv="prefit", refit=False)
    np.testing.assert_array_equal(numbered.fit(X[40:], named(Y[40:], range(3))).best_threshold_, plain.best_threshold_)


COLUMNS = {
    "chain": ClassifierChain(LogisticRegression()),
    "outputs": MultiOutputClassifier(LogisticRegression()),
    "pipeline": make_pipeline("passthrough", ClassifierChain(LogisticRegression())),
    "one vs rest": BASE,
    "neighbours": KNeighborsClassifier(5),
}


@pytest.mark.parametrize("estimator", COLUMNS.values(), ids=COLUMNS)
def test_a_single_label_is_learned(estimator, X, Y):
    y = [{"a"} if value else set() for value in Y[:, 0]]
    folds = list(SPLITTERS[0].split(X, y))
    expected = np.empty(80)
    for train, test in folds:
        binary = KNeighborsClassifier(5) if estimator is COLUMNS["neighbours"] else LogisticRegression()
        expected[test] = binary.fit(X[train], Y[train, 0]).predict_proba(X[test])[:, 1]
    np.testing.assert_allclose(cross_val_predict_proba(estimator, X, y, cv=folds)[:, 0], expected)
    clf = TunedThresholdMultiLabelClassifierCV(estimator, cv=folds).fit(X, y)
    assert clf.predict_proba(X).shape == (80, 1)
    assert clf.score(X, y) > 0.7
    assert set(clf.predict(X)) == {(), ("a",)}
