"""Export of a fitted classifier, or a Pipeline that ends in one, as an ONNX model."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.utils.validation import check_is_fitted

from skml._dependencies import _safe_indexing
from skml._targets._matrix import to_dense
from skml._typing import Matrix
from skml.model_selection._delegation import last_step
from skml.onnx._classifier_graph import ClassifierGraph
from skml.onnx._converter import register_converter
from skml.onnx._graph import OPSET, Graph, package

if TYPE_CHECKING:
    import onnx

# The default token_pattern of scikit-learn, and the same for onnxruntime, whose \w knows no accents.
_TOKEN_PATTERN = r"(?u)\b\w\w+\b"
WORDS = r"[\p{L}\p{N}_][\p{L}\p{N}_]+"

# On Linux it is there without a language pack, which that of skl2onnx, en_US.UTF-8, is not.
_LOCALE = "C.UTF-8"

_HINT = "How texts are split and made lower case is set by the options of skl2onnx: see skml.onnx.to_onnx."

# Probabilities of the graph may differ so much from those of `predict_proba`.
_TOLERANCE = 1e-5

# Rows that are compared.
_N_COMPARED = 1000


def to_onnx(
    estimator: BaseEstimator, X: Matrix | Sequence[str] | None = None, *, options: dict | None = None
) -> onnx.ModelProto:
    """Return a fitted classifier as an ONNX model.

    Parameters
    ----------
    estimator : KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV around one, or Pipeline ending in either
        What comes before the classifier in a Pipeline must be known to skl2onnx.
    X : array-like, DataFrame or sparse matrix of n_samples rows, or list of n_samples texts, default=None
        Some rows, as `predict` takes them. For a Pipeline they are needed: the inputs of the graph have their types.
        If onnxruntime is installed, it answers for the first 1,000, and a warning tells if `predict_proba` does not
        answer alike.
    options : dict, default=None
        Options of skl2onnx for steps of a Pipeline, beside those by which `TfidfVectorizer` and `CountVectorizer` with
        the default ``token_pattern`` find the same words, and make them lower case by the locale "C.UTF-8":
        ``{TfidfVectorizer: {"tokenexp": skml.onnx.WORDS, "locale": "en-US"}}`` names that of Windows.

    Returns
    -------
    model : onnx.ModelProto
        Of opset 18. It has the input ``X``, or one of shape (n_samples, 1) for each column of a DataFrame; texts are
        strings of shape (n_samples, 1). Without `X` the input is float32, shape (n_samples, n_features); float64 where
        a column lies so far from 0 that float32 would lose it. Sparse rows are passed as dense ones. The outputs are

        - ``probabilities``, shape (n_samples, n_labels), as `predict_proba` gives them, to about 1e-6: products are
          in float32 (in float64 where the network is);
        - ``labels``, int64 of shape (n_samples, n_labels), 1 where a label is predicted by the thresholds, `min_labels`
          and `max_labels` in force now; for one label per row, shape (n_samples,), the label itself if it is a string
          or an integer, else its position in ``classes_``.

        Its ``metadata_props`` hold ``labels``, ``thresholds``, ``min_labels`` and ``max_labels`` as JSON.

    Raises
    ------
    ImportError
        If onnx, for a Pipeline skl2onnx, or for a custom network TensorFlow or tf2onnx is not installed.
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If it cannot be exported: its threshold is a name without values, or a layer has no counterpart.

    Warns
    -----
    UserWarning
        If the graph's answers for `X` differ by more than 1e-5, or it cannot run here.

    See Also
    --------
    register_converter : For ``skl2onnx.to_onnx`` itself, and what goes wrong with texts there.

    Examples
    --------
    >>> import onnxruntime, skml.onnx  # doctest: +SKIP
    >>> model = skml.onnx.to_onnx(clf)  # doctest: +SKIP
    >>> session = onnxruntime.InferenceSession(model.SerializeToString())  # doctest: +SKIP
    >>> proba, labels = session.run(None, {"X": X.astype("float32")})  # doctest: +SKIP
    """
    check_is_fitted(estimator)
    estimator = getattr(estimator, "best_estimator_", estimator)
    classifier = ClassifierGraph(last_step(estimator))
    is_pipeline, feeds = last_step(estimator) is not estimator, None
    if is_pipeline and X is None:
        raise ValueError("The types of a Pipeline's inputs are those of X: pass some rows, to_onnx(pipeline, X).")
    if X is not None:
        X = _safe_indexing(X, slice(_N_COMPARED))
        feeds = _feeds(X, by_column=is_pipeline and hasattr(X, "columns"))
    model = _pipeline_model(estimator, feeds, options) if is_pipeline else _model(classifier, feeds)
    package("onnx").helper.set_model_props(model, classifier.metadata)
    package("onnx").checker.check_model(model)
    if feeds is not None and importlib.util.find_spec("onnxruntime"):
        _compare(model, feeds, estimator.predict_proba(X))
    return model


def _feeds(X, by_column):
    """Return the inputs of a graph by name: X, or its columns."""
    return {str(name): _rows(X[name]) for name in X.columns} if by_column else {"X": _rows(X)}


def _rows(X):
    """Return X, or one column of it, as a graph takes it."""
    X = np.asarray(to_dense(X))
    if X.dtype.kind in "OUS":
        X = X.astype(object if all(isinstance(value, str) for value in X.flat) else np.float64)
    return X[:, None] if X.ndim == 1 else X


def _model(classifier, feeds):
    helper = package("onnx").helper
    graph = Graph()
    for name, value in zip(("probabilities", "labels"), classifier.add_to(graph, "X"), strict=True):
        graph.rename(value, name)
    proba, labels = classifier.output_types
    made = helper.make_graph(
        graph.nodes,
        "skml",
        [_value("X", *classifier.input_type(feeds))],
        [_value("probabilities", *proba), _value("labels", *labels)],
        graph.constants,
    )
    versions = [helper.make_opsetid("", OPSET)]
    ir_version = helper.find_min_ir_version_for(versions)
    return helper.make_model(made, opset_imports=versions, ir_version=ir_version, producer_name="skml")


def _value(name, dtype, shape):
    helper = package("onnx").helper
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)


def _pipeline_model(pipeline, feeds, options):
    skl2onnx = package("skl2onnx")
    types = package("skl2onnx.common.data_types")
    by_kind = {"O": types.StringTensorType, "b": types.BooleanTensorType, "i": types.Int64TensorType}
    initial_types = []
    for name, rows in feeds.items():
        kind = types.DoubleTensorType if rows.dtype == np.float64 else types.FloatTensorType
        initial_types.append((name, by_kind.get(rows.dtype.kind, kind)([None, *rows.shape[1:]])))
    register_converter()
    options = {**_text_options(pipeline), **(options or {})}
    return skl2onnx.to_onnx(pipeline, initial_types=initial_types, target_opset=OPSET, options=options)


def _text_options(pipeline):
    """Return options of skl2onnx by which texts are split and lowered as by scikit-learn."""
    options = {}
    for part in pipeline.get_params().values():
        if isinstance(part, CountVectorizer):
            own = options.setdefault(type(part), {"tokenexp": WORDS, "locale": _LOCALE})
            if part.analyzer != "word" or part.token_pattern != _TOKEN_PATTERN:
                own["tokenexp"] = None  # then skl2onnx takes the vectorizer's
    return options


def _compare(model, feeds, proba):
    """Warn if the graph answers otherwise than the estimator."""
    onnxruntime = package("onnxruntime")
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), quiet, providers=["CPUExecutionProvider"])
        kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
        dtype_of = package("onnx").helper.tensor_dtype_to_np_dtype
        feeds = {name: rows.astype(dtype_of(kinds[name])) for name, rows in feeds.items() if name in kinds}
        answers = session.run(None, feeds)[0]
    except Exception as error:  # of many kinds, with no common base
        warnings.warn(f"onnxruntime cannot run the exported graph here: {error} {_HINT}", stacklevel=3)
        return
    difference = np.abs(answers - proba).max(axis=1)
    n_other = np.count_nonzero(difference > _TOLERANCE)
    if n_other:
        warnings.warn(
            f"The exported graph answers otherwise than predict_proba for {n_other} of {len(proba)} rows, by up to "
            f"{difference.max():.2g}: a step of the Pipeline works otherwise there. {_HINT}",
            stacklevel=3,
        )
