"""Weights of the kinds of members in the average of the default network."""

import numpy as np

from skml._targets._matrix import missing_entries, to_dense

# A kind with a smaller weight is left out.
_SMALLEST = 0.05

# More entries than this change the weights by less than their error.
_MAX_ENTRIES = 2**19

_N_ITERATIONS = 100


def kind_weights(Y, probas, sample_weight=None):
    """Return the convex weights of kinds whose mixture has the smallest log-loss on held-out rows.

    They are found by expectation maximisation (Dempster et al., 1977); each kind is a component whose probabilities are
    given. Weights below 0.05 become 0.

    Parameters
    ----------
    Y : ndarray or csr_array of shape (n_rows, n_outputs)
        0 and 1, NaN for missing labels.
    probas : list of ndarray of shape (n_rows, n_outputs)
        Held-out probabilities of each kind.
    sample_weight : ndarray of shape (n_rows,), default=None

    Returns
    -------
    ndarray of shape (n_kinds,)
        Their sum is 1.
    """
    step = -(-Y.shape[0] * Y.shape[1] // _MAX_ENTRIES) or 1
    Y = Y[::step]
    entries = to_dense(Y)
    observed = ~to_dense(missing_entries(Y)).astype(bool) if entries.dtype.kind == "f" else np.ones(entries.shape, bool)
    weight = np.ones(len(entries)) if sample_weight is None else sample_weight[::step]
    weight = np.broadcast_to(weight[:, None], entries.shape)[observed]
    of_truth = np.array([np.where(entries > 0, p[::step], 1 - p[::step])[observed] for p in probas], np.float64)
    of_truth = np.maximum(of_truth, np.finfo(np.float32).tiny)
    weights = np.full(len(probas), 1 / len(probas))
    for _ in range(_N_ITERATIONS if weight.sum() > 0 else 0):
        weights = (weights[:, None] * of_truth / (weights @ of_truth)) @ weight / weight.sum()
    weights[weights < _SMALLEST] = 0
    return weights / weights.sum()
