"""scikit-learn's tools around the estimator, each compared with the same thing done by hand."""

import joblib
import keras
import numpy as np
import pytest
import sklearn
from scipy import sparse
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.inspection import permutation_importance
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, get_scorer
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    LeaveOneOut,
    ParameterSampler,
    RandomizedSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_validate,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from estimators import tiny

NAMES = np.array(["ant", "bee", "cat", "dog"])


def small(**params):
    """Return an estimator that learns something in a few epochs."""
    return tiny(**{"epochs": 6, "learning_rate": 0.05} | params)


def build(meta, units=4):
    """Build a network of one hidden layer."""
    return keras.Sequential(
        [
            keras.Input((meta["n_features_in_"],)),
            keras.layers.Dense(units, "relu"),
            keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"]),
        ]
    )


def make_indicator(X, n_labels):
    """Make label j depend on column j of X, with some noise."""
    noise = np.random.RandomState(1).normal(scale=0.3, size=(len(X), n_labels))
    return (X[:, :n_labels] + noise > 0.3).astype(int)


def subset_accuracy(Y, predicted):
    return np.mean((np.asarray(Y) == predicted).all(axis=1))


def split_scores(search, candidate):
    return [search.cv_results_[f"split{i}_test_score"][candidate] for i in range(search.n_splits_)]


def scores_by_hand(clf, X, Y, cv):
    """Return the subset accuracy of each fold."""
    return [
        subset_accuracy(Y[test], clone(clf).fit(X[train], Y[train]).predict(X[test])) for train, test in cv.split(X)
    ]


@pytest.fixture
def y_binary(Y):
    return Y[:, 0]


@pytest.fixture
def y_classes(X):
    return NAMES[X[:, :3].argmax(axis=1)]


@pytest.fixture
def sample_weight():
    return np.random.RandomState(2).randint(0, 4, size=80).astype(float)


# Pipeline


def test_pipeline_equals_transforming_by_hand(X, Y):
    pipe = make_pipeline(StandardScaler(), small()).fit(10 * X + 3, Y)
    scaled = StandardScaler().fit_transform(10 * X + 3)
    np.testing.assert_array_equal(pipe.predict_proba(10 * X + 3), small().fit(scaled, Y).predict_proba(scaled))


def test_pipeline_from_texts_to_label_sets_learns_words():
    texts = 20 * ["ant bee", "bee", "cat ant", "the end"]
    sets = 20 * [{"ant", "bee"}, {"bee"}, {"ant", "cat"}, set()]
    pipe = make_pipeline(TfidfVectorizer(), small(epochs=60)).fit(texts, sets)
    assert pipe.predict(["bee", "cat ant", "the end"]).tolist() == [("bee",), ("ant", "cat"), ()]


def test_threshold_set_through_a_fitted_pipeline_acts_without_a_fit(X, Y):
    pipe = Pipeline([("scale", StandardScaler()), ("clf", small())]).fit(X, Y)
    pipe.set_params(clf__threshold=0.2)
    np.testing.assert_array_equal(pipe.predict(X), pipe.predict_proba(X) >= 0.2)


# Searches


def test_grid_search_scores_are_those_of_fitting_by_hand(X, Y):
    grid = {"hidden_layer_sizes": [(2,), (8,)], "threshold": [0.3, 0.5]}
    search = GridSearchCV(small(), grid, cv=KFold(2)).fit(X, Y)
    for candidate, params in enumerate(search.cv_results_["params"]):
        assert split_scores(search, candidate) == scores_by_hand(small(**params), X, Y, KFold(2))


def test_grid_search_refits_with_the_best_parameters(X, Y):
    search = GridSearchCV(small(), {"learning_rate": [1e-6, 0.03]}, cv=2).fit(X, Y)
    assert search.best_params_ == {"learning_rate": 0.03}
    np.testing.assert_array_equal(search.predict_proba(X), small(learning_rate=0.03).fit(X, Y).predict_proba(X))


def test_grid_search_over_a_pipeline_equals_fitting_by_hand(X, Y):
    pipe = Pipeline([("scale", StandardScaler()), ("clf", small())])
    search = GridSearchCV(pipe, {"clf__dropout": [0.0, 0.6]}, cv=KFold(2)).fit(X, Y)
    for candidate, dropout in enumerate([0.0, 0.6]):
        by_hand = make_pipeline(StandardScaler(), small(dropout=dropout))
        assert split_scores(search, candidate) == scores_by_hand(by_hand, X, Y, KFold(2))


