"""The default network: an ensemble whose members are trained on different folds."""

import pickle

import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse
from scipy.special import expit
from sklearn.metrics import f1_score, log_loss

from estimators import SMALL
from skml import KerasMultiLabelClassifier
from skml._decisions._tuning import tune
from skml._default_network._initial_weights import initial_weights
from skml._default_network._network import DenseNetwork
from skml._training import _split


@pytest.fixture
def fixed_folds(monkeypatch):
    """Fold i % 4 for row i, whatever the labels are."""
    monkeypatch.setattr(_split, "folds", lambda rows, Y, n_members, random_state, *_: np.arange(Y.shape[0]) % n_members)


def network_of(widths, n_members, is_sparse=False, output_activation="sigmoid"):
    rng = np.random.RandomState(0)
    weights = [weight + 0.1 for weight in initial_weights(widths, rng, np.float32, n_members)]
    shift = None if is_sparse else rng.randn(widths[0])
    return DenseNetwork(
        weights, "relu", output_activation, n_members, shift, rng.rand(widths[0]) + 0.5, 0.5, 0.3, is_sparse
    )


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("output_activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("widths", [[7, 16, 16, 4], [7, 8, 6, 6, 4], [7, 8, 4], [7, 4]])
@pytest.mark.parametrize("n_members", [1, 3])
def test_forward_pass_is_that_of_keras(n_members, widths, output_activation, is_sparse):
    import tensorflow as tf

    from skml._keras._rows import batch_of
    from skml._keras_models._ensemble import rebuild
    from skml._keras_models._layers import probabilities

    network = network_of(widths, n_members, is_sparse, output_activation)
    X = np.random.RandomState(1).randn(30, 7).astype(np.float32)
    X = sparse.csr_array(np.where(X > 0, X, 0)) if is_sparse else X
    model = rebuild(network)
    batch = batch_of(X, model)
    np.testing.assert_allclose(network.proba(X), model(batch, training=False), atol=1e-6)
    link = expit if output_activation == "sigmoid" else np.exp
    np.testing.assert_allclose(link(network.log_proba(X)), network.proba(X), atol=1e-6)
    if n_members > 1:
        members = [network.take([j]).proba(X) for j in range(3)]
        np.testing.assert_allclose(np.mean(members, axis=0), network.proba(X), atol=1e-6)
        alone = probabilities(model._logits_of_fold(batch, tf.constant(2)), output_activation)
        np.testing.assert_allclose(alone, members[2], atol=1e-6)


def test_sparse_and_dense_rows_are_predicted_alike():
    network = network_of([7, 6, 6, 4], 3)
    X = np.random.RandomState(1).randn(30, 7).astype(np.float32)
    np.testing.assert_allclose(network.proba(sparse.csr_array(X)), network.proba(X), atol=1e-6)


@pytest.mark.usefixtures("fixed_folds")
def test_a_member_is_not_trained_on_its_fold(X, Y):
    changed = Y.copy()
    changed[::4] = 1 - changed[::4]  # fold 0, all its labels wrong
    one, other = (
        KerasMultiLabelClassifier(**SMALL, early_stopping=False).fit(X, y).trained_network() for y in (Y, changed)
    )
    for j in range(4):
        same = [np.array_equal(a, b) for a, b in zip(one.take([j]).weights, other.take([j]).weights, strict=True)]
        assert all(same) if j == 0 else not any(same)


@pytest.mark.usefixtures("fixed_folds")
def test_out_of_fold_probabilities_come_from_the_member_not_trained_on_the_row(X, Y):
    clf = KerasMultiLabelClassifier(**SMALL).fit(X, Y)
    for j in range(4):
        np.testing.assert_array_equal(clf.oof_proba_[j::4], clf.trained_network().take([j]).proba(X[j::4]))


def test_early_stopping_uses_the_out_of_fold_loss_and_keeps_the_last_good_epoch(X, Y):
    params = {**SMALL, "epochs": 200, "learning_rate": 0.02, "dropout": 0.0, "input_dropout": 0.0}
    clf = KerasMultiLabelClassifier(**params, n_iter_no_change=3).fit(X, Y)
    losses = np.array(clf.history_["val_loss"])
    good = losses <= 1.02 * np.minimum.accumulate(losses)
    last = np.flatnonzero(good)[-1]
    assert clf.n_iter_ == last + 4 < 200
    expected = np.mean([log_loss(Y[:, j], clf.oof_proba_[:, j]) for j in range(3)])
    np.testing.assert_allclose(losses[last], expected, rtol=1e-4)


def test_a_member_is_trained_as_it_would_be_alone(X, Y):
    """Without dropout, and with all rows for all members, as in partial_fit."""
    import keras

    from skml._keras_models._ensemble import rebuild

    params = {**SMALL, "dropout": 0.0, "input_dropout": 0.0, "optimizer": "sgd", "batch_size": 128}
    params |= {"scale": "standard", "inputs": "auto"}  # the same for all members
    clf = KerasMultiLabelClassifier(**params).partial_fit(X, Y)
    start = clf.trained_network()
    clf.partial_fit(X, Y)
    # partial_fit also updates the scaling, so that the single member has to get the new one.
    for j in range(4):
        alone = DenseNetwork(
            start.take([j]).weights,
            "relu",
            "sigmoid",
            shift=clf.trained_network().shift,
            scale=clf.trained_network().scale,
        )
        model = rebuild(alone)
        model.compile(keras.optimizers.SGD(), "binary_crossentropy")
        model.fit(X, Y, batch_size=128, verbose=0)
        trained = clf.trained_network().take([j]).weights
        for variable, weight in zip(model.trainable_variables, trained, strict=True):
            np.testing.assert_allclose(variable.numpy(), weight.reshape(variable.shape), atol=1e-6)


def test_fused_adam_is_keras_adam():
    import keras

    from skml._keras_models._optimizer import use_fused_adam

    values = []
    for wrap in (lambda optimizer: optimizer, use_fused_adam):
        variable = keras.Variable(np.linspace(-1, 1, 5, dtype=np.float32))
        optimizer = wrap(keras.optimizers.Adam(0.1, beta_1=0.8, weight_decay=0.01, clipnorm=1.0))
        optimizer.build([variable])
        for step in range(5):
            optimizer.apply([keras.ops.cos(variable.value * step)], [variable])
        values.append(variable.numpy())
    np.testing.assert_allclose(*values, atol=1e-5)
    amsgrad = keras.optimizers.Adam(amsgrad=True)
    assert use_fused_adam(amsgrad) is amsgrad


def test_the_looped_epoch_is_keras_own_loop(X, Y):
    import keras

    batches = []
    hook = keras.callbacks.LambdaCallback()
    hook.on_train_batch_end = lambda batch, logs: batches.append(batch)
    looped = KerasMultiLabelClassifier(**SMALL, batch_size=32).fit(X, Y, sample_weight=np.arange(80.0))
    by_keras = KerasMultiLabelClassifier(**SMALL, batch_size=32, callbacks=hook).fit(
        X, Y, sample_weight=np.arange(80.0)
    )
    assert len(batches) == 5 * 3
    np.testing.assert_array_equal(looped.predict_proba(X), by_keras.predict_proba(X))
    np.testing.assert_allclose(looped.history_["val_loss"], by_keras.history_["val_loss"], rtol=1e-6)


class Watch:
    """Returns a callback that keeps the outputs of the model after each epoch."""

    def __new__(cls, X):
        import keras

        class Callback(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                self.answer = self.model(X, training=False).numpy()

        return Callback()


def test_callbacks_see_averaged_probabilities_and_metrics_get_them(X, Y):
    watch = Watch(X.astype(np.float32))
    clf = KerasMultiLabelClassifier(**SMALL, metrics=["mae"], callbacks=watch, calibrate=False).fit(X, Y)
    losses = np.array(clf.history_["val_loss"])
    assert losses[-1] <= 1.02 * losses.min()  # the last epoch is the one that is kept
    np.testing.assert_allclose(clf.callbacks_[0].answer, clf.predict_proba(X), atol=1e-6)
    np.testing.assert_allclose(clf.history_["val_mae"][-1], np.abs(Y - clf.oof_proba_).mean(), rtol=1e-4)


@pytest.mark.parametrize("change", [{"warm_start": True}, {"n_members": 1}])
def test_there_are_no_folds_without_members_or_with_warm_start(change, X, Y):
    clf = KerasMultiLabelClassifier(**{**SMALL, **change}).fit(X, Y)
    assert not hasattr(clf, "oof_proba_")


def test_few_rows_train_all_members_without_folds(X, Y):
    clf = KerasMultiLabelClassifier(**SMALL).fit(X[:15], Y[:15])
    assert clf.trained_network().n_members == 4
    assert not hasattr(clf, "oof_proba_")
    assert clf.n_iter_ == 5


def test_rows_of_no_weight_are_in_no_fold_and_predicted_by_all(X, Y):
    weight = np.r_[np.zeros(10), np.ones(70)]
    clf = KerasMultiLabelClassifier(**SMALL).fit(X, Y, sample_weight=weight)
    np.testing.assert_allclose(clf.oof_proba_[:10], clf.predict_proba(X)[:10], atol=1e-6)
    assert np.abs(clf.oof_proba_[10:] - clf.predict_proba(X)[10:]).min(axis=1).max() > 1e-3
    noise = np.where(weight[:, None] == 0, 1 - Y, Y)
    other = KerasMultiLabelClassifier(**SMALL).fit(X, noise, sample_weight=weight)
    np.testing.assert_array_equal(clf.predict_proba(X), other.predict_proba(X))


def test_out_of_fold_probabilities_have_a_column_for_each_class(X, Y):
    y = Y[:, 0] + Y[:, 1]
    for target, width in ((Y[:, 0], 2), (y, 3)):
        proba = KerasMultiLabelClassifier(**SMALL).fit(X, target).oof_proba_
        assert proba.shape == (80, width)
        np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)


def test_sparse_rows_and_targets_train_alike(X, Y):
    X = np.where(X > 0, X, 0)
    one = KerasMultiLabelClassifier(**SMALL).fit(sparse.csr_array(X), Y)
    other = KerasMultiLabelClassifier(**SMALL).fit(sparse.csr_array(X), sparse.csr_array(Y))
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_rows_sparse_enough_train_as_sparse_batches(Y):
    X = sparse.random_array((80, 300), density=0.005, rng=0, format="csr") + sparse.csr_array((80, 300))
    clf = KerasMultiLabelClassifier(**SMALL).fit(X, Y)
    assert clf.trained_network().sparse
    X = X.tocoo()
    batch = tf.SparseTensor(np.column_stack([X.row, X.col]), X.data.astype("float32"), X.shape)
    np.testing.assert_allclose(clf.predict_proba(X), clf.to_keras()(tf.sparse.reorder(batch)), atol=1e-6)
    assert not KerasMultiLabelClassifier(**SMALL).fit(sparse.csr_array(np.ones((80, 5))), Y).trained_network().sparse


@pytest.mark.parametrize("rule", ["f1_micro", "f1_macro"])
def test_thresholds_are_tuned_from_the_same_fit(rule, X, Y):
    clf = KerasMultiLabelClassifier(**SMALL, threshold=rule).fit(X, Y)
    np.testing.assert_array_equal(clf.threshold_, tune(Y, clf.oof_proba_, rule).rule.threshold)
    np.testing.assert_array_equal(clf.predict(X), clf.predict_proba(X) >= clf.threshold_)


def test_the_tuned_threshold_is_the_best_for_micro_f1_out_of_fold(X, Y):
    clf = KerasMultiLabelClassifier(**SMALL, threshold="f1_micro").fit(X, Y)
    scores = [f1_score(Y, clf.oof_proba_ >= t, average="micro") for t in np.unique(clf.oof_proba_)]
    np.testing.assert_allclose(f1_score(Y, clf.oof_proba_ >= clf.threshold_, average="micro"), max(scores))


def test_thresholds_are_tuned_on_a_holdout_or_given_rows_where_there_are_no_folds(X, Y):
    X, Y = np.vstack([X, X]), np.vstack([Y, Y])
    params = {**SMALL, "n_members": 1, "threshold": "f1_micro"}
    assert 0 < KerasMultiLabelClassifier(**params).fit(X, Y).threshold_ < 1
    clf = KerasMultiLabelClassifier(**params).fit(X, Y, X_val=X[:50], y_val=Y[:50])
    np.testing.assert_allclose(
        clf.threshold_, tune(Y[:50], clf.predict_proba(X[:50]), "f1_micro").rule.threshold, rtol=1e-6
    )


def test_binary_y_has_one_tuned_threshold(X, Y):
    clf = KerasMultiLabelClassifier(**SMALL, threshold="f1_macro").fit(X, Y[:, 0])
    assert isinstance(clf.threshold_, float)
    np.testing.assert_array_equal(clf.predict(X), (clf.predict_proba(X)[:, 1] >= clf.threshold_).astype(int))


def test_a_tuned_threshold_needs_held_out_rows(X, Y):
    message = "threshold='f1_micro' needs held-out predictions.*X_val and y_val"
    for params in ({"early_stopping": False}, {}):
        with pytest.raises(ValueError, match=message):
            KerasMultiLabelClassifier(n_members=1, threshold="f1_micro", **params).fit(X[:50], Y[:50])
    with pytest.raises(ValueError, match=message):
        KerasMultiLabelClassifier(threshold="f1_micro").fit(X[:11], Y[:11])
    with pytest.raises(ValueError, match=message):
        KerasMultiLabelClassifier(threshold="f1_micro").partial_fit(X, Y)


@pytest.mark.filterwarnings("ignore:Training resumes on an estimator")
def test_a_threshold_rule_that_cannot_be_tuned_any_more_needs_a_fit(X, Y):
    clf = pickle.loads(pickle.dumps(KerasMultiLabelClassifier(**SMALL, threshold="f1_micro").fit(X, Y)))
    tuned = clf.threshold_
    clf.set_params(threshold="f1_macro")
    with pytest.raises(ValueError, match=r"threshold='f1_macro'.*[Ff]it again"):
        clf.predict(X)
    assert not hasattr(clf, "threshold_")
    clf.set_params(threshold="f1_micro")
    assert clf.threshold_ == tuned
    with pytest.warns(UserWarning, match="threshold='f1_micro'"):
        assert clf.partial_fit(X, Y).threshold_ == tuned


def test_an_unknown_rule_is_refused(X, Y):
    with pytest.raises(ValueError, match=r"'f1_micro', 'f1_macro', a guarantee .*; got 'best'"):
        KerasMultiLabelClassifier(threshold="best").fit(X, Y)
    with pytest.raises(ValueError, match=r"most probable.*threshold='f1_micro'.*threshold=0.5"):
        KerasMultiLabelClassifier(threshold="f1_micro").fit(X, Y.sum(axis=1))


@pytest.mark.filterwarnings("ignore:.*too many to keep")
def test_thresholds_of_many_entries_are_tuned_on_a_part_of_the_rows(X, Y, monkeypatch):
    monkeypatch.setattr("skml._training._split._MAX_KEPT_ENTRIES", 150)
    for weight in (None, np.arange(80) % 2):  # there may be fewer rows of weight above 0 than could be kept
        clf = KerasMultiLabelClassifier(**SMALL, threshold="f1_micro").fit(X, Y, weight)
        assert not hasattr(clf, "oof_proba_")
        assert 0 < clf.threshold_ < 1


def test_training_of_an_ensemble_resumes_with_its_members(X, Y):
    clf = KerasMultiLabelClassifier(**SMALL).fit(X, Y)
    before = clf.n_iter_
    clf.partial_fit(X, Y)
    assert (clf.trained_network().n_members, clf.n_iter_) == (4, before + 1)
    assert not hasattr(clf, "oof_proba_")
    with pytest.raises(ValueError, match="n_members=4; training cannot go on with 2"):
        clf.set_params(n_members=2).partial_fit(X, Y)


def test_an_ensemble_is_saved_by_keras_and_comes_back(X, Y, tmp_path):
    import keras

    clf = KerasMultiLabelClassifier(**SMALL).fit(X, Y)
    clf.to_keras().save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(X, verbose=0), clf.predict_proba(X), atol=1e-6)


