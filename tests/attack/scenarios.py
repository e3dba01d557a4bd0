"""What comes after a fit, drawn at random: training that goes on, files, guarantees, odd names, exports, displays."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from scipy import sparse

from forms import label_sets_of
from skml import KerasMultiLabelClassifier

ROWS = 48

# Levels that the small networks reach on few rows, so that a threshold is found in most draws.
GUARANTEES = ["precision>=0.5", "precision>=0.5 by label", "recall>=0.7"]
THRESHOLDS = [0.5, "f1_micro", "f1_macro", *GUARANTEES]

seeds = st.integers(0, 2**16)


class Fit(NamedTuple):
    """A fit: the parameters of the estimator, its data, and how y is made of an indicator and names of labels."""

    params: dict
    X: object
    Y: np.ndarray
    form: str
    weight: np.ndarray | None

    def target(self, Y=None, names="abc"):
        return TARGETS[self.form](self.Y if Y is None else Y, list(names))

    def fitted(self, y=None, **params):
        """Return the fitted estimator; a single network is given rows to calibrate and tune on."""
        clf = KerasMultiLabelClassifier(**{**self.params, **params})
        y = self.target() if y is None else y
        held_out = {"X_val": self.X, "y_val": y} if clf.n_members == 1 else {}
        return clf.fit(self.X, y, self.weight, **held_out)


TARGETS = {
    "indicator": lambda Y, names: Y,
    "csr": lambda Y, names: sparse.csr_array(Y),
    "frame": lambda Y, names: pd.DataFrame(Y, columns=names),
    "sets": label_sets_of,
    "partly known": lambda Y, names: np.where(np.arange(Y.size).reshape(Y.shape) % 5 == 2, np.nan, Y),
    "binary": lambda Y, names: np.where(Y[:, 0], "yes", "no"),
}


def learnable(seed, n_labels=3, rows=ROWS):
    """Return X, and an indicator that it determines in part, in which each label occurs and is lacking."""
    rng = np.random.RandomState(seed)
    X = np.round(rng.randn(rows, 4), 3)
    Y = (X @ rng.randn(4, n_labels) + 0.5 * rng.randn(rows, n_labels) > 0.3).astype(int)
    Y[0], Y[1] = 1, 0
    return X, Y


@st.composite
def fits(draw, forms=tuple(TARGETS)):
    """Fits of a small network, with calibration and thresholds of every kind."""
    X, Y = learnable(draw(seeds))
    params = {
        "hidden_layer_sizes": 4,
        "epochs": 4,
        "random_state": 0,
        "learning_rate": draw(st.sampled_from([0.003, 0.03])),
        "n_members": draw(st.sampled_from([3, 3, 1])),
        "loss": draw(st.sampled_from(["auto", "focal"])),
        "calibrate": draw(st.sampled_from(["auto", True, True, False])),
        "threshold": draw(st.sampled_from(THRESHOLDS)),
        "scale": draw(st.sampled_from(["auto", None])),
    }
    if draw(st.booleans()):
        X = sparse.csr_array(np.where(X > 0, X, 0))
    form = draw(st.sampled_from(forms))
    if form == "partly known":  # of fewer labels, more rows have no observed one, and X has other statistics
        params["scale"] = None
    return Fit(params, X, Y, form, draw(weights(ROWS)))


@st.composite
def weights(draw, n_rows):
    """Weights of rows, light and heavy ones, or None."""
    rng = np.random.RandomState(draw(seeds))
    kind = draw(st.sampled_from([None, None, "ones", "lognormal", "one is heavy", "some are 0", "integers"]))
    if kind is None:
        return None
    weight = {
        "ones": np.ones(n_rows),
        "lognormal": rng.lognormal(sigma=1.5, size=n_rows),
        "one is heavy": np.where(np.arange(n_rows) == rng.randint(n_rows), 30.0, 1.0),
        "some are 0": (rng.rand(n_rows) < 0.8).astype(float),
        "integers": rng.randint(1, 4, n_rows).astype(float),
    }[kind]
    weight[0] = max(weight[0], 1.0)
    return weight


class Resumed(NamedTuple):
    """How training goes on: the call, the labels afterwards by their positions before (3 is new), and the rows."""

    how: str
    labels: list
    rows: object


@st.composite
def resumed(draw):
    """Ways in which training goes on."""
    how = draw(st.sampled_from(["partial_fit", "partial_fit", "warm start"]))
    labels = draw(st.sampled_from([[0, 1, 2], [0, 1, 2], [0, 1, 2, 3], [3, 2, 0, 1], [2, 0], [1], [2, 1, 0], [3, 1]]))
    return Resumed(how, labels, draw(st.sampled_from(["all", "one", "few"])))


# Guarantees, without networks


class Tuning(NamedTuple):
    """Labels and held-out probabilities for which a guarantee is tuned."""

    Y: np.ndarray
    proba: np.ndarray
    weight: np.ndarray | None
    guarantee: str


@st.composite
def tunings(draw):
    """Rows of which few may have many labels or a large weight, ties, missing entries, and probabilities of 0 and 1."""
    rng = np.random.RandomState(draw(seeds))
    n_rows, n_labels = draw(st.sampled_from([12, 40, 150, 400])), draw(st.sampled_from([1, 2, 3, 12, 40]))
    log_odds = rng.randn(n_rows, 1) + 2 * rng.randn(n_rows, n_labels)
    proba = 1 / (1 + np.exp(-log_odds))
    Y = (rng.rand(n_rows, n_labels) < proba).astype(float)
    tail = draw(st.sampled_from(["light", "heavy rows are wrong", "heavy rows are right", "all are right", "none is"]))
    heavy = rng.rand(n_rows) < 0.02
    if tail.startswith("heavy"):
        Y[heavy], proba[heavy] = tail.endswith("right"), 0.95
    elif tail != "light":
        Y[:] = tail == "all are right"
    digits = draw(st.sampled_from([None, None, 1, 2]))
    proba = proba if digits is None else np.round(proba, digits)
    if draw(st.booleans()):
        Y[rng.rand(*Y.shape) < 0.2] = np.nan
    level = draw(st.sampled_from([0.3, 0.5, 0.8, 0.9]))
    text = draw(st.sampled_from(["precision>={}", "precision>={} by label", "recall>={}"])).format(level)
    return Tuning(Y, proba, draw(weights(n_rows)), text)


# Names that a file could take for its own, and other odd ones

ODD = [
    "_skml",
    "state",
    "_versions",
    "dict",
    "TunedThresholds",
    "dtype",
    "_fitted",
    "",
    " ",
    "\n",
    "é",
    "İ",
    "None",
    "a.b",
]
ODD += ["__class__", "py/object", "../x", "0", "NaN", "\ud7ff", "\U0001f600", "'", '"', "a" * 300]


@st.composite
def mappings(draw):
    """Three odd labels, and a mapping of some of them to numbers."""
    labels = draw(st.lists(st.sampled_from(ODD), min_size=3, max_size=3, unique=True))
    chosen = draw(st.lists(st.sampled_from(labels), min_size=1, max_size=3, unique=True))
    return labels, {label: draw(st.sampled_from([0.0, 0.25, 0.5, 1.0])) for label in chosen}


# Anything that pickles, with keys that a state has, too
values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(ODD[:8]), inner, max_size=3),
    max_leaves=6,
)

# Columns of DataFrames

NAMES = ["petal width", "a-b", "a_b", "a.b", "labels", "labels1", "probabilities", "X", "variable", "Add_0", "é/İ", "0"]
NAMES += ["input", "features", "1e5", "a:0", "$", "concat_result", "variable1", "a b", " ", "MatMul_0_0", "constant_0"]
KINDS = ["float64", "float32", "int64", "bool", "uint8", "strings", "Int64"]


@st.composite
def frames(draw):
    """DataFrames with four columns of any names, or of integers as names, and of several dtypes."""
    rng = np.random.RandomState(draw(seeds))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=4, max_size=4, unique=True))
    names = draw(st.sampled_from([names, names, names, [3, 1, 0, 2]]))
    columns = {}
    for name in names:
        kind = draw(st.sampled_from(KINDS))
        if kind == "strings":
            columns[name] = pd.Series(rng.choice(["red", "green", "İ"], ROWS), dtype=object)
        else:
            columns[name] = (
                pd.Series(np.round(4 * rng.randn(ROWS))).abs().clip(0, 1 if kind == "bool" else 9).astype(kind)
            )
    return pd.DataFrame(columns)
