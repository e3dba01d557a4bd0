"""Divide groups of rows into parts with equal shares of every label and of the rows."""

import numpy as np
from scipy import sparse

# Cost of stratification in seconds: of a group, and of an entry of the label matrix.
_SECONDS_PER_GROUP = 8e-6
_SECONDS_PER_ENTRY = 4e-8


def parts_of_groups(Y, group, shares, random_state, seconds):
    """Divide the rows into parts, stratified by label. The rows of a group stay together.

    The groups are assigned one by one, first those with the largest shares of labels, of rare labels above all. Each
    goes to the part whose shares of the labels and rows are then closest to the wanted ones. This is the order and the
    aim of iterative stratification (Sechidis et al., 2011), for all labels of a group at once, as in scikit-learn's
    `StratifiedGroupKFold`.

    Parameters
    ----------
    Y : ndarray or csr_array of shape (n_samples, n_labels)
        A missing label counts as 0.
    group : ndarray of int, shape (n_samples,)
    shares : list of float
        The fraction of the rows in each part.
    random_state : numpy.random.RandomState
        Decides the order of groups with equal shares of labels.
    seconds : float
        The parts are drawn at random if stratification would take longer.

    Returns
    -------
    ndarray of int, shape (n_samples,)
        The part of each row. No part is empty if the groups are as many as the parts, and stratification is affordable.
    """
    _, group, sizes = np.unique(group, return_inverse=True, return_counts=True)
    order, shares = random_state.permutation(len(sizes)), np.asarray(shares, dtype=float)
    n_entries = Y.nnz if sparse.issparse(Y) else Y.size
    if len(sizes) * _SECONDS_PER_GROUP + n_entries * _SECONDS_PER_ENTRY > seconds:
        ends = np.cumsum(sizes[order])
        part = np.empty(len(sizes), dtype=np.intp)
        part[order] = np.searchsorted(np.cumsum(shares)[:-1], (ends - sizes[order] / 2) / ends[-1], side="right")
        return part[group]
    return _assign(_label_shares(Y, group, sizes), order, shares)[group]


def _label_shares(Y, group, sizes):
    """Return the share of each group in the positive entries of each label, and in the rows, as CSR."""
    n_samples = len(group)
    rows_of_groups = sparse.csr_array((np.ones(n_samples), (group, np.arange(n_samples))), (len(sizes), n_samples))
    entries = sparse.csr_array(Y >= 0.5, dtype=np.float64)
    counts = sparse.hstack([rows_of_groups @ entries, sparse.csr_array(sizes[:, None] * 1.0)], format="csr")
    counts.data /= np.asarray(counts.sum(axis=0)).ravel()[counts.indices]
    return counts


def _assign(label_shares, order, shares):
    """Return the part of each group."""
    excess = -np.repeat(shares[:, None], label_shares.shape[1], axis=1)
    part = np.empty(len(order), dtype=np.intp)
    sums = np.asarray(label_shares.sum(axis=1)).ravel()
    for i in order[np.argsort(-sums[order], kind="stable")]:
        entries = slice(label_shares.indptr[i], label_shares.indptr[i + 1])
        columns, share = label_shares.indices[entries], label_shares.data[entries]
        # The squared distance from the wanted shares, relative to these, grows by so much.
        part[i] = ((2 * excess[:, columns] + share) @ share / shares).argmin()
        excess[part[i], columns] += share
    return part
