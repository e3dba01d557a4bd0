import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn import metrics as sk
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skml import KerasMultiLabelClassifier
from skml.inspection import (
    LabelReportDisplay,
    ThresholdCurveDisplay,
    TrainingCurveDisplay,
    label_probabilities,
    label_report,
)

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
pyplot = pytest.importorskip("matplotlib.pyplot")

COLUMNS = ["support", "threshold", "precision", "recall", "f1", "average_precision"]


@pytest.fixture
def with_threshold(clf):
    return clf.set_params(threshold={"b": 0.3})


def many(n_labels):
    """Return an indicator and probabilities of many labels; the last one never occurs."""
    rng = np.random.RandomState(0)
    Y = (rng.rand(60, n_labels) < np.linspace(0.05, 0.5, n_labels)).astype(int)
    Y[:, 0], Y[:, -1] = 1, 0
    return Y, np.clip(0.4 * Y + 0.6 * rng.rand(*Y.shape), 0.01, 0.99)


# Most probable labels


def test_the_most_probable_labels_come_first_and_ties_keep_their_order():
    rows = label_probabilities(np.array([[0.2, 0.8, 0.8, 0.1]], dtype=np.float32), np.array([3, 1, 2, 0]), k=3)
    assert [label for label, _ in rows[0]] == [1, 2, 3]
    assert [type(value) for pair in rows[0] for value in pair] == [int, float] * 3
    assert rows[0][0][1] == pytest.approx(0.8)


def test_k_above_the_number_of_labels_returns_all_labels():
    assert label_probabilities([[0.1, 0.2]], ["a", "b"], k=9) == [[("b", 0.2), ("a", 0.1)]]


@pytest.mark.parametrize(("classes", "k", "message"), [(["a"], 1, "2 columns.*classes has 1 "), ("ab", 0, "k == 0")])
def test_bad_arguments_of_label_probabilities_are_refused(classes, k, message):
    with pytest.raises(ValueError, match=message):
        label_probabilities([[0.1, 0.2]], classes, k)


def test_an_estimator_predicts_the_most_probable_labels(clf, X, Y):
    expected = label_probabilities(clf.predict_proba(X), clf.classes_, k=2)
    assert label_probabilities(clf, X, k=2) == expected
    assert label_probabilities(make_pipeline("passthrough", clf), X, 2) == expected
    forest = RandomForestClassifier(5, random_state=0).fit(X, Y)  # returns a list
    best = label_probabilities(forest, X, k=1)[0][0]
    proba = [p[0, 1] for p in forest.predict_proba(X)]
    assert best == (int(np.argmax(proba)), max(proba))


# Report


def test_the_report_agrees_with_scikit_learn_for_each_label(Y, proba, label_sets):
    threshold = {"a": 0.4, "c": 0.6}
    report = label_report(label_sets, proba, threshold=threshold)
    assert report.columns.tolist() == COLUMNS
    assert report.index.tolist() == ["a", "b", "c"]
    assert report["threshold"].tolist() == [0.4, 0.5, 0.6]
    for j in range(3):
        decided = proba[:, j] >= report["threshold"].iloc[j]
        expected = [*sk.precision_recall_fscore_support(Y[:, j], decided, average="binary")[:3]]
        expected += [sk.average_precision_score(Y[:, j], proba[:, j])]
        np.testing.assert_allclose(report.iloc[j, 2:].astype(float), expected)
    assert report["support"].tolist() == Y.sum(axis=0).tolist()


def test_every_form_of_y_has_the_same_report(Y, proba, label_sets):
    expected = label_report(label_sets, proba)
    names = list("abc")
    forms = [(Y, names), (sparse.csr_matrix(Y), names), (Y.tolist(), names), (pd.DataFrame(Y, columns=names), None)]
    forms.append((pd.DataFrame(Y, columns=names)[["c", "b", "a"]], names))
    for y, classes in forms:
        pd.testing.assert_frame_equal(label_report(y, proba, classes=classes), expected)


def test_missing_labels_are_ignored_in_the_report(Y, proba):
    truth = Y.astype(float)
    truth[:30, 0], truth[:, 2] = np.nan, np.nan
    report = label_report(truth, proba)
    pd.testing.assert_series_equal(report.iloc[0], label_report(Y[30:], proba[30:]).iloc[0])
    assert report["support"].tolist() == [Y[30:, 0].sum(), Y[:, 1].sum(), 0]
    assert report.iloc[2, 2:].isna().all()


def test_undefined_scores_are_nan_in_the_report():
    report = label_report(np.array([[1, 0, 0], [0, 0, 1]]), [[0.1, 0.9, 0.1], [0.1, 0.2, 0.1]])
    assert report.isna().to_numpy()[:, 2:].tolist() == [
        [True, False, False, False],  # nothing predicted
        [False, True, False, True],  # no positive
        [True, False, False, False],
    ]


