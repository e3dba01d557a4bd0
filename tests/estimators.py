"""The small estimators that tests train."""

from skml import KerasMultiLabelClassifier

# Four members, so that there are folds, and two layers, so that one has a residual connection.
SMALL = {"hidden_layer_sizes": (8, 8), "n_members": 4, "epochs": 5, "random_state": 0}


def tiny(model=None, **params):
    """Return the estimator that is enough for most tests, unfitted."""
    return KerasMultiLabelClassifier(model, **{"hidden_layer_sizes": (8,), "epochs": 3, "random_state": 0} | params)
