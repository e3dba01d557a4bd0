import inspect

import keras
import numpy as np
import pytest

from skml import KerasMultiLabelClassifier

OTHERS = {
    "hidden_layer_sizes": (4,),
    "activation": "tanh",
    "dropout": 0.25,
    "input_dropout": np.float64(0.125),
    "scale": None,
    "n_members": 2,
}


def build(meta):
    return keras.Sequential([keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])])


@pytest.mark.parametrize("name", OTHERS)
def test_a_custom_network_refuses_what_acts_on_the_default_one_only(name, X, Y):
    """A grid over it would compare equal models."""
    clf = KerasMultiLabelClassifier(build, epochs=1, **{name: OTHERS[name]})
    with pytest.raises(ValueError, match=rf"^{name}=.*default network.*{name} .*default.*model__{name}"):
        clf.fit(X, Y)
    assert not hasattr(clf, "classes_")


def test_arrays_are_no_default(X, Y):
    with pytest.raises(ValueError, match="hidden_layer_sizes"):
        KerasMultiLabelClassifier(build, hidden_layer_sizes=np.array([4, 4])).fit(X, Y)


def test_defaults_may_be_spelled_out(X, Y):
    """A default that is a number may come from NumPy, as in a grid."""
    signature = inspect.signature(KerasMultiLabelClassifier).parameters
    defaults = {name: signature[name].default for name in OTHERS}
    defaults = {name: np.float64(value) if isinstance(value, float) else value for name, value in defaults.items()}
    KerasMultiLabelClassifier(build, epochs=1, **defaults).fit(X, Y)
