"""The stratified split of X, y and other arrays."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.model_selection import train_test_split as random_split

from forms import FORMS, label_sets_of
from skml._targets._encoder import TargetEncoder
from skml.model_selection import train_test_split

# 40 rows: 20 have a, 8 have b and 4 have c.
Y = np.zeros((40, 3), dtype=int)
Y[::2, 0], Y[::5, 1], Y[::10, 2] = 1, 1, 1
ROWS = np.arange(40)


def matrix(y):
    Y = TargetEncoder(["a", "b", "c"]).fit_transform(y)
    return Y.toarray() if sparse.issparse(Y) else Y


@pytest.mark.parametrize("form", FORMS)
def test_each_label_is_divided_evenly_and_the_container_stays(form):
    y = FORMS[form](Y, "abc")
    train, test, y_train, y_test = train_test_split(ROWS, y, test_size=0.25, random_state=0)
    assert sorted([*train, *test]) == ROWS.tolist()
    np.testing.assert_allclose(Y[test].sum(axis=0), [5, 2, 1], atol=1)
    assert Y[test, 2].sum() == 1
    for rows, part in ((train, y_train), (test, y_test)):
        np.testing.assert_array_equal(matrix(part), Y[rows])
        assert isinstance(part, sparse.csr_array | sparse.csr_matrix if sparse.issparse(y) else type(y))
        assert isinstance(part, sparse.sparray) == isinstance(y, sparse.sparray)


def test_single_labels_are_divided_evenly():
    y = np.repeat(["a", "b"], [30, 10])
    _, _, y_train, y_test = train_test_split(ROWS, y, random_state=0)
    assert np.unique(y_test, return_counts=True)[1].tolist() in ([8, 2], [7, 3])
    assert len(y_train) == 30


SIZES = [{}, {"test_size": 0.1}, {"test_size": 12}, {"train_size": 0.5}, {"train_size": 10, "test_size": 20}]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_sizes_are_those_of_scikit_learn(sizes):
    train, test, _, _ = train_test_split(ROWS, label_sets_of(Y), random_state=0, **sizes)
    expected = [len(part) for part in random_split(ROWS, **sizes)]
    np.testing.assert_allclose([len(train), len(test)], expected, atol=2)
    assert not set(train) & set(test)


def test_other_arrays_are_split_alike():
    pa = pytest.importorskip("pyarrow")
    X = sparse.csr_array(np.eye(40))
    frame, weight, texts = pd.DataFrame({"x": ROWS}, index=ROWS + 100), list(ROWS), pl.DataFrame({"x": ROWS})
    arrow = pa.table({"x": ROWS})
    split = train_test_split(X, label_sets_of(Y), frame, weight, texts, arrow, random_state=3)
    assert len(split) == 12
    for X_, y_, frame_, weight_, texts_, arrow_ in (split[::2], split[1::2]):
        assert sparse.issparse(X_)
        assert X_.indices.tolist() == weight_ == frame_["x"].tolist() == (frame_.index - 100).tolist()
        assert texts_["x"].to_list() == weight_ == arrow_["x"].to_pylist()
        assert y_ == [label_sets_of(Y)[i] for i in weight_]


def test_an_int_gives_the_same_split_and_nothing_is_drawn_from_the_global_state():
    before = np.random.get_state()[1].copy()
    first, second = (train_test_split(ROWS, label_sets_of(Y), random_state=5)[1].tolist() for _ in range(2))
    assert first == second
    np.testing.assert_array_equal(before, np.random.get_state()[1])


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        train_test_split(ROWS[:3], label_sets_of(Y))
    with pytest.raises(ValueError, match="test_size"):
        train_test_split(ROWS, label_sets_of(Y), test_size=50)
    with pytest.raises(ValueError, match="y must have one of these forms"):
        train_test_split(ROWS, [{"a"}] * 39 + [3])
