"""Turn probabilities into decisions: thresholds, label counts, and the validation of these parameters."""

from dataclasses import dataclass, field
from numbers import Integral, Real

import numpy as np

from skml._decisions._guarantees import NEVER, check_label_counts_with, check_name, parse_guarantee
from skml._decisions._top_k import top_columns
from skml._targets._hierarchy import Hierarchy
from skml._targets._labels import per_label

DEFAULT_THRESHOLD = 0.5

# Names of thresholds that `fit` tunes, in addition to guarantees.
RULE_NAMES = ("f1_micro", "f1_macro")


@dataclass(frozen=True, eq=False)
class DecisionRule:
    """The rule of binary and multi-label y: predict a label if its probability is at least its threshold.

    Parameters
    ----------
    threshold : float or ndarray of shape (n_labels,), default=0.5
    min_labels : int, default=0
        The least number of labels per row.
    max_labels : int, default=None
        The greatest number of labels per row. If it equals `min_labels`, each row gets this number of labels.
    hierarchy : Hierarchy, default=None
        A label is predicted only together with its ancestors.
    """

    threshold: float | np.ndarray = DEFAULT_THRESHOLD
    min_labels: int = 0
    max_labels: int | None = None
    hierarchy: Hierarchy | None = field(default=None, repr=False)

    def decide(self, proba):
        """Return a boolean matrix of decisions for probabilities of shape (n_samples, n_labels)."""
        return decide(proba, self.threshold, self.min_labels, self.max_labels, self.hierarchy)


class MostProbable:
    """The rule of multi-class y: predict the most probable class, or the first of equally probable classes."""

    threshold = None

    def decide(self, proba):
        """Return a boolean matrix with one True per row, for probabilities of shape (n_samples, n_classes)."""
        return np.arange(proba.shape[1]) == proba.argmax(axis=1)[:, None]


def decision_rule(encoder, threshold, min_labels, max_labels, tuned=None):
    """Validate a user's decision parameters for a target and return the rule that they define.

    Parameters
    ----------
    encoder : TargetEncoder
    threshold : float, array-like of shape (n_labels,), mapping label -> float, one of `RULE_NAMES`, or a guarantee
    min_labels : int
    max_labels : int or None
    tuned : TunedThresholds, default=None
        The tuned thresholds, by name, after fit. None before fit; a name then stands for 0.5.

    Returns
    -------
    DecisionRule or MostProbable

    Raises
    ------
    ValueError
        If a parameter is invalid or not supported for this kind of target, or if `tuned` cannot provide a named
        threshold.
    """
    labels = encoder.threshold_labels
    if isinstance(threshold, str):
        check_name("threshold", threshold, RULE_NAMES, ", a float, an array of floats or a mapping label -> float")
    _check_label_counts(min_labels, max_labels, len(encoder.classes_))
    if not encoder.is_multilabel:
        _check_single_label(threshold, min_labels, max_labels, is_binary=bool(labels))
    if not labels:
        return MostProbable()
    if guarantee_in(threshold):
        check_label_counts_with(guarantee_in(threshold), min_labels, max_labels)
    if not is_rule_name(threshold):
        threshold = resolve_threshold(threshold, labels)
    elif tuned is None:
        threshold = DEFAULT_THRESHOLD
    elif threshold in tuned:
        if max_labels is None:
            max_labels = tuned.max_labels(threshold)
        threshold = tuned[threshold]
    else:
        raise ValueError(
            f"threshold={threshold!r} requires the held-out probabilities of fit, which are neither pickled nor kept "
            "by partial_fit. Tune it on held-out rows by TunedThresholdMultiLabelClassifierCV(clf, "
            f"scoring={threshold!r}, cv='prefit', refit=False).fit(X, y), or name it in tuned_rules=[...] before the "
            "fit. Otherwise call fit again or set numeric thresholds."
        )
    if not encoder.is_multilabel:
        threshold = as_scalar(threshold)
    return DecisionRule(threshold, min_labels, max_labels, encoder.links_)


