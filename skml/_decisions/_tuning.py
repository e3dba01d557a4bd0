"""Thresholds found from probabilities: the table of rules. No network."""

from collections.abc import Callable
from functools import partial
from numbers import Real
from typing import NamedTuple

import numpy as np

from skml._decisions._entries import entries_of
from skml._decisions._guarantees import NEVER, check_name, parse_guarantee
from skml._decisions._measures import (
    F1,
    MACRO,
    custom_score,
    macro_score,
    micro_f1,
    precision_of_tags,
    recall_of_rows,
    samples_f1,
    share_error,
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
    shrink_to_common,
)
from skml._targets._matrix import column_sums, has_missing, missing_entries
from skml._targets._warnings import warn_once


class Tuned(NamedTuple):
    """What `tune` found: a rule, and its score on the probabilities given."""

    rule: DecisionRule
    score: float


class TunedThresholds:
    """Thresholds by the name of their rule, found when they are first asked for.

    Parameters
    ----------
    Y, proba, sample_weight
        As `tune` takes them. They are not pickled: then only what was found is left.
    """

    def __init__(self, Y=None, proba=None, sample_weight=None):
        self._entries = None if Y is None else (Y, proba, sample_weight)
        self._found = {}

    def __contains__(self, name):
        return _canonical(name) in self._found or self._entries is not None

    def __getitem__(self, name):
        name = _canonical(name)
        if name not in self._found:
            Y, proba, sample_weight = self._entries
            self._found[name] = tune(Y, proba, name, sample_weight=sample_weight).rule.threshold
        return self._found[name]

    def previous(self, columns=None):
        """Return what was found, for training that goes on: what it was found from no longer holds.

        Parameters
        ----------
        columns : ndarray of int, shape (n_labels,), default=None
            Of labels that became others: where each was, -1 for a new one.
        """
        earlier = TunedThresholds()
        earlier._found = dict(self._found)
        if columns is not None:
            for name, threshold in self._found.items():
                is_guarantee = parse_guarantee(name) is not None
                if np.ndim(threshold) or (is_guarantee and (columns < 0).any()):
                    kept = threshold[columns] if np.ndim(threshold) else threshold
                    earlier._found[name] = np.where(columns < 0, threshold_of_new_label(name), kept)
        return earlier

    def __getstate__(self):
        return {"_entries": None, "_found": dict(self._found)}  # which another thread may add to


def threshold_of_new_label(name):
    """Return the threshold of a label that is too new to be tuned: a guarantee is kept by never predicting it."""
    return DEFAULT_THRESHOLD if parse_guarantee(name) is None else NEVER


def _canonical(name):
    """Return the one way to write a guarantee; any other name as it is."""
    return str(parse_guarantee(name) or name)


class TuningRule(NamedTuple):
    """One way to tune: a row of `RULES`."""

    find: Callable  # of entries and shrinkage: a threshold, a float or one for each label, or a DecisionRule
    score: Callable  # of entries and a DecisionRule
    shrinks: bool = False  # whether shrinkage has a meaning


def _macro_threshold(entries, shrinkage, measure):
    if shrinkage == "auto":
        return plug_in(entries, measure)
    own = best_by_label(entries, measure.value)
    return own if shrinkage is None else shrink_to_common(entries, own, best_common(entries, measure.value), shrinkage)


def _micro_threshold(entries, shrinkage):
    common = best_common(entries, F1.value)
    if shrinkage == "auto":
        return common
    own = maximize_micro_f1(entries, common)
    return own if shrinkage is None else shrink_to_common(entries, own, common, shrinkage)


def _top_k(entries, shrinkage):
    k = best_k(entries)
    return DecisionRule(min_labels=k, max_labels=k)


RULES = {
    **{
        name: TuningRule(partial(_macro_threshold, measure=measure), partial(macro_score, measure=measure), True)
        for name, measure in MACRO.items()
    },
    "f1_micro": TuningRule(_micro_threshold, micro_f1, True),
    "f1_samples": TuningRule(lambda entries, shrinkage: best_for_samples(entries), samples_f1),
    "top_k": TuningRule(_top_k, micro_f1),
    "proportion": TuningRule(lambda entries, shrinkage: best_by_label(entries, share_error), micro_f1),
}

