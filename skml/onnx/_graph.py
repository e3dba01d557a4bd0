"""Nodes and constants of an ONNX graph."""

import numpy as np

from skml._dependencies import import_optional

# Version of the ONNX operators. 18 is the latest that tf2onnx supports. The operators used here have not changed since
# opset 13.
OPSET = 18


def import_package(name):
    """Import a module that the export needs; raise ImportError if its package is not installed."""
    return import_optional(name, "The export to ONNX", "onnx")


class Graph:
    """Nodes and constants with unique names.

    Parameters
    ----------
    prefix : str, default=""
        Prefix of all names.
    """

    def __init__(self, prefix=""):
        self.nodes = []
        self.constants = []
        self._prefix = prefix

    def add(self, operator, *inputs, to=None, outputs=1, **attributes):
        """Add a node.

        Parameters
        ----------
        operator : str
            Name of the operator, such as "MatMul".
        *inputs : str or ndarray
            Names of values, or constants.
        to : numpy dtype, default=None
            Target dtype of the operator Cast.
        outputs : int, default=1
            Number of outputs.
        **attributes
            Attributes of the operator.

        Returns
        -------
        str, or list of str for several outputs
            Names of the outputs.
        """
        helper = import_package("onnx").helper
        if to is not None:
            attributes["to"] = helper.np_dtype_to_tensor_dtype(np.dtype(to))
        name = f"{self._prefix}{operator}_{len(self.nodes)}"
        names = [f"{name}_{j}" for j in range(outputs)]
        inputs = [self.constant(x) if isinstance(x, np.ndarray) else x for x in inputs]
        self.nodes.append(helper.make_node(operator, inputs, names, name=name, **attributes))
        return names if outputs > 1 else names[0]

    def constant(self, values):
        """Add a constant array and return its name."""
        name = f"{self._prefix}constant_{len(self.constants)}"
        self.constants.append(import_package("onnx").numpy_helper.from_array(values, name))
        return name

    def rename(self, value, name):
        """Make a value available under another name."""
        make_node = import_package("onnx").helper.make_node
        self.nodes.append(make_node("Identity", [value], [name], name=f"{self._prefix}{name}"))

    def add_graph(self, graph):
        """Add the nodes and constants of an ``onnx.GraphProto``."""
        self.nodes.extend(graph.node)
        self.constants.extend(graph.initializer)


def rename_inputs(graph, names):
    """Rename the inputs of an ``onnx.GraphProto``, by position; one with the name of an output stays as it is."""
    outputs = {value.name for value in graph.output}
    pairs = zip(graph.input, names, strict=True)
    new_names = {value.name: name for value, name in pairs if name not in outputs}
    kept = outputs | {value.name for value in graph.input if value.name not in new_names}
    used = {name for node in graph.node for name in (*node.input, *node.output)} | kept
    for name in used.intersection(new_names.values()) - kept - new_names.keys():
        new_names[name] = _unused_name(name, used | set(new_names.values()))
    for value in (*graph.input, *graph.initializer, *graph.value_info):
        value.name = new_names.get(value.name, value.name)
    for node in graph.node:
        node.input[:] = [new_names.get(name, name) for name in node.input]
        node.output[:] = [new_names.get(name, name) for name in node.output]


def _unused_name(name, used):
    return next(f"{name}_{i}" for i in range(len(used) + 1) if f"{name}_{i}" not in used)


def cast_joined(model):
    """Cast the inputs of each Concat of an ``onnx.ModelProto`` to one type, which skl2onnx sometimes forgets."""
    onnx, nodes = import_package("onnx"), model.graph.node
    for node in [node for node in nodes if node.op_type == "Concat"]:
        graph = onnx.shape_inference.infer_shapes(model).graph  # anew, as a Concat of two types has no type
        types = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info)}
        types |= {constant.name: constant.data_type for constant in graph.initializer}
        if len({types.get(name) for name in node.input} - {None}) < 2:
            continue
        names = [f"{node.output[0]}_part_{i}" for i in range(len(node.input))]
        casts = [
            onnx.helper.make_node("Cast", [given], [name], name=name, to=onnx.TensorProto.DOUBLE)
            for given, name in zip(node.input, names, strict=True)
        ]
        position = list(nodes).index(node)
        for cast in reversed(casts):
            nodes.insert(position, cast)
        node.input[:] = names
