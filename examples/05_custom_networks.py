"""Lesson 5: custom networks
=========================

We predict which parts of a product a review complains about: {"battery"} for "great screen the battery is awful". The
order of the words matters here. We try three networks. The first takes word counts, and a grid search finds its size.
The second takes the texts themselves. The third has a custom layer; we save it and load it in another process. Then we
build a network with several inputs, and fine-tune one that is already trained.
"""

# %%
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # fewer messages from TensorFlow

import copy
import inspect
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import joblib
import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from networks.reading import attending, read
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV, KFold, cross_validate, train_test_split
from sklearn.pipeline import make_pipeline

from skml import KerasMultiLabelClassifier
from skml.inspection import label_report
from skml.metrics import get_scorer

PARTS = ["battery", "camera", "keyboard", "screen", "speaker"]
GOOD, BAD = ["great", "lovely", "solid", "superb"], ["awful", "broken", "poor", "weak"]


def review(rng):
    """Return a generated review and the set of parts that it complains about."""
    parts = rng.choice(PARTS, rng.randint(2, 5), replace=False)
    is_bad = rng.rand(len(parts)) < 0.4
    words = [rng.choice(BAD if bad else GOOD) for bad in is_bad]
    phrases = [f"{w} {p}" if rng.rand() < 0.5 else f"the {p} is {w}" for p, w in zip(parts, words, strict=True)]
    return f"order {rng.randint(10**6)} " + " ".join(phrases), set(parts[is_bad].tolist())


rng = np.random.RandomState(0)
texts, complaints = zip(*(review(rng) for _ in range(800)), strict=True)
X_train, X_test, y_train, y_test = train_test_split(np.array(texts), list(complaints), random_state=0)
scorer, cv, scores = get_scorer("f1_macro"), KFold(3), {}
for text, labels in zip(X_train[:3], y_train[:3], strict=True):
    print(f"{text:60} {sorted(labels)}")

# %%
# A function that builds a network, and its arguments in a grid
# -------------------------------------------------------------
#
# `model` can be a function that returns a Keras model. The estimator passes the arguments that its signature names.
# `meta` holds the sizes and the output activation that `y` requires. The estimator's parameter `model__units` becomes
# the argument `units`, and can be part of a grid. `get_params()` lists it with the default of the signature.


# %%
def counting(meta, units=16, dropout=0.0):
    return keras.Sequential(
        [
            keras.Input((meta["n_features_in_"],)),
            keras.layers.Dense(units, "relu"),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"]),
        ]
    )


options = {"epochs": 40, "learning_rate": 0.01, "random_state": 0}
pipeline = make_pipeline(TfidfVectorizer(max_features=50), KerasMultiLabelClassifier(counting, **options))
grid = {f"kerasmultilabelclassifier__model__{name}": v for name, v in {"units": [16, 64], "dropout": [0, 0.3]}.items()}
search = GridSearchCV(pipeline, grid, scoring=scorer, cv=cv).fit(X_train, y_train)
found = pd.DataFrame(search.cv_results_["params"]).rename(columns=lambda name: name.split("__")[-1])
print(found.assign(macro_f1=search.cv_results_["mean_test_score"]).round(3).to_string(index=False))
scores["word counts"] = search.best_score_

# %%
# Single words do not show which part is awful. Pairs of words would show it in part. (With scikit-learn 1.9 or later,
# `search.set_callbacks(ProgressBar())` displays one progress bar for the search, its fits and their epochs.)
#
# A network that takes texts
# --------------------------
#
# A function with an argument `X` receives the training rows only, without test folds and without a holdout. A
# `TextVectorization` layer therefore takes no words from the test rows. (The function `read` in `networks/reading.py`
# creates this layer, adapts it to `X`, and adds an embedding and a convolution over five words.) The learning rate can
# follow a Keras schedule.


# %%
def reading(meta, X):
    inputs, words = read(X)
    hidden = keras.layers.GlobalMaxPooling1D()(words)
    return keras.Model(inputs, keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])(hidden))


options["learning_rate"] = keras.optimizers.schedules.CosineDecay(0.01, decay_steps=600)
reader = KerasMultiLabelClassifier(reading, **options)
result = cross_validate(reader, X_train, y_train, scoring=scorer, cv=cv, return_estimator=True)
vocabularies = [set(clf.to_keras().layers[1].get_vocabulary()) for clf in result["estimator"]]
common = set.intersection(*vocabularies)
print(f"{len(common)} words are in all three vocabularies: {' '.join(sorted(common - {'', '[UNK]'}))}")
print("in the first, but not in all:", *sorted(vocabularies[0] - common)[:5], "(order numbers in its training rows)")
scores["texts"] = result["test_score"].mean()
reader.fit(X_train, y_train)

# %%
# One folder for each fit
# -----------------------
#
# Callbacks such as `CSVLogger`, `TensorBoard` and `ModelCheckpoint` write to a path, and all fits of a search would
# write to the same one. A function as `callbacks` is called for each fit, and can make a new folder each time.


# %%
def logging(folder):
    new = tempfile.mkdtemp(prefix="fit-", dir=folder)
    return [keras.callbacks.CSVLogger(Path(new, "epochs.csv"))]


with tempfile.TemporaryDirectory() as folder:
    logged = KerasMultiLabelClassifier(counting, callbacks=logging, callbacks__folder=folder, epochs=5, random_state=0)
    pipeline = make_pipeline(TfidfVectorizer(max_features=50), logged)
    cross_validate(pipeline, X_train, y_train, scoring=scorer, cv=cv)
    for path in Path(folder).glob("fit-*/epochs.csv"):
        print(path.parent.name, "loss of each epoch:", *pd.read_csv(path)["loss"].round(3))

