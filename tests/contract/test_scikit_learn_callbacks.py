"""Callbacks of scikit-learn's own: they came with its version 1.9."""

import copy

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from custom import network
from estimators import tiny
from skml._keras._pool import pool
from skml.metrics import get_scorer


@pytest.fixture
def callback():
    """The module `sklearn.callback`."""
    return pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks from 1.9 on")


class Notes:
    """A callback that notes what it is told, for itself and, as such a one is handed on, for others."""

    max_propagation_depth = None

    def __init__(self, stops_after=None, fails_in=None):
        self.stops_after = stops_after
        self.fails_in = fails_in
        self.events = []
        self.fitted = []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        self.events.append(("end", context.task_name, context.task_id))
        self.fitted.append((fitted_estimator, X, y, metadata))
        if context.task_name == self.fails_in:
            raise RuntimeError("of the callback")
        return context.task_name == "epoch" and context.task_id == self.stops_after


def epochs(n):
    return [(when, "epoch", i) for i in range(n) for when in ("begin", "end")]


@pytest.mark.usefixtures("callback")
def test_a_fit_is_a_task_with_a_task_for_each_epoch(X, label_sets):
    notes = Notes()
    clf = tiny().set_callbacks(notes).fit(X, label_sets, sample_weight=np.ones(80))
    assert notes.events == ["setup", ("begin", "fit", 0), *epochs(3), ("end", "fit", 0), "teardown"]
    for fitted, X_seen, y_seen, metadata in notes.fitted:
        assert X_seen is X
        assert y_seen is label_sets
        np.testing.assert_array_equal(metadata["sample_weight"], np.ones(80))
        assert fitted.predict(X).shape == (80,)
    assert [len(fitted.history_["val_loss"]) for fitted, *_ in notes.fitted] == [1, 2, 3, 3]
    np.testing.assert_array_equal(notes.fitted[-1][0].predict_proba(X), clf.predict_proba(X))


@pytest.mark.usefixtures("callback")
@pytest.mark.parametrize("model", [None, network])
def test_the_estimator_of_an_epoch_is_as_if_training_had_ended_there(model, X, label_sets):
    params = {"model": model, "early_stopping": False, "threshold": "f1_macro" if model is None else 0.5}
    params |= {"dropout": 0.0, "input_dropout": 0.0} if model is None else {}
    notes = Notes()
    tiny(**params).set_callbacks(notes).fit(X, label_sets)
    for n_epochs, (fitted, *_) in enumerate(notes.fitted[:3], 1):
        alone = tiny(**params, epochs=n_epochs).fit(X, label_sets)
        np.testing.assert_array_equal(fitted.predict_proba(X), alone.predict_proba(X))
        assert fitted.predict(X).tolist() == alone.predict(X).tolist()


@pytest.mark.usefixtures("callback")
def test_a_guarantee_that_the_last_epoch_keeps_is_not_warned_of_before(X, label_sets, recwarn):
    notes = Notes()
    clf = tiny(n_members=4, epochs=30, threshold="precision>=0.6").set_callbacks(notes).fit(X, label_sets)
    assert notes.fitted[0][0].threshold_ == 2
    assert clf.threshold_ < 1
    assert not [warning for warning in recwarn if "precision>=0.6" in str(warning.message)]


@pytest.mark.usefixtures("callback")
def test_callbacks_change_nothing_and_keep_compiled_steps_in_use(X, label_sets):
    plain = tiny(threshold="f1_micro").fit(X, label_sets)
    trainer = next(reversed(pool._idle.values()))[0]
    watched = tiny(threshold="f1_micro").set_callbacks(Notes()).fit(X, label_sets)
    np.testing.assert_array_equal(watched.predict_proba(X), plain.predict_proba(X))
    np.testing.assert_array_equal(watched.threshold_, plain.threshold_)
    assert watched.callbacks_ == []
    assert next(reversed(pool._idle.values()))[0] is trainer


@pytest.mark.usefixtures("callback")
def test_a_callback_that_returns_true_stops_the_fit(X, label_sets):
    assert tiny(epochs=9).set_callbacks(Notes(stops_after=1)).fit(X, label_sets).n_iter_ == 2


@pytest.mark.usefixtures("callback")
@pytest.mark.parametrize("task_name", ["epoch", "fit"])
def test_a_failed_fit_ends_its_callbacks_and_leaves_the_estimator_as_it_was(task_name, X, label_sets):
    clf = tiny().fit(X, label_sets)
    proba, notes = clf.predict_proba(X), Notes(fails_in=task_name)
    before = dict(vars(clf.set_callbacks(notes)))
    with pytest.raises(RuntimeError, match="of the callback"):
        clf.fit(-X, label_sets)
    assert notes.events[-1] == "teardown"
    assert vars(clf) == before
    np.testing.assert_array_equal(clf.predict_proba(X), proba)


@pytest.mark.usefixtures("callback")
def test_partial_fit_tells_callbacks_nothing(X, label_sets):
    notes = Notes()
    tiny().set_callbacks(notes).partial_fit(X, label_sets, classes=["a", "b", "c"])
    assert notes.events == []


