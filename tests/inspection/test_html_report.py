"""The HTML report: its numbers against label_report and cleanlab, its page as a parser and as a browser see it."""

import re
import time
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn import metrics as sk
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC

from skml import TunedThresholdMultiLabelClassifierCV
from skml.inspection import label_report, report_html
from skml.inspection._report_data import (
    calibration,
    confident_issues,
    confident_mistakes,
    labels_confused,
    labels_together,
    likely_issues,
    strongest_correlations,
    threshold_curve,
)
from skml.model_selection import cross_val_predict_proba

pytest.importorskip("jinja2")

EVIL = "</script><script>window.hacked = 1</script>"
VOID = {"meta", "input", "br"}
SVG = {"use", "polyline", "line", "circle", "path"}
OPTIONAL_END = {"td", "th", "tr"}  # as HTML allows


class Page(HTMLParser):
    """Reads a page: its text, its table of labels, what it links to, and that its elements are nested."""

    def __init__(self, path):
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.open, self.tags, self.ids, self.hrefs, self.rows, self.text = [], [], [], [], [], ""
        self.feed(self.html)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        assert not {name for name in attributes if name.startswith("on") or name == "src"}
        self.tags.append(tag)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.hrefs += [attributes["href"]] if "href" in attributes else []
        if tag not in VOID | SVG | OPTIONAL_END:
            self.open.append(tag)
        if attributes.get("class") == "row":
            self.rows.append([])
        if tag == "td" and self.rows and "detail" not in self.rows[-1]:
            self.rows[-1].append("")
        if attributes.get("class") == "detail":
            self.rows[-1].append("detail")

    def handle_endtag(self, tag):
        if tag not in SVG | OPTIONAL_END:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.rows and self.rows[-1] and self.rows[-1][-1] != "detail" and self.open[-1:] == ["tbody"]:
            self.rows[-1][-1] += data.strip()

    def columns(self):
        """Return the numbers of the table of labels, without their names."""
        return [row[: row.index("detail")] for row in self.rows]


@pytest.fixture(scope="module")
def linear(X, Y):
    return OneVsRestClassifier(LogisticRegression()).fit(X, Y)


@pytest.fixture(scope="module")
def words():
    """A Pipeline of texts, some of whose labels and texts look like markup."""
    rng = np.random.RandomState(0)
    vocabulary = ["rain", "snow", "sun", "wind", "the", "<b>bold</b>", "a&b"]
    texts = [" ".join(rng.choice(vocabulary, 5)) for _ in range(120)]
    y = [{name for name, word in ((EVIL, "rain"), ("cold & wet", "snow"), ("warm", "sun")) if word in t} for t in texts]
    pipeline = make_pipeline(TfidfVectorizer(token_pattern=r"\w+"), OneVsRestClassifier(LogisticRegression()))
    clf = TunedThresholdMultiLabelClassifierCV(pipeline, cv=2, random_state=0).fit(texts, y)
    return clf, texts, [row | {"warm"} if i % 40 == 0 else row for i, row in enumerate(y)]


# The file


def test_the_table_shows_the_report_of_each_label(linear, X, Y, tmp_path):
    path = report_html(linear, X, Y, tmp_path / "report.html")
    assert path == tmp_path / "report.html"
    page, report = Page(path), label_report(linear, X, Y)
    for cells, (_, row), proba in zip(page.columns(), report.iterrows(), linear.predict_proba(X).T, strict=True):
        assert cells[0] == str(int(row["support"]))
        assert cells[1] == str(int((proba >= 0.5).sum()))
        assert cells[2:7] == [f"{value:.2f}" for value in row[1:]]
    assert f"<b>{sk.f1_score(Y, linear.predict(X), average='micro'):.2f}</b>micro-F1" in page.html
    assert f"For <b>{100 * linear.score(X, Y):.0f}</b> of 100 rows" in page.html


