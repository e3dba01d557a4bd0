"""Label sets and rows of 0 and 1 are read from every common container."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from estimators import tiny
from skml._targets._encoder import TargetEncoder
from skml.metrics import get_scorer
from skml.model_selection import MultiLabelStratifiedKFold

BINARY = np.array([[1, 0, 1], [0, 0, 1], [0, 1, 0], [1, 1, 0]])
LABELS = [["a", "c"], ["c"], ["b"], ["a", "b"]]


def object_array(rows):
    array = np.empty(len(rows), dtype=object)
    array[:] = rows
    return array


@pytest.mark.parametrize(
    "container",
    [
        pd.Series,
        object_array,
        pl.Series,
        tuple,
        lambda rows: pd.Series([np.array(row) for row in rows]),
        lambda rows: pd.Series([[bool(v) for v in row] for row in rows]),
        lambda rows: [pd.Series(row) for row in rows],
        lambda rows: [pl.Series(row) for row in rows],
    ],
)
def test_rows_of_0_and_1_are_an_indicator_in_every_container(container):
    encoder = TargetEncoder()
    y = container(BINARY.tolist())
    np.testing.assert_array_equal(encoder.fit_transform(y), BINARY)
    assert encoder.classes_.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(encoder.inverse_transform(BINARY), BINARY)


def test_arrow_columns_are_read_as_their_values():
    pa = pytest.importorskip("pyarrow")
    for y in (pa.array(BINARY.tolist()), pa.chunked_array([BINARY.tolist()[:2], BINARY.tolist()[2:]])):
        np.testing.assert_array_equal(TargetEncoder().fit_transform(y), BINARY)
    for y in (pa.array(LABELS), [[pa.scalar(label) for label in row] for row in LABELS], [*pa.array(LABELS)]):
        encoder = TargetEncoder()
        np.testing.assert_array_equal(encoder.fit_transform(y), BINARY)
        assert encoder.classes_.tolist() == ["a", "b", "c"]
    assert TargetEncoder().fit([pa.scalar("b"), pa.scalar("a")]).classes_.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    "y",
    [
        pd.DataFrame({"id": [0, 0, 1, 2, 3, 3], "tag": list("accbab")}).groupby("id")["tag"].unique(),
        [pd.Index(row) for row in LABELS],
        [pd.Categorical(row) for row in LABELS],
        [pl.Series(row) for row in LABELS],
        pl.Series(LABELS),
        dict(enumerate(LABELS)).values(),
        [dict(enumerate(row)).values() for row in LABELS],
    ],
)
def test_rows_may_be_any_collection_of_labels(y):
    encoder = TargetEncoder()
    np.testing.assert_array_equal(encoder.fit_transform(y), BINARY)
    assert encoder.classes_.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("wrap", [list, pd.Series])
@pytest.mark.parametrize(
    ("rows", "remedy"),
    [
        ([["1", "0", "1"], ["0", "0", "1"]], "np.array\\(y, dtype=int\\)"),
        ([[1, None, 0], [0, 0, 1]], "np.array\\(y, dtype=float\\)"),
        ([[1, -1, -1], [0, 0, 1]], "-1.*NaN"),
        ([[1, 1], [0, 0, 1]], "length.* 2 to 3.*sets"),
    ],
)
def test_rows_that_look_like_an_indicator_are_not_read_as_label_sets(rows, remedy, wrap):
    with pytest.raises(ValueError, match=remedy):
        TargetEncoder().fit(wrap(rows))


def test_the_remedy_for_none_gives_a_missing_label():
    Y = TargetEncoder().fit_transform(np.array([[1, None, 0], [0, 0, 1]], dtype=float))
    np.testing.assert_array_equal(Y, [[1, np.nan, 0], [0, 0, 1]])


def test_ids_0_and_1_are_labels_if_rows_can_be_sets():
    assert TargetEncoder().fit([[0], [1, 0], []]).classes_.tolist() == [0, 1]
    assert TargetEncoder(classes=[0, 1, 2]).fit_transform([[0, 1], [1, 2]]).tolist() == [[1, 1, 0], [0, 1, 1]]
    assert TargetEncoder(classes=["0", "1"]).fit([{"0", "1"}, {"1"}]).classes_.tolist() == ["0", "1"]


def test_a_dataframe_with_a_column_of_label_sets_is_refused():
    with pytest.raises(ValueError, match=r"y\['tags'\]"):
        TargetEncoder().fit(pd.DataFrame({"tags": LABELS}))


def test_rows_that_are_iterators_are_refused():
    with pytest.raises(ValueError, match=r"y\[0\]"):
        TargetEncoder().fit([iter(row) for row in LABELS])


def test_a_series_of_rows_trains_scores_and_splits_like_the_array(X, Y):
    y = pd.Series(Y.tolist())
    clf, plain = tiny().fit(X, y), tiny().fit(X, Y)
    np.testing.assert_array_equal(clf.predict(X), plain.predict(X))
    assert clf.score(X, y) == plain.score(X, Y)
    assert get_scorer("f1_micro")(clf, X, y) == get_scorer("f1_micro")(plain, X, Y)
    folds = [[test.tolist() for _, test in MultiLabelStratifiedKFold(4, random_state=0).split(X, t)] for t in (y, Y)]
    assert folds[0] == folds[1]
