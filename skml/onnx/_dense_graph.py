"""Nodes of the default network and of its activations."""

import numpy as np

from skml._default_network._activations import SELU_ALPHA, SELU_SCALE
from skml._default_network._encoding import CLIP, FAR


def add_dense_network(graph, X, network):
    """Add the forward pass of a `DenseNetwork`: products in its dtype, input features and probabilities in float64.

    Parameters
    ----------
    graph : Graph
    X : str
        Name of the input, numbers of any dtype, shape (n_samples, n_features).
    network : DenseNetwork

    Returns
    -------
    str
        Name of the probabilities, float64, shape (n_samples, n_outputs).
    """
    dtype = np.promote_types(network.dtype, np.float32)
    logits = _add_layers(graph, X, network, dtype)
    logits = graph.add("Cast", logits, to=np.float64)
    proba = _add_mean_of_members(graph, _add_output_activation(graph, logits, network), network)
    calibration = network.calibration
    if not calibration.changes:
        return proba
    slope, offset = np.array(calibration.slope, np.float64), np.array(calibration.offset, np.float64)
    if network.output_activation == "softmax":
        return graph.add("Softmax", graph.add("Mul", graph.add("Log", proba), slope), axis=-1)
    if network.n_members > 1:
        # 1 - proba would lose precision where proba is close to 1.
        complement = _add_output_activation(graph, graph.add("Neg", logits), network)
        complement = _add_mean_of_members(graph, complement, network)
        logits = graph.add("Sub", graph.add("Log", proba), graph.add("Log", complement))
    return graph.add("Sigmoid", graph.add("Add", graph.add("Mul", logits, slope), offset))


def _add_columns(graph, X, network, dtype):
    """Add the inputs of the first layer that all members share."""
    if network.encoding is None:
        return _add_scaling(graph, X, network, dtype)
    encoding = network.encoding
    X = graph.add("Cast", X, to=np.float64)
    values = graph.add("Mul", graph.add("Sub", X, network.shift), network.scale)
    values = graph.add("Min", graph.add("Max", values, np.array(-FAR)), np.array(FAR))
    square = graph.add("Mul", values, values)
    root = graph.add("Sqrt", graph.add("Add", graph.add("Mul", square, np.array(CLIP**-2)), np.array(1.0)))
    values = graph.add("Sub", graph.add("Div", values, root), encoding.mean)
    absent = graph.add("IsNaN", X)
    values = graph.add("Where", absent, np.array(0.0), values)
    if len(encoding.missing):
        indicators = graph.add("Cast", graph.add("Gather", absent, encoding.missing, axis=1), to=np.float64)
        indicators = graph.add("Sub", indicators, encoding.missing_mean)
        values = graph.add("Concat", values, indicators, axis=1)
    return graph.add("Cast", values, to=dtype)


def _add_ramps(graph, X, ramps, dtype):
    """Add the ramps of some members, shape (members, n_samples, n_ramps)."""
    values = graph.add("Gather", graph.add("Cast", X, to=np.float64), ramps.columns.astype(np.int64), axis=1)
    values = graph.add("Transpose", values, perm=[1, 0, 2])
    shift, slope, low, high = (array[:, None] for array in (ramps.shift, ramps.slope, ramps.low, ramps.high))
    clipped = graph.add("Mul", graph.add("Sub", values, shift), slope)
    clipped = graph.add("Min", graph.add("Max", clipped, low), high)
    return graph.add("Cast", graph.add("Where", graph.add("IsNaN", values), np.array(0.0), clipped), to=dtype)


def _add_scaling(graph, X, network, dtype):
    if network.shift is None:
        X = graph.add("Cast", X, to=dtype)
        return X if network.scale is None else graph.add("Mul", X, network.scale.astype(dtype))
    X = graph.add("Sub", graph.add("Cast", X, to=np.float64), network.shift.astype(np.float64))
    X = graph.add("Mul", X, network.scale.astype(np.float64))
    return graph.add("Cast", graph.add("Where", graph.add("IsNaN", X), np.array(0.0), X), to=dtype)


