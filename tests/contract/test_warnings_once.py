"""What a search warns of is shown once by Python's default filter, counted and cut."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.multiclass import OneVsRestClassifier

from estimators import tiny
from skml import KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV
from skml.metrics import get_scorer

N_LABELS = 60


@pytest.fixture(autouse=True)
def _nothing_shown_yet(monkeypatch):
    monkeypatch.setattr("skml._targets._warnings._shown", set())


@pytest.fixture(scope="module")
def many():
    """80 rows of 60 labels, of which each fold lacks some."""
    rng = np.random.RandomState(0)
    share = 1 / np.arange(1, N_LABELS + 1)
    y = [{f"{'a long name of a label ' * 3}{j}" for j in np.flatnonzero(rng.rand(N_LABELS) < share)} for _ in range(80)]
    return rng.randn(80, 5), y


def shown_by_default(work):
    """Return the warnings of skml that the default filter shows, though libraries change filters between them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        warnings.simplefilter("default")
        work()
    return [str(w.message) for w in caught if "labels" in str(w.message) and "Precision" not in str(w.message)]


def forgetful(score_func):
    """A scorer of the user's own, before which filters change, as they do in each fit of scikit-learn and Keras."""

    def scorer(estimator, X, y):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
        return score_func(estimator, X, y)

    return scorer


def search(scoring, many, **params):
    X, y = many
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=4, epochs=1, n_members=1, **params)
    return lambda: GridSearchCV(
        clf, {"random_state": range(3)}, cv=KFold(3), scoring=scoring, refit=False, error_score="raise"
    ).fit(X, y)


SCORERS = {name: forgetful(get_scorer(f"f1_{name}")) for name in ("micro", "samples")}


@pytest.mark.parametrize("scoring", [None, SCORERS, get_scorer("f1_micro")])
def test_labels_that_folds_do_not_know_are_told_of_once(scoring, many):
    caught = [text for text in shown_by_default(search(scoring, many)) if "never predicted" in text]
    assert len(caught) == 1
    assert len(caught[0]) < 350
    assert "labels, such as 'a long name of a label" in caught[0]


def test_labels_that_a_score_skips_are_told_of_once(many):
    classes = sorted(set().union(*many[1]))
    caught = shown_by_default(search(forgetful(get_scorer("roc_auc")), many, classes=classes))
    assert len(caught) == 1
    assert f"of {len(classes)} labels, such as 'a long name" in caught[0]
    assert len(caught[0]) < 350


def test_other_filters_are_followed_as_they_are(many):
    X, y = many
    with pytest.warns(UserWarning, match="never predicted") as caught:  # which asks for all
        search(None, many)()
    assert sum("never predicted" in str(w.message) for w in caught) == 9
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=4, epochs=1, n_members=1).fit(X[:40], y[:40])
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.filterwarnings("error", ".*never predicted")
            with pytest.raises(UserWarning, match="never predicted"):
                clf.score(X, y)


def test_one_line_tells_of_each_text_once(X, label_sets):
    clf = TunedThresholdMultiLabelClassifierCV(OneVsRestClassifier(LogisticRegression()), random_state=0)
    clf.fit(X, label_sets)

    def work():
        for label in ("d", "d", "e"):
            clf.score(X, [{label}, *label_sets[1:]])

    caught = shown_by_default(work)
    assert ["'d'" in message for message in caught] == [True, False]


def test_warnings_point_to_the_line_of_the_user(X, label_sets):
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=4, epochs=1, n_members=1).fit(X, label_sets)
    y, scorer = [{"new"}, *label_sets[1:]], get_scorer("f1_micro")
    for work in (
        lambda: clf.score(X, y),
        lambda: scorer(clf, X, y),
        lambda: cross_validate(clf, X, y, cv=[(range(1, 80), range(2))]),
    ):
        with pytest.warns(UserWarning, match="never predicted") as caught:
            work()
        assert {w.filename for w in caught if "never predicted" in str(w.message)} == {__file__}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("params", [{}, {"class_weight": "balanced"}, {"warm_start": True}])
def test_a_fit_does_not_warn(params, X, Y):
    clf = tiny(n_members=2, **params).fit(X, Y).fit(X, Y)
    clf.partial_fit(X, Y).predict(X)
