"""Which arrays of X the inputs of a Keras model take."""

import keras
import numpy as np
from scipy import sparse

from skml._inputs import NamedArrays, is_text, quoted


def arrays_for(X, model, names=None):
    """Return what the inputs of a model take.

    An input takes the array, or the column, of its name. If one input of shape (k,) has another name, it takes the
    remaining columns, side by side.

    Parameters
    ----------
    X : ndarray, CSR or NamedArrays
    model : keras.Model
    names : sequence of str, default=None
        The names of the columns of an array.

    Returns
    -------
    arrays : list of ndarray or CSR
    inputs : list of keras.KerasTensor, or of None
        None if the model does not tell its inputs.
    keys : tuple of str or None
        The keys by which the model takes the arrays from a dict; None for a tuple.

    Raises
    ------
    ValueError
        If X has other arrays than the model has inputs, or arrays of other shapes or types.
    """
    inputs, has_keys = inputs_of(model)
    is_named = isinstance(X, NamedArrays)
    if not inputs:
        if is_named and not isinstance(model, keras.Sequential):  # a class whose call takes a dict
            return list(X.arrays.values()), [None] * len(X.arrays), tuple(X.arrays)
        return [_side_by_side(X.arrays) if is_named else X], [None], None
    is_whole = len(inputs) == 1 and not is_named
    given = dict.fromkeys(inputs, ("X", X)) if is_whole else _by_name(X, inputs, names)
    arrays = [_as_input(*given[name], tensor) for name, tensor in inputs.items()]
    return arrays, list(inputs.values()), tuple(inputs) if has_keys else None


def inputs_of(model):
    """Return the inputs of a model by name, without any if it does not tell them, and whether it takes a dict."""
    inputs = getattr(model, "inputs", None) or []
    if inputs and not isinstance(model, keras.Sequential) and isinstance(model.input, dict):
        return model.input, True
    return {tensor.name: tensor for tensor in inputs}, False


def _by_name(X, inputs, names):
    """Return for each input what its array is called in errors, and the array."""
    arrays = X.arrays if isinstance(X, NamedArrays) else _columns(X, inputs, names)
    given = {name: (f"X[{name!r}]", arrays[name]) for name in inputs if name in arrays}
    rest = {name: array for name, array in arrays.items() if name not in inputs}
    lacking = [name for name in inputs if name not in arrays]
    if not rest and not lacking:
        return given
    takes_rest = len(lacking) == 1 and (len(inputs) == 1 or len(inputs[lacking[0]].shape) == 2)
    if takes_rest and rest and all(array.ndim == 1 for array in rest.values()):
        return {**given, lacking[0]: (f"X[{list(rest)}]", _side_by_side(rest))}
    raise ValueError(
        f"X has {quoted(arrays)}, and the network has the inputs {quoted(inputs)}."
        + (f" X has nothing for {quoted(lacking)}." if lacking else "")
        + (f" No input takes {quoted(rest)}." if rest else "")
        + ' Each input takes the array or column of its name, as in keras.Input(..., name="age"). One input of shape '
        "(k,) may have another name; it takes the k columns that remain."
    )


def _columns(X, inputs, names):
    if names is None or sparse.issparse(X) or X.ndim != 2:
        raise ValueError(
            f"X is an array of shape {_shape(X)} without names, but the network has the inputs {quoted(inputs)}. Pass "
            "a dict of their arrays, X={"
            + ", ".join(f"{name!r}: ..." for name in inputs)
            + "}, or a DataFrame with columns of these names."
        )
    return {name: X[:, j] for j, name in enumerate(names)}


def _side_by_side(columns):
    """Return columns as one array, of texts or of numbers."""
    kinds = {is_text(array): name for name, array in columns.items()}
    if len(kinds) > 1:
        raise ValueError(
            f"The columns {quoted(columns)} of X go into one input, but {kinds[True]!r} holds texts and "
            f"{kinds[False]!r} numbers. Add an input for each column of texts, such as keras.Input((), "
            f'dtype="string", name={kinds[True]!r}).'
        )
    return np.column_stack(list(columns.values()))


def _as_input(shown, array, tensor):
    """Return an array with the number of dimensions that an input takes, after checks of its type and shape."""
    takes, dtype = tuple(tensor.shape[1:]), tensor.dtype
    if is_text(array) != (dtype == "string"):
        remedy = (
            "Convert it by .astype(str)."
            if dtype == "string"
            else 'Give the input dtype="string", and a layer such as keras.layers.StringLookup or TextVectorization.'
        )
        kind = "texts" if is_text(array) else f"numbers ({array.dtype})"
        raise ValueError(f"{shown} holds {kind}, but the input {tensor.name!r} of the network takes {dtype}. {remedy}")
    values = array.data if sparse.issparse(array) else array
    if values.dtype.kind == "f" and dtype.startswith(("int", "uint")) and (values % 1 != 0).any():
        raise ValueError(
            f"{shown} holds fractions, but the input {tensor.name!r} of the network takes {dtype}. Leave out its "
            "dtype, or round the values."
        )
    array = _with_dimensions(array, takes)
    has = array.shape[1:]
    if len(has) != len(takes) or any(size not in (None, own) for own, size in zip(has, takes, strict=True)):
        raise ValueError(
            f"{shown} has the shape {_shape(array)}, but the input {tensor.name!r} of the network takes "
            f"{_shape(tensor)}."
        )
    return array


def _with_dimensions(array, takes):
    """Return an array without a last dimension of 1, or with one, if an input takes it so."""
    has = array.shape[1:]
    if sparse.issparse(array):
        return array
    if len(has) == len(takes) + 1 and has[-1] == 1:
        return array[..., 0]
    return array[..., None] if len(has) + 1 == len(takes) and takes[-1] in (1, None) else array


def _shape(array):
    """Return a shape as text; the number of rows may be that of a part."""
    return f"({', '.join(map(str, ('n_samples', *array.shape[1:])))})"
