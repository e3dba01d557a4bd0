"""Training curves: loss and metrics of a fit against the epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from skml.inspection._drawing import panel_axes
from skml.model_selection._delegation import find_fitted

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class TrainingCurveDisplay:
    """Training curves: loss and metrics of a fit against the epoch.

    Create the display with `from_estimator`.

    Parameters
    ----------
    history : dict of str -> list of float
        The loss and the metrics of each epoch, and as ``"val_..."`` their values on the validation data.
    kept_epoch : int, default=None
        The epoch, counted from 1, whose weights were kept. None marks the epoch with the lowest ``val_loss``.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        The axes of the loss, followed by one axes for each metric.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from skml.inspection import TrainingCurveDisplay
    >>> display = TrainingCurveDisplay({"loss": [0.7, 0.4], "val_loss": [0.6, 0.5]}).plot()
    >>> [ax.get_title() for ax in display.axes_]
    ['loss']
    """

    def __init__(self, history, kept_epoch=None):
        self.history = history
        self.kept_epoch = kept_epoch

    @classmethod
    def from_estimator(cls, estimator: BaseEstimator, *, ax: Axes | ArrayLike | None = None) -> TrainingCurveDisplay:
        """Draw the curves of a fitted estimator.

        Parameters
        ----------
        estimator : fitted estimator with ``history_``, also inside a Pipeline or search
        ax : as in `plot`

        Returns
        -------
        display : TrainingCurveDisplay
        """
        holder = find_fitted(estimator, "history_")
        if holder is None:
            raise ValueError(
                f"{type(estimator).__name__} has no history_. Fit it first; only estimators trained in epochs have "
                "training curves."
            )
        return cls(holder.history_, getattr(holder, "kept_epoch_", None)).plot(ax=ax)

    def plot(self, ax: Axes | ArrayLike | None = None) -> TrainingCurveDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : array-like of matplotlib Axes, default=None
            One axes for each panel. None creates a new figure.

        Returns
        -------
        display : TrainingCurveDisplay
        """
        names = list(dict.fromkeys(name.removeprefix("val_") for name in self.history))
        names.sort(key=lambda name: name != "loss")  # Keras sorts the names of the history
        self.axes_ = panel_axes(ax, len(names))
        for panel, name in zip(self.axes_, names, strict=True):
            for key, label in ((name, "training"), (f"val_{name}", "validation")):
                values = self.history.get(key, [])
                if values:
                    panel.plot(range(1, len(values) + 1), values, label=label, marker="." if len(values) < 30 else "")
            panel.set(title=name, xlabel="epoch")
            panel.xaxis.get_major_locator().set_params(integer=True)
            if name == "loss" and self.history.get("val_loss"):
                kept = self.kept_epoch
                epoch = int(np.argmin(self.history["val_loss"])) + 1 if kept is None else kept
                label = f"{'lowest' if kept is None else 'kept'}: epoch {epoch}"
                panel.axvline(epoch, color="0.3", linewidth=1.2, label=label)
            panel.legend(fontsize="small")
        self.figure_ = self.axes_[0].figure
        return self
