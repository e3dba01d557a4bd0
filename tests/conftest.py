"""Fixtures as a ladder: data, then an estimator fitted on them; with the forms of y in forms.py."""

import copy
import functools
import os
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Before NumPy is imported: matrices as small as those of tests gain nothing from threads of BLAS, which wait busily.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

from estimators import tiny
from forms import label_sets_of
from processes import run_python_in
from skml._keras._pool import pool

# Workers of pytest-xdist share the cores; TensorFlow reads this when it starts.
threads = max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads))
os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(threads))

# The same examples in every run, on a slow machine too.
settings.register_profile("skml", derandomize=True, deadline=None, max_examples=40, database=None)
settings.load_profile("skml")


def pytest_addoption(parser):
    parser.addoption("--cases", type=int, default=1000, help="how many random cases -m fuzz tries in all")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Run each file in one worker, as its tests share fitted models and compiled trainers."""
    if config.getoption("dist") != "load":  # the default of ``-n``
        return None
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log)


@pytest.fixture(scope="session", autouse=True)
def _many_trainers():
    """Keep more compiled trainers than a user's process: tests train many kinds of networks in turn."""
    pool._max_trainers = 64


@pytest.fixture(scope="session")
def cases(request):
    """How many random cases ``-m fuzz`` tries."""
    return request.config.getoption("--cases")


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
    return label_sets_of(Y)


@pytest.fixture(scope="session")
def fitted(X, label_sets):
    """The small estimator, fitted on label sets; neither fit it nor set its parameters: that is for `clf`."""
    return tiny(epochs=30).fit(X, label_sets)


@pytest.fixture
def clf(fitted):
    """A copy of `fitted` for one test alone, which may set its parameters."""
    return copy.copy(fitted)


@pytest.fixture
def run_python(tmp_path):
    """Run code in a fresh process and return what it prints."""
    return functools.partial(run_python_in, tmp_path)


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium, driven by Playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install -e '.[integrations]'")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("needs Chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()
