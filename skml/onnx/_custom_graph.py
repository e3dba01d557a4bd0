"""A custom network as nodes of an ONNX graph."""

import numpy as np
import tensorflow as tf


def keras_graph(network, n_features, opset):
    """Return a custom network as ONNX nodes.

    Parameters
    ----------
    network : KerasNetwork
    n_features : int
        Columns of X, where the model does not say the shape of its input.
    opset : int
        Version of ONNX' operators.

    Returns
    -------
    graph : onnx.GraphProto
        With one input and one output, the model's own.

    Raises
    ------
    ValueError
        If a layer of it has no counterpart in ONNX.
    """
    import onnx
    import tf2onnx

    model = network.model
    given = model.inputs[0] if getattr(model, "inputs", None) else None
    shape, dtype = ((None, n_features), "float32") if given is None else (given.shape, given.dtype)
    # Keras' own export sets numpy.object for the whole process, and refuses a model that was not called since loading.
    signature = [tf.TensorSpec(shape, dtype, name="skml_X")]
    function = tf.function(lambda X: model(X, training=False), autograph=False, input_signature=signature)
    handlers = {"Erfc": (_erfc, [])}
    try:
        graph = tf2onnx.convert.from_function(function, signature, opset=opset, custom_op_handlers=handlers)[0].graph
    except Exception as error:  # whatever it raises
        raise ValueError(f"This custom network has no counterpart in ONNX: tf2onnx says {error!r}.") from error
    unknown = sorted({node.op_type for node in graph.node if not onnx.defs.has(node.op_type, node.domain)})
    if unknown:
        raise ValueError(f"This custom network has no counterpart in ONNX: tf2onnx does not know {', '.join(unknown)}.")
    return graph


def _erfc(context, node, name, args):
    """Make 1 - Erf of the Erfc in Keras' gelu, which tf2onnx does not know."""
    context.remove_node(name)
    erf = context.make_node("Erf", [node.input[0]])
    one = context.make_const(f"{name}/one", np.ones((), np.float32))
    context.make_node("Sub", [one.output[0], erf.output[0]], outputs=[node.output[0]], name=name)
