import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from forms import COLLECTIONS, DATAFRAMES, FORMS, label_sets_of
from skml import KerasMultiLabelClassifier
from skml._decisions._tuning import score, tune
from skml._tuned_threshold import TunedThresholdMultiLabelClassifierCV
from skml.model_selection import MultiLabelStratifiedShuffleSplit, cross_val_predict_proba

BASE = OneVsRestClassifier(LogisticRegression())

EXPECTED_FAILED_CHECKS = {
    "check_classifiers_train": "the threshold is not 0.5, as with scikit-learn's TunedThresholdClassifierCV",
}


@parametrize_with_checks(
    [
        TunedThresholdMultiLabelClassifierCV(LogisticRegression()),
        TunedThresholdMultiLabelClassifierCV(
            MLPClassifier((10,), solver="lbfgs", max_iter=40, random_state=0), cv=2, shrinkage=None
        ),
    ],
    expected_failed_checks=lambda _: EXPECTED_FAILED_CHECKS,
)
@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@pytest.mark.filterwarnings("ignore:The least populated class in y")
def test_estimator_checks(estimator, check):
    check(estimator)


def tuned(estimator=BASE, **params):
    return TunedThresholdMultiLabelClassifierCV(estimator, **{"random_state": 0} | params)


@pytest.fixture(scope="module")
def fitted_tuner(X, Y):
    """Return a fitted tuner; tests must not fit it again."""
    return tuned().fit(X, Y)


@pytest.mark.parametrize("scoring", ["f1_macro", "f1_micro", "top_k"])
def test_thresholds_are_tuned_on_out_of_fold_probabilities(scoring, X, Y):
    clf = tuned(scoring=scoring).fit(X, Y)
    expected = tune(Y, cross_val_predict_proba(BASE, X, Y, random_state=0), scoring)
    np.testing.assert_allclose(clf.best_threshold_, expected.rule.threshold)
    assert clf.best_score_ == pytest.approx(expected.score)
    assert clf.best_k_ == expected.rule.max_labels
    proba = clone(BASE).fit(X, Y).predict_proba(X)
    np.testing.assert_allclose(clf.predict_proba(X), proba)
    decisions = expected.rule.decide(proba)
    np.testing.assert_array_equal(clf.predict(X), decisions)


def test_shrinkage_changes_the_thresholds(X, Y):
    thresholds = [tuned(shrinkage=shrinkage).fit(X, Y).best_threshold_ for shrinkage in ("auto", None, 10.0)]
    assert not np.allclose(thresholds[0], thresholds[1])
    assert np.ptp(thresholds[2]) < np.ptp(thresholds[1])


@pytest.mark.parametrize("form", FORMS)
def test_predict_returns_the_form_of_y(form, X, Y, fitted_tuner):
    y = FORMS[form](Y, "abc")
    clf = tuned().fit(X, y)
    predicted = clf.predict(X)
    decisions = fitted_tuner.predict(X)
    if form in COLLECTIONS:
        assert predicted.tolist() == label_sets_of(decisions, kind=tuple)
    else:
        assert sparse.issparse(predicted) == sparse.issparse(y)
        assert predicted.dtype == clf.target_encoder_.dtype_
        np.testing.assert_array_equal(predicted.toarray() if sparse.issparse(predicted) else predicted, decisions)
    assert clf.classes_.tolist() == (list("abc") if form in {**COLLECTIONS, **DATAFRAMES} else [0, 1, 2])
    assert clf.score(X, y) == np.mean((decisions == Y).all(axis=1))


def test_binary_y_has_one_threshold_for_the_second_class(X, Y):
    y = np.where(Y[:, 1] == 1, "yes", "no")
    for params in ({}, {"scoring": "f1_micro"}, {"shrinkage": None}, {"scoring": "proportion"}):
        clf = tuned(LogisticRegression(), **params).fit(X, y)
        assert isinstance(clf.best_threshold_, float)
        proba = clf.predict_proba(X)
        assert proba.shape == (80, 2)
        np.testing.assert_array_equal(clf.predict(X) == "yes", proba[:, 1] >= clf.best_threshold_)
        np.testing.assert_allclose(clf.decision_function(X), np.log(proba[:, 1] / proba[:, 0]))
        assert clf.score(X, y) == np.mean(clf.predict(X) == y)
    assert clf.classes_.tolist() == ["no", "yes"]


