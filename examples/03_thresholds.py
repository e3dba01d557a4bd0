"""Lesson 3: thresholds that are tuned, adjusted, guaranteed
=========================================================

A network predicts probabilities, and a threshold turns them into labels. `predict` reads the parameter `threshold`, so
a fitted model follows `set_params` at once. The data are yeast genes with 103 measurements and 14 classes of function
(Elisseeff and Weston, 2002), from the package ``river``. Run this lesson with ``python examples/03_thresholds.py``, or
cell by cell in an editor or notebook.
"""

# %%
# One fit. `oof_proba_` holds out-of-fold probabilities of the training rows: a row is predicted by the member of the
# ensemble that was not trained on it.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from river.datasets import Yeast
from sklearn.model_selection import train_test_split

from skml import KerasMultiLabelClassifier

genes = pd.read_csv(Yeast().path)
Y = genes.filter(like="Class").astype(int)
X = genes.drop(columns=Y.columns)
X_train, X_test, Y_train, Y_test = train_test_split(X, Y, test_size=0.3, random_state=3)
clf = KerasMultiLabelClassifier(hidden_layer_sizes=128, random_state=0).fit(X_train, Y_train)
print(f"{clf.oof_proba_.shape[0]} training rows, out-of-fold probabilities of {clf.oof_proba_.shape[1]} labels")

# %%
# Tuned thresholds. They maximize the score in their name and need no other fit. In this table each of them has the
# best value of its score.
from skml.metrics import f1_score, precision_score, recall_score


def scores(threshold, X=X_test, Y=Y_test):
    """Return the scores of a threshold on the test rows."""
    predicted = clf.set_params(threshold=threshold).predict(X)
    return {
        "labels per row": predicted.sum(axis=1).mean(),
        "rows without labels": (predicted.sum(axis=1) == 0).mean(),
        "precision": precision_score(Y, predicted, average="micro", zero_division=np.nan),
        "recall per row": recall_score(Y, predicted, average="samples"),
        "micro-F1": f1_score(Y, predicted, average="micro"),
        "macro-F1": f1_score(Y, predicted, zero_division=0),
    }


rules = [0.5, "f1_micro", "f1_macro"]
print(pd.DataFrame({rule: scores(rule) for rule in rules}).T.round(3).to_string())

# %%
# Adjusted thresholds. `tuned_threshold_` is a dict of label -> threshold, of which you can change some values.
# `min_labels` and `max_labels` limit the number of labels of a row.
clf.set_params(threshold="f1_macro")
print({label: round(threshold, 2) for label, threshold in clf.tuned_threshold_.items()})
clf.set_params(threshold=clf.tuned_threshold_ | {"Class14": 0.5}, min_labels=1, max_labels=6)
print("labels of the first genes:", clf.predict(X_test[:8]).sum(axis=1).tolist())
clf.set_params(min_labels=0, max_labels=None)

# %%
# Thresholds that guarantee precision or recall. Use them for requirements such as "predict labels of which nine in
# ten are correct, and leave the rest to a person" or "miss at most a tenth of a gene's functions". They are computed
# from the same out-of-fold probabilities. On the test rows precision and recall reach the target levels. The table also
# shows the cost: a higher precision leaves fewer labels, and a higher recall adds more wrong ones. With "by label" the
# guarantee holds for each label. If no threshold reaches the target for a label, the label is never predicted; a
# warning gives the number of these labels.
guarantees = ["precision>=0.8", "precision>=0.9", "precision>=0.9 by label", "recall>=0.8", "recall>=0.9"]
print(pd.DataFrame({guarantee: scores(guarantee) for guarantee in guarantees}).T.round(3).to_string())

# %%
# A guarantee assumes that new rows follow the training distribution. Otherwise it can fail without notice, as here
# for genes with shifted measurements.
shifted = X_test + 1.5 * X_train.std()
table = {guarantee: scores(guarantee, shifted) for guarantee in guarantees[:2]}
print(pd.DataFrame(table).T.round(3).to_string())

# %%
# It can also fail if rows resemble each other. Here each gene is measured twice. If the folds separate the two rows,
# the members know the held-out genes from their other row, and the thresholds fail for new genes. With `groups`, folds
# keep the rows of a gene together, and the guarantees count genes instead of rows.
gene = np.repeat(np.arange(len(X_train)), 2)
noise = 0.1 * X_train.std().to_numpy() * np.random.RandomState(0).normal(size=(len(gene), X_train.shape[1]))
X_twice, Y_twice = X_train.iloc[gene] + noise, Y_train.iloc[gene]
first, table = clf, {}
for name, groups in {"rows": None, "groups": gene}.items():
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=128, n_members=3, random_state=0)
    clf.fit(X_twice, Y_twice, groups=groups)
    table |= {f"{guarantee}, {name}": scores(guarantee) for guarantee in ("precision>=0.8", "recall>=0.8")}
print(pd.DataFrame(table).T.round(3).to_string())
clf = first

# %%
# `TunedThresholdMultiLabelClassifierCV` finds the same thresholds for other classifiers, by cross-validation.
from sklearn.ensemble import RandomForestClassifier

from skml import TunedThresholdMultiLabelClassifierCV

forest = RandomForestClassifier(100, min_samples_leaf=3, n_jobs=2, random_state=0)
for rule in ("f1_micro", "precision>=0.9"):
    tuned = TunedThresholdMultiLabelClassifierCV(forest, scoring=rule, cv=3, random_state=0).fit(X_train, Y_train)
    precision = precision_score(Y_test, tuned.predict(X_test), average="micro")
    print(f"forest, {rule}: threshold {tuned.best_threshold_:.2f}, precision on the test rows {precision:.3f}")

# %%
# The risk-coverage curve shows the cost of each target level. The left plot shows the fraction of rows that get a
# label and the fraction of true labels that are predicted; both are 0 if no threshold guarantees the target. The right
# plot shows the precision reached on the test rows, which is above the line where the guarantee holds.
#
# For single-label y there are conformal prediction sets, which contain the true class with a given probability. MAPIE's
# classifier takes our estimator: `SplitConformalClassifier(clf, confidence_level=0.9, prefit=True)`, then
# `conformalize` with held-out rows, then `predict_set`.
from skml.inspection import RiskCoverageCurveDisplay

RiskCoverageCurveDisplay.from_estimator(clf, X_test, Y_test, y_fit=Y_train)
plt.show()
