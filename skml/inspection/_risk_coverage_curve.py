"""What a guarantee of precision costs: the share of rows and of labels that are decided automatically."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from skml._decisions._entries import entries_of
from skml._decisions._rule import DecisionRule
from skml._decisions._tuning import guaranteed_threshold
from skml._targets._types import Matrix, Target
from skml.inspection._drawing import add_legend, new_axes, panels
from skml.inspection._report import check_probabilities
from skml.model_selection._delegation import as_scores, find_fitted

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_LEVELS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98)

_STYLES = {"rows": ("rows with a label", "C0"), "labels": ("true labels", "C1")}


class RiskCoverageCurveDisplay:
    """What is decided automatically against the precision that is guaranteed, and the precision that is reached.

    Make it by `from_estimator` or `from_predictions`. Each guarantee is kept by ``threshold="precision>=..."`` or, with
    `by_label`, ``"precision>=... by label"``; what gets no label is left to a person.

    Parameters
    ----------
    curves : dict of str -> dict
        For "out of fold" and, with test rows, "test": ``rows``, the share of rows that get a label, ``labels``, the
        share of true labels that are predicted, and ``precision``, the share of predicted labels that are true, NaN if
        there are none: arrays of shape (n_levels,).
    levels : ndarray of shape (n_levels,)
        The precision that is guaranteed.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (2,)
        The shares, and the precision.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> from skml.inspection import RiskCoverageCurveDisplay
    >>> proba = np.random.RandomState(0).rand(500, 3)
    >>> y = (np.random.RandomState(1).rand(500, 3) < proba).astype(int)
    >>> display = RiskCoverageCurveDisplay.from_predictions(y, proba, levels=[0.6, 0.8])
    >>> [bool(reached >= level) for reached, level in zip(display.curves["out of fold"]["precision"], display.levels)]
    [True, True]
    """

    def __init__(self, curves, levels):
        self.curves = curves
        self.levels = levels

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: Matrix,
        y: Target,
        *,
        y_fit: Target,
        levels: Sequence[float] = _LEVELS,
        by_label: bool = False,
        sample_weight: ArrayLike | None = None,
        ax: Axes | ArrayLike | None = None,
    ) -> RiskCoverageCurveDisplay:
        """Find the thresholds from the out-of-fold probabilities of a fitted estimator, and try them on test rows.

        Parameters
        ----------
        estimator : fitted `KerasMultiLabelClassifier` with an ``oof_proba_``, also inside a Pipeline or search
        X, y : test rows and their target
        y_fit : the target of `fit`
        levels, by_label, sample_weight, ax : as in `from_predictions`

        Returns
        -------
        display : RiskCoverageCurveDisplay

        Raises
        ------
        ValueError
            If the estimator has no ``oof_proba_``, or y is multi-class.
        """
        holder = find_fitted(estimator, "oof_proba_")
        if holder is None:
            raise ValueError(
                f"{type(estimator).__name__} has no oof_proba_: fit KerasMultiLabelClassifier with n_members > 1, or "
                "pass probabilities of rows that were not learned from to RiskCoverageCurveDisplay.from_predictions."
            )
        encoder = holder.target_encoder_
        if not encoder.threshold_labels:
            raise ValueError("For multi-class y the most probable class is predicted: there is no threshold to find.")
        proba, proba_test = (
            encoder.output_columns(p) for p in (holder.oof_proba_, as_scores(estimator.predict_proba(X), estimator))
        )
        Y_fit, Y = encoder.transform(y_fit), encoder.transform(y)
        for rows, y_name, n in ((Y_fit, "y_fit", len(proba)), (Y, "y", len(proba_test))):
            if rows.shape[0] != n:
                of = "fit, whose target it is" if rows is Y_fit else "X"
                raise ValueError(f"{y_name} must hold the {n} rows of {of}; got {rows.shape[0]}.")
        data = {"out of fold": (Y_fit, proba), "test": (Y, proba_test)}
        return cls(*_curves(data, levels, by_label, sample_weight)).plot(ax=ax)

    @classmethod
    def from_predictions(
        cls,
        y: Target,
        proba: ArrayLike,
        *,
        y_test: Target | None = None,
        proba_test: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        levels: Sequence[float] = _LEVELS,
        by_label: bool = False,
        sample_weight: ArrayLike | None = None,
        ax: Axes | ArrayLike | None = None,
    ) -> RiskCoverageCurveDisplay:
        """Find the thresholds from given probabilities, and try them on those of test rows.

        Parameters
        ----------
        y : label collections or indicator, n_samples in all
        proba : array-like of shape (n_samples, n_labels)
            Of rows that their classifier has not learned from.
        y_test, proba_test : as y and proba, default=None
        classes : array-like of length n_labels, default=None
            The labels, in the order of the columns of `proba`. None takes them from `y`.
        levels : array-like of float in (0, 1), default=(0.5, 0.55, ..., 0.95, 0.98)
            The precision to guarantee.
        by_label : bool, default=False
            Whether each label has a threshold, and keeps the guarantee, of its own.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows that thresholds are found from.
        ax : array-like of two matplotlib Axes, default=None

        Returns
        -------
        display : RiskCoverageCurveDisplay
        """
        Y, proba, _, labels = check_probabilities(y, proba, 0.5, classes)
        data = {"out of fold": (Y, proba)}
        if y_test is not None:
            data["test"] = check_probabilities(y_test, proba_test, 0.5, labels)[:2]
        return cls(*_curves(data, levels, by_label, sample_weight)).plot(ax=ax)

    def plot(self, ax: Axes | ArrayLike | None = None) -> RiskCoverageCurveDisplay:
        """Draw the shares, and the precision reached against the one guaranteed.

        Parameters
        ----------
        ax : array-like of two matplotlib Axes, default=None
            None makes a figure.

        Returns
        -------
        display : RiskCoverageCurveDisplay
        """
        self.axes_ = new_axes(2, size=(4.8, 3.6)) if ax is None else panels(ax, 2)
        shares, precision = self.axes_
        for name, marker, line in (("out of fold", "o", "-"), ("test", "x", "--")):
            curve = self.curves.get(name)
            if curve is None:
                continue
            for key, (text, color) in _STYLES.items():
                shares.plot(self.levels, curve[key], line, marker=marker, color=color, label=f"{text}, {name}")
            precision.plot(self.levels, curve["precision"], line, marker=marker, color="C2", label=name)
        precision.plot(self.levels, self.levels, color="0.3", linewidth=1.2, label="guaranteed")
        shares.set(title="decided automatically", xlabel="precision guaranteed", ylabel="share", ylim=(-0.03, 1.03))
        precision.set(title="precision reached", xlabel="precision guaranteed")
        add_legend([shares], ax is None)
        precision.legend(fontsize="small", loc="upper left")
        self.figure_ = self.axes_[0].figure
        return self


def _curves(data, levels, by_label, sample_weight):
    """Return what the display is made of: thresholds come from the first of the data."""
    levels = np.asarray(levels, dtype=np.float64)
    if levels.ndim != 1 or not np.all((levels > 0) & (levels < 1)):
        raise ValueError(f"levels must be numbers in (0, 1), such as [0.8, 0.9, 0.95]; got {levels.tolist()!r}.")
    guarantees = [f"precision>={level}" + " by label" * by_label for level in levels.tolist()]
    thresholds = [guaranteed_threshold(*data["out of fold"], guarantee, sample_weight) for guarantee in guarantees]
    weights = {"out of fold": sample_weight}
    return {name: _decided(*pair, thresholds, weights.get(name)) for name, pair in data.items()}, levels


def _decided(Y, proba, thresholds, weight):
    """Return the shares of rows and of true labels, and the precision, for each of the thresholds."""
    entries = entries_of(Y, proba, weight)
    counts = np.zeros((len(thresholds), 3))
    n_true = 0.0
    for truth, known, p, row_weight in entries.by_rows():
        n_true += row_weight @ truth.sum(axis=1)
        for i, threshold in enumerate(thresholds):
            decisions = DecisionRule(threshold).decide(p) & known
            amounts = (decisions.any(axis=1), (decisions & truth).sum(axis=1), decisions.sum(axis=1))
            counts[i] += [row_weight @ amount for amount in amounts]
    with_labels, right, predicted = counts.T
    share = np.divide(right, predicted, out=np.full(len(right), np.nan), where=predicted > 0)
    return {
        "rows": with_labels / entries.weight.sum(),
        "labels": right / n_true if n_true else 0 * right,
        "precision": share,
    }
