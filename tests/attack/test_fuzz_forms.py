"""Any form of X and y is read as the same data in a plain form, or refused by name; and nothing given changes."""

import re
import warnings

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import sparse

import strategies
from skml import KerasMultiLabelClassifier
from skml._targets._encoder import TargetEncoder
from skml._targets._groups import group_codes
from strategies import run

XS = {"dense": strategies.dense_X(), "sparse": strategies.sparse_X()}
YS = {
    "indicator": strategies.indicators(),
    "narrow": strategies.indicators(widths=(1, 2)),
    "partly known": strategies.partly_known(),
    "collections": strategies.collections_of_labels(),
    "single": strategies.single_labels(),
}
PAIRS = [(x, y) for x in XS for y in YS]
ATTACKS = [*PAIRS, ("dense", "refused"), ("refused", "indicator")]


def cheap(classes=None):
    return KerasMultiLabelClassifier(hidden_layer_sizes=4, n_members=2, epochs=1, random_state=0, classes=classes)


def plainly(Y):
    """Return an indicator that is one of any width, and one label per row as it is."""
    return sparse.csr_array(Y) if Y.ndim == 2 and Y.shape[1] == 1 else Y


def check_same(X, y, groups):
    """Fitting on the forms gives what fitting on the plain data gives, and nothing given changes."""
    before = strategies.fingerprint([X.given, y.given, y.classes, groups.given])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = cheap().fit(X.plain, plainly(y.plain), groups=groups.plain)
        clf = cheap(y.classes).fit(X.given, y.given, groups=groups.given)
        expected = plain.predict_proba(X.plain)
        np.testing.assert_allclose(clf.predict_proba(X.given), expected, atol=1e-6, rtol=0)
        np.testing.assert_allclose(clf.predict_proba(X.plain), expected, atol=1e-6, rtol=0)
        if np.abs(expected - 0.5).min() > 1e-5:
            assert clf.score(X.given, y.given) == pytest.approx(plain.score(X.plain, plainly(y.plain)))
            answer, plain_answer = clf.predict(X.given), plain.predict(X.plain)
            decided = clf.target_encoder_.transform(answer)
            np.testing.assert_array_equal(_dense(decided), _dense(plain.target_encoder_.transform(plain_answer)))
    assert strategies.fingerprint([X.given, y.given, y.classes, groups.given]) == before


def check_no_groups(case):
    """Anything is the groups of the rows, or is refused with an error that names them."""
    before = strategies.fingerprint(case.given)
    try:
        codes = group_codes(case.given, strategies.ROWS)
    except ValueError as error:
        codes, message = None, str(error)
        assert "groups" in message
    assert codes is None or (codes.shape == (strategies.ROWS,) and set(codes) == set(range(max(codes) + 1)))
    assert strategies.fingerprint(case.given) == before


