import functools
import inspect
import sys

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from estimators import tiny
from skml import KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV


def build(meta, units=5):
    output_activation = keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])
    return keras.Sequential([keras.layers.Dense(units, "relu"), output_activation])


def fit(X, Y, **params):
    return tiny(**{"epochs": 2} | params).fit(X, Y)


def test_routed_parameters_are_parameters_like_others():
    clf = KerasMultiLabelClassifier(build, model__units=4, optimizer__weight_decay=0.1)
    assert clf.get_params()["model__units"] == 4
    assert clf.optimizer__weight_decay == 0.1
    clf.set_params(model__units=7, epochs=3, callbacks__patience=2)
    twin = clone(clf)
    assert twin.get_params() == clf.get_params()
    assert (twin.model__units, twin.callbacks__patience) == (7, 2)
    assert not hasattr(clf, "routed")
    assert "model__units=7" in repr(clf)


class Net(keras.Model):
    """A class that builds a network."""

    def __init__(self, meta, units=4):
        super().__init__()
        self.hidden = keras.layers.Dense(units, "relu")
        self.outputs_ = keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])

    def call(self, x):
        return self.outputs_(self.hidden(x))


class Factory:
    """An instance that builds a network."""

    def __call__(self, meta, units=5, rate=0.1):
        return build(meta, units)


def routed_of(clf, deep=True):
    return {name: value for name, value in clf.get_params(deep=deep).items() if name.startswith("model__")}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (build, {"model__units": 5}),
        (functools.partial(build, units=9), {"model__units": 9}),
        (Factory(), {"model__units": 5, "model__rate": 0.1}),
        (Net, {"model__units": 4}),
        (lambda meta, n, params=None, compile_kwargs=None, X=None, *a, k=None, **others: None, {"model__k": None}),
        (lambda: None, {}),
        (None, {}),
        (dict, {}),
        (keras.Sequential([keras.layers.Dense(3)]), {}),
    ],
    ids=["function", "partial", "instance", "class", "reserved", "no arguments", "default network", "in C", "network"],
)
def test_defaults_of_a_builder_are_listed_until_they_are_set(model, expected):
    clf = KerasMultiLabelClassifier(model)
    assert routed_of(clf) == expected
    assert routed_of(clf, deep=False) == {}
    assert "model__" not in repr(clf)
    assert routed_of(clone(clf)) == expected
    assert routed_of(clone(clf), deep=False) == {}
    for name in expected:
        assert routed_of(clone(clf).set_params(**{name: 77})) == expected | {name: 77}


def test_parameters_that_were_read_can_be_set(X, Y):
    clf = tiny(build)
    twin = tiny(build).set_params(**clf.get_params())
    assert twin.get_params() == clf.get_params()
    assert KerasMultiLabelClassifier(**clf.get_params()).get_params() == clf.get_params()
    np.testing.assert_array_equal(clf.fit(X, Y).predict_proba(X), twin.fit(X, Y).predict_proba(X))


def test_tools_around_an_estimator_list_the_defaults_of_its_builder(X, Y):
    pipeline = make_pipeline(StandardScaler(), tiny(build))
    name = "kerasmultilabelclassifier__model__units"
    assert pipeline.get_params()[name] == 5
    search = GridSearchCV(pipeline, {name: [2, 7]}, cv=2, scoring="f1_micro").fit(X, Y)
    assert search.best_estimator_[-1].to_keras().layers[0].units == search.best_params_[name]
    tuner = TunedThresholdMultiLabelClassifierCV(tiny(build))
    assert tuner.get_params()["estimator__model__units"] == 5
    assert tuner.set_params(estimator__model__units=6).estimator.get_params()["model__units"] == 6


@pytest.mark.filterwarnings("ignore:The fitted estimator can predict, but it cannot be saved")  # without a get_config
def test_parameters_reach_the_class_that_builds_a_network(X, Y):
    assert fit(X, Y, model=Net, model__units=9).to_keras().hidden.units == 9


def test_the_signature_names_every_parameter_and_no_var_keyword():
    names = inspect.signature(KerasMultiLabelClassifier).parameters
    assert set(names) == set(KerasMultiLabelClassifier().get_params())


def test_parameters_reach_their_destination(X, Y):
    params = {"optimizer": "adamw", "optimizer__weight_decay": 0.3, "loss": keras.losses.BinaryCrossentropy}
    params |= {"loss__label_smoothing": 0.2, "metrics": [keras.metrics.AUC], "metrics__0__num_thresholds": 7}
    params |= {"callbacks": keras.callbacks.EarlyStopping, "callbacks__patience": 5, "callbacks__monitor": "loss"}
    clf = fit(X, Y, model=build, model__units=9, **params)
    assert clf.to_keras().layers[0].units == 9
    assert clf.to_keras().optimizer.weight_decay == 0.3
    assert clf.to_keras().loss.label_smoothing == 0.2
    assert clf.callbacks_[0].patience == 5
    assert "auc" in clf.history_


