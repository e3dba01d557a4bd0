"""Contributions of the features of one row to the log-odds of a label."""

from __future__ import annotations

from collections.abc import Hashable
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skml._decisions._guarantees import NEVER
from skml._default_network._gradients import integrated_gradients
from skml._default_network._network import DenseNetwork
from skml._dependencies import import_optional
from skml._targets._labels import label_index
from skml._targets._matrix import to_dense
from skml._typing import Matrix
from skml.inspection._columns import Columns
from skml.inspection._drawing import new_axes, shorten
from skml.model_selection._delegation import threshold_in_force, truth_of_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame


def label_contributions(estimator: BaseEstimator, X: Matrix, label: Hashable | None = None) -> DataFrame:
    """Return each feature's contribution to the log-odds of a label for one row.

    A positive contribution raises the predicted probability of the label, a negative one lowers it. The contributions
    divide the difference between the log-odds for the row and the log-odds for a baseline row among the features, by
    integrated gradients (Sundararajan et al., 2017). If the log-odds are linear in X, a contribution is the coefficient
    multiplied by the difference from the baseline. This function requires pandas, but not TensorFlow.

    Parameters
    ----------
    estimator : fitted `KerasMultiLabelClassifier` with the default network
        Also in a search, in a `TunedThresholdMultiLabelClassifierCV`, or as the last step of a Pipeline. The other
        steps of the Pipeline then define the features.
    X : input of the estimator, one row
        ``X[:1]``, or ``[text]`` for a text.
    label : object, default=None
        One of ``classes_``. None takes the most probable label of the row.

    Returns
    -------
    contributions : DataFrame
        Has one row per feature, with the index ``feature`` and the columns ``value``, the value of the feature in X,
        and ``contribution``, in log-odds. The largest contribution comes first. Features with the same value as in the
        baseline contribute nothing and are left out. ``contributions.attrs`` holds the ``label``, its ``probability``,
        its ``threshold`` (NaN for multi-class ``y``), and whether it is ``predicted``.

    Raises
    ------
    ImportError
        If pandas is not installed.
    ValueError
        If the label is not in ``classes_``, X is not a single row, or the estimator has no default network. SHAP
        explains other networks: ``shap.Explainer(label_view(estimator, label).predict_proba, X)``.

    Notes
    -----
    The baseline is a row of zeros if the network was trained on sparse X or with ``scale=None``, and otherwise the mean
    of the training rows: with ``scale="auto"`` the mean of each feature that the network makes of a column, such as its
    bins, whose contributions are summed. A missing value contributes by its indicator only. The contributions sum to
    the difference in log-odds, with an error of at most 0.01 or 1 % of the difference, whichever is larger.

    If the Pipeline tells which column of X a feature shows, the table has one row for the column, with its name and its
    value in X: a scaled column has its own units, and the columns of a one-hot encoder are summed. This is so for a
    ColumnTransformer, for transformers that scale, impute, select or encode columns, and for skrub's TableVectorizer
    and `tabular_pipeline`, whose columns of a date or text are summed too.

    The log-odds are those of the ensemble's mean probability after calibration, as `decision_function` returns them.
    For multi-class ``y`` they are ``log(p / (1 - p))`` with the probability p of the class. In a hierarchy, a label may
    have the probability of a label below it, whose contributions are then returned.

    Contributions describe the prediction of the model for this row. They do not show causes of the label.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skml import KerasMultiLabelClassifier
    >>> from skml.inspection import label_contributions
    >>> X = pd.DataFrame(np.tile([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], (25, 1)), columns=["ice", "rain"])
    >>> y = 25 * [set(), {"wet"}, {"cold"}, {"cold", "wet"}]
    >>> clf = KerasMultiLabelClassifier(epochs=20, random_state=0).fit(X, y)
    >>> contributions = label_contributions(clf, X[1:2], "wet")
    >>> contributions.index.tolist()
    ['rain', 'ice']
    >>> contributions.attrs["threshold"], contributions.attrs["predicted"]
    (0.5, True)
    """
    return _explain(estimator, X, label).frame