def test_grid_search_over_an_argument_of_the_builder_builds_networks_of_that_width(X, Y):
    def width(clf, X, y):
        return clf.to_keras().layers[0].units

    search = GridSearchCV(small(model=build), {"model__units": [3, 6]}, scoring=width, cv=2).fit(X, Y)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], [3, 6])
    assert search.best_estimator_.to_keras().layers[0].units == 6


def test_grid_search_over_weight_decay_shrinks_the_weights(X, Y):
    def norm(clf, X, y):
        return np.linalg.norm(clf.to_keras().trainable_weights[0].numpy())

    clf = small(optimizer="adamw", epochs=20)
    search = GridSearchCV(clf, {"optimizer__weight_decay": [0.0, 5.0]}, scoring=norm, cv=2).fit(X, Y)
    without, strong = search.cv_results_["mean_test_score"]
    assert strong < 0.6 * without
    assert search.best_params_ == {"optimizer__weight_decay": 0.0}


def test_grid_search_over_the_patience_of_a_callback_stops_after_that_many_epochs(X, Y):
    def n_iter(clf, X, y):
        return clf.n_iter_

    # No epoch improves the loss by 100, so training ends `patience` epochs after the first.
    clf = small(
        epochs=20, callbacks=keras.callbacks.EarlyStopping, callbacks__monitor="loss", callbacks__min_delta=100.0
    )
    search = GridSearchCV(clf, {"callbacks__patience": [2, 5]}, scoring=n_iter, cv=2).fit(X, Y)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], [3, 6])


def test_grid_search_over_label_sets_scores_the_share_of_sets_predicted_right(X, label_sets):
    search = GridSearchCV(small(), {"epochs": [3, 15]}, cv=2).fit(X, label_sets)
    for candidate, epochs in enumerate([3, 15]):
        by_hand = []
        for train, test in KFold(2).split(X):
            clf = small(epochs=epochs).fit(X[train], [label_sets[i] for i in train])
            by_hand.append(np.mean([set(p) == label_sets[i] for p, i in zip(clf.predict(X[test]), test, strict=True)]))
        assert split_scores(search, candidate) == by_hand
    assert search.best_params_ == {"epochs": 15}


def test_randomized_search_equals_fitting_the_sampled_parameters_by_hand(X, Y):
    space = {"learning_rate": loguniform(1e-3, 0.1), "hidden_layer_sizes": [(4,), (8, 8)]}
    search = RandomizedSearchCV(small(), space, n_iter=3, cv=KFold(2), random_state=0).fit(X, Y)
    sampled = list(ParameterSampler(space, 3, random_state=0))
    means = [np.mean(scores_by_hand(small(**params), X, Y, KFold(2))) for params in sampled]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], means)
    best = small(**sampled[int(np.argmax(means))]).fit(X, Y)
    np.testing.assert_array_equal(search.predict_proba(X), best.predict_proba(X))


def test_halving_search_over_rows_drops_networks_that_do_not_learn(X, Y):
    grid = {"learning_rate": [1e-6, 1e-5, 1e-4, 0.03]}
    search = HalvingGridSearchCV(small(epochs=30), grid, cv=2, factor=2, min_resources=40, random_state=0).fit(X, Y)
    assert search.n_resources_ == [40, 80]
    assert search.best_params_ == {"learning_rate": 0.03}
    assert search.best_score_ > 2 * subset_accuracy(Y, np.zeros_like(Y))


def test_halving_search_over_epochs_trains_for_as_many_epochs(X, Y):
    def n_iter(clf, X, y):
        return clf.n_iter_

    search = HalvingGridSearchCV(
        small(),
        {"hidden_layer_sizes": [(4,), (8,)]},
        resource="epochs",
        min_resources=3,
        max_resources=6,
        factor=2,
        scoring=n_iter,
        cv=2,
        random_state=0,
    ).fit(X, Y)
    assert search.cv_results_["n_resources"].tolist() == [3, 3, 6]
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], [3, 3, 6])


@pytest.mark.parametrize("model", [None, build])
def test_fitted_grid_search_is_the_same_after_joblib_dump_and_load(X, Y, model, tmp_path):
    search = GridSearchCV(small(model=model), {"epochs": [3, 6]}, cv=2).fit(X, Y)
    joblib.dump(search, tmp_path / "search.joblib")
    loaded = joblib.load(tmp_path / "search.joblib")
    assert loaded.best_params_ == search.best_params_
    np.testing.assert_array_equal(loaded.predict_proba(X), search.predict_proba(X))


