import functools
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn import metrics as sk
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError, UndefinedMetricWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from by_hand import BY_HAND, FROM_DECISIONS
from estimators import tiny
from forms import FORMS, label_sets_of
from skml import metrics
from skml._targets._encoder import TargetEncoder


def sample(n_labels=5, n=40, seed=0):
    """Return true labels, scores with ties, decisions and weights; some rows have no label, one has all labels."""
    rng = np.random.RandomState(seed)
    Y = (rng.rand(n, n_labels) < 0.4).astype(int)
    Y[:3], Y[3] = 0, 1
    scores = np.round(0.3 * Y + 0.7 * rng.rand(n, n_labels), 1)
    return Y, scores, (scores > 0.45).astype(int), rng.randint(1, 4, n).astype(float)


def with_missing(Y):
    """Return Y with missing labels, among them a whole row and a whole column."""
    entries = Y.astype(float)
    entries[np.random.RandomState(1).rand(*Y.shape) < 0.3] = np.nan
    entries[7], entries[:, -1] = np.nan, np.nan
    return entries


# Without missing labels, the scores are those of scikit-learn

DECISIONS = [
    *(
        (f"{name}_score", {"average": average, "zero_division": 0})
        for name in ("f1", "precision", "recall", "jaccard")
        for average in ("micro", "macro", "samples", "weighted")
    ),
    ("accuracy_score", {}),
    ("hamming_loss", {}),
]


@pytest.mark.parametrize("n_labels", [2, 5, 300])
@pytest.mark.parametrize(("name", "kwargs"), DECISIONS)
def test_scores_of_decisions_equal_those_of_scikit_learn(name, kwargs, n_labels):
    Y, _, D, weight = sample(n_labels)
    for w in (None, weight):
        expected = getattr(sk, name)(Y, D, sample_weight=w, **kwargs)
        for pair in ((Y, D), (sparse.csr_array(Y), D), (sparse.csc_matrix(Y), sparse.csr_matrix(D)), (Y == 1, D)):
            assert getattr(metrics, name)(*pair, sample_weight=w, **kwargs) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("average", ["macro", "samples", "weighted", None])
def test_zero_division_works_as_in_scikit_learn(average):
    Y, D = np.array([[1, 0, 0], [0, 0, 0]]), np.array([[1, 0, 0], [0, 1, 0]])
    for zero_division in (0.0, 1.0, np.nan):
        kwargs = {"average": average, "zero_division": zero_division}
        np.testing.assert_allclose(metrics.recall_score(Y, D, **kwargs), sk.recall_score(Y, D, **kwargs))
    with pytest.warns(UndefinedMetricWarning):
        metrics.recall_score(Y, D, average=average)


@pytest.mark.parametrize("n_labels", [2, 5])
@pytest.mark.parametrize("name", ["label_ranking_average_precision_score", "coverage_error", "label_ranking_loss"])
def test_ranking_scores_equal_those_of_scikit_learn(name, n_labels, monkeypatch):
    monkeypatch.setattr("skml._targets._matrix._BLOCK_BYTES", 160)  # several blocks of rows
    Y, scores, _, weight = sample(n_labels)
    for w in (None, weight):
        expected = getattr(sk, name)(Y, scores, sample_weight=w)
        assert getattr(metrics, name)(Y, scores, sample_weight=w) == pytest.approx(expected, rel=1e-12)
        assert getattr(metrics, name)(sparse.csr_matrix(Y), scores, sample_weight=w) == pytest.approx(expected)


@pytest.mark.parametrize("average", ["micro", "macro", "weighted", None])
@pytest.mark.parametrize("name", ["roc_auc_score", "average_precision_score"])
def test_areas_under_curves_equal_those_of_scikit_learn(name, average):
    Y, scores, _, weight = sample()
    for w in (None, weight):
        expected = getattr(sk, name)(Y, scores, average=average, sample_weight=w)
        ours = getattr(metrics, name)(sparse.csr_array(Y), scores, average=average, sample_weight=w)
        np.testing.assert_allclose(ours, expected)


