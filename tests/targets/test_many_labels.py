"""Reading y takes time in proportion to the number of labels."""

import time

import numpy as np
import pandas as pd
import pytest

from skml._decisions._rule import resolve_threshold
from skml._targets._encoder import TargetEncoder


def frame_of(n_labels):
    Y = np.random.RandomState(0).rand(4, n_labels) < 0.01
    return pd.DataFrame(Y.astype(np.uint8), columns=[f"label {j}" for j in range(n_labels)])


def read_frame(n_labels):
    y = frame_of(n_labels)
    encoder = TargetEncoder().fit(y)
    return lambda: encoder.transform(y[y.columns[::-1]])


def read_thresholds(n_labels):
    labels = [f"label {j}" for j in range(n_labels)]
    return lambda: resolve_threshold(dict.fromkeys(reversed(labels), 0.25), labels)


@pytest.mark.parametrize("read", [read_frame, read_thresholds])
def test_eight_times_as_many_labels_take_about_eight_times_as_long(read):
    def seconds(n_labels):
        call, times = read(n_labels), []
        for _ in range(3):
            start = time.process_time()
            call()
            times.append(time.process_time() - start)
        return min(times)

    # Comparing each label with all others took 64 times as long, which is some seconds for the larger number.
    assert seconds(8000) < 30 * seconds(1000) + 0.05


def test_columns_in_another_order_are_aligned_by_name():
    y = frame_of(50)
    y.iloc[0, 3] = 1
    encoder = TargetEncoder().fit(y)
    np.testing.assert_array_equal(encoder.transform(y[y.columns[::-1]]), y.to_numpy())


def test_missing_labels_of_columns_of_mixed_types_are_nan():
    y = pd.DataFrame(
        {
            "float": [1.0, np.nan, 0.0],
            "int": [1, 0, 0],
            "bool": [True, False, True],
            "Int8": pd.array([1, pd.NA, 0], dtype="Int8"),
            "boolean": pd.array([pd.NA, True, False], dtype="boolean"),
        }
    )
    nan = np.nan
    np.testing.assert_array_equal(
        TargetEncoder().fit_transform(y), [[1, 1, 1, 1, nan], [nan, 0, 0, nan, 1], [0, 0, 1, 0, 0]]
    )
