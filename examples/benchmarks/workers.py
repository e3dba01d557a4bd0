"""Measure fits in two joblib workers on two cores against fits in one process: time, and number of cores in use."""

import os
import statistics
import time

import joblib

from skml import KerasMultiLabelClassifier
from timing import PLAIN, dense_problem, seconds

X, Y = dense_problem(2400, 103, 14)


def fits(n_fits):
    """Return the seconds of the import, of the first fit and of later fits (median), the cores in use and the pid."""
    importing = seconds(lambda: __import__("skml._training._run"))
    clf = KerasMultiLabelClassifier(epochs=10, batch_size=32, **PLAIN)
    first = seconds(lambda: clf.fit(X, Y))
    busy = time.process_time()
    times = [seconds(lambda: clf.fit(X, Y)) for _ in range(n_fits)]
    busy = time.process_time() - busy
    return importing, first, statistics.median(times), busy / sum(times), os.getpid()


here = fits(20)
workers = joblib.Parallel(n_jobs=2)(joblib.delayed(fits)(20) for _ in range(2))
print("                 import   first fit   later fits   cores used")
for name, (importing, first, later, cores, _) in [("alone", here), *((f"worker {w[-1]}", w) for w in workers)]:
    print(f"{name:15s} {importing:6.2f} s   {first:6.2f} s    {later:6.3f} s   {cores:6.2f}")
