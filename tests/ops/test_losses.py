"""Losses against numbers worked by hand, at extreme scores, and their gradients against differences."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from socialjax.ops import losses

NAMES = ("bpr", "softmax", "bce", "squared")


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


# One positive of score 1 against negatives of scores 0 and 2.
BY_HAND = {
    "bpr": (-math.log(sigmoid(1)) - math.log(sigmoid(-1))) / 2,  # (0.31326 + 1.31326) / 2
    "softmax": -math.log(math.e / (math.e + 1 + math.e**2)),  # 1.40761
    "bce": (-math.log(sigmoid(1)) - math.log(1 - sigmoid(0)) - math.log(1 - sigmoid(2))) / 3,
    "squared": 0.5 * ((1 - sigmoid(1)) ** 2 + 0.25 + sigmoid(2) ** 2),
}


@pytest.mark.parametrize("name", NAMES)
def test_one_row_by_hand(name):
    loss = losses.objective(name, jnp.array([1.0]), jnp.array([[0.0, 2.0]]))
    assert loss.shape == (1,)
    assert float(loss[0]) == pytest.approx(BY_HAND[name], rel=1e-6)


def test_the_numbers_in_the_comments_above_are_right():
    assert BY_HAND["bpr"] == pytest.approx((0.31326 + 1.31326) / 2, abs=1e-5)
    assert BY_HAND["softmax"] == pytest.approx(1.40761, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_rows_do_not_see_each_other(name):
    rng = np.random.default_rng(0)
    positive, negatives = rng.normal(size=6).astype(np.float32), rng.normal(size=(6, 3)).astype(np.float32)
    together = losses.objective(name, positive, negatives)
    alone = [losses.objective(name, positive[b : b + 1], negatives[b : b + 1])[0] for b in range(6)]
    np.testing.assert_allclose(together, alone, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [100.0, 1e4, 1e30])
def test_extreme_scores_stay_finite_with_finite_gradients(name, size):
    positive, negatives = jnp.array([size, -size]), jnp.array([[-size, size], [size, -size]])
    value, gradients = jax.value_and_grad(lambda p, n: losses.objective(name, p, n).sum(), argnums=(0, 1))(
        positive, negatives
    )
    assert jnp.isfinite(value) and all(jnp.isfinite(g).all() for g in gradients)


def test_losses_of_the_extremes_are_their_limits():
    right, wrong = (jnp.array([1e4]), jnp.array([[-1e4]])), (jnp.array([-1e4]), jnp.array([[1e4]]))
    for name, of_right, of_wrong in (("bpr", 0, 2e4), ("softmax", 0, 2e4), ("bce", 0, 1e4), ("squared", 0, 1.0)):
        assert float(losses.objective(name, *right)[0]) == of_right
        assert float(losses.objective(name, *wrong)[0]) == pytest.approx(of_wrong)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_agree_with_differences(name):
    rng = np.random.default_rng(1)
    scores = rng.normal(size=4)
    of = lambda s: losses.objective(name, s[:1], s[None, 1:], 0.7)[0]  # noqa: E731
    gradient = jax.grad(of)(jnp.asarray(scores, jnp.float32))

    def slow(s):
        """float64, from the formulas."""
        up, down = s[0], s[1:]
        return {
            "bpr": lambda: np.mean(np.log1p(np.exp(down - up))),
            "softmax": lambda: np.log(np.exp(s / 0.7).sum()) - up / 0.7,
            "bce": lambda: -np.log([sigmoid(up), *(sigmoid(-d) for d in down)]).mean(),
            "squared": lambda: 0.5 * ((1 - sigmoid(up)) ** 2 + sum(sigmoid(d) ** 2 for d in down)),
        }[name]()

    step = 1e-6
    differences = [(slow(scores + step * e) - slow(scores - step * e)) / (2 * step) for e in np.eye(4)]
    np.testing.assert_allclose(gradient, differences, atol=1e-6)


def test_the_slope_of_bpr_is_minus_the_sigmoid_of_the_other_way():
    x = jnp.linspace(-20.0, 20.0, 41)
    slope = jax.vmap(jax.grad(lambda x: losses.bpr(x[None], jnp.zeros((1, 1)))[0]))(x)
    np.testing.assert_allclose(slope, -jax.nn.sigmoid(-x), rtol=1e-5)


@pytest.mark.parametrize("name", ["bpr", "softmax"])
def test_a_bias_of_the_user_cancels(name):
    positive, negatives = jnp.array([0.3, -1.0]), jnp.array([[1.0, 0.2], [0.5, -2.0]])
    bias = jnp.array([4.0, -3.0])
    np.testing.assert_allclose(
        losses.objective(name, positive + bias, negatives + bias[:, None]),
        losses.objective(name, positive, negatives),
        rtol=1e-5,
    )


def test_softmax_with_one_negative_is_bpr_and_temperature_divides_the_scores():
    positive, negatives = jnp.array([0.3, -1.0]), jnp.array([[1.0], [0.5]])
    np.testing.assert_allclose(losses.softmax(positive, negatives), losses.bpr(positive, negatives), rtol=1e-6)
    np.testing.assert_allclose(
        losses.softmax(positive, negatives, 0.5), losses.softmax(positive * 2, negatives * 2), rtol=1e-6
    )


def test_equal_scores_cost_the_logarithm_of_the_number_of_candidates():
    assert float(losses.softmax(jnp.zeros(1), jnp.zeros((1, 7)))[0]) == pytest.approx(math.log(8))
    assert float(losses.bpr(jnp.zeros(1), jnp.zeros((1, 7)))[0]) == pytest.approx(math.log(2))


def test_an_unknown_objective_is_an_error():
    with pytest.raises(KeyError, match="hinge"):
        losses.objective("hinge", jnp.zeros(1), jnp.zeros((1, 1)))
