"""Tables and displays of a fit: per label, per threshold, per epoch."""

from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.metrics import precision_recall_curve
from sklearn.utils import check_array, check_scalar

from skml._decisions import decide, resolve_threshold
from skml._drawing import (
    MAX_NAMED_ROWS,
    add_colorbar,
    add_legend,
    draw_map,
    import_optional,
    map_height,
    new_axes,
    panels,
    short,
    write_values,
)
from skml._responses import holder_of, threshold_in_force, truth, truth_and_responses
from skml._scores import average_precision_score, f1_score, precision_score, recall_score

__all__ = [
    "LabelReportDisplay",
    "ThresholdCurveDisplay",
    "TrainingCurveDisplay",
    "label_probabilities",
    "label_report",
]

_SHADED = ["threshold", "precision", "recall", "f1", "average_precision"]

# Above this many labels their curves are one heat map.
_MAX_PANELS = 11

# A curve keeps at most this many points.
_MAX_POINTS = 1000


def label_probabilities(proba, classes, k=3):
    """Return the most probable labels of each row with their probabilities.

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_labels)
        As `predict_proba` returns it.
    classes : array-like of length n_labels
        The labels, in the order of the columns: ``clf.classes_``.
    k : int, default=3
        Labels of each row; all of them if there are fewer.

    Returns
    -------
    rows : list of list of (label, float)
        Python objects, the most probable label first; of equal ones the earlier in `classes`.

    Raises
    ------
    ValueError
        If k is below 1, or `classes` is not as long as `proba` is wide.

    Examples
    --------
    >>> from skml.inspection import label_probabilities
    >>> label_probabilities([[0.5, 0.125, 0.75]], ["cold", "dry", "wet"], k=2)
    [[('wet', 0.75), ('cold', 0.5)]]
    """
    check_scalar(k, "k", Integral, min_val=1)
    proba = check_array(proba, input_name="proba")
    labels = classes.tolist() if hasattr(classes, "tolist") else list(classes)
    if len(labels) != proba.shape[1]:
        raise ValueError(f"proba has {proba.shape[1]} columns, but classes names {len(labels)} labels.")
    order = np.argsort(-proba, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(proba, order, axis=1)
    return [
        [(labels[j], value) for j, value in zip(columns, values, strict=True)]
        for columns, values in zip(order.tolist(), best.tolist(), strict=True)
    ]


def label_report(y, proba, *, threshold=0.5, classes=None):
    """Return for each label how often it occurs and how well it is predicted. Needs pandas.

    Parameters
    ----------
    y : label collections, indicator, or one label per row, n_samples in all
        NaN in an indicator is a cell that is not known and counts nowhere.
    proba : array-like of shape (n_samples, n_labels)
    threshold : float, array-like of shape (n_labels,) or mapping label -> float, default=0.5
        A label is predicted where its probability is at least its threshold.
    classes : array-like of length n_labels, default=None
        The labels, in the order of the columns of `proba`. None takes them from `y`.

    Returns
    -------
    report : DataFrame
        Indexed by label, with the columns ``support`` (rows known to have it), ``threshold``,
        ``precision``, ``recall``, ``f1`` and ``average_precision``; NaN where one is not defined.

    Examples
    --------
    >>> from skml.inspection import label_report
    >>> report = label_report([{"wet"}, {"cold", "wet"}, set()], [[0.2, 0.9], [0.7, 0.6], [0.1, 0.8]])
    >>> report.loc["wet", ["support", "threshold", "recall"]].tolist()
    [2.0, 0.5, 1.0]
    """
    Y, proba, threshold, labels = _checked(y, proba, threshold, classes)
    return _frame(Y, proba, decide(proba, threshold), threshold, labels)


class LabelReportDisplay:
    """The report of each label as a heat map.

    Make it by `from_estimator` or `from_predictions`.

    Parameters
    ----------
    frame : DataFrame
        What `label_report` returns.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    im_ : matplotlib AxesImage
        The values drawn, NaN masked.
    text_ : ndarray of Text, of the shape of the heat map, or None
        The numbers; None with more than 40 labels.

    Examples
    --------
    >>> from skml.inspection import LabelReportDisplay
    >>> y, proba = [{"wet"}, {"cold", "wet"}, set()], [[0.2, 0.9], [0.7, 0.6], [0.1, 0.8]]
    >>> display = LabelReportDisplay.from_predictions(y, proba)
    >>> display.frame["recall"].tolist()
    [1.0, 1.0]
    """

    def __init__(self, frame):
        self.frame = frame

    @classmethod
    def from_estimator(cls, estimator, X, y, *, ax=None, **kwargs):
        """Report on what a fitted estimator predicts.

        Parameters
        ----------
        estimator : fitted classifier with predict_proba
        X : what it predicts from
        y : label collections, indicator, or one label per row, n_samples in all
        ax : matplotlib Axes, default=None
        **kwargs
            As in `plot`.

        Returns
        -------
        display : LabelReportDisplay
            Precision, recall and F1 are those of `predict`.
        """
        Y, (proba, decisions), labels = truth_and_responses(estimator, X, y, ("predict_proba",), ("predict",))
        threshold = threshold_in_force(estimator, len(labels))
        return cls(_frame(Y, proba, decisions, threshold, labels)).plot(ax=ax, **kwargs)

    @classmethod
    def from_predictions(cls, y, proba, *, threshold=0.5, classes=None, ax=None, **kwargs):
        """Report on given probabilities.

        Parameters
        ----------
        y, proba, threshold, classes : as in `label_report`
        ax : matplotlib Axes, default=None
        **kwargs
            As in `plot`.

        Returns
        -------
        display : LabelReportDisplay
        """
        return cls(label_report(y, proba, threshold=threshold, classes=classes)).plot(ax=ax, **kwargs)

    def plot(self, ax=None, *, sort_by="support", max_labels=None, cmap="viridis", colorbar=True):
        """Draw the heat map, a row for each label.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a figure that grows with the labels.
        sort_by : str, default="support"
            Column of the report by which labels are sorted, the largest first. None keeps their order.
        max_labels : int, default=None
            Only the first so many labels are drawn. None draws all; of more than 80 only some are named.
        cmap : str or matplotlib Colormap, default="viridis"
        colorbar : bool, default=True

        Returns
        -------
        display : LabelReportDisplay
        """
        if sort_by is not None and sort_by not in self.frame:
            raise ValueError(f"sort_by must be None or one of {list(self.frame)!r}; got {sort_by!r}.")
        frame = self.frame if sort_by is None else self.frame.sort_values(sort_by, ascending=False, kind="stable")
        frame = frame.iloc[:max_labels]
        names = [f"{short(label)}  ({n:,})" for label, n in zip(frame.index, frame["support"], strict=True)]
        values = np.ma.masked_invalid(frame[_SHADED].to_numpy(dtype=float))
        if ax is None:
            (ax,) = new_axes(1, size=(6.2 + 0.07 * max(map(len, names)), map_height(len(names))))
        self.im_ = draw_map(ax, values, names, cmap)
        ax.set_ylabel("label (rows that have it)")
        ax.set_xticks(range(len(_SHADED)), [name.replace("_", "\n") for name in _SHADED])
        ax.xaxis.tick_top()
        ax.axvline(0.5, color="white", linewidth=3)  # thresholds are no scores
        self.text_ = write_values(self.im_, values) if len(names) <= MAX_NAMED_ROWS else None
        if colorbar:
            add_colorbar(self.im_, len(names))
        self.ax_, self.figure_ = ax, ax.figure
        return self


class ThresholdCurveDisplay:
    """Precision, recall and F1 against the threshold, with the threshold in force marked.

    Make it by `from_estimator` or `from_predictions`.

    Parameters
    ----------
    curves : dict of label -> ndarray of shape (4, n_points)
        Thresholds in ascending order, and precision, recall and F1 of ``proba >= threshold``: labels that
        occur among their known rows, the most frequent first.
    micro : ndarray of shape (4, n_points)
        The same of all known cells.
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
    def from_estimator(cls, estimator, X, y, *, labels=None, ax=None):
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
    def from_predictions(cls, y, proba, *, threshold=0.5, classes=None, labels=None, ax=None):
        """Draw the curves of given probabilities.

        Parameters
        ----------
        y, proba, threshold, classes : as in `label_report`
        labels, ax : as in `plot`

        Returns
        -------
        display : ThresholdCurveDisplay
        """
        return cls(*_curves(*_checked(y, proba, threshold, classes))).plot(labels=labels, ax=ax)

    def plot(self, ax=None, *, labels=None):
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
        add_legend(axes[0], ax is None)
        self.axes_, self.figure_ = axes, axes[0].figure
        return self

    def _plot_curve(self, ax, curve, labels, title):
        styles = {"precision": "--", "recall": ":", "F1": "-"}
        for (name, style), values in zip(styles.items(), curve[1:], strict=True):
            ax.plot(curve[0], values, style, label=name, drawstyle="steps-pre")  # a threshold takes its equals
        thresholds = sorted({self.threshold[label] for label in labels if not np.isnan(self.threshold[label])})
        if len(thresholds) == 1:
            ax.axvline(thresholds[0], color="0.3", linewidth=1.2, label="threshold in force")
        elif thresholds:
            ax.plot(thresholds, np.zeros(len(thresholds)), "|", color="0.3", markersize=14, label="thresholds in force")
        ax.set(title=title, xlim=(0, 1), ylim=(0, 1.02), xlabel="threshold")

    def _plot_map(self, ax):
        grid = np.linspace(0, 1, 101)
        values = [curve[3][np.searchsorted(curve[0], grid)] for curve in self.curves.values()]
        n_rows = len(values)
        image = draw_map(ax, values, [*map(short, self.curves)], "viridis", extent=(0, 1, n_rows - 0.5, -0.5))
        thresholds = [self.threshold[label] for label in self.curves]
        ax.scatter(thresholds, range(n_rows), s=12, color="white", edgecolor="black", linewidth=0.8)
        ax.set(title="F1 by label (dots: thresholds in force)", xlabel="threshold")
        add_colorbar(image, n_rows)


class TrainingCurveDisplay:
    """The loss and the metrics of a fit against the epoch.

    Make it by `from_estimator`.

    Parameters
    ----------
    history : dict of str -> list of float
        For each epoch the loss, metrics and, as ``"val_..."``, their values on what early stopping watches.
    kept_epoch : int, default=None
        The epoch, from 1, whose weights were kept. None marks the lowest ``val_loss``.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        One for the loss and for each metric.
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
    def from_estimator(cls, estimator, *, ax=None):
        """Draw the curves of a fitted estimator.

        Parameters
        ----------
        estimator : fitted estimator with a ``history_``, also inside a Pipeline or search
        ax : array-like of matplotlib Axes, default=None
            One for each panel. None makes a figure.

        Returns
        -------
        display : TrainingCurveDisplay
        """
        holder = holder_of(estimator, "history_")
        if holder is None:
            raise ValueError(f"{type(estimator).__name__} has no history_: fit it, and draw what trains in epochs.")
        return cls(holder.history_, getattr(holder, "kept_epoch_", None)).plot(ax=ax)

    def plot(self, ax=None):
        """Draw the curves.

        Parameters
        ----------
        ax : array-like of matplotlib Axes, default=None
            One for each panel. None makes a figure.

        Returns
        -------
        display : TrainingCurveDisplay
        """
        names = list(dict.fromkeys(name.removeprefix("val_") for name in self.history))
        names.sort(key=lambda name: name != "loss")  # Keras sorts by name
        self.axes_ = panels(ax, len(names))
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


def _checked(y, proba, threshold, classes):
    Y, labels = truth(y, classes)
    proba = check_array(proba, input_name="proba")
    if proba.shape != Y.shape:
        raise ValueError(
            f"y has the shape {Y.shape} as a matrix of labels, but proba {proba.shape}. If labels are missing from "
            "this y, pass classes=clf.classes_."
        )
    return Y, proba, np.broadcast_to(resolve_threshold(threshold, labels), len(labels)), labels


def _frame(Y, proba, decisions, threshold, labels):
    pandas = import_optional("pandas")
    ones = sparse.csc_array(sparse.csr_array(Y) == 1)
    scores = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
    columns = {
        "support": np.diff(ones.indptr),
        "threshold": threshold,
        **{name: score(Y, decisions, average=None, zero_division=np.nan) for name, score in scores.items()},
        "average_precision": average_precision_score(Y, proba, average=None),
    }
    return pandas.DataFrame(columns, index=pandas.Index(labels, name="label", tupleize_cols=False))


def _curves(Y, proba, threshold, labels):
    """Return what ThresholdCurveDisplay is made of."""
    columns = sparse.csc_array(Y)
    cells = [columns[:, [j]].toarray().ravel() for j in range(len(labels))]
    support = np.array([np.sum(column == 1) for column in cells])
    order = [j for j in np.argsort(-support, kind="stable").tolist() if support[j]]
    if not order:
        raise ValueError("No label occurs among the known cells of y: there is no curve to draw.")
    curves = {labels[j]: _curve(cells[j], proba[:, j]) for j in order}
    micro = _curve(np.concatenate(cells), proba.ravel(order="F"))
    return curves, micro, {labels[j]: float(threshold[j]) for j in order}


def _curve(cells, scores):
    known = ~np.isnan(cells)
    precision, recall, thresholds = precision_recall_curve(cells[known], scores[known])
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
