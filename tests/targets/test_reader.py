"""Columns of labels in every notation, each beside the label sets that somebody typed."""

import re
import time
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

import skml
from skml import read_label_sets
from skml._targets._encoder import TargetEncoder

ABC = [{"a", "b"}, {"c"}, set(), {"a", "b", "c"}]

NOTATIONS = {
    "commas": (["a,b", "c", "", "a,b,c"], {}),
    "commas and spaces": ([" a, b", "c,", "  ", "a,, b ,c"], {}),
    "semicolons": (["a;b", "c", "", "a; b; c"], {"sep": ";"}),
    "spaces": (["a b", "c", " ", "a  b c"], {"sep": " "}),
    "tabs": (["a\tb", "c", "", "a\tb\tc"], {"sep": "\t"}),
    "lines": (["a\nb", "c\n", "", "a\nb\r\nc"], {"sep": "\n"}),
    "and": (["a and b", "c", "", "a and b and c"], {"sep": " and "}),
    "hashes": (["#a#b", "#c", "", "#a #b #c"], {"sep": "#"}),
    "fastText": (["__label__a __label__b", "__label__c", "", "__label__a __label__b __label__c"], {"sep": "__label__"}),
    "lists of Python": (["['a', 'b']", "['c']", "[]", "['a', \"b\", 'c']"], {}),
    "tuples of Python": (["('a', 'b')", "('c',)", "()", "('a', 'b', 'c')"], {}),
    "sets of Python": (["{'b', 'a'}", "{'c'}", "set()", "{'a', 'b', 'c'}"], {}),
    "frozensets": (["frozenset({'b', 'a'})", "frozenset({'c'})", "frozenset()", "frozenset({'a', 'b', 'c'})"], {}),
    "NumPy": (["['a' 'b']", "['c']", "[]", "['a' 'b'\n 'c']"], {}),
    "repr of NumPy": (
        ["array(['a', 'b'], dtype='<U1')", "array(['c'], dtype=object)", "array([], dtype=object)", "['a' 'b' 'c']"],
        {},
    ),
    "scalars of NumPy": (["[np.str_('a'), np.str_('b')]", "[np.str_('c')]", "[]", "['a', 'b', 'c']"], {}),
    "JSON": (['["a", "b"]', '["c"]', "[]", '["a", "b", "c"]'], {}),
    "arrays of pandas": (
        [
            "<ArrowStringArray>\n['a', 'b']\nLength: 2, dtype: str",
            "<ArrowStringArray>\n['c']\nLength: 1, dtype: str",
            "[]",
            "['a', 'b', 'c']\nCategories (3, str): ['a', 'b', 'c']",
        ],
        {},
    ),
    "braces": (["{a,b}", "{c}", "{}", '{a,"b",c}'], {}),
    "brackets": (["[a, b]", "[c]", "[]", "[a, b, c]"], {}),
    "brackets and spaces": (["[a b]", "[c]", "[ ]", "[a  b c]"], {"sep": " "}),
    "dicts as JSON": (
        ['[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]', '[{"name": "c"}]', "[]", '[{"name": "a"}, "b", "c"]'],
        {"key": "name"},
    ),
    "dicts as text of Python": (
        ["[{'id': 1, 'name': 'a'}, {'name': 'b'}]", "[{'name': 'c'}]", "[]", "[{'name': 'a'}, 'b', 'c']"],
        {"key": "name"},
    ),
    "lists of dicts": ([[{"t": "a"}, {"t": " b"}], [{"t": "c"}], [], [{"t": "a"}, {"t": "b"}, "c"]], {"key": "t"}),
    "nested lists": ([["a", "b"], ["c "], [""], ["a", "b", "c"]], {}),
    "sets and arrays": ([{"a", "b"}, np.array(["c"]), (), frozenset("abc")], {}),
    "lists and text": ([["a", "b"], "c,", "", "a,b,c"], {}),
    "one-hot text": (["[1, 1, 0]", "[0, 0, 1]", "[0, 0, 0]", "[1, 1, 1]"], {"classes": ["a", "b", "c"]}),
    "one-hot of NumPy": (
        ["[1 1 0]", "[0. 0. 1.]", "[False False False]", "[ True True True]"],
        {"classes": list("abc")},
    ),
    "bits": (["110", "001", "000", "111"], {"classes": ["a", "b", "c"]}),
    "0 and 1 joined": (["1,1,0", "0, 0, 1", "", "1,1,1"], {"classes": ["a", "b", "c"]}),
    "rows of 0 and 1": ([[1, 1, 0], (0, 0, 1), np.zeros(3), [True, True, True]], {"classes": ["a", "b", "c"]}),
    "capital letters": (["A,b", "C", "", "a, B,c"], {"casefold": True}),
}


