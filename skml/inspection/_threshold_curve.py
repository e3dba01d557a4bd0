"""Curves of precision, recall and F1 against the threshold."""

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
from skml.inspection._drawing import (
    add_colorbar,
    add_legend,
    check_labels_to_draw,
    draw_heatmap,
    heatmap_height,
    new_axes,
    panel_axes,
    shorten,
)
from skml.inspection._report import check_probabilities
from skml.model_selection._delegation import threshold_in_force, truth_and_responses

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# With more labels, a heat map replaces the panels.
_MAX_PANELS = 11

# Maximum number of points of a curve, without its end points.
_MAX_POINTS = 1000


class ThresholdCurveDisplay:
    """Curves of precision, recall and F1 against the threshold, with the threshold in use marked.

    Create the display with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    curves : dict of label -> ndarray of shape (4, n_points)
        For each label, the thresholds in ascending order, and the precision, recall and F1 of ``proba >= threshold``.
        The most frequent label comes first. Labels that never occur are left out.
    micro : ndarray of shape (4, n_points)
        The same values for all observed entries together.
    threshold : dict of label -> float
        The threshold in use for each label.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        The axes of the micro curve, unless labels are chosen, followed by those of the labels or of their heat map.
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
        estimator : fitted classifier with `predict_proba`
            The display marks its ``best_threshold_`` or ``threshold_``, or 0.5 if it has neither.
        X : input of the estimator, n_samples rows
        y : label collections, indicator or single-label target with n_samples rows
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
            One axes for each panel. None creates a new figure.
        labels : list, default=None
            The labels to draw, one panel each. None draws the micro curve and all labels: up to 11 labels in one panel
            each, more labels in a heat map of their F1.

        Returns
        -------
        display : ThresholdCurveDisplay
        """
        check_labels_to_draw(labels)
        without_curve = [label for label in ([] if labels is None else labels) if label not in self.curves]
        if without_curve:
            raise ValueError(f"labels must occur in y, which contains {list(self.curves)!r}; got {without_curve!r}.")
        as_heatmap = labels is None and len(self.curves) > _MAX_PANELS
        chosen = [] if as_heatmap else list(self.curves) if labels is None else labels
        if as_heatmap and ax is None:
            axes = new_axes(2, widths=(1, 1.5), size=(4.4, heatmap_height(len(self.curves))))
            axes[0].set(box_aspect=0.8, anchor="N")
        else:
            axes = panel_axes(ax, len(chosen) + (labels is None) + as_heatmap)
        rest = iter(axes)
        if labels is None:
            self._plot_curve(next(rest), self.micro, self.threshold, "all labels (micro)")
        for label in chosen:
            self._plot_curve(next(rest), self.curves[label], [label], shorten(label))
        if as_heatmap:
            self._plot_heatmap(next(rest))
        add_legend(axes, ax is None)
        self.axes_, self.figure_ = axes, axes[0].figure
        return self

    def _plot_curve(self, ax, curve, labels, title):
        styles = {"precision": "--", "recall": ":", "F1": "-"}
        for (name, style), values in zip(styles.items(), curve[1:], strict=True):
            ax.plot(curve[0], values, style, label=name, drawstyle="steps-pre")  # as proba >= threshold is predicted
        thresholds = sorted({self.threshold[label] for label in labels if not np.isnan(self.threshold[label])})
        if thresholds and thresholds[0] >= NEVER:
            title += ": never predicted"
        thresholds = [threshold for threshold in thresholds if threshold < NEVER]
        if len(thresholds) == 1:
            ax.axvline(thresholds[0], color="0.3", linewidth=1.2, label="threshold in use")
        elif thresholds:
            ax.plot(thresholds, np.zeros(len(thresholds)), "|", color="0.3", markersize=14, label="threshold in use")
        ax.set(title=title, xlim=(0, 1), ylim=(0, 1.02), xlabel="threshold")

    def _plot_heatmap(self, ax):
        grid = np.linspace(0, 1, 101)
        values = [curve[3][np.searchsorted(curve[0], grid)] for curve in self.curves.values()]
        n_rows = len(values)
        image = draw_heatmap(ax, values, [*map(shorten, self.curves)], "viridis", extent=(0, 1, n_rows - 0.5, -0.5))
        thresholds = [self.threshold[label] for label in self.curves]
        ax.scatter(thresholds, range(n_rows), s=12, color="white", edgecolor="black", linewidth=0.8)
        ax.set(title="F1 by label (dots: thresholds in use)", xlabel="threshold", xlim=(0, 1))
        add_colorbar(image, n_rows)


def _curves(Y, proba, threshold, labels):
    """Return the arguments of `ThresholdCurveDisplay`."""
    columns = sparse.csc_array(Y)
    entries = [columns[:, [j]].toarray().ravel() for j in range(len(labels))]
    support = np.array([np.sum(column == 1) for column in entries])
    order = [j for j in np.argsort(-support, kind="stable").tolist() if support[j]]
    if not order:
        raise ValueError(
            "No label occurs in y, so there is no curve to draw. Pass a y with at least one positive entry."
        )
    curves = {labels[j]: _curve(entries[j], proba[:, j]) for j in order}
    micro = _curve(np.concatenate(entries), proba.ravel(order="F"))
    return curves, micro, {labels[j]: float(threshold[j]) for j in order}


def _curve(entries, scores):
    observed = ~np.isnan(entries)
    precision, recall, thresholds = precision_recall_curve(entries[observed], scores[observed])
    kept = np.arange(len(thresholds))
    if len(kept) > _MAX_POINTS:  # keep half of the points evenly spaced by rank, and half by threshold
        half, last = _MAX_POINTS // 2, len(kept) - 1
        by_value = np.searchsorted(thresholds, np.linspace(0, 1, half)).clip(max=last)
        kept = np.union1d(np.linspace(0, last, half).astype(int), by_value)
    with np.errstate(invalid="ignore"):
        f1 = np.nan_to_num(2 * precision * recall / (precision + recall))
    curve = np.stack([thresholds, precision[:-1], recall[:-1], f1[:-1]])[:, kept]
    # Extend the curve to 0, where all entries are predicted, and to 1, where none is.
    start, end = [[0], *curve[1:, :1].tolist()], [[1], [np.nan], [0], [0]]
    return np.hstack([start, curve, end] if curve[0, -1] < 1 else [start, curve])
