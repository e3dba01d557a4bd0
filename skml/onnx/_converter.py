"""Converter that extends skl2onnx, so that it exports Pipelines with the classifiers of this package."""

import numpy as np

from skml.onnx._classifier_graph import ClassifierGraph
from skml.onnx._graph import Graph, import_package


def register_converter() -> None:
    """Register the classifiers of this package with skl2onnx.

    ``skl2onnx.to_onnx`` and ``skl2onnx.convert_sklearn`` can then export them, also as the last step of a Pipeline.
    `to_onnx` calls this function itself. The outputs are ``labels`` and ``probabilities``. They are always tensors: the
    option ``zipmap`` has no effect.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    Notes
    -----
    The preceding steps are converted by skl2onnx, whose tokenizer differs from that of `TfidfVectorizer` and
    `CountVectorizer`. It replaces their default ``token_pattern`` by ``[a-zA-Z0-9_]+``, without a warning. This pattern
    splits words at accents and at letters other than a to z. It also matches words of one letter, which then separate
    the two words of a bigram. Pass ``options={TfidfVectorizer: {"tokenexp": skml.onnx.WORDS}}``, as `to_onnx` does.

    Texts are converted to lower case with the locale of the option ``locale``, by default "en_US". The machine that
    runs the graph must have this locale.

    With ``sublinear_tf=True``, skl2onnx computes log(1 + tf) instead of 1 + log(tf). `to_onnx` corrects this.

    Examples
    --------
    >>> import skl2onnx, skml.onnx  # doctest: +SKIP
    >>> skml.onnx.register_converter()  # doctest: +SKIP
    >>> graph = skl2onnx.to_onnx(pipeline, X[:1])  # doctest: +SKIP
    """
    from skml import KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV

    skl2onnx = import_package("skl2onnx")
    for estimator_class in (KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV):
        skl2onnx.update_registered_converter(
            estimator_class,
            f"skml{estimator_class.__name__}",
            _check_types,
            _convert,
            parser=_parse,
            options={"zipmap": [True, False, "columns"]},
        )


def _parse(scope, model, inputs, custom_parsers=None):
    """Declare the outputs, without the ZipMap for single labels that the default parser of skl2onnx appends."""
    types, classifier = import_package("skl2onnx.common.data_types"), ClassifierGraph(model)
    type_names = {"float32": "FloatTensorType", "float64": "DoubleTensorType", "object": "StringTensorType"}
    operator = scope.declare_local_operator(f"skml{type(model).__name__}", model)
    operator.inputs.extend(inputs)
    for name, (dtype, shape) in zip(("labels", "probabilities"), classifier.output_types, strict=True):
        tensor_type = getattr(types, type_names.get(dtype.name, "Int64TensorType"))
        operator.outputs.append(scope.declare_local_variable(name, tensor_type(shape)))
    return list(operator.outputs)


def _check_types(operator):
    """Do nothing, as the parser declares the types."""


def _convert(scope, operator, container):
    """Add the nodes of the classifier to the graph of skl2onnx."""
    attribute_value = import_package("onnx").helper.get_attribute_value
    graph = Graph(scope.get_unique_variable_name("skml_"))
    columns = [variable.full_name for variable in operator.inputs]
    if len(columns) > 1:
        columns = [graph.add("Concat", *(graph.add("Cast", X, to=np.float64) for X in columns), axis=1)]
    values = ClassifierGraph(operator.raw_operator).add_to(graph, columns[0])
    for value, output in zip(values, operator.outputs, strict=True):
        graph.rename(value, output.full_name)
    container.initializers.extend(graph.constants)
    for node in graph.nodes:
        attributes = {attribute.name: attribute_value(attribute) for attribute in node.attribute}
        container.add_node(
            node.op_type, list(node.input), list(node.output), op_domain=node.domain, name=node.name, **attributes
        )
