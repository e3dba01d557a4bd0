"""Training: from a trainable network to the trained one."""

import functools

import keras
import numpy as np
import tensorflow as tf

from skml._default_network._encoding import encode_columns
from skml._default_network._scaling import new_scaler, updated_scaler
from skml._keras._cache_keys import are_keras, cache_key_of
from skml._keras._compiled_trainer import CompiledTrainer
from skml._keras._pool import pool
from skml._keras._rows import Data, Rows, as_array
from skml._keras_models._custom_trainable import prepare_custom, resume_custom
from skml._keras_models._default_trainable import prepare_default, resume_default
from skml._keras_models._losses import has_nan_support
from skml._keras_models._target_spec import TargetSpec, check_metrics, make_router, targets_for
from skml._training._callbacks import EpochTaskCallback, default_callbacks, kept_epoch
from skml._training._result import OptimizerState, TrainingResult

# Rows on which the validation loss is computed if there are several evaluations in a long epoch.
_MAX_WATCHED = 2**14

# Rows whose columns are cut into bins. More change quantiles by less than their error, and take time and memory.
_MAX_ENCODED = 2**17


def prepare(params, encoder, dataset, split, settings, architecture, rates, seeds, previous, is_partial_fit, workers):
    """Return a network that is ready for training, and new copies of the user's callbacks.

    Parameters
    ----------
    params : dict
        Parameters of the estimator.
    encoder : TargetEncoder
    dataset : Dataset
    split : Split
    settings : AutoSettings or None
        None for a custom network.
    architecture : Architecture
    rates : AdaptiveRates or None
    seeds : Seeds
    previous : FittedModel or None
        The model whose training is resumed.
    is_partial_fit : bool
    workers : Workers

    Returns
    -------
    trainable : Trainable
    callbacks : list of keras.callbacks.Callback
    """
    columns = encoder.columns_in(previous.encoder) if previous else None
    prior = _prior_log_odds(
        encoder, dataset, split, settings, architecture.n_members, previous, columns, is_partial_fit
    )
    spec = TargetSpec.of(encoder, dataset, prior, columns)
    check_metrics(params, spec)
    # The metrics of an ensemble get probabilities; those of a single network get the output that the loss gets.
    router = make_router(params, spec, from_logits=architecture.n_members > 1 or not workers.is_alone)
    if previous is None and settings is None:
        trainable = prepare_custom(params, router, dataset.X, split.rows, spec, seeds)
    elif previous is not None and params["model"] is not None:
        trainable = resume_custom(previous.network, params, router, spec)
    else:
        trainable = _prepare_default_network(
            params, router, dataset, split, spec, settings, architecture, rates, seeds, previous, workers
        )
    return trainable, router.callbacks()


def _prepare_default_network(
    params, router, dataset, split, spec, settings, architecture, rates, seeds, previous, workers
):
    if previous is not None:
        scaler = updated_scaler(previous.training.scaler, dataset, split.rows)
        first_epoch = previous.training.n_iter
        return resume_default(previous.network, params, router, spec, scaler, rates, seeds, first_epoch, workers)
    if architecture.kinds:
        scaler, encoded = None, _encoded_columns(dataset, split, architecture, seeds.columns())
    else:
        scaler, encoded = new_scaler(params, dataset, split.rows, settings.relevance_power), {}
        scaler = updated_scaler(scaler, dataset, split.rows)
    return prepare_default(
        params,
        router,
        dataset.X,
        spec,
        settings,
        architecture,
        scaler,
        rates,
        seeds,
        encoded=encoded,
        is_cross_fitted=split.is_cross_fitted,
        workers=workers,
    )


def _encoded_columns(dataset, split, architecture, random_state):
    """Return the fields of a `DenseNetwork` that encode the columns of X, from statistics of some rows."""
    rows = split.rows
    if len(rows) > _MAX_ENCODED:
        rows = np.sort(random_state.permutation(rows)[:_MAX_ENCODED])
    shift, scale, encoding = encode_columns(
        dataset.X, dataset.Y, rows, split.fold, dataset.loss_weight, architecture.kinds, architecture.n_folds
    )
    return {"shift": shift, "scale": scale, "encoding": encoding}


def _prior_log_odds(encoder, dataset, split, settings, n_members, previous, columns, is_partial_fit):
    """Return the log-odds of the labels' base rates among the training rows of each member, None if not needed."""
    starts_at_prior = previous is None and settings is not None and settings.is_sparse
    starts_at_prior = starts_at_prior and (settings.prior_bias or is_partial_fit)
    if columns is None and not starts_at_prior:
        return None
    weight = split.dataset.loss_weight
    if weight is None or weight.ndim == 1:
        trained = np.zeros(dataset.n_samples)
        trained[split.rows] = 1.0 if weight is None else weight[split.rows]
        weight = np.repeat(trained[:, None], n_members, axis=1)
    return encoder.base_log_odds(dataset.Y, weight, dataset.positive_weight, dataset.label_weight)


