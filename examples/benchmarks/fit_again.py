"""Time the second and later fits in a process against MLPClassifier with the same layers and training."""

import warnings

from sklearn.neural_network import MLPClassifier

from skml import KerasMultiLabelClassifier
from timing import PLAIN, compare, dense_problem, limit_threads, show

warnings.simplefilter("ignore")
limit_threads()

SIZES = [((600, 72, 6), 32, 20, 1.0), ((2400, 103, 14), 32, 10, 0.65), ((20_000, 500, 50), 200, 3, 0.50)]

for shape, batch_size, epochs, aim in SIZES:
    X, Y = dense_problem(*shape)
    ours = KerasMultiLabelClassifier(batch_size=batch_size, epochs=epochs, **PLAIN)
    theirs = MLPClassifier((100,), batch_size=batch_size, max_iter=epochs)
    result = compare(lambda: ours.fit(X, Y), lambda: theirs.fit(X, Y))
    show(f"fit {shape}, B={batch_size}, {epochs} epochs", *result, aim, "MLPClassifier")
