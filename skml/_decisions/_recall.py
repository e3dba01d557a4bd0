"""The threshold that keeps a promise of recall, by conformal risk control."""

import numpy as np

from skml._decisions._blocks import clipped
from skml._decisions._search import next_below, positive_cells
from skml._targets._weights import effective_rows

# Sums of floats may miss the number that is meant by so much.
_ROUNDING = 1e-9


def common_for_recall(cells, promise):
    """Return the highest threshold for all labels at which rows keep a promise of recall on average, and what to say.

    The loss of a row is the share of its true labels that are not predicted, at most 1. Rows without a true label are
    left out: the promise is made to those that have one. The threshold is 0 if even no loss at all would not show it.
    """
    rows, columns = positive_cells(cells.Y)
    n_true = np.bincount(rows, minlength=len(cells.weight))
    weight = np.where(n_true > 0, cells.weight, 0.0)
    n = effective_rows(weight) if rows.size else 0.0
    if 1 / (n + 1) > 1 - promise.level + _ROUNDING:
        return 0.0, (
            f"{str(promise)!r} takes {np.ceil(promise.level / (1 - promise.level) - _ROUNDING):.0f} rows with a true "
            f"label, and there are {n:.0f} (effective): only a threshold of 0 keeps it, which predicts every label."
        )
    values, at = np.unique(clipped(cells.proba[rows, columns]), return_inverse=True)
    missed = np.bincount(at, (weight / np.maximum(n_true, 1))[rows])
    loss = (np.cumsum(missed) - missed) / weight.sum()  # of the cells below each value
    keeps = (n * loss + 1) / (n + 1) <= 1 - promise.level + _ROUNDING
    return next_below(cells, values[np.flatnonzero(keeps)[-1]]), None
