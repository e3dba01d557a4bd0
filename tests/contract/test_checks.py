"""scikit-learn's own checks, whole: in each run on networks that train fast, and on the default ones with -m slow."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skml import KerasMultiLabelClassifier

DRAWS = "the draws of shuffle, dropout and holdout depend on the number of rows"
EXPECTED_FAILED_CHECKS = {
    "check_sample_weight_equivalence_on_dense_data": DRAWS,
    "check_sample_weight_equivalence_on_sparse_data": DRAWS,
}
FAST = {"hidden_layer_sizes": (4,), "epochs": 10, "learning_rate": 0.1}
STILL = {"n_members": 1, "dropout": 0.0, "input_dropout": 0.0, "early_stopping": False}


def checks_of(*estimators, **options):
    return parametrize_with_checks([KerasMultiLabelClassifier(**params) for params in estimators], **options)


@checks_of(FAST | {"n_members": 2}, expected_failed_checks=lambda _: EXPECTED_FAILED_CHECKS)
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@checks_of({}, expected_failed_checks=lambda _: EXPECTED_FAILED_CHECKS)
def test_estimator_checks_of_the_default(estimator, check):
    check(estimator)


@pytest.fixture
def _float64():
    import keras

    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)


@pytest.mark.usefixtures("_float64")
@checks_of(FAST | STILL)
def test_estimator_checks_in_float64_without_dropout_and_holdout(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.usefixtures("_float64")
@checks_of(STILL)
def test_estimator_checks_of_the_default_in_float64_without_dropout_and_holdout(estimator, check):
    check(estimator)
