"""Optimisers by name, from optax."""

from typing import Literal

import optax

Optimizer = Literal["adam", "adamw", "sgd", "adagrad"]


def make_optimizer(name: Optimizer, learning_rate: float) -> optax.GradientTransformation:
    """Raises ValueError for a learning rate that is not above 0."""
    if not learning_rate > 0:
        raise ValueError(f"the learning rate must be above 0, got {learning_rate}")
    return {"adam": optax.adam, "adamw": optax.adamw, "sgd": optax.sgd, "adagrad": optax.adagrad}[name](learning_rate)