def test_decision_function_is_log_odds(X, fitted_tuner):
    proba = fitted_tuner.predict_proba(X)
    np.testing.assert_allclose(fitted_tuner.decision_function(X), np.log(proba / (1 - proba)))
    assert np.isfinite(tuned(KNeighborsClassifier(1)).fit(X, X[:, :2] > 0).decision_function(X)).all()


@pytest.mark.parametrize("estimator", [KNeighborsClassifier(5), make_pipeline(StandardScaler(), BASE)])
def test_any_classifier_with_probabilities_is_accepted(estimator, X, Y):
    clf = tuned(estimator).fit(X, Y)
    assert clf.predict_proba(X).shape == (80, 3)
    assert f1_score(Y, clf.predict(X), average="macro") > 0.7


def test_a_float_cv_makes_a_holdout(X, Y):
    ((train, test),) = MultiLabelStratifiedShuffleSplit(1, test_size=0.5, random_state=0).split(X, Y)
    held_out = clone(BASE).fit(X[train], Y[train])
    expected = tune(Y[test], held_out.predict_proba(X[test]), "f1_macro").rule.threshold
    for refit, rows in [(True, np.arange(80)), (False, train)]:
        clf = tuned(cv=0.5, refit=refit).fit(X, Y)
        np.testing.assert_allclose(clf.best_threshold_, expected)
        np.testing.assert_allclose(clf.predict_proba(X), clone(BASE).fit(X[rows], Y[rows]).predict_proba(X))


@pytest.mark.parametrize("cv", [3, KFold(3), list(KFold(3).split(np.zeros(80)))], ids=["int", "splitter", "splits"])
def test_cv_determines_the_folds(cv, X, Y):
    expected = tune(Y, cross_val_predict_proba(BASE, X, Y, cv=cv, random_state=0)).rule.threshold
    np.testing.assert_allclose(tuned(cv=cv).fit(X, Y).best_threshold_, expected)


@pytest.mark.parametrize("form", ["array of int", "DataFrame"])
def test_prefit_tunes_a_fitted_estimator(form, X, Y):
    estimator = clone(BASE).fit(X[:40], Y[:40])
    clf = tuned(estimator, cv="prefit", refit=False).fit(X[40:], FORMS[form](Y[40:], "abc"))
    assert clf.estimator_ is estimator
    np.testing.assert_array_equal(clf.best_threshold_, tune(Y[40:], estimator.predict_proba(X[40:])).rule.threshold)


def test_prefit_accepts_missing_labels(X, Y):
    estimator = clone(BASE).fit(X[:40], Y[:40])
    missing = np.where(X[40:, 3:4] > 0.5, np.nan, Y[40:])
    clf = tuned(estimator, cv="prefit", refit=False).fit(X[40:], missing)
    np.testing.assert_array_equal(clf.best_threshold_, tune(missing, estimator.predict_proba(X[40:])).rule.threshold)
    observed = ~np.isnan(missing[:, 0])
    assert clf.score(X[40:], missing) == np.mean((clf.predict(X[40:]) == missing).all(axis=1)[observed])


class OutOfFold(ClassifierMixin, BaseEstimator):
    """A classifier whose out-of-fold probabilities differ from its predicted probabilities."""

    n_fits = 0

    def fit(self, X, y):
        type(self).n_fits += 1
        self.classes_, self.oof_proba_ = np.arange(3), 0.5 * self.predict_proba(X)
        return self

    def predict_proba(self, X):
        return 1 / (1 + np.exp(-X[:, :3]))


@pytest.mark.parametrize("estimator", [OutOfFold(), make_pipeline("passthrough", OutOfFold())])
def test_oof_uses_the_probabilities_of_a_single_fit(estimator, X, Y):
    OutOfFold.n_fits = 0
    clf = tuned(estimator, cv="oof").fit(X, Y)
    assert OutOfFold.n_fits == 1
    np.testing.assert_array_equal(clf.best_threshold_, tune(Y, 0.5 * OutOfFold().predict_proba(X)).rule.threshold)


@pytest.mark.parametrize("as_binary", [False, True])
def test_oof_uses_the_probabilities_of_the_ensemble(as_binary, X, Y, label_sets):
    inner = KerasMultiLabelClassifier(hidden_layer_sizes=(4,), epochs=5, random_state=0)
    clf = tuned(inner, cv="oof").fit(X, Y[:, 0] if as_binary else label_sets)
    proba = clf.estimator_.oof_proba_
    expected = tune(Y[:, :1], proba[:, 1:]) if as_binary else tune(Y, proba)
    np.testing.assert_allclose(clf.best_threshold_, np.squeeze(expected.rule.threshold))
    np.testing.assert_array_equal(clf.predict_proba(X), clf.estimator_.predict_proba(X))
    assert clf.predict(X).shape == (80,)


