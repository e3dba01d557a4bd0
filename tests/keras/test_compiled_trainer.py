import _thread
import signal
import threading
import time

import keras
import numpy as np
import pytest
from scipy import sparse

import skml
from estimators import tiny
from skml import KerasMultiLabelClassifier
from skml._keras import _predictor
from skml._keras._compiled_trainer import CompiledTrainer, RoundCallback
from skml._keras._pool import pool
from skml._keras._rows import Data, Rows
from skml._keras._serialization import copy_model
from skml._keras_models._losses import MultiLabelCrossentropy
from skml._training._config import TrainingConfig


@pytest.fixture
def _empty_pool():
    skml.clear_cache()
    yield
    skml.clear_cache()


def full_model(sparse_input=False):
    """Batch normalisation, seeded dropout, two metrics and a regulariser, compiled."""
    inputs = keras.Input((6,), sparse=sparse_input)
    hidden = keras.layers.Dense(8, "relu", kernel_regularizer="l2")(inputs)
    hidden = keras.layers.BatchNormalization()(hidden)
    hidden = keras.layers.Dropout(0.3, seed=7)(hidden)
    model = keras.Model(inputs, keras.layers.Dense(3, "sigmoid")(hidden))
    metrics = [keras.metrics.BinaryAccuracy(), keras.metrics.AUC(name="auc")]
    model.compile(keras.optimizers.AdamW(0.01), MultiLabelCrossentropy([1.0, 2.0, 3.0]), metrics=metrics)
    return model


@pytest.fixture(scope="module")
def arrays():
    """103 rows, so that the last batch of 32 is a partial one."""
    rng = np.random.RandomState(0)
    X = rng.randn(103, 6).astype(np.float32)
    Y = (X[:, :3] + rng.randn(103, 3) > 0).astype(np.uint8)
    return X, Y, rng.rand(103).astype(np.float32)


def fit_trainer(trainer, data, validation=None):
    """Train on all rows, as `fit_by_keras` does; return the history."""
    rows = np.arange(data.X.n_rows, dtype=np.int32)
    return trainer.fit(data, rows, order_of, validation, TrainingConfig(3, 32), [])


def order_of(rows, epoch):
    return np.random.RandomState(epoch).permutation(rows)


def data_of(X, Y, weight, sparse_batches=False):
    weight = None if weight is None else Rows(weight, "float32")
    return Data(Rows(X, "float32", sparse_batches), Rows(Y, "float32"), weight)


def fit_by_keras(model, X, Y, weight, validation=None, epochs=3):
    """Train by ``Model.fit`` in the same orders of rows."""
    rows, logs = np.arange(len(X), dtype=np.int32), []
    for epoch in range(epochs):
        order = order_of(rows, epoch)
        history = model.fit(
            X[order],
            Y[order],
            sample_weight=None if weight is None else weight[order],
            batch_size=32,
            shuffle=False,
            verbose=0,
            validation_data=validation,
            validation_batch_size=len(X),
        )
        logs.append(history.history)
    return {name: [entry[name][0] for entry in logs] for name in logs[0]}


@pytest.mark.parametrize("weighted", [False, True])
def test_training_is_bitwise_that_of_keras(weighted, arrays, monkeypatch):
    X, Y, weight = arrays
    weight = weight if weighted else None
    looped = full_model()
    by_keras, twin = copy_model(looped), copy_model(looped)
    expected = fit_by_keras(twin, X, Y, weight, (X, Y, weight) if weighted else (X, Y))
    data = data_of(X, Y, weight)
    for model in (looped, by_keras):
        trainer = CompiledTrainer(model, data.layouts)
        history = fit_trainer(trainer, data, (data, [np.arange(103, dtype=np.int32)]))
        for ours, theirs in zip(model.get_weights(), twin.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        for name, values in expected.items():
            if model is looped or not name.startswith("val_"):  # validation in batches rounds differently
                assert history[name] == values, name
        monkeypatch.setattr(CompiledTrainer, "_reason_against_loop", lambda *_: "the test wants it")


def test_sparse_rows_train_as_dense_ones(arrays):
    X, Y, weight = arrays
    X = np.where(np.abs(X) > 1, X, 0)
    results = []
    for x, y, sparse_batches in [
        (X, Y, False),
        (sparse.csr_array(X), sparse.csr_array(Y), False),
        (sparse.csr_array(X), sparse.csr_array(Y), True),
    ]:
        model = full_model(sparse_batches)
        model.set_weights(results[0][0] if results else model.get_weights())
        start = model.get_weights()
        data = data_of(x, y, weight, sparse_batches)
        fit_trainer(CompiledTrainer(model, data.layouts), data)
        results.append((start, model.get_weights()))
    for _, weights in results[1:]:
        for ours, dense in zip(weights, results[0][1], strict=True):
            np.testing.assert_allclose(ours, dense, atol=1e-5)


@pytest.mark.usefixtures("_empty_pool")
def test_a_fit_of_the_same_kind_uses_the_same_trace(X, Y, monkeypatch):
    trainers = []
    make = CompiledTrainer.__init__

    def counted(self, *args, **kwargs):
        trainers.append(self)
        make(self, *args, **kwargs)

    monkeypatch.setattr(CompiledTrainer, "__init__", counted)
    tiny(epochs=2).fit(X, Y)
    other = {"epochs": 3, "learning_rate": 0.1, "batch_size": 16, "random_state": 5, "hidden_layer_sizes": (8,)}
    KerasMultiLabelClassifier(**other).fit(X[:50], Y[:50])
    assert len(trainers) == 1
    tiny(epochs=2, optimizer="sgd").fit(X, Y)
    assert len(trainers) == 2


def build(meta, units=8):
    hidden = keras.layers.Dense(units, "relu")
    output_layer = keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])
    return keras.Sequential([hidden, keras.layers.BatchNormalization(), keras.layers.Dropout(0.2), output_layer])


