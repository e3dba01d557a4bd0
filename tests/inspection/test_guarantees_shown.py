"""What guarantees cost, in a display and in the report; sets of classes with a coverage."""

import matplotlib as mpl
import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import precision_score, recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from forms import label_sets_of
from skml import KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV
from skml._decisions._guarantees import NEVER
from skml._decisions._tuning import guaranteed_threshold
from skml.inspection import (
    CalibrationCurveDisplay,
    LabelReportDisplay,
    RiskCoverageCurveDisplay,
    ThresholdCurveDisplay,
    label_report,
    prediction_sets,
)

mpl.use("Agg")

rng = np.random.RandomState(0)
X = rng.randn(300, 6)
Y = (X[:, :3] + 0.2 * rng.randn(300, 3) > 0.4).astype(int)
SETS = label_sets_of(Y)


@pytest.fixture(scope="module")
def network():
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=8, n_members=2, epochs=60, random_state=0)
    return make_pipeline(StandardScaler(), clf).fit(X[:200], SETS[:200])


@pytest.mark.parametrize("by_label", [False, True])
def test_the_shares_are_those_of_the_decisions(by_label):
    proba = rng.rand(1000, 3)
    truth = (rng.rand(1000, 3) < proba).astype(int)
    display = RiskCoverageCurveDisplay.from_predictions(
        sparse.csr_array(truth[:600]),
        proba[:600],
        y_test=truth[600:],
        proba_test=proba[600:],
        levels=[0.7, 0.8, 0.999],
        by_label=by_label,
    )
    for i, level in enumerate([0.7, 0.8]):
        threshold = guaranteed_threshold(truth[:600], proba[:600], f"precision>={level}" + " by label" * by_label)
        for name, rows in (("out of fold", slice(600)), ("test", slice(600, None))):
            decisions, curve = proba[rows] >= threshold, display.curves[name]
            assert curve["rows"][i] == decisions.any(axis=1).mean()
            assert curve["labels"][i] == recall_score(truth[rows], decisions, average="micro")
            assert curve["precision"][i] == precision_score(truth[rows], decisions, average="micro")
    assert display.curves["test"]["rows"][2] == 0
    assert np.isnan(display.curves["test"]["precision"][2])
    assert [ax.get_title() for ax in display.axes_] == ["decided automatically", "precision reached"]


def test_an_estimator_shows_what_its_fit_left(network):
    display = RiskCoverageCurveDisplay.from_estimator(network, X[200:], SETS[200:], y_fit=SETS[:200], levels=[0.8])
    threshold = guaranteed_threshold(Y[:200], network[-1].oof_proba_, "precision>=0.8")
    decisions = network.predict_proba(X[200:]) >= threshold
    assert display.curves["test"]["labels"][0] == recall_score(Y[200:], decisions, average="micro")
    assert "test" not in RiskCoverageCurveDisplay.from_predictions(Y, rng.rand(300, 3)).curves


def test_bad_input_of_the_display_is_refused(network):
    with pytest.raises(ValueError, match=r"levels must be numbers in \(0, 1\).* got \[0.8, 1.0\]"):
        RiskCoverageCurveDisplay.from_predictions(Y, Y, levels=[0.8, 1.0])
    with pytest.raises(ValueError, match=r"StandardScaler has no oof_proba_: .*\.from_predictions"):
        RiskCoverageCurveDisplay.from_estimator(network[0], X, Y, y_fit=Y)
    with pytest.raises(ValueError, match=r"y_fit must hold the 200 rows of fit, whose target it is; got 199"):
        RiskCoverageCurveDisplay.from_estimator(network, X[200:], SETS[200:], y_fit=SETS[:199])
    with pytest.raises(ValueError, match=r"y must hold the 100 rows of X; got 99"):
        RiskCoverageCurveDisplay.from_estimator(network, X[200:], SETS[201:], y_fit=SETS[:200])
    y = np.arange(300) % 3
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=4, n_members=2, epochs=1).fit(X, y)
    with pytest.raises(ValueError, match="For multi-class y the most probable class is predicted"):
        RiskCoverageCurveDisplay.from_estimator(clf, X, y, y_fit=y)


@pytest.mark.filterwarnings("ignore:'precision>=0.8 by label' is kept")
def test_the_report_says_what_was_guaranteed_and_what_is_reached(network):
    network[-1].set_params(threshold="precision>=0.8 by label")
    display = LabelReportDisplay.from_estimator(network, X[200:], SETS[200:], sort_by=None)
    never = network[-1].threshold_ == NEVER
    np.testing.assert_array_equal(display.frame["guaranteed"], np.where(never, np.nan, 0.8))
    np.testing.assert_array_equal(display.frame["reached"], display.frame["precision"])
    assert [text.get_text() == "never" for text in display.text_[:, 0]] == never.tolist()


