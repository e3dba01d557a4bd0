"""The encoder agrees with slow reference definitions on random y of every form, and restores y."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from forms import COLLECTIONS, DATAFRAMES, FORMS, INDICATORS, label_sets_of
from skml._targets._encoder import TargetEncoder

# Some of the strings differ only in spaces, or look as if they were joined.
pytestmark = pytest.mark.filterwarnings("ignore:y holds (labels that differ|strings such as):UserWarning")

# Numbers and tuples are only drawn for some collections; rectangular lists of 0 and 1 would be an indicator.
strings, numbers = st.text("abcxyz é", min_size=1, max_size=3), st.integers(-(2**40), 2**40)
labels = {"strings": strings, "numbers": numbers | st.floats(allow_nan=False), "tuples": st.tuples(numbers, strings)}


def indicators(min_labels=2):
    shapes = st.tuples(st.integers(1, 6), st.integers(min_labels, 5))
    return shapes.flatmap(lambda shape: arrays(int, shape, elements=st.integers(0, 1)))


def to_dense(Y):
    return Y.toarray() if sparse.issparse(Y) else Y


@pytest.mark.parametrize("form", {**INDICATORS, **DATAFRAMES})
@given(Y=indicators())
def test_an_indicator_equals_its_matrix_and_is_restored(form, Y):
    y = FORMS[form](Y, "abcde"[: Y.shape[1]])
    encoder = TargetEncoder()
    matrix = encoder.fit_transform(y)
    np.testing.assert_array_equal(to_dense(matrix), Y)
    answer = encoder.inverse_transform(matrix)
    assert sparse.issparse(answer) == sparse.issparse(y)
    assert isinstance(answer, sparse.sparray) == isinstance(y, sparse.sparray)
    np.testing.assert_array_equal(to_dense(answer), Y)
    if isinstance(getattr(y, "dtype", None), np.dtype) and y.dtype != object:
        assert answer.dtype == y.dtype
    np.testing.assert_array_equal(to_dense(encoder.transform(answer)), Y)


@pytest.mark.parametrize("form", ["csr_matrix", "csc_matrix", *DATAFRAMES])
@given(Y=indicators(min_labels=1).map(lambda Y: Y[:, :1]))
def test_an_indicator_of_one_label_keeps_its_column(form, Y):
    encoder = TargetEncoder()
    matrix = encoder.fit_transform(FORMS[form](Y, "a"))
    np.testing.assert_array_equal(to_dense(matrix), Y)
    np.testing.assert_array_equal(to_dense(encoder.inverse_transform(matrix)), Y)


@given(indicators(), st.randoms(use_true_random=False))
def test_missing_labels_are_nan_in_the_matrix(Y, random):
    entries = np.array([[np.nan if random.random() < 0.3 else v for v in row] for row in Y.tolist()])
    frame = pd.DataFrame(entries).astype("Int8")
    for y in (entries, entries.tolist(), sparse.csc_array(entries), frame, frame.to_numpy()):
        np.testing.assert_array_equal(to_dense(TargetEncoder().fit_transform(y)), entries)


@pytest.mark.parametrize("kind", labels)
@pytest.mark.parametrize("collection", [set, frozenset, tuple, list])
@given(st.data())
def test_collections_become_one_column_per_label_and_are_restored(kind, collection, data):
    y = data.draw(st.lists(st.sets(labels[kind], max_size=4).map(collection), min_size=1, max_size=6))
    space = sorted({label for row in y for label in row})
    if not space:
        with pytest.raises(ValueError, match="label space is empty"):
            TargetEncoder().fit(y)
        return
    if all(isinstance(row, list | tuple) and len(row) == len(y[0]) > 1 and {*row} <= {0, 1} for row in y):
        return  # an indicator, as scikit-learn reads it
    more = data.draw(st.lists(labels[kind].filter(lambda label: label not in space), max_size=2, unique=True))
    for classes in (None, data.draw(st.permutations(space + more))):
        encoder, columns = TargetEncoder(classes), classes or space
        matrix = encoder.fit_transform(y)
        assert matrix.tolist() == [[label in row for label in columns] for row in y]
        answer = encoder.inverse_transform(matrix)
        assert answer.tolist() == [tuple(label for label in columns if label in row) for row in y]
        np.testing.assert_array_equal(encoder.transform(answer), matrix)


@pytest.mark.parametrize("form", COLLECTIONS)
@given(Y=indicators(min_labels=1).filter(np.any))
def test_every_container_of_collections_is_read_alike(form, Y):
    encoder = TargetEncoder(list("abcde"[: Y.shape[1]]))
    matrix = encoder.fit_transform(FORMS[form](Y, "abcde"))
    np.testing.assert_array_equal(matrix, Y)
    assert encoder.inverse_transform(matrix).tolist() == label_sets_of(Y, "abcde", tuple)


@pytest.mark.parametrize("container", [list, np.array, pd.Series])
@pytest.mark.parametrize("values", [strings, st.integers(-50, 50), st.booleans()], ids=["strings", "numbers", "bools"])
@given(data=st.data())
def test_single_labels_are_restored(values, container, data):
    y = data.draw(st.lists(values, min_size=2, max_size=8).filter(lambda y: len({*y}) > 1))
    encoder, space = TargetEncoder(), sorted({*y})
    matrix = encoder.fit_transform(container(y))
    columns = space[1:] if len(space) == 2 else space
    assert matrix.tolist() == [[label == value for label in columns] for value in y]
    answer = encoder.inverse_transform(matrix)
    assert answer.tolist() == y
    assert answer.dtype == np.asarray(container(y)).dtype
