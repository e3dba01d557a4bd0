"""Scores for multi-label problems: every form of ``y``, missing labels, and exactly two labels.

The functions take 0/1 matrices, in which NaN is a missing label, and give scikit-learn's numbers
where all entries are known. The scorers, for ``scoring=``, take ``y`` in every form that the estimator takes.
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
