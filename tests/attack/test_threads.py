"""Threads predict, fit and pickle at once, and each gets what it would get alone, bit for bit."""

import pickle
import threading

import numpy as np
import pytest

import custom
from estimators import tiny

ROUNDS = 8


@pytest.mark.parametrize("model", [None, custom.network], ids=["default", "custom"])
def test_eight_predict_while_two_fit_while_one_pickles(model, X, Y):
    shared = tiny(model).fit(X, Y)
    parts = [slice(i, i + 17) for i in range(0, 60, 7)]
    expected = [shared.predict_proba(X[part]) for part in parts]
    refitted = tiny(model, epochs=2).fit(X, Y).predict_proba(X)
    failures, start = [], threading.Barrier(11)

    def predict(i):
        for turn in range(ROUNDS):
            j = (i + turn) % len(parts)
            yield np.array_equal(shared.predict_proba(X[parts[j]]), expected[j])
            yield len(shared.predict(X[parts[j]])) == 17

    def fit(_):
        for _ in range(2):
            yield np.array_equal(tiny(model, epochs=2).fit(X, Y).predict_proba(X), refitted)

    def save(_):
        for _ in range(ROUNDS):
            copy = pickle.loads(pickle.dumps(shared))
            yield np.array_equal(copy.predict_proba(X[parts[0]]), expected[0])

    def run(work, i):
        try:
            start.wait()
            if not all(work(i)):
                failures.append(f"{work.__name__} differs from what it is alone")
        except BaseException as error:
            failures.append(f"{work.__name__}: {error!r}")

    works = [*[(predict, i) for i in range(8)], (fit, 0), (fit, 1), (save, 0)]
    threads = [threading.Thread(target=run, args=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
