"""A fit, from data to a fitted model. Keras is imported when training starts."""

import dataclasses
import functools

import numpy as np

from skml._decisions._convex_weights import convex_weights
from skml._decisions._rule import (
    check_can_be_tuned,
    check_can_calibrate,
    check_tuned_rules,
    decision_rule,
    is_rule_name,
    names_to_tune,
)
from skml._decisions._search import positive_entries
from skml._decisions._tuning import TunedThresholds, threshold_of_new_label
from skml._default_network._auto import (
    Architecture,
    adaptive_rates,
    auto_architecture,
    auto_kinds,
    auto_settings,
)
from skml._default_network._network import DenseNetwork
from skml._inputs import open_interval
from skml._targets._labels import format_some
from skml._targets._warnings import warn_once
from skml._training._config import training_config
from skml._training._dataset import encoder_for_fit, read_dataset, read_validation, with_class_weight
from skml._training._many_labels import warn_of_many_labels
from skml._training._result import FittedModel
from skml._training._shares import (
    check_can_share,
    check_same_labels,
    shared_dataset,
    shared_encoder,
    shared_groups,
    shared_seeds,
    shared_validation,
)
from skml._training._split import split_dataset

# A kind of members with a smaller weight is left out.
_SMALLEST_KIND = 0.05

# More held-out entries change the weights of kinds by less than their error.
_MAX_WEIGHED_ENTRIES = 2**19


def fit_model(
    params,
    X,
    y,
    sample_weight=None,
    validation=None,
    previous=None,
    *,
    seeds,
    groups=None,
    classes=None,
    is_partial_fit=False,
    epoch_listener=None,
    feature_names=None,
    workers,
):
    """Train a network, calibrate it and tune its thresholds.

    Parameters
    ----------
    params : dict
        Parameters of the estimator, valid ones.
    X : ndarray, CSR or NamedArrays
    y : any form of target
    sample_weight : array-like of shape (n_samples,), default=None
    validation : tuple (X_val, y_val), default=None
        Validation data for early stopping.
    previous : FittedModel, default=None
        The model whose training is resumed.
    seeds : Seeds
    groups : array-like of shape (n_samples,), default=None
        The group of each row.
    classes : array-like of shape (n_labels,), default=None
        Argument of ``partial_fit``.
    is_partial_fit : bool, default=False
        Whether to train for one epoch on all rows.
    epoch_listener : EpochListener, default=None
        Is informed of the number of epochs, and of the model after each.
    feature_names : ndarray of str, default=None
        The names of the columns of X.
    workers : Workers
        The processes that train together, each with its share of X, y, weights, groups and validation data.

    Returns
    -------
    FittedModel

    Raises
    ------
    ValueError
        If y, weights or a parameter are not as described, before any training.
    """
    check_can_share(params, workers)
    seeds = shared_seeds(seeds, workers)
    encoder = encoder_for_fit(y, classes, params, previous and previous.encoder, is_partial_fit)
    if previous is None and classes is None and params["classes"] is None:
        encoder = shared_encoder(encoder, y, params, workers)
    else:
        check_same_labels(encoder, workers)
    check_decisions(params, encoder)
    dataset = shared_dataset(read_dataset(X, y, sample_weight, encoder), workers)
    dataset, weight = with_class_weight(dataset, encoder, params["class_weight"])
    if validation is not None:
        dataset, validation = shared_validation(*read_validation(*validation, encoder, dataset, weight), workers)
    dataset = dataset.with_context(shared_groups(groups, X.shape[0], workers), feature_names)
    settings = auto_settings(params, dataset.X, dataset.loss_weight)
    architecture = architecture_of(params, dataset, settings, encoder, previous, is_partial_fit)
    first_epoch = first_epoch_after(previous)
    split = split_dataset(
        dataset,
        validation,
        params,
        architecture,
        seeds.folds(first_epoch),
        resumes=is_partial_fit or params["warm_start"],
        is_partial_fit=is_partial_fit,
    )
    plan = encoder, dataset, split, settings, architecture
    return fit_split(params, *plan, seeds, previous, is_partial_fit, epoch_listener, workers=workers)


