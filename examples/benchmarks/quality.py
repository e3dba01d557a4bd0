"""Compare the scores of the default settings with tuned baselines, on public data sets and generated tables.

    python examples/benchmarks/quality.py FOLDER [--sets emotions smooth-2000] [--models skml forest] [--seeds 3]
    python examples/benchmarks/quality.py FOLDER --sets tables --models tables

FOLDER holds a ``loader.py`` whose ``load(name)`` returns X_train, Y_train, X_test, Y_test and a dict, and whose
``load_table(name)`` returns the same as DataFrames of numbers (NaN if missing) and strings (None if missing).
``teachers.py`` generates the data sets named "smooth-", "rules-", "scales-", "steps-", "heavy-" or "mixed-" and a
number of rows. "goemotions-8000" and "thyroid-2000" are parts of "goemotions_tfidf" and "thyroid".

All models use the same threshold rules. Our network and the models called "cross-fitted" (see ``peers.py``) tune
thresholds on the out-of-fold probabilities of their fit; the other baselines need three extra fits, which the CPU
seconds leave out. The CPU seconds include all searches. All get Y as int64, because scikit-learn permutes the columns
of smaller integer dtypes with more than 256 labels.
"""

import argparse
import sys
import time
import warnings

import numpy as np
from peers import PEERS, encoders, views_of
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, label_ranking_average_precision_score, log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils import get_tags

from skml import AveragedMultiLabelClassifier, KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV
from skml._decisions._tuning import tune
from skml.metrics import get_scorer
from skml.model_selection import MultiLabelStratifiedKFold, cross_val_predict_proba
from teachers import KINDS, TREE_KINDS, load_teacher

SETS = ("emotions", "flags", "yeast", "enron", "bibtex", "reuters21578_tfidf", "goemotions-8000", "goemotions_tfidf")
TABLES = tuple(f"{kind}-{n_rows}" for kind in KINDS for n_rows in (500, 2000, 20000))
STORED_SPARSE = ("flags",)  # tables of few columns, which are dense for all models
REAL_TABLES = ("thyroid", "drugs", "nhanes", "water")
GROUPS = {
    "tables": (*(f"{kind}-2000" for kind in TREE_KINDS), "thyroid", "thyroid-2000", *REAL_TABLES[1:], *SETS[:3]),
}
MEASURES = ("LRAP", "micro-F1 at .5", "micro-F1 tuned", "macro-F1 tuned", "log-loss")
LOWER_IS_BETTER = ("log-loss",)


def tuned_logistic(seed):
    """Return a grid search over C of a logistic regression."""
    grid = {"estimator__C": [1, 10, 100]}
    cv = MultiLabelStratifiedKFold(3, random_state=0)
    return GridSearchCV(
        OneVsRestClassifier(LogisticRegression(solver="liblinear", max_iter=300)),
        grid,
        scoring=get_scorer("neg_log_loss"),
        cv=cv,
    )


class AveragedWithTrees:
    """The average of our network and scikit-learn's trees, with weights found out of fold; none of them is tuned."""

    view, takes_sparse = "native", False

    def __init__(self, seed):
        self.seed = seed

    def fit(self, X, Y):
        """Fit the average; boosting takes the categories of a table as they are."""
        network = KerasMultiLabelClassifier(random_state=self.seed)
        trees = ExtraTreesClassifier(300, min_samples_leaf=3, max_features=0.5, random_state=self.seed)
        boosting = HistGradientBoostingClassifier(learning_rate=0.05, max_leaf_nodes=15, random_state=self.seed)
        models = [("net", encoded(network, X)), ("boosting", boosting), ("trees", encoded(trees, X))]
        self.model_ = AveragedMultiLabelClassifier(models, random_state=self.seed).fit(X, Y)
        self.oof_proba_ = self.model_.oof_proba_
        return self

    def predict_proba(self, X):
        """Return the average, shape (n_samples, n_labels)."""
        return self.model_.predict_proba(X)


def encoded(model, X):
    """Return a Pipeline that encodes a table for a model, or the model alone if X is no table."""
    return make_pipeline(encoders()[view_of(model)], model) if hasattr(X, "iloc") else model


# With out-of-fold probabilities; these scale X themselves.
CROSS_FITTED = {
    "skml": lambda seed: KerasMultiLabelClassifier(random_state=seed),
    "skml, standardised columns": lambda seed: KerasMultiLabelClassifier(scale="standard", random_state=seed),
    "skml and trees": AveragedWithTrees,
    **PEERS,
}
MODELS = {
    **CROSS_FITTED,
    "logistic, tuned C": tuned_logistic,
    "LinearSVC": lambda seed: OneVsRestClassifier(LinearSVC(random_state=seed)),
    "MLP (100)": lambda seed: MLPClassifier(random_state=seed),
    "MLP (256, 256) es": lambda seed: MLPClassifier((256, 256), early_stopping=True, random_state=seed),
    "forest": lambda seed: RandomForestClassifier(200, n_jobs=2, random_state=seed),
}


def load_set(name, load):
    """Return a data set by its name."""
    kind, _, n_rows = name.partition("-")
    if kind in (*KINDS, *TREE_KINDS):
        return load_teacher(kind, int(n_rows))
    if kind in REAL_TABLES:
        from loader import load_table

        X, Y, X_test, Y_test, meta = load_table(kind)
        rows = np.random.RandomState(0).permutation(len(X))[: int(n_rows or len(X))]
        return X.iloc[rows].reset_index(drop=True), Y.to_numpy()[rows], X_test, Y_test.to_numpy(), meta
    if n_rows:
        X, Y, *test = load(f"{kind}_tfidf")
        rows = np.random.RandomState(0).permutation(X.shape[0])[: int(n_rows)]
        return X[rows], Y[rows], *test
    if name in STORED_SPARSE:
        X, Y, X_test, *rest = load(name)
        return X.toarray(), Y, X_test.toarray(), *rest
    return load(name)


