"""Measure how quality and cost grow with the number of labels and of rows, on generated data.

`scale.py` prints all tables in about half an hour; `scale.py rows growth` prints some of them: see `TABLES`. The peers
omikuji and napkinXC are measured if they are installed. Times are CPU seconds of one thread, and memory is the growth
of the peak of a fresh process above the data. It needs Linux, which can forget the peak of making the data.
"""

import json
import os
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

from timing import limit_threads, sparse_matrix

# Terms of the log-odds of each label, for many rows.
KINDS = ["product", "product", "product", "absolute", "maximum", "box"]

# Rows of the test set of many rows, and of each part in which rows are made.
N_TEST = 20_000


def made_texts(n_labels, n_columns, n_rows, n_test=2000, seed=0):
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


def made_rows(n_rows):
    """Return 50 columns and 10 labels for training and test, and the true probabilities of the test rows.

    The log-odds of a label are a sum of six products, absolute values, maxima and boxes of columns. Each part of the
    rows has a seed of its own, so that fewer rows are the first ones of more. The first part is the test set.
    """
    rng = np.random.default_rng(0)
    terms = [[new_term(rng, kind) for kind in KINDS] for _ in range(10)]
    shift = rng.uniform(0, 1.2, 10)
    X, Y = np.empty((N_TEST + n_rows, 50), np.float32), np.empty((N_TEST + n_rows, 10), np.uint8)
    for start in range(0, len(X), N_TEST):
        rng, part = np.random.default_rng([1, start]), X[start : start + N_TEST]
        part[:] = rng.normal(size=(N_TEST, 50))[: len(part)]
        scores = np.transpose([sum(value_of(part, *term) for term in label) for label in terms])
        if start == 0:
            mean, deviation = scores.mean(axis=0), scores.std(axis=0)
        proba = 1 / (1 + np.exp(-4.2 * ((scores - mean) / deviation - shift)))
        Y[start : start + N_TEST] = rng.random((N_TEST, 10))[: len(part)] < proba
        if start == 0:
            truth = proba
    return X[N_TEST:], Y[N_TEST:], X[:N_TEST], Y[:N_TEST], truth


def new_term(rng, kind):
    """Return two columns, the kind, the weight and two bounds of a term."""
    return *rng.choice(50, 2, False), kind, rng.choice([-1, 1]) * rng.uniform(0.5, 1.5), *rng.normal(size=2)


def value_of(X, i, j, kind, weight, low, high):
    """Return what a term adds to the log-odds of a label. All kinds have about the same deviation."""
    a, b = X[:, i], X[:, j]
    if kind == "product":
        return weight * a * b
    if kind == "absolute":
        return weight * 1.7 * np.abs(a)
    if kind == "maximum":
        return weight * 1.2 * np.maximum(a, b)
    return weight * 2.2 * ((np.abs(a - low / 2) < 0.8) & (b > high / 2))


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(work):
    """Return the CPU seconds of a function, the growth of the peak of memory in MB, and its result."""
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    before, began = peak(), time.process_time()
    result = work()
    return time.process_time() - began, peak() - before, result


def network_of(clf):
    network = clf.trained_network()
    return f"{network.widths[:-1]} x {network.n_members}"


def skml_top(params, X, Y, X_test):
    import skml._training._run  # noqa: F401
    from skml import KerasMultiLabelClassifier

    fit, grown, clf = measured(lambda: KerasMultiLabelClassifier(random_state=0, **params).fit(X, Y))
    predict, _, (top, _) = measured(lambda: clf.predict_top_k(X_test, 5))
    return fit, grown, predict, top, network_of(clf)


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
        fit, grown, model = measured(lambda: omikuji.Model.train_on_data(path, hyper_param, n_threads=1))

    def predict():
        pairs = (list(zip(X_test[[i]].indices, X_test[[i]].data, strict=True)) for i in range(X_test.shape[0]))
        found = [[label for label, _ in model.predict(row, top_k=5)] for row in pairs]
        return np.array([row + [-1] * (5 - len(row)) for row in found])

    predict, _, top = measured(predict)
    return fit, grown, predict, top, f"trees: {params['n_trees']}"


def napkinxc_top(params, X, Y, X_test):
    from napkinxc.models import PLT

    y = [sorted(Y[[i]].indices.tolist()) for i in range(Y.shape[0])]  # napkinXC 0.7.2 crashes on unsorted labels
    with tempfile.TemporaryDirectory() as folder:
        model = PLT(folder, threads=1)
        fit, grown, _ = measured(lambda: model.fit(X, y))
        predict, _, top = measured(lambda: model.predict(X_test, top_k=5))
    return fit, grown, predict, np.array(top), "a label tree"


