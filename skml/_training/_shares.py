"""Rows that several processes hold: what one has read becomes what all have."""

import dataclasses

import numpy as np
from scipy import sparse

from skml._targets._groups import group_codes
from skml._targets._labels import format_some, sorted_labels
from skml._targets._matrix import to_dense
from skml._training._dataset import ValidationData, encoder_for_fit, joined_datasets
from skml._training._seeds import Seeds

# Parameters of the classifier that may differ between processes.
_NEED_NOT_AGREE = ("random_state", "verbose")


def check_can_share(params, workers):
    """Raise a ValueError if several processes cannot train together with the parameters of an estimator."""
    if workers.is_alone:
        return
    if params["model"] is not None:
        raise ValueError(
            "Several processes can train the default network together, but not a custom model, for which Keras' own "
            "fit fails under MultiWorkerMirroredStrategy. Set model=None, or call fit outside of the scope."
        )
    if params["jit_compile"]:
        raise ValueError("jit_compile=True cannot be used under MultiWorkerMirroredStrategy. Set jit_compile=False.")
    if "sum" in (getattr(params["loss"], "reduction", None), params.get("loss__reduction")):
        raise ValueError(
            "Under MultiWorkerMirroredStrategy the loss must be a mean over rows, but loss has reduction='sum'. Leave "
            "out reduction."
        )
    plain = {
        name: value
        for name, value in params.items()
        if isinstance(value, int | float | str | tuple | None) and name not in _NEED_NOT_AGREE
    }
    for rank, others in enumerate(workers.gather(plain)):
        differing = [name for name in plain.keys() | others.keys() if plain.get(name) != others.get(name)]
        if differing:
            name = min(differing)
            raise ValueError(
                f"Processes that train together must have the same parameters, but {name} is {plain.get(name)!r} here "
                f"and {others.get(name)!r} in process {rank}."
            )


def shared_seeds(seeds, workers):
    """Return the seeds of the first process."""
    return Seeds(workers.gather(seeds.root)[0])


def shared_encoder(encoder, y, params, workers):
    """Return the encoder of this process for the labels of all.

    Parameters
    ----------
    encoder : TargetEncoder
        Fitted to the share `y` of this process, without `classes`.
    y : any form of target
    params : dict
        Parameters of the estimator.
    workers : Workers
    """
    labels = _labels_of_all(encoder, workers)
    if all(others == labels[0] for others in labels):
        return encoder
    if encoder.has_columns:
        _refuse_other_labels(labels, workers)
    return encoder_for_fit(y, sorted_labels({label for others in labels for label in others}), params)


def check_same_labels(encoder, workers):
    """Raise a ValueError if the processes do not have the same labels in the same order."""
    labels = _labels_of_all(encoder, workers)
    if any(others != labels[0] for others in labels):
        _refuse_other_labels(labels, workers)


def _labels_of_all(encoder, workers):
    """Return the labels of each process; raise a ValueError if their forms of y differ."""
    forms, labels = zip(
        *workers.gather(((encoder.is_multilabel, encoder.has_columns), encoder.classes_.tolist())), strict=True
    )
    if any(form != forms[0] for form in forms):
        raise ValueError(
            "y must have the same form in all processes that train together: label sets, an indicator with a column "
            "for each label, or a single label per row."
        )
    return labels


def _refuse_other_labels(labels, workers):
    own = labels[workers.rank]
    rank, others = next((rank, others) for rank, others in enumerate(labels) if others != own)
    raise ValueError(
        f"Processes that train together must have the same classes in the same order, but process {rank} has "
        f"{format_some(others, len(others))}, and this one {format_some(own, len(own))}."
    )


def shared_dataset(dataset, workers):
    """Return the rows of all processes, in the order of their ranks."""
    if workers.is_alone:
        return dataset
    kind = sparse.issparse(dataset.X), dataset.X.shape[1:]
    for rank, other in enumerate(workers.gather(kind)):
        if other != kind:
            theirs, own = (f"{'sparse' if of_csr else 'dense'} with {n} columns" for of_csr, (n,) in (other, kind))
            raise ValueError(f"X must be alike in all processes, but it is {theirs} in process {rank}, and {own} here.")
    datasets = workers.gather(dataset)
    if not all(sparse.issparse(other.Y) for other in datasets):
        datasets = [dataclasses.replace(other, Y=to_dense(other.Y)) for other in datasets]
    return joined_datasets(datasets)


def shared_validation(dataset, validation, workers):
    """Return the training rows, as all processes have them, and the validation rows of all processes."""
    if workers.is_alone:
        return dataset, validation
    (rows,) = validation.groups
    shared = shared_dataset(validation.dataset.take(rows), workers)
    # The y_val of another process may hold missing labels, for which Y needs another dtype.
    missing, soft = map(any, zip(*workers.gather((dataset.has_missing, dataset.has_soft_labels)), strict=True))
    Y = dataset.Y.astype(shared.Y.dtype)
    dataset = dataclasses.replace(dataset, Y=Y, has_missing=missing, has_soft_labels=soft)
    return dataset, ValidationData(shared, [np.arange(shared.n_samples, dtype=np.int32)])


def shared_groups(groups, n_samples, workers):
    """Return the number of the group of each row of all processes; None if there are none.

    Parameters
    ----------
    groups : array-like of shape (n_samples,), or None
        The groups of the rows of this process.
    n_samples : int
        Number of rows of this process.
    workers : Workers
    """
    codes = group_codes(groups, n_samples)
    if workers.is_alone:
        return codes
    shares = workers.gather(None if groups is None else list(groups))
    if any((share is None) != (groups is None) for share in shares):
        raise ValueError("groups must be passed in all processes that train together, or in none.")
    if groups is None:
        return None
    groups = [group for share in shares for group in share]
    return group_codes(groups, len(groups))
