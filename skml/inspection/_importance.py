"""Importance of each feature for each label: the mean absolute contribution over rows."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from skml._default_network._gradients import contributions_of_rows
from skml._dependencies import import_optional
from skml._targets._labels import label_index
from skml._targets._matrix import column_sums
from skml._typing import Matrix
from skml.inspection._columns import Columns
from skml.inspection._drawing import check_labels_to_draw, panel_axes, shorten
from skml.inspection._explanation import default_network

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

# Rows that are explained at once.
_BLOCK = 8

# Labels that get a panel by default.
_MAX_PANELS = 6


def label_importances(
    estimator: BaseEstimator,
    X: Matrix,
    *,
    labels: Sequence[Hashable] | None = None,
    max_rows: int | None = 200,
) -> DataFrame:
    """Return the importance of each feature for each label: its mean absolute contribution over the rows of X.

    The contributions to the log-odds are those of `label_contributions`, for many rows. A feature is important for a
    label if its values move the probability of the label in many rows, in either direction. Requires pandas.

    Parameters
    ----------
    estimator : fitted `KerasMultiLabelClassifier` with the default network
        As in `label_contributions`.
    X : input of the estimator, n_samples rows
    labels : list, default=None
        The labels to explain. None explains all labels.
    max_rows : int, default=200
        If X has more rows, this number of rows at equal distances is explained. None explains all rows.

    Returns
    -------
    importances : DataFrame
        Has one row per feature, with the index ``feature``, and one column per label, in log-odds. The feature with the
        largest sum over the labels comes first. Features that contribute nothing are left out.

    Raises
    ------
    ImportError
        If pandas is not installed.
    ValueError
        If a label is not in ``classes_``, or the estimator has no default network. `permutation_importance` of
        scikit-learn explains others: ``permutation_importance(label_view(estimator, label), X, y_of_label)``.

    Notes
    -----
    Features are grouped as in `label_contributions`: one row for the columns of a one-hot encoder, for example. The
    integral of the gradient is computed with 16 points for each row, so a single contribution is less exact than in
    `label_contributions`. The time grows with the number of rows multiplied by the number of labels.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skml import KerasMultiLabelClassifier
    >>> from skml.inspection import label_importances
    >>> X = pd.DataFrame(np.tile([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], (25, 1)), columns=["ice", "rain"])
    >>> y = 25 * [set(), {"wet"}, {"cold"}, {"cold", "wet"}]
    >>> clf = KerasMultiLabelClassifier(epochs=20, random_state=0).fit(X, y)
    >>> label_importances(clf, X).idxmax().to_dict()
    {'cold': 'ice', 'wet': 'rain'}
    """
    pandas = import_optional("pandas", "label_importances")
    check_is_fitted(estimator)
    check_labels_to_draw(labels)
    if max_rows is not None:
        check_scalar(max_rows, "max_rows", Integral, min_val=1)
    columns = Columns(estimator, X)
    classifier = columns.classifier
    network = default_network(classifier, "label_importances")
    known = classifier.target_encoder_.classes_.tolist()
    chosen = known if labels is None else list(labels)
    outputs = [classifier.target_encoder_.output_of_class(label_index(label, known))[0] for label in chosen]
    X = classifier.validate_X(columns.X)
    if max_rows is not None and X.shape[0] > max_rows:
        X = X[np.linspace(0, X.shape[0] - 1, max_rows).astype(int)]
    group, names, _ = columns.groups(np.arange(X.shape[1]), None)
    sums = _absolute_sums(network, X, outputs, group, len(names))
    frame = pandas.DataFrame(
        sums.T / X.shape[0],
        index=pandas.Index(names, name="feature", tupleize_cols=False),
        columns=pandas.Index(chosen, name="label", tupleize_cols=False),
    )
    order = np.argsort(-sums.sum(axis=0), kind="stable")
    return frame.iloc[order[sums.sum(axis=0)[order] > 0]]


def _absolute_sums(network, X, outputs, group, n_groups):
    """Return the sums over rows of the absolute contributions of groups of columns, shape (n_outputs, n_groups)."""
    members = sparse.csr_array((np.ones(len(group)), (np.arange(len(group)), group)), shape=(len(group), n_groups))
    sums = np.zeros((len(outputs), n_groups))
    for start in range(0, X.shape[0], _BLOCK):
        for k, values in enumerate(contributions_of_rows(network, X[start : start + _BLOCK], outputs)):
            sums[k] += column_sums(abs(values @ members))
    return sums


class LabelImportancesDisplay:
    """Bar charts of the most important features of each label.

    Create it with `from_estimator`.

    Parameters
    ----------
    frame : DataFrame
        The importances, as returned by `label_importances`.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        One for each label that is drawn.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> from skml import KerasMultiLabelClassifier
    >>> from skml.inspection import LabelImportancesDisplay
    >>> X = np.tile([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], (25, 1))
    >>> y = 25 * [set(), {"wet"}, {"cold"}, {"cold", "wet"}]
    >>> clf = KerasMultiLabelClassifier(epochs=20, random_state=0).fit(X, y)
    >>> display = LabelImportancesDisplay.from_estimator(clf, X)
    >>> [ax.get_title() for ax in display.axes_]
    ['cold', 'wet']
    """

    def __init__(self, frame: DataFrame):
        self.frame = frame

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: Matrix,
        *,
        labels: Sequence[Hashable] | None = None,
        max_rows: int | None = 200,
        max_features: int = 10,
        ax: Axes | ArrayLike | None = None,
    ) -> LabelImportancesDisplay:
        """Draw the importances of a fitted estimator.

        Parameters
        ----------
        estimator, X, labels, max_rows : as in `label_importances`
        max_features, ax : as in `plot`

        Returns
        -------
        display : LabelImportancesDisplay
        """
        frame = label_importances(estimator, X, labels=labels, max_rows=max_rows)
        return cls(frame).plot(labels=labels, max_features=max_features, ax=ax)

    def plot(
        self,
        ax: Axes | ArrayLike | None = None,
        *,
        labels: Sequence[Hashable] | None = None,
        max_features: int = 10,
    ) -> LabelImportancesDisplay:
        """Draw one panel for each label, with its most important features.

        Parameters
        ----------
        ax : array-like of matplotlib Axes, default=None
            One axes for each panel. None creates a new figure.
        labels : list, default=None
            The labels to draw. None draws the first six labels of the frame.
        max_features : int, default=10
            Number of features of each label, the most important ones.

        Returns
        -------
        display : LabelImportancesDisplay
        """
        check_labels_to_draw(labels)
        known = self.frame.columns.tolist()
        drawn = range(len(known))[:_MAX_PANELS] if labels is None else [label_index(label, known) for label in labels]
        n_features = min(max_features, len(self.frame))
        self.axes_ = panel_axes(ax, len(drawn), size=(4.2, 1 + 0.25 * max(n_features, 4)))
        for panel, column in zip(self.axes_, drawn, strict=True):
            sizes = self.frame.iloc[:, column].nlargest(max_features)
            panel.barh(range(len(sizes)), sizes)
            panel.set(yticks=range(len(sizes)), yticklabels=[shorten(name, 24) for name in sizes.index])
            panel.set(title=shorten(known[column]), ylim=(max(len(sizes), 1) - 0.4, -0.6))
            panel.set_xlabel("mean absolute contribution to the log-odds")
        self.figure_ = self.axes_[0].figure
        return self
