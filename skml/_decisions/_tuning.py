"""Tune thresholds on given probabilities: the table of rules, and the functions that apply it."""

import dataclasses
from collections.abc import Callable
from functools import partial
from numbers import Real
from typing import NamedTuple

import numpy as np

from skml._decisions._entries import entries_of
from skml._decisions._guarantees import NEVER, check_name, parse_guarantee
from skml._decisions._measures import (
    F1,
    MACRO_MEASURES,
    custom_score,
    macro_score,
    micro_f1,
    micro_precision,
    negative_count_error,
    samples_f1,
    samples_recall,
)
from skml._decisions._risk_control import (
    common_threshold_for_precision,
    common_threshold_for_recall,
    label_thresholds_for_precision,
)
from skml._decisions._rule import DEFAULT_THRESHOLD, DecisionRule
from skml._decisions._search import (
    best_by_label,
    best_common,
    best_for_samples,
    best_k,
    best_on_grid,
    maximize_micro_f1,
    plug_in,
    positive_entries,
    shrink_to_common,
)
from skml._targets._matrix import column_sums, has_missing, missing_entries
from skml._targets._warnings import warn_once


class Tuned(NamedTuple):
    """The result of `tune`: a decision rule, and its score on the same probabilities."""

    rule: DecisionRule
    score: float


class TunedThresholds:
    """A mapping from the name of a rule to its threshold, which is tuned at the first access.

    Parameters
    ----------
    Y, proba, sample_weight
        As in `tune`. They are not pickled. After loading, only thresholds that were tuned before are available.
    average : ndarray of shape (n_positive_entries,), default=None
        Probabilities of the positive entries, row by row, from which a guarantee of recall is tuned. They are given if
        `proba` contains predictions of single members, but the average of the members decides.
    group, hierarchy : default=None
        As in `tune`. Not pickled either.
    """

    def __init__(self, Y=None, proba=None, sample_weight=None, average=None, group=None, hierarchy=None):
        self._entries = None if Y is None else (Y, proba, sample_weight)
        self._average = average
        self._group, self._hierarchy = group, hierarchy
        self._found = {}
        self._max_labels = {}  # of the rules that have one

    def __contains__(self, name):
        return _canonical(name) in self._found or self._entries is not None

    def __getitem__(self, name):
        name = _canonical(name)
        if name not in self._found:
            Y, _, sample_weight = self._entries
            data = {"sample_weight": sample_weight, "group": self._group, "hierarchy": self._hierarchy}
            rule = tune(Y, self.proba_for(name), name, **data).rule
            self._max_labels[name] = rule.max_labels
            self._found[name] = rule.threshold
        return self._found[name]

    def max_labels(self, name):
        """Return the greatest number of labels per row of a rule, tuned with its threshold; None means no limit."""
        self[name]
        return self._max_labels.get(_canonical(name))

    def proba_for(self, name):
        """Return the probabilities that a rule is tuned on: for a guarantee of recall, those of the average."""
        Y, proba, *_ = self._entries
        guarantee = parse_guarantee(name) if isinstance(name, str) else None
        if self._average is None or guarantee is None or guarantee.measure != "recall":
            return proba
        proba = proba.copy()
        proba[positive_entries(Y)] = self._average
        return proba

    @property
    def Y(self):
        """The matrix that thresholds are found from; None if it is gone."""
        return None if self._entries is None else self._entries[0]

    def previous(self, columns=None):
        """Return the thresholds that were tuned so far, without the data, which do not apply to resumed training.

        Parameters
        ----------
        columns : ndarray of int, shape (n_labels,), default=None
            The previous column of each label, -1 for a new label. None if the labels are the same.
        """
        previous = TunedThresholds()
        previous._found, previous._max_labels = dict(self._found), dict(self._max_labels)
        if columns is not None:
            for name, threshold in self._found.items():
                is_guarantee = parse_guarantee(name) is not None
                if np.ndim(threshold) or (is_guarantee and (columns < 0).any()):
                    kept = threshold[columns] if np.ndim(threshold) else threshold
                    previous._found[name] = np.where(columns < 0, threshold_of_new_label(name), kept)
        return previous

    def __getstate__(self):
        found = {"_found": dict(self._found), "_max_labels": dict(self._max_labels)}  # copies: threads may add to them
        return {"_entries": None, "_average": None, "_group": None, "_hierarchy": None, **found}


