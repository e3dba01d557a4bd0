"""Soft labels: probabilities in place of 0 and 1."""

import keras
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.metrics import f1_score

from estimators import tiny
from skml import KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV
from skml._decisions._calibration import calibration_of
from skml._keras_models._losses import MultiLabelCrossentropy, named_loss
from skml._targets._weights import positive_weights
from skml.inspection import label_report
from skml.metrics import get_scorer
from skml.model_selection import MultiLabelStratifiedKFold, cross_val_predict_proba

# All rows fit into one batch, so that their order does not matter.
PLAIN = {"hidden_layer_sizes": (8,), "n_members": 1, "dropout": 0.0, "input_dropout": 0.0, "batch_size": 256}
PLAIN |= {"early_stopping": False, "epochs": 4, "random_state": 0, "optimizer": "sgd", "learning_rate": 0.3}


@pytest.fixture(scope="module")
def votes(Y):
    """Fractions of four votes."""
    return np.clip(Y * 0.5 + np.random.RandomState(3).randint(0, 3, Y.shape) / 4, 0, 1)


FORMS = {
    "array": np.asarray,
    "float32": np.float32,
    "objects": lambda Q: Q.astype(object),
    "lists": lambda Q: Q.tolist(),
    "Series of lists": lambda Q: pd.Series(Q.tolist()),
    "list of arrays": list,
    "DataFrame": lambda Q: pd.DataFrame(Q, columns=list("cab")),
    "csr": sparse.csr_matrix,
    "masked": np.ma.masked_invalid,
}


@pytest.fixture(scope="module")
def plain(X, votes):
    return tiny(soft_labels=True).fit(X, votes)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_alike(form, X, votes, plain):
    clf = tiny(soft_labels=True).fit(X, FORMS[form](votes))
    np.testing.assert_array_equal(clf.predict_proba(X), plain.predict_proba(X))
    assert clf.score(X, FORMS[form](votes)) == np.mean(((plain.predict_proba(X) >= 0.5) == (votes >= 0.5)).all(axis=1))


def test_soft_labels_that_are_0_and_1_are_hard(X, Y):
    soft = tiny(soft_labels=True, n_members=4).fit(X, Y.astype(float))
    np.testing.assert_array_equal(soft.predict_proba(X), tiny(n_members=4).fit(X, Y).predict_proba(X))


@pytest.mark.parametrize("form", ["array", "DataFrame", "csr", "objects"])
def test_without_the_parameter_the_error_names_it(form, X, votes, clf):
    before = clf.predict_proba(X)
    with pytest.raises(ValueError, match=r"must hold 0 and 1; got 0\.25.* soft_labels=True; to score them, pass y >="):
        clf.fit(X, FORMS[form](votes))
    np.testing.assert_array_equal(clf.predict_proba(X), before)


def test_rows_of_fractions_are_no_label_sets(X, votes):
    for y in (votes.tolist(), pd.Series(votes.tolist())):
        with pytest.raises(ValueError, match=r"rows of numbers in \[0, 1\].*soft_labels=True"):
            tiny().fit(X, y)
    with pytest.warns(UserWarning, match=r"soft_labels=True.*read as label sets"):
        tiny().fit(X[:2], [[0.1, 0.9], [0.9, 0.1]])


@pytest.mark.parametrize(("value", "shown"), [(1.5, "1.5"), (-0.25, "-0.25"), (np.inf, "inf")])
@pytest.mark.parametrize("form", ["array", "lists", "DataFrame", "csr"])
def test_values_outside_the_unit_interval_are_refused(value, shown, form, X, votes):
    wrong = votes.copy()
    wrong[7, 1] = value
    label = {"DataFrame": "'a'"}.get(form, "1")
    with pytest.raises(ValueError, match=rf"got {shown} in row 7 for the label {label}\."):
        tiny(soft_labels=True).fit(X, FORMS[form](wrong))


def test_single_labels_have_no_soft_form(X):
    with pytest.raises(ValueError, match=r"soft_labels=True is for multi-label y.*shape \(n_samples, n_labels\)"):
        tiny(soft_labels=True).fit(X, np.linspace(0, 1, 80))
    assert tiny(soft_labels=True).fit(X, np.linspace(0, 1, 80)[:, None]).predict_proba(X).shape == (80, 1)


