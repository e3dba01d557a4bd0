"""A fitted classifier as nodes: its network, the probabilities of its classes, its decisions."""

import functools
import json

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skml._default_network._network import DenseNetwork
from skml._inputs import open_interval
from skml.onnx._dense_graph import proba_of_dense
from skml.onnx._graph import OPSET, package


class ClassifierGraph:
    """What a graph needs to know of a fitted classifier.

    Parameters
    ----------
    estimator : KerasMultiLabelClassifier, or TunedThresholdMultiLabelClassifierCV around one

    Raises
    ------
    NotFittedError
        If it is not fitted.
    ValueError
        If it is another estimator, or its threshold is a name without values.
    """

    def __init__(self, estimator):
        check_is_fitted(estimator)
        inner = getattr(estimator, "estimator_", estimator)
        if not getattr(inner, "accepts_any_target", False):
            raise ValueError(
                "Only a KerasMultiLabelClassifier, a TunedThresholdMultiLabelClassifierCV directly around one, or a "
                f"Pipeline that ends in either can be exported; got {type(inner).__name__}."
            )
        self.network = inner.trained_network()
        self.n_features = getattr(inner, "n_features_in_", None)
        self.encoder = estimator.target_encoder_
        self.rule = estimator.decision_rule()
        if inner.classes_.tolist() != self.encoder.classes_.tolist():
            raise ValueError(
                f"The labels of {type(estimator).__name__} are not in the order of those of the estimator in it: fit "
                "both with the same classes."
            )

    @functools.cached_property
    def custom(self):
        """A custom network as a graph; None for the default one."""
        if isinstance(self.network, DenseNetwork):
            return None
        for name in ("tensorflow", "tf2onnx"):
            package(name)
        from skml.onnx._custom_graph import keras_graph

        return keras_graph(self.network, self.n_features, OPSET)

    @property
    def dtype(self):
        """Floating dtype of the probabilities."""
        return np.promote_types(self.network.dtype, np.float32)

    def input_type(self, feeds=None):
        """Return dtype and shape of X: of rows that are given, else those by which the network loses nothing."""
        if self.custom is not None:
            kind = self.custom.input[0].type.tensor_type
            shape = [size.dim_value or None for size in kind.shape.dim]
            return package("onnx").helper.tensor_dtype_to_np_dtype(kind.elem_type), [None, *shape[1:]]
        given = np.float32 if feeds is None or feeds["X"].dtype.kind != "f" else feeds["X"].dtype
        return np.result_type(self.network.input_dtype, given, np.float32), [None, self.network.n_features]

    @property
    def output_types(self):
        """Dtype and shape of ``probabilities`` and of ``labels``."""
        shape = [None, len(self.encoder.classes_)]
        if self.classes is None:
            return (self.dtype, shape), (np.dtype(np.int64), shape)
        return (self.dtype, shape), (self.classes.dtype, [None])

    @property
    def classes(self):
        """What ``labels`` holds for one label per row: strings or int64, positions of any others; None for 0/1."""
        if self.encoder.is_multilabel:
            return None
        classes = self.encoder.classes_
        if all(isinstance(label, str) for label in classes.tolist()):
            return classes.astype(object)
        return classes.astype(np.int64) if classes.dtype.kind in "biu" else np.arange(len(classes))

    @property
    def metadata(self):
        """Labels and the rule of decisions, each as JSON."""
        labels = self.encoder.threshold_labels
        rule = None if self.rule.threshold is None else np.broadcast_to(self.rule.threshold, len(labels)).tolist()
        described = {"labels": self.encoder.classes_.tolist(), "thresholds": rule}
        described |= {name: getattr(self.rule, name, None) for name in ("min_labels", "max_labels")}
        return {name: json.dumps(value, default=str) for name, value in described.items()}

    def add_to(self, graph, X):
        """Add the nodes to a graph.

        Parameters
        ----------
        graph : Graph
        X : str
            Name of the rows.

        Returns
        -------
        probabilities, labels : str
        """
        if self.custom is None:
            outputs = proba_of_dense(graph, X, self.network)
        else:
            outputs = proba_of_keras(graph, X, self.network, self.custom)
        outputs = _in_open_interval(graph, graph.add("Cast", outputs, to=self.dtype), self.dtype)
        proba = outputs
        if self.encoder.n_outputs < len(self.encoder.classes_):
            proba = graph.add("Concat", graph.add("Sub", np.array(1, self.dtype), outputs), outputs, axis=1)
            proba = _in_open_interval(graph, proba, self.dtype)
        return proba, self._labels(graph, outputs)

    def _labels(self, graph, outputs):
        if self.rule.threshold is None:
            codes = graph.add("ArgMax", outputs, axis=1, keepdims=0)
        else:
            n_labels = self.encoder.n_outputs
            threshold = np.asarray(self.rule.threshold, dtype=np.float64)
            margin = graph.add("Sub", graph.add("Cast", outputs, to=np.float64), threshold)
            codes = graph.add("Cast", graph.add("GreaterOrEqual", margin, np.array(0.0)), to=np.int64)
            if self.rule.min_labels > 0 or self.rule.max_labels is not None:
                codes = _limited(graph, margin, codes, self.rule.min_labels, self.rule.max_labels, n_labels)
        if self.classes is None:
            return codes
        if self.rule.threshold is not None:
            codes = graph.add("Reshape", codes, np.array([-1]))
        return graph.add("Gather", self.classes, codes)


def proba_of_keras(graph, X, network, custom):
    """Add a custom network, whose outputs are logits or probabilities."""
    dtype = package("onnx").helper.tensor_dtype_to_np_dtype(custom.input[0].type.tensor_type.elem_type)
    graph.rename(graph.add("Cast", X, to=dtype), custom.input[0].name)
    graph.take_in(custom)
    outputs = graph.add("Cast", custom.output[0].name, to=np.float64)
    if not network.logits:
        return outputs
    return (
        graph.add("Sigmoid", outputs)
        if network.output_activation == "sigmoid"
        else graph.add("Softmax", outputs, axis=-1)
    )


def _in_open_interval(graph, proba, dtype):
    low, high = open_interval(np.array([0, 1], dtype))
    return graph.add("Clip", proba, np.array(low), np.array(high))


def _limited(graph, margin, codes, min_labels, max_labels, n_labels):
    """Add the limits on the number of labels; TopK puts the earlier of equals first, as `decide` does."""
    most = n_labels if max_labels is None else max_labels
    wanted = graph.add("ReduceSum", codes, np.array([1]), keepdims=1)
    wanted = graph.add("Clip", wanted, np.array(min_labels), np.array(most))
    _, order = graph.add("TopK", margin, np.array([most]), axis=1, outputs=2)
    kept = graph.add("Cast", graph.add("Less", np.arange(most)[None, :], wanted), to=np.int64)
    none = graph.add("Sub", codes, codes)
    return graph.add("ScatterElements", none, order, graph.add("Expand", kept, graph.add("Shape", order)), axis=1)
