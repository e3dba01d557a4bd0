"""Functions of skml.metrics take label sets: the scores are those of the matrices, and some are counted by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.preprocessing import MultiLabelBinarizer

import skml.metrics as m

NAMES = ["a", "b", "c"]
TRUE = [{"a"}, {"b", "c"}, set(), {"a", "c"}]
PRED = [("a",), ("b",), ("c",), ("a", "b")]
PROBA = np.array([[0.9, 0.1, 0.2], [0.2, 0.8, 0.4], [0.1, 0.3, 0.6], [0.7, 0.6, 0.5]])
BINARIZER = MultiLabelBinarizer(classes=NAMES).fit([NAMES])
Y, D = BINARIZER.transform(TRUE), BINARIZER.transform(PRED)

OF_DECISIONS = [m.accuracy_score, m.f1_score, m.hamming_loss, m.jaccard_score, m.precision_score, m.recall_score]
OF_SCORES = [
    m.average_precision_score,
    m.coverage_error,
    m.label_ranking_average_precision_score,
    m.label_ranking_loss,
    m.log_loss,
    m.ndcg_at_k,
    m.precision_at_k,
    m.recall_at_k,
    m.roc_auc_score,
]


def test_no_function_is_left_out():
    functions = {getattr(m, name) for name in m.__all__} - {m.get_scorer, m.get_scorer_names, m.make_scorer}
    assert functions == {*OF_DECISIONS, *OF_SCORES}


def test_counts_by_hand():
    # 3 of 5 true labels are found, 3 of 5 predicted ones are right, 1 of 4 rows is right, 4 of 12 entries are wrong
    assert m.recall_score(TRUE, PRED, average="micro") == pytest.approx(3 / 5)
    assert m.precision_score(TRUE, PRED, average="micro") == pytest.approx(3 / 5)
    assert m.accuracy_score(TRUE, PRED) == 1 / 4
    assert m.hamming_loss(TRUE, PRED) == pytest.approx(4 / 12)
    assert m.f1_score([{"a"}], [("a",)]) == 1.0
    assert m.precision_at_k(TRUE, PROBA, k=1, labels=NAMES) == 3 / 4


TAKEN = {
    "sets and tuples": (TRUE, PRED, {}),
    "with labels": (TRUE, PRED, {"labels": NAMES}),
    "arrays and Series": (np.array(TRUE, dtype=object), pd.Series(PRED), {}),
    "sets and a matrix": (TRUE, D, {"labels": NAMES}),
    "a sparse matrix and sets": (sparse.csr_array(Y), PRED, {"labels": np.array(NAMES, dtype=object)}),
    "a DataFrame and sets": (pd.DataFrame(Y, columns=NAMES)[["c", "a", "b"]], PRED, {"labels": NAMES}),
    "a DataFrame without labels": (pd.DataFrame(Y, columns=NAMES), PRED, {}),
    "lists of lists and sets": (Y.tolist(), PRED, {"labels": NAMES}),
}


@pytest.mark.parametrize("function", OF_DECISIONS, ids=lambda function: function.__name__)
@pytest.mark.parametrize(("y_true", "y_pred", "options"), TAKEN.values(), ids=TAKEN)
def test_label_sets_score_as_their_matrices(y_true, y_pred, options, function):
    assert function(y_true, y_pred, **options) == pytest.approx(function(Y, D))


@pytest.mark.parametrize("function", OF_SCORES, ids=lambda function: function.__name__)
def test_label_sets_are_ranked_as_their_matrix(function):
    expected = function(Y, PROBA)
    assert function(TRUE, PROBA, labels=NAMES) == pytest.approx(expected)
    order = [2, 0, 1]
    assert function(TRUE, PROBA[:, order], labels=["c", "a", "b"]) == pytest.approx(expected)
    with pytest.raises(ValueError, match=r"Y_true holds label sets.*labels=clf\.classes_"):
        function(TRUE, PROBA)
    with pytest.raises(ValueError, match="shape"):
        function(TRUE, PROBA[:, :2], labels=NAMES)


def test_ids_0_and_1_are_labels_beside_sets():
    assert m.f1_score([{0}, {1}], [(0,), (1,)]) == 1.0
    assert m.f1_score([{0, 1}, {2}], [(0, 1), (2,)]) == 1.0
    assert m.accuracy_score([[1], [0]], [[1], [1]]) == 0.5  # a matrix of one column


def test_other_labels_are_columns_with_a_warning():
    wide = MultiLabelBinarizer(classes=[*NAMES, "x"])
    y_true = [{"a", "x"}, *TRUE[1:]]
    with pytest.warns(UserWarning, match="not in labels.* 'x'"):
        score = m.f1_score(y_true, PRED, labels=NAMES, average="micro")
    assert score == pytest.approx(m.f1_score(wide.fit_transform(y_true), wide.fit_transform(PRED), average="micro"))
    with pytest.warns(UserWarning, match="not in labels.* 'x'"):
        score = m.coverage_error(y_true, PROBA, labels=NAMES)
    assert score == m.coverage_error(wide.fit_transform(y_true), np.hstack([PROBA, np.zeros((4, 1))]))


def test_what_has_no_names_is_refused():
    with pytest.raises(ValueError, match=r"columns need names.*labels=clf\.classes_"):
        m.f1_score(TRUE, D)
    with pytest.raises(ValueError, match=r"cannot be sorted.*labels=\[\.\.\.\]"):
        m.f1_score([{"a", 1}], [{"a"}])
    with pytest.raises(ValueError, match=r"accept label sets.*get_scorer"):
        m.f1_score(["a", "b"], ["a", "b"])
    with pytest.raises(ValueError, match="columns"):
        m.f1_score(Y, D, labels=["a"])
