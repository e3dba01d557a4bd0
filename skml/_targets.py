"""The one door for ``y``: every form that a target may take becomes one 0/1 matrix, and back."""

import warnings
from collections.abc import Sequence, Set
from numbers import Number

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

FORMS = """y must be one of
  - a list (or Series, or 1-D object array) of label collections: [{"a", "b"}, {"b"}, set()]
  - a 2-D array, sparse matrix or DataFrame of 0 and 1, one column per label: [[1, 1], [0, 1], [0, 0]];
    NaN is a cell that is not known
  - a 1-D array of one label per row: ["a", "b", "a"]"""

# Above this many cells the 0/1 matrix of label collections or classes is built as CSR.
_MAX_DENSE_CELLS = 2**22


class TargetEncoder(BaseEstimator):
    """Read every form of ``y`` into a 0/1 matrix, and give decisions back in the same form.

    The first rule that matches decides the form: a DataFrame or sparse matrix and a 2-D array are
    indicators, a 1-D array holds one label per row, rectangular lists of 0 and 1 are indicators (the
    convention of scikit-learn), and everything else must be collections of labels.

    Parameters
    ----------
    classes : array-like of shape (n_labels,), default=None
        The label space. None takes it from the ``y`` given to `fit`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_labels,)
        The labels, in the order of the matrix's columns.
    form_ : {"dataframe", "sparse", "indicator", "single", "collections"}
        The form of the ``y`` seen in `fit`.
    target_type_ : {"multilabel-indicator", "binary", "multiclass"}
        scikit-learn's name for the kind of problem.
    dtype_ : numpy.dtype
        What `inverse_transform` answers in.

    Examples
    --------
    >>> from skml._targets import TargetEncoder
    >>> encoder = TargetEncoder()
    >>> encoder.fit_transform([{"b", "a"}, set(), ("b",)])
    array([[1, 1],
           [0, 0],
           [0, 1]], dtype=uint8)
    >>> encoder.inverse_transform([[True, False]])
    array([('a',)], dtype=object)
    """

    def __init__(self, classes=None):
        self.classes = classes

    def fit(self, y):
        """Learn the form and the label space of ``y``; the encoder itself is returned."""
        y = _opened(y)
        labels = None if self.classes is None else _label_space(self.classes)
        form = _form_of(y)
        if form == "rows" and labels is not None and _are_label_ids(y, labels):
            form = "collections"
        read = {
            "dataframe": self._fit_dataframe,
            "sparse": self._fit_sparse,
            "indicator": self._fit_indicator,
            "rows": self._fit_indicator,
            "single": self._fit_single,
            "collections": self._fit_collections,
        }
        self.form_ = "indicator" if form == "rows" else form
        self.target_type_ = "multilabel-indicator"
        self.dtype_ = np.dtype(object)
        read[form](y, labels)
        if len(self.classes_) == 0:
            raise ValueError(
                "The label space is empty: no row of y has a label. Pass classes=[...] to name the labels."
            )
        return self

    def fit_transform(self, y):
        """Fit to ``y`` and return its matrix, as `transform` does."""
        return self.fit(y).transform(y)

    def transform(self, y):
        """Return ``y`` as a 0/1 matrix.

        Parameters
        ----------
        y : any form of the class' description
            Where the form is ambiguous, the one seen in `fit` is taken.

        Returns
        -------
        Y : ndarray or csr_array of shape (n_samples, n_outputs), uint8
            One column per label. One label per row gives one column for two classes (the second
            class is 1) and one column per class for more. If an indicator has cells that are not
            known, float32 with NaN there.

        Raises
        ------
        ValueError
            If ``y`` has no known form, holds other values than 0, 1 and NaN in an indicator, or a label
            that is not in ``classes_``.
        """
        Y, unknown = self._read(y)
        if unknown:
            raise ValueError(_unknown_labels_message(unknown, self.classes_))
        return Y

    def transform_known(self, y):
        """Return ``y`` as a 0/1 matrix without the labels that are not in ``classes_``.

        Returns
        -------
        Y : ndarray or csr_array of shape (n_samples, n_outputs)
            As `transform` returns it.
        unknown : dict
            Row number -> list of the labels of that row that are not in ``classes_``.
        """
        return self._read(y)

    def inverse_transform(self, decisions):
        """Return decisions in the form of the ``y`` seen in `fit`.

        Parameters
        ----------
        decisions : array-like or sparse matrix of bool, shape (n_samples, n_labels), or of int, (n_samples,)
            Labels decided for; for one label per row the column number of the class.

        Returns
        -------
        y : ndarray of shape (n_samples, n_labels) or (n_samples,), or sparse matrix
        """
        if self.form_ == "single":
            return self.classes_[np.asarray(decisions)]
        if self.form_ == "sparse":
            return self.sparse_container_(decisions, dtype=self.dtype_)
        decisions = np.asarray(decisions)
        if self.form_ != "collections":
            return decisions.astype(self.dtype_)
        y = np.empty(len(decisions), dtype=object)
        rows, columns = np.nonzero(decisions)
        chosen = np.split(columns, np.searchsorted(rows, np.arange(1, len(decisions))))
        for i in range(len(decisions)):
            y[i] = tuple(self._labels[j] for j in chosen[i])
        return y

    def has_label_space(self, classes):
        """Whether ``classes`` names this label space: in the same order, where the order is the user's."""
        labels = _label_space(classes)
        return (labels if self.is_multilabel else _sorted_labels(labels)) == self._labels

    @property
    def is_multilabel(self):
        """Whether a row may have any number of labels."""
        return self.form_ != "single"

    @property
    def n_outputs(self):
        """Number of units of a network for this target: one for two classes of single labels."""
        return 1 if self.target_type_ == "binary" else len(self.classes_)

    def _fit_dataframe(self, y, labels):
        cells = _dataframe_cells(y)
        self.dtype_ = cells.dtype if cells.dtype.kind in "biu" else np.dtype(np.int64)
        self._set_classes(list(y.columns) if labels is None else labels)

    def _fit_sparse(self, y, labels):
        # The container is kept as a class, so that CSR of the same family comes back.
        self.sparse_container_ = sparse.csr_array if isinstance(y, sparse.sparray) else sparse.csr_matrix
        self.dtype_ = y.dtype
        self._set_classes(_columns_or(labels, y.shape[1]))

    def _fit_indicator(self, y, labels):
        cells = np.asarray(y)
        self.dtype_ = cells.dtype if cells.dtype.kind in "biuf" else np.dtype(np.int64)
        self._set_classes(_columns_or(labels, cells.shape[1]))

    def _fit_single(self, y, labels):
        values = _single_labels(y)
        _warn_of_joined_labels(values)
        self.dtype_ = values.dtype
        self.classes_ = np.unique(values if labels is None else _labels_like(values, _sorted_labels(labels)))
        self._labels = self.classes_.tolist()
        if len(self.classes_) == 1:
            raise ValueError(
                f"y holds only one class, {self._labels[0]!r}, and a classifier needs at least two. "
                "If the others are only missing from this y, pass classes=[...]."
            )
        self.target_type_ = "binary" if len(self.classes_) == 2 else "multiclass"

    def _fit_collections(self, y, labels):
        if labels is None:
            labels = _sorted_labels({label for row in _label_rows(y) for label in row})
        self._set_classes(labels)

    def _set_classes(self, labels):
        self._labels = _label_space(labels)
        self.classes_ = _as_classes(self._labels)

    def _read(self, y):
        """Return the 0/1 matrix of y and a dict of row -> labels that are not in classes_."""
        check_is_fitted(self)
        y = _opened(y)
        form = _form_of(y)
        if form == "rows":
            as_ids = self.form_ == "collections" and _are_label_ids(y, self._labels, strict=False)
            form = "collections" if as_ids else "indicator"
        if form == "single" and self.is_multilabel and np.ndim(y) == 2:
            form = "indicator"
        if (form == "single") != (self.form_ == "single"):
            seen = "one label per row" if self.form_ == "single" else "any number of labels per row"
            got = "one label per row" if form == "single" else "label collections or an indicator"
            raise ValueError(f"y held {seen} in fit; got {got}.")
        if form == "single":
            return self._read_single(y)
        if form == "collections":
            return self._read_collections(y)
        Y = self._aligned_cells(y) if form == "dataframe" else _binary_cells(y)
        if Y.shape[1] != len(self._labels):
            raise ValueError(f"y has {Y.shape[1]} columns, but the label space has {len(self._labels)} labels.")
        return Y, {}

    def _read_single(self, y):
        index = {label: j for j, label in enumerate(self._labels)}
        values = _single_labels(y).tolist()
        codes = [index.get(value, -1) for value in values]
        unknown = {i: [values[i]] for i, code in enumerate(codes) if code < 0}
        if self.target_type_ == "binary":
            return np.asarray([[code == 1] for code in codes], dtype=np.uint8), unknown
        return _matrix([[code] if code >= 0 else [] for code in codes], len(index)), unknown

    def _read_collections(self, y):
        index = {label: j for j, label in enumerate(self._labels)}
        rows = _label_rows(y)
        unknown = {i: missing for i, row in enumerate(rows) if (missing := [v for v in row if v not in index])}
        columns = [sorted({index[label] for label in row if label in index}) for row in rows]
        return _matrix(columns, len(index)), unknown

    def _aligned_cells(self, y):
        columns = list(y.columns)
        missing = [label for label in self._labels if label not in columns]
        extra = [column for column in columns if column not in set(self._labels)]
        if missing or extra:
            raise ValueError(
                "The columns of y must be the labels."
                + (f" Missing: {_shown(missing)}." if missing else "")
                + (f" Unknown: {_shown(extra)}." if extra else "")
            )
        order = [columns.index(label) for label in self._labels]
        return _binary_cells(_dataframe_cells(y))[:, order]