def threshold_of_new_label(name):
    """Return the threshold of a new label, which is not tuned yet: under a guarantee it is never predicted."""
    return DEFAULT_THRESHOLD if parse_guarantee(name) is None else NEVER


def _canonical(name):
    """Return the canonical form of a guarantee, and any other name unchanged."""
    return str(parse_guarantee(name) or name)


class TuningRule(NamedTuple):
    """A way to tune: a row of `RULES`.

    Parameters
    ----------
    find : callable
        Takes `Entries` and ``shrinkage``, and returns a threshold (a float or one per label) or a `DecisionRule`.
    score : callable
        Takes `Entries` and a `DecisionRule`.
    uses_shrinkage : bool, default=False
        Whether ``shrinkage`` may differ from "auto".
    """

    find: Callable
    score: Callable
    uses_shrinkage: bool = False


def _macro_threshold(entries, shrinkage, measure):
    if shrinkage == "auto":
        return plug_in(entries, measure)
    by_label = best_by_label(entries, measure.score)
    if shrinkage is None:
        return by_label
    return shrink_to_common(entries, by_label, best_common(entries, measure.score), shrinkage)


def _micro_threshold(entries, shrinkage):
    common = best_common(entries, F1.score)
    if shrinkage == "auto":
        return common
    by_label = maximize_micro_f1(entries, common)
    return by_label if shrinkage is None else shrink_to_common(entries, by_label, common, shrinkage)


def _top_k(entries, shrinkage):
    k = best_k(entries)
    return entries.rule(DEFAULT_THRESHOLD, min_labels=k, max_labels=k)


RULES = {
    **{
        name: TuningRule(partial(_macro_threshold, measure=measure), partial(macro_score, measure=measure), True)
        for name, measure in MACRO_MEASURES.items()
    },
    "f1_micro": TuningRule(_micro_threshold, micro_f1, True),
    "f1_samples": TuningRule(lambda entries, shrinkage: best_for_samples(entries), samples_f1),
    "top_k": TuningRule(_top_k, micro_f1),
    "proportion": TuningRule(lambda entries, shrinkage: best_by_label(entries, negative_count_error), micro_f1),
}

# The functions that find and score thresholds, by measure and by whether the guarantee is by label.
_GUARANTEES = {
    ("precision", False): (common_threshold_for_precision, micro_precision),
    ("precision", True): (label_thresholds_for_precision, micro_precision),
    ("recall", False): (common_threshold_for_recall, samples_recall),
}


