"""Every form of X and y, drawn at random, each beside the same data in a plain form; and what is no X or y at all."""

import collections
import datetime
import enum
import itertools
from typing import NamedTuple

import numpy as np
import pandas as pd
import polars as pl
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from scipy import sparse

# Two members with folds need 20 rows. Few shapes, as each traces a graph anew.
ROWS, COLUMNS = 24, 4

# Those that may be stored oddly, and are changed in place most easily, more often.
SPARSE_KINDS = [*["csr"] * 4, *["csc"] * 2, "coo", "lil", "dok", "bsr", "dia"]


class Colour(enum.Enum):
    """Labels that have no order."""

    RED = 1
    GREEN = 2
    BLUE = 3


class Case(NamedTuple):
    """Data in some form, and the same data plainly: an array of floats, an indicator or integers."""

    name: str
    given: object
    plain: object
    classes: object = None

    def __repr__(self):
        return f"<{self.name}: {type(self.given).__name__}>"


def run(check, *cases, n, fuzz):
    """Try a check on n draws: the same ones in each run, or with `fuzz` others."""
    few = settings(
        max_examples=n,
        derandomize=not fuzz,
        print_blob=fuzz,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    few(given(*cases)(check))()


# Arrays, as anyone may hold them


def _strided(values):
    wide = np.zeros((2 * len(values), *values.shape[1:]), dtype=values.dtype)
    wide[::2] = values
    return wide[::2]


def _read_only(values):
    values = values.copy()
    values.flags.writeable = False
    return values


class Subclass(np.ndarray):
    """An array of a class of the user's own."""


ARRAYS = {
    "array": np.array,
    "F-order": np.asfortranarray,
    "negative strides": lambda values: values[::-1].copy()[::-1],
    "every other row": _strided,
    "read-only": _read_only,
    "big-endian": lambda values: values.astype(values.dtype.newbyteorder(">")),
    "subclass": lambda values: values.view(Subclass),
    "object": lambda values: values.astype(object),
    "memoryview": lambda values: memoryview(np.array(values)),
}
NESTED = {
    "lists": lambda values: values.tolist(),
    "tuples": lambda values: tuple(map(tuple, values.tolist())),
    "list of arrays": list,
    "list of tuples": lambda values: list(map(tuple, values.tolist())),
}
INDEXES = {
    "range": lambda n: pd.RangeIndex(n),
    "reversed": lambda n: pd.RangeIndex(n)[::-1],
    "one value": lambda n: pd.Index(["same"] * n),
    "dates": lambda n: pd.date_range("2020", periods=n),
    "pairs": lambda n: pd.MultiIndex.from_product([["a"], range(n)]),
}
FRAMES = {
    "DataFrame": lambda frame: frame,
    "DataFrame of columns": lambda frame: pd.concat([frame.iloc[:, [j]].copy() for j in range(frame.shape[1])], axis=1),
    "DataFrame of objects": lambda frame: frame.astype(object),
}


def _frame(values, columns, index):
    columns = pd.Index(columns, tupleize_cols=False) if columns is not None else None
    return pd.DataFrame(values, columns=columns, index=INDEXES[index](len(values)))


def as_sparse(values, kind, is_array):
    """Return values as a sparse matrix or array of a kind."""
    return getattr(sparse, f"{kind}_{'array' if is_array else 'matrix'}")(values)


def oddly_stored(matrix, how):
    """Return a CSR or CSC matrix with the same values that is stored otherwise."""
    if how == "zeros stored":
        coo = matrix.tocoo()
        rows, columns = np.append(coo.row, matrix.shape[0] - 1), np.append(coo.col, matrix.shape[1] - 1)
        return type(matrix)((np.append(coo.data, coo.data.dtype.type(0)), (rows, columns)), shape=matrix.shape)
    if how == "unsorted":
        data, indices, indptr = matrix.data.copy(), matrix.indices.copy(), matrix.indptr.copy()
        for start, stop in itertools.pairwise(indptr):
            data[start:stop], indices[start:stop] = data[start:stop][::-1].copy(), indices[start:stop][::-1].copy()
        return type(matrix)((data, indices, indptr), shape=matrix.shape)
    if how == "int64 indices":
        moved = matrix.copy()
        moved.indices, moved.indptr = moved.indices.astype(np.int64), moved.indptr.astype(np.int64)
        return moved
    if how == "read-only":
        moved = matrix.copy()
        for part in (moved.data, moved.indices, moved.indptr):
            part.flags.writeable = False
        return moved
    return matrix


STORED = ["as it is", "zeros stored", "unsorted", "int64 indices", "read-only"]


# X

X_DTYPES = [bool, "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "g"]


@st.composite
def dense_X(draw):
    """X of small integers, which every dtype holds, in any dense form."""
    rng = np.random.RandomState(draw(st.integers(0, 2**16)))
    dtype = np.dtype(draw(st.sampled_from(X_DTYPES)))
    values = rng.randint(0, 2 if dtype.kind == "b" else 9, size=(ROWS, COLUMNS)).astype(dtype)
    plain = values.astype(float)
    how = draw(st.sampled_from([*ARRAYS, *NESTED, *FRAMES, "polars", "nullable"]))
    name = f"X {how} of {dtype}"
    if how in ARRAYS:
        return Case(name, ARRAYS[how](values), plain)
    if how in NESTED:
        return Case(name, NESTED[how](values), plain)
    if how == "polars":
        values = values.astype(float) if dtype in ("f2", "g") else values
        return Case(name, pl.DataFrame(values, schema=["a", "b", "c", "d"]), plain)
    columns = draw(
        st.sampled_from([None, list("abcd"), ["é", "", " ", "\n"], [3, 1, 2, 0], [(0, 1), (0, 2), "a", 1.5]])
    )
    if columns is not None and len({type(column) for column in columns}) > 1:
        columns = [repr(column) for column in columns]  # scikit-learn refuses mixed names
    frame = _frame(values, columns, draw(st.sampled_from(sorted(INDEXES))))
    if how == "nullable":
        return Case(name, frame.astype(float).convert_dtypes(), plain)
    return Case(name, FRAMES[how](frame), plain)


@st.composite
def sparse_X(draw):
    """X of small integers in any sparse form."""
    rng = np.random.RandomState(draw(st.integers(0, 2**16)))
    dtype = np.dtype(draw(st.sampled_from([d for d in X_DTYPES if d not in ("f2", "g")])))
    values = rng.randint(0, 2 if dtype.kind == "b" else 9, size=(ROWS, COLUMNS)) * (rng.rand(ROWS, COLUMNS) < 0.6)
    kind, is_array = draw(st.sampled_from(SPARSE_KINDS)), draw(st.booleans())
    given, how = as_sparse(values.astype(dtype), kind, is_array), "as it is"
    if kind in ("csr", "csc"):
        how = draw(st.sampled_from(STORED))
        given = oddly_stored(given, how)
    if draw(st.integers(0, 9)) == 0 and dtype.kind != "b":
        how, given = "frame", pd.DataFrame.sparse.from_spmatrix(given.tocsr())  # scikit-learn makes it sparse
    return Case(f"X {kind} {how} of {dtype}", given, sparse.csr_matrix(values.astype(float)))


# y

Y_DTYPES = [bool, "i1", "u1", "i2", "u4", "i8", "u8", "f2", "f4", "f8", "g"]
LABELS = {
    "strings": ["a", "b", "c"],
    "unicode": ["", "\u0000", "ß\U0001f600"],
    "similar": ["A", "a", "a "],
    "numbers as strings": ["1", "10", "2"],
    "integers": [-5, 7, 2**40],
    "hashes": [2**63 + 1, 2**63 + 2, 2**64 - 1],
    "huge": [-(2**70), 0, 2**70],
    "counts": [0, 1, 2],
    "floats": [-0.5, 0.25, np.inf],
    "tuples": [("a", 1), ("a", 2), ("b", 0)],
    "bytes": [b"", b"a", b"\xff"],
    "dates": [datetime.date(2020, 1, day) for day in (1, 2, 3)],
}
UNORDERED = {
    "Enum": list(Colour),
    "mixed": ["a", 1, ("b",)],
    "frozensets": [frozenset(), frozenset("a"), frozenset("b")],
    "bool and strings": [True, "True", "no"],
}


def _entries(draw, width):
    """Return a 0/1 matrix: any rows, all of one label among them, but each label somewhere."""
    Y = np.random.RandomState(draw(st.integers(0, 2**16))).randint(0, 2, size=(ROWS, width))
    column = draw(st.sampled_from(["as it is", "one positive", "one negative"]))
    if column != "as it is":
        Y[:, 0] = column == "one negative"
        Y[3, 0] = column == "one positive"
    if draw(st.booleans()):
        Y[5:9] = 0
    Y[0] = 1
    Y[1] = 0
    return Y


def _labels(draw, width, unordered=True):
    """Return labels, sorted or with ``classes``, and that."""
    names = draw(st.sampled_from([*LABELS, *UNORDERED] if unordered else list(LABELS)))
    labels = (LABELS | UNORDERED)[names][:width]
    if names in UNORDERED or draw(st.booleans()):
        labels = draw(st.permutations(labels))
        return names, labels, labels
    return names, labels, None


@st.composite
def indicators(draw, widths=(3,)):
    """Indicators of 0 and 1."""
    width = draw(st.sampled_from(widths))
    Y = _entries(draw, width)
    dtype = np.dtype(draw(st.sampled_from(Y_DTYPES)))
    values = Y.astype(dtype)
    forms = [*["sparse"] * 5, "sparse frame", *FRAMES, "polars", "nullable", "category"]
    how = draw(st.sampled_from([*forms, *ARRAYS, *NESTED] if width > 1 else forms))
    name = f"y {how} of {dtype}, {width} labels"
    if how == "sparse":
        kind, is_array = draw(st.sampled_from(SPARSE_KINDS)), draw(st.booleans())
        given = as_sparse(values if dtype not in ("f2", "g") else Y.astype(float), kind, is_array)
        if kind in ("csr", "csc"):
            given = oddly_stored(given, draw(st.sampled_from(STORED)))
        return Case(f"{name} {kind}", given, Y)
    if how == "sparse frame":
        return Case(name, pd.DataFrame.sparse.from_spmatrix(sparse.csr_matrix(Y), columns=list("cab")[:width]), Y)
    if how in ARRAYS:
        classes = draw(st.sampled_from([None, ["z", "y", "x"][:width]]))
        return Case(name, ARRAYS[how](values), Y, classes)
    if how in NESTED:
        return Case(name, NESTED[how](values), Y)
    if how == "polars":
        values = values.astype(float) if dtype in ("f2", "g") else values
        return Case(name, pl.DataFrame(values, schema=list("cab")[:width]), Y)
    _, labels, _ = _labels(draw, width)
    frame = _frame(values, labels, draw(st.sampled_from(sorted(INDEXES))))
    if how == "nullable":
        return Case(name, _frame(Y, labels, "range").astype(draw(st.sampled_from(["Int8", "Float64"]))), Y)
    if how == "category":
        return Case(name, _frame(Y, labels, "range").astype("category"), Y)
    return Case(name, FRAMES[how](frame), Y)


@st.composite
def partly_known(draw):
    """Indicators with NaN entries, and plainly an array of floats with NaN."""
    Y = _entries(draw, 3).astype(float)
    Y[np.random.RandomState(draw(st.integers(0, 2**16))).rand(*Y.shape) < 0.3] = np.nan
    Y[0] = 1
    if draw(st.booleans()):
        Y[7] = np.nan
    objects = Y.astype(object)
    missing = draw(st.sampled_from([None, pd.NA, np.nan, pd.NaT, float("nan")]))
    objects[np.isnan(Y)] = missing
    forms = {
        "array": Y,
        "float32": Y.astype("f4"),
        "float16": Y.astype("f2"),
        "lists": Y.tolist(),
        "list of tuples": list(map(tuple, Y.tolist())),
        "masked": np.ma.array(np.nan_to_num(Y).astype(int), mask=np.isnan(Y)),
        f"objects with {missing!r}": objects,
        f"DataFrame of objects with {missing!r}": pd.DataFrame(objects, columns=list("cab")),
        "DataFrame": pd.DataFrame(Y, columns=list("cab")),
        "Int8": pd.DataFrame(Y, columns=list("cab")).astype("Int8"),
        "boolean": pd.DataFrame(Y, columns=list("cab")).astype("boolean"),
        "polars": pl.DataFrame({k: [None if v != v else int(v) for v in y] for k, y in zip("cab", Y.T, strict=True)}),
        "polars bool": pl.DataFrame(
            {k: [None if v != v else bool(v) for v in y] for k, y in zip("cab", Y.T, strict=True)}
        ),
        "csr": sparse.csr_array(Y),
        "csc": sparse.csc_matrix(Y),
    }
    how = draw(st.sampled_from(sorted(forms)))
    return Case(f"y {how}, partly unknown", forms[how], Y)


SOFT = {
    "array": np.array,
    "float32": np.float32,
    "objects": lambda Q: Q.astype(object),
    "lists": lambda Q: Q.tolist(),
    "Series of lists": lambda Q: pd.Series(Q.tolist()),
    "DataFrame": lambda Q: pd.DataFrame(Q, columns=list("cab")),
    "Float64": lambda Q: pd.DataFrame(Q, columns=list("cab")).astype("Float64"),
    "polars": lambda Q: pl.DataFrame(Q, schema=list("cab")),
    "csr": sparse.csr_array,
    "csc": sparse.csc_matrix,
}


@st.composite
def soft_labels(draw):
    """Indicators of probabilities, with and without missing labels."""
    rng = np.random.RandomState(draw(st.integers(0, 2**16)))
    Q = np.clip(_entries(draw, 3) + rng.randint(-4, 5, (ROWS, 3)) / 8, 0, 1)
    if draw(st.booleans()):
        Q[rng.rand(*Q.shape) < 0.2] = np.nan
    how = draw(st.sampled_from(sorted(SOFT)))
    return Case(f"soft y {how}", SOFT[how](Q), Q)


@st.composite
def label_weights(draw, labels):
    """Weights of single labels, some of them 0; a DataFrame has its columns in any order."""
    rng = np.random.RandomState(draw(st.integers(0, 2**16)))
    weight = rng.randint(0, 5, (ROWS, len(labels))) / 2
    weight[0] = 1
    how = draw(st.sampled_from(["array", "F-order", "lists", "float32", "DataFrame"]))
    if how == "DataFrame":
        order = draw(st.permutations(range(len(labels))))
        return Case("weights of a frame", pd.DataFrame(weight, columns=labels).iloc[:, list(order)], weight)
    if how == "float32":
        return Case("weights of float32", weight.astype("f4"), weight)
    return Case(f"weights {how}", (ARRAYS | NESTED)[how](weight), weight)


@st.composite
def hierarchies(draw, labels):
    """Mappings of labels to some of those that come before them in a random order."""
    order = draw(st.permutations(labels))
    containers = st.sampled_from([list, tuple, set, frozenset, np.array])
    links = {child: draw(st.sets(st.sampled_from(order[:i]))) for i, child in enumerate(order) if i}
    return {child: draw(containers)(sorted(parents)) for child, parents in links.items() if parents}


def _objects(rows):
    y = np.empty(len(rows), dtype=object)
    y[:] = rows
    return y


OUTER = {
    "list": list,
    "tuple": tuple,
    "deque": collections.deque,
    "UserList": collections.UserList,
    "object array": _objects,
    "read-only objects": lambda rows: _read_only(_objects(rows)),
    "Series": lambda rows: pd.Series(rows, dtype=object),
    "Series of an odd index": lambda rows: pd.Series(rows, dtype=object, index=["same"] * len(rows)),
    "Index": lambda rows: pd.Index(_objects(rows), tupleize_cols=False),
}
INNER = {
    "set": set,
    "frozenset": frozenset,
    "tuple": tuple,
    "list": list,
    "keys": lambda row: dict.fromkeys(row).keys(),
    "object array": _objects,
    "deque": collections.deque,
    "twice": lambda row: [*row, *row],
}


@st.composite
def collections_of_labels(draw):
    """Collections of labels of any kind, in any containers."""
    Y = _entries(draw, 3)
    names, labels, classes = _labels(draw, 3)
    Y[2] = [1, 0, 0]  # rows of different lengths: equal ones of 0 and 1 would be an indicator
    inner, outer = draw(st.sampled_from(sorted(INNER))), draw(st.sampled_from(sorted(OUTER)))
    rows = [INNER[inner]([labels[j] for j in np.flatnonzero(row)]) for row in Y]
    if draw(st.booleans()) and inner != "keys":
        rows = [rows[i] if i % 2 else tuple(rows[i]) for i in range(ROWS)]
    if classes is not None:
        classes = draw(st.sampled_from([list, tuple, _objects, pd.Index]))(classes) if names != "tuples" else classes
    return Case(f"y {outer} of {inner} of {names}", OUTER[outer](rows), Y, classes)


SINGLE = LABELS | {"bool": [False, True], "years": [2019, 2020, 2021], "negative": [-1, 0, 1]}
# scikit-learn refuses bytes and floats; NumPy's strings end before a NUL; tuples and dates are no single labels.
NO_SINGLE = {"bytes", "floats", "unicode", "tuples", "huge", "dates"}
SINGLE = {name: labels for name, labels in SINGLE.items() if name not in NO_SINGLE}
COLUMN = {
    "list": list,
    "tuple": tuple,
    "array": np.array,
    "read-only": lambda y: _read_only(np.array(y)),
    "reversed": lambda y: np.array(y[::-1])[::-1],
    "object array": _objects,
    "Series": pd.Series,
    "Series of objects": lambda y: pd.Series(y, dtype=object),
    "Series of an odd index": lambda y: pd.Series(y, index=["same"] * len(y)),
    "Categorical": lambda y: pd.Series(y, dtype="category"),
    "Index": pd.Index,
    "column": lambda y: np.array(y)[:, None],
    "list of scalars": lambda y: list(np.array(y)),
    "polars": lambda y: pl.Series(y),
    "nullable": lambda y: pd.Series(y).convert_dtypes(),
    "memoryview": lambda y: memoryview(np.array(y)) if np.array(y).dtype.kind in "iub" else y,
}


@st.composite
def single_labels(draw):
    """One label per row, of two or three classes."""
    names = draw(st.sampled_from(sorted(SINGLE)))
    labels = SINGLE[names][: draw(st.sampled_from([2, 3]))]
    codes = np.random.RandomState(draw(st.integers(0, 2**16))).randint(0, len(labels), size=ROWS)
    codes[: 2 * len(labels)] = [*range(len(labels))] * 2
    # Integers as objects are refused, as scikit-learn refuses them: see test_odd_targets.py.
    as_objects = (
        {"object array", "Series of objects"} if isinstance(labels[-1], int) and labels[0] is not False else set()
    )
    how = draw(st.sampled_from(sorted(COLUMN.keys() - as_objects)))
    classes = draw(st.sampled_from([None, labels]))
    return Case(f"y {how} of {names}", COLUMN[how]([labels[code] for code in codes]), codes, classes)


# Groups


@st.composite
def groups(draw):
    """Groups of rows, with any names in any column, and plainly their numbers; or none."""
    if draw(st.booleans()):
        return Case("no groups", None, None)
    n_groups = draw(st.sampled_from([2, 3, 7, ROWS]))
    codes = np.random.RandomState(draw(st.integers(0, 2**16))).randint(0, n_groups, size=ROWS)
    codes[:2] = 0, 1
    many = {"integers": list(range(-3, n_groups)), "strings": list(map(repr, range(n_groups)))}
    names = draw(st.sampled_from(sorted(SINGLE if n_groups == 2 else many)))
    labels = (SINGLE if n_groups == 2 else many)[names]
    how = draw(st.sampled_from(sorted(COLUMN.keys() - {"column"})))
    return Case(f"groups {how} of {n_groups} {names}", COLUMN[how]([labels[code] for code in codes]), codes)


# What is no X, or no y


def _ragged(rows):
    return [list(range(1 + i % 3)) for i in range(rows)]


def _with(values, value):
    values = values.astype(np.result_type(values, type(value)) if isinstance(value, complex) else object)
    values[3, 1] = value
    return values


VALUES = [np.nan, np.inf, -np.inf, 2, -1, 0.5, 1e39, 1e308, 2**70, 1j, None, pd.NA, pd.NaT, "x", "1", b"1", (), [1], {}]
VALUES += [datetime.date(2020, 1, 1), np.datetime64("NaT"), np.timedelta64(1, "D"), Colour.RED, object, len, slice(1)]


def _no_arrays(n):
    """Return by name what is no 2-D array of numbers of n rows, or just is one."""
    values = np.ones((n, 3))
    return {
        "None": None,
        "a string": "abc",
        "bytes": b"abc",
        "a number": 3,
        "NaN": np.nan,
        "0-d": np.array(1.0),
        "object 0-d": np.array({"a"}, dtype=object),
        "a class": list,
        "a function": len,
        "a dict": {"a": [1] * n},
        "a set": set(range(n)),
        "a generator": (i for i in range(n)),
        "a range": range(n),
        "empty": [],
        "empty array": np.empty((0, 3)),
        "no columns": np.empty((n, 0)),
        "empty frame": pd.DataFrame(index=range(n)),
        "3-D": np.ones((n, 2, 2)),
        "3-D lists": np.ones((n, 2, 2)).tolist(),
        "too short": values[:-1],
        "too long": np.ones((n + 1, 3)),
        "ragged": _ragged(n),
        "ragged array": _objects(_ragged(n)),
        "complex": values + 1j,
        "strings": values.astype(str),
        "fixed bytes": values.astype("S"),
        "dates": np.full((n, 3), "2020", dtype="M8[D]"),
        "spans": np.ones((n, 3), dtype="m8[s]"),
        "void": np.zeros((n, 3), dtype="V4"),
        "records": np.zeros(n, dtype=[("a", float), ("b", int)]),
        "frame of strings": pd.DataFrame(values.astype(str)),
        "frame of dates": pd.DataFrame({"a": pd.date_range("2020", periods=n), "b": 1}),
        "frame of twice a name": pd.DataFrame(values, columns=["a", "a", "b"]),
        "frame of mixed names": pd.DataFrame(values, columns=["a", 1, None]),
        "frame of levels": pd.DataFrame(values, columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)])),
        "masked": np.ma.array(values, mask=values == 2),
        "partly masked": np.ma.array(values, mask=np.eye(n, 3)),
        "sparse of NaN": sparse.csr_matrix(np.where(np.eye(n, 3), np.nan, 0)),
        "sparse of 2": sparse.csr_matrix(2 * np.eye(n, 3)),
        "sparse complex": sparse.csr_matrix(1j * np.eye(n, 3)),
        "sparse 1-D": sparse.coo_array(np.ones(n)),
        "sparse too short": sparse.csc_array(values[1:]),
        "polars of strings": pl.DataFrame({"a": ["x"] * n}),
        "polars lists": pl.Series([["a", "b"], ["b"]] + [[]] * (n - 2)),
        "list of Nones": [None] * n,
        "list of NaN": [np.nan] * n,
        "list of dicts": [{"a": 1}] * n,
        "list of functions": [len] * n,
        "list of complex": [1j] * n,
        "list of strings and sets": ["a", {"b"}] * (n // 2),
        "list of mixed": [1, "a"] * (n // 2),
        "list of sets with None": [{None}, {"a"}] * (n // 2),
        "list of sets with NaN": [{np.nan}, {"a"}] * (n // 2),
        "list of mixed sets": [{1}, {"a"}] * (n // 2),
        "list of empty sets": [set()] * n,
        "lists of lists of lists": [[["a"]], [["b"]]] * (n // 2),
        "one class": ["a"] * n,
        "floats": np.linspace(0, 1, n),
        "Categorical of NaN": pd.Series(["a", None] * (n // 2), dtype="category"),
        "Interval": pd.Series(pd.interval_range(0, n)),
        "Period": pd.Series(pd.period_range("2020", periods=n)),
        "object of arrays": _objects([np.ones(i % 3) for i in range(n)]),
        "a type that lies about its length": _Liar(),
    }


class _Liar:
    """A length and no items."""

    def __len__(self):
        return ROWS

    def __getitem__(self, i):
        raise IndexError(i)


@st.composite
def no_target(draw):
    """Objects that are no target, or hardly one."""
    how = draw(st.sampled_from(["whole", "entry", "item", "label"]))
    if how == "whole":
        name = draw(st.sampled_from(sorted(_no_arrays(ROWS))))
        return Case(f"y {name}", _no_arrays(ROWS)[name], None)
    i = draw(st.integers(0, len(VALUES) - 1))
    value, name = VALUES[i], f"y with {how} {VALUES[i]!r}"
    if how == "entry":
        entries = _entries(draw, 3)
        if draw(st.booleans()):
            rows = entries.tolist()
            rows[3][1] = value
            return Case(name, draw(st.sampled_from([list, tuple]))(rows), None)
        entries = entries.astype(object)
        entries[3, 1] = value
        return Case(name, draw(st.sampled_from([np.array, pd.DataFrame]))(entries), None)
    rows = [["a", "b"], ["b"], []] * (ROWS // 3)
    if how == "item":
        rows[4] = value
    else:
        rows[4] = ["a", value]
    outer = draw(st.sampled_from(sorted(OUTER)))
    return Case(f"{name} in {outer}", OUTER[outer](rows), None)


@st.composite
def no_data(draw):
    """Objects that are no X, or hardly one."""
    if draw(st.booleans()):
        names = sorted(_no_arrays(ROWS))
        name = draw(st.sampled_from(names))
        return Case(f"X {name}", _no_arrays(ROWS)[name], None)
    i = draw(st.integers(0, len(VALUES) - 1))
    entries = np.ones((ROWS, COLUMNS), dtype=object)
    entries[3, 1] = VALUES[i]
    kind = draw(st.sampled_from(["array", "DataFrame", "lists"]))
    given = {"array": lambda: entries, "DataFrame": lambda: pd.DataFrame(entries), "lists": entries.tolist}[kind]()
    return Case(f"X {kind} with {VALUES[i]!r}", given, None)


# What may not change


def fingerprint(value):
    """Return what must be the same before and after: all that a caller could see of an input."""
    if isinstance(value, np.ma.MaskedArray):
        return "masked", fingerprint(np.asarray(value.data)), fingerprint(np.ma.getmaskarray(value))
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            return value.shape, value.strides, [fingerprint(item) for item in value.ravel().tolist()]
        return value.shape, value.strides, str(value.dtype), value.flags.writeable, value.tobytes()
    if isinstance(value, memoryview):
        return value.shape, value.format, value.tobytes()
    if sparse.issparse(value):
        if value.format == "coo":
            return value.shape, [fingerprint(part) for part in (value.data, *value.coords)]
        parts = [getattr(value, name, None) for name in ("data", "indices", "indptr", "offsets", "rows")]
        return value.shape, [fingerprint(part) for part in parts if isinstance(part, np.ndarray)], value.nnz
    if isinstance(value, pd.DataFrame | pd.Series | pd.Index):
        names = [list(value.columns), list(value.index)] if isinstance(value, pd.DataFrame) else []
        dtypes = list(map(str, value.dtypes)) if isinstance(value, pd.DataFrame) else str(value.dtype)
        return names, dtypes, fingerprint(value.to_numpy(dtype=object))
    if isinstance(value, list | tuple | collections.deque | collections.UserList):
        return type(value), [fingerprint(item) for item in value]
    return type(value), repr(value)