def test_the_file_needs_nothing_beside_it(words, tmp_path):
    page = Page(report_html(*words, tmp_path / "report.html"))
    assert "default-src 'none'" in page.html
    assert not {"link", "img", "iframe"} & set(page.tags)
    assert all(href.startswith("#") and href[1:] in page.ids for href in page.hrefs)
    assert len(page.ids) == len(set(page.ids))
    assert "svg" in page.tags
    assert page.tags.count("script") == 1


def test_labels_and_texts_that_look_like_markup_are_text(words, tmp_path):
    page = Page(report_html(*words, tmp_path / "report.html", title="A <i>title</i>"))
    assert EVIL in page.text  # as text
    assert EVIL not in page.html
    assert "<b>bold</b>" in page.text
    assert "<i>title</i>" not in page.html
    assert "cold &amp; wet" in page.html


def test_any_classifier_with_probabilities_has_a_report(fitted, X, Y, label_sets, tmp_path):
    frame = pd.DataFrame(X, columns=["wind", "rain", "sun", "snow", "fog"])
    missing = Y.astype(float)
    missing[::7, 0] = np.nan
    binary, classes = np.where(Y[:, 0], "yes", "no"), np.array(["low", "mid", "high"])[Y[:, 0] + Y[:, 1]]
    small = OneVsRestClassifier(LogisticRegression())
    cases = [
        (RandomForestClassifier(5, random_state=0), frame, Y, 3),  # a list of arrays
        (MLPClassifier(4, tol=1, random_state=0), X, Y, 3),
        (GridSearchCV(small, {}, cv=2), X, sparse.csr_matrix(Y), 3),
        (LogisticRegression(), X, binary, 2),
        (LogisticRegression(), X, classes, 3),
        (TunedThresholdMultiLabelClassifierCV(LogisticRegression(), cv=2), X, binary, 2),
        (TunedThresholdMultiLabelClassifierCV(small, cv=2, scoring="top_k"), sparse.csr_array(X), label_sets, 3),
        (TunedThresholdMultiLabelClassifierCV(small, cv=2, scoring="recall>=0.8"), frame, label_sets, 3),
    ]
    cases = [(clf.fit(data, y), data, y, n_labels) for clf, data, y, n_labels in cases]
    for clf, data, y, n_labels in [*cases, (fitted, X, missing, 3)]:
        page = Page(report_html(clf, data, y, tmp_path / "report.html"))
        assert len(page.columns()) == n_labels
    assert "12 missing entries" in page.text


def test_a_classifier_without_probabilities_is_refused(X, Y, tmp_path):
    with pytest.raises(AttributeError, match="predict_proba"):
        report_html(OneVsRestClassifier(LinearSVC()).fit(X, Y), X, Y, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"max_examples": -1}, ValueError, "max_examples"),
        ({"proba": np.zeros((80, 2))}, ValueError, r"proba.*\(80, 3\).*\(80, 2\).*cross_val_predict_proba"),
        ({"row_names": ["a"]}, ValueError, "row_names.* 80 .*got 1"),
        ({"path": "no/such/folder/report.html"}, FileNotFoundError, "folder 'no/such/folder' does not exist"),
    ],
)
def test_bad_parameters_are_refused(linear, X, Y, tmp_path, changed, error, message):
    with pytest.raises(error, match=message):
        report_html(linear, X, Y, **{"path": tmp_path / "report.html"} | changed)


def test_without_jinja_the_error_names_the_extra(linear, X, Y, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"report_html needs .*jinja2.*skml\[report\]"):
        report_html(linear, X, Y, tmp_path / "report.html")


# Probabilities


def test_training_rows_are_judged_by_out_of_fold_probabilities(fitted, X, label_sets, tmp_path):
    page = Page(report_html(fitted, X, label_sets, tmp_path / "report.html"))
    report = label_report(label_sets, fitted.oof_proba_)
    assert "out-of-fold probabilities of the fit" in page.text
    assert [cells[6] for cells in page.columns()] == [f"{value:.2f}" for value in report["average_precision"]]
    page = Page(report_html(fitted, X[1:], label_sets[1:], tmp_path / "report.html"))
    assert "predictions of the classifier" in page.text