def check_weighted(y, data):
    """Soft labels, weights of labels and a hierarchy, in any form, act as in their plain form, and decisions agree."""
    labels = list(y.given.columns) if hasattr(y.given, "columns") else [0, 1, 2]
    weight, links = data.draw(strategies.label_weights(labels)), data.draw(strategies.hierarchies(labels))
    before = strategies.fingerprint([y.given, weight.given, links])
    X = np.random.RandomState(0).randn(strategies.ROWS, strategies.COLUMNS)
    by_place = {labels.index(child): [labels.index(parent) for parent in above] for child, above in links.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clf = cheap().set_params(soft_labels=True, hierarchy=links, threshold=[0.5, 0.45, 0.55])
        plain = cheap().set_params(soft_labels=True, hierarchy=by_place)
        proba = clf.fit(X, y.given, sample_weight=weight.given).predict_proba(X)
        expected = plain.fit(X, y.plain, sample_weight=weight.plain).predict_proba(X)
        np.testing.assert_allclose(proba, expected, atol=1e-6, rtol=0)
        decided = _dense(clf.predict(X))
        for child, above in by_place.items():
            assert (decided[:, child][:, None] <= decided[:, above]).all()
            assert (proba[:, child][:, None] <= proba[:, above]).all()
        score = clf.set_params(threshold=0).score(X, y.given, sample_weight=weight.given)
        assert score == pytest.approx(plain.set_params(threshold=0).score(X, y.plain, sample_weight=weight.plain))
    assert strategies.fingerprint([y.given, weight.given, links]) == before


def _dense(Y):
    return Y.toarray() if sparse.issparse(Y) else Y


def check_refused(X, y, name):
    """Fit, predict and score take it, or refuse it with an error that names X or y."""
    before = strategies.fingerprint([X, y])
    given_X = np.ones((strategies.ROWS, strategies.COLUMNS))
    given_Y = np.random.RandomState(0).randint(0, 2, (strategies.ROWS, 3))
    fitted = _fitted_once(given_X, given_Y)
    state = dict(vars(fitted))
    calls = [lambda: cheap().fit(X, y)]
    calls += [lambda: fitted.predict_proba(X), lambda: fitted.predict(X)] if name == "X" else []
    calls += [lambda: fitted.score(X, y), lambda: fitted.partial_fit(X, y) and None]
    for call in calls:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                call()
            except (ValueError, TypeError) as error:
                names_it(error, name)
                assert vars(fitted) == state
            else:
                vars(fitted).clear()
                vars(fitted).update(state)
    assert strategies.fingerprint([X, y]) == before


_fitted = []


def _fitted_once(X, Y):
    if not _fitted:
        _fitted.append(cheap().fit(X, Y))
    return _fitted[0]


def names_it(error, name):
    """Make sure that an error is of ours, or for X scikit-learn's, and says what it is about."""
    frame = error.__traceback__
    modules = []
    while frame:
        modules.append(frame.tb_frame.f_globals["__name__"].partition(".")[0])
        frame = frame.tb_next
    is_theirs = name == "X" and "sklearn" in modules  # which does not always say that it is X
    words = {"X": r"\bX\b", "y": r"\by\b|y\[|label|class|column|rows|indicator"}[name]
    assert is_theirs or re.search(words, str(error), re.IGNORECASE), f"{type(error).__name__}: {error}"
    assert "keras" not in modules, "refused by Keras, in training"
    assert "tensorflow" not in modules, "refused by TensorFlow, in training"


def attack(pair, n, fuzz=False):
    x, y = pair
    if y == "refused":
        X = np.random.RandomState(0).randn(strategies.ROWS, strategies.COLUMNS)
        run(lambda case: check_refused(X, case.given, "y"), strategies.no_target(), n=n, fuzz=fuzz)
    elif x == "refused":
        Y = np.random.RandomState(0).randint(0, 2, (strategies.ROWS, 3))
        run(lambda case: check_refused(case.given, Y, "X"), strategies.no_data(), n=n, fuzz=fuzz)
    else:
        run(check_same, XS[x], YS[y], strategies.groups(), n=n, fuzz=fuzz)


@pytest.mark.parametrize("pair", ATTACKS, ids="-".join)
def test_a_form_is_read_as_its_plain_data(pair):
    attack(pair, 5 if "refused" not in pair else 30)


@pytest.mark.fuzz
@pytest.mark.parametrize("pair", ATTACKS, ids="-".join)
def test_many_forms_are_read_as_their_plain_data(pair, cases):
    attack(pair, -(-cases // len(ATTACKS)), fuzz=True)


def test_what_is_no_groups_is_refused():
    for junk in (strategies.no_target(), strategies.no_data()):
        run(check_no_groups, junk, n=150, fuzz=False)


def test_soft_labels_weights_and_hierarchies_act_as_their_plain_form():
    run(check_weighted, strategies.soft_labels(), st.data(), n=6, fuzz=False)


@pytest.mark.fuzz
def test_many_soft_labels_weights_and_hierarchies_act_as_their_plain_form(cases):
    run(check_weighted, strategies.soft_labels(), st.data(), n=-(-cases // len(ATTACKS)), fuzz=True)


@pytest.mark.parametrize("kind", YS)
def test_every_form_has_its_matrix(kind):
    def check(y):
        before = strategies.fingerprint(y.given)
        matrix = TargetEncoder(y.classes).fit_transform(y.given)
        expected = TargetEncoder().fit_transform(plainly(y.plain))
        np.testing.assert_array_equal(_dense(matrix), _dense(expected))
        assert strategies.fingerprint(y.given) == before

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(check, YS[kind], n=150, fuzz=False)
