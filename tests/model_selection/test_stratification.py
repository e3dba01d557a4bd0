import numpy as np
import pytest
from scipy import sparse

from skml.model_selection import _stratification
from skml.model_selection._stratification import folds, holdout

RNG = np.random.RandomState


@pytest.fixture
def rare():
    """An indicator of 200 rows and three labels with 100, 20 and 3 positives."""
    Y = np.zeros((200, 3), dtype=np.uint8)
    Y[::2, 0], Y[:20, 1], Y[:3, 2] = 1, 1, 1
    return Y


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array, lambda Y: np.where(Y, 1, np.float32(0))])
def test_a_holdout_is_stratified_by_label(container, rare):
    rows, held_out = holdout(np.arange(200), container(rare), 0.1, RNG(0))
    assert sorted([*rows, *held_out]) == list(range(200))
    assert 18 <= len(held_out) <= 22
    assert 8 <= rare[held_out, 0].sum() <= 12
    assert 1 <= rare[held_out, 1].sum() <= 3


@pytest.mark.parametrize("seconds", [0, 10])
def test_a_label_keeps_a_positive_in_training(seconds, rare, monkeypatch):
    monkeypatch.setattr(_stratification, "_FIT_SECONDS", seconds)  # 0 makes the holdout random
    rare[1:3, 2] = 0
    for seed in range(40):
        rows, _ = holdout(np.arange(200), rare, 0.5, RNG(seed))
        assert (rare[rows].sum(axis=0) > 0).all()


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_labels_of_single_rows_do_not_empty_the_holdout(container):
    own = np.eye(200, dtype=np.uint8)
    rows, held_out = holdout(np.arange(200), container(own), 0.1, RNG(0))
    assert (len(rows), len(held_out)) == (180, 20)
    own[100:] = own[:100]  # two rows of each label: few of the 20 rows are both rows of a label
    rows, held_out = holdout(np.arange(200), container(own), 0.1, RNG(0))
    assert (own[rows].sum(axis=0) > 0)[:100].all()
    assert 10 <= len(held_out) <= 20


def test_small_holdouts_and_folds_are_not_made(rare):
    assert holdout(np.arange(99), rare, 0.1, RNG(0))[1] is None
    assert folds(np.arange(19), rare, 5, RNG(0)) is None
    assert folds(np.arange(20), rare, 5, RNG(0)) is not None


@pytest.mark.parametrize("seconds", [0, 10])
def test_each_row_is_in_one_fold(seconds, rare, monkeypatch):
    monkeypatch.setattr(_stratification, "_FIT_SECONDS", seconds)
    rows = np.arange(0, 200, 2)
    fold = folds(rows, rare, 5, RNG(0))
    assert (fold[1::2] == -1).all()
    assert (np.bincount(fold[rows]) >= 15).all()


def test_folds_are_stratified_by_label_and_by_both_classes(rare):
    fold = folds(np.arange(200), rare, 5, RNG(0))
    assert all(3 <= rare[fold == j, 1].sum() <= 5 for j in range(5))
    fold = folds(np.arange(200), rare[:, :1], 5, RNG(0))
    assert all(19 <= rare[fold == j, 0].sum() <= 21 for j in range(5))
