"""Guarantees in the risk-coverage curve, in the report and in threshold curves."""

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
from skml._decisions._tuning import guaranteed_threshold, tune
from skml.inspection import (
    CalibrationCurveDisplay,
    LabelReportDisplay,
    RiskCoverageCurveDisplay,
    ThresholdCurveDisplay,
    label_report,
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
def test_coverage_and_precision_are_those_of_the_decisions(by_label):
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
    coverage, precision = display.axes_
    assert "coverage" in coverage.get_title()
    assert "precision" in precision.get_title()
    assert "risk" in precision.get_title()
    assert all("target level" in ax.get_xlabel() for ax in display.axes_)


def test_thresholds_are_found_on_the_out_of_fold_probabilities_of_the_fit(network):
    display = RiskCoverageCurveDisplay.from_estimator(network, X[200:], SETS[200:], y_fit=SETS[:200], levels=[0.8])
    threshold = guaranteed_threshold(Y[:200], network[-1].oof_proba_, "precision>=0.8")
    decisions = network.predict_proba(X[200:]) >= threshold
    assert display.curves["test"]["labels"][0] == recall_score(Y[200:], decisions, average="micro")
    assert "test" not in RiskCoverageCurveDisplay.from_predictions(Y, rng.rand(300, 3)).curves


def test_groups_are_counted_instead_of_rows(network):
    groups, proba = np.arange(200) // 2, network[-1].oof_proba_
    make = RiskCoverageCurveDisplay.from_estimator
    display = make(network, X[200:], SETS[200:], y_fit=SETS[:200], levels=[0.75], groups=groups.astype(str))
    decisions = tune(Y[:200], proba, "precision>=0.75", group=groups).rule.decide(network.predict_proba(X[200:]))
    recall = recall_score(Y[200:], decisions, average="micro")
    assert display.curves["test"]["labels"][0] == recall
    assert make(network, X[200:], SETS[200:], y_fit=SETS[:200], levels=[0.75]).curves["test"]["labels"][0] >= recall > 0
    with pytest.raises(ValueError, match=r"^groups must hold one value for each of the 300 rows"):
        RiskCoverageCurveDisplay.from_predictions(Y, rng.rand(300, 3), groups=groups)


def test_bad_input_of_the_display_is_refused(network):
    with pytest.raises(ValueError, match=r"levels must be .*numbers in \(0, 1\).* got \[0.8, 1.0\]"):
        RiskCoverageCurveDisplay.from_predictions(Y, Y, levels=[0.8, 1.0])
    with pytest.raises(ValueError, match=r"StandardScaler has no oof_proba_.*n_members > 1.*\.from_predictions"):
        RiskCoverageCurveDisplay.from_estimator(network[0], X, Y, y_fit=Y)
    with pytest.raises(ValueError, match=r"y_fit must have 200 rows.*got 199"):
        RiskCoverageCurveDisplay.from_estimator(network, X[200:], SETS[200:], y_fit=SETS[:199])
    with pytest.raises(ValueError, match=r"^y must have 100 rows.* X; got 99"):
        RiskCoverageCurveDisplay.from_estimator(network, X[200:], SETS[201:], y_fit=SETS[:200])
    y = np.arange(300) % 3
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=4, n_members=2, epochs=1).fit(X, y)
    with pytest.raises(ValueError, match=r"does not support multi-class y.*most probable class.*prediction sets"):
        RiskCoverageCurveDisplay.from_estimator(clf, X, y, y_fit=y)


@pytest.mark.filterwarnings("ignore:.*precision>=0.8 by label")
def test_the_report_shows_the_target_level_and_the_precision_reached(network):
    network[-1].set_params(threshold="precision>=0.8 by label")
    display = LabelReportDisplay.from_estimator(network, X[200:], SETS[200:], sort_by=None)
    never = network[-1].threshold_ == NEVER
    np.testing.assert_array_equal(display.frame["guaranteed"], np.where(never, np.nan, 0.8))
    np.testing.assert_array_equal(display.frame["reached"], display.frame["precision"])
    assert [text.get_text() == "never" for text in display.text_[:, 0]] == never.tolist()


def test_titles_of_curves_name_labels_that_are_never_predicted():
    display = ThresholdCurveDisplay.from_predictions(Y, rng.rand(300, 3), labels=[0, 1])
    display.threshold |= {0: NEVER}
    display.plot(labels=[0, 1])
    assert [ax.get_title() for ax in display.axes_] == ["0: never predicted", "1"]
    (legend,) = display.figure_.legends
    assert [text.get_text() for text in legend.get_texts()] == ["precision", "recall", "F1", "threshold in use"]


@pytest.mark.parametrize("n_panels", [1, 2, 3])
@pytest.mark.parametrize("display", [ThresholdCurveDisplay, CalibrationCurveDisplay])
def test_a_legend_is_not_wider_than_its_figure(display, n_panels):
    figure = display.from_predictions(Y, rng.rand(300, 3), labels=range(n_panels)).figure_
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert 0 <= box.x0 <= box.x1 <= figure.bbox.width


@pytest.mark.parametrize("threshold", [0.5, "precision>=0.6", "recall>=0.9"])
def test_a_guarantee_for_all_labels_together_is_not_reported_for_each_label(network, threshold):
    network[-1].set_params(threshold=threshold)
    assert "guaranteed" not in label_report(network, X[200:], SETS[200:])


def test_the_report_shows_the_guarantee_of_a_tuner_for_the_second_of_two_classes(network):
    y = np.where(Y[:, 0], "yes", "no")
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=8, n_members=2, epochs=30, random_state=0)
    tuned = TunedThresholdMultiLabelClassifierCV(clf, scoring="recall>=0.9", cv="oof").fit(X, y)
    frame = LabelReportDisplay.from_estimator(tuned, X, y).frame
    np.testing.assert_array_equal(frame["guaranteed"], [np.nan, 0.9])