def train(trainable, split, config, seeds, callbacks, previous=None, epoch_listener=None, blocks=None, *, workers):
    """Train a network.

    Parameters
    ----------
    trainable : Trainable
    split : Split
    config : TrainingConfig
    seeds : Seeds
    callbacks : list of keras.callbacks.Callback
        Copies of the user's callbacks. They refer to no model afterwards.
    previous : TrainingResult, default=None
        The training that is resumed.
    epoch_listener : EpochListener, default=None
    blocks : Blocks, default=None
        Gives the training rows of each epoch. None trains on those of the split.
    workers : Workers

    Returns
    -------
    TrainingResult
    """
    data = _data_of(split.dataset if blocks is None else split.dataset.take(split.rows[:1]), trainable)
    key = _trainer_key(trainable, data, config, callbacks) if workers.is_alone else None
    validation = _validation_data(split, data, trainable, is_long=blocks is not None or config.round_steps > 0)
    n_rows = len(split.rows) if blocks is None else blocks.n_rows
    is_long = config.round_steps > 0 or (blocks is not None and blocks.n_rounds > 1)
    all_callbacks = [*callbacks, *default_callbacks(split, config, trainable.rates, n_rows, is_long)]
    if epoch_listener is not None:
        # Not one of the user's callbacks, which would keep the trainer out of the pool.
        so_far = functools.partial(_result_so_far, trainable, seeds, previous)
        all_callbacks.append(EpochTaskCallback(epoch_listener, so_far))
    try:
        make = lambda: CompiledTrainer(  # noqa: E731
            trainable.compiled_model(), data.layouts, config.jit_compile, workers
        )
        with pool.borrow(key, make) as trainer:
            state = _load(trainer, trainable, previous and previous.optimizer_state)
            feed = (data, split.rows) if blocks is None else (_Feed(blocks, trainable, data.layouts), None)
            history = trainer.fit(*feed, seeds.order, validation, config, all_callbacks)
            state.values = trainer.optimizer_state()
            network = trainable.trained_network(trainer.model)
    except BaseException:
        trainable.rollback()
        raise
    finally:
        for callback in all_callbacks:
            keras.callbacks.Callback.set_model(callback, None)  # an overridden method may not accept None
    kept = kept_epoch(history, split)
    return TrainingResult(network, history, kept, state, trainable.scaler, seeds, callbacks).continuing(previous)


def _result_so_far(trainable, seeds, previous, model, history):
    """Return the training result after some epochs."""
    n_epochs, history = len(history["loss"]), {name: list(values) for name, values in history.items()}
    network = trainable.copy_of_network(model)
    return TrainingResult(network, history, n_epochs, None, trainable.scaler, seeds).continuing(previous)


def _trainer_key(trainable, data, config, callbacks):
    """Return the key under which a compiled trainer is kept; None if it must not be kept."""
    keys = [trainable.cache_key, *map(cache_key_of, trainable.compile_args.values())]
    # A custom callback may keep the model, and a strategy is part of the model.
    if None in keys or tf.distribute.has_strategy() or not are_keras(callbacks):
        return None
    return (*keys, data.layouts, config.jit_compile, keras.config.floatx(), keras.config.dtype_policy().name)


class _Feed:
    """Iterator of the data of each round of blocks, in the layouts of a trainer."""

    def __init__(self, blocks, trainable, layouts):
        self.n_rows = blocks.n_rows
        self._blocks = blocks
        self._trainable = trainable
        self._layouts = layouts

    def __next__(self):
        return _data_of(next(self._blocks.feed), self._trainable).cast(self._layouts)


def _validation_data(split, data, trainable, is_long):
    """Return the validation data as a trainer takes them, without a copy of the training data.

    If training is long, they are a part of the rows, as they are evaluated often.
    """
    if split.validation is None:
        return None
    dataset, groups = split.validation.dataset, split.validation.groups
    if is_long:
        step = -(-sum(map(len, groups)) // _MAX_WATCHED)
        groups = [group[::step] for group in groups]
    if data.Y.n_rows < split.dataset.n_samples:  # the training rows come in blocks
        dataset = dataset.take(groups[0])
        return _data_of(dataset, trainable).cast(data.layouts), [np.arange(dataset.n_samples, dtype=np.int32)]
    # Y as well: a user may pass the training X again, with other labels.
    if dataset.X is not split.dataset.X or dataset.Y is not split.dataset.Y:
        return _data_of(dataset, trainable), groups
    if dataset.loss_weight is split.dataset.loss_weight:
        return data, groups
    return data._replace(weight=_weight_rows(dataset.loss_weight)), groups


def _data_of(dataset, trainable):
    targets = targets_for(trainable.compile_args["loss"], dataset.Y, dataset.label_weight)
    Y = Rows(targets, keras.config.floatx())
    return Data(trainable.rows_of(dataset.X), Y, _weight_rows(dataset.loss_weight))


def _weight_rows(weight):
    if weight is None:
        return None
    floatx = keras.config.floatx()
    # Only ratios count. Division by a power of 2 changes no digit, and float32 holds the result whatever the unit.
    return Rows((weight * 2.0 ** -np.floor(np.log2(weight.max()))).astype(floatx), floatx)


def _load(trainer, trainable, previous_state):
    """Load weights and optimizer state into a trainer; return the state to keep, still without values."""
    optimizer, loss = trainable.compile_args["optimizer"], trainable.compile_args["loss"]
    cache_key = str(cache_key_of(optimizer))  # a string, as the key may hold a class and states are plain values
    learning_rate = optimizer.get_config().get("learning_rate")
    learning_rate = learning_rate if isinstance(learning_rate, float) else None
    trainable.load_weights(trainer.model)
    if has_nan_support(loss) and loss.positive_weight is not None:
        trainer.model.loss.positive_weight.assign(as_array(loss.positive_weight))
    is_same = previous_state is not None and str(previous_state.cache_key) == cache_key
    values = trainable.optimizer_state(previous_state.values, trainer.model) if is_same else None
    trainer.reset_optimizer(values)
    if learning_rate is not None and (values is None or previous_state.learning_rate != learning_rate):
        trainer.model.optimizer.learning_rate = learning_rate
    return OptimizerState(cache_key, learning_rate, [])
