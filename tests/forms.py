"""The forms that y may have: each is made of an indicator Y and the names of its labels."""

import numpy as np
import pandas as pd
import polars as pl
from scipy import sparse


def label_sets_of(Y, names="abc", kind=set):
    """Return the label collections that an indicator stands for."""
    return [kind(names[j] for j in np.flatnonzero(row)) for row in Y]


def with_unknown(Y, share=0.3, seed=2):
    """Return Y as floats in which a share of the entries is NaN."""
    return np.where(np.random.RandomState(seed).rand(*Y.shape) < share, np.nan, Y)


def _object_array(Y, names):
    rows = np.empty(len(Y), dtype=object)
    rows[:] = label_sets_of(Y, names)
    return rows


def _unique_of_groups(rows):
    """Return rows as ``groupby(...)["tag"].unique()`` gives them: arrays of pandas, in a Series."""
    return pd.Series([pd.array(row, dtype="str") for row in rows])


INDICATORS = {
    "array of int": lambda Y, names: Y.astype(int),
    "array of uint8": lambda Y, names: Y.astype(np.uint8),
    "array of bool": lambda Y, names: Y.astype(bool),
    "array of float": lambda Y, names: Y.astype(float),
    "array of object": lambda Y, names: Y.astype(int).astype(object),
    "nested lists": lambda Y, names: Y.astype(int).tolist(),
    "list of arrays": lambda Y, names: list(Y),
    "Series of lists": lambda Y, names: pd.Series(Y.astype(int).tolist()),
    "Series of arrays of bool": lambda Y, names: pd.Series(list(Y.astype(bool))),
    "polars lists": lambda Y, names: pl.Series(Y.astype(int).tolist()),
    "csr_matrix": lambda Y, names: sparse.csr_matrix(Y),
    "csr_array": lambda Y, names: sparse.csr_array(Y),
    "csc_matrix": lambda Y, names: sparse.csc_matrix(Y),
    "coo_matrix": lambda Y, names: sparse.coo_matrix(Y),
    "lil_matrix": lambda Y, names: sparse.lil_matrix(Y),
}
DATAFRAMES = {
    "DataFrame": lambda Y, names: pd.DataFrame(Y, columns=list(names)),
    "DataFrame of bool": lambda Y, names: pd.DataFrame(Y.astype(bool), columns=list(names)),
    "DataFrame of nullable": lambda Y, names: pd.DataFrame(Y, columns=list(names)).astype("Int64"),
    "DataFrame of nullable bool": lambda Y, names: pd.DataFrame(Y.astype(bool), columns=list(names)).astype("boolean"),
    "polars DataFrame": lambda Y, names: pl.DataFrame(Y, schema=list(names)),
}
COLLECTIONS = {
    "sets": label_sets_of,
    "frozensets": lambda Y, names: label_sets_of(Y, names, frozenset),
    "tuples": lambda Y, names: label_sets_of(Y, names, tuple),
    "lists": lambda Y, names: label_sets_of(Y, names, list),
    "tuple of tuples": lambda Y, names: tuple(label_sets_of(Y, names, tuple)),
    "arrays of str": lambda Y, names: [np.array(row, dtype=str) for row in label_sets_of(Y, names, list)],
    "Series of sets": lambda Y, names: pd.Series(label_sets_of(Y, names)),
    "object array": _object_array,
    "arrays of pandas": lambda Y, names: _unique_of_groups(label_sets_of(Y, names, list)),
    "polars lists of str": lambda Y, names: pl.Series(label_sets_of(Y, names, list), dtype=pl.List(pl.String)),
    "views of dicts": lambda Y, names: [dict(enumerate(row)).values() for row in label_sets_of(Y, names, tuple)],
}
FORMS = INDICATORS | DATAFRAMES | COLLECTIONS
