"""Lesson 7: tables with many rows: when the network is worth its training time
============================================================================

We generate two tables with 5,000 training rows each. In one, the labels depend on products of columns; in the other, on
sums. Run this lesson with ``python examples/07_tables_with_many_rows.py``, or cell by cell in an editor or notebook.
"""

# %%
# Data: 20 columns with different scales, 6 labels.
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd


def make_table(kind, n_rows=9_000, n_columns=20, n_labels=6):
    rng = np.random.RandomState(0)
    X = rng.randn(n_rows, n_columns)
    terms = X if kind == "sums" else X[:, rng.permutation(n_columns)] * X
    log_odds = terms @ rng.randn(n_columns, n_labels)
    Y = rng.uniform(size=log_odds.shape) < 1 / (1 + np.exp(-log_odds + 1))
    return X * 10.0 ** rng.randint(-3, 4, n_columns), Y.astype(int)


# %%
# Four models. A grid search finds C of the logistic regressions. They and MLPClassifier need standardised columns.
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
    X, Y = make_table(kind)
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

# %%
# If labels depend on sums of columns, the logistic regressions are slightly better. If labels depend on products,
# the network is worth its training time. The curves show the training: it stops when the out-of-fold loss no longer
# improves.
from skml.inspection import TrainingCurveDisplay

TrainingCurveDisplay.from_estimator(fitted["products", "KerasMultiLabelClassifier()"])
plt.show()
