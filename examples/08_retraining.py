"""Lesson 8: retraining with new labels.

Support tickets come in month by month, and the list of tags changes: from month 3 on there is a tag "outage", and
after month 4 nobody uses "fax" any more. The network goes on learning from each month alone: it grows by one label,
and later forgets one. Two others stand beside it: the one of month 1, never trained again, and one that is fitted anew
each month on all tickets so far.

Run it with ``python examples/08_retraining.py``, or cell by cell in an editor that knows ``# %%``.
"""

# %%
# The tickets are made: counts of 300 words, of which each tag prefers some.
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # asks TensorFlow to start quietly

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import f1_score

from skml import KerasMultiLabelClassifier

TAGS = ["billing", "login", "mobile", "printing", "refund", "speed", "fax", "outage"]
N_MONTHS, N_TICKETS = 6, 500

X, Y = make_multilabel_classification(
    N_MONTHS * N_TICKETS, n_features=300, n_classes=len(TAGS), n_labels=2, length=60, sparse=True, random_state=1
)
tickets = pd.DataFrame(Y, columns=TAGS)


def month(number):
    """Return the tickets of a month, with the tags that were in use then."""
    rows = slice((number - 1) * N_TICKETS, number * N_TICKETS)
    unused = [tag for tag, is_used in {"outage": number >= 3, "fax": number <= 4}.items() if not is_used]
    return X[rows], tickets[rows].drop(columns=unused)


# %%
# Month 1. Ten passes over its tickets; columns of a DataFrame are the labels.
X_1, y_1 = month(1)
growing = KerasMultiLabelClassifier(random_state=0)
for _ in range(10):
    growing.partial_fit(X_1, y_1)
never_again = KerasMultiLabelClassifier(random_state=0).fit(X_1, y_1)
print(f"Tags of month 1: {', '.join(growing.classes_)}")

# %%
# A tag that the network does not know is an error: it might be a slip of the pen.
X_3, y_3 = month(3)
try:
    growing.partial_fit(X_3, y_3)
except ValueError as error:
    print(f"Month 3: {error}")

# %%
# With `classes` it is meant. Tags that stay keep what was learned of them; a new one starts at its base rate; one that
# is not named is forgotten. After that, nothing but the month's own tickets is needed. (A fitted estimator with
# `warm_start=True` does the same in `fit`, after `set_params(classes=...)`.)


def scores(model, number):
    """Return micro-F1 and the F1 of "outage", for the tickets of a month; a tag that a model lacks is never given."""
    X, y = month(number)
    predicted = pd.DataFrame(model.predict(X), columns=model.classes_).reindex(columns=y.columns, fill_value=0)
    outage = f1_score(y["outage"], predicted["outage"]) if "outage" in y else np.nan
    return f1_score(y, predicted, average="micro"), outage


table = []
for number in range(2, N_MONTHS):
    X_new, y_new = month(number)
    began = time.perf_counter()
    for _ in range(10):
        growing.partial_fit(X_new, y_new, classes=list(y_new.columns))
    seconds = time.perf_counter() - began

    # All tickets so far: `concat` leaves NaN where a tag was not in use, which means unknown. Retired tags are dropped.
    seen = [month(earlier) for earlier in range(1, number + 1)]
    all_y = pd.concat([y for _, y in seen], ignore_index=True)[y_new.columns]
    began = time.perf_counter()
    anew = KerasMultiLabelClassifier(random_state=0).fit(sparse.vstack([X for X, _ in seen]), all_y)
    seconds_anew = time.perf_counter() - began

    of_growing, of_anew = scores(growing, number + 1), scores(anew, number + 1)
    table.append(
        {
            "trained to month": number,
            "tags": len(growing.classes_),
            "never again": scores(never_again, number + 1)[0],
            "growing": of_growing[0],
            "anew": of_anew[0],
            "outage: growing": of_growing[1],
            "outage: anew": of_anew[1],
            "s growing": seconds,
            "s anew": seconds_anew,
        }
    )

# %%
# Micro-F1 on the tickets of the next month, the F1 of the new tag among them, and what the training took. The network
# that grows comes close to the one that is fitted anew, in a fraction of its time and without the old tickets; that of
# month 1 falls behind. (In month 2 nobody has trained on "outage" yet, so its F1 is 0.)
print("\n" + pd.DataFrame(table).set_index("trained to month").round(2).to_string(na_rep="-"))