@pytest.mark.parametrize(
    ("name", "message"),
    [("epoch", "did you mean 'epochs'"), ("optimiser__lr", "did you mean 'optimizer__lr'"), ("zzz", "'zzz'")],
)
def test_unknown_parameters_are_refused_with_the_nearest_name(name, message):
    with pytest.raises(TypeError, match=message):
        KerasMultiLabelClassifier(**{name: 1})
    with pytest.raises(ValueError, match=message):
        KerasMultiLabelClassifier().set_params(**{name: 1})


CHANGES = {
    "hidden_layer_sizes": (9, 9),
    "activation": "tanh",
    "dropout": 0.7,
    "input_dropout": 0.6,
    "scale": None,
    "n_members": 2,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "loss": "mse",
    "class_weight": "balanced",
    "epochs": 4,
    "batch_size": 7,
    "random_state": 1,
    "optimizer__beta_1": 0.1,
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_parameter_of_training_changes_the_model(name, X, Y):
    plain = fit(X, Y)
    changed = fit(X, Y, **{name: CHANGES[name]})
    assert np.abs(plain.predict_proba(X) - changed.predict_proba(X)).max() > 1e-4


def test_verbose_shows_a_bar_in_a_terminal_and_one_line_an_epoch_in_a_file(X, Y, capsys, monkeypatch):
    fit(X, Y, verbose=0)
    assert capsys.readouterr().out == ""
    for verbose in (1, 2):
        clf = fit(X, Y, verbose=verbose)
        losses = zip(clf.history_["loss"], clf.history_["val_loss"], strict=True)
        expected = [f"Epoch {i}/2 - loss: {a:.4f} - val_loss: {b:.4f}" for i, (a, b) in enumerate(losses, 1)]
        assert capsys.readouterr().out.splitlines() == expected
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    fit(X, Y, verbose=1)
    assert "━" in capsys.readouterr().out
    fit(X, Y, verbose=2)
    assert capsys.readouterr().out.splitlines() == expected


def test_a_callback_with_batch_hooks_leaves_one_line_an_epoch(X, Y, capsys):
    class WithHook(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            pass

    clf = fit(X, Y, verbose=2, callbacks=WithHook(), metrics=[keras.metrics.F1Score(name="f1")])
    reason, *lines = capsys.readouterr().out.splitlines()
    assert "WithHook" in reason
    assert "on_train_batch_end" in reason
    assert [line.split(" - ")[0] for line in lines] == ["Epoch 1/2", "Epoch 2/2"]
    assert all(f"f1: {np.round(f1, 4).tolist()}" in line for f1, line in zip(clf.history_["f1"], lines, strict=True))


def test_callbacks_are_copied_for_every_fit(X, Y):
    stop = keras.callbacks.EarlyStopping("loss", patience=1)
    clf = fit(X, Y, callbacks=[stop])
    assert stop.model is None
    assert stop.best_weights is None
    assert clf.callbacks_[0] is not stop
    assert type(clf.callbacks_[0]) is keras.callbacks.EarlyStopping
    assert clf.fit(X, Y).callbacks_[0] is not stop


def test_nothing_given_is_modified(X, Y):
    weight, classes, threshold = np.arange(80.0), ["a", "b", "c"], {"a": 0.3}
    optimizer, loss, metrics = keras.optimizers.Adam(0.1), keras.losses.BinaryCrossentropy(), ["auc"]
    given = [X, Y, weight]
    before = [array.copy() for array in given]
    options = {"optimizer": optimizer, "loss": loss, "metrics": metrics, "classes": classes, "threshold": threshold}
    fit(X, Y, **options).predict(X)
    tiny(**options).fit(X, Y, sample_weight=weight)
    for now, then in zip(given, before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert (classes, threshold, metrics) == (["a", "b", "c"], {"a": 0.3}, ["auc"])
    assert not optimizer.built


BAD = {
    "hidden_layer_sizes": (0, "'hidden_layer_sizes' parameter"),
    "activation": ("reluu", "'activation' parameter.*'relu'.*Got 'reluu'"),
    "dropout": (1.0, r"'dropout' parameter.*\[0.0, 1.0\)|'dropout' parameter"),
    "learning_rate": (0, "'learning_rate' parameter"),
    "class_weight": ("unbalanced", "'class_weight' parameter"),
    "epochs": (0, "'epochs' parameter"),
    "batch_size": ("big", "'batch_size' parameter"),
    "validation_fraction": (1.0, "'validation_fraction' parameter"),
    "n_iter_no_change": (0, "'n_iter_no_change' parameter"),
    "min_labels": (-1, "'min_labels' parameter"),
    "model": (3, "'model' parameter"),
    "optimizer": ("adamm", r"(?s)adamm.*optimizer='adamm'"),
    "loss": ("crossentropie", r"(?s)crossentropie.*loss='crossentropie'"),
    "metrics": (["aucc"], "(?s)aucc"),
    "callbacks": ([3], "callbacks"),
    "classes": (["a", "a", "b"], "'a' more than once"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_values_are_refused_and_named(name, X, Y):
    value, message = BAD[name]
    with pytest.raises((ValueError, TypeError), match=message):
        fit(X, Y, **{name: value})


def test_hidden_layers_must_all_be_positive(X, Y):
    with pytest.raises(ValueError, match=r"hidden_layer_sizes.*positive integers.*\(8, 0\)"):
        fit(X, Y, hidden_layer_sizes=(8, 0))


@pytest.mark.parametrize("name", ["model__units", "loss__gamma", "metrics__name", "callbacks__patience"])
def test_routed_parameters_that_nothing_takes_are_refused(name, X, Y):
    with pytest.raises(ValueError, match=f"{name} .*{name.partition('__')[0]}="):
        fit(X, Y, **{name: 3})


def test_metrics_given_as_classes_keep_their_name(X, Y):
    for _ in range(2):
        assert set(fit(X, Y, metrics=[keras.metrics.AUC]).history_) == {"loss", "auc", "val_loss", "val_auc"}


@pytest.mark.parametrize(
    ("loss", "column", "message"),
    [
        ("sparse_categorical_crossentropy", slice(None), "loss=.*sparse_categorical_crossentropy.*multi-class"),
        (
            keras.losses.SparseCategoricalCrossentropy(name="mine"),
            slice(None),
            "loss=.*sparse_categorical_crossentropy.*multi-class",
        ),
        ("categorical_crossentropy", 0, 'loss=.*categorical_crossentropy.*binary.*loss="auto"'),
    ],
)
def test_losses_that_mean_something_else_are_refused(loss, column, message, X, Y):
    with pytest.raises(ValueError, match=message):
        fit(X, Y[:, column], loss=loss)


def test_the_default_network_ends_in_logits_for_a_loss_that_wants_them(X, Y):
    loss = {"loss": keras.losses.BinaryFocalCrossentropy(from_logits=True)}
    from_logits = fit(X, Y, dropout=0.0, **loss)
    from_proba = fit(X, Y, dropout=0.0, loss=keras.losses.BinaryFocalCrossentropy())
    np.testing.assert_allclose(from_logits.predict_proba(X), from_proba.predict_proba(X), atol=1e-4)


def test_a_schedule_and_a_learning_rate_are_refused_together(X, Y):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    assert fit(X, Y, optimizer=keras.optimizers.Adam(schedule)).n_iter_ == 2
    with pytest.raises(ValueError, match=r"learning_rate=0\.1.*schedule"):
        fit(X, Y, optimizer=keras.optimizers.Adam(schedule), learning_rate=0.1)


def test_what_an_optimizer_was_told_after_it_was_made_counts(X, Y):
    told = keras.optimizers.AdamW(0.01, weight_decay=5.0)
    told.exclude_from_weight_decay(var_names=["kernel", "bias"])
    free = fit(X, Y, optimizer=told)
    decayed = fit(X, Y, optimizer=keras.optimizers.AdamW(0.01, weight_decay=5.0))
    plain = fit(X, Y, optimizer=keras.optimizers.AdamW(0.01, weight_decay=0.0))
    np.testing.assert_allclose(free.predict_proba(X), plain.predict_proba(X), atol=1e-6)
    assert np.abs(decayed.predict_proba(X) - plain.predict_proba(X)).max() > 1e-3


def test_a_loss_scale_optimizer_trains(X, Y):
    assert fit(X, Y, optimizer=keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())).n_iter_ == 2


def test_models_among_routed_parameters_are_copied(X, Y):
    base = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4, "relu")])
    before = base.get_weights()

    def on_top(meta, base):
        return keras.Sequential([base, keras.layers.Dense(3, "sigmoid")])

    fit(X, Y, model=on_top, model__base=base)
    for now, then in zip(base.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_the_same_thing_given_twice_is_refused(X, Y):
    with pytest.raises(ValueError, match=r"learning_rate .*optimizer__learning_rate"):
        fit(X, Y, learning_rate=0.1, optimizer__learning_rate=0.1)


def test_a_grid_over_routed_parameters_trains_each(X, Y):
    grid = {"model__units": [1, 12], "optimizer__beta_1": [0.5, 0.9]}
    search = GridSearchCV(KerasMultiLabelClassifier(build, epochs=2, random_state=0), grid, cv=2).fit(X, Y)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_estimator_.to_keras().layers[0].units == search.best_params_["model__units"]