class LabelContributionsDisplay:
    """Bar chart of each feature's contribution to the log-odds of a label for one row.

    Create it with `from_estimator`.

    Parameters
    ----------
    frame : DataFrame
        The contributions, as returned by `label_contributions`.
    label : object
        The label that is explained.
    log_odds : float
        Log-odds of the label for the row.
    baseline_log_odds : float
        Log-odds of the label for the baseline.
    threshold : float, default=NaN
        Probability from which the label is predicted. NaN if it has none.
    predicted : bool, default=None
        Whether the label is predicted for the row. None leaves the decision out of the title.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    bars_ : matplotlib BarContainer
        One horizontal bar for each feature shown.

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

    def __init__(
        self,
        frame: DataFrame,
        label: Hashable,
        log_odds: float,
        baseline_log_odds: float,
        threshold: float = np.nan,
        predicted: bool | None = None,
    ):
        self.frame = frame
        self.label = label
        self.log_odds = log_odds
        self.baseline_log_odds = baseline_log_odds
        self.threshold = threshold
        self.predicted = predicted

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
        """Explain one prediction of a fitted estimator.

        Parameters
        ----------
        estimator, X, label : as in `label_contributions`
        ax, **kwargs
            As in `plot`.

        Returns
        -------
        display : LabelContributionsDisplay
        """
        return cls(*_explain(estimator, X, label)).plot(ax=ax, **kwargs)

    def plot(
        self, ax: Axes | None = None, *, max_features: int = 20, show_values: bool = True
    ) -> LabelContributionsDisplay:
        """Draw the bars, the largest contribution first.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None creates a new figure, whose height depends on the number of features.
        max_features : int, default=20
            Maximum number of features with a bar. The features with the largest absolute contributions are shown. The
            others are summed in a line of text.
        show_values : bool, default=True
            Whether to show the value of each feature next to its name.

        Returns
        -------
        display : LabelContributionsDisplay
        """
        largest = np.argsort(-self.frame["contribution"].abs(), kind="stable")[:max_features]
        shown = self.frame.iloc[np.sort(largest)]
        names = [shorten(name) for name in shown.index]
        if show_values:
            names = [f"{name} = {_short_value(value)}" for name, value in zip(names, shown["value"], strict=True)]
        sizes, rest = shown["contribution"], len(self.frame) - len(shown)
        if rest:  # text instead of a bar, as the sum of many small contributions could exceed all single ones
            names.append(f"{rest:,} others: {self.frame['contribution'].sum() - sizes.sum():+.2f} in all")
        if ax is None:
            (ax,) = new_axes(1, size=(6.8, 1.3 + 0.27 * len(names)))
        self.bars_ = ax.barh(range(len(shown)), sizes, color=["C0" if size >= 0 else "C3" for size in sizes])
        ax.bar_label(self.bars_, fmt="{:+.2f}", padding=3, fontsize=8)
        ax.axvline(0, color="0.3", linewidth=0.8)
        ax.margins(x=0.12)
        ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.4, -0.6))
        baseline, row = expit([self.baseline_log_odds, self.log_odds])
        ax.set_title(f"{shorten(self.label)}: probability {baseline:.2f} → {row:.2f}{self._decision()}")
        ax.set_xlabel(f"contribution to the log-odds ({self.baseline_log_odds:+.2f} → {self.log_odds:+.2f})")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _decision(self):
        """Return the threshold and the decision as text."""
        if self.predicted is None:
            return ""
        decision = "predicted" if self.predicted else "not predicted"
        if np.isnan(self.threshold):
            return f"\n{decision}"
        return f"\n{decision} (threshold {'never' if self.threshold >= NEVER else format(self.threshold, '.2f')})"


class _Explained(NamedTuple):
    """The arguments of `LabelContributionsDisplay`."""

    frame: DataFrame
    label: Hashable
    log_odds: float
    baseline_log_odds: float
    threshold: float
    predicted: bool


def _short_value(value):
    if not isinstance(value, Real):
        return shorten(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _explain(estimator, X, label):
    pandas = import_optional("pandas", "label_contributions")
    check_is_fitted(estimator)
    columns = Columns(estimator, X)
    classifier = columns.classifier
    network = default_network(classifier, "label_contributions")
    row = classifier.validate_X(columns.X)
    if row.shape[0] != 1:
        raise ValueError(
            f"X must have exactly 1 row, the row to explain; got {row.shape[0]} rows. Pass X[:1], or [text] for a text."
        )
    encoder = classifier.target_encoder_
    labels = encoder.classes_.tolist()
    proba = classifier.predict_proba(columns.X)[0]
    column = proba.argmax() if label is None else label_index(label, labels)
    output, sign = encoder.output_of_class(column)
    if encoder.links_ is not None:  # the label below this one, or itself, whose probability it has
        below = encoder.links_.descendants()[output]
        output = below[network.log_proba(row)[0, below].argmax()]
    features, contributions, *log_odds = integrated_gradients(network, row, output)
    group, names, values = columns.groups(features, to_dense(row)[0, features])
    sums = np.bincount(group, sign * contributions, len(names))
    index = pandas.Index(names, name="feature", tupleize_cols=False)
    frame = pandas.DataFrame({"value": values, "contribution": sums}, index=index)
    frame = frame.sort_values("contribution", ascending=False, kind="stable")
    label, threshold = labels[column], float(threshold_in_force(estimator, len(labels))[column])
    predicted = bool(truth_of_label(estimator, estimator.predict(X), label)[0])
    decision = {"threshold": threshold, "predicted": predicted}
    frame.attrs = {"label": label, "probability": float(proba[column]), **decision}
    return _Explained(frame, label, *(sign * x for x in log_odds), **decision)


def default_network(classifier, needed_for):
    """Return the default network of a fitted classifier, or raise ValueError if it has none."""
    network = classifier.trained_network() if hasattr(classifier, "trained_network") else None
    if not isinstance(network, DenseNetwork):
        raise ValueError(
            f"{needed_for} requires a KerasMultiLabelClassifier with the default network; got "
            f"{type(classifier).__name__}{'' if network is None else ' with a custom network'}. Use SHAP instead: "
            "shap.Explainer(label_view(estimator, label).predict_proba, X)."
        )
    return network
