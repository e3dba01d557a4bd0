"""Lesson 6: text at scale, explained.

Texts become tens of thousands of sparse columns, of which no dense matrix is ever made; and each prediction can be
taken apart into the words that speak for and against a label.

The texts are descriptions of software weaknesses from the Common Weakness Enumeration, which the package ``cwe2``
ships. The labels are what a weakness endangers: Confidentiality, Integrity, Availability and others.

Run it with ``python examples/06_text_explained.py``, or cell by cell. It saves ``06_text_explained.png``.
"""

import os

# Asks TensorFlow to start quietly; some releases print a few lines about the machine all the same.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import RocCurveDisplay
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from weaknesses import read_weaknesses

from skml import KerasMultiLabelClassifier
from skml.inspection import (
    LabelContributionsDisplay,
    label_contributions,
    label_probabilities,
    label_report,
    label_view,
)

# %% Texts and label sets. One text is put away until the end.
UNSEEN = "Authorization Bypass Through User-Controlled SQL Primary Key"

titles, texts, y = read_weaknesses()
is_unseen = np.array([title.endswith(UNSEEN) for title in titles])
(unseen,), (truth,) = texts[is_unseen], y[is_unseen]
X_train, X_test, y_train, y_test = train_test_split(texts[~is_unseen], y[~is_unseen], test_size=0.25, random_state=0)

# %% One Pipeline. The threshold is tuned within the fit, on probabilities of rows that a network did not learn from.
clf = make_pipeline(
    TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), stop_words="english"),
    KerasMultiLabelClassifier(threshold="f1_micro", random_state=0),
)
clf.fit(X_train, y_train)

matrix = clf[0].transform(X_test)
print(f"{len(X_train)} texts to train, {len(X_test)} to test, {matrix.shape[1]:,} words and pairs of words")
print(f"A text has {matrix.nnz / len(X_test):.0f} of them, {matrix.nnz / np.prod(matrix.shape):.2%} of the columns\n")

# %% How well is each label predicted?
print(label_report(clf, X_test, y_test).sort_values("support", ascending=False).round(2).to_string(), "\n")

# %% One label as a binary classifier: all of scikit-learn's tools for those work on it.
view = label_view(clf, "Access Control")
roc = RocCurveDisplay.from_estimator(view, X_test, view.target(y_test), name="Access Control")
print(f"Access Control: area under the ROC curve {roc.roc_auc:.2f}, accuracy", end=" ")
print(f"{view.score(X_test, view.target(y_test)):.2f}\n")

# %% Which words speak for and against a label, summed over texts?
for label in ("Access Control", "Integrity"):
    tables = [label_contributions(clf, [text], label)["contribution"] for text in X_test[:40]]
    words = pd.concat(tables).groupby(level=0).sum().sort_values(ascending=False).index
    print(f"For {label}: {', '.join(words[:8])}.\n    Against it: {', '.join(words[:-9:-1])}.")

# %% A text that the network has not seen: what it says, and what is true.
(best,) = label_probabilities(clf, [unseen])
print(f"\n{UNSEEN}\n    {', '.join(f'{label} {p:.2f}' for label, p in best)}; in truth {', '.join(sorted(truth))}")

# %% Why? The same words speak for one label and against another.
figure, axes = plt.subplots(1, 2, figsize=(13, 5.5), layout="constrained")
for label, ax in zip(("Access Control", "Availability"), axes, strict=True):
    LabelContributionsDisplay.from_estimator(clf, [unseen], label, ax=ax, max_features=16, show_values=False)
figure.suptitle(UNSEEN)
figure.savefig("06_text_explained.png", dpi=100)