@pytest.mark.usefixtures("_empty_pool")
@pytest.mark.parametrize("model", [None, build])
def test_a_used_trace_gives_the_results_of_a_new_one(model, X, Y):
    def fit():
        clf = tiny(model, epochs=3).fit(X, Y)
        return clf.predict_proba(X)

    fresh = fit()
    tiny(model, epochs=4, learning_rate=0.3, random_state=None).fit(X[:40], Y[:40])
    np.testing.assert_array_equal(fit(), fresh)


@pytest.mark.parametrize("model", [None, build])
def test_a_fit_changes_no_other_estimator(model, X, Y):
    first = tiny(model, epochs=3).fit(X, Y)
    before = first.predict_proba(X)
    weights = first.to_keras().get_weights()
    second = tiny(model, epochs=5, random_state=1).fit(X, 1 - Y)
    second.predict_proba(X)
    np.testing.assert_array_equal(first.predict_proba(X), before)
    for now, then in zip(first.to_keras().get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)


class Weighted(keras.losses.Loss):
    def __init__(self, weights):
        super().__init__()
        self.weights = weights

    def call(self, y_true, y_pred):
        return keras.ops.mean((y_true - y_pred) ** 2 * np.asarray(self.weights, "float32"), axis=-1)


def test_code_of_the_user_is_traced_anew(X, Y):
    first = tiny(loss=Weighted([1, 1, 1]), epochs=3).fit(X, Y)
    second = tiny(loss=Weighted([9, 0, 1]), epochs=3).fit(X, Y)
    assert np.abs(first.predict_proba(X) - second.predict_proba(X)).max() > 1e-4


class Forgetful(keras.layers.Layer):
    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return x * self.factor

    def get_config(self):
        return super().get_config()


@pytest.mark.filterwarnings("ignore:The fitted estimator can predict")
def test_a_network_is_trained_as_it_was_built(X, Y):
    def builder(meta):
        return keras.Sequential([keras.Input((5,)), Forgetful(0.0), keras.layers.Dense(3, "sigmoid")])

    clf = KerasMultiLabelClassifier(builder, epochs=3).fit(X, Y)
    proba = clf.predict_proba(X).astype(float)
    assert np.ptp(proba, axis=0).max() == 0
    entries = -np.where(Y, np.log(proba), np.log(1 - proba))
    assert abs(entries.mean() - clf.history_["loss"][-1]) < 0.05


@pytest.mark.filterwarnings("ignore:The fitted estimator can predict")
def test_a_patched_train_step_is_called(X, Y):
    calls = []

    def builder(meta):
        model = build(meta)
        original = model.train_step

        def train_step(data):
            calls.append(data)
            return original(data)

        model.train_step = train_step
        return model

    KerasMultiLabelClassifier(builder, epochs=1).fit(X, Y)
    assert calls


