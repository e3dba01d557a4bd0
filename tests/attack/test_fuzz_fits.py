"""What comes after a fit keeps what the fit has found: training that goes on, files, guarantees, exports, displays."""

import contextlib
import copy
import functools
import io
import json
import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import custom
import scenarios
import skml.onnx
from forms import label_sets_of
from scenarios import ROWS
from skml import KerasMultiLabelClassifier
from skml._decisions._guarantees import NEVER
from skml._decisions._tuning import tune
from skml.inspection import CalibrationCurveDisplay, ThresholdCurveDisplay, label_report
from strategies import run

NAMES = "abcd"


# Training that goes on


def check_resumed(fit, resumed):
    """Without a step of the optimizer, resumed training changes no decision about the labels that stay."""
    clf = fit.fitted()
    proba, threshold = clf.predict_proba(fit.X), thresholds(clf)
    positions = [0, 1, 2] if fit.form == "binary" else resumed.labels
    go_on(clf, fit, resumed, positions)
    old, new = (np.array([[p, i] for i, p in enumerate(positions) if (p < 3) == is_old]).T for is_old in (True, False))
    if fit.form == "binary":
        old = np.array([[0, 1], [0, 1]])
    proba_now, threshold_now = clf.predict_proba(fit.X), thresholds(clf)
    np.testing.assert_allclose(proba_now[:, old[1]], proba[:, old[0]], atol=2e-5)
    if fit.form == "binary":
        np.testing.assert_array_equal(threshold_now, threshold)
    else:
        np.testing.assert_array_equal(threshold_now[old[1]], threshold[old[0]])
        if len(new):
            rule = fit.params["threshold"]  # the one threshold of micro-F1 is that of a new label, too
            expected = NEVER if rule in scenarios.GUARANTEES else threshold[0] if rule == "f1_micro" else 0.5
            np.testing.assert_array_equal(threshold_now[new[1]], expected)
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.predict_proba(fit.X), proba_now)
    np.testing.assert_array_equal(thresholds(again), threshold_now)
    np.testing.assert_array_equal(decisions(again, fit.X), decisions(clf, fit.X))


def thresholds(clf):
    """Return the threshold of each label."""
    return np.array(clf.threshold_) + np.zeros(1 if clf.target_encoder_.is_multilabel is False else len(clf.classes_))


def decisions(clf, X):
    labels = clf.target_encoder_.transform(clf.predict(X))
    return labels.toarray() if sparse.issparse(labels) else labels


def go_on(clf, fit, resumed, positions):
    """Train on with a step of almost nothing, on rows that leave the statistics of X as they are."""
    clf.set_params(learning_rate=1e-12)
    Y = np.column_stack([fit.Y, fit.Y[:, 0]])[:, positions]
    kept = slice(None)
    if fit.params["scale"] is None and resumed.how == "partial_fit":
        kept = {"all": kept, "one": slice(1), "few": slice(2, 7)}[resumed.rows]
    names = [NAMES[p] for p in positions]
    y = fit.target(Y, names)
    y = y[kept] if not isinstance(y, pd.DataFrame) else y.iloc[kept]
    has_names = fit.form in ("sets", "frame")
    classes = None if positions == [0, 1, 2] else names if has_names else positions
    weight = None if fit.weight is None else fit.weight[kept]
    if weight is not None and not weight.any():
        weight = None
    if resumed.how == "partial_fit":
        clf.partial_fit(fit.X[kept], y, classes=classes, sample_weight=weight)
    else:
        clf.set_params(warm_start=True, early_stopping=False, epochs=1, classes=classes)
        clf.fit(fit.X, fit.target(Y, names), fit.weight)


# Files


