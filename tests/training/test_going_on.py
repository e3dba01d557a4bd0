"""partial_fit and warm_start: training that goes on."""

import pickle
import warnings

import numpy as np
import pytest
from scipy import sparse

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


# Files


def after_a_file(clf):
    return pickle.loads(pickle.dumps(clf))


def test_a_file_keeps_the_statistics_by_which_X_is_scaled(X, Y):
    X = 3 * X + 1
    loaded = after_a_file(tiny(n_members=1, early_stopping=False, scale="standard").fit(X[:50], Y[:50]))
    with pytest.warns(UserWarning, match="without the state of its optimizer"):
        loaded.partial_fit(X[50:], Y[50:])
    np.testing.assert_allclose(loaded.trained_network().shift, X.mean(axis=0), rtol=1e-5)


def test_a_file_keeps_the_statistics_of_sparse_X(X, Y):
    X = sparse.csr_array(np.maximum(X, 0))
    clf = tiny().fit(X[:50], Y[:50])
    loaded = after_a_file(clf)
    with pytest.warns(UserWarning, match="without the state of its optimizer"):
        scale = loaded.partial_fit(5 * X[50:], Y[50:]).trained_network().scale
    np.testing.assert_array_equal(scale, clf.partial_fit(5 * X[50:], Y[50:]).trained_network().scale)


@pytest.mark.parametrize("model", [None, builder])
@pytest.mark.parametrize("first", [lambda clf: clf.set_params(warm_start=True).fit, lambda clf: clf.partial_fit])
def test_a_file_on_request_keeps_all_that_training_resumes_from(first, model, X, Y):
    clf = tiny(model)
    first(clf)(X, Y)
    loaded = after_a_file(clf)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        loaded.partial_fit(X, Y)
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.partial_fit(X, Y).predict_proba(X))


def test_what_starts_anew_after_a_file_is_said_once(X, Y):
    loaded = after_a_file(tiny().fit(X, Y))
    with pytest.warns(
        UserWarning, match="without the state of its optimizer.*set warm_start=True before the first fit"
    ):
        loaded.partial_fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        loaded.partial_fit(X, Y)
