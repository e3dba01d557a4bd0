"""Columns in the user's own units, the decision that is explained, and importances over many rows."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler

from estimators import tiny
from skml import TunedThresholdMultiLabelClassifierCV
from skml.inspection import (
    LabelContributionsDisplay,
    LabelImportancesDisplay,
    label_contributions,
    label_importances,
)
from skml.inspection._columns import Columns

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture(scope="module")
def table(X):
    """Numbers with a missing value, and two columns of categories."""
    rng = np.random.RandomState(0)
    frame = pd.DataFrame({"age": 40 + 10 * X[:, 0], "income": 1000 * X[:, 1]})
    frame["color"] = rng.choice(["red", "green_ish", "blue"], len(X))
    frame["color_code"] = rng.choice(["red", "x"], len(X), p=[0.95, 0.05])
    frame.loc[3, "age"] = np.nan
    return frame


def encode(**params):
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    categories = OneHotEncoder(sparse_output=False, **params)
    return make_column_transformer((numbers, ["age", "income"]), (categories, ["color", "color_code"]))


@pytest.fixture(scope="module")
def mixed(table, label_sets):
    return make_pipeline(encode(), tiny()).fit(table, label_sets)


# Columns of the user


def test_columns_are_shown_in_the_units_of_the_user(mixed, table, label_sets):
    tuned = TunedThresholdMultiLabelClassifierCV(mixed, cv="prefit", refit=False).fit(table, label_sets)
    for estimator in (mixed, tuned):
        contributions = label_contributions(estimator, table[1:2], "a")
        assert set(contributions.index) == {*table.columns}
        assert contributions["value"].to_dict() == table.iloc[1].to_dict()
    inner = label_contributions(mixed[-1], mixed[:-1].transform(table[1:2]), "a")["contribution"]
    groups = {"age": [0], "income": [1], "color": [2, 3, 4], "color_code": [5, 6]}
    for name, columns in groups.items():
        assert contributions.loc[name, "contribution"] == pytest.approx(inner[[f"x{j}" for j in columns]].sum())
    assert np.isnan(label_contributions(mixed, table[3:4], "a").loc["age", "value"])


@pytest.mark.parametrize(
    "params", [{}, {"drop": "first"}, {"drop": "if_binary"}, {"min_frequency": 0.2}, {"max_categories": 2}]
)
def test_columns_of_one_hot_encoders_belong_to_their_column(table, params):
    transformer = encode(**params).fit(table)
    pipeline = make_pipeline(transformer, RandomForestClassifier())
    names = transformer.get_feature_names_out()
    group, found, _ = Columns(pipeline, table).groups(np.arange(len(names)), None)
    assert found == ["age", "income", "color", "color_code"]
    codes = OneHotEncoder(**params).fit(table[["color_code"]]).get_feature_names_out()
    assert np.bincount(group).tolist() == [1, 1, len(names) - 2 - len(codes), len(codes)]


class Spread(BaseEstimator, TransformerMixin):
    """Makes two columns of each column and tells of which, as skrub's TableVectorizer does."""

    def fit(self, X, y=None):
        self.feature_names_in_ = np.array(X.columns, dtype=object)
        self.output_to_input_ = {f"{name}_{k}": name for k in (0, 1) for name in X.columns}
        return self

    def transform(self, X):
        return np.hstack([X, 2 * X])

    def get_feature_names_out(self, names=None):
        return list(self.output_to_input_)


def test_a_transformer_may_tell_the_sources_of_its_columns(X, Y):
    frame = pd.DataFrame(X[:, :2], columns=["age", "income"])
    pipeline = make_pipeline(Spread(), StandardScaler(), tiny()).fit(frame, Y)
    contributions = label_contributions(pipeline, frame[:1], 1)
    assert contributions["value"].to_dict() == frame.iloc[0].to_dict()
    inner = label_contributions(pipeline[-1], pipeline[:-1].transform(frame[:1]), 1)["contribution"]
    for name, columns in {"age": ["x0", "x2"], "income": ["x1", "x3"]}.items():
        assert contributions.loc[name, "contribution"] == pytest.approx(inner[columns].sum())


