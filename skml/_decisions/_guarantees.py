"""Parse guarantees: strings such as "precision>=0.9", which name a measure and its target level."""

import difflib
import functools
import re
from typing import NamedTuple

# The threshold of a label that is never predicted. It exceeds every probability, also after rounding.
NEVER = 2.0

# The confidence of a guarantee of precision.
CONFIDENCE = 0.95

_PATTERN = re.compile(r"(precision|recall)>=([0-9]*\.?[0-9]+(?:e-?[0-9]+)?)(bylabel)?")
_TEMPLATES = ("precision>={}", "precision>={} by label", "recall>={}")


class Guarantee(NamedTuple):
    """A guaranteed measure, its target level, and whether the level is guaranteed for each label separately."""

    measure: str
    level: float
    by_label: bool

    def __str__(self):
        return f"{self.measure}>={self.level!r}" + " by label" * self.by_label


@functools.cache  # a fit parses the same string many times
def parse_guarantee(text):
    """Return the `Guarantee` that a string describes, or None if it describes none.

    Examples
    --------
    >>> str(parse_guarantee("precision >= .90 by label"))
    'precision>=0.9 by label'
    """
    # Spaces are ignored, except for the one between "by" and "label".
    match = _PATTERN.fullmatch(re.sub(r"\bby\s+label$", "bylabel", text.strip()).replace(" ", ""))
    if match is None or not 0 < float(match[2]) < 1 or (match[1] == "recall" and match[3]):
        return None
    return Guarantee(match[1], float(match[2]), match[3] is not None)


def check_name(parameter, text, names, others=""):
    """Raise a ValueError, with a suggestion, if a string is neither one of `names` nor a guarantee."""
    if text in names or parse_guarantee(text) is not None:
        return
    number = re.search(r"[0-9]*\.?[0-9]+", text)
    level = float(number[0]) if number and 0 < float(number[0]) < 1 else 0.9
    guarantees = [template.format(level) for template in _TEMPLATES]
    candidates = [name for name in (*names, *guarantees) if name[0] == text.lower()[:1]] or guarantees
    nearest = max(candidates, key=lambda name: difflib.SequenceMatcher(None, text.lower(), name).ratio())
    raise ValueError(
        f"{parameter} must be one of {', '.join(map(repr, names))}, a guarantee such as "
        f"{', '.join(map(repr, guarantees))} with any level in (0, 1){others}; got {text!r}. Did you mean {nearest!r}?"
    )


def check_label_counts_with(guarantee, min_labels, max_labels):
    """Raise a ValueError if `min_labels` or `max_labels` could break a guarantee.

    Labels added for `min_labels` may be wrong, which lowers precision. Labels removed for `max_labels` may be right,
    which lowers precision and recall.
    """
    if max_labels is None and (min_labels == 0 or guarantee.measure == "recall"):
        return
    allowed = "min_labels=0 and max_labels=None" if guarantee.measure == "precision" else "max_labels=None"
    raise ValueError(
        f"threshold={str(guarantee)!r} cannot be combined with min_labels={min_labels} and max_labels={max_labels}, "
        f"which could break the guarantee. Leave {allowed}."
    )
