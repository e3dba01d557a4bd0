"""Label spaces, and a value for each label."""

import difflib
from collections.abc import Mapping, Set
from numbers import Number

import numpy as np

from skml._inputs import refuse_mask

_INT64 = np.iinfo(np.int64)


def as_labels(values):
    """Return the labels of an array or a collection as a list of Python objects."""
    if isinstance(values, np.ndarray) and values.dtype.kind not in "OmM":
        return values.tolist()
    return [_as_label(value) for value in values]


def _as_label(value):
    if not isinstance(value, np.generic):
        return value.as_py() if hasattr(value, "as_py") else value  # of pyarrow
    label = value.item()
    # Python has no dates of nanoseconds: NumPy would give their count, an integer, which is another label.
    is_count = isinstance(value, np.datetime64 | np.timedelta64) and isinstance(label, int | None)
    return value if is_count else label


def is_missing(value):
    """Whether a value is None, NaN, NaT or pd.NA: not equal to itself, it cannot be a label."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, Number | np.generic) and bool(value != value)


def label_space(classes, name="classes"):
    """Return ``classes`` as a list of labels: Python objects, in its order, or sorted if it is a set.

    Parameters
    ----------
    classes : collection of labels
    name : str, default="classes"
        What they are, for messages.
    """
    if isinstance(classes, str | bytes) or not hasattr(classes, "__len__"):
        raise ValueError(f"{name} must be a list of labels; got {classes!r}.")
    labels = as_labels(classes)
    for label in labels:
        if not is_hashable(label):
            raise ValueError(
                f"{name} must be a flat list of labels, such as ['a', 'b'], each of them hashable; got {label!r} in it."
            )
        if is_missing(label):
            raise ValueError(f"{name} must be a list of labels; got {label!r} in it, which stands for no label.")
    if isinstance(classes, Set):
        labels = sorted_labels(labels)
    if len(set(labels)) != len(labels):
        twice = [label for label in set(labels) if labels.count(label) > 1]
        raise ValueError(f"{name} must name each label once; got {format_values(twice)} more than once.")
    return labels


def is_hashable(label):
    """Whether a value can be a label; a tuple that holds a list cannot."""
    try:
        hash(label)
    except TypeError:
        return False
    return True


def sorted_labels(labels, mend="Use one type, or fix the order with classes=[...]."):
    """Return labels sorted, or say why they have no order, and what would mend it."""
    try:
        return sorted(labels)
    except TypeError:
        kinds = sorted({type(label).__name__ for label in labels})
        raise ValueError(
            f"Labels of the types {', '.join(kinds)} cannot be sorted together (strings and numbers are not "
            f"compared). {mend}"
        ) from None


def labels_in_any_order(labels):
    """Return labels sorted; if they have no order, by type and repr, which is the same in every process."""
    try:
        return sorted(labels)
    except TypeError:
        return sorted(labels, key=lambda label: (type(label).__qualname__, repr(label)))


def labels_like(values, labels):
    """Return labels in the dtype of y, which predict answers in, if that can hold them."""
    if values.dtype.kind in "US":
        return np.asarray(labels)  # the dtype of strings is their length, which labels may exceed
    try:
        # Integers that are too large come out as others, which NumPy warns of unless they are cast.
        is_cast = values.dtype.kind in "iu"
        space = np.asarray(labels).astype(values.dtype) if is_cast else np.array(labels, dtype=values.dtype)
        if as_labels(space) == labels:
            return space
    except (TypeError, ValueError, OverflowError):
        pass
    return np.asarray(labels, dtype=None if all(isinstance(label, Number) for label in labels) else object)


def as_classes(labels):
    """Return a list of labels as what ``classes_`` is: integers as int64 if they fit, all else as objects."""
    if all(isinstance(label, int) and not isinstance(label, bool) for label in labels) and all(
        _INT64.min <= label <= _INT64.max for label in labels
    ):
        return np.array(labels, dtype=np.int64)
    classes = np.empty(len(labels), dtype=object)
    classes[:] = labels
    return classes


def columns_or(labels, width):
    """Return the labels given for so many columns, or the columns' numbers."""
    if labels is None:
        return list(range(width))
    if len(labels) != width:
        raise ValueError(f"y has {width} columns, but classes names {len(labels)} labels.")
    return labels


def unknown_labels_message(unknown, classes):
    """Return what to say of labels, given as row -> labels, that are not in ``classes_``."""
    labels = list(dict.fromkeys(label for row in unknown.values() for label in row))
    return (
        f"y holds labels that are not in classes: {format_values(labels)} (first in row {min(unknown)}). "
        f"The label space is {format_values(classes.tolist())}."
    )


def label_index(label, labels):
    """Return the number of a label among all; one that is not there is refused, and the nearest suggested."""
    try:
        return labels.index(label)
    except ValueError:
        names = {str(known): known for known in labels}
        near = difflib.get_close_matches(str(label), names, n=1)
        hint = f"; did you mean {names[near[0]]!r}?" if near else "."
        raise ValueError(f"label must be one of {format_values(labels)}; got {label!r}{hint}") from None


def format_values(values, limit=10):
    """Return values as text, cut where they are many."""
    more = f", ... ({len(values)} in all)" if len(values) > limit else ""
    return ", ".join(repr(value) for value in values[:limit]) + more


def format_some(labels, n_all, limit=3):
    """Return labels as text for a warning: a few of them all, of more their number and the first; each cut."""
    first = ", ".join(map(_cut, labels[:limit]))
    return first if len(labels) <= limit else f"{len(labels)} of {n_all} labels, such as {first}"


def _cut(label, width=40):
    text = repr(label)
    return text if len(text) <= width else text[: width - 3] + "..."


def per_label(name, values, labels, default):
    """Return what a user gave for the labels: one number, or one for each label.

    Parameters
    ----------
    name : str
        Of the parameter, for messages.
    values : float, array-like of shape (n_labels,), mapping label -> float or Series
        A Series is a mapping by its index, unless that only counts and the labels are others.
    labels : list of length n_labels
    default : float
        Value of labels that a mapping leaves out.

    Returns
    -------
    ndarray of shape () or (n_labels,), float64

    Raises
    ------
    ValueError
        If the values are no numbers, their number is another one, or a mapping names an unknown label.

    Examples
    --------
    >>> per_label("threshold", {"b": 0.2}, ["a", "b"], 0.5)
    array([0.5, 0.2])
    """
    refuse_mask(name, values)
    mapping = _as_mapping(values, labels)
    if mapping is not None:
        mapping = dict(zip(as_labels(mapping), mapping.values(), strict=True))
        unknown = [label for label in mapping if label not in labels]
        if unknown:
            raise ValueError(
                f"{name} names labels that do not exist: {format_values(unknown)}. The labels are {format_values(labels)}."
            )
        values = [mapping.get(label, default) for label in labels]
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must hold numbers; got {values!r}.") from None
    if numbers.ndim and numbers.shape != (len(labels),):
        raise ValueError(
            f"{name} must hold one number for each of the {len(labels)} labels; got an array of shape {numbers.shape}."
        )
    return numbers


def _as_mapping(values, labels):
    """Return a mapping, or a Series as the mapping of its index; None for what is read by position."""
    if isinstance(values, Mapping):
        return values
    if not (hasattr(values, "to_dict") and hasattr(values, "index")):
        return None
    only_counts = list(values.index) == list(range(len(values)))
    return None if only_counts and set(values.index) != set(labels) else values.to_dict()