def _add_layers(graph, X, network, dtype):
    """Add the layers and return the logits; with several members, their first axis is the member."""
    kernel, bias = network.first_kernel().astype(dtype), network.weights[1].astype(dtype)
    logits = graph.add("Add", graph.add("MatMul", _add_columns(graph, X, network, dtype), kernel), bias)
    if network.n_members > 1:
        logits = graph.add("Reshape", logits, np.array([-1, network.n_members, network.widths[0]]))
        logits = graph.add("Transpose", logits, perm=[1, 0, 2])
    for ramps, kernel in zip(network.ramps, network.weights[2 : network.n_first_weights], strict=True):
        sums = graph.add("MatMul", _add_ramps(graph, X, ramps, dtype), kernel.astype(dtype))
        if network.n_members == 1:
            sums = graph.add("Squeeze", sums, np.array([0]))
        else:
            after = network.n_members - ramps.members.stop
            sums = graph.add("Pad", sums, np.array([ramps.first_member, 0, 0, after, 0, 0]))
        logits = graph.add("Add", logits, sums)
    hidden = None
    for kernel, bias, has_residual in network.layers():
        outputs = ACTIVATIONS[network.activation](graph, logits, dtype)
        hidden = graph.add("Add", outputs, hidden) if has_residual else outputs
        kernel, bias = kernel.astype(dtype), bias.astype(dtype)
        kernel, bias = (kernel[0], bias[0]) if network.n_members == 1 else (kernel, bias[:, None])
        logits = graph.add("Add", graph.add("MatMul", hidden, kernel), bias)
    return logits


def _add_output_activation(graph, logits, network):
    return (
        graph.add("Sigmoid", logits)
        if network.output_activation == "sigmoid"
        else graph.add("Softmax", logits, axis=-1)
    )


def _add_mean_of_members(graph, proba, network):
    if network.n_members == 1:
        return proba
    if network.member_weights is not None:
        proba = graph.add("Mul", proba, network.member_weights[:, None, None])
        return graph.add("ReduceSum", proba, np.array([0]), keepdims=0)
    total = graph.add("ReduceSum", proba, np.array([0]), keepdims=0)
    return graph.add("Div", total, np.array(network.n_members, np.float64))


# ONNX has operators Elu, Selu and Softplus, but onnxruntime supports them in float32 only.


def _elu(graph, x, dtype, factor=1.0):
    zero, one = np.array(0, dtype), np.array(1, dtype)
    below = graph.add("Sub", graph.add("Exp", graph.add("Min", x, zero)), one)
    return graph.add("Add", graph.add("Max", x, zero), graph.add("Mul", below, np.array(factor, dtype)))


def _gelu(graph, x, dtype):
    scaled = graph.add("Cast", graph.add("Mul", x, np.array(np.sqrt(0.5), dtype)), to=np.float32)
    erf = graph.add("Cast", graph.add("Erf", scaled), to=dtype)  # Erf is float32 only
    half = graph.add("Mul", x, np.array(0.5, dtype))
    return graph.add("Mul", half, graph.add("Add", erf, np.array(1, dtype)))


def _selu(graph, x, dtype):
    return graph.add("Mul", _elu(graph, x, dtype, SELU_ALPHA), np.array(SELU_SCALE, dtype))


def _softplus(graph, x, dtype):
    rest = graph.add("Exp", graph.add("Neg", graph.add("Abs", x)))
    rest = graph.add("Log", graph.add("Add", rest, np.array(1, dtype)))
    return graph.add("Add", graph.add("Max", x, np.array(0, dtype)), rest)


# Has the same keys as ACTIVATIONS of the default network.
ACTIVATIONS = {
    "elu": _elu,
    "gelu": _gelu,
    "linear": lambda graph, x, dtype: x,
    "relu": lambda graph, x, dtype: graph.add("Relu", x),
    "selu": _selu,
    "sigmoid": lambda graph, x, dtype: graph.add("Sigmoid", x),
    "silu": lambda graph, x, dtype: graph.add("Mul", x, graph.add("Sigmoid", x)),
    "softplus": _softplus,
    "tanh": lambda graph, x, dtype: graph.add("Tanh", x),
}