# Cross-validation


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_cross_validate_scores_as_fitting_by_hand(X, Y, n_jobs):
    results = cross_validate(small(), X, Y, cv=KFold(4), n_jobs=n_jobs, return_estimator=True)
    assert results["test_score"].tolist() == scores_by_hand(small(), X, Y, KFold(4))
    returned = [
        subset_accuracy(Y[test], clf.predict(X[test]))
        for clf, (_, test) in zip(results["estimator"], KFold(4).split(X), strict=True)
    ]
    assert returned == results["test_score"].tolist()


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_cross_val_predict_equals_predicting_each_fold_by_hand(X, Y, method):
    expected = np.empty(Y.shape)
    for train, test in KFold(2).split(X):
        expected[test] = getattr(small().fit(X[train], Y[train]), method)(X[test])
    np.testing.assert_array_equal(cross_val_predict(small(), X, Y, cv=KFold(2), method=method), expected)


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_cross_val_predict_leaving_one_out_keeps_one_column_per_label(X, Y, method):
    X, Y = X[:12], Y[:12]
    expected = np.empty(Y.shape)
    for i in range(12):
        rest = np.arange(12) != i
        expected[i] = getattr(small(epochs=3).fit(X[rest], Y[rest]), method)(X[i : i + 1])[0]
    actual = cross_val_predict(small(epochs=3), X, Y, cv=LeaveOneOut(), method=method)
    np.testing.assert_array_equal(actual, expected)


def test_cross_val_predict_of_label_sets_equals_predicting_each_fold_by_hand(X, label_sets):
    predicted = cross_val_predict(small(), X, label_sets, cv=2)
    expected = np.empty(80, dtype=object)
    for train, test in KFold(2).split(X):
        expected[test] = small().fit(X[train], [label_sets[i] for i in train]).predict(X[test])
    assert predicted.tolist() == expected.tolist()


def test_cross_val_predict_of_a_sparse_indicator_is_sparse_and_equals_the_dense_one(X, Y):
    predicted = cross_val_predict(small(), X, sparse.csr_array(Y), cv=KFold(2))
    assert sparse.issparse(predicted)
    np.testing.assert_array_equal(predicted.toarray(), cross_val_predict(small(), X, Y, cv=KFold(2)))


def test_learning_curve_scores_are_those_of_growing_parts_of_each_fold(X, Y):
    sizes, train_scores, test_scores = learning_curve(small(), X, Y, train_sizes=[20, 40], cv=KFold(2))
    assert sizes.tolist() == [20, 40]
    for fold, (train, test) in enumerate(KFold(2).split(X)):
        for row, size in enumerate(sizes):
            part = train[:size]
            clf = small().fit(X[part], Y[part])
            assert train_scores[row, fold] == subset_accuracy(Y[part], clf.predict(X[part]))
            assert test_scores[row, fold] == subset_accuracy(Y[test], clf.predict(X[test]))


def test_incremental_learning_curve_equals_partial_fits_by_hand(X, y_classes):
    _, _, test_scores = learning_curve(
        small(), X, y_classes, train_sizes=[20, 40], cv=KFold(2), exploit_incremental_learning=True
    )
    for fold, (train, test) in enumerate(KFold(2).split(X)):
        clf = small().partial_fit(X[train[:20]], y_classes[train[:20]], classes=NAMES[:3])
        first = np.mean(clf.predict(X[test]) == y_classes[test])
        clf.partial_fit(X[train[20:40]], y_classes[train[20:40]])
        second = np.mean(clf.predict(X[test]) == y_classes[test])
        assert clf.n_iter_ == 2
        assert test_scores[:, fold].tolist() == [first, second]


def test_permutation_importance_is_zero_for_a_constant_column_and_large_for_a_column_that_makes_a_label(X, Y):
    X = np.column_stack([X[:, :4], np.ones(len(X))])
    result = permutation_importance(small(epochs=20).fit(X, Y), X, Y, n_repeats=3, random_state=0)
    assert result.importances[4].tolist() == [0, 0, 0]
    assert (result.importances_mean[:3] > 0.1).all()


# Meta-estimators on indicators


def test_multi_output_classifier_equals_one_network_per_column(X, Y):
    multi = MultiOutputClassifier(small()).fit(X, Y)
    for j, proba in enumerate(multi.predict_proba(X)):
        np.testing.assert_array_equal(proba, small().fit(X, Y[:, j]).predict_proba(X))


