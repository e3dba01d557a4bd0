"""Values near and beyond the range of the network's dtype."""

import numpy as np
import pytest
from scipy import sparse

from skml import KerasMultiLabelClassifier


@pytest.fixture(scope="module", params=[np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def fitted(request, X, Y):
    container = request.param
    scale = None if container is np.asarray else "auto"  # with "auto" dense columns may have any finite value
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=4, epochs=1, n_members=2, scale=scale, random_state=0)
    return clf.fit(container(X), Y), container


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
@pytest.mark.parametrize("value", [1e39, -1e39, 1e308])
def test_values_that_fit_refuses_are_refused_at_predict(method, value, fitted, X):
    clf, container = fitted
    large = X[:3].copy()
    large[1, 2] = value
    with pytest.raises(ValueError, match=r"Input X contains infinity or a value too large for dtype\('float32'\)"):
        getattr(clf, method)(container(large))
    with pytest.raises(ValueError, match=r"Input X contains infinity or a value too large for dtype\('float32'\)"):
        KerasMultiLabelClassifier(scale=clf.scale).fit(container(large), [{"a"}, {"b"}, set()])


def test_validation_data_are_in_range_too(X, Y):
    large = X.copy()
    large[0, 0] = 1e300
    for clf in (
        KerasMultiLabelClassifier(epochs=1, scale=None),
        KerasMultiLabelClassifier(epochs=1, scale=None, hidden_layer_sizes=4).fit(X, Y),
    ):
        with pytest.raises(ValueError, match=r"Input X contains infinity or a value too large"):
            clf.fit(X, Y, X_val=large, y_val=Y)


def test_scores_of_the_largest_values_are_finite(fitted, X):
    clf, container = fitted
    large = X[:3].copy()
    large[0], large[1] = 3e38, -3e38
    large[2, 0] = 1e38
    scores = clf.decision_function(container(large))
    assert np.isfinite(scores).all()
    assert scores.dtype == np.float32
    proba = clf.predict_proba(container(large))
    assert ((proba > 0) & (proba < 1)).all()
    np.testing.assert_array_equal(proba >= 0.5, scores >= 0)
