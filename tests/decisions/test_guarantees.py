"""Guarantees: their names, their thresholds compared with the published methods, and simulations that they hold."""

import copy
import dataclasses
import pickle
import re
import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.special import expit, ndtr
from scipy.stats import binomtest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_score
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from estimators import tiny
from forms import label_sets_of, with_unknown
from skml import KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV
from skml._decisions._entries import entries_of
from skml._decisions._guarantees import NEVER, parse_guarantee
from skml._decisions._risk_control import PredictionCounts, _count_predictions, _grid
from skml._decisions._rule import resolve_threshold
from skml._decisions._scale import Scale
from skml._decisions._tuning import TunedThresholds, guaranteed_threshold, score, tune

FORMS = ("precision>=0.9", "precision>=0.9 by label", "recall>=0.9")


def draw(rng, n_rows, n_labels, correlation=0.5, slope=1.0):
    """Draw labels and predicted probabilities, which are the true ones if the slope of their log-odds is 1.

    The labels of a row share a normal variable. With a correlation of 1 all predictions for a row are right or wrong.
    """
    z = -2 + 3 * (rng.standard_normal((n_rows, 1)) + rng.standard_normal((n_rows, n_labels))) / np.sqrt(2)
    shared, separate = rng.standard_normal((n_rows, 1)), rng.standard_normal((n_rows, n_labels))
    u = ndtr(np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * separate)
    return (u < expit(slope * z)).astype(np.uint8), expit(z)


@pytest.fixture(scope="module")
def data():
    return draw(np.random.default_rng(0), 600, 4)


# Names


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("precision>=0.9", "precision>=0.9"),
        (" precision  >=  .90 ", "precision>=0.9"),
        ("precision>=9e-1   by label", "precision>=0.9 by label"),
        ("recall >= 0.95", "recall>=0.95"),
    ],
)
def test_spaces_and_the_notation_of_numbers_are_ignored(text, canonical):
    assert str(parse_guarantee(text)) == canonical


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("precison>=0.8", "precision>=0.8"),
        ("precision>0.8", "precision>=0.8"),
        ("precision>=0.8 per label", "precision>=0.8 by label"),
        ("recall>=0.8 by label", "recall>=0.8"),
        ("recal", "recall>=0.9"),
        ("precision>=1", "precision>=0.9"),
        ("precision>=0", "precision>=0.9"),
        ("precision>=90%", "precision>=0.9"),
        ("precision>=-0.5", "precision>=0.5"),
        ("recall>=nan", "recall>=0.9"),
        ("f1-micro", "f1_micro"),
    ],
)
def test_other_strings_are_refused_with_a_suggestion(text, nearest, X, Y):
    assert parse_guarantee(text) is None
    with pytest.raises(ValueError, match=rf"^threshold .*f1_micro.*; got .*'{nearest}'\?$"):
        tiny(threshold=text).fit(X, Y)
    with pytest.raises(ValueError, match=rf"^scoring .*f1_micro.*callable; got .*'{nearest}'\?$"):
        tune(Y, X[:, :3], text)


def test_thresholds_must_be_in_0_to_1_or_never():
    with pytest.raises(ValueError, match=r"threshold .*\[0, 1\].*\[0\.5, 1\.5\]"):
        resolve_threshold([0.5, 1.5], ["a", "b"])
    assert resolve_threshold({"b": NEVER}, ["a", "b"]).tolist() == [0.5, 2.0]


# Precision


def test_counts_equal_a_loop_over_rows(data):
    Y, proba = data[0].astype(float), data[1]
    Y[::3, 1] = np.nan
    weight = np.random.RandomState(0).rand(len(Y))
    grid = np.array([0.9, 0.6, 0.2, 0.0])
    counts, most = _count_predictions(entries_of(Y, proba, weight), grid)
    for i, threshold in enumerate(grid):
        assert most[i] == max((p >= threshold).sum() for p in proba)
        assert counts.heaviest[i] == most[i] * weight.max()
        sums = np.zeros(7)
        for y, p, w in zip(Y, proba, weight, strict=True):
            predicted = (p >= threshold) & ~np.isnan(y)
            k, e = predicted.sum(), (predicted & (y == 0)).sum()
            sums += [w * k, w * e, w * p[predicted].sum(), w**2 * k, w**2 * k**2, w**2 * k * e, w**2 * e**2]
        np.testing.assert_allclose([amount[i] for amount in counts[:7]], sums)