def test_classifier_chain_feeds_each_network_the_labels_before_it(X, Y):
    chain = ClassifierChain(small()).fit(X, Y)
    before = np.empty((80, 0))
    for j in range(3):
        link = small().fit(np.hstack([X, Y[:, :j]]), Y[:, j])
        before = np.hstack([before, link.predict(np.hstack([X, before]))[:, None]])
    np.testing.assert_array_equal(chain.predict(X), before)
    assert subset_accuracy(Y, before) > 0.5


def test_one_versus_rest_on_an_indicator_equals_one_network_per_column(X, Y):
    rest = OneVsRestClassifier(small()).fit(X, Y)
    columns = [small().fit(X, Y[:, j]) for j in range(3)]
    expected = np.column_stack([clf.predict_proba(X)[:, 1] for clf in columns])
    np.testing.assert_array_equal(rest.predict_proba(X), expected)
    np.testing.assert_array_equal(rest.predict(X), expected >= 0.5)


def test_one_versus_rest_on_classes_picks_the_network_with_the_largest_log_odds(X, y_classes):
    rest = OneVsRestClassifier(small()).fit(X, y_classes)
    scores = np.column_stack([small().fit(X, y_classes == name).decision_function(X) for name in NAMES[:3]])
    np.testing.assert_array_equal(rest.predict(X), NAMES[scores.argmax(axis=1)])
    assert rest.score(X, y_classes) > 0.7


@pytest.mark.parametrize(
    ("n_labels", "method"), [(2, "decision_function"), (4, "decision_function"), (4, "predict_proba")]
)
def test_stacking_on_an_indicator_equals_stacking_by_hand(X, n_labels, method):
    Y = make_indicator(X, n_labels)
    members = [("a", small()), ("b", small(hidden_layer_sizes=(4,), random_state=1))]
    stack = StackingClassifier(members, KNeighborsClassifier(), cv=KFold(2), stack_method=method).fit(X, Y)
    oof = [cross_val_predict(clf, X, Y, cv=KFold(2), method=method) for _, clf in members]
    whole = [getattr(clone(clf).fit(X, Y), method)(X) for _, clf in members]
    expected = KNeighborsClassifier().fit(np.hstack(oof), Y).predict(np.hstack(whole))
    np.testing.assert_array_equal(stack.transform(X), np.hstack(whole))
    np.testing.assert_array_equal(stack.predict(X), expected)


# Meta-estimators on one label per row


def test_calibration_equals_an_isotonic_curve_through_the_out_of_fold_log_odds(X, y_binary):
    calibrated = CalibratedClassifierCV(small(), method="isotonic", cv=KFold(2), ensemble=False).fit(X, y_binary)
    oof = cross_val_predict(small(), X, y_binary, cv=KFold(2), method="decision_function")
    curve = IsotonicRegression(out_of_bounds="clip").fit(oof, y_binary)
    expected = curve.predict(small().fit(X, y_binary).decision_function(X))
    np.testing.assert_allclose(calibrated.predict_proba(X)[:, 1], expected, rtol=0, atol=1e-6)


def test_calibration_of_three_classes_predicts_better_than_the_class_shares(X, y_classes):
    calibrated = CalibratedClassifierCV(small(epochs=20), cv=2).fit(X[:60], y_classes[:60])
    proba = calibrated.predict_proba(X[60:])
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    truth = NAMES[:3] == y_classes[60:, None]
    assert -np.log(proba[truth]).mean() < 0.7 * np.log(3)


def test_soft_voting_averages_the_probabilities_of_its_members(X, y_classes):
    vote = VotingClassifier([("network", small()), ("linear", LogisticRegression())], voting="soft").fit(X, y_classes)
    members = small().fit(X, y_classes), LogisticRegression().fit(X, y_classes)
    expected = np.mean([clf.predict_proba(X) for clf in members], axis=0)
    np.testing.assert_allclose(vote.predict_proba(X), expected, rtol=1e-6)
    np.testing.assert_array_equal(vote.predict(X), NAMES[expected.argmax(axis=1)])


def test_bagging_equals_the_mean_of_networks_fitted_to_its_draws(X, y_classes):
    bag = BaggingClassifier(small(), n_estimators=3, max_samples=60, max_features=3, random_state=0).fit(X, y_classes)
    probas = []
    for clf, rows, columns in zip(bag.estimators_, bag.estimators_samples_, bag.estimators_features_, strict=True):
        twin = small(random_state=clf.random_state)
        twin.fit(X[:, columns], y_classes, sample_weight=np.bincount(rows, minlength=80))
        probas.append(twin.predict_proba(X[:, columns]))
    np.testing.assert_allclose(bag.predict_proba(X), np.mean(probas, axis=0), rtol=1e-5)
    assert len({clf.random_state for clf in bag.estimators_}) == 3


