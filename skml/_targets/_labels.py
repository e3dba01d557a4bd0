"""Label spaces, and parameters with one value for each label."""

import difflib
from collections import Counter
from collections.abc import Mapping, Set
from numbers import Number

import numpy as np

from skml._inputs import refuse_mask

_INT64 = np.iinfo(np.int64)


def as_labels(values):
    """Return the labels in an array or a collection as a list of Python objects."""
    if isinstance(values, np.ndarray) and values.dtype.kind not in "OmM":
        return values.tolist()
    return [_as_label(value) for value in values]


def _as_label(value):
    if not isinstance(value, np.generic):
        return value.as_py() if hasattr(value, "as_py") else value  # pyarrow scalars have as_py
    label = value.item()
    # Python's dates have no nanoseconds: for those, item() returns an integer count, which would be another label.
    is_count = isinstance(value, np.datetime64 | np.timedelta64) and isinstance(label, int | None)
    return value if is_count else label


def is_missing(value):
    """Return whether a value is None, NaN, NaT or pd.NA, and therefore cannot be a label."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, Number | np.generic) and bool(value != value)


def label_space(classes, name="classes"):
    """Return ``classes`` as a list of Python objects, in the given order, or sorted if it is a set.

    Parameters
    ----------
    classes : collection of labels
    name : str, default="classes"
        The subject of error messages.

    Raises
    ------
    ValueError
        If ``classes`` is not a flat collection of hashable, distinct labels without missing values.
    """
    if isinstance(classes, str | bytes) or not hasattr(classes, "__len__"):
        raise ValueError(f"{name} must be a list of labels; got {classes!r}.")
    labels = as_labels(classes)
    for label in labels:
        if not is_hashable(label):
            raise ValueError(
                f"{name} must be a flat list of hashable labels, such as ['a', 'b']; got the item {label!r}."
            )
        if is_missing(label):
            raise ValueError(f"{name} must be a list of labels; got the missing value {label!r} as an item. Remove it.")
    if isinstance(classes, Set):
        labels = sorted_labels(labels)
    if len(set(labels)) != len(labels):
        repeated = [label for label, count in Counter(labels).items() if count > 1]
        raise ValueError(f"{name} must be distinct; got {format_values(repeated)} more than once.")
    return labels


def is_hashable(label):
    """Return whether a value is hashable; a tuple that contains a list is not."""
    try:
        hash(label)
    except TypeError:
        return False
    return True


def sorted_labels(labels, remedy="Use labels of one type, or set their order with classes=[...]."):
    """Return labels sorted, or raise a ValueError that ends with the remedy."""
    try:
        return sorted(labels)
    except TypeError:
        kinds = sorted({type(label).__name__ for label in labels})
        raise ValueError(
            f"Labels of the types {', '.join(kinds)} cannot be sorted, because they cannot be compared with each "
            f"other. {remedy}"
        ) from None


def labels_in_any_order(labels):
    """Return labels sorted, by type and repr if they cannot be compared: the order is the same in every process."""
    try:
        return sorted(labels)
    except TypeError:
        return sorted(labels, key=lambda label: (type(label).__qualname__, repr(label)))


def labels_like(values, labels):
    """Return labels as an array of the dtype of y, which `predict` returns, if that dtype can represent them."""
    if values.dtype.kind in "US":
        return np.asarray(labels)  # the string dtype of y may be too short for them
    try:
        # astype wraps integers that are too large silently; np.array with a dtype would warn or raise.
        is_cast = values.dtype.kind in "iu"
        space = np.asarray(labels).astype(values.dtype) if is_cast else np.array(labels, dtype=values.dtype)
        if as_labels(space) == labels:
            return space
    except (TypeError, ValueError, OverflowError):
        pass
    return np.asarray(labels, dtype=None if all(isinstance(label, Number) for label in labels) else object)


def as_classes(labels):
    """Return labels as the array ``classes_``: int64 if all are integers that fit, objects otherwise."""
    if all(isinstance(label, int) and not isinstance(label, bool) for label in labels) and all(
        _INT64.min <= label <= _INT64.max for label in labels
    ):
        return np.array(labels, dtype=np.int64)
    classes = np.empty(len(labels), dtype=object)
    classes[:] = labels
    return classes


def labels_of_columns(labels, width):
    """Return the labels of the columns of an indicator, by default the column numbers."""
    if labels is None:
        return list(range(width))
    if len(labels) != width:
        raise ValueError(f"y has {width} columns, but classes has {len(labels)} labels. It must name each column.")
    return labels


def unknown_labels_message(unknown, classes):
    """Return the error message for unknown labels, given as a dict of row -> labels."""
    labels = list(dict.fromkeys(label for row in unknown.values() for label in row))
    return (
        f"y holds labels that are not in classes: {format_values(labels)} (first in row {min(unknown)}). "
        f"The label space is {format_values(classes.tolist())}."
    )


def column_order(columns, labels, message, remedy):
    """Return the position of each label in `columns`, or raise a ValueError that names those that differ."""
    position, known = {column: j for j, column in enumerate(columns)}, set(labels)
    missing = [label for label in labels if label not in position]
    extra = [column for column in columns if column not in known]
    if missing or extra:
        raise ValueError(
            message
            + (f" Missing: {format_values(missing)}." if missing else "")
            + (f" Unknown: {format_values(extra)}." if extra else "")
            + f" {remedy}"
        )
    return [position[label] for label in labels]


def label_index(label, labels):
    """Return the position of a label in `labels`, or raise a ValueError that suggests the most similar one."""
    try:
        return labels.index(label)
    except ValueError:
        names = {str(other): other for other in labels}
        near = difflib.get_close_matches(str(label), names, n=1)
        hint = f"; did you mean {names[near[0]]!r}?" if near else "."
        raise ValueError(f"label must be one of {format_values(labels)}; got {label!r}{hint}") from None


def format_values(values, limit=10):
    """Return values as text: the first `limit` of them, and the total number if there are more."""
    more = f", ... ({len(values)} in total)" if len(values) > limit else ""
    return ", ".join(repr(value) for value in values[:limit]) + more


def format_some(labels, n_all, limit=3):
    """Return labels as text for a warning: all if they are few, otherwise their number and the first ones."""
    first = ", ".join(map(shortened, labels[:limit]))
    return first if len(labels) <= limit else f"{len(labels)} of {n_all} labels, such as {first}"


def shortened(label, width=40):
    """Return the repr of a label, at most `width` characters of it."""
    text = repr(label)
    return text if len(text) <= width else text[: width - 3] + "..."


def per_label(name, values, labels, default):
    """Return a parameter that has one number for all labels, or one for each label, as an array.

    Parameters
    ----------
    name : str
        The name of the parameter, for error messages.
    values : float, array-like of shape (n_labels,), mapping label -> float or Series
        A Series is read as a mapping from its index, unless that is 0, 1, 2, ... and the labels are different.
    labels : list of length n_labels
    default : float
        The value of labels that are not in a mapping.

    Returns
    -------
    ndarray of shape () or (n_labels,), float64

    Raises
    ------
    ValueError
        If the values are not numbers, an array has another length than `labels`, or a mapping has an unknown label.

    Examples
    --------
    >>> per_label("threshold", {"b": 0.2}, ["a", "b"], 0.5)
    array([0.5, 0.2])
    """
    refuse_mask(name, values)
    mapping = _as_mapping(values, labels)
    if mapping is not None:
        mapping = dict(zip(as_labels(mapping), mapping.values(), strict=True))
        known = set(labels)
        unknown = [label for label in mapping if label not in known]
        if unknown:
            raise ValueError(
                f"{name} has values for labels that do not exist: {format_values(unknown)}. The labels are "
                f"{format_values(labels)}."
            )
        values = [mapping.get(label, default) for label in labels]
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must hold numbers; got {values!r}.") from None
    if numbers.ndim and numbers.shape != (len(labels),):
        raise ValueError(
            f"{name} must be one number for each of the {len(labels)} labels; got an array of shape {numbers.shape}."
        )
    return numbers


def _as_mapping(values, labels):
    """Return a mapping or a Series as a mapping from labels, and None if the values are read by position."""
    if isinstance(values, Mapping):
        return values
    if not (hasattr(values, "to_dict") and hasattr(values, "index")):
        return None
    is_default_index = list(values.index) == list(range(len(values)))
    return None if is_default_index and set(values.index) != set(labels) else values.to_dict()
