"""Nodes of a fitted classifier: its network, the probabilities of its classes, and its decisions."""

import functools
import json

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skml._default_network._network import DenseNetwork
from skml._inputs import open_interval
from skml._targets._weights import class_codes
from skml.onnx._dense_graph import add_dense_network
from skml.onnx._graph import OPSET, import_package


class ClassifierGraph:
    """A fitted classifier as the source of an ONNX graph.

    Parameters
    ----------
    estimator : KerasMultiLabelClassifier, or TunedThresholdMultiLabelClassifierCV around one

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If it is another estimator, or if its threshold is the name of a rule that was not tuned.
    """

    def __init__(self, estimator):
        check_is_fitted(estimator)
        inner = getattr(estimator, "estimator_", estimator)
        if not hasattr(inner, "trained_network"):
            raise ValueError(
                "The export to ONNX supports KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV directly "
                f"around one, and Pipelines that end in either; got {type(inner).__name__}."
            )
        self.network = inner.trained_network()
        _refuse_several_inputs(self.network)
        self.n_features = getattr(inner, "n_features_in_", None)
        self.encoder = estimator.target_encoder_
        self.rule = estimator.decision_rule()
        if inner.classes_.tolist() != self.encoder.classes_.tolist():
            raise ValueError(
                f"The labels of {type(estimator).__name__} and of its inner estimator have different orders. Fit both "
                "with the same classes=[...]."
            )

    @functools.cached_property
    def custom_graph(self):
        """A custom network as ``onnx.GraphProto``, None for the default network."""
        if isinstance(self.network, DenseNetwork):
            return None
        for name in ("tensorflow", "tf2onnx"):
            import_package(name)
        from skml.onnx._custom_graph import keras_graph

        return keras_graph(self.network, self.n_features, OPSET)

    @property
    def dtype(self):
        """Floating dtype of the probabilities."""
        return np.promote_types(self.network.dtype, np.float32)

    def input_type(self, feeds=None):
        """Return the dtype and shape of the input: at least the precision of the network and of the rows in `feeds`."""
        if self.custom_graph is not None:
            tensor_type = self.custom_graph.input[0].type.tensor_type
            shape = [size.dim_value or None for size in tensor_type.shape.dim]
            return import_package("onnx").helper.tensor_dtype_to_np_dtype(tensor_type.elem_type), [None, *shape[1:]]
        given = np.float32 if feeds is None or feeds["X"].dtype.kind != "f" else feeds["X"].dtype
        return np.result_type(self.network.input_dtype, given, np.float32), [None, self.network.n_features]

    @property
    def output_types(self):
        """Dtypes and shapes of the outputs ``labels`` and ``probabilities``."""
        shape = [None, len(self.encoder.classes_)]
        if self.classes is None:
            return (np.dtype(np.int64), shape), (self.dtype, shape)
        return (self.classes.dtype, [None]), (self.dtype, shape)

    @property
    def classes(self):
        """Values of ``labels`` for single-label y: strings, int64, or positions of other labels; otherwise None.

        Integers beyond int64 are other labels: ONNX would return them as negative ones.
        """
        if self.encoder.is_multilabel:
            return None
        classes = self.encoder.classes_
        if all(isinstance(label, str) for label in classes.tolist()):
            return classes.astype(object)
        is_int64 = classes.dtype.kind in "biu" and classes.max() <= np.iinfo(np.int64).max
        return classes.astype(np.int64) if is_int64 else np.arange(len(classes))

    def labels_of(self, proba):
        """Return the output ``labels`` for the output ``probabilities``, decided without the graph."""
        decisions = self.rule.decide(self.encoder.output_columns(proba))
        return decisions if self.classes is None else self.classes[class_codes(decisions)]

    @property
    def metadata(self):
        """Labels, thresholds and limits on the number of labels, as JSON."""
        n_thresholds = len(self.encoder.threshold_labels)
        no_threshold = self.rule.threshold is None
        values = {
            "labels": self.encoder.classes_.tolist(),
            "thresholds": None if no_threshold else np.broadcast_to(self.rule.threshold, n_thresholds).tolist(),
            **{name: getattr(self.rule, name, None) for name in ("min_labels", "max_labels")},
        }
        return {name: json.dumps(value, default=str) for name, value in values.items()}

    def add_to(self, graph, X):
        """Add the nodes of the classifier to a graph.

        Parameters
        ----------
        graph : Graph
        X : str
            Name of the input.

        Returns
        -------
        labels, probabilities : str
            Names of the outputs.
        """
        if self.custom_graph is None:
            outputs = add_dense_network(graph, X, self.network)
        else:
            outputs = _add_keras_network(graph, X, self.network, self.custom_graph)
        outputs = _clip_to_open_interval(graph, graph.add("Cast", outputs, to=self.dtype), self.dtype)
        if self.encoder.links_ is not None:
            outputs = _along_links(graph, outputs, self.encoder.links_, "Max")
        proba = outputs
        if self.encoder.n_outputs < len(self.encoder.classes_):
            proba = graph.add("Concat", graph.add("Sub", np.array(1, self.dtype), outputs), outputs, axis=1)
            proba = _clip_to_open_interval(graph, proba, self.dtype)
        return self._add_decisions(graph, outputs), proba

    def _add_decisions(self, graph, outputs):
        """Add the output ``labels`` to a graph and return its name."""
        if self.rule.threshold is None:
            codes = graph.add("ArgMax", outputs, axis=1, keepdims=0)
        else:
            n_labels = self.encoder.n_outputs
            threshold = np.asarray(self.rule.threshold, dtype=np.float64)
            margin = graph.add("Sub", graph.add("Cast", outputs, to=np.float64), threshold)
            links = self.rule.hierarchy
            if links is not None:  # ancestors first, as they win ties
                margin = _along_links(graph, margin, links, "Min")
                margin = graph.add("Gather", margin, links.order, axis=1)
            codes = graph.add("Cast", graph.add("GreaterOrEqual", margin, np.array(0.0)), to=np.int64)
            if self.rule.min_labels > 0 or self.rule.max_labels is not None:
                codes = _limit_labels(graph, margin, codes, self.rule.min_labels, self.rule.max_labels, n_labels)
            if links is not None:
                codes = graph.add("Gather", codes, np.argsort(links.order), axis=1)
        if self.classes is None:
            return codes
        if self.rule.threshold is not None:
            codes = graph.add("Reshape", codes, np.array([-1]))
        return graph.add("Gather", self.classes, codes)


