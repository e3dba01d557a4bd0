"""The largest values of each row, compared with a stable sort of all values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skml._decisions._top_k import top_columns, top_labels

# Few different values, which creates ties, and NaN.
values = st.sampled_from([0.0, 0.25, 0.5, 1.0, np.nan])
matrices = st.tuples(st.integers(1, 5), st.integers(1, 7)).flatmap(
    lambda shape: st.sampled_from([np.float32, np.float64]).flatmap(lambda kind: arrays(kind, shape, elements=values))
)


@given(matrices)
def test_the_columns_are_those_of_a_stable_sort(matrix):
    order = np.argsort(-matrix, axis=1, kind="stable")
    for k in range(matrix.shape[1] + 1):
        np.testing.assert_array_equal(top_columns(matrix, k), order[:, :k])


@pytest.mark.parametrize("k", [1, 3, 400])
def test_blocks_are_joined(k):
    proba = np.random.RandomState(0).randint(0, 50, (30, 400)) / 50  # with ties
    classes = np.array([f"label {j}" for j in range(400)], dtype=object)
    labels, values = top_labels(iter([proba[:1], proba[1:20], proba[20:]]), classes, k)
    order = np.argsort(-proba, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(labels, classes[order])
    np.testing.assert_array_equal(values, np.take_along_axis(proba, order, axis=1))