def test_given_probabilities_are_decided_by_the_thresholds_of_the_classifier(X, label_sets, tmp_path):
    model = OneVsRestClassifier(LogisticRegression())
    clf = TunedThresholdMultiLabelClassifierCV(model, cv=2, random_state=0).fit(X, label_sets)
    proba = cross_val_predict_proba(model, X, label_sets, cv=2, random_state=1)
    page = Page(report_html(clf, X, label_sets, tmp_path / "report.html", proba=proba))
    report = label_report(label_sets, proba, threshold=clf.best_threshold_)
    assert [cells[2:7] for cells in page.columns()] == [[f"{x:.2f}" for x in row[1:]] for row in report.to_numpy()]


def test_a_guarantee_of_each_label_is_checked_on_the_rows(X, Y, tmp_path):
    X, Y = np.tile(X, (4, 1)), np.tile(Y, (4, 1))
    model = OneVsRestClassifier(LogisticRegression())
    guarantee = "precision>=0.7 by label"
    clf = TunedThresholdMultiLabelClassifierCV(model, cv=2, scoring=guarantee, random_state=0).fit(X, Y)
    page = Page(report_html(clf, X, Y, tmp_path / "report.html"))
    assert [cells[-2:] for cells in page.columns()] == [["0.70", "yes"]] * 3
    page = Page(report_html(clf, X, 1 - Y, tmp_path / "report.html"))
    assert [cells[-2:] for cells in page.columns()] == [["0.70", "no"]] * 3


# Numbers


def test_likely_issues_are_those_of_confident_learning():
    rng = np.random.RandomState(0)
    proba = rng.rand(400)
    given = rng.rand(400) < np.where(rng.rand(400) < 0.9, proba > 0.5, 0.5)
    # By hand: thresholds are the mean self-confidence of each class; the confident class is the larger of those above.
    t1, t0 = proba[given].mean(), (1 - proba[~given]).mean()
    expected = []
    for i in range(400):
        confident = [(p, k) for p, k, t in ((1 - proba[i], 0, t0), (proba[i], 1, t1)) if p >= t]
        if confident and max(confident)[1] != given[i]:
            expected.append(i)
    found = confident_issues(given, proba)
    assert sorted(found.tolist()) == expected
    assert np.all(np.diff(np.where(given, proba, 1 - proba)[found]) >= 0)


@pytest.mark.integrations
def test_likely_issues_agree_with_cleanlab():
    cleanlab_filter = pytest.importorskip("cleanlab.filter", reason="needs cleanlab: pip install -e '.[integrations]'")
    rng = np.random.RandomState(1)
    proba = rng.rand(300)
    given = rng.rand(300) < proba
    columns = np.column_stack([1 - proba, proba])
    ranked = {"return_indices_ranked_by": "self_confidence", "n_jobs": 1}
    expected = cleanlab_filter.find_label_issues(given.astype(int), columns, filter_by="confident_learning", **ranked)
    np.testing.assert_array_equal(confident_issues(given, proba), expected)
    truth = np.where(np.arange(300) % 5 == 0, np.nan, given)
    observed = np.flatnonzero(~np.isnan(truth))
    expected = cleanlab_filter.find_label_issues(given[observed].astype(int), columns[observed], **ranked)
    np.testing.assert_array_equal(likely_issues(truth, proba), observed[expected])


def test_a_label_with_one_class_only_has_no_issue():
    for truth in ([1.0, 1.0, np.nan], [0.0, 0.0, 0.0], [np.nan] * 3):
        assert not len(likely_issues(np.array(truth), np.array([0.1, 0.9, 0.5])))