@pytest.mark.parametrize("wrap", [list, pd.Series, np.array], ids=["list", "Series", "array"])
@pytest.mark.parametrize(("column", "options"), NOTATIONS.values(), ids=NOTATIONS)
def test_every_notation_is_read_as_the_label_sets_that_it_stands_for(column, options, wrap):
    if wrap is np.array:
        cells = np.empty(len(column), dtype=object)
        cells[:] = column
    else:
        cells = wrap(column)
    assert list(read_label_sets(cells, **options)) == ABC


def test_a_series_keeps_its_index_and_name():
    column = pd.Series(["a, b", "", "c"], index=[7, 3, 5], name="tags")
    expected = pd.Series([{"a", "b"}, set(), {"c"}], index=[7, 3, 5], name="tags")
    pd.testing.assert_series_equal(read_label_sets(column), expected)


def test_columns_of_polars_and_pyarrow_are_read():
    pa = pytest.importorskip("pyarrow")
    for column in (pl.Series(["a,b", "c"]), pa.array(["a,b", "c"]), pa.chunked_array([["a,b"], ["c"]])):
        assert read_label_sets(column) == [{"a", "b"}, {"c"}]
    for column in (pl.Series([["a", "b"], ["c"]]), pa.array([["a", "b"], ["c"]])):
        assert read_label_sets(column) == [{"a", "b"}, {"c"}]
    assert read_label_sets(pd.Series(["a,b", "c"], dtype="category")).tolist() == [{"a", "b"}, {"c"}]


def test_labels_that_are_no_strings_are_python_objects():
    (labels,) = read_label_sets(["[1, 2.5, null]"], missing="empty")
    assert labels == {1, 2.5}
    (labels,) = read_label_sets([np.array([3, 1])])
    assert labels == {1, 3}
    assert {type(label) for label in labels} == {int}
    assert read_label_sets(["[12 7]", "[3]"]) == [{12, 7}, {3}]


@pytest.mark.parametrize("gap", [None, np.nan, pd.NA, pd.NaT])
def test_a_missing_cell_is_an_error_or_empty(gap):
    with pytest.raises(ValueError, match=r"Row 1 of column is missing.*missing='empty'.*remove the row"):
        read_label_sets(["a,b", gap])
    assert read_label_sets(["a,b", gap], missing="empty") == [{"a", "b"}, set()]
    assert read_label_sets([["a", gap], ["b"]], missing="empty") == [{"a"}, {"b"}]
    assert read_label_sets(["10", gap], classes=["a", "b"], missing="empty") == [{"a"}, set()]


