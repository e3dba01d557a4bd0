"""A converter for skl2onnx, by which whole Pipelines are exported."""

import sys

import numpy as np

from skml.onnx._classifier_graph import ClassifierGraph
from skml.onnx._graph import Graph, package


def register_converter() -> None:
    """Make skl2onnx know the classifiers of this package, as last steps of Pipelines too.

    Then ``skl2onnx.to_onnx`` and ``skl2onnx.convert_sklearn`` export them; `to_onnx` calls this itself. The outputs are
    ``probabilities`` and ``labels``, always as tensors: the option ``zipmap`` has no effect.

    Notes
    -----
    What is before the classifier is exported by skl2onnx, whose tokenizer is not that of `TfidfVectorizer` and
    `CountVectorizer`: their default ``token_pattern`` becomes ``[a-zA-Z0-9_]+``, without a warning. It splits words at
    accents and other letters than a to z, and takes words of one letter, which come between those of a bigram. Pass
    ``options={TfidfVectorizer: {"tokenexp": skml.onnx.WORDS}}``, as `to_onnx` does. Lower case is that of a locale,
    "en_US" if the option ``locale`` does not say otherwise, which the machine that runs the graph must have.

    Examples
    --------
    >>> import skl2onnx, skml.onnx  # doctest: +SKIP
    >>> skml.onnx.register_converter()  # doctest: +SKIP
    >>> graph = skl2onnx.to_onnx(pipeline, X[:1])  # doctest: +SKIP
    """
    skl2onnx = package("skl2onnx")
    own = sys.modules["skml"]  # importing it here would close a circle
    for kind in (own.KerasMultiLabelClassifier, own.TunedThresholdMultiLabelClassifierCV):
        skl2onnx.update_registered_converter(
            kind,
            f"skml{kind.__name__}",
            _check_types,
            _convert,
            parser=_parse,
            options={"zipmap": [True, False, "columns"]},
        )


def _parse(scope, model, inputs, custom_parsers=None):
    """Declare the outputs; skl2onnx' own parser would put a ZipMap after them, which is for one label per row."""
    types, classifier = package("skl2onnx.common.data_types"), ClassifierGraph(model)
    kinds = {"float32": "FloatTensorType", "float64": "DoubleTensorType", "object": "StringTensorType"}
    operator = scope.declare_local_operator(f"skml{type(model).__name__}", model)
    operator.inputs.extend(inputs)
    for name, (dtype, shape) in zip(("probabilities", "labels"), classifier.output_types, strict=True):
        kind = getattr(types, kinds.get(dtype.name, "Int64TensorType"))
        operator.outputs.append(scope.declare_local_variable(name, kind(shape)))
    return list(operator.outputs)


def _check_types(operator):
    """Do nothing: the parser knows the types."""


def _convert(scope, operator, container):
    attribute_of = package("onnx").helper.get_attribute_value
    graph = Graph(scope.get_unique_variable_name("skml_"))
    columns = [variable.full_name for variable in operator.inputs]
    if len(columns) > 1:
        columns = [graph.add("Concat", *(graph.add("Cast", X, to=np.float64) for X in columns), axis=1)]
    made = ClassifierGraph(operator.raw_operator).add_to(graph, columns[0])
    for value, output in zip(made, operator.outputs, strict=True):
        graph.rename(value, output.full_name)
    container.initializers.extend(graph.constants)
    for node in graph.nodes:
        attributes = {attribute.name: attribute_of(attribute) for attribute in node.attribute}
        container.add_node(
            node.op_type, list(node.input), list(node.output), op_domain=node.domain, name=node.name, **attributes
        )
