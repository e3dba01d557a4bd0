"""Slow reference implementations of the scores, over the observed entries of each row or label, or of all rows."""

import itertools

import numpy as np
from sklearn import metrics as sk

from skml import metrics


def rows(score):
    """Return a function for the mean over rows of a score of the observed entries; a score of None is left out."""

    def mean(Y, other, observed):
        values = [score(Y[i, observed[i]], other[i, observed[i]]) for i in range(len(Y)) if observed[i].any()]
        values = [value for value in values if value is not None]
        return np.mean(values) if values else np.nan

    return mean


def labels(score):
    """Return a function for the mean over labels of a score of the observed entries."""
    transposed = rows(score)
    return lambda Y, other, observed: transposed(Y.T, other.T, observed.T)


def entries(score):
    """Return a function for a score of all observed entries together."""

    def score_of_all(Y, other, observed):
        value = score(Y[observed], other[observed])
        return np.nan if value is None else value

    return score_of_all


def f1(y, d):
    return 2 * np.sum(y * d) / (np.sum(y) + np.sum(d)) if np.any(y + d) else 0.0


def jaccard(y, d):
    return np.sum(y & d) / np.sum(y | d) if np.any(y | d) else 0.0


def fraction_of_wrong_pairs(y, s):
    pairs = [(s[a], s[b]) for a in np.flatnonzero(y) for b in np.flatnonzero(y == 0)]
    return np.mean([true <= false for true, false in pairs]) if pairs else 0.0


def lrap(y, s):
    precisions = [np.mean(y[s >= s[j]]) for j in np.flatnonzero(y)]
    return np.mean(precisions) if precisions else 1.0


def top_two(y, s):
    """Return the mean over all rankings of the entries of the two highest scores; ties allow several rankings."""
    orders = [list(order) for order in itertools.permutations(range(len(s))) if np.all(np.diff(s[list(order)]) <= 0)]
    return np.mean([y[order[:2]] for order in orders], axis=0)


def ndcg_at_two(y, s):
    gain, ideal = (sum(v / np.log2(rank + 2) for rank, v in enumerate(x)) for x in (top_two(y, s), sorted(y)[:-3:-1]))
    return gain / ideal if any(y) else None


def cross_entropy(y, p):
    epsilon = np.finfo(float).eps
    p = np.clip(p, epsilon, 1 - epsilon)
    return np.mean([-np.log(q) if true else -np.log(1 - q) for true, q in zip(y, p, strict=True)])


def both_classes(score):
    """Return a score that is None unless y has both 0 and 1."""
    return lambda y, s: score(y, s) if 0 < np.mean(y) < 1 else None


BY_HAND = {
    "f1_micro": (metrics.f1_score, {"average": "micro"}, entries(f1)),
    "f1_macro": (metrics.f1_score, {}, labels(f1)),
    "f1_samples": (metrics.f1_score, {"average": "samples", "zero_division": 0}, rows(f1)),
    "recall_samples": (
        metrics.recall_score,
        {"average": "samples", "zero_division": np.nan},
        rows(lambda y, d: np.mean(d[y == 1]) if any(y) else None),
    ),
    "jaccard_macro": (metrics.jaccard_score, {}, labels(jaccard)),
    "accuracy": (metrics.accuracy_score, {}, rows(lambda y, d: float(all(y == d)))),
    "hamming": (metrics.hamming_loss, {}, entries(lambda y, d: np.mean(y != d))),
    "lrap": (metrics.label_ranking_average_precision_score, {}, rows(lrap)),
    "coverage": (metrics.coverage_error, {}, rows(lambda y, s: sum(s >= min(s[y == 1])) if any(y) else 0)),
    "ranking loss": (metrics.label_ranking_loss, {}, rows(fraction_of_wrong_pairs)),
    "log loss": (metrics.log_loss, {}, rows(cross_entropy)),
    "precision at 2": (metrics.precision_at_k, {"k": 2}, rows(lambda y, s: np.mean(top_two(y, s)))),
    "recall at 2": (
        metrics.recall_at_k,
        {"k": 2},
        rows(lambda y, s: sum(top_two(y, s)) / sum(y) if any(y) else None),
    ),
    "ndcg at 2": (metrics.ndcg_at_k, {"k": 2}, rows(ndcg_at_two)),
    "roc_auc micro": (metrics.roc_auc_score, {"average": "micro"}, entries(both_classes(sk.roc_auc_score))),
    "roc_auc samples": (metrics.roc_auc_score, {"average": "samples"}, rows(both_classes(sk.roc_auc_score))),
    "average_precision samples": (
        metrics.average_precision_score,
        {"average": "samples"},
        rows(both_classes(sk.average_precision_score)),
    ),
    "roc_auc": (metrics.roc_auc_score, {}, labels(both_classes(sk.roc_auc_score))),
    "average_precision": (metrics.average_precision_score, {}, labels(both_classes(sk.average_precision_score))),
}
FROM_DECISIONS = ("f1_micro", "f1_macro", "f1_samples", "recall_samples", "jaccard_macro", "accuracy", "hamming")