@pytest.mark.parametrize(
    ("transformer", "expected"),
    [
        (ColumnTransformer([("a", MinMaxScaler(), [1]), ("b", "drop", [0])], remainder="passthrough"), "x1 x2 x3 x4"),
        (
            ColumnTransformer([("a", "passthrough", slice(1, 3)), ("b", MinMaxScaler(), 4 * [False] + [True])]),
            "x1 x2 x4",
        ),
        (make_pipeline(StandardScaler(), SelectKBest(f_classif, k=2)), "x0 x1"),
        (PCA(2), "pca0 pca1"),
        (make_pipeline(PCA(2), StandardScaler()), "pca0 pca1"),
        (OrdinalEncoder(), "x0 x1 x2 x3 x4"),
        ("passthrough", "x0 x1 x2 x3 x4"),
    ],
)
def test_other_transformers_tell_what_they_can(X, transformer, expected):
    y = X[:, 0] + X[:, 1] > 0
    pipeline = make_pipeline(transformer, RandomForestClassifier(2)).fit(X, y)
    columns = Columns(pipeline, X)
    _, names, values = columns.groups(np.arange(columns.X.shape[1]), columns.X[0])
    assert " ".join(names) == expected
    own = [columns.X[0][j] if name.startswith("pca") else X[0, int(name[1:])] for j, name in enumerate(names)]
    assert values == pytest.approx(own)


def test_words_have_no_column_of_the_user(table, label_sets):
    table = table.assign(text=["red age" if row else "the" for row in label_sets])
    words = make_pipeline(make_column_transformer((TfidfVectorizer(), "text"), ("passthrough", ["income"])))
    columns = Columns(make_pipeline(words.fit(table), RandomForestClassifier()), table)
    _, names, values = columns.groups(np.arange(4), [0.1, 0.2, 0.3, 0.4])
    assert names == ["tfidfvectorizer__age", "tfidfvectorizer__red", "tfidfvectorizer__the", "income"]
    assert values == [0.1, 0.2, 0.3, table["income"][0]]


@pytest.mark.filterwarnings("error::FutureWarning")
def test_the_remainder_of_a_column_transformer_has_its_columns(X):
    transformer = make_column_transformer((MinMaxScaler(), [1]), remainder="passthrough")
    pipeline = make_pipeline(transformer, RandomForestClassifier(2)).fit(X, X[:, 0] > 0)
    _, names, _ = Columns(pipeline, X).groups(np.arange(5), None)
    assert names == ["x1", "x0", "x2", "x3", "x4"]


# The decision


def test_the_table_tells_the_threshold_and_the_decision(clf, X):
    for threshold, label in ((0.3, "a"), ({"b": 0.9}, "b"), ({"b": 0.9}, "c")):
        clf.set_params(threshold=threshold)
        for row in (X[:1], X[1:2], X[2:3]):
            attrs = label_contributions(clf, row, label).attrs
            assert attrs["label"] == label
            assert attrs["threshold"] == (0.3 if label == "a" else 0.9 if label == "b" else 0.5)
            assert attrs["predicted"] == (label in clf.predict(row)[0])
            assert attrs["probability"] == pytest.approx(clf.predict_proba(row)[0, "abc".index(label)])
    clf.set_params(threshold=0.5, max_labels=0)
    assert not label_contributions(clf, X[:1]).attrs["predicted"]


def test_the_threshold_is_that_of_the_tuner(fitted, X, label_sets):
    tuned = TunedThresholdMultiLabelClassifierCV(fitted, cv="prefit", refit=False).fit(X, label_sets)
    attrs = label_contributions(tuned, X[:1], "b").attrs
    assert attrs["threshold"] == tuned.best_threshold_[1] != 0.5
    assert attrs["predicted"] == ("b" in tuned.predict(X[:1])[0])


