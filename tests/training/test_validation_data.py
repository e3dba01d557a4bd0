"""Validation data: labels that y lacks, and errors for the names that other libraries use."""

import warnings

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from estimators import tiny
from skml import TunedThresholdMultiLabelClassifierCV


def losses(X, y, X_val, y_val):
    clf = tiny(n_members=1, hidden_layer_sizes=(4,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return clf.fit(X, y, X_val=X_val, y_val=y_val).history_["val_loss"]


def test_an_unseen_label_of_y_val_is_named_and_left_out(X, label_sets):
    unseen = [labels | ({"new", "newer"} if i % 4 == 0 else set()) for i, labels in enumerate(label_sets[:20])]
    expected = r"y_val contains labels that are not in y.* 'new.*in 5 of 20 rows.*classes=\[\.\.\.\]"
    with pytest.warns(UserWarning, match=expected) as record:
        tiny(n_members=1, epochs=1).fit(X, label_sets, X_val=X[:20], y_val=unseen)
    assert len(record) == 1
    assert losses(X, label_sets, X[:20], unseen) == losses(X, label_sets, X[:20], label_sets[:20])


@pytest.mark.parametrize("n_classes", [2, 3])
def test_rows_of_an_unseen_class_are_left_out(n_classes, X):
    y = np.arange(len(X)) % n_classes
    y_val = np.append(y[:20], [7, 8])
    assert losses(X, y, X[:22], y_val) == losses(X, y, X[:20], y[:20])
    with pytest.warns(UserWarning, match="y_val contains labels that are not in y.* 7, 8, in 2 of 22 rows"):
        tiny(n_members=1, epochs=1).fit(X, y, X_val=X[:22], y_val=y_val)
    with (
        pytest.raises(ValueError, match="y_val has no row with a class of y"),
        pytest.warns(UserWarning, match="y_val"),
    ):
        tiny(n_members=1).fit(X, y, X_val=X[:2], y_val=[7, 8])


NAMES = {
    "validation_data": ({"validation_data": (0, 0)}, r"no argument 'validation_data'.*fit\(X, y, X_val=\.\.\., y_val"),
    "eval_set": ({"eval_set": [(0, 0)]}, r"no argument 'eval_set'.*X_val and y_val"),
    "validation_split": ({"validation_split": 0.2}, "parameter validation_fraction"),
    "epochs": ({"epochs": 3}, r"no argument 'epochs'.*set_params\(epochs=3\)\.fit\(X, y\)"),
    "threshold": ({"threshold": np.array([0.5])}, r"set_params\(threshold=\.\.\.\)"),
    "routed": ({"model__units": 3}, r"set_params\(model__units=3\)"),
    "a slip": ({"sample_weights": None}, r"Did you mean 'sample_weight'\? Its arguments are X, y, sample_weight"),
    "anything": ({"zzz": 0}, r"has no argument 'zzz'\. Its arguments are X, y, sample_weight, groups, X_val, y_val"),
}


@pytest.mark.parametrize(("arguments", "message"), NAMES.values(), ids=NAMES)
def test_other_arguments_of_fit_are_refused_with_the_right_name(arguments, message, X, Y):
    clf = tiny(n_members=1, epochs=1).fit(X, Y)
    proba = clf.predict_proba(X)
    with pytest.raises(TypeError, match=rf"KerasMultiLabelClassifier\.fit\(\) .*{message}"):
        clf.fit(X, Y, **arguments)
    np.testing.assert_array_equal(clf.predict_proba(X), proba)


def test_pipelines_and_the_tuner_name_it_too(X, Y):
    with pytest.raises(TypeError, match="X_val and y_val"):
        make_pipeline(tiny()).fit(X, Y, kerasmultilabelclassifier__validation_data=(X, Y))
    with pytest.raises(TypeError, match="X_val and y_val"):
        TunedThresholdMultiLabelClassifierCV(tiny(), cv=2).fit(X, Y, validation_data=(X, Y))