def test_a_missing_label_stays_missing(X, Y, votes):
    partly = np.where(np.random.RandomState(0).rand(*Y.shape) < 0.3, np.nan, Y)
    # Without a fraction, the loss is computed as for hard labels, and so it is with NaN.
    soft, hard = tiny(soft_labels=True).fit(X, partly), tiny().fit(X, partly)
    np.testing.assert_allclose(soft.predict_proba(X), hard.predict_proba(X), atol=1e-6)
    votes = np.where(np.isnan(partly), np.nan, votes)
    kept = np.arange(80)[~np.isnan(votes).all(axis=1)]
    clf = tiny(soft_labels=True, n_members=4, threshold="f1_micro").fit(X, votes)
    assert clf.score(X, votes) == pytest.approx(clf.score(X[kept], votes[kept]))


@pytest.mark.parametrize("params", [{}, {"class_weight": "balanced"}, {"loss": "focal"}, {"loss": "asymmetric"}])
def test_a_soft_label_is_a_row_of_each_kind_with_its_share_of_the_weight(params, X):
    shares = np.tile([0.25, 0.5, 0.75, 1.0], 20)
    y = np.tile(shares[:, None], (1, 3))
    y[:, 1] = 1 - y[:, 1]
    mirrored = np.array([1, 0, 1])  # a row with the share as it is, and one with the rest
    soft = KerasMultiLabelClassifier(soft_labels=True, **PLAIN, **params).fit(X, y)
    twice = np.vstack([np.tile(mirrored, (80, 1)), np.tile(1 - mirrored, (80, 1))])
    hard = KerasMultiLabelClassifier(**PLAIN, **params)
    hard.fit(np.vstack([X, X]), twice, sample_weight=np.append(shares, 1 - shares))
    np.testing.assert_allclose(soft.predict_proba(X), hard.predict_proba(X), rtol=1e-4)
    assert np.abs(soft.predict_proba(X) - tiny(**PLAIN, **params).fit(X, y >= 0.5).predict_proba(X)).max() > 1e-3


@pytest.mark.parametrize("name", ["cross", "focal", "asymmetric"])
def test_the_loss_of_a_soft_label_is_expected(name):
    rng = np.random.RandomState(0)
    y, p, weight = rng.rand(6, 4).astype("f4"), rng.uniform(0.01, 0.99, (6, 4)).astype("f4"), [1.0, 2.0, 0.5, 3.0]
    y[0, 0] = np.nan
    make = MultiLabelCrossentropy if name == "cross" else lambda **arguments: named_loss(name, **arguments)
    of_one = make().entries(np.ones_like(p), p, -np.log(p))
    of_zero = make().entries(np.zeros_like(p), p, -np.log1p(-p))
    by_hand = np.nanmean(y * np.array(weight) * np.asarray(of_one) + (1 - y) * np.asarray(of_zero), axis=1)
    np.testing.assert_allclose(make(positive_weight=weight, soft_labels=True).call(y, p), by_hand, rtol=1e-4)


@pytest.mark.parametrize("from_logits", [False, True])
def test_label_smoothing_is_that_of_keras(from_logits):
    rng = np.random.RandomState(0)
    y, p = rng.randint(0, 2, (6, 4)).astype("f4"), rng.uniform(0.01, 0.99, (6, 4)).astype("f4")
    expected = keras.losses.BinaryCrossentropy(from_logits=from_logits, label_smoothing=0.2)(y, p)
    ours = MultiLabelCrossentropy(from_logits=from_logits, label_smoothing=0.2)(y, p)
    assert float(ours) == pytest.approx(float(expected), rel=1e-5)


def test_label_smoothing_reaches_the_default_loss(X, Y):
    params = {"n_members": 4, "calibrate": False, "scale": None}  # calibration and scaling see the labels
    smooth = tiny(loss__label_smoothing=0.5, **params).fit(X, Y).predict_proba(X)
    soft = tiny(soft_labels=True, **params).fit(X, Y * 0.5 + 0.25).predict_proba(X)
    np.testing.assert_allclose(smooth, soft, atol=1e-6)
    classes = Y[:, 0] + Y[:, 1]
    smooth = tiny(loss__label_smoothing=0.5).fit(X, classes).predict_proba(X)
    assert np.abs(smooth - tiny().fit(X, classes).predict_proba(X)).max() > 1e-4
    with pytest.raises(ValueError, match=r"label_smoothing must be a number in \[0, 1\]; got 2"):
        tiny(loss__label_smoothing=2).fit(X, Y)
    model = keras.Sequential([keras.layers.Dense(3, "sigmoid")])
    model.compile(loss="mse")
    with pytest.raises(ValueError, match=r"loss__label_smoothing has no effect.*not compiled"):
        tiny(model, loss__label_smoothing=0.1).fit(X, Y)