def test_a_long_table_is_grouped_by_sample():
    labels, ids = ["a", " b", "c", "", "a"], [7, 5, 7, 6, 5]
    assert read_label_sets(labels, ids=ids) == [{"a", "c"}, {"a", "b"}, set()]
    assert read_label_sets(labels, ids=ids, rows=[5, 6, 7, 8]) == [{"a", "b"}, set(), {"a", "c"}, set()]
    table = pd.DataFrame({"id": ids, "tag": labels})
    expected = pd.Series([{"a", "c"}, {"a", "b"}, set()], index=pd.Index([7, 5, 6], name="id"), name="tag")
    pd.testing.assert_series_equal(read_label_sets(table["tag"], ids=table["id"]), expected)
    X = pd.DataFrame({"x": [0.0, 1.0]}, index=pd.Index([8, 7], name="sample"))
    found = read_label_sets(table["tag"][:4].drop(1), ids=table["id"][:4].drop(1), rows=[8, 7, 6])
    assert found.tolist() == [set(), {"a", "c"}, set()]
    kept = table[table["id"].isin(X.index)]
    pd.testing.assert_series_equal(
        read_label_sets(kept["tag"], ids=kept["id"], rows=X.index), pd.Series([set(), {"a", "c"}], X.index, name="tag")
    )


def test_the_sets_of_a_long_table_are_separate_objects():
    first, second = read_label_sets(["a"], ids=[1], rows=[1, 1])
    first.add("b")
    assert second == {"a"}


REFUSED = {
    "a separator that never occurs": (["a;b", "a"], {}, r"sep=',' occurs in no row.*row 0 is 'a;b'.*sep=';'"),
    "no separator": (["x", "a"], {}, r"sep=',' occurs in no row.*\[\{label\} for label in column\]"),
    "a string among lists": ([["a"], "cd"], {}, r"sep=',' occurs in no row.*row 1 is 'cd'"),
    "cut text": (["['a', 'b']", "['a', 'b"], {}, r"Row 1 .*\"\['a', 'b\".*cannot be read.*Correct"),
    "cut text alone": (["['a', 'b"], {}, r"Row 0 .*cannot be read as a collection\. Correct"),
    "text of long arrays": (["['a' 'b' ... 'z']"], {}, "Row 0 .*cannot be read"),
    "forgotten comma": (["['a', 'b' 'c']"], {}, "Row 0 .*cannot be read"),
    "code": (["[__import__('os').getcwd()]", "['a']"], {}, "Row 0 .*cannot be read"),
    "two notations": (["['a', 'b']", "a, b"], {}, "Row 1 .*'a, b'.*as other rows can"),
    "bits": (["010", "110"], {}, r"Row 0 .*'010'.*its 3 labels with classes=\[\.\.\.\]"),
    "one-hot text": (["[0, 1, 0]", "[1, 1, 0]"], {}, r"Row 0 .*\[0, 1, 0\].*its 3 labels with classes"),
    "one-hot rows": ([[0, 1, 0], [1, 1, 0]], {}, r"Row 0 .*its 3 labels with classes"),
    "too few bits": (["010", "11"], {"classes": list("abc")}, r"Row 1 .*'11'.*3 labels.*dtype=str"),
    "bits as a number": (["010", 110], {"classes": list("abc")}, r"Row 1 .*110 \(int\).*dtype=str"),
    "no bits": (["010", "a b"], {"classes": list("abc")}, r"Row 1 .*'a b'.*0 and 1.*classes at None"),
    "a number": (["1,2", 3], {}, r"Row 1 of column is 3 \(int\).*dtype=str"),
    "a dict": ([{"a": 1}], {}, r"Row 0 of column is \{'a': 1\} \(dict\)"),
    "dicts without key": ([[{"id": 1, "name": "a"}]], {}, r"Row 0 .*key='id'; its keys are 'id', 'name'"),
    "a wrong key": ([[{"id": 1}]], {"key": "name"}, r"key='name' is not in all dicts: row 0"),
    "a key without dicts": ([["a"]], {"key": "name"}, r"key='name'.*holds none.*row 0 has the label 'a'"),
    "nested too deep": ([[["a"]]], {}, r"Row 0 .*holds \['a'\] \(list\)"),
    "text after labels": (["__label__a good"], {"sep": "__label__"}, r"Row 0 .*words beside its labels"),
    "missing label": ([["a", None]], {}, r"Row 0 .*missing value None.*missing='empty'"),
    "ids of another length": (["a", "b"], {"ids": [1]}, "ids must have one value for each of the 2 rows.*got 1"),
    "missing id": (["a"], {"ids": [None]}, "Row 0 of ids is None, which is missing"),
    "unknown id": (["a"], {"ids": [3], "rows": [4]}, "Row 0 of ids is 3, which is not in rows"),
    "rows without ids": (["a"], {"rows": [4]}, "rows.*needs ids"),
    "an empty separator": (["a"], {"sep": ""}, "sep must be a string of at least one character"),
    "no separator given": (["a"], {"sep": None}, "sep must be a string.*got None"),
    "wrong missing": (["a"], {"missing": "drop"}, "missing must be 'error' or 'empty'; got 'drop'"),
    "wrong casefold": (["a"], {"casefold": "yes"}, "casefold must be True or False"),
    "classes and key": (["a"], {"classes": ["a"], "key": "a"}, "pass one of the two"),
    "text": ("a, b", {}, r"column must be a Series, array or list; got 'a, b' \(str\)"),
    "a set": ({"a, b"}, {}, r"column must be a Series, array or list; got .*\(set\)"),
    "a number as column": (3, {}, r"column must be a Series, array or list; got 3 \(int\)"),
    "a DataFrame": (pd.DataFrame({"a": ["a"]}), {}, "column must be one column; got a DataFrame"),
}


