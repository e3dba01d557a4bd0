"""Whatever fails, wherever: an estimator is as it was, the next fit is what it would have been, no process dies."""

import copy
import errno
import io
import linecache
import os
import pickle
import random
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import keras
import numpy as np
import pytest

import custom
import skml
from estimators import tiny
from skml._keras._pool import pool
from skml._keras._serialization import _seed_lock

ROOT = str(Path(skml.__file__).parent)


class Fault(BaseException):
    """Like a KeyboardInterrupt, no Exception: nothing may swallow it."""


class Tracer:
    """Counts the lines of skml that a call runs, and raises at one of them."""

    def __init__(self, target=None, error=Fault):
        self.target = target
        self.error = error
        self.lines, self.raised_in, self._seen = [], None, set()

    def __enter__(self):
        self._before = sys.gettrace()  # a debugger's, or that of a measurement of coverage
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_):
        sys.settrace(self._before)

    def _enter(self, frame, event, arg):
        return self._line if frame.f_code.co_filename.startswith(ROOT) else None

    def _line(self, frame, event, arg):
        if event == "line":
            line = (frame.f_code.co_filename, frame.f_lineno)
            # Only where a line begins: at the end of its block, an error would keep "with" from letting go.
            is_new = line not in self._seen
            self._seen.add(line)
            self.lines.append(line)
            if is_new and self.target is not None and len(self.lines) > self.target and not self.raised_in:
                self.raised_in = line
                raise self.error(f"in line {frame.f_lineno} of {frame.f_code.co_filename}")
        return self._line


def first_times(lines):
    """Return the positions at which a line runs for the first time."""
    return sorted({line: i for i, line in reversed(list(enumerate(lines)))}.values())


CALLS = {
    "fit": (lambda: tiny(epochs=2, n_members=2), lambda clf, X, y: clf.fit(X, y)),
    "tuned": (lambda: tiny(epochs=1, threshold="f1_macro"), lambda clf, X, y: clf.fit(X, y, X_val=X, y_val=y)),
    "partial_fit": (lambda: tiny(n_members=2), lambda clf, X, y: clf.partial_fit(X, y)),
    "custom": (lambda: tiny(custom.network, epochs=1), lambda clf, X, y: clf.fit(X, y)),
}


def check_fault(clf, call, target, error, X, Y, expected):
    """Raise an error at a line of a call, and see that nothing came of it."""
    state, before = dict(vars(clf)), clf.predict_proba(X)
    history, randoms = pickle.dumps(clf.history_), (random.getstate(), np.random.get_state()[1].tolist())
    traced = Tracer(target, error)
    try:
        with traced:
            call(clf, X, Y)
    except error:
        is_done = vars(clf)["_fitted"] is not state["_fitted"]  # raised after the last thing that fit does
        if is_done:
            np.testing.assert_array_equal(clf.predict_proba(X), expected)
        else:
            assert vars(clf).keys() == state.keys()
            assert all(vars(clf)[name] is value for name, value in state.items())
            np.testing.assert_array_equal(clf.predict_proba(X), before)
            assert pickle.dumps(clf.history_) == history
    else:
        np.testing.assert_array_equal(clf.predict_proba(X), expected)  # the line was not reached, or had an answer
    line = linecache.getline(*traced.raised_in) if traced.raised_in else ""
    if "random.setstate(" not in line:  # what puts it back cannot be put back itself
        assert (random.getstate(), np.random.get_state()[1].tolist()) == randoms, line
    with ThreadPoolExecutor(1) as other:  # this thread could take it again
        assert other.submit(_seed_lock.acquire, timeout=0).result(), line
        other.submit(_seed_lock.release).result()
    vars(clf).clear()
    vars(clf).update(state)
    call(clf, X, Y)
    np.testing.assert_array_equal(clf.predict_proba(X), expected)
    vars(clf).clear()
    vars(clf).update(state)


# An error that the check of a network's classes swallows is told as theirs.
pytestmark = pytest.mark.filterwarnings("ignore:The fitted estimator predicts, but cannot be saved")


def attack_lines(name, X, Y, part):
    make, call = CALLS[name]
    clf = make().fit(X[:40], Y[:40])
    state = dict(vars(clf))
    other = 1 - Y
    for _ in range(2):  # the first call compiles the trainer that the others use
        with Tracer() as traced:
            call(clf, X, other)
        expected = clf.predict_proba(X)
        vars(clf).clear()
        vars(clf).update(state)
    targets = first_times(traced.lines)
    assert len(targets) > 150
    for i, target in part(targets):
        check_fault(clf, call, target, (Fault, MemoryError)[i % 2], X, other, expected)


@pytest.mark.parametrize("name", CALLS)
def test_an_error_at_a_line_of_fit_leaves_all_as_it_was(name, X, Y):
    attack_lines(name, X, Y, lambda targets: list(enumerate(targets))[7 :: 160 if name != "custom" else 320])


