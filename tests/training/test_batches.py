"""`fit_batches`: rows in blocks are learned like the same rows in one array; wrong blocks are refused by number."""

import pickle
import re
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from estimators import tiny
from skml import KerasMultiLabelClassifier, TunedThresholdMultiLabelClassifierCV
from skml._training import _batches
from skml._training._seeds import Seeds

LABELS = ["cold", "dry", "wet"]
N_ROWS = 60


def make_rows(n_rows, seed=0):
    """Return X and a learnable indicator of three labels."""
    rng = np.random.RandomState(seed)
    X = rng.randn(n_rows, 4)
    return X, (X[:, :3] + 0.3 * X[:, 1:4] + 0.5 * rng.randn(n_rows, 3) > 0).astype(int)


def blocks_of(X, y, size=N_ROWS):
    """Return a factory of blocks of rows."""
    return lambda: ((X[start : start + size], y[start : start + size]) for start in range(0, len(y), size))


def is_held_out(n_rows, size=N_ROWS, seed=0, fraction=0.1):
    """Return the held-out rows by the rule in the docstring: rows of the first ten blocks, then whole blocks."""
    seeds, held_out = Seeds.new(seed), []
    for number, start in enumerate(range(0, n_rows, size)):
        n = min(size, n_rows - start)
        held_out.append(np.broadcast_to(seeds.block(number).rand(n if number < 10 else 1) < fraction, n))
    return np.concatenate(held_out)


def mean_log_loss(Y, proba):
    return np.mean([log_loss(Y[:, j], proba[:, j].astype(float)) for j in range(Y.shape[1])])


@pytest.fixture(scope="module")
def data():
    return make_rows(1500)


@pytest.fixture(scope="module")
def fitted_blocks(data):
    clf = tiny(n_members=1, calibrate=False, tuned_rules=["f1_micro", "precision>=0.8"])
    return clf.fit_batches(blocks_of(*data), classes=LABELS)


def as_sets(Y):
    return [{label for label, has in zip(LABELS, row, strict=True) if has} for row in Y]


