import numpy as np
import pandas as pd
import pytest
from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    ShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
    cross_val_predict,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from forms import FORMS
from skml import KerasMultiLabelClassifier
from skml.model_selection import (
    MultiLabelStratifiedKFold,
    MultiLabelStratifiedShuffleSplit,
    cross_val_predict_proba,
)

SPLITTERS = {
    "KFold": MultiLabelStratifiedKFold(4, random_state=0),
    "ShuffleSplit": MultiLabelStratifiedShuffleSplit(3, test_size=0.25, random_state=0),
}


def parts(splitter, y):
    return [test.tolist() for _, test in splitter.split(np.zeros(80), y)]


@pytest.fixture(scope="module")
def rare():
    """An indicator of 80 rows and four labels with four positives each."""
    Y = np.zeros((80, 4), dtype=int)
    for j in range(4):
        Y[np.random.RandomState(j).choice(80, 4, replace=False), j] = 1
    return Y


def test_each_label_is_equally_frequent_in_all_folds(rare):
    tests = parts(SPLITTERS["KFold"], rare)
    assert sorted(np.concatenate(tests)) == list(range(80))
    assert [rare[test].sum(axis=0).tolist() for test in tests] == 4 * [[1, 1, 1, 1]]
    assert all(len(test) == 20 for test in tests)


def test_each_label_is_equally_frequent_in_the_test_part(rare):
    for train, test in SPLITTERS["ShuffleSplit"].split(rare, rare):
        assert sorted([*train, *test]) == list(range(80))
        assert rare[test].sum(axis=0).tolist() == [1, 1, 1, 1]
        assert len(test) == 20


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("splitter", SPLITTERS.values(), ids=SPLITTERS.keys())
def test_the_split_does_not_depend_on_the_form_of_y(splitter, form, Y):
    assert parts(splitter, form(Y, "abc")) == parts(splitter, Y)


@pytest.mark.parametrize("splitter", SPLITTERS.values(), ids=SPLITTERS.keys())
def test_random_state_controls_the_split(splitter, Y):
    assert parts(splitter, Y) == parts(splitter, Y)
    other = type(splitter)(splitter.n_splits, random_state=1)
    assert parts(splitter, Y) != parts(other, Y)
    assert splitter.get_n_splits(Y, Y) == splitter.n_splits == len(parts(splitter, Y))


def test_test_size_is_kept(Y):
    for test_size, expected in [(0.1, 8), (20, 20)]:
        (test,) = parts(MultiLabelStratifiedShuffleSplit(1, test_size=test_size, random_state=0), Y)
        assert abs(len(test) - expected) <= 2


@pytest.mark.parametrize("classes", [["no", "yes"], ["a", "b", "c"]])
def test_single_label_y_is_split_by_scikit_learn(classes):
    y = np.resize(classes, 80)
    assert parts(SPLITTERS["KFold"], y) == parts(StratifiedKFold(4, shuffle=True, random_state=0), y)
    assert parts(SPLITTERS["ShuffleSplit"], y.tolist()) == parts(
        StratifiedShuffleSplit(3, test_size=0.25, random_state=0), y
    )


@pytest.mark.parametrize("splitter", SPLITTERS.values(), ids=SPLITTERS.keys())
def test_missing_labels_count_as_0(splitter, Y):
    missing = np.where(Y == 0, np.nan, Y)
    assert parts(splitter, missing) == parts(splitter, Y)
    assert parts(splitter, pd.DataFrame(missing)) == parts(splitter, Y)


@pytest.mark.parametrize("splitter", SPLITTERS.values(), ids=SPLITTERS.keys())
def test_a_single_label_is_stratified(splitter):
    y = pd.DataFrame({"a": np.arange(80) % 20 == 0})
    assert all(y["a"].to_numpy()[test].sum() == 1 for test in parts(splitter, y))


@pytest.mark.parametrize("form", ["array of int", "csr_array"])
def test_the_split_is_random_if_stratification_would_take_long(form, Y, monkeypatch):
    monkeypatch.setattr("skml.model_selection._stratification._SEARCH_SECONDS", 0)
    y = FORMS[form](Y, "abc")
    assert parts(SPLITTERS["KFold"], y) == parts(KFold(4, shuffle=True, random_state=0), Y)
    assert parts(SPLITTERS["ShuffleSplit"], y) == parts(ShuffleSplit(3, test_size=0.25, random_state=0), Y)


def test_no_part_is_empty():
    rng = np.random.RandomState(0)
    n_repaired = 0
    for seed in range(300):
        Y = rng.rand(5, 5) < 0.5
        by_library = MultilabelStratifiedShuffleSplit(1, test_size=1, random_state=seed).split(Y, Y)
        n_repaired += sum(len(test) == 0 for _, test in by_library)
        for train, test in MultiLabelStratifiedShuffleSplit(1, test_size=1, random_state=seed).split(Y, Y):
            assert len(train) > 0
            assert len(test) > 0
    assert n_repaired > 0


