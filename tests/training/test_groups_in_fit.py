"""Groups in fit: folds and holdout keep them together, and what is found on held-out rows holds for new groups."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from estimators import tiny
from forms import label_sets_of, with_unknown
from skml import KerasMultiLabelClassifier
from skml._decisions._tuning import guaranteed_threshold
from skml._default_network._auto import Architecture
from skml._training._dataset import Dataset
from skml._training._split import split_dataset
from skml.model_selection._stratification import folds, holdout

RNG = np.random.RandomState
GROUPS = RNG(3).permutation(np.repeat(np.arange(20), 4))


def split(Y, groups=GROUPS, n_members=4, weight=None, **params):
    dataset = Dataset(np.zeros((80, 2)), Y, weight, weight, group=groups)
    params = {"early_stopping": True, "validation_fraction": 0.2} | params
    return split_dataset(dataset, None, params, Architecture([], n_members), RNG(0))


# Which rows are held out


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array, with_unknown])
def test_the_rows_of_a_group_are_in_one_fold(container, Y):
    fold = split(container(Y)).fold
    assert np.bincount(fold).tolist() == [20] * 4
    assert len(set(zip(GROUPS, fold, strict=True))) == 20


def test_folds_of_groups_are_stratified_by_label():
    Y = np.zeros((80, 2), dtype=int)
    Y[np.isin(GROUPS, range(4)), 0], Y[np.isin(GROUPS, range(4, 12)), 1] = 1, 1
    fold = folds(np.arange(80), Y, 4, RNG(0), GROUPS)
    assert [Y[fold == j].sum(axis=0).tolist() for j in range(4)] == [[4, 8]] * 4


def test_a_holdout_holds_whole_groups(Y):
    made = split(Y, n_members=1)
    train, (held_out,) = made.rows, made.held_out.groups
    assert sorted([*train, *held_out]) == list(range(80))
    assert not set(GROUPS[train]) & set(GROUPS[held_out])
    assert 12 <= len(held_out) <= 20


def test_a_label_keeps_its_only_group_in_training():
    Y = np.zeros((80, 2), dtype=int)
    Y[::2, 0] = 1
    for group in range(20):
        Y[:, 1] = group == GROUPS
        for fraction in (0.2, 0.5):
            rows, held_out = holdout(np.arange(80), Y, fraction, RNG(0), GROUPS)
            assert Y[rows, 1].sum() == 4
            assert abs(len(held_out) - 80 * fraction) <= 4


def test_of_two_groups_the_smaller_is_held_out(Y):
    _, held_out = holdout(np.arange(80), np.ones((80, 1), int), 0.2, RNG(0), np.arange(80) // 50)
    assert held_out.tolist() == list(range(50, 80))
    own = np.eye(2, dtype=int)[np.arange(80) // 50]  # each has a label of its own, which training needs
    assert holdout(np.arange(80), own, 0.2, RNG(0), np.arange(80) // 50)[1] is None


def test_rows_of_weight_0_belong_to_no_fold(Y):
    weight = np.where(GROUPS < 2, 0.0, 1.0)
    fold = split(Y, weight=weight).fold
    assert (fold[GROUPS < 2] == -1).all()
    assert len(set(zip(GROUPS[GROUPS >= 2], fold[GROUPS >= 2], strict=True))) == 18


def test_groups_may_be_drawn_at_random(Y, monkeypatch):
    monkeypatch.setattr("skml.model_selection._stratification._FIT_SECONDS", 0)
    fold = split(Y).fold
    assert np.bincount(fold).tolist() == [20] * 4
    assert len(set(zip(GROUPS, fold, strict=True))) == 20


# What a fit learns


@pytest.fixture(scope="module")
def similar():
    """60 groups of 6 near-equal rows, whose labels have nothing to do with X: a group is known by heart, or not."""
    rng, groups = RNG(0), np.repeat(np.arange(60), 6)
    X = rng.randn(60, 8)[groups] + 0.03 * rng.randn(360, 8)
    return X, rng.permutation(np.tile([[0, 1], [1, 0], [0, 0], [1, 1]], (15, 1)))[groups], groups


def test_out_of_fold_probabilities_are_honest_for_new_groups(similar):
    X, Y, groups = similar
    params = {"hidden_layer_sizes": (32,), "n_members": 3, "epochs": 30, "learning_rate": 0.02}
    by_row, by_group = tiny(**params).fit(X, Y), tiny(**params).fit(X, Y, groups=groups)
    assert np.mean((by_row.oof_proba_ > 0.5) == Y) > 0.75
    assert np.mean((by_group.oof_proba_ > 0.5) == Y) < 0.6
    assert by_group.kept_epoch_ < by_row.kept_epoch_
    assert min(by_row.history_["val_loss"]) < 0.6 < 0.65 < min(by_group.history_["val_loss"])
    with pytest.warns(UserWarning, match="No threshold guarantees.*more groups"):
        assert by_group.set_params(threshold="precision>=0.8").threshold_ == 2
    assert by_row.set_params(threshold="precision>=0.8").threshold_ < 1


@pytest.fixture(scope="module")
def learnable(X, Y):
    """80 rows of 40 groups, 160 with their near-equal copies, and a fit."""
    X, Y, groups = np.vstack([X, X + 0.01]), np.vstack([Y, Y]), np.tile(np.arange(40), 4)
    clf = tiny(n_members=2, epochs=40, learning_rate=0.02).fit(X, Y, groups=groups)
    return X, Y, groups, clf


@pytest.mark.parametrize("name", ["precision>=0.7", "precision>=0.7 by label", "recall>=0.8"])
@pytest.mark.filterwarnings("ignore:No threshold guarantees")
def test_guarantees_count_the_groups_of_the_fit(name, learnable):
    _, Y, groups, clf = learnable
    found = clf.set_params(threshold=name).threshold_
    # With two members, the other one does not change the average that recall is tuned on.
    np.testing.assert_allclose(found, guaranteed_threshold(Y, clf.oof_proba_, name, group=groups), rtol=1e-5)
    assert np.any(found != guaranteed_threshold(Y, clf.oof_proba_, name))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clf)).threshold_, found)


def test_groups_may_be_strings_in_a_series_and_y_any_form(learnable):
    X, Y, groups, clf = learnable
    names = pd.Series([f"patient {group}" for group in groups], index=np.arange(160)[::-1])
    again = tiny(n_members=2, epochs=40, learning_rate=0.02).fit(X, label_sets_of(Y), groups=names)
    np.testing.assert_array_equal(again.oof_proba_, clf.oof_proba_)


@pytest.mark.parametrize(
    ("make_y", "params"),
    [
        (lambda Y: np.where(Y[:, 0], "yes", "no"), {"n_members": 1, "threshold": "recall>=0.7"}),
        (with_unknown, {"threshold": "recall>=0.7"}),
        (lambda Y: np.arange(160) % 3, {}),
    ],
    ids=["binary", "missing labels", "multi-class"],
)
def test_single_label_y_weights_and_missing_labels_have_groups(make_y, params, learnable):
    X, Y, groups, _ = learnable
    clf = tiny(**{"n_members": 2, "epochs": 1, "validation_fraction": 0.3} | params)
    clf.fit(X, make_y(Y), groups=groups, sample_weight=np.tile([0.0, 1, 2, 1], 40))
    assert not params or np.isfinite(clf.threshold_)


def test_the_holdout_of_a_warm_start_keeps_groups_together(learnable, monkeypatch):
    X, Y, groups, _ = learnable
    seen = []

    def spy(rows, Y, fraction, random_state, group):
        seen.append(group)
        return holdout(rows, Y, fraction, random_state, group)

    monkeypatch.setattr("skml._training._split.holdout", spy)
    clf = tiny(n_members=2, warm_start=True).fit(X, Y, groups=groups)
    clf.fit(X, Y, groups=groups)
    for group in seen:
        np.testing.assert_array_equal(group, groups)
    assert len(seen) == 2


def test_each_row_a_group_is_a_fit_with_other_folds(X, Y):
    """Nothing else changes: without held-out rows, groups change nothing at all."""
    params = {"n_members": 1, "early_stopping": False}
    plain = tiny(**params).fit(X, Y).predict_proba(X)
    np.testing.assert_array_equal(tiny(**params).fit(X, Y, groups=np.arange(80)).predict_proba(X), plain)
    clf = tiny(n_members=2).fit(X, Y, groups=np.arange(80))
    assert np.abs(clf.predict_proba(X) - tiny(n_members=2).fit(X, Y).predict_proba(X)).mean() < 0.1


# Refused


@pytest.mark.parametrize(
    ("groups", "n_members", "message"),
    [
        (GROUPS[:79], 4, r"^groups must hold one value for each of the 80 rows of X; got 79 values\. Pass"),
        ([None, *GROUPS[1:]], 4, r"^groups must name the group of each row; got None for row 0\. Give"),
        (np.arange(80) % 3, 4, r"^groups has 3 different values, .* n_members=4 .* Pass n_members=3, or divide"),
        (
            np.zeros(80),
            4,
            r"^groups has 1 different value, too few .* n_members=4 .*\. Divide the rows into more groups",
        ),
        (["one"] * 80, 1, r"^groups has a single value, and the holdout .* early_stopping=False"),
    ],
)
def test_wrong_groups_are_refused_before_training(groups, n_members, message, X, Y):
    clf = tiny(n_members=n_members, validation_fraction=0.2).fit(X, Y)
    state = dict(vars(clf))
    with pytest.raises(ValueError, match=message):
        clf.fit(X, Y, groups=groups)
    assert vars(clf) == state


def test_groups_of_weight_0_do_not_count(X, Y):
    with pytest.raises(ValueError, match=r"^groups has 3 different values"):
        tiny(n_members=4).fit(X, Y, groups=np.arange(80) % 4, sample_weight=np.arange(80) % 4 > 0)


def test_a_single_network_with_validation_data_has_no_use_for_groups(X, Y):
    with pytest.warns(UserWarning, match=r"^groups have no effect: .* X_val.* n_members=5"):
        tiny(n_members=1).fit(X, Y, X_val=X, y_val=Y, groups=GROUPS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny(n_members=2).fit(X, Y, X_val=X, y_val=Y, groups=GROUPS)


def test_partial_fit_has_no_groups(X, Y):
    with pytest.raises(TypeError, match="groups"):
        tiny().partial_fit(X, Y, groups=GROUPS)


# Metadata


def test_groups_are_routed_through_pipelines_and_searches(X, Y):
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=4, n_members=2, random_state=0)
    pipe = make_pipeline(StandardScaler(), clf)
    plain = GridSearchCV(pipe, {"kerasmultilabelclassifier__epochs": [1, 2]}, cv=GroupKFold(2))
    with sklearn.config_context(enable_metadata_routing=True):
        clf.set_fit_request(groups=True)
        search = sklearn.clone(plain).fit(X, Y, groups=GROUPS)
        clf.set_fit_request(groups=None)
        with pytest.raises(ValueError, match=r"groups.*not explicitly set as requested"):
            sklearn.clone(plain).fit(X, Y, groups=GROUPS)
    for train, test in GroupKFold(2).split(X, Y, GROUPS):
        scaled = StandardScaler().fit(X[train])
        by_hand = tiny(hidden_layer_sizes=4, n_members=2, epochs=1)
        by_hand.fit(scaled.transform(X[train]), Y[train], groups=GROUPS[train])
        score = by_hand.score(scaled.transform(X[test]), Y[test])
        assert score in [search.cv_results_[f"split{k}_test_score"][0] for k in range(2)]
    by_hand = tiny(hidden_layer_sizes=4, n_members=2, epochs=search.best_params_["kerasmultilabelclassifier__epochs"])
    X = StandardScaler().fit_transform(X)
    np.testing.assert_array_equal(by_hand.fit(X, Y, groups=GROUPS).oof_proba_, search.best_estimator_[-1].oof_proba_)
    assert np.abs(by_hand.fit(X, Y).oof_proba_ - search.best_estimator_[-1].oof_proba_).max() > 1e-3
