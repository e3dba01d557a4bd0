"""MLflow: what it records of a fit, and models that it stores."""

import os
from textwrap import dedent

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from estimators import SMALL
from skml import KerasMultiLabelClassifier

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when MLflow is imported: tests use no network
mlflow = pytest.importorskip("mlflow", reason="needs MLflow: pip install -e '.[integrations]'")

pytestmark = [
    pytest.mark.integrations,
    pytest.mark.filterwarnings("ignore::FutureWarning:sklearn", "ignore:The y_prob values do not sum:UserWarning"),
]


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """Let MLflow keep all in a folder; return what a fresh process needs to read it."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    before = mlflow.get_tracking_uri()
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("skml", f"file://{tmp_path}/artifacts"))
    yield uri
    mlflow.sklearn.autolog(disable=True)
    mlflow.set_tracking_uri(before)


def pipeline():
    return make_pipeline(StandardScaler(), KerasMultiLabelClassifier(**SMALL))


@pytest.mark.parametrize("form", ["frame", "sets"])
def test_autolog_records_parameters_scores_and_the_model_of_a_pipeline(form, X, Y, label_sets):
    mlflow.sklearn.autolog()
    X = pd.DataFrame(X, columns=list("pqrst"))
    y = pd.DataFrame(Y, columns=list("abc")) if form == "frame" else label_sets
    with mlflow.start_run() as run:
        model = pipeline().fit(X, y)
    data = mlflow.get_run(run.info.run_id).data
    assert data.params["kerasmultilabelclassifier__hidden_layer_sizes"] == "(8, 8)"
    proba = model.predict_proba(X)
    assert data.metrics["training_score"] == accuracy_score(Y, proba >= 0.5)
    if form == "frame":  # scikit-learn's metrics, which take no label sets
        assert data.metrics["training_f1_score"] == pytest.approx(f1_score(Y, proba >= 0.5, average="weighted"))
    (logged,) = mlflow.search_logged_models(output_format="list")
    np.testing.assert_array_equal(mlflow.sklearn.load_model(logged.model_uri).predict_proba(X), proba)
    np.testing.assert_array_equal(mlflow.pyfunc.load_model(logged.model_uri).predict(X), model.predict(X))


@pytest.mark.parametrize("format", ["cloudpickle", "pickle"])
def test_a_logged_model_answers_alike_in_a_fresh_process(format, store, X, label_sets, run_python, tmp_path):
    model = pipeline().fit(X, label_sets)
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(
            model, name="tagger", serialization_format=format, input_example=X[:2], pip_requirements=["skml"]
        )
    np.save(tmp_path / "X.npy", X)
    code = f"""
        import mlflow, numpy as np
        mlflow.set_tracking_uri({store!r})
        X = np.load("X.npy")
        np.save("proba.npy", mlflow.sklearn.load_model({info.model_uri!r}).predict_proba(X))
        print(mlflow.pyfunc.load_model({info.model_uri!r}).predict(X)[:3].tolist())
    """
    assert run_python(dedent(code)).strip() == repr(model.predict(X)[:3].tolist())
    np.testing.assert_array_equal(np.load(tmp_path / "proba.npy"), model.predict_proba(X))


def test_a_model_is_stored_without_a_pickle_if_its_types_are_trusted(X, label_sets):
    skops = pytest.importorskip("skops.io")
    model = pipeline().fit(X, label_sets)
    trusted = skops.get_untrusted_types(data=skops.dumps(model))
    assert all(name.split(".")[0] in ("skml", "numpy") for name in trusted)
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(
            model, name="tagger", serialization_format="skops", skops_trusted_types=trusted, pip_requirements=["skml"]
        )
    loaded = mlflow.sklearn.load_model(info.model_uri)
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert loaded.predict(X).tolist() == model.predict(X).tolist()
