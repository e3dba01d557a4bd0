import json
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score

from skml._keras._cache_keys import cache_key_of
from skml._keras._serialization import pack, unpack
from skml._keras_models._losses import (
    NAMES,
    MultiLabelAsymmetric,
    MultiLabelCrossentropy,
    MultiLabelFocal,
    auto_loss,
    has_nan_support,
    named_loss,
)
from skml._targets._encoder import TargetKind

NAN = np.nan


def crossentropy(y, p):
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


def focal(y, p, gamma=2.0, alpha=0.25, apply_class_balancing=False):
    p_t = np.where(y == 1, p, 1 - p)
    balance = np.where(y == 1, alpha, 1 - alpha) if apply_class_balancing else 1
    return -balance * (1 - p_t) ** gamma * np.log(p_t)


def asymmetric(y, p, gamma_negative=4.0, gamma_positive=1.0, clip=0.05):
    p_m = np.maximum(p - clip, 0)
    return -np.where(y == 1, (1 - p) ** gamma_positive * np.log(p), p_m**gamma_negative * np.log(1 - p_m))


CASES = [
    (MultiLabelCrossentropy, crossentropy, {}),
    (MultiLabelFocal, focal, {}),
    *[(MultiLabelFocal, focal, {"gamma": gamma}) for gamma in (0, 0.5, 1, 1.5, 3, 4)],
    (MultiLabelFocal, focal, {"alpha": 0.1, "apply_class_balancing": True}),
    (MultiLabelAsymmetric, asymmetric, {}),
    (MultiLabelAsymmetric, asymmetric, {"gamma_negative": 0.5, "gamma_positive": 0, "clip": 0.2}),
    (MultiLabelAsymmetric, asymmetric, {"gamma_negative": 1, "gamma_positive": 0.5, "clip": 0}),
]
every_loss = pytest.mark.parametrize(("kind", "formula", "arguments"), CASES)
every_class = pytest.mark.parametrize("kind", [MultiLabelCrossentropy, MultiLabelFocal, MultiLabelAsymmetric])
both_outputs = pytest.mark.parametrize("from_logits", [False, True])


@pytest.fixture
def floatx(request):
    """Set Keras' floating dtype for one test."""
    before = keras.config.floatx()
    keras.config.set_floatx(request.param)
    yield request.param
    keras.config.set_floatx(before)


def in_dtype(*names):
    return pytest.mark.parametrize("floatx", names, indirect=True)


@pytest.fixture(scope="module")
def y():
    return (np.random.RandomState(0).rand(6, 4) > 0.5).astype(float)


@pytest.fixture(scope="module")
def logits():
    """Logits of both signs, none at the kink of `clip`."""
    return 2 * np.random.RandomState(1).randn(6, 4)


@pytest.fixture(scope="module")
def holes():
    """True for missing labels; every row has an observed one."""
    holes = np.random.RandomState(2).rand(6, 4) > 0.6
    holes[:, 1] = False
    return holes


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def value_and_slope(loss, y, outputs):
    outputs = tf.constant(outputs, keras.config.floatx())
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        value = loss(y, outputs)
    return value.numpy(), tape.gradient(value, outputs).numpy()


@every_loss
@both_outputs
@in_dtype("float64", "float32")
def test_loss_is_its_formula_averaged_over_labels_then_over_weighted_rows(
    kind, formula, arguments, from_logits, floatx, y, logits
):
    rows = np.array([1.0, 0.0, 2.0, 1.0, 1.0, 0.5])
    proba = sigmoid(logits)
    loss = kind(from_logits=from_logits, **arguments)
    value = loss(y, logits if from_logits else proba, sample_weight=rows)
    expected = np.average(formula(y, proba, **arguments).mean(axis=1), weights=rows)
    np.testing.assert_allclose(value, expected, rtol=1e-10 if floatx == "float64" else 1e-5)
    assert value.dtype == floatx


@every_loss
@both_outputs
@in_dtype("float64")
def test_gradient_is_that_of_finite_differences(kind, formula, arguments, from_logits, floatx, y, logits, holes):
    outputs = logits if from_logits else sigmoid(logits)
    unknown = np.where(holes, NAN, y)
    loss = kind(positive_weight=[0.5, 2.0, 3.0, 1.0], from_logits=from_logits, **arguments)
    _, slope = value_and_slope(loss, unknown, outputs)
    step = 1e-6
    moved = outputs + step * np.array([1, -1])[:, None, None] * np.eye(24).reshape(24, 1, 6, 4)
    values = np.array([[float(loss(unknown, one)) for one in pair] for pair in moved])
    differences = (values[:, 0] - values[:, 1]).reshape(6, 4) / (2 * step)
    np.testing.assert_allclose(slope, differences, rtol=1e-5, atol=1e-9)
    assert (slope[holes] == 0).all()
    assert (slope[~holes] != 0).any()


