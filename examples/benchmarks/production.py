"""Measure stored models in new processes: file size, import, load, prediction of 1 and 100,000 rows, and memory.

Each model is trained for one epoch on 2,400 rows, 103 columns and 14 labels, and stored. All processes of a table have
the same number of threads, which is printed above it. The peak memory is that of the process after one row and after
all rows. The rows take 82 MB as float64; onnxruntime gets float32. Figures are medians of three processes.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# The imports of a process that predicts.
SIDES = {
    "skml, default": ("joblib", "skml"),
    "skml, (100,)": ("joblib", "skml"),
    "MLPClassifier (100,)": ("joblib", "sklearn.neural_network"),
    "scikeras, (100,)": ("joblib", "scikeras.wrappers"),
    "onnxruntime, default": ("onnxruntime",),
    "onnxruntime, (100,)": ("onnxruntime",),
}
COLUMNS = "MB on disk", "import s", "load s", "one row ms", "100,000 rows s", "MB, a row", "MB, all rows"
N_ROWS, N_FEATURES, N_LABELS = 100_000, 103, 14


def network():
    import keras

    layers = keras.layers.Dense(100, "relu"), keras.layers.Dense(N_LABELS, "sigmoid")
    return keras.Sequential([keras.Input((N_FEATURES,)), *layers])


def new(side):
    """Return an estimator that trains for one epoch."""
    from timing import PLAIN

    if side.startswith("MLP"):
        return import_module("sklearn.neural_network").MLPClassifier((100,), max_iter=1)
    if side.startswith("scikeras"):
        classifier = import_module("scikeras.wrappers").KerasClassifier
        return classifier(network, loss="binary_crossentropy", optimizer="adam", epochs=1, verbose=0)
    return import_module("skml").KerasMultiLabelClassifier(epochs=1, **({} if "default" in side else PLAIN))


def store(side, path):
    import joblib

    from timing import dense_problem

    clf = new(side).fit(*dense_problem(2400, N_FEATURES, N_LABELS))
    if side.startswith("onnx"):
        Path(path).write_bytes(import_module("skml.onnx").to_onnx(clf).SerializeToString())
    else:
        joblib.dump(clf, path)


def load(side, path, threads):
    """Return a function from rows to probabilities."""
    if not side.startswith("onnx"):
        return sys.modules["joblib"].load(path).predict_proba
    onnxruntime = sys.modules["onnxruntime"]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda X: session.run(["probabilities"], {name: X})[0]


def peak():
    """Return the peak resident memory of this process in MB; on Linux, ``getrusage`` includes the parent's."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def seconds(function):
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def measure(side, path, threads):
    """Return all columns of the table but the first."""
    importing = seconds(lambda: [import_module(name) for name in SIDES[side]])
    loaded = []
    loading = seconds(lambda: loaded.append(load(side, path, threads)))
    import numpy as np

    predict, dtype = loaded[0], np.float32 if side.startswith("onnx") else np.float64
    row = np.ones((1, N_FEATURES), dtype)
    predict(row)
    n_calls = 20 if side.startswith("scikeras") else 300
    one_row = statistics.median(seconds(lambda: predict(row)) for _ in range(n_calls))
    with_a_row = peak()
    X = np.random.default_rng(0).standard_normal((N_ROWS, N_FEATURES), dtype=dtype)
    all_rows = min(seconds(lambda: predict(X)) for _ in range(3))
    return importing, loading, 1000 * one_row, all_rows, with_a_row, peak()


def in_fresh_process(threads, *arguments):
    """Run this script with a number of threads for BLAS and TensorFlow; return the last line that it prints."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(threads)), "TF_NUM_INTEROP_THREADS": "1"}
    command = [sys.executable, __file__, str(threads), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    with tempfile.TemporaryDirectory() as folder:
        paths = {side: str(Path(folder, side)) for side in SIDES}
        for side, path in paths.items():
            in_fresh_process(1, "store", side, path)
        for threads in (1, 2):
            print(f"\nthreads of all models: {threads}", *COLUMNS, sep=" | ")
            for side, path in paths.items():
                runs = [in_fresh_process(threads, "measure", side, path) for _ in range(3)]
                figures = [Path(path).stat().st_size / 1e6, *map(statistics.median, zip(*runs, strict=True))]
                cells = [f"{figure:.3g}" if figure < 100 else f"{figure:.0f}" for figure in figures]
                print(side, *cells, sep=" | ", flush=True)


if len(sys.argv) > 1:
    threads, what, side, path = sys.argv[1:]
    print(json.dumps(store(side, path) if what == "store" else measure(side, path, int(threads))))
else:
    main()