def test_log_loss_is_the_mean_of_the_labels():
    Y, _, _, weight = sample()
    proba = np.random.RandomState(2).rand(*Y.shape)
    proba[0, 0], proba[1, 1] = 0.0, 1.0  # both implementations clip them
    expected = [sk.log_loss(Y[:, j], proba[:, j], sample_weight=weight) for j in range(5)]
    assert metrics.log_loss(Y, proba, sample_weight=weight) == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("name", ["roc_auc_score", "average_precision_score"])
def test_areas_of_samples_equal_those_of_scikit_learn(name):
    Y, scores, _, weight = sample()
    rows = Y.min(axis=1) != Y.max(axis=1)  # the others, which we leave out, have no area
    expected = getattr(sk, name)(Y[rows], scores[rows], average="samples", sample_weight=weight[rows])
    ours = getattr(metrics, name)(Y, scores, average="samples", sample_weight=weight)
    assert ours == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_areas_weighted_by_positives_leave_out_labels_with_one_class(name):
    Y, scores, _, weight = sample()
    Y[:, 4] = 1
    by_label = getattr(metrics, f"{name}_score")(Y, scores, average=None, sample_weight=weight)
    expected = np.average(by_label[:4], weights=weight @ Y[:, :4])
    with pytest.warns(UndefinedMetricWarning, match="skips labels"):
        ours = getattr(metrics, f"{name}_score")(Y, scores, average="weighted", sample_weight=weight)
    assert ours == pytest.approx(expected)
    assert metrics.get_scorer(f"{name}_weighted")._kwargs == {"average": "weighted"}


@pytest.mark.parametrize("k", [1, 3, 5, 9])
@pytest.mark.parametrize("has_ties", [False, True])
def test_ndcg_at_k_equals_that_of_scikit_learn(has_ties, k):
    Y, proba, _, weight = sample()
    proba = proba if has_ties else np.random.RandomState(2).rand(*Y.shape)
    rows = Y.any(axis=1)  # we leave out rows without labels; scikit-learn scores them 0
    expected = sk.ndcg_score(Y[rows], proba[rows], k=k, sample_weight=weight[rows])
    assert metrics.ndcg_at_k(Y, proba, k, sample_weight=weight) == pytest.approx(expected)


def test_ties_at_k_share_the_places_that_are_left():
    Y, proba = np.array([[1, 0, 0, 0], [0, 1, 1, 1]]), np.array([[0.5, 0.5, 0.5, 0.1], [0.9, 0.5, 0.5, 0.5]])
    # One of two places for each of three labels: 2 / 3 of a true one; the second row has 1 place for 3 true labels.
    assert metrics.precision_at_k(Y, proba, 2) == pytest.approx((2 / 3 / 2 + 1 / 2) / 2)
    assert metrics.recall_at_k(Y, proba, 2) == pytest.approx((2 / 3 + 1 / 3) / 2)


