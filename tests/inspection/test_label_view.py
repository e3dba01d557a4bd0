import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import DecisionBoundaryDisplay, permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import PrecisionRecallDisplay, RocCurveDisplay, roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from estimators import tiny
from forms import with_unknown
from skml import KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV
from skml.inspection import label_view

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
pyplot = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(scope="module")
def view(fitted):
    return label_view(fitted, "b")


@pytest.fixture(scope="module")
def y_b(Y):
    return Y[:, 1]


def test_it_predicts_like_the_estimator(clf, X):
    clf.set_params(threshold={"b": 0.3})
    view = label_view(clf, "b")
    proba = view.predict_proba(X)
    np.testing.assert_array_equal(proba[:, 1], clf.predict_proba(X)[:, 1])
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(view.decision_function(X), clf.decision_function(X)[:, 1])
    assert view.predict(X).tolist() == ["b" in row for row in clf.predict(X)]
    assert view.threshold_ == 0.3
    assert view.classes_.tolist() == [0, 1]
    clf.set_params(threshold=0.9)
    assert view.threshold_ == 0.9  # the view follows the estimator
    clf.set_params(max_labels=0)
    assert view.predict(X).tolist() == (proba[:, 1] >= 0.9).tolist()  # the limit on the labels of a row is ignored


def test_its_score_is_the_accuracy_of_the_label(view, X, y_b):
    assert view.score(X, y_b) == np.mean(view.predict(X) == y_b) == view.score(X, y_b.astype(bool))


@pytest.mark.parametrize(
    "estimator",
    [
        OneVsRestClassifier(LogisticRegression()),
        MLPClassifier((5,), max_iter=20),
        RandomForestClassifier(5, random_state=0),  # returns a list
        make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression())),
        GridSearchCV(OneVsRestClassifier(LogisticRegression()), {}, cv=2),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_any_multi_label_classifier_has_views_by_number(estimator, X, Y):
    estimator.fit(X, Y)
    view = label_view(estimator, 2)
    proba = estimator.predict_proba(X)
    expected = proba[2][:, 1] if isinstance(proba, list) else proba[:, 2]
    np.testing.assert_array_equal(view.predict_proba(X)[:, 1], expected)
    assert view.predict(X).tolist() == (expected >= 0.5).tolist()
    assert hasattr(view, "decision_function") == hasattr(estimator, "decision_function")
    np.testing.assert_array_equal(view.target(Y), Y[:, 2])


def test_a_tuned_threshold_is_used(X, label_sets):
    tuned = TunedThresholdMultiLabelClassifierCV(
        make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression())), random_state=0
    ).fit(X, label_sets)
    view = label_view(tuned, "c")
    assert view.threshold_ == tuned.best_threshold_[2] != 0.5
    assert view.predict(X).tolist() == ["c" in row for row in tuned.predict(X)]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_class_of_single_labels_is_compared_with_the_others(X, n_classes):
    y = np.array(["no", "yes", "maybe"])[np.digitize(X[:, 0], [0, 0.5][: n_classes - 1])]
    clf = tiny(threshold=0.4 if n_classes == 2 else 0.5).fit(X, y)
    for label in clf.classes_:
        view = label_view(clf, label)
        assert view.predict(X).tolist() == (clf.predict(X) == label).tolist()
        np.testing.assert_array_equal(view.target(y), y == label)
        assert roc_auc_score(y == label, view.decision_function(X)) == pytest.approx(
            roc_auc_score(y == label, view.predict_proba(X)[:, 1])
        )


# Tools for binary classifiers


def test_the_displays_of_scikit_learn_accept_it(view, X, y_b):
    calibration = CalibrationDisplay.from_estimator(view, X, y_b)
    np.testing.assert_array_equal(calibration.y_prob, view.predict_proba(X)[:, 1])
    roc = RocCurveDisplay.from_estimator(view, X, y_b.astype(bool), pos_label=1)
    assert roc.roc_auc == pytest.approx(roc_auc_score(y_b, view.decision_function(X)))
    precision = PrecisionRecallDisplay.from_estimator(view, X, y_b, response_method="predict_proba")
    assert precision.prevalence_pos_label == y_b.mean()


