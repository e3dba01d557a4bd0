"""Tables of mixed columns, by skrub or by a ColumnTransformer."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from estimators import tiny
from skml import KerasMultiLabelClassifier
from skml.inspection import label_contributions, label_importances
from skml.metrics import get_scorer

pytestmark = pytest.mark.integrations

LEARNS = {"hidden_layer_sizes": (32,), "n_members": 2, "epochs": 60, "learning_rate": 0.01, "random_state": 0}


@pytest.fixture
def table(X):
    """A table of dates, numbers, a few and many strings, and missing values."""
    return pd.DataFrame(
        {
            "when": pd.date_range("2024-01-01", periods=len(X), freq="7h"),
            "amount": X[:, 0],
            "kind": np.where(X[:, 1] > 0.3, "red", "blue"),
            "place": [f"{'up' if x > 0.3 else 'down'} {i % 50}" for i, x in enumerate(X[:, 2])],
            "rate": np.where(X[:, 3] > 1, np.nan, X[:, 3]),
        },
        index=[f"row {i}" for i in range(len(X))],
    )


def test_skrub_vectorizes_a_table_for_label_sets(table, label_sets):
    skrub = pytest.importorskip("skrub", reason="needs skrub: pip install -e '.[integrations]'")
    vectorizer = skrub.TableVectorizer()
    assert np.isnan(vectorizer.fit_transform(table)["rate"]).any()  # it leaves missing numbers as they are
    model = make_pipeline(vectorizer, KerasMultiLabelClassifier(**LEARNS)).fit(table, label_sets)
    assert get_scorer("f1_micro")(model, table, label_sets) > 0.9
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict_proba(table[:3]), model.predict_proba(table[:3]))


def test_columns_that_skrub_makes_are_known_by_name(table, Y):
    skrub = pytest.importorskip("skrub")
    model = make_pipeline(skrub.TableVectorizer(), tiny()).fit(table.drop(columns="rate"), Y)
    assert model[-1].feature_names_in_.tolist() == list(model[0].get_feature_names_out())


def test_the_pipeline_that_skrub_makes_around_the_classifier_fills_in_missing_values(table, label_sets):
    skrub = pytest.importorskip("skrub")
    model = skrub.tabular_pipeline(KerasMultiLabelClassifier(**LEARNS)).fit(table, label_sets)
    assert get_scorer("f1_micro")(model, table, label_sets) > 0.9


def test_explanations_show_one_line_for_each_column_that_skrub_reads(table, Y):
    skrub = pytest.importorskip("skrub")
    model = skrub.tabular_pipeline(tiny()).fit(table, Y)
    row = table[3:4]
    contributions = label_contributions(model, row, 0)
    assert set(contributions.index) == {*table.columns}
    assert contributions["value"].to_dict() == row.iloc[0].to_dict()
    inner = label_contributions(model[-1], model[:-1].transform(row), 0)["contribution"]
    inner = inner.rename({f"x{j}": name for j, name in enumerate(model[0].get_feature_names_out())})
    for name, start in {"kind": "kind", "when": "when_", "place": "place", "amount": "amount"}.items():
        assert contributions.loc[name, "contribution"] == pytest.approx(
            inner[[column for column in inner.index if column.startswith(start)]].sum()
        )
    assert set(label_importances(model, table[:5]).index) == {*table.columns}


def test_skrub_and_labels_in_polars(table, Y):
    skrub = pytest.importorskip("skrub")
    few = ["amount", "kind"]
    labels = pd.DataFrame(Y, columns=list("abc"))
    fits = [
        make_pipeline(skrub.TableVectorizer(), tiny()).fit(X, y).predict_proba(X)
        for X, y in [(pl.from_pandas(table[few]), pl.from_pandas(labels)), (table[few], labels)]
    ]
    np.testing.assert_allclose(*fits, atol=1e-6)


def test_a_column_transformer_hands_over_a_frame(table, Y):
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["amount", "rate"]),
        (OneHotEncoder(sparse_output=False), ["kind"]),
        verbose_feature_names_out=False,
    )
    y = pd.DataFrame(Y, columns=list("abc"), index=table.index)
    model = make_pipeline(columns, tiny()).set_output(transform="pandas").fit(table, y)
    assert model[-1].feature_names_in_.tolist() == ["amount", "rate", "kind_blue", "kind_red"]
    arrays = make_pipeline(clone(columns), tiny()).set_output(transform="default").fit(table, Y)
    np.testing.assert_array_equal(model.predict_proba(table), arrays.predict_proba(table))
    with pytest.raises(ValueError, match="feature names"):
        model[-1].predict(model[0].transform(table)[["rate", "amount", "kind_blue", "kind_red"]])
