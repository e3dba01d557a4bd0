"""Guarantees counted by groups: compared with loops over groups, and simulations that they hold for new groups."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.special import expit, ndtr

from skml._decisions import _risk_control
from skml._decisions._entries import entries_of
from skml._decisions._guarantees import NEVER
from skml._decisions._risk_control import _count_predictions
from skml._decisions._tuning import guaranteed_threshold, tune

FORMS = ("precision>=0.8", "precision>=0.8 by label", "recall>=0.8")


def draw_groups(rng, n_groups, n_labels, sizes, correlation=0.95, slope=1.0):
    """Draw rows of groups that are nearly equal, their true probabilities, and the groups.

    The log-odds and the luck of all rows of a group are nearly the same. `sizes` draws the sizes of the groups.
    """
    group = np.repeat(np.arange(n_groups), sizes(rng, n_groups))

    def nearly_equal():
        shared, own = rng.standard_normal((n_groups, n_labels))[group], rng.standard_normal((len(group), n_labels))
        return np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own

    z = -1 + 3 * nearly_equal()
    return (ndtr(nearly_equal()) < expit(slope * z)).astype(np.uint8), expit(z), group


def eight(rng, n_groups):
    return 8


def thirty(rng, n_groups):
    return 30


def unequal(rng, n_groups):
    return rng.geometric(1 / 6, n_groups).clip(max=20)


@pytest.fixture(scope="module")
def data():
    """600 rows of 200 groups that do not stand together, and weights."""
    rng = np.random.default_rng(0)
    Y, proba, group = draw_groups(rng, 200, 4, lambda rng, n: 3)
    order = rng.permutation(600)
    return Y[order], proba[order], group[order]


# Compared with loops, and with rows


@pytest.mark.parametrize("block", [2**24, 2000])
def test_counts_equal_a_loop_over_groups(block, data, monkeypatch):
    monkeypatch.setattr("skml._targets._matrix._BLOCK_BYTES", block)  # groups are then parts of several blocks
    Y, proba, group = data
    Y, group = Y.astype(float), np.where(group < 30, 0, group)  # one large group
    Y[::3, 1] = np.nan
    weight = np.random.RandomState(0).rand(len(Y))
    grid = np.array([0.9, 0.6, 0.2, 0.0])
    counts, most = _count_predictions(entries_of(Y, proba, weight, group), grid)
    predicted = (proba[:, :, None] >= grid) & ~np.isnan(Y)[:, :, None]
    k = weight[:, None] * predicted.sum(axis=1)
    e = weight[:, None] * (predicted & (Y == 0)[:, :, None]).sum(axis=1)
    K, E = (np.array([amount[group == g].sum(axis=0) for g in np.unique(group)]) for amount in (k, e))
    np.testing.assert_allclose(counts.predictions, K.sum(axis=0))
    np.testing.assert_allclose(counts.squared_predictions, (K**2).sum(axis=0))
    np.testing.assert_allclose(counts.predictions_times_wrong, (K * E).sum(axis=0))
    np.testing.assert_allclose(counts.squared_wrong, (E**2).sum(axis=0))
    heaviest = max(weight[group == g].sum() for g in np.unique(group))
    np.testing.assert_allclose(counts.heaviest, heaviest * most)


def test_one_label_is_counted_alike_in_common_and_by_label(data, monkeypatch):
    Y, proba, group = data
    Y, proba, weight = Y[:, :1], proba[:, :1], np.random.RandomState(0).rand(len(Y))
    seen = []

    def spy(counts, level):
        seen.append(counts)
        return []

    monkeypatch.setattr(_risk_control.PredictionCounts, "guaranteed", spy)
    guaranteed_threshold(Y, proba, "precision>=0.8 by label", weight, group)
    (by_label,) = seen
    ends = np.searchsorted(np.cumsum(weight[np.argsort(-proba[:, 0])]), by_label.predictions - 1e-9)
    grid = np.sort(proba[:, 0])[::-1][ends]
    common, _ = _count_predictions(entries_of(Y, proba, weight, group), grid)
    np.testing.assert_allclose(np.array(by_label), np.array(common))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.filterwarnings("ignore:No threshold")
def test_groups_of_one_row_are_rows(form, weighted, data):
    Y, proba, _ = data
    weight = np.random.RandomState(0).uniform(0.5, 1.5, len(Y)) if weighted else None
    expected = guaranteed_threshold(Y, proba, form, weight)
    alone = np.random.RandomState(1).permutation(len(Y))
    np.testing.assert_allclose(guaranteed_threshold(Y, proba, form, weight, alone), expected, rtol=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_equal_rows_of_a_group_are_a_row(form, data):
    """Eight equal rows say no more than one."""
    Y, proba, _ = data
    proba = np.round(proba, 6)
    expected = guaranteed_threshold(Y, proba, form)
    eight_times = (np.repeat(part, 8, axis=0) for part in (Y, proba))
    np.testing.assert_allclose(
        guaranteed_threshold(*eight_times, form, group=np.repeat(np.arange(len(Y)), 8)), expected, atol=0.05
    )


@pytest.mark.parametrize("form", FORMS)
def test_the_order_of_rows_and_the_numbers_of_groups_change_nothing(form, data):
    Y, proba, group = data
    weight = np.random.RandomState(0).randint(0, 3, len(Y)).astype(float)
    expected = guaranteed_threshold(Y, proba, form, weight, group)
    order, number = np.random.RandomState(1).permutation(len(Y)), np.random.RandomState(2).permutation(300)
    moved = guaranteed_threshold(Y[order], proba[order], form, weight[order], number[group[order]])
    np.testing.assert_allclose(moved, expected, rtol=1e-9)
    kept = weight > 0
    dropped = guaranteed_threshold(sparse.csr_array(Y[kept]), proba[kept], form, weight[kept], group[kept])
    np.testing.assert_allclose(dropped, expected, rtol=1e-9)


@pytest.mark.parametrize(("level", "n_needed"), [(0.8, 14), (0.9, 29)])
@pytest.mark.parametrize("how", ["", " by label"])
def test_precision_needs_a_least_number_of_right_groups(level, n_needed, how):
    proba = np.repeat(np.linspace(0.8, 0.99, n_needed), 8)[:, None]
    Y, group, form = np.ones_like(proba), np.arange(len(proba)) // 8, f"precision>={level}{how}"
    assert np.squeeze(guaranteed_threshold(Y, proba, form, group=group)) < 0.8
    with pytest.warns(UserWarning, match=rf"{n_needed} groups .*more groups"):
        fewer = tune(Y[8:], proba[8:], form, group=group[8:] - 1).rule
    assert np.squeeze(fewer.threshold) == NEVER


def test_recall_equals_the_formula_of_conformal_risk_control(data):
    Y, proba, group = data
    weight = np.random.RandomState(0).rand(len(Y))
    found = guaranteed_threshold(Y, proba, "recall>=0.8", weight, group)
    rows = Y.any(axis=1)

    def bound(threshold):
        """Return the mean over n + 1 groups of the sums of weight * (loss - 0.2), one of them the worst possible."""
        loss = ((proba < threshold) & (Y == 1)).sum(axis=1) / np.maximum(Y.sum(axis=1), 1) - 0.2
        sums = np.bincount(group[rows], (weight * loss)[rows])
        return sums.sum() + 0.8 * np.bincount(group[rows], weight[rows]).max()

    above = proba[(Y == 1) & (proba > found)].min()  # the threshold stands below the least true probability above it
    higher = proba[(Y == 1) & (proba > above)].min()
    assert bound(above) <= 1e-9
    assert bound(higher) > 1e-9


def test_recall_with_too_few_groups_predicts_every_label():
    Y, proba = np.ones((80, 2), dtype=int), np.full((80, 2), 0.5)
    with pytest.warns(UserWarning, match=r"\b9 groups with a true label.* have 8 .*more groups"):
        assert tune(Y, proba, "recall>=0.9", group=np.arange(80) // 10).rule.threshold == 0
    assert tune(Y, proba, "recall>=0.9", group=np.arange(80) // 8).rule.threshold == 0.25


# Simulations: thresholds of many random draws, evaluated on the rows of many new groups

MANY = pytest.mark.parametrize("n_draws", [60, pytest.param(400, marks=pytest.mark.slow)])


def largest_failure_rate(n_draws):
    """Return the largest fraction of failed guarantees that is due to chance if one in twenty may fail."""
    return 0.06 if n_draws == 400 else 0.05 + 2 * np.sqrt(0.05 * 0.95 / n_draws)


def wrong_groups(rng, n_groups, n_labels, sizes):
    """Groups with one right prediction, and a few in which each of the eight rows has a wrong one: precision < 0.9."""
    is_wrong, group = rng.random(n_groups) < 1 / 71, np.repeat(np.arange(n_groups), 8)
    is_first = np.arange(len(group)) % 8 == 0
    proba = np.where(is_first | is_wrong[group], rng.uniform(0.85, 0.9, len(group)), 0.0)
    return (is_first & ~is_wrong[group]).astype(np.uint8)[:, None], proba[:, None], group


# Process, numbers of groups and labels, sizes of groups, and the largest share of draws without a threshold.
PROCESSES = {
    "8 near-equal rows": (draw_groups, 300, 5, eight, 0.1),
    "8 near-equal rows, one label": (draw_groups, 300, 1, eight, 0.3),
    "30 near-equal rows, one label": (draw_groups, 300, 1, thirty, 0.3),
    "groups of unequal size": (draw_groups, 500, 5, unequal, 0.7),
    "100 groups": (draw_groups, 100, 5, eight, 1.0),
    "rare groups that are wrong": (wrong_groups, 300, 1, eight, 1.0),
}
FIELDS = ("process", "n_groups", "n_labels", "sizes", "n_never")
EACH = pytest.mark.parametrize(FIELDS, PROCESSES.values(), ids=PROCESSES)
LEVEL = 0.85


def failures(process, n_groups, n_labels, sizes, how, n_draws, by_group=True):
    """Return whether the precision for new groups is too low, and whether there are no predictions, for each draw."""
    rng = np.random.default_rng(2)
    Y, proba, _ = process(rng, 6000, n_labels, sizes)
    failed, never = [], []
    for _ in range(n_draws):
        *seen, group = process(rng, n_groups, n_labels, sizes)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            rule = tune(*seen, f"precision>={LEVEL}{how}", group=group if by_group else None).rule
        decisions = rule.decide(proba)
        axis = 0 if how else None
        predicted = decisions.sum(axis=axis)
        failed.append((decisions & (Y == 1)).sum(axis=axis) < LEVEL * predicted)
        never.append(predicted == 0)
    return np.array(failed), np.array(never)


@MANY
@EACH
def test_precision_fails_for_new_groups_in_at_most_five_percent_of_draws(
    process, n_groups, n_labels, sizes, n_never, n_draws
):
    failed, never = failures(process, n_groups, n_labels, sizes, "", n_draws)
    assert failed.mean() <= largest_failure_rate(n_draws)
    assert never.mean() <= n_never


@MANY
@EACH
def test_precision_by_label_fails_for_new_groups_in_at_most_five_percent_of_labels(
    process, n_groups, n_labels, sizes, n_never, n_draws
):
    failed, _ = failures(process, n_groups, n_labels, sizes, " by label", n_draws)
    assert failed.mean() <= largest_failure_rate(n_draws)


def test_counted_by_rows_precision_fails_more_often():
    failed, _ = failures(*PROCESSES["30 near-equal rows, one label"][:4], "", 60, by_group=False)
    assert failed.mean() > 0.2


@MANY
@pytest.mark.parametrize("sizes", [eight, unequal])
def test_recall_holds_on_average_for_the_rows_of_new_groups(sizes, n_draws):
    rng = np.random.default_rng(4)
    Y, proba, _ = draw_groups(rng, 6000, 1, sizes)
    rows = Y.any(axis=1)
    recalls, by_rows = [], []
    for _ in range(n_draws):
        *seen, group = draw_groups(rng, 20, 1, sizes)
        for found, groups in ((recalls, group), (by_rows, None)):
            threshold = guaranteed_threshold(*seen, "recall>=0.8", group=groups)
            share = ((proba >= threshold) & (Y == 1))[rows].sum(axis=1) / Y[rows].sum(axis=1)
            found.append(share.mean())
    error = np.std(recalls) / np.sqrt(n_draws)
    assert np.mean(recalls) >= 0.8 - 2 * error
    assert np.mean(by_rows) < np.mean(recalls) - error
    if sizes is eight and n_draws == 400:
        assert np.mean(by_rows) < 0.8 - error  # rows do not say as much as groups
