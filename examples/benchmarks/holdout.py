"""A fit with a holdout and early stopping that never stops, against the fit without."""

from skml import KerasMultiLabelClassifier
from timing import compare, dense_problem, show

X, Y = dense_problem(2400, 103, 14)
base = {"hidden_layer_sizes": (100,), "dropout": 0.0, "batch_size": 32, "epochs": 10, "random_state": 0}
stopping = KerasMultiLabelClassifier(n_iter_no_change=100, **base)
plain = KerasMultiLabelClassifier(early_stopping=False, **base)
show("fit with a holdout", *compare(lambda: stopping.fit(X, Y), lambda: plain.fit(X, Y), 15), 1.3, "without")
