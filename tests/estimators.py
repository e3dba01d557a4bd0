"""The small estimators that tests train."""

from skml import KerasMultiLabelClassifier

# Four members of one kind, so that there are folds, and two layers, so that one has a residual connection.
SMALL = {"hidden_layer_sizes": (8, 8), "inputs": "plain", "n_members": 4, "epochs": 5, "random_state": 0}


def tiny(model=None, **params):
    """Return the estimator that is enough for most tests, unfitted."""
    size = {"hidden_layer_sizes": (8,)} if model is None else {}
    return KerasMultiLabelClassifier(model, **{**size, "epochs": 3, "random_state": 0} | params)