def test_probabilities_of_another_shape_are_refused(Y, proba):
    with pytest.raises(ValueError, match=r"y .*\(80, 3\).*proba .*\(80, 2\).*classes=clf\.classes_"):
        label_report(Y, proba[:, :2])
    with pytest.raises(ValueError, match=r"proba must be .*\(n_samples, n_labels\).*predict_proba"):
        label_report([{"a"}, {"b"}], np.array([("a",), ("a", "b")], dtype=object))
    with pytest.raises(ValueError, match="not in classes: 'c'"):
        label_report([{"a", "c"}, {"b"}], np.ones((2, 2)), classes=["a", "b"])


def test_the_report_of_an_estimator_scores_its_predictions(with_threshold, X, Y, label_sets):
    pipeline = make_pipeline("passthrough", with_threshold)
    frame = LabelReportDisplay.from_estimator(pipeline, X, label_sets).frame
    assert frame["threshold"].tolist() == [0.5, 0.3, 0.5]
    D = with_threshold.target_encoder_.transform(with_threshold.predict(X))
    np.testing.assert_allclose(frame["f1"], sk.f1_score(Y, D, average=None))
    with_threshold.set_params(max_labels=1)
    limited = LabelReportDisplay.from_estimator(with_threshold, X, label_sets).frame
    D = with_threshold.target_encoder_.transform(with_threshold.predict(X))
    np.testing.assert_allclose(limited["recall"], sk.recall_score(Y, D, average=None))


def test_the_report_of_an_estimator_is_a_table_without_a_display(with_threshold, X, label_sets):
    frame = label_report(with_threshold, X, label_sets)
    pd.testing.assert_frame_equal(frame, LabelReportDisplay.from_estimator(with_threshold, X, label_sets).frame)
    given = label_report(label_sets, with_threshold.predict_proba(X), threshold={"b": 0.3})
    pd.testing.assert_frame_equal(frame, given)
    with pytest.raises(ValueError, match=r"threshold and classes .*label_report\(y, proba\)"):
        label_report(with_threshold, X, label_sets, threshold=0.2)
    with pytest.raises(ValueError, match=r"y is missing.*label_report\(estimator, X, y\)"):
        label_report(with_threshold, X)


def test_unknown_labels_are_in_the_report(with_threshold, X, label_sets):
    with pytest.warns(UserWarning, match="never predicted") as caught:
        frame = LabelReportDisplay.from_estimator(with_threshold, X, [*label_sets[:-1], {"new"}]).frame
    assert len(caught) == 1
    assert frame.loc["new", ["support", "recall"]].tolist() == [1, 0]


def test_single_labels_have_a_row_for_each_class(X):
    y = np.where(X[:, 0] > 0, "yes", "no")
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=(4,), epochs=3, random_state=0, threshold=0.3).fit(X, y)
    frame = LabelReportDisplay.from_estimator(clf, X, y).frame
    assert frame["threshold"].tolist() == [0.7, 0.3]
    expected = sk.f1_score(y, clf.predict(X), average=None)
    np.testing.assert_allclose(frame["f1"], expected)


@pytest.mark.parametrize("n_labels", [6, 150])
def test_the_heat_map_shows_the_report(n_labels):
    Y, proba = many(n_labels)
    names = [f"a label of which the name is long, {j}" for j in range(n_labels)]
    display = LabelReportDisplay.from_predictions(Y, proba, classes=names, max_labels=None)
    ranked = display.frame.sort_values("support", ascending=False, kind="stable")
    drawn = display.im_.get_array()
    np.testing.assert_array_equal(drawn.filled(np.nan), ranked[COLUMNS[1:]].to_numpy())
    assert drawn.mask.sum() == ranked[COLUMNS[1:]].isna().to_numpy().sum() > 0
    ticks = [tick.get_text() for tick in display.ax_.get_yticklabels()]
    assert len(ticks) == min(n_labels, 38)
    assert ticks[0] == "a label of which the name is …  (60)"
    if n_labels == 6:
        assert display.text_[0, 0].get_text() == "0.50"
        assert display.text_[-1, 2].get_text() == "-"
        assert display.text_[0, 2].get_color() == "black"  # on yellow
        assert {text.get_color() for text in display.text_[drawn < 0.3]} <= {"white"}
    else:
        assert display.text_ is None
        assert display.figure_.get_size_inches()[1] < 17


def test_the_heat_map_takes_axes_and_an_order():
    Y, proba = many(6)
    _, ax = pyplot.subplots()
    report = label_report(Y, proba)
    display = LabelReportDisplay(report).plot(ax=ax, sort_by="f1", max_labels=3, colorbar=False)
    assert display.ax_ is ax
    assert display.figure_.axes == [ax]
    np.testing.assert_array_equal(display.im_.get_array()[:, 3], np.sort(report["f1"])[:2:-1])