def names_to_tune(threshold, tuned_rules):
    """Return the names of rules that fit tunes, with the parameter that names them: ``threshold`` comes first."""
    names = {threshold: "threshold"} if is_rule_name(threshold) else {}
    return names | {name: "tuned_rules" for name in tuned_rules or () if name not in names}


def check_tuned_rules(tuned_rules, encoder):
    """Raise a ValueError if ``tuned_rules`` contains anything but names of rules, or if y has no threshold."""
    names = [] if tuned_rules is None else [str(name) for name in tuned_rules]
    for name in names:
        check_name("tuned_rules", name, RULE_NAMES)
    if names and not encoder.threshold_labels:
        raise ValueError(
            "tuned_rules is not supported for multi-class y, where the most probable class is predicted; got "
            f"tuned_rules={tuned_rules!r}. Leave tuned_rules=None."
        )


def check_can_be_tuned(names, has_held_out, tuned):
    """Raise a ValueError if one of `names_to_tune` cannot be tuned by this fit and was not tuned by a previous one."""
    missing = [] if has_held_out else [name for name in names if name not in tuned]
    if missing:
        parameter = names[missing[0]]
        value = missing[0] if parameter == "threshold" else missing
        raise ValueError(
            f"{parameter}={value!r} needs held-out predictions, and this fit has none. Call fit (not partial_fit) with "
            "at least 4 rows per member. With n_members=1 or a custom network, pass X_val and y_val, or use "
            "early_stopping=True with at least 100 rows. Otherwise set a numeric threshold and tuned_rules=None."
        )


def check_can_calibrate(calibrate, has_held_out, is_calibrated=False):
    """Raise a ValueError if ``calibrate=True`` has neither held-out predictions nor a previous calibration."""
    if calibrate is True and not (has_held_out or is_calibrated):
        raise ValueError(
            "calibrate=True needs held-out predictions, and this fit has none. Call fit (not partial_fit) with at "
            "least 4 rows per member, pass X_val and y_val, or use early_stopping=True with at least 100 rows. "
            "Otherwise leave calibrate='auto'."
        )


def as_scalar(threshold):
    """Return the threshold of a single label as a float."""
    return np.ravel(threshold).item()


def resolve_threshold(threshold, labels):
    """Validate a numeric ``threshold`` and return it as one float or as one float per label.

    Parameters
    ----------
    threshold : float, array-like of shape (n_labels,) or mapping label -> float
        Values in [0, 1], or `NEVER`, which a guarantee sets for labels that are never predicted. Labels that are not
        in a mapping get 0.5. A Series is a mapping by its index.
    labels : list of length n_labels

    Returns
    -------
    float or ndarray of shape (n_labels,), float64

    Raises
    ------
    ValueError
        If a value is outside [0, 1], the length is wrong, or a mapping names an unknown label.

    Examples
    --------
    >>> resolve_threshold({"b": 0.2}, ["a", "b"])
    array([0.5, 0.2])
    """
    if isinstance(threshold, str):
        raise ValueError(
            f"threshold must be a float, an array of {len(labels)} floats or a mapping label -> float here; got the "
            f"string {threshold!r}."
        )
    values = per_label("threshold", threshold, labels, DEFAULT_THRESHOLD)
    if not np.all((values >= 0) & (values <= 1) | (values == NEVER)):  # also False for NaN
        raise ValueError(f"threshold must be in [0, 1]; got {threshold!r}.")
    return values if values.ndim else float(values)


def is_rule_name(threshold):
    """Return whether a ``threshold`` is a name or a guarantee, for which fit tunes the threshold."""
    return isinstance(threshold, str) and (threshold in RULE_NAMES or parse_guarantee(threshold) is not None)


