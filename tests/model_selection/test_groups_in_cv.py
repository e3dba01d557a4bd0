"""Groups in the tuner and in `cross_val_predict_proba`: passed to the splitter, counted by guarantees, routed."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold, LeaveOneGroupOut, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from estimators import tiny
from skml import TunedThresholdMultiLabelClassifierCV
from skml._decisions._tuning import guaranteed_threshold, tune
from skml.model_selection import MultiLabelStratifiedGroupKFold, cross_val_predict_proba

GROUPS = np.random.RandomState(3).permutation(np.repeat(np.arange(20), 4))
LOGISTIC = OneVsRestClassifier(LogisticRegression())
SPLITTER = MultiLabelStratifiedGroupKFold(4, random_state=0)


def tuned(estimator=LOGISTIC, **params):
    return TunedThresholdMultiLabelClassifierCV(estimator, **{"random_state": 0} | params)


class Recorder(ClassifierMixin, BaseEstimator):
    """A classifier whose probabilities are columns of X, and which notes the groups of each fit."""

    seen: list = []  # shared by clones

    def fit(self, X, y, groups=None, sample_weight=None):
        self.seen.append(groups)
        self.classes_ = np.arange(3)
        return self

    def predict_proba(self, X):
        return 1 / (1 + np.exp(-3 * X[:, :3]))


@pytest.fixture
def recorder():
    Recorder.seen = []
    return Recorder()


# cross_val_predict_proba


@pytest.mark.parametrize("cv", [4, GroupKFold(4), SPLITTER, LeaveOneGroupOut()], ids=lambda cv: type(cv).__name__)
@pytest.mark.parametrize("container", [np.asarray, lambda groups: pd.Series(groups).astype(str), list])
def test_folds_keep_groups_together(cv, container, X, Y):
    proba = cross_val_predict_proba(LOGISTIC, X, Y, groups=container(GROUPS), cv=cv, random_state=0)
    cv = SPLITTER if cv == 4 else cv
    groups = np.asarray(container(GROUPS))
    expected = cross_val_predict(LOGISTIC, X, Y, groups=groups, cv=cv, method="predict_proba")
    np.testing.assert_allclose(proba, expected)


def test_a_fold_by_rows_still_ignores_groups(X, Y):
    with pytest.warns(UserWarning, match="groups parameter is ignored by KFold"):
        cross_val_predict_proba(LOGISTIC, X, Y, groups=GROUPS, cv=KFold(2))


@pytest.mark.parametrize("requests", [True, False])
def test_groups_reach_the_estimator_if_it_requests_them(requests, recorder, X, Y):
    cross_val_predict_proba(recorder, X, Y, groups=GROUPS, cv=4, random_state=0)
    assert recorder.seen == [None] * 4
    recorder.seen.clear()
    with sklearn.config_context(enable_metadata_routing=True):
        recorder.set_fit_request(groups=requests, sample_weight=True)
        weight = np.arange(80.0)
        for groups, params in ((GROUPS, {}), (None, {"groups": GROUPS})):
            params = {**params, "sample_weight": weight}
            cross_val_predict_proba(recorder, X, Y, groups=groups, cv=SPLITTER, params=params)
        with pytest.raises(UnsetMetadataPassedError, match="groups"):
            cross_val_predict_proba(recorder.set_fit_request(groups=None), X, Y, groups=GROUPS, cv=4)
    for i, (train, _) in enumerate(2 * list(SPLITTER.split(X, Y, GROUPS))):
        np.testing.assert_array_equal(recorder.seen[i], GROUPS[train] if requests else None)


# The tuner


@pytest.mark.parametrize("cv", [4, GroupKFold(4), SPLITTER], ids=lambda cv: type(cv).__name__)
@pytest.mark.parametrize("scoring", ["f1_macro", "precision>=0.7", "precision>=0.7 by label", "recall>=0.8"])
@pytest.mark.filterwarnings("ignore:No threshold guarantees")
def test_thresholds_are_tuned_on_new_groups_and_count_them(cv, scoring, X, Y):
    X, Y, groups = np.vstack([X, X + 0.01]), np.vstack([Y, Y]), np.tile(np.arange(40), 4)
    found = tuned(cv=cv, scoring=scoring).fit(X, Y, groups=groups)
    proba = cross_val_predict_proba(LOGISTIC, X, Y, groups=groups, cv=cv, random_state=0)
    expected = tune(Y, proba, scoring, group=groups)
    np.testing.assert_allclose(found.best_threshold_, expected.rule.threshold)
    assert found.best_score_ == pytest.approx(expected.score, nan_ok=True)
    if "=" in scoring:
        assert np.any(found.best_threshold_ != guaranteed_threshold(Y, proba, scoring))


def test_a_float_cv_holds_whole_groups_out(X, Y, recorder, monkeypatch):
    seen = []

    def spy(Y, proba, scoring, shrinkage, weight, group, *others):
        seen.append((proba, group))
        return tune(Y, proba, scoring, shrinkage, weight, group, *others)

    monkeypatch.setattr("skml._tuned_threshold.tune", spy)
    tuned(recorder, cv=0.25, refit=False).fit(X, Y, groups=GROUPS)
    ((proba, group),) = seen
    assert len(proba) == len(group) == 20
    assert (np.bincount(group)[np.unique(group)] == 4).all()
    np.testing.assert_array_equal(recorder.seen, [None])
    with pytest.raises(ValueError, match=r"^groups has a single value, and cv=0\.25 needs"):
        tuned(recorder, cv=0.25).fit(X, Y, groups=np.zeros(80))


def test_a_fitted_estimator_is_tuned_by_groups(X, Y):
    clf = tuned(LOGISTIC.fit(X, Y), cv="prefit", refit=False, scoring="recall>=0.8").fit(X, Y, groups=GROUPS)
    expected = guaranteed_threshold(Y, LOGISTIC.predict_proba(X), "recall>=0.8", group=GROUPS)
    assert clf.best_threshold_ == expected
    weight = np.random.RandomState(0).rand(80)
    clf.fit(X, Y, groups=GROUPS, sample_weight=weight)
    assert clf.best_threshold_ == guaranteed_threshold(Y, LOGISTIC.predict_proba(X), "recall>=0.8", weight, GROUPS)


@pytest.mark.parametrize("in_pipeline", [False, True])
@pytest.mark.parametrize("routing", [False, True])
def test_oof_makes_the_folds_of_the_estimator_by_groups(in_pipeline, routing, X, Y):
    clf = tiny(n_members=2, epochs=1)
    estimator = make_pipeline(StandardScaler(), clf) if in_pipeline else clf
    by_hand = tiny(n_members=2, epochs=1).fit(StandardScaler().fit_transform(X) if in_pipeline else X, Y, groups=GROUPS)
    with sklearn.config_context(enable_metadata_routing=routing):
        if routing:
            clf.set_fit_request(groups=True)
        found = tuned(estimator, cv="oof", scoring="recall>=0.8").fit(X, Y, groups=GROUPS)
    expected = guaranteed_threshold(Y, by_hand.oof_proba_, "recall>=0.8", group=GROUPS)
    assert found.best_threshold_ == pytest.approx(expected, rel=1e-6)  # the average of two members is rounded


def test_oof_refuses_groups_that_the_estimator_does_not_request(X, Y):
    with sklearn.config_context(enable_metadata_routing=True):
        clf = tiny(n_members=2).set_fit_request(groups=False)
        with pytest.raises(ValueError, match=r"^cv='oof' .* set_fit_request\(groups=True\) on KerasMultiLabelC.* cv=5"):
            tuned(clf, cv="oof").fit(X, Y, groups=GROUPS)


@pytest.mark.parametrize("cv", [4, None, 0.25, SPLITTER, GroupKFold(2), list(SPLITTER.split(GROUPS, GROUPS, GROUPS))])
def test_routing_passes_groups_to_cv_and_to_an_estimator_that_requests_them(cv, recorder, X, Y):
    plain = tuned(recorder, cv=cv).fit(X, Y, groups=GROUPS)
    n_fits = len(recorder.seen)
    assert all(groups is None for groups in recorder.seen)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = tuned(recorder.set_fit_request(groups=True), cv=cv).fit(X, Y, groups=GROUPS)
    np.testing.assert_array_equal(routed.best_threshold_, plain.best_threshold_)
    by_fold, whole = recorder.seen[n_fits:-1], recorder.seen[-1]
    np.testing.assert_array_equal(whole, GROUPS)
    for groups in by_fold:
        assert 0 < len(groups) < 80
        if not isinstance(cv, list):
            assert len(set(groups)) * 4 == len(groups)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (GROUPS[:79], r"^groups must hold one value for each of the 80 rows of X; got 79"),
        ([None, *GROUPS[1:]], r"^groups must name the group of each row; got None for row 0"),
        (np.arange(80) % 3, r"^groups has 3 different values, fewer than n_splits=5 folds"),
    ],
)
def test_wrong_groups_are_refused(groups, message, X, Y):
    with pytest.raises(ValueError, match=message):
        tuned().fit(X, Y, groups=groups)
    with pytest.raises(ValueError, match=message):
        list(MultiLabelStratifiedGroupKFold().split(X, Y, groups))
    with pytest.raises(ValueError, match=message):
        cross_val_predict_proba(LOGISTIC, X, Y, groups=groups)