def _refuse_several_inputs(network):
    inputs = getattr(getattr(network, "model", None), "inputs", None) or []
    if len(inputs) > 1:
        raise ValueError(
            "ONNX is not supported for a custom network with several inputs; this one has "
            f"{', '.join(repr(tensor.name) for tensor in inputs)}. Save its Keras model, whose outputs are the "
            'probabilities: to_keras().save("model.keras").'
        )


def _add_keras_network(graph, X, network, custom_graph):
    """Add a custom network, and the output activation if the network returns logits."""
    elem_type = custom_graph.input[0].type.tensor_type.elem_type
    dtype = import_package("onnx").helper.tensor_dtype_to_np_dtype(elem_type)
    graph.rename(graph.add("Cast", X, to=dtype), custom_graph.input[0].name)
    graph.add_graph(custom_graph)
    outputs = graph.add("Cast", custom_graph.output[0].name, to=np.float64)
    if not network.logits:
        return outputs
    return (
        graph.add("Sigmoid", outputs)
        if network.output_activation == "sigmoid"
        else graph.add("Softmax", outputs, axis=-1)
    )


def _clip_to_open_interval(graph, proba, dtype):
    low, high = open_interval(np.array([0, 1], dtype))
    return graph.add("Clip", proba, np.array(low), np.array(high))


def _along_links(graph, values, links, operator):
    """Add what `Hierarchy.raised` ("Max") or `Hierarchy.lowered` ("Min") does."""
    columns = [graph.add("Gather", values, np.array([j]), axis=1) for j in range(len(links.order))]
    for parent, child in reversed(links.links) if operator == "Max" else links.links:
        changed = parent if operator == "Max" else child
        columns[changed] = graph.add(operator, columns[parent], columns[child])
    return graph.add("Concat", *columns, axis=1)


def _limit_labels(graph, margin, codes, min_labels, max_labels, n_labels):
    """Add the limits on the number of labels of a row.

    Of labels with equal margins the first is kept, in TopK as in `decide`.
    """
    most = n_labels if max_labels is None else max_labels
    counts = graph.add("ReduceSum", codes, np.array([1]), keepdims=1)
    counts = graph.add("Clip", counts, np.array(min_labels), np.array(most))
    _, order = graph.add("TopK", margin, np.array([most]), axis=1, outputs=2)
    kept = graph.add("Cast", graph.add("Less", np.arange(most)[None, :], counts), to=np.int64)
    zeros = graph.add("Sub", codes, codes)
    return graph.add("ScatterElements", zeros, order, graph.add("Expand", kept, graph.add("Shape", order)), axis=1)