def test_curves_agree_with_scikit_learn():
    rng = np.random.RandomState(0)
    truth, proba = rng.rand(200) < 0.3, rng.rand(200) * 0.19
    curve = threshold_curve(truth, proba, 0.05)
    assert curve["limit"] == pytest.approx(0.2)
    assert curve["threshold"] == pytest.approx(50)
    points = {name: np.array([p.split(",") for p in line.split()], float).T for name, line in curve["lines"].items()}
    for k, threshold in enumerate(np.linspace(0, 0.2, 41)[:38]):
        scores = sk.precision_recall_fscore_support(truth, proba >= threshold, average="binary", zero_division=0)
        for name, score in zip(("precision", "recall", "F1"), scores[:3], strict=True):
            assert np.interp(5 * k, *points[name]) == pytest.approx(100 * (1 - score), abs=0.51)
    assert threshold_curve(truth & False, proba, 0.05) is None


def test_calibration_agrees_with_scikit_learn():
    from sklearn.calibration import calibration_curve

    rng = np.random.RandomState(0)
    proba = rng.rand(300) ** 2
    truth = rng.rand(300) < proba
    fraction, mean = calibration_curve(truth, proba, n_bins=10)
    found = calibration(truth, proba)
    assert [point[:2] for point in found["points"]] == [
        (round(100 * x), round(100 * (1 - y))) for x, y in zip(mean, fraction, strict=True)
    ]
    share = np.histogram(proba, np.linspace(0, 1, 11))[0] / 300
    assert found["error"] == pytest.approx(share @ np.abs(mean - fraction))
    assert found["expected"] == pytest.approx(proba.sum())


def test_the_most_confident_mistakes_come_first():
    truth, proba = np.array([1, 1, 1, 0, 0, 0], bool), np.array([0.1, 0.3, 0.9, 0.8, 0.2, 0.95])
    missed, wrong = confident_mistakes(truth, proba, proba > 0.5, 2)
    assert (missed.tolist(), wrong.tolist()) == ([0, 1], [5, 3])


def test_pairs_of_labels_are_counted_as_by_hand():
    Y = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1], [0, 0, 1], [0, 0, 1]])
    assert labels_together(sparse.csc_array(Y), 5) == [(0, 1, 2, 3)]
    D = np.array([[0, 1, 1], [0, 1, 1], [1, 0, 0], [0, 0, 1], [0, 0, 1]])
    missed, wrong = (sparse.csc_array(matrix) for matrix in ((Y == 1) & (D == 0), (Y == 0) & (D == 1)))
    assert labels_confused(missed, wrong, 5) == [(0, 2, 2)]


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array, sparse.csc_matrix])
def test_correlations_agree_with_numpy(X, convert):
    X = np.where(X > 0, X, 0)
    X[:, 2] = 3  # constant
    proba = 1 / (1 + np.exp(-X[:, :2] @ [[1, -1], [2, 0.3]]))
    for j, found in enumerate(strongest_correlations(convert(X), proba, 3)):
        expected = {k: np.corrcoef(X[:, k], proba[:, j])[0, 1] for k in (0, 1, 3, 4)}
        best = sorted(expected, key=lambda k: -abs(expected[k]))[:3]
        assert [k for k, _ in found] == best
        assert [r for _, r in found] == pytest.approx([expected[k] for k in best])


def test_missing_values_of_x_count_as_the_mean(X):
    proba = np.random.RandomState(0).rand(len(X), 1)
    holes = X.copy()
    holes[::9, 1] = np.nan
    filled = np.where(np.isnan(holes), np.nanmean(holes, axis=0), holes)
    assert strongest_correlations(holes, proba, 3) == strongest_correlations(filled, proba, 3)


def test_the_words_of_a_label_go_with_it(words, tmp_path):
    html = report_html(*words, tmp_path / "report.html").read_text(encoding="utf-8")
    first = re.search(r'Columns that go with it</h3><table class="bars">\s*<tr><td>(\w+)<td>\+', html)
    assert first[1] == "rain"