FORMS = {
    "label sets": (lambda X, Y: blocks_of(X, as_sets(Y))),
    "a list of blocks": (lambda X, Y: list(blocks_of(X, Y)())),
    "sparse y": (lambda X, Y: lambda: ((x, sparse.csr_array(y)) for x, y in blocks_of(X, Y)())),
    "DataFrames": (
        lambda X, Y: lambda: (
            (pd.DataFrame(x, columns=list("abcd")), pd.DataFrame(y, columns=LABELS)[LABELS[::-1]])
            for x, y in blocks_of(X, Y)()
        )
    ),
    "equal weights": (lambda X, Y: lambda: ((x, y, np.full(len(x), 2.0)) for x, y in blocks_of(X, Y)())),
    "an empty block": (lambda X, Y: [*blocks_of(X, Y)(), (X[:0], Y[:0])]),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_X_and_y_is_trained_on_alike(form, data, fitted_blocks):
    clf = tiny(n_members=1, calibrate=False).fit_batches(FORMS[form](*data), classes=LABELS)
    proba = clf.predict_proba(pd.DataFrame(data[0], columns=list("abcd")) if form == "DataFrames" else data[0])
    np.testing.assert_array_equal(proba, fitted_blocks.predict_proba(data[0]))
    assert clf.classes_.tolist() == LABELS


def test_sparse_rows_in_blocks():
    rng = np.random.RandomState(0)
    X = sparse.random_array((1500, 300), density=0.02, random_state=rng, format="csr")
    y = [{f"w{j}" for j in X[[i]].indices if j < 5} for i in range(1500)]
    labels = [f"w{j}" for j in range(5)]
    clf = tiny(n_members=1, epochs=25, learning_rate=0.03)
    by_blocks = clf.fit_batches(lambda: ((X[i : i + 50], y[i : i + 50]) for i in range(0, 1500, 50)), classes=labels)
    Y = by_blocks.target_encoder_.transform(y)
    loss = mean_log_loss(Y, by_blocks.predict_proba(X))
    assert loss < 0.5 * mean_log_loss(Y, np.broadcast_to(Y.mean(axis=0), Y.shape))


def test_the_same_rows_as_one_array_and_as_blocks_are_learned_as_well():
    X, Y = make_rows(6000)
    X_test, Y_test = make_rows(3000, seed=1)
    params = {"n_members": 1, "epochs": 10, "hidden_layer_sizes": (32, 32), "random_state": 0}
    whole = KerasMultiLabelClassifier(**params).fit(X, Y)
    blocks = KerasMultiLabelClassifier(**params).fit_batches(blocks_of(X, Y, 200), classes=LABELS)
    by_array, by_blocks = (mean_log_loss(Y_test, clf.predict_proba(X_test)) for clf in (whole, blocks))
    assert by_blocks < by_array * 1.03
    assert blocks.n_iter_ == len(blocks.history_["val_loss"]) <= 10  # a pass of few rows is one round


@pytest.mark.slow
def test_200_000_rows_as_one_array_and_as_blocks_are_learned_as_well():
    rng = np.random.RandomState(0)
    X = rng.randn(220_000, 20).astype(np.float32)
    Z = np.stack([X[:, j] * X[:, j + 1] + np.abs(X[:, j + 2]) - 1 for j in range(6)], axis=1)
    Y = (2 * Z + rng.logistic(size=Z.shape) > 0).astype(np.uint8)
    clf = KerasMultiLabelClassifier(n_members=1, epochs=6, random_state=0)
    by_array = mean_log_loss(Y[200_000:], clf.fit(X[:200_000], Y[:200_000]).predict_proba(X[200_000:]))
    clf.fit_batches(blocks_of(X[:200_000], Y[:200_000], 5000), classes=range(6))
    assert mean_log_loss(Y[200_000:], clf.predict_proba(X[200_000:])) < by_array * 1.03


def test_thresholds_and_guarantees_are_those_of_the_held_out_rows(data, fitted_blocks):
    X, Y = data
    held_out = is_held_out(len(X))
    assert 0.05 < held_out.mean() < 0.2
    assert held_out[: 10 * N_ROWS].any()
    assert held_out[10 * N_ROWS :].any()
    y = [label_set for label_set, is_out in zip(as_sets(Y), held_out, strict=True) if is_out]
    for rule in ("f1_micro", "precision>=0.8"):
        clf = pickle.loads(pickle.dumps(fitted_blocks)).set_params(threshold=rule)
        tuner = TunedThresholdMultiLabelClassifierCV(clf, scoring=rule, cv="prefit", refit=False)
        expected = tuner.fit(X[held_out], Y[held_out]).best_threshold_ if y else None
        np.testing.assert_allclose(clf.threshold_, expected, rtol=1e-5)


def test_calibration_fits_the_held_out_rows():
    X, Y = make_rows(3000)
    plain, calibrated = (
        tiny(n_members=1, epochs=2, calibrate=calibrate).fit_batches(blocks_of(X, Y), classes=LABELS)
        for calibrate in (False, True)
    )
    held_out = is_held_out(len(X))

    def inputs(X):  # log-odds, and an offset for each label
        log_odds = plain.decision_function(X)
        return np.column_stack([log_odds.ravel(), np.tile(np.eye(3), (len(X), 1))])

    platt = LogisticRegression(C=1e6, fit_intercept=False).fit(inputs(X[held_out]), Y[held_out].ravel())
    assert platt.coef_[0, 0] > 1.2
    expected = platt.predict_proba(inputs(X))[:, 1].reshape(Y.shape)
    np.testing.assert_allclose(calibrated.predict_proba(X), expected, atol=0.01)


def test_held_out_rows_are_not_trained_on(data):
    X, Y = data
    other = np.where(is_held_out(len(X))[:, None], 1 - Y, Y)
    probas = [
        tiny(n_members=1, epochs=1, calibrate=False).fit_batches(blocks_of(X, y), classes=LABELS).predict_proba(X)
        for y in (Y, other)
    ]
    np.testing.assert_array_equal(*probas)


def test_validation_data_take_the_place_of_held_out_rows_and_allow_any_order(data):
    X, Y = data
    orders = iter([np.arange(25), *(np.random.RandomState(i).permutation(25) for i in range(9))])

    def shuffled():
        return ((X[i * N_ROWS : (i + 1) * N_ROWS], Y[i * N_ROWS : (i + 1) * N_ROWS]) for i in next(orders))

    X_val, Y_val = make_rows(200, seed=5)
    clf = tiny(n_members=1, epochs=2, calibrate=False)
    clf.fit_batches(shuffled, classes=LABELS, X_val=X_val, y_val=Y_val)
    best = min(clf.history_["val_loss"])
    assert mean_log_loss(Y_val, clf.predict_proba(X_val)) == pytest.approx(best, rel=1e-4)
    orders = iter([np.arange(25), np.arange(25)[::-1]])
    with pytest.raises(ValueError, match=r"Block 0 of batches .*differs from that of the first pass.*X_val"):
        clf.fit_batches(shuffled, classes=LABELS)


def test_training_goes_on_after_pickling(data, fitted_blocks):
    X, Y = data
    copy = pickle.loads(pickle.dumps(fitted_blocks))
    np.testing.assert_array_equal(copy.predict_proba(X), fitted_blocks.predict_proba(X))
    assert copy.history_ == fitted_blocks.history_
    before = mean_log_loss(Y, copy.predict_proba(X))
    with pytest.warns(UserWarning, match="resumes"):
        copy.partial_fit(X, as_sets(Y))
    for _ in range(4):
        copy.partial_fit(X, as_sets(Y))
    assert mean_log_loss(Y, copy.predict_proba(X)) < before
    assert copy.n_iter_ == fitted_blocks.n_iter_ + 5


def test_a_warm_start_resumes(data):
    X, Y = data
    clf = tiny(n_members=1, epochs=2, warm_start=True).fit_batches(blocks_of(X, Y), classes=LABELS)
    first = mean_log_loss(Y, clf.predict_proba(X))
    clf.fit_batches(blocks_of(X, Y), classes=LABELS)
    assert clf.n_iter_ == 4
    assert mean_log_loss(Y, clf.predict_proba(X)) < first


def test_blocks_of_one_row_and_a_single_block():
    X, Y = make_rows(120)
    for size in (1, 120):
        clf = tiny(n_members=1, epochs=1).fit_batches(blocks_of(X, Y, size), classes=LABELS)
        assert np.isfinite(clf.predict_proba(X)).all()
        assert "val_loss" in clf.history_ or not is_held_out(120, size).sum() >= 10


def test_missing_labels_and_weights_of_some_blocks_only(data):
    X, Y = data
    Y = Y.astype(float)
    Y[:50, 0] = np.nan
    Y[60:120] = np.nan  # a block without any observed label
    weight = np.where(np.arange(len(X)) % 3, 1.0, 0.0)

    def batches():
        return ((x, y, weight[: len(x)]) for x, y in blocks_of(X, Y)())

    clf = tiny(n_members=1, epochs=3, class_weight="balanced").fit_batches(batches, classes=LABELS)
    assert mean_log_loss(Y[120:].astype(int), clf.predict_proba(X[120:])) < 0.69


def test_single_labels_a_custom_network_and_several_members(data):
    import keras

    X = data[0]

    def build(meta):
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])])

    y = np.array(LABELS)[X[:, :3].argmax(axis=1)]
    for clf in (tiny(n_members=2), tiny(build, learning_rate=0.01), tiny(n_members=1, class_weight="balanced")):
        clf.set_params(epochs=6).fit_batches(blocks_of(X, y), classes=LABELS)
        assert clf.score(X, y) > 0.6, clf
        assert not hasattr(clf, "oof_proba_")


