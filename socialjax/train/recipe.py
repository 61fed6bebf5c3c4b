"""What settings add to an optimiser: a schedule of its rate, warm-up, clipping, averaged parameters, parts of a batch.

All are off by default, and the optimiser is then the plain one. Whatever they remember is in the optimiser's state, and
is saved and resumed with it. The rate of an optax optimiser multiplies its updates: a schedule multiplies them again.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from socialjax.train.rows import RowOptimizer
from socialjax.train.step import TrainSettings, TrainState, make_optimizer


class Recipe(NamedTuple):
    """An optax transformation, and how a step takes its batch.

    Attributes:
      init: As of optax.
      update: As of optax.
      parts: In how many parts, one after the other, the gradient of a batch is computed.
    """

    init: Callable
    update: Callable
    parts: int


class Averaged(NamedTuple):
    """State of `averaging`.

    Attributes:
      inner: Of the optimiser.
      average: sum over steps t' <= t of (1 - decay) decay^(t - t') params[t'], of the shape of the parameters.
      count: i32[], steps so far.
    """

    inner: Any
    average: Any
    count: jax.Array


def changed(settings: TrainSettings) -> list[str]:
    """The options that make a recipe of the optimiser, as they are typed."""
    usual = {"schedule": "constant", "warmup": 0, "clip": 0.0, "ema": 0.0, "accumulate": 1}
    return [f"--train.{name}" for name, value in usual.items() if getattr(settings, name) != value]


def optimizer_of(settings: TrainSettings, steps: int, share: int):
    """The optimiser of the settings.

    Args:
      settings: Of the training.
      steps: Of all its epochs.
      share: Rows of a batch on each device.

    Returns:
      That of `make_optimizer`, or a `Recipe`.

    Raises:
      ValueError: for settings that do not go with the optimiser, with the length of the training or with the batch.
    """
    inner = make_optimizer(settings.optimizer, settings.learning_rate)
    options = changed(settings)
    if not options:
        return inner
    if settings.fanouts or (isinstance(inner, RowOptimizer) and not inner.whole):
        which = "--train.fanouts" if settings.fanouts else f"--train.optimizer {settings.optimizer}"
        raise ValueError(
            f"{', '.join(options)} change all rows of all tables in each step, and {which} changes only those that a "
            "batch reads; leave them out, or choose adam, adamw, adagrad or sgd, without fanouts"
        )
    if settings.warmup >= steps:
        raise ValueError(f"--train.warmup must be below the {steps} steps of this training, got {settings.warmup}")
    if share % settings.accumulate:
        raise ValueError(
            f"--train.accumulate must divide the {share} pairs of a batch that a device has, got {settings.accumulate}"
        )
    chain = [optax.GradientTransformation(inner.init, inner.update)]
    if settings.clip:
        chain.insert(0, optax.clip_by_global_norm(settings.clip))
    if settings.schedule != "constant" or settings.warmup:
        chain.append(optax.scale_by_schedule(schedule(settings.schedule, settings.warmup, steps)))
    made = optax.chain(*chain)
    if settings.ema:
        made = averaging(made, settings.ema)
    return Recipe(made.init, made.update, settings.accumulate)


def schedule(name: str, warmup: int, steps: int) -> optax.Schedule:
    """By what step t = 0, 1, ... multiplies the learning rate.

    In the first `warmup` steps (t + 1) / warmup; then, with p = (t - warmup) / (steps - warmup), 1 for `constant`,
    1 - p for `linear` and (1 + cos(pi p)) / 2 for `cosine`.
    """
    rest = steps - warmup
    after = {
        "constant": optax.constant_schedule(1.0),
        "linear": optax.linear_schedule(1.0, 0.0, rest),
        "cosine": optax.cosine_decay_schedule(1.0, rest),
    }[name]
    return optax.join_schedules([lambda t: (t + 1) / warmup, after], [warmup]) if warmup else after


def averaging(optimizer: optax.GradientTransformation, decay: float) -> optax.GradientTransformation:
    """The optimiser, with an exponential moving average of the parameters beside."""

    def init(params):
        return Averaged(optimizer.init(params), jax.tree.map(jnp.zeros_like, params), jnp.zeros((), jnp.int32))

    def update(gradients, state: Averaged, params):
        updates, inner = optimizer.update(gradients, state.inner, params)
        new = optax.apply_updates(params, updates)
        average = jax.tree.map(lambda a, p: decay * a + (1.0 - decay) * p, state.average, new)
        return updates, Averaged(inner, average, state.count + 1)

    return optax.GradientTransformation(init, update)


def evaluated(state: TrainState, decay: float) -> Any:
    """Of a state, what makes the parameters that are evaluated: with a decay (average, count), else the parameters."""
    return (state.opt_state.average, state.opt_state.count) if decay else state.params


def finished(found: Any, decay: float) -> Any:
    """The parameters of what `evaluated` gave; an average is divided by the sum of its weights, 1 - decay^count."""
    if not decay:
        return found
    average, count = found
    scale = 1.0 / (1.0 - decay ** int(count))
    return jax.tree.map(lambda leaf: leaf * scale, average)
