"""Measure how quality and cost grow with the number of labels and of rows, on generated data.

`scale.py` prints all tables in some minutes; `scale.py LABELS` takes another number of labels for the first one. The
peers omikuji and napkinXC are measured if they are installed. Times are CPU seconds of one thread, and memory is the
growth of the peak of a fresh process above the data.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from scipy import sparse

from timing import limit_threads

N_LABELS = int(sys.argv[1]) if sys.argv[1:] and sys.argv[1].isdigit() else 1000


def made(n_labels, n_columns, n_rows, n_test=2000, seed=0):
    """Return tf-idf rows and labels for training and test, and the true probabilities of the test rows, all CSR.

    Each label has 12 words of its own among Zipfian words that all rows share, and frequent labels are far more
    frequent than rare ones. A row's labels are drawn independently, with probabilities that its words determine.
    """
    rng, n = np.random.default_rng(seed), n_rows + n_test
    words = rng.integers(50, n_columns, (n_labels, 12))
    if n_columns < 3 * n_labels:  # few words: many of them are frequent ones
        frequent = np.exp(rng.uniform(np.log(100), np.log(n_columns), words.shape)).astype(int)
        words = np.where(rng.random(words.shape) < 0.3, np.minimum(frequent, n_columns - 1), words)
    weights = rng.uniform(0.6, 1.4, words.size), (words.ravel(), np.repeat(np.arange(n_labels), 12))
    weights = sparse.csr_matrix(weights, shape=(n_columns, n_labels))
    rows = np.repeat(np.arange(n), rng.integers(3, 6, n))
    labels = drawn(1 / (np.arange(n_labels) + 10) ** 0.9, len(rows), rng)
    own = words[np.repeat(labels, 5), rng.integers(0, 12, 5 * len(labels))]
    shared = drawn(1 / (np.arange(n_columns) + 10), 40 * n, rng)
    where = np.r_[np.repeat(rows, 5), np.repeat(np.arange(n), 40)], np.r_[own, shared]
    counts = sparse.csr_matrix((np.ones(len(where[0]), np.float32), where), shape=(n, n_columns))
    proba = []
    for start in range(0, n, 2000):
        scores = (counts[start : start + 2000].sign() @ weights).tocsr()
        scores.data = 1 / (1 + np.exp(-4 * (scores.data - 3)))
        scores.data[scores.data < 2e-3] = 0
        scores.eliminate_zeros()
        proba.append(scores)
    proba = sparse.vstack(proba, format="csr")
    Y = proba.copy()
    Y.data = (rng.random(Y.nnz) < Y.data).astype(np.uint8)
    Y = Y.astype(np.uint8)
    Y.eliminate_zeros()
    from sklearn.feature_extraction.text import TfidfTransformer

    X = TfidfTransformer(sublinear_tf=True).fit(counts[:n_rows]).transform(counts).tocsr().astype(np.float32)
    return X[:n_rows], Y[:n_rows], X[n_rows:], Y[n_rows:], proba[n_rows:]


def drawn(weights, size, rng):
    return np.minimum(np.searchsorted(np.cumsum(weights) / np.sum(weights), rng.random(size)), len(weights) - 1)


def scores_of_ranking(top, Y, Y_test):
    """Return P@1, P@5 and PSP@5 (Jain et al., 2016), which weights rare labels more, of the 5 best labels of rows."""
    hits = np.array([np.isin(row, Y_test[[i]].indices) for i, row in enumerate(top)])
    frequency, n = np.asarray(Y.sum(axis=0)).ravel(), Y.shape[0]
    weight = 1 + (np.log(n) - 1) * 2.5**0.55 * (frequency + 1.5) ** -0.55
    best = sum(np.sort(weight[Y_test[[i]].indices])[::-1][:5].sum() for i in range(len(top)))
    return hits[:, 0].mean(), hits.mean(), (hits * weight[top]).sum() / best


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cpu_seconds(function):
    began = time.process_time()
    result = function()
    return time.process_time() - began, result


def skml_top(params, X, Y, X_test):
    from skml import KerasMultiLabelClassifier

    fit, clf = cpu_seconds(lambda: KerasMultiLabelClassifier(random_state=0, **params).fit(X, Y))
    predict, (top, _) = cpu_seconds(lambda: clf.predict_top_k(X_test, 5))
    network = clf.trained_network()
    return fit, predict, top, f"{network.widths[:-1]} x {network.n_members}"


def libsvm_file(X, Y, folder):
    path = Path(folder) / "train.txt"
    with path.open("w") as file:
        file.write(f"{X.shape[0]} {X.shape[1]} {Y.shape[1]}\n")
        for i in range(X.shape[0]):
            words = " ".join(f"{j}:{v:.5f}" for j, v in zip(X[[i]].indices, X[[i]].data, strict=True))
            file.write(",".join(map(str, Y[[i]].indices)) + " " + words + "\n")
    return str(path)


def omikuji_top(params, X, Y, X_test):
    import omikuji

    with tempfile.TemporaryDirectory() as folder:
        path = libsvm_file(X, Y, folder)
        hyper_param = omikuji.Model.default_hyper_param()
        hyper_param.n_trees = params["n_trees"]
        fit, model = cpu_seconds(lambda: omikuji.Model.train_on_data(path, hyper_param, n_threads=1))

    def predict():
        pairs = (list(zip(X_test[[i]].indices, X_test[[i]].data, strict=True)) for i in range(X_test.shape[0]))
        found = [[label for label, _ in model.predict(row, top_k=5)] for row in pairs]
        return np.array([row + [-1] * (5 - len(row)) for row in found])

    return fit, *cpu_seconds(predict), f"{params['n_trees']} trees"


def napkinxc_top(params, X, Y, X_test):
    from napkinxc.models import PLT

    with tempfile.TemporaryDirectory() as folder:
        model = PLT(folder, threads=1)
        fit, _ = cpu_seconds(lambda: model.fit(X, [Y[[i]].indices.tolist() for i in range(Y.shape[0])]))
        predict, top = cpu_seconds(lambda: model.predict(X_test, top_k=5))
    return fit, predict, np.array(top), "a label tree"


MODELS = {
    "skml": [
        (skml_top, {}),
        (skml_top, {"hidden_layer_sizes": (128, 128)}),
        (skml_top, {"hidden_layer_sizes": (128, 128), "n_members": 1}),
    ],
    "omikuji": [(omikuji_top, {"n_trees": 1}), (omikuji_top, {"n_trees": 3})],
    "napkinxc": [(napkinxc_top, {})],
}


def quality(package, number, n_labels):
    """Print a row of the first table."""
    columns, rows = (20_000, 10_000) if n_labels <= 1000 else (20_000, 15_000)
    X, Y, X_test, Y_test, proba = made(n_labels, columns, rows)
    if package == "Bayes":
        top = np.argsort(-proba.toarray(), axis=1)[:, :5]
        fit, predict, grown, what = 0, 0, 0, "the true probabilities"
    else:
        if package == "skml":
            import skml._training._run  # noqa: F401
        train, params = MODELS[package][number]
        before = peak()
        fit, predict, top, what = train(params, X, Y, X_test)
        grown = peak() - before
    scores = " ".join(f"{score:.3f}" for score in scores_of_ranking(top, Y, Y_test))
    return f"{package:8s} {what:24s} {fit:7.1f} s {grown:6.0f} MB {predict / 2000 * 1e6:6.0f} us   {scores}"


def epoch(n_labels):
    """Print the cost of an epoch of 1,000 rows, and of the five best labels of 500 rows."""
    X, Y, *_ = made(n_labels, 20_000, 1000, 10)
    import skml._training._run  # noqa: F401
    from skml import KerasMultiLabelClassifier

    before = peak()
    first, _ = cpu_seconds(lambda: KerasMultiLabelClassifier(random_state=0, epochs=1).fit(X, Y))
    grown = peak() - before
    second, clf = cpu_seconds(lambda: KerasMultiLabelClassifier(random_state=0, epochs=1).fit(X, Y))
    predict, _ = cpu_seconds(lambda: clf.predict_top_k(X[:500], 5))
    network = clf.trained_network()
    size = f"{network.widths[:-1]} x {network.n_members}"
    return f"{n_labels:7,} {size:16s} {first:6.1f} s {second:6.1f} s {grown:6.0f} MB {predict / 500 * 1e3:6.2f} ms"


def top_k(side, n_labels):
    """Print time and memory of the five best labels of 501 rows: `predict_top_k`, or a sort of all probabilities."""
    from skml._decisions._top_k import top_labels
    from skml._default_network._initial_weights import initial_weights
    from skml._default_network._network import DenseNetwork

    weights = initial_weights([1000, 32, 32, n_labels], np.random.RandomState(0), np.float32, n_members=5)
    network, X = DenseNetwork(weights, "relu", "sigmoid", 5), np.random.RandomState(1).randn(501, 1000)
    classes, X = np.arange(n_labels), X.astype(np.float32)
    before = peak()
    if side == "blocks":
        spent, _ = cpu_seconds(lambda: top_labels(network.proba_blocks(X), classes, 5))
    else:
        spent, _ = cpu_seconds(lambda: np.argsort(-network.proba(X), axis=1, kind="stable")[:, :5])
    return f"{side:8s} {spent:6.2f} s {peak() - before:6.0f} MB"


def around(n_labels):
    """Print the time of reading a DataFrame, of two scores and of the report."""
    import pandas as pd

    from skml._targets._encoder import TargetEncoder
    from skml.inspection import label_report
    from skml.metrics import average_precision_score, roc_auc_score

    rng = np.random.RandomState(0)
    Y, proba = (rng.rand(1000, n_labels) < 0.01).astype(np.uint8), rng.rand(1000, n_labels).astype(np.float32)
    frame = pd.DataFrame(Y[:20], columns=[f"label {j}" for j in range(n_labels)])
    work = {
        "DataFrame of 20 rows": lambda: TargetEncoder().fit_transform(frame),
        "ROC-AUC": lambda: roc_auc_score(Y, proba),
        "average precision": lambda: average_precision_score(Y, proba),
        "label_report": lambda: label_report(Y, proba),
    }
    return f"{n_labels:7,}  " + ", ".join(f"{name} {cpu_seconds(call)[0]:.2f} s" for name, call in work.items())


def many_rows(n_rows):
    """Print the cost of an epoch on dense rows."""
    rng = np.random.RandomState(0)
    X = rng.randn(n_rows, 50).astype(np.float32)
    Y = (X @ rng.randn(50, 10) + rng.randn(n_rows, 10) > 3).astype(np.uint8)
    import skml._training._run  # noqa: F401
    from skml import KerasMultiLabelClassifier

    KerasMultiLabelClassifier(random_state=0, epochs=1).fit(X, Y)
    before = peak()
    spent = [cpu_seconds(lambda e=e: KerasMultiLabelClassifier(random_state=0, epochs=e).fit(X, Y))[0] for e in (1, 3)]
    return f"{n_rows:7,}  {(spent[1] - spent[0]) / 2:6.2f} s {peak() - before:6.0f} MB"


def printed(function, *arguments):
    """Print the row that a function returns in a fresh process."""
    command = [sys.executable, __file__, "--", function.__name__, *map(json.dumps, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    print(done.stdout.splitlines()[-1] if done.returncode == 0 else done.stderr.splitlines()[-1], flush=True)


def tables():
    print(f"{N_LABELS:,} labels: fit, memory, prediction of a row, P@1, P@5, PSP@5")
    printed(quality, "Bayes", 0, N_LABELS)
    for package, models in MODELS.items():
        for number in range(len(models)) if find_spec(package) else ():
            printed(quality, package, number, N_LABELS)
    print("labels: network, first fit of one epoch of 1,000 rows, second, memory, top 5 of a row")
    for n_labels in (3_000, 10_000, 30_000):
        printed(epoch, n_labels)
    print("the 5 best of 100,000 labels for 501 rows: time, memory")
    printed(top_k, "blocks", 100_000)
    printed(top_k, "sorted", 100_000)
    print("labels: work around them, 1,000 rows")
    for n_labels in (3_000, 30_000):
        printed(around, n_labels)
    print("rows, dense 50, 10 labels: an epoch of the default network, memory of later fits")
    for n_rows in (4_000, 16_000, 64_000):
        printed(many_rows, n_rows)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    limit_threads()
    if sys.argv[1:2] == ["--"]:
        print(globals()[sys.argv[2]](*map(json.loads, sys.argv[3:])))
    else:
        tables()
