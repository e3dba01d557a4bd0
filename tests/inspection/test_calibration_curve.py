import numpy as np
import pytest
from scipy import sparse, stats
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline

from forms import INDICATORS, label_sets_of, with_unknown
from skml.inspection import CalibrationCurveDisplay, ThresholdCurveDisplay

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
pyplot = pytest.importorskip("matplotlib.pyplot")


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_curves_are_those_of_scikit_learn(Y, proba, strategy):
    arguments = {"n_bins": 5, "strategy": strategy}
    display = CalibrationCurveDisplay.from_predictions(Y, proba, classes=list("abc"), **arguments)
    assert [*display.curves] == sorted("abc", key=lambda label: -Y[:, "abc".index(label)].sum())
    for j, label in enumerate("abc"):
        mean, fraction, n_entries = display.curves[label]
        expected = calibration_curve(Y[:, j], proba[:, j], **arguments)
        np.testing.assert_allclose([fraction, mean], expected)
        assert n_entries.sum() == 80
        np.testing.assert_allclose(n_entries @ fraction, Y[:, j].sum())
        np.testing.assert_allclose(n_entries @ mean, proba[:, j].sum())
    expected = calibration_curve(Y.ravel(), proba.ravel(), **arguments)
    np.testing.assert_allclose(display.micro[[1, 0]], expected)


def test_every_form_of_y_has_the_same_curves(Y, proba):
    expected = CalibrationCurveDisplay.from_predictions(Y, proba)
    for name in ("array of bool", "csr_matrix", "coo_matrix", "nested lists"):
        display = CalibrationCurveDisplay.from_predictions(INDICATORS[name](Y, "abc"), proba)
        np.testing.assert_allclose(display.micro, expected.micro)
    display = CalibrationCurveDisplay.from_predictions(label_sets_of(Y), proba)
    for curve, other in zip(display.curves.values(), expected.curves.values(), strict=True):
        np.testing.assert_allclose(curve, other)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_missing_labels_are_ignored(Y, proba, container):
    incomplete = with_unknown(Y)
    display = CalibrationCurveDisplay.from_predictions(container(incomplete), proba)
    for j in range(3):
        observed = ~np.isnan(incomplete[:, j])
        expected = calibration_curve(Y[observed, j], proba[observed, j], n_bins=10)
        np.testing.assert_allclose(display.curves[j][[1, 0]], expected)
    assert display.micro[2].sum() == np.sum(~np.isnan(incomplete))


def test_panels_show_the_curves_with_wilson_intervals(Y, proba):
    names = ["a label of which the name is long, 1", "a label of which the name is long, 2", "c"]
    display = CalibrationCurveDisplay.from_predictions(Y, proba, classes=names)
    titles = [ax.get_title() for ax in display.axes_]
    assert titles[0] == f"all labels ({Y.sum()} true)"
    assert len(titles) == 4  # although two names are shortened to the same text
    mean, fraction, n_entries = display.micro
    _, (points, _, (bars,)) = display.axes_[0].get_lines(), display.axes_[0].containers[0]
    np.testing.assert_array_equal(points.get_xydata(), np.column_stack([mean, fraction]))
    for segment, k, n in zip(bars.get_segments(), np.rint(fraction * n_entries), n_entries, strict=True):
        z = stats.norm.ppf(0.975)
        middle, width = (k + z**2 / 2) / (n + z**2), z * np.sqrt(k * (n - k) / n + z**2 / 4) / (n + z**2)
        np.testing.assert_allclose(segment[:, 1], [middle - width, middle + width], atol=1e-9)


def test_panels_show_the_most_frequent_labels_or_the_chosen_ones():
    rng = np.random.RandomState(0)
    Y = (rng.rand(60, 12) < np.linspace(0.1, 0.6, 12)).astype(int)
    Y[:, 11] = 0  # never occurs
    proba = rng.rand(60, 12)
    display = CalibrationCurveDisplay.from_predictions(Y, proba)
    assert [*display.curves] == np.argsort(-Y.sum(axis=0), kind="stable")[:8].tolist()
    assert len(display.axes_) == 9
    _, axes = pyplot.subplots(1, 2)
    display = CalibrationCurveDisplay.from_predictions(Y, proba, labels=[11, 3], ax=axes)
    assert [ax.get_title() for ax in display.axes_] == ["11 (0 true)", f"3 ({Y[:, 3].sum()} true)"]
    assert display.micro is None
    assert display.figure_ is axes[0].figure
    with pytest.raises(ValueError, match=r"label.* 0, 1, 2, .* got 12"):
        CalibrationCurveDisplay.from_predictions(Y, proba, labels=[12])
    with pytest.raises(ValueError, match=r"labels must be a list.* got 'ab'.*labels=\['ab'\]"):
        CalibrationCurveDisplay.from_predictions(Y, proba, labels="ab")
    with pytest.raises(ValueError, match="n_bins == 0, must be >= 1"):
        CalibrationCurveDisplay.from_predictions(Y, proba, n_bins=0)
    with pytest.raises(ValueError, match="strategy"):
        CalibrationCurveDisplay.from_predictions(Y, proba, strategy="equal")


def test_curves_of_an_estimator_use_its_probabilities(fitted, X, Y, label_sets):
    expected = CalibrationCurveDisplay.from_predictions(Y, fitted.predict_proba(X))
    display = CalibrationCurveDisplay.from_estimator(make_pipeline("passthrough", fitted), X, label_sets)
    np.testing.assert_allclose(display.micro, expected.micro)
    clf = OneVsRestClassifier(LogisticRegression()).fit(X, Y)
    assert [*CalibrationCurveDisplay.from_estimator(clf, X, Y, labels=[1]).curves] == [1]


def test_without_an_observed_entry_there_is_no_curve():
    with pytest.raises(ValueError, match=r"y has no observed entry.*NaN"):
        CalibrationCurveDisplay.from_predictions(np.full((3, 2), np.nan), np.full((3, 2), 0.5))


@pytest.mark.parametrize("Display", [CalibrationCurveDisplay, ThresholdCurveDisplay])
@pytest.mark.parametrize("labels", [[], (), np.array([])])
def test_no_label_to_draw_is_refused(labels, Display, Y, proba):
    with pytest.raises(ValueError, match="labels must contain at least one label"):
        Display.from_predictions(Y, proba, labels=labels)


def test_labels_to_draw_may_be_an_array(Y, proba):
    labels = np.array([1, 0])
    assert list(CalibrationCurveDisplay.from_predictions(Y, proba, labels=labels).curves) == [1, 0]
    assert len(ThresholdCurveDisplay.from_predictions(Y, proba, labels=labels).axes_) == 2