def tune(Y, proba, scoring="f1_macro", shrinkage="auto", sample_weight=None, group=None, hierarchy=None):
    """Find the thresholds that maximize a score on held-out probabilities.

    The classifier must not be trained on the rows of `Y`. A threshold is the midpoint of two neighboring probabilities,
    or of a probability and 0 or 1. Ties go to the highest threshold, which predicts the fewest labels.

    Parameters
    ----------
    Y : ndarray or csr_array of shape (n_samples, n_labels)
        0 and 1. A float matrix may contain NaN, a missing label, which is ignored.
    proba : ndarray of shape (n_samples, n_labels)
        Probabilities in [0, 1].
    scoring : str or callable, default="f1_macro"
        The score or the guarantee for which to tune:

        - "f1_macro", "f2_macro", "f0.5_macro", "jaccard_macro", "balanced_accuracy_macro": one threshold per label,
          for the mean score of the labels.
        - "f1_micro": one threshold for all labels; one per label if `shrinkage` is not "auto".
        - "f1_samples": one threshold for all labels.
        - "top_k": the number of labels per row with the best micro-F1, instead of a threshold (RCut).
        - "proportion": one threshold per label, so that it is predicted as often as it occurs in `Y` (PCut).
        - "precision>=0.9", or another level: the lowest threshold for all labels that guarantees this precision of
          the predicted entries with 95 % confidence, or 2 if there is none. "precision>=0.9 by label" finds one
          threshold per label.
        - "recall>=0.9", or another level: the highest threshold for all labels that guarantees this mean recall of
          the rows.
        - A callable ``scoring(Y, Y_pred) -> float``: the best of up to 100 thresholds for all labels. It is called with
          ``sample_weight=`` if weights are given.
    shrinkage : "auto", None or float > 0, default="auto"
        How to regularize label thresholds for the macro scores and "f1_micro". None finds the exact optimum (SCut),
        which overfits rare labels. A number m shrinks the threshold of a label with n positives toward the best common
        threshold: the weights of their log-odds are n / (n + m) and m / (n + m). "auto" finds a common threshold for
        "f1_micro". For the macro scores it calibrates the probabilities with a slope and an offset, and finds the
        thresholds that are optimal if they are true, which also works for labels without positives.
    sample_weight : ndarray of shape (n_samples,) or (n_samples, n_labels), default=None
        Weights of rows or of single entries. Scores and guarantees that are means over rows use the mean weight of the
        entries of a row.
    group : ndarray of int, shape (n_samples,), default=None
        The number of the group of each row, from 0. Rows of different groups are independent; guarantees then hold for
        the rows of new groups. None means that all rows are independent.
    hierarchy : Hierarchy, default=None
        Probabilities must be coherent. The rule predicts a label only together with its ancestors, and its score is
        that of these predictions.

    Returns
    -------
    tuned : Tuned
        ``rule``, whose threshold is a float or an array of shape (n_labels,), and its ``score`` on this data. The score
        is micro-F1 for "top_k" and "proportion". For a guarantee it is the precision of all predicted entries or the
        mean recall of the rows.

    Raises
    ------
    ValueError
        If `scoring` or `shrinkage` is invalid, if the shapes of `proba` and `Y` differ, or if `proba` contains NaN.

    Notes
    -----
    SCut, RCut and PCut are defined by Yang (2001). The calibration is Platt scaling (Platt, 1999) of the log-odds.
    Lipton et al. (2014) show that the optimal threshold for F1 is half the best F1. The weight n / (n + m) is the
    m-estimate of Cestnik (1990). Label thresholds for micro-F1 are found by the algorithm of Dinkelbach (1967), which
    starts from the best common threshold and improves in each iteration.

    A guarantee of precision is found by fixed-sequence tests (Learn then Test; Angelopoulos et al., 2021) on a
    descending grid of thresholds that does not depend on `Y`. Each threshold predicts 5 % more entries than the one
    before. There are three starts, each with a third of the risk (Wiens and Dmitrienko, 2005): near the highest
    threshold, where the tests have the greatest power if the probabilities are true, and between the two. With one
    label and equal weights, the tests are exact binomial tests (Clopper and Pearson, 1934).

    With several labels, the predictions for a row are not independent. The tests then use an effective number of
    predictions (Korn and Graubard, 1998): the number for which the binomial variance equals the variance of the
    fraction of wrong predictions over rows. One row is added to these rows: all its predictions are wrong, and it has
    the greatest weight and number of predictions of all rows. If no prediction is wrong, the tests thus assume that
    rows as heavy as that are rarer than 3 in n (Hanley and Lippman-Hand, 1983). The rule has that number of predictions
    as its ``max_labels``, so that no new row can have more. A new row with a greater weight can still break the
    guarantee. The tests are exact only asymptotically; in simulations the guarantee holds from a few hundred rows on,
    also if few rows are heavy. A test on one random prediction per row would be exact for few rows, too, but would use
    few of the predictions and test another fraction. By label, the confidence of 95 % is that of each single label: of
    100 guarantees, about five may fail.

    A guarantee of recall is found by conformal risk control (Angelopoulos et al., 2022). With n rows that have a true
    label and a mean fraction of missed labels, ``(n * missed + 1) / (n + 1)`` is at most 1 minus the target level. It
    holds on average over random draws of the rows, for new rows from the same distribution. With weights, n is
    the sum of the weights divided by the greatest, since a new row may have that weight (Tibshirani et al., 2019).

    With groups, the group takes the place of the row. Sums over rows become sums over groups, and the weight of a group
    is the weight of all its rows. The effective number of predictions is thus that of a cluster sample, for which Korn
    and Graubard (1998) define it. For recall, the loss of a group is the sum over its rows of the weighted fraction of
    missed labels minus the allowed fraction. Conformal risk control takes any bounded loss that falls with the
    threshold, so that n becomes the weight of all groups divided by that of the heaviest.

    SCut does not predict a label without positives if possible: its threshold is above every probability, but at most
    1. The threshold of a label without an observed entry is 0.5.

    Examples
    --------
    >>> Y = np.array([[1, 0], [1, 0], [0, 1], [0, 0]])
    >>> proba = np.array([[0.5, 0.1], [0.4, 0.2], [0.2, 0.4], [0.1, 0.3]])
    >>> tune(Y, proba, "f1_macro", shrinkage=None)
    Tuned(rule=DecisionRule(threshold=array([0.3 , 0.35]), min_labels=0, max_labels=None), score=1.0)
    """
    check_rule(scoring, shrinkage)
    how, entries = _tuning_rule(scoring), entries_of(Y, proba, sample_weight, group, hierarchy)
    rule = _as_rule(how.find(entries, shrinkage), entries)
    return Tuned(rule, how.score(entries, rule))


