"""Lesson 10: data larger than memory, and several machines
========================================================

1. `fit_batches` over the record batches of a Parquet file, in a process whose memory limit is lower than the size of
   the table: with early stopping and a tuned threshold, from blocks that are held out. The same process then predicts
   all rows and writes the probabilities to another file.
2. Texts in a Parquet file, which become sparse rows when a batch is read.
3. Predictions for the blocks of a Dask array on a cluster of two processes, which need not import TensorFlow.
4. A grid search on the same cluster, with joblib's Dask backend.

The data are generated. Run this lesson with ``python examples/10_beyond_one_machine.py``. It needs Linux, because it
sets a memory limit with RLIMIT_DATA.
"""

# %%
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The processes share the cores, and each additional thread would need memory.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # the other pools reserve more than they use

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
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.model_selection import GridSearchCV

from skml import KerasMultiLabelClassifier
from skml.model_selection import MultiLabelStratifiedKFold

START = time.perf_counter()
LABELS = ["blue", "green", "red"]
N_FEATURES, N_ROWS, BATCH = 100, 2**20, 2**14


def log(message):
    print(f"[{time.perf_counter() - START:4.0f} s] {message}", flush=True)


def make_rows(n_samples, seed):
    """Return X of dtype float64 and a list of labels for each row."""
    X = np.random.default_rng(seed).integers(-20, 20, (n_samples, N_FEATURES), dtype=np.int8) / 10
    Y = X[:, :3] + X[:, 3:6] > 1
    return X, [[label for label, has in zip(LABELS, row, strict=True) if has] for row in Y.tolist()]


# %%
# The Parquet file is written and read in record batches. The file is small because its values repeat; the table in
# memory is large.


