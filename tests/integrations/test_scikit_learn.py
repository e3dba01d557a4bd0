"""What scikit-learn's own tools do with the classifier beyond a grid: halving, embeddings."""

import numpy as np
import pytest
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import HalvingGridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.random_projection import GaussianRandomProjection

from estimators import SMALL
from forms import label_sets_of
from skml import KerasMultiLabelClassifier
from skml.metrics import get_scorer
from skml.model_selection import MultiLabelStratifiedKFold

pytestmark = pytest.mark.integrations


@pytest.mark.parametrize("form", ["indicator", "sets"])
def test_halving_gives_candidates_that_last_more_epochs(form, X, Y):
    search = HalvingGridSearchCV(
        KerasMultiLabelClassifier(**{**SMALL, "epochs": "auto"}),
        {"learning_rate": [1e-9, 1e-8, 1e-3, 1e-2]},
        resource="epochs",
        min_resources=3,
        max_resources=12,
        factor=2,
        cv=MultiLabelStratifiedKFold(2, random_state=0),
        scoring=get_scorer("average_precision_micro"),
        random_state=0,
        error_score="raise",
    ).fit(X, Y if form == "indicator" else label_sets_of(Y))
    assert search.n_resources_ == [3, 6, 12]
    assert search.n_candidates_ == [4, 2, 1]
    assert search.best_params_ == {"epochs": 12, "learning_rate": 1e-2}
    assert search.best_estimator_.n_iter_ <= 12


@pytest.fixture(scope="module")
def texts():
    """Texts of some words, half of which are labels, and those labels."""
    rng = np.random.RandomState(0)
    Y = rng.rand(400, 12) < 0.2
    words = np.array([f"word{j}" for j in range(12)])
    return [" ".join([*words[row], *rng.choice(["the", "a", "of", "and"], 3)]) for row in Y], Y[:, :6].astype(int)


def test_embeddings_of_sentences_are_learned_as_they_come(texts):
    texts, Y = texts
    hashed = HashingVectorizer(n_features=2**12).fit_transform(texts)
    embeddings = GaussianRandomProjection(384, random_state=0).fit_transform(hashed).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    embeddings.flags.writeable = False  # as those from a memory map
    train, test = slice(None, 300), slice(300, None)
    clf = KerasMultiLabelClassifier(**SMALL | {"hidden_layer_sizes": (64,), "epochs": 40})
    clf.fit(embeddings[train], Y[train])
    assert clf.predict_proba(embeddings).dtype == np.float32
    linear = MultiOutputClassifier(LogisticRegression(C=100)).fit(embeddings[train], Y[train])
    scorer = get_scorer("f1_micro")
    assert scorer(clf, embeddings[test], Y[test]) > scorer(linear, embeddings[test], Y[test]) - 0.02
