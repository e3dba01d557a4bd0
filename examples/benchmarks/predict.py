"""Time predictions of the default network and of one member against MLPClassifier and Keras.

Both libraries have the same number of threads, and each number of threads is measured in a new process. For one text in
a Pipeline, the time of the vectoriser alone is measured too.
"""

import subprocess
import sys
import time
import warnings

import keras
import numpy as np
import tensorflow as tf
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from skml import KerasMultiLabelClassifier
from timing import PLAIN, compare, dense_problem, show

# One member of the size of MLPClassifier, which scales X as it does by default.
ONE = {**PLAIN, "scale": "auto"}


def repeated(function, argument, calls):
    return lambda: [function(argument) for _ in range(calls)]


def dense_rows(threads):
    X, Y = dense_problem(100_000, 103, 14)
    one, default = (
        KerasMultiLabelClassifier(epochs=1, random_state=0, **size).fit(X[:2400], Y[:2400]) for size in (ONE, {})
    )
    mlp = MLPClassifier((100,), max_iter=1).fit(X[:2400], Y[:2400])
    for n_rows, calls, aims in [(1, 500, (1.0, 2.0)), (100, 100, (1.0, "-")), (100_000, 1, (0.75, "-"))]:
        for name, ours, aim in zip(("one", "default"), (one, default), aims, strict=True):
            if name == "one" or n_rows < 1000:
                sides = (repeated(side.predict_proba, X[:n_rows], calls) for side in (ours, mlp))
                a, b, ratio = compare(*sides)
                show(f"{name}, {n_rows:,} rows, {threads}", a / calls, b / calls, ratio, aim, "MLPClassifier")
    far = X + 3
    one.fit(far[:2400], Y[:2400])
    a, b, ratio = compare(repeated(one.predict_proba, far, 1), repeated(mlp.predict_proba, far, 1))
    show(f"one, columns far from 0, {threads}", a, b, ratio, 0.75, "MLPClassifier")
    model = default.to_keras()
    for name in ("predict_proba", "predict"):
        ours = repeated(getattr(default, name), X, 1)
        sides = [compare(ours, lambda size=size: model.predict(X, size, verbose=0), 3) for size in (2048, 8192)]
        a, b, ratio = min(sides, key=lambda side: side[1])
        show(f"default {name}, 100,000 rows, {threads}", a, b, ratio, 1.1, "Model.predict")


def custom_network(threads):
    X, Y = dense_problem(100_000, 103, 14)

    def network(meta):
        head = keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])
        return keras.Sequential([keras.layers.Dense(100, "relu"), keras.layers.BatchNormalization(), head])

    custom = KerasMultiLabelClassifier(network, epochs=1, early_stopping=False).fit(X[:2400], Y[:2400])
    model = custom.to_keras()
    for n_rows, calls, aim in [(1, 10, 0.02), (100_000, 1, 1.0)]:
        ours = repeated(custom.predict_proba, X[:n_rows], calls)
        rows = X[:n_rows]
        theirs = repeated(lambda rows: model.predict(rows, 8192, verbose=0), rows, calls)
        a, b, ratio = compare(ours, theirs, 3)
        show(f"custom network, {n_rows:,} rows, {threads}", a / calls, b / calls, ratio, aim, "Model.predict")


def one_text(threads):
    rng = np.random.RandomState(0)
    words = np.array([f"w{i}" for i in range(20_000)])
    texts = [" ".join(words), *(" ".join(words[(20_000 * rng.rand(80) ** 2).astype(int)]) for _ in range(1000))]
    Y = (rng.rand(len(texts), 14) < 0.1).astype(int)
    clf = KerasMultiLabelClassifier(epochs=1, n_members=5, random_state=0)
    pipeline = make_pipeline(TfidfVectorizer(), clf).fit(texts, Y)
    a, b, _ = compare(repeated(pipeline.predict, texts[-1:], 200), repeated(pipeline[0].transform, texts[-1:], 200))
    print(
        f"one text, {threads}: {(a - b) / 200 * 1e3:.2f} ms more than the vectoriser's {b / 200 * 1e3:.2f} ms (aim .3)"
    )


def limit(threads):
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    return threadpool_limits(threads)


if len(sys.argv) > 1:
    warnings.simplefilter("ignore")
    n_threads = int(sys.argv[1])
    with limit(n_threads):
        for measure in (dense_rows, custom_network, one_text):
            measure(f"{n_threads} and {n_threads} threads")
            time.sleep(1)
else:
    for n_threads in (1, 2):
        subprocess.run([sys.executable, __file__, str(n_threads)], check=True)
