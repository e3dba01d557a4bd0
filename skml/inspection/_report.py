"""Report of each label as a table and as a heat map, and the most probable labels of each row."""

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
from skml._decisions._top_k import top_columns
from skml._dependencies import import_optional
from skml._targets._weights import aligned_weights, entry_weights
from skml._typing import Matrix, Target
from skml.inspection._drawing import (
    MAX_NAMED_ROWS,
    add_colorbar,
    draw_heatmap,
    heatmap_height,
    new_axes,
    shorten,
    write_values,
)
from skml.metrics._classification import f1_score, precision_score, recall_score
from skml.metrics._ranking import average_precision_score
from skml.model_selection._delegation import (
    as_scores,
    find_fitted,
    labels_of,
    read_target,
    response_blocks,
    threshold_in_force,
    truth_and_responses,
    weights_for_scores,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame


# Number of labels at each end, the best and the worst, that the heat map shows if it leaves labels out.
_N_ENDS = 15

# Columns of the report that the heat map shows.
_HEATMAP_COLUMNS = ["threshold", "precision", "recall", "f1", "average_precision"]


def label_probabilities(
    estimator: BaseEstimator | ArrayLike, X: Matrix | Sequence[Hashable], /, k: int = 3
) -> list[list[tuple[Hashable, float]]]:
    """Return the most probable labels of each row with their probabilities.

    ``label_probabilities(estimator, X)`` predicts the probabilities with a fitted estimator.
    ``label_probabilities(proba, classes)`` uses given probabilities.

    Parameters
    ----------
    estimator : fitted classifier with `predict_proba`, or array-like of shape (n_samples, n_labels)
        The classifier, or the probabilities ``proba`` in the form that `predict_proba` returns.
    X : input of the estimator, or array-like of length n_labels
        The rows to predict, or ``classes``: the labels in the order of the columns, for example ``clf.classes_``.
    k : int, default=3
        Number of labels for each row. If there are fewer labels, all are returned.

    Returns
    -------
    rows : list of list of (label, float)
        For each row, labels and probabilities as Python objects, the most probable label first. Labels with equal
        probabilities keep the order of ``classes``.

    Raises
    ------
    ValueError
        If k is below 1, or the length of ``classes`` differs from the number of columns of ``proba``.

    Examples
    --------
    >>> from skml.inspection import label_probabilities
    >>> label_probabilities([[0.5, 0.125, 0.75]], ["cold", "dry", "wet"], k=2)
    [[('wet', 0.75), ('cold', 0.5)]]
    """
    check_scalar(k, "k", Integral, min_val=1)
    blocks: Any = [estimator]
    classes: Any = X
    if hasattr(estimator, "predict_proba"):
        classes = labels_of(estimator)
        blocks = (as_scores(block, estimator) for block in response_blocks(estimator, X, "predict_proba"))
    labels = classes.tolist() if hasattr(classes, "tolist") else list(classes)
    return [row for proba in blocks for row in _most_probable(proba, labels, k)]


def _most_probable(proba, labels, k):
    """Return a list of labels with their probabilities for each row."""
    proba = check_array(proba, input_name="proba")
    if len(labels) != proba.shape[1]:
        raise ValueError(
            f"proba has {proba.shape[1]} columns, but classes has {len(labels)} labels. Pass one label per column, "
            "such as clf.classes_."
        )
    columns = top_columns(proba, min(k, len(labels)))
    best = np.take_along_axis(proba, columns, axis=1)
    return [
        [(labels[j], value) for j, value in zip(row, values, strict=True)]
        for row, values in zip(columns.tolist(), best.tolist(), strict=True)
    ]


def label_report(
    estimator: BaseEstimator | Target,
    X: Matrix,
    y: Target | None = None,
    /,
    *,
    threshold: float | Mapping[Any, float] | ArrayLike | None = None,
    classes: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> DataFrame:
    """Return a table with the frequency and the scores of each label. Requires pandas.

    ``label_report(estimator, X, y)`` scores the predictions of a fitted estimator. ``label_report(y, proba)`` scores
    given probabilities.

    Parameters
    ----------
    estimator : fitted classifier with `predict_proba`, or ``y``
        The classifier, whose `predict` determines precision, recall and F1; or the target ``y``.
    X : input of the estimator with n_samples rows, or ``proba``, array-like of shape (n_samples, n_labels)
    y : label collections, indicator or single-label target with n_samples rows
        NaN in an indicator is a missing label and is ignored.
    threshold : float, array-like of shape (n_labels,) or mapping label -> float, default=None
        A label is predicted if its probability is at least its threshold. None means 0.5. Only accepted with ``proba``;
        an estimator has its own.
    classes : array-like of length n_labels, default=None
        The labels, in the order of the columns of ``proba``. None takes them from ``y``. Only accepted with ``proba``;
        an estimator has its own.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_labels), default=None
        Weights of the rows, or of single entries, for all columns but ``threshold``. The columns of an array are in the
        order of the labels; a DataFrame is aligned by name.

    Returns
    -------
    report : DataFrame
        Has one row per label, with the columns ``support`` (number or weight of the rows that have the label),
        ``threshold``,
        ``precision``, ``recall``, ``f1`` and ``average_precision``. An undefined score is NaN. A label with the
        threshold 2 is never predicted. If the estimator guarantees precision by label, or precision or recall of a
        single label, there are two more columns: ``guaranteed`` is the target level, NaN for a label that is never
        predicted, and ``reached`` is the corresponding precision or recall.

    Raises
    ------
    ImportError
        If pandas is not installed.
    ValueError
        If a parameter is not as described, or the shapes of ``y`` and ``proba`` differ.

    Notes
    -----
    A guarantee for all labels together does not hold for each single label, so the report does not show it. The scorers
    ``get_scorer("precision_micro")`` and ``get_scorer("recall_samples")`` of `skml.metrics` return the scores that
    correspond to such a guarantee.

    Examples
    --------
    >>> from skml.inspection import label_report
    >>> report = label_report([{"wet"}, {"cold", "wet"}, set()], [[0.2, 0.9], [0.7, 0.6], [0.1, 0.8]])
    >>> report.loc["wet", ["support", "threshold", "recall"]].tolist()
    [2.0, 0.5, 1.0]
    """
    if y is None:
        if hasattr(estimator, "predict_proba"):
            raise ValueError("y is missing. Call label_report(estimator, X, y), or label_report(y, proba).")
        Y, proba, thresholds, labels = check_probabilities(estimator, X, threshold, classes)
        decisions, weight = DecisionRule(thresholds).decide(proba), aligned_weights(sample_weight, Y, labels)
        return _report_table(report_columns(Y, proba, decisions, thresholds, weight=weight), labels)
    if threshold is not None or classes is not None:
        raise ValueError(
            "threshold and classes are only accepted by label_report(y, proba), as an estimator has thresholds and "
            "labels. Leave them out, or pass estimator.predict_proba(X) as proba."
        )
    Y, (proba, decisions), labels = truth_and_responses(estimator, X, y, ("predict_proba",), ("predict",))
    threshold = threshold_in_force(estimator, len(labels))
    guarantees, weight = label_guarantees(estimator, labels), weights_for_scores(estimator, sample_weight, Y)
    return _report_table(report_columns(Y, proba, decisions, threshold, guarantees, weight), labels)


class LabelReportDisplay:
    """Heat map of the report of each label.

    Create it with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    frame : DataFrame
        The report, as returned by `label_report`.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    im_ : matplotlib AxesImage
        The heat map, a masked array with NaN masked.
    text_ : ndarray of Text, of the shape of the heat map, or None
        The numbers in the cells. None if the heat map has more than 40 rows.

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
        cls,
        estimator: BaseEstimator,
        X: Matrix,
        y: Target,
        *,
        sample_weight: ArrayLike | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> LabelReportDisplay:
        """Draw the report of a fitted estimator.

        Parameters
        ----------
        estimator, X, y, sample_weight : as in `label_report`
        ax, **kwargs
            As in `plot`.

        Returns
        -------
        display : LabelReportDisplay
        """
        return cls(label_report(estimator, X, y, sample_weight=sample_weight)).plot(ax=ax, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        y: Target,
        proba: ArrayLike,
        *,
        threshold: float | Mapping[Any, float] | ArrayLike | None = None,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> LabelReportDisplay:
        """Draw the report of given probabilities.

        Parameters
        ----------
        y, proba, threshold, classes, sample_weight : as in `label_report`
        ax, **kwargs
            As in `plot`.

        Returns
        -------
        display : LabelReportDisplay
        """
        report = label_report(y, proba, threshold=threshold, classes=classes, sample_weight=sample_weight)
        return cls(report).plot(ax=ax, **kwargs)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        sort_by: str | None = "auto",
        max_labels: int | str | None = "auto",
        cmap: Any = "viridis",
        colorbar: bool = True,
    ) -> LabelReportDisplay:
        """Draw the heat map, one row per label.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None creates a new figure, whose height depends on the number of labels.
        sort_by : str, default="auto"
            Column of the report by which the labels are sorted, the largest value first. None keeps their order. "auto"
            is "support", or "f1" if `max_labels` leaves out the labels in the middle.
        max_labels : int, "auto" or None, default="auto"
            Which labels to draw. "auto" draws up to 40 labels. If there are more, it draws 15 from either end, the best
            and the worst, and the mean of the others in one row between them. A number draws that many from the top.
            None draws all labels; if there are more than 80, only some of them are named.
        cmap : str or matplotlib Colormap, default="viridis"
            Colormap of the heat map.
        colorbar : bool, default=True
            Whether to draw a color bar.

        Returns
        -------
        display : LabelReportDisplay
        """
        frame, names = self._rows(sort_by, max_labels)
        values = np.ma.masked_invalid(frame[_HEATMAP_COLUMNS].to_numpy(dtype=float))
        is_never = (values[:, 0] >= NEVER).filled(False)
        values[is_never, 0] = np.ma.masked
        if ax is None:
            (ax,) = new_axes(1, size=(6.2 + 0.07 * max(map(len, names)), heatmap_height(len(names))))
        self.im_ = draw_heatmap(ax, values, names, cmap)
        ax.set_ylabel("label (rows that have it)")
        ax.set_xticks(range(len(_HEATMAP_COLUMNS)), [name.replace("_", "\n") for name in _HEATMAP_COLUMNS])
        ax.xaxis.tick_top()
        ax.axvline(0.5, color="white", linewidth=3)  # separates the thresholds from the scores
        self.text_ = write_values(self.im_, values) if len(names) <= MAX_NAMED_ROWS else None
        if self.text_ is not None:
            for text in self.text_[is_never, 0]:
                text.set_text("never")
        if colorbar:
            add_colorbar(self.im_, len(names))
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _rows(self, sort_by, max_labels):
        """Return the rows of the heat map, and their names."""
        both_ends = max_labels == "auto" and len(self.frame) > MAX_NAMED_ROWS
        if isinstance(max_labels, str) and max_labels != "auto":
            raise ValueError(f"max_labels must be an int, 'auto' or None; got {max_labels!r}.")
        if sort_by == "auto":
            sort_by = "f1" if both_ends else "support"
        if sort_by is not None and sort_by not in self.frame:
            raise ValueError(f"sort_by must be 'auto', None or one of {list(self.frame)!r}; got {sort_by!r}.")
        frame = self.frame if sort_by is None else self.frame.sort_values(sort_by, ascending=False, kind="stable")
        frame = frame if max_labels == "auto" else frame.iloc[:max_labels]
        names = [_name_of(label, n) for label, n in zip(frame.index, frame["support"], strict=True)]
        if not both_ends:
            return frame, names
        n_defined = len(frame) if sort_by is None else int(frame[sort_by].notna().sum())  # undefined ones come last
        start = min(_N_ENDS, n_defined)
        end = max(start, n_defined - _N_ENDS)
        others = frame.iloc[[*range(start, end), *range(n_defined, len(frame))]]
        mean = others.assign(threshold=others["threshold"].where(others["threshold"] < NEVER)).mean().to_numpy()
        names = [*names[:start], f"mean of {len(others):,} others", *names[end:n_defined]]
        return type(frame)(np.vstack([frame[:start], mean, frame[end:n_defined]]), columns=frame.columns), names


def _name_of(label, support):
    return f"{shorten(label)}  ({support:,.0f})"


def check_probabilities(y, proba, threshold, classes):
    """Return the label matrix, the probabilities, the threshold of each label, and the labels."""
    Y, labels = read_target(y, classes)
    try:
        proba = check_array(proba, input_name="proba")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"proba must be an array of shape (n_samples, n_labels), as predict_proba returns it: {error}"
        ) from error
    if proba.shape != Y.shape:
        raise ValueError(
            f"As an indicator, y has the shape {Y.shape}, but proba has the shape {proba.shape}. Pass the same rows. "
            "If some labels do not occur in this y, also pass classes=clf.classes_."
        )
    threshold = resolve_threshold(DEFAULT_THRESHOLD if threshold is None else threshold, labels)
    return Y, proba, np.broadcast_to(threshold, len(labels)), labels


def guarantee_of(estimator):
    """Return the `Guarantee` that the thresholds of a fitted estimator give, or None."""
    holder = find_fitted(estimator, "best_threshold_", "threshold_")
    return guarantee_in(getattr(holder, "scoring", getattr(holder, "threshold", None)))


def label_guarantees(estimator, labels):
    """Return the measure that a fitted estimator guarantees for single labels and the target levels, or None."""
    guarantee = guarantee_of(estimator)
    if guarantee is None:
        return None
    encoder = find_fitted(estimator, "target_encoder_").target_encoder_
    with_threshold = set(encoder.threshold_labels)  # for binary y, only the second class
    if not guarantee.by_label and len(with_threshold) > 1:
        return None
    return guarantee.measure, np.array([guarantee.level if label in with_threshold else np.nan for label in labels])


def report_columns(Y, proba, decisions, threshold, guaranteed=None, weight=None):
    """Return the columns of the report of each label, by name."""
    ones = sparse.csc_array(sparse.csr_array(Y) == 1)
    weighted = {"average": None, "sample_weight": weight}
    scores = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
    columns = {
        "support": np.diff(ones.indptr) if weight is None else entry_weights(ones, np.asarray(weight, dtype=float))[0],
        "threshold": threshold,
        **{name: score(Y, decisions, zero_division=np.nan, **weighted) for name, score in scores.items()},
        "average_precision": average_precision_score(Y, proba, **weighted),
    }
    if guaranteed is not None:
        measure, level = guaranteed
        columns["guaranteed"] = np.where(np.asarray(threshold) >= NEVER, np.nan, level)
        columns["reached"] = columns[measure]
    return columns


def _report_table(columns, labels):
    pandas = import_optional("pandas", "label_report")
    return pandas.DataFrame(columns, index=pandas.Index(labels, name="label", tupleize_cols=False))
