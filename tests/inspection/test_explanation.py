import joblib
import numpy as np
import pandas as pd
import pytest
from scipy.special import logit
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from estimators import SMALL, tiny
from skml import KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV
from skml.inspection import LabelContributionsDisplay, label_contributions

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
pyplot = pytest.importorskip("matplotlib.pyplot")

WORDS = ["rain", "snow", "sun", "wind", "the", "a", "today"]


@pytest.fixture(scope="module")
def weather():
    """A Pipeline fitted on texts, in which "rain" means wet, and "snow" wet and cold."""
    rng = np.random.RandomState(0)
    texts = [" ".join(rng.choice(WORDS, 4)) for _ in range(200)]
    y = [
        {label for label in ("wet", "cold") if "snow" in text or ("rain" in text and label == "wet")} for text in texts
    ]
    vectorizer = TfidfVectorizer(token_pattern=r"\w+")
    return make_pipeline(vectorizer, tiny(hidden_layer_sizes=(8, 8), n_members=2, epochs=40)).fit(texts, y)


def network(meta):
    import keras

    return keras.Sequential([keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])])


# The sum


def test_the_sum_is_the_difference_from_the_mean_row(X, label_sets):
    clf = KerasMultiLabelClassifier(**SMALL, calibrate=True).fit(3 * X + 1, label_sets)
    mean = (3 * X + 1).mean(axis=0)[None]
    for row in 3 * X[:5, None] + 1:
        for j, label in enumerate("abc"):
            table = label_contributions(clf, row, label)
            difference = np.subtract(*clf.decision_function(np.vstack([row, mean]))[:, j])
            assert table["contribution"].sum() == pytest.approx(difference, rel=0.01, abs=0.01)
            np.testing.assert_array_equal(table["value"], row[0, [int(name[1:]) for name in table.index]])


def test_the_sum_is_the_difference_from_the_row_of_zeros(weather):
    for text in ("rain the snow today", "sun wind a the"):
        for j, label in enumerate(["cold", "wet"]):
            table = label_contributions(weather, [text], label)
            difference = np.subtract(*weather.decision_function([text, ""])[:, j])
            assert table["contribution"].sum() == pytest.approx(difference, rel=0.01, abs=0.01)


def test_dense_and_sparse_rows_have_the_same_contributions(weather):
    clf, row = weather[-1], weather[0].transform(["rain the snow today"])
    expected = label_contributions(clf, row, "wet")
    assert len(expected) == 4
    pd.testing.assert_frame_equal(
        label_contributions(clf, row.toarray(), "wet"), expected, rtol=1e-4, check_dtype=False
    )


def test_contributions_of_two_classes_have_opposite_signs(X):
    clf = tiny(scale="standard").fit(X, np.where(X[:, 0] > 0, "yes", "no"))
    yes, no = (label_contributions(clf, X[:1], label)["contribution"] for label in ("yes", "no"))
    pd.testing.assert_series_equal(no, -yes[::-1])
    mean = X.mean(axis=0)[None]
    difference = clf.decision_function(X[:1]) - clf.decision_function(mean)
    assert yes.sum() == pytest.approx(difference.item(), rel=0.01, abs=0.01)


def test_a_class_of_several_is_explained_by_its_odds(X):
    clf = tiny(n_members=2).fit(X, np.array(["low", "mid", "high"])[np.digitize(X[:, 0], [-0.4, 0.4])])
    rows = np.vstack([X[:1], X.mean(axis=0)])
    odds = logit(clf.predict_proba(rows).astype(float))
    for j, label in enumerate(clf.classes_):
        total = label_contributions(clf, X[:1], label)["contribution"].sum()
        assert total == pytest.approx(odds[0, j] - odds[1, j], rel=0.01, abs=0.01)


# The table


def test_the_words_that_raise_the_probability_come_first(weather):
    table = label_contributions(weather, ["the sun and snow today"], "cold")
    assert table.index.name == "feature"
    assert table.columns.tolist() == ["value", "contribution"]
    assert table.index[0] == "snow"
    assert set(table.index) == {"the", "sun", "snow", "today"}  # "and" is not in the vocabulary
    assert table["contribution"].is_monotonic_decreasing
    assert label_contributions(weather, ["the rain"], "cold").loc["rain", "contribution"] < 0


def test_by_default_the_most_probable_label_is_explained(weather):
    for text in ("rain the rain", "the sun"):
        label = weather.classes_[weather.predict_proba([text]).argmax()]
        expected = label_contributions(weather, [text], label)
        pd.testing.assert_frame_equal(label_contributions(weather, [text]), expected)


