"""Read targets for stratified splits, which need neither the names nor the order of the labels."""

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from skml._targets._forms import (
    as_array,
    check_no_missing_items,
    form_of,
    label_rows,
    rows_as_array,
    with_soft_rows,
)
from skml._targets._labels import as_labels, labels_in_any_order
from skml._targets._matrix import binary_entries, dataframe_entries, matrix_of


def strata_of(y):
    """Return the classes or the label matrix by which to stratify the rows of ``y``.

    Accept some targets that `fit` refuses: a single class, no labels at all, and labels that cannot be sorted. Soft
    labels are accepted, too.

    Parameters
    ----------
    y : any form of target

    Returns
    -------
    classes : ndarray of int, shape (n_samples,), or None
        The class numbers of single-label ``y``.
    Y : ndarray or csr_array of shape (n_samples, n_labels), or None
        The 0/1 matrix of multi-label ``y``, which may have no columns.
    """
    y = with_soft_rows(as_array(y))
    form = form_of(y)
    if form == "single":
        return _class_numbers(y), None
    if form == "dataframe":
        return None, binary_entries(dataframe_entries(y), soft_labels=list(y.columns))
    if form != "collections":
        y = rows_as_array(y) if form == "rows" else y
        return None, binary_entries(y, soft_labels=range(y.shape[1]))
    rows = [set(row) for row in label_rows(y)]
    number = _numbered(set().union(*rows))
    return None, matrix_of([sorted(number[label] for label in row) for row in rows], len(number))


def _class_numbers(y):
    values = column_or_1d(np.asarray(y), warn=True)
    if values.dtype.kind == "f":
        check_classification_targets(values)
    items = list(y) if isinstance(y, list | tuple) else as_labels(values)  # NumPy would convert 1 and "a" to strings
    check_no_missing_items(items)
    number = _numbered(set(items))
    return np.array([number[item] for item in items])


def _numbered(labels):
    return {label: j for j, label in enumerate(labels_in_any_order(labels))}
