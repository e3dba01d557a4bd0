"""The splitter that keeps groups together, compared with scikit-learn's, and groups passed to splitters without use."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from forms import FORMS
from skml._targets._groups import group_codes
from skml.model_selection import (
    MultiLabelStratifiedGroupKFold,
    MultiLabelStratifiedKFold,
    MultiLabelStratifiedShuffleSplit,
)
from skml.model_selection._groups import parts_of_groups

GROUPS = np.random.RandomState(3).permutation(np.repeat(np.arange(20), 4))


def folds_of(y, groups=GROUPS, n_splits=4, seed=0):
    """Return the test rows of each fold."""
    splitter = MultiLabelStratifiedGroupKFold(n_splits, random_state=seed)
    return [test.tolist() for _, test in splitter.split(np.zeros(len(groups)), y, groups)]


# Balance


def test_groups_stay_together_and_labels_are_equally_frequent():
    """20 groups of 4 rows and two rare labels, each in four groups."""
    Y = np.zeros((80, 3), dtype=int)
    Y[np.isin(GROUPS, range(4)), 0] = 1
    Y[np.isin(GROUPS, range(4, 8)), 1] = 1
    Y[np.isin(GROUPS, range(8, 20)), 2] = 1
    splits = list(MultiLabelStratifiedGroupKFold(4, random_state=0).split(Y, Y, GROUPS))
    assert sorted(np.concatenate([test for _, test in splits])) == list(range(80))
    for train, test in splits:
        assert sorted([*train, *test]) == list(range(80))
        assert not set(GROUPS[train]) & set(GROUPS[test])
        assert Y[test].sum(axis=0).tolist() == [4, 4, 12]


def deviation(folds, y, n_classes):
    """Return the standard deviation over folds of the share of each class, and of the rows."""
    counts = np.array([[*np.bincount(y[test], minlength=n_classes), len(test)] for test in folds])
    return (counts / counts.sum(axis=0)).std(axis=0)


@pytest.mark.parametrize("kind", ["equal sizes", "unequal sizes", "one class for each group"])
def test_single_label_y_is_balanced_as_by_scikit_learn(kind):
    ours, theirs = [], []
    for seed in range(15):
        rng = np.random.RandomState(seed)
        sizes = np.full(60, 8) if kind == "equal sizes" else rng.geometric(0.1, 60)
        groups = np.repeat(np.arange(60), sizes)
        y = rng.choice(3, len(groups), p=[0.6, 0.3, 0.1])
        y = y[np.searchsorted(groups, groups)] if kind == "one class for each group" else y
        splitter = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a class may have few members
            theirs.append(deviation([test for _, test in splitter.split(y, y, groups)], y, 3))
        ours.append(deviation(folds_of(y, groups, 5, seed), y, 3))
    ours, theirs = np.mean(ours, axis=0), np.mean(theirs, axis=0)
    assert ours.mean() <= 1.02 * theirs.mean()
    assert ours[:3].mean() <= 1.05 * theirs[:3].mean()
    assert ours[3] <= theirs[3]


def test_groups_of_one_row_are_balanced_as_rows():
    ours, by_row = [], []
    for seed in range(5):
        rng = np.random.RandomState(seed)
        Y = (rng.rand(400, 10) < np.geomspace(0.3, 0.02, 10)).astype(int)
        splitter = MultiLabelStratifiedKFold(5, random_state=seed)
        for found, folds in (
            (ours, folds_of(Y, np.arange(400), 5, seed)),
            (by_row, [test for _, test in splitter.split(Y, Y)]),
        ):
            found.append(np.array([Y[test].mean(axis=0) / Y.mean(axis=0) for test in folds]).std(axis=0).mean())
    assert np.mean(ours) <= 1.05 * np.mean(by_row)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_the_split_does_not_depend_on_the_form_of_y(form, Y):
    assert folds_of(form(Y, "abc")) == folds_of(Y)


def test_missing_labels_count_as_0_and_y_may_have_no_labels(Y):
    assert folds_of(np.where(Y == 0, np.nan, Y)) == folds_of(Y)
    assert [len(test) for test in folds_of([set()] * 80)] == [20] * 4
    assert [len(test) for test in folds_of(np.zeros(80, dtype=int))] == [20] * 4


def test_a_group_of_most_rows_leaves_no_fold_empty(Y):
    groups = np.r_[np.zeros(60, int), np.arange(1, 21)]
    tests = folds_of(Y, groups)
    assert list(range(60)) in tests
    assert min(map(len, tests)) >= 6
    assert sorted(map(len, folds_of(Y, np.arange(80) // 20, 4))) == [20] * 4


@pytest.mark.parametrize("make_Y", [np.asarray, sparse.csr_array])
def test_groups_are_drawn_at_random_if_stratification_would_take_long(make_Y, Y, monkeypatch):
    monkeypatch.setattr("skml.model_selection._stratification._SEARCH_SECONDS", 0)
    tests = folds_of(make_Y(Y))
    assert [len(test) for test in tests] == [20] * 4
    assert sorted(np.concatenate(tests)) == list(range(80))
    for test in tests:
        assert np.isin(GROUPS, GROUPS[test]).sum() == 20


def test_unequal_shares_are_kept():
    rng = np.random.RandomState(0)
    Y, groups = (rng.rand(3000, 4) < 0.2).astype(int), rng.randint(0, 500, 3000)
    part = parts_of_groups(Y, groups, [0.9, 0.1], rng, seconds=10)
    assert (part == 1).mean() == pytest.approx(0.1, abs=0.005)
    np.testing.assert_allclose(Y[part == 1].sum(axis=0) / Y.sum(axis=0), 0.1, atol=0.01)


# Which groups, and which order


@pytest.mark.parametrize("n_splits", [2, 4])
def test_random_state_controls_the_split(n_splits, Y):
    assert folds_of(Y, n_splits=n_splits) == folds_of(Y, n_splits=n_splits)
    assert folds_of(Y, n_splits=n_splits) != folds_of(Y, n_splits=n_splits, seed=1)
    splitter = MultiLabelStratifiedGroupKFold(n_splits, random_state=7)
    assert splitter.get_n_splits(Y, Y, GROUPS) == n_splits
    assert repr(clone(splitter, safe=False)) == f"MultiLabelStratifiedGroupKFold(n_splits={n_splits}, random_state=7)"


NAMES = {
    "list of str": lambda codes: [f"patient {code}" for code in codes],
    "tuples": lambda codes: [("ward", code) for code in codes.tolist()],
    "mixed": lambda codes: [code if code % 2 else str(code) for code in codes.tolist()],
    "floats": lambda codes: -1.5 * codes,
    "array of str": lambda codes: codes.astype(str),
    "dates": lambda codes: pd.Timestamp("2020-01-01") + pd.to_timedelta(codes, "D"),
    "Series": lambda codes: pd.Series(codes, index=["same"] * len(codes)),
    "Categorical": lambda codes: pd.Series(codes.astype(str)).astype("category"),
    "nullable": lambda codes: pd.Series(codes, dtype="Int64"),
    "polars": lambda codes: pl.Series(codes.astype(str)),
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_of_groups_are_only_names(name, Y):
    assert folds_of(Y, name(GROUPS)) == folds_of(Y)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (GROUPS[:79], r"^groups must hold one value for each of the 80 rows of X; got 79 values\. Pass"),
        ([*GROUPS[:79], None], r"^groups must name the group of each row; got None for row 79\. Give"),
        (np.where(GROUPS == 0, np.nan, GROUPS), r"^groups must name .* got nan for row \d+"),
        (pd.Series([*GROUPS[:79], None], dtype="Int64"), r"^groups must name .* got <NA> for row 79"),
        (pd.Series(pd.to_datetime(["2020"] * 79 + [None])), r"^groups must name .* got NaT for row 79"),
        (pl.Series([None] * 80), r"^groups must name .* got None for row 0"),
        (GROUPS[:, None], r"^groups must be one-dimensional; got the shape \(80, 1\)\. Pass one column"),
        ([[code] for code in GROUPS], r"^groups must hold hashable values.*unhashable type: 'list'"),
        ("patient", r"^groups must be an array-like with one value for each row; got 'patient'\. Pass the column"),
        (set(range(80)), r"^groups must be an array-like .*; got \{0, 1, 2, 3, 4, 5, \.\.\.\}\. Pass"),
        (dict.fromkeys(range(80)), r"^groups must be an array-like"),
        (np.ma.array(GROUPS, mask=GROUPS == 0), r"^groups is a masked array with 4 masked values"),
    ],
    ids=str,
)
def test_wrong_groups_are_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        group_codes(groups, 80)


def test_too_few_groups_or_none_are_refused(Y):
    with pytest.raises(ValueError, match=r"^groups has 2 different values, fewer than n_splits=4 folds\. Use fewer"):
        folds_of(Y, np.arange(80) % 2)
    with pytest.raises(ValueError, match=r"groups is None\. Pass split\(X, y, groups\), or use MultiLabelStratifiedK"):
        list(MultiLabelStratifiedGroupKFold(4).split(Y, Y))
    with pytest.raises(ValueError, match="n_splits=1"):
        folds_of(Y, n_splits=1)


# Beside scikit-learn


def test_it_is_a_splitter_of_scikit_learn(X, Y):
    splitter = MultiLabelStratifiedGroupKFold(4, random_state=0)
    proba = cross_val_predict(LogisticRegression(), X, Y[:, 0], groups=GROUPS, cv=splitter, method="predict_proba")
    for train, test in splitter.split(X, Y[:, 0], GROUPS):
        by_hand = LogisticRegression().fit(X[train], Y[train, 0]).predict_proba(X[test])
        np.testing.assert_allclose(proba[test], by_hand)
    grid = {"n_neighbors": [1, 3]}
    plain = GridSearchCV(KNeighborsClassifier(), grid, cv=splitter).fit(X, Y, groups=GROUPS)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = GridSearchCV(KNeighborsClassifier(), grid, cv=splitter).fit(X, Y, groups=GROUPS)
    by_hand = GridSearchCV(KNeighborsClassifier(), grid, cv=list(splitter.split(X, Y, GROUPS))).fit(X, Y)
    for search in (plain, routed):
        np.testing.assert_array_equal(search.cv_results_["mean_test_score"], by_hand.cv_results_["mean_test_score"])


@pytest.mark.parametrize("splitter", [MultiLabelStratifiedKFold(2), MultiLabelStratifiedShuffleSplit(2)])
def test_splitters_that_ignore_groups_say_so(splitter, Y):
    name = type(splitter).__name__
    with pytest.warns(UserWarning, match=rf"^The groups parameter is ignored by {name}.*MultiLabelStratifiedGroupKF"):
        assert len(list(splitter.split(Y, Y, GROUPS))) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(splitter.split(Y, Y))
