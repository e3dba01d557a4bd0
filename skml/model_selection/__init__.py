"""Splits stratified by label, and out-of-fold probabilities, for every form of ``y``."""

from skml.model_selection._split import (
    MultiLabelStratifiedGroupKFold,
    MultiLabelStratifiedKFold,
    MultiLabelStratifiedShuffleSplit,
    train_test_split,
)
from skml.model_selection._validation import cross_val_predict_proba

__all__ = [
    "MultiLabelStratifiedGroupKFold",
    "MultiLabelStratifiedKFold",
    "MultiLabelStratifiedShuffleSplit",
    "cross_val_predict_proba",
    "train_test_split",
]