def test_more_folds_than_rows_are_refused():
    with pytest.raises(ValueError, match=r"number of splits n_splits=5 greater than the number of samples"):
        next(MultiLabelStratifiedKFold(5).split(np.zeros(3), np.eye(3)))


def test_a_search_accepts_the_splitters(X, Y):
    search = GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 3]}, cv=MultiLabelStratifiedKFold(3))
    assert search.fit(X, Y).score(X, Y) > 0.5
    assert repr(MultiLabelStratifiedKFold(3)) == "MultiLabelStratifiedKFold(n_splits=3, random_state=None)"


def second_columns(proba):
    return np.column_stack([p[:, 1] for p in proba])


CLASSIFIERS = {
    "OneVsRest": OneVsRestClassifier(LogisticRegression()),
    "MLP": MLPClassifier((4,), solver="lbfgs", max_iter=20, random_state=0),
    "chain": ClassifierChain(LogisticRegression()),
    "neighbours": KNeighborsClassifier(3),
    "forest": RandomForestClassifier(3, random_state=0),
    "MultiOutput": MultiOutputClassifier(LogisticRegression()),
    "Pipeline": make_pipeline(StandardScaler(), KNeighborsClassifier(3)),
}


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_each_row_is_predicted_by_a_clone_not_trained_on_it(name, X, Y):
    proba = cross_val_predict_proba(CLASSIFIERS[name], X, Y, cv=KFold(3))
    assert proba.shape == (80, 3)
    for train, test in KFold(3).split(X):
        expected = CLASSIFIERS[name].fit(X[train], Y[train]).predict_proba(X[test])
        expected = second_columns(expected) if isinstance(expected, list) else expected
        np.testing.assert_allclose(proba[test], expected)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_form_of_y_gives_the_same_probabilities(form, X, Y):
    estimator = CLASSIFIERS["OneVsRest"]
    expected = cross_val_predict_proba(estimator, X, Y, random_state=0)
    np.testing.assert_array_equal(cross_val_predict_proba(estimator, X, form(Y, "abc"), random_state=0), expected)


@pytest.mark.filterwarnings("ignore:Label .* is present in all training examples")
@pytest.mark.parametrize("name", ["OneVsRest", "neighbours", "forest"])
def test_a_column_that_is_constant_in_a_fold_is_kept(name, X, Y):
    Y = Y.copy()
    Y[:, 0], Y[:, 2] = 0, 1
    Y[3, 0], Y[3, 2] = 1, 0
    proba = cross_val_predict_proba(CLASSIFIERS[name], X, Y, cv=KFold(4))
    np.testing.assert_array_equal(
        proba[:20, [0, 2]], np.tile([0, 1], (20, 1))
    )  # the columns are constant without row 3


def test_single_label_y_gives_the_probabilities_of_the_classes(X):
    y = np.array(["a", "b", "c"])[np.arange(80) % 3]
    cv = StratifiedKFold(3)
    expected = cross_val_predict(LogisticRegression(), X, y, cv=cv, method="predict_proba")
    np.testing.assert_allclose(cross_val_predict_proba(LogisticRegression(), X, y, cv=cv), expected)
    y[:20] = "z"
    proba = cross_val_predict_proba(LogisticRegression(), X, y, cv=KFold(4))
    np.testing.assert_array_equal(proba[:20, 3], 0)  # no other row is of class "z"


@pytest.mark.parametrize("form", ["DataFrame", "sets", "CSR array"])
def test_an_indicator_of_one_label_has_one_column(form, X):
    y = (X[:, :1] > 0).astype(int)
    expected = cross_val_predict(LogisticRegression(), X, y.ravel(), cv=KFold(3), method="predict_proba")
    y = {
        "DataFrame": pd.DataFrame,
        "sets": lambda y: [{"a"} if v else set() for v in y],
        "CSR array": sparse.csr_array,
    }[form](y)
    proba = cross_val_predict_proba(LogisticRegression(), X, y, cv=KFold(3))
    np.testing.assert_allclose(proba, expected[:, 1:])


class Recorder(ClassifierMixin, BaseEstimator):
    """A classifier that records the arguments of each fit."""

    calls = []

    def fit(self, X, y, **params):
        self.calls.append((X, y, params))
        self.n_labels_ = y.shape[1]
        return self

    def predict_proba(self, X):
        return np.full((len(X), self.n_labels_), 0.5)


def recorded(X, y, **kwargs):
    Recorder.calls.clear()
    cross_val_predict_proba(Recorder(), X, y, cv=KFold(4), **kwargs)
    return Recorder.calls


