"""Scores of random small indicators with weights, compared with scikit-learn or, with missing labels, `by_hand`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from by_hand import BY_HAND, FROM_DECISIONS
from skml import metrics

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning"),
    pytest.mark.filterwarnings("ignore:invalid value encountered"),
]


@st.composite
def problems(draw, entries=(0, 1), min_labels=2):
    """Draw true labels, scores with ties, decisions and weights, at least one of which is positive."""
    shape = draw(st.tuples(st.integers(1, 8), st.integers(min_labels, 5)))
    Y = draw(arrays(float, shape, elements=st.sampled_from(entries)))
    scores = draw(arrays(int, shape, elements=st.integers(0, 10))) / 10
    D = draw(arrays(int, shape, elements=st.integers(0, 1)))
    weight = draw(arrays(int, shape[0], elements=st.integers(0, 3)).filter(np.any))
    return Y, scores, D, weight


AVERAGES = ["micro", "macro", "samples", "weighted", None]
NAMES = ["f1_score", "precision_score", "recall_score", "jaccard_score"]


@settings(max_examples=200)
@given(problems(), st.sampled_from(NAMES), st.sampled_from(AVERAGES), st.sampled_from([0.0, 1.0]))
def test_scores_of_decisions_equal_those_of_scikit_learn(problem, name, average, zero_division):
    Y, _, D, weight = problem
    kwargs = {"average": average, "zero_division": zero_division, "sample_weight": weight}
    np.testing.assert_allclose(getattr(metrics, name)(Y, D, **kwargs), getattr(sk, name)(Y, D, **kwargs))


@given(problems())
def test_other_scores_equal_those_of_scikit_learn(problem):
    Y, scores, D, weight = problem
    for name in ("accuracy_score", "hamming_loss"):
        expected = getattr(sk, name)(Y, D, sample_weight=weight)
        np.testing.assert_allclose(getattr(metrics, name)(Y, D, sample_weight=weight), expected)
    for name in ("label_ranking_average_precision_score", "coverage_error", "label_ranking_loss"):
        expected = getattr(sk, name)(Y, scores, sample_weight=weight)
        np.testing.assert_allclose(getattr(metrics, name)(Y, scores, sample_weight=weight), expected, atol=1e-12)


@pytest.mark.parametrize("name", BY_HAND)
@settings(max_examples=25)
@given(problem=problems(entries=(0, 1, np.nan), min_labels=1))
def test_missing_labels_are_ignored_and_weights_equal_repetitions(name, problem):
    score_func, kwargs, by_hand = BY_HAND[name]
    Y, scores, D, weight = problem
    other = D if name in FROM_DECISIONS else scores
    rows = np.repeat(np.arange(len(Y)), weight)
    observed = ~np.isnan(Y[rows])
    expected = by_hand(np.nan_to_num(Y).astype(int)[rows], other[rows], observed) if observed.any() else np.nan
    actual = score_func(Y, other, sample_weight=weight, **kwargs)
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12)