def test_keras_classifiers_are_tuned_with_missing_labels(X, Y):
    y = pd.DataFrame(np.where(X[:, 3:4] > 0.5, np.nan, Y), columns=list("abc"))
    inner = KerasMultiLabelClassifier(hidden_layer_sizes=(4,), epochs=2, class_weight={"a": 2.0}, random_state=0)
    clf = tuned(make_pipeline(StandardScaler(), inner), cv=2).fit(X, y)
    assert clf.best_threshold_.shape == (3,)
    assert clf.classes_.tolist() == list("abc")
    assert 0 <= clf.score(X, y) <= 1
    assert inner.classes is None


def test_weights_are_used_by_the_estimator_and_by_tuning(X, Y):
    weight = np.random.RandomState(0).randint(1, 4, 80).astype(float)
    logistic = make_pipeline(StandardScaler(), LogisticRegression())
    y = Y[:, 0]
    for estimator, name in [(LogisticRegression(), "sample_weight"), (logistic, "logisticregression__sample_weight")]:
        clf = tuned(estimator, cv=0.5, refit=False).fit(X, y, **{name: weight})
        ((train, test),) = MultiLabelStratifiedShuffleSplit(1, test_size=0.5, random_state=0).split(X, y)
        inner = clone(estimator).fit(X[train], y[train], **{name: weight[train]})
        proba = inner.predict_proba(X[test])[:, 1:]
        expected = tune(y[test][:, None], proba, "f1_macro", sample_weight=weight[test])
        assert clf.best_threshold_ == pytest.approx(expected.rule.threshold[0])
        assert clf.best_score_ == pytest.approx(expected.score)


def test_metadata_is_routed(X, Y):
    y, weight, groups = Y[:, 0], np.linspace(1, 2, 80), np.arange(80) % 4
    with sklearn.config_context(enable_metadata_routing=True):
        clf = tuned(LogisticRegression().set_fit_request(sample_weight=True), cv=GroupKFold(4))
        clf.fit(X, y, sample_weight=weight, groups=groups)
        with pytest.raises(ValueError, match="sample_weight"):
            tuned(LogisticRegression()).fit(X, y, sample_weight=weight)
    splits = list(GroupKFold(4).split(X, y, groups))
    without = tuned(LogisticRegression(), cv=splits).fit(X, y, sample_weight=weight)
    assert clf.best_threshold_ == without.best_threshold_
    np.testing.assert_array_equal(clf.predict_proba(X), without.predict_proba(X))


def test_cv_results_are_the_scores_of_common_thresholds(X, Y):
    clf = tuned(cv=0.5, store_cv_results=True).fit(X, Y)
    ((train, test),) = MultiLabelStratifiedShuffleSplit(1, test_size=0.5, random_state=0).split(X, Y)
    proba = clone(BASE).fit(X[train], Y[train]).predict_proba(X[test])
    thresholds = clf.cv_results_["thresholds"]
    np.testing.assert_allclose(thresholds, np.arange(101) / 100)
    expected = [score(Y[test], proba, "f1_macro", threshold) for threshold in thresholds]
    np.testing.assert_allclose(clf.cv_results_["scores"], expected)
    assert not hasattr(tuned(cv=0.5).fit(X, Y), "cv_results_")


def test_unknown_labels_count_as_wrong_in_score(X, label_sets):
    clf = tuned().fit(X, label_sets)
    predicted = [set(row) for row in clf.predict(X)]
    with pytest.warns(UserWarning, match="'new'"):
        assert clf.score(X, [predicted[0] | {"new"}, *predicted[1:]]) == 79 / 80


def test_names_and_number_of_features_are_those_of_the_estimator(X, Y):
    clf = tuned(KNeighborsClassifier()).fit(pd.DataFrame(X, columns=list("vwxyz")), Y)
    assert clf.n_features_in_ == 5
    assert clf.feature_names_in_.tolist() == list("vwxyz")


def test_tags_are_those_of_the_estimator():
    for estimator in (LogisticRegression(), KNeighborsClassifier()):
        tags, inner = tuned(estimator).__sklearn_tags__(), estimator.__sklearn_tags__()
        assert tags.classifier_tags.multi_label == inner.classifier_tags.multi_label
        assert tags.input_tags.sparse == inner.input_tags.sparse
        assert not tags.classifier_tags.multi_class


