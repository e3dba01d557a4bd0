"""A string as ``scoring=`` does not support label sets, which the documentation states where users look for it."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import KFold, cross_val_score

import skml
from skml import KerasMultiLabelClassifier
from skml.metrics import get_scorer


@pytest.mark.filterwarnings("ignore:Scoring failed")
def test_a_string_gives_nan_for_label_sets_and_get_scorer_a_score(X, label_sets):
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=4, epochs=1, n_members=1)
    assert np.isnan(cross_val_score(clf, X, label_sets, cv=KFold(2), scoring="f1_micro")).all()
    assert np.isfinite(cross_val_score(clf, X, label_sets, cv=KFold(2), scoring=get_scorer("f1_micro"))).all()


def test_the_documentation_states_it():
    readme = (Path(skml.__file__).parents[1] / "README.md").read_text()
    minutes = readme[readme.index("## Three things to know first") :]
    for text in (minutes[: minutes.index("\n## ", 5)], KerasMultiLabelClassifier.__doc__, get_scorer.__doc__):
        assert "NaN" in text
        assert '"f1_micro"' in text
        assert "get_scorer(" in text
    with pytest.raises(ValueError, match=r"f1_sets.*scoring=get_scorer.*NaN"):
        get_scorer("f1_sets")
