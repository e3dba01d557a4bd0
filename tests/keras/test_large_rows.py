"""Large arrays become tensors by one copy."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from skml._keras import _rows
from skml._keras._rows import Rows, gather


@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8", "int64"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_large_array_is_gathered_like_a_small_one_and_does_not_change_with_it(dtype, order, monkeypatch):
    array = np.asarray(np.random.RandomState(0).randint(0, 9, (50, 3)), dtype=dtype, order=order)
    expected = array.copy()
    monkeypatch.setattr(_rows, "_LARGE", 1)
    monkeypatch.setattr(_rows, "BLOCK_ENTRIES", 1)
    rows = Rows(array, "float32")
    array[...] = 99
    np.testing.assert_array_equal(gather(rows.layout, rows.tensors, tf.constant([4, 40])), expected[[4, 40]])
    csr = sparse.csr_array(expected.astype("float32"))
    rows = Rows(csr, "float32")
    np.testing.assert_array_equal(gather(rows.layout, rows.tensors, tf.constant([4, 40])), expected[[4, 40]])


@pytest.mark.slow
def test_a_tensor_takes_the_memory_of_its_array(run_python):
    run_python("""
import numpy as np
import tensorflow as tf
from skml._keras._rows import Rows

def memory():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096

array = np.ones((2**20, 16), np.float32)
tf.constant(1)
before = memory()
rows = Rows(array, "float32")
assert memory() - before < 1.2 * array.nbytes, (memory() - before) / array.nbytes
""")
