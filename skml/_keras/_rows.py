"""Rows of arrays in memory as tensors, from which graphs gather batches."""

from collections import namedtuple

import keras
import numpy as np
import tensorflow as tf
from scipy import sparse

# Maximum number of entries in one step of validation or prediction: 16 MB in float32.
BLOCK_ENTRIES = 2**22

Layout = namedtuple("Layout", ["kind", "shape", "dtype", "stored"])
"""Layout of rows in tensors. ``kind`` is "dense", "sparse" or, for sparse rows in dense batches, "densified"."""


class Rows:
    """Rows of an array in memory as tensors, from which a graph gathers batches.

    Parameters
    ----------
    array : ndarray of shape (n_samples, ...) or CSR
    dtype : str
        The dtype of the batches. In memory, the rows keep the dtype of the array.
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
                array = array.astype(dtype)  # for small arrays the memory costs less than a cast in every step
            self.tensors = (tf.convert_to_tensor(array),)
        stored = (self.tensors[0].dtype.name, self.tensors[-1].dtype.name)
        self.layout = Layout(kind, tuple(array.shape[1:]), dtype, stored)


def specs_of(layout):
    """Return the specs of the tensors of a layout."""
    first, last = layout.stored
    if layout.kind == "dense":
        return (tf.TensorSpec((None, *layout.shape), first),)
    return tf.TensorSpec((None,), first), tf.TensorSpec((None,), "int32"), tf.TensorSpec((None,), last)


def gather(layout, tensors, index):
    """Return a batch with the rows `index`, inside a graph."""
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
        """Layouts of X, Y and the weights."""
        return tuple(rows and rows.layout for rows in self)

    @property
    def tensors(self):
        """Tensors of X, Y and the weights."""
        return [tensor for rows in self if rows for tensor in rows.tensors]


def as_array(variable):
    """Return a variable's value as a read-only array, without a copy.

    The array does not change when the variable does: TensorFlow assigns to new memory while the old is referenced.
    """
    return np.asarray(memoryview(tf.convert_to_tensor(variable.value)))


def rows_of(X, model):
    """Return X as `Rows` in the dtype of the model's input."""
    dtype, sparse_batches = keras.config.floatx(), False
    if getattr(model, "inputs", None):
        dtype, sparse_batches = model.inputs[0].dtype, model.inputs[0].sparse
    if X.dtype.kind == "f":
        X = X.astype(dtype, copy=False)
    elif X.dtype.kind in "OUS":
        dtype = "string"
    return Rows(X, dtype, sparse_batches)


def batch_of(X, model):
    """Return all rows of X as an input tensor of the model."""
    rows = rows_of(X, model)
    return gather(rows.layout, rows.tensors, tf.range(rows.n_rows))
