"""Lesson 5: networks of your own.

The default network sees columns. Here the order of words matters: of a review such as "great screen the battery is
awful" we want to know what it complains about, {"battery"}. Three networks try: one of counted words, whose size a grid
search finds; one that reads texts itself; and one with a layer of our own, which is then saved, and loaded in another
process.
"""

# %%
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # asks TensorFlow to start quietly

import inspect
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import joblib
import keras
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
    """Return a made text, and the set of parts that it complains about."""
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

# %% [markdown]
# ## A builder, and its arguments in a grid
#
# A builder gets what its signature names. `meta` says how many units `y` needs; what is set as `model__units` arrives
# as `units`, and is a parameter like others.


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
scores["counts words"] = search.best_score_

# %% [markdown]
# Counted words cannot say which part is the awful one; counted pairs could say some of it.
# (`search.set_callbacks(ProgressBar())`, from scikit-learn 1.9 on, shows one bar over the search, its fits and their
# epochs.)
#
# ## A network that reads texts
#
# A builder that names `X` gets the rows that train: in a search those of the fold, and none of a holdout. So a
# `TextVectorization` learns no word from a row that it is tested on. (`read`, in `networks/reading.py`, makes one,
# calls its `adapt(X)`, and returns what five neighbouring words mean together.) The learning rate may follow a schedule
# of Keras'.


# %%
def reading(meta, X):
    inputs, words = read(X)
    hidden = keras.layers.GlobalMaxPooling1D()(words)
    return keras.Model(inputs, keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])(hidden))


options["learning_rate"] = keras.optimizers.schedules.CosineDecay(0.01, decay_steps=600)
reader = KerasMultiLabelClassifier(reading, **options)
result = cross_validate(reader, X_train, y_train, scoring=scorer, cv=cv, return_estimator=True)
vocabularies = [set(clf.model_.layers[1].get_vocabulary()) for clf in result["estimator"]]
common = set.intersection(*vocabularies)
print(f"all three folds know {len(common)} words: {' '.join(sorted(common - {'', '[UNK]'}))}")
print("the first knows too:", *sorted(vocabularies[0] - common)[:5], "(numbers of orders in its training rows)")
scores["reads"] = result["test_score"].mean()
reader.fit(X_train, y_train)

# %% [markdown]
# ## A layer of your own, with weights
#
# `attending` ends in a `LabelAttention`: each label has its own weighted mean of the words (Mullenbach et al., 2018).
# Both are in the module `networks/reading.py`. The layer's `get_config` returns the arguments of its `__init__`;
# nothing has to be registered.

# %%
attention = KerasMultiLabelClassifier(attending, **options)
result = cross_validate(attention, X_train, y_train, scoring=scorer, cv=cv)
scores["attends"] = result["test_score"].mean()
attention.fit(X_train, y_train)

# %% [markdown]
# A process that loads the file needs that module on its path, and nothing else of this lesson: weights and vocabulary
# are in the file.

# %%
LOAD = "import sys, joblib; print(joblib.load(sys.argv[1]).predict_proba(sys.argv[2:])[0].tolist())"
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "attention.joblib")
    joblib.dump(attention, path)
    on_path = os.pathsep.join([str(Path(inspect.getfile(attending)).parents[1]), *sys.path])
    there = subprocess.run(
        [sys.executable, "-c", LOAD, path, "great screen the battery is awful"],
        env={**os.environ, "PYTHONPATH": on_path},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
print(dict(zip(attention.classes_.tolist(), np.round(json.loads(there.stdout), 3).tolist(), strict=True)))

# %% [markdown]
# ## Which network finds the complaints
#
# F1 of each label on the test rows, and macro-F1 in the folds:

# %%
models = {"counts words": search, "reads": reader, "attends": attention}
f1 = {name: label_report(y_test, model.predict_proba(X_test), classes=PARTS)["f1"] for name, model in models.items()}
table = pd.DataFrame(f1).reindex(PARTS)
table.loc["(3 folds)"] = scores
print(table.round(3).to_string())
