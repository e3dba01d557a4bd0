"""Searches of others over the parameters of the classifier, and over columns."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, cross_val_score

from estimators import tiny
from skml.metrics import get_scorer
from skml.model_selection import MultiLabelStratifiedKFold

pytestmark = pytest.mark.integrations

AP = get_scorer("average_precision_micro")
FOLDS = MultiLabelStratifiedKFold(2, random_state=0)
RATES = [1e-8, 0.03]


def small(learning_rate=0.001):
    return tiny(learning_rate=float(learning_rate), n_members=1, early_stopping=False, epochs=15)


def score(learning_rate, X, y):
    return cross_val_score(small(learning_rate), X, y, cv=FOLDS, scoring=AP).mean()


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:The objective has been evaluated:UserWarning")
def test_scikit_optimize_finds_the_rate_that_learns(needs, X, label_sets):
    skopt = needs("skopt", "scikit-optimize")
    space = {"learning_rate": skopt.space.Real(1e-8, 0.1, prior="log-uniform")}
    options = {"optimizer_kwargs": {"n_initial_points": 2}, "cv": FOLDS, "scoring": AP, "random_state": 0}
    search = skopt.BayesSearchCV(small(), space, n_iter=3, **options).fit(X, label_sets)
    best = search.best_params_["learning_rate"]
    assert best == max(search.cv_results_["param_learning_rate"])
    assert search.best_score_ == pytest.approx(score(best, X, label_sets))


def test_hyperopt_finds_the_rate_that_learns(needs, X, label_sets):
    hyperopt = needs("hyperopt")
    trials = hyperopt.Trials()
    best = hyperopt.fmin(
        lambda rate: -score(rate, X, label_sets),
        hyperopt.hp.choice("rate", RATES),
        algo=hyperopt.rand.suggest,
        max_evals=4,
        trials=trials,
        rstate=np.random.default_rng(0),
        show_progressbar=False,
    )
    assert RATES[best["rate"]] == 0.03
    assert min(trials.losses()) == pytest.approx(-score(0.03, X, label_sets))


def test_flaml_finds_the_rate_that_learns(needs, X, label_sets):
    flaml = needs("flaml")
    analysis = flaml.tune.run(
        lambda config: {"ap": score(config["rate"], X, label_sets)},
        config={"rate": flaml.tune.loguniform(1e-8, 0.1)},
        low_cost_partial_config={"rate": 1e-8},
        metric="ap",
        mode="max",
        num_samples=5,
        points_to_evaluate=[{"rate": 1e-8}, {"rate": 0.03}],
        verbose=0,
    )
    assert analysis.best_config["rate"] > 1e-3
    assert analysis.best_result["ap"] == pytest.approx(score(analysis.best_config["rate"], X, label_sets))


def test_a_grid_of_dask_ml_is_that_of_scikit_learn(needs, X, Y):
    search = needs("dask_ml.model_selection", "dask-ml")
    options = {"param_grid": {"learning_rate": RATES}, "cv": FOLDS, "scoring": AP}
    theirs = search.GridSearchCV(small(), **options, scheduler="sync", n_jobs=1).fit(X, Y)
    ours = GridSearchCV(small(), **options).fit(X, Y)
    assert theirs.best_params_ == ours.best_params_ == {"learning_rate": 0.03}
    np.testing.assert_allclose(theirs.cv_results_["mean_test_score"], ours.cv_results_["mean_test_score"])


def test_blocks_of_dask_ml_are_predicted_by_the_classifier(needs, X, label_sets):
    wrappers, array = needs("dask_ml.wrappers", "dask-ml"), needs("dask.array", "dask")
    parallel = wrappers.ParallelPostFit(tiny()).fit(X, label_sets)
    proba = parallel.predict_proba(array.from_array(X, chunks=(30, 5)))
    np.testing.assert_allclose(proba.compute(), parallel.estimator.predict_proba(X), atol=1e-6)


def test_mlxtend_selects_the_columns_that_tell_the_labels(needs, X, Y):
    selection = needs("mlxtend.feature_selection", "mlxtend")
    selector = selection.SequentialFeatureSelector(small(0.03), k_features=2, forward=False, scoring=AP, cv=2)
    selector.fit(X[:, [0, 4, 1]], Y[:, :2])  # column 4 tells nothing
    assert selector.k_feature_idx_ == (0, 2)