def fit_split(
    params,
    encoder,
    dataset,
    split,
    settings,
    architecture,
    seeds,
    previous=None,
    is_partial_fit=False,
    epoch_listener=None,
    blocks=None,
    *,
    workers,
):
    """Train a network on a split, calibrate it and tune its thresholds.

    Parameters
    ----------
    params : dict
        Parameters of the estimator.
    encoder : TargetEncoder
    dataset : Dataset
        All rows, with the loss weights of a single member.
    split : Split
    settings : AutoSettings or None
    architecture : Architecture
    seeds : Seeds
    previous : FittedModel, default=None
    is_partial_fit : bool, default=False
    epoch_listener : EpochListener, default=None
    blocks : Blocks, default=None
        Gives the training rows of each epoch, of which those of the split are a sample.
    workers : Workers

    Returns
    -------
    FittedModel
    """
    _check_held_out(params, split, previous)
    _warn_if_optimizer_starts_anew(previous)
    first_epoch = first_epoch_after(previous)
    n_rows, n_rounds = dataset.effective_rows(split.rows), None
    if blocks is not None:
        n_rows, n_rounds = n_rows * blocks.n_total / len(split.rows), blocks.n_rounds
    n_members = architecture.n_members
    n_logits = dataset.Y.shape[1] * n_members
    config = training_config(params, n_rows, n_logits, first_epoch, is_partial_fit, n_rounds, n_members)
    rates = adaptive_rates(params, settings, is_partial_fit)
    if split.validation is None or rates is None or not rates.follow_loss:
        config = dataclasses.replace(config, round_steps=0)
    if workers.rank:  # the first process shows the progress of all
        config = dataclasses.replace(config, verbose=0)
    warn_of_many_labels(split, architecture, config, len(split.rows) if blocks is None else blocks.n_rows)
    finish = functools.partial(_calibrate_and_tune, params, encoder, split, previous, seeds.sampling(first_epoch))
    if epoch_listener is not None:
        epoch_listener.begin(config.epochs, finish)

    from skml._training._run import prepare, train

    def trained():
        plan = params, encoder, dataset, split, settings, architecture, rates, seeds, previous, is_partial_fit
        trainable, callbacks = prepare(*plan, workers)
        before = previous and previous.training
        return train(trainable, split, config, seeds, callbacks, before, epoch_listener, blocks, workers=workers)

    model = finish(workers.outside_scope(trained))
    return dataclasses.replace(model, keeps_optimizer_state=is_partial_fit or params["warm_start"])


def first_epoch_after(previous):
    """Return the number of epochs of previous fits."""
    return previous.training.n_iter if previous else 0


def check_decisions(params, encoder):
    """Raise a ValueError if a parameter of decisions does not suit the labels."""
    decision_rule(encoder, params["threshold"], params["min_labels"], params["max_labels"])
    check_tuned_rules(params["tuned_rules"], encoder)


def architecture_of(params, dataset, settings, encoder, previous, is_partial_fit):
    """Return the architecture of the default network; a custom network has one member."""
    if previous is not None:
        return Architecture(None, getattr(previous.network, "n_members", 1))
    if settings is None:
        return Architecture(None, 1)
    sizes = dataset.n_features, dataset.Y.shape[1], dataset.effective_rows()
    kinds = auto_kinds(params, dataset.X, settings, is_partial_fit)
    return auto_architecture(params, settings, *sizes, kinds, encoder.is_multilabel)


def _check_held_out(params, split, previous):
    """Check that there are held-out rows if a parameter needs them."""
    network = previous and previous.network
    is_calibrated = isinstance(network, DenseNetwork) and network.calibration.changes
    check_can_calibrate(params["calibrate"], split.has_held_out, is_calibrated)
    names = names_to_tune(params["threshold"], params["tuned_rules"])
    check_can_be_tuned(names, split.has_held_out, previous.thresholds.previous() if previous else ())
    is_of_user = split.fold is None and split.held_out is not None and split.held_out.dataset is not split.dataset
    if is_of_user and split.dataset.group is not None:
        warn_once(
            "groups have no effect: a single network stops early and is tuned on X_val, whose groups are not known. A "
            "guarantee counts its rows, and may fail if these are similar. Leave out X_val, or use n_members=5."
        )


def _warn_if_optimizer_starts_anew(previous):
    """Warn if training resumes from a file that does not contain the state of the optimizer."""
    if previous is not None and previous.training.optimizer_state is None:
        warn_once(
            "Training resumes on an estimator that was loaded or copied without the state of its optimizer: momentum "
            "and learning-rate schedule start anew, so the result differs from resuming without a file. To keep the "
            "state in files, set warm_start=True before the first fit, or save after partial_fit."
        )