def write_table(path):
    schema = pa.schema({"x": pa.list_(pa.float64(), N_FEATURES), "labels": pa.list_(pa.string())})
    with pq.ParquetWriter(path, schema) as writer:
        for seed in range(N_ROWS // BATCH):
            X, y = make_rows(BATCH, seed)
            x = pa.FixedSizeListArray.from_arrays(X.ravel(), N_FEATURES)
            writer.write_batch(pa.record_batch([x, y], schema=schema))


def read_blocks(path):
    """Yield X and the labels of each record batch."""
    # With pre_buffer=True, all data read so far would stay in memory.
    for batch in pq.ParquetFile(path, pre_buffer=False).iter_batches(BATCH):
        yield batch["x"].flatten().to_numpy().reshape(-1, N_FEATURES), batch["labels"].to_pylist()


def predict(clf, blocks, path):
    schema = pa.schema(dict.fromkeys(LABELS, pa.float32()))
    with pq.ParquetWriter(path, schema) as writer:
        for X, _ in blocks:
            writer.write_batch(pa.record_batch([*clf.predict_proba(X).T], schema=schema))


# %%
# `fit_batches` calls the reader once for each pass. The first pass counts rows, holds some out and samples others; the
# others train. Nothing but a buffer, in which rows are mixed, and the two samples is in memory.
#
# RLIMIT_DATA limits the memory that the process allocates. TensorFlow allocates 0.5 GB before training starts, so we
# set the limit after a first, small fit, relative to the memory allocated at that time.


def allocated():
    """Return the allocated memory that counts towards the limit, in MB."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmData"))


def train_and_predict_within_a_limit(folder):
    clf = KerasMultiLabelClassifier(
        hidden_layer_sizes=(32,), batch_size=1024, epochs=1, threshold="f1_micro", random_state=0
    )
    clf.fit_batches([make_rows(1000, 0)], classes=LABELS)
    limit = int(allocated()) + 500
    resource.setrlimit(resource.RLIMIT_DATA, (limit * 2**20, limit * 2**20))
    log(f"The table would take {N_ROWS * N_FEATURES * 8 / 2**20:.0f} MB; the process may allocate 500 MB for data")
    try:
        np.empty((N_ROWS, N_FEATURES))
    except MemoryError as error:
        log(f"As one array: {error}")
    clf.fit_batches(lambda: read_blocks(folder / "table.parquet"), classes=LABELS)
    losses = ", ".join(f"{loss:.3f}" for loss in clf.history_["val_loss"][:: len(clf.history_["val_loss"]) // 5])
    log(f"Loss on held-out rows as training goes on: {losses}; tuned threshold {clf.threshold_:.2f}")
    log(f"Trained on {N_ROWS:,} rows; subset accuracy on new rows: {clf.score(*make_rows(5000, N_ROWS)):.1%}")
    predict(clf, read_blocks(folder / "table.parquet"), folder / "proba.parquet")
    log(f"Predicted {pq.read_metadata(folder / 'proba.parquet').num_rows:,} rows")
    joblib.dump(clf, folder / "clf.joblib")


# %%
# A HashingVectorizer needs no vocabulary, so it has nothing to learn from all texts: the reader of batches can call it.
# Only the rows of a block are vectors at a time, and they stay sparse.

WORDS = {"blue": ["sea", "sky"], "green": ["grass", "leaf"], "red": ["brick", "rose"]}


def make_texts(n_samples, seed):
    """Return texts of ten words, and the labels of which they contain a word."""
    rng = np.random.default_rng(seed)
    vocabulary = np.array([word for words in WORDS.values() for word in words] + [f"w{i}" for i in range(2000)])
    texts = [" ".join(vocabulary[row]) for row in (rng.pareto(0.5, (n_samples, 10)).astype(int) % len(vocabulary))]
    return texts, [[label for label, words in WORDS.items() if set(words) & set(text.split())] for text in texts]


def write_texts(path):
    schema = pa.schema({"text": pa.string(), "labels": pa.list_(pa.string())})
    with pq.ParquetWriter(path, schema) as writer:
        for seed in range(20):
            writer.write_batch(pa.record_batch([*map(pa.array, make_texts(2500, seed))], schema=schema))


def train_on_texts(folder):
    vectorizer = HashingVectorizer(n_features=2**16, alternate_sign=False)

    def read():
        for batch in pq.ParquetFile(folder / "texts.parquet").iter_batches(2500):
            yield vectorizer.transform(batch["text"].to_pylist()), batch["labels"].to_pylist()

    write_texts(folder / "texts.parquet")
    clf = KerasMultiLabelClassifier(epochs=3, random_state=0).fit_batches(read, classes=LABELS)
    texts, y = make_texts(5000, 20)
    log(f"Trained on 50,000 texts; subset accuracy on new ones: {clf.score(vectorizer.transform(texts), y):.1%}")


# %%
# Dask sends the fitted estimator, pickled, to the processes that hold the blocks.


def predict_blocks(clf, client):
    X = da.random.default_rng(0).normal(size=(200_000, N_FEATURES), chunks=(25_000, N_FEATURES))
    chunks = (X.chunks[0], (len(LABELS),))
    proba = X.map_blocks(clf.predict_proba, chunks=chunks, meta=np.empty((0, 0), np.float32))
    shares = (proba >= 0.5).mean(axis=0).compute()
    shares = dict(zip(LABELS, shares.round(3).tolist(), strict=True))
    log(f"Fraction of {len(X):,} rows with each label, in {X.npartitions} blocks: {shares}")
    same = np.array_equal(proba.blocks[3].compute(), clf.predict_proba(X.blocks[3].compute()))
    log(f"Same predictions as in this process: {same}; TensorFlow was imported: {processes_with_tensorflow(client)}")


def processes_with_tensorflow(client):
    return list(client.run(lambda: "tensorflow" in sys.modules).values())


# %%
# The candidates are trained on the cluster. Only the name of joblib's backend changes.


def search(client):
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=(32,), n_members=2, epochs=20, random_state=0)
    cv = MultiLabelStratifiedKFold(2, random_state=0)
    grid = GridSearchCV(clf, {"learning_rate": [1e-4, 1e-2]}, cv=cv, refit=False)
    with joblib.parallel_config(backend="dask"):
        grid.fit(*make_rows(1000, 0))
    log(f"Best of a grid search: {grid.best_params_}; TensorFlow was imported: {processes_with_tensorflow(client)}")


# %%
# The processes of a LocalCluster import this module, so its main part must not run on import.


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_table(folder / "table.parquet")
        log(f"Wrote {N_ROWS:,} rows, {(folder / 'table.parquet').stat().st_size / 2**20:.0f} MB on disk")
        subprocess.run([sys.executable, __file__, folder], check=True)
        clf = joblib.load(folder / "clf.joblib")
        train_on_texts(folder)
    # Workers that have imported TensorFlow stop too slowly for Dask, which then logs a warning.
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs="ERROR")
    with cluster, Client(cluster) as client:
        predict_blocks(clf, client)
        search(client)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        train_and_predict_within_a_limit(Path(sys.argv[1]))
    else:
        main()
