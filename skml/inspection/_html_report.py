"""Report of a fitted classifier as one HTML file."""

from __future__ import annotations

import dataclasses
import datetime
import os
from collections import Counter
from collections.abc import Hashable, Sequence
from importlib.resources import files
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.stats import binom
from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.utils import check_array, check_scalar

from skml._decisions._guarantees import NEVER, Guarantee
from skml._decisions._rule import DecisionRule, MostProbable
from skml._dependencies import import_optional
from skml._inputs import is_dict, n_rows_of
from skml._targets._matrix import column_sums, equal_matrices
from skml._typing import Matrix, Target
from skml._version import __version__
from skml.inspection._drawing import shorten
from skml.inspection._report import guarantee_of, label_guarantees, report_columns
from skml.inspection._report_data import (
    calibration,
    confident_mistakes,
    has_cleanlab,
    labels_confused,
    labels_together,
    likely_issues,
    strongest_correlations,
    threshold_curve,
)
from skml.metrics._classification import accuracy_score, f1_score, precision_score, recall_score
from skml.model_selection._delegation import (
    find_fitted,
    last_step_and_input,
    threshold_in_force,
    truth_and_responses,
)

# The longest name of a row, and the most columns of a table that it tells.
_NAME_LENGTH = 80
_NAME_COLUMNS = 4

_N_PAIRS = 20
_N_FEATURES = 8
_N_WORST = 8

# A guarantee counts as broken if the data would be rarer than this if it held.
_SURPRISE = 0.05


class _Data(NamedTuple):
    """Truth and predictions of all labels: columns (CSC or dense), and where the probabilities come from."""

    Y: Any
    proba: np.ndarray
    decisions: np.ndarray
    threshold: np.ndarray
    labels: list
    source: str


def report_html(
    estimator: BaseEstimator,
    X: Matrix | Sequence[Hashable],
    y: Target,
    path: str | os.PathLike[str],
    *,
    proba: ArrayLike | None = None,
    row_names: Sequence[Any] | None = None,
    title: str | None = None,
    max_examples: int = 5,
) -> Path:
    """Write a report about a fitted classifier to a single HTML file. Requires Jinja2.

    The file needs neither a server nor the network. It shows the scores, a table of the labels that can be sorted and
    searched, and pairs of labels that are confused or always together. Each label opens: its curves, its most confident
    mistakes, its likely wrong entries, and the columns that go with it. Install it with ``pip install 'skml[report]'``.

    Parameters
    ----------
    estimator : fitted classifier with `predict_proba`
        Any multi-label classifier, also in a Pipeline, a search or a `TunedThresholdMultiLabelClassifierCV`.
    X : input of the estimator, n_samples rows
        Held-out rows: on its training rows a classifier looks too good. The training rows of a
        `KerasMultiLabelClassifier` are welcome, too: its ``oof_proba_`` is used if ``y`` is the ``y`` of its fit.
    y : label collections, indicator or single-label target with n_samples rows
        NaN in an indicator is a missing label and is ignored.
    path : str or path-like
        The file to write. An existing file is replaced.
    proba : array-like of shape (n_samples, n_labels), default=None
        Out-of-fold probabilities of X, such as those of `cross_val_predict_proba`, in place of the predictions of the
        estimator. Its thresholds are applied to them. With them, X may be the training rows of any classifier.
    row_names : sequence of n_samples items, default=None
        What the report calls the rows. None uses the text, the first cells of a DataFrame, or the number of the row.
    title : str, default=None
        The heading. None uses "Report of the labels".
    max_examples : int, default=5
        Number of rows listed of each kind of mistake of each label. 0 lists none, so that the file contains no data.

    Returns
    -------
    path : Path
        The file.

    Raises
    ------
    ImportError
        If Jinja2 is not installed.
    FileNotFoundError
        If the folder of the file does not exist.
    ValueError
        If a parameter is not as described, or X, y and proba have different rows or labels. No file is written.

    Notes
    -----
    Likely wrong entries are found by confident learning (Northcutt et al., 2021) for each label: by cleanlab if it is
    installed, otherwise by the plain rule. It compares each probability with the mean probability of the entries with
    the same label. The probabilities must be held-out or out-of-fold.

    The columns that go with a label are those with the largest correlation with its probability. They describe the
    predictions, not causes. `label_contributions` explains a single prediction.

    The file contains texts or cells of the listed rows. Do not give it to people who may not see the data.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from skml.inspection import report_html
    >>> X, Y = [[0.0], [1.0], [2.0], [3.0]], [[0, 1], [0, 1], [1, 0], [1, 1]]
    >>> clf = KNeighborsClassifier(1).fit(X, Y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = report_html(clf, X, Y, Path(folder, "report.html"))
    ...     "<title>Report of the labels</title>" in path.read_text(encoding="utf-8")
    True
    """
    jinja2 = import_optional("jinja2", "report_html", extra="report")
    check_scalar(max_examples, "max_examples", Integral, min_val=0)
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path={str(path)!r}: the folder {str(path.parent)!r} does not exist. Create it first.")
    names = _row_names(X, row_names)
    data = _read(estimator, X, y, proba)
    columns = report_columns(
        data.Y, data.proba, data.decisions, data.threshold, label_guarantees(estimator, data.labels)
    )
    features = _features(estimator, X, data.proba)
    entries = [_label_entry(data, columns, j, names, features[j], max_examples) for j in range(len(data.labels))]
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["num"] = _number
    template = environment.from_string(files(__package__).joinpath("report.html.jinja").read_text(encoding="utf-8"))
    context = {
        "title": "Report of the labels" if title is None else title,
        "today": datetime.date.today().isoformat(),
        "version": __version__,
        "entries": entries,
        "issues_by": "cleanlab" if has_cleanlab() else "the plain rule of confident learning",
        **_summary(estimator, data, columns, entries),
        **_pairs(data),
    }
    path.write_text(template.render(context), encoding="utf-8")
    return path


