"""partial_fit and warm_start: training that goes on."""

import numpy as np
import pytest

from estimators import tiny
from skml import KerasMultiLabelClassifier


def builder(meta):
    import keras

    return keras.Sequential([keras.layers.Dense(3, meta["output_activation_"])])


def test_partial_fit_goes_on_epoch_by_epoch(X, Y):
    # Without dropout the seeds do not matter; the order of rows goes on as in one fit.
    params = {"hidden_layer_sizes": (8,), "dropout": 0.0, "input_dropout": 0.0, "scale": None, "n_members": 1}
    params |= {"random_state": 0, "early_stopping": False}
    whole = KerasMultiLabelClassifier(epochs=3, **params).fit(X, Y)
    steps = KerasMultiLabelClassifier(**params)
    for i in range(3):
        assert steps.partial_fit(X, Y).n_iter_ == i + 1
    np.testing.assert_array_equal(steps.predict_proba(X), whole.predict_proba(X))
    assert steps.history_ == whole.history_


def test_partial_fit_takes_the_label_space(X, label_sets):
    clf = tiny()
    with pytest.raises(ValueError, match=r"classes.*first.*partial_fit"):
        clf.partial_fit(X, label_sets)
    clf.partial_fit(X[:10], [{"a"}] * 10, classes=["a", "b", "c", "d"])
    clf.partial_fit(X, label_sets, classes=["a", "b", "c", "d"])
    assert clf.predict_proba(X).shape == (80, 4)
    with pytest.raises(ValueError, match=r"'z'.*classes"):
        clf.partial_fit(X[:1], [{"z"}])


@pytest.mark.parametrize("dtype", [float, bool, int])
def test_classes_are_compared_by_value(dtype, X, Y):
    clf = tiny()
    for _ in range(2):
        clf.partial_fit(X, Y[:, 0].astype(dtype), classes=[0, 1])
    assert clf.predict(X).dtype == dtype
    with pytest.raises(ValueError, match=r"classes=\['0', '1'\]"):
        clf.partial_fit(X, Y[:, 0].astype(dtype), classes=["0", "1"])


@pytest.mark.parametrize("model", [None, builder])
@pytest.mark.parametrize("change", [{"learning_rate": 1.0}, {"optimizer": "sgd"}, {"class_weight": [9.0, 9.0, 9.0]}])
def test_parameters_that_change_before_going_on_are_used(model, change, X, Y):
    plain = tiny(model).partial_fit(X, Y).partial_fit(X, Y)
    changed = tiny(model).partial_fit(X, Y).set_params(**change).partial_fit(X, Y)
    assert np.abs(plain.predict_proba(X) - changed.predict_proba(X)).max() > 1e-3


@pytest.mark.parametrize("change", [{"hidden_layer_sizes": (3,)}, {"activation": "tanh"}, {"model": builder}])
def test_going_on_with_another_network_is_refused(change, X, Y):
    clf = tiny().partial_fit(X, Y)
    if "model" in change:
        change = change | {"hidden_layer_sizes": "auto"}
    clf.set_params(**change)
    with pytest.raises(ValueError, match=next(iter(change))):
        clf.partial_fit(X, Y)


def test_classes_given_twice_must_agree(X, label_sets):
    clf = tiny(classes=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"classes=\['c', 'b', 'a'\].*classes=\['a', 'b', 'c'\]"):
        clf.partial_fit(X, label_sets, classes=["c", "b", "a"])


def test_partial_fit_on_one_label_per_row(X, Y):
    clf = tiny().partial_fit(X[:3], [5, 5, 5], classes=[5, 6, 7])
    assert clf.partial_fit(X, 5 + Y[:, 0]).classes_.tolist() == [5, 6, 7]
    assert clf.predict_proba(X).shape == (80, 3)


def test_warm_start_goes_on_in_the_fitted_label_space(X, label_sets):
    clf = tiny(warm_start=True).fit(X, label_sets)
    first = clf.history_["loss"]
    clf.fit(X[:40], [{"a"}] * 40)
    assert clf.n_iter_ == 6
    assert clf.history_["loss"][:3] == first
    assert clf.classes_.tolist() == ["a", "b", "c"]
    with pytest.raises(ValueError, match="'z'"):
        clf.fit(X[:1], [{"z"}])


def test_without_warm_start_a_fit_starts_anew(X, Y, label_sets):
    clf = tiny().fit(X, Y)
    clf.fit(X[:, :2], label_sets)
    again = tiny().fit(X[:, :2], label_sets)
    np.testing.assert_array_equal(clf.predict_proba(X[:, :2]), again.predict_proba(X[:, :2]))
    assert clf.n_iter_ == 3


def test_a_learning_rate_set_later_is_used(X, Y):
    clf = tiny(learning_rate=0.01).partial_fit(X, Y)
    before = clf.predict_proba(X)
    clf.set_params(learning_rate=1e-9).partial_fit(X, Y)
    np.testing.assert_allclose(clf.predict_proba(X), before, atol=1e-6)