def test_many_labels_stay_sparse():
    X, _ = make_rows(600)
    columns = (np.arange(600) * 7) % 700
    Y = sparse.csr_array((np.ones(600, np.uint8), (np.arange(600), columns)), shape=(600, 700))
    batches = lambda: ((X[i : i + 50], Y[i : i + 50]) for i in range(0, 600, 50))  # noqa: E731
    clf = tiny(n_members=1, epochs=1).fit_batches(batches, classes=range(700))
    assert clf.predict(X[:3]).shape == (3, 700)


def test_memory_is_that_of_the_buffer_and_the_samples(monkeypatch):
    monkeypatch.setattr(_batches, "_MAX_SAMPLE_ENTRIES", 40_000)
    monkeypatch.setattr(_batches, "_MAX_ROUND_ENTRIES", 40_000)

    def batches():
        return (make_rows(1000, seed) for seed in range(100))  # 3.2 MB of X, 2.4 MB of y

    tracemalloc.start()
    clf = tiny(n_members=1, epochs=1).fit_batches(batches, classes=LABELS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6 + 3e6  # tracing of TensorFlow's graphs included
    assert clf.n_iter_ >= 90_000 * 7 / 40_000


def test_progress_is_shown_by_rounds(data, monkeypatch, capsys):
    monkeypatch.setattr(_batches, "_ROUND_ROWS", (100, 500))
    clf = tiny(n_members=1, epochs=2, verbose=1).fit_batches(blocks_of(*data), classes=LABELS)
    n_rounds = 2 * int(np.ceil((~is_held_out(len(data[0]))).sum() / 500))
    assert clf.n_iter_ == n_rounds
    assert f"Epoch {n_rounds}/{n_rounds}" in capsys.readouterr().out


X0, Y0 = make_rows(3)
CSR_NAN = sparse.csr_array(np.array([[np.nan, 0, 0, 1.0]]))
BAD = {
    "nothing": (list, "batches gave no block with rows"),
    "a number": (5, r"batches must be a function without arguments"),
    "a generator": ((block for block in [(X0, Y0)]), r"can be read only once.*lambda"),
    "no pair": ([(X0, Y0), X0], r"Block 1 of batches .*must be a tuple \(X, y\).*got ndarray"),
    "four things": ([(X0, Y0, None, None)], r"Block 0 of batches .*must be a tuple"),
    "another width": ([(X0, Y0), (X0[:, :3], Y0)], r"Block 1 of batches .*X has 3 features, but .* 4 features"),
    "another width of y": ([(X0, Y0), (X0, Y0[:, :2])], r"Block 1 of batches"),
    "another label": ([(X0, as_sets(Y0)), (X0, [{"hot"}, set(), set()])], r"Block 1 of batches .*hot"),
    "infinity": ([(sparse.csr_array(X0), Y0), (sparse.csr_array(X0 * np.inf), Y0)], r"Block 1 of batches .*infinity"),
    "NaN in sparse X": ([(CSR_NAN, Y0[:1])], r"Block 0 of batches .*NaN"),
    "dense and sparse": ([(X0, Y0), (sparse.csr_array(X0), Y0)], r"Block 1 of batches .*sparse, unlike"),
    "some weights": ([(X0, Y0), (X0, Y0, np.ones(3))], r"Block 1 of batches .*sample_weight"),
    "other numbers of rows": ([(X0, Y0[:2])], r"Block 0 of batches .*\[3, 2\]"),
    "a dict": ([({"a": X0}, Y0)], r"Block 0 of batches .*dict"),
    "only weights of 0": ([(X0, Y0, np.zeros(3))], r"no row with a weight above 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_blocks_are_refused_by_number_and_the_estimator_stays(case, fitted_blocks, data):
    batches, message = BAD[case]
    clf = pickle.loads(pickle.dumps(fitted_blocks))
    state = clf.__dict__.copy()
    with pytest.raises((ValueError, TypeError), match=message):
        clf.fit_batches(batches, classes=LABELS)
    assert clf.__dict__ == state
    np.testing.assert_array_equal(clf.predict_proba(data[0][:5]), fitted_blocks.predict_proba(data[0][:5]))


def test_an_iterator_returned_twice_is_refused(data):
    iterator = iter([data])
    with pytest.raises(ValueError, match="can be read only once"):
        tiny().fit_batches(lambda: iterator, classes=LABELS)


def test_classes_are_required_and_batch_hooks_are_refused(data):
    import keras

    X, Y = data
    with pytest.raises(ValueError, match=r"Block 0 of batches .*classes must be passed"):
        tiny().fit_batches(blocks_of(X, as_sets(Y)))

    class Hook(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            pass

    with pytest.raises(ValueError, match=re.escape("Hook has the method on_train_batch_end")):
        tiny(n_members=1, callbacks=Hook).fit_batches(blocks_of(X, Y), classes=LABELS)


def test_a_reader_that_fails_in_a_later_pass_leaves_the_estimator_as_it_was(data, fitted_blocks):
    passes = iter(range(9))

    def failing():
        number = next(passes)
        yield from blocks_of(*data)()
        if number:
            raise OSError("the disk is gone")

    clf = pickle.loads(pickle.dumps(fitted_blocks))
    with pytest.raises(OSError, match="the disk is gone"):
        clf.fit_batches(failing, classes=LABELS)
    np.testing.assert_array_equal(clf.predict_proba(data[0]), fitted_blocks.predict_proba(data[0]))
