"""What unknown labels are worth: learned around, against leaving their rows out and filling them with 0.

    python examples/benchmarks/unknown_labels.py FOLDER [--set tox21] [--seeds 5]

FOLDER is as for ``quality.py``; the set has NaN in Y. Printed is the mean ROC-AUC over the labels, on the known
cells of the test rows.
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
    print(f"{np.isnan(Y).mean():.0%} of the cells unknown, {is_complete.sum()} of {len(Y)} rows complete")
    ways = {
        "learned around": (X, Y),
        "complete rows only": (X[is_complete], Y[is_complete].astype(int)),
        "filled with 0": (X, np.nan_to_num(Y).astype(int)),
    }
    for name, data in ways.items():
        models = (KerasMultiLabelClassifier(random_state=seed).fit(*data) for seed in range(arguments.seeds))
        scores = [roc_auc_score(Y_test, model.predict_proba(X_test)) for model in models]
        print(f"{name:20s} ROC-AUC {np.mean(scores):.4f}  ({' '.join(f'{score:.4f}' for score in scores)})", flush=True)


if __name__ == "__main__":
    main()
