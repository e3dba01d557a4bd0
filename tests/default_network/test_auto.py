import numpy as np
import pytest
from scipy import sparse

from estimators import tiny
from skml._default_network._auto import (
    DENSE,
    SPARSE_LONG,
    SPARSE_SHORT,
    auto_architecture,
    auto_hidden_layer_sizes,
    auto_members,
)

AUTO = {"hidden_layer_sizes": "auto", "n_members": "auto"}


def test_large_networks_have_fewer_or_narrower_members():
    assert auto_hidden_layer_sizes(DENSE, 1_000, 100, 300) == [256, 256]
    assert auto_hidden_layer_sizes(DENSE, 1_000, 100, 299.5) == [128, 128]
    assert auto_hidden_layer_sizes(DENSE, 11_111, 90, 300) == [128, 128]
    assert auto_hidden_layer_sizes(DENSE, 100_000, 90, 300) == [64, 64]
    assert auto_members([1_000, 256, 256, 100]) == 5
    assert auto_members([50_000, 64, 64, 100]) == 4
    assert auto_members([1_000_000, 64, 64, 100]) == 1


def test_sparse_rows_may_have_more_columns_as_only_used_ones_take_time():
    assert auto_hidden_layer_sizes(SPARSE_LONG, 1_000, 100, 300) == [256, 256]
    assert auto_hidden_layer_sizes(SPARSE_LONG, 20_000, 100, 300) == [128, 128]
    assert auto_hidden_layer_sizes(SPARSE_LONG, 80_000, 100, 300) == [64, 64]
    assert auto_hidden_layer_sizes(SPARSE_LONG, 200_000, 100, 300) == [32, 32]
    assert auto_members([200_000, 32, 32, 100], is_sparse=True) == 5
    assert auto_members([2_000_000, 32, 32, 100], is_sparse=True) == 1


def test_short_rows_have_one_hidden_layer():
    assert auto_hidden_layer_sizes(SPARSE_SHORT, 20_000, 28, 8_000) == [128]
    assert auto_hidden_layer_sizes(SPARSE_SHORT, 20_000, 28, 100) == [128]


def test_the_bound_counts_the_members_that_there_are():
    assert auto_architecture(AUTO, SPARSE_LONG, 80_000, 100, 300).hidden == [64, 64]
    assert auto_architecture(AUTO | {"n_members": 1}, SPARSE_LONG, 80_000, 100, 300)[:2] == ([128, 128], 1)
    assert auto_architecture(AUTO | {"n_members": 1}, DENSE, 11_111, 90, 300)[:2] == ([128, 128], 1)  # as with five


def test_few_rows_have_more_and_smaller_members_of_several_kinds():
    kinds = ("plain", "binned", "steps")
    assert auto_architecture(AUTO, DENSE, 40, 8, 1_499, kinds)[:2] == ([64, 64], 15)
    assert auto_architecture(AUTO, DENSE, 40, 8, 1_500, kinds)[:2] == ([128, 128], 9)
    assert auto_architecture(AUTO | {"n_members": 2}, DENSE, 40, 8, 100, kinds)[:2] == ([64, 64], 6)


@pytest.mark.parametrize(
    ("n_features", "n_labels", "expected"),
    [
        (20_000, 499, ([128, 128], 5)),
        (20_000, 1_000, ([], 1)),
        (20_000, 4_000, ([], 1)),
        (13_000, 500, ([], 5)),
        (500, 983, ([256, 256], 5)),  # too few columns for words of their own
        (50_000, 10_000, ([128, 128], 4)),  # too many weights; members are given up before units
        (20_000, 100_000, ([128, 128], 2)),
        (200_000, 100_000, ([64, 64], 1)),
    ],
)
def test_many_labels_with_words_of_their_own_have_no_hidden_layer(n_features, n_labels, expected):
    assert auto_architecture(AUTO, SPARSE_LONG, n_features, n_labels, 10_000)[:2] == expected
    assert auto_architecture(AUTO, DENSE, n_features, n_labels, 10_000).hidden
    assert auto_architecture(AUTO, SPARSE_LONG, n_features, n_labels, 10_000, is_multilabel=False).hidden
    given = auto_architecture(AUTO | {"hidden_layer_sizes": 7}, SPARSE_LONG, n_features, n_labels, 10_000)
    assert given.hidden == [7]


def test_two_members_without_a_hidden_layer_would_see_half_of_the_rows_each():
    assert auto_members([14_000, 1_000], is_sparse=True) == 1
    assert auto_members([14_000, 64, 1_000], is_sparse=True) == 5


def test_a_fit_with_many_labels_and_words_has_no_hidden_layer():
    X = sparse.random(60, 2_000, 0.02, format="csr", random_state=0)
    Y = (np.random.RandomState(0).rand(60, 500) < 0.02).astype(int)
    clf = tiny(hidden_layer_sizes="auto", n_members=2, epochs=1).fit(X, Y)
    assert clf.trained_network().widths == [500]
    assert clf.partial_fit(X, Y).predict_proba(X[:2]).shape == (2, 500)
