"""The default network, and the activations that it may have, as nodes."""

import numpy as np

from skml._default_network._network import SELU_ALPHA, SELU_SCALE


def proba_of_dense(graph, X, network):
    """Add the forward pass of a `DenseNetwork`; products are in its dtype, scaling and probabilities in float64.

    Parameters
    ----------
    graph : Graph
    X : str
        Name of a value of shape (n_samples, n_features), numbers of any dtype.
    network : DenseNetwork

    Returns
    -------
    str
        Name of the probabilities of the output units, float64, shape (n_samples, n_outputs).
    """
    kind = np.promote_types(network.dtype, np.float32)
    logits = graph.add("Cast", _logits(graph, _scaled(graph, X, network, kind), network, kind), to=np.float64)
    proba, calibration = _mean_of_members(graph, _linked(graph, logits, network), network), network.calibration
    if not calibration.changes:
        return proba
    slope, offset = np.array(calibration.slope, np.float64), np.array(calibration.offset, np.float64)
    if network.output_activation == "softmax":
        return graph.add("Softmax", graph.add("Mul", graph.add("Log", proba), slope), axis=-1)
    if network.n_members > 1:
        rest = _mean_of_members(graph, _linked(graph, graph.add("Neg", logits), network), network)
        logits = graph.add("Sub", graph.add("Log", proba), graph.add("Log", rest))
    return graph.add("Sigmoid", graph.add("Add", graph.add("Mul", logits, slope), offset))


def _scaled(graph, X, network, kind):
    if network.shift is None:
        X = graph.add("Cast", X, to=kind)
        return X if network.scale is None else graph.add("Mul", X, network.scale.astype(kind))
    X = graph.add("Sub", graph.add("Cast", X, to=np.float64), network.shift.astype(np.float64))
    return graph.add("Cast", graph.add("Mul", X, network.scale.astype(np.float64)), to=kind)


def _logits(graph, X, network, kind):
    """Add the layers; the logits have an axis of members in front if there are several."""
    kernel, bias = (weight.astype(kind) for weight in network.weights[:2])
    logits = graph.add("Add", graph.add("MatMul", X, kernel), bias)
    if network.n_members > 1:
        logits = graph.add("Reshape", logits, np.array([-1, network.n_members, network.widths[0]]))
        logits = graph.add("Transpose", logits, perm=[1, 0, 2])
    hidden = None
    for kernel, bias, has_residual in network.layers():
        outputs = ACTIVATIONS[network.activation](graph, logits, kind)
        hidden = graph.add("Add", outputs, hidden) if has_residual else outputs
        kernel, bias = kernel.astype(kind), bias.astype(kind)
        kernel, bias = (kernel[0], bias[0]) if network.n_members == 1 else (kernel, bias[:, None])
        logits = graph.add("Add", graph.add("MatMul", hidden, kernel), bias)
    return logits


def _linked(graph, logits, network):
    return (
        graph.add("Sigmoid", logits)
        if network.output_activation == "sigmoid"
        else graph.add("Softmax", logits, axis=-1)
    )


def _mean_of_members(graph, proba, network):
    if network.n_members == 1:
        return proba
    total = graph.add("ReduceSum", proba, np.array([0]), keepdims=0)
    return graph.add("Div", total, np.array(network.n_members, np.float64))


# Not ONNX' own Elu, Selu, Softplus: onnxruntime has those for float32 alone.


def _elu(graph, x, kind, factor=1.0):
    zero, one = np.array(0, kind), np.array(1, kind)
    below = graph.add("Sub", graph.add("Exp", graph.add("Min", x, zero)), one)
    return graph.add("Add", graph.add("Max", x, zero), graph.add("Mul", below, np.array(factor, kind)))


def _gelu(graph, x, kind):
    scaled = graph.add("Cast", graph.add("Mul", x, np.array(np.sqrt(0.5), kind)), to=np.float32)
    erf = graph.add("Cast", graph.add("Erf", scaled), to=kind)  # which onnxruntime has for float32 alone
    half = graph.add("Mul", x, np.array(0.5, kind))
    return graph.add("Mul", half, graph.add("Add", erf, np.array(1, kind)))


def _selu(graph, x, kind):
    return graph.add("Mul", _elu(graph, x, kind, SELU_ALPHA), np.array(SELU_SCALE, kind))


def _softplus(graph, x, kind):
    rest = graph.add("Exp", graph.add("Neg", graph.add("Abs", x)))
    rest = graph.add("Log", graph.add("Add", rest, np.array(1, kind)))
    return graph.add("Add", graph.add("Max", x, np.array(0, kind)), rest)


# The keys are those of the default network's.
ACTIVATIONS = {
    "elu": _elu,
    "gelu": _gelu,
    "linear": lambda graph, x, kind: x,
    "relu": lambda graph, x, kind: graph.add("Relu", x),
    "selu": _selu,
    "sigmoid": lambda graph, x, kind: graph.add("Sigmoid", x),
    "silu": lambda graph, x, kind: graph.add("Mul", x, graph.add("Sigmoid", x)),
    "softplus": _softplus,
    "tanh": lambda graph, x, kind: graph.add("Tanh", x),
}