def check_reloaded(fit, seed, route, optimizer, how):
    """Batches with drift, with a file between them or without: the same network, and the same decisions."""
    params = {"optimizer": optimizer, "threshold": 0.5, "calibrate": "auto", "warm_start": how == "warm start"}
    params |= {"early_stopping": False} if how == "warm start" else {}
    here = KerasMultiLabelClassifier(**{**fit.params, **params})
    there, rng = clone(here), np.random.RandomState(seed)
    classes = {"sets": list("abc"), "binary": ["no", "yes"]}.get(fit.form)
    for i in range(3):
        X = fit.X * (1 + i) if sparse.issparse(fit.X) else fit.X * (1 + i) + 5 * i
        rows = rng.permutation(ROWS)[: rng.randint(20, ROWS)]
        y = fit.target(fit.Y[rows])
        for clf in (here, there):
            if how == "warm start":
                clf.set_params(classes=classes).fit(X[rows], y)
            else:
                clf.partial_fit(X[rows], y, classes=classes)
        there = copied(there, route)
        np.testing.assert_array_equal(there.predict_proba(X), here.predict_proba(X))
        np.testing.assert_array_equal(decisions(there, X), decisions(here, X))
        assert there.history_ == here.history_


def copied(clf, route):
    """Return an estimator that was stored and loaded."""
    if route == "pickle":
        return pickle.loads(pickle.dumps(clf))
    if route == "deepcopy":
        return copy.deepcopy(clf)
    if route == "skops":
        skops = pytest.importorskip("skops.io")
        return skops.loads(skops.dumps(clf), trusted=skml.SKOPS_TRUSTED)
    joblib.dump(clf, file := io.BytesIO(), compress=3 if route == "compressed" else 0)
    file.seek(0)
    return joblib.load(file)


ROUTES = st.sampled_from(["pickle", "deepcopy", "skops", "joblib", "compressed"])


@functools.cache
def trained():
    """An estimator, fitted once, whose labels and parameters the checks of files change."""
    X, Y = scenarios.learnable(0)
    return scenarios.Fit({**SMALL, "threshold": "f1_macro", "calibrate": True}, X, Y, "sets", None).fitted()


SMALL = {"hidden_layer_sizes": 4, "n_members": 2, "epochs": 4, "random_state": 0, "learning_rate": 0.03}


def check_names(named, parameter, value, route):
    """Whatever labels and parameters are called, a file gives them back."""
    labels, mapping = named
    X, Y = scenarios.learnable(1)
    clf = KerasMultiLabelClassifier(**SMALL, classes=labels).fit(X, label_sets_of(Y, labels))
    clf.set_params(**{parameter: mapping})
    loaded = copied(clf, route)
    assert {name: repr(own) for name, own in loaded.get_params().items()} == {
        name: repr(own) for name, own in clf.get_params().items()
    }
    assert loaded.predict(X).tolist() == clf.predict(X).tolist()
    if parameter == "threshold":
        expected = [mapping.get(label, 0.5) for label in labels]
        np.testing.assert_array_equal(clf.predict_proba(X) >= expected, decisions(loaded, X) == 1)
    unfitted = KerasMultiLabelClassifier(custom.network, model__units=value)
    if route != "skops":  # which has no functions of a user's own
        assert copied(unfitted, route).get_params()["model__units"] == value


def check_damaged(seed, kind):
    """A state that lacks something, or has something else, is refused by one clear error."""
    draw = np.random.RandomState(seed)
    clf = trained()
    state = pickle.loads(pickle.dumps(clf.__getstate__()))
    places = list(_marked(state))
    place = places[draw.randint(len(places))]
    fields = sorted(place["state"])
    if kind == "versions":
        odd = [["1"], 3, "1.0", None, {"numpy": 2}, {"numpy": ["2"]}, (), {"skml": {}}, {"numpy": ()}, {"keras": 1.0}]
        state["_versions"] = odd[draw.randint(len(odd))]
    elif kind == "class":
        place["_skml"] = [{}, [], None, 3, "object", "Estimator", ("DenseNetwork",), True, "builtins.eval"][
            draw.randint(9)
        ]
    elif kind == "state":
        place["state"] = [None, [], 3, "x", list(place["state"].items()), {}][draw.randint(6)]
    elif kind == "no state":
        del place["state"]
    elif kind == "field":
        del place["state"][fields[draw.randint(len(fields))]]
    else:
        place["state"]["another"] = 1
    fresh = object.__new__(KerasMultiLabelClassifier)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=r"damaged.* newer or older"):
            fresh.__setstate__(state)
    assert "_fitted" not in vars(fresh)