@every_loss
@both_outputs
@in_dtype("float64")
def test_missing_labels_are_as_if_deleted(kind, formula, arguments, from_logits, floatx, y, logits, holes):
    outputs = logits if from_logits else sigmoid(logits)
    positive = np.array([0.5, 2.0, 3.0, 1.0])
    loss = kind(positive_weight=positive, from_logits=from_logits, **arguments)
    found = loss.call(np.where(holes, NAN, y), outputs)
    for i, known in enumerate(~holes):
        short = kind(positive_weight=positive[known], from_logits=from_logits, **arguments)
        np.testing.assert_allclose(found[i], short(y[[i]][:, known], outputs[[i]][:, known]), rtol=1e-12)


@every_class
@both_outputs
def test_row_of_missing_labels_has_no_loss_and_no_gradient(kind, from_logits):
    y = np.array([[NAN, NAN, NAN], [1, 0, NAN]])
    outputs = np.array([[-100.0, 0.0, 100.0], [1.0, 2.0, 3.0]]) if from_logits else np.array([[0, 0.5, 1], [0.3] * 3])
    loss = kind(positive_weight=[2.0, 3.0, 4.0], from_logits=from_logits)
    value, slope = value_and_slope(loss, y, outputs)
    assert loss.call(y, outputs)[0] == 0
    assert np.isfinite(value)
    assert (slope[0] == 0).all()
    assert slope[1, 2] == 0
    assert (slope[1, :2] != 0).all()


@every_loss
@in_dtype("float32", "float64")
def test_extreme_outputs_give_finite_losses_and_gradients(kind, formula, arguments, floatx):
    for outputs, from_logits in (([-1000.0, -100.0, 0.0, 100.0, 1000.0], True), ([0, 1e-9, 0.05, 1 - 1e-9, 1], False)):
        for y in np.array([[[0.0] * 5], [[1.0] * 5], [[NAN] * 5]]):
            value, slope = value_and_slope(kind(from_logits=from_logits, **arguments), y, np.array([outputs]))
            assert np.isfinite(value)
            assert np.isfinite(slope).all()


@both_outputs
def test_entries_that_are_far_off_keep_their_gradient(from_logits):
    # Keras uses the logits before the sigmoid if both are in one graph.
    logits = tf.Variable([[40.0, -40.0]])

    def far_off(loss):
        @tf.function
        def step():
            with tf.GradientTape() as tape:
                value = loss(tf.constant([[0.0, 1.0]]), logits if from_logits else keras.activations.sigmoid(logits))
            return value, tape.gradient(value, logits)

        return step()

    for loss in (MultiLabelCrossentropy(from_logits=from_logits), MultiLabelFocal(from_logits=from_logits)):
        value, slope = far_off(loss)
        np.testing.assert_allclose(value, 40.0, rtol=1e-6)
        np.testing.assert_allclose(slope, [[0.5, -0.5]], rtol=1e-6)
    # The loss treats a negative entry that is this far off as a wrong label: it is bounded and constant.
    value, slope = far_off(MultiLabelAsymmetric(from_logits=from_logits))
    np.testing.assert_allclose(value, (0.95**4 * -np.log(0.05) + 40) / 2, rtol=1e-5)
    np.testing.assert_allclose(slope, [[0, -0.5]], atol=1e-6)


@every_loss
def test_positive_weight_multiplies_the_positive_entries(kind, formula, arguments, y, logits):
    positive = np.array([0.0, 2.0, 3.0, 1.0])
    entries = formula(y, sigmoid(logits), **arguments) * np.where(y == 1, positive, 1)
    value = kind(positive_weight=positive, from_logits=True, **arguments)(y, logits)
    np.testing.assert_allclose(value, entries.mean(), rtol=1e-5)


