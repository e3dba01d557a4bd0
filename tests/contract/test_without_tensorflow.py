"""A stored default model is used where neither TensorFlow nor what training needs is installed."""

import functools
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import joblib
import keras
import numpy as np
import pytest
from scipy import sparse

from estimators import tiny
from processes import run_python_in
from skml import KerasMultiLabelClassifier

ROOT = Path(__file__).parents[2]

# As if they were not installed: the finder of installed packages does not find them.
HIDING = """
import sys
from importlib.machinery import PathFinder

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, *arguments):
        hidden = ("tensorflow", "keras", "scikeras", "iterstrat", "pandas", "matplotlib")
        return None if name.partition(".")[0] in hidden else super().find_spec(name, *arguments)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
"""

USING = """
import pathlib, sys, time, warnings

import joblib, numpy as np, sklearn.neural_network
from sklearn.base import clone

def peak():
    status = pathlib.Path("/proc/self/status")  # of Linux
    lines = status.read_text().splitlines() if status.exists() else ["VmHWM: 0 kB"]
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))

def message_of(function):
    try:
        function()
    except ModuleNotFoundError as error:
        return str(error)

warnings.simplefilter("error")
began, before = time.perf_counter(), peak()
import skml
from skml import inspection, metrics, model_selection

models, X, y = joblib.load("models.joblib")
seconds, megabytes = time.perf_counter() - began, peak() - before

answers = {}
for name, clf in models.items():
    answers[name] = clf.predict_proba(X), clf.decision_function(X), clf.predict(X), clf.score(X, y[name])
    assert repr(clone(clf)) == repr(clf)
    assert "KerasMultiLabelClassifier" in clf._repr_html_()
clf, labels = models["label sets"], y["label sets"]
assert metrics.get_scorer("f1_micro")(clf, X, labels) > 0
assert inspection.label_probabilities(clf.predict_proba(X[:1]), clf.classes_, k=1)
missing = {
    "fit": message_of(lambda: clf.fit(X, labels)),
    "fit of another": message_of(lambda: skml.KerasMultiLabelClassifier().fit(X, labels)),
    "partial_fit": message_of(lambda: clf.partial_fit(X, labels)),
    "to_keras": message_of(lambda: clf.to_keras()),
    "custom": message_of(lambda: joblib.load("custom.joblib")),
    "folds": message_of(lambda: [*model_selection.MultiLabelStratifiedKFold(2).split(X, labels)]),
}
np.testing.assert_array_equal(clf.predict_proba(X), answers["label sets"][0])  # after a fit that failed
assert not {"tensorflow", "keras", "scikeras", "iterstrat", "pandas"} & set(sys.modules)
joblib.dump((answers, missing, seconds, megabytes), "answers.joblib")
"""

# The cure that ends each message.
MISSING = {
    "fit": "pip install tensorflow scikeras iterative-stratification",
    "to_keras": "pip install tensorflow",
    "custom": "pip install tensorflow",
    "folds": "pip install iterative-stratification",
}
MISSING |= dict.fromkeys(("fit of another", "partial_fit"), MISSING["fit"])


@pytest.fixture(scope="module")
def stored(tmp_path_factory, X, Y, label_sets):
    """A folder with stored models, and what they answer in this process."""
    folder = tmp_path_factory.mktemp("stored")
    y = {"label sets": label_sets, "sparse": Y, "one label": np.array(["a", "b", "c"])[Y.sum(axis=1) % 3], "epoch": Y}
    models = {
        "label sets": tiny(threshold="f1_macro").fit(X, label_sets),
        "sparse": tiny(n_members=1, warm_start=True).fit(sparse.csr_array(X), Y),
        "one label": tiny().fit(X, y["one label"]),
        "epoch": tiny(optimizer="sgd").partial_fit(X, Y),
    }
    joblib.dump((models, X, y), folder / "models.joblib")
    network = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, "sigmoid")])
    joblib.dump(KerasMultiLabelClassifier(network, epochs=1).fit(X, Y), folder / "custom.joblib")
    answers = {
        name: (clf.predict_proba(X), clf.decision_function(X), clf.predict(X), clf.score(X, y[name]))
        for name, clf in models.items()
    }
    return folder, answers


def check(stored, run_in):
    """Use the stored models in another process; return the seconds and megabytes that importing and loading took."""
    folder, expected = stored
    run_in(folder)
    answers, missing, seconds, megabytes = joblib.load(folder / "answers.joblib")
    for name, parts in expected.items():
        for answer, part in zip(answers[name], parts, strict=True):
            np.testing.assert_array_equal(answer, part, err_msg=name)
    assert {name: message[message.index("pip install") :] for name, message in missing.items()} == MISSING
    assert missing["to_keras"].startswith("to_keras ")
    return seconds, megabytes


def test_default_models_are_used_where_tensorflow_is_hidden(stored):
    check(stored, lambda folder: run_python_in(folder, HIDING + USING))


@pytest.mark.slow
def test_default_models_are_used_in_an_environment_without_tensorflow(stored, tmp_path):
    """With the versions of this one, so that numbers are equal; importing and loading cost little there."""
    source, python = tmp_path / "source", tmp_path / "venv" / "bin" / "python"
    source.mkdir()
    shutil.copytree(ROOT / "skml", source / "skml", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)  # a build leaves files next to its source
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    packages = [f"{name}=={version(name)}" for name in ("numpy", "scipy", "scikit-learn", "joblib")]
    for arguments in (packages, ["--no-deps", source]):
        subprocess.run([python, "-m", "pip", "install", "--quiet", *arguments], check=True)
    environment = {**os.environ, "PYTHONPATH": ""}
    using = functools.partial(subprocess.run, [python, "-c", USING], check=True, env=environment)
    seconds, megabytes = check(stored, lambda folder: using(cwd=folder))
    print(f"\nimporting skml and loading: {seconds:.3f} s, {megabytes:.1f} MB beyond scikit-learn")
    assert seconds < 1
    assert megabytes < 30
