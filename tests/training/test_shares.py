"""What one process knows of its share becomes what all know, with processes that only pretend to exist."""

import numpy as np
import pytest
from scipy import sparse

from skml._targets._encoder import TargetEncoder
from skml._training._dataset import Dataset, encoder_for_fit
from skml._training._shares import check_can_share, shared_dataset, shared_encoder, shared_groups

PARAMS = {"model": None, "jit_compile": False, "loss": "auto", "classes": None, "soft_labels": False, "hierarchy": None}


class Among:
    """Processes of which this one is the first, and the others answer with values that are known."""

    is_alone, rank = False, 0

    def __init__(self, *others):
        self._others = iter(others)

    def gather(self, value):
        return [value, next(self._others)]


def test_label_sets_get_the_labels_of_all_shares():
    own, other = (TargetEncoder().fit(y) for y in ([["b"], ["d"]], [["a"], ["b"]]))
    theirs = (other.is_multilabel, other.has_columns), other.classes_.tolist()
    encoder = shared_encoder(own, [["b"], ["d"]], PARAMS, Among(theirs))
    assert encoder.classes_.tolist() == ["a", "b", "d"]
    np.testing.assert_array_equal(encoder.transform([["d"]]), [[0, 0, 1]])


def test_two_classes_here_and_a_third_elsewhere_are_multi_class():
    y = ["x", "y", "x"]
    encoder = encoder_for_fit(y, None, PARAMS)
    theirs = (False, False), ["y", "z"]
    assert shared_encoder(encoder, y, PARAMS, Among(theirs)).target_type_ == "multiclass"


def test_another_form_of_y_elsewhere_is_refused():
    encoder = encoder_for_fit(["x", "y"], None, PARAMS)
    with pytest.raises(ValueError, match="y must have the same form in all processes that train together"):
        shared_encoder(encoder, ["x", "y"], PARAMS, Among(((True, False), ["x", "y"])))


def test_an_indicator_with_other_columns_elsewhere_is_refused():
    encoder = TargetEncoder().fit(np.eye(2))
    with pytest.raises(ValueError, match=r"same classes in the same order, but process 1 has 0, 1, 2, and this"):
        shared_encoder(encoder, np.eye(2), PARAMS, Among(((True, True), [0, 1, 2])))


def test_rows_are_joined_in_the_order_of_the_processes_and_weights_of_one_are_1_in_another():
    own = Dataset(np.ones((2, 3)), np.array([[0], [1]]), has_missing=True)
    other = Dataset(np.zeros((1, 3)), sparse.csr_array([[1]]), sample_weight=np.array([5.0]))
    joined = shared_dataset(own, Among((False, (3,)), other))
    np.testing.assert_array_equal(joined.X, [[1, 1, 1], [1, 1, 1], [0, 0, 0]])
    np.testing.assert_array_equal(joined.Y, [[0], [1], [1]])
    np.testing.assert_array_equal(joined.sample_weight, [1, 1, 5])
    assert joined.has_missing


def test_groups_are_numbered_over_all_shares():
    np.testing.assert_array_equal(shared_groups(["b", "a"], 2, Among(["a", "c", "b"])), [0, 1, 1, 2, 0])


@pytest.mark.parametrize(("own", "others"), [(None, ["a"]), (["a"], None)])
def test_groups_in_one_process_only_are_refused(own, others):
    with pytest.raises(ValueError, match="groups must be passed in all processes that train together, or in none"):
        shared_groups(own, 1, Among(others))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": len}, "but not a custom model.*Set model=None"),
        ({"jit_compile": True}, "jit_compile=True cannot be used under MultiWorkerMirroredStrategy"),
    ],
)
def test_what_several_processes_cannot_train_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        check_can_share(PARAMS | changed, Among())


def test_a_sum_as_loss_is_refused():
    import keras

    loss = keras.losses.BinaryCrossentropy(reduction="sum")
    with pytest.raises(ValueError, match="must be a mean over rows, but loss has reduction='sum'"):
        check_can_share(PARAMS | {"loss": loss}, Among())
