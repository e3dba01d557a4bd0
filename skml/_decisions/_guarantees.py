"""What a guarantee is: a measure that decisions reach, by name, such as "precision>=0.9"."""

import difflib
import functools
import re
from typing import NamedTuple

# The threshold of a label that is never predicted: above every probability, and still so after rounding.
NEVER = 2.0

# How surely a guarantee of precision is kept.
CONFIDENCE = 0.95

_FORM = re.compile(r"(precision|recall)>=([0-9]*\.?[0-9]+(?:e-?[0-9]+)?)(bylabel)?")
_LEGAL = ("precision>={}", "precision>={} by label", "recall>={}")


class Guarantee(NamedTuple):
    """A measure of what is predicted, the least value that it must have, and whether each label has its own."""

    measure: str
    level: float
    by_label: bool

    def __str__(self):
        return f"{self.measure}>={self.level!r}" + " by label" * self.by_label


@functools.cache  # a fit asks many times
def parse_guarantee(text):
    """Return the `Guarantee` that a string makes, or None if it makes none.

    Examples
    --------
    >>> str(parse_guarantee("precision >= .90 by label"))
    'precision>=0.9 by label'
    """
    # Spaces count nowhere, but for the one between words.
    found = _FORM.fullmatch(re.sub(r"\bby\s+label$", "bylabel", text.strip()).replace(" ", ""))
    if found is None or not 0 < float(found[2]) < 1 or (found[1] == "recall" and found[3]):
        return None
    return Guarantee(found[1], float(found[2]), found[3] is not None)


def check_name(parameter, text, names, others=""):
    """Make sure that a string is one of `names` or a guarantee; if not, say what is, and which one is nearest."""
    if text in names or parse_guarantee(text) is not None:
        return
    number = re.search(r"[0-9]*\.?[0-9]+", text)
    level = float(number[0]) if number and 0 < float(number[0]) < 1 else 0.9
    legal = [form.format(level) for form in _LEGAL]
    candidates = [name for name in (*names, *legal) if name[0] == text.lower()[:1]] or legal
    nearest = max(candidates, key=lambda name: difflib.SequenceMatcher(None, text.lower(), name).ratio())
    raise ValueError(
        f"{parameter} must be one of {', '.join(map(repr, names))}, a guarantee {', '.join(map(repr, legal))}, with "
        f"any number in (0, 1){others}; got {text!r}. The nearest is {nearest!r}."
    )


def check_counts_keep(guarantee, min_labels, max_labels):
    """Refuse numbers of labels in a row that would break a guarantee: added ones may be wrong, removed ones right."""
    if max_labels is None and (min_labels == 0 or guarantee.measure == "recall"):
        return
    raise ValueError(
        f"threshold={str(guarantee)!r} cannot be combined with min_labels={min_labels}, max_labels={max_labels}: "
        + ("leave them at 0 and None." if guarantee.measure == "precision" else "leave max_labels at None.")
    )
