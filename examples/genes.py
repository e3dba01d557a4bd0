"""Functions of yeast genes: a custom network, a threshold for each label, and why not softmax.

The data of Elisseeff and Weston (2002), which the package ``river`` ships: 2,417 genes, 103 measurements,
14 classes of function, about four to a gene. ``y`` is a DataFrame of 0 and 1, and its column names are the
labels.

1. A builder function gives the network; a grid search sets its width through ``model__units``.
2. Each label gets the threshold that is best on validation rows; ``set_params`` puts it in force at once.
3. A softmax makes the labels of a gene share one unit of probability, so that hardly one reaches 0.5. With
   one label per row that is right, and there the estimator itself gives the network a softmax.

Run it with ``python examples/genes.py``, and with ``--plot genes.png`` for a figure.
"""

import os

# Asks TensorFlow to start quietly; some releases print a few lines about the machine all the same.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import time

import keras
import numpy as np
import pandas as pd
from river.datasets import Yeast
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score, label_ranking_average_precision_score, precision_recall_curve
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skml import KerasMultiLabelClassifier

START = time.perf_counter()


def say(message):
    print(f"[{time.perf_counter() - START:4.0f} s] {message}", flush=True)


def network(meta, units=100, head=None):
    """Return a network that serves every form of y, unless another head is asked for."""
    return keras.Sequential(
        [
            keras.Input((meta["n_features_in_"],)),
            keras.layers.Dense(units, "relu"),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(meta["n_outputs_"], head or meta["output_activation_"]),
        ]
    )


def best_threshold(truth, proba):
    """Return the probability at which to cut for the largest F1."""
    precision, recall, thresholds = precision_recall_curve(truth, proba)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(thresholds[f1[:-1].argmax()])


parser = argparse.ArgumentParser(description="Functions of yeast genes.")
parser.add_argument("--plot", metavar="PATH", help="save a figure of the F1 of each label")
plot = parser.parse_args().plot

genes = pd.read_csv(Yeast().path)
y = genes.filter(like="Class").astype(int)
X = genes.drop(columns=y.columns)
X_rest, X_test, y_rest, y_test = train_test_split(X, y, test_size=0.25, random_state=0)
X_train, X_val, y_train, y_val = train_test_split(X_rest, y_rest, test_size=0.25, random_state=0)
say(f"{len(X)} genes, {X.shape[1]} features, {y.shape[1]} labels, {y.to_numpy().sum() / len(y):.2f} labels a gene")
print(f"        {len(X_train)} rows to train, {len(X_val)} to choose thresholds, {len(X_test)} to test", flush=True)

say("1. Width of the network, by 3-fold micro-F1 on the training rows:")
model = make_pipeline(StandardScaler(), KerasMultiLabelClassifier(network, random_state=0))
search = GridSearchCV(model, {"kerasmultilabelclassifier__model__units": [50, 200, 800]}, scoring="f1_micro", cv=3)
search.fit(X_train, y_train)
model = search.best_estimator_
for params, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True):
    print(f"        model__units={next(iter(params.values())):<4} {score:.3f}")

say("2. F1 on the test rows, before and after set_params(threshold={label: ...}):")
classifier = model[-1]
proba_val = model.predict_proba(X_val)
before = model.predict(X_test)
chosen = {
    label: best_threshold(y_val[label], p) for label, p in zip(classifier.classes_.tolist(), proba_val.T, strict=True)
}
classifier.set_params(threshold=chosen)
after = model.predict(X_test)
table = pd.DataFrame(
    {
        "genes": y_test.sum(axis=0),
        "threshold": classifier.threshold_,
        "F1 at 0.5": f1_score(y_test, before, average=None, zero_division=0),
        "F1 after": f1_score(y_test, after, average=None, zero_division=0),
    },
    index=y.columns,
)
print(table.round(2).to_string())
for average in ("micro", "macro"):
    scores = [f1_score(y_test, predicted, average=average, zero_division=0) for predicted in (before, after)]
    print(f"        {average}-F1 {scores[0]:.3f} -> {scores[1]:.3f}", flush=True)

say("3. The same network with a sigmoid head and with a softmax head:")
units = classifier.model__units
heads = {
    "sigmoid": KerasMultiLabelClassifier(network, model__units=units, random_state=0),
    "softmax": KerasMultiLabelClassifier(
        network, model__units=units, model__head="softmax", loss="categorical_crossentropy", random_state=0
    ),
}
rows = {}
for head, classifier in heads.items():
    fitted = make_pipeline(StandardScaler(), classifier).fit(X_train, y_train)
    proba = fitted.predict_proba(X_test)
    one_cut = best_threshold(y_val.to_numpy().ravel(), fitted.predict_proba(X_val).ravel())
    rows[head] = {
        "sum of a row": proba.sum(axis=1).mean(),
        "labels at 0.5": (proba >= 0.5).sum(axis=1).mean(),
        "micro-F1 at 0.5": f1_score(y_test, proba >= 0.5, average="micro"),
        "cut by validation": one_cut,
        "micro-F1 there": f1_score(y_test, proba >= one_cut, average="micro"),
        "LRAP": label_ranking_average_precision_score(y_test, proba),
    }
rows["(truth)"] = {"sum of a row": y_test.sum(axis=1).mean(), "labels at 0.5": y_test.sum(axis=1).mean()}
print(pd.DataFrame(rows).T.to_string(float_format="{:.3f}".format, na_rep="-"))
print("        The probabilities of a softmax sum to 1, so at most one label of a gene can pass 0.5 (two, at a tie);")
print("        the more labels a gene has, the smaller each one's share. A lower cut does not mend the order (LRAP).")

digits = load_digits()
X_train, X_test, y_train, y_test = train_test_split(digits.data / 16, digits.target, random_state=0)
classifier = KerasMultiLabelClassifier(network, random_state=0).fit(X_train, y_train)
sums = classifier.predict_proba(X_test).sum(axis=1)
say("One label per row (handwritten digits), the same builder: now the estimator asks for a softmax, rightly:")
print(
    f"        head {classifier.model_.layers[-1].activation.__name__}, sums from {sums.min():.6f} to {sums.max():.6f}"
)
print(f"        accuracy {classifier.score(X_test, y_test):.3f}")

if plot:
    import matplotlib

    matplotlib.use("Agg")
    axes = table[["F1 at 0.5", "F1 after"]].plot.bar(figsize=(9, 4), ylabel="F1 on the test rows")
    axes.legend(["threshold 0.5", "threshold of each label"])
    axes.figure.tight_layout()
    axes.figure.savefig(plot)
    say(f"Figure saved to {plot}")
