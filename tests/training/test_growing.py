"""Training that goes on with other labels: new ones, fewer, in another order."""

import copy
import pickle

import keras
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.special import expit
from sklearn.metrics import average_precision_score, f1_score

from estimators import tiny
from forms import FORMS, label_sets_of, with_unknown
from skml._default_network._initial_weights import initial_weights
from skml._default_network._label_changes import with_labels
from skml._default_network._network import DenseNetwork

FEW, MORE = ["a", "b", "c"], ["d", "c", "a", "b"]
STANDS_STILL = {"learning_rate": 1e-12}
SHAPES = [
    {"hidden_layer_sizes": (8, 8), "n_members": 3},
    {"hidden_layer_sizes": (8, 8), "n_members": 1},
    {"hidden_layer_sizes": (), "n_members": 3},
    {"hidden_layer_sizes": (), "n_members": 1},
]


@pytest.fixture(scope="module")
def Y4(X, Y):
    """The labels of Y, and a fourth."""
    return np.column_stack([Y, X[:, 3] > 0.8]).astype(int)


def in_order(Y4, classes):
    return Y4[:, ["abcd".index(label) for label in classes]]


def network_of(hidden, n_members, n_outputs):
    weights = initial_weights([5, *hidden, n_outputs], np.random.RandomState(0), "float32", n_members)
    for weight in weights:
        weight += np.random.RandomState(1).randn(*weight.shape).astype("float32")
    return DenseNetwork(weights, "relu", "sigmoid", n_members)


# The weights


@pytest.mark.parametrize("hidden", [(8, 8), ()])
@pytest.mark.parametrize("n_members", [1, 3])
def test_labels_that_stay_are_predicted_as_before_to_the_last_bit(hidden, n_members, X):
    network = network_of(hidden, n_members, 3)
    grown = with_labels(network, np.array([2, -1, 0]), np.full((n_members, 3), -1.5))
    before, after = network.log_proba(X), grown.log_proba(X)
    np.testing.assert_array_equal(after[:, [2, 0]], before[:, [0, 2]])
    np.testing.assert_allclose(after[:, 1], -1.5, rtol=1e-6)


def test_a_new_label_starts_where_the_weights_of_its_positive_cells_lead(X, Y4):
    clf = tiny(class_weight="balanced").partial_fit(X, Y4[:, :3])
    clf.set_params(**STANDS_STILL).partial_fit(X, Y4, classes=range(4))
    np.testing.assert_allclose(clf.predict_proba(X)[:, 3], 0.5, atol=0.01)  # 14 positives count like 66 negatives


@pytest.mark.parametrize("weighted", [False, True])
def test_a_new_label_starts_at_its_weighted_base_rate(weighted, X, Y4):
    weight = np.random.RandomState(0).randint(1, 4, len(X)).astype(float) if weighted else np.ones(len(X))
    clf = tiny(scale=None).partial_fit(X, Y4[:, :3], classes=FEW)  # each call moves the statistics of a scaled X
    old = clf.predict_proba(X)
    clf.set_params(**STANDS_STILL).partial_fit(X, in_order(Y4, MORE), classes=MORE, sample_weight=weight)
    proba = clf.predict_proba(X)
    np.testing.assert_array_equal(proba[:, [2, 3, 1]], old)
    np.testing.assert_allclose(proba[:, 0], (weight @ Y4[:, 3] + 0.5) / (weight.sum() + 1), rtol=1e-5)


@pytest.mark.parametrize(
    ("optimizer", "is_sparse", "shape"),
    [*(("adam", is_sparse, shape) for is_sparse in (False, True) for shape in SHAPES), ("adafactor", False, SHAPES[0])],
)
def test_an_order_of_labels_changes_nothing_that_is_learned(optimizer, is_sparse, shape, X, Y4):
    # As many labels as hidden units, so that shapes do not tell which slots of the optimizer are theirs.
    Y = np.column_stack([Y4, 1 - Y4])
    X = sparse.csr_array(np.where(np.random.RandomState(0).rand(*np.shape(X)) < 0.08, X, 0)) if is_sparse else X
    order = np.random.RandomState(1).permutation(8)
    clf = [tiny(optimizer=optimizer, **shape).partial_fit(X, Y).partial_fit(X, Y)]
    clf.append(copy.copy(clf[0]))
    for _ in range(3):
        clf[0].partial_fit(X, Y)
        clf[1].partial_fit(X, Y[:, order], classes=order)
    assert np.abs(clf[0].predict_proba(X) - clf[1].predict_proba(X)[:, np.argsort(order)]).max() < 1e-5


