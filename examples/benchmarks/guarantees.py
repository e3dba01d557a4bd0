"""Check guarantees of precision and recall on random splits of public data sets.

    python examples/benchmarks/guarantees.py FOLDER [--sets emotions yeast] [--models logistic] [--splits 20]

FOLDER holds a ``loader.py`` whose ``load(name)`` returns X_train, Y_train, X_test, Y_test and a dict. Each split draws
two thirds of all rows for training and one third for testing. One classifier is fitted for each split, and all
guarantees are kept by its out-of-fold probabilities. The columns of the table are means over the splits:

"guaranteed": the target level. "reached": the precision or recall on the test rows, over splits with any prediction.
"broken": the fraction of splits that reach less than the target; by label, the fraction of labels. For precision, 5 %
are expected, and more if the test set is small. Recall is guaranteed on average, so up to a half is expected.
"labels": the fraction of true labels that are predicted. "rows": the fraction of rows with a prediction. "never": the
fraction of thresholds at which no label is predicted.
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
from skml._decisions._tuning import guaranteed_rule
from skml.model_selection import cross_val_predict_proba

SETS = ("flags", "emotions", "yeast", "enron", "reuters21578_tfidf", "goemotions_tfidf")
GUARANTEES = [f"precision>={level}" for level in (0.8, 0.9, 0.95)]
GUARANTEES += ["precision>=0.9 by label", *(f"recall>={level}" for level in (0.8, 0.9))]


def logistic(X, Y, X_test, seed):
    """Return what gives the rule of a guarantee, from five folds, and test probabilities of logistic regressions."""
    scaler = "passthrough" if hasattr(X, "tocsr") else StandardScaler()
    model = make_pipeline(scaler, OneVsRestClassifier(LogisticRegression(solver="liblinear", max_iter=300)))
    oof_proba = cross_val_predict_proba(model, X, Y, cv=5, random_state=seed)
    return lambda guarantee: guaranteed_rule(Y, oof_proba, guarantee), model.fit(X, Y).predict_proba(X_test)


def network(X, Y, X_test, seed):
    """Return what gives the rule of a guarantee, and test probabilities, of one fit of the network."""
    clf = KerasMultiLabelClassifier(random_state=seed).fit(X, Y)
    return lambda guarantee: clf.set_params(threshold=guarantee).decision_rule(), clf.predict_proba(X_test)


MODELS = {"skml": network, "logistic": logistic}


def split(data, seed):
    """Return a random split of all rows of a data set, with the labels that occur in the training rows."""
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


def outcome(guarantee, rule, Y, proba):
    """Return the columns of the table for one guarantee and one split."""
    level, decisions, truth = float(guarantee.split(">=")[1].split()[0]), rule.decide(proba), Y == 1
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
    never = np.mean(np.asarray(rule.threshold) > 1)
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
            runs = {guarantee: [] for guarantee in GUARANTEES}
            for seed in range(arguments.splits):
                X, Y, X_test, Y_test = split(data, seed)
                rule_of, proba = MODELS[model](X, Y, X_test, seed)
                for guarantee in GUARANTEES:
                    runs[guarantee].append(outcome(guarantee, rule_of(guarantee), Y_test, proba))
            print(f"\n{name + ', ' + model:30s}" + "".join(f"{word:>10s}" for word in head))
            for guarantee, rows in runs.items():
                print(f"{guarantee:30s}" + "".join(f"{mean:10.3f}" for mean in np.nanmean(rows, axis=0)), flush=True)


if __name__ == "__main__":
    main()
