"""Multi-label scores that support missing labels, and scorers that accept ``y`` in every form.

The score functions take label sets, and 0/1 matrices, in which NaN marks a missing label. Without missing labels they
return the same values as scikit-learn's functions. The scorers are for ``scoring=`` and take ``y`` in every form that
`KerasMultiLabelClassifier` takes, including problems with exactly two labels.
"""

from skml.metrics._classification import (
    accuracy_score,
    f1_score,
    hamming_loss,
    jaccard_score,
    precision_score,
    recall_score,
)
from skml.metrics._ranking import (
    average_precision_score,
    coverage_error,
    label_ranking_average_precision_score,
    label_ranking_loss,
    log_loss,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
    roc_auc_score,
)
from skml.metrics._scorer import get_scorer, get_scorer_names, make_scorer

__all__ = [
    "accuracy_score",
    "average_precision_score",
    "coverage_error",
    "f1_score",
    "get_scorer",
    "get_scorer_names",
    "hamming_loss",
    "jaccard_score",
    "label_ranking_average_precision_score",
    "label_ranking_loss",
    "log_loss",
    "make_scorer",
    "ndcg_at_k",
    "precision_at_k",
    "precision_score",
    "recall_at_k",
    "recall_score",
    "roc_auc_score",
]