def test_slots_of_labels_that_stay_are_kept_and_those_of_new_ones_are_as_in_a_new_optimizer():
    import keras

    from skml._keras_models._optimizer import slots_of_outputs

    before = [keras.Variable(np.zeros(shape)) for shape in [(3, 3), (3,), (3, 3), (3,)]]
    after = [keras.Variable(np.zeros(shape)) for shape in [(3, 3), (3,), (3, 2), (2,)]]
    optimizers = [keras.optimizers.Adagrad(initial_accumulator_value=0.5) for _ in range(2)]
    for optimizer, variables in zip(optimizers, (before, after), strict=True):
        optimizer.build(variables)
    values = [np.array(np.random.RandomState(0).rand(*v.shape), v.dtype) for v in optimizers[0].variables]
    state = slots_of_outputs(values, optimizers[1], after, np.array([2, -1]), outputs=[2, 3])
    assert [value.shape for value in state] == [tuple(v.shape) for v in optimizers[1].variables]
    for was, now in zip(values[:-2], state[:-2], strict=True):
        np.testing.assert_array_equal(now, was)
    for was, now in zip(values[-2:], state[-2:], strict=True):
        np.testing.assert_array_equal(now[..., 0], was[..., 2])
        np.testing.assert_array_equal(now[..., 1], np.float32(0.5))


def test_averages_of_weights_begin_anew(X, Y4):
    clf = tiny(scale=None, optimizer__use_ema=True, **STANDS_STILL).partial_fit(X, Y4[:, :3])
    clf.partial_fit(X, Y4, classes=range(4))
    np.testing.assert_allclose(clf.predict_proba(X)[:, 3], (Y4[:, 3].sum() + 0.5) / 81, rtol=1e-5)


# The forms of X and y


@pytest.fixture(scope="module")
def grown(X, Y4):
    """An estimator that learned a fourth label from an indicator."""
    return tiny().partial_fit(X, Y4[:, :3], classes=FEW).partial_fit(X, in_order(Y4, MORE), classes=MORE)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_y_grows(form, X, Y4, grown):
    few, more = (FORMS[form](in_order(Y4, classes), classes) for classes in (FEW, MORE))
    clf = tiny().partial_fit(X, few, classes=FEW).partial_fit(X, more, classes=MORE)
    assert clf.classes_.tolist() == MORE
    np.testing.assert_array_equal(clf.predict_proba(X), grown.predict_proba(X))
    assert type(clf.predict(X)) is type(tiny().fit(X, more).predict(X))


def test_columns_of_a_frame_are_found_by_name(X, Y4):
    frame = pd.DataFrame(Y4, columns=list("abcd"))
    clf = tiny().partial_fit(X, frame[FEW])
    with pytest.raises(ValueError, match=r"'d'.*classes="):
        clf.partial_fit(X, frame)
    again = pickle.loads(pickle.dumps(clf))
    clf.partial_fit(X, frame, classes=MORE)
    again.partial_fit(X, frame[["d", "b", "a", "c"]], classes=MORE)
    np.testing.assert_array_equal(clf.predict_proba(X), again.predict_proba(X))


def test_unknown_cells_are_no_part_of_a_base_rate(X, Y4):
    Y = with_unknown(Y4.astype(float))
    clf = tiny().partial_fit(X, Y[:, :3]).set_params(**STANDS_STILL).partial_fit(X, Y, classes=range(4))
    known = ~np.isnan(Y[:, 3])
    rate = (np.nansum(Y[:, 3]) + 0.5) / (known.sum() + 1)
    np.testing.assert_allclose(clf.predict_proba(X)[:, 3], rate, rtol=1e-5)


# Streams


def month(number, n_samples=300):
    """Return rows of a month, and an indicator of labels a to e, e being the new one, which are alike in kind."""
    rng = np.random.RandomState(number)
    X = rng.randn(n_samples, 8)
    return X, (rng.rand(n_samples, 5) < expit(6 * X[:, :5] - 2)).astype(int)


def epochs(clf, X, y, classes):
    for _ in range(5):
        clf.partial_fit(X, y, classes=classes)


def test_on_a_stream_a_new_tag_is_learned_and_a_dropped_one_is_missed_by_none():
    params = {"hidden_layer_sizes": (32,), "n_members": 2, "learning_rate": 0.01}
    clf, steady, knowing = tiny(**params), tiny(**params), tiny(**params)
    X_test, Y_test = month(99, 2000)
    for number in range(1, 7):
        labels = {1: "abcd", 2: "abcd", 3: "abcde", 4: "abcde", 5: "acde", 6: "acde"}[number]
        X, Y = month(number)
        columns = ["abcde".index(label) for label in labels]
        epochs(clf, X, label_sets_of(Y[:, columns], labels), list(labels))
        epochs(steady, X, Y[:, :4], None)  # never hears of the new tag
        epochs(knowing, X, Y, None)  # knows all tags from the start
    assert clf.classes_.tolist() == list("acde")
    assert clf.n_iter_ == 30
    old = f1_score(Y_test[:, [0, 2, 3]], clf.predict_proba(X_test)[:, :3] >= 0.5, average="micro")
    assert old > f1_score(Y_test[:, [0, 2, 3]], steady.predict(X_test)[:, [0, 2, 3]], average="micro") - 0.01
    new = average_precision_score(Y_test[:, 4], clf.predict_proba(X_test)[:, 3])
    assert new > average_precision_score(Y_test[:, 4], knowing.predict_proba(X_test)[:, 4]) - 0.01


