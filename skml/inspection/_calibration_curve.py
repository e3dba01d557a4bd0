"""Calibration curves (reliability diagrams) of all labels and of single labels."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.stats import binomtest
from sklearn.base import BaseEstimator
from sklearn.calibration import calibration_curve
from sklearn.utils import check_scalar

from skml._targets._labels import label_index
from skml._targets._matrix import column_sums
from skml._typing import Matrix, Target
from skml.inspection._drawing import add_legend, check_labels_to_draw, panel_axes, shorten
from skml.inspection._report import check_probabilities
from skml.model_selection._delegation import truth_and_responses

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Number of the most frequent labels that get a panel by default.
_MAX_PANELS = 8


class CalibrationCurveDisplay:
    """Calibration curves (reliability diagrams) of all labels together and of single labels.

    A calibration curve shows the fraction of true entries against the predicted probability. Create the display with
    `from_estimator` or `from_predictions`.

    Parameters
    ----------
    curves : dict of label -> ndarray of shape (3, n_points)
        For each non-empty bin of probabilities, the mean probability, the fraction of true entries, and the number of
        entries.
    micro : ndarray of shape (3, n_points), default=None
        The same values for all observed entries together.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        The axes of the micro curve, unless labels are chosen, followed by those of the labels.
    figure_ : matplotlib Figure

    Notes
    -----
    The error bars are 95 % confidence intervals of a fraction (Wilson, 1927). They assume independent entries. If the
    diagonal lies within the error bars, the data do not contradict calibration.

    Examples
    --------
    >>> import numpy as np
    >>> from skml.inspection import CalibrationCurveDisplay
    >>> proba = np.random.RandomState(0).rand(500, 2)
    >>> y = np.random.RandomState(1).rand(500, 2) < proba
    >>> display = CalibrationCurveDisplay.from_predictions(y, proba, classes=["cold", "wet"], n_bins=4)
    >>> display.micro.round(2).tolist()[:2]
    [[0.13, 0.37, 0.63, 0.89], [0.1, 0.36, 0.6, 0.9]]
    """

    def __init__(self, curves: dict[Hashable, np.ndarray], micro: np.ndarray | None = None):
        self.curves = curves
        self.micro = micro

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: Matrix,
        y: Target,
        *,
        labels: Sequence[Hashable] | None = None,
        n_bins: int = 10,
        strategy: str = "uniform",
        ax: Axes | ArrayLike | None = None,
    ) -> CalibrationCurveDisplay:
        """Draw the curves of a fitted estimator.

        Parameters
        ----------
        estimator : fitted classifier with `predict_proba`
        X : input of the estimator, n_samples rows
            Use held-out rows: on training rows the curves look too good.
        y : label collections, indicator or single-label target with n_samples rows
        labels, n_bins, strategy : as in `from_predictions`
        ax : as in `plot`

        Returns
        -------
        display : CalibrationCurveDisplay
        """
        Y, (proba,), classes = truth_and_responses(estimator, X, y, ("predict_proba",))
        return cls(*_curves(Y, proba, classes, labels, n_bins, strategy)).plot(ax=ax)

    @classmethod
    def from_predictions(
        cls,
        y: Target,
        proba: ArrayLike,
        *,
        classes: ArrayLike | None = None,
        labels: Sequence[Hashable] | None = None,
        n_bins: int = 10,
        strategy: str = "uniform",
        ax: Axes | ArrayLike | None = None,
    ) -> CalibrationCurveDisplay:
        """Draw the curves of given probabilities.

        Parameters
        ----------
        y, proba, classes : as in `label_report`
        labels : list, default=None
            The labels to draw, one panel each. None draws the micro curve and the 8 most frequent labels.
        n_bins : int, default=10
            Number of bins of the probabilities.
        strategy : {"uniform", "quantile"}, default="uniform"
            "uniform" makes bins of equal width, "quantile" bins with about the same number of entries, as in
            `sklearn.calibration.calibration_curve`.
        ax : as in `plot`

        Returns
        -------
        display : CalibrationCurveDisplay
        """
        Y, proba, _, known_labels = check_probabilities(y, proba, None, classes)
        return cls(*_curves(Y, proba, known_labels, labels, n_bins, strategy)).plot(ax=ax)

    def plot(self, ax: Axes | ArrayLike | None = None) -> CalibrationCurveDisplay:
        """Draw the curves, one panel each.

        Parameters
        ----------
        ax : array-like of matplotlib Axes, default=None
            One axes for each panel. None creates a new figure.

        Returns
        -------
        display : CalibrationCurveDisplay
        """
        curves = [(shorten(label, 20), curve) for label, curve in self.curves.items()]
        if self.micro is not None:
            curves.insert(0, ("all labels", self.micro))
        self.axes_ = panel_axes(ax, len(curves), size=(2.9, 3))
        for panel, (title, curve) in zip(self.axes_, curves, strict=True):
            _plot_curve(panel, curve, title)
        add_legend(self.axes_[:1], ax is None)
        self.figure_ = self.axes_[0].figure
        return self


def _plot_curve(ax, curve, title):
    mean, fraction, n_entries = curve
    positives = np.rint(fraction * n_entries).astype(int)
    pairs = zip(positives.tolist(), n_entries.astype(int).tolist(), strict=True)
    low, high = np.array([binomtest(k, n).proportion_ci(method="wilson") for k, n in pairs]).T
    bars = np.maximum([fraction - low, high - fraction], 0)
    ax.plot([0, 1], [0, 1], "--", color="0.6", linewidth=1, label="calibrated")
    ax.errorbar(mean, fraction, bars, marker="o", markersize=4, elinewidth=1, label="observed (95 % interval)")
    ax.set(title=f"{title} ({positives.sum():,} true)", xlabel="predicted probability", ylabel="fraction of positives")
    ticks, limits = (0, 0.25, 0.5, 0.75, 1), (-0.03, 1.03)
    ax.set(xticks=ticks, yticks=ticks, xlim=limits, ylim=limits, aspect="equal")


def _curves(Y, proba, labels, chosen, n_bins, strategy):
    """Return the curves of labels, and the micro curve, which is None if labels are chosen."""
    check_labels_to_draw(chosen)
    check_scalar(n_bins, "n_bins", Integral, min_val=1)
    columns = sparse.csc_array(Y)
    support = column_sums(columns == 1)
    if chosen is None:
        drawn = [j for j in np.argsort(-support, kind="stable")[:_MAX_PANELS].tolist() if support[j]]
    else:
        drawn = [label_index(label, labels) for label in chosen]
    curves = {labels[j]: _curve(columns[:, [j]].toarray().ravel(), proba[:, j], n_bins, strategy) for j in drawn}
    if chosen is not None:
        return curves, None
    entries = Y.toarray() if sparse.issparse(Y) else Y
    return curves, _curve(entries.ravel(), proba.ravel(), n_bins, strategy)


def _curve(entries, proba, n_bins, strategy):
    observed = ~np.isnan(entries)
    if not observed.any():
        raise ValueError(
            "y has no observed entry for a curve: all are missing labels (NaN). Pass a y with entries that are 0 or 1, "
            "or choose other labels."
        )
    entries, proba = entries[observed], proba[observed]
    fraction, mean = calibration_curve(entries, proba, pos_label=1, n_bins=n_bins, strategy=strategy)
    edges = np.linspace(0, 1, n_bins + 1)
    if strategy == "quantile":
        edges = np.percentile(proba, 100 * edges)
    # calibration_curve bins in the same way, but does not return the number of entries of a bin.
    n_entries = np.bincount(np.searchsorted(edges[1:-1], proba))
    return np.stack([mean, fraction, n_entries[n_entries > 0]])
