"""Time two functions alternately, so that changes in the speed of the machine affect both; generate data.

After `limit_threads` both have the same number of threads: the environment variable THREADS, or 1.
"""

import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

THREADS = int(os.environ.get("THREADS", "1"))

# The same network as MLPClassifier: one hidden layer, one member, no scaling, no dropout.
PLAIN = {"hidden_layer_sizes": (100,), "n_members": 1, "dropout": 0.0, "input_dropout": 0.0, "scale": None}
PLAIN["early_stopping"] = False


def seconds(function):
    """Return the time of one call in seconds."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def limit_threads():
    """Limit BLAS and TensorFlow to `THREADS` threads. Call it before TensorFlow's first operation."""
    os.environ |= {"TF_NUM_INTRAOP_THREADS": str(THREADS), "TF_NUM_INTEROP_THREADS": "1"}
    threadpool_limits(THREADS, user_api="blas")
    print(f"threads of both libraries: {THREADS}", flush=True)


def compare(ours, theirs, repeats=7):
    """Return both median times and the median of the paired ratios, after one call of each to warm up."""
    ours(), theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(repeats)]
    a, b = (statistics.median(side) for side in zip(*pairs, strict=True))
    return a, b, statistics.median(x / y for x, y in pairs)


def in_fresh_process(script, *arguments):
    """Run a script in a new process and return the last number that it prints."""
    command = [sys.executable, script, *map(str, arguments)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def show(work, ours, theirs, ratio, target, other):
    """Print one row of a table."""
    print(
        f"{work:42s} skml {ours:10.6f} s   {other:22s} {theirs:10.6f} s   ratio {ratio:5.2f}   (aim {target})",
        flush=True,
    )


def dense_problem(n_samples, n_features, n_labels, seed=0):
    """Return X of dtype float64 and an indicator matrix that depends on X in part."""
    rng = np.random.RandomState(seed)
    X = rng.randn(n_samples, n_features)
    scores = X @ rng.randn(n_features, n_labels) / np.sqrt(n_features) + rng.randn(n_samples, n_labels)
    return X, (scores > 0.8).astype(np.int64)


def sparse_matrix(n_samples, n_columns, per_row, seed=0, dtype=np.float32):
    """Return a CSR matrix with about `per_row` ones in each row."""
    rng = np.random.RandomState(seed)
    columns = rng.randint(0, n_columns, (n_samples, per_row), dtype=np.int32)
    splits = np.arange(0, n_samples * per_row + 1, per_row, dtype=np.int32)
    matrix = sparse.csr_matrix((np.ones(n_samples * per_row, dtype), columns.ravel(), splits), (n_samples, n_columns))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix
