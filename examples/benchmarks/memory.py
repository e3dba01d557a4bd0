"""Measure the growth of resident memory over 120 fits in one process, of one architecture or of five in turn."""

import resource

from skml import KerasMultiLabelClassifier
from timing import dense_problem

X, Y = dense_problem(200, 20, 5)


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def network(meta, units=8):
    import keras

    head = keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])
    return keras.Sequential([keras.layers.Dense(units, "relu"), keras.layers.BatchNormalization(), head])


KINDS = {
    "one architecture": [{"hidden_layer_sizes": (8,)}],
    "five architectures": [{"hidden_layer_sizes": (8 + i,)} for i in range(5)],
    "one member": [{"hidden_layer_sizes": (8,), "n_members": 1}],
    "a custom network": [{"model": network}],
    "five custom networks": [{"model": network, "model__units": 8 + i} for i in range(5)],
}

for name, kinds in KINDS.items():
    for i in range(120):
        KerasMultiLabelClassifier(epochs=2, early_stopping=False, **kinds[i % len(kinds)]).fit(X, Y).predict(X)
        if i == 19:
            before = resident()
    print(f"{name:34s} grew by {resident() - before:6.1f} MB from fit 20 to fit 120   (aim 30)", flush=True)
