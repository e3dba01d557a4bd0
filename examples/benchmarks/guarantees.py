"""Whether guarantees are kept on random splits of published sets: guaranteed, reached, broken, and what it costs.

    python examples/benchmarks/guarantees.py FOLDER [--sets emotions yeast] [--models logistic] [--splits 20]

FOLDER holds a ``loader.py`` whose ``load(name)`` returns X_train, Y_train, X_test, Y_test and a dict. All rows are
split anew, two thirds to fit and one to test; a classifier is fitted once for each split, and all thresholds come from
its out-of-fold probabilities. "reached" is the mean over splits that predict anything, "broken" the share of splits
that reach less than was guaranteed: for precision that should be 5 % and what chance does to a small test set, for
recall, which is guaranteed on average, up to a half. By label it is the share of labels, over all splits.
"""

import argparse
import sys
import warnings

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skml import KerasMultiLabelClassifier
from skml._decisions._rule import DecisionRule
from skml._decisions._tuning import guaranteed_threshold
from skml.model_selection import cross_val_predict_proba

SETS = ("flags", "emotions", "yeast", "enron", "reuters21578_tfidf", "goemotions_tfidf")
Guarantees = [f"precision>={level}" for level in (0.8, 0.9, 0.95)]
Guarantees += ["precision>=0.9 by label", *(f"recall>={level}" for level in (0.8, 0.9))]


def logistic(X, Y, X_test, seed):
    """Return probabilities of five folds, and of the test rows, by logistic regression."""
    scaler = "passthrough" if hasattr(X, "tocsr") else StandardScaler()
    model = make_pipeline(scaler, OneVsRestClassifier(LogisticRegression(solver="liblinear", max_iter=300)))
    unseen = cross_val_predict_proba(model, X, Y, cv=5, random_state=seed)
    return unseen, model.fit(X, Y).predict_proba(X_test)


def network(X, Y, X_test, seed):
    """Return out-of-fold probabilities, and those of the test rows, of one fit."""
    clf = KerasMultiLabelClassifier(random_state=seed).fit(X, Y)
    return clf.oof_proba_, clf.predict_proba(X_test)


MODELS = {"skml": network, "logistic": logistic}


def split(data, seed):
    """Return rows to fit and rows to test, drawn anew from both parts of a set."""
    X_train, Y_train, X_test, Y_test, _ = data
    Y = np.concatenate([Y_train, Y_test])
    if hasattr(X_train, "tocsr"):
        from scipy.sparse import vstack

        X = vstack([X_train, X_test], format="csr")
    else:
        X = np.concatenate([X_train, X_test])
    order = np.random.RandomState(seed).permutation(len(Y))
    test, train = np.split(order, [len(Y) // 3])
    used = Y[train].any(axis=0)
    return X[train], Y[train][:, used].astype(np.int64), X[test], Y[test][:, used].astype(np.int64)


def outcome(guarantee, threshold, Y, proba):
    """Return what is guaranteed, what is reached, whether that is less, and the shares of labels and rows decided."""
    level, decisions, truth = float(guarantee.split(">=")[1].split()[0]), DecisionRule(threshold).decide(proba), Y == 1
    right, predicted, n_true = decisions & truth, decisions.sum(), truth.sum(axis=1)
    if guarantee.startswith("recall"):
        reached = np.mean(right.sum(axis=1)[n_true > 0] / n_true[n_true > 0])
    else:
        reached = right.sum() / predicted if predicted else np.nan
    broken = reached < level if np.isfinite(reached) else False
    if "label" in guarantee:
        columns = decisions.any(axis=0)
        shares = right.sum(axis=0)[columns] / decisions.sum(axis=0)[columns]
        broken = np.mean(shares < level) if len(shares) else np.nan
    never = np.mean(np.asarray(threshold) > 1)
    return level, reached, broken, right.sum() / n_true.sum(), decisions.any(axis=1).mean(), never


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--splits", type=int, default=20)
    arguments = parser.parse_args()
    sys.path.insert(0, arguments.folder)
    from loader import load

    warnings.simplefilter("ignore")
    head = ("guaranteed", "reached", "broken", "labels", "rows", "never")
    for name in arguments.sets:
        data = load(name)
        for model in arguments.models:
            runs = {guarantee: [] for guarantee in Guarantees}
            for seed in range(arguments.splits):
                X, Y, X_test, Y_test = split(data, seed)
                unseen, proba = MODELS[model](X, Y, X_test, seed)
                for guarantee in Guarantees:
                    runs[guarantee].append(
                        outcome(guarantee, guaranteed_threshold(Y, unseen, guarantee), Y_test, proba)
                    )
            print(f"\n{name + ', ' + model:30s}" + "".join(f"{word:>10s}" for word in head))
            for guarantee, rows in runs.items():
                print(f"{guarantee:30s}" + "".join(f"{mean:10.3f}" for mean in np.nanmean(rows, axis=0)), flush=True)


if __name__ == "__main__":
    main()
