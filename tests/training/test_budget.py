import numpy as np

from skml import KerasMultiLabelClassifier
from skml._training._config import auto_batch_size, auto_epochs


def test_automatic_rules_are_bounded():
    assert [auto_batch_size(n) for n in (0.1, 100, 2000, 5000, 10**6)] == [32, 32, 64, 128, 256]
    assert [auto_epochs(n, 32) for n in (1, 1600, 12_800)] == [150, 40, 20]
    assert [auto_epochs(n, 256) for n in (10**5, 10**6, 10**8)] == [20, 7, 1]
    assert auto_epochs(10**6, 256, n_members=9) == 20


def test_automatic_epochs_follow_the_number_of_rows(X, Y):
    base = {"early_stopping": False, "hidden_layer_sizes": (2,)}
    assert KerasMultiLabelClassifier(**base).fit(X, Y).n_iter_ == 150
    many = KerasMultiLabelClassifier(**base).fit(np.tile(X, (30, 1)), np.tile(Y, (30, 1)))
    assert many.n_iter_ == np.ceil(2000 / np.ceil(2400 / 64))
