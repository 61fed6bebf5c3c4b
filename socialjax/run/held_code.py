"""A digest of a function or class as it is in memory: its code, and all that the code holds.

For what has no file, or whose file does not say all: closures, partial functions, optimisers of optax, classes of a
notebook. What lies in a file is digested from there (`run/definitions.py`), which follows it into other modules.
"""

import functools
import hashlib
import re
import sys
import types
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

DEEPEST = 40
# Members of a class that say nothing of what it does.
BESIDE = frozenset(("__doc__", "__module__", "__qualname__", "__dict__", "__weakref__", "__firstlineno__"))


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
    elif isinstance(value, type) and is_unwritten(value):
        members = {name: member for name, member in vars(value).items() if name not in BESIDE}
        yield from (value.__name__, value.__bases__, members)
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
        yield re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def is_unwritten(kind: type) -> bool:
    """Whether a class lies in no file under its name: it was made in a notebook, or inside a function."""
    return "<locals>" in kind.__qualname__ or not getattr(sys.modules.get(kind.__module__), "__file__", None)


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
