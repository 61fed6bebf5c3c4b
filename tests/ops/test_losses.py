"""Losses against numbers worked by hand, at extreme scores, and their gradients against differences."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from socialjax.ops import losses

NAMES = ("bpr", "softmax", "bce", "squared")
ROWS = 6  # every test fills the same shapes, so that each loss is compiled once


@functools.partial(jax.jit, static_argnums=0)
def losses_and_slopes(name, positive, negatives, temperature=1.0):
    """f32[6] losses of six rows with two negatives each, and the slopes of their sum for every score, f32[6, 3]."""
    value, back = jax.vjp(lambda p, n: losses.objective(name, p, n, temperature), positive, negatives)
    to_positive, to_negatives = back(jnp.ones_like(value))
    return value, jnp.concatenate([to_positive[:, None], to_negatives], axis=1)


def of_rows(name, scores, temperature=1.0):
    """scores [R <= 6, 3], the positive first."""
    scores = np.asarray(scores, np.float32)
    filled = np.zeros((ROWS, 3), np.float32)
    filled[: len(scores)] = scores
    value, slopes = losses_and_slopes(name, filled[:, 0], filled[:, 1:], temperature)
    return np.asarray(value)[: len(scores)], np.asarray(slopes)[: len(scores)]


def random_rows(seed=0):
    return np.random.default_rng(seed).normal(size=(ROWS, 3)).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# One positive of score 1 against negatives of scores 0 and 2.
BY_HAND = {
    "bpr": (0.3132617 + 1.3132617) / 2,  # ln(1 + e^-1), ln(1 + e)
    "softmax": 1.4076060,  # ln(e + 1 + e^2) - 1
    "bce": (0.3132617 + 0.6931472 + 2.1269280) / 3,  # -ln sigmoid(1), -ln sigmoid(-0), -ln sigmoid(-2)
    "squared": 0.5 * (0.2689414**2 + 0.5**2 + 0.8807971**2),  # 1 - sigmoid(1), sigmoid(0), sigmoid(2)
}


@pytest.mark.parametrize("name", NAMES)
def test_one_row_by_hand(name):
    value, _ = of_rows(name, [[1.0, 0.0, 2.0]])
    assert value == pytest.approx([BY_HAND[name]], rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_rows_do_not_see_each_other(name):
    rows = random_rows()
    other = rows.copy()
    other[3, 0] += 10
    (before, slopes), (after, slopes_after) = of_rows(name, rows), of_rows(name, other)
    kept = np.arange(ROWS) != 3
    np.testing.assert_array_equal(before[kept], after[kept])
    np.testing.assert_array_equal(slopes[kept], slopes_after[kept])
    assert before[3] != after[3]


@pytest.mark.parametrize("name", NAMES)
def test_extreme_scores_stay_finite_with_finite_gradients(name):
    value, slopes = of_rows(name, [[s, t, -s] for s in (1e2, 1e4, 1e30) for t in (s, -s)])
    assert np.isfinite(value).all() and np.isfinite(slopes).all()
    value, slopes = of_rows(name, [[-s, t, s] for s in (1e2, 1e4, 1e30) for t in (s, -s)])
    assert np.isfinite(value).all() and np.isfinite(slopes).all()


@pytest.mark.parametrize(
    "name, of_wrong", [("bpr", 2e4), ("softmax", 2e4 + math.log(2)), ("bce", 1e4), ("squared", 1.5)]
)
def test_losses_of_the_extremes_are_their_limits(name, of_wrong):
    value, _ = of_rows(name, [[1e4, -1e4, -1e4], [-1e4, 1e4, 1e4]])
    assert value[0] == 0 and value[1] == pytest.approx(of_wrong, rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_losses_and_gradients_agree_with_the_formulas_and_their_differences(name):
    rows, temperature = random_rows(1).astype(np.float64), 0.7

    def slow(s):
        up, down = s[0], s[1:]
        return {
            "bpr": lambda: np.mean(-np.log(sigmoid(up - down))),
            "softmax": lambda: np.log(np.exp(s / temperature).sum()) - up / temperature,
            "bce": lambda: -np.mean(np.log([sigmoid(up), *(1 - sigmoid(down))])),
            "squared": lambda: 0.5 * ((1 - sigmoid(up)) ** 2 + np.sum((0 - sigmoid(down)) ** 2)),
        }[name]()

    value, slopes = of_rows(name, rows, temperature)
    np.testing.assert_allclose(value, [slow(s) for s in rows], rtol=1e-5)
    step = 1e-6
    differences = [[(slow(s + step * e) - slow(s - step * e)) / (2 * step) for e in np.eye(3)] for s in rows]
    np.testing.assert_allclose(slopes, differences, atol=1e-6)


def test_the_slope_of_bpr_is_minus_the_sigmoid_of_the_other_way():
    x = np.array([-20.0, -3.0, 0.0, 0.5, 3.0, 20.0], np.float32)
    _, slopes = of_rows("bpr", np.stack([x, 0 * x, 0 * x], axis=1))
    np.testing.assert_allclose(slopes[:, 0], -sigmoid(-x), rtol=1e-5)


@pytest.mark.parametrize("name", ["bpr", "softmax"])
def test_a_bias_of_the_user_cancels(name):
    rows = random_rows()
    biased = rows + np.array([[4.0], [-3.0], [0.5], [9.0], [-1.0], [2.0]])
    np.testing.assert_allclose(of_rows(name, biased)[0], of_rows(name, rows)[0], rtol=1e-5)


def test_softmax_with_one_negative_is_bpr_and_temperature_divides_the_scores():
    rows = random_rows()
    one = losses.softmax(rows[:, 0], rows[:, 1:2])
    np.testing.assert_allclose(one, losses.bpr(rows[:, 0], rows[:, 1:2]), rtol=1e-6)
    np.testing.assert_allclose(of_rows("softmax", rows, 0.5)[0], of_rows("softmax", rows * 2)[0], rtol=1e-6)


def test_equal_scores_cost_the_logarithm_of_the_number_of_candidates():
    assert of_rows("softmax", np.zeros((1, 3)))[0] == pytest.approx([math.log(3)])
    assert of_rows("bpr", np.zeros((1, 3)))[0] == pytest.approx([math.log(2)])


def test_an_unknown_objective_is_an_error():
    with pytest.raises(KeyError, match="hinge"):
        losses.objective("hinge", jnp.zeros(1), jnp.zeros((1, 1)))
