"""Steps of the optimisers by hand, number by number, from the papers' equations and optax's constants."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from socialjax.models.cf.bpr import BPR
from socialjax.ops import sample
from socialjax.train.loop import train
from socialjax.train.step import TrainSettings, make_batch, make_optimizer, on_device

RATE = 0.05
GRADIENTS = [np.array([0.5, -2.0, 1e-3, 0.0]), np.array([-1.0, 0.25, 4.0, 3.0]), np.array([0.1, 0.1, -0.1, 0.0])]
START = np.array([1.0, -3.0, 0.5, 2.0])


def adam(x, gradient, steps=3, decay=0.0):
    """Kingma and Ba (2015), Algorithm 1; decay: that of Loshchilov and Hutter (2019), outside of the moments."""
    m, v = 0.0, 0.0
    for t in range(1, steps + 1):
        g = gradient(x, t - 1)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        step = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        x = x - RATE * (step + decay * x)
    return x


def adamw(x, gradient, steps=3):
    return adam(x, gradient, steps, decay=1e-4)


def sgd(x, gradient, steps=3):
    for t in range(steps):
        x = x - RATE * gradient(x, t)
    return x


def adagrad(x, gradient, steps=3):
    """Duchi, Hazan and Singer (2011), whose sum of squares starts at 0.1."""
    total = 0.1
    for t in range(steps):
        g = gradient(x, t)
        total = total + g**2
        x = x - RATE * g / np.sqrt(total + 1e-7)
    return x


RULES = {"adam": adam, "adamw": adamw, "sgd": sgd, "adagrad": adagrad}
EXPECTED = {name: rule(START, lambda x, t: GRADIENTS[t]) for name, rule in RULES.items()}


@pytest.mark.parametrize("name", EXPECTED)
def test_three_steps_equal_those_by_hand(name):
    optimizer = make_optimizer(name, RATE)
    x = jnp.asarray(START, jnp.float32)
    state = optimizer.init(x)
    for gradient in GRADIENTS:
        updates, state = optimizer.update(jnp.asarray(gradient, jnp.float32), state, x)
        x = optax.apply_updates(x, updates)
    np.testing.assert_allclose(x, EXPECTED[name], rtol=0, atol=2e-6)


def test_what_is_compared_differs_from_optimiser_to_optimiser_by_more_than_it_is_compared_to():
    ends = list(EXPECTED.values())
    apart = [np.abs(a - b).max() for n, a in enumerate(ends) for b in ends[:n]]
    assert min(apart) > 1e-5


@pytest.mark.parametrize("rate", [0.0, -1e-3, float("nan")])
def test_a_rate_that_is_not_above_0_is_refused(rate):
    with pytest.raises(ValueError, match="the learning rate must be above 0"):
        make_optimizer("adam", rate)


def test_a_parameter_without_gradient_stays_under_adam():
    """So that a row of a table that no batch touched is as it was drawn."""
    optimizer, x = make_optimizer("adam", RATE), jnp.array([1.0, 2.0])
    updates, _ = jax.jit(optimizer.update)(jnp.zeros(2), optimizer.init(x), x)
    np.testing.assert_array_equal(updates, [0.0, 0.0])


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_a_training_takes_these_steps_along_the_mean_gradient_of_its_rows(world, pairs, tmp_path, name):
    """One step an epoch: the whole training, with padding in its batch, against the rule above.

    Each step has random numbers of its own, for dropout and for the negatives.
    """
    model, size, seed = BPR(dim=3, init_std=0.3, l2=0.1, dropout=0.25), 64 * -(-len(pairs.users) // 64) + 64, 3
    settings = TrainSettings(
        epochs=2, batch_size=size, optimizer=name, learning_rate=RATE, patience=0, save_seconds=60, quiet=True
    )
    side = model.prepare(world)
    found = train(model, side, pairs, settings, seed, tmp_path, "print", devices=jax.devices()[:1])
    start, back = jax.flatten_util.ravel_pytree(model.init(jax.random.key(seed), side))
    rows, on = np.arange(size, dtype=np.uint32), on_device(pairs)

    @jax.jit
    def mean_gradient(x, t):
        batch = make_batch(on, jnp.uint32(seed), t, rows, size, model.negatives)
        loss = lambda x: model.loss(back(x), side, batch, sample.fold(jnp.uint32(seed), t))[0][0]  # noqa: E731
        return jax.grad(loss)(x) / len(pairs.users)

    end = RULES[name](np.float64(start), lambda x, t: np.float64(mean_gradient(np.float32(x), t)), steps=2)
    ours = jax.flatten_util.ravel_pytree(jax.tree.map(jnp.asarray, found.params))[0]
    apart = np.abs(ours - end)  # where a gradient is almost 0, Adam makes steps of its rounding
    assert np.mean(apart < {"adam": 1e-5, "sgd": 1e-6}[name]) > 0.98 and apart.max() < 1e-3
    assert np.median(np.abs(end - start)) > 1e-4