def test_rows_are_named_by_text_cells_or_number(words, linear, X, Y, tmp_path):
    clf, texts, y = words
    series = pd.Series(texts, index=range(9, 9 + len(texts)))
    for X_words in (texts, series):
        assert any(text in Page(report_html(clf, X_words, y, tmp_path / "a.html")).text for text in texts)
    named = report_html(clf, texts, y, tmp_path / "b.html", row_names=[f"ticket {i}" for i in range(len(texts))])
    assert "ticket 0" in Page(named).text  # whose "warm" is wrong
    assert not any(text in Page(named).text for text in texts)
    wrong = np.flatnonzero((linear.predict(X) != Y).any(axis=1))[0]
    assert f"row {wrong}" in Page(report_html(linear, X, Y, tmp_path / "c.html")).text
    assert f"row {wrong}" not in Page(report_html(linear, X, Y, tmp_path / "d.html", max_examples=0)).text
    frame = pd.DataFrame(X, columns=list("abcde"), index=[f"id{i}" for i in range(80)])
    linear = OneVsRestClassifier(LogisticRegression()).fit(frame.to_numpy(), Y)
    pipeline = make_pipeline(FunctionTransformer(np.asarray), linear)
    assert f"id{wrong}: a = {X[wrong, 0]:.4g}, b = " in Page(report_html(pipeline, frame, Y, tmp_path / "e.html")).text


@pytest.mark.slow
def test_a_thousand_labels_take_under_5_mb_and_30_seconds(tmp_path):
    rng = np.random.RandomState(0)
    logits = rng.randn(5000, 1000) - 3.5
    Y = rng.rand(5000, 1000) < 1 / (1 + np.exp(-2 * logits))

    class Known(RandomForestClassifier):
        n_features_in_, classes_ = 1000, np.arange(1000)

        def predict_proba(self, X):
            return 1 / (1 + np.exp(-2 * X))

        def predict(self, X):
            return (X > 0).astype(int)

    start = time.process_time()  # the machine may be busy
    names = [
        f"The text of row {i}, which goes on for as long as it is shown in the report of labels" for i in range(5000)
    ]
    path = report_html(Known(), logits, Y.astype(int), tmp_path / "report.html", row_names=names)
    assert time.process_time() - start < 30
    assert path.stat().st_size < 5e6


# The browser


@pytest.mark.integrations
def test_a_browser_sorts_filters_and_opens_labels(browser, words, tmp_path):
    path = report_html(*words, tmp_path / "report.html")
    tab, said = browser.new_page(), []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: said.append(request.url) if request.url != path.as_uri() else None)
    tab.goto(path.as_uri())

    def names():
        return tab.locator("#labels tbody:visible .row th").all_inner_texts()

    def numbers(column):
        return [int(text) for text in tab.locator(f"#labels .row > :nth-child({column})").all_inner_texts()]

    assert names() == [EVIL, "cold & wet", "warm"]
    tab.get_by_role("button", name="rows").click()
    assert numbers(2) == sorted(numbers(2), reverse=True)
    tab.get_by_role("button", name="rows").click()
    assert numbers(2) == sorted(numbers(2))
    tab.locator("thead button").first.click()
    assert sorted(names(), key=str.lower) == names()
    tab.get_by_label("Search a label").fill("WET")
    assert names() == ["cold & wet"]
    assert tab.get_by_role("status").inner_text() == "1 of 3 labels"
    tab.get_by_label("Search a label").fill("")
    tab.get_by_label("Which labels to show").select_option("never")
    assert names() == []
    tab.get_by_label("Which labels to show").select_option("")
    label = tab.get_by_role("button", name="warm")
    assert not tab.get_by_text("Likely wrong in the data").locator("visible=true").count()
    label.press("Enter")
    assert label.get_attribute("aria-expanded") == "true"
    assert tab.get_by_text("Likely wrong in the data").locator("visible=true").count() == 1
    assert tab.locator("svg.plot:visible").count() == 4
    label.click()
    assert label.get_attribute("aria-expanded") == "false"
    tab.goto(path.as_uri() + "#l1")
    assert tab.locator("#l1 .detail").is_visible()
    assert tab.evaluate("window.hacked") is None
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not said
