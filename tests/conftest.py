import os
import subprocess
import sys

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def X():
    """80 rows of 5 features."""
    return np.random.RandomState(0).randn(80, 5)


@pytest.fixture(scope="session")
def Y(X):
    """An indicator of three labels that the features determine, with empty rows."""
    return (X[:, :3] + 0.2 * np.random.RandomState(1).randn(80, 3) > 0.3).astype(int)


@pytest.fixture(scope="session")
def label_sets(Y):
    """The indicator as sets of "a", "b" and "c"."""
    return [{"abc"[j] for j in np.flatnonzero(row)} for row in Y]


@pytest.fixture
def run_python(tmp_path):
    """Run code in a fresh process and return what it prints."""

    def run(code, *, cwd=tmp_path):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(cwd), *sys.path]), "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
