"""Baselines for ``quality.py`` that are cross-fitted like our network, and tuned by one small rule.

Each has a few settings. They are tried without the rows of the first fold, and the setting with the smallest log-loss
on these rows is used for all folds. Boosting stops by the loss of the rows that a fold leaves out. Probabilities are
averaged over the folds, and those of the rows left out are the out-of-fold probabilities, on which thresholds are
tuned. All of this sees the training rows only.
"""

import itertools
from importlib.util import find_spec

import numpy as np
from scipy import sparse
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder, StandardScaler

from skml.metrics import log_loss
from skml.model_selection import MultiLabelStratifiedKFold

N_FOLDS = 5
MAX_ROUNDS = 1000
PATIENCE = 30


class CrossFitted:
    """A baseline: one model for each fold, with out-of-fold probabilities.

    Parameters
    ----------
    fit_fold : callable
        ``fit_fold(X, Y, X_held, Y_held, seed, **setting)`` returns a function from X to probabilities.
    settings : list of dict
    seed : int
    view : {"native", "numbers", "filled"}, default="filled"
        How a table of numbers and categories is passed, see `views_of`.
    takes_sparse : bool, default=True
    """

    def __init__(self, fit_fold, settings, seed, view="filled", takes_sparse=True):
        self.fit_fold, self.settings, self.seed = fit_fold, settings, seed
        self.view, self.takes_sparse = view, takes_sparse

    def fit(self, X, Y):
        """Choose the setting and fit one model for each fold."""
        folds = list(MultiLabelStratifiedKFold(N_FOLDS, random_state=self.seed).split(Y, Y))
        tried = [self._member(X, Y, folds[0], setting) for setting in self.settings]
        best = int(np.argmin([log_loss(Y[folds[0][1]], proba) for _, proba in tried]))
        self.setting_ = self.settings[best]
        members = [tried[best], *(self._member(X, Y, fold, self.setting_) for fold in folds[1:])]
        self.members_ = [predict for predict, _ in members]
        self.oof_proba_ = np.empty(Y.shape)
        for (_, held), (_, proba) in zip(folds, members, strict=True):
            self.oof_proba_[held] = proba
        return self

    def _member(self, X, Y, fold, setting):
        train, held = fold
        X_held = rows_of(X, held)
        predict = self.fit_fold(rows_of(X, train), Y[train], X_held, Y[held], self.seed, **setting)
        return predict, predict(X_held)

    def predict_proba(self, X):
        """Return the mean probability of the folds' models, shape (n_samples, n_labels)."""
        return np.mean([predict(X) for predict in self.members_], axis=0)


def rows_of(X, rows):
    """Return some rows of an array, a sparse matrix or a DataFrame."""
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def one_per_label(fit_label):
    """Return a function that fits one model per label; a label with one value gets its share."""

    def fit_fold(X, Y, X_held, Y_held, seed, **setting):
        predictors = []
        for y, y_held in zip(Y.T, Y_held.T, strict=True):
            if y.min() < y.max():
                predictors.append(fit_label(X, y, X_held, y_held, seed, **setting))
            else:
                share = (y.sum() + 0.5) / (len(y) + 1)
                predictors.append(lambda X, share=share: np.full(X.shape[0], share))
        return lambda X: np.column_stack([predict(X) for predict in predictors])

    return fit_fold


def _lightgbm(X, y, X_held, y_held, seed, **setting):
    import lightgbm

    model = lightgbm.LGBMClassifier(
        n_estimators=MAX_ROUNDS, learning_rate=0.05, random_state=seed, n_jobs=1, verbosity=-1, **setting
    )
    stopping = [lightgbm.early_stopping(PATIENCE, verbose=False)]
    model.fit(X, y, eval_X=(X_held,), eval_y=(y_held,), eval_metric="binary_logloss", callbacks=stopping)
    return lambda X: model.predict_proba(X)[:, 1]


def _catboost(X, Y, X_held, Y_held, seed, **setting):
    from catboost import CatBoostClassifier, Pool

    categories = list(X.select_dtypes("category")) if hasattr(X, "iloc") else []
    varies = Y.min(axis=0) < Y.max(axis=0)  # CatBoost refuses labels with one value

    def pool(X, Y=None):
        texts = X.astype(dict.fromkeys(categories, object)).fillna(dict.fromkeys(categories, "")) if categories else X
        return Pool(texts, Y, cat_features=categories or None)

    model = CatBoostClassifier(
        iterations=MAX_ROUNDS,
        learning_rate=0.1,
        max_ctr_complexity=1,  # combinations of categories take many times as long
        loss_function="MultiLogloss",
        random_seed=seed,
        thread_count=1,
        verbose=False,
        allow_writing_files=False,
        early_stopping_rounds=PATIENCE,
        **setting,
    )
    model.fit(pool(X, Y[:, varies]), eval_set=pool(X_held, Y_held[:, varies]))

    def predict(X):
        proba = np.tile((Y.sum(axis=0) + 0.5) / (len(Y) + 1), (X.shape[0], 1))
        proba[:, varies] = model.predict_proba(pool(X))
        return proba

    return predict


