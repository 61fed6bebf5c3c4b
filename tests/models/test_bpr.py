"""BPR against its equation, and what it must find: popularity when it has nothing but biases."""

import jax
import numpy as np
import pytest
import twins
import worlds
from scipy import stats

from socialjax.models.cf.bpr import BPR
from socialjax.train.parallel import make_runner
from socialjax.train.step import make_optimizer, new_state, resident


@pytest.mark.parametrize("objective", ["bpr", "softmax", "bce", "squared"])
def test_scores_and_loss_equal_the_equations(objective):
    model = BPR(dim=4, objective=objective, negatives=3, temperature=0.6, l2=0.3)
    worlds.assert_equals_twin(model, worlds.small(), twins.bpr)


def test_without_a_bias_and_with_dropout_too():
    worlds.assert_equals_twin(BPR(dim=4, negatives=2, item_bias=False, dropout=0.4), worlds.small(), twins.bpr)


def test_a_score_by_hand():
    params = {
        "users": np.array([[1.0, 2.0]], np.float32),
        "items": np.array([[3.0, -1.0], [0.5, 0.5]], np.float32),
        "item_bias": np.array([0.25, -1.0], np.float32),
    }
    model, data = BPR(dim=2), worlds.dataset(1, 2, [(0, 0)])
    state = model.encode(params, model.prepare(data))
    np.testing.assert_allclose(model.score(state, np.array([0]), np.array([[0, 1]])), [[3 - 2 + 0.25, 0.5 + 1 - 1]])


def test_links_and_features_change_nothing():
    model = BPR(dim=4)
    assert model.prepare(worlds.small(3, 3)) == model.prepare(worlds.small(links=False))


def test_tables_start_normal_with_the_asked_spread_and_biases_at_zero():
    model = BPR(dim=32, init_std=0.1)
    params = model.init(jax.random.key(0), model.prepare(worlds.dataset(300, 200, [(0, 0)])))
    for name, rows in (("users", 300), ("items", 200)):
        assert params[name].shape == (rows, 32)
        assert np.std(params[name]) == pytest.approx(0.1, rel=0.05)
        assert np.mean(params[name]) == pytest.approx(0, abs=0.01)
    assert not params["item_bias"].any()
    assert "item_bias" not in BPR(dim=2, item_bias=False).init(jax.random.key(0), model.prepare(worlds.small()))


def test_biases_alone_recover_popularity():
    """With vectors at 0, where their gradient is 0, only biases learn: the ranking of popularity."""
    rng = np.random.default_rng(0)
    appeal = 1 / (1 + np.arange(50.0))
    train = [(u, i) for u in range(200) for i in rng.choice(50, 8, replace=False, p=appeal / appeal.sum())]
    data = worlds.dataset(200, 50, train)
    model, optimizer = BPR(dim=1, init_std=0, l2=0, negatives=4), make_optimizer("adam", 0.02)
    side = model.prepare(data)
    runner = make_runner("jit", model, optimizer, side, resident(data), 800, devices=jax.devices()[:1])
    params = runner.run(runner.place(new_state(model, side, optimizer, 0)), 400).params
    assert not params["users"].any() and not params["items"].any()
    count = np.bincount(data.train.item, minlength=50)
    often = count > 5
    assert often.sum() > 30
    assert stats.spearmanr(params["item_bias"][often], count[often]).statistic > 0.95