def test_features_have_the_names_that_the_last_step_receives(X, label_sets):
    frame = pd.DataFrame(X, columns=["wind", "rain", "sun", "snow", "fog"])
    named, unnamed = set(frame), {f"x{j}" for j in range(5)}
    clf = tiny(epochs=1)
    for estimator, data, names in (
        (clf, frame, named),
        (clf, X, unnamed),
        (make_pipeline(clf), frame, named),
        (make_pipeline("passthrough", StandardScaler(), clf), frame, named),
        (make_pipeline(FunctionTransformer(np.abs), clf), X, unnamed),
        (make_pipeline(FunctionTransformer(np.abs), clf), frame, named),
    ):
        table = label_contributions(estimator.fit(data, label_sets), data[:1], "a")
        assert set(table.index) == names


def test_the_classifier_is_found_inside_searches_and_tuners(weather, X, label_sets):
    pipeline = make_pipeline(StandardScaler(), tiny(epochs=1))
    tuned = TunedThresholdMultiLabelClassifierCV(pipeline, cv=2).fit(X, label_sets)
    search = GridSearchCV(pipeline, {}, cv=2).fit(X, label_sets)
    frozen = FrozenEstimator(search.best_estimator_)
    for outer, inner in ((tuned, tuned.estimator_), (search, search.best_estimator_), (frozen, frozen.estimator)):
        expected = label_contributions(inner, X[:1], "b")
        pd.testing.assert_frame_equal(label_contributions(outer, X[:1], "b"), expected)


def test_a_loaded_classifier_explains_without_tensorflow(weather, run_python, tmp_path):
    joblib.dump(weather, tmp_path / "weather.joblib")
    code = (
        "import sys, joblib; from skml.inspection import label_contributions\n"
        "table = label_contributions(joblib.load('weather.joblib'), ['snow the'], 'cold')\n"
        "print(table.index[0], {'keras', 'tensorflow', 'matplotlib'} & {*sys.modules})"
    )
    assert run_python(code, imported="sklearn").strip() == "snow set()"


# Errors


def test_custom_networks_and_other_classifiers_are_refused(X, Y):
    for estimator in (KerasMultiLabelClassifier(network, epochs=1), LogisticRegression()):
        y = Y if isinstance(estimator, KerasMultiLabelClassifier) else Y[:, 0]
        with pytest.raises(
            ValueError, match=rf"default network; got {type(estimator).__name__}.*SHAP.*label_view\(estimator"
        ):
            label_contributions(estimator.fit(X, y), X[:1], 0)


def test_bad_input_is_refused(fitted, X):
    with pytest.raises(ValueError, match=r"X must have exactly 1 row.* got 80.*X\[:1\]"):
        label_contributions(fitted, X, "a")
    with pytest.raises(ValueError, match=r"label.* 'a', 'b', 'c'; got 'd'"):
        label_contributions(fitted, X[:1], "d")
    with pytest.raises(ValueError, match="X has 4 features"):
        label_contributions(fitted, X[:1, :4], "a")
    with pytest.raises(NotFittedError):
        label_contributions(KerasMultiLabelClassifier(), X[:1])


# The display


def test_bars_show_the_table(fitted, X):
    display = LabelContributionsDisplay.from_estimator(fitted, X[:1], "a")
    table = label_contributions(fitted, X[:1], "a")
    np.testing.assert_array_equal([bar.get_width() for bar in display.bars_], table["contribution"])
    names = [tick.get_text() for tick in display.ax_.get_yticklabels()]
    assert names == [f"{name} = {value:.3g}" for name, value in table["value"].items()]
    top, bottom = display.ax_.get_ylim()
    assert top > bottom  # the first is at the top
    assert display.log_odds == pytest.approx(fitted.decision_function(X[:1])[0, 0], abs=1e-5)
    assert f"→ {fitted.predict_proba(X[:1])[0, 0]:.2f}" in display.ax_.get_title()
    colors = [bar.get_facecolor() for bar in display.bars_]
    positive, negative = matplotlib.colors.to_rgba("C0"), matplotlib.colors.to_rgba("C3")
    assert colors == [positive if size >= 0 else negative for size in table["contribution"]]


def test_many_features_are_reduced_to_the_largest_and_the_sum_of_the_others(fitted, X):
    _, ax = pyplot.subplots()
    display = LabelContributionsDisplay.from_estimator(fitted, X[:1], "a", ax=ax, max_features=2, show_values=False)
    assert display.ax_ is ax
    sizes = display.frame["contribution"]
    shown = sizes[sizes.abs() >= sizes.abs().nlargest(2).min()]
    assert [bar.get_width() for bar in display.bars_] == shown.tolist()
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert names == [*shown.index, f"3 others: {sizes.sum() - shown.sum():+.2f} in all"]


def test_a_row_equal_to_the_baseline_has_an_empty_display(weather):
    display = LabelContributionsDisplay.from_estimator(weather, ["nothing known"], "wet")
    assert len(display.frame) == len(display.bars_) == 0
    assert display.log_odds == pytest.approx(display.baseline_log_odds, abs=1e-6)
