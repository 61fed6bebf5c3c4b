"""A softmax over some entries."""

import jax
import jax.numpy as jnp
import numpy as np

from socialjax.ops.activations import masked_softmax


def test_a_softmax_of_huge_logits_is_finite_and_ignores_invalid_ones():
    energy = jnp.array([[1e30, 1.0, 2.0], [-1e30, -1e30, 5.0], [3.0, 4.0, 5.0]])
    valid = jnp.array([[False, True, True], [True, True, False], [False, False, False]])
    sigmoid = 1 / (1 + np.exp(1))
    np.testing.assert_allclose(
        masked_softmax(energy, valid), [[0, sigmoid, 1 - sigmoid], [0.5, 0.5, 0], [0, 0, 0]], 1e-6
    )
    gradient = jax.jit(jax.grad(lambda e: jnp.sum(masked_softmax(e, valid)[:, 1])))(energy)
    assert np.isfinite(gradient).all() and not gradient[0, 0] and not gradient[2].any()


def test_a_masked_softmax_is_that_of_jax_but_for_the_last_digits():
    draw = np.random.default_rng(0)
    logits, towards = draw.normal(scale=3, size=(2, 50, 8)).astype(np.float32)
    valid = draw.random(logits.shape) < 0.6
    valid[0] = False
    both = []
    for softmax in (masked_softmax, lambda logits, valid: jax.nn.softmax(logits, where=valid)):
        weighted = lambda logits, softmax=softmax: jnp.sum(softmax(logits, valid) * towards)  # noqa: E731
        both.append((jax.jit(softmax)(logits, valid), jax.jit(jax.grad(weighted))(logits)))
        assert not both[-1][0][~valid].any() and not both[-1][1][0].any()
    np.testing.assert_allclose(both[0][0], both[1][0], atol=3e-7)
    np.testing.assert_allclose(both[0][1], both[1][1], atol=1e-6)
