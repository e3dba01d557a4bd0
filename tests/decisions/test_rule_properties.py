"""Decisions for random probabilities equal the documented rule, applied to one label after another."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skml._decisions._rule import DecisionRule, MostProbable


def decided_slowly(row, threshold, min_labels, max_labels):
    margin = [p - t for p, t in zip(row, threshold, strict=True)]
    ranked = sorted(range(len(row)), key=lambda j: (-margin[j], j))
    wanted = max(min_labels, sum(m >= 0 for m in margin))
    return set(ranked[: wanted if max_labels is None else min(wanted, max_labels)])


# A grid of exact floats, which creates ties.
shares = st.integers(0, 16).map(lambda i: i / 16)


@st.composite
def problems(draw):
    """Draw probabilities, thresholds (one, or one per label), and bounds of the number of labels."""
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    proba = draw(arrays(draw(st.sampled_from([np.float32, np.float64])), shape, elements=shares))
    threshold = draw(shares | arrays(float, shape[1], elements=shares))
    bounds = sorted(draw(st.tuples(st.integers(0, shape[1]), st.integers(0, shape[1]))))
    return proba, threshold, bounds[0], draw(st.sampled_from([bounds[1], None]))


@given(problems())
def test_a_rule_decides_as_documented(problem):
    proba, threshold, min_labels, max_labels = problem
    thresholds = np.broadcast_to(threshold, proba.shape[1])
    decisions = DecisionRule(threshold, min_labels, max_labels).decide(proba)
    assert decisions.dtype == bool
    for row, decided in zip(proba.tolist(), decisions, strict=True):
        assert set(np.flatnonzero(decided)) == decided_slowly(row, thresholds, min_labels, max_labels)


@given(problems())
def test_equal_bounds_give_the_most_probable_labels(problem):
    proba = problem[0]
    for k in range(proba.shape[1] + 1):
        order = np.argsort(-proba.astype(float), axis=1, kind="stable")[:, :k]
        expected = np.zeros(proba.shape, dtype=bool)
        np.put_along_axis(expected, order, True, axis=1)
        np.testing.assert_array_equal(DecisionRule(0.5, k, k).decide(proba), expected)


@given(problems())
def test_ties_of_the_most_probable_class_go_to_the_first(problem):
    proba = problem[0]
    for row, decided in zip(proba.tolist(), MostProbable().decide(proba).tolist(), strict=True):
        assert decided == [j == row.index(max(row)) for j in range(len(row))]