@pytest.mark.parametrize(("level", "n_needed"), [(0.8, 14), (0.9, 29), (0.95, 59)])
@pytest.mark.parametrize("how", ["", " by label"])
def test_precision_needs_a_least_number_of_right_rows(level, n_needed, how):
    proba = np.linspace(0.8, 0.99, n_needed)[:, None]
    Y = np.ones_like(proba)
    assert np.squeeze(guaranteed_threshold(Y, proba, f"precision>={level}{how}")) < 0.8
    assert np.squeeze(guaranteed_threshold(Y[1:], proba[1:], f"precision>={level}{how}")) == NEVER


def test_for_one_label_the_bound_is_clopper_and_pearsons():
    rng = np.random.default_rng(0)
    Y, proba = draw(rng, 400, 1)
    grid = np.array([0.9, 0.7, 0.5])
    counts, _ = _count_predictions(entries_of(Y, proba, None), grid)
    for i, threshold in enumerate(grid):
        predicted = proba >= threshold
        test = binomtest(int(Y[predicted].sum()), int(predicted.sum()), 0.8, alternative="greater")
        assert counts.p_values(0.8)[i] == pytest.approx(test.pvalue)
        assert counts.lower_bounds()[i] == pytest.approx(test.proportion_ci(0.95, "exact").low)


def test_effective_predictions_are_rows_if_labels_are_equal_and_entries_if_they_are_independent():
    rng, proba, grid = np.random.default_rng(0), np.full((20000, 5), 0.7), np.array([0.5])
    same = np.tile(rng.random((20000, 1)) < 0.7, 5).astype(np.uint8)
    counts, _ = _count_predictions(entries_of(same, proba, None), grid)
    assert counts.effective_predictions()[0] == pytest.approx(20000)
    independent = (rng.random((20000, 5)) < 0.7).astype(np.uint8)
    counts, _ = _count_predictions(entries_of(independent, proba, None), grid)
    assert counts.effective_predictions()[0] == pytest.approx(100_000, rel=0.05)


def test_right_predictions_carry_the_information_of_as_many_of_the_heaviest_rows():
    # 100 rows with one prediction and one with ten: as many predictions as 11 rows with ten.
    counts = PredictionCounts(*np.array([[110.0], [0], [99], [110], [200], [0], [0], [10]]))
    assert counts.effective_units()[0] == 11
    assert 11 < counts.effective_predictions()[0] < 12


def test_the_grid_does_not_depend_on_labels_and_results_not_on_the_unit_of_weights(data):
    Y, proba = data
    weight = np.random.RandomState(0).rand(len(Y))
    grid = _grid(entries_of(Y, proba, weight), 0.9)
    np.testing.assert_array_equal(grid, _grid(entries_of(1 - Y, proba, weight), 0.9))
    np.testing.assert_allclose(grid, _grid(entries_of(Y, proba, 7 * weight), 0.9))
    for name in FORMS:
        np.testing.assert_allclose(
            guaranteed_threshold(Y, proba, name, weight), guaranteed_threshold(Y, proba, name, 1e-3 * weight), rtol=1e-6
        )


def test_three_sequences_of_tests_go_down_until_one_fails():
    def counts(wrong):
        n, wrong = np.array([50.0, 100, 200, 400]), np.array(wrong, dtype=float)
        return PredictionCounts(n, wrong, 0.95 * n, n, n, wrong, wrong, np.ones(4))

    p_values = counts([0, 3, 9, 80]).p_values(0.9)
    assert list(p_values < 0.05 / 3) == [True, True, True, False]
    # The first start has at least 1.5 times the rows that are needed; the others have two and four times its rows.
    assert counts([0, 3, 9, 80]).lowest_guaranteed(0.9) == 2
    assert counts([0, 50, 9, 80]).lowest_guaranteed(0.9) == 2
    assert counts([0, 50, 60, 4]).lowest_guaranteed(0.9) == 3
    assert counts([0, 50, 60, 80]).lowest_guaranteed(0.9) is None
    # A p-value of 0.029 is enough for two thirds of the risk, but not for one third.
    assert 0.05 / 3 < counts([0, 0, 12, 0]).p_values(0.9)[2] < 0.1 / 3
    assert counts([0, 3, 12, 80]).lowest_guaranteed(0.9) == 2
    assert counts([0, 50, 12, 80]).lowest_guaranteed(0.9) is None