def _hist_boosting(X, y, X_held, y_held, seed, **setting):
    model = HistGradientBoostingClassifier(
        max_iter=MAX_ROUNDS,
        learning_rate=0.05,
        early_stopping=True,
        n_iter_no_change=PATIENCE,
        random_state=seed,
        **setting,
    )
    model.fit(X, y, X_val=X_held, y_val=y_held)
    best = int(np.argmax(model.validation_score_))  # entry 0 is before the first round
    n_rounds = max(best, 1)
    return lambda X: next(itertools.islice(model.staged_predict_proba(X), n_rounds - 1, None))[:, 1]


def _extra_trees(X, Y, X_held, Y_held, seed, **setting):
    model = ExtraTreesClassifier(300, random_state=seed, n_jobs=1, **setting).fit(X, Y)

    def predict(X):
        proba = model.predict_proba(X)
        columns = [
            p[:, 1] if p.shape[1] > 1 else np.full(X.shape[0], c[0]) for p, c in zip(proba, model.classes_, strict=True)
        ]
        return np.column_stack(columns)

    return predict


def _logistic(X, y, X_held, y_held, seed, **setting):
    scaler = MaxAbsScaler() if sparse.issparse(X) else StandardScaler()
    model = make_pipeline(scaler, LogisticRegression(max_iter=2000, **setting)).fit(X, y)
    return lambda X: model.predict_proba(X)[:, 1]


LEAVES = [{"num_leaves": 31}, {"num_leaves": 7}, {"num_leaves": 15, "colsample_bytree": 0.4, "min_child_samples": 10}]
HIST = [
    {"max_leaf_nodes": 31},
    {"max_leaf_nodes": 7},
    {"max_leaf_nodes": 15, "max_features": 0.4, "min_samples_leaf": 10},
]
DEPTHS = [{"depth": 6}, {"depth": 4}, {"depth": 6, "rsm": 0.4}]
TREES = [{"min_samples_leaf": leaf, "max_features": share} for leaf in (1, 4) for share in ("sqrt", 0.5)]
STRENGTHS = [{"C": C} for C in (0.003, 0.03, 0.3, 3, 30)]

# Name -> a function from a seed to a baseline. LightGBM and CatBoost only where they are installed.
PEERS = {
    "lightgbm, cross-fitted": lambda seed: CrossFitted(one_per_label(_lightgbm), LEAVES, seed, "native"),
    "catboost, cross-fitted": lambda seed: CrossFitted(_catboost, DEPTHS, seed, "native"),
    "hist boosting, cross-fitted": lambda seed: CrossFitted(one_per_label(_hist_boosting), HIST, seed, "native", False),
    "extra trees, cross-fitted": lambda seed: CrossFitted(_extra_trees, TREES, seed),
    "logistic, cross-fitted": lambda seed: CrossFitted(one_per_label(_logistic), STRENGTHS, seed),
}
PEERS = {name: peer for name, peer in PEERS.items() if name[:8] not in ("lightgbm", "catboost") or find_spec(name[:8])}


def views_of(X, X_test):
    """Return view -> training and test rows of a table; all views of an array or sparse matrix are the same.

    "native" keeps missing numbers and categories, for the others see `encoders`. All is learned from the training rows.
    """
    if not hasattr(X, "iloc"):
        return dict.fromkeys(("native", "numbers", "filled"), (X, X_test))
    categories = {name: sorted(X[name].dropna().unique()) for name in X.select_dtypes(exclude="number")}
    views = {"native": [_with_categories(table, categories) for table in (X, X_test)]}
    for name, encoder in encoders().items():
        views[name] = [encoder.fit(X).transform(table).astype(np.float64) for table in (X, X_test)]
    return views


def encoders():
    """Return view -> a transformer of tables: 0/1 columns in place of categories.

    "numbers" keeps missing numbers. "filled" has the median, and a 0/1 column, in place of them.
    """
    is_number = make_column_selector(dtype_include="number")
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False, min_frequency=5)
    categories = (one_hot, make_column_selector(dtype_exclude="number"))
    filled = SimpleImputer(strategy="median", add_indicator=True)
    return {
        "numbers": make_column_transformer(("passthrough", is_number), categories),
        "filled": make_column_transformer((filled, is_number), categories),
    }


def _with_categories(table, categories):
    import pandas as pd

    return table.astype({name: pd.CategoricalDtype(levels) for name, levels in categories.items()})
