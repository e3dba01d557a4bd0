"""Lesson 11: the best of both: a network and trees, averaged
==========================================================

Networks are good at smooth dependencies and sums, trees at thresholds in single columns. Tables often have both.
`AveragedMultiLabelClassifier` averages the probabilities of any classifiers, with weights that it finds on out-of-fold
probabilities. Run this lesson with ``python examples/11_the_best_of_both.py``, or cell by cell in an editor or
notebook.
"""

# %%
# Data: 20 columns and 4 labels. The log-odds of each label are the sum of a smooth function of ten columns and of
# boxes, which are regions beyond thresholds in two columns.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd


def make_table(n_rows=5_000, n_columns=20, n_labels=4):
    rng = np.random.RandomState(0)
    X = rng.randn(n_rows, n_columns)
    smooth = 1.5 * np.tanh(X[:, :10] @ rng.randn(10, 12) / 2) @ rng.randn(12, n_labels)
    boxes = np.zeros((n_rows, n_labels))
    for label in np.repeat(range(n_labels), 10):
        first, second = rng.choice(n_columns, 2, replace=False)
        boxes[:, label] += 3.0 * rng.randn() * ((X[:, first] > rng.randn()) & (X[:, second] < rng.randn()))
    log_odds = smooth + boxes
    log_odds -= np.quantile(log_odds, rng.uniform(0.5, 0.8, n_labels), axis=0).diagonal()
    Y = rng.uniform(size=log_odds.shape) < 1 / (1 + np.exp(-1.5 * log_odds))
    names = [f"label {j}" for j in range(n_labels)]
    return pd.DataFrame(X).add_prefix("column "), pd.DataFrame(Y.astype(int), columns=names)


X, Y = make_table()
X_train, Y_train, X_test, Y_test = X[:2_000], Y[:2_000], X[2_000:], Y[2_000:]

# %%
# One fit of three classifiers. HistGradientBoostingClassifier predicts a single label only, so that one clone of it
# is trained for each label. It and the extra trees are also fitted to three folds, for out-of-fold probabilities. The
# network has these already after its fit, as it cross-fits itself.
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier

from skml import AveragedMultiLabelClassifier, KerasMultiLabelClassifier

models = [
    ("network", KerasMultiLabelClassifier(random_state=0)),
    ("boosting", HistGradientBoostingClassifier(max_leaf_nodes=6, random_state=0)),
    ("trees", ExtraTreesClassifier(100, min_samples_leaf=3, n_jobs=2, random_state=0)),
]
clf = AveragedMultiLabelClassifier(models, cv=3, random_state=0).fit(X_train, Y_train)

# %%
# The table shows the three classifiers and the average on the test rows, with the threshold 0.5. A classifier with
# the weight 0 adds nothing to the others, and predictions do not use it. Before another fit, you can leave it out with
# `clf.set_params(trees="drop")`, or give weights of your own with `clf.set_params(weights=[2, 1, 0])`.
from skml.metrics import f1_score, log_loss


def scores(proba):
    """Return the scores of probabilities on the test rows."""
    decisions = np.asarray(proba) >= 0.5
    return {
        "log-loss": log_loss(Y_test, proba),
        "micro-F1": f1_score(Y_test, decisions, average="micro"),
        "macro-F1": f1_score(Y_test, decisions, average="macro"),
    }


def probabilities(fitted):
    """Return an array of shape (n_samples, n_labels), also for the list of arrays that a forest returns."""
    proba = fitted.predict_proba(X_test)
    return np.column_stack([label[:, 1] for label in proba]) if isinstance(proba, list) else proba


rows = {name: scores(probabilities(fitted)) for name, fitted in clf.named_estimators_.items()}
rows = {name: {"weight": weight} | row for (name, row), weight in zip(rows.items(), clf.weights_, strict=True)}
rows["the average"] = {"weight": 1.0} | scores(clf.predict_proba(X_test))
table = pd.DataFrame(rows).T.round(3)
print(table.to_string())

# %%
# `oof_proba_` is the average of the out-of-fold probabilities. Thresholds are tuned on it, as in lesson 3, without
# another fit.
from skml.metrics import precision_score

for rule in ("f1_macro", "precision>=0.8"):
    decisions = clf.set_params(threshold=rule).predict(X_test)
    precision = precision_score(Y_test, decisions, average="micro")
    print(f"{rule}: macro-F1 {f1_score(Y_test, decisions, average='macro'):.3f}, precision {precision:.3f}")

# %%
# What the average gains here.
single = table["log-loss"].drop("the average")
gain = 1 - table.loc["the average", "log-loss"] / single.min()
verdict = f"{gain:.0%} lower than" if gain > 0 else "no lower than"
print(f"The log-loss of the average is {verdict} that of the best single classifier ({single.idxmin()}).")

table["log-loss"].plot.barh(xlabel="log-loss of the test rows", figsize=(6, 2.5))
plt.tight_layout()
plt.show()
