"""Precision, recall and F1 against the threshold."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.metrics import precision_recall_curve

from skml._decisions._guarantees import NEVER
from skml._typing import Matrix, Target
from skml.inspection._drawing import add_colorbar, add_legend, draw_map, map_height, new_axes, panels, short
from skml.inspection._report import check_probabilities
from skml.model_selection._delegation import threshold_in_force, truth_and_responses

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# Above this many labels their curves are one heat map.
_MAX_PANELS = 11

# A curve keeps at most this many points.
_MAX_POINTS = 1000


class ThresholdCurveDisplay:
    """Precision, recall and F1 against the threshold, with the threshold in force marked.

    Make it by `from_estimator` or `from_predictions`.

    Parameters
    ----------
    curves : dict of label -> ndarray of shape (4, n_points)
        Thresholds in ascending order, and precision, recall and F1 of ``proba >= threshold``: labels that
        occur among their known rows, the most frequent first.
    micro : ndarray of shape (4, n_points)
        The same of all observed entries.
    threshold : dict of label -> float
        The threshold in force.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        The micro curve first, unless labels are chosen; then the labels, or their heat map.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from skml.inspection import ThresholdCurveDisplay
    >>> y, proba = [{"wet"}, {"cold", "wet"}, set()], [[0.2, 0.9], [0.7, 0.6], [0.1, 0.8]]
    >>> display = ThresholdCurveDisplay.from_predictions(y, proba, threshold={"cold": 0.4})
    >>> [ax.get_title() for ax in display.axes_]
    ['all labels (micro)', 'wet', 'cold']
    """

    def __init__(self, curves, micro, threshold):
        self.curves = curves
        self.micro = micro
        self.threshold = threshold

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: Matrix,
        y: Target,
        *,
        labels: Sequence[Hashable] | None = None,
        ax: Axes | ArrayLike | None = None,
    ) -> ThresholdCurveDisplay:
        """Draw the curves of a fitted estimator.

        Parameters
        ----------
        estimator : fitted classifier with predict_proba
            Its ``best_threshold_`` or ``threshold_`` is marked, 0.5 without one.
        X : what it predicts from
        y : label collections, indicator, or one label per row, n_samples in all
        labels, ax : as in `plot`

        Returns
        -------
        display : ThresholdCurveDisplay
        """
        Y, (proba,), classes = truth_and_responses(estimator, X, y, ("predict_proba",))
        threshold = threshold_in_force(estimator, len(classes))
        return cls(*_curves(Y, proba, threshold, classes)).plot(labels=labels, ax=ax)

    @classmethod
    def from_predictions(
        cls,
        y: Target,
        proba: ArrayLike,
        *,
        threshold: float | Mapping[Any, float] | ArrayLike | None = None,
        classes: ArrayLike | None = None,
        labels: Sequence[Hashable] | None = None,
        ax: Axes | ArrayLike | None = None,
    ) -> ThresholdCurveDisplay:
        """Draw the curves of given probabilities.

        Parameters
        ----------
        y, proba, threshold, classes : as in `label_report`
        labels, ax : as in `plot`

        Returns
        -------
        display : ThresholdCurveDisplay
        """
        return cls(*_curves(*check_probabilities(y, proba, threshold, classes))).plot(labels=labels, ax=ax)

    def plot(
        self, ax: Axes | ArrayLike | None = None, *, labels: Sequence[Hashable] | None = None
    ) -> ThresholdCurveDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : array-like of matplotlib Axes, default=None
            One for each panel. None makes a figure.
        labels : list, default=None
            The labels to draw, a panel for each. None draws the micro curve and all labels: a panel for
            each of up to 11, the F1 of more as one heat map.

        Returns
        -------
        display : ThresholdCurveDisplay
        """
        if isinstance(labels, str):
            raise ValueError(f"labels must be a list of labels; got {labels!r}. Write [{labels!r}].")
        unknown = [label for label in labels or [] if label not in self.curves]
        if unknown:
            raise ValueError(f"labels must occur in y, which holds {list(self.curves)!r}; got {unknown!r}.")
        as_map = labels is None and len(self.curves) > _MAX_PANELS
        chosen = [] if as_map else list(self.curves) if labels is None else labels
        if as_map and ax is None:
            axes = new_axes(2, widths=(1, 1.5), size=(4.4, map_height(len(self.curves))))
            axes[0].set(box_aspect=0.8, anchor="N")
        else:
            axes = panels(ax, len(chosen) + (labels is None) + as_map)
        rest = iter(axes)
        if labels is None:
            self._plot_curve(next(rest), self.micro, self.threshold, "all labels (micro)")
        for label in chosen:
            self._plot_curve(next(rest), self.curves[label], [label], short(label))
        if as_map:
            self._plot_map(next(rest))
        add_legend(axes, ax is None)
        self.axes_, self.figure_ = axes, axes[0].figure
        return self

    def _plot_curve(self, ax, curve, labels, title):
        styles = {"precision": "--", "recall": ":", "F1": "-"}
        for (name, style), values in zip(styles.items(), curve[1:], strict=True):
            ax.plot(curve[0], values, style, label=name, drawstyle="steps-pre")  # a threshold takes its equals
        thresholds = sorted({self.threshold[label] for label in labels if not np.isnan(self.threshold[label])})
        if thresholds and thresholds[0] >= NEVER:
            title += ": never predicted"
        thresholds = [threshold for threshold in thresholds if threshold < NEVER]
        if len(thresholds) == 1:
            ax.axvline(thresholds[0], color="0.3", linewidth=1.2, label="threshold in force")
        elif thresholds:
            ax.plot(thresholds, np.zeros(len(thresholds)), "|", color="0.3", markersize=14, label="threshold in force")
        ax.set(title=title, xlim=(0, 1), ylim=(0, 1.02), xlabel="threshold")

    def _plot_map(self, ax):
        grid = np.linspace(0, 1, 101)
        values = [curve[3][np.searchsorted(curve[0], grid)] for curve in self.curves.values()]
        n_rows = len(values)
        image = draw_map(ax, values, [*map(short, self.curves)], "viridis", extent=(0, 1, n_rows - 0.5, -0.5))
        thresholds = [self.threshold[label] for label in self.curves]
        ax.scatter(thresholds, range(n_rows), s=12, color="white", edgecolor="black", linewidth=0.8)
        ax.set(title="F1 by label (dots: thresholds in force)", xlabel="threshold", xlim=(0, 1))
        add_colorbar(image, n_rows)


