"""Vectorizers of texts: what of them can be exported, how, and texts on which a graph is checked."""

import math
import re

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer

from skml.onnx._graph import import_package

# A letter or digit for onnxruntime, whose \w knows no accents.
_LETTER = r"[\p{L}\p{N}_]"

# The default token_pattern of scikit-learn for onnxruntime.
WORDS = rf"{_LETTER}{_LETTER}+"

# On Linux it is there without a language pack, which that of skl2onnx, en_US.UTF-8, is not.
_LOCALE = "C.UTF-8"

# A pattern of whole words; around those \b changes nothing.
_WHOLE_WORDS = re.compile(r"(?:\(\?u\))?(?:\\b)?((?:\\w)+(?:\+|\{\d+,\}))(?:\\b)?")

# Rows of X of which texts are made.
_N_ROWS = 20

# What may differ between the tokenizers of scikit-learn and onnxruntime -> a text that has it.
_VARIANTS = {
    "repeated words": lambda text: 2 * f"{text[: len(text) // 2]} " + text,  # not all, as norms divide by the number
    "capitals": str.upper,
    "punctuation": lambda text: f"({text.replace(' ', ', ')})!?",
    "white space": lambda text: f" {text.replace(' ', chr(10) + chr(9) + ' ')}\n",
    "accents": lambda text: f"é{text} e\u0301{text}",
    "short words": lambda text: f"a {text.replace(' ', ' 1 ')} _",
    "no words": lambda text: "",
}


def text_options(pipeline, options):
    """Return options of skl2onnx by which texts are split and lowered as by scikit-learn.

    Parameters
    ----------
    pipeline : Pipeline
    options : dict
        Those of the user, which take precedence.

    Raises
    ------
    ValueError
        If a vectorizer cannot be exported; the message names the parameter.
    """
    ours = {}
    for part in pipeline.get_params().values():
        if isinstance(part, HashingVectorizer):
            raise ValueError("HashingVectorizer cannot be exported. Use CountVectorizer or TfidfVectorizer.")
        if isinstance(part, CountVectorizer):
            _check_vectorizer(part)
            tokenexp = options.get(type(part), {}).get("tokenexp") or _token_expression(part)
            own = {"tokenexp": tokenexp, "locale": _LOCALE}
            if ours.setdefault(type(part), own) != own:
                raise ValueError(
                    f"Two {type(part).__name__} with different token_pattern cannot be exported together. Use the same "
                    "token_pattern in both."
                )
    return {**ours, **options}


def _check_vectorizer(vectorizer):
    needed = {"analyzer": "word", "input": "content", "preprocessor": None, "strip_accents": None, "tokenizer": None}
    # onnxruntime drops no words: those next to a stop word would make an n-gram with it.
    if vectorizer.ngram_range[1] > 1 or vectorizer.vocabulary is not None:
        needed["stop_words"] = None
    for name, value in needed.items():
        own = getattr(vectorizer, name)
        if own != value:
            condition = " with n-grams or a vocabulary" if name == "stop_words" else ""
            raise ValueError(
                f"{type(vectorizer).__name__} with {name}={own!r} cannot be exported{condition}. Use {name}={value!r}."
            )


def _token_expression(vectorizer):
    """Return the expression by which onnxruntime finds the tokens of a vectorizer."""
    pattern = vectorizer.token_pattern
    words = _WHOLE_WORDS.fullmatch(pattern)
    if words:
        return words[1].replace(r"\w", _LETTER)
    if re.search(r"\(|\\[a-zA-Z]", pattern):  # groups, and classes of letters that have another meaning there
        raise ValueError(
            f"{type(vectorizer).__name__} with token_pattern={pattern!r} cannot be exported. Use whole words, such as "
            r"'(?u)\b\w+\b', or a set of characters, such as '[a-z]+', or pass an expression of RE2 that finds the "
            f"same tokens: options={{{type(vectorizer).__name__}: {{'tokenexp': ...}}}}."
        )
    return pattern


def mend_sublinear_tf(model):
    """Replace log(1 + tf), which skl2onnx makes of ``sublinear_tf=True``, by 1 + log(tf) in an ONNX model.

    ``1 + log(tf)`` is ``log(max(e * tf, 1))``, which is 0 where a word does not occur.
    """
    onnx, graph = import_package("onnx"), model.graph
    makers = {output: node for node in graph.node for output in node.output}
    for node in [node for node in graph.node if node.op_type == "Log" and node.output[0].startswith("plus1logged")]:
        add = makers[node.input[0]]
        ones = next(constant for constant in graph.initializer if constant.name == add.input[1])
        e = np.array(math.e, onnx.numpy_helper.to_array(ones).dtype)
        name = f"{add.output[0]}_times_e"
        graph.initializer.append(onnx.numpy_helper.from_array(e, f"{name}_factor"))
        times = onnx.helper.make_node("Mul", [add.input[0], f"{name}_factor"], [name], name=name)
        graph.node.insert(list(graph.node).index(add), times)
        add.op_type, add.input[0] = "Max", name


def made_rows(pipeline, X):
    """Yield rows like the first ones of X whose texts have something that tokenizers may read differently.

    Yields
    ------
    what : str
        What the texts have.
    rows : DataFrame or list of str
    """
    if _reads_texts(pipeline):
        for what, variant in _VARIANTS.items():
            yield what, [variant(text) for text in np.asarray(X[:_N_ROWS]).ravel()]
    columns = _text_columns(pipeline) if hasattr(X, "iloc") else []
    for what, variant in _VARIANTS.items() if columns else ():
        yield what, X[:_N_ROWS].assign(**{column: X[column][:_N_ROWS].map(variant) for column in columns})


def _reads_texts(part):
    """Return whether the input of a step, or of a Pipeline or FeatureUnion, is texts."""
    while hasattr(part, "steps"):
        part = part.steps[0][1]
    if hasattr(part, "transformer_list"):
        return all(_reads_texts(transformer) for _, transformer in part.transformer_list)
    return isinstance(part, CountVectorizer)


def _text_columns(pipeline):
    """Return the columns of a DataFrame that are read as texts by a ColumnTransformer, the first step."""
    transformers = getattr(pipeline.steps[0][1], "transformers_", ())
    return [name for _, transformer, name in transformers if isinstance(name, str) and _reads_texts(transformer)]
