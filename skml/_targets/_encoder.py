"""Convert every form of ``y`` to a label matrix of 0 and 1, and predictions back to the form of ``y``."""

import copy
import enum

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skml._targets._forms import (
    are_label_ids,
    as_array,
    check_no_soft_rows,
    form_of,
    label_rows,
    rows_as_array,
    single_labels,
    with_soft_rows,
)
from skml._targets._hierarchy import hierarchy_of
from skml._targets._joined import warn_about_joined_labels, warn_about_lookalikes
from skml._targets._labels import (
    as_classes,
    as_labels,
    column_order,
    format_values,
    label_space,
    labels_like,
    labels_of_columns,
    sorted_labels,
    unknown_labels_message,
)
from skml._targets._matrix import binary_entries, dataframe_entries, hard_labels, matrix_of, to_dense
from skml._targets._weights import (
    ClassWeight,
    class_codes,
    entry_weights,
    joined_weights,
    positive_weights,
    weights_by_class,
)

_HOW_TO_ADD_LABELS = "To train on new labels, pass all labels as classes=[...] to the estimator or to partial_fit."


class TargetKind(enum.Enum):
    """The type of the target, with the names of scikit-learn's ``type_of_target`` as values."""

    MULTILABEL = "multilabel-indicator"
    BINARY = "binary"
    MULTICLASS = "multiclass"


