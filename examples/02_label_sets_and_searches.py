"""Lesson 2: which forms of y, scorers and searches work together.

Labels come as sets, as lists, as a 0/1 array, as a sparse matrix, as a DataFrame. scikit-learn's own scorers and
splitters know some of these forms, those of skml all. Run it with
``python examples/02_label_sets_and_searches.py``, or cell by cell in an editor or notebook.
"""

# %% Labels in seven forms. In the last but one some are unknown; in the last each row keeps one.
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
    "one label per row": names[Y.argmax(axis=1)],
}

# %% `predict` answers in kind: sets and lists as tuples, a DataFrame as an array of its 0 and 1.
from skml import KerasMultiLabelClassifier

clf = KerasMultiLabelClassifier(n_members=1, hidden_layer_sizes=20, epochs=10, random_state=0)
for form, y in forms.items():
    answer = " ".join(repr(clf.fit(X, y).predict(X[:2])).split())
    print(f"{form:18s} -> {answer[:100]}")

# %% Each form with each scorer and splitter, in a search. Where a scorer of scikit-learn fails it warns and gives NaN.
# (`cross_val_score` is as `GridSearchCV`, but refuses every sparse y.)
from sklearn.model_selection import GridSearchCV, KFold

from skml.metrics import get_scorer
from skml.model_selection import MultiLabelStratifiedKFold

scorers = {'scoring="f1_micro"': "f1_micro", 'get_scorer("f1_micro")': get_scorer("f1_micro")}
splitters = {"cv=3": 3, "KFold": KFold(3), "MultiLabelStratifiedKFold": MultiLabelStratifiedKFold(3, random_state=0)}


def works(y, scoring, cv):
    """Whether a search of one candidate scores it."""
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

# %% So the scorers of `get_scorer` take all forms, and with a splitter as `cv` each of them can be searched over. A
# grid search over label sets follows: the scorer is an object, not a name.
grid = {"hidden_layer_sizes": [20, (50, 50)], "learning_rate": [0.003, 0.01]}
search = GridSearchCV(clf, grid, scoring=get_scorer("f1_micro"), cv=MultiLabelStratifiedKFold(3, random_state=0))
search.fit(X, forms["sets"])
columns = ["param_hidden_layer_sizes", "param_learning_rate", "mean_test_score", "std_test_score"]
print(pd.DataFrame(search.cv_results_)[columns].round(3).to_string(index=False))
