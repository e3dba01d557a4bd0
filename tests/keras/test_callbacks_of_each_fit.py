"""A function as `callbacks` is called for each fit."""

import functools
import pickle
import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

from estimators import tiny


def logger(folder, separator=","):
    return keras.callbacks.CSVLogger(Path(tempfile.mkdtemp(dir=folder), "log.csv"), separator=separator)


def both(folder):
    return [logger(folder), keras.callbacks.TerminateOnNaN()]


def logs(folder):
    return sorted(Path(folder).glob("*/log.csv"))


def test_each_fit_has_callbacks_of_its_own(X, Y, tmp_path):
    clf = tiny(n_members=1, callbacks=logger, callbacks__folder=tmp_path)
    first = clf.fit(X, Y).callbacks_[0]
    assert clf.fit(X, Y).callbacks_[0] is not first
    assert len(logs(tmp_path)) == 2
    for path in logs(tmp_path):
        losses = np.loadtxt(path, delimiter=",", skiprows=1, usecols=1)
        np.testing.assert_allclose(losses, clf.history_["loss"])
    clf.set_params(callbacks__separator=";").fit(X, Y)
    assert sum(";" in path.read_text() for path in logs(tmp_path)) == 1


@pytest.mark.slow  # starts two workers
def test_a_search_writes_one_file_for_each_fit(X, Y, tmp_path):
    grid = {"hidden_layer_sizes": [2, 3]}
    clf = tiny(n_members=1, callbacks=both, callbacks__folder=tmp_path)
    GridSearchCV(clf, grid, cv=2, n_jobs=2, refit=False).fit(X, Y)
    assert len(logs(tmp_path)) == 4
    assert {len(path.read_text().splitlines()) for path in logs(tmp_path)} == {4}


def test_a_grid_over_functions_works(X, Y, tmp_path):
    grid = {"callbacks": [functools.partial(logger, tmp_path), lambda: []]}
    GridSearchCV(tiny(n_members=1, epochs=1), grid, cv=2, refit=False).fit(X, Y)
    assert len(logs(tmp_path)) == 2


def test_clones_and_pickles_keep_the_function(X, Y, tmp_path):
    clf = tiny(n_members=1, callbacks=logger, callbacks__folder=tmp_path)
    assert clone(clf).callbacks is logger
    assert cross_val_score(clone(clf), X, Y, cv=2).shape == (2,)
    assert pickle.loads(pickle.dumps(clf.fit(X, Y))).callbacks is logger
    assert len(logs(tmp_path)) == 3
    clf.partial_fit(X, Y)
    assert len(logs(tmp_path)) == 4


WRONG = {
    "nothing": (lambda: None, {}, r"callbacks=<lambda> must return a Keras callback or a list.*it returned None"),
    "a name": (lambda: "CSVLogger", {}, "must return .*'CSVLogger'"),
    "a class": (lambda: [keras.callbacks.CSVLogger], {}, "must return .*CSVLogger"),
    "an argument too few": (logger, {}, r"callbacks=logger cannot be called.*'folder'.*callbacks__<argument>"),
    "an argument too many": (both, {"callbacks__path": "."}, r"callbacks=both cannot be called.*\['path'\]"),
    "a list of functions": ([logger], {}, "list with the function logger.*one function"),
}


@pytest.mark.parametrize(("function", "routed", "message"), WRONG.values(), ids=WRONG)
def test_other_answers_are_refused_and_the_fitted_estimator_stays(function, routed, message, X, Y):
    clf = tiny(n_members=1, epochs=1).fit(X, Y)
    proba = clf.predict_proba(X)
    with pytest.raises(TypeError, match=message):
        clf.set_params(callbacks=function, **routed).fit(X, Y)
    np.testing.assert_array_equal(clf.predict_proba(X), proba)


def test_a_checkpoint_has_no_calibration(X, Y, tmp_path):
    path = tmp_path / "model.keras"
    clf = tiny(callbacks=keras.callbacks.ModelCheckpoint(path), n_members=4, inputs="plain", early_stopping=False)
    differences = {}
    for calibrate in (False, True):
        clf.set_params(calibrate=calibrate).fit(X, Y)
        saved = np.asarray(keras.models.load_model(path)(np.asarray(X, dtype=np.float32)))
        differences[calibrate] = np.abs(saved - clf.predict_proba(X)).max()
    assert differences[False] < 1e-6
    assert differences[True] > 1e-3
