"""Time a fit with a holdout and early stopping, which never stops, against a fit without them."""

from skml import KerasMultiLabelClassifier
from timing import PLAIN, compare, dense_problem, limit_threads, show

limit_threads()
X, Y = dense_problem(2400, 103, 14)
base = {**PLAIN, "batch_size": 32, "epochs": 10, "random_state": 0}
stopping = KerasMultiLabelClassifier(**{**base, "n_iter_no_change": 100, "early_stopping": True})
plain = KerasMultiLabelClassifier(**base)
show("fit with a holdout", *compare(lambda: stopping.fit(X, Y), lambda: plain.fit(X, Y), 15), 1.3, "without")