def _marked(state):
    """Yield the parts of a state that stand for objects with fields."""
    for value in state.values():
        if isinstance(value, dict) and isinstance(value.get("state"), dict) and "_skml" in value:
            yield value
            yield from _marked(value["state"])


# Guarantees


def check_guarantee(tuning):
    """A guarantee is kept by the rows that it was tuned on, and depends on nothing that says nothing about labels."""
    Y, proba, weight, guarantee = tuning
    rule = tune(Y, proba, guarantee, sample_weight=weight).rule
    level, by_label = float(guarantee.split(">=")[1].split()[0]), guarantee.endswith("label")
    reached(Y, proba, weight, rule, level, by_label, guarantee.startswith("recall"))
    rng = np.random.RandomState(0)
    rows, columns = rng.permutation(len(Y)), rng.permutation(Y.shape[1])
    w = np.ones(len(Y)) if weight is None else weight
    same(rule, tune(Y[rows], proba[rows], guarantee, sample_weight=w[rows]).rule)
    threshold = np.broadcast_to(rule.threshold, Y.shape[1])
    moved = tune(Y[:, columns], proba[:, columns], guarantee, sample_weight=weight).rule
    np.testing.assert_allclose(np.broadcast_to(moved.threshold, Y.shape[1]), threshold[columns])
    same(rule, tune(Y, proba, guarantee, sample_weight=2.0**20 * w).rule)
    some = w > 0
    same(rule, tune(Y[some], proba[some], guarantee, sample_weight=w[some]).rule)
    wider = [np.column_stack([matrix, np.full(len(Y), value)]) for matrix, value in ((Y, np.nan), (proba, 0.99))]
    extended = tune(*wider, guarantee, sample_weight=weight).rule
    np.testing.assert_array_equal(extended.threshold, [*threshold, NEVER])
    if not np.isnan(Y).any():
        same(rule, tune(sparse.csr_array(Y), proba, guarantee, sample_weight=weight).rule)


def same(rule, other):
    np.testing.assert_allclose(other.threshold, rule.threshold, rtol=1e-9)
    assert other.max_labels == rule.max_labels


def reached(Y, proba, weight, rule, level, by_label, is_recall):
    """Compute by loops what a rule reaches, and its largest number of labels in a row."""
    weight = np.ones(len(Y)) if weight is None else weight
    threshold, decided, tuned_on = np.broadcast_to(rule.threshold, Y.shape[1]), rule.decide(proba), weight > 0
    np.testing.assert_array_equal(decided[tuned_on], (proba >= threshold)[tuned_on])  # a limit cuts none of these rows
    if is_recall:
        rows = [i for i in range(len(Y)) if weight[i] > 0 and (Y[i] == 1).any()]
        recalls = [decided[i][Y[i] == 1].mean() for i in rows]
        is_observed = ~np.isnan(Y).all(axis=0)
        assert not rows or not is_observed.all() or np.average(recalls, weights=weight[rows]) >= level - 1e-9
        return
    for j in range(Y.shape[1]) if by_label else [slice(None)]:
        entries = decided[:, j] & ~np.isnan(Y[:, j])
        amount = (weight if by_label else weight[:, None]) * entries
        assert amount.sum() == 0 or (amount * (Y[:, j] == 1)).sum() >= level * amount.sum()
    is_limited = rule.max_labels is not None
    assert not is_limited or rule.max_labels == (proba[tuned_on] >= threshold).sum(axis=1).max()


# Labels that are missing throughout


