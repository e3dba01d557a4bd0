import itertools

import numpy as np
import pytest
from scipy import sparse
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, f1_score, fbeta_score, hamming_loss, jaccard_score

from skml._decisions import _entries
from skml._decisions._calibration import platt
from skml._decisions._entries import entries_of
from skml._decisions._rule import decide
from skml._decisions._tuning import score, tune

SCORES = {
    "f1_macro": lambda y, d: f1_score(y, d, zero_division=0),
    "f2_macro": lambda y, d: fbeta_score(y, d, beta=2, zero_division=0),
    "f0.5_macro": lambda y, d: fbeta_score(y, d, beta=0.5, zero_division=0),
    "jaccard_macro": lambda y, d: jaccard_score(y, d, zero_division=0),
    "balanced_accuracy_macro": balanced_accuracy_score,
}
RULES = [(scoring, shrinkage) for scoring in [*SCORES, "f1_micro"] for shrinkage in ("auto", None, 3.0)]
RULES += [(scoring, "auto") for scoring in ("f1_samples", "top_k", "proportion")]


@pytest.fixture(scope="module")
def data():
    """60 rows of 5 labels, with tied probabilities; the last two labels occur in no row and in every row."""
    rng = np.random.RandomState(0)
    Y = (rng.rand(60, 5) < [0.5, 0.2, 0.1, 0, 1]).astype(np.uint8)
    return Y, np.round(expit(2 * Y - 1.5 + rng.randn(60, 5)), 2)


def cuts(p):
    """Return one threshold for each possible set of predictions."""
    return [*np.unique(p), 2.0]


@pytest.mark.parametrize("scoring", SCORES)
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was found")
def test_each_label_gets_its_best_threshold(scoring, data):
    Y, proba = data
    tuned = tune(Y, proba, scoring, shrinkage=None)
    best = []
    for y, p, threshold in zip(Y.T, proba.T, tuned.rule.threshold, strict=True):
        scores = {t: SCORES[scoring](y, p >= t) for t in cuts(p)}
        best.append(max(scores.values()))
        assert SCORES[scoring](y, p >= threshold) == pytest.approx(best[-1])
        highest = max(t for t, value in scores.items() if value == pytest.approx(best[-1]))
        assert (p >= threshold).sum() == (p >= highest).sum()
    assert tuned.score == pytest.approx(np.mean(best))


@pytest.mark.parametrize(("scoring", "average"), [("f1_micro", "micro"), ("f1_samples", "samples")])
def test_the_best_threshold_for_all_labels_is_found(scoring, average, data):
    Y, proba = data
    tuned = tune(Y, proba, scoring)
    scores = [f1_score(Y, proba >= t, average=average, zero_division=0) for t in cuts(proba)]
    assert isinstance(tuned.rule.threshold, float)
    assert tuned.score == pytest.approx(max(scores))
    assert f1_score(Y, proba >= tuned.rule.threshold, average=average, zero_division=0) == pytest.approx(max(scores))


def test_thresholds_lie_half_way_between_probabilities():
    Y, proba = np.array([[1], [1], [0]]), np.array([[0.75], [0.5], [0.25]])
    assert tune(Y, proba, "f1_macro", None).rule.threshold == [0.375]
    assert tune(Y, proba, "f1_micro").rule.threshold == 0.375
    assert tune(1 - Y, proba, "f1_macro", None).rule.threshold == [0.125]  # all rows
    assert tune(0 * Y, proba, "f1_macro", None).rule.threshold == [0.875]  # none


def test_neighbouring_floats_are_parted():
    high = 0.3
    low = np.nextafter(high, 0)
    tuned = tune(np.array([[1], [0]]), np.array([[high], [low]]), "f1_macro", None)
    assert tuned.rule.threshold == [high]
    assert tuned.score == 1.0


def test_float32_probabilities_are_compared_in_float64(data):
    Y, proba = data
    proba = proba.astype(np.float32)
    tuned = tune(Y, proba, "f1_macro", None)
    assert tuned.score == f1_score(Y, decide(proba, tuned.rule.threshold), average="macro", zero_division=0)
    np.testing.assert_array_equal(
        tuned.rule.threshold, tune(Y, proba.astype(np.float64), "f1_macro", None).rule.threshold
    )


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was found")
@pytest.mark.parametrize(("scoring", "shrinkage"), RULES)
def test_the_score_is_that_of_the_decisions(scoring, shrinkage, data):
    Y, proba = data
    tuned = tune(Y, proba, scoring, shrinkage)
    decisions = tuned.rule.decide(proba)
    if scoring in SCORES:
        expected = np.mean([SCORES[scoring](y, d) for y, d in zip(Y.T, decisions.T, strict=True)])
    else:
        average = "samples" if scoring == "f1_samples" else "micro"
        expected = f1_score(Y, decisions, average=average, zero_division=0)
    assert tuned.score == pytest.approx(expected)
    assert np.all((np.asarray(tuned.rule.threshold) >= 0) & (np.asarray(tuned.rule.threshold) <= 1))


