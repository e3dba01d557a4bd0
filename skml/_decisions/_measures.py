"""Scores of decisions: F-beta, Jaccard and others, over all entries, averaged over labels or averaged over rows."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import sparse

from skml._decisions._entries import weighted_sums
from skml._targets._matrix import has_missing


class Measure(NamedTuple):
    """A score of decisions, and the threshold that maximizes its expectation.

    Parameters
    ----------
    score : callable
        Takes the weights of the true positive, predicted, positive and observed entries, and returns the score.
    optimal_threshold : callable
        Takes the best expected score and the weights of the positive and observed entries, and returns the probability
        from which predicting an entry increases the score.
    """

    score: Callable
    optimal_threshold: Callable


def ratio(a, b):
    """Return a / b, or 0 where b is 0, which is scikit-learn's default for undefined scores."""
    return np.divide(a, b, out=np.zeros(np.broadcast_shapes(np.shape(a), np.shape(b))), where=np.asarray(b) > 0)


def fbeta(tp, predicted, positive, observed=None, beta=1.0):
    """Return F-beta."""
    return ratio((1 + beta**2) * tp, beta**2 * positive + predicted)


def _jaccard(tp, predicted, positive, observed):
    return ratio(tp, positive + predicted - tp)


def _balanced_accuracy(tp, predicted, positive, observed):
    """Return the mean recall of the two classes, or the recall of the only class that occurs."""
    negative = observed - positive
    recalls = ratio(tp, positive) + ratio(negative - (predicted - tp), negative)
    return ratio(recalls, (positive > 0) + 1.0 * (negative > 0))


def negative_count_error(tp, predicted, positive, observed):
    """Return minus the absolute difference between the weights of predicted and of positive entries."""
    return -np.abs(predicted - positive)


def _fbeta_measure(beta):
    return Measure(partial(fbeta, beta=beta), lambda best, positive, observed: best / (1 + beta**2))


F1 = _fbeta_measure(1.0)

MACRO_MEASURES = {
    "f1_macro": F1,
    "f2_macro": _fbeta_measure(2.0),
    "f0.5_macro": _fbeta_measure(0.5),
    "jaccard_macro": Measure(_jaccard, lambda best, positive, observed: best / (1 + best)),
    "balanced_accuracy_macro": Measure(_balanced_accuracy, lambda best, positive, observed: ratio(positive, observed)),
}


def macro_score(entries, rule, measure):
    """Return the mean score of the labels that have an observed entry."""
    counts = _counts(entries, rule)
    return float(measure.score(*counts[:, counts[3] > 0]).mean())


def micro_f1(entries, rule):
    """Return the F1 of all observed entries."""
    return float(fbeta(*_counts(entries, rule).sum(axis=1)))


def samples_f1(entries, rule):
    """Return the mean F1 of the rows that have an observed entry."""
    f1, total = 0.0, 0.0
    for truth, decisions, observed, weight in _decided_blocks(entries, rule):
        hits = decisions & truth
        f1 += weight @ fbeta(hits.sum(axis=1), decisions.sum(axis=1), truth.sum(axis=1))
        total += weight @ observed.any(axis=1)
    return float(f1 / total)


def micro_precision(entries, rule):
    """Return the precision of all predicted labels that are observed, or NaN if no label is predicted."""
    tp, predicted, *_ = _counts(entries, rule).sum(axis=1)
    return float(tp / predicted) if predicted else np.nan


def samples_recall(entries, rule):
    """Return the mean recall of the rows that have a positive entry, or NaN if no row has one."""
    recall, total = 0.0, 0.0
    for truth, decisions, _, weight in _decided_blocks(entries, rule):
        n_positive = truth.sum(axis=1)
        recall += weight @ ratio((decisions & truth).sum(axis=1), n_positive)
        total += weight @ (n_positive > 0)
    return float(recall / total) if total else np.nan


def custom_score(entries, rule, scoring):
    """Return the score of a user's function ``scoring(Y, Y_pred)``."""
    Y, predicted = entries.Y, rule.decide(entries.proba).astype(np.int64)
    if not has_missing(Y):
        Y = Y.astype(np.int64)  # a difference of two uint8 matrices would wrap around
    if sparse.issparse(Y):
        predicted = sparse.csr_array(predicted)
    weight = entries.entry_weight
    return float(scoring(Y, predicted, **({} if np.all(weight == 1) else {"sample_weight": weight})))


def _counts(entries, rule):
    """Return the weights of true positive, predicted, positive and observed entries, shape (4, n_labels)."""
    counts = np.zeros((4, entries.proba.shape[1]))
    for truth, decisions, observed, weight in _decided_blocks(entries, rule, by_entry=True):
        counts += [weighted_sums(weight, entry) for entry in (decisions & truth, decisions, truth, observed)]
    return counts


def _decided_blocks(entries, rule, by_entry=False):
    """Yield blocks of rows: truth, decisions (False for missing labels), whether entries are observed, and weights."""
    for truth, observed, p, weight in entries.by_rows(by_entry=by_entry):
        yield truth, observed & rule.decide(p), observed, weight
