"""Label sets that are written in some notation are read back, whatever the labels are."""

import contextlib
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skml import read_label_sets

# Labels without space around them, which reading removes; quotes, commas, brackets and accents included.
labels = st.text("ab \"'\\,[](){}|é北\n", min_size=1, max_size=4).map(str.strip).filter(bool)
columns = st.lists(st.lists(labels, unique=True, max_size=4), min_size=1, max_size=5)

WRITERS = {
    "Python lists": lambda row: str(row),
    "Python tuples": lambda row: str(tuple(row)),
    "Python sets": lambda row: str(set(row)),
    "frozensets": lambda row: repr(frozenset(row)),
    "JSON": json.dumps,
    "JSON as it is": lambda row: json.dumps(row, ensure_ascii=False),
    "NumPy": lambda row: str(np.array(row, dtype=str)),
    "repr of NumPy": lambda row: repr(np.array(row, dtype=str)),
    "NumPy scalars": lambda row: repr(list(np.array(row, dtype=str))),
}


@pytest.mark.parametrize("writer", WRITERS)
@given(column=columns)
def test_what_is_written_is_read_back(writer, column):
    assert read_label_sets([WRITERS[writer](row) for row in column]) == [set(row) for row in column]


@given(st.lists(st.lists(st.text("ab,[] é", min_size=1).map(str.strip).filter(bool), max_size=3), min_size=1))
def test_what_pandas_writes_is_read_back(column):
    """pandas escapes neither quotes nor backslashes in its arrays."""
    assert read_label_sets([str(pd.array(row, dtype="string")) for row in column]) == [set(row) for row in column]


@given(labels)
def test_what_pandas_writes_is_read_or_refused(label):
    with contextlib.suppress(ValueError):
        assert read_label_sets([str(pd.array([label], dtype="string"))]) == [{label}]


@pytest.mark.parametrize("sep", [",", "; ", "|", "\t", " and ", "__label__"])
@given(data=st.data())
def test_joined_labels_are_read_back(sep, data):
    words = st.text("xyz éç.-'", min_size=1, max_size=4).map(str.strip).filter(bool)
    words = words.map(lambda word: word.replace(" ", "")) if sep == "__label__" else words
    column = data.draw(st.lists(st.lists(words, unique=True, min_size=2, max_size=4), min_size=1, max_size=5))
    assert read_label_sets([sep.join(row) for row in column], sep=sep) == [set(row) for row in column]


@given(st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), min_size=1, max_size=6), st.data())
def test_0_and_1_are_read_back(rows, data):
    write = data.draw(st.sampled_from([str, lambda row: "".join(map(str, row)), lambda row: str(np.array(row, float))]))
    expected = [{name for name, value in zip("abc", row, strict=True) if value} for row in rows]
    assert read_label_sets([write(row) for row in rows], classes=["a", "b", "c"]) == expected


@given(columns)
def test_a_long_table_is_read_back(column):
    pairs = [(i, label) for i, row in enumerate(column) for label in row]
    ids, values = [i for i, _ in pairs], [label for _, label in pairs]
    assert read_label_sets(values, ids=ids, rows=range(len(column))) == [set(row) for row in column]
