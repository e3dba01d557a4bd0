import numpy as np

from skml import KerasMultiLabelClassifier
from skml._training._budget import auto_batch_size, auto_epochs


def test_automatic_rules_are_bounded():
    assert [auto_batch_size(n) for n in (0.1, 100, 2000, 5000, 10**6)] == [32, 32, 64, 128, 256]
    assert [auto_epochs(n, 32) for n in (1, 1600, 10**6)] == [150, 40, 20]


def test_automatic_epochs_and_batches_count_weights(X, Y):
    base = {"early_stopping": False, "hidden_layer_sizes": (2,)}
    assert KerasMultiLabelClassifier(**base).fit(X, Y).n_iter_ == 150
    heavy = KerasMultiLabelClassifier(**base).fit(X, Y, sample_weight=np.full(80, 30.0))
    assert heavy.n_iter_ == np.ceil(2000 / np.ceil(2400 / 64))
