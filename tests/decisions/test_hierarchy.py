"""A hierarchy of labels: targets, probabilities and decisions are closed upwards."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from estimators import tiny
from skml import TunedThresholdMultiLabelClassifierCV
from skml._decisions._guarantees import NEVER
from skml._decisions._rule import decide
from skml._decisions._tuning import RULES, guaranteed_rule, tune
from skml._decisions._tuning import score as score_of
from skml._targets._encoder import TargetEncoder
from skml._targets._hierarchy import hierarchy_of
from skml.inspection import LabelContributionsDisplay, RiskCoverageCurveDisplay, _html_report, label_report
from skml.model_selection._delegation import threshold_in_force

# "ab" has two parents, and "top" stands above all of them.
ZOO = {"b": "a", "c": "b", "d": ["a", "e"], "f": {"d"}}
NAMES = list("fedcba")


def random_hierarchy(rng, n_labels):
    """Return a mapping without circles, in which labels may have several parents, of the labels 0, 1, ..."""
    order = rng.permutation(n_labels)
    links = {}
    for i, child in enumerate(order.tolist()):
        parents = [parent for parent in order[:i].tolist() if rng.rand() < 0.3]
        if parents:
            links[child] = parents
    return links


def parents_of(links, labels):
    """Return label -> list of parents, by the words of the parameter."""
    return {
        label: [links[label]] if isinstance(links.get(label), str) else list(links.get(label, ())) for label in labels
    }


def ancestors_of(label, parents):
    found = set()
    for parent in parents[label]:
        found |= {parent} | ancestors_of(parent, parents)
    return found


def n_broken(D, links, labels):
    """Return the number of rows with a label without one of its parents."""
    parents, column = parents_of(links, labels), {label: j for j, label in enumerate(labels)}
    wrong = [[row[column[c]] and not row[column[p]] for c in labels for p in parents[c]] for row in np.asarray(D)]
    return int(np.any(wrong, axis=1).sum())


@pytest.fixture(scope="module")
def data():
    """Labels of random rows, each label noisy: those below "a" do not follow from it."""
    rng = np.random.RandomState(0)
    X = rng.randn(200, 5)
    Y = (X @ rng.randn(5, 6) + rng.randn(200, 6) > 0.5).astype(int)
    return X, pd.DataFrame(Y, columns=NAMES)


@pytest.fixture(scope="module")
def zoo(data):
    """Fitted with folds on the data, and to be copied before parameters are set."""
    return tiny(n_members=4, epochs=15, learning_rate=0.02, hierarchy=ZOO).fit(*data)


@pytest.mark.parametrize("seed", range(20))
def test_probabilities_and_decisions_equal_those_of_a_slow_loop(seed):
    rng = np.random.RandomState(seed)
    links, labels = random_hierarchy(rng, 7), range(7)
    hierarchy, parents = hierarchy_of(links, labels), parents_of(links, labels)
    proba = rng.rand(30, 7)
    if hierarchy is None:
        return
    coherent = hierarchy.raised(proba)
    above = {label: ancestors_of(label, parents) for label in labels}
    for i in range(30):
        for j in labels:
            below = [k for k in labels if j == k or j in above[k]]
            assert coherent[i, j] == max(proba[i, k] for k in below)
    threshold = rng.rand(7)
    decisions = decide(coherent, threshold, hierarchy=hierarchy)
    for i in range(30):
        for j in labels:
            assert decisions[i, j] == all(coherent[i, k] >= threshold[k] for k in {j} | above[j])
    assert n_broken(decisions, links, labels) == 0


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("least", "most"), [(0, 2), (3, None), (2, 4), (3, 3)])
def test_limits_of_the_number_of_labels_keep_the_hierarchy(seed, least, most):
    rng = np.random.RandomState(seed)
    links, labels = random_hierarchy(rng, 6), range(6)
    hierarchy = hierarchy_of(links, labels)
    if hierarchy is None:
        return
    proba = hierarchy.raised(np.round(rng.rand(40, 6), 1))  # with ties
    for threshold in (0.5, rng.rand(6)):
        decisions = decide(proba, threshold, least, most, hierarchy)
        assert n_broken(decisions, links, labels) == 0
        counts = decide(proba, threshold, hierarchy=hierarchy).sum(axis=1)
        np.testing.assert_array_equal(decisions.sum(axis=1), np.clip(counts, least, most))


nan = np.nan


@pytest.mark.parametrize(
    ("given", "closed"),  # of a child, its parent and the parent's parent
    [
        ([1, 0, 0], [1, 1, 1]),
        ([0, 1, 0], [0, 1, 1]),
        ([1, nan, 0], [1, 1, 1]),
        ([nan, 0, 1], [0, 0, 1]),
        ([nan, nan, 0], [0, 0, 0]),
        ([nan, nan, 1], [nan, nan, 1]),
        ([0, nan, nan], [0, nan, nan]),
        ([0, nan, 1], [0, nan, 1]),
        ([nan, 1, nan], [nan, 1, 1]),
        ([0.3, 0.2, nan], [0.3, 0.3, nan]),
        ([0.3, nan, 0.1], [0.3, nan, 0.3]),
        ([0.3, nan, 0], [0.3, nan, 0.3]),
        ([1, 0.5, 0.5], [1, 1, 1]),
    ],
)
def test_a_row_of_labels_is_closed_upwards(given, closed):
    encoder = TargetEncoder(soft_labels=True, hierarchy={0: 1, 1: 2})
    for container in (np.array, sparse.csr_array, pd.DataFrame):
        Y = encoder.fit_transform(container([given, [0.5, 0.5, 0.5]]))
        Y = Y.toarray() if sparse.issparse(Y) else Y
        np.testing.assert_allclose(Y[0], closed)


@pytest.mark.parametrize("seed", range(10))
def test_closing_is_the_least_change_that_keeps_the_order(seed):
    rng = np.random.RandomState(seed)
    links = random_hierarchy(rng, 6)
    Y = rng.randint(0, 2, (40, 6)).astype(np.uint8)
    closed = TargetEncoder(hierarchy=links).fit_transform(Y)
    parents = parents_of(links, range(6))
    by_hand = [{label for j in np.flatnonzero(row) for label in {j} | ancestors_of(j, parents)} for row in Y]
    assert [set(np.flatnonzero(row)) for row in closed] == by_hand
    assert closed.dtype == Y.dtype


@pytest.mark.parametrize(
    ("hierarchy", "message"),
    [
        ({"a": "b", "b": ["c"], "c": {"a"}}, r"circle, from a child to its parent: '\w' -> '\w' -> '\w' -> '\w'\."),
        ({"a": "a"}, "circle.*'a' -> 'a'"),
        ({"a": "z"}, r"names 'z', which is not in the label space 'a', 'b', 'c'.*classes="),
        ({"aa": "b"}, r"names 'aa'.*Did you mean 'a'\?"),
        ({"a": ["b", ["c"]]}, r"names \['c'\]"),
        ([("a", "b")], "hierarchy.*must be"),
        ("a", "hierarchy.*must be"),
    ],
)
def test_what_is_no_hierarchy_is_refused(hierarchy, message, X, label_sets, clf):
    before = clf.predict_proba(X)
    with pytest.raises(ValueError, match=message):
        clf.set_params(hierarchy=hierarchy).fit(X, label_sets)
    np.testing.assert_array_equal(clf.predict_proba(X), before)


def test_single_label_targets_are_refused(X, Y):
    for y in (Y[:, 0], Y.sum(axis=1), np.array(["a", "b"])[Y[:, 0]]):
        with pytest.raises(ValueError, match=r"hierarchy=.*is for multi-label y.*hierarchy=None"):
            tiny(hierarchy={"a": "b"}).fit(X, y)
    assert tiny(hierarchy={}).fit(X, Y[:, 0]).predict(X).shape == (80,)


def test_labels_may_be_tuples(X, Y):
    y = [{("kind", j) for j in np.flatnonzero(row)} for row in Y]
    clf = tiny(hierarchy={("kind", 0): ("kind", 1), ("kind", 1): [("kind", 2)]}).fit(X, y)
    proba = clf.predict_proba(X)
    assert (np.diff(proba, axis=1) >= 0).all()


def test_a_fit_is_that_of_the_closed_target_and_its_probabilities_are_raised(data, zoo):
    X, Y = data
    closed = pd.DataFrame(TargetEncoder(hierarchy=ZOO).fit_transform(Y), columns=NAMES)
    assert n_broken(Y, ZOO, NAMES) > 0
    assert n_broken(closed, ZOO, NAMES) == 0
    plain = clone(zoo).set_params(hierarchy=None).fit(X, closed)
    links = hierarchy_of(ZOO, NAMES)
    np.testing.assert_array_equal(zoo.predict_proba(X), links.raised(plain.predict_proba(X)))
    np.testing.assert_array_equal(zoo.decision_function(X), links.raised(plain.decision_function(X)))
    np.testing.assert_array_equal(zoo.oof_proba_, links.raised(plain.oof_proba_))
    assert zoo.score(X, Y) == zoo.score(X, closed)
    np.testing.assert_array_equal(zoo.predict_top_k(X, 6)[1], np.sort(zoo.predict_proba(X))[:, ::-1])
    pd.testing.assert_frame_equal(label_report(zoo, X, Y), label_report(zoo, X, closed))


THRESHOLDS = ["f1_micro", "f1_macro", "precision>=0.6", "precision>=0.6 by label", "recall>=0.8", 0.5, 0.1]
THRESHOLDS += [{"a": 0.9, "b": 0.1, "d": 0.2}, [0.1, 0.9, 0.2, 0.1, 0.8, 0.7]]


@pytest.mark.filterwarnings("ignore:No threshold guarantees")
@pytest.mark.parametrize("threshold", THRESHOLDS, ids=str)
def test_no_row_breaks_the_hierarchy_under_any_threshold(threshold, data, zoo):
    X, _ = data
    clf = pickle.loads(pickle.dumps(zoo)) if not isinstance(threshold, str) else clone(zoo)
    clf.set_params(threshold=threshold)
    clf = clf.fit(*data) if isinstance(threshold, str) else clf
    assert n_broken(clf.predict(X), ZOO, NAMES) == 0
    if not isinstance(threshold, str):
        for least, most in ((2, 3), (0, 1), (4, None)):
            clf.set_params(min_labels=least, max_labels=most)
            assert n_broken(clf.predict(X), ZOO, NAMES) == 0


def test_tuned_thresholds_break_the_hierarchy_where_there_is_none():
    rng = np.random.RandomState(0)
    X = rng.randn(200, 5)
    rare = pd.DataFrame((X @ rng.randn(5, 6) + 2 * rng.randn(200, 6) > 4).astype(int), columns=NAMES)
    closed = pd.DataFrame(TargetEncoder(hierarchy=ZOO).fit_transform(rare), columns=NAMES)
    clf = tiny(n_members=4, epochs=15, learning_rate=0.02, threshold="f1_macro")
    rows = np.random.RandomState(1).randn(2000, 5)
    assert n_broken(clf.fit(X, closed).predict(rows), ZOO, NAMES) > 0
    assert n_broken(clf.set_params(hierarchy=ZOO).fit(X, closed).predict(rows), ZOO, NAMES) == 0


@pytest.mark.parametrize("scoring", [*RULES, lambda Y, D: np.mean(Y == D)])
@pytest.mark.parametrize("shrinkage", ["auto", None])
def test_tuning_scores_the_decisions_that_the_rule_makes(scoring, shrinkage):
    rng = np.random.RandomState(0)
    links = hierarchy_of({0: 1, 1: 2, 3: [1, 4]}, range(5))
    proba = links.raised(rng.rand(60, 5))
    Y = links.closed((rng.rand(60, 5) < proba**2).astype(np.uint8))
    if shrinkage is None and (callable(scoring) or not RULES[scoring].uses_shrinkage):
        return
    rule, score = tune(Y, proba, scoring, shrinkage, hierarchy=links)
    decisions = rule.decide(proba)
    assert (links.lowered(decisions) == decisions).all()
    # The decisions as probabilities, with the threshold 0.5, have this score by the same measure.
    if not callable(scoring) and scoring != "top_k":
        assert score == pytest.approx(score_of(Y, decisions.astype(float), scoring, 0.5))


def test_thresholds_for_precision_by_label_do_not_fall_below_those_of_parents():
    rng = np.random.RandomState(0)
    links = hierarchy_of({0: 1, 1: 2, 3: 2}, range(4))
    proba = links.raised(rng.rand(2000, 4))
    Y = links.closed((rng.rand(2000, 4) < proba).astype(np.uint8))
    plain = tune(Y, proba, "precision>=0.8 by label").rule.threshold
    rule = tune(Y, proba, "precision>=0.8 by label", hierarchy=links).rule
    assert (rule.threshold >= plain).all()
    assert (rule.threshold < NEVER).any()
    assert (links.lowered(-rule.threshold) == -rule.threshold).all()  # each at least that of its ancestors
    np.testing.assert_array_equal(rule.decide(proba), proba >= rule.threshold)


@pytest.mark.slow
@pytest.mark.parametrize("by_label", [True, False])
def test_a_guarantee_holds_for_closed_decisions(by_label):
    """The share of samples in which the precision of a label is below its level is at most the risk."""
    guarantee = "precision>=0.7" + " by label" * by_label
    links = hierarchy_of({0: 1, 1: 2, 3: 2}, range(4))
    rng = np.random.default_rng(0)

    def draw(n):
        proba = links.raised(rng.beta(1, 1, (n, 4)))
        parent = rng.random((n, 1)) < proba[:, [2]]  # labels depend on each other
        return links.closed(((rng.random((n, 4)) < proba**1.2) & parent).astype(np.uint8)), proba

    Y_new, new = draw(40_000)
    failures, n_proved = np.zeros(4), 0
    for _ in range(200):
        decisions = guaranteed_rule(*draw(1500), guarantee, hierarchy=links).decide(new)
        n_proved += decisions.any()
        if by_label:
            n = decisions.sum(axis=0)
            failures += (decisions & (Y_new == 1)).sum(axis=0) < 0.7 * n
        else:
            failures += (decisions & (Y_new == 1)).sum() < 0.7 * decisions.sum()
    assert n_proved > 100
    assert (failures <= 200 * 0.05 + 3 * np.sqrt(200 * 0.05 * 0.95)).all(), failures


@pytest.mark.parametrize("cv", [2, "oof"])
def test_the_tuner_has_the_hierarchy_of_its_estimator(cv, data):
    X, Y = data
    inner = tiny(n_members=4, epochs=10, learning_rate=0.02, hierarchy=ZOO)
    tuner = TunedThresholdMultiLabelClassifierCV(make_pipeline(StandardScaler(), inner), cv=cv, random_state=0)
    tuner.fit(X, Y)
    assert n_broken(tuner.predict(X), ZOO, NAMES) == 0
    assert (hierarchy_of(ZOO, NAMES).raised(tuner.predict_proba(X)) == tuner.predict_proba(X)).all()
    tuner = pickle.loads(pickle.dumps(tuner))
    assert n_broken(tuner.predict(X), ZOO, NAMES) == 0
    other = TunedThresholdMultiLabelClassifierCV(OneVsRestClassifier(LogisticRegression()), cv=2, random_state=0)
    assert other.fit(X, Y).predict(X).shape == Y.shape


def test_a_fitted_estimator_is_tuned_with_the_hierarchy_of_its_fit(data, zoo):
    X, Y = data
    changed = pickle.loads(pickle.dumps(zoo)).set_params(hierarchy=None)
    tuner = TunedThresholdMultiLabelClassifierCV(changed, cv="prefit", refit=False).fit(X, Y)
    assert n_broken(tuner.predict(X), ZOO, NAMES) == 0
    assert tuner.score(X, Y) == tuner.score(X, TargetEncoder(hierarchy=ZOO).fit_transform(Y))


def test_files_keep_the_hierarchy(data, zoo, tmp_path):
    skops_io = pytest.importorskip("skops.io")
    import skml

    X, _ = data
    skops_io.dump(zoo, tmp_path / "zoo.skops")
    loaded = skops_io.load(tmp_path / "zoo.skops", trusted=skml.SKOPS_TRUSTED)
    for copied in (loaded, pickle.loads(pickle.dumps(zoo))):
        np.testing.assert_array_equal(copied.predict_proba(X), zoo.predict_proba(X))
        copied.set_params(threshold=[0.1, 0.9, 0.2, 0.1, 0.8, 0.7])
        assert n_broken(copied.predict(X), ZOO, NAMES) == 0
        assert copied.get_params()["hierarchy"] == ZOO


def test_the_exported_models_are_coherent(data, zoo):
    import keras

    X, Y = data
    np.testing.assert_allclose(zoo.to_keras().predict(X, verbose=0), zoo.predict_proba(X), atol=1e-6)
    model = keras.Sequential([keras.layers.Dense(8, "relu"), keras.layers.Dense(6, "sigmoid")])
    custom = tiny(model, hierarchy=ZOO).fit(X, Y)
    np.testing.assert_allclose(custom.to_keras().predict(X, verbose=0), custom.predict_proba(X), atol=1e-6)
    loaded = keras.models.model_from_json(zoo.to_keras().to_json())
    assert loaded.output_shape == (None, 6)


@pytest.mark.parametrize("limits", [{}, {"max_labels": 2}, {"min_labels": 2, "max_labels": 4}])
def test_a_graph_decides_as_predict_does(limits, data, zoo):
    onnxruntime = pytest.importorskip("onnxruntime")
    from skml.onnx import to_onnx

    X = data[0].astype(np.float32)
    clf = pickle.loads(pickle.dumps(zoo)).set_params(threshold={"a": 0.6, "b": 0.1, "d": 0.2, "e": 0.7}, **limits)
    session = onnxruntime.InferenceSession(to_onnx(clf, X).SerializeToString())
    proba, labels = session.run(["probabilities", "labels"], {"X": X})
    np.testing.assert_allclose(proba, clf.predict_proba(X), atol=1e-6)
    np.testing.assert_array_equal(labels, clf.predict(X))


def test_contributions_explain_the_raised_probability(data, zoo):
    X, _ = data
    scores = pd.DataFrame(zoo.decision_function(X), columns=NAMES)
    raised = np.flatnonzero(scores["a"] == scores["b"])
    for i in [0, *raised[:1]]:
        display = LabelContributionsDisplay.from_estimator(zoo, X[[i]], "a")
        assert display.log_odds == pytest.approx(zoo.decision_function(X[[i]])[0, NAMES.index("a")], abs=0.02)


def test_labels_may_grow_under_a_hierarchy(X, label_sets):
    clf = tiny(hierarchy={"a": "b"}).partial_fit(X, label_sets, classes=list("abc"))
    clf.set_params(hierarchy={"a": "b", "b": "top"})
    with pytest.raises(ValueError, match=r"names 'top', which is not in the label space.*classes="):
        clf.partial_fit(X, label_sets)
    clf.partial_fit(X, label_sets, classes=["top", "a", "b", "c"])
    proba = clf.predict_proba(X)
    assert (proba[:, 0] >= proba[:, 2]).all()
    assert (proba[:, 2] >= proba[:, 1]).all()
    assert all("top" in row for row in clf.predict(X) if "b" in row)
    with pytest.raises(ValueError, match="names 'a'"):
        clf.partial_fit(X, [row - {"a"} for row in label_sets], classes=["top", "b", "c"])


def test_label_sets_and_curves_follow_the_hierarchy(X, label_sets):
    clf = tiny(n_members=4, hierarchy={"a": "b"}, threshold=0.3).fit(X, label_sets)
    closed = [row | {"b"} if "a" in row else row for row in label_sets]
    assert clf.score(X, label_sets) == np.mean([set(p) == t for p, t in zip(clf.predict(X), closed, strict=True)])
    curves = RiskCoverageCurveDisplay.from_estimator(clf, X, label_sets, y_fit=label_sets, levels=[0.3, 0.5]).curves
    expected = RiskCoverageCurveDisplay.from_estimator(clf, X, closed, y_fit=closed, levels=[0.3, 0.5]).curves
    np.testing.assert_array_equal(curves["test"]["precision"], expected["test"]["precision"])


def test_a_report_decides_held_out_rows_by_the_hierarchy(data, zoo):
    X, _ = data
    clf = pickle.loads(pickle.dumps(zoo)).set_params(threshold={"a": 0.9, "b": 0.1})
    decided = _html_report._decide(clf, clf.predict_proba(X), threshold_in_force(clf, 6))
    np.testing.assert_array_equal(decided, clf.predict(X))
