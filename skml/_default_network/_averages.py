"""Averages of the members of the default network, and probabilities of logits."""

import numpy as np
from scipy.special import expit, log_expit, log_softmax, logsumexp, softmax


def around_member(logits, j):
    """Return the logits of members, the others moved so that their mean is that of member j."""
    if len(logits) <= 2:  # one other member deviates from nothing
        return np.stack([logits[j]] * len(logits))
    others = np.arange(len(logits)) != j
    deviations = logits - logits[others].mean(axis=0)
    deviations[j] = 0
    # Member j is taken for the mean: the squares of the others have to make up for its own.
    return logits[j] + np.sqrt((len(logits) - 1) / (len(logits) - 2)) * deviations


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
