"""Lesson 8: retraining with new labels
====================================

Support tickets arrive every month, and the list of their tags changes: the tag "outage" is used from month 3 on, and
"fax" is not used after month 4. We train a model on the new tickets of each month only. It adds one label and later
removes one. We compare it with a model that is trained on month 1 only, and with one that is refitted each month on
all tickets so far.

Run this lesson with ``python examples/08_retraining.py``, or cell by cell in an editor or notebook.
"""

# %%
# The tickets are generated: counts of 300 words whose frequencies depend on the tags.
import copy
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # fewer messages from TensorFlow

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import f1_score

from skml import KerasMultiLabelClassifier

TAGS = ["billing", "login", "mobile", "printing", "refund", "speed", "fax", "outage"]
N_MONTHS, N_TICKETS = 6, 500

X, Y = make_multilabel_classification(
    N_MONTHS * N_TICKETS, n_features=300, n_classes=len(TAGS), n_labels=2, length=60, sparse=True, random_state=0
)
tickets = pd.DataFrame(Y, columns=TAGS)


def month(number):
    """Return the tickets of a month and their tags, one column for each tag in use."""
    rows = slice((number - 1) * N_TICKETS, number * N_TICKETS)
    unused = [tag for tag, is_used in {"outage": number >= 3, "fax": number <= 4}.items() if not is_used]
    return X[rows], tickets[rows].drop(columns=unused)


# %%
# Month 1: ten passes over its tickets. The columns of a DataFrame are the labels.
X_1, y_1 = month(1)
updated = KerasMultiLabelClassifier(random_state=0)
for _ in range(10):
    updated.partial_fit(X_1, y_1)
first_month = KerasMultiLabelClassifier(random_state=0).fit(X_1, y_1)
print(f"Tags of month 1: {', '.join(updated.classes_)}")

# %%
# A tag that is not in `classes_` raises an error, because it can be a typing error.
X_3, y_3 = month(3)
try:
    updated.partial_fit(X_3, y_3)
except ValueError as error:
    print(f"Month 3: {error}")

# %%
# The argument `classes` changes the labels. A label that stays keeps its weights. A new label starts at its base rate.
# A label that `classes` leaves out is removed. Training needs only the tickets of the new month. (An estimator with
# `warm_start=True` does the same in `fit`, after `set_params(classes=...)`.) A file saved after `partial_fit` contains
# the optimizer's state, so training resumes from the loaded model as if there had been no file. To save it after a
# first `fit`, too, pass `warm_start=True` to that one.


def scores(model, number):
    """Return micro-F1 and the F1 of "outage" on a month's tickets; tags that the model lacks count as not predicted."""
    X, y = month(number)
    predicted = pd.DataFrame(model.predict(X), columns=model.classes_).reindex(columns=y.columns, fill_value=0)
    outage = f1_score(y["outage"], predicted["outage"]) if "outage" in y else np.nan
    return f1_score(y, predicted, average="micro"), outage


table = []
for number in range(2, N_MONTHS):
    X_new, y_new = month(number)
    began = time.perf_counter()
    for _ in range(10):
        updated.partial_fit(X_new, y_new, classes=list(y_new.columns))
    seconds = time.perf_counter() - began

    # All tickets so far, with the tags in use now. A tag that was not in use in a month has missing labels (NaN) there.
    months = [month(previous) for previous in range(1, number + 1)]
    all_y = pd.concat([y for _, y in months], ignore_index=True)[y_new.columns]
    began = time.perf_counter()
    refitted = KerasMultiLabelClassifier(random_state=0).fit(sparse.vstack([X for X, _ in months]), all_y)
    seconds_refitted = time.perf_counter() - began

    f1_updated, f1_refitted = scores(updated, number + 1), scores(refitted, number + 1)
    table.append(
        {
            "trained to month": number,
            "tags": len(updated.classes_),
            "month 1 only": scores(first_month, number + 1)[0],
            "updated": f1_updated[0],
            "refitted": f1_refitted[0],
            "outage: updated": f1_updated[1],
            "outage: refitted": f1_refitted[1],
            "updated, s": seconds,
            "refitted, s": seconds_refitted,
        }
    )

# %%
# The table shows the micro-F1 score on the tickets of the next month, the F1 score of the new tag, and the training
# time in seconds. The updated model comes close to the refitted one, in a fraction of its time and without the old
# tickets. The model of month 1 falls behind. (The models trained to month 2 do not have the tag "outage", so its F1
# score is 0.)
table = pd.DataFrame(table).set_index("trained to month")
print("\n" + table.round(2).to_string(na_rep="-"))
table[["month 1 only", "updated", "refitted"]].plot(marker="o", ylabel="micro-F1 of the next month", figsize=(6, 3.5))
plt.show()

# %%
# A trap: unnamed tags count as no. In the first half of month 6, somebody gave 60 tickets all their tags, and looked
# for "outage" only in the others. As label sets, those tickets say that they have no other tag, and the model unlearns
# the other tags. In a DataFrame with NaN for the tags that nobody looked for, they say nothing about those. (If all
# rows of a call have NaN for a tag, a warning says so.)
X_6, y_6 = month(6)
looked_at, rest = slice(0, N_TICKETS // 2), slice(N_TICKETS // 2, None)
with_nan = y_6[looked_at].astype(float)
with_nan.loc[with_nan.index[60:], y_6.columns != "outage"] = np.nan
as_sets = [{tag for tag in y_6 if row[tag] == 1} for _, row in with_nan.iterrows()]

before = f1_score(y_6[rest], updated.predict(X_6[rest]), average="micro")
print(f"\nmicro-F1 on the second half of month 6, trained to month 5: {before:.2f}")
for name, y in {"label sets that name few tags": as_sets, "NaN for the other tags": with_nan}.items():
    model = copy.deepcopy(updated)
    for _ in range(10):
        model.partial_fit(X_6[looked_at], y)
    print(f"    then {name}: {f1_score(y_6[rest], model.predict(X_6[rest]), average='micro'):.2f}")