def test_tuned_threshold_is_the_best_of_those_tried(X, y_binary):
    clf = small().fit(X[:60], y_binary[:60])
    thresholds = np.linspace(0.05, 0.95, 19)
    tuned = TunedThresholdClassifierCV(clf, scoring="f1", thresholds=thresholds, cv="prefit", refit=False)
    tuned.fit(X[60:], y_binary[60:])
    proba = clf.predict_proba(X[60:])[:, 1]
    scores = [f1_score(y_binary[60:], proba >= threshold) for threshold in thresholds]
    assert tuned.best_threshold_ == thresholds[int(np.argmax(scores))]
    assert tuned.best_score_ == pytest.approx(max(scores))
    np.testing.assert_array_equal(tuned.predict(X[60:]), proba >= tuned.best_threshold_)


def test_tuned_threshold_is_applied_to_a_network_refitted_on_all_rows(X, y_binary):
    tuned = TunedThresholdClassifierCV(small(), scoring="recall", cv=2, random_state=0).fit(X, y_binary)
    proba = small().fit(X, y_binary).predict_proba(X)[:, 1]
    assert tuned.best_threshold_ < 0.5
    np.testing.assert_array_equal(tuned.predict(X), proba >= tuned.best_threshold_)


# Metadata routing


def test_sample_weight_routed_through_a_pipeline_reaches_fit(X, Y, sample_weight):
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipe = make_pipeline(scaler, small().set_fit_request(sample_weight=True))
        pipe.fit(X, Y, sample_weight=sample_weight)
    scaled = StandardScaler().fit_transform(X)
    proba = pipe.predict_proba(X)
    np.testing.assert_array_equal(proba, small().fit(scaled, Y, sample_weight=sample_weight).predict_proba(scaled))
    assert not np.allclose(proba, small().fit(scaled, Y).predict_proba(scaled))


def test_sample_weight_routed_through_a_grid_search_reaches_fit_and_score(X, Y, sample_weight):
    with sklearn.config_context(enable_metadata_routing=True):
        clf = small().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        search = GridSearchCV(clf, {"epochs": [4, 10]}, cv=KFold(2)).fit(X, Y, sample_weight=sample_weight)
    for candidate, epochs in enumerate([4, 10]):
        by_hand = []
        for train, test in KFold(2).split(X):
            fitted = small(epochs=epochs).fit(X[train], Y[train], sample_weight=sample_weight[train])
            right = (fitted.predict(X[test]) == Y[test]).all(axis=1)
            by_hand.append(right @ sample_weight[test] / sample_weight[test].sum())
        np.testing.assert_allclose(split_scores(search, candidate), by_hand)
    unweighted = small(**search.best_params_).fit(X, Y)
    assert not np.allclose(search.predict_proba(X), unweighted.predict_proba(X))


def test_validation_data_routed_through_a_pipeline_are_transformed(X, Y):
    X = 10 * X + 3
    with sklearn.config_context(enable_metadata_routing=True):
        clf = small(epochs=20, n_iter_no_change=2, learning_rate=0.2).set_fit_request(X_val=True, y_val=True)
        pipe = make_pipeline(StandardScaler(), clf, transform_input=["X_val"])
        pipe.fit(X[:60], Y[:60], X_val=X[60:], y_val=Y[60:])
    scaler = StandardScaler().fit(X[:60])
    by_hand = small(epochs=20, n_iter_no_change=2, learning_rate=0.2)
    by_hand.fit(scaler.transform(X[:60]), Y[:60], X_val=scaler.transform(X[60:]), y_val=Y[60:])
    assert pipe[-1].history_ == by_hand.history_
    assert by_hand.n_iter_ < 20
    np.testing.assert_array_equal(pipe.predict_proba(X), by_hand.predict_proba(scaler.transform(X)))


# String scorers


def f1(Y, predicted, axis):
    """Return 2 TP / (2 TP + FP + FN), and 0 for 0 / 0."""
    total = Y.sum(axis=axis) + predicted.sum(axis=axis)
    return 2 * (Y * predicted).sum(axis=axis) / np.maximum(total, 1)