# %%
# A custom layer with weights
# ---------------------------
#
# The network `attending` ends in a `LabelAttention` layer, which computes one weighted mean of the words for each label
# (Mullenbach et al., 2018). Both are in the module `networks/reading.py`. The layer's `get_config` returns the
# arguments of its `__init__`, so that it can be saved. It need not be registered with Keras.

# %%
attention = KerasMultiLabelClassifier(attending, **options)
result = cross_validate(attention, X_train, y_train, scoring=scorer, cv=cv)
scores["label attention"] = result["test_score"].mean()
attention.fit(X_train, y_train)

# %%
# The file contains the weights and the vocabulary. A process that loads it must be able to import the module
# `networks.reading`, but needs nothing else of this lesson.

# %%
LOAD = "import sys, joblib; print(joblib.load(sys.argv[1]).predict_proba(sys.argv[2:])[0].tolist())"
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "attention.joblib")
    joblib.dump(attention, path)
    on_path = os.pathsep.join([str(Path(inspect.getfile(attending)).parents[1]), *sys.path])
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD, path, "great screen the battery is awful"],
        env={**os.environ, "PYTHONPATH": on_path},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
print(dict(zip(attention.classes_.tolist(), np.round(json.loads(loaded.stdout), 3).tolist(), strict=True)))

# %%
# Which network is best?
# ----------------------
#
# The F1 score of each label on the test rows, and the macro-F1 score of the cross-validation:

# %%
models = {"word counts": search, "texts": reader, "label attention": attention}
f1 = {name: label_report(y_test, model.predict_proba(X_test), classes=PARTS)["f1"] for name, model in models.items()}
table = pd.DataFrame(f1).reindex(PARTS)
table.loc["(macro, 3 folds)"] = scores
print(table.round(3).to_string())
table.plot.bar(ylabel="F1", rot=0, figsize=(8, 3.5))
plt.show()

# %%
# Several inputs
# --------------
#
# Whether a complaint leads to a refund also depends on what the text does not tell: the age of the product in months,
# and the shop. `X` is now a DataFrame, and each column goes to the `keras.Input` of its name: the texts to `read`, the
# months to a `Normalization` layer, and the shops to a `StringLookup` layer. The argument `X` of the function is a dict
# of the columns, from the training rows only.

# %%
frame = pd.DataFrame({"text": texts, "months": rng.randint(0, 36, 800), "shop": rng.choice(["online", "store"], 800)})
is_in_time = frame["months"] < frame["shop"].map({"online": 24, "store": 12})
refunds = [
    {*labels, "refund"} if labels and early else labels for labels, early in zip(complaints, is_in_time, strict=True)
]
print(frame.assign(labels=[sorted(labels) for labels in refunds])[:3].to_string(index=False))


def around(text, words, meta, X):
    """Return a network of a text branch and of branches for the month and the shop."""
    months, shop = keras.Input((1,), name="months"), keras.Input((1,), dtype="string", name="shop")
    scale, lookup = keras.layers.Normalization(), keras.layers.StringLookup(output_mode="one_hot")
    scale.adapt(X["months"][:, None])
    lookup.adapt(X["shop"])
    hidden = keras.layers.Concatenate()([words, scale(months), lookup(shop)])
    hidden = keras.layers.Dense(32, "relu")(hidden)
    outputs = keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])(hidden)
    return keras.Model([text, months, shop], outputs)


def three_branches(meta, X):
    text, words = read(X["text"])
    return around(text, keras.layers.GlobalMaxPooling1D()(words), meta, X)


X_train, X_test, y_train, y_test = train_test_split(frame, refunds, random_state=0)
branches = KerasMultiLabelClassifier(three_branches, **options).fit(X_train, y_train)
text_only = KerasMultiLabelClassifier(reading, **options).fit(X_train["text"].to_numpy(), y_train)
reports = {
    "text": label_report(y_test, text_only.predict_proba(X_test["text"].to_numpy())),
    "text, months and shop": label_report(y_test, branches.predict_proba(X_test)),
}
print(pd.DataFrame({name: report["f1"] for name, report in reports.items()}).round(3).to_string())

# %%
# A dict of arrays is accepted, too, as long as no rows are selected: a search or a cross-validation needs the
# DataFrame, or a structured array if the inputs have more dimensions.

# %%
print(branches.predict({"text": ["the screen is awful"] * 2, "months": [6, 30], "shop": ["online"] * 2}))

# %%
# Fine-tuning a network that is already trained
# ---------------------------------------------
#
# Suppose that refunds are known for 80 reviews only. The network `reader` has learned from 600 reviews what they
# complain about. We take its layers up to the last one, freeze them, and put the branches of above around them. A
# `keras.Model` as `model` is copied in each fit, and frozen layers keep their weights.

# %%
base = copy.deepcopy(reader).to_keras()  # the trained network of a copy, so that reader is not frozen
base.trainable = False
few, few_labels = X_train[:80], y_train[:80]
meta = {"n_outputs_": len(PARTS) + 1, "output_activation_": "sigmoid"}
columns = {name: few[name].to_numpy() for name in few}
tuned = KerasMultiLabelClassifier(around(base.input, base.layers[-2].output, meta, columns), **options)
tuned.fit(few, few_labels)
scratch = KerasMultiLabelClassifier(three_branches, **options).fit(few, few_labels)
for name, clf in {"from 80 reviews alone": scratch, "fine-tuned on 80 reviews": tuned}.items():
    print(f"{name:25} macro-F1 {scorer(clf, X_test, y_test):.3f}")