def test_the_kept_epoch_is_an_attribute(X, Y):
    params = {**SMALL, "epochs": 200, "learning_rate": 0.02, "dropout": 0.0, "input_dropout": 0.0}
    clf = KerasMultiLabelClassifier(**params, n_iter_no_change=3).fit(X, Y)
    assert clf.kept_epoch_ == clf.n_iter_ - 3
    assert KerasMultiLabelClassifier(**SMALL, early_stopping=False).fit(X, Y).kept_epoch_ == 5
    clf = KerasMultiLabelClassifier(**{**params, "n_members": 1}).fit(np.vstack([X, X]), np.vstack([Y, Y]))
    assert clf.kept_epoch_ == np.argmin(clf.history_["val_loss"]) + 1


def test_the_error_names_why_there_are_no_out_of_fold_probabilities(X, Y):
    clf = KerasMultiLabelClassifier(**{**SMALL, "n_members": 1}).fit(X, Y)
    with pytest.raises(AttributeError, match="with n_members > 1"):
        clf.oof_proba_  # noqa: B018


def test_more_members_than_folds_can_be_made_for_have_a_holdout(X, Y):
    X, Y = np.vstack([X, X]), np.vstack([Y, Y])
    clf = KerasMultiLabelClassifier(**{**SMALL, "n_members": 50, "threshold": "f1_micro"}).fit(X, Y)
    assert "val_loss" in clf.history_
    assert not hasattr(clf, "oof_proba_")