def guarantee_in(threshold):
    """Return the `Guarantee` that a ``threshold`` describes, or None if it describes none."""
    return parse_guarantee(threshold) if isinstance(threshold, str) else None


def decide(proba, threshold=DEFAULT_THRESHOLD, min_labels=0, max_labels=None, hierarchy=None):
    """Return the decisions for each row.

    A label is predicted if its probability is at least its threshold. If a row has fewer than `min_labels` or more than
    `max_labels` such labels, it gets this number of labels: those with the greatest ``proba - threshold``. Ties go to
    the earlier label.

    In a hierarchy, the least ``proba - threshold`` of a label and its ancestors decides, and ties go to the label
    nearer to a root. So a label is never predicted without its ancestors, and the limits keep this.

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_labels)
    threshold : float or array-like of shape (n_labels,), default=0.5
    min_labels : int, default=0
    max_labels : int, default=None
        None means no limit.
    hierarchy : Hierarchy, default=None

    Returns
    -------
    decisions : ndarray of bool, shape (n_samples, n_labels)

    Examples
    --------
    >>> decide([[0.6, 0.7, 0.1], [0.2, 0.3, 0.4]], min_labels=1, max_labels=1)
    array([[False,  True, False],
           [False, False,  True]])
    """
    margin = np.asarray(proba, dtype=np.float64) - threshold
    if hierarchy is not None:
        order = hierarchy.order
        decisions = np.empty(margin.shape, dtype=bool)
        decisions[:, order] = _largest_margins(hierarchy.lowered(margin)[:, order], min_labels, max_labels)
        return decisions
    return _largest_margins(margin, min_labels, max_labels)


def _largest_margins(margin, min_labels, max_labels):
    """Return which margins are at least 0, or the largest ones if these are too few or too many."""
    decisions = margin >= 0
    count = decisions.sum(axis=1)
    wanted = np.clip(count, min_labels, max_labels)
    (changed,) = np.nonzero(wanted != count)
    if changed.size:
        wanted = wanted[changed, None]
        order = top_columns(margin[changed], wanted.max())
        rows = np.zeros((len(order), margin.shape[1]), dtype=bool)
        np.put_along_axis(rows, order, np.arange(order.shape[1]) < wanted, axis=1)
        decisions[changed] = rows
    return decisions


def _check_label_counts(min_labels, max_labels, n_labels):
    """Raise an error unless 0 <= min_labels <= max_labels <= n_labels."""
    for name, value in (("min_labels", min_labels), ("max_labels", max_labels)):
        if value is None and name == "max_labels":
            continue
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
            accepted = "an integer of at least 0" + (" or None" if name == "max_labels" else "")
            raise ValueError(f"{name} must be {accepted}; got {value!r}.")
        if value > n_labels:
            raise ValueError(f"{name}={value} is greater than the number of labels: there are {n_labels} labels.")
    if max_labels is not None and min_labels > max_labels:
        raise ValueError(f"min_labels={min_labels} is greater than max_labels={max_labels}.")


def _check_single_label(threshold, min_labels, max_labels, is_binary):
    """Raise a ValueError for decision parameters that are not supported for single-label y."""
    if min_labels != 0 or max_labels is not None:
        raise ValueError(
            "min_labels and max_labels are not supported for single-label (binary or multi-class) y; got "
            f"min_labels={min_labels} and max_labels={max_labels}. Leave min_labels=0 and max_labels=None."
        )
    if is_binary and not (isinstance(threshold, Real) or is_rule_name(threshold)):
        raise ValueError(
            "For binary y, threshold must be a single float, the threshold of the second class, or the name of a rule "
            f"or guarantee; got {threshold!r}."
        )
    if not is_binary and not (isinstance(threshold, Real) and threshold == DEFAULT_THRESHOLD):
        raise ValueError(
            "threshold is not supported for multi-class y, where the most probable class is predicted; got "
            f"threshold={threshold!r}. Leave threshold={DEFAULT_THRESHOLD}."
        )