def _read(estimator, X, y, proba):
    """Return the truth, the probabilities and the decisions for each label."""
    source = "predictions of the classifier for these rows, which should be held-out"
    if proba is None:
        proba = _oof_proba(estimator, y)
        if proba is not None:
            source = "out-of-fold probabilities of the fit, as these are its training rows"
    else:
        proba = check_array(proba, input_name="proba")
        source = "the given probabilities, which should be out-of-fold"
    Y, (predicted, decisions), labels = truth_and_responses(estimator, X, y, ("predict_proba",), ("predict",))
    threshold = threshold_in_force(estimator, len(labels))
    if proba is None:
        proba = predicted
    elif proba.shape != predicted.shape:
        raise ValueError(
            f"proba must have the shape {predicted.shape}, with the rows of X and the labels of the estimator; got "
            f"{proba.shape}. Pass cross_val_predict_proba(estimator, X, y)."
        )
    else:
        decisions = _decide(estimator, proba, threshold)
    decisions = decisions.toarray() if sparse.issparse(decisions) else np.asarray(decisions)
    proba = np.clip(np.asarray(proba, dtype=np.float64), 0, 1)
    return _Data(sparse.csc_array(Y), proba, decisions == 1, threshold, labels, source)


def _oof_proba(estimator, y):
    """Return the out-of-fold probabilities of the estimator's fit if ``y`` is the target of that fit, else None."""
    holder = find_fitted(estimator, "oof_proba_")
    if holder is None or not hasattr(holder, "oof_target"):
        return None
    encoder = holder.target_encoder_
    Y, unknown = encoder.transform_known(y)
    return holder.oof_proba_ if not unknown and equal_matrices(holder.oof_target(), encoder.truth(Y)) else None


def _decide(estimator, proba, threshold):
    """Apply the thresholds of a fitted estimator, and its limits to the number of labels, to given probabilities."""
    if np.isnan(threshold).all():
        return MostProbable().decide(proba)
    holder = find_fitted(estimator, "decision_rule")
    limits = DecisionRule() if holder is None else holder.decision_rule()
    return dataclasses.replace(limits, threshold=threshold).decide(proba)


def _row_names(X, row_names):
    """Return a function of the number of a row that returns its name."""
    if row_names is not None:
        if len(row_names) != n_rows_of(X):
            raise ValueError(f"row_names must have {n_rows_of(X)} items, one for each row; got {len(row_names)}.")
        given = list(row_names)
        return lambda i: shorten(given[i], _NAME_LENGTH)
    if hasattr(X, "columns"):
        index = getattr(X, "index", range(len(X)))
        cells = {name: list(X[name]) for name in list(X.columns)[:_NAME_COLUMNS]}
        return lambda i: shorten(
            f"{index[i]}: " + ", ".join(f"{name} = {_number(values[i], '.4g')}" for name, values in cells.items()),
            _NAME_LENGTH,
        )
    if sparse.issparse(X) or is_dict(X) or np.ndim(next(iter(X))) > 0:
        return lambda i: f"row {i}"
    texts = list(X)
    return lambda i: shorten(texts[i], _NAME_LENGTH)


def _number(value, spec=".2f"):
    """Return a number as text, anything else by str, and an undefined number as a dash."""
    if not isinstance(value, float | np.floating):
        return f"{value:,}" if isinstance(value, Integral) and not isinstance(value, bool) else str(value)
    return "-" if np.isnan(value) else format(value, spec)


def _features(estimator, X, proba):
    """Return the names and the correlations of the columns that go with each label; empty if X is no matrix."""
    classifier, X, names = last_step_and_input(estimator, X)
    if names is None:
        names = getattr(X, "columns", getattr(classifier, "feature_names_in_", None))
    matrix = X if sparse.issparse(X) else np.asarray(X)
    if matrix.ndim != 2 or matrix.dtype.kind not in "biuf":
        return [[] for _ in range(proba.shape[1])]
    return [
        [(shorten(f"x{j}" if names is None else names[j], 40), r) for j, r in found]
        for found in strongest_correlations(matrix, proba, _N_FEATURES)
    ]


