import numpy as np
import pandas as pd
import pytest

from skml import KerasMultiLabelClassifier
from skml._targets._encoder import TargetEncoder

MISSING = {
    "NaN": float("nan"),
    "NumPy's NaN": np.float32("nan"),
    "pandas' NaT": pd.NaT,
    "NumPy's NaT": np.datetime64("NaT"),
    "pd.NA": pd.NA,
    "None": None,
}


@pytest.mark.parametrize("missing", MISSING.values(), ids=MISSING)
@pytest.mark.parametrize("row", [set, frozenset, list, tuple])
def test_a_missing_value_is_no_label(missing, row):
    with pytest.raises(ValueError, match=r"y\[1\] holds .* as a label.*empty collection"):
        TargetEncoder().fit([{1.0}, row([missing]), {2.0}])


@pytest.mark.parametrize("missing", MISSING.values(), ids=MISSING)
def test_a_missing_value_in_classes_is_refused(missing):
    with pytest.raises(ValueError, match=r"classes .*; got the missing value"):
        TargetEncoder(classes=["a", missing]).fit([{"a"}, set()])


@pytest.mark.parametrize("missing", MISSING.values(), ids=MISSING)
def test_a_missing_value_is_no_row(missing):
    for first in ("a", {"a"}):
        with pytest.raises(ValueError, match=r"y has the missing value .* row 1"):
            TargetEncoder().fit([first, missing, first])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
def test_single_labels_may_not_be_missing():
    strings = pd.Series(["a", pd.NA, "b"], dtype="string")
    for y in (strings, strings.astype(object), np.array([["a"], [None]], dtype=object), ["a", float("nan")]):
        with pytest.raises(ValueError, match=r"missing value .* row 1.*remove the rows"):
            TargetEncoder().fit(y)
    for y in (np.array(["2020", "NaT"], dtype="M8[s]"), np.array([1, "NaT"], dtype="m8[ns]")):
        with pytest.raises(ValueError, match=r"missing value .*NaT.* row 1"):
            TargetEncoder().fit(y)


@pytest.mark.parametrize("unit", ["D", "s", "us", "ns"])
@pytest.mark.parametrize("row", [set, np.array], ids=["sets", "arrays"])
def test_dates_stay_dates(unit, row):
    days = np.array(["2021-01-01", "2020-01-01"], dtype=f"M8[{unit}]")
    encoder = TargetEncoder().fit([row(days), row(days[:1])])
    assert encoder.classes_.tolist() == sorted(day.item() if unit != "ns" else day for day in days)
    answer = encoder.inverse_transform(encoder.transform([row(days[:1])]))
    assert [np.datetime64(label) for label in answer[0]] == [days[0]]
    assert TargetEncoder(classes=days).fit([row(days)]).transform([row(days[:1])]).tolist() == [[1, 0]]


def test_timedeltas_stay_timedeltas():
    spans = np.array([2, 1], dtype="m8[ns]")
    encoder = TargetEncoder().fit([set(spans), set()])
    assert encoder.classes_.tolist() == [spans[1], spans[0]]


def test_dates_as_single_labels_are_found_in_classes():
    days = np.array(["2020-01-01", "2021-01-01", "2022-01-01"], dtype="M8[ns]")
    encoder = TargetEncoder(classes=days).fit(days[:2])
    assert encoder.classes_.dtype == days.dtype
    assert encoder.transform(days[1:]).tolist() == [[0, 1, 0], [0, 0, 1]]
    weights = encoder.class_weight({days[0]: 3.0}, encoder.transform(days), None)
    assert weights.by_class.tolist() == [3, 1, 1]


def test_masked_entries_are_missing_labels():
    y = np.ma.masked_array([[1, 0], [0, 1]], mask=[[0, 1], [0, 0]])
    encoder = TargetEncoder()
    np.testing.assert_array_equal(encoder.fit_transform(y), [[1, np.nan], [0, 1]])
    assert encoder.fit_transform(np.ma.masked_array(y.data)).dtype == np.uint8  # nothing masked
    with pytest.raises(ValueError, match=r"y is a masked array of shape .2,. and dtype <U1.* Remove the masked rows"):
        TargetEncoder().fit(np.ma.masked_array(["a", "b"], mask=[0, 1]))


@pytest.mark.parametrize("name", ["X", "sample_weight", "threshold", "class_weight"])
def test_a_mask_elsewhere_is_refused(name, X, Y):
    masked = np.ma.masked_array(X if name == "X" else np.ones(80 if name == "sample_weight" else 3))
    masked[0] = np.ma.masked
    data, params = {"X": X, "y": Y}, {}
    (data if name in ("X", "sample_weight") else params)[name] = masked
    clf = KerasMultiLabelClassifier(epochs=1, **params)
    with pytest.raises(ValueError, match=rf"{name} is a masked array with .* masked values"):
        clf.fit(**data)
    assert not hasattr(clf, "classes_")
