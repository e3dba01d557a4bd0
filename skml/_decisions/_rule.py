"""Which labels a row gets, given their probabilities: arithmetic on arrays, no network."""

from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

from skml._decisions._guarantees import NEVER, check_counts_keep, check_name, parse_guarantee
from skml._targets._labels import per_label

DEFAULT_THRESHOLD = 0.5

# Thresholds that fit finds, beside those that keep a guarantee.
RULE_NAMES = ("f1_micro", "f1_macro")


@dataclass(frozen=True, eq=False)
class DecisionRule:
    """What makes decisions of probabilities: a label is given where its probability reaches its threshold.

    Parameters
    ----------
    threshold : float or ndarray of shape (n_labels,), default=0.5
    min_labels : int, default=0
    max_labels : int, default=None
        With `min_labels` equal to it, each row gets its so many most probable labels.
    """

    threshold: float | np.ndarray = DEFAULT_THRESHOLD
    min_labels: int = 0
    max_labels: int | None = None

    def decide(self, proba):
        """Return the decisions, bool, for probabilities of shape (n_samples, n_labels)."""
        return decide(proba, self.threshold, self.min_labels, self.max_labels)


class MostProbable:
    """The rule of multi-class y: the most probable class, of equals the first."""

    threshold = None

    def decide(self, proba):
        """Return the decisions, bool, one true in a row, for probabilities of shape (n_samples, n_classes)."""
        return np.arange(proba.shape[1]) == proba.argmax(axis=1)[:, None]


def decision_rule(encoder, threshold, min_labels, max_labels, tuned=None):
    """Return the rule that a user's parameters mean for a target.

    Parameters
    ----------
    encoder : TargetEncoder
    threshold : float, array-like of shape (n_labels,), mapping label -> float, one of `RULE_NAMES`, or a guarantee
    min_labels : int
    max_labels : int or None
    tuned : TunedThresholds, default=None
        Has the thresholds of those names after fit. None before that: then 0.5 stands for them.

    Returns
    -------
    DecisionRule or MostProbable

    Raises
    ------
    ValueError
        If a parameter is not as described, has no meaning for this target, or is a name that is not in `tuned`.
    """
    labels = encoder.threshold_labels
    if isinstance(threshold, str):
        check_name("threshold", threshold, RULE_NAMES, ", a float, an array of floats or a mapping label -> float")
    _check_label_counts(min_labels, max_labels, len(encoder.classes_))
    if not encoder.is_multilabel:
        _check_has_no_meaning(threshold, min_labels, max_labels, is_binary=bool(labels))
    if not labels:
        return MostProbable()
    if guarantee_in(threshold):
        check_counts_keep(guarantee_in(threshold), min_labels, max_labels)
    if not is_rule_name(threshold):
        threshold = resolve_threshold(threshold, labels)
    elif tuned is None:
        threshold = DEFAULT_THRESHOLD
    elif threshold in tuned:
        threshold = tuned[threshold]
    else:
        raise ValueError(
            f"threshold={threshold!r} is found by fit, or later from the out-of-fold probabilities that fit leaves. "
            "This estimator has none: they are not pickled, and gone after partial_fit. Fit again, or set numbers."
        )
    return DecisionRule(as_scalar(threshold) if not encoder.is_multilabel else threshold, min_labels, max_labels)


def check_can_be_tuned(threshold, has_held_out, tuned):
    """Refuse a ``threshold`` that fit has nothing to find by, unless an earlier fit has found it."""
    if is_rule_name(threshold) and not has_held_out and threshold not in tuned:
        raise ValueError(
            f"threshold={threshold!r} is tuned on rows that a network has not learned from, and there are none. fit "
            "leaves some out with several members and at least 4 rows for each; with n_members=1 or a custom network, "
            "if early_stopping=True and there are at least 100 rows, or X_val and y_val. partial_fit leaves out none."
        )


def check_can_calibrate(calibrate, has_held_out, is_calibrated=False):
    """Refuse ``calibrate=True`` where fit has nothing to calibrate on."""
    if calibrate is True and not (has_held_out or is_calibrated):
        raise ValueError(
            "calibrate=True fits numbers to rows that a network has not learned from, and there are none: it needs fit "
            "(not partial_fit) with at least 4 rows for each member, a holdout (early_stopping=True and at least 100 "
            "rows), or X_val and y_val. Leave calibrate='auto'."
        )


