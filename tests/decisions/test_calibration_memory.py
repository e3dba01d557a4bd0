"""Calibration of many probabilities works in blocks."""

import tracemalloc

import numpy as np
import pytest
from scipy.special import expit, logit, softmax

from skml._decisions._calibration import Calibration


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_all_probabilities_are_calibrated_in_the_memory_of_the_result(activation, monkeypatch):
    monkeypatch.setattr("skml._targets._matrix._BLOCK_BYTES", 2**18)
    proba = np.random.RandomState(0).dirichlet(np.ones(400), 2000).clip(1e-6).astype(np.float32)
    calibration = Calibration(2.0, 0.0 if activation == "softmax" else np.linspace(-1, 1, 400))
    tracemalloc.start()
    try:
        calibrated = calibration.proba(proba, activation)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    p = proba.astype(float)
    expected = softmax(2 * np.log(p), axis=1) if activation == "softmax" else expit(2 * logit(p) + calibration.offset)
    assert calibrated.dtype == np.float32
    np.testing.assert_allclose(calibrated, expected, rtol=1e-5)
    assert peak < 1.5 * proba.nbytes