@both_outputs
def test_losses_are_those_of_keras_where_it_has_them(from_logits, y, logits):
    outputs = logits if from_logits else sigmoid(logits)
    for ours, theirs in [
        (MultiLabelCrossentropy, keras.losses.BinaryCrossentropy),
        (MultiLabelFocal, keras.losses.BinaryFocalCrossentropy),
    ]:
        both = [kind(from_logits=from_logits) for kind in (ours, theirs)]
        np.testing.assert_allclose(*[loss(y, outputs) for loss in both], rtol=1e-5)
    arguments = {"gamma": 1.5, "alpha": 0.3, "apply_class_balancing": True, "from_logits": from_logits}
    both = [kind(**arguments) for kind in (MultiLabelFocal, keras.losses.BinaryFocalCrossentropy)]
    np.testing.assert_allclose(*[loss(y, outputs) for loss in both], rtol=1e-5)


def test_asymmetric_loss_without_asymmetry_is_the_focal_loss(y, logits):
    one = MultiLabelAsymmetric(gamma_negative=2, gamma_positive=2, clip=0, from_logits=True)
    np.testing.assert_allclose(one(y, logits), MultiLabelFocal(from_logits=True)(y, logits), rtol=1e-5)


@every_class
def test_every_number_is_read(kind, y, logits):
    names = {"gamma", "alpha", "gamma_negative", "gamma_positive", "clip"} & set(kind().get_config())
    balance = {"apply_class_balancing": True} if kind is MultiLabelFocal else {}
    base = float(kind(from_logits=True, **balance)(y, logits))
    values = [float(kind(from_logits=True, **balance, **{name: 0.6})(y, logits)) for name in names]
    assert all(abs(value - base) > 1e-3 for value in values)


@every_class
def test_models_are_trained_with_missing_labels(kind, X, Y):
    known = np.where(np.random.RandomState(0).rand(*Y.shape) < 0.5, NAN, Y)
    known[:5] = NAN
    model = keras.Sequential([keras.layers.Dense(3, "sigmoid", kernel_initializer="zeros")])
    model.compile(keras.optimizers.Adam(0.1), kind(positive_weight=[1.0, 2.0, 1.0]))
    fit = {"sample_weight": np.ones(80), "epochs": 20, "batch_size": 40, "shuffle": False, "verbose": 0}
    losses = model.fit(X, known, **fit).history["loss"]
    assert losses[-1] < 0.6 * losses[0]
    assert roc_auc_score(Y, model(X).numpy(), average="macro") > 0.95


def test_one_trace_serves_other_positive_weights(y, logits):
    loss = MultiLabelFocal(positive_weight=[1.0, 1.0, 1.0, 1.0], from_logits=True)
    traced = tf.function(lambda outputs: loss(y, outputs))
    traced(tf.constant(logits))
    loss.positive_weight.assign([1.0, 2.0, 3.0, 4.0])
    fresh = MultiLabelFocal(positive_weight=[1.0, 2.0, 3.0, 4.0], from_logits=True)
    np.testing.assert_allclose(traced(tf.constant(logits)), fresh(y, logits), rtol=1e-6)
    assert traced.experimental_get_tracing_count() == 1


@every_class
@pytest.mark.parametrize("dtype", [np.uint8, bool, np.int64, np.float32])
def test_targets_may_have_any_dtype(kind, dtype, y, logits):
    loss = kind(from_logits=True)
    outputs = logits.astype(np.float32)
    np.testing.assert_array_equal(loss(y.astype(dtype), outputs), loss(y, outputs))
    np.testing.assert_array_equal(loss.call(y.astype(dtype), outputs), loss.call(y, outputs))


@every_class
@in_dtype("float16", "bfloat16")
def test_half_precision_is_computed_in_float32(kind, floatx, y):
    value, slope = value_and_slope(kind(), y, np.tile([0.0, 1.0, 0.5, 0.9], (6, 1)))
    assert value.dtype == "float32"
    assert np.isfinite(value)
    assert np.isfinite(slope.astype(float)).all()


@every_loss
@pytest.mark.parametrize("positive", [None, [0.1, 2.0]])
def test_loss_comes_back_from_its_config(kind, formula, arguments, positive):
    loss = kind(positive_weight=positive, from_logits=True, name="mine", **arguments)
    keras_copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    from_file = kind.from_config(pickle.loads(pickle.dumps(loss.get_config())))
    packed = pickle.loads(pickle.dumps(pack(loss)))
    for copy in (keras_copy, from_file, unpack(packed)):
        assert type(copy) is kind
        assert copy.get_config() == loss.get_config()
    assert json.loads(json.dumps(loss.get_config())) == loss.get_config()
    assert arguments.items() <= loss.get_config().items()