def as_scalar(threshold):
    """Return the threshold of the only label as a float."""
    return np.ravel(threshold).item()


def resolve_threshold(threshold, labels):
    """Return a user's ``threshold`` as one float or one float per label.

    Parameters
    ----------
    threshold : float, array-like of shape (n_labels,) or mapping label -> float
        In [0, 1], or `NEVER`, as a guarantee leaves it. Labels that a mapping leaves out get 0.5. A Series is a mapping
        by its index.
    labels : list of length n_labels

    Returns
    -------
    float or ndarray of shape (n_labels,), float64

    Raises
    ------
    ValueError
        If a value lies outside [0, 1], the length is wrong, or a mapping names an unknown label.

    Examples
    --------
    >>> resolve_threshold({"b": 0.2}, ["a", "b"])
    array([0.5, 0.2])
    """
    if isinstance(threshold, str):
        raise ValueError(
            f"threshold must be a float, an array of {len(labels)} floats or a mapping label -> float here; got "
            f"{threshold!r}."
        )
    values = per_label("threshold", threshold, labels, DEFAULT_THRESHOLD)
    if not np.all((values >= 0) & (values <= 1) | (values == NEVER)):  # NaN fails too
        raise ValueError(f"threshold must lie in [0, 1]; got {threshold!r}.")
    return values if values.ndim else float(values)


def is_rule_name(threshold):
    """Whether a ``threshold`` is the name of a rule by which fit finds it."""
    return isinstance(threshold, str) and (threshold in RULE_NAMES or parse_guarantee(threshold) is not None)


def guarantee_in(threshold):
    """Return the `Guarantee` that a ``threshold`` makes, None if it makes none."""
    return parse_guarantee(threshold) if isinstance(threshold, str) else None


def decide(proba, threshold=DEFAULT_THRESHOLD, min_labels=0, max_labels=None):
    """Return which labels each row gets.

    A label is given where its probability reaches its threshold. A row left with fewer than
    `min_labels` gets those with the largest ``proba - threshold``, one with more than `max_labels`
    keeps those; of equals the earlier label.

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_labels)
    threshold : float or array-like of shape (n_labels,), default=0.5
    min_labels : int, default=0
    max_labels : int, default=None
        None sets no limit.

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
    decisions = margin >= 0
    count = decisions.sum(axis=1)
    wanted = np.clip(count, min_labels, max_labels)
    (changed,) = np.nonzero(wanted != count)
    if changed.size:
        order = np.argsort(-margin[changed], axis=1, kind="stable")
        kept = np.arange(margin.shape[1]) < wanted[changed, None]
        rows = np.zeros_like(kept)
        np.put_along_axis(rows, order, kept, axis=1)
        decisions[changed] = rows
    return decisions


def _check_label_counts(min_labels, max_labels, n_labels):
    """Make sure that 0 <= min_labels <= max_labels <= n_labels."""
    for name, value in (("min_labels", min_labels), ("max_labels", max_labels)):
        if value is None and name == "max_labels":
            continue
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
            accepted = "an integer of at least 0" + (" or None" if name == "max_labels" else "")
            raise ValueError(f"{name} must be {accepted}; got {value!r}.")
        if value > n_labels:
            raise ValueError(f"{name}={value} is more than the {n_labels} labels there are.")
    if max_labels is not None and min_labels > max_labels:
        raise ValueError(f"min_labels={min_labels} is more than max_labels={max_labels}.")


def _check_has_no_meaning(threshold, min_labels, max_labels, is_binary):
    """Refuse decision parameters that mean nothing where each row has exactly one label."""
    if min_labels != 0 or max_labels is not None:
        raise ValueError(
            f"min_labels={min_labels} and max_labels={max_labels} mean nothing where each row of y holds exactly "
            "one label; leave them at 0 and None."
        )
    if is_binary and not (isinstance(threshold, Real) or is_rule_name(threshold)):
        raise ValueError(f"With two classes threshold must be one float, for the second class; got {threshold!r}.")
    if not is_binary and not (isinstance(threshold, Real) and threshold == DEFAULT_THRESHOLD):
        raise ValueError(
            "threshold means nothing where each row of y holds exactly one of more than two classes: the most "
            f"probable one is predicted. Got {threshold!r}; leave it at {DEFAULT_THRESHOLD}."
        )
