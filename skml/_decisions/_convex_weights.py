"""Convex weights of several classifiers, found by the loss of their average on held-out probabilities."""

import numpy as np
from scipy.optimize import minimize

from skml._targets._matrix import has_soft, row_sums, to_dense

# A held-out probability of 0 may be wrong; forests and nearest neighbours predict it often.
_SMALLEST = np.finfo(np.float32).eps

# A classifier with a smaller weight would cost time in each prediction and change none.
_NEGLIGIBLE = 1e-4


def convex_weights(Y, probas, sample_weight=None, is_multiclass=False):
    """Return the weights with which the average of held-out probabilities has the smallest log-loss.

    The weights are at least 0 and add up to 1 (Breiman, 1996). The loss is convex in them, so that the minimum is the
    global one.

    Parameters
    ----------
    Y : ndarray or csr_array of shape (n_samples, n_outputs)
        0 and 1. A float matrix may contain NaN, a missing label, which is ignored, and soft labels, whose expected loss
        counts.
    probas : list of ndarray of shape (n_samples, n_outputs)
        Held-out probabilities of each classifier.
    sample_weight : ndarray of shape (n_samples,) or (n_samples, n_outputs), default=None
    is_multiclass : bool, default=False
        Whether each row of Y has a single 1, whose probability alone counts.

    Returns
    -------
    weights : ndarray of shape (n_classifiers,), float64

    Examples
    --------
    >>> Y = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
    >>> convex_weights(Y, [np.where(Y, 0.9, 0.1), np.full((4, 2), 0.5)])
    array([1., 0.])
    """
    likelihoods, weight = _likelihoods(to_dense(Y), probas, sample_weight, is_multiclass)

    def loss(weights):
        average = likelihoods @ weights
        return -(weight @ np.log(average)), -((weight / average) @ likelihoods)

    n_classifiers = len(probas)
    sums_to_one = {"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones((1, n_classifiers))}
    bounds = [(0, 1)] * n_classifiers
    options = {"ftol": 1e-12, "maxiter": 300}
    start = np.full(n_classifiers, 1 / n_classifiers)
    found = minimize(loss, start, jac=True, method="SLSQP", bounds=bounds, constraints=sums_to_one, options=options).x
    found[found < _NEGLIGIBLE] = 0
    return found / found.sum()


def _likelihoods(Y, probas, sample_weight, is_multiclass):
    """Return each classifier's probability of the truth, one row per entry, and the entries' weights with sum 1."""
    positive = Y == 1
    counts = positive if is_multiclass else Y == Y
    weight = np.ones(len(Y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    weight = weight if weight.ndim == 2 else weight[:, None]
    # Rows count alike, however many of their labels are missing.
    by_entry = np.broadcast_to(weight / np.maximum(row_sums(counts), 1)[:, None], Y.shape)[counts]
    if has_soft(Y):
        by_entry = np.append(by_entry * Y[counts], by_entry * (1 - Y[counts]))
        truths = [np.append(proba[counts], 1 - proba[counts]) for proba in probas]
    else:
        truths = [np.where(positive, proba, 1 - proba)[counts] for proba in probas]
    return np.clip(np.column_stack(truths).astype(np.float64), _SMALLEST, 1), by_entry / by_entry.sum()
