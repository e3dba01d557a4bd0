"""One training, from a network to start from to the trained one."""

import functools

import keras
import numpy as np
import tensorflow as tf

from skml._keras._cache_keys import are_keras, cache_key_of
from skml._keras._compiled_trainer import CompiledTrainer
from skml._keras._pool import pool
from skml._keras._router import Router
from skml._keras._rows import Data, Rows
from skml._keras_models._losses import has_nan_support
from skml._keras_models._target_spec import targets_for
from skml._training._callbacks import EpochTaskCallback, default_callbacks, kept_epoch
from skml._training._result import OptimizerState, TrainingResult


def train(start, split, budget, params, random_state, earlier=None, task=None):
    """Train a network.

    Parameters
    ----------
    start : DefaultTrainable or CustomTrainable
    split : Split
    budget : TrainingConfig
    params : dict
        Parameters of the estimator, which name the callbacks. Those are made anew, and know no model afterwards.
    random_state : numpy.random.RandomState
        Draws the order of the rows.
    earlier : TrainingResult, default=None
        What training goes on from.
    task : FitTask, default=None
        Is told of each epoch.

    Returns
    -------
    TrainingResult
    """
    callbacks = Router(params).callbacks()
    data = _data_of(split.examples, start)
    key = _session_key(start, data, budget, callbacks)
    watched, watchers = _watched(split, data, start), [*callbacks, *default_callbacks(split, budget, start.rates)]
    if task is not None:
        # Not one of the user's callbacks: with those, a session would not be kept.
        watchers.append(EpochTaskCallback(task, functools.partial(_result_so_far, start, random_state, earlier)))
    try:
        with pool.lend(key, lambda: CompiledTrainer(start.make(), data.layouts, budget.jit_compile)) as session:
            slots = _load(session, start, earlier and earlier.slots)
            history = session.fit(data, split.rows, watched, budget, random_state, watchers)
            slots.values = session.optimizer_state()
            network = start.trained(session.model)
    except BaseException:
        start.abandon()
        raise
    finally:
        for callback in watchers:
            keras.callbacks.Callback.set_model(callback, None)  # one that overrides it may not take None
    kept = kept_epoch(history, split)
    return _after(earlier, TrainingResult(network, history, kept, slots, start.scaler, random_state, callbacks))


def _result_so_far(start, random_state, earlier, model, history):
    """Return what a training has left when some epochs have run."""
    n_run, history = len(history["loss"]), {name: list(values) for name, values in history.items()}
    return _after(earlier, TrainingResult(start.snapshot(model), history, n_run, None, start.scaler, random_state))


def _after(earlier, trained):
    return trained.after(earlier) if earlier else trained


def _session_key(start, data, budget, callbacks):
    """Return by what a session is found again; None where it must not be kept."""
    described = [start.description, *map(cache_key_of, start.arguments.values())]
    # A custom callback may keep the model, and a strategy is part of it.
    if None in described or tf.distribute.has_strategy() or not are_keras(callbacks):
        return None
    return (*described, data.layouts, budget.jit_compile, keras.config.floatx(), keras.config.dtype_policy().name)


def _watched(split, data, start):
    """Return what early stopping watches, as a session takes it; what is of the training data is not copied."""
    if split.watched is None:
        return None
    examples, orders = split.watched
    # The Y too: a user may give the X of training again, with other labels.
    if examples.X is not split.examples.X or examples.Y is not split.examples.Y:
        return _data_of(examples, start), orders
    if examples.weight is split.examples.weight:
        return data, orders
    return data._replace(weight=_weight_rows(examples.weight)), orders


def _data_of(examples, start):
    Y = Rows(targets_for(start.arguments["loss"], examples.Y), keras.config.floatx())
    return Data(start.rows_of(examples.X), Y, _weight_rows(examples.weight))


def _weight_rows(weight):
    if weight is None:
        return None
    floatx = keras.config.floatx()
    # A power of 2 changes no digit, and only ratios count; float32 holds them whatever the unit.
    return Rows((weight * 2.0 ** -np.floor(np.log2(weight.max()))).astype(floatx), floatx)


def _load(session, start, slots):
    """Put a start into a session; return the slots that training will leave, yet without values."""
    optimizer = start.arguments["optimizer"]
    description = str(cache_key_of(optimizer))  # of a tuple that holds a class: a state is plain
    learning_rate = optimizer.get_config().get("learning_rate")
    learning_rate = learning_rate if isinstance(learning_rate, float) else None
    start.load(session.model)
    loss = start.arguments["loss"]
    if has_nan_support(loss) and loss.positive_weight is not None:
        session.model.loss.positive_weight.assign(keras.ops.convert_to_numpy(loss.positive_weight))
    known = slots is not None and str(slots.description) == description
    values = start.slots(slots.values, session.model) if known else None
    session.reset_optimizer(values)
    if learning_rate is not None and (values is None or slots.learning_rate != learning_rate):
        session.model.optimizer.learning_rate = learning_rate
    return OptimizerState(description, learning_rate, [])
