"""Thresholds for the decision_function of estimators that have no predict_proba."""

import numpy as np
import pytest
from scipy import sparse
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, Perceptron, RidgeClassifier
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.model_selection import GridSearchCV, KFold, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from skml import TunedThresholdMultiLabelClassifierCV
from skml._decisions._scale import scale_of
from skml._decisions._tuning import tune
from skml.metrics import get_scorer

SVM = OneVsRestClassifier(LinearSVC())
FOLDS = KFold(4)

EXPECTED_FAILED_CHECKS = {
    "check_classifiers_train": "the threshold is not 0, like in scikit-learn's TunedThresholdClassifierCV",
}


@parametrize_with_checks(
    [TunedThresholdMultiLabelClassifierCV(RidgeClassifier()), TunedThresholdMultiLabelClassifierCV(LinearSVC())],
    expected_failed_checks=lambda _: EXPECTED_FAILED_CHECKS,
)
@pytest.mark.filterwarnings("ignore:The least populated class in y")
def test_estimator_checks(estimator, check):
    check(estimator)


def out_of_fold_scores(estimator, X, Y):
    scores = np.empty(Y.shape)
    for train, test in FOLDS.split(X):
        scores[test] = estimator.fit(X[train], Y[train]).decision_function(X[test])
    return scores


def tuned(estimator=SVM, **params):
    return TunedThresholdMultiLabelClassifierCV(estimator, **{"cv": FOLDS} | params)


def best_by_force(y, scores, score):
    """Return the best score of all possible thresholds."""
    return max(score(y, scores >= threshold) for threshold in [*np.unique(scores), np.inf])


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3], ids=["small", "as they are", "large"])
def test_thresholds_for_scores_are_optimal(unit, X, Y):
    """A pipeline that scales X down changes the size of the scores, but must not change the decisions."""
    scores = out_of_fold_scores(SVM, X, Y)

    class Scaled(OneVsRestClassifier):
        def decision_function(self, X):
            return unit * super().decision_function(X)

    estimator = Scaled(LinearSVC())
    clf = tuned(estimator, shrinkage=None).fit(X, Y)
    by_label = [best_by_force(Y[:, j], scores[:, j], f1_score) for j in range(3)]
    assert clf.best_score_ == pytest.approx(np.mean(by_label))
    for j in range(3):
        assert f1_score(Y[:, j], unit * scores[:, j] >= clf.best_threshold_[j]) == pytest.approx(by_label[j])
    clf = tuned(estimator, scoring="f1_micro").fit(X, Y)
    assert clf.best_score_ == pytest.approx(best_by_force(Y.ravel(), scores.ravel(), f1_score))
    assert isinstance(clf.best_threshold_, float)
    clf = tuned(estimator, scoring="balanced_accuracy_macro", shrinkage=None).fit(X, Y)
    by_label = [best_by_force(Y[:, j], scores[:, j], balanced_accuracy_score) for j in range(3)]
    assert clf.best_score_ == pytest.approx(np.mean(by_label))


@pytest.mark.parametrize("scoring", ["f1_samples", "proportion", "top_k", "jaccard_macro", "f1_macro"])
@pytest.mark.parametrize("shrinkage", ["auto", 5.0])
def test_scores_that_are_log_odds_give_the_same_decisions_as_probabilities(scoring, shrinkage, X, Y):
    if shrinkage == 5.0 and "macro" not in scoring:
        pytest.skip("shrinkage is not used")
    logistic = OneVsRestClassifier(LogisticRegression())

    class WithoutProbabilities(OneVsRestClassifier):
        predict_proba = property()

    by_scores = tuned(WithoutProbabilities(LogisticRegression()), scoring=scoring, shrinkage=shrinkage).fit(X, Y)
    by_proba = tuned(logistic, scoring=scoring, shrinkage=shrinkage).fit(X, Y)
    assert by_scores.best_score_ == pytest.approx(by_proba.best_score_, abs=0.01)
    assert by_scores.best_k_ == by_proba.best_k_
    if "macro" in scoring:
        # The two differ by the bins in which Platt scaling is fitted, and by midpoints on different scales.
        np.testing.assert_allclose(expit(by_scores.best_threshold_), by_proba.best_threshold_, atol=0.02)


def test_calibration_does_not_depend_on_the_unit_of_scores(X, Y):
    scores = out_of_fold_scores(SVM, X, Y)
    thresholds = []
    for unit in (1e-4, 1.0, 1e4):
        scale = scale_of(unit * scores, are_probabilities=False)
        thresholds.append(scale.scores(tune(Y, scale.proba(unit * scores)).rule.threshold) / unit)
    np.testing.assert_allclose(thresholds[0], thresholds[1], rtol=1e-6)
    np.testing.assert_allclose(thresholds[2], thresholds[1], rtol=1e-6)


def test_the_scale_keeps_the_order_of_scores_and_zero():
    scores = np.array([-1e6, -3.0, -1e-9, 0.0, 1e-9, 3.0, 1e6])
    scale = scale_of(scores, are_probabilities=False)
    assert (np.diff(scale.proba(scores)) > 0).all()
    assert scale.proba(0.0) == 0.5
    np.testing.assert_allclose(scale.scores(scale.proba(scores)), scores, atol=1e-6)
    assert scale_of(np.zeros((2, 1)), are_probabilities=False).proba(0.0) == 0.5
    proba = np.array([0.2, 0.7])
    assert scale_of(proba, are_probabilities=True).proba(proba) is proba