def test_the_common_threshold_reaches_the_target_level(data):
    Y, proba = data
    tuned = tune(Y, proba, "precision>=0.8")
    assert tuned.score == pytest.approx(precision_score(Y, proba >= tuned.rule.threshold, average="micro"))
    assert tuned.score > 0.8
    lower = tune(Y, proba, "precision>=0.7").rule.threshold
    assert lower < tuned.rule.threshold < tune(Y, proba, "precision>=0.87").rule.threshold < 1


def test_each_label_has_a_separate_threshold_or_is_never_predicted(data):
    Y, proba = data[0].copy(), data[1]
    Y[:, 2] = 0
    with pytest.warns(
        UserWarning, match=r"'precision>=0\.7 by label'.* 1 of 4 labels.* never predicted.*'precision>=0\.7'"
    ):
        tuned = tune(Y, proba, "precision>=0.7 by label")
    thresholds = tuned.rule.threshold
    assert thresholds[2] == NEVER
    for j in (0, 1, 3):
        assert guaranteed_threshold(Y[:, [j]], proba[:, [j]], "precision>=0.7 by label") == thresholds[j]
        assert 0 < thresholds[j] < 1
    assert not tuned.rule.decide(np.ones((1, 4)))[0, 2]


@pytest.mark.filterwarnings("ignore")  # some labels have no threshold anyway
@pytest.mark.parametrize("make_Y", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("form", FORMS)
def test_a_label_without_an_observed_entry_is_never_predicted(form, make_Y, data):
    Y, p = data
    Y = Y.astype(np.float32)
    Y[0] = np.nan  # no observed entry of a row is not none of a label
    with_missing = np.column_stack([Y, np.full(len(Y), np.nan, np.float32)]), np.column_stack([p, p[:, 0]])
    threshold = tune(make_Y(with_missing[0]), with_missing[1], form).rule.threshold
    expected = np.broadcast_to(tune(make_Y(Y), p, form).rule.threshold, 4)
    np.testing.assert_array_equal(threshold, [*expected, NEVER])


@pytest.mark.parametrize("make_Y", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("form", ["precision>=0.8", "recall>=0.8"])
def test_labels_without_an_observed_entry_make_no_row_look_heavier(form, make_Y):
    proba = np.linspace(0.8, 0.99, 30)[:, None]  # 14 right rows with one label prove a precision of 0.8, not with ten
    Y = np.ones((30, 1), np.float32)
    expected = tune(Y, proba, form).rule
    wide = make_Y(np.hstack([np.full((30, 9), np.nan, np.float32), Y])), np.hstack([np.full((30, 9), 0.999), proba])
    rule = tune(*wide, form).rule
    np.testing.assert_array_equal(rule.threshold, [NEVER] * 9 + [expected.threshold])
    assert rule.max_labels == expected.max_labels
    assert expected.threshold < 0.99


def test_equal_probabilities_are_never_separated():
    Y, proba = draw(np.random.default_rng(0), 800, 1)
    proba = np.round(proba, 1)
    threshold = guaranteed_threshold(Y, proba, "precision>=0.7 by label")[0]
    assert threshold < 1
    assert abs(threshold * 20 - round(threshold * 20)) < 1e-9  # midway between two tenths
    assert round(threshold * 20) % 2


# Recall


def highest_by_force(Y, proba, level, weight):
    """Return the highest probability of a true entry for which the conformal bound holds, computed by loops."""
    rows = [i for i in range(len(Y)) if (Y[i] == 1).any()]
    w = weight[rows]
    n = w.sum() / w.max()
    for value in sorted(proba[Y == 1], reverse=True):
        losses = [np.mean(proba[i][Y[i] == 1] < value) for i in rows]
        if n / (n + 1) * np.average(losses, weights=w) + 1 / (n + 1) <= 1 - level + 1e-9:
            return value
    return None


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("missing", [False, True])
def test_recall_equals_a_computation_by_loops(weighted, missing):
    Y, proba = draw(np.random.default_rng(0), 120, 4)
    Y = with_unknown(Y) if missing else Y
    weight = np.random.RandomState(0).rand(120) if weighted else np.ones(120)
    tuned = tune(Y, proba, "recall>=0.8", sample_weight=weight)
    highest = highest_by_force(Y, proba, 0.8, weight)
    below = proba[(proba < highest) & (Y == Y)].max()
    assert tuned.rule.threshold == pytest.approx((highest + below) / 2)
    rows = (Y == 1).any(axis=1)
    recall = [np.mean(p[y == 1] >= highest) for y, p in zip(Y[rows], proba[rows], strict=True)]
    assert tuned.score == pytest.approx(np.average(recall, weights=weight[rows]))


def test_rows_without_true_labels_have_no_effect_on_recall():
    Y, proba = draw(np.random.default_rng(0), 100, 4)
    assert (~Y.any(axis=1)).any()
    rows = Y.any(axis=1)
    assert tune(Y, proba, "recall>=0.8").score == tune(Y[rows], proba[rows], "recall>=0.8").score


def test_with_too_few_rows_for_recall_every_label_is_predicted():
    Y, proba = np.ones((8, 2), dtype=int), np.full((8, 2), 0.5)
    with pytest.warns(UserWarning, match=r"'recall>=0\.9' .*\b9 rows with a true label.*\b8\b.*threshold is 0"):
        assert tune(Y, proba, "recall>=0.9").rule.threshold == 0
    with pytest.warns(UserWarning, match=r"'recall>=0\.9' .*\b9 rows with a true label.* have 0 "):
        assert tune(0 * Y, proba, "recall>=0.9").rule.threshold == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tune(np.ones((9, 2)), np.full((9, 2), 0.5), "recall>=0.9").rule.threshold == 0.25


# All of them


@pytest.mark.parametrize("name", FORMS)
def test_sparse_y_and_blocks_change_nothing(name, data, monkeypatch):
    Y, proba = data
    expected = guaranteed_threshold(Y, proba, name)
    np.testing.assert_allclose(guaranteed_threshold(sparse.csr_array(Y), proba, name), expected, rtol=1e-12)
    monkeypatch.setattr("skml._targets._matrix._BLOCK_BYTES", 2000)
    np.testing.assert_allclose(guaranteed_threshold(sparse.csr_array(Y), proba, name), expected, rtol=1e-12)


@pytest.mark.parametrize("name", FORMS)
def test_missing_labels_do_not_change_a_guarantee(name, data):
    Y, proba = data
    missing = np.vstack([Y.astype(float), np.full_like(Y, np.nan, dtype=float)])
    twice = np.vstack([proba, 1 - proba])
    expected = guaranteed_threshold(Y, proba, name)
    np.testing.assert_allclose(guaranteed_threshold(missing, twice, name), expected, atol=0.01)


def test_a_warning_explains_why_a_guarantee_is_impossible():
    Y, proba = draw(np.random.default_rng(0), 600, 4, slope=0.0)
    with pytest.warns(UserWarning, match=r"'precision>=0\.9' .*about 0\.[4-6].*No label is predicted"):
        tuned = tune(Y, proba, "precision>=0.9")
    assert tuned.rule.threshold == NEVER
    assert not tuned.rule.decide(np.ones((3, 4))).any()
    assert np.isnan(tuned.score)
    with pytest.warns(UserWarning, match=r"'precision>=0\.9' .*\b29 rows.*\b20 .*No label is predicted"):
        tune(Y[:20], proba[:20], "precision>=0.9")


# Simulations: thresholds of many random draws, evaluated on a large sample


class Population:
    """Precision and recall at any threshold, estimated from 100,000 rows."""

    def __init__(self, **process):
        Y, proba = draw(np.random.default_rng(1), 100_000, 5, **process)
        order = np.argsort(-proba, axis=None)
        self.proba = proba.ravel()[order]
        self.precisions = np.cumsum(Y.ravel()[order]) / np.arange(1, Y.size + 1)
        share = (Y / np.maximum(Y.sum(axis=1, keepdims=True), 1)).ravel()[order]
        self.recalls = np.cumsum(share) / Y.any(axis=1).sum()

    def count(self, threshold):
        return np.searchsorted(-self.proba, -threshold, side="right")

    def precision(self, threshold):
        n = self.count(threshold)
        return self.precisions[n - 1] if n else 1.0

    def recall(self, threshold):
        return self.recalls[self.count(threshold) - 1]

    def best(self, level):
        """Return the number of entries that the lowest threshold with this precision predicts."""
        return np.flatnonzero(self.precisions >= level)[-1] + 1


PROCESSES = {
    "independent labels": {"correlation": 0.0},
    "correlated labels": {"correlation": 0.95},
    "overconfident probabilities": {"slope": 0.8},
    "underconfident probabilities": {"slope": 1.5},
}


# The default run makes fewer draws.
MANY = pytest.mark.parametrize("n_draws", [80, pytest.param(400, marks=pytest.mark.slow)])


def largest_failure_rate(n_draws):
    """Return the largest fraction of failed guarantees that is due to chance if one in twenty may fail."""
    return 0.06 if n_draws == 400 else 0.05 + 2 * np.sqrt(0.05 * 0.95 / n_draws)


@MANY
@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_precision_fails_in_at_most_five_percent_of_draws_and_keeps_most_predictions(process, weighted, n_draws):
    population, rng = Population(**process), np.random.default_rng(2)
    failed, kept = [], []
    for _ in range(n_draws):
        Y, proba = draw(rng, 1000, 5, **process)
        weight = rng.uniform(0.5, 1.5, 1000) if weighted else None
        threshold = guaranteed_threshold(Y, proba, "precision>=0.85", weight)
        failed.append(population.precision(threshold) < 0.85)
        kept.append(population.count(threshold) / population.best(0.85))
    assert np.mean(failed) <= largest_failure_rate(n_draws)
    assert np.mean(kept) > (0.72 if weighted else 0.75)


def many_wrong_predictions(rng, n_rows, n_labels):
    """Rows with one right prediction, and a few rows with so many wrong ones that the precision is below 0.9."""
    is_wrong = rng.random(n_rows) < 1 / (8.8 * n_labels)
    proba = np.where(is_wrong[:, None], rng.uniform(0.85, 0.9, (n_rows, n_labels)), 0.0)
    label = rng.integers(n_labels, size=n_rows)
    Y = np.zeros((n_rows, n_labels), dtype=np.uint8)
    Y[~is_wrong, label[~is_wrong]] = 1
    proba[~is_wrong, label[~is_wrong]] = rng.uniform(0.85, 0.9, (~is_wrong).sum())
    return Y, proba, np.ones(n_rows)


def few_heavy_rows(rng, n_rows, n_labels):
    """Rows with right predictions, and one row in 200 with wrong ones that has 30 times the weight."""
    is_wrong = rng.random(n_rows) < 1 / 200
    Y = np.repeat(~is_wrong[:, None], n_labels, axis=1).astype(np.uint8)
    return Y, rng.uniform(0.85, 0.9, Y.shape), np.where(is_wrong, 30.0, 1.0)


HEAVY = {
    "10 wrong predictions": (many_wrong_predictions, 100, 10, ""),
    "30 wrong predictions": (many_wrong_predictions, 300, 30, ""),
    "100 wrong predictions": (many_wrong_predictions, 1000, 100, ""),
    "weights": (few_heavy_rows, 1000, 1, ""),
    "weights, by label": (few_heavy_rows, 1000, 2, " by label"),
}


@MANY
@pytest.mark.parametrize(("process", "n_rows", "n_labels", "how"), HEAVY.values(), ids=HEAVY)
def test_precision_is_guaranteed_if_few_rows_are_heavy(process, n_rows, n_labels, how, n_draws):
    rng = np.random.default_rng(5)
    population = [process(rng, 1000, n_labels) for _ in range(40)]
    Y, proba, weight = map(np.concatenate, zip(*population, strict=True))
    failed = []
    for _ in range(n_draws):
        seen = process(rng, n_rows, n_labels)
        decisions = tune_quietly(*seen[:2], f"precision>=0.9{how}", seen[2]).decide(proba)
        axis = 0 if how else None
        predicted = np.sum(weight[:, None] * decisions, axis=axis)
        right = np.sum(weight[:, None] * (decisions & (Y == 1)), axis=axis)
        failed.append(right < 0.9 * predicted)
    assert np.mean(failed, axis=0).max() <= largest_failure_rate(n_draws)


def tune_quietly(Y, proba, name, weight):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return tune(Y, proba, name, sample_weight=weight).rule


def test_no_row_gets_more_labels_than_a_row_of_the_tuning_data():
    proba = np.zeros((200, 5))
    proba[np.arange(200), np.arange(200) % 5] = np.linspace(0.95, 0.99, 200)
    proba[0, :2] = 0.99
    Y = (proba > 0).astype(np.uint8)
    rule = tune(Y, proba, "precision>=0.9").rule
    assert rule.max_labels == 2
    np.testing.assert_array_equal(rule.decide(proba), Y == 1)
    assert rule.decide([[0.96, 0.97, 0.99, 0.97, 0.97]]).tolist() == [[False, True, True, False, False]]
    by_label = tune(Y, proba, "precision>=0.8 by label").rule
    assert by_label.max_labels is None
    assert np.all(by_label.threshold < 1)
    tuned = TunedThresholdMultiLabelClassifierCV(
        FunctionOfX().fit(proba, Y), scoring="precision>=0.9", cv="prefit", refit=False
    ).fit(proba, Y)
    assert (tuned.best_k_, tuned.best_max_labels_) == (None, 2)
    assert tuned.predict(np.full((1, 5), 0.99)).tolist() == [[1, 1, 0, 0, 0]]


class FunctionOfX(ClassifierMixin, BaseEstimator):
    """A classifier whose probabilities are X."""

    def fit(self, X, y):
        self.classes_ = np.arange(X.shape[1])
        return self

    def predict_proba(self, X):
        return X


def test_precision_by_label_fails_for_at_most_five_percent_of_labels():
    population, rng = Population(), np.random.default_rng(3)
    failed, kept = [], []
    for _ in range(40):
        Y, proba = draw(rng, 800, 5)
        thresholds = guaranteed_threshold(Y, proba, "precision>=0.85 by label")
        failed += [population.precision(threshold) < 0.85 for threshold in thresholds]
        kept += [population.count(threshold) / population.best(0.85) for threshold in thresholds]
    assert np.mean(failed) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 150)
    assert np.mean(kept) > 0.5


@pytest.mark.parametrize("n_rows", [30, 300])
def test_recall_holds_on_average_and_is_tight(n_rows):
    population, rng = Population(), np.random.default_rng(4)
    recalls = []
    for _ in range(400):
        Y, proba = draw(rng, n_rows, 5)
        if Y.any(axis=1).sum() >= 9:
            recalls.append(population.recall(guaranteed_threshold(Y, proba, "recall>=0.9")))
    error = np.std(recalls) / np.sqrt(len(recalls))
    n_with_label = 0.6 * n_rows
    assert 0.9 - 2 * error <= np.mean(recalls) <= 0.9 + 2 / n_with_label + 2 * error


@MANY
@pytest.mark.parametrize("sigma", [1.5, 2.0])
def test_recall_holds_on_average_if_heavy_rows_are_hard(sigma, n_draws):
    rng = np.random.default_rng(6)

    def draw_weighted(n_rows):
        hardness = rng.standard_normal(n_rows)
        log_odds = -1 + 2 * rng.standard_normal((n_rows, 5))
        Y = (rng.random((n_rows, 5)) < expit(log_odds)).astype(np.uint8)
        return Y, expit(log_odds - 0.8 * hardness[:, None]), np.exp(sigma * hardness)

    Y, proba, weight = draw_weighted(20_000)
    recalls = []
    for _ in range(n_draws):
        *seen, seen_weight = draw_weighted(1000)
        threshold = guaranteed_threshold(*seen, "recall>=0.9", seen_weight)
        recalls.append(score(Y, proba, "recall>=0.9", threshold, weight))
    assert np.mean(recalls) >= 0.9 - 2 * np.std(recalls) / np.sqrt(n_draws)


def test_recall_is_tuned_on_the_average_for_true_labels():
    Y, proba = draw(np.random.default_rng(0), 200, 4)
    average = 0.9 * proba[Y == 1]
    thresholds = TunedThresholds(Y, proba, None, average=average)
    flattened = proba.copy()
    flattened[Y == 1] = average
    assert thresholds["recall>=0.8"] == guaranteed_threshold(Y, flattened, "recall>=0.8")
    assert thresholds["recall>=0.8"] < guaranteed_threshold(Y, proba, "recall>=0.8")
    assert thresholds["precision>=0.75"] == guaranteed_threshold(Y, proba, "precision>=0.75")


def test_the_largest_number_of_labels_is_kept_with_its_threshold():
    thresholds = TunedThresholds(*draw(np.random.default_rng(0), 200, 4))
    assert thresholds.max_labels("precision>=0.75") == 2
    loaded, previous = pickle.loads(pickle.dumps(thresholds)), thresholds.previous(np.array([0, 1, 2, 3, -1]))
    assert loaded.max_labels("precision >= 0.75") == previous.max_labels("precision>=0.75") == 2
    assert previous["precision>=0.75"].tolist() == [thresholds["precision>=0.75"]] * 4 + [NEVER]


def test_a_label_without_an_observed_entry_is_never_predicted_by_a_rule_with_a_limit():
    Y, proba = draw(np.random.default_rng(0), 200, 4)
    rule = tune(Y, proba, "precision>=0.75").rule
    Y = np.column_stack([Y, np.full(200, np.nan)])
    extended = tune(Y, np.column_stack([proba, np.zeros(200)]), "precision>=0.75").rule
    assert extended.threshold.tolist() == [rule.threshold] * 4 + [NEVER]
    assert extended.max_labels == rule.max_labels == 2


# In the estimators


X = np.random.RandomState(0).randn(300, 6)
TRUTH = (X[:, :3] + 0.2 * np.random.RandomState(1).randn(300, 3) > 0.4).astype(int)
SETS = label_sets_of(TRUTH)


@pytest.fixture(scope="module")
def network():
    return KerasMultiLabelClassifier(hidden_layer_sizes=8, n_members=2, epochs=60, random_state=0).fit(X, SETS)


@pytest.fixture
def clf(network):
    """A copy of the fitted estimator that a test may change."""
    copied, tuned = copy.copy(network), network._fitted.thresholds
    copied._fitted = dataclasses.replace(network._fitted, thresholds=TunedThresholds(*tuned._entries, tuned._average))
    return copied


@pytest.mark.parametrize("name", ["precision>=0.8", "precision>=0.8 by label", "recall>=0.9"])
@pytest.mark.filterwarnings("ignore:No threshold guarantees")
def test_a_guarantee_acts_on_a_fitted_estimator_and_is_pickled(name, clf):
    clf.set_params(threshold=name)
    expected = guaranteed_threshold(TRUTH, clf.oof_proba_, name)
    # With two members, the other one does not change the estimated average.
    np.testing.assert_allclose(clf.threshold_, expected, rtol=1e-5)
    expected = clf.threshold_
    decisions = clf.predict_proba(X) >= expected
    assert clf.predict(X).tolist() == label_sets_of(decisions, kind=tuple)
    loaded = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(loaded.threshold_, expected)
    loaded.set_params(threshold=name.replace(">=", " >= "))  # the same guarantee, written differently
    np.testing.assert_array_equal(loaded.threshold_, expected)
    with pytest.raises(ValueError, match=r"threshold='recall>=0\.7'.*pickled.*fit again"):
        loaded.set_params(threshold="recall>=0.7").predict(X)


def test_a_label_that_is_never_predicted_can_be_set_by_hand(clf):
    with pytest.warns(UserWarning, match=r"'precision>=0\.999 by label'.* 3 of 3 labels"):
        tuned = clf.set_params(threshold="precision>=0.999 by label").tuned_threshold_
    assert tuned == {"a": 2.0, "b": 2.0, "c": 2.0}
    clf.set_params(threshold=tuned | {"b": 0.5})
    assert set().union(*clf.predict(X)) == {"b"}


def test_label_counts_that_could_break_a_guarantee_are_refused(clf):
    for params in ({"min_labels": 1}, {"max_labels": 1}):
        clf.set_params(threshold="precision>=0.8", **{"min_labels": 0, "max_labels": None} | params)
        with pytest.raises(ValueError, match=r"'precision>=0\.8'.*\b1\b.*min_labels=0 and max_labels=None"):
            clf.predict(X)
    clf.set_params(threshold="recall>=0.8", min_labels=1, max_labels=None).predict(X)
    with pytest.raises(ValueError, match=r"'recall>=0\.8'.*max_labels=2\b.*max_labels=None"):
        clf.set_params(max_labels=2).predict(X)


def test_partial_fit_alone_cannot_tune_a_guarantee():
    with pytest.raises(ValueError, match=r"threshold='recall>=0\.9' needs held-out predictions.*X_val and y_val"):
        tiny(threshold="recall>=0.9").partial_fit(X, SETS, classes=list("abc"))


def test_guarantees_support_binary_y_but_not_multiclass_y():
    y = np.where(TRUTH[:, 0], "yes", "no")
    clf = tiny(n_members=2, epochs=60, threshold="precision>=0.8").fit(X, y)
    assert clf.threshold_ == guaranteed_threshold(TRUTH[:, :1], clf.oof_proba_[:, 1:], "precision>=0.8")
    assert isinstance(clf.set_params(threshold="precision>=0.8 by label").threshold_, float)
    with pytest.warns(UserWarning, match=r"'precision>=0\.9999' .*No label is predicted"):
        assert set(clf.set_params(threshold="precision>=0.9999").predict(X)) == {"no"}
    with pytest.raises(ValueError, match=r"multi-class y.*threshold='precision>=0\.8'.*threshold=0\.5"):
        tiny(threshold="precision>=0.8").fit(X, np.arange(300) % 3)


LOGISTIC, SVM = OneVsRestClassifier(LogisticRegression()), OneVsRestClassifier(LinearSVC())


@pytest.mark.parametrize("estimator", [LOGISTIC, SVM], ids=["probabilities", "scores"])
@pytest.mark.parametrize("name", ["precision>=0.8", "precision>=0.8 by label", "recall>=0.9"])
def test_guarantees_can_be_tuned_for_any_classifier(estimator, name):
    for cv, refit in ((5, True), (0.5, False)):
        tuned = TunedThresholdMultiLabelClassifierCV(estimator, scoring=name, cv=cv, refit=refit, random_state=0)
        tuned.fit(X, SETS)
        assert tuned.best_score_ >= parse_guarantee(name).level
        assert np.all(np.isfinite(tuned.best_threshold_))


@pytest.mark.parametrize("form", [SETS, sparse.csr_array(TRUTH), np.where(TRUTH[:, 0], "yes", "no")], ids="abc")
def test_out_of_fold_the_tuner_guarantees_the_recall_of_the_average_as_the_classifier_does(form):
    clf = tiny(n_members=4, epochs=30)
    tuned = TunedThresholdMultiLabelClassifierCV(clf, scoring=" recall >= 0.9", cv="oof").fit(X, form)
    own = copy.copy(clf).fit(X, form).set_params(threshold="recall>=0.9").threshold_
    Y = tuned.estimator_.oof_target()
    of_members = tuned.estimator_.oof_proba_[:, -Y.shape[1] :]
    assert tuned.best_threshold_ == pytest.approx(own)
    assert tuned.best_threshold_ != guaranteed_threshold(Y, of_members, "recall>=0.9")
    tuned.set_params(scoring="f1_micro").fit(X, form)
    assert tuned.best_threshold_ == pytest.approx(tune(Y, of_members, "f1_micro").rule.threshold)


def test_with_scores_a_label_that_is_never_predicted_has_an_infinite_threshold():
    tuned = TunedThresholdMultiLabelClassifierCV(SVM, scoring="precision>=0.999 by label", random_state=0)
    with pytest.warns(UserWarning, match=r"'precision>=0\.999 by label'.* 3 of 3 labels"):
        tuned.fit(X, TRUTH)
    assert np.all(tuned.best_threshold_ == np.inf)
    assert not tuned.predict(1e6 * X).any()
    assert Scale(2.0, None).scores(NEVER) == np.inf


def test_weights_missing_labels_and_sparse_y_are_used_for_a_guarantee():
    weight = np.random.RandomState(0).rand(300)
    fitted = LOGISTIC.fit(X, TRUTH)
    proba = fitted.predict_proba(X)
    for y, Y in ((sparse.csr_array(TRUTH), TRUTH), (with_unknown(TRUTH),) * 2):
        tuned = TunedThresholdMultiLabelClassifierCV(fitted, scoring="recall>=0.9", cv="prefit", refit=False)
        tuned.fit(X, y, sample_weight=weight)
        assert tuned.best_threshold_ == guaranteed_threshold(Y, proba, "recall>=0.9", weight)


@pytest.mark.filterwarnings("ignore:No threshold guarantees")  # half of the rows are too few
def test_guarantees_can_be_searched_in_a_grid():
    tuned = TunedThresholdMultiLabelClassifierCV(LOGISTIC, cv=0.5, random_state=0, store_cv_results=True)
    grid = {"scoring": ["f1_micro", "recall>=0.8", "precision >= 0.8"]}
    search = GridSearchCV(tuned, grid, cv=2, error_score="raise").fit(X, SETS)
    assert np.all(np.isfinite(search.cv_results_["mean_test_score"]))


@pytest.mark.parametrize("seed", range(20))
def test_a_level_that_cannot_be_guaranteed_is_not_said_to_be_within_reach(seed):
    """One threshold alone may reach it, but not one that is chosen among several."""
    rng = np.random.RandomState(seed)
    p = rng.rand(rng.randint(100, 500), 2) ** 0.3
    Y = (rng.rand(*p.shape) < 0.99 * p).astype(np.uint8)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        TunedThresholds(Y, np.clip(p, 1e-6, 1 - 1e-6))["precision>=0.9"]
    for message in (str(warning.message) for warning in caught):
        within = re.search(r"within reach is about ([\d.]+)", message)
        assert float(within[1]) < 0.9 if within else "rows would just suffice for threshold=" in message