def test_micro_f1_is_the_best_of_all_combinations_of_thresholds(data):
    Y, proba = data[0][:30, :3], np.round(data[1][:30, :3], 1)
    best = max(
        f1_score(Y, proba >= thresholds, average="micro", zero_division=0)
        for thresholds in itertools.product(*map(cuts, proba.T))
    )
    assert tune(Y, proba, "f1_micro", shrinkage=None).score == pytest.approx(best)


def test_the_best_number_of_labels_is_found(data):
    Y, proba = data
    scores = [f1_score(Y, decide(proba, 0.5, k, k), average="micro", zero_division=0) for k in range(6)]
    tuned = tune(Y, proba, "top_k")
    assert tuned.rule.min_labels == tuned.rule.max_labels == np.argmax(scores)
    assert tuned.score == pytest.approx(max(scores))


def test_proportion_predicts_each_label_as_often_as_it_occurs():
    rng = np.random.RandomState(0)
    Y, proba = rng.rand(50, 3) < [0.5, 0.1, 0], rng.rand(50, 3)
    decisions = proba >= tune(Y, proba, "proportion").rule.threshold
    np.testing.assert_array_equal(decisions.sum(axis=0), Y.sum(axis=0))


def test_a_scoring_function_is_maximized_on_a_grid(data):
    Y, proba = data[0][:, :2], data[1][:, :2]
    tuned = tune(Y, proba, lambda Y, decisions: 1 - hamming_loss(Y, decisions))
    assert tuned.score == pytest.approx(max(1 - hamming_loss(Y, proba >= t) for t in cuts(proba)))


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_a_scoring_function_is_called_with_signed_matrices_and_weights(container, data):
    Y, proba = data
    weight = np.arange(60.0)
    seen = []

    def scoring(Y_true, Y_pred, sample_weight=None):
        seen.append(sample_weight)
        return -abs(Y_true - Y_pred).sum(axis=1) @ (np.ones(60) if sample_weight is None else sample_weight)

    assert tune(container(Y), proba, scoring).score == -((proba >= tune(Y, proba, scoring).rule.threshold) != Y).sum()
    assert seen[0] is None
    tune(container(Y), proba, scoring, sample_weight=1 + weight)
    np.testing.assert_array_equal(seen[-1], 1 + weight)


def test_a_scoring_function_is_called_for_100_candidates_at_most():
    rng = np.random.RandomState(0)
    Y, proba = np.ones((500, 1), dtype=int), rng.rand(500, 1)
    calls = []
    tune(Y, proba, lambda Y, decisions: calls.append(decisions.mean()) or 0.0)
    assert len(calls) == 101  # 100 candidates and the final score
    assert max(calls) == 1
    assert min(calls) == 0


def calibrated(Y, proba):
    slope, shift = platt(entries_of(Y, proba, None))
    return expit(slope * logit(proba) + shift)


EXPECTED = {
    "f1_macro": lambda q, d: 2 * q[d].sum() / (q.sum() + d.sum()),
    "f2_macro": lambda q, d: 5 * q[d].sum() / (4 * q.sum() + d.sum()),
    "f0.5_macro": lambda q, d: 1.25 * q[d].sum() / (0.25 * q.sum() + d.sum()),
    "jaccard_macro": lambda q, d: q[d].sum() / (q.sum() + (1 - q[d]).sum()),
    "balanced_accuracy_macro": lambda q, d: (q[d].sum() / q.sum() + (1 - q[~d]).sum() / (1 - q).sum()) / 2,
}


@pytest.mark.parametrize("scoring", EXPECTED)
def test_auto_thresholds_are_optimal_if_the_calibrated_probabilities_are_true(scoring):
    rng = np.random.RandomState(0)
    proba = expit(2 * rng.randn(80, 4) - 2)
    Y = rng.rand(80, 4) < expit(0.5 * logit(proba) - 0.5)
    thresholds = tune(Y, proba, scoring).rule.threshold
    for p, q, threshold in zip(proba.T, calibrated(Y, proba).T, thresholds, strict=True):
        best = max(EXPECTED[scoring](q, p >= t) for t in np.unique(p))
        assert EXPECTED[scoring](q, p >= threshold) == pytest.approx(best, abs=1e-9)


