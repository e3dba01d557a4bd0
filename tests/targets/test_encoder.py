import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.exceptions import DataConversionWarning

from forms import FORMS
from skml import KerasMultiLabelClassifier
from skml._targets._encoder import TargetEncoder

INDICATOR = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1]])
LABELS = [("a", "c"), (), ("b",), ("a", "b", "c")]

each_form = pytest.mark.parametrize("y", [make(INDICATOR, "abc") for make in FORMS.values()], ids=FORMS.keys())


def to_dense(Y):
    return Y.toarray() if sparse.issparse(Y) else Y


@each_form
def test_every_form_becomes_the_same_matrix(y):
    np.testing.assert_array_equal(to_dense(TargetEncoder().fit_transform(y)), INDICATOR)


@each_form
def test_the_same_data_in_every_form_give_the_same_probabilities(y):
    X = np.random.RandomState(0).randn(4, 2)
    options = {"hidden_layer_sizes": (4,), "epochs": 3, "random_state": 0}
    reference = KerasMultiLabelClassifier(**options).fit(X, INDICATOR)
    clf = KerasMultiLabelClassifier(**options).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), reference.predict_proba(X))
    assert clf.score(X, y) == reference.score(X, INDICATOR)


@each_form
def test_decisions_are_returned_in_the_form_of_y(y):
    encoder = TargetEncoder().fit(y)
    decisions = INDICATOR.astype(bool)
    answer = encoder.inverse_transform(sparse.csr_array(decisions) if sparse.issparse(y) else decisions)
    np.testing.assert_array_equal(to_dense(encoder.transform(answer)), INDICATOR)
    if sparse.issparse(y):
        assert answer.format == "csr"
        assert isinstance(answer, sparse.sparray) == isinstance(y, sparse.sparray)
    elif isinstance(y, np.ndarray) and y.ndim == 2 and y.dtype != object:
        assert answer.dtype == y.dtype
    elif encoder.form_ == "collections":
        assert answer.tolist() == LABELS
        assert answer.dtype == object


def test_labels_are_returned_as_python_objects():
    encoder = TargetEncoder().fit([np.array(["b", "a"]), np.array(["a"])])
    (row,) = encoder.inverse_transform([[True, True]])
    assert [type(label) for label in row] == [str, str]


def test_collections_of_one_label_each_are_multilabel():
    encoder = TargetEncoder().fit([("a",), ("b",), ("c",)])
    assert encoder.target_type_ == "multilabel-indicator"


def test_a_dataframe_of_one_column_is_an_indicator():
    encoder = TargetEncoder().fit(pd.DataFrame({"a": [0, 1]}))
    assert encoder.is_multilabel
    assert encoder.classes_.tolist() == ["a"]


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (["b", "a", "b"], ["a", "b"]),
        (np.array([3, 1, 2]), [1, 2, 3]),
        (pd.Series([True, False]), [False, True]),
        (np.array(["x", "y"], dtype=object), ["x", "y"]),
        ([1.0, 0.0, 1.0], [0.0, 1.0]),
    ],
)
def test_single_labels_are_returned_in_their_dtype(y, classes):
    encoder = TargetEncoder().fit(y)
    assert encoder.classes_.tolist() == classes
    answer = encoder.inverse_transform(encoder.transform(y))
    np.testing.assert_array_equal(answer, np.asarray(y))
    assert answer.dtype == np.asarray(y).dtype


def test_a_column_vector_is_ravelled_with_a_warning():
    with pytest.warns(DataConversionWarning, match="column-vector"):
        encoder = TargetEncoder().fit(np.array([[1], [0], [1]]))
    assert encoder.form_ == "single"


def test_binary_y_has_one_column_and_multiclass_y_one_per_class():
    assert TargetEncoder().fit_transform(["n", "y", "n"]).tolist() == [[0], [1], [0]]
    assert TargetEncoder().fit_transform([5, 7, 6]).tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]


