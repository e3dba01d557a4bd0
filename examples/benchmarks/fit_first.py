"""Time the first fit in a process against Keras' ``fit``.

The time includes the tracing of the graph, but not the import of TensorFlow nor the set-up at its first operation.
"""

import statistics
import sys

from timing import PLAIN, dense_problem, in_fresh_process, limit_threads, seconds, show

limit_threads()
SIZES = [((600, 72, 6), 32, 20, 0.50), ((2400, 103, 14), 32, 10, 0.27), ((20_000, 500, 50), 200, 3, 0.75)]


def by_skml(X, Y, batch_size, epochs):
    from skml import KerasMultiLabelClassifier

    KerasMultiLabelClassifier(batch_size=batch_size, epochs=epochs, **PLAIN).fit(X, Y)


def by_keras(X, Y, batch_size, epochs):
    import keras

    inputs = keras.Input((X.shape[1],))
    hidden = keras.layers.Dense(100, "relu")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(Y.shape[1], "sigmoid")(hidden))
    model.compile("adam", "binary_crossentropy")
    model.fit(X, Y, batch_size=batch_size, epochs=epochs, verbose=0)


def measure(side, size):
    import tensorflow as tf

    import skml._training._run  # noqa: F401  # import what the first fit imports

    shape, batch_size, epochs, _ = SIZES[size]
    X, Y = dense_problem(*shape)
    tf.function(lambda x: tf.reduce_sum(x @ x))(tf.ones((3, 3)))  # the set-up at TensorFlow's first operation
    print(seconds(lambda: {"skml": by_skml, "keras": by_keras}[side](X, Y, batch_size, epochs)))


if len(sys.argv) > 1:
    measure(sys.argv[1], int(sys.argv[2]))
else:
    for size, (shape, batch_size, epochs, aim) in enumerate(SIZES):
        pairs = [[in_fresh_process(__file__, side, size) for side in ("skml", "keras")] for _ in range(5)]
        ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        show(f"first fit {shape}, B={batch_size}, {epochs} epochs", ours, theirs, ratio, aim, "Keras fit")
