"""Early stopping: who watches, what is watched, which epoch is kept."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import log_loss

from estimators import tiny
from skml import KerasMultiLabelClassifier


def test_early_stopping_stops_and_keeps_the_best_epoch():
    rng = np.random.RandomState(0)
    X, Y = rng.randn(200, 20), rng.randint(0, 2, (200, 3))  # noise: the holdout's loss soon rises
    params = {"hidden_layer_sizes": (50,), "n_members": 1, "epochs": 100, "learning_rate": 0.01, "random_state": 0}
    clf = KerasMultiLabelClassifier(n_iter_no_change=3, **params).fit(X, Y)
    losses = clf.history_["val_loss"]
    best = int(np.argmin(losses))
    assert clf.n_iter_ == len(losses) == best + 1 + 3
    exact = KerasMultiLabelClassifier(n_iter_no_change=100, **{**params, "epochs": best + 1}).fit(X, Y)
    np.testing.assert_array_equal(clf.predict_proba(X), exact.predict_proba(X))


def test_the_holdout_takes_its_fraction_and_none_if_small():
    rng = np.random.RandomState(0)
    X, Y = rng.randn(200, 3), rng.randint(0, 2, (200, 2))
    base = {"epochs": 1, "hidden_layer_sizes": (2,), "n_members": 1}
    assert "val_loss" in KerasMultiLabelClassifier(**base).fit(X, Y).history_
    assert "val_loss" not in KerasMultiLabelClassifier(early_stopping=False, **base).fit(X, Y).history_
    assert "val_loss" not in KerasMultiLabelClassifier(validation_fraction=0.04, **base).fit(X, Y).history_
    assert "val_loss" not in KerasMultiLabelClassifier(**base).fit(X[:99], Y[:99]).history_


def test_x_val_is_watched_with_the_loss_that_is_trained(X, Y):
    # Kinds of members would get other weights after the last epoch.
    clf = tiny(epochs=1, inputs="plain", class_weight=[1.0, 5.0, 1.0]).fit(X, Y)
    watched = tiny(epochs=1, inputs="plain", class_weight=[1.0, 5.0, 1.0])
    watched.fit(X, Y, X_val=X[:30], y_val=[{j for j in range(3) if row[j]} for row in Y[:30]])
    p = clf.predict_proba(X[:30]).astype(float)
    entries = -(np.array([1, 5, 1]) * Y[:30] * np.log(p) + (1 - Y[:30]) * np.log(1 - p))
    np.testing.assert_allclose(watched.history_["val_loss"][0], entries.mean(), rtol=1e-5)


def test_x_val_needs_y_val_and_early_stopping(X, Y):
    with pytest.raises(ValueError, match="X_val and y_val"):
        KerasMultiLabelClassifier().fit(X, Y, X_val=X)
    with pytest.raises(ValueError, match="early_stopping=False"):
        KerasMultiLabelClassifier(early_stopping=False).fit(X, Y, X_val=X, y_val=Y)


def test_x_val_goes_with_weights_and_sparse_y(X, Y):
    y = sparse.csr_array(Y)
    clf = tiny().fit(X, y, sample_weight=np.ones(80), X_val=X, y_val=y)
    plain = tiny().fit(X, Y, X_val=X, y_val=Y)
    np.testing.assert_allclose(clf.history_["val_loss"], plain.history_["val_loss"], rtol=1e-5)


def test_x_val_is_weighted_by_the_balance_of_training(X, Y):
    y = (Y[:, 0] & Y[:, 1]).astype(int)
    clf = tiny(class_weight="balanced", epochs=1, inputs="plain")
    clf.fit(X, y, X_val=X[:40], y_val=y[:40])
    weight = np.where(y == 1, len(y) / (2 * y.sum()), len(y) / (2 * (len(y) - y.sum())))[:40]
    proba = clf.predict_proba(X[:40]).astype(float)[np.arange(40), y[:40]]
    np.testing.assert_allclose(clf.history_["val_loss"][0], np.average(-np.log(proba), weights=weight), rtol=1e-5)


def test_the_rows_of_training_may_be_watched_with_other_labels(X, Y):
    clf = tiny(epochs=1, n_members=1).fit(X, Y, X_val=X, y_val=1 - Y)
    expected = np.mean([log_loss(1 - Y[:, j], clf.predict_proba(X)[:, j].astype(float)) for j in range(3)])
    np.testing.assert_allclose(clf.history_["val_loss"][0], expected, rtol=1e-5)
