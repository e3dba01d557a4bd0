"""Optuna: searches over distributions, and trials that are pruned."""

import pandas as pd
import pytest
from sklearn.model_selection import cross_val_score

from estimators import SMALL, tiny
from forms import label_sets_of
from skml import KerasMultiLabelClassifier
from skml.metrics import get_scorer
from skml.model_selection import MultiLabelStratifiedKFold

optuna = pytest.importorskip("optuna", reason="needs Optuna: pip install -e '.[integrations]'")
optuna_integration = pytest.importorskip("optuna_integration", reason="needs optuna-integration")

pytestmark = [
    pytest.mark.integrations,
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning", "ignore::FutureWarning:optuna"),
]

DROPOUT = {"dropout": optuna.distributions.FloatDistribution(0.0, 0.5)}
F1 = get_scorer("f1_micro")


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("form", ["indicator", "frame", "sets"])
def test_a_search_finds_parameters_for_each_form_of_y(form, n_jobs, X, Y):
    y = {"indicator": Y, "frame": pd.DataFrame(Y, columns=list("abc")), "sets": label_sets_of(Y)}[form]
    clf, cv = KerasMultiLabelClassifier(**SMALL), MultiLabelStratifiedKFold(2, random_state=0)
    search = optuna_integration.OptunaSearchCV(
        clf, DROPOUT, cv=cv, scoring=F1, n_trials=3, n_jobs=n_jobs, random_state=0, error_score="raise"
    ).fit(X, y)
    best = cross_val_score(clf.set_params(**search.best_params_), X, y, cv=cv, scoring=F1)
    assert search.best_score_ == pytest.approx(best.mean())
    assert type(search.predict(X[:1])[0]) is (tuple if form == "sets" else type(Y[0]))


def test_a_callback_prunes_a_trial_that_learns_too_little(X, label_sets):
    def objective(trial):
        pruning = optuna_integration.KerasPruningCallback(trial, "val_loss")
        learning_rate = trial.suggest_float("learning_rate", 1e-9, 0.1, log=True)
        clf = KerasMultiLabelClassifier(**SMALL, learning_rate=learning_rate, callbacks=pruning).fit(X, label_sets)
        return clf.history_["val_loss"][-1]

    study = optuna.create_study(pruner=optuna.pruners.ThresholdPruner(upper=0.6, n_warmup_steps=3))
    for learning_rate in (0.05, 1e-8):
        study.enqueue_trial({"learning_rate": learning_rate})
    study.optimize(objective, n_trials=2)
    good, bad = study.trials
    assert (good.state, bad.state) == (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    assert list(good.intermediate_values) == [0, 1, 2, 3, 4]
    assert good.value == good.intermediate_values[4]
    assert list(bad.intermediate_values) == [0, 1, 2, 3]  # not trained to the end


@pytest.mark.parametrize("form", ["indicator", "sets"])
def test_a_search_prunes_by_partial_fit_if_it_is_told_the_labels(form, X, Y):
    # Without them it passes the distinct values of y as classes; and a refit would pass them to fit, too.
    y, classes = {"indicator": (Y, [0, 1, 2]), "sets": (label_sets_of(Y), ["a", "b", "c"])}[form]
    search = optuna_integration.OptunaSearchCV(
        tiny(), DROPOUT, cv=2, scoring=F1, enable_pruning=True, max_iter=3, n_trials=2, refit=False, error_score="raise"
    ).fit(X, y, classes=classes)
    assert [list(trial.intermediate_values) for trial in search.trials_] == [[0, 1, 2], [0, 1, 2]]
    assert tiny(**search.best_params_).fit(X, y).classes_.tolist() == classes
