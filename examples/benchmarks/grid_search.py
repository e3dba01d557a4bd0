"""Time a grid search: 4 candidates x 3 folds and a refit, 10 epochs each, on 2,400 x 103 x 14, in one process."""

import warnings

import keras
from scikeras.wrappers import KerasClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

from skml import KerasMultiLabelClassifier
from timing import PLAIN, compare, dense_problem, limit_threads, show

warnings.simplefilter("ignore")
limit_threads()

X, Y = dense_problem(2400, 103, 14)
RATES = [3e-4, 1e-3, 3e-3, 1e-2]


def network(meta):
    inputs = keras.Input((meta["n_features_in_"],))
    hidden = keras.layers.Dense(100, "relu")(inputs)
    return keras.Model(inputs, keras.layers.Dense(Y.shape[1], "sigmoid")(hidden))


def search(estimator, name):
    return lambda: GridSearchCV(estimator, {name: RATES}, cv=3).fit(X, Y)


ours = search(
    KerasMultiLabelClassifier(batch_size=32, epochs=10, random_state=0, **PLAIN),
    "learning_rate",
)
mlp = search(MLPClassifier((100,), batch_size=32, max_iter=10, random_state=0), "learning_rate_init")
scikeras = search(
    KerasClassifier(network, loss="binary_crossentropy", optimizer="adam", batch_size=32, epochs=10, verbose=0),
    "optimizer__learning_rate",
)

show("grid search", *compare(ours, mlp, 5), 1.3, "MLPClassifier")
show("grid search", *compare(ours, scikeras, 1), 0.11, "scikeras")