def test_a_search_over_shrinkage_and_the_parameters_of_the_estimator(X, label_sets):
    grid = {"shrinkage": ["auto", None], "estimator__estimator__C": [0.1, 1.0]}
    search = GridSearchCV(tuned(cv=0.5), grid, cv=2).fit(X, label_sets)
    assert search.best_score_ > 0.3


BAD = {
    "scoring": ({"scoring": "f1"}, "scoring .* callable.*'f1'.*'f1_m"),
    "shrinkage": ({"shrinkage": -1}, "'shrinkage' parameter .* Got -1 instead"),
    "shrinkage without thresholds": ({"shrinkage": 1.0, "scoring": "top_k"}, "shrinkage=1.0 .*scoring='top_k'"),
    "cv": ({"cv": 1.5}, "'cv' parameter"),
    "unknown cv": ({"cv": "postfit"}, "'cv' parameter .* Got 'postfit' instead"),
    "no scores": ({"estimator": KNeighborsRegressor()}, "'predict_proba'.* 'decision_function'. Got KNeighborsRegr.*"),
    "prefit and refit": ({"cv": "prefit"}, "cv='prefit' .*refit=False"),
    "many folds": ({"cv": 3, "refit": False}, "refit=False .*cv=3 .*3 splits.*refit=True"),
    "no oof": ({"cv": "oof"}, "cv='oof' .* no oof_proba_.*KerasMultiLabelClassifier .*n_members > 1.*cv=5"),
}


@pytest.mark.parametrize(("params", "message"), BAD.values(), ids=BAD.keys())
def test_bad_parameters_are_refused(params, message, X, Y):
    with pytest.raises(ValueError, match=message):
        tuned(**params).fit(X, Y)


def test_prefit_needs_a_fitted_estimator(X, Y):
    with pytest.raises(NotFittedError):
        tuned(clone(BASE), cv="prefit", refit=False).fit(X, Y)


def test_prefit_with_another_number_of_labels_is_refused(X, Y):
    estimator = clone(BASE).fit(X, Y[:, :2])
    with pytest.raises(ValueError, match="2 columns, but y has 3 labels"):
        tuned(estimator, cv="prefit", refit=False).fit(X, Y)
    estimator = LogisticRegression().fit(X, Y[:, 0])
    with pytest.raises(ValueError, match=r"LogisticRegression .*classes \[0, 1\].* \['a', 'b'\]"):
        tuned(estimator, cv="prefit", refit=False).fit(X, np.resize(["a", "b"], 80))


def test_multi_class_y_and_top_k_with_binary_y_are_refused(X, Y):
    with pytest.raises(ValueError, match=r"Only binary classification is supported.* 3 classes"):
        tuned(LogisticRegression()).fit(X, np.arange(80) % 3)
    with pytest.raises(ValueError, match=r"scoring='top_k' .* binary y.*'f1_macro'"):
        tuned(LogisticRegression(), scoring="top_k").fit(X, Y[:, 0])


def test_other_classifiers_refuse_missing_labels(X, Y):
    with pytest.raises(ValueError, match=r"missing labels \(NaN\).* OneVsRestClassifier .*KerasMultiLabelClassifier"):
        tuned().fit(X, np.where(X[:, :1] > 0, np.nan, Y))


def test_prefit_refuses_labels_that_do_not_match_the_outputs():
    X, Y = np.random.RandomState(0).randn(60, 3), np.random.RandomState(1).randint(0, 2, (60, 3))
    fitted = OneVsRestClassifier(LogisticRegression()).fit(X, Y)
    y = label_sets_of(Y, "zyx")
    tuned = TunedThresholdMultiLabelClassifierCV(fitted, cv="prefit", refit=False)
    with pytest.raises(ValueError, match=r"outputs for 0, 1, 2.*'x', 'y', 'z'.*classes=\["):
        tuned.fit(X, y)
    assert tuned.fit(X, Y).best_threshold_.shape == (3,)


def test_a_scorer_is_refused():
    from skml.metrics import get_scorer

    X, Y = np.random.RandomState(0).randn(60, 3), np.random.RandomState(1).randint(0, 2, (60, 3))
    tuned = TunedThresholdMultiLabelClassifierCV(
        OneVsRestClassifier(LogisticRegression()), scoring=get_scorer("f1_micro")
    )
    with pytest.raises(ValueError, match=r"scoring=make_scorer.*is a scorer.*scoring\(Y, Y_pred\)"):
        tuned.fit(X, Y)