def test_cache_key_contains_all_that_a_trace_depends_on():
    def describe(**arguments):
        return cache_key_of(MultiLabelFocal(**arguments))

    assert describe(positive_weight=[1.0], name="a") == describe(positive_weight=[2.0], name="b")
    others = [{}, {"gamma": 1.0}, {"from_logits": True}, {"apply_class_balancing": True}, {"positive_weight": [1.0]}]
    assert len({describe(**arguments) for arguments in others}) == 5
    assert cache_key_of(MultiLabelAsymmetric()) != describe()


def test_losses_have_names():
    assert type(named_loss("focal")) is MultiLabelFocal
    loss = named_loss("asymmetric", [1.0, 2.0], True, clip=0.1, gamma_negative=np.float32(2))
    assert loss.trace_config() == {
        "gamma_negative": 2.0,
        "gamma_positive": 1.0,
        "clip": 0.1,
        "positive_weight": True,
        "from_logits": True,
        "soft_labels": False,
    }
    assert set(NAMES) == {"focal", "asymmetric"}


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("focus", {}, r"loss must be one of \['focal', 'asymmetric'\]; got 'focus'"),
        ("focal", {"clip": 0.1}, "loss='focal'.*'clip'.*gamma, alpha"),
        ("focal", {"gamma": -1}, r"gamma must be a number in \[0, inf\); got -1"),
        ("focal", {"gamma": NAN}, "gamma must be a number"),
        ("focal", {"gamma": "2"}, "gamma must be a number in .* got '2'"),
        ("focal", {"alpha": 1.5}, r"alpha must be a number in \[0, 1\]; got 1.5"),
        ("asymmetric", {"gamma_negative": np.inf}, "gamma_negative must be"),
        ("asymmetric", {"gamma_positive": None}, "gamma_positive must be"),
        ("asymmetric", {"clip": True}, "clip must be a number"),
    ],
)
def test_bad_arguments_are_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        named_loss(name, **arguments)


def test_auto_loss_fits_the_problem():
    several = auto_loss(TargetKind.MULTILABEL, [1.0, 2.0], from_logits=True)
    assert type(several) is MultiLabelCrossentropy
    assert several.from_logits
    assert several.positive_weight.numpy().tolist() == [1, 2]
    assert type(auto_loss(TargetKind.BINARY)) is MultiLabelCrossentropy
    one = auto_loss(TargetKind.MULTICLASS, from_logits=True)
    expected = keras.losses.CategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    assert type(one) is type(expected)
    assert one.get_config() == expected.get_config()


def test_only_losses_of_this_package_accept_nan():
    assert all(has_nan_support(kind()) for kind in (MultiLabelCrossentropy, *NAMES.values()))
    assert not any(
        map(has_nan_support, (auto_loss(TargetKind.MULTICLASS), "binary_crossentropy", keras.losses.hinge, None))
    )


def test_loss_is_the_weighted_cross_entropy():
    rng = np.random.RandomState(0)
    y, p = (rng.rand(5, 3) > 0.5).astype(float), rng.rand(5, 3)
    positive, rows = np.array([2.0, 1.0, 0.5]), np.array([1.0, 0.0, 2.0, 1.0, 1.0])
    entries = -(positive * y * np.log(p) + (1 - y) * np.log(1 - p))
    loss = MultiLabelCrossentropy(positive)
    expected = np.average(entries.mean(axis=1), weights=rows)
    np.testing.assert_allclose(float(loss(y, p, sample_weight=rows)), expected, rtol=1e-5)
    logits = MultiLabelCrossentropy(positive, from_logits=True)
    np.testing.assert_allclose(float(logits(y, np.log(p / (1 - p)), sample_weight=rows)), expected, rtol=1e-5)
    keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(loss), custom_objects={"MultiLabelCrossentropy": MultiLabelCrossentropy}
    )


def test_loss_is_stable_where_the_sigmoid_saturates():
    logits = tf.Variable([[40.0, -40.0]])

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            loss = MultiLabelCrossentropy()(tf.constant([[0.0, 1.0]]), keras.activations.sigmoid(logits))
        return loss, tape.gradient(loss, logits)

    loss, slope = gradient()
    np.testing.assert_allclose(float(loss), 40.0, rtol=1e-6)
    np.testing.assert_allclose(slope.numpy(), [[0.5, -0.5]], rtol=1e-6)
