"""Fits by two processes that train together. `main` runs in each of them, `rows` and `CASES` are the same in all."""

import json
import os
import pickle
import socket
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from scipy import sparse

from processes import run_python_in
from skml import KerasMultiLabelClassifier

# The second process has fewer rows.
SHARES = [slice(0, 230), slice(230, 400)]


def rows():
    """Return dense rows, sparse ones, and their labels, of which "rare" occurs in one share only."""
    rng = np.random.RandomState(0)
    X = rng.randn(400, 6).astype(np.float32)
    y = [[name for name, x in zip("abc", row[:3], strict=True) if x > 0.3] for row in X]
    y[3], y[7] = [*y[3], "rare"], ["rare"]
    wide = sparse.random(400, 60, 0.1, format="csr", dtype=np.float32, random_state=0)
    wide.data = np.abs(wide.data) + 0.5
    parts = {"a": slice(0, 20), "b": slice(20, 40), "c": slice(40, 60)}
    of_wide = [[name for name, columns in parts.items() if row[columns].any()] for row in wide.toarray()]
    return X, y, wide, of_wide


def small(**params):
    # Without dropout, whose random numbers each process draws on its own.
    size = {"hidden_layer_sizes": (8, 8), "epochs": 3, "batch_size": 32, "dropout": 0.0, "input_dropout": 0.0}
    return KerasMultiLabelClassifier(**{**size, "random_state": 0} | params)


def dense(share, **params):
    X, y, *_ = rows()
    return small(**params).fit(X[share], y[share])


def of_sparse(share, **params):
    *_, wide, y = rows()
    return small(**params).fit(wide[share], y[share])


def weighted(share):
    X, y, *_ = rows()
    weight = np.random.RandomState(1).rand(400)
    clf = small(n_members=2, class_weight="balanced", threshold="f1_macro", metrics=["AUC"])
    return clf.fit(X[share], y[share], weight[share], groups=np.arange(400)[share] // 2)


def missing(share):
    X, _, *_ = rows()
    Y = (X[:, :3] > 0).astype(np.float32)
    Y[:200:7, 0] = np.nan  # in one share only
    return small(n_members=1).fit(X[share], Y[share], X_val=X[share][::10], y_val=Y[share][::10])


def multiclass(share):
    X, *_ = rows()
    return small(n_members=3).fit(X[share], np.digitize(X[share][:, 0], [-0.5, 0.5]))


def resumed(share):
    X, y, *_ = rows()
    clf = small(n_members=2).partial_fit(X[share], y[share], classes=["a", "b", "c", "rare"])
    return clf.partial_fit(X[share], y[share])


def from_blocks(rank, count):
    """Return an estimator trained on blocks of 4,000 rows, of which this process reads every second one."""
    rng = np.random.RandomState(0)
    X = rng.randn(4000, 6).astype(np.float32)
    y = [[name for name, x in zip("abc", row[:3], strict=True) if x > 0.3] for row in X]
    starts = range(100 * rank, 4000, 100 * count)
    blocks = [(X[start : start + 100], y[start : start + 100]) for start in starts]
    return small(epochs="auto", threshold="f1_micro").fit_batches(blocks, classes=["a", "b", "c"])


CASES = {
    "one member, dense": lambda share: dense(share, n_members=1),
    "five members, dense": lambda share: dense(share, n_members=5),
    "default, dense": dense,
    "one member, sparse": lambda share: of_sparse(share, n_members=1),
    "five members, sparse": lambda share: of_sparse(share, n_members=5),
    "no hidden layer, sparse": lambda share: of_sparse(share, n_members=1, hidden_layer_sizes=()),
    "weights, groups and thresholds": weighted,
    "missing labels and validation data": missing,
    "multi-class": multiclass,
    "partial_fit": resumed,
}


def result_of(clf):
    """Return what must be equal in all processes."""
    return {
        "weights": clf.trained_network().weights,
        "history": clf.history_,
        "classes": clf.classes_.tolist(),
        "thresholds": getattr(clf.decision_rule(), "thresholds", None),
        "probabilities": clf.predict_proba(rows()[0] if clf.n_features_in_ == 6 else rows()[2]),
        "held out": getattr(clf, "oof_proba_", None),
    }


def run_two(folder, code):
    """Run code in two processes that can train together; return what each of them pickles into ``answer``.

    The code finds `rank`, `share` and the `strategy`; it sets `answer`, or raises an error, whose text is the answer.
    """
    folder = Path(folder)
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in SHARES]
    addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()

    def run(rank):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}
        program = f"import together; together.main({rank}, {code!r})"
        return run_python_in(folder, program, timeout=240, TF_CONFIG=json.dumps(config))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, range(2)))
    return [pickle.loads((folder / f"answer{rank}").read_bytes()) for rank in range(2)]


def main(rank, code):
    """Run code in one of the processes."""
    import tensorflow as tf

    found = {"rank": rank, "share": SHARES[rank], "strategy": tf.distribute.MultiWorkerMirroredStrategy()}
    exec("from together import *", found)
    try:
        exec(code, found)
        answer = found["answer"]
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
        traceback.print_exc()
    Path(f"answer{rank}").write_bytes(pickle.dumps(answer))
    sys.stdout.flush()
    os._exit(0)  # the other process may be gone already, and TensorFlow would wait for it
