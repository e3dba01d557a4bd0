"""Private parts of Keras and TensorFlow behave as `skml._keras._private` assumes: a new release may change them."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import skml
from skml._keras import _private
from skml._keras._cache_keys import cache_key_of, custom_parts
from skml._keras._rows import as_array
from skml._keras._serialization import copy_object


def test_tensorflow_starts_at_its_first_operation(run_python):
    code = "from skml._keras._private import tensorflow_has_started; print(tensorflow_has_started())"
    assert run_python(code, imported="sklearn").strip() == "False"
    printed = run_python(
        """
from skml._keras._private import tensorflow_has_started
import tensorflow as tf
from tensorflow.python.eager import context
print(tensorflow_has_started(), context._context is not None and context._context._initialized)
tf.constant(1.0) + 1.0
print(tensorflow_has_started(), context._context._initialized)
""",
        imported="keras",
    )
    assert printed.splitlines() == ["False False", "True True"]


def test_a_model_remembers_its_strategy():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert _private.strategy_of(model) is strategy
    plain = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert _private.strategy_of(plain).num_replicas_in_sync == 1


def test_raw_operations_read_and_update_the_resource_of_a_variable():
    variable = keras.Variable(np.arange(3, dtype=np.float32))
    assert isinstance(variable.value, tf.Variable)
    resource = _private.resource_handle(variable.value)
    assert resource.dtype == tf.resource
    np.testing.assert_array_equal(tf.raw_ops.ReadVariableOp(resource=resource, dtype="float32"), [0, 1, 2])
    tf.raw_ops.ResourceScatterUpdate(resource=resource, indices=[1], updates=[7.0])
    np.testing.assert_array_equal(variable.numpy(), [0, 7, 2])


def test_an_optimizer_has_an_index_of_both_kinds_of_variables():
    variables = [keras.Variable(np.zeros(2)), keras.Variable(np.zeros(2))]
    optimizer = keras.optimizers.Adam()
    optimizer.build(variables)
    for index, variable in enumerate(variables):
        assert _private.variable_index(optimizer, variable) == index
        assert _private.variable_index(optimizer, variable.value) == index


def test_keras_wraps_methods_of_each_layer():
    """Without `is_method_wrapper` a layer of Keras would seem to contain a function of the user."""
    layer = keras.layers.Dense(2)
    wrappers = [name for name, value in vars(layer).items() if _private.is_method_wrapper(value, keras.layers.Dense)]
    assert "build" in wrappers
    assert custom_parts(layer) == []
    assert not _private.is_method_wrapper(np.mean, keras.layers.Dense)


@pytest.mark.parametrize("argument", ["var_names", "var_list"])
def test_exclusions_from_weight_decay_are_in_attributes_and_not_in_the_config(argument):
    variable = keras.Variable(np.zeros(2), name="bias")
    optimizer = keras.optimizers.AdamW(name="adamw")
    assert _private.attributes_outside_config(optimizer) == {}
    optimizer.exclude_from_weight_decay(**{argument: ["bias"] if argument == "var_names" else [variable]})
    found = _private.attributes_outside_config(optimizer)
    assert len(found) == 1
    assert isinstance(next(iter(found.values())), set | re.Pattern)
    assert optimizer.get_config() == keras.optimizers.AdamW(name="adamw").get_config()
    assert cache_key_of(optimizer) is None
    assert _private.attributes_outside_config(copy_object(optimizer)) == found


def test_an_array_of_a_variable_is_a_view_that_later_updates_do_not_change():
    variable = keras.Variable(np.arange(5, dtype=np.float32))
    array = as_array(variable)
    assert not array.flags.owndata
    assert not array.flags.writeable
    variable.assign(np.ones(5))
    variable.assign_add(np.ones(5))
    np.testing.assert_array_equal(array, np.arange(5))


def test_no_other_module_uses_private_names():
    private = re.compile(r"tensorflow\.python|keras\.src|\.distribute_strategy\b|\.handle\b|\._get_variable_index\b")
    modules = Path(skml.__file__).parent.rglob("*.py")
    assert [path.name for path in modules if private.search(path.read_text())] == ["_private.py"]
