"""In-memory rows as tensors, from which graphs gather batches."""

from collections import namedtuple

import keras
import numpy as np
import tensorflow as tf
from scipy import sparse

# Entries that one step of validation or prediction holds: 16 MB in float32.
BLOCK_ENTRIES = 2**22

Layout = namedtuple("Layout", ["kind", "shape", "dtype", "stored"])
"""How rows lie in tensors: kind is "dense", "sparse" (batches are sparse) or "densified"."""


class Rows:
    """In-memory rows as tensors, from which a graph gathers batches.

    Parameters
    ----------
    array : ndarray of shape (n_samples, ...) or CSR
    dtype : str
        Of the batches. A smaller dtype of the array is kept in memory.
    sparse_batches : bool, default=False
        Whether batches of a CSR array are sparse tensors.
    """

    def __init__(self, array, dtype, sparse_batches=False):
        self.n_rows = array.shape[0]
        if sparse.issparse(array):
            kind = "sparse" if sparse_batches else "densified"
            index = np.int32 if array.nnz < 2**31 else np.int64
            parts = (array.data, array.indices.astype(np.int32, copy=False), array.indptr.astype(index, copy=False))
            self.tensors = tuple(tf.convert_to_tensor(part) for part in parts)
        else:
            kind = "dense"
            if array.size <= BLOCK_ENTRIES and array.dtype.kind in "biu":
                array = array.astype(dtype)  # a cast in every step costs more than the memory is worth
            self.tensors = (tf.convert_to_tensor(array),)
        stored = (self.tensors[0].dtype.name, self.tensors[-1].dtype.name)
        self.layout = Layout(kind, tuple(array.shape[1:]), dtype, stored)


def specs_of(layout):
    first, last = layout.stored
    if layout.kind == "dense":
        return (tf.TensorSpec((None, *layout.shape), first),)
    return tf.TensorSpec((None,), first), tf.TensorSpec((None,), "int32"), tf.TensorSpec((None,), last)


def gather(layout, tensors, index):
    """Return the batch of the rows `index`; part of a graph."""
    if layout.kind == "dense":
        batch = tf.gather(tensors[0], index)
        return batch if batch.dtype == layout.dtype else tf.cast(batch, layout.dtype)
    values, columns, splits = tensors
    start = tf.gather(splits, index)
    length = tf.gather(splits, index + 1) - start
    before = tf.cumsum(length, exclusive=True)
    position = tf.range(tf.reduce_sum(length)) + tf.repeat(start - before, length)
    row = tf.repeat(tf.range(tf.size(index)), length)
    entries = tf.stack([row, tf.gather(columns, position)], axis=1)
    values = tf.cast(tf.gather(values, position), layout.dtype)
    if layout.kind == "sparse":
        shape = tf.stack([tf.size(index, tf.int64), layout.shape[0]])
        return tf.SparseTensor(tf.cast(entries, tf.int64), values, shape)
    batch = tf.scatter_nd(entries, values, tf.stack([tf.size(index), layout.shape[0]]))
    return tf.ensure_shape(batch, (None, *layout.shape))


class Data(namedtuple("Data", ["X", "Y", "weight"])):
    """Rows of X, of Y and of the sample weights (or None)."""

    @property
    def layouts(self):
        """Layout of each of the three."""
        return tuple(rows and rows.layout for rows in self)

    @property
    def tensors(self):
        """Tensors of all three."""
        return [tensor for rows in self if rows for tensor in rows.tensors]


def as_array(variable):
    """Return a variable's value as a read-only array, without a copy.

    TensorFlow gives a variable new memory when it next changes while somebody still looks at the old.
    """
    return np.asarray(memoryview(tf.convert_to_tensor(variable.value)))


def rows_of(X, model):
    """Return X as `Rows` in the dtype that the model's input has."""
    dtype, sparse_batches = keras.config.floatx(), False
    if getattr(model, "inputs", None):
        dtype, sparse_batches = model.inputs[0].dtype, model.inputs[0].sparse
    if X.dtype.kind == "f":
        X = X.astype(dtype, copy=False)
    elif X.dtype.kind in "OUS":
        dtype = "string"
    return Rows(X, dtype, sparse_batches)


def batch_of(X, model):
    """Return rows of X as the tensor that the model takes."""
    rows = rows_of(X, model)
    return gather(rows.layout, rows.tensors, tf.range(rows.n_rows))
