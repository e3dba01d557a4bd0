import numpy as np
import pandas as pd
import pytest

from forms import label_sets_of
from skml import KerasMultiLabelClassifier
from skml._decisions._rule import decide, resolve_threshold

PROBA = np.array([[0.9, 0.5, 0.1], [0.2, 0.3, 0.3], [0.6, 0.7, 0.8]])


def decide_by_hand(row, threshold, min_labels, max_labels):
    """Apply the documented rule to one label after another."""
    margin = {j: row[j] - threshold[j] for j in range(len(row))}
    ranked = sorted(margin, key=lambda j: (-margin[j], j))
    chosen = [j for j in ranked if margin[j] >= 0]
    if len(chosen) < min_labels:
        chosen = ranked[:min_labels]
    if max_labels is not None and len(chosen) > max_labels:
        chosen = ranked[:max_labels]
    return set(chosen)


@pytest.mark.parametrize("limits", [(0, None), (1, None), (2, 2), (0, 1), (3, 3), (0, 0)])
@pytest.mark.parametrize("threshold", [[0.5, 0.5, 0.5], [0.9, 0.25, 0.3]])
def test_decisions_follow_the_rule(threshold, limits):
    rng = np.random.RandomState(0)
    proba = np.round(rng.rand(200, 3), 1)  # rounded to create ties
    for row, decisions in zip(proba, decide(proba, np.array(threshold), *limits), strict=True):
        assert set(np.flatnonzero(decisions)) == decide_by_hand(row, threshold, *limits)


def test_a_label_is_predicted_if_its_probability_equals_its_threshold():
    assert decide([[0.5, 0.4999]]).tolist() == [[True, False]]


def test_float32_probabilities_are_compared_in_float64():
    assert not decide(np.array([[0.1]], dtype=np.float32), 0.1 + 2e-9).all()


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (0.3, 0.3),
        ([0.1, 0.2, 1.0], [0.1, 0.2, 1.0]),
        ({"b": 0.2}, [0.5, 0.2, 0.5]),
        ({}, [0.5, 0.5, 0.5]),
        (pd.Series({"c": 0.9, "a": 0.1}), [0.1, 0.5, 0.9]),
        (pd.Series([0.1, 0.2, 0.3]), [0.1, 0.2, 0.3]),
    ],
)
def test_thresholds_are_resolved(threshold, expected):
    np.testing.assert_array_equal(resolve_threshold(threshold, ["a", "b", "c"]), expected)


BAD = {
    "too many": ({"threshold": [0.5, 0.5]}, r"threshold .*3 labels.*\(2,\)"),
    "above 1": ({"threshold": 1.5}, r"threshold .*\[0, 1\].*\b1\.5"),
    "NaN": ({"threshold": [0.5, np.nan, 0.5]}, r"threshold .*\[0, 1\].*nan"),
    "unknown label": ({"threshold": {"z": 0.5}}, r"threshold .*'z'.*'a', 'b', 'c'"),
    "unknown rule": ({"threshold": "best"}, "threshold .*'f1_micro', 'f1_macro'.*'best'"),
    "min above L": ({"min_labels": 4}, "min_labels=4 .* 3 labels"),
    "max above L": ({"max_labels": 4}, "max_labels=4 .* 3 labels"),
    "crossed": ({"min_labels": 2, "max_labels": 1}, "min_labels=2 .*max_labels=1"),
}


@pytest.mark.parametrize(("params", "message"), BAD.values(), ids=BAD.keys())
def test_bad_decision_parameters_are_refused_in_fit_and_predict(params, message, X, label_sets, clf):
    with pytest.raises(ValueError, match=message):
        KerasMultiLabelClassifier(**params).fit(X, label_sets)
    with pytest.raises(ValueError, match=message):
        clf.set_params(**params).predict(X)


def test_threshold_acts_at_predict_time(clf, X):
    proba = clf.predict_proba(X)
    for threshold in (0.2, {"a": 0.9, "b": 0.1}, [0.3, 0.4, 0.5]):
        clf.set_params(threshold=threshold)
        expected = proba >= resolve_threshold(threshold, ["a", "b", "c"])
        assert clf.predict(X).tolist() == label_sets_of(expected, kind=tuple)
        np.testing.assert_array_equal(clf.threshold_, resolve_threshold(threshold, ["a", "b", "c"]))


def test_label_counts_are_bounded(clf, X):
    assert {len(row) for row in clf.predict(X)} > {1, 2}
    assert {len(row) for row in clf.set_params(min_labels=1, max_labels=2).predict(X)} == {1, 2}


def test_a_threshold_applies_to_the_second_of_two_classes(X, Y):
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=(4,), epochs=2, threshold=0.3).fit(X, Y[:, 0])
    np.testing.assert_array_equal(clf.predict(X), (clf.predict_proba(X)[:, 1] >= 0.3).astype(int))
    assert clf.threshold_ == 0.3


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"threshold": [0.5, 0.5]}, r"binary y.*threshold .*float.*\[0\.5, 0\.5\]"),
        ({"min_labels": 1}, r"binary .*min_labels=1 .*min_labels=0 .*max_labels=None"),
        ({"max_labels": 1}, r"binary .*max_labels=1\b.*min_labels=0 .*max_labels=None"),
    ],
)
def test_parameters_that_binary_y_does_not_support_are_refused(params, message, X, Y):
    with pytest.raises(ValueError, match=message):
        KerasMultiLabelClassifier(**params).fit(X, Y[:, 0])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"threshold": 0.4}, r"multi-class y.*threshold=0\.4\b.*threshold=0\.5"),
        ({"threshold": [0.5] * 3}, r"multi-class y.*threshold=\[0\.5, 0\.5, 0\.5\].*threshold=0\.5"),
        ({"min_labels": 1}, r"multi-class.*min_labels=1 .*min_labels=0 .*max_labels=None"),
    ],
)
def test_parameters_that_multiclass_y_does_not_support_are_refused(params, message, X):
    with pytest.raises(ValueError, match=message):
        KerasMultiLabelClassifier(**params).fit(X, np.arange(80) % 3)


def test_multiclass_y_is_decided_by_argmax(X):
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=(4,), epochs=2).fit(X, np.arange(80) % 3)
    np.testing.assert_array_equal(clf.predict(X), clf.predict_proba(X).argmax(axis=1))
    assert clf.threshold_ is None
