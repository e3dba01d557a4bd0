"""Lesson 9: serving
=================

One model in three file formats, and the time of a prediction.

We train a Pipeline from texts to label sets once. Then we use it in a process without TensorFlow, from a file that runs
no code when it is loaded, and as an ONNX graph for programs without Python. Run this lesson with
``python examples/09_serving.py``, or cell by cell in an editor or notebook.
"""

# %%
# Train once. The thresholds are part of the model.
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # fewer messages from TensorFlow

import subprocess
import sys
import tempfile
import timeit
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
import pandas as pd
import skops.io
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits
from weaknesses import read_weaknesses

import skml
import skml.onnx

titles, texts, label_sets = read_weaknesses()
X_train, X_test, y_train, y_test = train_test_split(texts, label_sets, test_size=0.2, random_state=0)
clf = make_pipeline(
    TfidfVectorizer(min_df=2),
    skml.KerasMultiLabelClassifier(threshold="f1_micro", random_state=0),
)
clf.fit(X_train, y_train)
text, expected = X_test[:1], clf.predict_proba(X_test)
folder = Path(tempfile.mkdtemp())
rows = {}


def record_time(name, predict, path):
    """Record the time to predict one text, in ms, and the size of a file, in MB."""
    seconds = min(timeit.repeat(predict, number=20, repeat=5)) / 20
    rows[name] = {"one text, ms": 1000 * seconds, "file, MB": path.stat().st_size / 1e6}


# %%
# joblib: load such a file only if you trust it. Loading and predicting need no TensorFlow.
joblib.dump(clf, folder / "model.joblib")
LOAD = """
import sys, joblib
clf = joblib.load(sys.argv[1])
print(clf.predict([sys.argv[2]])[0], "without TensorFlow:", "tensorflow" not in sys.modules)
"""
command = [sys.executable, "-c", LOAD, folder / "model.joblib", text[0]]
print(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
record_time("joblib", lambda: clf.predict_proba(text), folder / "model.joblib")

# %%
# skops: a file that runs no code when it is loaded. The program that loads it lists the types that it trusts.
skops.io.dump(clf, folder / "model.skops")
print("types to trust:", skops.io.get_untrusted_types(file=folder / "model.skops"))
loaded = skops.io.load(folder / "model.skops", trusted=skml.SKOPS_TRUSTED)
print("the same probabilities:", np.array_equal(loaded.predict_proba(X_test), expected))
record_time("skops", lambda: loaded.predict_proba(text), folder / "model.skops")

# %%
# ONNX: a graph of the whole Pipeline, for programs without scikit-learn or without Python. Its input is strings. The
# rows passed to `to_onnx` define the input types. Their predictions by the graph and the Pipeline are compared, and a
# warning is raised if they differ.
model = skml.onnx.to_onnx(clf, X_test)
(folder / "model.onnx").write_bytes(model.SerializeToString())
session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
labels, proba = session.run(None, {"X": X_test[:, None]})
print(f"largest difference between probabilities: {np.abs(proba - expected).max():.1e}")
graph_labels = [tuple(clf[-1].classes_[row == 1]) for row in labels]
print("the same labels:", graph_labels == clf.predict(X_test).tolist())
record_time("onnxruntime", lambda: session.run(["probabilities"], {"X": text[:, None]}), folder / "model.onnx")

# %%
# Many threads that predict at the same time. Limit the matrix products of each to one thread.
with threadpool_limits(1), ThreadPoolExecutor(8) as pool:
    predicted = list(pool.map(lambda row: clf.predict_proba([row]), X_test))
print("the same probabilities in threads:", np.allclose(np.vstack(predicted), expected, rtol=0, atol=1e-6))

# %%
# Time of one prediction and size of each file.
table = pd.DataFrame(rows).T
print(table.round(2).to_string())
table.plot.barh(subplots=True, layout=(1, 2), figsize=(8, 2.5), sharex=False, legend=False)
plt.show()
