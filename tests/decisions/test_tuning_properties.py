"""Thresholds for small random problems, with weights and missing labels, compared with all possible thresholds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skml._decisions._tuning import tune


def ratio(a, b):
    return a / b if b else 0.0


def fbeta(beta):
    return lambda tp, fp, fn, tn: ratio((1 + beta**2) * tp, (1 + beta**2) * tp + fp + beta**2 * fn)


def balanced_accuracy(tp, fp, fn, tn):
    recalls = [a / (a + b) for a, b in ((tp, fn), (tn, fp)) if a + b]
    return sum(recalls) / len(recalls)


MACRO = {
    "f1_macro": fbeta(1),
    "f2_macro": fbeta(2),
    "f0.5_macro": fbeta(0.5),
    "jaccard_macro": lambda tp, fp, fn, tn: ratio(tp, tp + fp + fn),
    "balanced_accuracy_macro": balanced_accuracy,
}


def score_of(measure, y, decided, weight):
    """Return a measure from a loop over all entries that are not NaN."""
    counts = dict.fromkeys([(1, 1), (0, 1), (1, 0), (0, 0)], 0)
    for truth, decision, w in zip(y.ravel().tolist(), decided.ravel().tolist(), weight.ravel().tolist(), strict=True):
        if truth == truth:
            counts[truth, decision] += w
    return measure(*counts.values())


def cuts(p):
    """Return one threshold in [0, 1] for each possible set of predictions."""
    return [*np.unique(p), 1.0]


@st.composite
def problems(draw):
    shape = draw(st.tuples(st.integers(1, 8), st.integers(1, 3)))
    Y = draw(arrays(float, shape, elements=st.sampled_from([0, 1, 0, 1, np.nan])))
    proba = draw(arrays(int, shape, elements=st.integers(0, 8))) / 8
    weight = draw(arrays(int, shape[0], elements=st.integers(0, 3)).filter(np.any))
    return Y, proba, weight


def observed_labels(Y, weight):
    return [j for j in range(Y.shape[1]) if not np.isnan(Y[weight > 0, j]).all()]


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")
@pytest.mark.parametrize("scoring", MACRO)
@given(problem=problems())
def test_each_label_gets_its_best_threshold(scoring, problem):
    Y, proba, weight = problem
    tuned = tune(Y, proba, scoring, shrinkage=None, sample_weight=weight)
    best = {}
    for j in observed_labels(Y, weight):
        y, p = Y[:, j], proba[:, j]
        best[j] = max(score_of(MACRO[scoring], y, p >= t, weight) for t in cuts(p))
        assert score_of(MACRO[scoring], y, p >= tuned.rule.threshold[j], weight) == pytest.approx(best[j])
    unobserved = sorted({*range(Y.shape[1])} - {*best})
    assert tuned.rule.threshold[unobserved].tolist() == [0.5] * len(unobserved)
    if best:
        assert tuned.score == pytest.approx(np.mean(list(best.values())))


@given(problems())
def test_the_common_threshold_is_the_best_for_micro_f1(problem):
    Y, proba, weight = problem
    tuned = tune(Y, proba, "f1_micro", sample_weight=weight)
    weights = np.broadcast_to(weight[:, None], Y.shape)
    best = max(score_of(fbeta(1), Y, proba >= t, weights) for t in cuts(proba))
    assert tuned.score == pytest.approx(best)
    assert score_of(fbeta(1), Y, proba >= tuned.rule.threshold, weights) == pytest.approx(best)


@given(problems())
def test_the_number_of_labels_is_the_best_for_micro_f1(problem):
    Y, proba, weight = problem
    tuned = tune(Y, proba, "top_k", sample_weight=weight)
    weights = np.broadcast_to(weight[:, None], Y.shape)
    order = np.argsort(-proba, axis=1, kind="stable").argsort(axis=1)
    best = max(score_of(fbeta(1), Y, order < k, weights) for k in range(Y.shape[1] + 1))
    assert tuned.score == pytest.approx(best)
    assert score_of(fbeta(1), Y, tuned.rule.decide(proba), weights) == pytest.approx(best)
