"""NaN in y: an entry that is not known."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import log_loss

from estimators import SMALL
from skml import KerasMultiLabelClassifier
from skml._decisions._tuning import tune
from skml._targets._encoder import TargetEncoder
from skml._targets._weights import positive_weights
from skml.metrics import get_scorer


@pytest.fixture(scope="module")
def unknown(Y):
    """Y with a fifth of its entries unknown, and two rows as a whole."""
    entries = np.where(np.random.RandomState(2).rand(*Y.shape) < 0.2, np.nan, Y)
    entries[[5, 17]] = np.nan
    return entries


def test_every_form_reads_what_is_missing_as_nan():
    expected = np.array([[1, np.nan], [0, 1]], dtype=np.float32)
    forms = [
        expected.astype(float),
        expected.tolist(),
        pd.DataFrame({"a": pd.array([1, 0], "Int64"), "b": pd.array([None, 1], "Int64")}),
        pd.DataFrame({"a": [True, False], "b": pd.array([pd.NA, True], "boolean")}),
        pl.DataFrame({"a": [1, 0], "b": [None, 1]}),
        sparse.csr_matrix(expected),
    ]
    for y in forms:
        Y = TargetEncoder().fit_transform(y)
        assert Y.dtype == np.float32
        np.testing.assert_array_equal(Y.toarray() if sparse.issparse(Y) else Y, expected)


def test_unknown_cells_are_left_out_of_the_loss_that_is_watched(X, unknown):
    clf = KerasMultiLabelClassifier(**SMALL).fit(X, unknown)
    losses = np.array(clf.history_["val_loss"])
    assert losses[-1] <= 1.02 * losses.min()  # the last epoch is the one that is kept
    rows = [
        log_loss(y[~np.isnan(y)], p[~np.isnan(y)], labels=[0, 1])
        for y, p in zip(unknown, clf.oof_proba_, strict=True)
        if not np.isnan(y).all()
    ]
    np.testing.assert_allclose(losses[-1], np.mean(rows), rtol=1e-4)


@pytest.mark.parametrize("n_members", [1, 4])
def test_a_row_of_which_nothing_is_known_is_left_out(n_members, X, unknown):
    params = {**SMALL, "n_members": n_members}
    weight = np.where(np.isnan(unknown).all(axis=1), 0.0, 1.0)
    left_out = KerasMultiLabelClassifier(**params).fit(X, np.where(weight[:, None], unknown, 1.0), weight)
    clf = KerasMultiLabelClassifier(**params).fit(X, unknown)
    np.testing.assert_array_equal(clf.predict_proba(X), left_out.predict_proba(X))


def test_what_an_unknown_cell_would_have_been_does_not_matter(X, Y):
    """A member learns the same from labels of which one is unknown as from the others alone."""
    params = {**SMALL, "n_members": 1, "hidden_layer_sizes": (8,), "early_stopping": False, "optimizer": "sgd"}
    params |= {"dropout": 0.0, "input_dropout": 0.0}
    entries = Y.astype(float)
    entries[:, 2] = np.nan
    with pytest.warns(UserWarning, match=r"labels 2:.*NaN"):
        clf = KerasMultiLabelClassifier(**params).fit(X, entries)
    untrained = KerasMultiLabelClassifier(**{**params, "learning_rate": 1e-30}).fit(X, Y)
    # The weights of the unit of label 2 are those that it started with.
    np.testing.assert_array_equal(
        clf.trained_network().weights[2][..., 2], untrained.trained_network().weights[2][..., 2]
    )
    assert not np.array_equal(clf.trained_network().weights[2][..., 1], untrained.trained_network().weights[2][..., 1])


def test_sparse_dense_and_dataframe_train_alike(X, unknown):
    probas = [
        KerasMultiLabelClassifier(**SMALL).fit(X, y).predict_proba(X)
        for y in (unknown, sparse.csr_array(unknown), pd.DataFrame(unknown))
    ]
    np.testing.assert_array_equal(probas[0], probas[1])
    np.testing.assert_array_equal(probas[0], probas[2])


def test_balanced_weights_count_known_cells(unknown):
    by_hand = [np.sum(y == 0) / np.sum(y == 1) for y in unknown.T]
    for container in (np.asarray, sparse.csr_array):
        weights = positive_weights("balanced", [0, 1, 2], container(unknown.astype(np.float32)), None)
        np.testing.assert_allclose(weights, by_hand)
    assert positive_weights("balanced", [0], np.full((4, 1), np.nan, np.float32), None) == [1.0]


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_score_counts_rows_whose_known_cells_are_right(container, X, unknown):
    clf = KerasMultiLabelClassifier(**SMALL).fit(X, container(unknown))
    predicted = clf.predict(X)
    predicted = predicted.toarray() if sparse.issparse(predicted) else predicted
    right = [np.all((p == y) | np.isnan(y)) for p, y in zip(predicted, unknown, strict=True) if not np.isnan(y).all()]
    np.testing.assert_allclose(clf.score(X, container(unknown)), np.mean(right))
    np.testing.assert_allclose(get_scorer("accuracy")(clf, X, container(unknown)), np.mean(right))


def test_thresholds_are_tuned_on_known_cells(X, unknown):
    clf = KerasMultiLabelClassifier(threshold="f1_macro", **SMALL).fit(X, unknown)
    np.testing.assert_array_equal(clf.threshold_, tune(unknown, clf.oof_proba_, "f1_macro").rule.threshold)


def test_x_val_may_hold_unknown_cells(X, Y, unknown):
    params = {**SMALL, "n_members": 1, "epochs": 1}
    clf = KerasMultiLabelClassifier(**params).fit(X, Y, X_val=X, y_val=unknown)
    rows = [
        log_loss(y[~np.isnan(y)], p[~np.isnan(y)], labels=[0, 1])
        for y, p in zip(unknown, clf.predict_proba(X), strict=True)
        if not np.isnan(y).all()
    ]
    np.testing.assert_allclose(clf.history_["val_loss"], np.mean(rows), rtol=1e-4)


def test_losses_and_metrics_that_cannot_leave_cells_out_are_refused(X, unknown):
    with pytest.raises(ValueError, match=r'NaN.*binary_crossentropy.*loss="auto"'):
        KerasMultiLabelClassifier(loss="binary_crossentropy", **SMALL).fit(X, unknown)
    with pytest.raises(ValueError, match=r"NaN.*metrics=None"):
        KerasMultiLabelClassifier(metrics=["mae"], **SMALL).fit(X, unknown)


@pytest.mark.parametrize("loss", ["focal", "asymmetric"])
def test_losses_by_name_train_with_unknown_cells_and_class_weight(loss, X, unknown):
    clf = KerasMultiLabelClassifier(loss=loss, class_weight="balanced", **SMALL).fit(X, unknown)
    assert np.isfinite(clf.history_["loss"]).all()
    plain = KerasMultiLabelClassifier(class_weight="balanced", **SMALL).fit(X, unknown)
    assert np.abs(clf.predict_proba(X) - plain.predict_proba(X)).max() > 1e-3


def test_missing_cells_of_object_arrays_and_metrics_of_x_val(X, Y, unknown):
    entries = pd.DataFrame(unknown).astype("Int64").to_numpy()
    np.testing.assert_array_equal(TargetEncoder().fit_transform(entries), unknown.astype(np.float32))
    with pytest.raises(ValueError, match=r"NaN.*metrics=None"):
        KerasMultiLabelClassifier(metrics=["mae"], **SMALL).fit(X, Y, X_val=X, y_val=unknown)


def test_a_score_of_nothing_known_is_nan(X, Y):
    clf = KerasMultiLabelClassifier(**SMALL).fit(X, Y)
    with pytest.warns(UndefinedMetricWarning):
        assert np.isnan(clf.score(X[:1], np.full((1, 3), np.nan)))