def test_the_decision_boundary_is_drawn(X, label_sets):
    frame = pd.DataFrame(X[:, :2], columns=["wind", "rain"])
    view = label_view(tiny().fit(frame, label_sets), "b")
    assert view.n_features_in_ == 2
    assert view.feature_names_in_.tolist() == ["wind", "rain"]
    for method in ("predict", "predict_proba", "decision_function"):
        display = DecisionBoundaryDisplay.from_estimator(view, frame, response_method=method, grid_resolution=5)
        assert display.response.shape == (5, 5)


def test_it_can_be_calibrated(view, X, y_b):
    calibrated = CalibratedClassifierCV(FrozenEstimator(view)).fit(X, y_b)
    assert calibrated.classes_.tolist() == [0, 1]
    proba = calibrated.predict_proba(X)[:, 1]
    assert proba.mean() == pytest.approx(y_b.mean(), abs=0.02)
    assert np.all(np.diff(proba[np.argsort(view.decision_function(X))]) >= 0)


def test_the_feature_that_matters_is_found_by_permutation(view, X, y_b):
    importance = permutation_importance(view, X, y_b, scoring="roc_auc", random_state=0).importances_mean
    assert importance.argmax() == 1
    assert permutation_importance(view, X, y_b, random_state=0).importances_mean.shape == (5,)


@pytest.mark.integrations
def test_shap_explains_it(view, X):
    shap = pytest.importorskip("shap")
    explained = shap.Explainer(view.predict_proba, X)(X[:2])
    total = explained.base_values[0, 1] + explained.values[0, :, 1].sum()
    assert total == pytest.approx(view.predict_proba(X[:1])[0, 1], abs=1e-3)


# The target


def test_the_target_is_read_from_every_form(view, Y, y_b, label_sets):
    frame = pd.DataFrame(Y, columns=list("abc"))
    for y in (label_sets, Y, sparse.csr_matrix(Y), frame, frame[["c", "b", "a"]].astype(bool)):
        target = view.target(y)
        assert target.dtype == np.int64
        np.testing.assert_array_equal(target, y_b)
    assert view.target([{"b", "new"}, {"new"}]).tolist() == [1, 0]


def test_missing_labels_are_nan_in_the_target(view, Y):
    incomplete = with_unknown(Y)
    np.testing.assert_array_equal(view.target(incomplete), incomplete[:, 1])
    np.testing.assert_array_equal(view.target(sparse.csr_array(incomplete)), incomplete[:, 1])


# A fitted estimator


def test_it_is_a_fitted_classifier_that_is_never_fitted_nor_cloned(view, X, y_b):
    assert is_classifier(view)
    assert clone(view) is view
    assert view.__sklearn_tags__().input_tags.sparse
    with pytest.raises(NotImplementedError, match=r"LabelView cannot be fitted.*FrozenEstimator\(view\)"):
        view.fit(X, y_b)
    again = pickle.loads(pickle.dumps(view))
    np.testing.assert_array_equal(again.predict_proba(X), view.predict_proba(X))
    assert "LabelView" in repr(view)
    assert "LabelView" in view._repr_html_()


def test_estimators_and_labels_without_a_view_are_refused(fitted, X, Y):
    with pytest.raises(ValueError, match=r"label.* 'a', 'b', 'c'; got 'A'"):
        label_view(fitted, "A")
    with pytest.raises(NotFittedError):
        label_view(KerasMultiLabelClassifier(), "a")
    with pytest.raises(AttributeError, match=r"OneVsRestClassifier has no predict_proba.*CalibratedClassifierCV"):
        label_view(OneVsRestClassifier(LinearSVC()).fit(X, Y), 0)


def test_the_nearest_label_is_suggested(X, Y):
    clf = tiny(epochs=1).fit(X, pd.DataFrame(Y, columns=["availability", "integrity", 3]))
    with pytest.raises(ValueError, match=r"got 'integrety'; did you mean 'integrity'\?"):
        label_view(clf, "integrety")
    with pytest.raises(ValueError, match=r"got '3'; did you mean 3\?"):
        label_view(clf, "3")
