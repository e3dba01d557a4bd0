"""What speaks for and against a label in one row."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skml._default_network._gradients import integrated_gradients
from skml._default_network._network import DenseNetwork
from skml._targets._labels import label_index
from skml._targets._matrix import to_dense
from skml._targets._types import Matrix
from skml.inspection._drawing import import_optional, new_axes, short
from skml.model_selection._delegation import last_step_and_input

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame


def label_contributions(estimator: BaseEstimator, X: Matrix, label: Hashable | None = None) -> DataFrame:
    """Return what speaks for and against a label in one row. Needs pandas, and no TensorFlow.

    Each feature gets its share of the difference between the log-odds of the label for the row and for a baseline,
    by integrated gradients (Sundararajan et al., 2017). For log-odds that are linear in X this is the coefficient
    times the difference from the baseline.

    Parameters
    ----------
    estimator : fitted KerasMultiLabelClassifier with the default network
        Also as last step of a Pipeline, whose other steps make the features, and in a search or a
        `TunedThresholdMultiLabelClassifierCV`.
    X : what the estimator predicts from, one row
        ``X[:1]``, or for texts ``[text]``.
    label : object, default=None
        One of ``classes_``. None takes the most probable label of the row.

    Returns
    -------
    contributions : DataFrame
        Indexed by ``feature``, with the columns ``value``, what the row holds there, and ``contribution`` to the
        log-odds, from what speaks most for the label to what speaks most against it. Features as in the baseline
        contribute nothing and are left out.

    Raises
    ------
    ValueError
        If the estimator does not know the label, X is not one row, or the network is a custom one: then ask SHAP,
        ``shap.Explainer(label_view(estimator, label).predict_proba, X)``.

    Notes
    -----
    The baseline is the row of zeros for a network trained on sparse X or with ``scale=None``, and the mean row of its
    training for one trained on dense X. The contributions sum to the difference within 0.01, or 1 % of it where that
    is more. Log-odds are those of the ensemble's mean probability after calibration, as `decision_function` gives
    them; for multi-class ``y``, ``log(p / (1 - p))`` of the class.

    A contribution says what the network makes of a feature beside the others in the row, not what the label depends on.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skml import KerasMultiLabelClassifier
    >>> from skml.inspection import label_contributions
    >>> X = pd.DataFrame(np.tile([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], (25, 1)), columns=["ice", "rain"])
    >>> y = 25 * [set(), {"wet"}, {"cold"}, {"cold", "wet"}]
    >>> clf = KerasMultiLabelClassifier(epochs=20, random_state=0).fit(X, y)
    >>> label_contributions(clf, X[1:2], "wet").index.tolist()
    ['rain', 'ice']
    """
    return _explanation(estimator, X, label)[0]


class LabelContributionsDisplay:
    """What speaks for and against a label in one row, as horizontal bars.

    Make it by `from_estimator`.

    Parameters
    ----------
    frame : DataFrame
        What `label_contributions` returns.
    label : object
    log_odds : float
        Of the label for the row.
    baseline_log_odds : float
        Of the label for the baseline.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    bars_ : matplotlib BarContainer
        One for each feature shown.

    Examples
    --------
    >>> import numpy as np
    >>> from skml import KerasMultiLabelClassifier
    >>> from skml.inspection import LabelContributionsDisplay
    >>> X = np.tile([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], (25, 1))
    >>> y = 25 * [set(), {"wet"}, {"cold"}, {"cold", "wet"}]
    >>> clf = KerasMultiLabelClassifier(epochs=20, random_state=0).fit(X, y)
    >>> display = LabelContributionsDisplay.from_estimator(clf, X[1:2], "wet")
    >>> [tick.get_text() for tick in display.ax_.get_yticklabels()]
    ['x1 = 1', 'x0 = 0']
    """

    def __init__(self, frame: DataFrame, label: Hashable, log_odds: float, baseline_log_odds: float):
        self.frame = frame
        self.label = label
        self.log_odds = log_odds
        self.baseline_log_odds = baseline_log_odds

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: Matrix,
        label: Hashable | None = None,
        *,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> LabelContributionsDisplay:
        """Explain a prediction of a fitted estimator.

        Parameters
        ----------
        estimator, X, label : as in `label_contributions`
        ax : matplotlib Axes, default=None
        **kwargs
            As in `plot`.

        Returns
        -------
        display : LabelContributionsDisplay
        """
        return cls(*_explanation(estimator, X, label)).plot(ax=ax, **kwargs)

    def plot(
        self, ax: Axes | None = None, *, max_features: int = 20, show_values: bool = True
    ) -> LabelContributionsDisplay:
        """Draw the bars, from what speaks most for the label to what speaks most against it.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a figure that grows with the features.
        max_features : int, default=20
            Features with a bar of their own, those with the largest contributions either way.
        show_values : bool, default=True
            Whether the value of a feature stands beside its name.

        Returns
        -------
        display : LabelContributionsDisplay
        """
        largest = np.argsort(-self.frame["contribution"].abs(), kind="stable")[:max_features]
        shown = self.frame.iloc[np.sort(largest)]
        names = [short(name) for name in shown.index]
        if show_values:
            names = [f"{name} = {value:.3g}" for name, value in zip(names, shown["value"], strict=True)]
        sizes, rest = shown["contribution"], len(self.frame) - len(shown)
        if rest:  # no bar: many small ones may sum to more than those that can be told apart
            names.append(f"{rest:,} others: {self.frame['contribution'].sum() - sizes.sum():+.2f} in all")
        if ax is None:
            (ax,) = new_axes(1, size=(6.8, 1.3 + 0.27 * len(names)))
        self.bars_ = ax.barh(range(len(shown)), sizes, color=["C0" if size >= 0 else "C3" for size in sizes])
        ax.bar_label(self.bars_, fmt="{:+.2f}", padding=3, fontsize=8)
        ax.axvline(0, color="0.3", linewidth=0.8)
        ax.margins(x=0.12)
        ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.4, -0.6))
        before, after = expit([self.baseline_log_odds, self.log_odds])
        ax.set_title(f"{short(self.label)}: probability {before:.2f} → {after:.2f}")
        ax.set_xlabel(f"contribution to the log-odds ({self.baseline_log_odds:+.2f} → {self.log_odds:+.2f})")
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _explanation(estimator, X, label):
    """Return what LabelContributionsDisplay is made of."""
    pandas = import_optional("pandas")
    check_is_fitted(estimator)
    classifier, X, names = last_step_and_input(estimator, X)
    network = _default_network(classifier)
    row = classifier.validate_X(X)
    if row.shape[0] != 1:
        raise ValueError(f"X must hold one row, the one to explain; got {row.shape[0]}. Pass X[:1], or [text].")
    encoder = classifier.target_encoder_
    labels = encoder.classes_.tolist()
    number = classifier.predict_proba(X).argmax() if label is None else label_index(label, labels)
    output, sign = encoder.output_of_class(number)
    columns, contributions, *odds = integrated_gradients(network, row, output)
    values = to_dense(row)[0, columns]
    frame = pandas.DataFrame(
        {"value": values, "contribution": sign * contributions},
        index=pandas.Index(_names(classifier, names, columns), name="feature", tupleize_cols=False),
    )
    return frame.sort_values("contribution", ascending=False, kind="stable"), labels[number], *(sign * x for x in odds)


def _default_network(classifier):
    network = classifier.trained_network() if hasattr(classifier, "trained_network") else None
    if not isinstance(network, DenseNetwork):
        raise ValueError(
            "label_contributions reads the arrays of KerasMultiLabelClassifier's default network; "
            f"{type(classifier).__name__} has another one here. Ask SHAP instead: "
            "shap.Explainer(label_view(estimator, label).predict_proba, X)."
        )
    return network


def _names(classifier, names, columns):
    """Return the names of columns: those that a Pipeline makes, those seen in fit, or their numbers after "x"."""
    names = getattr(classifier, "feature_names_in_", None) if names is None else names
    return [f"x{j}" for j in columns] if names is None else np.asarray(names, dtype=object)[columns]
