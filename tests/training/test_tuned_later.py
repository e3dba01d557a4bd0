"""Thresholds tuned after fit, from the probabilities that it leaves."""

import copy
import pickle

import numpy as np
import pytest

import skml
from estimators import tiny
from forms import label_sets_of
from skml import KerasMultiLabelClassifier
from skml._decisions._tuning import tune

rng = np.random.RandomState(0)
X = rng.randn(200, 4)
Y = (X @ rng.randn(4, 3) + 0.5 * rng.randn(200, 3) > 1).astype(int)
SETS = label_sets_of(Y)


def fitted(y=SETS, **params):
    return KerasMultiLabelClassifier(hidden_layer_sizes=8, epochs=3, random_state=0, **params).fit(X, y)


@pytest.fixture
def clf():
    return fitted()


@pytest.mark.parametrize("name", ["f1_micro", "f1_macro"])
def test_a_name_set_on_a_fitted_estimator_acts_as_in_fit(clf, name):
    clf.set_params(threshold=name)
    np.testing.assert_array_equal(clf.threshold_, fitted(threshold=name).threshold_)
    assert clf.predict(X).tolist() == fitted(threshold=name).predict(X).tolist()
    np.testing.assert_array_equal(clf.threshold_, tune(Y, clf.oof_proba_, name).rule.threshold)


def test_predict_stores_nothing_on_the_estimator(clf):
    before = dict(vars(clf.set_params(threshold="f1_macro")))
    clf.predict(X)
    assert vars(clf) == before


def test_one_label_can_be_adjusted_without_losing_the_others(clf):
    tuned = clf.set_params(threshold="f1_macro").tuned_threshold_
    assert list(tuned) == ["a", "b", "c"]
    clf.set_params(threshold=tuned | {"b": 0.9})
    np.testing.assert_array_equal(clf.threshold_, [tuned["a"], 0.9, tuned["c"]])


def test_what_fit_tuned_is_pickled_and_what_it_did_not_tune_says_so(clf):
    loaded = pickle.loads(pickle.dumps(fitted(threshold="f1_macro")))
    np.testing.assert_array_equal(loaded.threshold_, fitted(threshold="f1_macro").threshold_)
    prefit = r"TunedThresholdMultiLabelClassifierCV\(clf, scoring='f1_micro', cv='prefit', refit=False\)"
    with pytest.raises(ValueError, match=rf"threshold='f1_micro'.*pickled.*{prefit}.*tuned_rules"):
        loaded.set_params(threshold="f1_micro").predict(X)


RULES = ["f1_micro", "precision >= .2", "recall>=0.7"]


def through_skops(clf):
    io = pytest.importorskip("skops.io")
    return io.loads(io.dumps(clf), trusted=skml.SKOPS_TRUSTED)


@pytest.mark.parametrize("copied", [lambda clf: pickle.loads(pickle.dumps(clf)), through_skops, copy.deepcopy])
def test_several_rules_are_kept_in_a_file(copied):
    clf = fitted(threshold="f1_macro", tuned_rules=RULES)
    loaded = copied(clf)
    for rule in ["f1_macro", *RULES, "precision>=0.2"]:
        clf.set_params(threshold=rule)
        np.testing.assert_array_equal(loaded.set_params(threshold=rule).threshold_, clf.threshold_)
        assert loaded.predict(X).tolist() == clf.predict(X).tolist()
    with pytest.raises(ValueError, match=r"threshold='precision>=0\.9' requires"):
        loaded.set_params(threshold="precision>=0.9").predict(X)


def test_a_fit_with_tuned_rules_is_the_same_fit(clf):
    np.testing.assert_array_equal(fitted(tuned_rules=RULES).predict_proba(X), clf.predict_proba(X))
    assert fitted(tuned_rules=RULES).threshold_ == 0.5


@pytest.mark.parametrize(
    ("params", "y", "message"),
    [
        ({"tuned_rules": "f1_micro"}, SETS, "'tuned_rules' parameter"),
        ({"tuned_rules": ["f1_micor"]}, SETS, "tuned_rules must be one of.*got 'f1_micor'.*'f1_micro'"),
        ({"tuned_rules": 3}, SETS, "'tuned_rules' parameter"),
        ({"tuned_rules": ["f1_micro"]}, Y.sum(axis=1), "tuned_rules is not supported for multi-class y"),
        (
            {"tuned_rules": ["f1_micro"], "n_members": 1, "early_stopping": False},
            SETS,
            r"tuned_rules=\['f1_micro'\] need",
        ),
    ],
)
def test_bad_tuned_rules_are_refused(params, y, message):
    with pytest.raises(ValueError, match=message):
        fitted(y, **params)


def test_tuned_rules_of_a_previous_fit_stay_in_partial_fit():
    clf = fitted(tuned_rules=["f1_micro"])
    before = copy.copy(clf).set_params(threshold="f1_micro").threshold_
    clf.partial_fit(X, SETS)
    assert clf.set_params(threshold="f1_micro").threshold_ == before
    with pytest.raises(ValueError, match=r"tuned_rules=\['f1_macro'\] needs"):
        clf.set_params(threshold=0.5, tuned_rules=["f1_micro", "f1_macro"]).partial_fit(X, SETS)


def test_a_threshold_tuned_before_partial_fit_is_said_to_be_stale():
    clf = fitted(threshold="f1_micro")
    before = clf.threshold_
    with pytest.warns(UserWarning, match="threshold='f1_micro'.*TunedThresholdMultiLabelClassifierCV"):
        clf.partial_fit(X, SETS)
    assert clf.threshold_ == before


def test_a_threshold_that_was_not_tuned_before_partial_fit_is_refused(clf):
    clf.partial_fit(X, SETS)
    with pytest.raises(ValueError, match=r"threshold='f1_micro'.*partial_fit"):
        clf.set_params(threshold="f1_micro").predict(X)


def test_a_holdout_tunes_later_too():
    clf = fitted(n_members=1).set_params(threshold="f1_micro")
    assert clf.threshold_ == fitted(n_members=1, threshold="f1_micro").threshold_


def test_two_classes_have_no_mapping_of_thresholds():
    clf = fitted(Y[:, 0])
    assert not hasattr(clf, "tuned_threshold_")
    assert 0 < clf.set_params(threshold="f1_macro").threshold_ < 1


def test_what_later_thresholds_are_found_from_cannot_be_changed_from_outside(X, Y):
    weight = np.random.RandomState(0).rand(len(X)) + 0.1
    clf, same = (tiny(n_members=4).fit(X, Y, sample_weight=weight) for _ in range(2))
    expected = same.set_params(threshold="f1_macro").threshold_
    with pytest.raises(ValueError, match="read-only"):
        clf.oof_proba_[:] = 0.5
    weight[:] = np.where(Y[:, 0], 100.0, 0.01)
    np.testing.assert_array_equal(clf.set_params(threshold="f1_macro").threshold_, expected)
