"""Lesson 13: calibration
======================

Is a label with the probability 0.8 right in eight of ten rows? Decisions need thresholds only, but a person who reads
a probability, or a program that computes expected costs, needs probabilities that mean what they say. The data are
yeast genes with 103 measurements and 14 classes of function (Elisseeff and Weston, 2002), from the package ``river``.
Run this lesson with ``python examples/13_calibration.py``, or cell by cell in an editor or notebook.
"""

# %%
# Data and a first model. Its curve is close to the diagonal: the predicted probabilities, in bins, are close to the
# observed fractions. Networks that are trained on the cross-entropy and stopped in time often are well calibrated.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from river.datasets import Yeast
from sklearn.model_selection import train_test_split

from skml import KerasMultiLabelClassifier
from skml.inspection import CalibrationCurveDisplay

genes = pd.read_csv(Yeast().path)
Y = genes.filter(like="Class").astype(int)
X = genes.drop(columns=Y.columns)
X_train, X_test, Y_train, Y_test = train_test_split(X, Y, test_size=0.4, random_state=0)

quick = KerasMultiLabelClassifier(inputs="plain", hidden_layer_sizes=64, random_state=0)
clf = quick.fit(X_train, Y_train)
shown = ["Class2", "Class5", "Class12"]
CalibrationCurveDisplay.from_estimator(clf, X_test, Y_test, labels=shown, n_bins=6)
plt.show()

# %%
# Class weights and the losses for rare labels shift the probabilities. `calibrate=True` corrects them with the held-out
# predictions of the same fit, by a slope and an offset for each label. The default, "auto", only spreads or draws in
# all log-odds by one slope, so that decisions at 0.5 stay the same; it cannot correct a shift.
from sklearn.base import clone

from skml.metrics import f1_score, log_loss


def scores(proba):
    """Return scores of probabilities on the test rows, and how far their means are from the frequency of a label."""
    gap = np.abs(proba.mean(axis=0) - Y_test.mean().to_numpy())
    return {
        "log-loss": log_loss(Y_test, proba),
        "mean gap": gap.mean(),
        "largest gap": gap.max(),
        "micro-F1 at 0.5": f1_score(Y_test, proba >= 0.5, average="micro"),
    }


rows, fitted = {}, {}
for class_weight in (None, "balanced"):
    for calibrate in ("auto", True):
        clf = clone(quick).set_params(class_weight=class_weight, calibrate=calibrate).fit(X_train, Y_train)
        fitted[class_weight, calibrate] = clf
        rows[f"class_weight={class_weight}, calibrate={calibrate}"] = scores(clf.predict_proba(X_test))
print(pd.DataFrame(rows).T.round(3).to_string())

# %%
# The curves of the weighted model, before and after.
figure, axes = plt.subplots(2, len(shown), figsize=(10, 6.5), layout="constrained", squeeze=False)
for row, calibrate in zip(axes, ("auto", True), strict=True):
    clf = fitted["balanced", calibrate]
    CalibrationCurveDisplay.from_estimator(clf, X_test, Y_test, labels=shown, n_bins=6, ax=row)
figure.suptitle('class_weight="balanced": calibrate="auto" above, calibrate=True below')
plt.show()

# %%
# Other classifiers have no held-out predictions. scikit-learn's `CalibratedClassifierCV` calibrates them label by
# label. `cross_val_predict_proba` gives their out-of-fold probabilities, here of naive Bayes, which is known to be too
# sure of itself.
from sklearn.calibration import CalibratedClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB

from skml.model_selection import MultiLabelStratifiedKFold, cross_val_predict_proba

folds = MultiLabelStratifiedKFold(3, random_state=0)
for name, model in {
    "naive Bayes": OneVsRestClassifier(GaussianNB()),
    "naive Bayes, calibrated": OneVsRestClassifier(CalibratedClassifierCV(GaussianNB(), ensemble=False)),
}.items():
    proba = cross_val_predict_proba(model, X, Y, cv=folds)
    print(f"{name}: log-loss {log_loss(Y, proba):.3f}")
    CalibrationCurveDisplay.from_predictions(Y, proba, classes=Y.columns, labels=shown, n_bins=6)
    plt.gcf().suptitle(name)
plt.show()

# %%
# From probabilities to decisions: precision, recall and F1 of a label at each threshold, and the threshold in use. A
# threshold for each label corrects shifted probabilities as well, without calibration, if decisions are all you need.
from skml.inspection import ThresholdCurveDisplay

clf = fitted[None, "auto"].set_params(threshold="f1_macro")
ThresholdCurveDisplay.from_estimator(clf, X_test, Y_test, labels=shown)
plt.show()
