"""Members that see the columns of dense X in different ways, from fit to predictions, files and explanations."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import log_loss

from estimators import tiny
from skml import KerasMultiLabelClassifier
from skml.inspection import label_contributions

N = 300


@pytest.fixture(scope="module")
def table():
    """Thresholds on columns of any scale, with missing values, a constant, a date and a column that reaches 1e50."""
    rng = np.random.RandomState(0)
    Z = rng.randn(N, 4)
    X = np.column_stack([Z[:, 0], np.exp(60 * np.abs(Z[:, 1])), 1.7e18 + 1e15 * Z[:, 2], np.full(N, 7.0), Z[:, 3]])
    X[rng.rand(N) < 0.15, 4] = np.nan
    Y = np.column_stack([Z[:, 0] > 0.4, np.abs(Z[:, 1]) > 1, Z[:, 2] > 0, np.isnan(X[:, 4])])
    return X, (Y ^ (rng.rand(N, 4) < 0.05)).astype(np.uint8)


@pytest.fixture(scope="module")
def fitted(table):
    return tiny(epochs=30, hidden_layer_sizes=(16, 16), learning_rate=0.01).fit(*table)


def test_default_members_learn_what_a_table_tells(table, fitted):
    X, Y = table
    assert np.nanmax(X) > 1e50
    assert (fitted.predict(X) == Y).mean(axis=0).min() > 0.9
    assert sum(fitted.input_weights_.values()) == pytest.approx(1)
    assert set(fitted.input_weights_) <= {"plain", "binned", "steps"}
    assert fitted.relevance_.shape == (5,)
    assert fitted.relevance_[[0, 1, 2, 4]].min() > 0.3
    assert fitted.relevance_[3] == pytest.approx(0.5 / (0.8 * N), rel=0.05)  # a constant tells nothing


def test_out_of_fold_probabilities_are_those_of_members_that_did_not_see_the_row(table):
    X, Y = table
    clf = tiny(epochs=30, hidden_layer_sizes=(16, 16), learning_rate=0.01, calibrate=False).fit(X, Y)
    network, weights = clf.trained_network(), clf.input_weights_
    n_folds = network.n_members // network.n_kinds
    proba = np.array([network.take([j]).proba(X) for j in range(network.n_members)])
    by_kind = np.tensordot(list(weights.values()), proba.reshape(len(weights), n_folds, N, 4), 1)
    distances = np.abs(by_kind - clf.oof_proba_).max(axis=2)  # each row is predicted by the members of one fold
    assert distances.min(axis=0).max() < 1e-6
    np.testing.assert_allclose(by_kind.mean(axis=0), clf.predict_proba(X), atol=1e-6)


def test_the_average_that_no_member_learned_is_that_of_its_kinds(table):
    X, Y = table
    clf = tiny(epochs=20, learning_rate=0.01, calibrate=False, n_members=4).fit(X, Y)
    network, entries, fold = clf.trained_network(), np.nonzero(Y), np.random.RandomState(0).randint(-1, 4, N)
    assert network.n_kinds > 1
    kinds = [network.take(network.members_of_kind(k)) for k in range(network.n_kinds)]
    expected = [kind.out_of_fold_average(X, fold, entries) for kind in kinds]
    expected = np.average(expected, axis=0, weights=list(clf.input_weights_.values()))
    np.testing.assert_allclose(network.out_of_fold_average(X, fold, entries), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("params", "n_members", "n_first_kinds"),
    [
        ({}, 15, 3),  # few rows: five folds
        ({"inputs": "plain"}, 5, 1),
        ({"inputs": ["binned", "steps"], "n_members": 2}, 4, 2),
        ({"n_members": 1}, 1, 1),
        ({"inputs": "steps", "n_members": 1}, 1, 1),
        ({"scale": "standard"}, 5, 1),
        ({"hidden_layer_sizes": (), "inputs": ["plain", "binned"], "n_members": 2}, 4, 2),
    ],
)
def test_kinds_and_members(params, n_members, n_first_kinds, table):
    X, Y = table
    X = X[:, [0, 2, 4]]
    clf = tiny(**params).fit(X, Y)
    network = clf.trained_network()
    n_kinds = len(getattr(clf, "input_weights_", ["standard"]))  # those that are kept
    assert (network.n_kinds, network.n_members * n_first_kinds) == (n_kinds, n_members * n_kinds)
    proba = clf.predict_proba(X)
    np.testing.assert_allclose(proba, np.vstack([clf.predict_proba(X[[i]]) for i in range(N)]), atol=1e-6)
    np.testing.assert_allclose(proba, clf.to_keras()(X), atol=1e-6)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clf)).predict_proba(X), proba)
    many = np.tile(X, (4, 1))
    np.testing.assert_allclose(clf.predict_proba(many), np.tile(proba, (4, 1)), atol=1e-6)


def test_a_missing_value_moves_only_its_own_column(table, fitted):
    X, _ = table
    row = X[:1].copy()
    row[0, 0] = np.nan
    contributions = label_contributions(fitted, row, 0)
    assert contributions["contribution"].get("x0", 0) == 0


@pytest.mark.parametrize("value", [1e300, -1e300, 2.0**53 + 1, 0.0])
def test_any_finite_value_is_predicted(value, fitted):
    rows = np.full((2, 5), value)
    proba = fitted.predict_proba(rows)
    assert np.isfinite(proba).all()
    np.testing.assert_allclose(fitted.to_keras()(rows), proba, atol=1e-6)
    np.testing.assert_allclose(fitted.predict_proba(np.tile(rows, (300, 1)))[:2], proba, atol=1e-6)


@pytest.mark.parametrize("scale", ["auto", "standard"])
def test_missing_values_of_partial_fit(scale, table):
    X, Y = table
    X = X[:, [0, 4]]
    clf = tiny(scale=scale).partial_fit(X, Y).partial_fit(X, Y)
    proba = clf.predict_proba(X)
    assert np.isfinite(proba).all()
    np.testing.assert_allclose(proba, clf.to_keras()(X), atol=1e-6)


def test_training_resumes_with_the_same_columns(table):
    X, Y = table
    clf = tiny(warm_start=True).fit(X, Y)
    encoding = clf.trained_network().encoding
    clf.fit(X[:100] + 5, Y[:100])
    clf.partial_fit(X[:50], np.column_stack([Y, Y[:, 0]])[:50], classes=range(5))
    assert clf.trained_network().encoding is encoding
    assert clf.predict_proba(X).shape == (N, 5)


def test_a_kind_of_weight_0_is_not_kept_and_training_resumes_without_it(table, recwarn):
    X, Y = table
    clf = tiny(epochs=20, learning_rate=0.01, inputs=["plain", "steps"], n_members=2).fit(X, Y)
    network = clf.trained_network()
    alone = network.with_kind_weights(np.array([0.0, 1.0]))
    assert alone.n_members == 2
    assert alone.input_weights() == {"steps": 1.0}
    steps = network.take([2, 3])
    np.testing.assert_allclose(alone.proba(X), steps.proba(X), atol=1e-7)
    assert sum(w.size for w in alone.weights) < sum(w.size for w in network.weights)


def test_columns_in_other_units_are_the_same_columns(table):
    X, Y = table
    X = X[:, [0, 4]]
    one, other = (tiny().fit(Z, Y).predict_proba(Z) for Z in (X, X * [1024.0, 2.0**-20]))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_weights_are_repeats():
    import keras

    rng = np.random.RandomState(0)
    X, Y, weight = rng.randn(60, 3), rng.randint(2, size=(60, 2)), np.arange(60) % 3
    repeats = np.repeat(np.arange(60), weight)
    params = {"inputs": ["plain", "binned", "steps"], "n_members": 1, "early_stopping": False}
    params |= {"dropout": 0.0, "input_dropout": 0.0, "batch_size": 1000}
    floatx = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        one = tiny(**params).fit(X, Y, sample_weight=weight).predict_proba(X)
        other = tiny(**params).fit(X[repeats], Y[repeats]).predict_proba(X)
    finally:
        keras.config.set_floatx(floatx)
    np.testing.assert_allclose(one, other, rtol=1e-7)


@pytest.mark.parametrize("form", ["binary", "multiclass", "missing"])
def test_forms_of_y(form, table):
    X, Y = table
    y = {"binary": Y[:, 0], "multiclass": Y[:, 0] + Y[:, 1], "missing": np.where(X[:, :1] > 1, np.nan, Y)}[form]
    clf = tiny(epochs=30, learning_rate=0.01).fit(X, y)
    assert clf.score(X, y) > (0.6 if form == "missing" else 0.8)
    assert np.isfinite(clf.oof_proba_).all()


def test_columns_that_act_together_only_lose_nothing():
    rng = np.random.RandomState(0)
    X = rng.choice([-1.0, 1.0], size=(400, 6)) * (1 + 0.1 * rng.rand(400, 6))
    y = (X[:, 0] * X[:, 1] > 0).astype(int)  # no column tells anything alone
    params = {"epochs": 150, "hidden_layer_sizes": (32, 32), "learning_rate": 0.01, "n_members": 3}
    ours, standard = (
        log_loss(y[300:], tiny(scale=scale, **params).fit(X[:300], y[:300]).predict_proba(X[300:]))
        for scale in ("auto", "standard")
    )
    assert ours < max(standard, 0.1) * 1.1


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"inputs": "tree"}, "inputs"),
        ({"inputs": ["plain", "tree"]}, "inputs.*plain, binned, steps.*'tree'"),
        ({"inputs": []}, "inputs"),
        ({"scale": "robust"}, "scale"),
        ({"scale": None}, "NaN.*scale"),
        ({"scale": None, "inputs": "steps"}, "inputs.*scale"),
        ({"scale": "standard", "inputs": "steps"}, "inputs.*scale"),
    ],
)
def test_wrong_kinds_are_refused(params, message, table):
    X, Y = table
    X = X if message.startswith("NaN") else np.nan_to_num(X[:, [0, 2]])
    with pytest.raises(ValueError, match=f"(?s){message}"):
        tiny(**params).fit(X, Y)


def test_missing_values_with_a_custom_network_are_refused(table):
    X, Y = table

    def build(meta):
        import keras

        return keras.Sequential([keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])])

    with pytest.raises(ValueError, match="NaN"):
        tiny(build).fit(X, Y)


def test_a_refused_call_leaves_the_model(table, fitted):
    X, Y = table
    other = clone(fitted).set_params(warm_start=True, epochs=1).fit(X, Y)
    proba = other.predict_proba(X)
    with pytest.raises(ValueError, match="inputs"):
        other.set_params(inputs="plain").fit(X, Y)
    with pytest.raises(ValueError, match="features"):
        other.set_params(inputs="auto").predict_proba(X[:, :2])
    np.testing.assert_array_equal(other.predict_proba(X), proba)


def test_sparse_X_has_relevance_but_no_kinds(table):
    from scipy import sparse

    X, Y = table
    X = sparse.csr_array(np.where(np.abs(X[:, [0, 0]]) > [1.0, 0.0], 1.0, 0.0))
    clf = KerasMultiLabelClassifier(hidden_layer_sizes=8, epochs=1, random_state=0).fit(X, Y)
    assert clf.relevance_.shape == (2,)
    assert not hasattr(clf, "input_weights_")
    assert not hasattr(clone(clf).set_params(scale="standard").fit(X, Y), "relevance_")
