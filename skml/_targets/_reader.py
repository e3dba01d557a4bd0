"""Read label sets from a column as people store it: joined strings, collections as text, dicts, 0 and 1, pairs."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Set
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skml._targets._forms import is_dataframe
from skml._targets._joined import FASTTEXT, RARE_IN_LABELS, separator_of
from skml._targets._labels import as_labels, format_values, is_hashable, is_missing, label_space, shortened
from skml._targets._rows import as_items
from skml._targets._written import looks_written, parse_bare_collection, parse_binary, parse_collection


def read_label_sets(
    column: Iterable,
    sep: str = ",",
    *,
    key: Hashable = None,
    classes: ArrayLike | None = None,
    ids: Iterable[Hashable] | None = None,
    rows: Iterable[Hashable] | None = None,
    casefold: bool = False,
    missing: str = "error",
) -> Any:
    """Read a column of labels in one of many notations as label sets.

    Space around labels is removed, and empty labels are dropped. No text is evaluated as code.

    Parameters
    ----------
    column : Series, array or list of n_samples cells
        A cell is a string of labels joined by `sep` (``"a, b"``), a collection written by Python, NumPy, pandas or as
        JSON (``"['a' 'b']"``), one without quotes (``"{a,b}"``), or a list, set or array of labels or dicts. A blank
        string is an empty set.
    sep : str, default=","
        The separator of joined labels, such as ``" "``, ``" and "``, or ``"__label__"`` for the format of fastText.
        Collections with quotes and lists do not need it.
    key : str or other dict key, default=None
        The key of the label if labels are dicts: "name" for ``[{"id": 7, "name": "a"}]``, also written as text.
    classes : array-like of shape (n_labels,), default=None
        The labels of 0 and 1, for cells such as ``"[0, 1, 0]"``, ``"010"`` and ``[0, 1, 0]``. Each must have one 0 or 1
        for each label.
    ids : Series, array or list of the length of `column`, default=None
        The sample of each cell, for a long table. Each cell is then one label, and `sep` is not used.
    rows : Index, array or list of n_samples ids, default=None
        The order of the samples of a long table, such as ``X.index``. A sample that is not in `ids` has no labels. None
        takes the ids in the order in which they first occur.
    casefold : bool, default=False
        Whether "Red" and "RED" become "red".
    missing : {"error", "empty"}, default="error"
        What None and NaN mean: an error, or no label.

    Returns
    -------
    label_sets : list of set, or Series of set
        A Series with the index of `column` if that is a pandas Series. For a long table, the index is `rows`, or the
        different ids.

    Raises
    ------
    ValueError
        If `sep` never occurs, a cell cannot be read, or a value is missing. The message names the row and its value.

    Examples
    --------
    >>> import skml
    >>> [sorted(labels) for labels in skml.read_label_sets(["sea, city", "sea", ""])]
    [['city', 'sea'], ['sea'], []]
    >>> [sorted(labels) for labels in skml.read_label_sets(["['sea' 'city']", "[]"])]
    [['city', 'sea'], []]
    >>> skml.read_label_sets(["sea", "city"], ids=[7, 8], rows=[7, 9, 8])
    [{'sea'}, set(), {'city'}]
    """
    _check_options(sep, key, classes, ids, rows, casefold, missing)
    cells = _cells_of("column", column)
    if ids is not None:
        return _read_pairs(column, cells, ids, rows, key, casefold, missing)
    values = _values_of(cells, sep, missing, classes is not None)
    if classes is not None:
        sets = _of_binary(values, cells, label_space(classes))
    else:
        _refuse_binary(values, cells)
        _check_key(values, key)
        sets = [_label_set(row, i, cells[i], key, casefold, missing) for i, row in enumerate(values)]
    return _like(column, sets)


def _check_options(sep, key, classes, ids, rows, casefold, missing):
    if not (isinstance(sep, str) and sep):
        raise ValueError(f"sep must be a string of at least one character, such as ','; got {sep!r}.")
    if missing not in ("error", "empty"):
        raise ValueError(f"missing must be 'error' or 'empty'; got {missing!r}.")
    if not isinstance(casefold, bool | np.bool_):
        raise ValueError(f"casefold must be True or False; got {casefold!r}.")
    if classes is not None and (key is not None or ids is not None):
        other = "key" if key is not None else "ids"
        raise ValueError(f"classes is for rows of 0 and 1, but {other} is for labels; pass one of the two.")
    if rows is not None and ids is None:
        raise ValueError("rows is for a long table and needs ids, the sample of each label.")


def _cells_of(name, values):
    """Return the cells of a column as a list; cells of pandas, polars and pyarrow are lists or Python objects."""
    if is_dataframe(values):
        raise ValueError(f"{name} must be one column; got a DataFrame. Pass one of its columns, such as df['labels'].")
    if isinstance(values, str | bytes | Mapping | Set) or not isinstance(values, Iterable):
        raise ValueError(f"{name} must be a Series, array or list; got {shortened(values)} ({type(values).__name__}).")
    return as_labels(as_items(values))


def _is_series(values):
    """Return whether values are a pandas Series."""
    return hasattr(values, "iloc") and hasattr(values, "index")


def _like(column, sets):
    return _as_series(column, sets, column.index) if _is_series(column) else sets


def _as_series(column, sets, index):
    return type(column)(sets, index=index, name=column.name, dtype=object)


# Cells -> values


def _values_of(cells, sep, missing, is_binary):
    """Return the values in each cell as a list."""
    values = [[] if _is_empty(cell, i, missing) else cell for i, cell in enumerate(cells)]
    texts = {i: cell for i, cell in enumerate(values) if isinstance(cell, str)}
    for i, cell in enumerate(values):
        if not isinstance(cell, str | list | tuple | Set | np.ndarray) or getattr(cell, "ndim", 1) != 1:
            raise ValueError(
                f"Row {i} of column is {shortened(cell)} ({type(cell).__name__}), which is neither text nor a "
                "collection of labels. If it is text that was read as a number, read the column with dtype=str."
            )
    read = _read_binary if is_binary else _read_texts
    values = [list(cell) if i not in texts else None for i, cell in enumerate(values)]
    for i, row in read(texts, sep).items():
        values[i] = row
    return values


def _is_empty(cell, i, missing):
    """Return whether a cell is blank, or missing if that is allowed."""
    if isinstance(cell, str):
        return not cell.strip()
    if is_missing(cell) and missing == "error":
        raise ValueError(
            f"Row {i} of column is missing: {cell!r}. If it means that the sample has no labels, pass missing='empty'; "
            "otherwise remove the row from the column and from X."
        )
    return is_missing(cell)


def _read_texts(texts, sep):
    """Return row -> list of values, for a column of texts in one notation."""
    parsed = {i: parse_collection(text) for i, text in texts.items()}
    if all(row is not None for row in parsed.values()):
        return parsed
    bare = {i: parse_bare_collection(text, sep) for i, text in texts.items()}
    if all(row is not None for row in bare.values()):
        return bare
    some_are_parsed = any(row is not None for row in parsed.values())
    for i, text in texts.items():
        if parsed[i] is None and (some_are_parsed or looks_written(text)):
            others = ", as other rows can" if some_are_parsed else ""
            raise ValueError(
                f"Row {i} of column is {shortened(text)}, which cannot be read as a collection{others}. Correct the "
                "text; a sample without labels is '[]'."
            )
    _check_separator(texts, sep)
    return {i: text.split(sep) for i, text in texts.items()}


def _check_separator(texts, sep):
    i, text = next(iter(texts.items()))
    binary = _binary_rows(texts, sep)
    if binary and any(len(set(row)) < len(row) for row in binary.values()):
        raise ValueError(_remedy_of_binary(i, text, len(binary[i])))
    if not any(sep in text for text in texts.values()):
        found = separator_of(texts.values()) or next((s for s in RARE_IN_LABELS if s in text), None)
        remedy = f"Pass sep={found!r}." if found else "If each row is one label, use [{label} for label in column]."
        raise ValueError(f"sep={sep!r} occurs in no row of column; row {i} is {shortened(text)}. {remedy}")
    if sep == FASTTEXT:
        for i, text in texts.items():
            if any(len(part.split()) > 1 for part in text.split(sep)):
                raise ValueError(
                    f"Row {i} of column is {shortened(text)}, which has words beside its labels. Pass the labels only, "
                    f"the words that start with {FASTTEXT!r}."
                )


# Rows of 0 and 1


def _read_binary(texts, sep):
    rows = {i: parse_binary(text, sep) for i, text in texts.items()}
    for i, row in rows.items():
        if row is None:
            raise ValueError(
                f"Row {i} of column is {shortened(texts[i])}, but with classes each row must hold 0 and 1, such as "
                "'[0, 1]' or '01'. Leave classes at None to read names of labels."
            )
    return rows


def _binary_rows(texts, sep):
    """Return the rows of texts that are all of 0 and 1, at least two, and as many in each; else None."""
    rows = {i: parse_binary(text, sep) for i, text in texts.items()}
    widths = {len(row or []) for row in rows.values()}
    return rows if len(widths) == 1 and min(widths) > 1 else None


def _of_binary(values, cells, labels):
    sets = []
    for i, row in enumerate(values):
        is_blank = not row and (is_missing(cells[i]) or isinstance(cells[i], str))
        is_binary = all(isinstance(v, int | float | np.generic) and v in (0, 1) for v in row)
        if not is_blank and (len(row) != len(labels) or not is_binary):
            raise ValueError(
                f"Row {i} of column is {shortened(cells[i])}, but classes has {len(labels)} labels. The row must hold "
                f"{len(labels)} values of 0 and 1; bits that were read as a number lose their first zeros, so read the "
                "column with dtype=str."
            )
        sets.append({label for label, value in zip(labels, row, strict=False) if value})
    return sets


def _refuse_binary(values, cells):
    """Raise a ValueError for rows of 0 and 1 that cannot be label sets."""
    rows = [(i, row) for i, row in enumerate(values) if row]
    is_binary = all(isinstance(v, int | float | np.generic) and v in (0, 1) for _, row in rows for v in row)
    if rows and is_binary and len({len(row) for _, row in rows}) == 1 and any(len(set(r)) < len(r) for _, r in rows):
        raise ValueError(_remedy_of_binary(rows[0][0], cells[rows[0][0]], len(rows[0][1])))


def _remedy_of_binary(i, cell, width):
    return f"Row {i} of column is {shortened(cell)}, which holds 0 and 1. Name its {width} labels with classes=[...]."


# Values -> labels


def _check_key(values, key):
    if key is not None and any(values) and not any(isinstance(v, Mapping) for row in values for v in row):
        i, row = next((i, row) for i, row in enumerate(values) if row)
        raise ValueError(
            f"key={key!r} is the key of dicts, but column holds none; row {i} has the label {shortened(row[0])}. Leave "
            "key at None."
        )


def _label_set(row, i, cell, key, casefold, missing):
    labels = (_label(value, i, cell, key, casefold, missing) for value in as_labels(row))
    return {label for label in labels if label is not None}


def _label(value, i, cell, key, casefold, missing):
    """Return a value as a label, or None if it is blank or missing."""
    if isinstance(value, Mapping):
        value = _value_of_key(value, i, key)
    if is_missing(value):
        if missing == "error":
            raise ValueError(
                f"Row {i} of column, {shortened(cell)}, has the missing value {value!r}. Pass missing='empty' to leave "
                "it out."
            )
        return None
    if not is_hashable(value):
        raise ValueError(
            f"Row {i} of column, {shortened(cell)}, holds {shortened(value)} ({type(value).__name__}), which cannot be "
            "a label. Pass rows of strings, numbers or other hashable labels."
        )
    if not isinstance(value, str):
        return value
    return (value.strip().casefold() if casefold else value.strip()) or None


def _value_of_key(value, i, key):
    if key is None or key not in value:
        wrong = "Row" if key is None else f"key={key!r} is not in all dicts: row"
        raise ValueError(
            f"{wrong} {i} of column holds {shortened(value)}. Pass the key of the label, such as "
            f"key={next(iter(value), 'name')!r}; its keys are {format_values(list(value))}."
        )
    return value[key]


# Long tables


def _read_pairs(column, cells, ids, rows, key, casefold, missing):
    samples = _cells_of("ids", ids)
    if len(samples) != len(cells):
        raise ValueError(f"ids must have one value for each of the {len(cells)} rows of column; got {len(samples)}.")
    order = list(dict.fromkeys(samples)) if rows is None else _cells_of("rows", rows)
    sets = {sample: set() for sample in order}
    for i, (sample, cell) in enumerate(zip(samples, cells, strict=True)):
        if is_missing(sample) or sample not in sets:
            raise ValueError(
                f"Row {i} of ids is {sample!r}, which is "
                + ("missing. Remove the row." if is_missing(sample) else "not in rows. Select the ids of rows first.")
            )
        label = _label(cell, i, cell, key, casefold, missing)
        sets[sample] |= set() if label is None else {label}
    found = [set(sets[sample]) for sample in order]
    series = next((given for given in (column, ids) if _is_series(given)), None)
    if series is None:
        return found
    index = order if rows is None or not hasattr(rows, "name") else rows
    return _as_series(series, found, index).rename_axis(getattr(ids if rows is None else rows, "name", None))
