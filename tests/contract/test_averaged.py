"""The average of several classifiers: weights, forms of y, missing labels, thresholds, scikit-learn's contract."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, ShuffleSplit, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from estimators import tiny
from forms import COLLECTIONS, DATAFRAMES, FORMS, label_sets_of, with_unknown
from skml import AveragedMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV
from skml._decisions._tuning import tune
from skml.metrics import get_scorer, log_loss
from skml.model_selection import MultiLabelStratifiedKFold, cross_val_predict_proba

LINEAR = LogisticRegression()
TREES = ExtraTreesClassifier(10, min_samples_leaf=3, random_state=0)
PAIR = [("linear", LINEAR), ("trees", TREES)]


@parametrize_with_checks(
    [
        AveragedMultiLabelClassifier([("linear", LINEAR), ("bayes", GaussianNB())], cv=2),
        AveragedMultiLabelClassifier([("linear", LINEAR), ("other", LogisticRegression(C=0.1))], weights=[1, 2]),
    ],
)
@pytest.mark.filterwarnings("ignore:The least populated class in y")
@pytest.mark.filterwarnings("ignore:divide by zero encountered in log")  # of GaussianNB, for a class of weight 0
def test_estimator_checks(estimator, check):
    check(estimator)


def averaged(estimators=PAIR, **params):
    return AveragedMultiLabelClassifier(estimators, **{"random_state": 0} | params)


@pytest.fixture(scope="module")
def pair(X, Y):
    """Return a fitted average; tests must not change it."""
    return averaged(cv=3).fit(X, Y)


def each_label(X, Y, X_test):
    """Return the probabilities of one logistic regression per label."""
    return np.column_stack([clone(LINEAR).fit(X, column).predict_proba(X_test)[:, 1] for column in Y.T])


def forest(X, Y, X_test):
    return np.column_stack([p[:, 1] for p in clone(TREES).fit(X, Y).predict_proba(X_test)])


# The average and its weights


@pytest.mark.parametrize(
    ("weights", "shares"), [([1, 3], (0.25, 0.75)), (None, (0.5, 0.5)), (np.array([0, 2]), (0, 1))]
)
def test_probabilities_are_the_weighted_average(weights, shares, X, Y):
    clf = averaged(weights=weights).fit(X, Y)
    assert clf.weights_.tolist() == list(shares)
    expected = shares[0] * each_label(X, Y, X) + shares[1] * forest(X, Y, X)
    np.testing.assert_allclose(clf.predict_proba(X), expected, rtol=1e-12)
    np.testing.assert_array_equal(clf.predict(X), (expected >= 0.5).astype(int))
    np.testing.assert_allclose(clf.decision_function(X), np.log(expected / (1 - expected)))
    np.testing.assert_allclose(clf.predict_log_proba(X), np.log(expected))
    assert clf.score(X, Y) == np.mean(((expected >= 0.5) == Y).all(axis=1))


@pytest.mark.parametrize("target", ["binary", "multi-class"])
def test_single_label_y_is_averaged_as_by_voting_classifier(target, X, Y):
    y = np.where(Y[:, 0] == 1, "yes", "no") if target == "binary" else Y[:, :2].sum(axis=1)
    ours = averaged(weights=[1, 2]).fit(X, y)
    theirs = VotingClassifier(PAIR, voting="soft", weights=[1, 2]).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X))
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert ours.score(X, y) == theirs.score(X, y)
    assert ours.decision_function(X).shape == ((80,) if target == "binary" else (80, 3))


def test_out_of_fold_probabilities_are_those_of_the_folds(pair, X, Y):
    folds = list(MultiLabelStratifiedKFold(3, random_state=0).split(X, Y))
    expected = np.zeros((80, 3))
    for train, test in folds:
        parts = each_label(X[train], Y[train], X[test]), forest(X[train], Y[train], X[test])
        expected[test] = pair.weights_[0] * parts[0] + pair.weights_[1] * parts[1]
    np.testing.assert_allclose(pair.oof_proba_, expected)
    proba = pair.weights_[0] * each_label(X, Y, X) + pair.weights_[1] * forest(X, Y, X)
    np.testing.assert_allclose(pair.predict_proba(X), proba)


def test_out_of_fold_probabilities_of_single_label_y_are_those_of_cross_val_predict(X, Y):
    y, folds = Y[:, :2].sum(axis=1), KFold(4)
    clf = averaged(cv=folds).fit(X, y)
    parts = [cross_val_predict(estimator, X, y, cv=folds, method="predict_proba") for _, estimator in PAIR]
    np.testing.assert_allclose(clf.oof_proba_, clf.weights_[0] * parts[0] + clf.weights_[1] * parts[1])
    losses = [loss_of_classes(y, w * parts[0] + (1 - w) * parts[1]) for w in np.linspace(0, 1, 201)]
    assert loss_of_classes(y, clf.oof_proba_) <= min(losses) + 1e-9


def loss_of_classes(y, proba):
    return -np.log(np.clip(proba[np.arange(len(y)), y], np.finfo(np.float32).eps, 1)).mean()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("missing", [False, True])
def test_no_weights_on_a_fine_grid_have_a_smaller_loss(weighted, missing, X, Y):
    y = with_unknown(Y) if missing else Y
    weight = np.random.RandomState(3).randint(1, 5, 80).astype(float) if weighted else None
    three = [*PAIR, ("bayes", GaussianNB())]
    clf = averaged(three, cv=3).fit(X, y, sample_weight=weight)
    parts = [averaged([pair], cv=3).fit(X, y, sample_weight=weight).oof_proba_ for pair in three]
    np.testing.assert_allclose(clf.oof_proba_, np.tensordot(clf.weights_, parts, axes=1))

    def loss(weights):
        return log_loss(y, np.tensordot(weights, parts, axes=1), sample_weight=weight)

    grid = [(a, b, 1 - a - b) for a in np.linspace(0, 1, 21) for b in np.linspace(0, 1 - a, 21)]
    assert loss(clf.weights_) <= min(map(loss, grid)) + 1e-6
    assert clf.weights_.sum() == pytest.approx(1)
    assert clf.weights_.min() >= 0


def test_a_classifier_that_adds_nothing_gets_no_weight(X, Y):
    clf = averaged([("linear", LINEAR), ("prior", DummyClassifier())], cv=3).fit(X, Y)
    assert clf.weights_.tolist() == [1, 0]
    np.testing.assert_array_equal(clf.predict_proba(X), each_label(X, Y, X))


class CountsFits(ClassifierMixin, BaseEstimator):
    """A classifier that counts its fits, and may leave out-of-fold probabilities."""

    n_fits = 0

    def __init__(self, has_oof=True):
        self.has_oof = has_oof

    def fit(self, X, y):
        type(self).n_fits += 1
        self.classes_ = np.arange(np.shape(y)[1])
        if self.has_oof:
            self.oof_proba_ = np.full(np.shape(y), 0.25)
        return self

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 0.75)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


@pytest.mark.parametrize(("has_oof", "n_fits", "oof"), [(True, 1, 0.25), (False, 4, 0.75)])
def test_out_of_fold_probabilities_that_a_fit_leaves_are_used(has_oof, n_fits, oof, X, Y):
    CountsFits.n_fits = 0
    clf = averaged([("only", make_pipeline("passthrough", CountsFits(has_oof)))], cv=3).fit(X, Y)
    assert CountsFits.n_fits == n_fits
    assert (clf.oof_proba_ == oof).all()


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_those_of_our_classifier_are_used(n_jobs, X, label_sets):
    net = tiny(epochs=2, n_members=2)
    clf = averaged([("net", net), ("linear", LINEAR)], cv=3, n_jobs=n_jobs).fit(X, label_sets)
    expected = clone(net).fit(X, label_sets).oof_proba_
    linear = cross_val_predict_proba(OneVsRestClassifier(LINEAR), X, label_sets, cv=3, random_state=0)
    np.testing.assert_allclose(clf.oof_proba_, clf.weights_[0] * expected + clf.weights_[1] * linear, rtol=1e-5)
    assert clf.named_estimators_.net.predict(X[:1])[0] in {(), *map(tuple, map(sorted, label_sets))}


def test_out_of_fold_probabilities_are_made_where_they_are_needed(X, Y):
    assert not hasattr(averaged(weights=[1, 1]).fit(X, Y), "oof_proba_")
    assert averaged(weights=[1, 1], cv=2).fit(X, Y).oof_proba_.shape == (80, 3)
    assert averaged(weights=None, threshold="f1_macro").fit(X, Y).oof_proba_.shape == (80, 3)
    with pytest.raises(AttributeError, match="cv=5"):
        averaged(weights=None).fit(X, Y).oof_proba_  # noqa: B018


def test_the_folds_must_divide_the_rows(X, Y):
    with pytest.raises(ValueError, match="exactly one test fold"):
        averaged(cv=ShuffleSplit(2, random_state=0)).fit(X, Y)


# Forms of y, missing labels, labels with one class


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_y(form, pair, X, Y):
    y = FORMS[form](Y, "abc")
    clf = averaged(cv=3).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), pair.predict_proba(X))
    predicted, decisions = clf.predict(X), pair.predict(X)
    if form in COLLECTIONS:
        assert predicted.tolist() == label_sets_of(decisions, kind=tuple)
    else:
        assert sparse.issparse(predicted) == sparse.issparse(y)
        np.testing.assert_array_equal(predicted.toarray() if sparse.issparse(predicted) else predicted, decisions)
    assert clf.classes_.tolist() == (list("abc") if form in {**COLLECTIONS, **DATAFRAMES} else [0, 1, 2])
    assert clf.score(X, y) == np.mean((decisions == Y).all(axis=1))


ONE_LABEL = [
    LINEAR,
    HistGradientBoostingClassifier(max_iter=5, random_state=0),
    make_pipeline(StandardScaler(), LINEAR),
]
SEVERAL = [
    TREES,
    ClassifierChain(LINEAR),
    GridSearchCV(TREES, {}, cv=2),
    GridSearchCV(MultiOutputClassifier(LINEAR), {}, cv=2),
]


@pytest.mark.parametrize("estimator", ONE_LABEL, ids=["linear", "boosting", "pipeline"])
def test_one_label_classifiers_are_trained_once_a_label_on_its_observed_rows(estimator, X, Y):
    y = with_unknown(Y)
    clf = averaged([("one", estimator)], weights=None).fit(X, y)
    for j, column in enumerate(y.T):
        rows = ~np.isnan(column)
        # A scaler in a Pipeline is fitted once, to all rows.
        scaler = estimator[:-1].fit(X) if hasattr(estimator, "steps") else None
        given = X if scaler is None else scaler.transform(X)
        alone = clone(estimator[-1] if scaler else estimator).fit(given[rows], column[rows])
        np.testing.assert_allclose(clf.predict_proba(X)[:, j], alone.predict_proba(given)[:, 1])


@pytest.mark.parametrize("estimator", SEVERAL, ids=str)
def test_classifiers_of_several_labels_are_trained_on_all_of_them(estimator, X, Y):
    clf = averaged([("several", estimator)], weights=None).fit(X, Y)
    assert type(clf.estimators_[0]) is type(estimator)
    expected = clone(estimator).fit(X, Y).predict_proba(X)
    expected = np.column_stack([p[:, 1] for p in expected]) if isinstance(expected, list) else expected
    np.testing.assert_allclose(clf.predict_proba(X), expected)


@pytest.mark.parametrize("estimator", [OneVsRestClassifier(LINEAR), MultiOutputClassifier(LINEAR)], ids=str)
def test_a_label_without_positives_in_a_fold_is_no_error(estimator, X, Y):
    y = np.column_stack([Y, np.arange(80) == 0])
    proba = averaged([("several", estimator)], cv=3).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(proba, each_label(X, y, X))


@pytest.mark.parametrize("estimator", [TREES, ClassifierChain(LINEAR), DummyClassifier()], ids=str)
def test_classifiers_of_several_labels_are_trained_once_a_label_if_some_are_missing(estimator, X, Y):
    y = with_unknown(Y)
    proba = averaged([("several", estimator)], weights=None).fit(X, y).predict_proba(X)
    for j, column in enumerate(y.T):
        rows = ~np.isnan(column)
        given = column[rows, None] if isinstance(estimator, ClassifierChain) else column[rows]
        np.testing.assert_allclose(proba[:, j], clone(estimator).fit(X[rows], given).predict_proba(X)[:, -1])


def test_a_pipeline_that_selects_columns_by_a_label_is_trained_once_a_label(X, Y):
    selected = make_pipeline(SelectKBest(k=2), LINEAR)
    clf = averaged([("selected", selected)], cv=3).fit(X, Y, sample_weight=np.ones(80))
    expected = [clone(selected).fit(X, column).predict_proba(X)[:, 1] for column in Y.T]
    np.testing.assert_allclose(clf.predict_proba(X), np.column_stack(expected))


def test_labels_with_one_class_get_a_constant_probability(X, Y):
    y = Y.astype(float)
    y[:, 0], y[:, 1] = 0, 1
    y[:60, 1] = np.nan
    clf = averaged([("linear", LINEAR)], weights=None).fit(X, y)
    np.testing.assert_allclose(clf.predict_proba(X)[:, :2], np.tile([0.5 / 81, 20.5 / 21], (80, 1)))
    never = averaged([("linear", LINEAR)], cv=3, classes=["a", "b", "c", "never"]).fit(X, label_sets_of(Y))
    assert never.predict_proba(X)[0, 3] == pytest.approx(0.5 / 81)


def test_a_single_label_as_a_column_of_a_frame_or_a_set(X, Y):
    frame = pd.DataFrame({"a": Y[:, 0]})
    expected = each_label(X, Y[:, :1], X)
    for y in (frame, frame.where(X[:, 4:] < 9), sparse.csr_array(Y[:, :1]), label_sets_of(Y[:, :1], "a")):
        clf = averaged([("linear", LINEAR), ("several", MultiOutputClassifier(LINEAR))], cv=3).fit(X, y)
        np.testing.assert_allclose(clf.predict_proba(X), expected)


def test_classes_are_those_of_a_classifier_in_the_list(X, label_sets):
    net = tiny(epochs=1, classes=["c", "b", "a"])
    clf = averaged([("linear", LINEAR), ("net", net)], weights=[1, 0]).fit(X, label_sets)
    assert clf.classes_.tolist() == ["c", "b", "a"]
    with pytest.raises(ValueError, match="differs from the classes of the estimator"):
        averaged([("net", net)], classes=["a", "b", "c"]).fit(X, label_sets)


def test_frozen_classifiers_stay_as_they_are(X, Y):
    frozen = FrozenEstimator(clone(TREES).fit(X[:40], Y[:40]))
    clf = averaged([("frozen", frozen), ("linear", LINEAR)], weights=[1, 0]).fit(X, Y)
    np.testing.assert_allclose(clf.predict_proba(X), forest(X[:40], Y[:40], X), rtol=1e-12)


def test_texts_in_pipelines():
    texts, y = 10 * ["to be", "or not", "to be or not", "be"], 10 * [{"be"}, {"not"}, {"be", "not"}, set()]
    two = [(f"linear{C}", make_pipeline(TfidfVectorizer(), LogisticRegression(C=C))) for C in (1, 10)]
    clf = averaged(two, cv=2).fit(texts, y, sample_weight=np.ones(40))
    assert clf.predict(["to be"]).tolist() == [("be",)]
    assert not hasattr(clf, "n_features_in_")


# Thresholds


def test_thresholds_are_tuned_out_of_fold(pair, X, Y):
    clf = averaged(cv=3, threshold="f1_macro").fit(X, Y)
    expected = tune(Y, pair.oof_proba_, "f1_macro").rule
    np.testing.assert_allclose(clf.threshold_, expected.threshold)
    np.testing.assert_array_equal(clf.predict(X), expected.decide(pair.predict_proba(X)))
    clf.set_params(threshold="precision>=0.7")
    assert clf.threshold_ == tune(Y, pair.oof_proba_, "precision>=0.7").rule.threshold
    clf.set_params(threshold={1: 0.9})
    np.testing.assert_array_equal(clf.predict(X), pair.predict_proba(X) >= [0.5, 0.9, 0.5])
    with pytest.raises(ValueError, match=r"threshold='f1_micro'"):
        averaged(weights=None).fit(X, Y).set_params(threshold="f1_micro").predict(X)


@pytest.mark.parametrize("scoring", ["f1_micro", "precision>=0.7", "recall>=0.7"])
def test_the_tuner_uses_the_out_of_fold_probabilities(scoring, pair, X, Y, label_sets):
    tuner = TunedThresholdMultiLabelClassifierCV(averaged(cv=3), scoring=scoring, cv="oof").fit(X, Y)
    np.testing.assert_allclose(tuner.best_threshold_, tune(Y, pair.oof_proba_, scoring).rule.threshold)
    folds = TunedThresholdMultiLabelClassifierCV(averaged(cv=2), scoring="f1_macro", cv=2, random_state=0)
    assert folds.fit(X, label_sets).best_threshold_.shape == (3,)


# Parameters, weights of rows, scikit-learn's contract


def test_sample_weights_reach_those_that_take_them(X, Y):
    weight = np.random.RandomState(0).randint(1, 4, 80).astype(float)
    scaled = make_pipeline(StandardScaler(), LINEAR)
    three = [("linear", LINEAR), ("scaled", scaled), ("neighbors", KNeighborsClassifier())]
    for k, (name, estimator) in enumerate(three):
        clf = averaged(three, weights=np.eye(3)[k])
        with pytest.warns(UserWarning, match="sample_weight is not passed to the classifiers 'neighbors'"):
            proba = clf.fit(X, Y[:, 0], sample_weight=weight).predict_proba(X)
        last = "logisticregression__sample_weight" if name == "scaled" else "sample_weight"
        params = {} if name == "neighbors" else {last: weight}
        np.testing.assert_allclose(proba, clone(estimator).fit(X, Y[:, 0], **params).predict_proba(X), atol=1e-300)
    refused = MultiOutputClassifier(KNeighborsClassifier())
    with pytest.warns(UserWarning, match="'refused'"):
        averaged([("refused", refused), ("linear", LINEAR)], weights=None).fit(X, Y, sample_weight=weight)


def test_metadata_is_routed(X, Y):
    weight, groups = np.linspace(1, 2, 80), np.arange(80) % 4
    without = averaged(cv=list(GroupKFold(4).split(X, Y, groups))).fit(X, Y, sample_weight=weight)
    with sklearn.config_context(enable_metadata_routing=True):
        requested = [(name, clone(estimator).set_fit_request(sample_weight=True)) for name, estimator in PAIR]
        clf = averaged(requested, cv=GroupKFold(4)).fit(X, Y, sample_weight=weight, groups=groups)
        with pytest.raises(ValueError, match="sample_weight"):
            averaged().fit(X, Y, sample_weight=weight)
    np.testing.assert_allclose(clf.oof_proba_, without.oof_proba_)
    np.testing.assert_allclose(clf.predict_proba(X), without.predict_proba(X))
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        scaled = make_pipeline(scaler, clone(LINEAR).set_fit_request(sample_weight=True))
        routed = averaged([("scaled", scaled)], cv=3).fit(X, Y, sample_weight=weight)
    by_name = averaged([("scaled", make_pipeline(StandardScaler(), LINEAR))], cv=3).fit(X, Y, sample_weight=weight)
    np.testing.assert_allclose(routed.predict_proba(X), by_name.predict_proba(X))
    with pytest.raises(ValueError, match=r"'groups' only with metadata routing.*set_config"):
        averaged().fit(X, Y, groups=groups)


def test_classifiers_are_replaced_dropped_and_set_by_name(pair, X, Y):
    clf = clone(averaged(weights=[1, 3], cv=3)).set_params(trees="drop", linear__C=0.5).fit(X, Y)
    assert clf.get_params()["linear__C"] == 0.5
    assert [type(estimator).__name__ for estimator in clf.estimators_] == ["LabelwiseClassifier"]
    assert clf.named_estimators_.trees == "drop"
    assert clf.weights_.tolist() == [1]
    assert pair.named_estimators_.trees is pair.estimators_[1]
    search = GridSearchCV(averaged(cv=2), {"trees": [TREES, "drop"], "linear__C": [0.1, 1]}, cv=2)
    assert search.fit(X, label_sets_of(Y)).best_score_ > 0.3
    assert PAIR[0][1].C == 1
    assert PAIR[1][1] is TREES


def test_number_and_names_of_features(X, Y):
    frame = pd.DataFrame(X, columns=list("vwxyz"))
    clf = averaged([("linear", LINEAR)], weights=None).fit(frame, Y)
    assert clf.n_features_in_ == 5
    assert clf.feature_names_in_.tolist() == list("vwxyz")
    assert not hasattr(clf.fit(X, Y), "feature_names_in_")


def test_a_fitted_average_is_pickled_without_its_rows(X, Y):
    clf = averaged(cv=3, threshold="f1_macro").fit(X, Y)
    threshold = clf.threshold_
    loaded = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    np.testing.assert_array_equal(loaded.threshold_, threshold)
    np.testing.assert_array_equal(loaded.predict(X), clf.predict(X))
    assert not hasattr(loaded, "oof_proba_")
    with pytest.raises(ValueError, match=r"threshold='f1_micro'.*pickled"):
        loaded.set_params(threshold="f1_micro").predict(X)


def test_a_scorer_and_the_display_read_it(pair, X, Y):
    from skml.inspection import label_report

    assert get_scorer("neg_log_loss")(pair, X, Y) == pytest.approx(-log_loss(Y, pair.predict_proba(X)))
    report = label_report(pair, X, Y)
    assert len(report) >= 3
    assert "linear" in pair._repr_html_()


def test_the_export_to_onnx_is_refused(pair):
    from skml.onnx import to_onnx

    with pytest.raises(ValueError, match=r"The export to ONNX supports .*got AveragedMultiLabelClassifier"):
        to_onnx(pair)


BAD = {
    "no list": ({"estimators": "abc"}, "'estimators' parameter"),
    "no pairs": ({"estimators": [LINEAR]}, r"list of \(name, classifier\) tuples.*got \[LogisticRegression"),
    "empty": ({"estimators": []}, "at least one classifier"),
    "all dropped": ({"estimators": [("a", "drop")]}, "at least one classifier that is not 'drop'"),
    "equal names": ({"estimators": [("a", LINEAR), ("a", TREES)]}, r"not unique.*'a', 'a'"),
    "name of a parameter": ({"estimators": [("cv", LINEAR)]}, "conflict with constructor arguments.*'cv'"),
    "no probabilities": ({"estimators": [("svm", LinearSVC())]}, "'svm' is LinearSVC.*CalibratedClassifierCV"),
    "a string": ({"estimators": [("svm", "svm")]}, "'svm' is 'svm'"),
    "number of weights": ({"weights": [1]}, r"2 finite numbers of at least 0.*got \[1\]"),
    "negative weight": ({"weights": [1, -1]}, r"at least 0.*got \[1, -1\]"),
    "NaN": ({"weights": [1, np.nan]}, "finite numbers"),
    "words": ({"weights": ["a", "b"]}, "finite numbers"),
    "sum": ({"weights": [0, 0]}, "above 0 for at least one"),
    "unknown weights": ({"weights": "best"}, "'weights' parameter"),
    "cv": ({"cv": "oof"}, "'cv' parameter"),
    "threshold": ({"threshold": 1.5}, "threshold"),
    "unknown rule": ({"threshold": "f1_makro"}, "'f1_makro'"),
}


@pytest.mark.parametrize(("params", "message"), BAD.values(), ids=BAD.keys())
def test_bad_parameters_are_refused_and_nothing_is_lost(params, message, pair, X, Y):
    clf = copy.copy(pair).set_params(**params)
    with pytest.raises(ValueError, match=message):
        clf.fit(X, Y)
    assert clf.weights_ is pair.weights_
    with pytest.raises(ValueError, match=message):
        averaged(**params).fit(X, Y)


def test_an_unknown_name_is_refused_by_set_params():
    with pytest.raises(ValueError, match="Invalid parameter 'boosting'"):
        averaged().set_params(boosting=LINEAR)


def test_a_y_without_a_form_is_refused(X):
    with pytest.raises(ValueError, match=r"y must have one of these forms|Unknown label type"):
        averaged().fit(X, X)
    with pytest.raises(ValueError, match="only one class"):
        averaged().fit(X, np.zeros(80))