def jaccard(Y, predicted):
    return (Y * predicted).sum(axis=1) / np.maximum((Y | predicted).sum(axis=1), 1)


def roc_auc(y, score):
    """Return the share of pairs of a positive and a negative row that are in the right order."""
    difference = score[y == 1][:, None] - score[y == 0]
    return np.mean((difference > 0) + 0.5 * (difference == 0))


def average_precision(y, score):
    """Return the mean, over positive rows, of the precision among the rows that score as much."""
    return np.mean([y[score >= s].mean() for s in score[y == 1]])


def over_labels(metric, Y, score):
    return np.mean([metric(y, s) for y, s in zip(Y.T, score.T, strict=True)])


METRICS_OF_INDICATORS = {
    "accuracy": lambda Y, predicted, proba: subset_accuracy(Y, predicted),
    "f1_micro": lambda Y, predicted, proba: f1(Y, predicted, axis=None),
    "f1_macro": lambda Y, predicted, proba: f1(Y, predicted, axis=0).mean(),
    "f1_samples": lambda Y, predicted, proba: f1(Y, predicted, axis=1).mean(),
    "jaccard_samples": lambda Y, predicted, proba: jaccard(Y, predicted).mean(),
    "roc_auc": lambda Y, predicted, proba: over_labels(roc_auc, Y, proba),
    "average_precision": lambda Y, predicted, proba: over_labels(average_precision, Y, proba),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("n_labels", [2, 4])
@pytest.mark.parametrize("name", METRICS_OF_INDICATORS)
def test_string_scorer_on_an_indicator_equals_the_metric_by_hand(X, name, n_labels):
    Y = make_indicator(X, n_labels)
    clf = small(epochs=3).fit(X[:50], Y[:50])
    X, Y = X[50:], Y[50:]
    expected = METRICS_OF_INDICATORS[name](Y, clf.predict(X), clf.predict_proba(X))
    assert 0 < expected < 1
    assert get_scorer(name)(clf, X, Y) == pytest.approx(expected)


def test_cross_validation_by_string_scorers_equals_the_metrics_by_hand_on_two_labels(X):
    Y = make_indicator(X, 2)
    results = cross_validate(small(), X, Y, cv=KFold(2), scoring=["roc_auc", "average_precision"])
    for fold, (train, test) in enumerate(KFold(2).split(X)):
        proba = small().fit(X[train], Y[train]).predict_proba(X[test])
        assert results["test_roc_auc"][fold] == pytest.approx(over_labels(roc_auc, Y[test], proba))
        assert results["test_average_precision"][fold] == pytest.approx(over_labels(average_precision, Y[test], proba))


METRICS_OF_TWO_CLASSES = {
    "accuracy": lambda y, p: np.mean(y == (p >= 0.5)),
    "f1": lambda y, p: f1(y, p >= 0.5, axis=0),
    "roc_auc": roc_auc,
    "average_precision": average_precision,
    "neg_log_loss": lambda y, p: np.log(np.where(y == 1, p, 1 - p)).mean(),
    "neg_brier_score": lambda y, p: -np.mean((y - p) ** 2),
}


@pytest.mark.parametrize("name", METRICS_OF_TWO_CLASSES)
def test_string_scorer_on_two_classes_equals_the_metric_by_hand(X, y_binary, name):
    clf = small(epochs=3).fit(X[:50], y_binary[:50])
    expected = METRICS_OF_TWO_CLASSES[name](y_binary[50:], clf.predict_proba(X[50:])[:, 1].astype(float))
    assert get_scorer(name)(clf, X[50:], y_binary[50:]) == pytest.approx(expected, rel=1e-5)


def test_log_loss_scorer_on_three_classes_equals_the_log_probability_of_the_true_class(X, y_classes):
    clf = small(epochs=3).fit(X[:50], y_classes[:50])
    proba = clf.predict_proba(X[50:])
    expected = np.log(proba[np.arange(30), np.searchsorted(NAMES[:3], y_classes[50:])]).mean()
    assert get_scorer("neg_log_loss")(clf, X[50:], y_classes[50:]) == pytest.approx(expected, rel=1e-5)


def test_int_cv_stratifies_classes_of_one_label_per_row(X, y_classes):
    actual = cross_validate(small(), X, y_classes, cv=2)["test_score"]
    by_hand = [
        np.mean(small().fit(X[train], y_classes[train]).predict(X[test]) == y_classes[test])
        for train, test in StratifiedKFold(2).split(X, y_classes)
    ]
    assert actual.tolist() == by_hand
