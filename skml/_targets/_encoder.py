"""The one door for ``y``: every form that a target may take becomes one 0/1 matrix, and back."""

import copy
import enum

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skml._targets._forms import (
    are_label_ids,
    as_array,
    form_of,
    label_rows,
    rows_as_array,
    single_labels,
    warn_of_joined_labels,
)
from skml._targets._labels import (
    as_classes,
    as_labels,
    columns_or,
    format_values,
    label_space,
    labels_like,
    sorted_labels,
    unknown_labels_message,
)
from skml._targets._matrix import binary_entries, dataframe_entries, matrix_of, to_dense
from skml._targets._weights import ClassWeight, class_codes, entry_weights, positive_weights, weights_by_class

TO_LEARN_OTHERS = "To learn others, name all labels in classes=[...], of the estimator or of partial_fit."


class TargetKind(enum.Enum):
    """The kind of problem; the values are scikit-learn's names."""

    MULTILABEL = "multilabel-indicator"
    BINARY = "binary"
    MULTICLASS = "multiclass"


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
    >>> from skml._targets._encoder import TargetEncoder
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
        y = as_array(y)
        labels = None if self.classes is None else label_space(self.classes)
        form = form_of(y)
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
            class is 1) and one column per class for more. If an indicator has entries that are not
            known, float32 with NaN there.

        Raises
        ------
        ValueError
            If ``y`` has no known form, holds other values than 0, 1 and NaN in an indicator, or a label
            that is not in ``classes_``.
        """
        Y, unknown = self._read(y)
        if unknown:
            raise ValueError(f"{unknown_labels_message(unknown, self.classes_)} {TO_LEARN_OTHERS}")
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

    def inverse_transform(self, Y):
        """Return a 0/1 matrix, as `transform` makes it, in the form of the ``y`` seen in `fit`.

        Parameters
        ----------
        Y : array-like or sparse matrix of shape (n_samples, n_outputs)
            0 and 1, or bool.

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
        """Return blocks of rows, as `inverse_transform` takes them, as one ``y``, never all dense if it is sparse."""
        parts = [self.inverse_transform(block) for block in blocks]
        if len(parts) == 1:
            return parts[0]
        return sparse.vstack(parts, format="csr") if self.form_ == "sparse" else np.concatenate(parts)

    def class_columns(self, outputs):
        """Return the probabilities of output units with one column for each of ``classes_``."""
        return np.hstack([1 - outputs, outputs]) if self.kind is TargetKind.BINARY else outputs

    def output_columns(self, columns):
        """Return one column for each of ``classes_`` as those of the output units."""
        return columns[:, 1:] if self.kind is TargetKind.BINARY else columns

    def output_of_class(self, j):
        """Return the output unit of one of ``classes_``, and 1, or -1 where its log-odds are those of the other."""
        return (0, 2 * j - 1) if self.kind is TargetKind.BINARY else (j, 1)

    def class_thresholds(self, thresholds):
        """Return a threshold for each of ``classes_``: for binary y the first class gets 1 minus the second's."""
        return np.append(1 - thresholds[1], thresholds[1:]) if self.kind is TargetKind.BINARY else thresholds

    def class_scores(self, outputs):
        """Return log-odds or log-probabilities of output units as ``decision_function`` does: 1-D for two classes."""
        return outputs.ravel() if self.kind is TargetKind.BINARY else outputs

    def base_log_odds(self, Y, weight, positive_weight=None):
        """Return the log-odds of the labels' base rates; for multi-class y the log-probabilities of the classes.

        Parameters
        ----------
        Y : ndarray or csr_array of shape (n_samples, n_outputs)
        weight : ndarray of shape (n_samples, n_members)
        positive_weight : ndarray of shape (n_outputs,), default=None

        Returns
        -------
        ndarray of shape (n_members, n_outputs)
        """
        positives, negatives = np.moveaxis([entry_weights(Y, w) for w in weight.T], 1, 0)
        if self.kind is TargetKind.MULTICLASS:
            return np.log((positives + 0.5) / (positives + 0.5).sum(axis=1, keepdims=True))
        return np.log((positives + 0.5) * (1.0 if positive_weight is None else positive_weight)) - np.log(
            negatives + 0.5
        )

    def class_weight(self, class_weight, Y, weight):
        """Return what a user's ``class_weight`` means for the matrix Y and the weights of its rows, a `ClassWeight`."""
        if class_weight is None:
            return ClassWeight()
        if self.is_multilabel:
            return ClassWeight(positive=positive_weights(class_weight, self._labels, Y, weight))
        return ClassWeight(by_class=weights_by_class(class_weight, self._labels, class_codes(Y), weight))

    def has_label_space(self, classes):
        """Whether ``classes`` names this label space: in the same order, where the order is the user's."""
        labels = label_space(classes)
        return (labels if self.is_multilabel else sorted_labels(labels)) == self._labels

    def with_label_space(self, classes):
        """Return an encoder of the same form of ``y`` for another label space, which has some of these labels."""
        labels = label_space(classes)
        differs = f"classes={classes!r} differs from the labels of the earlier fit, {format_values(self._labels)}"
        if not self.is_multilabel:
            raise ValueError(
                f"{differs}. With one label per row they cannot change, as they share one unit of probability: fit a "
                "new estimator."
            )
        if set(labels).isdisjoint(self._labels):
            raise ValueError(f"{differs}, and has none of them: name those that stay, too, or fit a new estimator.")
        encoder = copy.copy(self)
        encoder.classes = labels
        encoder._set_classes(labels)
        return encoder

    def columns_in(self, earlier):
        """Return the column of each label in an earlier encoder's matrix, -1 for a new label; None if none differs."""
        if self._labels == earlier._labels:
            return None
        index = {label: j for j, label in enumerate(earlier._labels)}
        return np.array([index.get(label, -1) for label in self._labels])

    @property
    def kind(self):
        """The `TargetKind`."""
        return TargetKind(self.target_type_)

    @property
    def is_sparse(self):
        """Whether ``y`` was a sparse matrix."""
        return self.form_ == "sparse"

    @property
    def has_label_sets(self):
        """Whether ``y`` held label sets, that is, labels by name and not by column."""
        return self.form_ == "collections"

    @property
    def is_multilabel(self):
        """Whether a row may have any number of labels."""
        return self.kind is TargetKind.MULTILABEL

    @property
    def threshold_labels(self):
        """Labels that a threshold decides about: all, of two classes the second, of more none."""
        if self.is_multilabel:
            return self._labels
        return self._labels[1:] if self.kind is TargetKind.BINARY else []

    @property
    def meta(self):
        """What the builder of a custom network gets to know of the target."""
        return {
            "n_classes_": len(self.classes_),
            "n_outputs_": self.n_outputs,
            "output_activation_": "softmax" if self.kind is TargetKind.MULTICLASS else "sigmoid",
            "target_type_": self.target_type_,
            "classes_": self.classes_,
        }

    @property
    def n_outputs(self):
        """Number of units of a network for this target: one for two classes of single labels."""
        return 1 if self.kind is TargetKind.BINARY else len(self.classes_)

    def _fit_dataframe(self, y, labels):
        entries = dataframe_entries(y)
        self.dtype_ = entries.dtype if entries.dtype.kind in "biu" else np.dtype(np.int64)
        self._set_classes(label_space(list(y.columns), "The columns of y") if labels is None else labels)

    def _fit_sparse(self, y, labels):
        # The container is kept as a class, so that CSR of the same family comes back.
        self.sparse_container_ = sparse.csr_array if isinstance(y, sparse.sparray) else sparse.csr_matrix
        self.dtype_ = y.dtype
        self._set_classes(columns_or(labels, y.shape[1]))

    def _fit_indicator(self, y, labels):
        entries = np.asarray(y)
        self.dtype_ = entries.dtype if entries.dtype.kind in "biuf" else np.dtype(np.int64)
        self._set_classes(columns_or(labels, entries.shape[1]))

    def _fit_single(self, y, labels):
        values = single_labels(y)
        warn_of_joined_labels(values)
        self.dtype_ = values.dtype
        self.classes_ = np.unique(values if labels is None else labels_like(values, sorted_labels(labels)))
        self._labels = as_labels(self.classes_)
        if len(self.classes_) == 1:
            raise ValueError(
                f"y holds only one class, {self._labels[0]!r}, and a classifier needs at least two. "
                "If the others are only missing from this y, pass classes=[...]."
            )
        self.target_type_ = "binary" if len(self.classes_) == 2 else "multiclass"

    def _fit_collections(self, y, labels):
        if labels is None:
            labels = sorted_labels({label for row in label_rows(y) for label in row})
        self._set_classes(labels)

    def _set_classes(self, labels):
        self._labels = label_space(labels)
        self.classes_ = as_classes(self._labels)

    def _read(self, y):
        """Return the 0/1 matrix of y and a dict of row -> labels that are not in classes_."""
        check_is_fitted(self)
        y = as_array(y)
        form = form_of(y)
        if form == "rows":
            as_ids = self.form_ == "collections" and are_label_ids(y, self._labels, strict=False)
            form = "collections" if as_ids else "indicator"
            y = y if as_ids else rows_as_array(y)
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
        Y = self._aligned_entries(y) if form == "dataframe" else binary_entries(y)
        if Y.shape[1] != len(self._labels):
            raise ValueError(
                f"y has {Y.shape[1]} columns, but the label space has {len(self._labels)} labels. {TO_LEARN_OTHERS}"
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
        unknown = {i: missing for i, row in enumerate(rows) if (missing := [v for v in row if v not in index])}
        columns = [sorted({index[label] for label in row if label in index}) for row in rows]
        return matrix_of(columns, len(index)), unknown

    def _aligned_entries(self, y):
        columns = list(y.columns)
        missing = [label for label in self._labels if label not in columns]
        extra = [column for column in columns if column not in set(self._labels)]
        if missing or extra:
            raise ValueError(
                "The columns of y must be the labels."
                + (f" Missing: {format_values(missing)}." if missing else "")
                + (f" Unknown: {format_values(extra)}." if extra else "")
                + f" {TO_LEARN_OTHERS}"
            )
        order = [columns.index(label) for label in self._labels]
        return binary_entries(dataframe_entries(y))[:, order]


def encoder_for_fit(y, classes, given, known=None, needs_classes=False):
    """Return the encoder that reads ``y`` in a fit.

    Parameters
    ----------
    y : any form of target
    classes : array-like of shape (n_labels,) or None
        What ``partial_fit`` got.
    given : array-like of shape (n_labels,) or None
        The parameter of the estimator; it must name the same labels.
    known : TargetEncoder, default=None
        That of the earlier fit, where training goes on; its label space may grow or shrink.
    needs_classes : bool, default=False
        Whether labels may be missing from this ``y``, so that only columns can tell the label space.
    """
    if classes is not None and given is not None and label_space(classes) != label_space(given):
        raise ValueError(f"classes={classes!r} differs from the parameter classes={given!r}. Change it by set_params.")
    classes = given if classes is None else classes
    if known is not None:
        return known if classes is None or known.has_label_space(classes) else known.with_label_space(classes)
    encoder = TargetEncoder(classes).fit(y)
    if needs_classes and classes is None and encoder.form_ in ("single", "collections"):
        raise ValueError("classes must be passed on the first call to partial_fit: a label may be missing from this y.")
    return encoder