# By the measure and whether each label has its own threshold.
_GUARANTEES = {
    ("precision", False): (common_threshold_for_precision, precision_of_tags),
    ("precision", True): (label_thresholds_for_precision, precision_of_tags),
    ("recall", False): (common_threshold_for_recall, recall_of_rows),
}


def tune(Y, proba, scoring="f1_macro", shrinkage="auto", sample_weight=None):
    """Find the thresholds with which probabilities score best.

    The probabilities must come from rows that their classifier was not trained on. A threshold lies
    half way between two neighbouring probabilities, 0 and 1 being the outermost; of equal scores
    the highest threshold, with the fewest labels, is taken.

    Parameters
    ----------
    Y : ndarray or csr_array of shape (n_samples, n_labels)
        0 and 1, or NaN in a float matrix where an entry is unknown; such an entry counts nowhere.
    proba : ndarray of shape (n_samples, n_labels)
        In [0, 1].
    scoring : str or callable, default="f1_macro"
        - "f1_macro", "f2_macro", "f0.5_macro", "jaccard_macro" or "balanced_accuracy_macro": a threshold
          for each label, for the mean over labels;
        - "f1_micro": one threshold for all labels, or with `shrinkage` other than "auto" one for each;
        - "f1_samples": one threshold for all labels;
        - "top_k": not a threshold but the number of labels that each row gets, for micro-F1 (RCut);
        - "proportion": the share of rows that get a label is its share in `Y` (PCut);
        - "precision>=0.9", or another number: the lowest threshold for all labels at which so many of the predicted
          entries are right, with 95 % confidence; "precision>=0.9 by label": one for each label; 2 where there is none;
        - "recall>=0.9": the highest threshold for all labels at which so many of a row's labels are predicted on
          average;
        - a callable ``scoring(Y, Y_pred) -> float``, also given ``sample_weight=`` if that is not None: the
          best of up to 100 thresholds for all labels.
    shrinkage : "auto", None or float > 0, default="auto"
        For the macro scores and "f1_micro". None is the exact optimum (SCut), which overfits rare labels. A
        number m draws the threshold of a label with n positives toward the best one for all labels: on the
        scale of log-odds it has the weight n / (n + m) against it. "auto" is one threshold for all labels for
        "f1_micro"; for the macro scores it calibrates the probabilities by two numbers and takes the
        threshold that is best if they are true, which needs no positives of a label.
    sample_weight : ndarray of shape (n_samples,), default=None

    Returns
    -------
    tuned : Tuned
        ``rule``, whose threshold is a float or an array of shape (n_labels,), and its ``score`` here, which for "top_k"
        and "proportion" is micro-F1, for a guarantee the precision of all predicted entries or the mean recall of rows.

    Raises
    ------
    ValueError
        If a parameter is not as described, or `proba` has another shape than `Y` or holds NaN.

    Notes
    -----
    SCut, RCut and PCut are those of Yang (2001). The calibration is Platt's (1999), of log-odds. That
    the best F1 is reached at half its own value is shown by Lipton et al. (2014). The weight
    n / (n + m) is the m-estimate of Cestnik (1990). The best thresholds for micro-F1 are found by the
    ascent of Dinkelbach (1967), which starts from the one for all labels and never loses.

    Guarantees of precision are fixed-sequence tests (Learn then Test; Angelopoulos et al., 2021) down a grid of
    thresholds that `Y` has no say in: each applies 5 % more tags than the one above. The tests start near the top,
    where the guarantee would be shown most surely if the probabilities were true, and half way between, each with a
    third of the risk (Wiens and Dmitrienko, 2005). With one label and equal weights the bound is the exact binomial
    (Clopper and Pearson, 1934). The tags of a row are not independent, so with several labels it is that of an
    effective number of tags (Korn and Graubard, 1998): the number for which the binomial variance is that of the
    share of wrong tags over rows, or, where none is wrong, the number of rows (Kish, 1965). One tag drawn from each row
    would be exact for few rows, too, but for another share, and at the cost of most tags; this is exact for many
    rows only, and kept in simulations from some hundred rows on. By label, each guarantee has its 95 % for itself: of
    100 labels, five may break it.

    The guarantee of recall is conformal risk control (Angelopoulos et al., 2022): with n rows that have a label, of
    which a share is missed on average, (n * missed + 1) / (n + 1) is at most what the guarantee leaves. It holds on
    average over draws of the rows, for rows like these.

    Where nothing known can be gained, no entry is predicted: by SCut a label without a positive gets a threshold
    above every probability seen (as far as 1 allows), one without a known entry 0.5.

    Examples
    --------
    >>> Y = np.array([[1, 0], [1, 0], [0, 1], [0, 0]])
    >>> proba = np.array([[0.5, 0.1], [0.4, 0.2], [0.2, 0.4], [0.1, 0.3]])
    >>> tune(Y, proba, "f1_macro", shrinkage=None)
    Tuned(rule=DecisionRule(threshold=array([0.3 , 0.35]), min_labels=0, max_labels=None), score=1.0)
    """
    check_rule(scoring, shrinkage)
    how, entries = _tuning_rule(scoring), entries_of(Y, proba, sample_weight)
    found = how.find(entries, shrinkage)
    rule = found if isinstance(found, DecisionRule) else DecisionRule(found)
    return Tuned(rule, how.score(entries, rule))