def test_a_warm_start_grows(X, Y4):
    clf = tiny(warm_start=True, classes=FEW).fit(X, label_sets_of(Y4[:, :3]))
    first = clf.history_["loss"]
    clf.set_params(classes=MORE).fit(X, label_sets_of(Y4, "abcd"))
    assert clf.history_["loss"][:3] == first
    assert clf.n_iter_ == 6
    assert clf.predict_proba(X).shape == (80, 4)
    assert clf.set_params(classes=["d"]).fit(X, label_sets_of(Y4[:, 3:], "d")).classes_.tolist() == ["d"]


def test_a_warm_start_with_rows_to_tune_on_tunes_new_labels_too(X, Y4):
    clf = tiny(warm_start=True, threshold="f1_macro").fit(X, Y4[:, :3], X_val=X, y_val=Y4[:, :3])
    clf.set_params(classes=range(4)).fit(X, Y4, X_val=X, y_val=Y4)
    assert clf.threshold_.shape == (4,)
    assert clf.threshold_[3] != 0.5


def test_a_fit_with_folds_grows_with_all_that_it_leaves(X, Y4):
    clf = tiny(calibrate=True, n_members=4, threshold="f1_macro").fit(X, Y4[:, :3])
    assert len(clf.oof_proba_) == 80
    with pytest.warns(UserWarning, match=r"threshold='f1_macro'.*0\.5: 3\b.*TunedThresholdMultiLabelClassifierCV"):
        clf.set_params(calibrate="auto").partial_fit(X, Y4, classes=range(4))
    assert not hasattr(clf, "oof_proba_")
    assert clf.predict(X).shape == (80, 4)
    np.testing.assert_allclose(clf.to_keras().predict(X, verbose=0), clf.predict_proba(X), atol=1e-6)


def test_a_pickle_goes_on_as_if_it_had_not_been_one(X, Y4):
    clf = tiny().partial_fit(X, Y4[:, :3])
    grown = [copy.partial_fit(X, Y4, classes=range(4)) for copy in (pickle.loads(pickle.dumps(clf)), clf)]
    again = [copy.partial_fit(X, Y4) for copy in (pickle.loads(pickle.dumps(grown[0])), grown[1])]
    np.testing.assert_array_equal(again[0].predict_proba(X), again[1].predict_proba(X))


# Decisions and weights


def test_thresholds_follow_their_labels(X, Y4):
    clf = tiny(n_members=4, threshold="f1_macro").fit(X, label_sets_of(Y4[:, :3]))
    before = clf.tuned_threshold_
    with pytest.warns(UserWarning, match=r"threshold='f1_macro'.*0\.5: 'd'.*TunedThresholdMultiLabelClassifierCV"):
        clf.partial_fit(X, label_sets_of(Y4[:, [0, 2, 3]], "acd"), classes=["d", "c", "a"])
    assert clf.tuned_threshold_ == {"d": 0.5, "c": before["c"], "a": before["a"]}
    assert pickle.loads(pickle.dumps(clf)).tuned_threshold_ == clf.tuned_threshold_


def test_a_guarantee_by_label_is_kept_by_never_predicting_what_it_was_not_shown_for(X, Y4):
    clf = tiny(n_members=4, threshold="precision>=0.2 by label").fit(X, label_sets_of(Y4[:, :3]))
    before = clf.tuned_threshold_
    with pytest.warns(UserWarning, match=r"2\.0: 'd'.*TunedThresholdMultiLabelClassifierCV"):
        clf.partial_fit(X, label_sets_of(Y4[:, [0, 2, 3]], "acd"), classes=["d", "c", "a"])
    assert clf.tuned_threshold_ == {"d": 2.0, "c": before["c"], "a": before["a"]}
    assert not any("d" in row for row in clf.predict(X))


@pytest.mark.filterwarnings("ignore:threshold=")
@pytest.mark.parametrize("threshold", ["precision>=0.2", "recall>=0.8"])
def test_a_guarantee_over_all_labels_was_not_shown_for_a_new_one(threshold, X, Y4):
    clf = tiny(n_members=4, threshold=threshold).fit(X, Y4[:, :3])
    before = clf.threshold_
    clf.partial_fit(X, Y4[:, [3, 0, 1]], classes=[3, 0, 1])
    assert clf.threshold_.tolist() == [2.0, before, before]
    assert not clf.predict(X)[:, 0].any()


