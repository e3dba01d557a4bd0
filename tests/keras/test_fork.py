"""A fork of a process that has used TensorFlow does not hang."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from processes import run_python_in

CODE = """
import os
import numpy as np
from skml import KerasMultiLabelClassifier

X = np.random.RandomState(0).randn(64, 5)
Y = (X[:, :3] > 0).astype(int)


def build(meta):
    import keras
    return keras.Sequential([keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])])


def make(model=None):
    return KerasMultiLabelClassifier(model, epochs=1, random_state=0)


def in_child(function):
    child = os.fork()
    if child == 0:
        try:
            function()
            os._exit(0)
        except RuntimeError as error:
            print(error, flush=True)
            os._exit(3)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)

"""


def test_a_fork_refuses_training_that_would_hang_and_predicts_with_the_default_network(tmp_path):
    code = """
default, custom = make().fit(X, Y), make(build).fit(X, Y)
expected = default.predict_proba(X)
in_child(lambda: np.testing.assert_array_equal(default.predict_proba(X), expected))
in_child(lambda: custom.predict(X))
in_child(lambda: default.fit(X, Y))
custom.predict(X)
"""
    printed = run_python_in(tmp_path, CODE + code, timeout=120, imported="keras").splitlines()
    assert [line for line in printed if line.isdigit()] == ["0", "3", "3"]
    facts = ("forked", "TensorFlow", "joblib", "multiprocessing.get_context('spawn')")
    assert sum(all(fact in line for fact in facts) for line in printed) == 2


def test_a_fork_trains_where_tensorflow_was_at_most_imported(tmp_path):
    code = "import tensorflow\nin_child(lambda: make(build).fit(X, Y))\n"
    printed = run_python_in(tmp_path, CODE + code, timeout=120, imported="keras")
    assert printed.splitlines()[-1] == "0"
