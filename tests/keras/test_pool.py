import os
import threading
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import skml
from estimators import tiny
from skml import KerasMultiLabelClassifier
from skml._keras import _predictor
from skml._keras._pool import TrainerPool, pool


@pytest.fixture(autouse=True)
def _empty_pool():
    skml.clear_cache()
    yield
    skml.clear_cache()


def build(meta, units=8):
    hidden = keras.layers.Dense(units, "relu")
    output_layer = keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])
    return keras.Sequential([hidden, keras.layers.BatchNormalization(), keras.layers.Dropout(0.2), output_layer])


def test_the_pool_is_bounded_and_drops_the_oldest():
    pool = TrainerPool(max_trainers=2)
    made = []

    def make(name):
        made.append(name)
        return SimpleNamespace(name=name, n_entries=1)

    for key in "abcab":
        with pool.borrow(key, lambda key=key: make(key)):
            pass
    assert made == ["a", "b", "c", "a", "b"]
    with pool.borrow("b", lambda: make("again")) as trainer:
        assert trainer.name == "b"


def test_large_trainers_are_kept_as_long_as_they_fit():
    pool = TrainerPool(max_entries=10)
    made = []
    for key, n_entries in [("a", 6), ("b", 3), ("a", 6), ("c", 3), ("b", 3), ("too large", 11), ("too large", 11)]:
        with pool.borrow(key, lambda n_entries=n_entries: SimpleNamespace(n_entries=n_entries)) as trainer:
            made.append(trainer)
    assert made[2] is made[0]  # both fit
    assert made[4] is not made[1]  # "c" pushed "b" out
    assert made[6] is not made[5]


def test_a_borrowed_trainer_is_not_lent_again():
    pool = TrainerPool()
    with (
        pool.borrow("key", lambda: SimpleNamespace(n_entries=1)) as first,
        pool.borrow("key", lambda: SimpleNamespace(n_entries=1)) as second,
    ):
        assert first is not second


def test_a_trainer_that_failed_is_not_kept():
    pool = TrainerPool()
    with pytest.raises(KeyboardInterrupt), pool.borrow("key", lambda: SimpleNamespace(n_entries=1)) as broken:
        raise KeyboardInterrupt
    with pool.borrow("key", lambda: SimpleNamespace(n_entries=1)) as trainer:
        assert trainer is not broken


def test_threads_fit_at_the_same_time(X, Y):
    expected = tiny(epochs=5).fit(X, Y).predict_proba(X)
    results = [None] * 4

    def fit(i):
        results[i] = tiny(epochs=5).fit(X, Y).predict_proba(X)

    threads = [threading.Thread(target=fit, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        np.testing.assert_array_equal(result, expected)


def test_a_fork_forgets_the_pool(X, Y):
    KerasMultiLabelClassifier(build, epochs=1).fit(X, Y).predict(X)
    child = os.fork()
    if child == 0:
        os._exit(len(pool._idle) + len(_predictor._predictors))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert pool._idle


def test_clear_cache_clears_registered_caches_and_imports_no_keras(run_python):
    printed = run_python(
        """
import sys
import skml
from skml._keras._environment import register_cache
register_cache(lambda: print("cleared"))
skml.clear_cache()
print("keras" in sys.modules)
""",
        imported="sklearn",
    )
    assert printed.splitlines() == ["cleared", "False"]
