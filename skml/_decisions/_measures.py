"""Scores of decisions: F-beta, Jaccard and the like, of sums of entries, of labels, of rows."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import sparse

from skml._targets._matrix import has_missing


class Measure(NamedTuple):
    """A score of what is predicted, and the probability from which an entry is worth predicting."""

    value: Callable  # of the weights of: true positives, predicted, positive and observed entries
    worth: Callable  # of the best value, and the weights of positive and observed entries


def ratio(a, b):
    """Return a / b, and 0 where b is 0, as scikit-learn does by default."""
    return np.divide(a, b, out=np.zeros(np.broadcast_shapes(np.shape(a), np.shape(b))), where=np.asarray(b) > 0)


def fbeta(tp, predicted, positive, known=None, beta=1.0):
    """Return F-beta of sums of entries."""
    return ratio((1 + beta**2) * tp, beta**2 * positive + predicted)


def _jaccard(tp, predicted, positive, known):
    return ratio(tp, positive + predicted - tp)


def _balanced_accuracy(tp, predicted, positive, known):
    """Return the mean recall of the two classes, or of the one there is."""
    negative = known - positive
    recalls = ratio(tp, positive) + ratio(negative - (predicted - tp), negative)
    return ratio(recalls, (positive > 0) + 1.0 * (negative > 0))


def share_error(tp, predicted, positive, known):
    """Return how far the share of what is predicted is off, negative."""
    return -np.abs(predicted - positive)


def _fbeta_measure(beta):
    return Measure(partial(fbeta, beta=beta), lambda best, positive, known: best / (1 + beta**2))


F1 = _fbeta_measure(1.0)

MACRO = {
    "f1_macro": F1,
    "f2_macro": _fbeta_measure(2.0),
    "f0.5_macro": _fbeta_measure(0.5),
    "jaccard_macro": Measure(_jaccard, lambda best, positive, known: best / (1 + best)),
    "balanced_accuracy_macro": Measure(_balanced_accuracy, lambda best, positive, known: ratio(positive, known)),
}


def macro_score(entries, rule, measure):
    """Return the mean over labels with a known entry of a measure's value."""
    counts = _counts(entries, rule)
    return float(measure.value(*counts[:, counts[3] > 0]).mean())


def micro_f1(entries, rule):
    """Return F1 of all observed entries."""
    return float(fbeta(*_counts(entries, rule).sum(axis=1)))


def samples_f1(entries, rule):
    """Return the mean over rows with a known entry of the F1 of their entries."""
    f1, total = 0.0, 0.0
    for truth, decisions, known, weight in _decided(entries, rule):
        hits = decisions & truth
        f1 += weight @ fbeta(hits.sum(axis=1), decisions.sum(axis=1), truth.sum(axis=1))
        total += weight @ known.any(axis=1)
    return float(f1 / total)


def precision_of_tags(entries, rule):
    """Return the share of true entries among all known ones that are predicted; NaN if there are none."""
    tp, predicted, *_ = _counts(entries, rule).sum(axis=1)
    return float(tp / predicted) if predicted else np.nan


def recall_of_rows(entries, rule):
    """Return the mean share of a row's true entries that are predicted, over rows that have one; NaN if none has."""
    recall, total = 0.0, 0.0
    for truth, decisions, _, weight in _decided(entries, rule):
        n_true = truth.sum(axis=1)
        recall += weight @ ratio((decisions & truth).sum(axis=1), n_true)
        total += weight @ (n_true > 0)
    return float(recall / total) if total else np.nan


def custom_score(entries, rule, scoring):
    """Return what a user's ``scoring(Y, Y_pred)`` says."""
    Y, predicted = entries.Y, rule.decide(entries.proba).astype(np.int64)
    if not has_missing(Y):
        Y = Y.astype(np.int64)  # a difference of two uint8 would wrap around
    if sparse.issparse(Y):
        predicted = sparse.csr_array(predicted)
    is_weighted = not np.all(entries.weight == 1)
    return float(scoring(Y, predicted, **({"sample_weight": entries.weight} if is_weighted else {})))


def _counts(entries, rule):
    """Return each label's weights of true positives, predicted, positive and observed entries, shape (4, n_labels)."""
    counts = np.zeros((4, entries.proba.shape[1]))
    for truth, decisions, known, weight in _decided(entries, rule):
        counts += [weight @ entry for entry in (decisions & truth, decisions, truth, known)]
    return counts


def _decided(entries, rule):
    """Yield blocks of rows: what is true, decided for and known, and weights."""
    for truth, known, p, weight in entries.by_rows():
        yield truth, known & rule.decide(p), known, weight