def _label_entry(data, columns, j, names, features, n_examples):
    """Return all that the report shows of a label."""
    column = data.Y[:, [j]].toarray().ravel().astype(np.float64)
    (observed,) = np.nonzero(~np.isnan(column))
    truth, proba, decided = column[observed] == 1, data.proba[observed, j], data.decisions[observed, j]
    missed, wrong = (observed[rows] for rows in confident_mistakes(truth, proba, decided, n_examples))
    issues = likely_issues(column, data.proba[:, j])
    threshold = float(data.threshold[j])
    entry = {
        "name": str(data.labels[j]),
        "predicted": int(decided.sum()),
        "never": threshold >= NEVER,
        **{name: values[j].item() for name, values in columns.items()},
        "curve": threshold_curve(truth, proba, threshold),
        "calibration": calibration(truth, proba),
        "mistakes": [("missed", names(i), data.proba[i, j]) for i in missed]
        + [("wrong", names(i), data.proba[i, j]) for i in wrong],
        "n_mistakes": int((truth != decided).sum()),
        "n_issues": len(issues),
        "issues": [(names(i), column[i] == 1, data.proba[i, j]) for i in issues[:n_examples]],
        "features": features,
    }
    if "guaranteed" in entry:
        n = entry["predicted"] if columns["reached"] is columns["precision"] else entry["support"]
        entry["kept"] = _kept(entry["reached"], n, entry["guaranteed"])
    return entry


def _kept(reached, n, level):
    """Return whether a guarantee is kept: "yes", "no", "unclear" if a few rows decide, or a dash without any row."""
    if np.isnan(level) or np.isnan(reached) or not n:
        return "-"
    if reached >= level:
        return "yes"
    return "no" if binom.cdf(round(reached * n), n, level) < _SURPRISE else "unclear"


def _summary(estimator, data, columns, entries):
    """Return what the report shows of all labels together."""
    n_samples, n_labels = data.proba.shape
    micro, macro = (
        {
            name: score(data.Y, data.decisions, average=average, zero_division=np.nan)
            for name, score in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score))
        }
        for average in ("micro", "macro")
    )
    truth = data.Y.toarray().ravel().astype(np.float64)
    (observed,) = np.nonzero(~np.isnan(truth))
    truth, proba = truth[observed] == 1, data.proba.ravel()[observed]
    common = np.unique(data.threshold)
    threshold = common.item() if len(common) == 1 else np.nan
    ranked = sorted((entry for entry in entries if entry["support"]), key=lambda e: (np.nan_to_num(e["f1"]), e["name"]))
    return {
        "n_samples": n_samples,
        "n_labels": n_labels,
        "labels_per_row": float(truth.sum() / n_samples),
        "n_missing": n_samples * n_labels - len(truth),
        "classifier": _name_of(estimator),
        "source": data.source,
        "micro": micro,
        "macro": macro,
        "average_precision": _mean(columns["average_precision"]),
        "accuracy": accuracy_score(data.Y, data.decisions),
        "curve": threshold_curve(truth, proba, threshold),
        "calibration": calibration(truth, proba),
        "guarantee": _guarantee(guarantee_of(estimator), data, micro["precision"]),
        "kept": Counter(entry["kept"] for entry in entries) if "guaranteed" in columns else None,
        "worst": ranked[:_N_WORST],
        "n_never": sum(not entry["predicted"] for entry in entries),
        "n_issues": sum(entry["n_issues"] for entry in entries),
    }


def _guarantee(guarantee: Guarantee | None, data, precision):
    """Return the guarantee over all labels and what was reached, or None."""
    if guarantee is None or guarantee.by_label:
        return None
    reached = precision
    if guarantee.measure == "recall":
        reached = recall_score(data.Y, data.decisions, average="samples", zero_division=np.nan)
    return {"text": str(guarantee), "measure": guarantee.measure, "level": guarantee.level, "reached": reached}


def _mean(values):
    return float(np.nanmean(values)) if not np.isnan(values).all() else np.nan


def _name_of(estimator):
    """Return the name of the class, with that of the classifier inside a Pipeline, search or tuner."""
    outer, inner = type(estimator).__name__, estimator
    while hasattr(inner, "steps") or isinstance(inner, MetaEstimatorMixin):
        inside = inner.steps[-1][1] if hasattr(inner, "steps") else None
        inside = getattr(inner, "best_estimator_", getattr(inner, "estimator_", inside))
        if inside is None:
            break
        inner = inside
    return outer if inner is estimator else f"{type(inner).__name__} in {outer}"


def _pairs(data):
    """Return the pairs of labels that are confused, and those that are together."""
    ones = sparse.csc_array(data.Y == 1)
    zeros_or_missing = ones.toarray() == 0
    is_missing = sparse.csc_array(data.Y != data.Y).toarray()
    # A label that is never predicted is not confused with others.
    missed = sparse.csc_array(~zeros_or_missing & ~data.decisions & data.decisions.any(axis=0))
    wrong = sparse.csc_array(zeros_or_missing & ~is_missing & data.decisions)
    support = column_sums(ones)
    return {
        "confused": [(i, j, n, int(support[i])) for i, j, n in labels_confused(missed, wrong, _N_PAIRS)],
        "together": labels_together(ones, _N_PAIRS),
    }
