"""X at predict: what needs no check by scikit-learn is told apart from what does."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone

from estimators import tiny
from skml._inputs import _needs_no_check


@pytest.fixture(scope="module")
def clf(X, Y):
    return tiny(epochs=1, scale=None).fit(X, Y)  # with "auto" dense columns may have any finite value or NaN


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
@pytest.mark.parametrize("container", [np.asarray, np.asfortranarray, sparse.csr_array, sparse.csr_matrix])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "Input X contains NaN"),
        (np.inf, "Input X contains infinity"),
        (-np.inf, "Input X contains infinity"),
        (1e200, "contains infinity or a value too large"),
        (1e39, "contains infinity or a value too large"),
    ],
)
def test_a_value_that_no_network_takes_is_refused(value, message, container, method, clf, X):
    for n_rows in (1, 80):
        wrong = X[:n_rows].copy()
        wrong[-1, 2] = value
        with pytest.raises(ValueError, match=message):
            getattr(clf, method)(container(wrong))


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_a_wrong_shape_is_refused(container, clf, X):
    with pytest.raises(ValueError, match="X has 4 features, but KerasMultiLabelClassifier is expecting 5"):
        clf.predict_proba(container(X[:, :4]))
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
        clf.predict_proba(container(X[:0]))
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        clf.predict_proba(X[0])


def test_texts_need_a_step_before(clf, X, Y):
    for method in (lambda: clf.predict(["a text"] * 3), lambda: clone(clf).fit(["a text"] * len(Y), Y)):
        with pytest.raises(ValueError, match=r"X must hold numbers: could not convert .*'a text'.* TfidfVectorizer"):
            method()


def test_names_of_columns_are_still_compared(X, Y):
    named = tiny(epochs=1).fit(pd.DataFrame(X, columns=list("abcde")), Y)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        named.predict_proba(X)
    with pytest.raises(ValueError, match="feature names should match"):
        named.predict_proba(pd.DataFrame(X, columns=list("abcdf")))


@pytest.mark.parametrize("form", [np.asarray, np.asfortranarray, sparse.csr_array, sparse.csr_matrix, np.float32])
def test_plain_arrays_need_no_check_by_scikit_learn(form, clf, X):
    assert _needs_no_check(clf, form(X), np.float32)
    np.testing.assert_allclose(clf.predict_proba(form(X)), clf.predict_proba(X.tolist()), atol=1e-6)


@pytest.mark.parametrize(
    "form",
    [
        lambda X: np.repeat(X, 2, axis=0)[::2],
        lambda X: X.astype(">f8"),
        lambda X: X.astype(np.longdouble),
        lambda X: X.astype(object),
        lambda X: X.tolist(),
        lambda X: np.ma.masked_array(X, mask=False),
        pd.DataFrame,
        sparse.csc_array,
        sparse.coo_array,
    ],
)
def test_other_forms_are_checked_by_scikit_learn(form, clf, X):
    assert not _needs_no_check(clf, form(X), np.float32)
    np.testing.assert_allclose(clf.predict_proba(form(X)), clf.predict_proba(X), atol=1e-6)


def test_large_values_are_looked_at_closely(clf, X):
    assert not _needs_no_check(clf, 1e25 * X, np.float32)
    assert np.isfinite(clf.predict_proba(1e25 * X)).all()


@pytest.mark.parametrize("index", [-1, 5])
@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_array])
def test_an_index_outside_of_a_sparse_matrix_is_refused(container, index, clf, X, Y):
    index = 80 if container is sparse.csc_array and index > 0 else index
    wrong, wrong_y = container(X), container(Y)
    wrong.indices[3] = wrong_y.indices[3] = index
    with pytest.raises(ValueError, match=r"X is a sparse matrix with an index outside its shape \(80, 5\)"):
        clf.predict_proba(wrong)
    with pytest.raises(ValueError, match="X is a sparse matrix with an index outside its shape"):
        tiny().fit(wrong, Y)
    with pytest.raises(ValueError, match="y is a sparse matrix with an index outside its shape"):
        tiny().fit(X, wrong_y)