# With missing labels, each row or label is scored by its observed entries


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("name", BY_HAND)
def test_missing_labels_are_ignored(name):
    score_func, kwargs, by_hand = BY_HAND[name]
    Y, scores, D, _ = sample()
    other = D if name in FROM_DECISIONS else scores
    truth = with_missing(Y)
    expected = by_hand(Y, other, ~np.isnan(truth))
    for form in (truth, sparse.csr_array(truth), pd.DataFrame(truth), pd.DataFrame(truth).astype("Int8")):
        assert score_func(form, other, **kwargs) == pytest.approx(expected, rel=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("name", BY_HAND)
def test_weights_equal_repetitions_of_rows(name):
    score_func, kwargs, _ = BY_HAND[name]
    Y, scores, D, _ = sample()
    other = D if name in FROM_DECISIONS else scores
    truth, weight = with_missing(Y), np.arange(len(Y)) % 3
    repeated = np.repeat(np.arange(len(Y)), weight)
    expected = score_func(truth[repeated], other[repeated], **kwargs)
    assert score_func(truth, other, sample_weight=weight, **kwargs) == pytest.approx(expected, rel=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("name", BY_HAND)
def test_a_single_label_is_scored_as_an_indicator(name):
    score_func, kwargs, by_hand = BY_HAND[name]
    Y, scores, D, _ = sample(1)
    other = D if name in FROM_DECISIONS else scores
    expected = by_hand(Y, other, np.ones(Y.shape, dtype=bool))
    assert score_func(Y, other, **kwargs) == pytest.approx(expected, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", BY_HAND)
def test_the_score_is_nan_if_no_entry_is_observed(name):
    score_func, kwargs, _ = BY_HAND[name]
    with pytest.warns(UndefinedMetricWarning):
        assert np.isnan(score_func(np.full((4, 3), np.nan), np.zeros((4, 3)), **kwargs))


def test_labels_with_one_class_are_skipped_and_listed():
    Y, scores, _, _ = sample()
    truth = Y.astype(float)
    truth[:, 1], truth[truth[:, 3] == 0, 3] = 0, np.nan  # no positives, and no observed negatives
    for score_func in (metrics.roc_auc_score, metrics.average_precision_score):
        kept = score_func(Y[:, [0, 2, 4]], scores[:, [0, 2, 4]])
        with pytest.warns(UndefinedMetricWarning, match=r"skips .*: 'b', 'd'\.") as caught:
            assert score_func(truth, scores, labels=list("abcde")) == pytest.approx(kept)
        assert len(caught) == 1
        assert np.isnan(score_func(truth, scores, average=None)).tolist() == [False, True, False, True, False]


def test_labels_without_observed_entries_have_the_score_nan():
    Y, _, D, _ = sample()
    label_scores = metrics.f1_score(with_missing(Y), D, average=None)
    assert np.isnan(label_scores).tolist() == [False, False, False, False, True]
    assert np.mean(label_scores[:-1]) == pytest.approx(metrics.f1_score(with_missing(Y), D))


BAD = {
    "shapes": (lambda: metrics.f1_score(np.eye(3), np.eye(4)), r"Y_true .*\(3, 3\).*\(4, 4\)"),
    "values": (lambda: metrics.f1_score(2 * np.eye(3), np.eye(3)), "0 and 1; got 2"),
    "no decisions": (lambda: metrics.f1_score(np.eye(3), np.eye(3) / 2), r"0 and 1; got 0\.5"),
    "scores": (lambda: metrics.log_loss(np.eye(3), np.full((3, 3), np.nan)), "array of scores contains NaN"),
    "k": (lambda: metrics.recall_at_k(np.eye(3), np.eye(3), 0), "k == 0, must be >= 1"),
    "average": (lambda: metrics.roc_auc_score(np.eye(3), np.eye(3), average="binary"), "got 'binary'"),
    "weights": (lambda: metrics.hamming_loss(np.eye(3), np.eye(3), sample_weight=[1, 1]), r"sample_weight.shape"),
    "name": (lambda: metrics.get_scorer("f1-macro"), "'f1-macro'.*'f1_macro'"),
    "average left out": (
        lambda: metrics.get_scorer("f1"),
        "'f1'.*'f1_macro' or 'f1_micro'",
    ),
    "k of a name": (lambda: metrics.get_scorer("ndcg_at_0"), "'ndcg_at_0'.*ndcg_at_1"),
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Scorers


class FromMatrix(ClassifierMixin, BaseEstimator):
    """A classifier that returns X as the probabilities."""

    def __init__(self, classes=None):
        self.classes = classes

    def fit(self, X, y, sample_weight=None):
        self.target_encoder_ = TargetEncoder(self.classes).fit(y)
        self.classes_ = self.target_encoder_.classes_
        return self

    def predict_proba(self, X):
        return np.asarray(X)

    def predict(self, X):
        return self.target_encoder_.inverse_transform(self.predict_proba(X) >= 0.5)


@functools.cache
def scores_of_an_indicator(n_labels):
    """Return the score by each scorer for the labels of a sample as an indicator."""
    Y, proba, _, weight = sample(n_labels)
    clf = FromMatrix().fit(proba, Y)
    return {name: metrics.get_scorer(name)(clf, proba, Y, weight) for name in metrics.get_scorer_names()}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n_labels", [2, 3])
def test_the_scores_do_not_depend_on_the_form_of_y(form, n_labels):
    Y, proba, _, weight = sample(n_labels)
    y = FORMS[form](Y, "abc"[:n_labels])
    clf = FromMatrix().fit(proba, y)
    expected = scores_of_an_indicator(n_labels)
    for name in metrics.get_scorer_names():
        score = metrics.get_scorer(name)(clf, proba, y, sample_weight=weight)
        assert score == pytest.approx(expected[name]), name
        assert score <= 0 if name.startswith("neg_") else score >= 0


def test_scorers_equal_those_of_scikit_learn_with_the_same_name():
    Y, proba, _, _ = sample(3)
    clf = FromMatrix().fit(proba, Y)
    for name in sorted({*metrics.get_scorer_names()} & {*sk.get_scorer_names()} - {"neg_log_loss"}):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            assert metrics.get_scorer(name)(clf, proba, Y) == pytest.approx(sk.get_scorer(name)(clf, proba, Y)), name


def test_labels_of_a_fitted_estimator_match_other_forms_of_y():
    Y, proba, _, _ = sample(3)
    sets = label_sets_of(Y)
    clf = FromMatrix().fit(proba, sets)
    scorer = metrics.get_scorer("f1_micro")
    reordered = pd.DataFrame(Y, columns=list("abc"))[["c", "a", "b"]]
    assert scorer(clf, proba, reordered) == scorer(clf, proba, Y) == scorer(clf, proba, sets)


def test_scorers_ignore_missing_labels():
    Y, proba, D, _ = sample(3)
    truth = with_missing(Y)[:, :-1]
    clf = FromMatrix().fit(proba, truth)
    for y in (truth, sparse.csr_array(truth), pd.DataFrame(truth)):
        score = metrics.get_scorer("f1_macro")(FromMatrix().fit(proba, y), proba[:, :-1], y)
        assert score == pytest.approx(metrics.f1_score(truth, D[:, :-1]))
    assert metrics.get_scorer("roc_auc")(clf, proba[:, :-1], truth) == metrics.roc_auc_score(truth, proba[:, :-1])


def test_unknown_labels_count_as_never_predicted():
    Y, proba, D, _ = sample(3)
    clf = FromMatrix(classes=["a", "b"]).fit(proba[:, :2], [{"a"}])
    sets = label_sets_of(Y)
    wide = np.hstack([D[:, :2], np.zeros((len(Y), 1), dtype=int)])
    low = np.hstack([proba[:, :2], np.zeros((len(Y), 1))])
    for name, expected in {
        "recall_micro": sk.recall_score(Y, wide, average="micro"),
        "f1_macro": sk.f1_score(Y, wide, average="macro"),
        "accuracy": sk.accuracy_score(Y, wide),
        "label_ranking_average_precision": sk.label_ranking_average_precision_score(Y, low),
        "recall_at_2": metrics.recall_at_k(Y, low, 2),
    }.items():
        with pytest.warns(UserWarning, match=r"never predicted: 'c'\."):
            assert metrics.get_scorer(name)(clf, proba[:, :2], sets) == pytest.approx(expected)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_single_label_y_has_one_column_per_class(n_classes, X):
    y = np.array(["no", "so", "yes"])[np.arange(80) % n_classes]
    clf = LogisticRegression().fit(X, y)
    one_hot = (y[:, None] == clf.classes_).astype(int)
    for name in ("f1_macro", "f1_micro", "precision_weighted", "accuracy"):
        assert metrics.get_scorer(name)(clf, X, y) == pytest.approx(sk.get_scorer(name)(clf, X, y))
    expected = sk.roc_auc_score(one_hot, clf.predict_proba(X), average="macro")
    assert metrics.get_scorer("roc_auc")(clf, X, y) == pytest.approx(expected)
    if n_classes == 2:
        for name in ("roc_auc", "neg_log_loss"):
            assert metrics.get_scorer(name)(clf, X, y) == pytest.approx(sk.get_scorer(name)(clf, X, y))
        with pytest.warns(UserWarning, match="never predicted"):
            assert metrics.get_scorer("accuracy")(clf, X[:2], ["no", "perhaps"]) <= 0.5


OTHERS = {
    "forest": RandomForestClassifier(3, random_state=0),
    "one against the rest": OneVsRestClassifier(LogisticRegression()),
    "pipeline": make_pipeline(StandardScaler(), MLPClassifier((4,), max_iter=5, random_state=0)),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("n_labels", [2, 3])
@pytest.mark.parametrize("name", OTHERS)
def test_scorers_accept_classifiers_of_scikit_learn(name, n_labels, X, Y):
    Y = Y[:, :n_labels]
    clf = clone(OTHERS[name]).fit(X, Y)
    proba = clf.predict_proba(X)
    proba = np.column_stack([p[:, 1] for p in proba]) if isinstance(proba, list) else proba
    sets = label_sets_of(Y, range(n_labels))
    for y in (Y, sparse.csr_array(Y), pd.DataFrame(Y, columns=list("abc"[:n_labels])), sets):
        assert metrics.get_scorer("f1_macro")(clf, X, y) == pytest.approx(
            sk.f1_score(Y, clf.predict(X), average="macro")
        )
        assert metrics.get_scorer("roc_auc")(clf, X, y) == pytest.approx(sk.roc_auc_score(Y, proba))


def test_a_label_without_positives_in_fit_has_probability_zero_in_a_forest(X, Y):
    Y = Y.copy()
    Y[:40, 1], Y[:40, 2] = 0, 1
    clf = RandomForestClassifier(3, random_state=0).fit(X[:40], Y[:40])
    proba = np.column_stack([clf.predict_proba(X[40:])[0][:, 1], np.zeros(40), np.ones(40)])
    assert metrics.get_scorer("ndcg_at_2")(clf, X[40:], Y[40:]) == metrics.ndcg_at_k(Y[40:], proba, 2)


def test_rankings_fall_back_to_decision_function(X, Y):
    clf = OneVsRestClassifier(RidgeClassifier()).fit(X, Y)
    assert metrics.get_scorer("roc_auc")(clf, X, Y) == pytest.approx(sk.roc_auc_score(Y, clf.decision_function(X)))
    with pytest.raises(AttributeError, match=r"OneVsRestClassifier .*predict_proba"):
        metrics.get_scorer("neg_log_loss")(clf, X, Y)


def test_scorers_of_custom_functions():
    Y, proba, D, weight = sample(3)
    clf = FromMatrix().fit(proba, Y)
    scorer = metrics.make_scorer(sk.fbeta_score, beta=2, average="macro", greater_is_better=False)
    assert scorer(clf, proba, Y, weight) == -sk.fbeta_score(Y, D, beta=2, average="macro", sample_weight=weight)
    classes_scorer = metrics.make_scorer(lambda Y, proba, classes: classes, response_method="predict_proba")
    assert FromMatrix.fit(clf, proba, label_sets_of(Y)) is clf
    assert classes_scorer(clf, proba, Y) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="sample_weight"):
        classes_scorer(clf, proba, Y, weight)


def test_scorers_support_pickle_clone_and_repr():
    scorer = metrics.get_scorer("precision_at_2")
    Y, proba, _, _ = sample(3)
    clf = FromMatrix().fit(proba, Y)
    search = clone(GridSearchCV(clf, {}, scoring=scorer))
    for twin in (pickle.loads(pickle.dumps(scorer)), search.scoring):
        assert twin(clf, proba, Y) == scorer(clf, proba, Y) == metrics.precision_at_k(Y, proba, 2)
    assert repr(metrics.get_scorer("neg_hamming_loss")) == (
        "make_scorer(hamming_loss, response_method='predict', greater_is_better=False)"
    )


def test_a_search_routes_weights_to_its_scorers():
    Y, proba, D, weight = sample(3)
    names = ["f1_micro", "neg_log_loss"]
    cv = [(np.arange(40), np.arange(40))]
    search = GridSearchCV(FromMatrix(), {"classes": [None]}, cv=cv, refit=False)
    expected = metrics.f1_score(Y, D, average="micro", sample_weight=weight)
    for scoring in (metrics.get_scorer("f1_micro"), {name: metrics.get_scorer(name) for name in names}):
        with config_context(enable_metadata_routing=True):
            scorers = scoring.values() if isinstance(scoring, dict) else [scoring]
            for scorer in scorers:
                scorer.set_score_request(sample_weight=True)
            search.set_params(estimator=FromMatrix().set_fit_request(sample_weight=True), scoring=scoring)
            results = search.fit(proba, Y, sample_weight=weight).cv_results_
        key = "mean_test_f1_micro" if isinstance(scoring, dict) else "mean_test_score"
        assert results[key][0] == pytest.approx(expected)


# Scorers with KerasMultiLabelClassifier


def test_a_search_over_label_sets(X, label_sets):
    scoring = {name: metrics.get_scorer(name) for name in ("f1_micro", "roc_auc", "precision_at_1")}
    search = GridSearchCV(tiny(), {"threshold": [0.1, 0.9]}, scoring=scoring, refit="f1_micro", cv=2)
    search.fit(X, label_sets)
    assert search.best_params_ == {"threshold": 0.1}
    encoder = search.best_estimator_.target_encoder_
    D, Y = encoder.transform(search.predict(X)), encoder.transform(label_sets)
    for fitted in (search, search.best_estimator_, FrozenEstimator(search)):
        assert scoring["f1_micro"](fitted, X, label_sets) == pytest.approx(sk.f1_score(Y, D, average="micro"))
    assert search.score(X, label_sets) == pytest.approx(sk.f1_score(Y, D, average="micro"))


def test_cross_validation_of_exactly_two_labels(X, Y):
    Y = Y[:, :2]
    sets = label_sets_of(Y, ["yes", "no"])
    clf = make_pipeline(StandardScaler(), tiny())
    scores = [
        cross_val_score(clf, X, y, scoring=metrics.get_scorer("average_precision"), cv=KFold(2), error_score="raise")
        for y in (Y, sets, [tuple(row) for row in sets])
    ]
    clf.fit(X[40:], Y[40:])
    assert scores[0][0] == pytest.approx(sk.average_precision_score(Y[:40], clf.predict_proba(X[:40])), rel=1e-5)
    np.testing.assert_allclose(scores[1], scores[2])


def test_an_unfitted_estimator_is_refused(X, label_sets):
    with pytest.raises(NotFittedError):
        metrics.get_scorer("f1_macro")(tiny(), X, label_sets)


def test_cross_validation_with_missing_labels(X, Y):
    truth = with_missing(Y)[:, :2]
    scoring = {name: metrics.get_scorer(name) for name in ("f1_macro", "neg_log_loss")}
    results = cross_validate(tiny(), X, truth, scoring=scoring, cv=KFold(2), return_estimator=True, error_score="raise")
    proba = results["estimator"][0].predict_proba(X[:40])
    assert results["test_neg_log_loss"][0] == pytest.approx(-metrics.log_loss(truth[:40], proba))


def test_functions_refuse_single_labels():
    with pytest.raises(ValueError, match=r"matrices of 0, 1 and NaN.*get_scorer.*sklearn\.metrics"):
        metrics.f1_score(["a", "b"], ["a", "b"], average="micro")
