"""Compare three ways to treat missing labels: keep them as NaN, leave out their rows, or fill in 0.

    python examples/benchmarks/missing_labels.py FOLDER [--set tox21] [--seeds 5]

FOLDER is the same as for ``quality.py``; the data set has NaN in Y. The script prints the mean ROC-AUC over the labels,
on the observed entries of the test rows.
"""

import argparse
import sys

import numpy as np

from skml import KerasMultiLabelClassifier
from skml.metrics import roc_auc_score


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--set", default="tox21")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    sys.path.insert(0, arguments.folder)
    from loader import load

    X, Y, X_test, Y_test, _ = load(arguments.set)
    is_complete = ~np.isnan(Y).any(axis=1)
    print(f"{np.isnan(Y).mean():.0%} of the entries are missing, {is_complete.sum()} of {len(Y)} rows are complete")
    targets = {
        "kept as NaN": (X, Y),
        "complete rows only": (X[is_complete], Y[is_complete].astype(int)),
        "filled with 0": (X, np.nan_to_num(Y).astype(int)),
    }
    for name, data in targets.items():
        models = (KerasMultiLabelClassifier(random_state=seed).fit(*data) for seed in range(arguments.seeds))
        scores = [roc_auc_score(Y_test, model.predict_proba(X_test)) for model in models]
        print(f"{name:20s} ROC-AUC {np.mean(scores):.4f}  ({' '.join(f'{score:.4f}' for score in scores)})", flush=True)


if __name__ == "__main__":
    main()