def test_curves_say_which_label_is_never_predicted():
    display = ThresholdCurveDisplay.from_predictions(Y, rng.rand(300, 3), labels=[0, 1])
    display.threshold |= {0: NEVER}
    display.plot(labels=[0, 1])
    assert [ax.get_title() for ax in display.axes_] == ["0: never predicted", "1"]
    (legend,) = display.figure_.legends
    assert [text.get_text() for text in legend.get_texts()] == ["precision", "recall", "F1", "threshold in force"]


@pytest.mark.parametrize("n_panels", [1, 2, 3])
@pytest.mark.parametrize("display", [ThresholdCurveDisplay, CalibrationCurveDisplay])
def test_a_legend_is_not_wider_than_its_figure(display, n_panels):
    figure = display.from_predictions(Y, rng.rand(300, 3), labels=range(n_panels)).figure_
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert 0 <= box.x0 <= box.x1 <= figure.bbox.width


@pytest.mark.parametrize("threshold", [0.5, "precision>=0.6", "recall>=0.9"])
def test_what_is_guaranteed_of_all_labels_together_is_not_reported_as_a_guarantee_for_each(network, threshold):
    network[-1].set_params(threshold=threshold)
    assert "guaranteed" not in label_report(network, X[200:], SETS[200:])


def test_the_report_knows_the_guarantee_of_a_tuner_and_the_class_it_is_about(network):
    y = np.where(Y[:, 0], "yes", "no")
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=8, n_members=2, epochs=30, random_state=0)
    tuned = TunedThresholdMultiLabelClassifierCV(clf, scoring="recall>=0.9", cv="oof").fit(X, y)
    frame = LabelReportDisplay.from_estimator(tuned, X, y).frame
    np.testing.assert_array_equal(frame["guaranteed"], [np.nan, 0.9])


# Sets


def draw(generator, n_rows):
    """Return classes and probabilities of them that are too sure of themselves."""
    z = 1.5 * generator.standard_normal((n_rows, 4))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    y = (p.cumsum(axis=1) > generator.random((n_rows, 1))).argmax(axis=1)
    p = p**1.5
    return y, p / p.sum(axis=1, keepdims=True)


def test_sets_are_those_of_a_loop():
    generator = np.random.default_rng(0)
    (y, proba_y), (_, proba) = draw(generator, 99), draw(generator, 50)
    scores = sorted(sum(q for q in p if q >= p[k]) for k, p in zip(y, proba_y, strict=True))
    limit = scores[79]  # of 100, with the new row
    expected = []
    for p in proba:
        order = sorted(range(4), key=lambda k: -p[k])
        expected.append(tuple(k for i, k in enumerate(order) if i == 0 or p[order[: i + 1]].sum() <= limit + 1e-6))
    assert prediction_sets(proba, y, proba_y, coverage=0.8) == expected


@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_sets_cover_as_often_as_they_must_and_not_much_more(coverage):
    generator = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        (y_fit, proba_fit), (y, proba) = draw(generator, 60), draw(generator, 40)
        sets = prediction_sets(proba, y_fit, proba_fit, classes=range(4), coverage=coverage)
        covered.append(np.mean([k in chosen for k, chosen in zip(y, sets, strict=True)]))
    error = np.std(covered) / np.sqrt(200)
    assert coverage - 2 * error <= np.mean(covered) <= coverage + 1 / 61 + 0.06


def test_sets_of_an_estimator_have_its_classes():
    y = np.array(["cat", "dog", "eel"])[np.argmax(X[:, :3], axis=1)]
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=8, n_members=2, epochs=20, random_state=0).fit(X[:200], y[:200])
    sets = prediction_sets(clf.predict_proba(X[200:]), y[:200], clf.oof_proba_, classes=clf.classes_)
    assert [chosen[0] for chosen in sets] == clf.predict(X[200:]).tolist()
    assert np.mean([label in chosen for label, chosen in zip(y[200:], sets, strict=True)]) > 0.8


def test_bad_input_of_sets_is_refused():
    y, proba = draw(np.random.default_rng(0), 60)
    with pytest.raises(ValueError, match="coverage == 1, must be < 1"):
        prediction_sets(proba, y, proba, coverage=1)
    with pytest.raises(
        ValueError, match="is for y with one label per row; for any number of labels take threshold='reca"
    ):
        prediction_sets(X[:, :3], Y, X[:, :3])
    with pytest.raises(ValueError, match="proba has 3 columns, but there are 4 classes"):
        prediction_sets(proba[:, :3], y, proba)
    with pytest.warns(UserWarning, match=r"coverage=0.99 takes more than the 60 rows of calibration"):
        sets = prediction_sets(proba[:2], y, proba, coverage=0.99)
    assert [sorted(chosen) for chosen in sets] == 2 * [[0, 1, 2, 3]]
