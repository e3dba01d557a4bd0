"""Lesson 14: finding wrong labels
===============================

Labels of real data have errors: a tag was forgotten, or put on the wrong ticket. A model that has not been trained on a
row contradicts a wrong entry with confidence. Here we put errors into generated tickets, find them, and train without
them. Run this lesson with ``python examples/14_wrong_labels.py``, or cell by cell in an editor or notebook.
"""

# %%
# Data: counts of 200 words, 6 tags. One in 25 entries of the training labels is changed.
import numpy as np
import pandas as pd
from sklearn.datasets import make_multilabel_classification

TAGS = ["billing", "login", "mobile", "printing", "refund", "speed"]
X, Y = make_multilabel_classification(
    2_500, n_features=200, n_classes=len(TAGS), n_labels=2, length=200, random_state=3
)
X_train, X_test, Y_test = X[:1_500], X[1_500:], pd.DataFrame(Y[1_500:], columns=TAGS)
is_wrong = np.random.RandomState(0).uniform(size=(1_500, len(TAGS))) < 0.04
given = pd.DataFrame(np.where(is_wrong, 1 - Y[:1_500], Y[:1_500]), columns=TAGS)
print(f"{is_wrong.sum()} of {is_wrong.size} entries are wrong.")

# %%
# One fit gives out-of-fold probabilities of all training rows. (For other classifiers, `cross_val_predict_proba` gives
# them.)
from skml import KerasMultiLabelClassifier

clf = KerasMultiLabelClassifier(inputs="plain", random_state=0).fit(X_train, given)
proba = clf.oof_proba_

# %%
# The plain rule of confident learning (Northcutt et al., 2021). A label is confidently there if its probability is at
# least the mean probability of the rows that have it, and confidently not there likewise. An entry that is confidently
# other than given is an issue. The package cleanlab has this rule with refinements.
from importlib.util import find_spec

Y_given = given.to_numpy() == 1
mean_of_ones = np.array([proba[rows, j].mean() for j, rows in enumerate(Y_given.T)])
mean_of_zeros = np.array([proba[~rows, j].mean() for j, rows in enumerate(Y_given.T)])
issues = {"plain rule": np.where(Y_given, proba <= mean_of_zeros, proba >= mean_of_ones)}
if find_spec("cleanlab"):
    from cleanlab.filter import find_label_issues

    columns = [
        find_label_issues(given[tag], np.column_stack([1 - p, p]), n_jobs=1)
        for tag, p in zip(TAGS, proba.T, strict=True)
    ]
    issues["cleanlab"] = np.column_stack(columns)
for name, found in issues.items():
    right, recall = is_wrong[found].mean(), found[is_wrong].mean()
    print(f"{name}: {found.sum()} issues, {right:.0%} of them are wrong entries; {recall:.0%} of all wrong entries")

# %%
# Look at the least credible entries first: a person who checks 60 of them finds mostly errors.
credible = np.where(Y_given, proba, 1 - proba)
first = np.argsort(credible, axis=None)[:60]
print(f"{is_wrong.ravel()[first].mean():.0%} of the 60 least credible entries are wrong, {is_wrong.mean():.0%} of all.")
for row, column in zip(*np.unravel_index(first[:5], credible.shape), strict=True):
    print(f"row {row}: {TAGS[column]!r} is given as {given.iloc[row, column]}, probability {proba[row, column]:.2f}")

# %%
# `report_html` lists the issues of each label with the text or the first columns of the row, for people who know the
# data. It uses cleanlab if it is installed, and the plain rule otherwise.
import tempfile
from pathlib import Path

if find_spec("jinja2"):
    from skml.inspection import report_html

    with tempfile.TemporaryDirectory() as folder:
        path = report_html(clf, X_train, given, Path(folder, "report.html"), title="Tags of tickets")
        print(f"a report of {path.stat().st_size / 1e3:.0f} kB")

# %%
# If nobody can check them, let the issues be missing labels (NaN): the model is trained without these entries. It ranks
# the test rows as well as before or better, and its probabilities are less blurred by errors.
from skml.metrics import average_precision_score, log_loss

targets = {
    "labels with errors": given,
    "issues as missing labels": given.where(~issues["plain rule"]),
    "the true labels": pd.DataFrame(Y[:1_500], columns=TAGS),
}
rows = {}
for name, target in targets.items():
    p = KerasMultiLabelClassifier(inputs="plain", random_state=0).fit(X_train, target).predict_proba(X_test)
    rows[name] = {"mean AP": average_precision_score(Y_test, p), "log-loss": log_loss(Y_test, p)}
table = pd.DataFrame(rows).T
print(table.round(3).to_string())

# %%
# How the probabilities of right and wrong entries differ.
import matplotlib.pyplot as plt

figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
bins = np.linspace(0, 1, 26)
ax.hist([credible[~is_wrong], credible[is_wrong]], bins, density=True, label=["right entries", "wrong entries"])
ax.set(xlabel="out-of-fold probability of the given entry", ylabel="density")
ax.legend()
plt.show()

# %%
# Two more doors to other libraries, if they are installed. MAPIE chooses thresholds that control the recall on held-out
# rows; its classes need an indicator and rows with at least one label. scikit-multilearn's chains and label powersets
# take our classifier, and the tuner takes its classifiers.
from skml import TunedThresholdMultiLabelClassifierCV

has_label = np.flatnonzero(Y_test.any(axis=1))[:300]
if find_spec("mapie"):
    from mapie.risk_control import MultiLabelClassificationController

    controller = MultiLabelClassificationController(clf.predict_proba, risk="recall", target_level=0.9)
    controller.calibrate(X_test[has_label], Y_test.to_numpy()[has_label])
    print("MAPIE's labels of two rows:", controller.predict(X_test[:2])[..., 0].astype(int).tolist())
if find_spec("skmultilearn"):
    from skmultilearn.adapt import MLkNN

    tuned = TunedThresholdMultiLabelClassifierCV(MLkNN(10), scoring="f1_macro", cv=3, random_state=0)
    print("MLkNN with tuned thresholds:", round(tuned.fit(X_train, given.to_numpy()).best_score_, 2))