HIDDEN = {"hidden_layer_sizes": (128, 128)}
PEERS = [
    ("omikuji", omikuji_top, {"n_trees": 1}),
    ("omikuji", omikuji_top, {"n_trees": 3}),
    ("napkinxc", napkinxc_top, {}),
]
LABEL_MODELS = {
    100: [("skml", skml_top, {}), *PEERS],
    1_000: [("skml", skml_top, params) for params in ({}, HIDDEN, HIDDEN | {"n_members": 1})] + PEERS,
    4_000: [("skml", skml_top, params) for params in ({}, HIDDEN | {"n_members": 1})] + PEERS,
}


def quality(n_labels, number):
    n_rows, n_columns = {100: (5_000, 5_000), 1_000: (10_000, 20_000), 4_000: (15_000, 20_000)}[n_labels]
    X, Y, X_test, Y_test, proba = made_texts(n_labels, n_columns, n_rows)
    if number is None:
        top = np.argsort(-proba.toarray(), axis=1)[:, :5]
        fit, grown, predict, package, what = 0, 0, 0, "Bayes", "the true probabilities"
    else:
        package, train, params = LABEL_MODELS[n_labels][number]
        fit, grown, predict, top, what = train(params, X, Y, X_test)
    scores = " ".join(f"{score:.3f}" for score in scores_of_ranking(top, Y, Y_test))
    return f"{n_labels:6,} {package:8s} {what:24s} {fit:7.1f} s {grown:6.0f} MB {predict * 500:6.0f} us   {scores}"


def labels():
    print("labels: model, fit, memory, prediction of a row, P@1, P@5, PSP@5")
    for n_labels, models in LABEL_MODELS.items():
        printed(quality, n_labels, None)
        for number, (package, *_) in enumerate(models):
            if find_spec(package):
                printed(quality, n_labels, number)


def epoch(n_labels):
    X, Y, *_ = made_texts(n_labels, 20_000, 1000, 10)
    import skml._training._run  # noqa: F401
    from skml import KerasMultiLabelClassifier

    first, grown, _ = measured(lambda: KerasMultiLabelClassifier(random_state=0, epochs=1).fit(X, Y))
    second, _, clf = measured(lambda: KerasMultiLabelClassifier(random_state=0, epochs=1).fit(X, Y))
    predict, *_ = measured(lambda: clf.predict_top_k(X[:500], 5))
    return f"{n_labels:7,} {network_of(clf):18s} {first:6.1f} s {second:6.1f} s {grown:6.0f} MB {predict * 2:6.2f} ms"


def epochs():
    print("labels: network, first fit of one epoch of 1,000 rows, second, memory, top 5 of a row")
    for n_labels in (3_000, 10_000, 30_000, 100_000):
        printed(epoch, n_labels)


def best(side, n_labels):
    from skml._decisions._top_k import top_labels
    from skml._default_network._initial_weights import initial_weights
    from skml._default_network._network import DenseNetwork

    weights = initial_weights([1000, 32, 32, n_labels], np.random.RandomState(0), np.float32, n_members=5)
    network, X = DenseNetwork(weights, "relu", "sigmoid", 5), np.random.RandomState(1).randn(501, 1000)
    classes, X = np.arange(n_labels), X.astype(np.float32)
    work = {
        "predict_top_k": lambda: top_labels(network.proba_blocks(X), classes, 5),
        "predict_proba": lambda: network.proba(X),
        "predict_proba, sorted": lambda: np.argsort(-network.proba(X), axis=1, kind="stable")[:, :5],
    }
    spent, grown, _ = measured(work[side])
    return f"{side:22s} {spent:6.2f} s {grown:6.0f} MB"


def top_k():
    print("the 5 best of 100,000 labels for 501 rows and five members of 32, 32: time, memory")
    for side in ("predict_top_k", "predict_proba", "predict_proba, sorted"):
        printed(best, side, 100_000)


def work_around(n_labels):
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
    return f"{n_labels:7,}  " + ", ".join(f"{name} {measured(call)[0]:.2f} s" for name, call in work.items())


def around():
    print("labels: work around them, 1,000 rows")
    for n_labels in (3_000, 30_000):
        printed(work_around, n_labels)


def skml(**params):
    from skml import KerasMultiLabelClassifier

    return KerasMultiLabelClassifier(n_members=1, random_state=0, **params)


def by_blocks(X, Y):
    parts = [slice(start, start + 20_000) for start in range(0, len(X), 20_000)]
    return skml().fit_batches(lambda: ((X[part], Y[part]) for part in parts))


def by_chunks(X, Y):
    clf, size = skml(), len(X) // 20
    for start in range(0, len(X), size):
        clf.partial_fit(X[start : start + size], Y[start : start + size])
    return clf


