"""Dense tables with many rows, made by three kinds of teachers: what they draw labels from is known."""

import numpy as np

KINDS = ("smooth", "rules", "scales")
N_TEST = 4000


def load_teacher(kind, n_rows, seed=0):
    """Return X_train, Y_train, X_test, Y_test and a dict, as a set's loader does.

    Parameters
    ----------
    kind : {"smooth", "rules", "scales"}
        "smooth": a random network of 40 tanh units, 50 columns, 10 labels. "rules": sums of random boxes of two
        columns each, 40 columns, 12 labels. "scales": products of pairs of columns whose units differ by powers of
        ten, 40 columns, 12 labels.
    n_rows : int
        Rows to train on.
    seed : int, default=0
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
