"""Nodes and constants of an ONNX graph."""

import importlib

import numpy as np

# Of what the operators that are used here mean, nothing has changed since opset 13; 18 is the latest of tf2onnx.
OPSET = 18


def package(name):
    """Return an optional package, imported.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"The export to ONNX needs the package {name}: pip install 'skml[onnx]'.") from error


class Graph:
    """Nodes and constants, each under a name of its own.

    Parameters
    ----------
    prefix : str, default=""
        What all names start with.
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
        *inputs : str or ndarray
            Names of values, or constants.
        to : numpy dtype, default=None
            What the operator Cast casts to.
        outputs : int, default=1
        **attributes
            As the operator has them.

        Returns
        -------
        str, or list of str for several outputs
        """
        helper = package("onnx").helper
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
        self.constants.append(package("onnx").numpy_helper.from_array(values, name))
        return name

    def rename(self, value, name):
        """Give a value that a node makes, or the input of the graph, another name."""
        self.nodes.append(package("onnx").helper.make_node("Identity", [value], [name], name=f"{self._prefix}{name}"))

    def take_in(self, graph):
        """Add the nodes and constants of an ``onnx.GraphProto``."""
        self.nodes.extend(graph.node)
        self.constants.extend(graph.initializer)
