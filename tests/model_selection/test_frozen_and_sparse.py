"""What meta-estimators get from classifiers that are frozen, answer with sparse matrices, or change rows."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC
from sklearn.utils import shuffle

from estimators import tiny
from skml import TunedThresholdMultiLabelClassifierCV
from skml._decisions._tuning import tune
from skml.inspection import label_report
from skml.metrics import get_scorer
from skml.model_selection import cross_val_predict_proba


def tuned(estimator, **params):
    return TunedThresholdMultiLabelClassifierCV(estimator, random_state=0, **params)


FROZEN = {
    "alone": FrozenEstimator,
    "last step": lambda clf: make_pipeline(FunctionTransformer(), FrozenEstimator(clf)),
    "whole pipeline": lambda clf: FrozenEstimator(make_pipeline("passthrough", clf)),
}


@pytest.mark.parametrize("freeze", FROZEN.values(), ids=FROZEN.keys())
def test_a_frozen_classifier_is_tuned_as_it_is(freeze, X, Y, label_sets, fitted):
    expected = fitted.predict_proba(X)
    np.testing.assert_allclose(cross_val_predict_proba(freeze(fitted), X, label_sets, cv=2), expected, atol=1e-6)
    clf = tuned(freeze(fitted), cv=2).fit(X, label_sets)
    np.testing.assert_allclose(clf.best_threshold_, tune(Y, expected, "f1_macro").rule.threshold, atol=1e-5)
    assert clf.predict(X)[0] == tuple(np.array(list("abc"))[expected[0] >= clf.best_threshold_])
    assert fitted.classes is None


def test_a_frozen_classifier_keeps_labels_that_y_lacks(X, label_sets, fitted):
    y = [row - {"b"} for row in label_sets]
    assert cross_val_predict_proba(FrozenEstimator(fitted), X, y, cv=2).shape == (80, 3)


@pytest.mark.parametrize("freeze", list(FROZEN.values())[:2], ids=list(FROZEN)[:2])
def test_oof_accepts_a_frozen_classifier_with_the_rows_that_it_was_fitted_to(freeze, X, Y, label_sets, fitted):
    clf = tuned(freeze(fitted), cv="oof").fit(X, label_sets)
    np.testing.assert_allclose(clf.best_threshold_, tune(Y, fitted.oof_proba_, "f1_macro").rule.threshold)
    with pytest.raises(ValueError, match=r"80 other rows .*60 rows of y"):
        tuned(freeze(fitted), cv="oof").fit(X[:60], label_sets[:60])
    with pytest.raises(ValueError, match=r"cv='oof' .*80 other rows .*frozen"):
        tuned(freeze(fitted), cv="oof").fit(X[::-1], label_sets[::-1])


class Resampling(Pipeline):
    """A Pipeline whose fit changes rows, as those of imbalanced-learn do."""

    n_rows = None

    def fit(self, X, y, **params):
        X, y = shuffle(X, y, random_state=0)
        return super().fit(X[: self.n_rows], y[: self.n_rows], **params)


@pytest.mark.parametrize("n_rows", [80, 60])
def test_oof_refuses_steps_that_change_rows(n_rows, X, Y):
    Resampling.n_rows = n_rows
    with pytest.raises(ValueError, match=rf"KerasMultiLabelClassifier is fitted.*{n_rows} other rows.*80.*cv=5"):
        tuned(Resampling([("clf", tiny(n_members=2))]), cv="oof").fit(X, Y)


def test_oof_accepts_missing_labels(X, Y):
    missing = np.where(X[:, 3:4] > 0.5, np.nan, Y)
    clf = tuned(tiny(n_members=2), cv="oof").fit(X, missing)
    expected = tune(missing, clf.estimator_.oof_proba_, "f1_macro").rule.threshold
    np.testing.assert_allclose(clf.best_threshold_, expected)


class Sparse(ClassifierMixin, BaseEstimator):
    """A classifier that answers with sparse matrices, as those of scikit-multilearn do."""

    def __init__(self, container="lil_matrix", inner=None):
        self.container = container
        self.inner = inner

    def fit(self, X, y):
        self.inner_ = OneVsRestClassifier(LogisticRegression()).fit(X, y)
        self.classes_ = self.inner_.classes_
        return self

    def predict_proba(self, X):
        return getattr(sparse, self.container)(self.inner_.predict_proba(X))

    def predict(self, X):
        return getattr(sparse, self.container)(self.inner_.predict(X))


DENSE = OneVsRestClassifier(LogisticRegression())


@pytest.mark.parametrize("container", ["lil_matrix", "csc_array"])
def test_sparse_responses_are_read_as_dense_ones(container, X, Y, label_sets):
    dense, responding = DENSE.fit(X, Y), Sparse(container).fit(X, Y)
    for name in ("f1_micro", "average_precision_macro"):
        assert get_scorer(name)(responding, X, Y) == get_scorer(name)(dense, X, Y)
    np.testing.assert_allclose(label_report(responding, X, Y), label_report(dense, X, Y))
    proba = [cross_val_predict_proba(clf, X, label_sets, cv=2, random_state=0) for clf in (responding, dense)]
    np.testing.assert_array_equal(*proba)
    clf = tuned(Sparse(container), cv=2).fit(X, Y)
    np.testing.assert_array_equal(clf.predict(X), tuned(DENSE, cv=2).fit(X, Y).predict(X))


def test_sparse_probabilities_of_two_classes_are_read(X, Y):
    clf = tuned(Sparse(), cv=2).fit(X, [{"a"} if row[0] else set() for row in Y])
    assert clf.predict_proba(X).shape == (80, 1)


def test_log_proba_is_the_logarithm_of_the_probabilities(X, Y, fitted):
    np.testing.assert_array_equal(fitted.predict_log_proba(X), np.log(fitted.predict_proba(X)))
    mlp = MLPClassifier((4,), max_iter=200, tol=0.1, random_state=0).fit(X, Y)
    clf = tuned(mlp, cv="prefit", refit=False).fit(X, Y)
    np.testing.assert_allclose(clf.predict_log_proba(X), mlp.predict_log_proba(X), rtol=1e-6)


def test_log_proba_of_the_tuner_needs_probabilities(X, Y):
    class Zero(Sparse):
        def predict_proba(self, X):
            return np.zeros((len(X), 3))

    assert (tuned(Zero(), cv=2).fit(X, Y).predict_log_proba(X) == -np.inf).all()
    assert not hasattr(tuned(OneVsRestClassifier(LinearSVC())), "predict_log_proba")
