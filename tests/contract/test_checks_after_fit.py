"""What is read after fit is checked as fit checks it."""

import numpy as np
import pytest

from skml import TunedThresholdMultiLabelClassifierCV

BAD = {
    "a fraction": ({"max_labels": 1.5}, r"max_labels .*integer.*\b1\.5"),
    "NaN": ({"max_labels": float("nan")}, "max_labels .*integer.* nan"),
    "a string": ({"max_labels": "2"}, "max_labels .*integer.* '2'"),
    "bool": ({"max_labels": True}, "max_labels .*integer.* True"),
    "negative": ({"max_labels": -1}, "max_labels .*integer.* -1"),
    "a fraction as minimum": ({"min_labels": 1.5}, r"min_labels .*integer.*\b1\.5"),
    "None as minimum": ({"min_labels": None}, "min_labels .*integer.* None"),
    "more than there are": ({"min_labels": 4}, "min_labels=4 .* 3 labels"),
    "crossed": ({"min_labels": 2, "max_labels": 1}, "min_labels=2 .*max_labels=1"),
    "a threshold": ({"threshold": 1.5}, r"threshold .*\[0, 1\].* 1\.5"),
    "thresholds": ({"threshold": [0.5, 0.5]}, r"threshold .* 3 labels.*\(2,\)"),
}


@pytest.mark.parametrize(("params", "message"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("method", ["predict", "score"])
def test_decisions_are_checked_at_predict(params, message, method, clf, X, Y):
    clf.set_params(**params)
    with pytest.raises(ValueError, match=message):
        getattr(clf, method)(*([X] if method == "predict" else [X, Y]))


WEIGHTS = {
    "a column": (np.ones((80, 1)), r"sample_weight must have the shape \(n_samples,\)"),
    "NaN": (np.full(80, np.nan), "sample_weight contains NaN"),
    "negative": (-np.ones(80), "Negative values in data passed to.*sample_weight"),
    "another number": (np.ones(79), "sample_weight"),
    "masked": (np.ma.masked_array(np.ones(80), mask=np.arange(80) == 3), "sample_weight .*masked"),
}


@pytest.mark.parametrize(("weight", "message"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights_are_checked_at_score(weight, message, fitted, X, Y, label_sets):
    tuner = TunedThresholdMultiLabelClassifierCV(fitted, cv="prefit", refit=False).fit(X, label_sets)
    for clf in (fitted, tuner):
        with pytest.raises(ValueError, match=message):
            clf.score(X, Y, sample_weight=weight)
