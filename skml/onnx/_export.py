"""Export of a fitted classifier, or of a Pipeline that ends in one, as an ONNX model."""

from __future__ import annotations

import importlib.util
import json
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skml._dependencies import _safe_indexing
from skml._targets._matrix import to_dense
from skml._typing import Matrix
from skml.model_selection._delegation import last_step
from skml.onnx._classifier_graph import ClassifierGraph
from skml.onnx._converter import register_converter
from skml.onnx._graph import OPSET, Graph, cast_joined, import_package, rename_inputs
from skml.onnx._texts import made_rows, mend_sublinear_tf, text_options

if TYPE_CHECKING:
    import onnx

_HINT = "The options of skl2onnx determine how texts are split and converted to lower case: see skml.onnx.to_onnx."

# Largest difference between probabilities of the graph and of `predict_proba` without a warning.
_TOLERANCE = 1e-5

# Number of rows of X for which the two are compared.
_MAX_ROWS_COMPARED = 1000


def to_onnx(
    estimator: BaseEstimator, X: Matrix | Sequence[str] | None = None, *, options: dict | None = None
) -> onnx.ModelProto:
    """Convert a fitted classifier to an ONNX model.

    Parameters
    ----------
    estimator : KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV around one, or Pipeline ending in either
        The fitted classifier. skl2onnx must support the other steps of a Pipeline.
    X : array-like, DataFrame or sparse matrix of n_samples rows, or list of n_samples texts, default=None
        Some rows in the form that `predict` accepts. A Pipeline requires them, as they define the input types of the
        graph. If onnxruntime is installed, the probabilities of the graph for the first 1,000 rows are compared with
        `predict_proba`, and its labels with those probabilities, and a warning is raised if they differ. If X
        holds texts, variants of the first 20 (with repeated words, capitals and accents) are compared as well.
    options : dict, default=None
        Options of skl2onnx for steps of a Pipeline. By default, `TfidfVectorizer` and `CountVectorizer` with the
        default ``token_pattern`` find the same words as in scikit-learn, and use the locale "C.UTF-8" for lower case.
        If the graph will run on Windows, pass
        ``{TfidfVectorizer: {"tokenexp": skml.onnx.WORDS, "locale": "en-US"}}``.

    Returns
    -------
    model : onnx.ModelProto
        Model with opset 18. It has one input ``X`` or, for a DataFrame in a Pipeline, one input of shape
        (n_samples, 1) per column, in their order and with their names as strings; a column "labels" becomes "labels1",
        since that is the name of an output. Texts are strings of shape (n_samples, 1). Without `X`, the input is
        float32 of shape (n_samples, n_features), or float64 if a column is so far from 0 that float32 would lose its
        differences. Pass sparse rows as dense ones.
        The outputs are, in the order of skl2onnx,

        - ``labels`` of shape (n_samples, n_labels), int64: 1 for a predicted label, otherwise 0. The thresholds,
          `min_labels` and `max_labels` are those at the time of the export. For single-label y, the shape is
          (n_samples,), and the values are the labels if these are strings, or integers that int64 holds, otherwise
          their positions in ``classes_``;
        - ``probabilities`` of shape (n_samples, n_labels), equal to `predict_proba` up to about 1e-6. Matrix products
          are computed in float32, or in float64 if the network is float64.

        The ``metadata_props`` contain ``inputs`` (the names), ``labels``, ``thresholds``, ``min_labels`` and
        ``max_labels`` as JSON. A graph does not check its input: a row with NaN, which `predict` refuses, may have any
        outputs. A graph also lowers "İ" differently from Python: replace this letter in all texts.

    Raises
    ------
    ImportError
        If a required package is not installed: onnx, skl2onnx for a Pipeline, TensorFlow and tf2onnx for a custom
        network.
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If the estimator is not supported, such as a custom network with several inputs, a Pipeline is passed without
        `X`, the threshold is the name of a rule that was not tuned, or a layer or a parameter of a text vectorizer,
        such as ``analyzer="char"`` or ``strip_accents="unicode"``, has no counterpart in ONNX.

    Warns
    -----
    UserWarning
        If a probability for `X` differs by more than 1e-5, if labels differ, or if onnxruntime cannot run the graph on
        this machine.

    Notes
    -----
    onnxruntime converts texts to lower case letter by letter. The words of texts with "İ", or with a capital "Σ" at the
    end of a word, therefore differ from those of `TfidfVectorizer` with ``lowercase=True``.

    See Also
    --------
    register_converter : Enable ``skl2onnx.to_onnx`` itself; describes its differences in the conversion of texts.

    Examples
    --------
    >>> import onnxruntime, skml.onnx  # doctest: +SKIP
    >>> model = skml.onnx.to_onnx(clf)  # doctest: +SKIP
    >>> session = onnxruntime.InferenceSession(model.SerializeToString())  # doctest: +SKIP
    >>> labels, proba = session.run(None, {"X": X.astype("float32")})  # doctest: +SKIP
    """
    check_is_fitted(estimator)
    estimator = getattr(estimator, "best_estimator_", estimator)
    classifier = ClassifierGraph(last_step(estimator))
    is_pipeline, feeds = last_step(estimator) is not estimator, None
    if is_pipeline and X is None:
        raise ValueError(
            "X=None is not supported for a Pipeline, as X defines the input types of the graph. Pass some rows: "
            "to_onnx(pipeline, X)."
        )
    if X is not None:
        X = _safe_indexing(X, slice(_MAX_ROWS_COMPARED))
        feeds = _graph_inputs(X, by_column=is_pipeline and hasattr(X, "columns"))
    model = _pipeline_model(estimator, feeds, options) if is_pipeline else _model(classifier, feeds)
    inputs = json.dumps([value.name for value in model.graph.input])
    import_package("onnx").helper.set_model_props(model, {"inputs": inputs, **classifier.metadata})
    import_package("onnx").checker.check_model(model)
    if feeds is not None and importlib.util.find_spec("onnxruntime"):
        _warn_if_different(model, classifier, estimator, X, feeds)
    return model


