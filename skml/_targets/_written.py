"""Parse collections that Python, NumPy, pandas, JSON or a database wrote as text. Nothing is evaluated."""

import ast
import csv
import json
import re

_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|True|False|nan"

# NumPy scalars, whose text contains their type: np.str_('a'). Quoted text is matched first, so that it stays as it is.
_SCALAR = re.compile(rf"({_QUOTED})|(?:np|numpy)\.\w+\(({_QUOTED}|{_NUMBER})\)")
_WRAPPED = re.compile(r"(?:(?:np|numpy)\.)?(?:array|frozenset|set)\((.*?)(?:,\s*dtype=.*)?\)", re.DOTALL)

# Extension arrays of pandas write their type above, and their length or categories below the values.
_EXTENSION = re.compile(r"(?:<\w+>\s*)?(\[.*?\])\s*\n(?:Length|Categories).*", re.DOTALL)

# NumPy writes values without commas. Python would join adjacent strings to one.
_NUMPY_STRINGS = re.compile(rf"\[\s*(?:{_QUOTED})(?:\s+(?:{_QUOTED}))+\s*\]")
_NUMPY_NUMBERS = re.compile(rf"\[\s*(?:{_NUMBER})(?:\s+(?:{_NUMBER}))*\s*\]")

_BARE = re.compile(r"\[([^][]*)\]|\{([^{}]*)\}")

_BINARY = dict.fromkeys(("0", "0.", "0.0", "False", "false"), 0) | dict.fromkeys(("1", "1.", "1.0", "True", "true"), 1)


def parse_collection(text):
    """Return the values of a list, tuple or set that was written by Python, NumPy, pandas or as JSON.

    Returns
    -------
    list, or None if the text is not such a collection
    """
    text = text.strip()
    extension = _EXTENSION.fullmatch(text)
    if extension and "\\" in text:  # pandas does not double backslashes, so that their meaning is unknown
        return None
    text = extension[1] if extension else text
    wrapped = _WRAPPED.fullmatch(text)
    text = (wrapped[1].strip() or "[]") if wrapped else text
    if not text.startswith(("[", "(", "{")):
        return None
    text = _SCALAR.sub(lambda found: found[1] or found[2], text)
    if _NUMPY_STRINGS.fullmatch(text):
        return [ast.literal_eval(quoted) for quoted in re.findall(_QUOTED, text)]
    if _NUMPY_NUMBERS.fullmatch(text):
        text = f"[{', '.join(text[1:-1].split())}]"
    values = _evaluated(text)
    if isinstance(values, dict) and not values:  # an empty set of PostgreSQL
        return []
    return list(values) if isinstance(values, list | tuple | set) else None


def _evaluated(text):
    """Return the value of JSON or of a Python literal, None for other text and for adjacent strings."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if re.search(r"\0\s*\0", re.sub(_QUOTED, "\0", text)):
        return None
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return None


def parse_bare_collection(text, sep):
    """Return the parts of text such as ``[a, b]`` and ``{a,"b c"}``, whose values need no quotes; None for other text.

    Quotes around a value are removed, as in arrays of PostgreSQL.
    """
    found = _BARE.fullmatch(text.strip())
    if not found:
        return None
    inner = found[1] if found[2] is None else found[2]
    if '"' not in inner or len(sep) > 1:
        parts = inner.split(sep)
    else:
        try:
            (parts,) = csv.reader([inner], delimiter=sep, skipinitialspace=True, escapechar="\\", strict=True)
        except (ValueError, csv.Error):
            return None
    return None if any(part.strip()[:1] in ("'", '"') for part in parts if part.strip()) else parts


def looks_written(text):
    """Return whether text begins like a collection of quoted values."""
    return re.match(r"""\s*(?:\w+\.)?(?:<\w+>|array|frozenset|set)?\s*\(?[\[({]+\s*['"]""", text) is not None


def parse_binary(text, sep):
    """Return the 0s and 1s of text such as ``[0, 1]``, ``0 1``, ``01`` and ``[ True False]``, None for other text."""
    inner = re.sub(r"^\s*[\[({]|[\])}]\s*$", "", text)
    tokens = inner.replace(sep, " ").replace(",", " ").split()
    if len(tokens) == 1 and set(tokens[0]) <= set("01"):
        tokens = list(tokens[0])
    return [_BINARY[token] for token in tokens] if all(token in _BINARY for token in tokens) else None
