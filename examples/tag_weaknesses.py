"""Predict the security properties that a software weakness endangers, and compare with other classifiers.

The data are the Common Weakness Enumeration, from the package ``cwe2``. It lists for each weakness the security
properties that it endangers: Confidentiality, Integrity, Availability, Access Control and others. These sets are the
labels. The text is the name and the description of the weakness, without the section on consequences from which the
labels are taken.

All models use the same tf-idf features and the same five folds. Only the tf-idf settings were chosen on these rows.
The network tunes its threshold in its single fit. `TunedThresholdMultiLabelClassifierCV` does the same for the logistic
regressions with five more fits.

Run it with ``python examples/tag_weaknesses.py``.
"""

import os

# Fewer messages from TensorFlow. Some releases still print a few lines about the machine.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import joblib
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import KFold, train_test_split
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MultiLabelBinarizer
from threadpoolctl import threadpool_limits
from weaknesses import read_weaknesses

from skml import KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV

START = time.perf_counter()


def log(message):
    print(f"[{time.perf_counter() - START:4.0f} s] {message}", flush=True)


titles, texts, y = read_weaknesses()
counts = Counter(label for labels in y for label in labels)
binarizer = MultiLabelBinarizer(classes=sorted(counts)).fit(y)
log(f"{len(texts)} weaknesses, {len(counts)} labels, {sum(counts.values()) / len(y):.2f} labels per weakness:")
print("        " + ", ".join(f"{label} {count}" for label, count in counts.most_common()), flush=True)


def indicator(y):
    """Return label sets as a 0/1 matrix; return a matrix unchanged."""
    return y if np.ndim(y) == 2 else binarizer.transform(y)


def tfidf():
    return TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=3, max_df=0.3)


def logistic(**params):
    return make_pipeline(tfidf(), OneVsRestClassifier(LogisticRegression(**params)))


models = {
    "logistic regressions": logistic(),
    "logistic regressions, balanced": logistic(class_weight="balanced"),
    "logistic regressions, tuned threshold": TunedThresholdMultiLabelClassifierCV(logistic(), scoring="f1_micro"),
    "MLPClassifier": make_pipeline(tfidf(), MLPClassifier(max_iter=60, random_state=0)),
    "KerasMultiLabelClassifier": make_pipeline(
        tfidf(), KerasMultiLabelClassifier(threshold="f1_micro", random_state=0)
    ),
}

# Five descriptions are held out until the end.
rest, held_out = train_test_split(np.arange(len(y)), test_size=5, random_state=5)

log(f"Micro-F1 of 5-fold cross-validation on {len(rest)} weaknesses: of all rows (of each fold)")
warnings.simplefilter("ignore", ConvergenceWarning)
threadpool_limits(1, "blas")  # the arrays of the baselines are too small for more threads
Y = indicator(y)
for name, model in models.items():
    target = y if name == "KerasMultiLabelClassifier" else Y
    predicted = np.zeros_like(Y)
    by_fold = []
    for train, test in KFold(5, shuffle=True, random_state=0).split(rest):
        train, test = rest[train], rest[test]
        predicted[test] = indicator(model.fit(texts[train], target[train]).predict(texts[test]))
        by_fold.append(f1_score(Y[test], predicted[test], average="micro"))
    score = f1_score(Y[rest], predicted[rest], average="micro")
    log(f"    {name:<47} {score:.3f}  ({' '.join(f'{s:.2f}' for s in by_fold)})")

model.fit(texts[rest], y[rest])
log(f"Fitted on all {len(rest)}; the tuned threshold is {model[-1].threshold_:.2f}. The five held-out weaknesses:")
proba = model.predict_proba(texts[held_out])
for row, predicted, p in zip(held_out, model.predict(texts[held_out]), proba, strict=True):
    shown = sorted(y[row] | set(predicted), key=lambda label: -p[list(model.classes_).index(label)])
    print(f"\n        {titles[row][:100]}\n        {'label':<18}probability  predicted  true")
    for label in shown:
        marks = ["yes" if label in labels else "-" for labels in (predicted, y[row])]
        print(f"        {label:<18}{p[list(model.classes_).index(label)]:>11.2f}  {marks[0]:<9}  {marks[1]}")
print(flush=True)

LOAD = """
import sys, joblib, numpy
model, texts = joblib.load("model.joblib")
numpy.save("proba.npy", model.predict_proba(texts))
print("with" if "tensorflow" in sys.modules else "without", "TensorFlow")
"""
with tempfile.TemporaryDirectory() as folder:
    joblib.dump((model, texts[held_out]), Path(folder, "model.joblib"))
    size = Path(folder, "model.joblib").stat().st_size
    command = [sys.executable, "-c", LOAD]
    output = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
    identical = np.array_equal(proba, np.load(Path(folder, "proba.npy")))
log(f"Saved ({size / 1e6:.1f} MB) and loaded in a new process {output}; probabilities identical: {identical}")
if not identical:
    sys.exit("The loaded model predicts other probabilities than the saved one.")