def test_counts_are_expected_counts():
    Q = np.array([[0.25, 1.0], [0.5, np.nan], [0.75, 0.5]], dtype=np.float32)
    expected = [1.5 / 1.5, 0.5 / 1.5]
    np.testing.assert_allclose(positive_weights("balanced", [0, 1], Q, None), expected)
    np.testing.assert_allclose(positive_weights("balanced", [0, 1], sparse.csr_array(Q), None), expected)
    weighted = positive_weights("balanced", [0, 1], Q, np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(weighted, [(0.75 + 1 + 0.75) / (0.25 + 1 + 2.25), 1.5 / 2.5])


def test_calibration_counts_a_soft_label_as_its_votes():
    rng = np.random.RandomState(0)
    proba, n_votes = rng.uniform(0.05, 0.95, (120, 1)), rng.randint(0, 5, (120, 1))
    repeated = np.hstack([np.arange(4) < n for n in n_votes]).astype(np.uint8)[:, None]
    soft = calibration_of((n_votes / 4).astype(np.float32), proba, True, sample_weight=np.full(120, 4.0))
    hard = calibration_of(repeated, np.repeat(proba, 4, axis=0), True)
    # Evidence is that of 120 rows and of 480: only the common slope and offset, without a prior, agree.
    assert soft.slope == pytest.approx(hard.slope, abs=0.02)
    assert np.mean(soft.offset) == pytest.approx(np.mean(hard.offset), abs=0.02)


def test_scores_tuning_and_reports_use_at_least_one_half(X, votes):
    truth = (votes >= 0.5).astype(int)
    clf = tiny(n_members=4, soft_labels=True, threshold="f1_macro").fit(X, votes)
    for name in ("f1_micro", "roc_auc_macro", "neg_log_loss", "precision_at_1"):
        assert get_scorer(name)(clf, X, votes) == get_scorer(name)(clf, X, truth)
    pd.testing.assert_frame_equal(label_report(clf, X, votes), label_report(clf, X, truth))
    assert clf.score(X, votes) == clf.score(X, truth)
    np.testing.assert_array_equal(clf.oof_target(), truth)
    tuner = TunedThresholdMultiLabelClassifierCV(tiny(n_members=4, soft_labels=True), scoring="f1_micro", cv="oof")
    tuner.fit(X, votes)
    decided = tuner.estimator_.oof_proba_ >= tuner.best_threshold_
    assert tuner.best_score_ == pytest.approx(f1_score(truth, decided, average="micro"))
    assert tuner.score(X, votes) == tuner.score(X, truth)


def test_folds_are_those_of_at_least_one_half(X, votes):
    truth = (votes >= 0.5).astype(int)
    for y in (votes, votes.tolist(), pd.DataFrame(votes)):
        ours, plain = (list(MultiLabelStratifiedKFold(4, random_state=0).split(X, target)) for target in (y, truth))
        for (_, test), (_, expected) in zip(ours, plain, strict=True):
            np.testing.assert_array_equal(test, expected)
    assert cross_val_predict_proba(tiny(soft_labels=True), X, votes, cv=2, random_state=0).shape == (80, 3)


def test_training_goes_on_with_soft_labels(X, Y, votes):
    clf = tiny(soft_labels=True).partial_fit(X, Y).partial_fit(X, votes)
    assert clf.n_iter_ == 2
    clf.set_params(soft_labels=False)
    with pytest.raises(ValueError, match="soft_labels=True"):
        clf.partial_fit(X, votes)
    assert clf.n_iter_ == 2


def test_validation_data_may_be_soft(X, Y, votes):
    hard = tiny(soft_labels=True).fit(X, Y, X_val=X, y_val=votes)
    assert np.isfinite(hard.history_["val_loss"]).all()
    soft = tiny(soft_labels=True).fit(X, votes, X_val=X, y_val=Y)
    assert np.isfinite(soft.history_["val_loss"]).all()


def test_losses_and_metrics_of_keras_take_soft_labels(X, votes):
    params = {"loss": "binary_crossentropy", "metrics": ["mse"], "soft_labels": True, "n_members": 1}
    clf = tiny(**params).fit(X, votes)
    assert clf.history_["mse"][-1] < 0.5
    with pytest.raises(ValueError, match="NaN for missing labels"):
        tiny(**params).fit(X, np.where(votes == 0.25, np.nan, votes))
