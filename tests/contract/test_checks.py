"""scikit-learn's own checks, whole."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skml import KerasMultiLabelClassifier

DRAWS = "the draws of shuffle, dropout and holdout depend on the number of rows"
EXPECTED_FAILED_CHECKS = {
    "check_sample_weight_equivalence_on_dense_data": DRAWS,
    "check_sample_weight_equivalence_on_sparse_data": DRAWS,
}


@parametrize_with_checks([KerasMultiLabelClassifier()], expected_failed_checks=lambda _: EXPECTED_FAILED_CHECKS)
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.fixture
def _float64():
    import keras

    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)


@pytest.mark.usefixtures("_float64")
@parametrize_with_checks([KerasMultiLabelClassifier(n_members=1, dropout=0.0, input_dropout=0.0, early_stopping=False)])
def test_estimator_checks_in_float64_without_dropout_and_holdout(estimator, check):
    check(estimator)
