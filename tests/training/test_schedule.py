"""Dropout and the learning rate follow the validation loss."""

import keras
import numpy as np
import pytest

from skml import KerasMultiLabelClassifier
from skml._training._callbacks import AdaptiveDropout, PlateauThenLinearDecay


class Model:
    """What the callbacks know of a model."""

    def __init__(self):
        self.optimizer = keras.optimizers.SGD(0.5)
        self.layers = []
        self.stop_training = False


def run(callback, losses, val_losses):
    model = Model()
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, (loss, val_loss) in enumerate(zip(losses, val_losses, strict=True)):
        callback.on_epoch_end(epoch, {"loss": loss, "val_loss": val_loss})
        rates.append(float(model.optimizer.learning_rate.numpy()))
        if model.stop_training:
            break
    callback.on_train_end()
    return model, rates


def test_the_learning_rate_is_held_while_there_is_progress_and_then_falls_to_0():
    val_losses = [1.0, 0.9, 0.8, *[0.8] * 40]
    model, rates = run(PlateauThenLinearDecay(0.01, steps=75, epochs=100, patience=10), val_losses, val_losses)
    held = rates.index(next(rate for rate in rates if rate < 0.0099))
    np.testing.assert_allclose(rates[:held], 0.01, rtol=1e-6)
    assert 4 <= held <= 6  # two epochs of 75 updates without progress after the third
    np.testing.assert_allclose(np.diff(rates[held - 1 :]), -0.01 / (len(rates) - held), rtol=1e-4)
    assert rates[-1] == 0
    assert model.stop_training
    assert model.optimizer.learning_rate.numpy() == 0.5


def test_the_fall_is_within_the_epochs():
    losses = list(np.geomspace(1, 0.01, 20))
    _, rates = run(PlateauThenLinearDecay(0.01, steps=75, epochs=20, patience=10), losses, losses)
    assert len(rates) == 20
    assert rates[-1] == pytest.approx(0, abs=1e-8)


def control(losses, val_losses):
    callback = AdaptiveDropout({"dropout": 0.5, "input_dropout": 0.3}, ("dropout", "input_dropout"), steps=50)
    run(callback, losses, val_losses)
    return callback._strength


def test_dropout_falls_while_a_network_underfits_and_rises_as_it_learns_by_heart():
    underfits = control([1.0] * 3, [0.9] * 3)
    assert underfits < 2
    assert control([1.0] * 6, [0.9] * 6) < underfits
    assert control([1.0] * 6 + [0.3] * 2, [0.9] * 8) > control([1.0] * 6, [0.9] * 6)
    assert control([0.3] * 3, [0.9] * 3) == 2


def test_clean_tables_end_with_little_dropout_and_noisy_ones_with_much():
    rng = np.random.RandomState(0)
    X = rng.randn(2000, 10)
    clean = (X[:, :3] > 0).astype(int)
    noisy = (X[:, :3] + 5 * rng.randn(2000, 3) > 0).astype(int)

    def last_rates(Y):
        clf = KerasMultiLabelClassifier(hidden_layer_sizes=32, n_members=2, epochs=25, random_state=0).fit(X, Y)
        return clf.history_["loss"][-1] / clf.history_["val_loss"][-1]

    assert last_rates(clean) < 1.3  # with the first rates the loss in training is a multiple
    assert last_rates(noisy) > 0.8


def test_rates_that_are_given_stay_and_an_optimizer_keeps_what_it_was_given():
    rng = np.random.RandomState(0)
    X = rng.randn(200, 4)
    Y = (X[:, :2] > 0).astype(int)
    params = {"hidden_layer_sizes": 8, "n_members": 2, "epochs": 12, "random_state": 0}
    free = KerasMultiLabelClassifier(**params).fit(X, Y)
    fixed = KerasMultiLabelClassifier(dropout=0.5, input_dropout=0.3, **params).fit(X, Y)
    slow = KerasMultiLabelClassifier(learning_rate=1e-6, **params).fit(X, Y)
    assert free.history_["loss"][-1] < fixed.history_["loss"][-1]
    assert slow.history_["loss"][-1] > 0.9 * slow.history_["loss"][0]


@pytest.mark.slow
def test_partial_fit_from_chunks_reaches_what_fit_does():
    rng = np.random.RandomState(0)
    X = rng.randn(24000, 50)
    Y = (np.tanh(X @ rng.randn(50, 40) / 7) @ rng.randn(40, 10) > 0).astype(int)
    X_test, Y_test = X[20000:], Y[20000:]

    def loss(clf):
        proba = clf.predict_proba(X_test)
        return -np.mean(np.log(np.where(Y_test == 1, proba, 1 - proba)))

    whole = KerasMultiLabelClassifier(random_state=0).fit(X[:20000], Y[:20000])
    chunks = KerasMultiLabelClassifier(random_state=0)
    for _ in range(3):
        for start in range(0, 20000, 1000):
            chunks.partial_fit(X[start : start + 1000], Y[start : start + 1000])
    assert loss(chunks) < 1.1 * loss(whole)
