"""Lesson 3: thresholds that are tuned, adjusted, guaranteed.

A network gives probabilities; a threshold makes labels of them. It is read by `predict`, so that a fitted model follows
`set_params` at once. Functions of yeast genes (Elisseeff and Weston, 2002), which the package ``river`` ships: 103
measurements, 14 classes of function. Run it with ``python examples/03_thresholds.py``, or cell by cell.
"""

# %% One fit. It leaves honest probabilities of its own training rows, each by the member that did not learn from it.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from river.datasets import Yeast
from sklearn.model_selection import train_test_split

from skml import KerasMultiLabelClassifier

genes = pd.read_csv(Yeast().path)
Y = genes.filter(like="Class").astype(int)
X = genes.drop(columns=Y.columns)
X_train, X_test, Y_train, Y_test = train_test_split(X, Y, test_size=0.3, random_state=3)
clf = KerasMultiLabelClassifier(hidden_layer_sizes=128, random_state=0).fit(X_train, Y_train)
print(f"{clf.oof_proba_.shape[0]} training rows, out-of-fold probabilities of {clf.oof_proba_.shape[1]} labels")

# %% Tuned, for a score. No further fit is made. Each rule is the best of the table for the score in its name.
from skml.metrics import f1_score, precision_score, recall_score


def scores(threshold, X=X_test, Y=Y_test):
    """Return what a threshold gives on the test rows."""
    predicted = clf.set_params(threshold=threshold).predict(X)
    return {
        "labels per row": predicted.sum(axis=1).mean(),
        "rows without labels": (predicted.sum(axis=1) == 0).mean(),
        "precision": precision_score(Y, predicted, average="micro", zero_division=np.nan),
        "recall per row": recall_score(Y, predicted, average="samples"),
        "micro-F1": f1_score(Y, predicted, average="micro"),
        "macro-F1": f1_score(Y, predicted, zero_division=0),
    }


rules = [0.5, "f1_micro", "f1_macro"]
print(pd.DataFrame({rule: scores(rule) for rule in rules}).T.round(3).to_string())

# %% Adjusted. What was tuned is a dict of label -> threshold, to start from; and each row can be made to
# have at least one label.
clf.set_params(threshold="f1_macro")
print({label: round(threshold, 2) for label, threshold in clf.tuned_threshold_.items()})
clf.set_params(threshold=clf.tuned_threshold_ | {"Class14": 0.5}, min_labels=1, max_labels=6)
print("labels of the first genes:", clf.predict(X_test[:8]).sum(axis=1).tolist())
clf.set_params(min_labels=0, max_labels=None)

# %% Guaranteed. "Apply a label only if nine of ten are right, and send the rest to a person", or "miss no more than a
# tenth of a gene's functions". The thresholds that keep it are found from the same probabilities. On the test rows
# they reach what was guaranteed, and show the price: the more precision, the fewer labels are left; the more recall, the
# more of them are wrong. With "by label" the guarantee is one for each label: a warning says for how many of them no
# threshold can keep it. They are never predicted.
guarantees = ["precision>=0.8", "precision>=0.9", "precision>=0.9 by label", "recall>=0.8", "recall>=0.9"]
print(pd.DataFrame({guarantee: scores(guarantee) for guarantee in guarantees}).T.round(3).to_string())

# %% What a guarantee assumes: rows like those of training. Of rows that come from elsewhere, here genes whose
# measurements are shifted, it may be broken, and nothing in the rows says so.
shifted = X_test + 1.5 * X_train.std()
table = {guarantee: scores(guarantee, shifted) for guarantee in guarantees[:2]}
print(pd.DataFrame(table).T.round(3).to_string())

# %% Other classifiers have the same rules, by cross-validation.
from sklearn.ensemble import RandomForestClassifier

from skml import TunedThresholdMultiLabelClassifierCV

forest = RandomForestClassifier(100, min_samples_leaf=3, n_jobs=2, random_state=0)
for rule in ("f1_micro", "precision>=0.9"):
    tuned = TunedThresholdMultiLabelClassifierCV(forest, scoring=rule, cv=3, random_state=0).fit(X_train, Y_train)
    precision = precision_score(Y_test, tuned.predict(X_test), average="micro")
    print(f"forest, {rule}: threshold {tuned.best_threshold_:.2f}, precision on the test rows {precision:.3f}")

# %% The price of a guarantee. On the left: how many rows get a label, and how many of the true labels are predicted; 0
# where no threshold keeps the guarantee. On the right: the precision that is reached, above the line if it is kept.
from skml.inspection import RiskCoverageCurveDisplay

RiskCoverageCurveDisplay.from_estimator(clf, X_test, Y_test, y_fit=Y_train)
plt.show()
