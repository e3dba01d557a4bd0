"""Two processes on the loopback address train one model together."""

import numpy as np
import pytest
import together
from together import CASES, run_two

from processes import run_python_in

FITS = """
answer = {}
for name in NAMES:
    with strategy.scope():
        clf = CASES[name](share)
    answer[name] = result_of(clf)
"""


def assert_equal(result, expected, atol):
    assert result["classes"] == expected["classes"]
    assert result["history"].keys() == expected["history"].keys()
    for name, values in expected["history"].items():
        np.testing.assert_allclose(result["history"][name], values, atol=atol, err_msg=name)
    for weight, value in zip(result["weights"], expected["weights"], strict=True):
        np.testing.assert_allclose(weight, value, atol=atol)
    for name in ("probabilities", "thresholds", "held out"):
        if expected[name] is not None:
            np.testing.assert_allclose(result[name], expected[name], atol=atol, err_msg=name)


def check_cases(folder, names):
    results = run_two(folder, FITS.replace("NAMES", repr(names)))
    for name in names:
        expected = together.result_of(CASES[name](slice(None)))
        assert_equal(results[0][name], results[1][name], atol=0)
        assert_equal(results[0][name], expected, atol=1e-5)


def test_two_processes_train_the_weights_of_one(tmp_path):
    check_cases(tmp_path, ["one member, dense"])


@pytest.mark.slow
def test_two_processes_train_the_weights_of_one_whatever_the_data(tmp_path):
    """Folds, missing labels, weights and thresholds too: each process knows its share only, and all get the same."""
    check_cases(tmp_path, [name for name in CASES if name != "one member, dense"])


ALONE = """
import keras, numpy as np, tensorflow as tf
from together import dense, small, rows, result_of
X, y, *_ = rows()

def network(meta):
    return keras.Sequential([keras.layers.Dense(4, "relu"), keras.layers.Dense(meta["n_outputs_"], "sigmoid")])

strategy = tf.distribute.MultiWorkerMirroredStrategy()
with strategy.scope():
    clf = dense(slice(None))
    custom = small(hidden_layer_sizes="auto", dropout="auto", input_dropout="auto", model=network).fit(X, y)
for weight, expected in zip(clf.trained_network().weights, dense(slice(None)).trained_network().weights, strict=True):
    np.testing.assert_array_equal(weight, expected)
print(custom.predict_proba(X).shape)
"""


def test_a_process_without_others_trains_as_without_the_strategy(tmp_path):
    assert run_python_in(tmp_path, ALONE, imported="keras").splitlines()[-1] == "(400, 4)"


SHOWN = """
import contextlib, io
X, y, *_ = rows()
with contextlib.redirect_stdout(io.StringIO()) as printed, strategy.scope():
    small(verbose=2).fit(X[share], y[share])
answer = printed.getvalue()
"""


@pytest.mark.slow
def test_only_the_first_process_shows_progress(tmp_path):
    first, second = run_two(tmp_path, SHOWN)
    assert first.count("val_loss") == 3
    assert not second


BLOCKS = """
with strategy.scope():
    answer = result_of(from_blocks(rank, 2))
"""


@pytest.mark.slow
def test_two_processes_train_one_model_on_their_own_blocks(tmp_path):
    first, second = run_two(tmp_path, BLOCKS)
    assert_equal(first, second, atol=0)
    alone = together.result_of(together.from_blocks(0, 1))
    assert first["classes"] == alone["classes"]
    # Other rows are held out, and rows come in another order: the quality must not differ.
    for result in (first, alone):
        assert result["history"]["val_loss"][-1] == pytest.approx(0.05, abs=0.03)
    assert first["thresholds"] == pytest.approx(alone["thresholds"], abs=0.2)