@pytest.mark.parametrize("n_never", [1, 200, 226])  # labels whose F1 is undefined
def test_of_many_labels_the_best_and_the_worst_are_shown_with_numbers(n_never):
    Y, proba = many(231)
    Y[:, -n_never:], proba[:, -n_never:] = 0, 0.1
    threshold = np.full(231, 0.4)
    threshold[100] = 2
    report = label_report(Y, proba, threshold=threshold)
    display = LabelReportDisplay(report).plot()
    ranked = report.sort_values("f1", ascending=False, kind="stable")
    n_best, n_worst = {1: (15, 15), 200: (15, 15), 226: (5, 0)}[n_never]
    n_defined = report["f1"].notna().sum()
    shown = [*range(n_best), *range(n_defined - n_worst, n_defined)]
    drawn = display.im_.get_array()
    assert len(drawn) == len(shown) + 1
    np.testing.assert_array_equal(
        np.delete(drawn.filled(np.nan), n_best, axis=0),
        ranked[COLUMNS[1:]].iloc[shown].replace({"threshold": {2: np.nan}}),
    )
    others = ranked.drop(ranked.index[shown]).replace({"threshold": {2: np.nan}})
    np.testing.assert_allclose(drawn[n_best].filled(np.nan), others[COLUMNS[1:]].mean())
    ticks = [tick.get_text() for tick in display.ax_.get_yticklabels()]
    assert ticks[n_best] == f"mean of {231 - len(shown)} others"
    assert ticks[0] == f"{ranked.index[0]}  ({ranked['support'].iloc[0]})"
    assert display.text_[0, 3].get_text() == f"{ranked['f1'].iloc[0]:.2f}"
    assert display.figure_.get_size_inches()[1] < 11


def test_labels_to_draw_are_a_number_auto_or_none():
    report = label_report(*many(6))
    with pytest.raises(ValueError, match="max_labels must be an int, 'auto' or None; got 'all'"):
        LabelReportDisplay(report).plot(max_labels="all")


# Threshold curves


def test_curves_are_the_scores_at_their_thresholds(Y, proba):
    truth = Y.astype(float)
    truth[:20, 1] = np.nan
    display = ThresholdCurveDisplay.from_predictions(truth, proba, classes=list("abc"))
    for j, label in enumerate("abc"):
        observed = ~np.isnan(truth[:, j])
        curve = display.curves[label]
        assert curve[0, 0] == 0
        assert curve[0, -1] == 1
        for threshold, *values in curve.T[:-1]:
            decided = proba[observed, j] >= threshold
            expected = sk.precision_recall_fscore_support(Y[observed, j], decided, average="binary", zero_division=0)
            np.testing.assert_allclose(values, expected[:3])
    observed = ~np.isnan(truth)
    threshold, *values = display.micro[:, 40]
    expected = sk.precision_recall_fscore_support(Y[observed], proba[observed] >= threshold, average="binary")
    np.testing.assert_allclose(values, expected[:3])


def test_curves_are_thinned_but_keep_their_ends():
    rng = np.random.RandomState(0)
    proba = rng.rand(5000, 1) ** 4
    y = sparse.csr_array(rng.rand(5000, 1) < proba)
    micro = ThresholdCurveDisplay.from_predictions(y, proba).micro
    assert 500 < micro.shape[1] <= 1002
    np.testing.assert_allclose(micro[0, [1, -2]], [proba.min(), proba.max()])
    assert np.diff(micro[0]).max() < 0.02


def test_panels_show_the_curves_and_the_thresholds_in_use(with_threshold, X, label_sets):
    display = ThresholdCurveDisplay.from_estimator(with_threshold, X, label_sets)
    support = {label: sum(label in row for row in label_sets) for label in "abc"}
    ranked = sorted("abc", key=lambda label: -support[label])
    assert [ax.get_title() for ax in display.axes_] == ["all labels (micro)", *ranked]
    for ax, label in zip(display.axes_[1:], ranked, strict=True):
        *curves, mark = ax.get_lines()
        for line, values in zip(curves, display.curves[label][1:], strict=True):
            np.testing.assert_array_equal(line.get_xdata(), display.curves[label][0])
            np.testing.assert_array_equal(line.get_ydata(), values)
        assert set(mark.get_xdata()) == {0.3 if label == "b" else 0.5}
    assert display.axes_[0].get_lines()[3].get_xdata().tolist() == [0.3, 0.5]


