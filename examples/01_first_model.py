"""Lesson 1: a first model
=======================

Texts in, label sets out.

Each text describes a software weakness. Its labels are the security properties that the weakness endangers, such as
Confidentiality or Integrity. A text can have any number of labels. Run this lesson with
``python examples/01_first_model.py``, or cell by cell in an editor or notebook.
"""

# %%
# Load the texts and their label sets.
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from weaknesses import read_weaknesses

titles, texts, label_sets = read_weaknesses()
print(f"{len(texts)} texts. The first, {titles[0]!r}, has the labels {sorted(label_sets[0])}")

# %%
# Fit. The default settings choose the network. `threshold="f1_micro"` tunes the threshold in the same fit.
from skml import KerasMultiLabelClassifier

train, test = train_test_split(range(len(texts)), test_size=0.2, random_state=0)
clf = make_pipeline(
    TfidfVectorizer(sublinear_tf=True, min_df=3),
    KerasMultiLabelClassifier(threshold="f1_micro", random_state=0),
)
clf.fit(texts[train], label_sets[train])
print(f"threshold {clf[-1].threshold_:.2f}, labels {clf[-1].classes_.tolist()}")

# %%
# Predict. The result has one tuple of labels for each text; a tuple can be empty.
for row, predicted in zip(test[:5], clf.predict(texts[test[:5]]), strict=True):
    print(f"{titles[row][:60]:60s} predicted {predicted}, true {sorted(label_sets[row])}")

# %%
# Probabilities. `predict_proba` returns one column for each label, in the order of `classes_`.
# `label_probabilities` returns the k most probable labels of each row.
from skml.inspection import label_probabilities

print(clf.predict_proba(texts[test]).shape)
for best in label_probabilities(clf, texts[test[:2]], k=3):
    print(", ".join(f"{label} {p:.2f}" for label, p in best))

# %%
# How good are the predictions, overall and for each label? The precision of a label that is never predicted is NaN.
# Rare labels seldom reach a threshold that all labels share; `threshold="f1_macro"` tunes one threshold for each label
# (lesson 3). `clf.score` is the subset accuracy: the fraction of rows whose label set is predicted exactly.
import matplotlib.pyplot as plt

from skml.inspection import LabelReportDisplay
from skml.metrics import get_scorer

print(f"micro-F1 {get_scorer('f1_micro')(clf, texts[test], label_sets[test]):.2f}")
report = LabelReportDisplay.from_estimator(clf, texts[test], label_sets[test])
print(report.frame.round(2))
plt.show()

# %%
# Save the model to a file. The file loads and predicts without importing TensorFlow.
import tempfile
from pathlib import Path

import joblib

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "model.joblib")
    joblib.dump(clf, path)
    print(f"{path.stat().st_size / 1e6:.1f} MB:", joblib.load(path).predict(["a password is stored in plain text"]))
