"""Calibration of probabilities on held-out predictions."""

import copy

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.metrics import log_loss

from skml import KerasMultiLabelClassifier
from skml._decisions._calibration import Calibration, calibration_of

rng = np.random.RandomState(0)
Z = rng.randn(2000, 3)
TRUE = (rng.uniform(size=Z.shape) < expit(2.5 * Z + [0.5, -0.5, 0.0])).astype(np.uint8)
PROBA = expit(Z)


def loss(params, z=Z, Y=TRUE):
    return log_loss(Y.ravel(), expit(params[0] * z + params[1]).ravel())


def test_auto_finds_the_best_slope_and_changes_no_decision():
    calibration = calibration_of(TRUE, PROBA, "auto")
    best = minimize(lambda slope: loss((slope[0], 0.0)), [1.0], method="Nelder-Mead").x[0]
    assert calibration.slope == pytest.approx(best, rel=1e-2)
    assert calibration.offset == 0
    np.testing.assert_array_equal(calibration.proba(PROBA, "sigmoid") >= 0.5, PROBA >= 0.5)


def test_true_finds_platts_slope_and_an_offset_per_label():
    calibration = calibration_of(TRUE, PROBA, True)
    assert calibration.slope == pytest.approx(minimize(loss, [1.0, 0.0], method="Nelder-Mead").x[0], rel=1e-2)
    assert calibration.offset[0] > 0.3
    assert calibration.offset[1] < -0.3
    assert log_loss(TRUE.ravel(), calibration.proba(PROBA, "sigmoid").ravel()) < loss((1.0, 0.0)) - 0.05


def test_a_label_with_few_positives_has_the_common_offset():
    Y = TRUE.copy()
    Y[np.flatnonzero(Y[:, 1])[40:], 1] = 0
    offset = calibration_of(Y, PROBA, True).offset
    assert len(np.unique(offset)) == 3
    common = offset[1]
    assert common != offset[0]


def test_log_odds_are_never_shrunk():
    assert calibration_of(TRUE, expit(10 * Z), "auto") == Calibration()
    assert calibration_of(TRUE, expit(10 * Z), True).slope == 1


def test_few_rows_are_not_calibrated():
    assert calibration_of(TRUE[:4], PROBA[:4], "auto") == Calibration()


def test_missing_labels_and_the_unit_of_weights_have_no_effect():
    Y, weight = TRUE.astype(np.float32), rng.uniform(size=len(TRUE))
    Y[:1000, 0] = np.nan
    calibration = calibration_of(Y, np.where(np.isnan(Y), 0.999, PROBA), "auto", sample_weight=weight)
    expected = calibration_of(Y, PROBA, "auto", sample_weight=1e6 * weight)
    assert calibration.slope == pytest.approx(expected.slope, rel=1e-6)


def test_classes_have_a_temperature():
    logits = rng.randn(3000, 4)
    codes = np.array([rng.choice(4, p=np.exp(3 * row) / np.exp(3 * row).sum()) for row in logits])
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    calibration = calibration_of(np.eye(4, dtype=np.uint8)[codes], proba, "auto", "softmax")
    assert calibration.slope == pytest.approx(3, rel=0.1)
    np.testing.assert_allclose(calibration.proba(proba, "softmax").sum(axis=1), 1)


@pytest.fixture(scope="module")
def underfitted():
    X = rng.randn(400, 5)
    Y = (X @ rng.randn(5, 3) > 0).astype(int)
    params = {"hidden_layer_sizes": 16, "epochs": 2, "random_state": 0}
    return X, Y, {how: KerasMultiLabelClassifier(calibrate=how, **params).fit(X, Y) for how in (False, "auto", True)}


def test_all_outputs_of_the_network_are_calibrated(underfitted):
    X, Y, fitted = underfitted
    plain = fitted[False].predict_proba(X).astype(np.float64)
    for how in ("auto", True):
        clf = fitted[how]
        slope, offset = clf.trained_network().calibration
        assert slope > 1.1
        expected = expit(slope * logit(plain) + offset)
        np.testing.assert_allclose(clf.predict_proba(X), expected, atol=1e-5)
        np.testing.assert_allclose(clf.decision_function(X), logit(expected), atol=1e-3)
        np.testing.assert_allclose(clf.to_keras()(X).numpy(), expected, atol=1e-5)
        assert log_loss(Y.ravel(), clf.oof_proba_.ravel()) < log_loss(Y.ravel(), fitted[False].oof_proba_.ravel())


@pytest.mark.parametrize("how", ["auto", True])
def test_training_that_resumes_without_held_out_rows_keeps_the_calibration(how, underfitted):
    X, Y, fitted = underfitted
    clf = copy.copy(fitted[how])
    before = clf.predict_proba(X)
    # One row more hardly moves the statistics of X, and such a step no weight.
    clf.set_params(learning_rate=1e-9).partial_fit(X[:1], Y[:1])
    np.testing.assert_allclose(clf.predict_proba(X), before, atol=0.01)


def test_training_itself_has_no_calibration(underfitted):
    X, Y, fitted = underfitted
    plain, calibrated = (copy.copy(fitted[how]).partial_fit(X, Y) for how in (False, True))
    slope, offset = fitted[True].trained_network().calibration
    expected = expit(slope * logit(plain.predict_proba(X).astype(np.float64)) + offset)
    np.testing.assert_allclose(calibrated.predict_proba(X), expected, atol=1e-5)


def test_offsets_follow_their_labels(underfitted):
    X, Y, fitted = underfitted
    clf = copy.copy(fitted[True]).set_params(learning_rate=1e-9)
    slope, offset = clf.trained_network().calibration
    clf.partial_fit(X, np.column_stack([Y[:, 2], Y[:, 0], Y[:, 0]]), classes=[2, "new", 0])
    assert clf.trained_network().calibration.slope == slope
    np.testing.assert_array_equal(clf.trained_network().calibration.offset, [offset[2], 0, offset[0]])


def test_a_new_holdout_gives_a_new_calibration(underfitted):
    X, Y, fitted = underfitted
    clf = copy.copy(fitted["auto"]).set_params(warm_start=True, calibrate=False).fit(X, Y, X_val=X, y_val=Y)
    assert not clf.trained_network().calibration.changes


def test_calibration_without_held_out_predictions_is_refused(underfitted):
    X, Y, _ = underfitted
    with pytest.raises(
        ValueError, match=r"calibrate=True needs held-out predictions.*X_val and y_val.*calibrate='auto'"
    ):
        KerasMultiLabelClassifier(calibrate=True, hidden_layer_sizes=4).partial_fit(X, Y)
    with pytest.raises(ValueError, match="'calibrate' parameter"):
        KerasMultiLabelClassifier(calibrate="platt").fit(X, Y)
    with pytest.raises(ValueError, match=r"calibrate=True .*default network"):
        KerasMultiLabelClassifier(lambda: None, calibrate=True).fit(X, Y)