def test_chosen_labels_have_a_panel_each(Y, proba):
    _, axes = pyplot.subplots(1, 2)
    display = ThresholdCurveDisplay.from_predictions(Y, proba, threshold=[0.1, 0.2, 0.3], labels=[2, 0], ax=axes)
    assert [ax.get_title() for ax in display.axes_] == ["2", "0"]
    assert display.axes_[0].get_lines()[3].get_xdata() == [0.3, 0.3]
    with pytest.raises(ValueError, match=r"got \[7\]"):
        display.plot(labels=[7])
    with pytest.raises(ValueError, match=r"ax must contain 3 axes.* got 2"):
        display.plot(axes, labels=[0, 1, 2])


def test_many_labels_are_drawn_as_a_heat_map_of_f1():
    Y, proba = many(150)
    threshold = np.linspace(0.1, 0.9, 150)
    display = ThresholdCurveDisplay.from_predictions(Y, proba, threshold=threshold)
    assert len(display.axes_) == 2
    assert len(display.curves) == 149  # the last never occurs
    image = display.axes_[1].get_images()[0].get_array()
    for i, label in enumerate(display.curves):
        expected = sk.f1_score(Y[:, label], proba[:, label] >= 0.3, zero_division=0)
        assert image[i, 30] == pytest.approx(expected)
    marks = display.axes_[1].collections[0].get_offsets()
    np.testing.assert_allclose(marks[:, 0], threshold[list(display.curves)])
    assert len(display.axes_[1].get_yticklabels()) == 38


def test_without_a_positive_there_is_no_curve():
    with pytest.raises(ValueError, match="No label occurs in y"):
        ThresholdCurveDisplay.from_predictions(np.zeros((3, 2)), np.ones((3, 2)))


def test_the_threshold_of_the_estimator_or_0_5_is_marked(X, Y):
    clf = OneVsRestClassifier(LogisticRegression()).fit(X, Y)
    assert ThresholdCurveDisplay.from_estimator(clf, X, Y).threshold == dict.fromkeys(range(3), 0.5)
    clf.best_threshold_ = np.array([0.1, 0.2, 0.3])  # as in a tuner
    assert ThresholdCurveDisplay.from_estimator(clf, X, Y).threshold == {0: 0.1, 1: 0.2, 2: 0.3}


def test_multi_class_curves_mark_no_threshold(X):
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=(4,), epochs=1).fit(X, np.arange(80) % 3)
    display = ThresholdCurveDisplay.from_estimator(clf, X, np.arange(80) % 3)
    assert all(len(ax.get_lines()) == 3 for ax in display.axes_)


# Training curves


def test_the_history_of_a_fit_is_drawn(X, Y):
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=(4,), epochs=3, metrics=["binary_accuracy"], random_state=0)
    search = GridSearchCV(make_pipeline(StandardScaler(), clf), {}, cv=[(np.arange(80), np.arange(5))])
    history = search.fit(X, Y).best_estimator_[-1].history_
    display = TrainingCurveDisplay.from_estimator(search)
    assert [ax.get_title() for ax in display.axes_] == ["loss", "binary_accuracy"]
    for ax, name in zip(display.axes_, ["loss", "binary_accuracy"], strict=True):
        expected = [history[key] for key in (name, f"val_{name}") if key in history]
        for line, values in zip(ax.get_lines(), expected, strict=False):
            assert line.get_xdata().tolist() == [1, 2, 3]
            assert line.get_ydata().tolist() == values


def test_the_lowest_validation_loss_is_marked():
    display = TrainingCurveDisplay({"loss": [3, 2, 1], "val_loss": [3.0, 1.5, 2.0], "auc": [0.5, 0.6, 0.7]}).plot()
    labels = [[text.get_text() for text in ax.get_legend().get_texts()] for ax in display.axes_]
    assert labels == [["training", "validation", "lowest: epoch 2"], ["training"]]
    assert set(display.axes_[0].get_lines()[2].get_xdata()) == {2}


def test_an_estimator_without_epochs_has_no_training_curve(X, Y):
    with pytest.raises(ValueError, match=r"LogisticRegression has no history_.*Fit it"):
        TrainingCurveDisplay.from_estimator(LogisticRegression().fit(X, Y[:, 0]))


# Missing packages


@pytest.mark.parametrize("package", ["pandas", "matplotlib"])
def test_a_missing_package_is_named(package, monkeypatch, Y, proba):
    report = label_report(Y, proba)

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr("skml._dependencies.importlib.import_module", missing)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        LabelReportDisplay(report).plot() if package == "matplotlib" else label_report(Y, proba)


def test_neither_plots_nor_networks_are_imported_before_they_are_needed(run_python):
    code = "import sys, skml.metrics, skml.inspection; print({'keras', 'tensorflow', 'matplotlib'} & {*sys.modules})"
    assert run_python(code, imported="sklearn").strip() == "set()"
