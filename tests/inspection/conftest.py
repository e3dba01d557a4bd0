import sys

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="module")
def proba(Y):
    """Probabilities better than chance, with ties, some of them at the edges of bins."""
    return np.round(0.3 * Y + 0.7 * np.random.RandomState(3).rand(*Y.shape), 2)