def check_missing(fit, columns, route):
    """A label without an observed entry changes no score, is never predicted under a guarantee, and stays in files."""
    Y = fit.Y.astype(float)
    Y[:, columns] = np.nan
    Y[5] = np.nan
    clf = fit._replace(Y=Y).fitted()
    proba = clf.predict_proba(fit.X)
    assert np.isfinite(proba).all()
    assert np.isfinite(thresholds(clf)).all()
    if fit.params["threshold"] in scenarios.GUARANTEES:
        assert (thresholds(clf)[columns] == NEVER).all()
        assert not decisions(clf, fit.X)[:, columns].any()
    known = ~np.isnan(Y)
    right = [(decisions(clf, fit.X)[i] == Y[i])[known[i]].all() for i in range(ROWS) if known[i].any()]
    if right:
        assert clf.score(fit.X, fit.target(Y)) == pytest.approx(np.mean(right))
    label_report(clf, fit.X, fit.target(Y))
    loaded = copied(clf, route)
    np.testing.assert_array_equal(loaded.predict_proba(fit.X), proba)
    loaded.set_params(learning_rate=1e-12).partial_fit(fit.X, fit.target(Y), sample_weight=fit.weight)
    np.testing.assert_allclose(loaded.predict_proba(fit.X), proba, atol=2e-5)
    np.testing.assert_array_equal(thresholds(loaded), thresholds(clf))


# Memory that a caller shares


def check_shared(fit, later, what):
    """Thresholds that are found later are those of a twin whose data nobody has changed since."""
    weight = None if fit.weight is None else fit.weight.copy()
    mine, y = fit._replace(X=fit.X.copy(), weight=weight), fit.target(fit.Y.copy())
    twin, clf = fit.fitted(threshold=0.5), mine.fitted(y, threshold=0.5)
    spoil(mine, y, clf, what)
    for threshold in later:
        expected = twin.set_params(threshold=threshold).threshold_
        np.testing.assert_array_equal(clf.set_params(threshold=threshold).threshold_, expected)
    np.testing.assert_array_equal(decisions(clf, fit.X), decisions(twin, fit.X))


def spoil(fit, y, clf, what):
    """Change in place what the caller has, as far as it can be changed."""
    if what == "oof_proba_" and hasattr(clf, "oof_proba_"):
        with contextlib.suppress(ValueError):  # read-only, which is as good as a copy
            clf.oof_proba_[...] = 0.5
    elif what == "X":
        (fit.X.data if sparse.issparse(fit.X) else fit.X)[...] = 7
    elif what == "weight" and fit.weight is not None:
        fit.weight[...] = np.arange(ROWS)
    elif what == "y" and fit.form == "sets":
        for row in y:
            row.clear()
    elif what == "y" and fit.form == "frame":
        y.iloc[:, 0] = 1
    elif what == "y":
        (y.data if sparse.issparse(y) else y)[...] = y[0, 0] if y.ndim > 1 else y[0]


# Exports of DataFrames


