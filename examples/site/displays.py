"""Draw one picture of each display, from generated data, for the page "Which display answers which question?"."""

import matplotlib as mpl
import numpy as np
import pandas as pd

from skml import KerasMultiLabelClassifier
from skml import inspection as displays

LABELS = ["leak", "noise", "overload", "rust"]
COLUMNS = ["heat", "age", "load", "wet", "speed", "power"]


def make_machines(n_rows, seed):
    rng = np.random.RandomState(seed)
    X = pd.DataFrame(rng.randn(n_rows, len(COLUMNS)), columns=COLUMNS)
    weights = np.random.RandomState(5).normal(scale=1.6, size=(len(COLUMNS), len(LABELS)))
    log_odds = X.to_numpy() @ weights - [1, 0, 2, 1]
    Y = (rng.uniform(size=log_odds.shape) < 1 / (1 + np.exp(-log_odds))).astype(int)
    return X, pd.DataFrame(Y, columns=LABELS)


def draw_displays(folder):
    """Write a PNG file for each display, under the name of its class."""
    mpl.use("Agg")
    X, Y = make_machines(600, 0)
    X_test, Y_test = make_machines(400, 1)
    options = {"inputs": "plain", "n_members": 5, "hidden_layer_sizes": 32}
    clf = KerasMultiLabelClassifier(threshold="f1_macro", random_state=0, **options).fit(X, Y)
    two = {"labels": ["leak", "overload"]}
    for drawn in (
        displays.LabelReportDisplay.from_estimator(clf, X_test, Y_test),
        displays.ThresholdCurveDisplay.from_estimator(clf, X_test, Y_test, **two),
        displays.CalibrationCurveDisplay.from_estimator(clf, X_test, Y_test, n_bins=6, **two),
        displays.RiskCoverageCurveDisplay.from_estimator(clf, X_test, Y_test, y_fit=Y),
        displays.TrainingCurveDisplay.from_estimator(clf),
        displays.LabelContributionsDisplay.from_estimator(clf, X_test[:1], "leak"),
        displays.LabelImportancesDisplay.from_estimator(clf, X_test),
    ):
        drawn.figure_.savefig(folder / f"{type(drawn).__name__}.png", dpi=110, bbox_inches="tight")
        mpl.pyplot.close(drawn.figure_)
