"""Parts of a large table: blocks of a Dask array, record batches of a Parquet file."""

import numpy as np
import pytest

from estimators import tiny


def test_blocks_of_a_dask_array_are_predicted_as_the_whole(fitted, X):
    da = pytest.importorskip("dask.array")
    blocks = da.from_array(X, chunks=(30, X.shape[1]))
    proba = blocks.map_blocks(fitted.predict_proba, chunks=(blocks.chunks[0], (3,)), meta=np.empty((0, 0), "f"))
    np.testing.assert_allclose(proba.compute(), fitted.predict_proba(X), atol=1e-7)
    labels = blocks.map_blocks(fitted.predict, drop_axis=1, dtype=object)
    np.testing.assert_array_equal(labels.compute(), fitted.predict(X))


def test_record_batches_are_learned_and_predicted_as_arrays(X, label_sets, tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    x = pa.FixedSizeListArray.from_arrays(X.ravel(), X.shape[1])
    pq.write_table(pa.table({"x": x, "labels": [sorted(labels) for labels in label_sets]}), tmp_path / "table.parquet")
    ours, theirs = tiny(classes=list("abc")), tiny(classes=list("abc"))
    for i, batch in enumerate(pq.ParquetFile(tmp_path / "table.parquet").iter_batches(40)):
        part = slice(40 * i, 40 * (i + 1))
        ours.partial_fit(batch["x"].flatten().to_numpy().reshape(-1, X.shape[1]), batch["labels"].to_pylist())
        theirs.partial_fit(X[part], label_sets[part])
    np.testing.assert_array_equal(ours.predict_proba(X), theirs.predict_proba(X))