def test_a_training_that_diverges_is_refused(X, Y):
    with pytest.raises(ValueError, match="Training diverged"):
        KerasMultiLabelClassifier(**{**SMALL, "learning_rate": 1e30}).fit(X, Y)


def test_class_weight_does_not_weigh_the_f1_that_is_tuned(X, Y):
    params = {**SMALL, "threshold": "f1_micro", "class_weight": {0: 1, 1: 20}}
    clf = KerasMultiLabelClassifier(**params).fit(X, Y[:, 2])
    assert clf.threshold_ == tune(Y[:, [2]], clf.oof_proba_[:, [1]], "f1_micro").rule.threshold


def test_a_parameter_that_the_loss_gets_twice_is_refused(X, Y):
    with pytest.raises(ValueError, match=r"loss__positive_weight.*class_weight"):
        KerasMultiLabelClassifier(loss="focal", loss__positive_weight=[1, 2, 3]).fit(X, Y)


def test_an_empty_fold_is_no_trouble(X, Y, monkeypatch):
    monkeypatch.setattr(_split, "folds", lambda rows, Y, n_members, random_state, *_: np.arange(len(rows)) % 3)
    clf = KerasMultiLabelClassifier(**SMALL).fit(X, Y)
    assert np.isfinite(clf.history_["val_loss"]).all()
    assert clf.oof_proba_.shape == (80, 3)
