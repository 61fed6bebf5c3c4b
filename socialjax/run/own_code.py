"""Functions that people give to `fit`: a name for each by what it does, so that a run that goes on knows them again.

A loss or an optimiser that comes as an object has no name in a settings.json. It is registered under `NAME_DIGEST`; the
digest is of its code and of all that the code holds (closures, defaults, partial arguments), so that another function,
or the same with another constant, is another setting, which a used folder refuses.
"""

import functools
import hashlib
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax

from socialjax.eval.beyond import METRICS, Metric
from socialjax.ops.losses import LOSSES
from socialjax.registry import Registry
from socialjax.train.step import OPTIMIZERS

DEEPEST = 40


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


def digest_of(value: Any) -> str:
    """8 hexadecimal digits of what a function does: its code, and what the code holds."""
    return hashlib.sha256("\0".join(_said(value, 0, {})).encode()).hexdigest()[:8]


def _said(value: Any, depth: int, met: dict[int, tuple[int, Any]]) -> Iterator[str]:
    """What a value says, piece by piece; things that were met before are said by their number. met: id -> number and
    the thing itself, which keeps its id from being given to another one."""
    if depth > DEEPEST:
        raise ValueError("a function that is given to `fit` holds things more than 40 levels deep; name it in a module")
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | type(Ellipsis)):
        yield repr(value)
        return
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        array = np.asarray(value)
        yield f"{array.dtype}{array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"
        return
    if id(value) in met:
        yield f"#{met[id(value)][0]}"
        return
    met[id(value)] = len(met), value
    yield type(value).__qualname__
    for part in _parts(value):
        yield from _said(part, depth + 1, met)
    yield ")"


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, types.FunctionType):
        code = value.__code__
        held = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
        yield from (code, value.__defaults__, value.__kwdefaults__, held)
        yield from (value.__globals__[name] for name in _globals(code) if _is_plain(value.__globals__.get(name)))
    elif hasattr(value, "__wrapped__"):  # compiled by jax.jit
        yield value.__wrapped__
    elif isinstance(value, types.CodeType):
        yield from (value.co_code, value.co_names, value.co_consts)
    elif isinstance(value, functools.partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, types.MethodType):
        yield from (value.__func__, value.__self__)
    elif isinstance(value, types.ModuleType | type | types.BuiltinFunctionType):
        yield getattr(value, "__module__", "") or ""
        yield getattr(value, "__qualname__", value.__name__)
    elif isinstance(value, dict):
        yield from (part for key in sorted(value, key=str) for part in (str(key), value[key]))
    elif isinstance(value, set | frozenset):
        yield from sorted(map(str, value))
    elif isinstance(value, list | tuple):
        yield from value
    elif hasattr(value, "__dict__"):
        yield vars(value)
    else:
        yield repr(value) if type(value).__repr__ is not object.__repr__ else ""


def _globals(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _globals(inner)


def _is_plain(value: Any) -> bool:
    """Whether a module's constant, or function of the same kind, counts; modules and classes are known by name."""
    return isinstance(value, bool | int | float | complex | str | bytes | tuple | np.ndarray | types.FunctionType)


def _is_filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False
