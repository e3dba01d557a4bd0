"""Labels of which only positives, or only negatives, are observed."""

import numpy as np
import pandas as pd
import pytest

from estimators import tiny


def test_labels_without_an_observed_0_are_warned_of_once_with_both_cures(X, Y, recwarn):
    tiny(epochs=1).fit(X, pd.DataFrame(Y, columns=list("abc")))
    assert not [w for w in recwarn if "fillna" in str(w.message)]
    only_positives = pd.DataFrame(Y, columns=list("abc")).astype(float)
    only_positives.loc[only_positives["b"] == 0, "b"] = np.nan
    with pytest.warns(UserWarning, match=r"no 0 for 'b'.*fillna\(0\).*known not to have") as warned:
        tiny(epochs=1).fit(X, only_positives)
    assert len([w for w in warned if "fillna" in str(w.message)]) == 1


def test_labels_without_an_observed_1_are_named_too(X, Y):
    y = Y.astype(float)
    y[y[:, 2] == 1, 2] = np.nan
    with pytest.warns(UserWarning, match="no 1 for 2"):
        tiny(epochs=1).fit(X, y)