def test_the_auto_threshold_for_f1_is_half_the_best_f1():
    rng = np.random.RandomState(0)
    proba = expit(2 * rng.randn(80, 1) - 2)
    Y = rng.rand(80, 1) < proba
    q = calibrated(Y, proba)
    best = max(EXPECTED["f1_macro"](q, q >= t) for t in np.unique(q))
    entries = entries_of(Y, proba, None)
    slope, shift = platt(entries)
    assert expit(slope * logit(tune(Y, proba).rule.threshold[0]) + shift) == pytest.approx(best / 2)


def test_calibration_is_logistic_regression_on_log_odds():
    rng = np.random.RandomState(0)
    proba = expit(2 * rng.randn(5000, 2) - 1)
    Y = rng.rand(5000, 2) < expit(0.6 * logit(proba) - 0.4)
    model = LogisticRegression(C=1e6).fit(logit(proba).reshape(-1, 1), Y.ravel())
    slope, shift = platt(entries_of(Y, proba, None))
    assert slope == pytest.approx(model.coef_[0, 0], rel=1e-2)
    assert shift == pytest.approx(model.intercept_[0], rel=1e-2)


@pytest.mark.parametrize("n_positive", [10, 0])
def test_probabilities_that_fall_or_have_no_positive_are_not_calibrated(n_positive):
    proba, Y = np.linspace(0.1, 0.9, 20)[:, None], np.arange(20)[:, None] < n_positive
    assert platt(entries_of(Y, proba, None)) == (1, 0)
    assert 0 < tune(Y, proba).rule.threshold[0] < 0.5


def test_equal_probabilities_are_all_predicted():
    assert 0 < tune(np.arange(20)[:, None] < 10, np.full((20, 1), 0.3)).rule.threshold[0] < 0.3


def test_separated_and_extreme_probabilities_are_calibrated():
    Y = np.arange(20)[:, None] < 10
    tuned = tune(Y, Y.astype(float))
    assert tuned.score == 1
    assert 0 < tuned.rule.threshold[0] < 1


def test_a_label_without_positives_is_not_predicted_with_label_thresholds():
    Y, proba = np.array([[1, 0], [0, 0], [1, 0]]), np.array([[0.8, 0.6], [0.3, 0.1], [0.7, 0.2]])
    assert tune(Y, proba, "f1_macro", None).rule.threshold.tolist() == [0.5, 0.8]
    common = tune(Y, proba, "f1_micro").rule.threshold
    assert tune(Y, proba, "f1_macro", 5.0).rule.threshold[1] == pytest.approx(common)
    assert 0 < tune(Y, proba, "f1_macro").rule.threshold[1] < 0.5


def test_no_threshold_lies_above_a_probability_of_1():
    Y, proba = np.array([[0], [0]]), np.array([[1.0], [0.5]])
    for scoring, shrinkage in RULES[:-3]:
        tuned = tune(Y, proba, scoring, shrinkage)
        assert np.all(np.asarray(tuned.rule.threshold) <= 1)
    assert tune(Y, proba, "balanced_accuracy_macro", None).score == 0.5  # a probability of 1 is always predicted


@pytest.mark.parametrize("m", [0.5, 5.0])
def test_thresholds_are_shrunk_toward_the_common_threshold(m, data):
    Y, proba = data
    by_label = tune(Y, proba, "f1_macro", None).rule.threshold
    common = tune(Y, proba, "f1_micro").rule.threshold
    share = Y.sum(axis=0) / (Y.sum(axis=0) + m)
    expected = expit(share * logit(by_label) + (1 - share) * logit(common))
    np.testing.assert_allclose(tune(Y, proba, "f1_macro", m).rule.threshold, expected)


def same(first, second):
    np.testing.assert_allclose(first.rule.threshold, second.rule.threshold, atol=1e-9)
    assert first.score == pytest.approx(second.score)
    assert first.rule.max_labels == second.rule.max_labels


@pytest.mark.parametrize(("scoring", "shrinkage"), RULES)
def test_a_weight_equals_a_number_of_copies(scoring, shrinkage, data):
    Y, proba = data
    weight = np.random.RandomState(1).randint(0, 4, len(Y))
    repeated = tune(np.repeat(Y, weight, axis=0), np.repeat(proba, weight, axis=0), scoring, shrinkage)
    same(tune(Y, proba, scoring, shrinkage, weight), repeated)
    assert score(Y, proba, scoring, 0.3, weight) == pytest.approx(
        score(np.repeat(Y, weight, axis=0), np.repeat(proba, weight, axis=0), scoring, 0.3)
    )


