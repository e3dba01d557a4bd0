"""Tags of software weaknesses: the main example
=============================================

Tag texts about software weaknesses, compare with a tuned linear model, and tag new texts.

The data are the Common Weakness Enumeration, from the package ``cwe2``. It lists for each weakness the security
properties that it endangers: Confidentiality, Integrity, Availability, Access Control and others. These sets are the
labels. The text is the name and the description of the weakness, without the section on consequences from which the
labels are taken.

Both models get the same tf-idf features and are tuned inside each training fold: the linear model by a search over C
with a threshold for each, the network by its own single fit. Only the tf-idf settings were chosen on these rows.

Run it with ``python examples/tag_weaknesses.py``. It takes about a minute on two idle cores.
"""

import os

# Fewer messages from TensorFlow. Some releases still print a few lines about the machine.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import time
from collections import Counter

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits
from weaknesses import read_weaknesses

from skml import KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV
from skml.inspection import label_contributions, report_html
from skml.metrics import get_scorer
from skml.model_selection import MultiLabelStratifiedKFold

SCORES = {"micro-F1": "f1_micro", "macro-F1": "f1_macro", "ranking": "average_precision", "all right": "accuracy"}

NEW_TEXTS = [
    "The web server writes the passwords of its users in plain text to a log file that everyone can read.",
    "A missing limit on the size of uploads lets an attacker fill the memory until the service stops.",
    "An attacker can change the price in a hidden form field, which the shop does not verify.",
]


def tfidf():
    return TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=3, max_df=0.3)


def linear():
    """Return logistic regressions whose C and threshold are tuned together."""
    tuned = TunedThresholdMultiLabelClassifierCV(
        OneVsRestClassifier(LogisticRegression()), scoring="f1_micro", cv=3, random_state=0
    )
    grid = {"estimator__estimator__C": [1, 4, 16]}
    folds = MultiLabelStratifiedKFold(3, random_state=0)
    return make_pipeline(tfidf(), GridSearchCV(tuned, grid, scoring=get_scorer("f1_micro"), cv=folds))


def network():
    return make_pipeline(tfidf(), KerasMultiLabelClassifier(threshold="f1_micro", random_state=0))


def compare(texts, y, n_folds=4):
    """Return the scores and the seconds of both models in each fold, shape (2, n_folds, n_scores + 1)."""
    network().fit(texts[:100], y[:100])  # TensorFlow is imported and warm before the clock starts
    results = np.empty((2, n_folds, len(SCORES) + 1))
    for k, (train, test) in enumerate(KFold(n_folds, shuffle=True, random_state=0).split(texts)):
        for m, make in enumerate((linear, network)):
            start = time.perf_counter()
            model = make().fit(texts[train], y[train])
            seconds = time.perf_counter() - start
            results[m, k] = [*(get_scorer(name)(model, texts[test], y[test]) for name in SCORES.values()), seconds]
    return results


def verdict(results):
    """Return what the comparison shows, in words that follow from its numbers."""
    differences = results[1, :, 0] - results[0, :, 0]
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    mean, wins = differences.mean(), int((differences > 0).sum())
    fits = results[:, :, -1].mean(axis=1)
    times = fits.max() / fits.min()
    slower, faster = ("network", "linear model") if fits[1] > fits[0] else ("linear model", "network")
    speed = f"A fit of the {slower} takes {times:.1f} times as long as one of the {faster}."
    folds = f"in {wins} of {len(differences)} folds (mean difference {mean:+.3f}, standard error {error:.3f})"
    if abs(mean) < 2 * error:
        return f"In micro-F1 there is no clear winner: the network is ahead {folds}. {speed}"
    better = "network" if mean > 0 else "linear model"
    return f"In micro-F1 the {better} is better: the network is ahead {folds}. {speed}"


def show_tags(model, text):
    """Print the tags of a text, their probabilities, and the words that speak for and against each."""
    print(f"\n  {text}")
    proba = model.predict_proba([text])[0]
    for j in np.argsort(-proba)[:3]:
        explained = label_contributions(model, [text], model.classes_[j])
        words, attrs = explained["contribution"], explained.attrs
        reasons = f"for: {', '.join(words.index[words > 0][:3])};  against: {', '.join(words.index[words < 0][:-4:-1])}"
        mark = "TAG" if attrs["predicted"] else "   "
        print(f"    {mark} {attrs['label']:<16} {attrs['probability']:.2f} of {attrs['threshold']:.2f}   {reasons}")


# %%
# The texts and their labels.
start = time.perf_counter()
threadpool_limits(1, "blas")  # the matrices of the linear model are too small for more threads
titles, texts, y = read_weaknesses()
counts = Counter(label for labels in y for label in labels)
print(f"{len(texts)} weaknesses, {len(counts)} labels, {sum(counts.values()) / len(y):.1f} labels for each:")
print("  " + ", ".join(f"{label} {count}" for label, count in counts.most_common()))

# %%
# Both models in four folds.
results = compare(texts, y)
print(f"\nMeans of {results.shape[1]} folds, each model tuned on the training rows of the fold:\n")
print("  " + f"{'':<14}" + "".join(f"{name:>10}" for name in SCORES) + f"{'seconds':>10}")
for name, (*scores, seconds) in zip(("linear model", "network"), results.mean(axis=1), strict=True):
    print(f"  {name:<14}" + "".join(f"{score:>10.3f}" for score in scores) + f"{seconds:>10.1f}")
print(f"\n{verdict(results)}")

# %%
# Tags of new texts, and the words that speak for and against them.
model = network().fit(texts, y)
print("\nNew texts: the three most probable tags, probability and threshold, and the words that speak for them")
for text in NEW_TEXTS:
    show_tags(model, text)

# %%
# A report about each label.
path = report_html(model, texts, y, "weaknesses_report.html", row_names=titles, title="Tags of software weaknesses")
print(f"\nA report about each label, from out-of-fold probabilities: open {path} in a browser.")
print(f"Done in {time.perf_counter() - start:.0f} seconds.")
