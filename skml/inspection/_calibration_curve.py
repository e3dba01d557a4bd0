"""How often labels are true where a probability says so."""

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
from skml._targets._types import Matrix, Target
from skml.inspection._drawing import add_legend, panels, short
from skml.inspection._report import check_probabilities
from skml.model_selection._delegation import truth_and_responses

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# So many labels have a panel, unless they are chosen.
_MAX_PANELS = 8


class CalibrationCurveDisplay:
    """Share of true entries against the predicted probability (reliability diagram), of all labels and of single ones.

    Make it by `from_estimator` or `from_predictions`.

    Parameters
    ----------
    curves : dict of label -> ndarray of shape (3, n_points)
        Of each bin of probabilities that is not empty: their mean, the share of entries that are true, and the number
        of entries.
    micro : ndarray of shape (3, n_points), default=None
        The same of all observed entries.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        The micro curve first, unless labels are chosen; then the labels.
    figure_ : matplotlib Figure

    Notes
    -----
    The bars are 95 % intervals of a share (Wilson, 1927), as if entries were independent: a curve that the diagonal
    crosses within them may be calibrated.

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
        estimator : fitted classifier with predict_proba
        X : what it predicts from
            Rows that it was fitted to look better than new ones.
        y : label collections, indicator, or one label per row, n_samples in all
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
            The labels to draw, a panel for each. None draws the micro curve and the 8 most frequent labels.
        n_bins : int, default=10
            Bins of the probabilities.
        strategy : {"uniform", "quantile"}, default="uniform"
            Bins of one width, or of about as many entries each, as in `sklearn.calibration.calibration_curve`.
        ax : as in `plot`

        Returns
        -------
        display : CalibrationCurveDisplay
        """
        Y, proba, _, known_labels = check_probabilities(y, proba, None, classes)
        return cls(*_curves(Y, proba, known_labels, labels, n_bins, strategy)).plot(ax=ax)

    def plot(self, ax: Axes | ArrayLike | None = None) -> CalibrationCurveDisplay:
        """Draw the curves, a panel for each.

        Parameters
        ----------
        ax : array-like of matplotlib Axes, default=None
            One for each panel. None makes a figure.

        Returns
        -------
        display : CalibrationCurveDisplay
        """
        curves = [(short(label, 20), curve) for label, curve in self.curves.items()]
        if self.micro is not None:
            curves.insert(0, ("all labels", self.micro))
        self.axes_ = panels(ax, len(curves), size=(2.9, 3))
        for panel, (title, curve) in zip(self.axes_, curves, strict=True):
            _plot_curve(panel, curve, title)
        add_legend(self.axes_[:1], ax is None)
        self.figure_ = self.axes_[0].figure
        return self


def _plot_curve(ax, curve, title):
    mean, share, n_entries = curve
    positives = np.rint(share * n_entries).astype(int)
    pairs = zip(positives.tolist(), n_entries.astype(int).tolist(), strict=True)
    low, high = np.array([binomtest(k, n).proportion_ci(method="wilson") for k, n in pairs]).T
    bars = np.maximum([share - low, high - share], 0)
    ax.plot([0, 1], [0, 1], "--", color="0.6", linewidth=1, label="calibrated")
    ax.errorbar(mean, share, bars, marker="o", markersize=4, elinewidth=1, label="observed (95 % interval)")
    ax.set(title=f"{title} ({positives.sum():,} true)", xlabel="predicted probability", ylabel="share that is true")
    ticks, limits = (0, 0.25, 0.5, 0.75, 1), (-0.03, 1.03)
    ax.set(xticks=ticks, yticks=ticks, xlim=limits, ylim=limits, aspect="equal")


def _curves(Y, proba, labels, chosen, n_bins, strategy):
    """Return what CalibrationCurveDisplay is made of."""
    if isinstance(chosen, str):
        raise ValueError(f"labels must be a list of labels; got {chosen!r}. Write [{chosen!r}].")
    check_scalar(n_bins, "n_bins", Integral, min_val=1)
    columns = sparse.csc_array(Y)
    support = column_sums(columns == 1)
    if chosen is None:
        numbers = [j for j in np.argsort(-support, kind="stable")[:_MAX_PANELS].tolist() if support[j]]
    else:
        numbers = [label_index(label, labels) for label in chosen]
    curves = {labels[j]: _curve(columns[:, [j]].toarray().ravel(), proba[:, j], n_bins, strategy) for j in numbers}
    if chosen is not None:
        return curves, None
    entries = Y.toarray() if sparse.issparse(Y) else Y
    return curves, _curve(entries.ravel(), proba.ravel(), n_bins, strategy)


def _curve(entries, proba, n_bins, strategy):
    known = ~np.isnan(entries)
    if not known.any():
        raise ValueError("No entry of y is known: there is no curve to draw.")
    entries, proba = entries[known], proba[known]
    share, mean = calibration_curve(entries, proba, pos_label=1, n_bins=n_bins, strategy=strategy)
    edges = np.linspace(0, 1, n_bins + 1)
    if strategy == "quantile":
        edges = np.percentile(proba, 100 * edges)
    n_entries = np.bincount(np.searchsorted(edges[1:-1], proba))  # as calibration_curve, which keeps them to itself
    return np.stack([mean, share, n_entries[n_entries > 0]])