def test_large_label_spaces_become_sparse():
    y = [{i} for i in range(3000)]
    Y = TargetEncoder().fit_transform(y)
    assert sparse.issparse(Y)
    np.testing.assert_array_equal(Y.indices, np.arange(3000))


def test_classes_fix_the_label_space_and_its_order():
    encoder = TargetEncoder(classes=["z", "a", "m"])
    assert encoder.fit_transform([{"a"}, {"z", "a"}]).tolist() == [[0, 1, 0], [1, 1, 0]]
    assert encoder.inverse_transform([[True, True, False]])[0] == ("z", "a")


def test_classes_need_not_be_sortable():
    encoder = TargetEncoder(classes=["a", 1, (2, 3)])
    assert encoder.fit_transform([{1, "a"}, {(2, 3)}]).tolist() == [[1, 1, 0], [0, 0, 1]]


def test_classes_may_contain_more_classes_than_single_label_y():
    encoder = TargetEncoder(classes=["c", "a", "bb"]).fit(["a", "c"])
    assert encoder.classes_.tolist() == ["a", "bb", "c"]
    assert encoder.n_outputs == 3


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (np.array([0, 1]), [0, 1, 2.5]),
        (np.array([True, False]), [0, 1, 2]),
        (np.array([1, 2], dtype=np.int8), [1, 2, 300]),
    ],
)
def test_classes_that_the_dtype_of_y_cannot_hold_are_kept(y, classes):
    assert TargetEncoder(classes=classes).fit(y).classes_.tolist() == classes


def test_labels_of_another_type_than_classes_are_refused():
    with pytest.raises(ValueError, match=r"not in classes.* 1, 2"):
        TargetEncoder(classes=["x", "y"]).fit_transform(np.array([1, 2]))


def test_classes_name_the_columns_of_an_array():
    encoder = TargetEncoder(classes=["u", "v", "w"]).fit(INDICATOR)
    assert encoder.classes_.tolist() == ["u", "v", "w"]


def test_a_dataframe_is_aligned_by_name():
    encoder = TargetEncoder().fit(pd.DataFrame(INDICATOR, columns=list("abc")))
    shuffled = pd.DataFrame(INDICATOR, columns=list("abc"))[["c", "a", "b"]]
    np.testing.assert_array_equal(encoder.transform(shuffled), INDICATOR)


def test_lists_of_0_and_1_are_read_in_the_form_of_fit():
    ids = TargetEncoder().fit([[0, 1], [2], [1]])
    assert ids.transform([[0, 1], [1, 0]]).tolist() == [[1, 1, 0], [1, 1, 0]]
    indicator = TargetEncoder().fit([[0, 1], [1, 0]])
    assert indicator.transform([[0, 1], [1, 0]]).tolist() == [[0, 1], [1, 0]]


def test_classes_distinguish_ids_from_an_indicator():
    encoder = TargetEncoder(classes=[0, 1, 2])
    assert encoder.fit_transform([[0, 1], [1, 0]]).tolist() == [[1, 1, 0], [1, 1, 0]]


def test_other_multilabel_forms_are_accepted_after_fit():
    encoder = TargetEncoder().fit(LABELS)
    np.testing.assert_array_equal(encoder.transform(INDICATOR), INDICATOR)
    np.testing.assert_array_equal(to_dense(encoder.transform(sparse.csr_array(INDICATOR))), INDICATOR)


def test_explicit_zeros_of_a_sparse_y_are_zeros():
    y = sparse.csr_array((np.array([1, 0, 1]), np.array([0, 1, 2]), np.array([0, 2, 3])), shape=(2, 3))
    assert to_dense(TargetEncoder().fit_transform(y)).tolist() == [[1, 0, 0], [0, 0, 1]]
    assert y.nnz == 3


