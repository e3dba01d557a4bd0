"""Lesson 6: text at scale, explained
==================================

The texts become a sparse matrix with tens of thousands of columns, which is never converted to a dense one. Each
prediction can be explained by the words that raise or lower the probability of a label.

The texts describe software weaknesses of the Common Weakness Enumeration, from the package ``cwe2``. The labels are the
security properties that a weakness endangers: Confidentiality, Integrity, Availability and others.

Run this lesson with ``python examples/06_text_explained.py``, or cell by cell in an editor or notebook. It saves the
figure ``06_text_explained.png``, which the README shows.
"""

import os

# Fewer messages from TensorFlow. Some releases still print a few lines about the machine.
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

# %%
# Load texts and label sets. One text is held out until the end.
HELD_OUT = "Authorization Bypass Through User-Controlled SQL Primary Key"

titles, texts, y = read_weaknesses()
is_held_out = np.array([title.endswith(HELD_OUT) for title in titles])
(held_out,), (true_labels,) = texts[is_held_out], y[is_held_out]
texts, y = texts[~is_held_out], y[~is_held_out]
X_train, X_test, y_train, y_test = train_test_split(texts, y, test_size=0.25, random_state=0)

# %%
# Fit one Pipeline. The threshold is tuned in the same fit, on out-of-fold probabilities.
clf = make_pipeline(
    TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), stop_words="english"),
    KerasMultiLabelClassifier(threshold="f1_micro", random_state=0),
)
clf.fit(X_train, y_train)

matrix = clf[0].transform(X_test)
print(f"{len(X_train)} training texts, {len(X_test)} test texts, {matrix.shape[1]:,} columns (words and word pairs)")
print(
    f"Nonzero columns of a text: {matrix.nnz / len(X_test):.0f} on average ({matrix.nnz / np.prod(matrix.shape):.2%})\n"
)

# %%
# The scores of each label.
print(label_report(clf, X_test, y_test).sort_values("support", ascending=False).round(2).to_string(), "\n")

# %%
# `label_view` presents one label as a binary classifier, for scikit-learn's tools that need one.
view = label_view(clf, "Access Control")
roc = RocCurveDisplay.from_estimator(view, X_test, view.target(y_test), name="Access Control")
print(f"Access Control: area under the ROC curve {roc.roc_auc:.2f}, accuracy", end=" ")
print(f"{view.score(X_test, view.target(y_test)):.2f}\n")

# %%
# The words that raise or lower the probability of a label most, summed over 40 texts.
for label in ("Access Control", "Integrity"):
    tables = [label_contributions(clf, [text], label)["contribution"] for text in X_test[:40]]
    words = pd.concat(tables).groupby(level=0).sum().sort_values(ascending=False).index
    print(f"Words that raise {label}: {', '.join(words[:8])}.\n    Words that lower it: {', '.join(words[:-9:-1])}.")

# %%
# Predicted and true labels of the held-out text.
(best,) = label_probabilities(clf, [held_out])
print(f"\n{HELD_OUT}\n    Most probable: {', '.join(f'{label} {p:.2f}' for label, p in best)}")
print(f"    True labels: {', '.join(sorted(true_labels))}")

# %%
# Explain these predictions. The same words can raise the probability of one label and lower that of another.
figure, axes = plt.subplots(1, 2, figsize=(13, 5.5), layout="constrained")
for label, ax in zip(("Access Control", "Availability"), axes, strict=True):
    LabelContributionsDisplay.from_estimator(clf, [held_out], label, ax=ax, max_features=16, show_values=False)
figure.suptitle(HELD_OUT)
figure.savefig("06_text_explained.png", dpi=100)
# sphinx_gallery_thumbnail_number = 2
plt.show()