def sklearn_mlp(X, Y):
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier((256, 256), batch_size=256, max_iter=20, random_state=0).fit(X, Y)


def one_per_label(classifier, X, Y):
    from sklearn.multiclass import OneVsRestClassifier

    clf = OneVsRestClassifier(classifier).fit(X, Y)
    clf.n_iter_ = round(np.mean([label.n_iter_ for label in clf.estimators_]))
    return clf


def boosting(X, Y):
    from sklearn.ensemble import HistGradientBoostingClassifier

    return one_per_label(HistGradientBoostingClassifier(random_state=0), X, Y)


def sgd(X, Y):
    from sklearn.linear_model import SGDClassifier

    return one_per_label(SGDClassifier(loss="log_loss", random_state=0), X, Y)


ROW_MODELS = {
    "skml": lambda X, Y: skml().fit(X, Y),
    "skml, epochs=1": lambda X, Y: skml(epochs=1).fit(X, Y),
    "skml, fit_batches": by_blocks,
    "skml, partial_fit": by_chunks,
    "MLPClassifier": sklearn_mlp,
    "boosting, one per label": boosting,
    "SGD logistic": sgd,
}


def many_rows(model, n_rows):
    from skml.metrics import log_loss

    X, Y, X_test, Y_test, truth = made_rows(n_rows)
    if model == "Bayes":
        return f"{n_rows:9,} the true probabilities {log_loss(Y_test, truth):.4f}"
    if model.startswith("skml"):
        import skml._training._run  # noqa: F401
    fit, grown, clf = measured(lambda: ROW_MODELS[model](X, Y))
    loss = log_loss(Y_test, clf.predict_proba(X_test))
    return f"{n_rows:9,} {model:24s} {clf.n_iter_:4d} {fit:7.1f} s {grown:6.0f} MB {loss:.4f}"


def rows():
    print(
        "rows, dense 50, 10 labels: model (skml: n_members=1), epochs or rounds, fit, memory, log-loss of 20,000 rows"
    )
    printed(many_rows, "Bayes", 100_000)
    for model in ("skml", "MLPClassifier", "boosting, one per label", "SGD logistic"):
        printed(many_rows, model, 100_000)
    for model in list(ROW_MODELS)[:4]:
        printed(many_rows, model, 1_000_000)


def cost_of_epoch(n_rows, n_columns, per_row, n_labels):
    """Return the cost of an epoch of the default network; X is dense if all columns have values."""
    import skml._training._run  # noqa: F401
    from skml import KerasMultiLabelClassifier

    rng = np.random.RandomState(0)
    if per_row < n_columns:
        X, Y = sparse_matrix(n_rows, n_columns, per_row), sparse_matrix(n_rows, n_labels, 5, seed=1, dtype=np.uint8)
    else:
        X = rng.randn(n_rows, n_columns).astype(np.float32)
        Y = (X @ rng.randn(n_columns, n_labels) + rng.randn(n_rows, n_labels) > 3).astype(np.uint8)

    def fit(epochs):
        return measured(lambda: KerasMultiLabelClassifier(random_state=0, epochs=epochs).fit(X, Y))

    _, grown, clf = fit(1)
    spent = (fit(3)[0] - fit(1)[0]) / 2
    shape = f"{n_rows:7,} x {n_columns:6,}, {per_row:3d} values, {n_labels:5,} labels"
    return f"{shape}  {network_of(clf):18s} {spent:6.2f} s {grown:6.0f} MB"


def growth():
    print("rows x columns: default network, an epoch of later fits, memory of the first fit")
    shapes = [(n, 50, 50, 10) for n in (4_000, 16_000, 64_000)]
    shapes += [(n, 20_000, 50, 200) for n in (2_000, 8_000, 32_000)]
    shapes += [(4_000, 20_000, n, 200) for n in (25, 100, 400)]
    shapes += [(4_000, 20_000, 50, n) for n in (100, 400, 1_600, 6_400)]
    for shape in shapes:
        printed(cost_of_epoch, *shape)


TABLES = [rows, labels, epochs, top_k, around, growth]


def printed(function, *arguments):
    """Print the line that a function returns in a fresh process."""
    command = [sys.executable, __file__, "--", function.__name__, *map(json.dumps, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    failed = f"failed with code {done.returncode}: {done.stderr[-200:]}"
    print(failed if done.returncode else done.stdout.splitlines()[-1], flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    limit_threads()
    if sys.argv[1:2] == ["--"]:
        print(globals()[sys.argv[2]](*map(json.loads, sys.argv[3:])))
    else:
        for table in TABLES:
            if not sys.argv[1:] or table.__name__ in sys.argv[1:]:
                table()