@pytest.mark.parametrize("max_entries", [0, 10**6])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_classifiers_receive_an_int64_indicator(form, max_entries, X, Y, monkeypatch):
    monkeypatch.setattr("skml.model_selection._delegation._MAX_DENSE_ENTRIES", max_entries)
    for (_, y, _), (train, _) in zip(recorded(X, form(Y, "abc")), KFold(4).split(X), strict=True):
        assert y.dtype == np.int64
        assert sparse.issparse(y) == (sparse.issparse(form(Y, "abc")) and max_entries == 0)
        np.testing.assert_array_equal(y.toarray() if sparse.issparse(y) else y, Y[train])


def test_params_are_split_except_for_validation_data(X, Y):
    params = {"sample_weight": np.arange(80), "X_val": X, "last__X_val": X, "other": "unchanged"}
    for (_, _, got), (train, _) in zip(recorded(X, Y, params=params), KFold(4).split(X), strict=True):
        np.testing.assert_array_equal(got["sample_weight"], train)
        assert got["X_val"] is got["last__X_val"] is X
        assert got["other"] == "unchanged"


def test_X_may_be_a_list_of_texts():
    texts, y = 10 * ["wet rain", "dry sun", "wet sun"], 10 * [{"wet"}, {"sun"}, {"wet", "sun"}]
    pipeline = make_pipeline(CountVectorizer(), OneVsRestClassifier(LogisticRegression()))
    proba = cross_val_predict_proba(pipeline, texts, y, cv=3, random_state=0)
    assert ((proba > 0.5) == np.tile([[0, 1], [1, 0], [1, 1]], (10, 1))).all()


def test_splits_may_come_from_groups(X, Y):
    groups = np.arange(80) % 4
    splits = list(GroupKFold(4).split(X, Y, groups))
    proba = cross_val_predict_proba(KNeighborsClassifier(1), X, Y, cv=splits)
    ours = groups == 0
    np.testing.assert_array_equal(
        proba[ours], second_columns(KNeighborsClassifier(1).fit(X[~ours], Y[~ours]).predict_proba(X[ours]))
    )


def test_test_folds_that_do_not_partition_the_rows_are_refused(X, Y):
    for cv in (ShuffleSplit(2, random_state=0), 0.5):
        with pytest.raises(ValueError, match=r"cv .*80 rows in exactly one test fold; got .*KFold"):
            cross_val_predict_proba(KNeighborsClassifier(), X, Y, cv=cv)


def test_other_classifiers_refuse_missing_labels(X, Y):
    Y = np.where(X[:, :3] > 2, np.nan, Y)
    with pytest.raises(ValueError, match=r"missing labels \(NaN\).* KNeighborsClassifier .*KerasMultiLabelClassifier"):
        cross_val_predict_proba(KNeighborsClassifier(), X, Y)


def test_a_classifier_with_another_number_of_columns_is_refused(X, Y):
    class OneColumn(Recorder):
        def predict_proba(self, X):
            return np.full((len(X), 1), 0.5)

    with pytest.raises(ValueError, match=r"predict_proba of OneColumn .*1 columns.* 3 labels.*OneVsRestClassifier"):
        cross_val_predict_proba(OneColumn(), X, Y)


@pytest.fixture(scope="module")
def small():
    return KerasMultiLabelClassifier(hidden_layer_sizes=(4,), epochs=2, random_state=0)


def test_keras_classifiers_keep_the_columns_of_labels_that_a_fold_lacks(small, X, label_sets):
    y = [row | {"z"} if i < 40 else row for i, row in enumerate(label_sets)]
    small.set_params(class_weight={"z": 2.0})
    for estimator in (small, make_pipeline(StandardScaler(), small)):
        proba = cross_val_predict_proba(estimator, X, y, cv=KFold(2))
        assert proba.shape == (80, 4)
        assert proba[:40, 3].mean() < proba[40:, 3].mean()  # trained on rows without and on rows with the label
    small.set_params(class_weight=None)
    assert small.classes is None


def test_keras_classifiers_are_trained_on_missing_labels(small, X, Y):
    missing = pd.DataFrame(np.where(X[:, 3:4] > 0, np.nan, Y), columns=list("abc"))
    proba = cross_val_predict_proba(small, X, missing[["a"]], cv=2, random_state=0)
    assert proba.shape == (80, 1)
    assert cross_val_predict_proba(small, X, missing, cv=2, random_state=0).shape == (80, 3)


def test_keras_classifiers_keep_the_classes_that_a_fold_lacks(small, X):
    y = np.repeat(["b", "a"], 40)
    y[:20] = "c"
    proba = cross_val_predict_proba(small, X, y, cv=KFold(4))
    assert proba.shape == (80, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
