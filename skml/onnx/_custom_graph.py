"""Conversion of a custom network to an ONNX graph, by tf2onnx."""

import numpy as np
import tensorflow as tf

_ERROR = "tf2onnx cannot convert the custom network to ONNX: {}. Replace the layers that have no counterpart in ONNX."


def keras_graph(network, n_features, opset):
    """Convert a custom network to an ONNX graph.

    Parameters
    ----------
    network : KerasNetwork
    n_features : int
        Number of columns of X, for a model without a defined input shape.
    opset : int
        Version of the ONNX operators.

    Returns
    -------
    graph : onnx.GraphProto
        Has one input and one output, those of the model.

    Raises
    ------
    ValueError
        If a layer of the model has no counterpart in ONNX.
    """
    import onnx
    import tf2onnx

    model = network.model
    inputs = model.inputs[0] if getattr(model, "inputs", None) else None
    shape, dtype = ((None, n_features), "float32") if inputs is None else (inputs.shape, inputs.dtype)
    # model.export sets numpy.object for the whole process, and fails if the model was not called since it was loaded.
    signature = [tf.TensorSpec(shape, dtype, name="skml_X")]
    function = tf.function(lambda X: model(X, training=False), autograph=False, input_signature=signature)
    handlers = {"Erfc": (_erfc, [])}
    try:
        graph = tf2onnx.convert.from_function(function, signature, opset=opset, custom_op_handlers=handlers)[0].graph
    except Exception as error:  # tf2onnx raises errors of many types
        raise ValueError(_ERROR.format(f"it raised {error!r}")) from error
    unsupported = sorted({node.op_type for node in graph.node if not onnx.defs.has(node.op_type, node.domain)})
    if unsupported:
        raise ValueError(_ERROR.format(f"it does not support {', '.join(unsupported)}"))
    return graph


def _erfc(context, node, name, args):
    """Replace Erfc, which Keras' gelu uses and tf2onnx does not support, by 1 - Erf."""
    context.remove_node(name)
    erf = context.make_node("Erf", [node.input[0]])
    one = context.make_const(f"{name}/one", np.ones((), np.float32))
    context.make_node("Sub", [one.output[0], erf.output[0]], outputs=[node.output[0]], name=name)