def score(Y, proba, scoring, threshold, sample_weight=None):
    """Return what `scoring` gives for a threshold, a float or an array of shape (n_labels,).

    Parameters and errors are those of `tune`.

    Examples
    --------
    >>> score(np.array([[1, 0], [1, 1]]), np.array([[0.5, 0.1], [0.4, 0.2]]), "f1_micro", 0.5)
    0.5
    """
    check_rule(scoring)
    return _tuning_rule(scoring).score(entries_of(Y, proba, sample_weight), DecisionRule(threshold))


def check_rule(scoring, shrinkage="auto"):
    """Make sure that `scoring` and `shrinkage` are known and go together."""
    if not callable(scoring):
        check_name("scoring", str(scoring), RULES, ", or a callable")
    if shrinkage is None or (isinstance(shrinkage, str) and shrinkage == "auto"):
        return
    if isinstance(shrinkage, bool) or not isinstance(shrinkage, Real) or not 0 < shrinkage < np.inf:
        raise ValueError(f"shrinkage must be 'auto', None or a number above 0; got {shrinkage!r}.")
    if not _tuning_rule(scoring).shrinks:
        raise ValueError(
            f"shrinkage={shrinkage!r} has no meaning for scoring={scoring!r}, which fits no threshold to the score of "
            "each label; leave it at 'auto'."
        )


def _tuning_rule(scoring):
    if not callable(scoring):
        guarantee = parse_guarantee(scoring)
        return RULES[scoring] if guarantee is None else _guarantee_rule(guarantee)
    score = partial(custom_score, scoring=scoring)
    return TuningRule(lambda entries, shrinkage: best_on_grid(entries, partial(score, entries)), score)


def _guarantee_rule(guarantee):
    """Return the rule that finds what keeps a guarantee, and warns where nothing does."""

    def found(entries, shrinkage):
        threshold, message = _guaranteed(entries, guarantee)
        if message is not None:
            warn_once(message)
        return threshold

    return TuningRule(found, _GUARANTEES[guarantee.measure, guarantee.by_label][1])


def _guaranteed(entries, guarantee):
    """Return the threshold that keeps a guarantee, and what to say; a label without an observed entry has `NEVER`."""
    find, _ = _GUARANTEES[guarantee.measure, guarantee.by_label]
    threshold, message = find(entries, guarantee)
    if has_missing(entries.Y):
        is_observed = column_sums(missing_entries(entries.Y)) < entries.Y.shape[0]
        if not is_observed.all():
            threshold = np.where(is_observed, threshold, NEVER)
    return threshold, message


def guaranteed_threshold(Y, proba, guarantee, sample_weight=None):
    """Return the threshold that keeps a guarantee, as `tune` finds it, without a warning where there is none."""
    return _guaranteed(entries_of(Y, proba, sample_weight), parse_guarantee(guarantee))[0]
