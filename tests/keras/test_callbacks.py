import keras
import numpy as np
import pytest

from estimators import tiny


class Epochs(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(epoch)


class Batches(keras.callbacks.Callback):
    batches = 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1


def test_epoch_callbacks_run_in_the_loop(X, Y, monkeypatch, tmp_path):
    monkeypatch.setattr(keras.Model, "fit", lambda *_, **__: pytest.fail("Keras' own loop was used"))
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.5 ** (epoch + 1))
    table = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    stop = keras.callbacks.EarlyStopping("loss", patience=0, min_delta=1e9)
    clf = tiny(epochs=3, callbacks=[Epochs(), schedule, table]).fit(X, Y)
    assert clf.callbacks_[0].epochs == [0, 1, 2]
    assert clf.history_["learning_rate"] == [0.5, 0.25, 0.125]
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 4
    assert tiny(epochs=9, callbacks=stop).fit(X, Y).n_iter_ == 2


def test_a_plateau_reduces_the_learning_rate(X, Y):
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    clf = tiny(epochs=4, callbacks=plateau, learning_rate=0.8).fit(X, Y)
    np.testing.assert_allclose(clf.history_["learning_rate"], [0.8, 0.8, 0.4, 0.2])


def test_batch_callbacks_fall_back_to_keras_and_change_nothing(X, Y, capsys):
    options = {"epochs": 3, "batch_size": 32, "dropout": 0.0, "verbose": 2}
    looped = tiny(**options).fit(X, Y)
    assert "on_train_batch_end" not in capsys.readouterr().out
    by_keras = tiny(callbacks=Batches(), **options).fit(X, Y)
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("loop of Keras", "Batches", "on_train_batch_end"))
    assert by_keras.callbacks_[0].batches == 9
    np.testing.assert_array_equal(by_keras.predict_proba(X), looped.predict_proba(X))


class Keeper(keras.callbacks.Callback):
    def set_model(self, model):
        super().set_model(model)
        self.kept = model
        self.n_layers = len(model.layers)


def test_a_model_that_a_callback_keeps_is_not_trained_by_later_fits(X, Y):
    clf = tiny(epochs=2, inputs="plain", callbacks=(Keeper(),)).fit(X, Y)
    (keeper,) = clf.callbacks_
    tiny(epochs=5, inputs="plain").fit(X, 1 - Y)
    np.testing.assert_allclose(keeper.kept.predict(X, verbose=0), clf.predict_proba(X), atol=1e-6)


def test_a_checkpoint_is_loaded_by_keras(X, Y, tmp_path):
    path = tmp_path / "model.keras"
    clf = tiny(epochs=2, inputs="plain", callbacks=keras.callbacks.ModelCheckpoint(path)).fit(X, Y)
    loaded = keras.saving.load_model(path)
    np.testing.assert_allclose(loaded.predict(X, verbose=0), clf.predict_proba(X), atol=1e-6)


def test_nan_and_tensorboard_callbacks_work(X, Y, tmp_path):
    callbacks = [keras.callbacks.TerminateOnNaN(), keras.callbacks.TensorBoard(tmp_path)]
    clf = tiny(epochs=2, callbacks=callbacks).fit(X, Y)
    assert clf.n_iter_ == 2
    assert list(tmp_path.rglob("events*"))
