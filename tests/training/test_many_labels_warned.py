"""What a fit says about very many labels, before it trains."""

import warnings

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from estimators import tiny
from skml import TunedThresholdMultiLabelClassifierCV
from skml._training._config import TrainingConfig, auto_batch_size
from skml._training._many_labels import estimated_cost
from skml.inspection import RiskCoverageCurveDisplay


@pytest.fixture
def few_are_kept(monkeypatch):
    """Lower the number of out-of-fold probabilities that are kept to 150, which 80 rows of 3 labels exceed."""
    monkeypatch.setattr("skml._training._split._MAX_KEPT_ENTRIES", 150)
    monkeypatch.setattr("skml._targets._warnings._shown", set())


def test_a_sample_of_out_of_fold_probabilities_is_announced_and_named(few_are_kept, X, Y):
    with pytest.warns(UserWarning, match=r"of 80 rows and 3 labels are too many.*no oof_proba_.* from 50 random rows"):
        clf = tiny(n_members=2).fit(X, Y)
    with pytest.raises(AttributeError, match=r"more than 33 million entries.*random sample"):
        clf.oof_proba_  # noqa: B018
    with pytest.raises(AttributeError, match=r"only available after fit \(not partial_fit\)"):
        tiny(n_members=1).fit(X, Y).oof_proba_  # noqa: B018


def test_a_sample_of_a_large_holdout_is_used_and_announced(few_are_kept):
    rng = np.random.RandomState(0)
    X, Y = rng.randn(400, 2), (rng.rand(400, 5) < 0.4).astype(int)
    with pytest.warns(UserWarning, match=r"of 40 rows and 5 labels are too many to keep: thresholds.* 30 random rows"):
        clf = tiny(n_members=1, early_stopping=True, threshold="f1_micro").fit(X, Y)
    assert 0 < clf.threshold_ < 1
    with pytest.raises(AttributeError, match=r"n_members > 1"):
        clf.oof_proba_  # noqa: B018
    with pytest.warns(UserWarning, match=r"of 100 rows and 5 labels .* 30 random rows"):
        clf.fit(X, Y, X_val=X[:100], y_val=Y[:100])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny(n_members=1, early_stopping=False).fit(X, Y)


def test_the_tuner_says_why_there_are_no_out_of_fold_probabilities(few_are_kept, X, Y):
    tuner = TunedThresholdMultiLabelClassifierCV(tiny(n_members=2), cv="oof")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=r"has no oof_proba_.*more than 33 million entries.*use cv=5"):
            tuner.fit(X, Y)


@pytest.mark.filterwarnings("ignore:.*too many to keep")
def test_the_risk_coverage_curve_says_why_there_are_no_out_of_fold_probabilities(few_are_kept, X, Y):
    clf = tiny(n_members=2).fit(X, Y)
    for estimator in (clf, make_pipeline(FunctionTransformer(), tiny(n_members=2)).fit(X, Y)):
        with pytest.raises(ValueError, match=r"has no oof_proba_. oof_proba_ would have more than 33 million entries"):
            RiskCoverageCurveDisplay.from_estimator(estimator, X, Y, y_fit=Y)


def test_the_cost_of_very_many_labels_is_estimated_and_other_packages_are_named(X, Y, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny(n_members=1, epochs=1).fit(X, Y)
    monkeypatch.setattr("skml._training._many_labels._MAX_LABELS", 2)
    said = r"y has 3 labels.*up to about a minute of one core \(1 epochs\).* GB .*omikuji.*LibMultiLabel"
    with pytest.warns(UserWarning, match=said):
        clf = tiny(n_members=1, epochs=1).fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf.partial_fit(X, Y)


@pytest.mark.parametrize(
    ("n_rows", "widths", "n_members", "seconds", "megabytes"),  # measured: an epoch of one core, memory above the data
    [
        (800, [20_000, 128, 128, 12_000], 5, 0.94, 347),
        (720, [20_000, 128, 128, 12_000], 1, 0.18, 39),
        (400, [100, 128, 128, 12_000], 9, 1.13, 508),
    ],
)
def test_the_estimate_is_near_what_was_measured(n_rows, widths, n_members, seconds, megabytes):
    n_held_out = n_rows if n_members > 1 else 80
    cost = estimated_cost(n_rows, widths, n_members, TrainingConfig(1, 32), n_held_out)
    assert 0.5 < cost[0] / seconds < 2
    assert 0.5 < cost[1] / (megabytes * 2**20) < 2.5


def test_batches_of_many_labels_are_small():
    assert [auto_batch_size(10**6, 5 * n_labels) for n_labels in (1_000, 13_000, 30_000, 10**6)] == [256, 256, 64, 32]
    assert auto_batch_size(100, 1) == 32


def test_the_batch_of_a_fit_follows_the_labels_of_all_members(monkeypatch):
    monkeypatch.setattr("skml._training._config._MAX_LOGITS", 64 * 4 * 100)
    rng = np.random.RandomState(0)
    X, Y = rng.randn(4000, 2), (rng.rand(4000, 100) < 0.1).astype(int)
    params = {"hidden_layer_sizes": (2,), "inputs": "plain", "epochs": 1, "learning_rate": 0.01}
    fitted = [tiny(**params, early_stopping=False, n_members=n, warm_start=True).fit(X, Y) for n in (4, 1)]
    # A thirtieth of the rows is a batch of 128, but the logits of four members fill one of 64.
    assert [int(clf._fitted.training.optimizer_state.values[0]) for clf in fitted] == [63, 32]