@pytest.mark.parametrize(("column", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_with_its_row_and_a_cure(column, options, message):
    with pytest.raises(ValueError, match=re.compile(message, re.DOTALL)):
        read_label_sets(column, **options)


def test_the_time_grows_with_the_rows_only():
    column = ["a, b", "b, c", "a"] * 10_000
    start = time.perf_counter()
    assert read_label_sets(column)[-3:] == [{"a", "b"}, {"b", "c"}, {"a"}]
    assert time.perf_counter() - start < 20  # minutes if each row looked at all others


def test_code_in_a_cell_is_not_run(tmp_path):
    path = tmp_path / "written"
    with pytest.raises(ValueError, match="Row 0"):
        read_label_sets([f"[open({str(path)!r}, 'w')]", "['a']"])
    assert not path.exists()


JOINED = {
    ",": ["a, b", "b, c", "a"],
    ";": ["a;b", "b;c", "a"],
    "|": ["a|b", "b|c", "a"],
    " ": ["red green", "green blue", "red", "blue", "green red blue"],
    "\t": ["a\tb", "b\tc", "a"],
    "\n": ["a\nb", "b\nc", "a"],
    "/": ["a/b", "b/c", "a", "c"],
    "#": ["#a#b", "#b#c", "#a", "#c", "#b"],
    "&": ["a & b", "b & c", "a", "c"],
    " and ": ["a and b", "b and c", "a", "c"],
    "__label__": ["__label__a __label__b", "__label__b __label__c", "__label__a"],
}


@pytest.mark.parametrize("gap", [[], [""], ["  "], [None], [np.nan]], ids=["whole", "empty", "blank", "None", "NaN"])
@pytest.mark.parametrize(("sep", "y"), JOINED.items(), ids=[repr(sep) for sep in JOINED])
def test_joined_labels_name_the_call_that_reads_them(sep, y, gap):
    call = f"skml.read_label_sets(y, sep={sep!r})"
    y = y + gap
    if gap in ([], [""], ["  "]):
        with pytest.warns(UserWarning, match=re.escape(call)):
            TargetEncoder().fit(y)
    else:
        call = f"{call[:-1]}, missing='empty')"
        with pytest.raises(ValueError, match=re.escape(call)):
            TargetEncoder().fit(y)
    sets = eval(call)  # the printed remedy does what it says
    assert {label for labels in sets for label in labels} <= set("abc") | {"red", "green", "blue"}
    assert len(sets[0]) == 2


WRITTEN = {
    "lists": (["['a', 'b']", "['a']", "[]"], "skml.read_label_sets(y)"),
    "arrays": (["['a' 'b']", "['a']"], "skml.read_label_sets(y)"),
    "JSON": (['["a", "b"]', '["a"]'], "skml.read_label_sets(y)"),
    "braces": (["{a,b}", "{a}", "{}"], "skml.read_label_sets(y, sep=',')"),
    "brackets": (["[a, b]", "[a]"], "skml.read_label_sets(y, sep=',')"),
    "bits": (["010", "110", "001"], "skml.read_label_sets(y, classes=[...])"),
    "one-hot text": (["[0, 1, 0]", "[1, 1, 0]"], "skml.read_label_sets(y, classes=[...])"),
}


@pytest.mark.parametrize("gap", ["", None])
@pytest.mark.parametrize(("y", "call"), WRITTEN.values(), ids=WRITTEN)
def test_collections_as_text_name_the_call_that_reads_them(y, call, gap):
    with pytest.warns(UserWarning, match=re.escape(call)):
        TargetEncoder().fit(y)
    if gap is None:
        with pytest.raises(ValueError, match=re.escape(f"{call[:-1]}, missing='empty')")):
            TargetEncoder().fit([*y, gap])
    else:
        with pytest.warns(UserWarning, match=re.escape(call)):
            TargetEncoder().fit([*y, gap])


ORDINARY = {
    "cities": ["New York", "New Orleans", "Los Angeles", "San Francisco", "San Diego", "Boston", "York"],
    "states": ["Maine", "New York", "New Jersey", "North Dakota", "South Dakota", "West Virginia", "Virginia"],
    "topics": ["science & technology", "arts & culture", "arts & crafts", "sports", "science", "health and beauty"],
    "colours": ["light blue", "dark blue", "light red", "dark red", "blue", "red"],
    "newsgroups": ["sci/med", "sci/space", "rec/autos", "rec/sport", "sci", "rec"],
    "languages": ["C", "C#", "F#", "C++", "R"],
    "countries": ["Korea, Republic of", "France", "Chad", "Bosnia and Herzegovina", "Trinidad and Tobago"],
    "names": ["Doe, Jane", "Smith, John"],
    "days": ["1/2", "2/1", "12/1", "1/12"],
    "fractions": ["and", "a", "n/a"],
    "brackets": ["(unknown)", "[none]"],
    "one in brackets": ["[a]", "[b]"],
    "short numbers": ["10", "11", "01"],
    "codes": ["200", "404", "101"],
    "wines": ["red wine", "white wine", "beer"],
    "case": ["a", "A", "b", "Co", "CO"],
    "a label twice": ["a,", "a", "b"],
}


@pytest.mark.parametrize("y", ORDINARY.values(), ids=ORDINARY)
def test_ordinary_labels_raise_no_warning(y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TargetEncoder().fit(y)
        TargetEncoder().fit([{label} for label in y])


def test_labels_that_look_alike_are_named_once():
    with pytest.warns(UserWarning, match=r"'Red', 'red', 'red '\. .*read_label_sets\(y, casefold=True\)") as record:
        TargetEncoder().fit([{"red", "red "}, {"Red"}, {"blue"}])
    assert len(record) == 1
    with pytest.warns(UserWarning, match=r"' b', 'b'\. .*read_label_sets\(y\)"):
        TargetEncoder().fit([{"a", "b"}, {"a", " b"}])
    with pytest.warns(UserWarning, match=r"'red', 'red '\. .*\[label\.strip\(\) for label in y\]"):
        TargetEncoder().fit(["red", "red ", "blue"])


def test_the_remedy_for_labels_that_look_alike_merges_them():
    y = [{"red", "red "}, {"Red"}, {"blue"}]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert TargetEncoder().fit(skml.read_label_sets(y, casefold=True)).classes_.tolist() == ["blue", "red"]
        TargetEncoder(classes=["Red", "blue", "red", "red "]).fit(y)
