"""Functions that people give to `fit`: a name for each by what it does, so that a run that goes on knows them again.

A loss or an optimiser that comes as an object has no name in a settings.json. It is registered under `NAME_DIGEST`; the
digest is of its code and of all that the code holds (closures, defaults, partial arguments), so that another function,
or the same with another constant, is another setting, which a used folder refuses.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optax

from socialjax.eval.beyond import METRICS, Metric
from socialjax.ops.losses import LOSSES
from socialjax.registry import Registry
from socialjax.run.held_code import digest_of
from socialjax.train.step import OPTIMIZERS


def named_loss(loss: str | Callable) -> str:
    """The name of a loss for a model's `objective`; a function is registered. Raises ValueError for other things."""
    return _named(LOSSES, loss, lambda function: function, "a function (f32[B], f32[B, n]) -> f32[B]")


def named_optimizer(optimizer: str | optax.GradientTransformation | Callable) -> str:
    """The name of an optimiser for `TrainSettings`; a transformation, or a function of a learning rate that makes one,
    is registered. Raises ValueError for other things."""
    if isinstance(optimizer, optax.GradientTransformation):
        return _named(OPTIMIZERS, optimizer, lambda made: lambda _: made, "")
    return _named(OPTIMIZERS, optimizer, lambda make: make, "an optax transformation, or a function that makes one")


def named_metrics(metrics: Mapping[str, Metric] | Sequence[str]) -> tuple[str, ...]:
    """The names of metrics for `EvalSettings`; functions are registered, and their digest follows their name, so that a
    result by another function of that name is none. Raises ValueError for what is no function."""
    if isinstance(metrics, str):
        raise ValueError(f"wanted a list of names of metrics, or name -> function, got the text '{metrics}'")
    if not isinstance(metrics, Mapping):
        return tuple(metrics)
    for name, function in metrics.items():
        if not callable(function):
            raise ValueError(f"metric {name}: wanted a function of the lists, got {type(function).__name__}")
        METRICS[name] = function
    return tuple(f"{name}:{digest_of(function)}" for name, function in metrics.items())


def _named(registry: Registry, given: Any, entry: Callable, wanted: str) -> str:
    if isinstance(given, str):
        if given not in registry:
            raise ValueError(registry.unknown(given))
        return given
    if not isinstance(given, optax.GradientTransformation) and not callable(given):
        raise ValueError(f"wanted {wanted} or the name of a {registry.kind}, got {type(given).__name__}")
    function = getattr(given, "func", given)  # of a partial
    stem = getattr(function, "__name__", "") if not isinstance(given, optax.GradientTransformation) else "optax"
    stem = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in stem).strip("_")
    stem = stem[:40] if stem[:1].isalpha() else "own"
    name = f"{stem}_{digest_of(given)}"
    registry[name] = entry(given)
    return name
