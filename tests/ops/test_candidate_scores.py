"""Scores of candidates against loops over pairs, on both branches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from socialjax.ops import lookup
from socialjax.ops.lookup import candidate_scores

ITEMS, D = 11, 4


@pytest.fixture(params=["cpu", "accelerator"])
def branch(request, monkeypatch):
    """Both branches run on the CPU here; the second is what GPUs and TPUs compile."""
    if request.param == "accelerator":
        monkeypatch.setattr(jax.lax, "platform_dependent", lambda *args, cpu, default: default(*args))
    else:
        monkeypatch.setattr(lookup, "BLOCK", 8)
    return request.param


def looped(users, items, candidates, g):
    """Scores, and the gradients of sum(g * scores), in float64."""
    scores = np.zeros(candidates.shape)
    to_users, to_items = np.zeros(users.shape), np.zeros(items.shape)
    for b, row in enumerate(candidates):
        for c, i in enumerate(row):
            scores[b, c] = users[b].astype(np.float64) @ items[i]
            to_users[b] += g[b, c] * items[i].astype(np.float64)
            to_items[i] += g[b, c] * users[b].astype(np.float64)
    return scores, to_users, to_items


@pytest.mark.parametrize("rows, columns", [(1, 1), (8, 3), (16, 1), (21, 3), (3, 12)])
def test_scores_and_gradients_equal_the_loop(rows, columns, branch):
    """Whole blocks, a broken block, one row; items repeated in a row and over rows."""
    rng = np.random.default_rng(0)
    users, items = (rng.normal(size=(n, D)).astype(np.float32) for n in (rows, ITEMS))
    candidates = rng.integers(ITEMS - 1, size=(rows, columns)).astype(np.int32)  # the last item is nobody's candidate
    g = rng.normal(size=(rows, columns)).astype(np.float32)

    @jax.jit
    def both(users, items, candidates, g):
        scores, back = jax.vjp(lambda u, v: candidate_scores(u, v, candidates), users, items)
        return scores, *back(g)

    for ours, slow in zip(both(users, items, candidates, g), looped(users, items, candidates, g)):
        np.testing.assert_allclose(ours, slow, atol=1e-5)


def test_one_item_one_number_one_row():
    score, slope = jax.value_and_grad(lambda u: candidate_scores(u, jnp.array([[3.0]]), jnp.array([[0]]))[0, 0])(
        jnp.array([[2.0]])
    )
    assert score == 6.0 and slope == 3.0


def test_no_rows_give_no_scores():
    assert candidate_scores(jnp.ones((0, 2)), jnp.ones((3, 2)), jnp.zeros((0, 4), jnp.int32)).shape == (0, 4)
