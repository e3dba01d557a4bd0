"""Sparse X: automatic settings, a first kernel that is updated by unit and by used rows, rows without a value."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from skml import KerasMultiLabelClassifier
from skml._default_network._auto import (
    DENSE,
    SPARSE_FREQUENT,
    SPARSE_FREQUENT_FEW,
    SPARSE_LONG,
    SPARSE_LONG_FEW,
    SPARSE_SHORT,
    auto_settings,
)
from skml._keras._sparse_ops import product, used_columns
from skml._keras_models._layers import RowDropout, SparseInputDense
from skml._keras_models._optimizer import FusedAdam

DEFAULT = {"model": None, "jit_compile": False}


def rows_of(n_rows, n_columns, per_row, seed=0):
    rng = np.random.RandomState(seed)
    columns = np.concatenate([rng.choice(n_columns, per_row, replace=False) for _ in range(n_rows)])
    values = rng.uniform(0.1, 1, len(columns)).astype(np.float32)
    return sparse.csr_array((values, columns, np.arange(0, len(columns) + 1, per_row)), shape=(n_rows, n_columns))


def tensor_of(X):
    entries = X.tocoo()
    indices = np.stack([entries.row, entries.col], axis=1).astype(np.int64)
    return tf.sparse.reorder(tf.SparseTensor(indices, entries.data, X.shape))


@pytest.mark.parametrize(
    ("X", "settings"),
    [
        (rows_of(200, 3000, 8), SPARSE_SHORT),
        (rows_of(200, 3000, 40), SPARSE_LONG_FEW),
        (rows_of(500, 3000, 40), SPARSE_LONG_FEW),
        (rows_of(4000, 3000, 40), SPARSE_LONG),
        (rows_of(200, 500, 40), SPARSE_FREQUENT_FEW),
        (rows_of(1000, 500, 40), SPARSE_FREQUENT),
        (rows_of(200, 100, 40), DENSE),
        (np.ones((200, 30)), DENSE),
        (sparse.csr_array((200, 30)), DENSE),
    ],
)
def test_the_settings_follow_from_the_data(X, settings):
    assert auto_settings(DEFAULT, X) is settings


def test_rows_of_weight_0_do_not_change_the_settings():
    X = sparse.vstack([rows_of(200, 3000, 8), rows_of(300, 3000, 40)], format="csr")
    assert auto_settings(DEFAULT, X) is SPARSE_LONG_FEW
    assert auto_settings(DEFAULT, X, np.repeat([1.0, 0.0], [200, 300])) is SPARSE_SHORT


def test_products_and_their_gradients_are_those_of_dense_matrices():
    X, kernel = rows_of(7, 30, 4), tf.Variable(np.random.RandomState(0).randn(30, 5).astype(np.float32))
    with tf.GradientTape() as tape:
        columns, used = used_columns(tensor_of(X))
        outputs = product(used, tf.gather(kernel, columns))
        loss = tf.reduce_sum(outputs**2)
    gradient = tape.gradient(loss, kernel)
    np.testing.assert_allclose(outputs, X @ kernel.numpy(), rtol=1e-5, atol=1e-6)
    assert isinstance(gradient, tf.IndexedSlices)
    assert set(gradient.indices.numpy().tolist()) == set(X.indices.tolist())
    by_hand = 2 * X.T @ (X @ kernel.numpy())
    np.testing.assert_allclose(tf.convert_to_tensor(gradient), by_hand, rtol=1e-4, atol=1e-5)


def test_an_update_by_unit_is_that_of_a_hand_computation_and_leaves_unused_rows_alone():
    X, rng = rows_of(6, 40, 3), np.random.RandomState(0)
    layer = SparseInputDense(2, 3)
    layer.build((None, 40))
    start = rng.randn(40, 2, 3).astype(np.float32)
    layer.kernel.assign(start)
    optimizer = FusedAdam(learning_rate=0.01)
    optimizer.build([layer.kernel])
    kernel, second = start.astype(np.float64), np.zeros((2, 3))
    for step in (1, 2, 3):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(tensor_of(X)) ** 2)
        optimizer.apply(tape.gradient(loss, [layer.kernel]), [layer.kernel])
        flat = kernel.reshape(40, 6)
        gradient = (2 * X.T @ (X @ flat)).reshape(40, 2, 3)
        second = 0.999 * second + 0.001 * (gradient**2).mean(axis=0)
        kernel = kernel - 0.01 * gradient / np.sqrt(second / (1 - 0.999**step))
    np.testing.assert_allclose(layer.kernel.numpy(), kernel, rtol=1e-3, atol=1e-4)
    unused = np.setdiff1d(np.arange(40), X.indices)
    np.testing.assert_array_equal(layer.kernel.numpy()[unused], start[unused])
    assert sum(int(np.prod(v.shape)) for v in optimizer.variables) < 10  # no variable is as large as the kernel


def test_a_variable_may_have_a_multiple_of_the_learning_rate():
    ours, theirs = (keras.Variable(np.zeros(3), dtype="float32") for _ in range(2))
    ours.rate_factor = 30
    optimizer, reference = FusedAdam(learning_rate=0.001), keras.optimizers.Adam(learning_rate=0.03)
    for step in range(5):
        gradient = tf.constant([0.1 * step, -2.0, 1e-3])
        optimizer.apply([gradient], [ours])
        reference.apply([gradient], [theirs])
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5)


def test_biases_of_a_linear_network_get_to_the_base_rates_in_few_updates():
    X, rng = rows_of(1000, 300, 20), np.random.RandomState(0)
    Y = (rng.uniform(size=(1000, 4)) < [0.01, 0.02, 0.05, 0.1]).astype(int)
    params = {"hidden_layer_sizes": (), "n_members": 1, "epochs": 3, "early_stopping": False, "random_state": 0}
    bias = KerasMultiLabelClassifier(**params).fit(X, Y).trained_network().weights[1]
    assert (bias < -1).all()  # 96 updates of Adam with the learning rate of the kernel would move them by 0.1
    bias = KerasMultiLabelClassifier(learning_rate=1e-3, **params).fit(X, Y).trained_network().weights[1]
    assert (np.abs(bias) <= 0.1).all()  # the user's learning rate is not multiplied
    # Biases of fewer rows start at the log-odds and move slowly, by a trainer of their own.
    few = KerasMultiLabelClassifier(**params).fit(X[:999], Y[:999]).trained_network().weights[1]
    base = Y[:999].mean(axis=0)
    np.testing.assert_allclose(few, np.log(base / (1 - base)), atol=0.1)


def test_rare_and_frequent_columns_differ_in_how_far_they_move():
    rng = np.random.RandomState(0)
    X = sparse.csr_array((rng.uniform(size=(400, 300)) < 0.02).astype(np.float32))
    rare = X[:, [0]].toarray()[:, 0] > 0
    X = sparse.hstack([X, sparse.csr_array((rng.uniform(size=(400, 1)) < 0.5).astype(np.float32))], format="csr")
    Y = np.stack([rare, X[:, [300]].toarray()[:, 0] > 0], axis=1).astype(int)
    clf = KerasMultiLabelClassifier(n_members=1, hidden_layer_sizes=8, epochs=3, early_stopping=False, random_state=0)
    kernel = clf.fit(X, Y).trained_network().weights[0]
    before = (
        KerasMultiLabelClassifier(
            n_members=1, hidden_layer_sizes=8, epochs=1, learning_rate=1e-12, early_stopping=False, random_state=0
        )
        .fit(X, Y)
        .trained_network()
        .weights[0]
    )
    moved = np.abs(kernel - before).mean(axis=1)
    assert moved[300] > 3 * np.median(moved[:300])


def test_some_rows_are_set_to_0_in_training_and_none_in_prediction():
    X = tensor_of(rows_of(4000, 50, 5))
    layer = RowDropout(0.25)
    assert layer(X) is X
    left = tf.sparse.reduce_sum(layer(X, training=True), axis=1).numpy()
    assert 0.2 < np.mean(left == 0) < 0.3
    np.testing.assert_allclose(left[left > 0], tf.sparse.reduce_sum(X, axis=1).numpy()[left > 0], rtol=1e-6)


@pytest.mark.parametrize("per_row", [8, 40])
def test_a_row_without_a_value_gets_about_the_base_rates(per_row):
    rng = np.random.RandomState(0)
    X = rows_of(1500, 4000, per_row)
    Y = np.asarray(X @ rng.randn(4000, 6) > np.array([1.0, 1.5, 2.0, 2.5, 3.0, 0.5]) * np.sqrt(per_row) / 2).astype(int)
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=32, random_state=0, calibrate=False).fit(X, Y)
    empty = clf.predict_proba(sparse.csr_array((1, 4000), dtype=np.float32))[0]
    assert np.abs(empty - Y.mean(axis=0)).mean() < 0.04


def test_the_keras_model_and_the_arrays_agree_on_sparse_rows():
    X = rows_of(300, 1000, 8)
    Y = np.asarray(X @ np.random.RandomState(0).randn(1000, 3) > 0).astype(int)
    clf = KerasMultiLabelClassifier(epochs=2, random_state=0).fit(X, Y)
    np.testing.assert_allclose(clf.to_keras().predict(X.toarray(), verbose=0), clf.predict_proba(X), atol=1e-6)
    np.testing.assert_allclose(clf.predict_proba(X.toarray()), clf.predict_proba(X), atol=1e-6)


def test_sparse_training_resumes_after_a_pickle():
    import pickle

    X = rows_of(300, 1000, 8)
    Y = np.asarray(X @ np.random.RandomState(0).randn(1000, 3) > 0).astype(int)
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=8, random_state=0).partial_fit(X, Y)
    loaded = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(loaded.partial_fit(X, Y).predict_proba(X), clf.partial_fit(X, Y).predict_proba(X))


def test_other_optimizers_train_sparse_rows_too():
    X = rows_of(300, 1000, 8)
    Y = np.asarray(X @ np.random.RandomState(0).randn(1000, 3) > 0).astype(int)
    for optimizer in ("sgd", keras.optimizers.RMSprop(1e-3)):
        clf = KerasMultiLabelClassifier(optimizer=optimizer, hidden_layer_sizes=8, epochs=3, random_state=0).fit(X, Y)
        assert np.isfinite(clf.history_["loss"]).all()