def test_one_threshold_for_all_is_one_for_new_labels_too(X, Y4):
    clf = tiny(n_members=4, threshold="f1_micro").fit(X, Y4[:, :3])
    before = clf.threshold_
    with pytest.warns(UserWarning, match=r"threshold='f1_micro'.*TunedThresholdMultiLabelClassifierCV"):
        clf.partial_fit(X, Y4, classes=range(4))
    assert clf.threshold_ == before


@pytest.mark.parametrize("values", ["array", "mapping"])
@pytest.mark.parametrize("name", ["threshold", "class_weight"])
def test_numbers_for_labels_are_read_in_the_new_label_space(name, values, X, Y4):
    old, new = {"array": ([0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]), "mapping": ({"a": 0.2}, {"d": 0.1})}[values]
    clf = tiny(**{name: old}).partial_fit(X, Y4[:, :3], classes=FEW)
    if values == "array":
        with pytest.raises(ValueError, match=rf"{name} .*\b4 labels.*\(3,\)"):
            clf.partial_fit(X, in_order(Y4, MORE), classes=MORE)
    else:
        with pytest.raises(ValueError, match=f"{name} .*'a'.*'b', 'c'"):
            clf.partial_fit(X, Y4[:, 1:3], classes=["b", "c"])
    clf.set_params(**{name: new}).partial_fit(X, in_order(Y4, MORE), classes=MORE)
    if name == "threshold":
        assert clf.tuned_threshold_["d"] == 0.1


# Refusals


def test_a_failed_call_leaves_the_estimator_as_it_was(X, Y4):
    clf = tiny(callbacks=None).partial_fit(X, Y4[:, :3], classes=FEW)
    before, proba = dict(vars(clf)), clf.predict_proba(X)
    clf.set_params(learning_rate=1e30)
    with pytest.raises(ValueError, match=r"diverged.*learning_rate"):
        clf.partial_fit(X, in_order(Y4, MORE), classes=MORE)
    assert {**vars(clf), "learning_rate": None} == before
    np.testing.assert_array_equal(clf.predict_proba(X), proba)
    clf.set_params(learning_rate=None).partial_fit(X, Y4[:, :3])
    again = tiny().partial_fit(X, Y4[:, :3], classes=FEW).partial_fit(X, Y4[:, :3])
    np.testing.assert_array_equal(clf.predict_proba(X), again.predict_proba(X))


def test_labels_that_no_classes_name_are_refused_with_what_to_do(X, Y4):
    clf = tiny().partial_fit(X, label_sets_of(Y4[:, :3]), classes=FEW)
    with pytest.raises(ValueError, match=r"'d'.*classes="):
        clf.partial_fit(X, label_sets_of(Y4, "abcd"))
    with pytest.raises(ValueError, match=r"\b4 columns.*\b3 labels.*classes="):
        clf.partial_fit(X, Y4)
    with pytest.raises(ValueError, match=r"'c'.*classes"):
        clf.partial_fit(X, label_sets_of(Y4[:, :3]), classes=["a", "b"])


def test_a_label_space_of_which_no_label_stays_is_refused(X, Y4):
    clf = tiny().partial_fit(X, Y4[:, :3], classes=FEW)
    with pytest.raises(ValueError, match=r"classes=\['A', 'B', 'C'\].*'a', 'b', 'c'.*new estimator"):
        clf.partial_fit(X, Y4[:, :3], classes=["A", "B", "C"])


def test_one_label_per_row_keeps_its_classes(X):
    y = np.arange(len(X)) % 3
    clf = tiny().partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"classes=\[0, 1, 2, 3\].*\b0, 1, 2\b.*new estimator"):
        clf.partial_fit(X, y, classes=[0, 1, 2, 3])


def builder(meta):
    import keras

    return keras.Sequential([keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])])


def test_a_custom_network_keeps_its_outputs(X, Y4):
    clf = tiny(builder).partial_fit(X, Y4[:, :3])
    with pytest.raises(ValueError, match=r"classes.*new estimator"):
        clf.partial_fit(X, Y4, classes=range(4))
    assert clf.partial_fit(X, Y4[:, :3]).n_iter_ == 2


class Halving(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule of a user's own."""

    def __call__(self, step):
        return 0.01 * 0.5 ** (step / 100)

    def get_config(self):
        return {}


def test_a_custom_schedule_goes_on_with_other_labels(X, Y4):
    clf = tiny(learning_rate=Halving()).partial_fit(X, in_order(Y4, FEW), classes=FEW)
    clf.partial_fit(X, in_order(Y4, MORE), classes=MORE)
    assert clf.n_iter_ == 2
    assert np.isfinite(clf.history_["loss"]).all()
