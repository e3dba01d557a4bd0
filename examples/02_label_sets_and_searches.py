"""Lesson 2: which forms of y, scorers and searches work together
==============================================================

y can be a collection of sets or lists, a 0/1 array, a sparse matrix or a DataFrame. The scorers and splitters of
scikit-learn support some of these forms; those of skml support all of them. Run this lesson with
``python examples/02_label_sets_and_searches.py``, or cell by cell in an editor or notebook.
"""

# %%
# The same labels in seven forms. "0/1 and NaN" has missing labels. "single-label" keeps one label for each row.
import warnings

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from sklearn.datasets import make_multilabel_classification

X, Y = make_multilabel_classification(200, 10, n_classes=4, random_state=0)
names = np.array(["beach", "city", "forest", "sea"])
has_missing = Y.astype(float)
has_missing[::10, 0] = np.nan
forms = {
    "sets": [set(names[row == 1].tolist()) for row in Y],
    "lists": [names[row == 1].tolist() for row in Y],
    "0/1 array": Y,
    "sparse matrix": csr_array(Y),
    "DataFrame": pd.DataFrame(Y, columns=names),
    "0/1 and NaN": has_missing,
    "single-label": names[Y.argmax(axis=1)],
}

# %%
# `predict` returns labels in the form of y. Sets and lists come back as tuples, a DataFrame as a 0/1 array.
from skml import KerasMultiLabelClassifier

clf = KerasMultiLabelClassifier(n_members=1, hidden_layer_sizes=20, epochs=10, random_state=0)
for form, y in forms.items():
    predicted = " ".join(repr(clf.fit(X, y).predict(X[:2])).split())
    print(f"{form:18s} -> {predicted[:100]}")

# %%
# A column of a file often has labels in another notation. `read_label_sets` reads joined strings, lists written as
# text, dicts, rows of 0 and 1, and long tables with a line for each pair of a sample and a label.
from skml import read_label_sets

print(read_label_sets(pd.Series(["beach, sea", "", "city"])).tolist(), read_label_sets(["['beach' 'sea']", "[]"]))
print(read_label_sets(["beach", "sea", "city"], ids=[1, 1, 3], rows=[1, 2, 3]))

# %%
# Run a small search for each combination of form, scorer and splitter. A scikit-learn scorer that does not support
# a form warns and returns NaN. (`cross_val_score` supports the same combinations, except sparse y.)
from sklearn.model_selection import GridSearchCV, KFold

from skml.metrics import get_scorer
from skml.model_selection import MultiLabelStratifiedKFold

scorers = {'scoring="f1_micro"': "f1_micro", 'get_scorer("f1_micro")': get_scorer("f1_micro")}
splitters = {"cv=3": 3, "KFold": KFold(3), "MultiLabelStratifiedKFold": MultiLabelStratifiedKFold(3, random_state=0)}


def works(y, scoring, cv):
    """Return whether a search over one candidate gets finite scores."""
    search = GridSearchCV(clf, {"epochs": [2]}, scoring=scoring, cv=cv, refit=False)
    try:
        return bool(np.isfinite(search.fit(X, y).cv_results_["mean_test_score"]).all())
    except ValueError:
        return False


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    table = pd.DataFrame(
        {
            (scorer, splitter): ["yes" if works(y, scoring, cv) else "-" for y in forms.values()]
            for scorer, scoring in scorers.items()
            for splitter, cv in splitters.items()
        },
        index=list(forms),
    )
print(table.to_string())

# %%
# The scorers of `get_scorer` support every form, and a splitter as `cv` makes a search possible for each form. Here
# is a grid search over label sets. Its `scoring` is a scorer object, not a string.
grid = {"hidden_layer_sizes": [20, (50, 50)], "learning_rate": [0.003, 0.01]}
search = GridSearchCV(clf, grid, scoring=get_scorer("f1_micro"), cv=MultiLabelStratifiedKFold(3, random_state=0))
search.fit(X, forms["sets"])
columns = ["param_hidden_layer_sizes", "param_learning_rate", "mean_test_score", "std_test_score"]
results = pd.DataFrame(search.cv_results_)[columns]
print(results.round(3).to_string(index=False))

# %%
# The four candidates, with the standard deviation over the folds.
import matplotlib.pyplot as plt

candidates = results.set_index(columns[:2])
candidates["mean_test_score"].plot.barh(xerr=candidates["std_test_score"], xlabel="micro-F1", figsize=(6, 2.5))
plt.tight_layout()
plt.show()
