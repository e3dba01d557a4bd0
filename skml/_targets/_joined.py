"""Recognise labels that are joined in one string, and labels that differ only in spaces and capital letters."""

from skml._targets._labels import format_values, shortened
from skml._targets._warnings import warn_once
from skml._targets._written import parse_bare_collection, parse_binary, parse_collection

# The prefix of labels in files of fastText: "__label__a __label__b".
FASTTEXT = "__label__"

# Ordinary labels rarely contain the first, so that most labels with one of them are joined. They contain the second
# often, as "New York" and "arts & crafts": these separate labels only if the parts are labels, too.
RARE_IN_LABELS = (",", ";", "|", "\t", "\n")
_COMMON_IN_LABELS = (" and ", "&", "/", "#", " ")

# Labels of fewer characters, such as "a" and "A" or "Co" and "CO", may differ in capital letters for a reason.
_MIN_LOOKALIKE = 3

# Shorter texts of 0 and 1 may be names.
_MIN_BITS = 3


def call_for_joined_labels(values):
    """Return the call of `read_label_sets` that reads values as label sets, or None if they look like single labels."""
    texts = list(dict.fromkeys(value for value in values if isinstance(value, str) and value.strip()))
    if not texts:
        return None
    if _are_binary(texts):
        return "skml.read_label_sets(y, classes=[...])"
    if all(parse_collection(text) is not None for text in texts):
        return "skml.read_label_sets(y)"
    sep = separator_of(texts)
    return None if sep is None else f"skml.read_label_sets(y, sep={sep!r})"


def separator_of(texts):
    """Return the separator of labels joined in strings, or None if they look like single labels."""
    texts = [text for text in dict.fromkeys(text.strip() for text in texts) if text]
    for sep in (*RARE_IN_LABELS, " "):
        bare = [parse_bare_collection(text, sep) for text in texts]
        if all(bare) and any(len(row) > 1 for row in bare):
            return sep
    if all(text.startswith(FASTTEXT) for text in texts) and any(text.count(FASTTEXT) > 1 for text in texts):
        return FASTTEXT
    separates = {**dict.fromkeys(RARE_IN_LABELS, _separates_most), **dict.fromkeys(_COMMON_IN_LABELS, _recombines)}
    return next((sep for sep, is_separator in separates.items() if is_separator(sep, texts)), None)


def _separates_most(sep, texts):
    """Return whether most texts have parts, which recur if the separator is a comma, or one consists of others."""
    joined = [parts for text in texts if len(parts := _parts(text, sep)) > 1]
    recurs = sep != "," or len(set().union(*joined)) < sum(map(len, joined))  # "Doe, Jane" is a name
    return (2 * len(joined) > len(texts) and recurs) or any(parts <= set(texts) for parts in joined)


def _recombines(sep, texts):
    """Return whether most texts with a separator consist of parts that stand in other texts, too.

    Such a part is a text itself, or the first part of one text and the last part of another. No more parts than texts
    may occur: the states "New York" and "New Jersey" have more.
    """
    rows = [[part.strip() for part in text.split(sep) if part.strip()] for text in texts]
    joined = [row for row in rows if len(set(row)) > 1]
    if len(joined) < 2:
        return False
    known = {row[0] for row in rows if len(row) == 1} | ({row[0] for row in joined} & {row[-1] for row in joined})
    n_explained = sum(set(row) <= known for row in joined)
    n_parts = len({part for row in rows for part in row})
    is_date = sep == "/" and all(part.isdigit() for row in joined for part in row)
    return not is_date and 2 * n_explained >= len(joined) and n_parts <= len(texts)


def _parts(text, sep):
    return {part.strip() for part in text.split(sep)} - {""}


def _are_binary(texts):
    """Return whether texts are rows of 0 and 1, of one length of at least 3."""
    widths = {len(parse_binary(text, ",") or []) for text in texts}
    return len(texts) > 1 and len(widths) == 1 and min(widths) >= _MIN_BITS


def warn_about_joined_labels(values):
    """Warn if string labels look like label sets."""
    call = call_for_joined_labels(values)
    if call is not None:
        example = max((value for value in values if isinstance(value, str)), key=len)
        warn_once(
            f"y holds strings such as {shortened(example)}. Each string is read as one label. If the strings are label "
            f"sets, pass {call}."
        )


def warn_about_lookalikes(labels, are_sets):
    """Warn of labels that are equal but for spaces around them and capital letters."""
    alike = {}
    for label in labels:
        if isinstance(label, str):
            alike.setdefault(label.strip().casefold(), []).append(label)
    groups = [
        group
        for key, group in alike.items()
        if len({label.strip() for label in group}) < len(group) or (len(group) > 1 and len(key) >= _MIN_LOOKALIKE)
    ]
    if groups:
        names = [label for group in groups for label in group]
        has_case = any(len({label.strip() for label in group}) > 1 for group in groups)
        of_sets = f"skml.read_label_sets(y{', casefold=True' if has_case else ''})"
        of_strings = f"[label.strip(){'.casefold()' if has_case else ''} for label in y]"
        warn_once(
            f"y holds labels that differ only in spaces or capital letters: {format_values(names)}. Each is read as a "
            f"label of its own. To merge them, pass {of_sets if are_sets else of_strings}; to keep them, pass "
            "classes=[...]."
        )