def evaluate(name, model, data):
    """Return the measures of one model on one split, and the CPU seconds of its fit."""
    X, Y, X_test, Y_test, _ = data
    X, X_test = views_of(X, X_test)[view_of(model)]
    Y, Y_test = Y.astype(np.int64), Y_test.astype(np.int64)
    if name not in CROSS_FITTED:
        model = make_pipeline("passthrough" if hasattr(X, "tocsr") else StandardScaler(), model)
    began = time.process_time()
    model.fit(X, Y)
    fit_time = time.process_time() - began
    decisions = {}
    if name == "LinearSVC":
        scores, proba = model.decision_function(X_test), None
        for rule in ("f1_micro", "f1_macro"):
            tuned = TunedThresholdMultiLabelClassifierCV(clone(model), scoring=rule, cv=3, random_state=0).fit(X, Y)
            decisions[rule] = tuned.predict(X_test)
    else:
        oof_proba = model.oof_proba_ if name in CROSS_FITTED else _oof_proba(model, X, Y)
        scores = proba = _probabilities(model.predict_proba(X_test))
        for rule in ("f1_micro", "f1_macro"):
            decisions[rule] = tune(Y, oof_proba, rule).rule.decide(proba)
    entries = None if proba is None else np.clip(proba.ravel().astype(np.float64), 1e-7, 1 - 1e-7)
    return {
        "LRAP": label_ranking_average_precision_score(Y_test, scores),
        "micro-F1 at .5": f1_score(Y_test, scores >= (0 if proba is None else 0.5), average="micro", zero_division=0),
        "micro-F1 tuned": f1_score(Y_test, decisions["f1_micro"], average="micro", zero_division=0),
        "macro-F1 tuned": f1_score(Y_test, decisions["f1_macro"], average="macro", zero_division=0),
        "log-loss": np.nan if entries is None else log_loss(Y_test.ravel(), entries),
        "CPU seconds": fit_time,
    }


def view_of(model):
    """Return how a model wants a table: a key of `views_of`."""
    if hasattr(model, "view"):
        return model.view
    return "numbers" if get_tags(model).input_tags.allow_nan else "filled"


def takes_sparse(model):
    """Return whether a model can be fitted to sparse X."""
    return model.takes_sparse if hasattr(model, "takes_sparse") else get_tags(model).input_tags.sparse


def _oof_proba(model, X, Y):
    """Return out-of-fold probabilities, with the parameters that a search found on all training rows."""
    scaler, last = model[0], model[-1]
    last = getattr(last, "best_estimator_", last)
    return cross_val_predict_proba(make_pipeline(scaler, last), X, Y, cv=3, random_state=0)


def _probabilities(proba):
    """Return probabilities as an array of shape (n_samples, n_labels), also for the list that a forest returns."""
    if not isinstance(proba, list):
        return np.asarray(proba)
    return np.column_stack([p[:, 1] if p.shape[1] > 1 else np.zeros(len(p)) for p in proba])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--sets", nargs="+", default=[*SETS, *TABLES])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=[*MODELS, "tables"])
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    arguments.sets = [name for given in arguments.sets for name in GROUPS.get(given, [given])]
    arguments.models = [name for given in arguments.models for name in (CROSS_FITTED if given == "tables" else [given])]
    sys.path.insert(0, arguments.folder)
    from loader import load

    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.simplefilter("ignore", UserWarning)
    import skml._training._run  # noqa: F401  leave the import of TensorFlow out of the first fit

    results = {}
    for name in arguments.sets:
        data = load_set(name, load)
        print(f"\n{name:28s}" + "".join(f"{measure:>16s}" for measure in (*MEASURES, "CPU seconds")), flush=True)
        for model in arguments.models:
            if hasattr(data[0], "tocsr") and not takes_sparse(MODELS[model](0)):
                continue
            seeds = range(1 if model.startswith("logistic") or model == "LinearSVC" else arguments.seeds)
            runs = [evaluate(model, MODELS[model](seed), data) for seed in seeds]
            mean = {measure: np.mean([run[measure] for run in runs]) for measure in runs[0]}
            results[name, model] = mean
            print(f"{model:28s}" + "".join(f"{mean[measure]:16.4f}" for measure in mean), flush=True)
    show_ranks(results, arguments)


def show_ranks(results, arguments):
    """Print the mean rank over the data sets that a model was fitted to, of which 1 is best, and the total fit time."""
    print(f"\n{'mean rank':28s}" + "".join(f"{measure:>16s}" for measure in (*MEASURES, "total s")))
    for model in arguments.models:
        fitted = [name for name in arguments.sets if (name, model) in results]
        ranks = []
        for measure in MEASURES:
            sign = 1 if measure in LOWER_IS_BETTER else -1
            scores = [{other: sign * r[measure] for (s, other), r in results.items() if s == name} for name in fitted]
            ranks.append(np.mean([1 + sum(o < of_set[model] for o in of_set.values()) for of_set in scores]))
        total = sum(results[name, model]["CPU seconds"] for name in fitted)
        print(f"{model:28s}" + "".join(f"{rank:16.2f}" for rank in ranks) + f"{total:16.1f}")


if __name__ == "__main__":
    main()