def _calibrate_and_tune(params, encoder, split, previous, random_state, result):
    """Return the fitted model: thresholds and calibration come from the held-out predictions, if there are any."""
    model = FittedModel(encoder, result.network, TunedThresholds(), result, keeps_optimizer_state=False)
    if not split.has_held_out:
        return model if previous is None else _with_previous_decisions(model, params["threshold"], previous)
    dataset, fold = split.held_out_rows(random_state)
    network = result.network if previous is not None else _with_kind_weights(result.network, dataset, fold)
    if getattr(network, "n_members", 1) < getattr(result.network, "n_members", 1):
        model = dataclasses.replace(model, training=result.with_other_members(network))
    proba = network.proba(dataset.X) if fold is None else network.out_of_fold_proba(dataset.X, fold)
    if params["model"] is None:
        network, proba = network.calibrated(dataset.Y, proba, params["calibrate"], dataset.entry_weight)
    proba = open_interval(encoder.coherent(proba))
    proba.flags.writeable = False  # the user sees this array, and later thresholds are found from it
    truth, average = encoder.truth(dataset.Y), None
    if fold is not None and encoder.threshold_labels:
        average = _coherent_average(network.out_of_fold_average, dataset, fold, truth, encoder)
    thresholds = TunedThresholds(truth, proba, dataset.entry_weight, average, dataset.group, encoder.links_)
    for name in names_to_tune(params["threshold"], params["tuned_rules"]):
        thresholds[name]  # found now, so that pickles contain it
    covers_all = split.fold is not None and dataset.n_samples == split.dataset.n_samples
    oof_proba = encoder.class_columns(proba) if covers_all else None
    return dataclasses.replace(
        model,
        network=network,
        thresholds=thresholds,
        oof_proba=oof_proba,
        has_oof_sample=split.fold is not None and split.is_sampled,
    )


def _coherent_average(average_of, dataset, fold, truth, encoder):
    """Return the average of the members for the positive entries, raised by those of positive descendants.

    Those of other descendants could only raise it further, so that a guarantee of recall holds.
    """
    entries = positive_entries(truth)
    average = average_of(dataset.X, fold, entries)
    if encoder.links_ is not None:
        values = np.zeros(truth.shape, dtype=average.dtype)
        values[entries] = average
        average = encoder.coherent(values)[entries]
    return open_interval(average)


def _with_kind_weights(network, dataset, fold):
    """Return the network with the weights of its kinds that fit held-out rows best."""
    if getattr(network, "n_kinds", 1) == 1:
        return network
    step = 1 + dataset.Y.shape[0] * dataset.Y.shape[1] // _MAX_WEIGHED_ENTRIES
    rows = np.arange(0, dataset.n_samples, step)
    some, fold = dataset.take(rows), None if fold is None else fold[rows]
    of_kinds = [network.take(network.members_of_kind(k)) for k in range(network.n_kinds)]
    probas = [kind.proba(some.X) if fold is None else kind.out_of_fold_proba(some.X, fold) for kind in of_kinds]
    is_multiclass = network.output_activation == "softmax"
    weights = convex_weights(some.Y, probas, some.entry_weight, is_multiclass)
    weights[weights < _SMALLEST_KIND] = 0
    return network.with_kind_weights(weights / weights.sum())


def _with_previous_decisions(model, threshold, previous):
    """Return the model with the calibration of a previous fit and the thresholds that were tuned after it.

    The network is trained without its calibration. Warn if one of the thresholds is in use.
    """
    columns = model.encoder.columns_in(previous.encoder)
    if isinstance(model.network, DenseNetwork):
        calibration = previous.network.calibration.with_labels(columns)
        model = dataclasses.replace(model, network=dataclasses.replace(model.network, calibration=calibration))
    thresholds = previous.thresholds.previous(columns)
    if is_rule_name(threshold):
        labels, of_new = model.encoder.classes_, ""
        new = [] if columns is None else labels[columns < 0].tolist()
        if new and np.ndim(thresholds[threshold]):
            shown = format_some(new, len(labels))
            of_new = f" The threshold of the new labels is {threshold_of_new_label(threshold)}: {shown}."
        warn_once(
            f"threshold={threshold!r} was tuned by a previous fit, and this one had no held-out rows to tune it on: it "
            f"may no longer be the best.{of_new} Call fit, or tune it on new rows by "
            "TunedThresholdMultiLabelClassifierCV(clf, cv='prefit', refit=False)."
        )
    return dataclasses.replace(model, thresholds=thresholds)