@pytest.mark.parametrize(("scoring", "shrinkage"), RULES)
def test_sparse_y_and_blocks_give_the_same_result(scoring, shrinkage, data, monkeypatch):
    Y, proba = data
    expected = tune(Y, proba, scoring, shrinkage)
    monkeypatch.setattr("skml._targets._matrix._BLOCK_BYTES", 130 * _entries._ENTRY_BYTES)
    sizes = []
    dense = _entries.to_dense
    monkeypatch.setattr(_entries, "to_dense", lambda Y: sizes.append(np.prod(Y.shape)) or dense(Y))
    same(tune(sparse.csr_array(Y), proba, scoring, shrinkage), expected)
    assert max(sizes) <= 130


def with_missing(Y):
    Y = Y.astype(np.float32)
    Y[np.random.RandomState(2).rand(*Y.shape) < 0.3] = np.nan
    return Y


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize(("scoring", "shrinkage"), RULES)
def test_missing_labels_are_ignored(scoring, shrinkage, container, data):
    Y, proba = with_missing(data[0][:, :1]), data[1][:, :1]
    observed = ~np.isnan(Y[:, 0])
    expected = tune(Y[observed].astype(int), proba[observed], scoring, shrinkage)
    same(tune(container(Y), proba, scoring, shrinkage), expected)


def test_missing_labels_are_ignored_for_several_labels(data):
    Y, proba = with_missing(data[0]), data[1]
    observed = ~np.isnan(Y)
    each = [tune(Y[o, [j]][:, None], proba[o, [j]][:, None], "f1_macro", None) for j, o in enumerate(observed.T)]
    tuned = tune(Y, proba, "f1_macro", None)
    np.testing.assert_array_equal(tuned.rule.threshold, [one.rule.threshold[0] for one in each])
    assert tuned.score == pytest.approx(np.mean([one.score for one in each]))
    same(tune(Y, proba, "f1_micro"), tune(Y[observed][:, None], proba[observed][:, None], "f1_micro"))

    def f1_of_rows(t):
        positive, predicted, rows = Y == 1, observed & (proba >= t), observed.any(axis=1)
        counts = (positive.sum(axis=1) + predicted.sum(axis=1))[rows]
        return np.mean(2 * (positive & predicted).sum(axis=1)[rows] / np.maximum(counts, 1))

    assert tune(Y, proba, "f1_samples").score == pytest.approx(max(map(f1_of_rows, cuts(proba))))


def test_a_label_without_observed_entries_gets_one_half_and_is_not_scored():
    Y, proba = np.array([[1, np.nan], [0, np.nan]]), np.array([[0.8, 0.6], [0.3, 0.1]])
    for shrinkage in ("auto", None):
        tuned = tune(Y, proba, "f1_macro", shrinkage)
        assert tuned.rule.threshold[1] == 0.5
        assert tuned.score == 1


BAD = {
    "scoring": ({"scoring": "f1"}, r"scoring .*'f1_macro', .*callable.*'f1'"),
    "no number": ({"shrinkage": "none"}, "shrinkage .*'auto', None or a number.* 0; got 'none'"),
    "zero": ({"shrinkage": 0}, "shrinkage .*'auto', None or a number.* got 0"),
    "bool": ({"shrinkage": True}, "shrinkage .*'auto', None or a number.* got True"),
    "not used": ({"scoring": "top_k", "shrinkage": 3}, "shrinkage=3 .*scoring='top_k'.*shrinkage='auto'"),
    "shape": ({"proba": np.zeros((2, 3))}, r"proba .*shape.* Y.*\(2, 2\).*\(2, 3\)"),
    "NaN": ({"proba": np.full((2, 2), np.nan)}, "proba .*NaN"),
    "weights": ({"sample_weight": [0, 0]}, "non-zero"),
}


@pytest.mark.parametrize(("params", "message"), BAD.values(), ids=BAD.keys())
def test_bad_parameters_are_refused(params, message):
    with pytest.raises(ValueError, match=message):
        tune(**{"Y": np.eye(2), "proba": np.eye(2)} | params)


def test_keras_is_not_imported(run_python):
    modules = "skml._decisions._tuning, skml._tuned_threshold, skml.model_selection"
    code = f"import sys, {modules}; print({{'keras', 'tensorflow'}} & set(sys.modules))"
    assert run_python(code, imported="sklearn").strip() == "set()"