def same_label_space(first, second):
    """Whether two values of ``classes`` name the same labels in the same order."""
    return _label_space(first) == _label_space(second)


def _opened(y):
    """Return Series, tensors and the like as arrays."""
    is_array = hasattr(y, "__array__") and not (_is_dataframe(y) or sparse.issparse(y))
    return np.asarray(y) if is_array else y


def _form_of(y):
    if y is None:
        raise ValueError("fit requires y to be passed, but the target y is None.\n" + FORMS)
    if _is_dataframe(y):
        return "dataframe"
    if sparse.issparse(y):
        if y.ndim != 2:
            raise ValueError(f"A sparse y must have 2 dimensions; got {y.ndim}.\n" + FORMS)
        return "sparse"
    if isinstance(y, np.ndarray) and y.ndim != 1:
        return _form_of_array(y)
    if isinstance(y, str | bytes | dict) or not hasattr(y, "__len__"):
        raise ValueError(f"Got y of type {type(y).__name__}.\n" + FORMS)
    if isinstance(y, np.ndarray) and y.dtype.kind in "biufcUSMm":
        return "single"
    return _form_of_items(y)


def _form_of_array(y):
    if y.ndim != 2:
        raise ValueError(f"y must have 1 or 2 dimensions; got {y.ndim}.\n" + FORMS)
    if y.shape[1] == 1:
        return "single"
    if y.dtype.kind in "US" or (y.dtype == object and any(isinstance(v, str) for v in y.flat)):
        raise ValueError(
            "A 2-D array of strings is not an indicator. If each row lists the labels of a sample, pass y.tolist().\n"
            + FORMS
        )
    return "indicator"


