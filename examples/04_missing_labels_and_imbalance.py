"""Lesson 4: missing labels, rare labels, votes and hierarchies
============================================================

The data are yeast genes with 103 measurements and 14 classes of function (Elisseeff and Weston, 2002), from the package
``river``. Run this lesson with ``python examples/04_missing_labels_and_imbalance.py``, or cell by cell in an editor or
notebook.
"""

# %%
# Data. We remove three in four entries of the training labels, as if each gene had been tested for a few functions.
import numpy as np
import pandas as pd
from river.datasets import Yeast
from sklearn.model_selection import train_test_split

genes = pd.read_csv(Yeast().path)
Y = genes.filter(like="Class").astype(float)
X = genes.drop(columns=Y.columns)
X_train, X_test, Y_train, Y_test = train_test_split(X, Y, test_size=0.4, random_state=0)
is_observed = np.random.RandomState(0).uniform(size=Y_train.shape) < 0.25
Y_partly = Y_train.where(is_observed)
print(f"{Y_partly.isna().to_numpy().mean():.0%} of {Y_partly.size} entries are missing; a row:")
print(Y_partly.iloc[1].tolist())

# %%
# A NaN entry is a missing label. The loss, the class weights, the thresholds and the scores ignore it. Filling in 0
# for the missing labels is wrong: the probabilities fall to a quarter of the correct ones, and none reaches 0.5.
from skml import KerasMultiLabelClassifier
from skml.metrics import average_precision_score, f1_score, roc_auc_score

quick = KerasMultiLabelClassifier(hidden_layer_sizes=64, n_members=3, random_state=0)
targets = {"nothing missing": Y_train, "NaN": Y_partly, "filled with 0": Y_partly.fillna(0)}
rows = {}
for name, y in targets.items():
    proba = quick.fit(X_train, y).predict_proba(X_test)
    rows[name] = {
        "ROC-AUC": roc_auc_score(Y_test, proba),
        "mean probability": proba.mean(),
        "micro-F1 at 0.5": f1_score(Y_test, proba >= 0.5, average="micro"),
    }
rows["(true labels)"] = {"mean probability": Y_test.to_numpy().mean()}
print(pd.DataFrame(rows).T.round(3).to_string(na_rep=""))

# %%
# Rare labels seldom reach a probability of 0.5. Class weights and losses change the probabilities; thresholds change
# the decisions only. At a threshold of 0.5, "balanced" and "asymmetric" find more of the rare labels, but their
# probabilities are too high. With a tuned threshold for each label, the default is as good, so tune thresholds first.
print("number of rows with each label:", Y_train.sum().astype(int).tolist())
settings = {
    "default": {},
    'class_weight="balanced"': {"class_weight": "balanced"},
    'loss="focal"': {"loss": "focal"},
    'loss="asymmetric"': {"loss": "asymmetric"},
}
rows = {}
for name, params in settings.items():
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=64, n_members=3, random_state=0, **params).fit(X_train, Y_train)
    proba = clf.predict_proba(X_test)
    macro_f1 = {}
    for threshold in (0.5, "f1_micro", "f1_macro"):  # tuned on out-of-fold probabilities, without another fit
        macro_f1[f"macro-F1, {threshold}"] = f1_score(Y_test, clf.set_params(threshold=threshold).predict(X_test))
    ranking = {"mean AP": average_precision_score(Y_test, proba), "mean probability": proba.mean()}
    rows[name] = ranking | macro_f1
print(pd.DataFrame(rows).T.round(3).to_string())

# %%
# The scores and the tuned threshold of each label.
import matplotlib.pyplot as plt

from skml.inspection import LabelReportDisplay

clf = quick.set_params(threshold="f1_macro").fit(X_train, Y_train)
LabelReportDisplay.from_estimator(clf, X_test, Y_test)
plt.show()

# %%
# Votes are soft labels. Five annotators who each err in one of four entries agree on few genes; their mean vote is a
# probability, on which the cross-entropy is trained as it is. Labels are ranked as well as with the majority's votes.
annotators = np.random.RandomState(0)
votes = sum(Y_train.to_numpy() != (annotators.uniform(size=Y_train.shape) < 0.25) for _ in range(5)) / 5
mean_vote = pd.DataFrame(votes, columns=Y_train.columns)
print(mean_vote.iloc[0].tolist())

quick.set_params(threshold=0.5)
targets = {"majority": (mean_vote >= 0.5).astype(int), "soft labels": mean_vote}
for name, y in targets.items():
    proba = quick.set_params(soft_labels=True).fit(X_train, y).predict_proba(X_test)
    print(f"{name}: mean AP {average_precision_score(Y_test, proba):.3f}")

# %%
# Weights of single labels. Entries on which the annotators agree count more, which is slightly better here; an entry
# of weight 0 would be a missing label. The same argument exists in `score`, in the scorers and in the reports.
agreement = (2 * mean_vote - 1).abs() + 0.1
proba = quick.fit(X_train, targets["majority"], sample_weight=agreement).predict_proba(X_test)
print(f"majority, weighted by agreement: mean AP {average_precision_score(Y_test, proba):.3f}")

# %%
# A hierarchy: two labels that imply a third. `fit` adds the parent of each label to y, no probability exceeds that
# of a parent, and no label is predicted without its parent, whatever the thresholds are.
parents = {"Class1": "Class2", "Class4": "Class3"}
for hierarchy in (None, parents):
    clf = quick.set_params(soft_labels=False, threshold="f1_macro", hierarchy=hierarchy).fit(X_train, Y_train)
    decided = pd.DataFrame(clf.predict(X_test), columns=clf.classes_)
    broken = sum((decided[child] > decided[parent]).sum() for child, parent in parents.items())
    print(f"hierarchy={hierarchy}: {broken} labels without their parent in {len(X_test)} rows")
