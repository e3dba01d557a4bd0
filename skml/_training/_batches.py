"""A fit from blocks of rows, which are never in memory all at once."""

import dataclasses
from typing import NamedTuple

import numpy as np

from skml._default_network._auto import auto_settings
from skml._training._blocks import BlockReader, Blocks, Sample, ShuffleBuffer
from skml._training._dataset import (
    Dataset,
    ValidationData,
    encoder_for_fit,
    joined_datasets,
    read_validation,
    with_class_weight,
)
from skml._training._fit import architecture_of, check_decisions, first_epoch_after, fit_split
from skml._training._shares import (
    check_can_share,
    check_same_labels,
    shared_dataset,
    shared_seeds,
    shared_validation,
)
from skml._training._split import Split
from skml.model_selection._stratification import MIN_HOLDOUT

# Stored entries of X and of the label matrix that statistics come from, and as many that are held out: 32 MB each.
_MAX_SAMPLE_ENTRIES = 2**22

# ... and those of a round. The buffer holds twice as many, and copies them.
_MAX_ROUND_ENTRIES = 2**21

# Rows of a round at least, however wide they are, and at most, so that the loss is computed after some 500 updates.
_ROUND_ROWS = 2**11, 2**17


def fit_batches(params, batches, classes, validation, previous, *, seeds, check_X, feature_names, workers):
    """Train a network on blocks of rows, calibrate it and tune its thresholds on held-out rows.

    A first pass over the blocks counts rows, holds some out and samples others for the statistics of columns and
    labels. The following ones train.

    Parameters
    ----------
    params : dict
        Parameters of the estimator, valid ones.
    batches : callable or iterable
        ``batches()``, or the iterable itself, gives the blocks of a pass.
    classes : array-like of shape (n_labels,) or None
    validation : tuple (X_val, y_val) or None
        Validation data in place of held-out rows.
    previous : FittedModel or None
        The model whose training is resumed.
    seeds : Seeds
    check_X : callable
        ``check_X(X, is_first)`` returns X as the network takes it.
    feature_names : callable
        Returns the names of the columns of the first block, or None.
    workers : Workers
        The processes that train together, each with its share of the blocks and of the validation data.

    Returns
    -------
    FittedModel

    Raises
    ------
    ValueError, TypeError
        If batches, a block or a parameter is not as described.
    """
    check_can_share(params, workers)
    seeds = shared_seeds(seeds, workers)
    params = params if params["n_members"] != "auto" or params["model"] else {**params, "n_members": 1}
    first_epoch = first_epoch_after(previous)

    def encoder_for(y):
        encoder = encoder_for_fit(y, classes, params, previous and previous.encoder, is_partial_fit=True)
        check_decisions(params, encoder)
        return encoder

    holds_out = params["early_stopping"] and validation is None
    reader = BlockReader(
        batches, encoder_for, check_X, seeds.block if holds_out else None, params["validation_fraction"]
    )
    scan = _scanned(reader, seeds.sampling(first_epoch), workers)
    if validation is not None:
        validation = check_X(validation[0], False), validation[1]
    dataset, split, weight = _split(scan, validation, params, reader.encoder, workers)
    dataset = dataset.with_context(None, feature_names())
    n_rows = scan.n_rows
    del scan  # its rows are in the dataset
    settings = auto_settings(params, dataset.X, dataset.loss_weight)
    architecture = architecture_of(params, dataset, settings, reader.encoder, previous, False)
    passes = lambda: (_trained_rows(rows, weight, dataset) for rows, _ in reader.blocks())  # noqa: E731
    max_rows = int(np.clip(_MAX_ROUND_ENTRIES * dataset.n_samples // dataset.n_entries, *_ROUND_ROWS))
    n_rounds = max(*(-(-n // max_rows) for n in n_rows), -(-sum(n_rows) // _ROUND_ROWS[1]))
    feed = ShuffleBuffer(passes, -(-n_rows[workers.rank] // n_rounds), seeds.buffer(first_epoch))
    blocks = Blocks(feed, sum(n_rows), n_rounds)
    plan = reader.encoder, dataset, split, settings, architecture
    return fit_split(params, *plan, seeds, previous, blocks=blocks, workers=workers)


class _Scan(NamedTuple):
    """What the first pass has found.

    Parameters
    ----------
    sample, held_out : Dataset
        Some training rows, and some of those that are held out.
    none : Dataset
        No row, with all kinds of weights, and in the dtype of Y, that rows of any block have.
    n_rows : list of int
        Number of training rows of each process.
    """

    sample: Dataset
    held_out: Dataset
    none: Dataset
    n_rows: list


def _scanned(reader, random_state, workers):
    """Return the `_Scan` of a pass of a reader."""
    sample, held_out = (Sample(_MAX_SAMPLE_ENTRIES // workers.count, random_state) for _ in range(2))
    n_rows, none = 0, []
    for trained, others in reader.blocks():
        none = [joined_datasets([*none, trained.take(slice(0))])]
        sample.add(trained)
        held_out.add(others)
        n_rows += trained.n_samples
    if not n_rows:
        raise ValueError("batches gave no row with a weight above 0 and an observed label that could be trained on.")
    check_same_labels(reader.encoder, workers)
    limits = [min(limits) for limits in zip(*workers.gather((sample.limit, held_out.limit)), strict=True)]
    parts = [part.dataset(none, limit) for part, limit in zip((sample, held_out), limits, strict=True)]
    return _Scan(*(shared_dataset(part, workers) for part in [*parts, *none]), workers.gather(n_rows))


def _split(scan, validation, params, encoder, workers):
    """Return the rows that were kept as a dataset, their `Split`, and the resolved class weights."""
    n_sample = scan.sample.n_samples
    dataset = joined_datasets([scan.none, scan.sample, scan.held_out])
    dataset, weight = with_class_weight(dataset, encoder, params["class_weight"])
    rows, held_out = dataset.rows_in_loss(), None
    if validation is not None:
        dataset, held_out = shared_validation(*read_validation(*validation, encoder, dataset, weight), workers)
    elif (rows >= n_sample).sum() >= MIN_HOLDOUT:
        held_out = ValidationData(dataset, [rows[rows >= n_sample]])
    split = Split(dataset, rows[rows < n_sample], held_out=held_out, validation=held_out)
    return dataset, split, weight


def _trained_rows(rows, weight, dataset):
    """Return rows of a block with their loss weights, and all kinds of weights that the dataset has."""
    rows = dataclasses.replace(rows, loss_weight=weight.of_rows(rows.sample_weight, rows.Y))
    rows = joined_datasets([dataset.take(slice(0)), rows])
    return rows if rows.loss_weight is None else rows.take(rows.rows_in_loss())
