"""Lesson 7: tables with many rows, when the network pays and what it costs.

Two made-up tables, each with 5,000 rows to train on: in one the labels depend on products of columns, in the other on
sums. Run it with ``python examples/07_tables_with_many_rows.py``, or cell by cell.
"""

# %% Data: 20 columns in their own units, 6 labels.
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd


def table(kind, n_rows=9_000, n_columns=20, n_labels=6):
    rng = np.random.RandomState(0)
    X = rng.randn(n_rows, n_columns)
    parts = X if kind == "sums" else X[:, rng.permutation(n_columns)] * X
    log_odds = parts @ rng.randn(n_columns, n_labels)
    Y = rng.uniform(size=log_odds.shape) < 1 / (1 + np.exp(-log_odds + 1))
    return X * 10.0 ** rng.randint(-3, 4, n_columns), Y.astype(int)


# %% Four models. The logistic regressions search their C; MLPClassifier and they want columns of one scale.
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skml import KerasMultiLabelClassifier
from skml.metrics import f1_score, get_scorer, log_loss

logistic = make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression()))
strengths = {"onevsrestclassifier__estimator__C": [0.01, 0.1, 1, 10]}
models = {
    "KerasMultiLabelClassifier()": KerasMultiLabelClassifier(random_state=0),
    "KerasMultiLabelClassifier(n_members=1)": KerasMultiLabelClassifier(n_members=1, random_state=0),
    "logistic regressions": GridSearchCV(logistic, strengths, scoring=get_scorer("neg_log_loss")),
    "MLPClassifier": make_pipeline(StandardScaler(), MLPClassifier((256, 256), early_stopping=True, random_state=0)),
}
rows, fitted = {}, {}
for kind in ("products", "sums"):
    X, Y = table(kind)
    for name, model in models.items():
        start = time.process_time()
        model = clone(model).fit(X[:5_000], Y[:5_000])
        seconds = time.process_time() - start
        proba = model.predict_proba(X[5_000:])
        scores = {
            "log-loss": log_loss(Y[5_000:], proba),
            "micro-F1": f1_score(Y[5_000:], proba >= 0.5, average="micro"),
        }
        rows[kind, name] = {**scores, "CPU s of the fit": seconds}
        fitted[kind, name] = model
        print(f"{kind:9s} {name:40s} {scores['log-loss']:.3f}", flush=True)
print(pd.DataFrame(rows).T.round(3).to_string())

# %% Where labels depend on sums of columns, the logistic regressions are better by a little, and quicker. Where they
# depend on products, the network is worth its seconds. The curves show what it did in them: training stops when the
# loss of the rows that a member has not learned from no longer falls.
from skml.inspection import TrainingCurveDisplay

TrainingCurveDisplay.from_estimator(fitted["products", "KerasMultiLabelClassifier()"])
plt.show()
