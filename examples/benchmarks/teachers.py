"""Generate dense tables with many rows, whose labels depend on the columns in one of three known ways."""

import numpy as np

KINDS = ("smooth", "rules", "scales")
N_TEST = 4000


def load_teacher(kind, n_rows, seed=0):
    """Return X_train, Y_train, X_test, Y_test and a dict, like the loader of a data set.

    Parameters
    ----------
    kind : {"smooth", "rules", "scales"}
        "smooth": 50 columns, 10 labels; the labels depend on a random network of 40 tanh units. "rules": 40 columns,
        12 labels; they depend on sums of random boxes in two columns each. "scales": 40 columns, 12 labels; they
        depend on products of pairs of columns, and the units of the columns differ by powers of ten.
    n_rows : int
        Number of training rows.
    seed : int, default=0
        Seed of the random numbers.
    """
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
