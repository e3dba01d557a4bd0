"""Lesson 1: a first model. Texts in, label sets out.

Descriptions of software weaknesses are tagged with what they endanger: Confidentiality, Integrity and so on, any
number of tags to a text. Run it with ``python examples/01_first_model.py``, or cell by cell in an editor or notebook.
"""

# %% Texts, and a set of labels for each.
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from weaknesses import read_weaknesses

titles, texts, tags = read_weaknesses()
print(f"{len(texts)} texts. The first, {titles[0]!r}, has the tags {sorted(tags[0])}")

# %% Fit. Nothing about the network has to be chosen; the threshold is tuned within the same fit.
from skml import KerasMultiLabelClassifier

train, test = train_test_split(range(len(texts)), test_size=0.2, random_state=0)
clf = make_pipeline(
    TfidfVectorizer(sublinear_tf=True, min_df=3),
    KerasMultiLabelClassifier(threshold="f1_micro", random_state=0),
)
clf.fit(texts[train], tags[train])
print(f"threshold {clf[-1].threshold_:.2f}, labels {clf[-1].classes_.tolist()}")

# %% Predict: a tuple of labels for each text, which may be empty.
for row, predicted in zip(test[:5], clf.predict(texts[test[:5]]), strict=True):
    print(f"{titles[row][:60]:60s} predicted {predicted}, true {sorted(tags[row])}")

# %% Probabilities: a column for each of `classes_`; or the most probable labels of each row, with theirs.
from skml.inspection import label_probabilities

print(clf.predict_proba(texts[test]).shape)
for best in label_probabilities(clf, texts[test[:2]], k=3):
    print(", ".join(f"{label} {p:.2f}" for label, p in best))

# %% How good is it, and for which labels? A NaN is the precision of a label that is never predicted: rare ones hardly
# reach a threshold that all labels share. `threshold="f1_macro"` gives each its own (lesson 3). `clf.score` is subset
# accuracy, the share of rows whose labels are all right.
import matplotlib.pyplot as plt

from skml.inspection import LabelReportDisplay
from skml.metrics import get_scorer

print(f"micro-F1 {get_scorer('f1_micro')(clf, texts[test], tags[test]):.2f}")
report = LabelReportDisplay.from_estimator(clf, texts[test], tags[test])
print(report.frame.round(2))
plt.show()

# %% Keep it: one file, which loads and predicts without importing TensorFlow.
import tempfile
from pathlib import Path

import joblib

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "model.joblib")
    joblib.dump(clf, path)
    print(f"{path.stat().st_size / 1e6:.1f} MB:", joblib.load(path).predict(["a password is stored in plain text"]))
