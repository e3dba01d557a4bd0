"""Features of dense columns: bins, relevance, ramps, missing values."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.tree import DecisionTreeRegressor

from skml._default_network._column_bins import (
    MISSING,
    bin_columns,
    halves,
    labels_of_rows,
    one_hot_groups,
    sums_of_groups,
)
from skml._default_network._encoding import KINDS, encode_columns
from skml._default_network._relevance import dense_relevance, sparse_relevance, split_bins

RNG = np.random.RandomState(0)
N = 400


@pytest.fixture(scope="module")
def table():
    """A normal column, a heavy-tailed one, one of 5 values, a binary one, one with missing values; 3 labels."""
    X = np.column_stack(
        [RNG.randn(N), np.exp(3 * RNG.randn(N)), RNG.randint(5, size=N), RNG.randint(2, size=N), RNG.randn(N)]
    )
    X[RNG.rand(N) < 0.2, 4] = np.nan
    Y = np.column_stack([X[:, 0] > 0.3, X[:, 2] == 2, np.isnan(X[:, 4])]) ^ (RNG.rand(N, 3) < 0.1)
    return X, Y.astype(np.uint8)


def encoded(X, Y, fold=None, weight=None, kinds=tuple(KINDS), n_members=3):
    rows = np.arange(len(X)) if weight is None else np.flatnonzero(weight)
    return encode_columns(X, Y, rows, fold, weight, kinds, n_members)


def test_bins_begin_at_quantiles_of_the_present_values(table):
    X, _ = table
    bins = bin_columns(X, np.ones(N))
    for j, edges in enumerate(bins.edges):
        x = X[~np.isnan(X[:, j]), j]
        quantiles = np.unique(np.quantile(x, np.arange(65) / 64, method="inverted_cdf"))
        is_near = np.diff(quantiles) <= 1e-3 * np.subtract(*np.quantile(x, [0.75, 0.25], method="inverted_cdf"))
        assert len(quantiles) - len(edges) <= is_near.sum()
        assert np.isin(edges, quantiles).all()
        codes = bins.codes[~np.isnan(X[:, j]), j]
        np.testing.assert_array_equal(codes, [np.flatnonzero(edges <= value)[-1] for value in x])
    np.testing.assert_array_equal(bins.codes[:, 4] == MISSING, np.isnan(X[:, 4]))
    assert len(bins.edges[3]) == 2
    assert len(bins.edges[2]) == 5


def test_weights_are_repeats(table):
    X, Y = table
    weight = np.arange(N) % 3
    repeats = np.repeat(np.arange(N), weight)
    shift, scale, one = encoded(X, Y, weight=weight.astype(float))
    shift_2, scale_2, other = encoded(X[repeats], Y[repeats])
    np.testing.assert_array_equal([shift, scale], [shift_2, scale_2])
    for name in ("mean", "factor", "missing_mean", "relevance"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9)
    for ours, theirs in zip(one.ramps, other.ramps, strict=True):
        np.testing.assert_array_equal(ours.columns, theirs.columns)
        np.testing.assert_allclose(ours.features(X), theirs.features(X), atol=1e-9)


def test_splits_are_those_of_scikit_learns_tree(table):
    X, Y = table
    X = X[:, :3]
    bins, targets = bin_columns(X, np.ones(N)), labels_of_rows(Y, np.arange(N), np.ones(N))
    (sums,) = sums_of_groups(bins.codes, targets, np.ones(N), np.zeros(N, int), 1)
    splits = split_bins(sums.standardised(sums), 6, 0.02)
    targets = (targets - targets.mean(axis=0)) / (targets.std(axis=0) + 1e-3)
    for j in range(3):
        codes = bins.codes[:, [j]].astype(float)
        tree = DecisionTreeRegressor(max_leaf_nodes=6, min_samples_leaf=8).fit(codes, targets).tree_
        expected = np.sort(np.ceil(tree.threshold[tree.feature >= 0]))
        np.testing.assert_array_equal(np.flatnonzero(splits[j]) + 1, expected)


def test_relevance_is_the_variance_that_a_tree_explains_on_the_other_half(table):
    X, Y = table
    bins, targets = bin_columns(X, np.ones(N)), labels_of_rows(Y, np.arange(N), np.ones(N))
    half = halves(bins.codes)
    one, other = sums_of_groups(bins.codes, targets, np.ones(N), half, 2)
    relevance = dense_relevance(one.standardised(one + other), other.standardised(one + other), N)
    targets = (targets - targets.mean(axis=0)) / (targets.std(axis=0) + 1e-3)
    for j in (0, 1, 2, 4):
        explained = np.zeros(3)
        codes = bins.codes[:, [j]].astype(float)
        for grown in (0, 1):
            a, b = half == grown, half != grown
            present = codes[:, 0] < MISSING
            tree = DecisionTreeRegressor(max_leaf_nodes=8, min_samples_leaf=int(np.ceil(0.02 * (a & present).sum())))
            answers = tree.fit(codes[a & present], targets[a & present]).predict(codes[b])
            if not present.all():
                answers[~present[b]] = targets[a & ~present].mean(axis=0)
            residual = ((targets[b] - answers) ** 2).sum(axis=0)
            explained += 1 - residual / ((targets[b] - targets[a].mean(axis=0)) ** 2).sum(axis=0)
        assert relevance[j] == pytest.approx(max(explained.max() / 2, 1e-3, 0.5 / N), rel=1e-6)
    assert relevance[0] > 0.3  # a threshold of label 0
    assert relevance[2] > 0.3  # one value of label 1
    assert relevance[4] > 0.3  # missing values of label 2


# One-hot encoded categories


def one_hot(*categories):
    return np.hstack([np.eye(n_levels)[levels] for n_levels, levels in categories])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda X: X, [[1, 2, 3, 4], [5, 6, 7]]),
        (lambda X: 0.5 + 3 * X, [[1, 2, 3, 4], [5, 6, 7]]),  # as a scaler leaves them
        (lambda X: X[:, [0, *range(1, 5), 8, *range(5, 8)]], [[1, 2, 3, 4], [6, 7, 8]]),
        (lambda X: np.insert(X, [0, 3, 6], 1.0, axis=1), [[2, 3, 5, 6], [7, 9, 10]]),  # with constant columns
        (lambda X: X[:, [0, 2, 3, 4, 6, 7]], []),  # without the first of each category
        (lambda X: X[:, [1, 0, 2, 3, 4, 5, 6, 7]], [[5, 6, 7]]),  # not neighbours
        (lambda X: np.vstack([np.where(np.arange(9) == 2, np.nan, X[:1]), X[1:]]), [[5, 6, 7]]),  # a missing value
        (lambda X: X[:, :1] > 0, []),
        (lambda X: np.hstack([X[:, :1] > 0, X[:, :1] <= 0]), []),  # a column and its complement
    ],
)
def test_columns_of_a_category_are_found(change, expected):
    levels, others = np.arange(60) % 4, np.arange(60) // 4 % 3
    binary = (np.arange(60) % 7 < 3)[:, None]
    X = np.hstack([RNG.randn(60, 1), one_hot((4, levels), (3, others)), binary])
    groups = one_hot_groups(bin_columns(change(X), np.ones(60)))
    assert [columns.tolist() for columns in groups] == expected


def test_columns_of_a_category_share_its_relevance():
    rng = np.random.RandomState(0)
    levels, noise = rng.choice(5, N, p=[0.4, 0.25, 0.15, 0.1, 0.1]), rng.choice(4, N)
    Y = np.column_stack([np.isin(levels, [1, 3]), levels == 0]) ^ (rng.rand(N, 2) < 0.15)
    X = np.hstack([one_hot((5, levels), (4, noise)), rng.randn(N, 1)])
    half = halves(bin_columns(X, np.ones(N)).codes) == 1

    def explained(code, y):
        """The mean over both directions of the share of variance that means of the levels explain."""
        shares = []
        for grown in (half, ~half):
            judged, mean = ~grown, y[grown].mean()
            means = {level: y[grown & (code == level)].mean() for level in set(code)}
            guess = np.array([means[level] for level in code])
            shares.append(1 - ((y - guess)[judged] ** 2).sum() / ((y - mean)[judged] ** 2).sum())
        return np.mean(shares)

    encoding = encoded(X, Y.astype(np.uint8), kinds=("plain",), n_members=1)[2]
    of_category = max(explained(levels, y) for y in Y.T.astype(float))
    for j in range(5):
        own = max(*(explained(X[:, j], y) for y in Y.T.astype(float)), 0.5 / N, 1e-3)
        assert encoding.relevance[j] == pytest.approx(np.cbrt(own * own * of_category), rel=1e-9)
    assert of_category > 0.3
    assert (encoding.relevance[5:9] < 0.1).all()


def test_a_member_learns_the_relevance_of_a_category_on_its_own_rows():
    levels = RNG.choice(4, N)
    X = np.hstack([one_hot((4, levels)), RNG.randn(N, 2)])
    Y, fold = (levels < 2)[:, None].astype(np.uint8), np.arange(N) % 3
    changed = np.where((fold == 1)[:, None], RNG.randint(2, size=(N, 1)), Y).astype(np.uint8)
    one, other = (encoded(X, labels, fold)[2].factor.reshape(len(X[0]), 3, 3) for labels in (Y, changed))
    np.testing.assert_array_equal(one[:, :, 1], other[:, :, 1])
    assert not np.allclose(one[:, :, 0], other[:, :, 0])


def test_weights_of_categories_are_repeats():
    levels, weight = RNG.choice(4, N), np.arange(N) % 3
    X, repeats = np.hstack([one_hot((4, levels)), RNG.randn(N, 2)]), np.repeat(np.arange(N), weight)
    Y = ((levels < 2) ^ (RNG.rand(N) < 0.2))[:, None].astype(np.uint8)
    one, other = encoded(X, Y, weight=weight.astype(float))[2], encoded(X[repeats], Y[repeats])[2]
    np.testing.assert_allclose(one.factor, other.factor, rtol=1e-9)


def test_equal_rows_are_in_the_same_half_in_any_unit(table):
    X, _ = table
    half = halves(bin_columns(X, np.ones(N)).codes)
    twice = halves(bin_columns(np.vstack([X, X]) * 1e4, np.ones(2 * N)).codes)
    np.testing.assert_array_equal(twice, np.tile(half, 2))
    assert 0.4 < half.mean() < 0.6


def test_a_member_learns_nothing_from_the_labels_of_its_fold(table):
    X, Y = table
    fold = np.arange(N) % 3
    other_Y = np.where((fold == 1)[:, None], 1 - Y, Y)
    (*_, one), (*_, other) = encoded(X, Y, fold), encoded(X, other_Y, fold)
    for k in range(3):
        np.testing.assert_array_equal(one.factor[:, 3 * k + 1], other.factor[:, 3 * k + 1])
        assert (one.factor[:, 3 * k] != other.factor[:, 3 * k]).any()
    for ours, theirs in zip(one.ramps, other.ramps, strict=True):
        np.testing.assert_array_equal(ours.features(X)[1], theirs.features(X)[1])


def test_ramps_are_piecewise_linear_encodings_of_the_column(table):
    X, Y = table
    *_, encoding = encoded(X[:, :1], Y, kinds=("binned",), n_members=1)
    (ramps,) = encoding.ramps
    x = X[:, 0]
    edges = np.quantile(x, np.arange(9) / 8, method="inverted_cdf")
    by_hand = np.clip((x[:, None] - edges[:-1]) / np.diff(edges), 0, 1)
    deviation = by_hand.std(axis=0) + 1e-2
    by_hand = (by_hand - by_hand.mean(axis=0)) / deviation / np.sqrt(8)
    np.testing.assert_allclose(ramps.features(X[:, :1])[0], by_hand, atol=1e-9)
    beyond = ramps.features(np.array([[-1e9], [1e9]]))[0]
    assert beyond[0, 0] < by_hand[:, 0].min()
    assert beyond[1, -1] > by_hand[:, -1].max()


def test_columns_are_clipped_weighed_and_have_indicators(table):
    X, Y = table
    shift, scale, encoding = encoded(X, Y, kinds=("plain",), n_members=1)
    z = (X - np.nanquantile(X, 0.5, axis=0, method="inverted_cdf")) * scale
    clipped = z / np.sqrt(1 + (z / 3) ** 2)
    expected = np.nan_to_num(clipped - np.nanmean(clipped, axis=0))
    columns = encoding.columns(X, shift, scale)
    np.testing.assert_allclose(columns[:, :5], expected, atol=1e-6)
    np.testing.assert_allclose(columns[:, 5], np.isnan(X[:, 4]) - np.isnan(X[:, 4]).mean())
    deviation = np.append(np.nanstd(clipped, axis=0), np.isnan(X[:, 4]).std()) + 1e-2
    weights = encoding.factor[:, 0] * deviation
    np.testing.assert_allclose((weights[:5] ** 2).mean(), 1)
    np.testing.assert_allclose(weights[:5] ** 2 / weights[0] ** 2, encoding.relevance / encoding.relevance[0])
    assert weights[5] == pytest.approx(weights[4])


def test_missing_values_of_other_columns_add_nothing(table):
    X, Y = table
    shift, scale, encoding = encoded(X, Y)
    row = X[:1].copy()
    row[0, 0] = np.nan
    assert encoding.columns(row, shift, scale)[0, 0] == 0
    for ramps in encoding.ramps:
        features = ramps.features(row)[:, 0]
        assert (features[ramps.columns == 0] == 0).all()
        assert (features[ramps.columns == 1] != 0).any()


def test_sparse_relevance_is_the_squared_correlation_less_chance():
    rng = np.random.RandomState(2)
    X = sparse.csr_array(rng.rand(300, 6) * (rng.rand(300, 6) < 0.3))
    Y = ((X[:, [0]].toarray() > 0) ^ (rng.rand(300, 2) < 0.2)).astype(np.uint8)
    expected = np.corrcoef((X.toarray() > 0).T, Y.T)[:6, 6:] ** 2
    expected = np.maximum(expected.max(axis=1) - 2 * np.log(2) / 300, 0) + 0.01
    for labels in (Y, sparse.csr_array(Y)):
        np.testing.assert_allclose(sparse_relevance(X, labels, np.ones(300), 300), expected)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_of_many_labels_the_most_balanced_ones_are_summed(container):
    share = np.linspace(0.01, 0.49, 70)
    Y = (np.arange(200)[:, None] < 200 * share).astype(np.uint8)
    labels = labels_of_rows(container(Y), np.arange(200), np.ones(200))
    np.testing.assert_array_equal(labels, Y[:, 6:])
