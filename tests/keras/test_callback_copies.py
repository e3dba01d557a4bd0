import keras
import pytest

from skml import KerasMultiLabelClassifier

TINY = {"hidden_layer_sizes": (4,), "n_members": 1, "epochs": 2, "random_state": 0}


class Trial:
    """Like a trial of Optuna: reports have to reach the object of the caller."""

    def __init__(self):
        self.reports = []

    def __deepcopy__(self, memo):
        pytest.fail("A trial must not be copied")


class Report(keras.callbacks.Callback):
    def __init__(self, trial):
        super().__init__()
        self.trial = trial
        self.seen = 0

    def on_epoch_end(self, epoch, logs=None):
        self.trial.reports.append(logs["loss"])
        self.seen += 1


class WithoutInit(keras.callbacks.Callback):
    """Like the callback of MLflow; Keras accepts it."""

    def __init__(self, run):
        self.run = run

    def on_train_begin(self, logs=None):
        self.run.append(len(self.model.layers))


def test_objects_in_a_custom_callback_are_shared(X, Y):
    trial = Trial()
    callback = Report(trial)
    clf = KerasMultiLabelClassifier(callbacks=callback, **TINY).fit(X, Y)
    assert trial.reports == clf.history_["loss"]
    assert clf.callbacks_[0].trial is trial
    assert (clf.callbacks_[0].seen, callback.seen) == (2, 0)
    assert clf.callbacks_[0].model is callback.model is None


def test_a_callback_without_super_init_works_as_in_keras(X, Y):
    run = []
    clf = KerasMultiLabelClassifier(callbacks=[WithoutInit(run)], **TINY).fit(X, Y)
    clf.fit(X, Y)
    assert len(run) == 2
    assert clf.callbacks_[0].model is None


def test_a_callback_of_keras_is_deep_copied(X, Y):
    history = keras.callbacks.History()
    history.history = {"loss": []}
    clf = KerasMultiLabelClassifier(callbacks=history, **TINY).fit(X, Y)
    assert history.history == {"loss": []}
    assert clf.callbacks_[0].history["loss"] == clf.history_["loss"]