def test_predict_compares_the_scores_of_the_estimator(X, Y):
    y = [{"abc"[j] for j in np.flatnonzero(row)} for row in Y]
    clf = tuned().fit(X, y)
    scores = SVM.fit(X, Y).decision_function(X)
    np.testing.assert_allclose(clf.decision_function(X), scores)
    assert clf.predict(X).tolist() == [
        tuple("abc"[j] for j in np.flatnonzero(r)) for r in scores >= clf.best_threshold_
    ]
    assert not hasattr(clf, "predict_proba")
    assert not hasattr(tuned(), "predict_proba")
    assert hasattr(tuned(LogisticRegression()), "predict_proba")
    assert 0.5 < clf.score(X, y) <= 1
    assert get_scorer("average_precision_macro")(clf, X, y) > 0.8
    with pytest.raises(AttributeError, match="predict_proba"):
        clf.predict_proba(X)


@pytest.mark.parametrize(
    "estimator",
    [RidgeClassifier(), SVM, ClassifierChain(LinearSVC()), make_pipeline(StandardScaler(), SVM)],
    ids=["ridge", "one vs rest", "chain", "pipeline"],
)
@pytest.mark.parametrize("n_labels", [1, 3])
def test_estimators_without_probabilities_are_supported(estimator, n_labels, X, Y):
    for y in (sparse.csr_array(Y[:, :n_labels]), [{"abc"[j] for j in np.flatnonzero(row[:n_labels])} for row in Y]):
        clf = tuned(estimator, cv=3, random_state=0).fit(X, y)
        assert clf.decision_function(X).shape == (80, n_labels)
        assert clf.best_threshold_.shape == (n_labels,)
        assert clf.score(X, y) > 0.4


def test_binary_y_is_tuned_as_by_scikit_learn(X, Y):
    y = np.where(Y[:, 0] == 1, "yes", "no")
    clf = tuned(LinearSVC(), shrinkage=None, cv=0.5, random_state=0).fit(X, y)
    assert isinstance(clf.best_threshold_, float)
    np.testing.assert_array_equal(clf.predict(X) == "yes", clf.decision_function(X) >= clf.best_threshold_)
    scores = out_of_fold_scores(LinearSVC(), X, Y[:, 0])
    ours = tuned(LinearSVC(), shrinkage=None).fit(X, Y[:, 0])
    assert ours.best_score_ == pytest.approx(best_by_force(Y[:, 0], scores, f1_score))
    theirs = TunedThresholdClassifierCV(LinearSVC(), scoring="f1", cv=FOLDS).fit(X, Y[:, 0])
    assert f1_score(Y[:, 0], scores >= theirs.best_threshold_) <= ours.best_score_ + 1e-12


def test_the_table_of_scores_covers_the_range_of_scores(X, Y):
    clf = tuned(scoring="f1_micro", store_cv_results=True).fit(X, Y)
    scores = out_of_fold_scores(SVM, X, Y)
    thresholds = clf.cv_results_["thresholds"]
    np.testing.assert_allclose(thresholds, np.linspace(scores.min(), scores.max(), 101))
    expected = [f1_score(Y.ravel(), scores.ravel() >= t) for t in thresholds[:-1]]
    np.testing.assert_allclose(clf.cv_results_["scores"][:-1], expected)
    assert clf.best_score_ >= clf.cv_results_["scores"].max()


def test_prefit_holdout_and_searches(X, Y):
    estimator = OneVsRestClassifier(LinearSVC()).fit(X[:40], Y[:40])
    clf = tuned(estimator, cv="prefit", refit=False, shrinkage=None).fit(X[40:], Y[40:])
    scores = estimator.decision_function(X[40:])
    expected = np.mean([best_by_force(Y[40:, j], scores[:, j], f1_score) for j in range(3)])
    assert clf.best_score_ == pytest.approx(expected)
    search = GridSearchCV(SVM, {"estimator__C": [0.1, 1.0]}, cv=2)
    assert tuned(search, cv=0.5, refit=False).fit(X, Y).score(X, Y) > 0.4
    with pytest.raises(ValueError, match=r"no oof_proba_"):
        tuned(cv="oof").fit(X, Y)


def test_a_class_that_a_fold_lacks_is_not_predicted(X):
    y = np.arange(80) >= 75  # only the last of four unshuffled folds has positives
    clf = tuned(RidgeClassifier(), shrinkage=None, cv=[(np.arange(40), np.arange(40, 80))]).fit(X, y)
    assert clf.best_score_ > 0


def test_an_estimator_without_scores_and_probabilities_is_refused(X, Y):
    class Neither(Perceptron):
        decision_function = property()

    with pytest.raises(ValueError, match=r"'predict_proba'.*'decision_function'"):
        tuned(Neither()).fit(X, Y[:, 0])
    assert not hasattr(tuned(SVC()), "predict_proba")