@pytest.mark.fuzz
@pytest.mark.parametrize("name", CALLS)
def test_an_error_at_any_line_of_fit_leaves_all_as_it_was(name, X, Y, cases):
    """Other lines in each run; ``--cases=7000`` takes all 2,900 of them, in a quarter of an hour and 8 GB."""

    def part(targets):
        step = max(1, 7 * len(targets) // cases)
        return list(enumerate(targets))[random.randrange(step) :: step]

    attack_lines(name, X, Y, part)


def test_errors_while_a_graph_is_traced_leave_all_as_it_was(X, Y):
    """The lines of the first fit of its kind: of the layers, the loss and the trainer."""
    call = CALLS["fit"][1]
    clf = tiny(epochs=2, n_members=2).fit(X[:40], Y[:40])
    state = dict(vars(clf))
    pool.clear()
    with Tracer() as traced:
        call(clf, X, Y)
    expected = clf.predict_proba(X)
    vars(clf).clear()
    vars(clf).update(state)
    with Tracer() as warm:
        call(clf, X, Y)
    vars(clf).clear()
    vars(clf).update(state)
    known = set(warm.lines)
    only_cold = [target for target in first_times(traced.lines) if traced.lines[target] not in known]
    assert len(only_cold) > 20
    for i, target in list(enumerate(only_cold))[3::82]:
        pool.clear()
        check_fault(clf, call, target, (Fault, MemoryError)[i % 2], X, Y, expected)


# Callbacks

HOOKS = ["set_model", "set_params", "on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_end"]
HOOKS += ["on_train_batch_begin", "on_train_batch_end", "on_test_begin", "on_test_end"]


class Raising(keras.callbacks.Callback):
    """Fails in one of its hooks."""

    def __init__(self, hook="on_epoch_end", error=Fault):
        super().__init__()
        setattr(self, hook, self._fail)
        self.error = error

    def _fail(self, *_, **__):
        raise self.error("of a callback")


@pytest.fixture(scope="module")
def trained(X, Y):
    """An estimator with each network, fitted once and what a second fit predicts."""
    networks = (None, custom.network)
    return {model: (tiny(model).fit(X, Y), tiny(model, epochs=2).fit(X, Y).predict_proba(X)) for model in networks}


@pytest.mark.parametrize(
    ("hook", "model"), [*[(hook, None) for hook in HOOKS], *[(hook, custom.network) for hook in HOOKS[3:5]]]
)
def test_a_callback_that_raises(hook, model, trained, X, Y):
    fitted, refitted = trained[model]
    clf, before = copy.copy(fitted), fitted.predict_proba(X)
    clf.set_params(callbacks=[Raising(hook)], epochs=2)
    state = dict(vars(clf))
    try:
        clf.fit(X, Y)
    except Fault:
        assert vars(clf) == state
        np.testing.assert_array_equal(clf.predict_proba(X), before)
    else:
        assert hook.startswith("on_test")  # nothing is evaluated by Keras
    np.testing.assert_array_equal(clf.set_params(callbacks=None).fit(X, Y).predict_proba(X), refitted)


# Files


class FullDisk(io.BytesIO):
    """A file that takes so many bytes."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def write(self, data):
        if self.tell() + memoryview(data).nbytes > self.size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@pytest.fixture(scope="module", params=[None, custom.network], ids=["default", "custom"])
def saved(request, X, Y):
    """An estimator, its probabilities, and its file."""
    clf = tiny(request.param, epochs=1).fit(X, Y)
    return clf, clf.predict_proba(X), pickle.dumps(clf)


def test_a_full_disk(saved, X, tmp_path):
    clf, proba, data = saved
    state = dict(vars(clf))
    for size in np.linspace(0, len(data) - 1, 20).astype(int):
        with pytest.raises(OSError, match="No space left"):
            joblib.dump(clf, FullDisk(size))
        with pytest.raises(OSError, match="No space left"):
            pickle.dump(clf, FullDisk(size))
    if os.path.exists("/dev/full"):
        with pytest.raises(OSError, match="No space left"):
            joblib.dump(clf, "/dev/full")
    assert vars(clf) == state
    np.testing.assert_array_equal(clf.predict_proba(X), proba)
    joblib.dump(clf, tmp_path / "clf.joblib")
    np.testing.assert_array_equal(joblib.load(tmp_path / "clf.joblib").predict_proba(X), proba)


LOAD = """
import faulthandler, io, random, sys, warnings
import joblib, numpy as np, resource
faulthandler.enable()
warnings.simplefilter("ignore")
n, limit = {n}, {limit}
data = open("clf.joblib", "rb").read()
X = np.load("X.npy")
draw = random.Random(0)
joblib.load("clf.joblib").predict_proba(X)
if limit:  # a damaged length must not take the memory of the machine
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
refused = same = 0
for i in range(n):
    damaged = bytearray(data)
    if i % 3 == 0:
        damaged = damaged[:draw.randrange(len(data))]
    elif i % 3 == 1:
        damaged[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    else:
        start = draw.randrange(len(data))
        damaged[start:start + 16] = draw.randbytes(16)
    try:
        proba = joblib.load(io.BytesIO(bytes(damaged))).predict_proba(X)
    except Exception:
        refused += 1
        continue
    assert np.shape(proba) == (len(X), 3), (i, np.shape(proba))
    same += 1
print(refused, same)
"""


def attack_files(saved, X, n, run_python, folder, compress):
    clf, _, _ = saved
    shutil.copy(custom.__file__, folder)
    np.save(folder / "X.npy", X)
    joblib.dump(clf, folder / "clf.joblib", compress=compress)
    limit = 0 if clf.model else 4 * 2**30  # TensorFlow maps more than that
    imported = "keras" if clf.model else "sklearn"
    refused, same = map(int, run_python(LOAD.format(n=n, limit=limit), timeout=300, imported=imported).split())
    assert refused + same == n
    assert refused >= n // 3 - 1  # all truncated ones


def test_damaged_files_raise_or_predict(saved, X, run_python, tmp_path):
    attack_files(saved, X, 30 if saved[0].model else 150, run_python, tmp_path, compress=0)


@pytest.mark.fuzz
@pytest.mark.parametrize("compress", [0, 3])
def test_many_damaged_files_raise_or_predict(compress, saved, X, run_python, tmp_path, cases):
    attack_files(saved, X, cases // 4, run_python, tmp_path, compress)
