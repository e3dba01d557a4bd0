"""A schedule of Keras' as ``learning_rate``."""

import joblib
import keras
import numpy as np
import pytest
from keras.optimizers.schedules import ExponentialDecay, PiecewiseConstantDecay
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from custom import network
from estimators import tiny
from skml._keras._pool import pool

STEPS = 3  # of an epoch: 80 rows in batches of 32


def params(model):
    return {"model": model, "early_stopping": False} | ({"dropout": 0.0, "input_dropout": 0.0} if model is None else {})


@pytest.mark.parametrize("model", [None, network])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", keras.optimizers.SGD(0.3)])
def test_it_sets_the_learning_rate_of_each_update(model, optimizer, X, Y):
    """A rate that is 0 after the first epoch leaves what one epoch at the first rate has learned."""
    first = tiny(**params(model), optimizer=optimizer, learning_rate=0.02, epochs=1).fit(X, Y)
    schedule = PiecewiseConstantDecay([STEPS - 1], [0.02, 0.0])
    clf = tiny(**params(model), optimizer=optimizer, learning_rate=schedule, epochs=3).fit(X, Y)
    np.testing.assert_allclose(clf.predict_proba(X), first.predict_proba(X), atol=1e-6)
    assert clf.n_iter_ == 3


@pytest.mark.parametrize("model", [None, network])
def test_it_goes_on_where_training_goes_on(model, X, Y):
    schedule = PiecewiseConstantDecay([STEPS - 1], [0.02, 0.0])
    clf = tiny(**params(model), learning_rate=schedule, epochs=1, warm_start=True)
    clf.fit(X, Y)
    before = clf.predict_proba(X)
    np.testing.assert_array_equal(clf.fit(X, Y).predict_proba(X), before)
    clf.set_params(learning_rate=PiecewiseConstantDecay([1], [0.1, 0.1])).fit(X, Y)
    assert np.abs(clf.predict_proba(X) - before).max() > 1e-3


def test_it_replaces_the_schedule_of_the_default_network(X, Y):
    clf = tiny(learning_rate=PiecewiseConstantDecay([1], [0.01, 0.0]), epochs=4, n_iter_no_change=4).fit(X, Y)
    assert len(set(clf.history_["val_loss"])) == 1


def test_fits_with_equal_schedules_share_compiled_steps_and_others_do_not(X, Y):
    def session_of(schedule):
        tiny(learning_rate=schedule).fit(X, Y)
        return next(reversed(pool._idle.values()))[0]

    first = session_of(ExponentialDecay(0.01, 10, 0.5))
    assert session_of(ExponentialDecay(0.01, 10, 0.5)) is first
    assert session_of(ExponentialDecay(0.01, 10, 0.6)) is not first


class Halving(keras.optimizers.schedules.LearningRateSchedule):
    """A custom schedule; nothing is registered."""

    def __init__(self, start=0.02):
        self.start = start

    def __call__(self, step):
        return self.start * 0.5 ** (keras.ops.cast(step, "float32") / 3)

    def get_config(self):
        return {"start": self.start}


@pytest.mark.parametrize("model", [None, network])
def test_a_custom_schedule_trains_as_keras_own_of_the_same_values(model, X, Y):
    own = tiny(**params(model), learning_rate=ExponentialDecay(0.02, 3, 0.5)).fit(X, Y).partial_fit(X, Y)
    clf = tiny(**params(model), learning_rate=Halving()).fit(X, Y).partial_fit(X, Y)
    np.testing.assert_allclose(clf.predict_proba(X), own.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("schedule", [ExponentialDecay(0.02, 3, 0.5), Halving(0.03)])
@pytest.mark.parametrize("model", [None, network])
def test_it_survives_clones_and_pickles(model, schedule, X, Y, tmp_path):
    clf = tiny(**params(model), learning_rate=schedule)
    fitted = clone(clf).fit(X, Y)
    joblib.dump((clf, fitted), tmp_path / "both.joblib")
    clf, loaded = joblib.load(tmp_path / "both.joblib")
    assert loaded.learning_rate.get_config() == schedule.get_config()
    np.testing.assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))
    np.testing.assert_array_equal(clf.fit(X, Y).predict_proba(X), fitted.predict_proba(X))


def test_grids_compare_schedules_and_numbers(X, Y):
    rates = [1e-9, ExponentialDecay(0.05, 100, 0.5), Halving(1e-9)]
    grid = {"learning_rate": rates}
    search = GridSearchCV(tiny(epochs=10), grid, cv=2, scoring="roc_auc", error_score="raise").fit(X, Y)
    assert search.best_params_["learning_rate"].get_config() == rates[1].get_config()


def test_anything_else_that_is_callable_is_an_error(X, Y):
    for wrong in (ExponentialDecay, lambda step: 0.1):
        with pytest.raises(ValueError, match=r"learning_rate .*number.*instance.*LearningRateSchedule"):
            tiny(learning_rate=wrong).fit(X, Y)


def test_a_number_for_an_optimizer_with_a_schedule_is_an_error(X, Y):
    with pytest.raises(ValueError, match=r"learning_rate=0\.1.*schedule.*learning_rate=None"):
        tiny(optimizer=keras.optimizers.SGD(ExponentialDecay(0.1, 3, 0.5)), learning_rate=0.1).fit(X, Y)
