"""Risk-coverage curves: the coverage that remains when precision is guaranteed at a target level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from skml._decisions._entries import entries_of
from skml._decisions._tuning import guaranteed_rule
from skml._targets._groups import group_codes
from skml._targets._weights import aligned_weights
from skml._typing import Matrix, Target
from skml.inspection._drawing import add_legend, new_axes, panel_axes
from skml.inspection._report import check_probabilities
from skml.model_selection._delegation import as_scores, find_fitted

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_TARGET_LEVELS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98)

# Key of a coverage in `curves` -> its text in the legend, and its color.
_COVERAGES = {"rows": ("rows with a label", "C0"), "labels": ("true labels predicted", "C1")}


class RiskCoverageCurveDisplay:
    """Risk-coverage curve: coverage and reached precision against the target level of a precision guarantee.

    A threshold that guarantees precision leaves some labels unpredicted, for example for a person to decide. The
    *coverage* is the fraction that is predicted. The *risk* is the fraction of predicted labels that are false, that is
    1 minus the precision. The display shows how much coverage each target level costs.

    Create it with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    curves : dict of str -> dict
        The curves on "out of fold" data and, with test rows, on "test" data. Each is a dict of arrays of shape
        (n_levels,): ``rows``, the fraction of rows that get a label; ``labels``, the fraction of true labels that are
        predicted; ``precision``, the fraction of predicted labels that are true, NaN if no label is predicted.
    levels : ndarray of shape (n_levels,)
        The target levels: the guaranteed precisions.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (2,)
        The axes of the coverage and of the precision.
    figure_ : matplotlib Figure

    Notes
    -----
    Risk-coverage curves describe selective classification (El-Yaniv and Wiener, 2010), applied here to each label of a
    row. The threshold of each target level is the one that ``threshold="precision>=..."`` or, with `by_label`,
    ``"precision>=... by label"`` finds. It guarantees the target level with 95 % confidence. A label without such a
    threshold is never predicted.

    References
    ----------
    R. El-Yaniv and Y. Wiener (2010). On the foundations of noise-free selective classification. Journal of Machine
    Learning Research 11, 1605-1641.

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
        levels: Sequence[float] = _TARGET_LEVELS,
        by_label: bool = False,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        ax: Axes | ArrayLike | None = None,
    ) -> RiskCoverageCurveDisplay:
        """Find the thresholds on the out-of-fold probabilities of a fitted estimator, and apply them to test rows.

        Parameters
        ----------
        estimator : fitted `KerasMultiLabelClassifier` with ``oof_proba_``, also inside a Pipeline or search
        X, y : test rows and their target
        y_fit : target that the estimator was fitted to
        levels, by_label, sample_weight, groups, ax : as in `from_predictions`

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
                f"{type(estimator).__name__} has no oof_proba_. {_reason(find_fitted(estimator, 'target_encoder_'))}"
                "Fit a KerasMultiLabelClassifier with n_members > 1, or pass probabilities of held-out rows to "
                "RiskCoverageCurveDisplay.from_predictions."
            )
        encoder = holder.target_encoder_
        if not encoder.threshold_labels:
            raise ValueError(
                "RiskCoverageCurveDisplay does not support multi-class y, where the most probable class is predicted "
                "without a threshold. Use conformal prediction sets, for example those of MAPIE."
            )
        proba, proba_test = (
            encoder.output_columns(p) for p in (holder.oof_proba_, as_scores(estimator.predict_proba(X), estimator))
        )
        Y_fit, Y = (encoder.truth(encoder.transform(target)) for target in (y_fit, y))
        for rows, y_name, n in ((Y_fit, "y_fit", len(proba)), (Y, "y", len(proba_test))):
            if rows.shape[0] != n:
                rows_of = "the data that the estimator was fitted to" if rows is Y_fit else "X"
                raise ValueError(f"{y_name} must have {n} rows, like {rows_of}; got {rows.shape[0]}.")
        data = {"out of fold": (Y_fit, proba), "test": (Y, proba_test)}
        labels, links = encoder.classes_.tolist(), encoder.links_
        return cls(*_risk_coverage_curves(data, levels, by_label, sample_weight, groups, labels, links)).plot(ax=ax)

    @classmethod
    def from_predictions(
        cls,
        y: Target,
        proba: ArrayLike,
        *,
        y_test: Target | None = None,
        proba_test: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        levels: Sequence[float] = _TARGET_LEVELS,
        by_label: bool = False,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        ax: Axes | ArrayLike | None = None,
    ) -> RiskCoverageCurveDisplay:
        """Find the thresholds on given probabilities, and apply them to the probabilities of test rows.

        Parameters
        ----------
        y : label collections or indicator with n_samples rows
        proba : array-like of shape (n_samples, n_labels)
            Probabilities of held-out rows, which the classifier was not trained on. The thresholds are found on them.
        y_test, proba_test : as y and proba, default=None
            Test rows, to which the thresholds are applied. None draws no test curve.
        classes : array-like of length n_labels, default=None
            The labels, in the order of the columns of `proba`. None takes them from `y`.
        levels : array-like of float in (0, 1), default=(0.5, 0.55, ..., 0.95, 0.98)
            The target levels: the precisions to guarantee.
        by_label : bool, default=False
            Whether to find one threshold per label and guarantee the precision of each label, instead of the
            micro-averaged precision.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_labels), default=None
            Weights of the rows of `y`, or of its entries. Test rows have equal weights.
        groups : array-like of shape (n_samples,), default=None
            The group of each row of `y`. Guarantees count groups instead of rows, as those of a fit with groups do.
        ax : array-like of two matplotlib Axes, default=None
            As in `plot`.

        Returns
        -------
        display : RiskCoverageCurveDisplay
        """
        Y, proba, _, labels = check_probabilities(y, proba, 0.5, classes)
        data = {"out of fold": (Y, proba)}
        if y_test is not None:
            data["test"] = check_probabilities(y_test, proba_test, 0.5, labels)[:2]
        return cls(*_risk_coverage_curves(data, levels, by_label, sample_weight, groups, labels)).plot(ax=ax)

    def plot(self, ax: Axes | ArrayLike | None = None) -> RiskCoverageCurveDisplay:
        """Draw the coverage and the reached precision against the target level.

        Parameters
        ----------
        ax : array-like of two matplotlib Axes, default=None
            The axes of the coverage and of the precision. None creates a new figure.

        Returns
        -------
        display : RiskCoverageCurveDisplay
        """
        self.axes_ = new_axes(2, size=(4.8, 3.6)) if ax is None else panel_axes(ax, 2)
        coverage, precision = self.axes_
        for name, marker, line in (("out of fold", "o", "-"), ("test", "x", "--")):
            curve = self.curves.get(name)
            if curve is None:
                continue
            for key, (text, color) in _COVERAGES.items():
                coverage.plot(self.levels, curve[key], line, marker=marker, color=color, label=f"{text}, {name}")
            precision.plot(self.levels, curve["precision"], line, marker=marker, color="C2", label=name)
        precision.plot(self.levels, self.levels, color="0.3", linewidth=1.2, label="target level")
        xlabel = "target level of precision"
        coverage.set(title="coverage", xlabel=xlabel, ylabel="fraction", ylim=(-0.03, 1.03))
        precision.set(title="precision reached (1 - risk)", xlabel=xlabel, ylabel="precision")
        add_legend([coverage], ax is None)
        precision.legend(fontsize="small", loc="upper left")
        self.figure_ = self.axes_[0].figure
        return self


def _risk_coverage_curves(data, levels, by_label, sample_weight, groups, labels, links=None):
    """Return the curves of all data, with thresholds found on the out-of-fold data, and the levels as an array."""
    levels = np.asarray(levels, dtype=np.float64)
    if levels.ndim != 1 or not np.all((levels > 0) & (levels < 1)):
        raise ValueError(
            f"levels must be a list of numbers in (0, 1), such as [0.8, 0.9, 0.95]; got {levels.tolist()!r}."
        )
    guarantees = [f"precision>={level}" + " by label" * by_label for level in levels.tolist()]
    sample_weight = aligned_weights(sample_weight, data["out of fold"][0], labels)
    given = (sample_weight, group_codes(groups, len(data["out of fold"][1])), links)
    rules = [guaranteed_rule(*data["out of fold"], guarantee, *given) for guarantee in guarantees]
    weights = {"out of fold": sample_weight}
    return {name: _coverage_and_precision(*pair, rules, weights.get(name)) for name, pair in data.items()}, levels


def _coverage_and_precision(Y, proba, rules, weight):
    """Return the coverage of rows, the coverage of true labels and the precision, by each rule."""
    entries = entries_of(Y, proba, weight)
    counts = np.zeros((len(rules), 3))
    n_true = 0.0
    for rows, (truth, observed, p, weight) in zip(entries.blocks(), entries.by_rows(), strict=True):
        relative = 1.0 if entries.label_weight is None else entries.label_weight[rows]
        n_true += weight @ (truth * relative).sum(axis=1)
        for i, rule in enumerate(rules):
            predicted = rule.decide(p) & observed
            sums = ((decided * relative).sum(axis=1) for decided in (predicted & truth, predicted))
            counts[i] += [weight @ count for count in (predicted.any(axis=1), *sums)]
    n_rows, n_right, n_predicted = counts.T
    return {
        "rows": n_rows / entries.weight.sum(),
        "labels": n_right / n_true if n_true else 0 * n_right,
        "precision": np.divide(n_right, n_predicted, out=np.full(len(n_right), np.nan), where=n_predicted > 0),
    }


def _reason(estimator):
    """Return why a fitted estimator has no ``oof_proba_``, as it says itself, with a space after it."""
    if hasattr(type(estimator), "oof_proba_"):
        try:
            estimator.oof_proba_  # noqa: B018
        except AttributeError as error:
            return f"{error} "
    return ""