def test_the_title_tells_the_decision(clf, X, mixed, table):
    clf.set_params(threshold={"a": 0.0})
    title = LabelContributionsDisplay.from_estimator(clf, X[:1], "a").ax_.get_title()
    assert title.endswith("\npredicted (threshold 0.00)")
    clf.set_params(threshold={"a": 1.0})
    title = LabelContributionsDisplay.from_estimator(clf, X[:1], "a").ax_.get_title()
    assert title.endswith("\nnot predicted (threshold 1.00)")
    display = LabelContributionsDisplay(label_contributions(clf, X[:1], "a"), "a", 0.0, 0.0)
    assert "predicted" not in display.plot().ax_.get_title()
    ticks = LabelContributionsDisplay.from_estimator(mixed, table[:1], "a").ax_.get_yticklabels()
    assert f"color = {table['color'][0]}" in [tick.get_text() for tick in ticks]


# Importances


def test_importances_are_means_of_absolute_contributions(clf, mixed, X, table):
    for estimator, rows in ((clf, X[:20]), (mixed, table[4:24])):
        importances = label_importances(estimator, rows)
        assert importances.columns.tolist() == ["a", "b", "c"]
        for label in "abc":
            tables = [label_contributions(estimator, rows[i : i + 1], label)["contribution"] for i in range(20)]
            expected = pd.concat(tables).abs().groupby(level=0).sum() / 20
            pd.testing.assert_series_equal(
                importances[label].sort_index(), expected, check_names=False, rtol=0.02, atol=0.002
            )
        assert importances.sum(axis=1).is_monotonic_decreasing


def test_words_have_importances():
    texts = ["rain the", "snow the", "sun", "rain snow", "the sun"] * 20
    y = [{name for name, word in (("wet", "rain"), ("cold", "snow")) if word in text} for text in texts]
    clf = make_pipeline(TfidfVectorizer(), tiny(epochs=20, learning_rate=0.01)).fit(texts, y)
    few = label_importances(clf, texts[:5])
    expected = pd.concat([label_contributions(clf, [t], "wet")["contribution"] for t in texts[:5]]).abs()
    expected = expected.groupby(level=0).sum().div(5)
    pd.testing.assert_series_equal(few["wet"].sort_index(), expected, check_names=False, rtol=0.02, atol=0.01)


def test_rows_and_labels_can_be_chosen(fitted, X):
    every = label_importances(fitted, X, labels=["c", "a"], max_rows=None)
    assert every.columns.tolist() == ["c", "a"]
    pd.testing.assert_series_equal(every["a"].sort_index(), label_importances(fitted, X)["a"].sort_index())
    few = label_importances(fitted, X, labels=["a"], max_rows=3)
    pd.testing.assert_frame_equal(few, label_importances(fitted, X[[0, 39, 79]], labels=["a"]))


def test_bad_parameters_of_importances_are_refused(fitted, X, Y):
    with pytest.raises(ValueError, match="max_rows"):
        label_importances(fitted, X, max_rows=0)
    with pytest.raises(ValueError, match=r"label must be one of 'a', 'b', 'c'; got 'd'"):
        label_importances(fitted, X, labels=["d"])
    with pytest.raises(ValueError, match=r"labels=\['a'\]"):
        label_importances(fitted, X, labels="a")
    with pytest.raises(ValueError, match=r"label_importances requires.*default network; got LogisticRegression"):
        label_importances(LogisticRegression().fit(X, Y[:, 0]), X)


def test_bars_show_the_most_important_features(fitted, X):
    display = LabelImportancesDisplay.from_estimator(fitted, X, max_features=2)
    assert [ax.get_title() for ax in display.axes_] == ["a", "b", "c"]
    for ax, label in zip(display.axes_, "abc", strict=True):
        best = display.frame[label].nlargest(2)
        assert [tick.get_text() for tick in ax.get_yticklabels()] == best.index.tolist()
        assert [bar.get_width() for bar in ax.patches] == best.tolist()
    (ax,) = LabelImportancesDisplay(display.frame).plot(labels=["b"]).axes_
    assert ax.get_title() == "b"
