"""What is read after fit is checked as fit checks it."""

import numpy as np
import pytest

from skml import TunedThresholdMultiLabelClassifierCV

BAD = {
    "a fraction": ({"max_labels": 1.5}, "max_labels must be an integer of at least 0 or None; got 1.5"),
    "NaN": ({"max_labels": float("nan")}, "max_labels must be an integer .*; got nan"),
    "a string": ({"max_labels": "2"}, "max_labels must be an integer .*; got '2'"),
    "bool": ({"max_labels": True}, "max_labels must be an integer .*; got True"),
    "negative": ({"max_labels": -1}, "max_labels must be an integer .*; got -1"),
    "a fraction as minimum": ({"min_labels": 1.5}, "min_labels must be an integer of at least 0; got 1.5"),
    "None as minimum": ({"min_labels": None}, "min_labels must be an integer of at least 0; got None"),
    "more than there are": ({"min_labels": 4}, "min_labels=4 is more than the 3 labels"),
    "crossed": ({"min_labels": 2, "max_labels": 1}, "min_labels=2 is more than max_labels=1"),
    "a threshold": ({"threshold": 1.5}, r"threshold must lie in \[0, 1\]; got 1.5"),
    "thresholds": ({"threshold": [0.5, 0.5]}, "one number for each of the 3 labels"),
}


@pytest.mark.parametrize(("params", "message"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("method", ["predict", "score"])
def test_decisions_are_checked_at_predict(params, message, method, clf, X, Y):
    clf.set_params(**params)
    with pytest.raises(ValueError, match=message):
        getattr(clf, method)(*([X] if method == "predict" else [X, Y]))


WEIGHTS = {
    "a column": (np.ones((80, 1)), "[Ss]ample.?weights? must be 1D"),
    "NaN": (np.full(80, np.nan), "sample_weight contains NaN"),
    "negative": (-np.ones(80), "Negative values in data passed to.*sample_weight"),
    "another number": (np.ones(79), "sample_weight"),
    "masked": (np.ma.masked_array(np.ones(80), mask=np.arange(80) == 3), "sample_weight is a masked array"),
}


@pytest.mark.parametrize(("weight", "message"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights_are_checked_at_score(weight, message, fitted, X, Y, label_sets):
    tuner = TunedThresholdMultiLabelClassifierCV(fitted, cv="prefit", refit=False).fit(X, label_sets)
    for clf in (fitted, tuner):
        with pytest.raises(ValueError, match=message):
            clf.score(X, Y, sample_weight=weight)
