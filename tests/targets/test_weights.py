import numpy as np
import pytest
from scipy import sparse
from sklearn.utils.class_weight import compute_sample_weight

from skml import KerasMultiLabelClassifier
from skml._targets._weights import positive_weights, weights_by_class

PLAIN = {"hidden_layer_sizes": (8,), "n_members": 1, "dropout": 0.0, "input_dropout": 0.0}
PLAIN |= {"early_stopping": False, "epochs": 4, "random_state": 0}


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("weight", [None, np.arange(4.0)])
def test_balanced_is_the_ratio_of_negatives_to_positives(container, weight):
    Y = np.array([[1, 0], [0, 0], [1, 1], [1, 0]], dtype=np.uint8)
    rows = np.ones(4) if weight is None else weight
    by_hand = [rows[Y[:, j] == 0].sum() / rows[Y[:, j] == 1].sum() for j in range(2)]
    np.testing.assert_allclose(positive_weights("balanced", [0, 1], container(Y), weight), by_hand)


def test_balanced_is_bounded():
    Y = np.zeros((1000, 3), dtype=np.uint8)
    Y[0, 0] = 1
    Y[:, 1] = 1
    assert positive_weights("balanced", [0, 1, 2], Y, None).tolist() == [100, 0.01, 100]


def test_single_label_class_weight_equals_that_of_scikit_learn():
    y = np.array([0, 0, 0, 1, 2, 2])
    for class_weight in ("balanced", {0: 1.0, 1: 3.0, 2: 0.5}):
        ours = weights_by_class(class_weight, [0, 1, 2], y, None)[y]
        np.testing.assert_allclose(ours, compute_sample_weight(class_weight, y))


def test_weight_0_omits_a_row_and_2_repeats_it(X, Y):
    # All rows fit into one batch, so that their order does not matter.
    weight = np.tile([0.0, 1.0, 2.0, 1.0], 20)
    repeated = np.repeat(np.arange(80), weight.astype(int))
    weighted = KerasMultiLabelClassifier(batch_size=128, **PLAIN).fit(X, Y, sample_weight=weight)
    twice = KerasMultiLabelClassifier(batch_size=128, **PLAIN).fit(X[repeated], Y[repeated])
    np.testing.assert_allclose(weighted.predict_proba(X), twice.predict_proba(X), rtol=1e-4)


def test_class_weight_multiplies_the_positives_of_a_label(X, Y):
    # With weight 0 for its positive entries, a label has only negative ones, and its probability falls toward 0.
    weights = {"class_weight": [0.0, 1.0, 1.0], **PLAIN, "epochs": 150, "learning_rate": 0.01}
    proba = KerasMultiLabelClassifier(**weights).fit(X, Y).predict_proba(X)
    plain = KerasMultiLabelClassifier(**{**weights, "class_weight": None}).fit(X, Y).predict_proba(X)
    assert proba[:, 0].max() < 0.2
    assert plain[:, 0].max() > 0.8
    assert proba[:, 1].max() > 0.8


def test_class_weight_is_a_mapping_or_an_array(X, label_sets):
    by_name = KerasMultiLabelClassifier(class_weight={"b": 5.0}, **PLAIN).fit(X, label_sets)
    by_place = KerasMultiLabelClassifier(class_weight=[1.0, 5.0, 1.0], **PLAIN).fit(X, label_sets)
    unweighted = KerasMultiLabelClassifier(**PLAIN).fit(X, label_sets)
    np.testing.assert_array_equal(by_name.predict_proba(X), by_place.predict_proba(X))
    assert np.abs(by_name.predict_proba(X) - unweighted.predict_proba(X)).max() > 1e-3


def test_balanced_weights_do_not_leak_into_the_next_fit(X, Y):
    first = KerasMultiLabelClassifier(class_weight="balanced", **PLAIN).fit(X, Y).predict_proba(X)
    KerasMultiLabelClassifier(class_weight=[9.0, 9.0, 9.0], **PLAIN).fit(X, Y)
    again = KerasMultiLabelClassifier(class_weight="balanced", **PLAIN).fit(X, Y).predict_proba(X)
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({"z": 1.0}, r"labels that do not exist: 'z'"),
        ([1.0], r"3 labels; got .*shape \(1,\)"),
        ([1.0, -1.0, 1.0], "not negative"),
        ([1.0, np.nan, 1.0], "finite"),
    ],
)
def test_bad_class_weights_are_refused(class_weight, message, X, label_sets):
    with pytest.raises(ValueError, match=message):
        KerasMultiLabelClassifier(class_weight=class_weight).fit(X, label_sets)


def test_class_weight_needs_our_own_loss(X, Y):
    with pytest.raises(ValueError, match=r"class_weight .*losses auto, focal and asymmetric"):
        KerasMultiLabelClassifier(class_weight="balanced", loss="binary_crossentropy").fit(X, Y)


@pytest.mark.parametrize(
    ("weight", "message"),
    [(np.zeros(80), "non-zero"), (-np.ones(80), "[Nn]egative"), (np.ones(79), "80")],
)
def test_bad_sample_weights_are_refused(weight, message, X, Y):
    with pytest.raises(ValueError, match=message):
        KerasMultiLabelClassifier().fit(X, Y, sample_weight=weight)