def test_frozen_variables_stay_frozen_and_do_not_mix(X, Y):
    def frozen(meta):
        model = build(meta)
        model.build((None, 5))
        model.layers[0].kernel.trainable = False
        return model

    free = KerasMultiLabelClassifier(build, epochs=2, random_state=0).fit(X, Y)
    clf = KerasMultiLabelClassifier(frozen, epochs=2, random_state=0).fit(X, Y)
    more = KerasMultiLabelClassifier(frozen, epochs=9, random_state=0).fit(X, Y)
    np.testing.assert_array_equal(clf.to_keras().layers[0].kernel.numpy(), more.to_keras().layers[0].kernel.numpy())
    assert np.abs(clf.to_keras().layers[0].kernel.numpy() - free.to_keras().layers[0].kernel.numpy()).max() > 1e-4
    clf.to_keras().trainable = False
    np.testing.assert_allclose(clf.predict_proba(X), clf.to_keras().predict(X, verbose=0), atol=1e-6)


@pytest.mark.usefixtures("_empty_pool")
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_a_strategy_trains_and_leaves_no_trace_behind(container, X, Y):
    import tensorflow as tf

    options = {"dropout": 0.0}
    before = tiny(**options).fit(container(X), Y).predict_proba(X)
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        inside = tiny(**options).fit(container(X), Y).predict_proba(X)
    after = tiny(**options).fit(container(X), Y).predict_proba(X)
    np.testing.assert_array_equal(before, after)
    np.testing.assert_allclose(inside, before, atol=1e-5)


def test_a_custom_network_trained_under_a_strategy_predicts(X, Y):
    import tensorflow as tf

    from custom import network

    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        clf = KerasMultiLabelClassifier(network, epochs=2, random_state=0).fit(X, Y)
    np.testing.assert_allclose(clf.predict_proba(X), clf.to_keras().predict(X, verbose=0), atol=1e-6)


def test_the_dtype_policy_of_keras_leaves_no_trace_behind(X, Y):
    before = KerasMultiLabelClassifier(build, epochs=2, random_state=0).fit(X, Y).predict_proba(X)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = KerasMultiLabelClassifier(build, epochs=2, random_state=0).fit(X, Y).predict_proba(X)
    finally:
        keras.config.set_dtype_policy("float32")
    after = KerasMultiLabelClassifier(build, epochs=2, random_state=0).fit(X, Y).predict_proba(X)
    np.testing.assert_array_equal(before, after)
    assert np.abs(mixed - after).max() > 0


@pytest.mark.usefixtures("_empty_pool")
def test_clear_cache_empties_everything(X, Y):
    KerasMultiLabelClassifier(build, epochs=1).fit(X, Y).predict(X)
    assert pool._idle
    assert _predictor._predictors
    skml.clear_cache()
    assert not pool._idle
    assert not _predictor._predictors


class Eager(keras.Model):
    def __init__(self):
        super().__init__()
        self.output_layer = keras.layers.Dense(3, "sigmoid")

    def call(self, x):
        return self.output_layer(x)


def eager(meta):
    model = Eager()
    model.compile("adam", "binary_crossentropy", run_eagerly=True)
    return model


@pytest.mark.filterwarnings("ignore:The fitted estimator can predict")
def test_models_that_cannot_be_looped_fall_back_and_say_so(X, Y, capsys):
    clf = KerasMultiLabelClassifier(eager, epochs=2, verbose=2).fit(X, Y)
    assert "compiled with run_eagerly=True" in capsys.readouterr().out
    assert clf.n_iter_ == 2


def test_a_custom_train_step_is_used(X, Y):
    clf = KerasMultiLabelClassifier(frozen, epochs=2, random_state=0).fit(X, Y)
    assert clf.history_["loss"] == [42.0, 42.0]


class Frozen(keras.Model):
    def train_step(self, data):
        return {"loss": keras.ops.convert_to_tensor(42.0)}

    def get_metrics_result(self):
        return {"loss": keras.ops.convert_to_tensor(42.0)}


def frozen(meta):
    inputs = keras.Input((meta["n_features_in_"],))
    return Frozen(inputs, keras.layers.Dense(3, "sigmoid")(inputs))


