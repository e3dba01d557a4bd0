"""Quality at defaults on published splits: ours, MLPClassifier, logistic regression, a forest, scikeras.

    python examples/benchmarks/quality.py FOLDER [--sets emotions yeast] [--models skml forest] [--seeds 3]

FOLDER holds a ``loader.py`` whose ``load(name)`` returns X_train, Y_train, X_test, Y_test and a dict. Y goes to the
peers as int64: scikit-learn permutes the columns of smaller integers with more than 256 labels. Thresholds come
from the same rules for all: for ours from the out-of-fold probabilities of its own fit, for the others from
three folds, which are three more fits that the fit time leaves out.
"""

import argparse
import sys
import warnings

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, label_ranking_average_precision_score, log_loss
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier

from skml import KerasMultiLabelClassifier
from skml._decisions._tuning import tune
from skml.model_selection import cross_val_predict_proba
from timing import seconds

SETS = ("emotions", "flags", "yeast", "enron", "bibtex", "reuters21578_tfidf")
MEASURES = ("LRAP", "micro-F1 at .5", "micro-F1 tuned", "macro-F1 tuned", "log-loss")
LOWER_IS_BETTER = ("log-loss",)


def network_of_mlp(n_features, n_labels):
    """Return the network of MLPClassifier in Keras."""
    import keras

    layers = [keras.layers.Dense(100, "relu"), keras.layers.Dense(n_labels, "sigmoid")]
    model = keras.Sequential([keras.Input((n_features,)), *layers])
    model.compile("adam", "binary_crossentropy")
    return model


class Scikeras(ClassifierMixin, BaseEstimator):
    """What scikeras needs around it: dense X, and the number of labels for its network."""

    def fit(self, X, Y):
        """Train the network of MLPClassifier for 50 epochs."""
        from scikeras.wrappers import KerasClassifier

        network = network_of_mlp(X.shape[1], Y.shape[1])
        self.model_ = KerasClassifier(network, epochs=50, verbose=0).fit(_dense(X), Y)
        return self

    def predict_proba(self, X):
        """Return probabilities, shape (n_samples, n_labels)."""
        return self.model_.predict_proba(_dense(X))


def _dense(X):
    return X.toarray() if hasattr(X, "toarray") else X


MODELS = {
    "skml": lambda seed: KerasMultiLabelClassifier(random_state=seed),
    "MLPClassifier": lambda seed: MLPClassifier(random_state=seed),
    "logistic": lambda seed: OneVsRestClassifier(LogisticRegression()),
    "forest": lambda seed: RandomForestClassifier(200, n_jobs=2, random_state=seed),
    "scikeras": lambda seed: Scikeras(),
}


def evaluate(model, data):
    """Return the measures of one model on one split, and the seconds of its fit."""
    X, Y, X_test, Y_test, _ = data
    Y = Y.astype(np.int64)
    fit_time = seconds(lambda: model.fit(X, Y))
    if isinstance(model, KerasMultiLabelClassifier):
        unseen = model.oof_proba_
    else:
        unseen = cross_val_predict_proba(clone(model), X, Y, cv=3, random_state=0)
    proba = _probabilities(model.predict_proba(X_test))
    micro, macro = (tune(Y, unseen, rule).rule.threshold for rule in ("f1_micro", "f1_macro"))
    cells = np.clip(proba.ravel().astype(np.float64), 1e-7, 1 - 1e-7)
    return {
        "LRAP": label_ranking_average_precision_score(Y_test, proba),
        "micro-F1 at .5": f1_score(Y_test, proba >= 0.5, average="micro", zero_division=0),
        "micro-F1 tuned": f1_score(Y_test, proba >= micro, average="micro", zero_division=0),
        "macro-F1 tuned": f1_score(Y_test, proba >= macro, average="macro", zero_division=0),
        "log-loss": log_loss(Y_test.ravel(), cells),
        "seconds": fit_time,
    }


def _probabilities(proba):
    """Return (n_samples, n_labels) probabilities, also of a forest's list."""
    if not isinstance(proba, list):
        return np.asarray(proba)
    return np.column_stack([p[:, 1] if p.shape[1] > 1 else np.zeros(len(p)) for p in proba])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    sys.path.insert(0, arguments.folder)
    from loader import load

    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.simplefilter("ignore", UserWarning)
    import skml._training._run  # noqa: F401  Keras and TensorFlow are not part of the first fit

    results = {}
    for name in arguments.sets:
        data = load(name)
        print(f"\n{name:20s}" + "".join(f"{measure:>16s}" for measure in (*MEASURES, "seconds")), flush=True)
        for model, make in MODELS.items():
            if model in arguments.models:
                seeds = range(1 if model == "logistic" else arguments.seeds)
                runs = [evaluate(make(seed), data) for seed in seeds]
                mean = {measure: np.mean([run[measure] for run in runs]) for measure in runs[0]}
                results[name, model] = mean
                print(f"{model:20s}" + "".join(f"{mean[measure]:16.3f}" for measure in mean), flush=True)
    show_ranks(results, arguments)


def show_ranks(results, arguments):
    """Print mean ranks over the sets, 1 being the best, and total fit times."""
    print(f"\n{'mean rank':20s}" + "".join(f"{measure:>16s}" for measure in (*MEASURES, "total s")))
    for model in arguments.models:
        ranks = []
        for measure in MEASURES:
            sign = 1 if measure in LOWER_IS_BETTER else -1
            scores = {other: [sign * results[s, other][measure] for s in arguments.sets] for other in arguments.models}
            ranks.append(
                np.mean([1 + sum(o[i] < mine for o in scores.values()) for i, mine in enumerate(scores[model])])
            )
        total = sum(results[name, model]["seconds"] for name in arguments.sets)
        print(f"{model:20s}" + "".join(f"{rank:16.2f}" for rank in ranks) + f"{total:16.1f}")


if __name__ == "__main__":
    main()
