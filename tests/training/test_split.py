import numpy as np

from skml._training._split import fold_weights, training_weights


def test_weights_of_members_leave_their_own_fold_out():
    fold, weight = np.array([0, 1, 2, -1]), np.array([1.0, 2.0, 3.0, 4.0])
    expected = np.array([[0, 1, 1], [2, 0, 2], [3, 3, 0], [4, 4, 4]]) * 1.5
    np.testing.assert_allclose(training_weights(weight, fold, np.arange(3)), expected)
    np.testing.assert_allclose(fold_weights(weight, fold, np.arange(3)), [[1, 0, 0], [0, 2, 0], [0, 0, 3], [0, 0, 0]])
    # The mean over members of the first three rows is the mean over rows.
    np.testing.assert_allclose(training_weights(None, fold, np.arange(3))[:3].mean(), 1)