@pytest.fixture
def _interruptible():
    """Python's handler of Ctrl-C, which is not there in a process that was started with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_ctrl_c_stops_soon_and_keeps_the_fitted_state(X, Y):
    clf = tiny(epochs=2).fit(X, Y)
    before = clf.predict_proba(X)
    state = dict(vars(clf))
    rng = np.random.RandomState(0)
    big = rng.randn(300_000, 50).astype(np.float32)
    labels = (big[:, :10] > 0).astype(np.uint8)
    clf.set_params(epochs=100, early_stopping=False, batch_size=32)
    state |= {"epochs": 100, "early_stopping": False, "batch_size": 32}
    stopped = threading.Timer(1.0, _thread.interrupt_main)
    began = time.perf_counter()
    stopped.start()
    with pytest.raises(KeyboardInterrupt):
        clf.fit(big, labels)
    assert time.perf_counter() - began < 1.0 + 2.0
    assert vars(clf) == state
    np.testing.assert_array_equal(clf.predict_proba(X), before)


def test_xla_trains_to_the_same_weights(X, Y):
    params = {"epochs": 2, "dropout": 0.0, "input_dropout": 0.0}
    plain = tiny(**params).fit(X, Y)
    compiled = tiny(jit_compile=True, **params).fit(X, Y)
    np.testing.assert_allclose(compiled.predict_proba(X), plain.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_other_networks_predict_as_keras_does_in_chunks(container, X, Y, monkeypatch):
    clf = KerasMultiLabelClassifier(build, epochs=2).fit(X, Y)
    expected = clf.to_keras().predict(X, verbose=0)
    np.testing.assert_allclose(clf.predict_proba(container(X)), expected, atol=1e-6)
    monkeypatch.setattr(_predictor, "BLOCK_ENTRIES", 5 * 7)
    np.testing.assert_allclose(clf.predict_proba(container(X)), expected, atol=1e-6)


def test_resident_memory_does_not_grow_with_the_number_of_fits(run_python):
    grown = run_python(
        """
import numpy as np, resource
from skml import KerasMultiLabelClassifier as Classifier
rng = np.random.RandomState(0)
X = rng.randn(60, 5); Y = (X[:, :3] > 0).astype(int)
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 1e6
for i in range(50):
    Classifier(hidden_layer_sizes=(8,), epochs=2, early_stopping=False).fit(X, Y).predict(X)
    if i == 19:
        before = resident()
print(resident() - before)
""",
        imported="keras",
    )
    assert float(grown) < 10


class Followed(RoundCallback):
    """Notes the loss of each round, and may stop training after some."""

    def __init__(self, n_rounds=None):
        super().__init__()
        self.losses = []
        self._n_rounds = n_rounds

    def on_epoch_end(self, epoch, logs=None):
        self.losses.append((logs["loss"], logs["val_loss"]))
        if len(self.losses) == self._n_rounds:
            self.model.stop_training = True


def test_rounds_of_an_epoch_make_the_same_updates_and_are_followed(arrays):
    X, Y, weight = arrays
    whole = full_model()
    divided, stopped = copy_model(whole), copy_model(whole)
    data = data_of(X, Y, weight)
    rows = np.arange(103, dtype=np.int32)
    validation = data, [rows]
    expected = fit_trainer(CompiledTrainer(whole, data.layouts), data, validation)
    followed, config = Followed(), TrainingConfig(3, 32, round_steps=2)  # batches of 32, 32 | 32, 7 rows
    trainer = CompiledTrainer(divided, data.layouts)
    history = trainer.fit(data, rows, order_of, validation, config, [followed])
    for ours, theirs in zip(divided.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert history["val_loss"] == expected["val_loss"] == [val_loss for _, val_loss in followed.losses[1::2]]
    means = [np.mean([loss for loss, _ in followed.losses[i : i + 2]]) for i in (0, 2, 4)]
    np.testing.assert_allclose(history["loss"], means, rtol=1e-6)
    before, followed = followed.losses, Followed(n_rounds=3)
    history = CompiledTrainer(stopped, data.layouts).fit(data, rows, order_of, validation, config, [followed])
    assert followed.losses[:3] == before[:3]
    assert history["val_loss"] == [before[1][1], before[2][1]]  # the second epoch ends after its first round


def test_an_iterator_gives_the_data_of_each_epoch(arrays):
    X, Y, weight = arrays
    by_parts = full_model()
    twin = copy_model(by_parts)
    parts = [data_of(X[i : i + 40], Y[i : i + 40], weight[i : i + 40]) for i in (0, 40)]

    class Feed:
        n_rows = 40

        def __next__(self):
            return parts.pop(0)

    layouts = parts[0].layouts
    CompiledTrainer(by_parts, layouts).fit(Feed(), None, order_of, None, TrainingConfig(2, 32), [])
    for epoch, start in enumerate((0, 40)):
        index = start + order_of(np.arange(40), epoch)
        twin.fit(X[index], Y[index], sample_weight=weight[index], batch_size=32, shuffle=False, verbose=0)
    for ours, theirs in zip(by_parts.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