class TargetEncoder(BaseEstimator):
    """Convert every form of ``y`` to a 0/1 matrix, and decisions back to the same form.

    The first rule that matches decides the form:

    1. A DataFrame, a sparse matrix or a 2-D array with several columns is an indicator.
    2. A 1-D array or list of scalars, or a column vector, is single-label (binary or multi-class).
    3. Rectangular lists of 0 and 1 are an indicator, as in scikit-learn.
    4. Everything else must be collections of labels.

    Parameters
    ----------
    classes : array-like of shape (n_labels,), default=None
        The label space. If None, it is inferred from the ``y`` passed to `fit`.
    soft_labels : bool, default=False
        Whether an indicator may hold probabilities.
    hierarchy : mapping label -> parent or parents, default=None
        Matrices are closed upwards: a label implies its parents.

    Attributes
    ----------
    classes_ : ndarray of shape (n_labels,)
        The labels, in the order of the columns of the matrix.
    form_ : {"dataframe", "sparse", "indicator", "single", "collections"}
        The form of ``y`` in `fit`.
    target_type_ : {"multilabel-indicator", "binary", "multiclass"}
        The type of the target, named as in scikit-learn.
    dtype_ : numpy.dtype
        The dtype of the output of `inverse_transform`.

    Examples
    --------
    >>> from skml._targets._encoder import TargetEncoder
    >>> encoder = TargetEncoder()
    >>> encoder.fit_transform([{"b", "a"}, set(), ("b",)])
    array([[1, 1],
           [0, 0],
           [0, 1]], dtype=uint8)
    >>> encoder.inverse_transform([[True, False]])
    array([('a',)], dtype=object)
    """

    def __init__(self, classes=None, soft_labels=False, hierarchy=None):
        self.classes = classes
        self.soft_labels = soft_labels
        self.hierarchy = hierarchy

    def fit(self, y):
        """Learn the form and the label space of ``y``, and return the encoder."""
        y = self._as_array(y)
        labels = None if self.classes is None else label_space(self.classes)
        form = self._form_in_fit(y)
        if form == "rows" and labels is not None and are_label_ids(y, labels):
            form = "collections"
        y = rows_as_array(y) if form == "rows" else y
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
                "The label space is empty, because no sample of y has a label. Name the labels with classes=[...]."
            )
        self._link()
        return self

    def fit_transform(self, y):
        """Fit to ``y`` and return its 0/1 matrix, like `transform`."""
        return self.fit(y).transform(y)

    def transform(self, y):
        """Return ``y`` as a 0/1 matrix.

        Parameters
        ----------
        y : any form in the description of the class
            If the form is ambiguous, the form of ``y`` in `fit` is assumed.

        Returns
        -------
        Y : ndarray or csr_array of shape (n_samples, n_outputs), uint8
            For multi-label ``y``, one column per label. For binary ``y``, a single column that is 1 for the second
            class. For multi-class ``y``, one column per class. The dtype is float32 if an indicator has missing
            labels, which are NaN, or soft labels.

        Raises
        ------
        ValueError
            If ``y`` has none of the supported forms, an indicator holds other values than 0, 1 and NaN, or a label
            is not in ``classes_``.
        """
        Y, unknown = self.transform_known(y)
        if unknown:
            raise ValueError(f"{unknown_labels_message(unknown, self.classes_)} {_HOW_TO_ADD_LABELS}")
        return Y

    def transform_known(self, y):
        """Return ``y`` as a 0/1 matrix of the labels in ``classes_``, and the unknown labels separately.

        Returns
        -------
        Y : ndarray or csr_array of shape (n_samples, n_outputs)
            The same matrix as from `transform`, without the unknown labels.
        unknown : dict
            Maps the number of a row to the list of its labels that are not in ``classes_``.
        """
        Y, unknown = self._read(y)
        return Y if self.links_ is None else self.links_.closed(Y), unknown

    def inverse_transform(self, Y):
        """Convert a 0/1 matrix, as returned by `transform`, to the form of ``y`` in `fit`.

        Parameters
        ----------
        Y : array-like or sparse matrix of shape (n_samples, n_outputs)
            The decisions, as 0 and 1 or bool.

        Returns
        -------
        y : ndarray of shape (n_samples, n_labels) or (n_samples,), or sparse matrix
        """
        if self.form_ == "sparse":
            return self.sparse_container_(Y, dtype=self.dtype_)
        Y = np.asarray(to_dense(Y))
        if self.form_ == "single":
            return self.classes_[class_codes(Y)]
        if self.form_ != "collections":
            return Y.astype(self.dtype_)
        y = np.empty(len(Y), dtype=object)
        rows, columns = np.nonzero(Y)
        chosen = np.split(columns, np.searchsorted(rows, np.arange(1, len(Y))))
        for i in range(len(Y)):
            y[i] = tuple(self._labels[j] for j in chosen[i])
        return y

    def inverse_blocks(self, blocks):
        """Apply `inverse_transform` to blocks of rows and concatenate them; a sparse ``y`` never becomes dense."""
        parts = [self.inverse_transform(block) for block in blocks]
        if len(parts) == 1:
            return parts[0]
        return sparse.vstack(parts, format="csr") if self.form_ == "sparse" else np.concatenate(parts)

    def class_columns(self, outputs):
        """Return the probabilities of the output units as one column for each of ``classes_``."""
        return np.hstack([1 - outputs, outputs]) if self.kind is TargetKind.BINARY else outputs

    def output_columns(self, columns):
        """Return the columns of the output units from one column for each of ``classes_``."""
        return columns[:, 1:] if self.kind is TargetKind.BINARY else columns

    def truth(self, Y):
        """Return a matrix, as from `transform`, with soft labels as 0 and 1: those of at least 0.5 are 1."""
        return hard_labels(Y) if self.soft_labels else Y

    def coherent(self, scores):
        """Return probabilities or log-odds of the output units, raised to those of the labels' descendants."""
        return scores if self.links_ is None else self.links_.raised(scores)

    def output_of_class(self, j):
        """Return the output unit of class `j`, and the sign of its log-odds: -1 for the first class of binary ``y``."""
        return (0, 2 * j - 1) if self.kind is TargetKind.BINARY else (j, 1)

    def class_thresholds(self, thresholds):
        """Return a threshold for each of ``classes_``; the two thresholds of binary ``y`` add up to 1."""
        return np.append(1 - thresholds[1], thresholds[1:]) if self.kind is TargetKind.BINARY else thresholds

    def class_scores(self, outputs):
        """Return the scores of the output units in the shape of ``decision_function``: 1-D for binary ``y``."""
        return outputs.ravel() if self.kind is TargetKind.BINARY else outputs

    def base_log_odds(self, Y, weight, positive_weight=None, label_weight=None):
        """Return the log-odds of the base rates of the labels; for multi-class y, log-probabilities of the classes.

        Parameters
        ----------
        Y : ndarray or csr_array of shape (n_samples, n_outputs)
        weight : ndarray of shape (n_samples, n_members)
            Weights of the rows for each member of the ensemble.
        positive_weight : ndarray of shape (n_outputs,), default=None
            Weights of the positive entries of each label.
        label_weight : ndarray of shape (n_samples, n_outputs), default=None
            Weights of the labels relative to those of the rows.

        Returns
        -------
        ndarray of shape (n_members, n_outputs)
        """
        totals = [entry_weights(Y, joined_weights(w, label_weight)) for w in weight.T]
        positives, negatives = np.moveaxis(totals, 1, 0)
        if self.kind is TargetKind.MULTICLASS:
            return np.log((positives + 0.5) / (positives + 0.5).sum(axis=1, keepdims=True))
        return np.log((positives + 0.5) * (1.0 if positive_weight is None else positive_weight)) - np.log(
            negatives + 0.5
        )

    def class_weight(self, class_weight, Y, weight):
        """Resolve the parameter ``class_weight`` for the matrix Y and its sample weights, as a `ClassWeight`."""
        if class_weight is None:
            return ClassWeight()
        if self.is_multilabel:
            return ClassWeight(positive=positive_weights(class_weight, self._labels, Y, weight))
        return ClassWeight(by_class=weights_by_class(class_weight, self._labels, class_codes(Y), weight))

    def has_label_space(self, classes):
        """Return whether ``classes`` is this label space; its order matters for multi-label ``y`` only."""
        labels = label_space(classes)
        return (labels if self.is_multilabel else sorted_labels(labels)) == self._labels

    def with_label_space(self, classes):
        """Return an encoder for the same form of ``y`` and another label space that shares labels with this one."""
        labels = label_space(classes)
        differs = f"classes={classes!r} differs from the labels of the previous fit, {format_values(self._labels)}"
        if not self.is_multilabel:
            raise ValueError(
                f"{differs}. For single-label (binary or multi-class) y, the classes cannot change when training is "
                "resumed. Fit a new estimator."
            )
        if set(labels).isdisjoint(self._labels):
            raise ValueError(
                f"{differs}, and contains none of them. Include the labels that you want to keep, or fit a new "
                "estimator."
            )
        encoder = copy.copy(self)
        encoder.classes = labels
        encoder._set_classes(labels)
        encoder._link()
        return encoder

    def with_params(self, classes, soft_labels, hierarchy):
        """Return an encoder for the same form of ``y`` with other parameters; None for the same label space."""
        encoder = copy.copy(self)
        encoder.soft_labels, encoder.hierarchy = soft_labels, hierarchy
        if classes is None or encoder.has_label_space(classes):
            encoder._link()
            return encoder
        return encoder.with_label_space(classes)

    def columns_in(self, previous):
        """Return each label's column in the matrix of a previous encoder, -1 if new; None if all labels are equal."""
        if self._labels == previous._labels:
            return None
        index = {label: j for j, label in enumerate(previous._labels)}
        return np.array([index.get(label, -1) for label in self._labels])

    @property
    def kind(self):
        """The type of the target as a `TargetKind`."""
        return TargetKind(self.target_type_)

    @property
    def is_sparse(self):
        """Whether ``y`` was a sparse matrix in `fit`."""
        return self.form_ == "sparse"

    @property
    def has_label_sets(self):
        """Whether ``y`` was a collection of label sets in `fit`."""
        return self.form_ == "collections"

    @property
    def has_columns(self):
        """Whether ``y`` had a column for each label in `fit`."""
        return self.form_ not in ("single", "collections")

    @property
    def is_multilabel(self):
        """Whether a sample may have any number of labels."""
        return self.kind is TargetKind.MULTILABEL

    @property
    def threshold_labels(self):
        """The labels that have a threshold: all for multi-label ``y``, the second for binary ``y``, else none."""
        if self.is_multilabel:
            return self._labels
        return self._labels[1:] if self.kind is TargetKind.BINARY else []

    @property
    def meta(self):
        """The description of the target that is passed to the builder of a custom network."""
        return {
            "n_classes_": len(self.classes_),
            "n_outputs_": self.n_outputs,
            "output_activation_": "softmax" if self.kind is TargetKind.MULTICLASS else "sigmoid",
            "target_type_": self.target_type_,
            "classes_": self.classes_,
        }

    @property
    def n_outputs(self):
        """Number of output units of a network: one for binary ``y``, otherwise one per label or class."""
        return 1 if self.kind is TargetKind.BINARY else len(self.classes_)

    def _as_array(self, y):
        y = as_array(y)
        return with_soft_rows(y) if self.soft_labels else y

    def _form_in_fit(self, y):
        form = form_of(y)
        if form == "single" and self.soft_labels:
            if np.ndim(y) == 2:
                return "indicator"
            raise ValueError(
                "soft_labels=True is for multi-label y, but y holds a single label per sample. Pass an array of "
                "probabilities of shape (n_samples, n_labels), or set soft_labels=False."
            )
        return form

    def _link(self):
        """Set the links of the hierarchy between the labels, None without a hierarchy."""
        if self.hierarchy and not self.is_multilabel:
            raise ValueError(
                f"hierarchy={self.hierarchy!r} is for multi-label y, but y holds a single label per sample. Pass label "
                "sets, such as [{label} for label in y], or set hierarchy=None."
            )
        self.links_ = hierarchy_of(self.hierarchy, self._labels)

    def _fit_dataframe(self, y, labels):
        entries = dataframe_entries(y)
        self.dtype_ = entries.dtype if entries.dtype.kind in "biu" else np.dtype(np.int64)
        self._set_classes(label_space(list(y.columns), "The columns of y") if labels is None else labels)

    def _fit_sparse(self, y, labels):
        # Predictions are CSR of the same family as y: sparse array or sparse matrix.
        self.sparse_container_ = sparse.csr_array if isinstance(y, sparse.sparray) else sparse.csr_matrix
        self.dtype_ = y.dtype
        self._set_classes(labels_of_columns(labels, y.shape[1]))

    def _fit_indicator(self, y, labels):
        entries = np.asarray(y)
        self.dtype_ = entries.dtype if entries.dtype.kind in "biuf" else np.dtype(np.int64)
        self._set_classes(labels_of_columns(labels, entries.shape[1]))

    def _fit_single(self, y, labels):
        values = single_labels(y)
        texts = np.unique(values).tolist() if values.dtype.kind in "OUS" else []
        warn_about_joined_labels(texts)
        if labels is None:
            warn_about_lookalikes(texts, are_sets=False)
        self.dtype_ = values.dtype
        self.classes_ = np.unique(values if labels is None else labels_like(values, sorted_labels(labels)))
        self._labels = as_labels(self.classes_)
        if len(self.classes_) == 1:
            raise ValueError(
                f"y holds only one class, {self._labels[0]!r}, but a classifier needs at least two. If the other "
                "classes do not occur in this y, pass all classes as classes=[...]."
            )
        self.target_type_ = "binary" if len(self.classes_) == 2 else "multiclass"

    def _fit_collections(self, y, labels):
        if labels is None:
            check_no_soft_rows(y)
            labels = sorted_labels({label for row in label_rows(y) for label in row})
            warn_about_lookalikes(labels, are_sets=True)
        self._set_classes(labels)

    def _set_classes(self, labels):
        self._labels = label_space(labels)
        self.classes_ = as_classes(self._labels)

    def _read(self, y):
        """Return the 0/1 matrix of y and a dict of row -> labels that are not in ``classes_``."""
        check_is_fitted(self)
        y = self._as_array(y)
        form = form_of(y)
        if form == "rows":
            as_ids = self.form_ == "collections" and are_label_ids(y, self._labels, strict=False)
            form = "collections" if as_ids else "indicator"
            y = y if as_ids else rows_as_array(y)
        if form == "single" and self.is_multilabel and np.ndim(y) == 2:
            form = "indicator"
        if (form == "single") != (self.form_ == "single"):
            expected, got = "single-label (binary or multi-class)", "multi-label (label sets or an indicator)"
            if self.form_ != "single":
                expected, got = got, expected
            raise ValueError(f"y must be {expected}, as in fit; got y that is {got}.")
        if form == "single":
            return self._read_single(y)
        if form == "collections":
            return self._read_collections(y)
        Y = self._aligned_entries(y) if form == "dataframe" else self._entries(y, self._labels)
        if Y.shape[1] != len(self._labels):
            raise ValueError(
                f"y has {Y.shape[1]} columns, but the label space has {len(self._labels)} labels. {_HOW_TO_ADD_LABELS}"
            )
        return Y, {}

    def _read_single(self, y):
        index = {label: j for j, label in enumerate(self._labels)}
        values = as_labels(single_labels(y))
        codes = [index.get(value, -1) for value in values]
        unknown = {i: [values[i]] for i, code in enumerate(codes) if code < 0}
        if self.kind is TargetKind.BINARY:
            return np.asarray([[code == 1] for code in codes], dtype=np.uint8), unknown
        return matrix_of([[code] if code >= 0 else [] for code in codes], len(index)), unknown

    def _read_collections(self, y):
        index = {label: j for j, label in enumerate(self._labels)}
        rows = label_rows(y)
        unknown = {i: others for i, row in enumerate(rows) if (others := [v for v in row if v not in index])}
        columns = [sorted({index[label] for label in row if label in index}) for row in rows]
        return matrix_of(columns, len(index)), unknown

    def _aligned_entries(self, y):
        columns = list(y.columns)
        message = "The columns of y must be the labels of the label space."
        order = column_order(columns, self._labels, message, _HOW_TO_ADD_LABELS)
        return self._entries(dataframe_entries(y), columns)[:, order]

    def _entries(self, y, labels):
        return binary_entries(y, soft_labels=labels if self.soft_labels else None)
