"""Seeds: each purpose has its own, so that a new draw in one place changes nothing in another."""

import numpy as np
import pytest

from estimators import tiny
from skml._training._seeds import Seeds

DRAWS = {
    "folds": lambda seeds: seeds.folds(0).rand(5),
    "weights": lambda seeds: seeds.weights().rand(5),
    "order": lambda seeds: seeds.order(np.arange(30), 0),
    "dropout": lambda seeds: seeds.dropout(4, 0),
    "sampling": lambda seeds: seeds.sampling(0).rand(5),
}


def test_a_draw_for_one_purpose_changes_no_other():
    alone = {name: draw(Seeds(3)) for name, draw in DRAWS.items()}
    seeds = Seeds(3)
    for name, draw in reversed(DRAWS.items()):
        np.testing.assert_array_equal(draw(seeds), alone[name])
        np.testing.assert_array_equal(draw(seeds), alone[name])
    assert len({tuple(np.ravel(drawn)) for drawn in alone.values()}) == len(DRAWS)
    for name, draw in DRAWS.items():
        assert not np.array_equal(draw(Seeds(4)), alone[name]), name


def test_epochs_differ_and_do_not_depend_on_those_before():
    seeds, rows = Seeds(0), np.arange(50)
    orders = [seeds.order(rows, epoch).tolist() for epoch in range(3)]
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == rows.tolist() for order in orders)
    assert Seeds(0).order(rows, 2).tolist() == orders[2]


@pytest.mark.parametrize("purpose", ["folds", "order", "sampling", "dropout"])
def test_more_draws_for_one_purpose_leave_the_initial_weights_alone(purpose, X, Y, monkeypatch):
    first = tiny(learning_rate=1e-12, inputs="plain").fit(X, Y).trained_network().weights
    original = getattr(Seeds, purpose)

    def drawing_more(self, *args):
        np.random.RandomState(self.root).rand(100)
        result = original(self, *args)
        if hasattr(result, "rand"):
            result.rand(7)
        return result

    monkeypatch.setattr(Seeds, purpose, drawing_more)
    for before, after in zip(
        first, tiny(learning_rate=1e-12, inputs="plain").fit(X, Y).trained_network().weights, strict=True
    ):
        np.testing.assert_allclose(after, before, atol=1e-8)


def test_a_holdout_leaves_the_initial_weights_alone(X, Y):
    X, Y = np.tile(X, (3, 1)), np.tile(Y, (3, 1))
    base = {"learning_rate": 1e-12, "n_members": 1, "epochs": 1}
    with_holdout = tiny(**base).fit(X, Y)
    without = tiny(**base, early_stopping=False).fit(X, Y)
    assert "val_loss" in with_holdout.history_
    assert "val_loss" not in without.history_
    pairs = zip(with_holdout.trained_network().weights, without.trained_network().weights, strict=True)
    for one, other in pairs:
        np.testing.assert_allclose(one, other, atol=1e-8)
