"""Explanations of one label by others, through `label_view`, and of the whole by permutation."""

import numpy as np
import pandas as pd
import pytest

from skml import KerasMultiLabelClassifier
from skml.inspection import label_view
from skml.metrics import get_scorer

pytestmark = [
    pytest.mark.integrations,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:dalex", "ignore::DeprecationWarning:dice_ml"),
]

NAMES = list("pqrst")


@pytest.fixture(scope="module")
def table(X):
    return pd.DataFrame(X, columns=NAMES)


@pytest.fixture(scope="module")
def clf(table, label_sets):
    params = {"hidden_layer_sizes": (32,), "n_members": 2, "epochs": 60, "learning_rate": 0.01, "random_state": 0}
    return KerasMultiLabelClassifier(**params).fit(table, label_sets)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
def test_lime_names_the_column_that_a_label_depends_on(needs, X, clf):
    lime = needs("lime.lime_tabular", "lime")
    view = label_view(clf, "b")
    explainer = lime.LimeTabularExplainer(X, feature_names=NAMES, discretize_continuous=False, random_state=0)
    row = X[0]
    explanation = explainer.explain_instance(row, view.predict_proba, num_features=5, num_samples=500)
    weights = dict(explanation.as_list())
    assert max(weights, key=lambda name: abs(weights[name])) == "q"
    assert weights["q"] > 0
    np.testing.assert_allclose(explanation.predict_proba, view.predict_proba(row[None])[0], atol=1e-6)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
def test_eli5_finds_the_columns_that_the_labels_depend_on(needs, X, label_sets, clf):
    sklearn = needs("eli5.sklearn", "eli5")
    importance = sklearn.PermutationImportance(clf, scoring=get_scorer("f1_micro"), cv="prefit", random_state=0)
    importance.fit(X, label_sets)
    assert set(np.argsort(importance.feature_importances_)[-3:]) == {0, 1, 2}


def test_dalex_finds_the_column_that_a_label_depends_on(table, label_sets, clf):
    dalex = pytest.importorskip("dalex", reason="needs dalex: pip install dalex")
    view = label_view(clf, "c")
    explainer = dalex.Explainer(view, table, view.target(label_sets), verbose=False)
    np.testing.assert_allclose(explainer.predict(table), clf.predict_proba(table)[:, 2], atol=1e-6)
    parts = explainer.model_parts(B=3, random_state=0).result
    losses = parts[parts.variable.isin(NAMES)].set_index("variable").dropout_loss
    assert losses.idxmax() == "r"
    breakdown = explainer.predict_parts(table.iloc[[0]], type="break_down").result
    total = breakdown.set_index("variable_name").contribution
    assert breakdown.contribution.iloc[:-1].sum() == pytest.approx(breakdown.contribution.iloc[-1], abs=2e-3)
    assert len(total) == 7


def test_dice_finds_rows_that_would_get_the_label(needs, table, label_sets, clf):
    dice_ml = needs("dice_ml", "dice-ml")
    view = label_view(clf, "a")
    rows = table.assign(a=view.target(label_sets))
    data = dice_ml.Data(dataframe=rows, continuous_features=NAMES, outcome_name="a")
    explainer = dice_ml.Dice(data, dice_ml.Model(model=view, backend="sklearn"), method="random")
    lacking = table[view.predict(table) == 0].iloc[[0]]
    found = explainer.generate_counterfactuals(
        lacking, total_CFs=2, desired_class="opposite", features_to_vary=["p"], random_seed=0, verbose=False
    )
    changed = found.cf_examples_list[0].final_cfs_df[NAMES].astype(float)
    assert len(changed) == 2
    assert (view.predict(changed) == 1).all()
    np.testing.assert_allclose(changed[NAMES[1:]], np.repeat(lacking[NAMES[1:]].values, 2, axis=0), atol=1e-2)
