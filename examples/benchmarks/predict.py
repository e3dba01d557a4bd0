"""predict_proba of the default network against MLPClassifier, and of any other against ``Model.predict``."""

import warnings

import keras
from sklearn.neural_network import MLPClassifier

from skml import KerasMultiLabelClassifier
from timing import PLAIN, compare, dense_problem, one_blas_thread, show

warnings.simplefilter("ignore")

X, Y = dense_problem(100_000, 103, 14)
ours = KerasMultiLabelClassifier(epochs=1, **PLAIN).fit(X[:2400], Y[:2400])
mlp = MLPClassifier((100,), max_iter=1).fit(X[:2400], Y[:2400])


def network(meta):
    head = keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])
    return keras.Sequential([keras.layers.Dense(100, "relu"), keras.layers.BatchNormalization(), head])


other = KerasMultiLabelClassifier(network, epochs=1, early_stopping=False).fit(X[:2400], Y[:2400])
model = other.model_

for n_rows, calls, aim in [(1, 500, 1.0), (100, 200, 1.0), (100_000, 1, 0.75)]:
    rows = X[:n_rows]

    def repeated(function, calls=calls, rows=rows):
        return lambda: [function(rows) for _ in range(calls)]

    a, b, ratio = compare(repeated(ours.predict_proba), one_blas_thread(repeated(mlp.predict_proba)))
    show(f"predict_proba, {n_rows:,} rows", a / calls, b / calls, ratio, aim, "MLPClassifier")

row = X[:1]
a, b, ratio = compare(
    lambda: [other.predict_proba(row) for _ in range(10)],
    lambda: [model.predict(row, verbose=0) for _ in range(10)],
)
show("predict_proba, 1 row, own network", a / 10, b / 10, ratio, 0.02, "Model.predict")