def _curves(Y, proba, threshold, labels):
    """Return what ThresholdCurveDisplay is made of."""
    columns = sparse.csc_array(Y)
    entries = [columns[:, [j]].toarray().ravel() for j in range(len(labels))]
    support = np.array([np.sum(column == 1) for column in entries])
    order = [j for j in np.argsort(-support, kind="stable").tolist() if support[j]]
    if not order:
        raise ValueError("No label occurs among the observed entries of y: there is no curve to draw.")
    curves = {labels[j]: _curve(entries[j], proba[:, j]) for j in order}
    micro = _curve(np.concatenate(entries), proba.ravel(order="F"))
    return curves, micro, {labels[j]: float(threshold[j]) for j in order}


def _curve(entries, scores):
    known = ~np.isnan(entries)
    precision, recall, thresholds = precision_recall_curve(entries[known], scores[known])
    kept = np.arange(len(thresholds))
    if len(kept) > _MAX_POINTS:  # half of them evenly among rows, half among thresholds
        half, last = _MAX_POINTS // 2, len(kept) - 1
        by_value = np.searchsorted(thresholds, np.linspace(0, 1, half)).clip(max=last)
        kept = np.union1d(np.linspace(0, last, half).astype(int), by_value)
    with np.errstate(invalid="ignore"):
        f1 = np.nan_to_num(2 * precision * recall / (precision + recall))
    curve = np.stack([thresholds, precision[:-1], recall[:-1], f1[:-1]])[:, kept]
    # From 0, where all are predicted, to 1, where none is.
    start, end = [[0], *curve[1:, :1].tolist()], [[1], [np.nan], [0], [0]]
    return np.hstack([start, curve, end] if curve[0, -1] < 1 else [start, curve])
