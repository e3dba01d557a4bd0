"""Measure time and peak memory of an epoch on wide sparse X and on many sparse labels, against MLPClassifier."""

import resource
import statistics
import sys
import warnings

from timing import PLAIN, in_fresh_process, limit_threads, seconds, show, sparse_matrix

limit_threads()
SIZES = {
    "X 20,000 x 50,000 (0.1 %), 100 labels": (50_000, 50, 100, 3, 0.45, 220),
    "20,000 x 300, Y 5,000 labels": (300, None, 5_000, 5, 0.37, 170),
}


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def problem(size):
    import numpy as np

    n_features, per_row, n_labels, labels_per_row, _, _ = SIZES[size]
    if per_row is None:
        X = np.random.RandomState(0).randn(20_000, n_features)
    else:
        X = sparse_matrix(20_000, n_features, per_row)
    Y = sparse_matrix(20_000, n_labels, labels_per_row, seed=1, dtype=np.uint8)
    return X, Y


def estimator(side, epochs):
    if side == "skml":
        from skml import KerasMultiLabelClassifier

        return KerasMultiLabelClassifier(batch_size=200, epochs=epochs, **PLAIN)
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier((100,), batch_size=200, max_iter=epochs)


def measure(what, side, size):
    warnings.simplefilter("ignore")
    if side == "skml":
        import skml._training._run  # noqa: F401
    X, Y = problem(size)
    if side == "MLPClassifier" and sys.argv[4] == "dense Y":
        Y = Y.toarray()
    if what == "memory":
        before = peak()
        estimator(side, 1).fit(X, Y)
        print(peak() - before)
    else:
        # The difference between two epochs and one leaves out the set-up and the tracing of the graph.
        if side == "skml":
            estimator(side, 1).fit(X, Y)
        first = seconds(lambda: estimator(side, 1).fit(X, Y))
        print(seconds(lambda: estimator(side, 2).fit(X, Y)) - first)


if len(sys.argv) > 1:
    measure(*sys.argv[1:4])
else:
    for size, (_, _, n_labels, _, aim, memory_aim) in SIZES.items():
        form = "CSR Y" if n_labels > 1000 else "dense Y"
        sides = ("skml", "MLPClassifier")
        pairs = [[in_fresh_process(__file__, "time", side, size, form) for side in sides] for _ in range(3)]
        ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
        show(f"epoch, {size}", ours, theirs, statistics.median(a / b for a, b in pairs), aim, "MLPClassifier")
        grown = [in_fresh_process(__file__, "memory", side, size, form) for side in sides]
        print(f"  additional peak memory of a fit: skml +{grown[0]:.0f} MB (aim +{memory_aim}), ", end="")
        print(f"MLPClassifier +{grown[1]:.0f} MB", flush=True)