@pytest.mark.usefixtures("callback")
def test_a_warm_start_begins_with_epoch_0_and_its_history_goes_on(X, label_sets):
    clf, notes = tiny(threshold="f1_micro").fit(X, label_sets), Notes()
    clf.set_params(warm_start=True, early_stopping=False).set_callbacks(notes)
    with pytest.warns(UserWarning, match="threshold='f1_micro'") as warned:
        clf.fit(X, label_sets)
    assert len(warned) == 1
    assert notes.events[2:-2] == epochs(3)
    assert [fitted.n_iter_ for fitted, *_ in notes.fitted] == [4, 5, 6, 6]


@pytest.mark.usefixtures("callback")
def test_clones_and_copies_keep_callbacks_and_parameters_do_not_show_them(X):
    notes = Notes()
    clf = tiny().set_callbacks(notes)
    assert clf.get_params() == tiny().get_params()
    for twin in (clone(clf), copy.copy(clf)):
        assert twin._skl_callbacks == [notes]
    assert "_skl_callbacks" not in vars(clf.set_callbacks())


@pytest.mark.parametrize("name", ["f1_macro", "roc_auc", "neg_log_loss"])
def test_scorers_of_ours_score_each_epoch(callback, name, X, label_sets):
    monitor, notes = callback.ScoringMonitor(scoring=get_scorer(name)), Notes()
    clf = tiny().set_callbacks(monitor, notes).fit(X, label_sets)
    by_hand = [get_scorer(name)(fitted, X, label_sets) for fitted, *_ in notes.fitted]
    logged = monitor.get_logs().data
    assert [row["task_name"] for row in logged] == ["fit", "epoch", "epoch", "epoch"]
    assert [row["score"] for row in [*logged[1:], logged[0]]] == by_hand
    assert by_hand[-1] == get_scorer(name)(clf, X, label_sets)


def test_several_scorers_of_ours_score_together(callback, X, label_sets):
    scorers = {"f1": get_scorer("f1_micro"), "rank": get_scorer("roc_auc"), "loss": get_scorer("neg_log_loss")}
    monitor = callback.ScoringMonitor(scoring=scorers)
    clf = tiny().set_callbacks(monitor).fit(X, label_sets)
    (last,) = [row for row in monitor.get_logs().data if row["task_name"] == "fit"]
    assert {name: last[name] for name in scorers} == {n: scorer(clf, X, label_sets) for n, scorer in scorers.items()}


def test_one_display_shows_search_candidates_fits_and_epochs(callback, X, Y, capsys):
    pytest.importorskip("rich")
    grid = {"kerasmultilabelclassifier__activation": ["relu", "tanh"]}
    search = GridSearchCV(make_pipeline(StandardScaler(), tiny()), grid, cv=2, scoring=get_scorer("f1_macro"))
    search.set_callbacks(callback.ProgressBar(max_propagation_depth=None), notes := Notes()).fit(X, Y)
    shown = capsys.readouterr().out
    assert shown.count("GridSearchCV - fit") == 1
    assert shown.count("candidate-split-evaluation | Pipeline - fit") == 4
    assert shown.count("fit-final-estimator | KerasMultiLabelClassifier") == 5
    assert shown.count("100%") == 2 + 5 * 3
    assert len([event for event in notes.events if event[:2] == ("end", "epoch")]) == 5 * 3


@pytest.mark.slow
def test_callbacks_in_workers_report_to_one_monitor(callback, X, Y):
    monitor = callback.ScoringMonitor(scoring=get_scorer("f1_macro"))
    GridSearchCV(tiny().set_callbacks(monitor), {"activation": ["relu", "tanh"]}, cv=2, n_jobs=2).fit(X, Y)
    assert [row["task_name"] for row in monitor.get_logs().data].count("epoch") == 5 * 3


@pytest.mark.slow
def test_a_failed_fit_leaves_no_thread_behind(callback, run_python):
    pytest.importorskip("rich")
    code = """
import numpy as np
from sklearn.callback import ProgressBar
from sklearn.model_selection import GridSearchCV
from custom import Interrupting
from estimators import tiny
X = np.random.RandomState(0).randn(80, 5)
Y = (X[:, :3] > 0).astype(int)
GridSearchCV(tiny(), {"activation": ["relu", "tanh"]}, cv=2, n_jobs=2).set_callbacks(ProgressBar()).fit(X, Y)
try:
    tiny(callbacks=Interrupting).set_callbacks(ProgressBar()).fit(X, Y)
except KeyboardInterrupt:
    print("interrupted")
"""
    shown = run_python(code, timeout=120)  # a thread that is left waits for ever
    assert "interrupted" in shown
    assert shown.count("GridSearchCV - fit") == 1
    assert shown.count("candidate-split-evaluation | KerasMultiLabelClassifier") == 4


def test_without_callbacks_in_scikit_learn_the_estimator_trains_as_before(run_python):
    code = """
import sys
import sklearn.linear_model, sklearn.model_selection, sklearn.pipeline, sklearn.preprocessing
sys.modules["sklearn.callback"] = None  # as before scikit-learn 1.9
import numpy as np
from estimators import tiny
X = np.random.RandomState(0).randn(80, 5)
clf = tiny(epochs=1).fit(X, (X[:, :3] > 0).astype(int))
print(hasattr(clf, "set_callbacks"), clf.n_iter_)
"""
    assert run_python(code, imported="keras") == "False 1\n"