def check_export(frame, scaled):
    """The inputs of a graph are the columns, by their position and with their names, and it computes what they do."""
    pytest.importorskip("skl2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    kinds = ["strings" if frame[name].dtype == object else "numbers" for name in frame.columns]
    texts, numbers = ([j for j, own in enumerate(kinds) if own == kind] for kind in ("strings", "numbers"))
    steps = [(OneHotEncoder(handle_unknown="ignore"), texts)] if texts else []
    steps += [(StandardScaler() if scaled else "passthrough", numbers)] if numbers else []
    Y = scenarios.learnable(2)[1]
    pipeline = make_pipeline(make_column_transformer(*steps, sparse_threshold=0), KerasMultiLabelClassifier(**SMALL))
    pipeline.fit(frame, Y)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*exported graph", UserWarning)
        model = skml.onnx.to_onnx(pipeline, frame)
    inputs = [value.name for value in model.graph.input]
    assert json.loads({item.key: item.value for item in model.metadata_props}["inputs"]) == inputs
    for name, own in zip(frame.columns, inputs, strict=True):
        assert own == str(name) or name in ("labels", "probabilities")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    dtypes = {"tensor(string)": object, "tensor(double)": "f8", "tensor(float)": "f4", "tensor(int64)": "i8"}
    dtypes["tensor(bool)"] = bool
    feeds = {
        value.name: frame.iloc[:, [j]].to_numpy().astype(dtypes[value.type])
        for j, value in enumerate(session.get_inputs())
    }
    proba, labels = session.run(["probabilities", "labels"], feeds)
    np.testing.assert_allclose(proba, pipeline.predict_proba(frame), atol=1e-5)
    clear = np.abs(proba - 0.5).min(axis=1) > 1e-5
    np.testing.assert_array_equal(labels[clear], pipeline.predict(frame)[clear])


# Displays


def check_displays(kind, labels, missing):
    """Labels to draw are drawn, or refused by name."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    rng = np.random.RandomState(3)
    proba = rng.rand(60, 3)
    Y = (rng.rand(60, 3) < proba).astype(float)
    Y[:, missing] = np.nan
    display = {"calibration": CalibrationCurveDisplay, "threshold": ThresholdCurveDisplay}[kind]
    known = {label for j, label in enumerate("abc") if j not in missing}
    is_drawn = known if labels is None else not isinstance(labels, str) and len(labels) and {*labels} <= known
    with contextlib.nullcontext() if is_drawn else pytest.raises(ValueError, match="label"):
        drawn = display.from_predictions(Y, proba, labels=labels, classes=list("abc"))
        assert known if labels is None else {*labels} <= {*drawn.curves}
    pyplot.close("all")


# For each check what it draws, how many draws the default run makes, and the share of ``--cases``.
MULTILABEL = ("indicator", "csr", "frame", "sets", "partly known")
CHECKS = {
    "resumed": (check_resumed, (scenarios.fits(), scenarios.resumed()), 2, 0.03),
    "reloaded": (
        check_reloaded,
        (
            scenarios.fits(),
            scenarios.seeds,
            ROUTES,
            st.sampled_from(["adam", "sgd", "rmsprop"]),
            st.sampled_from(["partial_fit", "warm start"]),
        ),
        2,
        0.02,
    ),
    "names": (
        check_names,
        (scenarios.mappings(), st.sampled_from(["threshold", "class_weight"]), scenarios.values, ROUTES),
        4,
        0.04,
    ),
    "damaged": (
        check_damaged,
        (scenarios.seeds, st.sampled_from(["versions", "class", "state", "no state", "field", "field", "more"])),
        30,
        0.2,
    ),
    "guarantees": (check_guarantee, (scenarios.tunings(),), 30, 0.3),
    "missing": (
        check_missing,
        (
            scenarios.fits(forms=("indicator", "frame", "csr")),
            st.lists(st.integers(0, 2), min_size=1, max_size=2, unique=True),  # fit refuses y without any entry
            ROUTES,
        ),
        2,
        0.02,
    ),
    "shared": (
        check_shared,
        (
            scenarios.fits(),
            st.lists(st.sampled_from(scenarios.THRESHOLDS[1:]), min_size=1, max_size=3),
            st.sampled_from(["oof_proba_", "X", "y", "weight"]),
        ),
        2,
        0.03,
    ),
    "export": (check_export, (scenarios.frames(), st.booleans()), 3, 0.06),
    "displays": (
        check_displays,
        (
            st.sampled_from(["calibration", "threshold"]),
            st.sampled_from([None, [], (), ["a"], ["c", "a"], ["z"], "a", ["a", "a"], np.array(["b"])]),
            st.lists(st.integers(0, 2), max_size=3, unique=True),
        ),
        6,
        0.08,
    ),
}


def attack(name, n, fuzz=False):
    check, draws, *_ = CHECKS[name]

    def quietly(drawn):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check(*drawn)

    run(quietly, st.tuples(*draws), n=n, fuzz=fuzz)


@pytest.mark.parametrize("name", CHECKS)
def test_what_a_fit_has_found_is_kept(name):
    attack(name, CHECKS[name][2])


@pytest.mark.fuzz
@pytest.mark.parametrize("name", CHECKS)
def test_what_many_fits_have_found_is_kept(name, cases):
    attack(name, max(1, int(cases * CHECKS[name][3])), fuzz=True)
