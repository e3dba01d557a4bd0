"""Averages of the members of the default network, and probabilities of logits."""

import numpy as np
from scipy.special import expit, log_expit, log_softmax, logsumexp, softmax

# Distributions of log-odds are compared at so many quantiles, or at fewer if there are fewer entries for each.
_MAX_QUANTILES, _ENTRIES_PER_QUANTILE = 21, 20


def around_known(logits, known):
    """Return log-odds of shape (n_members, n_entries), the others moved around that of the known member of each entry.

    The others differ less than if they had not learned from the row. They would differ more if learning had done no
    more than change the distribution of log-odds: then their quantiles could be mapped to those of the known ones
    (Panofsky and Brier, 1968). The mean of the two is taken.
    """
    n_members, n_entries = logits.shape
    if n_members <= 2 or not n_entries:  # one other member deviates from nothing
        return np.broadcast_to(logits[known, np.arange(n_entries)], logits.shape)
    is_known = np.arange(n_members) == known[:, None]
    own, others = logits.T[is_known], logits.T[~is_known].reshape(n_entries, -1)
    at = np.linspace(0, 1, np.clip(n_entries // _ENTRIES_PER_QUANTILE, 2, _MAX_QUANTILES))
    others = (others + np.interp(others, np.quantile(others, at), np.quantile(own, at))) / 2
    # The known one is taken for the mean: the squares of the others have to make up for its own.
    spread = np.sqrt((n_members - 1) / (n_members - 2)) * (others - others.mean(axis=1, keepdims=True))
    # The first column stands for the known member: the order of members with equal weights does not matter.
    return np.column_stack([own, own[:, None] + spread]).T


def mean_of_members(values, weights):
    """Return the mean over the first axis, with the weights of members or equal ones."""
    return values.mean(axis=0) if weights is None else np.tensordot(weights.astype(values.dtype), values, 1)


def log_odds_of_mean(logits, weights):
    """Return the log-odds of the mean over the first axis of the sigmoids of logits."""
    yes, no = mean_of_members(expit(logits), weights), mean_of_members(expit(-logits), weights)
    if min(yes.min(), no.min()) >= np.finfo(logits.dtype).tiny:
        return np.log(yes) - np.log(no)
    weights = 1 if weights is None else weights[:, None, None]
    return logsumexp(log_expit(logits), axis=0, b=weights) - logsumexp(log_expit(-logits), axis=0, b=weights)


def log_of_mean(logits, weights):
    """Return the logarithm of the mean over the first axis of the softmax of logits."""
    proba = mean_of_members(softmax(logits, axis=-1), weights)
    if proba.min() >= np.finfo(logits.dtype).tiny:
        return np.log(proba)
    weights = np.full(len(logits), 1 / len(logits)) if weights is None else weights
    return logsumexp(log_softmax(logits, axis=-1), axis=0, b=weights[:, None, None])


def log_odds(proba):
    """Return log(p / (1 - p)) of probabilities inside (0, 1)."""
    return np.log(proba) - np.log1p(-proba)


def log_proba_of_logits(logits, output_activation):
    """Return log-odds of sigmoid units, or log-probabilities of softmax units, from logits."""
    return logits if output_activation == "sigmoid" else log_softmax(logits, axis=1)


def proba_of_logits(logits, output_activation):
    """Return the probabilities of sigmoid or softmax units from logits."""
    return expit(logits) if output_activation == "sigmoid" else softmax(logits, axis=-1)
