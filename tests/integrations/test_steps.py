"""Steps before the classifier, wrappers around it and what reads its probabilities, all of others."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, precision_score, recall_score
from sklearn.pipeline import make_pipeline

from estimators import tiny
from forms import label_sets_of
from skml import KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV
from skml.metrics import get_scorer
from skml.model_selection import cross_val_predict_proba

pytestmark = [
    pytest.mark.integrations,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:feature_engine", "ignore::DeprecationWarning:fairlearn"),
]

LEARNS = {"hidden_layer_sizes": (32,), "n_members": 2, "epochs": 60, "learning_rate": 0.01, "random_state": 0}


@pytest.fixture(scope="module")
def learned(X, Y):
    return KerasMultiLabelClassifier(**LEARNS).fit(X, Y)


def test_imbalanced_learn_balances_the_classes_that_a_pipeline_is_trained_on(needs, X, Y):
    imblearn = needs("imblearn", "imbalanced-learn")
    from imblearn.over_sampling import RandomOverSampler
    from imblearn.pipeline import make_pipeline

    y = np.where(X[:, 0] > 0.8, "rare", "common")
    model = make_pipeline(RandomOverSampler(random_state=0), tiny()).fit(X, y)
    balanced, labels = RandomOverSampler(random_state=0).fit_resample(X, y)
    assert (labels == "rare").sum() == (labels == "common").sum()
    np.testing.assert_array_equal(model.predict_proba(X), tiny().fit(balanced, labels).predict_proba(X))
    assert imblearn.metrics.geometric_mean_score(y, model.predict(X)) > 0.5
    with pytest.raises(ValueError, match="rows"):
        TunedThresholdMultiLabelClassifierCV(model, scoring="f1_macro", cv="oof").fit(X, y)


def test_feature_engine_prepares_a_table(needs, X, label_sets):
    needs("feature_engine", "feature-engine")
    from feature_engine.encoding import OneHotEncoder
    from feature_engine.imputation import MeanMedianImputer

    table = pd.DataFrame(X.copy(), columns=list("pqrst"))
    table["kind"] = np.where(X[:, 1] > 0.3, "red", "blue")
    table.loc[3, "p"] = np.nan
    steps = MeanMedianImputer(variables=["p"]), OneHotEncoder(variables=["kind"])
    model = make_pipeline(*steps, KerasMultiLabelClassifier(**LEARNS)).fit(table, label_sets)
    assert model[-1].feature_names_in_.tolist() == [*"pqrst", "kind_red", "kind_blue"]
    assert get_scorer("f1_micro")(model, table, label_sets) > 0.9


def test_scikit_lego_selects_columns_and_makes_a_step_of_the_classifier(needs, X, Y):
    needs("sklego", "scikit-lego")
    from sklego.meta import EstimatorTransformer
    from sklego.preprocessing import ColumnSelector

    table = pd.DataFrame(X, columns=list("pqrst"))
    model = make_pipeline(ColumnSelector(["p", "q", "r"]), tiny()).fit(table, Y)
    few = table[["p", "q", "r"]]
    np.testing.assert_array_equal(model.predict_proba(table), tiny().fit(few, Y).predict_proba(few))
    proba = EstimatorTransformer(tiny(), predict_func="predict_proba").fit(X, Y).transform(X)
    np.testing.assert_array_equal(proba, tiny().fit(X, Y).predict_proba(X))


def test_problem_transformations_of_scikit_multilearn_wrap_the_classifier(needs, X, Y):
    needs("skmultilearn", "scikit-multilearn-ng")
    from skmultilearn.problem_transform import BinaryRelevance, LabelPowerset

    relevance = BinaryRelevance(tiny()).fit(X, Y)
    by_label = [tiny().fit(X, Y[:, j]).predict(X) for j in range(3)]
    np.testing.assert_array_equal(relevance.predict(X).toarray(), np.transpose(by_label))
    powerset = LabelPowerset(KerasMultiLabelClassifier(**LEARNS)).fit(X, Y)
    assert f1_score(Y, powerset.predict(X).toarray(), average="micro") > 0.9


def test_thresholds_of_a_classifier_of_scikit_multilearn_are_tuned(needs, X, Y):
    needs("skmultilearn", "scikit-multilearn-ng")
    from skmultilearn.problem_transform import BinaryRelevance

    relevance = BinaryRelevance(LogisticRegression())
    proba = cross_val_predict_proba(relevance, X, Y, cv=2)
    assert proba.shape == Y.shape
    tuner = TunedThresholdMultiLabelClassifierCV(relevance, scoring="f1_macro", random_state=0).fit(X, Y)
    columns = [LogisticRegression().fit(X, Y[:, j]).predict_proba(X)[:, 1] for j in range(3)]
    expected = np.transpose(columns) >= tuner.best_threshold_
    np.testing.assert_array_equal(tuner.predict(X), expected)


def test_mapie_calibrates_recall_on_held_out_rows(needs, X, Y):
    control = needs("mapie.risk_control", "MAPIE")
    has_label = np.flatnonzero(Y.any(axis=1))
    train, held_out = has_label[:30], has_label[30:]
    clf = KerasMultiLabelClassifier(**LEARNS).fit(X[train], label_sets_of(Y[train]))
    Y_held_out = clf.target_encoder_.transform(label_sets_of(Y[held_out]))
    controller = control.MultiLabelClassificationController(clf.predict_proba, risk="recall", target_level=0.7)
    controller.calibrate(X[held_out], Y_held_out)
    predicted = controller.predict(X[held_out])[..., 0]
    assert recall_score(Y[held_out], predicted, average="samples") >= 0.7


def test_cleanlab_finds_the_rows_whose_labels_were_changed(needs, X, Y):
    needs("cleanlab")
    from cleanlab.multilabel_classification.filter import find_label_issues

    wrong = Y.copy()
    sure = np.flatnonzero((np.abs(X[:, :3] - 0.3) > 0.6).all(axis=1))[:4]
    wrong[sure] = 1 - wrong[sure]
    clf = KerasMultiLabelClassifier(**LEARNS | {"n_members": 5}).fit(X, wrong)
    issues = find_label_issues([np.flatnonzero(row).tolist() for row in wrong], clf.oof_proba_)
    assert issues.shape == (len(X),)
    assert issues[sure].mean() > 0.7
    assert np.delete(issues, sure).mean() < 0.2


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_scikit_activeml_asks_for_the_row_that_is_least_certain(needs, X, Y):
    needs("skactiveml", "scikit-activeml")
    from skactiveml.classifier import SklearnClassifier
    from skactiveml.pool import UncertaintySampling
    from skactiveml.utils import MISSING_LABEL

    y = Y[:, 0].astype(float)
    y[40:] = MISSING_LABEL
    clf = SklearnClassifier(KerasMultiLabelClassifier(**LEARNS), classes=[0, 1]).fit(X, y)
    strategy = UncertaintySampling(method="least_confident", random_state=0)
    (asked,) = strategy.query(X=X, y=y, clf=clf, fit_clf=False, batch_size=1)
    certainty = KerasMultiLabelClassifier(**LEARNS).fit(X[:40], y[:40]).predict_proba(X[40:]).max(axis=1)
    assert asked == 40 + certainty.argmin()


def test_fairlearn_compares_groups_of_rows(needs, X, Y, learned):
    metrics = needs("fairlearn.metrics", "fairlearn")
    group = np.where(X[:, 4] > 0, "p", "q")
    predicted = learned.predict(X)[:, 0]
    frame = metrics.MetricFrame(
        metrics={"precision": precision_score}, y_true=Y[:, 0], y_pred=predicted, sensitive_features=group
    )
    for name in "pq":
        rows = group == name
        assert frame.by_group["precision"][name] == precision_score(Y[rows, 0], predicted[rows])


def test_fairlearn_trains_the_classifier_with_weights(needs, X, Y):
    reductions = needs("fairlearn.reductions", "fairlearn")
    group = np.where(X[:, 0] > 0, "p", "q")
    grid = reductions.GridSearch(tiny(epochs=20), reductions.DemographicParity(), grid_size=3)
    grid.fit(X, Y[:, 0], sensitive_features=group)
    gaps = [np.ptp([clf.predict(X)[group == name].mean() for name in "pq"]) for clf in grid.predictors_]
    assert len(gaps) == 3
    assert min(gaps) < max(gaps)
    np.testing.assert_array_equal(grid.predict(X), grid.predictors_[grid.best_idx_].predict(X))
