"""Generate tables whose labels depend on the columns in known ways."""

import numpy as np
import pandas as pd
from scipy.stats import norm

KINDS = ("smooth", "rules", "scales")
N_TEST = 4000

# Kinds on which trees are strong, and the seed of the dependencies, which are the same for all seeds of the rows.
TREE_KINDS = {"steps": 7, "heavy": 8, "mixed": 9}

# Of the categorical columns of "mixed".
N_LEVELS = (3, 4, 5, 8, 12, 15, 20, 30)


def load_teacher(kind, n_rows, seed=0):
    """Return X_train, Y_train, X_test, Y_test and a dict, like the loader of a data set.

    Parameters
    ----------
    kind : {"smooth", "rules", "scales", "steps", "heavy", "mixed"}
        "smooth": 50 columns, 10 labels; the labels depend on a random network of 40 tanh units. "rules": 40 columns,
        12 labels; they depend on sums of random boxes in two columns each. "scales": 40 columns, 12 labels; they
        depend on products of pairs of columns, and the units of the columns differ by powers of ten. The others have 8
        labels that depend on boxes in one to three columns. "steps": 40 uniform columns, of which 10 matter. "heavy":
        60 log-normal or Cauchy columns, of which 8 matter, by a bump too. "mixed": a DataFrame of 10 skewed numbers,
        some of them missing, and 8 categories.
    n_rows : int
        Number of training rows.
    seed : int, default=0
        Seed of the random numbers.
    """
    if kind in TREE_KINDS:
        X, Y = _tree_table(kind, n_rows + N_TEST, np.random.RandomState(1000 + seed))
        return X[:n_rows], Y[:n_rows], X[n_rows:], Y[n_rows:], {}
    rng = np.random.RandomState(seed)
    n_columns, n_labels = (50, 10) if kind == "smooth" else (40, 12)
    X = rng.randn(n_rows + N_TEST, n_columns)
    logits = {"smooth": _smooth, "rules": _rules, "scales": _products}[kind](X, n_labels, rng)
    logits = 3 * (logits - logits.mean(axis=0)) / logits.std(axis=0) - rng.uniform(0, 2, n_labels)
    Y = (rng.uniform(size=logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.uint8)
    if kind == "scales":
        X = X * 10.0 ** rng.randint(-3, 4, n_columns) + rng.uniform(-100, 100, n_columns)
    X = X.astype(np.float32)
    return X[:n_rows], Y[:n_rows], X[n_rows:], Y[n_rows:], {}


def _smooth(X, n_labels, rng):
    hidden = np.tanh(X @ rng.randn(X.shape[1], 40) * 2 / np.sqrt(X.shape[1]))
    return hidden @ rng.randn(40, n_labels)


def _rules(X, n_labels, rng):
    logits = np.zeros((len(X), n_labels))
    for _ in range(12 * n_labels):
        i, j = rng.choice(X.shape[1], 2, replace=False)
        inside = (X[:, i] > rng.randn()) & (X[:, j] < rng.randn())
        logits[:, rng.randint(n_labels)] += rng.randn() * inside
    return logits


def _products(X, n_labels, rng):
    pairs = rng.randint(X.shape[1], size=(30, 2))
    return (X[:, pairs[:, 0]] * X[:, pairs[:, 1]]) @ rng.randn(30, n_labels) + X @ rng.randn(X.shape[1], n_labels)


def _tree_table(kind, n_rows, rng, n_labels=8):
    """Return a table of a kind on which trees are strong: an array or a DataFrame, and its labels."""
    teacher = np.random.RandomState(TREE_KINDS[kind])
    categories, subsets = None, None
    if kind == "steps":
        X = ranks = rng.rand(n_rows, 40)
    elif kind == "heavy":
        normal = rng.randn(n_rows, 60)
        X, ranks = np.exp(1.5 * normal), norm.cdf(normal)
        X[:, 1::3] = np.tan(np.pi * (ranks[:, 1::3] - 0.5))
    else:
        normal = rng.randn(n_rows, 10)
        X, ranks = np.exp(normal), norm.cdf(normal)
        X[:, ::2] = np.round(X[:, ::2], 1)
        categories = np.column_stack([_zipf(n_levels, n_rows, rng) for n_levels in N_LEVELS])
        teacher.randn(sum(N_LEVELS) * n_labels)  # not used; without these draws the labels would be others
        subsets = [[teacher.rand(n_levels) < 0.4 for n_levels in N_LEVELS] for _ in range(40)]
    n_relevant = 8 if kind == "heavy" else 10
    logits = np.column_stack(
        [_boxes(ranks, n_relevant, categories, subsets, teacher, kind == "heavy") for _ in range(n_labels)]
    )
    shares = teacher.uniform(0.5, 0.85, n_labels)
    logits -= [np.quantile(column[:2000], share) for column, share in zip(logits.T, shares, strict=True)]
    Y = (rng.rand(*logits.shape) < 1 / (1 + np.exp(-1.5 * logits))).astype(np.uint8)
    return (X if kind != "mixed" else _with_gaps(X, ranks, categories, rng)), Y


def _zipf(n_levels, n_rows, rng):
    p = 1 / np.arange(1, n_levels + 1)
    return rng.choice(n_levels, n_rows, p=p / p.sum())


def _boxes(ranks, n_relevant, categories, subsets, teacher, has_bump):
    """Return the log-odds of one label: a weighted sum of 12 boxes of thresholds, and of subsets of categories."""
    logits = np.zeros(len(ranks))
    for _ in range(12):
        box = np.ones(len(ranks), dtype=bool)
        for _ in range(teacher.randint(1, 4)):
            column, threshold, is_above = teacher.randint(n_relevant), teacher.uniform(0.25, 0.75), teacher.rand() < 0.5
            if subsets is not None and teacher.rand() < 0.5:
                subset, column = subsets[teacher.randint(len(subsets))], teacher.randint(len(N_LEVELS))
                box &= subset[column][categories[:, column]]
            else:
                box &= (ranks[:, column] > threshold) == is_above
        logits += 1.6 * teacher.randn() * box
    if has_bump:
        center = (ranks[:, teacher.randint(n_relevant)] - 0.5) / 0.15
        logits += 1.5 * np.exp(-(center**2)) * teacher.choice([-1, 1])
    return logits


def _with_gaps(X, ranks, categories, rng):
    """Return a DataFrame in which a tenth of the numbers are missing; in the first column large ones more often."""
    missing = rng.rand(*X.shape) < 0.1
    missing[:, 0] |= (ranks[:, 0] > 0.9) & (rng.rand(len(X)) < 0.5)
    numbers = pd.DataFrame(np.where(missing, np.nan, X)).add_prefix("number ")
    levels = pd.DataFrame(np.char.add("v", categories.astype(str)), dtype=object).add_prefix("category ")
    return pd.concat([numbers, levels], axis=1)
