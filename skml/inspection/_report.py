"""The report of each label, as a table and as a heat map; the most probable labels of a row."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils import check_array, check_scalar

from skml._decisions._guarantees import NEVER
from skml._decisions._rule import DEFAULT_THRESHOLD, DecisionRule, guarantee_in, resolve_threshold
from skml._typing import Matrix, Target
from skml.inspection._drawing import (
    MAX_NAMED_ROWS,
    add_colorbar,
    draw_map,
    import_optional,
    map_height,
    new_axes,
    short,
    write_values,
)
from skml.metrics._classification import f1_score, precision_score, recall_score
from skml.metrics._ranking import average_precision_score
from skml.model_selection._delegation import (
    as_scores,
    find_fitted,
    labels_of,
    read_target,
    threshold_in_force,
    truth_and_responses,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame


_SHADED = ["threshold", "precision", "recall", "f1", "average_precision"]


def label_probabilities(
    estimator: BaseEstimator | ArrayLike, X: Matrix | Sequence[Hashable], /, k: int = 3
) -> list[list[tuple[Hashable, float]]]:
    """Return the most probable labels of each row with their probabilities.

    ``label_probabilities(estimator, X)`` lets a fitted estimator predict them, ``label_probabilities(proba, classes)``
    takes them as they are.

    Parameters
    ----------
    estimator : fitted classifier with predict_proba, or array-like of shape (n_samples, n_labels)
        Or ``proba``, as `predict_proba` returns it.
    X : what the estimator predicts from, or array-like of length n_labels
        Or ``classes``, the labels in the order of the columns: ``clf.classes_``.
    k : int, default=3
        Labels of each row; all of them if there are fewer.

    Returns
    -------
    rows : list of list of (label, float)
        Python objects, the most probable label first; of equal ones the earlier in ``classes``.

    Raises
    ------
    ValueError
        If k is below 1, or ``classes`` is not as long as ``proba`` is wide.

    Examples
    --------
    >>> from skml.inspection import label_probabilities
    >>> label_probabilities([[0.5, 0.125, 0.75]], ["cold", "dry", "wet"], k=2)
    [[('wet', 0.75), ('cold', 0.5)]]
    """
    check_scalar(k, "k", Integral, min_val=1)
    proba, classes = estimator, X
    if hasattr(estimator, "predict_proba"):
        proba, classes = as_scores(estimator.predict_proba(X), estimator), labels_of(estimator)
    proba = check_array(proba, input_name="proba")
    labels = classes.tolist() if hasattr(classes, "tolist") else list(classes)
    if len(labels) != proba.shape[1]:
        raise ValueError(f"proba has {proba.shape[1]} columns, but classes names {len(labels)} labels.")
    order = np.argsort(-proba, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(proba, order, axis=1)
    return [
        [(labels[j], value) for j, value in zip(columns, values, strict=True)]
        for columns, values in zip(order.tolist(), best.tolist(), strict=True)
    ]


def label_report(
    estimator: BaseEstimator | Target,
    X: Matrix,
    y: Target | None = None,
    /,
    *,
    threshold: float | Mapping[Any, float] | ArrayLike | None = None,
    classes: ArrayLike | None = None,
) -> DataFrame:
    """Return for each label how often it occurs and how well it is predicted. Needs pandas.

    ``label_report(estimator, X, y)`` is of what a fitted estimator predicts, ``label_report(y, proba)`` of given
    probabilities.

    Parameters
    ----------
    estimator : fitted classifier with predict_proba, or ``y``
        Precision, recall and F1 are those of its `predict`.
    X : what the estimator predicts from, or ``proba``, array-like of shape (n_samples, n_labels)
    y : label collections, indicator, or one label per row, n_samples in all
        NaN in an indicator is a missing label and counts nowhere.
    threshold : float, array-like of shape (n_labels,) or mapping label -> float, default=None
        A label is predicted where its probability is at least its threshold. For given probabilities only, None is
        0.5; an estimator has its own.
    classes : array-like of length n_labels, default=None
        The labels, in the order of the columns of ``proba``. For given probabilities only, None takes them from ``y``;
        an estimator has its own.

    Returns
    -------
    report : DataFrame
        Indexed by label, with the columns ``support`` (rows known to have it), ``threshold``,
        ``precision``, ``recall``, ``f1`` and ``average_precision``; NaN where one is not defined. A label whose
        threshold is 2 is never predicted. If the estimator guarantees a precision by label, or decides about one label
        only, there are two more columns: ``guaranteed``, NaN for a label that is never predicted, and ``reached``. What
        is guaranteed of all labels together is no guarantee for each: `skml.metrics.get_scorer` with "precision_micro" or
        "recall_samples" says what is reached of it.

    Examples
    --------
    >>> from skml.inspection import label_report
    >>> report = label_report([{"wet"}, {"cold", "wet"}, set()], [[0.2, 0.9], [0.7, 0.6], [0.1, 0.8]])
    >>> report.loc["wet", ["support", "threshold", "recall"]].tolist()
    [2.0, 0.5, 1.0]
    """
    if y is None:
        if hasattr(estimator, "predict_proba"):
            raise ValueError("y is missing: label_report(estimator, X, y) compares predictions with it.")
        Y, proba, threshold, labels = check_probabilities(estimator, X, threshold, classes)
        return _frame(Y, proba, DecisionRule(threshold).decide(proba), threshold, labels)
    if threshold is not None or classes is not None:
        raise ValueError("threshold and classes go with label_report(y, proba): an estimator has its own.")
    Y, (proba, decisions), labels = truth_and_responses(estimator, X, y, ("predict_proba",), ("predict",))
    threshold = threshold_in_force(estimator, len(labels))
    return _frame(Y, proba, decisions, threshold, labels, guarantee_of(estimator, labels))


class LabelReportDisplay:
    """The report of each label as a heat map.

    Make it by `from_estimator` or `from_predictions`.

    Parameters
    ----------
    frame : DataFrame
        What `label_report` returns.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    im_ : matplotlib AxesImage
        The values drawn, NaN masked.
    text_ : ndarray of Text, of the shape of the heat map, or None
        The numbers; None with more than 40 labels.

    Examples
    --------
    >>> from skml.inspection import LabelReportDisplay
    >>> y, proba = [{"wet"}, {"cold", "wet"}, set()], [[0.2, 0.9], [0.7, 0.6], [0.1, 0.8]]
    >>> display = LabelReportDisplay.from_predictions(y, proba)
    >>> display.frame["recall"].tolist()
    [1.0, 1.0]
    """

    def __init__(self, frame):
        self.frame = frame

    @classmethod
    def from_estimator(
        cls, estimator: BaseEstimator, X: Matrix, y: Target, *, ax: Axes | ArrayLike | None = None, **kwargs: Any
    ) -> LabelReportDisplay:
        """Report on what a fitted estimator predicts.

        Parameters
        ----------
        estimator : fitted classifier with predict_proba
        X : what it predicts from
        y : label collections, indicator, or one label per row, n_samples in all
        ax : matplotlib Axes, default=None
        **kwargs
            As in `plot`.

        Returns
        -------
        display : LabelReportDisplay
            Precision, recall and F1 are those of `predict`.
        """
        return cls(label_report(estimator, X, y)).plot(ax=ax, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        y: Target,
        proba: ArrayLike,
        *,
        threshold: float | Mapping[Any, float] | ArrayLike | None = None,
        classes: ArrayLike | None = None,
        ax: Axes | ArrayLike | None = None,
        **kwargs: Any,
    ) -> LabelReportDisplay:
        """Report on given probabilities.

        Parameters
        ----------
        y, proba, threshold, classes : as in `label_report`
        ax : matplotlib Axes, default=None
        **kwargs
            As in `plot`.

        Returns
        -------
        display : LabelReportDisplay
        """
        return cls(label_report(y, proba, threshold=threshold, classes=classes)).plot(ax=ax, **kwargs)

    def plot(
        self,
        ax: Axes | ArrayLike | None = None,
        *,
        sort_by: str | None = "support",
        max_labels: int | None = None,
        cmap: Any = "viridis",
        colorbar: bool = True,
    ) -> LabelReportDisplay:
        """Draw the heat map, a row for each label.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a figure that grows with the labels.
        sort_by : str, default="support"
            Column of the report by which labels are sorted, the largest first. None keeps their order.
        max_labels : int, default=None
            Only the first so many labels are drawn. None draws all; of more than 80 only some are named.
        cmap : str or matplotlib Colormap, default="viridis"
        colorbar : bool, default=True

        Returns
        -------
        display : LabelReportDisplay
        """
        if sort_by is not None and sort_by not in self.frame:
            raise ValueError(f"sort_by must be None or one of {list(self.frame)!r}; got {sort_by!r}.")
        frame = self.frame if sort_by is None else self.frame.sort_values(sort_by, ascending=False, kind="stable")
        frame = frame.iloc[:max_labels]
        names = [f"{short(label)}  ({n:,})" for label, n in zip(frame.index, frame["support"], strict=True)]
        values = np.ma.masked_invalid(frame[_SHADED].to_numpy(dtype=float))
        is_never = (values[:, 0] >= NEVER).filled(False)
        values[is_never, 0] = np.ma.masked
        if ax is None:
            (ax,) = new_axes(1, size=(6.2 + 0.07 * max(map(len, names)), map_height(len(names))))
        self.im_ = draw_map(ax, values, names, cmap)
        ax.set_ylabel("label (rows that have it)")
        ax.set_xticks(range(len(_SHADED)), [name.replace("_", "\n") for name in _SHADED])
        ax.xaxis.tick_top()
        ax.axvline(0.5, color="white", linewidth=3)  # thresholds are no scores
        self.text_ = write_values(self.im_, values) if len(names) <= MAX_NAMED_ROWS else None
        if self.text_ is not None:
            for text in self.text_[is_never, 0]:
                text.set_text("never")
        if colorbar:
            add_colorbar(self.im_, len(names))
        self.ax_, self.figure_ = ax, ax.figure
        return self


def check_probabilities(y, proba, threshold, classes):
    """Return truth as a matrix, probabilities, the threshold of each label, and the labels."""
    Y, labels = read_target(y, classes)
    try:
        proba = check_array(proba, input_name="proba")
    except (TypeError, ValueError) as error:
        raise ValueError(f"proba must be what predict_proba returns, shape (n_samples, n_labels): {error}") from error
    if proba.shape != Y.shape:
        raise ValueError(
            f"y has the shape {Y.shape} as a matrix of labels, but proba {proba.shape}. If labels are missing from "
            "this y, pass classes=clf.classes_."
        )
    threshold = resolve_threshold(DEFAULT_THRESHOLD if threshold is None else threshold, labels)
    return Y, proba, np.broadcast_to(threshold, len(labels)), labels


def guarantee_of(estimator, labels):
    """Return the measure that a fitted estimator guarantees of single labels, and the values; None if it does not."""
    holder = find_fitted(estimator, "best_threshold_", "threshold_")
    guarantee = guarantee_in(getattr(holder, "scoring", getattr(holder, "threshold", None)))
    if guarantee is None:
        return None
    decided = holder.target_encoder_.threshold_labels  # of two classes the second
    if not guarantee.by_label and len(decided) > 1:
        return None
    return guarantee.measure, np.array([guarantee.level if label in decided else np.nan for label in labels])


def _frame(Y, proba, decisions, threshold, labels, guaranteed=None):
    pandas = import_optional("pandas")
    ones = sparse.csc_array(sparse.csr_array(Y) == 1)
    scores = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
    columns = {
        "support": np.diff(ones.indptr),
        "threshold": threshold,
        **{name: score(Y, decisions, average=None, zero_division=np.nan) for name, score in scores.items()},
        "average_precision": average_precision_score(Y, proba, average=None),
    }
    if guaranteed is not None:
        measure, level = guaranteed
        columns["guaranteed"] = np.where(np.asarray(threshold) >= NEVER, np.nan, level)
        columns["reached"] = columns[measure]
    return pandas.DataFrame(columns, index=pandas.Index(labels, name="label", tupleize_cols=False))
