"""Data frames behind narwhals, and picklers other than pickle."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from estimators import tiny
from forms import label_sets_of

pytestmark = pytest.mark.integrations

BUILDER = """
import keras

def build(meta, units=3):
    head = keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])
    return keras.Sequential([keras.layers.Dense(units), head])
"""


def test_a_polars_frame_is_taken_as_a_pandas_frame(X, Y):
    columns, labels = list("pqrst"), list("abc")
    by_pandas = tiny().fit(pd.DataFrame(X, columns=columns), pd.DataFrame(Y, columns=labels))
    by_polars = tiny().fit(pl.DataFrame(X, schema=columns), pl.DataFrame(Y, schema=labels))
    assert by_polars.classes_.tolist() == labels
    np.testing.assert_array_equal(
        by_polars.predict_proba(pl.DataFrame(X, schema=columns)),
        by_pandas.predict_proba(pd.DataFrame(X, columns=columns)),
    )


@pytest.mark.parametrize("native", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_a_narwhals_frame_is_taken_as_the_frame_behind_it(needs, native, X, Y):
    nw = needs("narwhals")
    frame = nw.from_native(native(dict(zip("pqrst", X.T, strict=True))))
    np.testing.assert_array_equal(tiny().fit(frame, Y).predict_proba(frame), tiny().fit(X, Y).predict_proba(X))


@pytest.mark.parametrize("module", ["cloudpickle", "dill"])
def test_a_fitted_classifier_and_one_with_a_function_of_a_notebook_travel(needs, module, X, Y):
    pickler = needs(module)
    namespace = {}
    exec(BUILDER, namespace)  # a function without a module, as those of a notebook
    clf, custom = tiny().fit(X, label_sets_of(Y)), tiny(namespace["build"], model__units=4).fit(X, Y)
    twin, custom_twin = pickler.loads(pickler.dumps((clf, custom)))
    np.testing.assert_array_equal(twin.predict_proba(X), clf.predict_proba(X))
    np.testing.assert_array_equal(custom_twin.predict_proba(X), custom.predict_proba(X))
