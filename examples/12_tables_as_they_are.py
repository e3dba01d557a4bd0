"""Lesson 12: tables as they are: numbers of any scale, missing values, categories
===============================================================================

We generate a table of machines in a factory and predict which of four faults each has. The labels depend on thresholds
of a few columns. Run this lesson with ``python examples/12_tables_as_they_are.py``, or cell by cell in an editor or
notebook.
"""

# %%
# Data: a date as a number, a heavy-tailed column, missing values that mean something, two categories, noise.
import numpy as np
import pandas as pd

rng = np.random.RandomState(0)
n_rows = 3_000
table = pd.DataFrame(
    {
        "installed": 1.7e9 + 5e7 * rng.rand(n_rows),  # seconds since 1970
        "vibration": np.exp(3 * rng.randn(n_rows)),  # from 0.00001 to 30,000
        "temperature": 60 + 15 * rng.randn(n_rows),
        "voltage": 230 + 4 * rng.randn(n_rows),
        "maker": rng.choice(["Ada", "Bell", "Curie"], n_rows),
        "site": rng.choice(["north", "south"], n_rows),
        **{f"sensor {j}": rng.randn(n_rows) for j in range(8)},  # these tell nothing
    }
)
is_old, is_hot = table["installed"] < 1.71e9, table["temperature"] > 72
chance = pd.DataFrame(
    {
        "worn bearing": 0.05 + 0.8 * (table["vibration"] > 10),
        "leak": 0.05 + 0.7 * (is_old & (table["maker"] != "Bell")),
        "overload": 0.03 + 0.6 * is_hot + 0.3 * (np.abs(table["voltage"] - 230) > 6),
        "no contact": 0.02 + 0.6 * (table["site"] == "north") * (table["temperature"] < 50),
    }
)
Y = (rng.rand(n_rows, 4) < chance).astype(int)
table.loc[(Y["no contact"] == 1) & (rng.rand(n_rows) < 0.7), "voltage"] = np.nan  # no contact, no voltage
table_train, table_test, Y_train, Y_test = table[:2_000], table[2_000:], Y[:2_000], Y[2_000:]
print(table_train.head(3).to_string())

# %%
# Categories become columns of 0 and 1 in a preceding step. Numbers pass as they are: NaN is a missing value, and no
# column needs scaling.
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from skml import KerasMultiLabelClassifier

columns = make_column_transformer(
    (OneHotEncoder(drop="if_binary", sparse_output=False, handle_unknown="ignore"), ["maker", "site"]),
    remainder="passthrough",
    verbose_feature_names_out=False,
)
clf = KerasMultiLabelClassifier(threshold="f1_micro", random_state=0)
pipeline = make_pipeline(columns.set_output(transform="pandas"), clf).fit(table_train, Y_train)

# %%
# `tabular_pipeline` of the package skrub makes a Pipeline by itself, also for dates and texts. It fills in missing
# values, with a column that marks them; `make_pipeline(skrub.TableVectorizer(), clf)` leaves them to the network.
import skrub

automatic = skrub.tabular_pipeline(KerasMultiLabelClassifier(random_state=0)).fit(table_train, Y_train)

# %%
# How much of a label's variance each column explains alone, and how much the kinds of members count. The columns of
# a category are recognised by their values and support each other.
clf = pipeline[-1]
print(pd.Series(clf.relevance_, clf.feature_names_in_).sort_values(ascending=False).head(8).round(3).to_string())
print({kind: round(weight, 2) for kind, weight in clf.input_weights_.items()})

# %%
# The Pipeline of skrub, the network with standardised columns only, boosting with one model for each label, and the
# chances that labels were drawn from.
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.multioutput import MultiOutputClassifier

from skml.metrics import log_loss

standard = make_pipeline(
    columns, KerasMultiLabelClassifier(scale="standard", random_state=0)
)  # columns standardised, no weights, one kind
boosting = make_pipeline(columns, MultiOutputClassifier(HistGradientBoostingClassifier(early_stopping=True)))
standard.fit(table_train, Y_train)
boosting.fit(table_train, Y_train)
of_boosting = np.column_stack([proba[:, 1] for proba in boosting.predict_proba(table_test)])
losses = {
    "as it is": log_loss(Y_test, pipeline.predict_proba(table_test)),
    "by skrub": log_loss(Y_test, automatic.predict_proba(table_test)),
    "standardised": log_loss(Y_test, standard.predict_proba(table_test)),
    "boosting": log_loss(Y_test, of_boosting),
    "the true chances": log_loss(Y_test, chance[2_000:].to_numpy()),
}
print(pd.Series(losses, name="log-loss of the test rows").round(3).to_string())
best = min(("as it is", "by skrub", "standardised", "boosting"), key=losses.get)
print(f"Best here: {best}.")

# %%
# Why a machine gets a label, with the values of its columns: one line for a category, whose columns are summed.
import matplotlib.pyplot as plt

from skml.inspection import LabelContributionsDisplay

machine = int(pipeline.predict_proba(table_test)[:, 0].argmax())
LabelContributionsDisplay.from_estimator(pipeline, table_test[machine : machine + 1], "worn bearing", max_features=8)
plt.show()
