"""Measure time and size of the joblib file of a fitted estimator, against scikeras."""

import tempfile
import warnings
from pathlib import Path

import joblib
import keras
from scikeras.wrappers import KerasClassifier
from sklearn.neural_network import MLPClassifier

from skml import KerasMultiLabelClassifier
from timing import PLAIN, compare, dense_problem, limit_threads, show

warnings.simplefilter("ignore")
limit_threads()

X, Y = dense_problem(2400, 103, 14)


def network(meta):
    inputs = keras.Input((meta["n_features_in_"],))
    hidden = keras.layers.Dense(100, "relu")(inputs)
    return keras.Model(inputs, keras.layers.Dense(Y.shape[1], "sigmoid")(hidden))


ours = KerasMultiLabelClassifier(epochs=1, **PLAIN).fit(X, Y)
scikeras = KerasClassifier(network, loss="binary_crossentropy", optimizer="adam", epochs=1, verbose=0).fit(X, Y)
mlp = MLPClassifier((100,), max_iter=1).fit(X, Y)

with tempfile.TemporaryDirectory() as folder:
    paths = [Path(folder, name) for name in ("skml", "scikeras", "mlp")]
    dump = compare(lambda: joblib.dump(ours, paths[0]), lambda: joblib.dump(scikeras, paths[1]), 15)
    show("joblib.dump", *dump, 0.2, "scikeras")
    joblib.dump(mlp, paths[2])
    show("joblib.load", *compare(lambda: joblib.load(paths[0]), lambda: joblib.load(paths[1]), 15), 0.5, "scikeras")
    sizes = ", ".join(f"{path.name} {path.stat().st_size / 1024:.0f} kB" for path in paths)
    print(f"  size of the file: {sizes}")