def _graph_inputs(X, by_column):
    """Return the inputs of the graph by name: X, or each of its columns."""
    if by_column and "" in list(X.columns):
        raise ValueError("X has a column whose name is an empty string, which ONNX does not allow. Rename the column.")
    return {str(name): _as_graph_input(X[name]) for name in X.columns} if by_column else {"X": _as_graph_input(X)}


def _as_graph_input(X):
    """Return X, or one of its columns, as a two-dimensional array of strings or numbers."""
    X = np.asarray(to_dense(X))
    if X.dtype.kind in "OUS":
        X = X.astype(object if all(isinstance(value, str) for value in X.flat) else np.float64)
    return X[:, None] if X.ndim == 1 else X


def _model(classifier, feeds):
    helper = import_package("onnx").helper
    graph = Graph()
    for name, value in zip(("labels", "probabilities"), classifier.add_to(graph, "X"), strict=True):
        graph.rename(value, name)
    labels, proba = classifier.output_types
    graph_proto = helper.make_graph(
        graph.nodes,
        "skml",
        [_value_info("X", *classifier.input_type(feeds))],
        [_value_info("labels", *labels), _value_info("probabilities", *proba)],
        graph.constants,
    )
    versions = [helper.make_opsetid("", OPSET)]
    ir_version = helper.find_min_ir_version_for(versions)
    return helper.make_model(graph_proto, opset_imports=versions, ir_version=ir_version, producer_name="skml")


def _value_info(name, dtype, shape):
    helper = import_package("onnx").helper
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)


def _pipeline_model(pipeline, feeds, options):
    skl2onnx = import_package("skl2onnx")
    types = import_package("skl2onnx.common.data_types")
    # As integers, since skl2onnx scales no booleans.
    types_by_kind = {"O": types.StringTensorType, "b": types.Int64TensorType, "i": types.Int64TensorType}
    initial_types = []
    for name, rows in feeds.items():
        float_type = types.DoubleTensorType if rows.dtype == np.float64 else types.FloatTensorType
        tensor_type = types_by_kind.get(rows.dtype.kind, float_type)
        initial_types.append((name, tensor_type([None, *rows.shape[1:]])))
    register_converter()
    options = text_options(pipeline, options or {})
    model = skl2onnx.to_onnx(pipeline, initial_types=initial_types, target_opset=OPSET, options=options)
    mend_sublinear_tf(model)
    cast_joined(model)
    rename_inputs(model.graph, list(feeds))  # skl2onnx turns them into identifiers, in their order
    return model


def _warn_if_different(model, classifier, estimator, X, feeds):
    """Warn if the graph cannot run here, or differs from the estimator for X or for texts made of it."""
    onnxruntime = import_package("onnxruntime")
    session_options = onnxruntime.SessionOptions()
    session_options.log_severity_level = 4  # only fatal errors
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), session_options, providers=["CPUExecutionProvider"]
        )
        graph_labels, graph_proba = _graph_outputs(session, model, feeds)
    except Exception as error:  # onnxruntime's errors have no common base class
        warnings.warn(f"onnxruntime cannot run the exported graph here: {error} {_HINT}", stacklevel=3)
        return
    difference = np.abs(graph_proba - estimator.predict_proba(X)).max(axis=1)
    n_different, rows = np.count_nonzero(difference > _TOLERANCE), f"of {len(difference)} rows"
    if not n_different and last_step(estimator) is not estimator:
        n_different, rows, difference = _differences_of_made_texts(session, model, estimator, X)
    if n_different:
        warnings.warn(
            f"The probabilities of the exported graph differ from predict_proba for {n_different} {rows}, by up to "
            f"{difference.max():.2g}: the graph computes a step of the Pipeline differently. {_HINT}",
            stacklevel=3,
        )
    # Of the graph's own probabilities: a difference of 1e-7 may cross a threshold.
    is_different = graph_labels != classifier.labels_of(graph_proba)
    if is_different.any():
        n_different = np.count_nonzero(is_different.reshape(len(graph_proba), -1).any(axis=1))
        warnings.warn(
            f"The labels of the exported graph are not those of its probabilities for {n_different} of "
            f"{len(graph_proba)} rows. Compute labels from the output probabilities.",
            stacklevel=3,
        )


def _differences_of_made_texts(session, model, estimator, X):
    """Return how many texts made of X have other probabilities, which they are, and the differences."""
    found = {}
    for what, rows in made_rows(estimator, X):
        _, graph_proba = _graph_outputs(session, model, _graph_inputs(rows, by_column=hasattr(rows, "columns")))
        difference = np.abs(graph_proba - estimator.predict_proba(rows)).max(axis=1)
        if (difference > _TOLERANCE).any():
            found[what] = difference
    n_different = sum(np.count_nonzero(difference > _TOLERANCE) for difference in found.values())
    return n_different, f"texts made of those of X ({', '.join(found)})", np.concatenate([[0.0], *found.values()])


def _graph_outputs(session, model, feeds):
    """Return the labels and probabilities that onnxruntime computes; inputs are matched by their position."""
    dtype_of = import_package("onnx").helper.tensor_dtype_to_np_dtype
    inputs = {
        value.name: rows.astype(dtype_of(value.type.tensor_type.elem_type))
        for value, rows in zip(model.graph.input, feeds.values(), strict=True)
    }
    return session.run(None, inputs)