def _form_of_items(y):
    items = list(y)
    if not items:
        raise ValueError("y has no rows.\n" + FORMS)
    if any(item is None for item in items):
        raise ValueError("y holds None as an item; a row without labels is an empty collection, such as ().")
    scalar = [isinstance(item, str | bytes | Number | np.generic) for item in items]
    if all(scalar):
        return "single"
    if any(scalar):
        _label_rows(items)  # raises, naming the item
    if any(np.ndim(item) > 1 for item in items if isinstance(item, np.ndarray)):
        raise ValueError("y must have 1 or 2 dimensions; got rows that are 2-D.\n" + FORMS)
    return "rows" if isinstance(y, list | tuple) and _are_indicator_rows(items) else "collections"


def _are_indicator_rows(items):
    if not all(isinstance(item, list | tuple | np.ndarray) for item in items):
        return False
    width = len(items[0])
    if width < 2 or any(len(item) != width for item in items):
        return False
    values = (value for item in items for value in item)
    return all(
        isinstance(v, Number | np.generic) and not isinstance(v, str) and (v in (0, 1) or v != v) for v in values
    )


def _are_label_ids(rows, labels, strict=True):
    """Whether rows of 0 and 1 are better read as ids: with `strict`, if they cannot be an indicator."""
    known = set(labels)
    return not (strict and len(rows[0]) == len(labels)) and all(value in known for row in rows for value in row)


