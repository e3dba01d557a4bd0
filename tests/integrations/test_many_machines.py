"""The page about many machines: its code runs on Dask, Ray and Spark, in two processes of this machine."""

import json
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "examples/site/guide/many_machines.md"
LABELS = list("abc")

START = {
    "Dask": """
import dask
from dask.distributed import LocalCluster

cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
dask.config.set({"scheduler-address": cluster.scheduler_address})
""",
    "Ray": """
import ray

ray.init(num_cpus=2, include_dashboard=False)
""",
    "Spark": "",
}
# Ray gives its own processes some seconds to start, which a busy machine may exceed.
SMALLEST = {
    "Ray": START["Ray"] + "print(ray.get(ray.remote(lambda: 'it works').remote()))",
    "Spark": "from pyspark.sql import SparkSession\nprint(SparkSession.builder.getOrCreate().range(3).count())",
}
STOP = {"Dask": "client.close()\ncluster.close()", "Ray": "ray.shutdown()", "Spark": "spark.stop()"}
VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYSPARK_PYTHON": sys.executable,
    "PYSPARK_SUBMIT_ARGS": "--master local[2] --conf spark.python.worker.reuse=false"
    " --conf spark.ui.enabled=false pyspark-shell",
    "SPARK_LOCAL_IP": "127.0.0.1",
}
SHOW = """
print(json.dumps([countries, int(n_of_country["LI"]), n_of_label.to_dict(), float(clf.threshold)]))
"""


def code_for(engine):
    """Return the code of the page without that of other engines."""
    text = re.sub(rf"^:::\{{tab-item\}} (?!{engine}).*?^:::$", "", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    return "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))


def write_rows(folder):
    """Write rows of three labels, the last one only for Germany; some rows have no country, or a rare one.

    Of the files that train, only those of the second process have rows of Germany.
    """
    import pandas as pd

    folder.mkdir(parents=True)
    frames, order = [], [0, 1, 2, 3]
    random.Random(0).shuffle(order)  # as on the page
    for i in range(5):
        rng = np.random.default_rng(i)
        X = rng.normal(size=(800, 45)).astype(np.float32)
        frequencies = [0.45, 0, 0.05, 0.5] if i in order[::2] else [0.1, 0.8, 0, 0.1]
        country = rng.choice(["AT", "DE", "LI", None], 800, p=frequencies)
        Y = np.column_stack([X[:, 0] > 0, X[:, 1] > 0.5, country == "DE"])
        X[:10, 2] = np.nan
        frame = pd.DataFrame(X, columns=[f"c{j}" for j in range(45)])
        frame["id"], frame["country"] = np.arange(800) + 800 * i, country
        frame["labels"] = [[label for label, has in zip(LABELS, row, strict=True) if has] for row in Y]
        frame.to_parquet(folder / f"{i}.parquet", index=False)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize(
    ("engine", "package"),
    [
        pytest.param("Dask", "dask.distributed", marks=pytest.mark.slow),
        pytest.param("Ray", "ray", marks=pytest.mark.integrations),
        pytest.param("Spark", "pyspark", marks=pytest.mark.integrations),
    ],
)
def test_the_code_of_the_page_runs(engine, package, needs, run_python, tmp_path):
    for name in ("pandas", "pyarrow", package):
        needs(name)
    if engine == "Spark" and not shutil.which("java"):
        pytest.skip("needs Java")
    if engine in SMALLEST:
        try:
            run_python(SMALLEST[engine], timeout=180, **VARIABLES)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"{engine} does not start here: {str(error)[-300:]}")
    import pandas as pd

    rows = write_rows(tmp_path / "data/rows")
    code = code_for(engine)
    printed = run_python(START[engine] + code + SHOW + STOP[engine], **VARIABLES)
    countries, n_of_rare, n_of_label, threshold = json.loads(re.search(r"^\[\[.*", printed, re.MULTILINE)[0])
    assert countries == ["AT", "DE"]
    assert n_of_rare == (rows["country"] == "LI").sum() > 0
    assert n_of_label == rows["labels"].explode().value_counts().to_dict()
    assert float(re.search(r"subset accuracy ([\d.]+)", printed)[1]) > 0.8

    clf = joblib.load(tmp_path / "data/clf.joblib").set_params(threshold=threshold)
    X = np.column_stack([rows[[f"c{i}" for i in range(45)]], rows["country"] == "AT", rows["country"] == "DE"])
    predicted = pd.read_parquet(tmp_path / "data/predicted").sort_values("id")
    assert predicted["id"].tolist() == rows["id"].tolist()
    assert predicted["labels"].str.contains("c")[rows["country"].to_numpy() == "DE"].mean() > 0.9
    same = predicted["labels"].to_numpy() == [";".join(labels) for labels in clf.predict(X.astype(np.float32))]
    assert same.mean() > 0.999  # in blocks of other sizes, a probability may differ in its last digit
