"""Rows of arrays in memory as tensors, from which graphs gather batches."""

from collections import namedtuple

import keras
import numpy as np
import tensorflow as tf
from scipy import sparse

from skml._inputs import NamedArrays, is_text
from skml._keras._model_inputs import arrays_for, inputs_of

# Maximum number of entries in one step of validation or prediction: 16 MB in float32.
BLOCK_ENTRIES = 2**22

# Size in bytes from which an array is copied with care for memory.
_LARGE = 2**24

# TensorFlow's kernels read vectors from such addresses.
_ALIGNMENT = 64

Layout = namedtuple("Layout", ["kind", "shape", "dtype", "stored"])
"""Layout of rows in tensors. ``kind`` is "dense", "sparse" or, for sparse rows in dense batches, "densified"."""

JoinedLayout = namedtuple("JoinedLayout", ["keys", "parts"])
"""Layout of the rows of several arrays: the keys of a dict, or None for a tuple, and the layout of each array."""


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
            self.tensors = tuple(_as_tensor(part) for part in parts)
        else:
            kind = "dense"
            if array.size <= BLOCK_ENTRIES and array.dtype.kind in "biu":
                array = array.astype(dtype)  # for small arrays the memory costs less than a cast in every step
            self.tensors = (_as_tensor(array),)
        stored = (self.tensors[0].dtype.name, self.tensors[-1].dtype.name)
        self.layout = Layout(kind, tuple(array.shape[1:]), dtype, stored)


class JoinedRows:
    """Rows of several arrays, whose batches are a tuple or a dict of tensors.

    Parameters
    ----------
    parts : list of Rows
    keys : tuple of str or None
        The keys of a dict; None for a tuple.
    """

    def __init__(self, parts, keys=None):
        self.n_rows = parts[0].n_rows
        self.tensors = tuple(tensor for part in parts for tensor in part.tensors)
        self.layout = JoinedLayout(keys, tuple(part.layout for part in parts))


def _as_tensor(array):
    """Return a tensor with a copy of an array; ``tf.convert_to_tensor`` copies it twice, and keeps both copies."""
    if array.nbytes < _LARGE or array.dtype.kind not in "fiu" or not array.dtype.isnative:
        return tf.convert_to_tensor(array)
    memory = np.empty(array.nbytes + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return tf.identity(tf.experimental.dlpack.from_dlpack(copy.__dlpack__()))


def specs_of(layout):
    """Return the specs of the tensors of a layout."""
    if isinstance(layout, JoinedLayout):
        return tuple(spec for part in layout.parts for spec in specs_of(part))
    first, last = layout.stored
    if layout.kind == "dense":
        return (tf.TensorSpec((None, *layout.shape), first),)
    return tf.TensorSpec((None,), first), tf.TensorSpec((None,), "int32"), tf.TensorSpec((None,), last)


def n_entries_of(layout):
    """Return the number of entries of a row."""
    if isinstance(layout, JoinedLayout):
        return sum(map(n_entries_of, layout.parts))
    return int(np.prod(layout.shape))


def gather(layout, tensors, index):
    """Return a batch with the rows `index`, inside a graph."""
    if isinstance(layout, JoinedLayout):
        return _joined(layout, tensors, lambda part, own: gather(part, own, index))
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


def whole(layout, tensors):
    """Return a batch with all rows, inside a graph."""
    if isinstance(layout, JoinedLayout):
        return _joined(layout, tensors, whole)
    if layout.kind != "dense":
        return gather(layout, tensors, tf.range(tf.shape(tensors[-1])[0] - 1))
    return tensors[0] if tensors[0].dtype == layout.dtype else tf.cast(tensors[0], layout.dtype)


def _joined(layout, tensors, batch_of_part):
    batches, start = [], 0
    for part in layout.parts:
        stop = start + len(specs_of(part))
        batches.append(batch_of_part(part, tensors[start:stop]))
        start = stop
    return tuple(batches) if layout.keys is None else dict(zip(layout.keys, batches, strict=True))


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

    def cast(self, layouts):
        """Return the same rows in the dtypes of layouts; other data of the same kind may be stored in other dtypes."""
        for rows, layout in zip(self, layouts, strict=True):
            if rows:
                stored = [layout.stored[0], *(t.dtype for t in rows.tensors[1:-1]), layout.stored[-1]]
                rows.tensors = tuple(map(tf.cast, rows.tensors, stored))
                rows.layout = layout
        return self


def as_array(variable):
    """Return a variable's value as a read-only array, without a copy.

    The array does not change when the variable does: TensorFlow assigns to new memory while the old is referenced.
    """
    return np.asarray(memoryview(tf.convert_to_tensor(variable.value)))


def rows_of(X, model, names=None):
    """Return X as `Rows` in the dtype of the model's input, or as `JoinedRows` for several inputs.

    Parameters
    ----------
    X : ndarray, CSR or NamedArrays
    model : keras.Model
    names : sequence of str, default=None
        The names of the columns of an array.

    Raises
    ------
    ValueError
        If X has other arrays than the model has inputs, or arrays of other shapes or types.
    """
    arrays, inputs, keys = arrays_for(X, model, names)
    parts = [_rows_for(*pair) for pair in zip(arrays, inputs, strict=True)]
    return JoinedRows(parts, keys) if keys is not None or len(parts) > 1 else parts[0]


def _rows_for(array, tensor):
    dtype, sparse_batches = (keras.config.floatx(), False) if tensor is None else (tensor.dtype, tensor.sparse)
    if array.dtype.kind == "f":
        array = array.astype(dtype, copy=False)
    elif is_text(array):
        dtype = "string"
    return Rows(array, dtype, sparse_batches)


def batch_of(X, model, names=None):
    """Return all rows of X as an input of the model."""
    rows = rows_of(X, model, names)
    return whole(rows.layout, rows.tensors)


def zeros_for(model):
    """Return an input of the model with one row of zeros, or of empty texts."""

    def zeros(tensor):
        shape = (1, *(size or 1 for size in tensor.shape[1:]))
        return np.full(shape, "", object) if tensor.dtype == "string" else np.zeros(shape)

    inputs, _ = inputs_of(model)
    return batch_of(NamedArrays({name: zeros(tensor) for name, tensor in inputs.items()}), model)