def _is_dataframe(y):
    return hasattr(y, "columns") and hasattr(y, "to_numpy") and not sparse.issparse(y)


def _dataframe_cells(y):
    """Return the cells of a pandas or polars DataFrame as one array; a missing cell is NaN."""
    if hasattr(y, "isna") and y.isna().to_numpy().any():
        return y.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    cells = y.to_numpy()
    if cells.dtype != object:
        return cells
    kinds = {type(value) for value in cells.flat}
    return cells.astype(bool if kinds <= {bool, np.bool_} else np.float64 if str not in kinds else object)


def _binary_cells(y):
    """Return an indicator as uint8, dense or CSR, after making sure that it holds 0 and 1 only."""
    if sparse.issparse(y):
        Y = sparse.csr_array(y, copy=True)
        Y.sum_duplicates()
        Y.eliminate_zeros()
        return Y.astype(_checked_dtype(Y.data))
    cells = np.asarray(y)
    if cells.dtype == object:
        is_missing = np.array([type(value).__name__ == "NAType" for value in cells.flat]).reshape(cells.shape)
        try:
            cells = np.where(is_missing, np.nan, cells).astype(np.float64)
        except (TypeError, ValueError):
            raise ValueError("An indicator y must hold 0 and 1; got values that are no numbers.\n" + FORMS) from None
    return cells.astype(_checked_dtype(cells))


def _checked_dtype(cells):
    """Return the dtype for the cells of an indicator, after making sure that they hold 0, 1 and NaN only."""
    if cells.dtype.kind == "b":
        return np.uint8
    if cells.dtype.kind not in "iuf":
        raise ValueError(f"An indicator y must hold 0 and 1; got dtype {cells.dtype}.\n" + FORMS)
    wrong = cells[(cells != 0) & (cells != 1)]
    if not wrong.size:
        return np.uint8
    if np.isnan(wrong).all():
        return np.float32
    wrong = np.unique(wrong[~np.isnan(wrong)])
    raise ValueError(f"An indicator y must hold 0 and 1; got {_shown(wrong.tolist())}.\n" + FORMS)


def _single_labels(y):
    values = column_or_1d(np.asarray(y), warn=True)
    if values.dtype.kind == "O" or isinstance(y, list | tuple):
        _sorted_labels(set(y if isinstance(y, list | tuple) else values.tolist()))  # NumPy would make 1 and "a" strings
    if values.dtype.kind == "f":
        assert_all_finite(values, input_name="y")
    check_classification_targets(values)
    return values


def _warn_of_joined_labels(values):
    """Warn if most of the labels look like several, joined by commas or the like."""
    labels = (
        [value for value in np.unique(values).tolist() if isinstance(value, str)] if values.dtype.kind in "OUS" else []
    )
    for separator in ",;|":
        joined = [label for label in labels if separator in label]
        if 2 * len(joined) > len(labels):
            warnings.warn(
                f"y holds strings such as {joined[0]!r}, each read as one label. If they are label sets, pass "
                f"[row.split({separator!r}) for row in y].",
                stacklevel=6,
            )


