"""Splits that are stratified by label, and probabilities predicted out of fold, for every form of ``y``."""

from skml.model_selection._split import MultiLabelStratifiedKFold, MultiLabelStratifiedShuffleSplit
from skml.model_selection._validation import cross_val_predict_proba

__all__ = ["MultiLabelStratifiedKFold", "MultiLabelStratifiedShuffleSplit", "cross_val_predict_proba"]