BAD = {
    "strings in a 2-D array": (np.array([["a", "b"], ["c", "d"]]), r"y\.tolist\(\)"),
    "3-D": (np.zeros((2, 2, 2)), "1 or 2 dimensions"),
    "other values": (np.array([[1, 2], [0, 1]]), "0 and 1; got 2"),
    "other values in sparse": (sparse.csr_array([[3, 0], [0, 1]]), "0 and 1; got 3"),
    "other values beside NaN": (np.array([[2, np.nan], [0, 1]]), "0 and 1; got 2"),
    "a string among collections": ([("a", "b"), "cd"], r"y\[1\].*'cd'.*\('cd',\)"),
    "a number among collections": ([("a", "b"), 3], r"y\[1\].* 3\..*\(3,\)"),
    "NaN as a row": (pd.Series([np.nan, {"a"}], dtype=object), r"y .*nan.* row 0.*empty collection"),
    "mappings as rows": ([{"a": 1}, {"a": 0}], r"y\[0\].*pass a DataFrame"),
    "None": ([("a",), None], r"None.* row 1.*empty collection"),
    "None as a label": ([("a", None)], r"y\[0\].* None as a label"),
    "unhashable labels": ([[["a"]], [["b"]]], r"y\[0\].*\['a'\].*hashable"),
    "a mapping": ({"a": 1}, "type dict"),
    "continuous": (np.array([0.1, 0.7, 0.3]), "Unknown label type"),
    "infinite": (np.array([np.inf, 0.0]), "contains infinity"),
    "one class": (["a", "a"], r"only one class, 'a'.*classes="),
    "no labels at all": ([(), set()], "label space is empty"),
    "no rows": ([], "no rows"),
    "mixed label types": ([{"a", 1}], r"int, str.* sorted.*classes="),
    "mixed single labels": (["a", 1, "b"], r"int, str.* sorted.*one type"),
    "columns that repeat": (pd.DataFrame([[1, 0]], columns=["a", "a"]), "columns of y.*'a' more than once"),
}


@pytest.mark.parametrize(("y", "message"), BAD.values(), ids=BAD.keys())
def test_bad_targets_are_refused(y, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        TargetEncoder().fit_transform(y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([{"a", "x"}], r"not in classes.* 'x' .* row 0.*classes="),
        (np.ones((2, 4)), "4 columns.* 3 labels.*classes="),
        (pd.DataFrame({"a": [1], "b": [0]}), r"Missing: 'c'"),
        (pd.DataFrame({"a": [1], "b": [0], "c": [1], "d": [1]}), r"Unknown: 'd'.*classes="),
        (["a", "b"], "multi-label.* in fit; got .*single-label"),
    ],
)
def test_targets_outside_the_label_space_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        TargetEncoder().fit(LABELS).transform(y)


def test_a_wrong_number_of_columns_is_refused():
    with pytest.raises(ValueError, match=r"3 columns.* classes .*2 labels"):
        TargetEncoder(classes=["a", "b"]).fit(INDICATOR)


def test_unknown_labels_are_returned_separately():
    encoder = TargetEncoder(classes=["a", "b"]).fit([{"a"}])
    Y, unknown = encoder.transform_known([{"a", "x"}, {"b"}])
    assert Y.tolist() == [[1, 0], [0, 1]]
    assert unknown == {0: ["x"]}


def test_strings_that_look_like_joined_labels_raise_a_warning():
    with pytest.warns(UserWarning, match=r"'a,b'.* one label.*skml\.read_label_sets\(y, sep=','\)"):
        TargetEncoder().fit(["a,b", "b,c", "a"])
    with pytest.warns(UserWarning, match=r"'a; b'.* one label.*skml\.read_label_sets\(y, sep=';'\)"):
        TargetEncoder().fit(["a; b", "a", "b", "c", ""])
    with pytest.warns(UserWarning, match=r"\"\['a', 'b'\]\".* one label.*skml\.read_label_sets\(y\)"):
        TargetEncoder().fit(["['a', 'b']", "['a']", "[]"])


def test_a_comma_in_a_label_raises_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TargetEncoder().fit(["Korea, Republic of", "France", "Chad"])
        TargetEncoder().fit(["(unknown)", "[none]"])