def _labels_like(values, labels):
    """Return labels in the dtype of y, which predict answers in, if that can hold them."""
    if values.dtype.kind in "US":
        return np.asarray(labels)  # the dtype of strings is their length, which labels may exceed
    try:
        space = np.array(labels, dtype=values.dtype)
        if space.tolist() == labels:
            return space
    except (TypeError, ValueError, OverflowError):
        pass
    return np.asarray(labels, dtype=None if all(isinstance(label, Number) for label in labels) else object)


def _label_rows(y):
    """Return label collections as lists of Python objects."""
    return [_label_row(row, i) for i, row in enumerate(y)]


def _label_row(row, i):
    if not isinstance(row, Set | Sequence | np.ndarray) or isinstance(row, str | bytes):
        raise ValueError(f"y[{i}] is {row!r}, where a collection of labels is expected. {_mend(row)}\n" + FORMS)
    if getattr(row, "ndim", 1) != 1:
        raise ValueError(f"y[{i}] is an array of {row.ndim} dimensions; a collection of labels has one.")
    labels = [label.item() if isinstance(label, np.generic) else label for label in row]
    for label in labels:
        try:
            hash(label)
        except TypeError:
            raise ValueError(f"y[{i}] holds the label {label!r}, which is not hashable.\n" + FORMS) from None
        if label is None:
            raise ValueError(f"y[{i}] holds None as a label; a row without labels is an empty collection, ().")
    return labels


def _mend(row):
    if isinstance(row, dict):
        return "For rows of label -> 0 or 1 pass a DataFrame."
    is_label = isinstance(row, str | Number) and row == row
    return f"Write ({row!r},)." if is_label else "A row without labels is an empty collection, such as ()."


def _label_space(classes):
    if isinstance(classes, str | bytes) or not hasattr(classes, "__len__"):
        raise ValueError(f"classes must be a list of labels; got {classes!r}.")
    labels = [label.item() if isinstance(label, np.generic) else label for label in classes]
    if isinstance(classes, Set):
        labels = _sorted_labels(classes)
    if len(set(labels)) != len(labels):
        twice = [label for label in set(labels) if labels.count(label) > 1]
        raise ValueError(f"The labels must differ from each other; got {_shown(twice)} more than once.")
    return labels


def _sorted_labels(labels):
    try:
        return sorted(labels)
    except TypeError:
        kinds = sorted({type(label).__name__ for label in labels})
        raise ValueError(
            f"Labels of the types {', '.join(kinds)} cannot be sorted together (strings and numbers are not "
            "compared). Use one type, or fix the order with classes=[...]."
        ) from None


def _as_classes(labels):
    if all(isinstance(label, int) and not isinstance(label, bool) for label in labels):
        return np.array(labels, dtype=np.int64)
    classes = np.empty(len(labels), dtype=object)
    classes[:] = labels
    return classes


def _columns_or(labels, width):
    if labels is None:
        return list(range(width))
    if len(labels) != width:
        raise ValueError(f"y has {width} columns, but classes names {len(labels)} labels.")
    return labels


def _matrix(columns, width):
    """Return the 0/1 matrix whose row i has ones in columns[i]: dense, or CSR where that is large."""
    splits = np.cumsum([0] + [len(row) for row in columns])
    indices = np.fromiter((j for row in columns for j in row), dtype=np.int32, count=splits[-1])
    Y = sparse.csr_array((np.ones(len(indices), np.uint8), indices, splits), shape=(len(columns), width))
    return Y if len(columns) * width > _MAX_DENSE_CELLS else Y.toarray()


def _unknown_labels_message(unknown, classes):
    labels = list(dict.fromkeys(label for row in unknown.values() for label in row))
    return (
        f"y holds labels that are not in classes: {_shown(labels)} (first in row {min(unknown)}). "
        f"The label space is {_shown(classes.tolist())}."
    )


def _shown(values, limit=10):
    more = f", ... ({len(values)} in all)" if len(values) > limit else ""
    return ", ".join(repr(value) for value in values[:limit]) + more
