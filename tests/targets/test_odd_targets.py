from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest

from skml import KerasMultiLabelClassifier
from skml._targets._encoder import TargetEncoder
from skml._targets._labels import per_label


def test_integers_of_any_size_are_labels():
    encoder = TargetEncoder()
    assert encoder.fit_transform([{2**70, 1}, {-(2**70)}, set()]).tolist() == [[0, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert encoder.classes_.tolist() == [-(2**70), 1, 2**70]
    assert encoder.inverse_transform([[0, 0, 1]]).tolist() == [(2**70,)]
    assert TargetEncoder().fit([{-(2**63), 2**63 - 1}]).classes_.dtype == np.int64


def test_unsigned_64_bit_hashes_are_labels():
    hashes = np.array([2**64 - 1, 2**63 + 5], dtype=np.uint64)
    encoder = TargetEncoder().fit(pd.DataFrame([[1, 0], [0, 1]], columns=hashes))
    assert encoder.classes_.tolist() == hashes.tolist()
    assert TargetEncoder(classes=hashes).fit([[1, 0], [0, 1]]).classes_.tolist() == hashes.tolist()


@pytest.mark.parametrize("y", [[2**70, 1, 1], [2**63 + 5, 2**63 + 6, -1], np.array([1, 2, 1], dtype=object)])
def test_integers_that_numpy_would_round_or_keep_as_objects_are_refused(y):
    with pytest.raises(ValueError, match=r"y holds integers from .* as dtype .*np\.int64.*strings"):
        TargetEncoder().fit(y)


def test_a_memoryview_is_read_as_its_array():
    entries = np.array([[1, 0], [0, 1], [0, 0]], dtype=np.uint8)
    np.testing.assert_array_equal(TargetEncoder().fit_transform(memoryview(entries)), entries)
    assert TargetEncoder().fit_transform(memoryview(np.array([3, 5, 3]))).tolist() == [[0], [1], [0]]


def test_booleans_as_objects_are_booleans():
    """A pandas column of booleans that had missing values has dtype object."""
    y = pd.Series([True, None, False, True]).dropna()
    assert y.dtype == object
    encoder = TargetEncoder()
    assert encoder.fit_transform(y).tolist() == [[1], [0], [1]]
    answer = encoder.inverse_transform([[1], [0]])
    assert answer.tolist() == [True, False]
    assert answer.dtype == bool


@pytest.mark.parametrize("y", [list, [1j, 2j, 1j], np.array([1j, 0])])
def test_other_objects_and_complex_numbers_are_refused(y, X):
    rows = 80 if y is list else len(y)
    with pytest.raises(ValueError, match=r"y holds complex numbers|y of type type\."):
        KerasMultiLabelClassifier().fit(X[:rows], y)


def test_labels_that_numpy_would_truncate_are_refused():
    with pytest.raises(ValueError, match=r"y holds .*'a\\x00'.* NUL"):
        TargetEncoder().fit(["a", "a\0", "b"])
    assert TargetEncoder().fit([("a",), ("a\0", "b")]).classes_.tolist() == ["a", "a\0", "b"]


FRAMES = {
    "dates": (pd.DataFrame({"a": [1, 0], "b": pd.to_datetime(["2020", "2021"])}), r"Timestamp\(.*\) in column 'b'"),
    "spans": (pd.DataFrame({"a": [1, 0], "b": pd.to_timedelta([1, 2])}), "Timedelta.* in column 'b'"),
    "only dates": (pd.DataFrame({"b": pd.to_datetime(["2020", None])}), "dtype datetime64"),
    "strings": (pd.DataFrame({"a": [1, 0], "b": ["x", "y"]}), r"got 'x' \(str\) in column 'b'"),
    "strings and a missing entry": (pd.DataFrame({"a": [1, 0], "b": [None, "x"]}), r"got 'x' \(str\) in column 'b'"),
    "numbers as strings": (pd.DataFrame({"a": [1, 0], "b": ["1", None]}), r"got '1' \(str\) in column 'b'"),
    "complex": (pd.DataFrame({"a": [1, 0], "b": [1j, None]}), "complex"),
    "polars": (pl.DataFrame({"a": [1, 0], "b": ["x", None]}), r"got 'x' \(str\) in column 'b'"),
    "an array": (np.array([[1, pd.Timestamp(2020, 1, 1)]], dtype=object), r"Timestamp\(.*\) in column 1"),
}


@pytest.mark.parametrize(("y", "message"), FRAMES.values(), ids=FRAMES)
def test_the_error_names_the_column_that_is_not_an_indicator(y, message):
    with pytest.raises(ValueError, match=rf"indicator y .*0 and 1.*{message}"):
        TargetEncoder().fit_transform(y)


def test_numbers_and_missing_labels_of_every_type_are_entries():
    frame = pd.DataFrame(
        {
            "bool": pd.Series([True, None], dtype=object),
            "nullable": pd.array([1, pd.NA], dtype="Int8"),
            "category": pd.Categorical([1, None]),
            "fraction": pd.Series([Fraction(1), np.nan], dtype=object),
        }
    )
    np.testing.assert_array_equal(TargetEncoder().fit_transform(frame), [[1] * 4, [np.nan] * 4])
    frame = pl.DataFrame({"bool": [True, None], "int": [1, None]})
    np.testing.assert_array_equal(TargetEncoder().fit_transform(frame), [[1, 1], [np.nan] * 2])


@pytest.mark.parametrize("classes", [[["a"], ["b"]], np.array([["a"], ["b"]]), [("a", []), "b"]])
def test_nested_classes_are_refused(classes):
    with pytest.raises(ValueError, match=r"classes must be a flat list of hashable labels.*got"):
        TargetEncoder(classes=classes).fit([{"a"}, {"b"}])


@pytest.mark.parametrize("y", [{frozenset("a"), frozenset("b")}, {"a": 1, "b": 2}.keys()])
def test_an_unordered_y_is_refused(y):
    with pytest.raises(ValueError, match=rf"y of type {type(y).__name__}.* unordered"):
        TargetEncoder().fit(y)


def test_arrow_tables_keep_their_column_names(X, Y):
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table(dict(zip("cab", Y.T, strict=True)))
    encoder = TargetEncoder()
    np.testing.assert_array_equal(encoder.fit_transform(table), Y)
    assert encoder.classes_.tolist() == ["c", "a", "b"]
    np.testing.assert_array_equal(encoder.transform(table.select(["a", "b", "c"])), Y)  # aligned by name
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=4, epochs=1)
    clf.fit(arrow.table(dict(zip("vwxyz", X.T, strict=True))), table)
    assert clf.feature_names_in_.tolist() == list("vwxyz")
    assert clf.classes_.tolist() == ["c", "a", "b"]


def test_the_number_of_rows_is_checked_before_the_items_are_read(X):
    """dask-ml's Incremental passes the tuple ``(name, number)`` of a block in place of a 2-D y."""
    clf = KerasMultiLabelClassifier()
    for y in (("array-1a2b", 0), [1, "a"], np.zeros((3, 2)), {"a", "b"}):
        with pytest.raises(ValueError, match=rf"X has 80.* y, of type {type(y).__name__}, has {len(y)}"):
            clf.partial_fit(X, y, classes=[0, 1])


@pytest.mark.parametrize("name", ["threshold", "class_weight"])
def test_a_series_is_read_by_its_index(name):
    labels = [3, 1, 2]
    for values in (pd.Series([0.1, 0.2, 0.3], index=[1, 2, 3]), {1: 0.1, 2: 0.2, 3: 0.3}):
        np.testing.assert_array_equal(per_label(name, values, labels, 0.5), [0.3, 0.1, 0.2])
    default_index = pd.Series([0.1, 0.2, 0.3])
    np.testing.assert_array_equal(per_label(name, default_index, [2, 0, 1], 0.5), [0.3, 0.1, 0.2])
    np.testing.assert_array_equal(per_label(name, default_index, ["a", "b", "c"], 0.5), [0.1, 0.2, 0.3])
    day = np.datetime64("2020-01-01", "ns")
    np.testing.assert_array_equal(per_label(name, {day: 0.1}, [day, 0], 0.5), [0.1, 0.5])


def test_a_series_as_threshold_is_read_by_its_index(X, Y):
    y = [{(2, 0, 1)[j] for j in np.flatnonzero(row)} for row in Y]
    given = pd.Series([0.2, 0.9, 0.4])  # for the labels 0, 1 and 2
    for values in (given, given[[1, 2, 0]]):
        clf = KerasMultiLabelClassifier(hidden_layer_sizes=4, epochs=1, classes=[2, 0, 1], threshold=values)
        assert clf.fit(X, y).threshold_.tolist() == [0.4, 0.2, 0.9]