def score(Y, proba, scoring, threshold, sample_weight=None, hierarchy=None):
    """Return the score of a given threshold, a float or an array of shape (n_labels,).

    The other parameters and the errors are the same as in `tune`.

    Examples
    --------
    >>> score(np.array([[1, 0], [1, 1]]), np.array([[0.5, 0.1], [0.4, 0.2]]), "f1_micro", 0.5)
    0.5
    """
    check_rule(scoring)
    entries = entries_of(Y, proba, sample_weight, hierarchy=hierarchy)
    return _tuning_rule(scoring).score(entries, entries.rule(threshold))


def check_rule(scoring, shrinkage="auto"):
    """Raise a ValueError if `scoring` or `shrinkage` is invalid, or if `scoring` does not use `shrinkage`."""
    if not callable(scoring):
        check_name("scoring", str(scoring), RULES, ", or a callable")
    if shrinkage is None or (isinstance(shrinkage, str) and shrinkage == "auto"):
        return
    if isinstance(shrinkage, bool) or not isinstance(shrinkage, Real) or not 0 < shrinkage < np.inf:
        raise ValueError(f"shrinkage must be 'auto', None or a number greater than 0; got {shrinkage!r}.")
    if not _tuning_rule(scoring).uses_shrinkage:
        raise ValueError(
            f"shrinkage={shrinkage!r} cannot be used with scoring={scoring!r}, which does not tune a threshold for the "
            "score of each label. Leave shrinkage='auto'."
        )


def _tuning_rule(scoring):
    if not callable(scoring):
        guarantee = parse_guarantee(scoring)
        return RULES[scoring] if guarantee is None else _guarantee_rule(guarantee)
    score = partial(custom_score, scoring=scoring)
    return TuningRule(lambda entries, shrinkage: best_on_grid(entries, partial(score, entries)), score)


def _guarantee_rule(guarantee):
    """Return the rule that tunes for a guarantee and warns if no threshold gives it."""

    def find_or_warn(entries, shrinkage):
        rule, message = _guaranteed(entries, guarantee)
        if message is not None:
            warn_once(message)
        return rule

    return TuningRule(find_or_warn, _GUARANTEES[guarantee.measure, guarantee.by_label][1])


def _guaranteed(entries, guarantee):
    """Return the rule of a guarantee and a warning or None; a label without an observed entry has `NEVER`."""
    find, _ = _GUARANTEES[guarantee.measure, guarantee.by_label]
    is_observed, hierarchy = _is_observed(entries.Y), entries.hierarchy
    if hierarchy is not None:  # a label that is never predicted would take its descendants with it
        is_observed = hierarchy.raised(is_observed)
    covered = np.ones_like(is_observed) if guarantee.by_label or not is_observed.any() else is_observed
    if not covered.all():  # the others are never predicted, so that a row cannot get them
        entries = entries.of_labels(covered)
    found, message = find(entries, guarantee)
    rule = _as_rule(found, entries)
    if not is_observed.all():
        threshold = np.full(len(is_observed), NEVER)
        threshold[covered] = rule.threshold
        rule = dataclasses.replace(rule, threshold=np.where(is_observed, threshold, NEVER), hierarchy=hierarchy)
    return rule, message


def _is_observed(Y):
    """Return for each label whether it has an observed entry."""
    if not has_missing(Y):
        return np.ones(Y.shape[1], dtype=bool)
    return column_sums(missing_entries(Y)) < Y.shape[0]


def guaranteed_rule(Y, proba, guarantee, sample_weight=None, group=None, hierarchy=None):
    """Return the rule that `tune` finds for a guarantee, without a warning if there is none."""
    return _guaranteed(entries_of(Y, proba, sample_weight, group, hierarchy), parse_guarantee(guarantee))[0]


def guaranteed_threshold(Y, proba, guarantee, sample_weight=None, group=None):
    """Return the threshold of `guaranteed_rule`."""
    return guaranteed_rule(Y, proba, guarantee, sample_weight, group).threshold


def _as_rule(found, entries):
    return found if isinstance(found, DecisionRule) else entries.rule(found)
