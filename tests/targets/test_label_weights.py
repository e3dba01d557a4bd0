"""Sample weights with two dimensions: a weight for each label of each row."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn import metrics as sklearn_metrics

import skml.metrics
from estimators import tiny
from skml import KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV
from skml._decisions._calibration import calibration_of
from skml._decisions._tuning import RULES, guaranteed_rule, score, tune
from skml._keras_models._losses import MultiLabelCrossentropy, named_loss
from skml._targets._weights import positive_weights
from skml.inspection import RiskCoverageCurveDisplay, label_report
from skml.metrics import get_scorer, get_scorer_names

TUNED = {"n_members": 4, "threshold": "f1_macro"}


@pytest.fixture(scope="module")
def weight(Y):
    """Weights between 0.5 and 1.5, different for each entry."""
    return np.random.RandomState(5).uniform(0.5, 1.5, Y.shape)


@pytest.fixture(scope="module")
def is_left_out(Y):
    return np.random.RandomState(4).rand(*Y.shape) < 0.3


@pytest.mark.parametrize("params", [{}, {"class_weight": "balanced"}, {"loss": "focal"}, {"calibrate": True}])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_weight_0_is_a_missing_label(params, container, X, Y, is_left_out):
    zero = tiny(**TUNED, **params).fit(X, container(Y), sample_weight=2.0 * ~is_left_out)
    # One weight for all rows changes nothing, but rows without an observed label have weight 0 in both.
    missing = tiny(**TUNED, **params).fit(X, np.where(is_left_out, np.nan, Y), sample_weight=np.full(80, 2.0))
    np.testing.assert_array_equal(zero.predict_proba(X), missing.predict_proba(X))
    np.testing.assert_array_equal(zero.oof_proba_, missing.oof_proba_)
    np.testing.assert_array_equal(zero.threshold_, missing.threshold_)


@pytest.mark.parametrize("params", [{}, {"class_weight": "balanced", "calibrate": True}])
def test_equal_weights_of_a_row_are_the_weight_of_the_row(params, X, Y):
    rows = np.random.RandomState(0).uniform(0, 2, 80) * (np.arange(80) % 7 > 0)
    by_label = tiny(**TUNED, **params).fit(X, Y, sample_weight=np.repeat(rows[:, None], 3, axis=1))
    by_row = tiny(**TUNED, **params).fit(X, Y, sample_weight=rows)
    np.testing.assert_array_equal(by_label.predict_proba(X), by_row.predict_proba(X))
    np.testing.assert_array_equal(by_label.threshold_, by_row.threshold_)


def test_weight_2_of_a_single_label_repeats_the_row(X, Y):
    plain = {"hidden_layer_sizes": (8,), "n_members": 1, "dropout": 0.0, "input_dropout": 0.0, "batch_size": 256}
    clf = KerasMultiLabelClassifier(early_stopping=False, epochs=4, random_state=0, **plain)
    y, weights = pd.DataFrame(Y[:, :1]), np.tile([0.0, 1.0, 2.0, 1.0], 20)
    weighted = clf.fit(X, y, sample_weight=weights[:, None]).predict_proba(X)
    rows = np.repeat(np.arange(80), weights.astype(int))
    np.testing.assert_allclose(weighted, clf.fit(X[rows], y.iloc[rows]).predict_proba(X), rtol=1e-4)


@pytest.mark.parametrize("n_members", [1, 4])
def test_weights_move_a_label_toward_its_heavy_entries(n_members, X, Y):
    """A label whose positive entries weigh most is predicted more often, and the others are not."""
    weights = np.ones(Y.shape)
    weights[:, 0] = np.where(Y[:, 0], 1.0, 0.02)
    params = {"n_members": n_members, "epochs": 60, "learning_rate": 0.02, "early_stopping": False, "batch_size": 128}
    plain = tiny(**params).fit(X, Y).predict_proba(X)
    heavy = tiny(**params).fit(X, Y, sample_weight=weights).predict_proba(X)
    assert (heavy[:, 0] - plain[:, 0]).mean() > 0.2
    assert np.abs((heavy[:, 1:] - plain[:, 1:]).mean(axis=0)).max() < 0.05


def test_validation_data_have_no_weights(X, Y, weight):
    clf = tiny(inputs="plain", calibrate=False).fit(X, Y, sample_weight=weight, X_val=X, y_val=Y)
    proba = clf.predict_proba(X)
    val_loss = clf.history_["val_loss"][clf.kept_epoch_ - 1]
    assert val_loss == pytest.approx(sklearn_metrics.log_loss(Y.ravel(), proba.ravel()), rel=1e-4)


@pytest.mark.parametrize("name", ["cross", "focal", "asymmetric"])
@pytest.mark.parametrize("soft_labels", [False, True])
def test_the_loss_weights_entries(name, soft_labels):
    rng = np.random.RandomState(0)
    y, p = rng.randint(0, 2, (6, 4)).astype("f4"), rng.uniform(0.01, 0.99, (6, 4)).astype("f4")
    weights = rng.rand(6, 4).astype("f4")
    y[0, 0] = np.nan
    make = MultiLabelCrossentropy if name == "cross" else lambda **arguments: named_loss(name, **arguments)
    loss = make(soft_labels=soft_labels)
    single = np.array([[loss.call(y[[i], j : j + 1], p[[i], j : j + 1])[0] for j in range(4)] for i in range(6)])
    by_hand = (weights * single).sum(axis=1) / [3, 4, 4, 4, 4, 4]
    np.testing.assert_allclose(loss.call(np.hstack([y, weights]), p), by_hand, rtol=1e-4)


def test_columns_of_a_frame_are_matched_by_name(X, label_sets, weight):
    plain = tiny().fit(X, label_sets, sample_weight=weight)
    frame = pd.DataFrame(weight, columns=list("abc"))[["c", "a", "b"]]
    np.testing.assert_array_equal(
        tiny().fit(X, label_sets, sample_weight=frame).predict_proba(X), plain.predict_proba(X)
    )
    assert plain.score(X, label_sets, sample_weight=frame) == plain.score(X, label_sets, sample_weight=weight)
    pd.testing.assert_frame_equal(
        label_report(plain, X, label_sets, sample_weight=frame),
        label_report(plain, X, label_sets, sample_weight=weight),
    )
    with pytest.raises(ValueError, match=r"columns of the DataFrame sample_weight.*Missing: 'c'.*Unknown: 'z'"):
        tiny().fit(X, label_sets, sample_weight=frame.rename(columns={"c": "z"}))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            np.ones((80, 2)),
            r"\(n_samples,\), here \(80,\), or \(n_samples, n_labels\), here \(80, 3\).*got .*\(80, 2\)",
        ),
        (np.ones((3, 80)), r"got the shape \(3, 80\)"),
        (-np.ones((80, 3)), "not negative"),
        (np.full((80, 3), np.nan), "finite"),
        (np.zeros((80, 3)), "non-zero"),
        (np.full((80, 3), "x"), "must hold numbers"),
        (np.ones((80, 3, 1)), "dim"),
    ],
)
def test_wrong_weights_are_refused(weights, message, X, label_sets, clf):
    before = clf.predict_proba(X)
    with pytest.raises(ValueError, match=message):
        clf.fit(X, label_sets, sample_weight=weights)
    np.testing.assert_array_equal(clf.predict_proba(X), before)


def test_single_label_targets_have_weights_of_rows(X, Y):
    for y in (Y[:, 0], Y.sum(axis=1)):
        with pytest.raises(ValueError, match=r"For single-label y, sample_weight must have the shape"):
            tiny().fit(X, y, sample_weight=np.ones((80, len(np.unique(y)))))
        with pytest.raises(ValueError, match=r"For single-label y, sample_weight must have the shape"):
            tiny().fit(X, y).score(X, y, sample_weight=np.ones((80, len(np.unique(y)))))


def test_losses_and_metrics_of_keras_are_refused(X, Y, weight):
    with pytest.raises(ValueError, match=r"Weights of single labels.*losses auto, focal and asymmetric"):
        tiny(loss="binary_crossentropy").fit(X, Y, sample_weight=weight)
    with pytest.raises(ValueError, match=r"weight for each label.*metrics=None"):
        tiny(metrics=["mse"]).fit(X, Y, sample_weight=weight)


def test_balanced_class_weights_count_weights(Y, weight):
    by_hand = [weight[Y[:, j] == 0, j].sum() / weight[Y[:, j] == 1, j].sum() for j in range(3)]
    np.testing.assert_allclose(positive_weights("balanced", [0, 1, 2], Y, weight), by_hand)


# Scores


@pytest.fixture(scope="module")
def proba(Y):
    return np.clip(0.6 * Y + 0.4 * np.random.RandomState(7).rand(*Y.shape), 0.01, 0.99)


@pytest.mark.parametrize("name", ["f1_score", "precision_score", "recall_score", "jaccard_score"])
def test_scores_of_labels_equal_those_of_scikit_learn_for_each_label(name, Y, proba, weight):
    ours, theirs, D = getattr(skml.metrics, name), getattr(sklearn_metrics, name), (proba > 0.5).astype(int)
    by_label = [theirs(Y[:, j], D[:, j], sample_weight=weight[:, j]) for j in range(3)]
    np.testing.assert_allclose(ours(Y, D, average=None, sample_weight=weight), by_label)
    assert ours(Y, D, average="macro", sample_weight=weight) == pytest.approx(np.mean(by_label))
    support = (weight * Y).sum(axis=0)
    assert ours(Y, D, average="weighted", sample_weight=weight) == pytest.approx(np.average(by_label, weights=support))
    pooled = theirs(Y.ravel(), D.ravel(), sample_weight=weight.ravel())
    assert ours(Y, D, average="micro", sample_weight=weight) == pytest.approx(pooled)
    samples = ours(Y, D, average="samples", sample_weight=weight, zero_division=0.0)
    expected = theirs(Y, D, average="samples", sample_weight=weight.mean(axis=1), zero_division=0.0)
    assert samples == pytest.approx(expected)


@pytest.mark.parametrize("name", ["roc_auc_score", "average_precision_score"])
def test_areas_equal_those_of_scikit_learn_for_each_label(name, Y, proba, weight):
    ours, theirs, noisy = getattr(skml.metrics, name), getattr(sklearn_metrics, name), 1 - proba**2
    by_label = [theirs(Y[:, j], noisy[:, j], sample_weight=weight[:, j]) for j in range(3)]
    np.testing.assert_allclose(ours(Y, noisy, average=None, sample_weight=weight), by_label)
    pooled = theirs(Y.ravel(), noisy.ravel(), sample_weight=weight.ravel())
    assert ours(Y, noisy, average="micro", sample_weight=weight) == pytest.approx(pooled)
    support = (weight * Y).sum(axis=0)
    assert ours(Y, noisy, average="weighted", sample_weight=weight) == pytest.approx(
        np.average(by_label, weights=support)
    )


def test_losses_weight_entries(Y, proba, weight):
    D = (proba > 0.5).astype(int)
    assert skml.metrics.hamming_loss(Y, D, sample_weight=weight) == pytest.approx(np.average(Y != D, weights=weight))
    expected = sklearn_metrics.log_loss(Y.ravel(), proba.ravel(), sample_weight=weight.ravel())
    assert skml.metrics.log_loss(Y, proba, sample_weight=weight) == pytest.approx(expected)
    right = (Y == D).all(axis=1)
    expected = np.average(right, weights=weight.mean(axis=1))
    assert skml.metrics.accuracy_score(Y, D, sample_weight=weight) == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", get_scorer_names())
def test_every_scorer_leaves_out_weight_0_and_takes_equal_weights_for_that_of_the_row(name, X, Y, fitted, is_left_out):
    scorer, kept = get_scorer(name), 3.0 * ~is_left_out
    missing = np.where(is_left_out, np.nan, Y)
    assert scorer(fitted, X, Y, sample_weight=kept) == pytest.approx(scorer(fitted, X, missing), nan_ok=True)
    rows = np.random.RandomState(0).rand(80)
    by_label = scorer(fitted, X, Y, sample_weight=np.repeat(rows[:, None], 3, axis=1))
    assert by_label == pytest.approx(scorer(fitted, X, Y, sample_weight=rows))


@pytest.mark.filterwarnings("ignore:y contains labels")
def test_a_label_that_is_new_in_a_score_has_the_mean_weight_of_its_row(X, label_sets, fitted, weight):
    y = [row | {"z"} if i == 3 else row for i, row in enumerate(label_sets)]
    scored = get_scorer("neg_hamming_loss")(fitted, X, y, sample_weight=weight)
    wrong = np.array(
        [[("abc"[j] in y[i]) != ("abc"[j] in p) for j in range(3)] for i, p in enumerate(fitted.predict(X))]
    )
    wrong = np.column_stack([wrong, np.arange(80) == 3])
    weights = np.column_stack([weight, weight.mean(axis=1)])
    assert -scored == pytest.approx(np.average(wrong, weights=weights))


def test_a_report_weights_columns(X, Y, fitted, weight):
    report = label_report(fitted, X, Y, sample_weight=weight)
    D = fitted.target_encoder_.transform(fitted.predict(X))
    np.testing.assert_allclose(report["support"], (weight * Y).sum(axis=0))
    expected = [sklearn_metrics.f1_score(Y[:, j], D[:, j], sample_weight=weight[:, j]) for j in range(3)]
    np.testing.assert_allclose(report["f1"], expected)
    proba = fitted.predict_proba(X)
    of_proba = label_report(Y, proba, sample_weight=pd.DataFrame(weight)[[2, 0, 1]])
    np.testing.assert_allclose(of_proba["average_precision"], report["average_precision"])
    plain = label_report(fitted, X, Y, sample_weight=np.full(80, 2.0))
    np.testing.assert_allclose(plain["support"], 2 * Y.sum(axis=0))


# Tuning and calibration


@pytest.mark.parametrize("scoring", [*RULES, "precision>=0.6", "precision>=0.6 by label", "recall>=0.8"])
@pytest.mark.filterwarnings("ignore")
def test_every_rule_leaves_out_weight_0_and_takes_equal_weights_for_that_of_the_row(scoring, Y, proba, is_left_out):
    noisy = np.clip(proba + 0.3 * np.random.RandomState(0).randn(*Y.shape), 0, 1)
    zero = tune(Y, noisy, scoring, sample_weight=1.0 * ~is_left_out)
    some = ~is_left_out.all(axis=1)
    missing = tune(np.where(is_left_out, np.nan, Y)[some], noisy[some], scoring)
    np.testing.assert_allclose(zero.rule.threshold, missing.rule.threshold)
    assert zero.score == pytest.approx(missing.score, nan_ok=True)
    rows = np.random.RandomState(0).rand(80)
    by_label = tune(Y, noisy, scoring, sample_weight=np.repeat(rows[:, None], 3, axis=1))
    by_row = tune(Y, noisy, scoring, sample_weight=rows)
    np.testing.assert_array_equal(by_label.rule.threshold, by_row.rule.threshold)


@pytest.mark.parametrize("scoring", ["f1_macro", "f1_micro"])
def test_tuned_thresholds_are_the_best_of_all(scoring, Y, proba, weight):
    noisy = np.round(np.clip(proba + 0.4 * np.random.RandomState(0).randn(*Y.shape), 0.01, 0.99), 2)
    tuned = tune(Y, noisy, scoring, None if scoring == "f1_macro" else "auto", weight)
    grid = np.arange(0, 1.01, 0.01) - 0.005

    def f1(j, t):
        return sklearn_metrics.f1_score(Y[:, j], noisy[:, j] >= t, sample_weight=weight[:, j], zero_division=0)

    if scoring == "f1_macro":
        assert tuned.score == pytest.approx(np.mean([max(f1(j, t) for t in grid) for j in range(3)]))
    else:
        pooled = (Y.ravel(), noisy.ravel(), weight.ravel())
        best = max(sklearn_metrics.f1_score(pooled[0], pooled[1] >= t, sample_weight=pooled[2]) for t in grid)
        assert tuned.score == pytest.approx(best)
    assert score(Y, noisy, scoring, tuned.rule.threshold, weight) == pytest.approx(tuned.score)


def test_a_guarantee_by_label_sees_the_weights_of_its_column():
    rng = np.random.RandomState(0)
    proba = rng.rand(400, 2)
    Y = (rng.rand(400, 2) < proba).astype(np.uint8)
    weights = np.column_stack([np.where(Y[:, 0], 0.3, 1.0), np.ones(400)])
    plain, weighted = (guaranteed_rule(Y, proba, "precision>=0.7 by label", w).threshold for w in (None, weights))
    assert weighted[0] > plain[0] + 0.1
    assert weighted[1] == plain[1]
    alone = guaranteed_rule(Y[:, :1], proba[:, :1], "precision>=0.7 by label", weights[:, 0]).threshold
    assert weighted[0] == alone[0]


def test_calibration_weights_entries():
    rng = np.random.RandomState(0)
    proba = rng.uniform(0.05, 0.95, (300, 1))
    Y = (rng.rand(300, 1) < proba**2).astype(np.uint8)
    weights = rng.uniform(0.1, 1, (300, 1))
    side_by_side = calibration_of(
        np.hstack([Y[:150], Y[150:]]),
        np.hstack([proba[:150], proba[150:]]),
        True,
        sample_weight=np.hstack([weights[:150], weights[150:]]),
    )
    below = calibration_of(Y, proba, True, sample_weight=weights.ravel())
    assert side_by_side.slope == pytest.approx(below.slope, abs=0.05)
    assert np.mean(side_by_side.offset) == pytest.approx(np.mean(below.offset), abs=0.1)


@pytest.mark.parametrize("cv", [2, 0.5, "oof"])
def test_the_tuner_passes_weights_of_labels_on(cv, X, label_sets, Y, weight):
    weights = pd.DataFrame(weight * (weight > 0.6), columns=list("abc"))[["b", "c", "a"]]
    tuner = TunedThresholdMultiLabelClassifierCV(
        tiny(n_members=4), scoring="f1_micro", cv=cv, refit=cv != 0.5, random_state=0
    )
    tuner.fit(X, label_sets, sample_weight=weights)
    if cv == "oof":
        decided = (tuner.estimator_.oof_proba_ >= tuner.best_threshold_).ravel()
        flat = weights[list("abc")].to_numpy().ravel()
        assert tuner.best_score_ == pytest.approx(sklearn_metrics.f1_score(Y.ravel(), decided, sample_weight=flat))
    assert 0 < tuner.score(X, label_sets, sample_weight=weights) < 1


def test_a_risk_coverage_curve_weights_entries(Y, proba, weight):
    curves = RiskCoverageCurveDisplay.from_predictions(Y, proba, levels=[0.5], sample_weight=weight).curves
    (precision,), (labels,) = curves["out of fold"]["precision"], curves["out of fold"]["labels"]
    rule = guaranteed_rule(Y, proba, "precision>=0.5", weight)
    D = rule.decide(proba)
    assert precision == pytest.approx(
        sklearn_metrics.precision_score(Y.ravel(), D.ravel(), sample_weight=weight.ravel())
    )
    assert labels == pytest.approx(sklearn_metrics.recall_score(Y.ravel(), D.ravel(), sample_weight=weight.ravel()))


@pytest.mark.filterwarnings("ignore:No threshold", "ignore:'recall")
@pytest.mark.parametrize("guarantee", ["precision>=0.6", "precision>=0.6 by label", "recall>=0.8"])
def test_groups_of_one_row_are_rows_and_equal_weights_those_of_the_row_in_groups_too(guarantee, Y, proba, weight):
    alone = np.random.RandomState(0).permutation(80)
    by_row = guaranteed_rule(Y, proba, guarantee, weight).threshold
    np.testing.assert_allclose(guaranteed_rule(Y, proba, guarantee, weight, alone).threshold, by_row)
    group, rows = np.arange(80) // 2, np.random.RandomState(1).rand(80)
    by_label = guaranteed_rule(Y, proba, guarantee, np.repeat(rows[:, None], 3, axis=1), group).threshold
    np.testing.assert_array_equal(by_label, guaranteed_rule(Y, proba, guarantee, rows, group).threshold)