# What is wrong in the second process, and what the first and the second say of it.
REFUSED = {
    "a label that is missing": (
        "small().fit(X[share], [None] * len(X[share]) if rank else y)",
        "RuntimeError: Process 1 of 2 that train together has failed. ",
        "ValueError: ",
    ),
    "rows of another width": (
        "small().fit(X[share][:, : 6 - rank], y)",
        "ValueError: X must be alike in all processes, but it is dense with 5 columns in process 1, and dense with 6",
        "ValueError: X must be alike in all processes, but it is dense with 6 columns in process 0, and dense with 5",
    ),
    "another parameter": (
        "small(epochs=2 + rank).fit(X[share], y)",
        "ValueError: Processes that train together must have the same parameters, but epochs is 2 here and 3 in",
        "ValueError: Processes that train together must have the same parameters, but epochs is 3 here and 2 in",
    ),
    "a broken block in the second pass": (
        "small().fit_batches(Batches(X[share], y, rank), classes=['a', 'b', 'c', 'rare'])",
        "RuntimeError: Process 1 of 2 that train together has failed. OSError: the disk is gone",
        "OSError: the disk is gone",
    ),
    "other classes": (
        "small().fit_batches([(X[share], y)], classes=['a', 'b', 'c', 'rare', 'd'][: 5 - rank])",
        "ValueError: Processes that train together must have the same classes",
        "ValueError: Processes that train together must have the same classes",
    ),
    "a callback that fails": (
        "small(callbacks=[Fails()] if rank else None).fit(X[share], y)",
        "RuntimeError: Process 1 of 2 that train together has failed. ZeroDivisionError: ",
        "ZeroDivisionError: ",
    ),
    "a custom model": (
        "KerasMultiLabelClassifier(lambda meta: None).fit(X[share], y)",
        "ValueError: Several processes can train the default network together, but not a custom model",
        "ValueError: Several processes can train the default network together, but not a custom model",
    ),
    "a method that is called for each batch": (
        "small(callbacks=[EachBatch()]).fit(X[share], y)",
        "ValueError: Several processes cannot be trained by the loop of Keras, but the callback EachBatch has",
        "ValueError: Several processes cannot be trained by the loop of Keras, but the callback EachBatch has",
    ),
}

REFUSALS = """
import keras

class Fails(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        1 / 0

class EachBatch(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass

class Batches:
    def __init__(self, X, y, fails):
        self.X, self.y, self.fails, self.n_passes = X, y, fails, 0
    def __iter__(self):
        self.n_passes += 1
        if self.n_passes > 1 and self.fails:
            raise OSError("the disk is gone")
        yield self.X, self.y

X, y, *_ = rows()
y = y[share]
clf, answer = None, []
for code in CODES:
    try:
        with strategy.scope():
            clf = eval(code)
    except Exception as error:
        answer.append(f"{type(error).__name__}: {error}")
assert clf is None
with strategy.scope():  # all of them can train again
    answer.append(small(epochs=1).fit(X[share], y).n_iter_)
"""


@pytest.mark.slow
def test_an_error_in_one_process_ends_the_fit_in_all(tmp_path):
    codes = [code for code, *_ in REFUSED.values()]
    answers = run_two(tmp_path, REFUSALS.replace("CODES", repr(codes)))
    for rank, (*errors, epochs) in enumerate(answers):
        assert epochs == 1
        for error, expected in zip(errors, REFUSED.values(), strict=True):
            assert error.startswith(expected[1 + rank]), error


DYING = """
import keras

class Dies(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if rank and epoch == 2:
            answer_file = open("answer1", "wb")
            answer_file.write(pickle.dumps("died"))
            answer_file.close()
            os._exit(0)

X, y, *_ = rows()
clf = small(epochs=20, callbacks=[Dies()])
try:
    with strategy.scope():
        clf.fit(X[share], y[share])
except RuntimeError as error:
    answer = str(error), hasattr(clf, "classes_")
"""


@pytest.mark.slow
def test_a_process_that_dies_ends_the_fit_of_the_others_with_an_error(tmp_path):
    (message, is_fitted), other = run_two(tmp_path, DYING)
    assert other == "died"
    assert message.startswith("Training by several processes has ended, because another process has ended")
    assert not is_fitted
