"""Lesson 10: beyond one machine, or beyond its memory.

1. `partial_fit` over the record batches of a Parquet file, in a process that may not take as much memory as the
   file's table would; then predictions for all its rows, into another file, in the same process.
2. Predictions for the blocks of a Dask array, on a cluster of two processes, which do not import TensorFlow for it.
3. A grid search on the same cluster, through joblib's backend.

The data are made up. Run it with ``python examples/10_beyond_one_machine.py``; it limits memory as Linux does.
"""

# %%
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Processes share the cores; and each thread would take memory of its own.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # another one reserves more than it uses

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dask.array as da
import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from dask.distributed import Client, LocalCluster
from sklearn.model_selection import GridSearchCV

from skml import KerasMultiLabelClassifier
from skml.model_selection import MultiLabelStratifiedKFold

START = time.perf_counter()
LABELS = ["blue", "green", "red"]
N_FEATURES, N_ROWS, BATCH = 100, 2**20, 2**14


def say(message):
    print(f"[{time.perf_counter() - START:4.0f} s] {message}", flush=True)


def made(n_samples, seed):
    """Return X, float64, and for each row its labels."""
    X = np.random.default_rng(seed).integers(-20, 20, (n_samples, N_FEATURES), dtype=np.int8) / 10
    Y = X[:, :3] + X[:, 3:6] > 1
    return X, [[label for label, has in zip(LABELS, row, strict=True) if has] for row in Y.tolist()]


# %%
# A table in a Parquet file, read and written by record batches. Its values repeat, so the file is small; as a table,
# or as an array, it is not.


def write_table(path):
    schema = pa.schema({"x": pa.list_(pa.float64(), N_FEATURES), "labels": pa.list_(pa.string())})
    with pq.ParquetWriter(path, schema) as writer:
        for seed in range(N_ROWS // BATCH):
            X, y = made(BATCH, seed)
            x = pa.FixedSizeListArray.from_arrays(X.ravel(), N_FEATURES)
            writer.write_batch(pa.record_batch([x, y], schema=schema))


def batches_of(path):
    # What is read ahead is kept until the end.
    return pq.ParquetFile(path, pre_buffer=False).iter_batches(BATCH)


def array_of(batch):
    return batch["x"].flatten().to_numpy().reshape(-1, N_FEATURES)


def train(clf, batches):
    for batch in batches:
        clf.partial_fit(array_of(batch), batch["labels"].to_pylist(), classes=LABELS)


def predict(clf, batches, path):
    schema = pa.schema(dict.fromkeys(LABELS, pa.float32()))
    with pq.ParquetWriter(path, schema) as writer:
        for batch in batches:
            proba = clf.predict_proba(array_of(batch))
            writer.write_batch(pa.record_batch([*proba.T], schema=schema))


# %%
# The limit is on what the process allocates (RLIMIT_DATA). TensorFlow takes 0.5 GB of it before it has seen a row, so
# the limit is set when it is at work.


def allocated():
    """Return the megabytes that count for the limit."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmData"))


def train_and_predict_within_a_limit(folder):
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=(32,), n_members=1, batch_size=1024, random_state=0)
    batches = batches_of(folder / "table.parquet")
    train(clf, [next(batches), next(batches)])
    limit = int(allocated()) + 150
    resource.setrlimit(resource.RLIMIT_DATA, (limit * 2**20, limit * 2**20))
    say(f"The table would take {N_ROWS * N_FEATURES * 8 / 2**20:.0f} MB; the process may take {limit} MB in all")
    try:
        np.empty((N_ROWS, N_FEATURES))
    except MemoryError as error:
        say(f"As one array: {error}")
    train(clf, batches)
    say(f"TrainingResult on {N_ROWS:,} rows; of new ones {clf.score(*made(5000, N_ROWS)):.1%} get exactly their labels")
    predict(clf, batches_of(folder / "table.parquet"), folder / "proba.parquet")
    say(f"Predicted {pq.read_metadata(folder / 'proba.parquet').num_rows:,} rows")
    joblib.dump(clf, folder / "clf.joblib")


# %%
# A fitted estimator is pickled to where the blocks are.


def predict_blocks(clf, client):
    X = da.random.default_rng(0).normal(size=(200_000, N_FEATURES), chunks=(25_000, N_FEATURES))
    chunks = (X.chunks[0], (len(LABELS),))
    proba = X.map_blocks(clf.predict_proba, chunks=chunks, meta=np.empty((0, 0), np.float32))
    shares = (proba >= 0.5).mean(axis=0).compute()
    shares = dict(zip(LABELS, shares.round(3).tolist(), strict=True))
    say(f"Labels of {len(X):,} rows in {X.npartitions} blocks: {shares}")
    same = np.array_equal(proba.blocks[3].compute(), clf.predict_proba(X.blocks[3].compute()))
    say(f"The fourth block is predicted as here: {same}; TensorFlow was imported: {processes_with_tensorflow(client)}")


def processes_with_tensorflow(client):
    return list(client.run(lambda: "tensorflow" in sys.modules).values())


# %%
# Each process trains; nothing but the backend's name changes.


def search(client):
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=(32,), n_members=2, epochs=20, random_state=0)
    cv = MultiLabelStratifiedKFold(2, random_state=0)
    grid = GridSearchCV(clf, {"learning_rate": [1e-4, 1e-2]}, cv=cv, refit=False)
    with joblib.parallel_config(backend="dask"):
        grid.fit(*made(1000, 0))
    say(f"Best of a grid search: {grid.best_params_}; TensorFlow was imported: {processes_with_tensorflow(client)}")


# %%
# Processes of a LocalCluster import this module again, and must not run it.


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_table(folder / "table.parquet")
        say(f"Wrote {N_ROWS:,} rows, {(folder / 'table.parquet').stat().st_size / 2**20:.0f} MB on disk")
        subprocess.run([sys.executable, __file__, folder], check=True)
        clf = joblib.load(folder / "clf.joblib")
    # Workers that have trained take longer to end than Dask waits; it would warn that it ends them.
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs="ERROR")
    with cluster, Client(cluster) as client:
        predict_blocks(clf, client)
        search(client)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        train_and_predict_within_a_limit(Path(sys.argv[1]))
    else:
        main()
