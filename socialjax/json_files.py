"""JSON files from untrusted sources: limits first, then the parser, then the types that are wanted."""

import dataclasses
import json
import math
import os
import re
import stat
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union

from socialjax.names import visible

LARGEST = 32 << 20  # bytes
MOST = 2_000_000  # values, names among them
DEEPEST = 60  # lists and records inside one another
LONGEST_NAME = 255  # bytes, of one folder or file
LONGEST_PATH = 4096
INTEGERS = range(-(2**63), 2**63)
HALVES = re.compile(rb"\\ud[89a-f]", re.IGNORECASE)
T = TypeVar("T")


class JsonError(ValueError):
    """A JSON file that cannot be used. The message names the file, says what was wanted, what came and what to do."""


class WrongType(ValueError):
    """A value of another type than is wanted. The message names the field."""


def read(path: Path, largest: int = LARGEST, nonfinite: bool = False, advice: str = "") -> Any:
    """Reads a JSON file within limits of size and depth.

    Args:
        path: of the file.
        largest: bytes.
        nonfinite: whether NaN and Infinity are allowed.
        advice: what to do, which ends the message of an error.

    Raises:
        JsonError: the file is anything but plain JSON within the limits.
        OSError: there is no such file.
    """
    try:
        return _parsed(_bytes(Path(path), largest), nonfinite)
    except ValueError as error:
        raise JsonError(f"{visible(path)} is damaged ({visible(error)})" + (f"; {advice}" if advice else "")) from None


def read_lines(path: Path, largest: int = LARGEST, advice: str = "") -> list:
    """What is in a file of one JSON value a line, as `read` reads one."""
    try:
        return [_parsed(line, False) for line in _bytes(Path(path), largest).splitlines()]
    except ValueError as error:
        raise JsonError(f"{visible(path)} is damaged ({visible(error)})" + (f"; {advice}" if advice else "")) from None


def _bytes(path: Path, largest: int) -> bytes:
    about = os.stat(path)
    if not stat.S_ISREG(about.st_mode):  # a pipe would be waited for
        raise ValueError("it is no plain file")
    if about.st_size > largest:
        raise ValueError(f"wanted at most {largest} bytes, got {about.st_size}")
    with open(path, "rb") as file:
        return file.read(largest)


def parse(content: bytes) -> Any:
    """A value from bytes that came from no file. Raises ValueError for anything but JSON within the limits."""
    if len(content) > LARGEST:
        raise ValueError(f"wanted at most {LARGEST} bytes, got {len(content)}")
    return _parsed(content, False)


def _parsed(content: bytes, nonfinite: bool) -> Any:
    if sum(content.count(mark) for mark in (b",", b"[", b"{", b":")) > MOST:  # before they take a hundredfold
        raise ValueError(f"wanted at most {MOST} values, got more")

    def constant(name: str) -> float:
        if not nonfinite:
            raise ValueError(f"{name} is no number in JSON")
        return float(name)

    def number(digits: str) -> float:
        if math.isinf(found := float(digits)):
            raise ValueError(f"{digits[:20]} is too large a number")
        return found

    def integer(digits: str) -> int:
        if len(digits) > 30:
            raise ValueError(f"wanted a whole number, got one of {len(digits)} digits")
        return int(digits)

    try:
        parsed = json.loads(
            content.decode("utf-8"),
            parse_constant=constant,
            parse_float=number,
            parse_int=integer,
            object_pairs_hook=_once,
        )
    except RecursionError:
        raise ValueError(f"wanted at most {DEEPEST} levels, got more") from None
    _check_depth(parsed)
    if HALVES.search(content):
        json.dumps(parsed, ensure_ascii=False).encode()  # a half of a pair is no text: nothing could write or show it
    return parsed


def _once(pairs: list[tuple[str, Any]]) -> dict:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("a field stands twice in one record")
    return record


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        held = (each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list))
        level = [each for some in held for each in some]
        if not level:
            return
    raise ValueError(f"wanted at most {DEEPEST} levels, got more")


def typed(value: Any, hint: Any, field: str = "") -> Any:
    """A value of JSON as the type that the hint says: lists become tuples, texts paths, records dataclasses.

    Of dataclasses, fields that are missing keep their defaults and others than theirs are refused; of a TypedDict,
    others may stand beside. field: where the value stands, as `settings.model.dim`. Raises WrongType, which names it.
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin is Annotated:
        return typed(value, inner[0], field)
    if origin in (Union, types.UnionType):
        return _one_of(value, hint, inner, field)
    if origin is Literal:
        if not any(type(value) is type(one) and value == one for one in inner):
            raise _wrong(field, f"one of {', '.join(map(str, inner))}", value)
        return value
    if origin in (list, tuple):
        return _sequence(value, origin, inner, field)
    if origin is dict:
        return {key: typed(item, inner[1], _inside(field, key)) for key, item in _record(value, field).items()}
    if typing.is_typeddict(hint):
        return _typed_dict(value, hint, field)
    if dataclasses.is_dataclass(hint):
        return _dataclass(value, hint, field)
    if hint not in PLAIN:
        raise TypeError(f"{field}: no JSON is known for {hint}")
    description, fits, make = PLAIN[hint]
    if not fits(value):
        raise _wrong(field, description, value)
    return make(value)


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)


def _is_path(value: Any) -> bool:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_PATH or "\0" in value:
        return False
    return all(len(part.encode(errors="replace")) <= LONGEST_NAME for part in value.split("/"))


# Type -> how it is called, whether a value of JSON is one, what is made of it.
PLAIN: dict[Any, tuple[str, Callable[[Any], bool], Callable[[Any], Any]]] = {
    bool: ("true or false", lambda value: isinstance(value, bool), bool),
    int: ("a whole number", lambda value: type(value) is int and value in INTEGERS, int),
    float: ("a number", _is_number, float),
    str: ("a text", lambda value: isinstance(value, str), str),
    Path: ("the path of a file or folder", _is_path, Path),
    dict: ("a record", lambda value: isinstance(value, dict), dict),
    list: ("a list", lambda value: isinstance(value, list), list),
    type(None): ("null", lambda value: value is None, lambda value: None),
}


def _one_of(value: Any, hint: Any, inner: tuple, field: str) -> Any:
    """The first of the types that fits; the error of a record names the field inside it."""
    for kind in inner:
        try:
            return typed(value, kind, field)
        except WrongType as error:
            problem = error
            if isinstance(value, dict | list) and len(inner) == 2 and type(None) in inner and kind is not type(None):
                raise
    wanted = " or ".join(PLAIN[one][0] for one in inner if one in PLAIN)
    raise _wrong(field, wanted, value) if wanted else problem


def _sequence(value: Any, origin: type, inner: tuple, field: str) -> Any:
    if not isinstance(value, list):
        raise _wrong(field, "a list", value)
    if origin is list or inner[-1] is Ellipsis:
        hints = (inner[0],) * len(value)
    elif len(inner) != len(value):
        raise _wrong(field, f"a list of {len(inner)}", value)
    else:
        hints = inner
    return origin(typed(item, hint, f"{field}[{place}]") for place, (item, hint) in enumerate(zip(value, hints)))


def _record(value: Any, field: str) -> dict:
    if not isinstance(value, dict):
        raise _wrong(field, "a record", value)
    return value


def _typed_dict(value: Any, hint: Any, field: str) -> dict:
    hints = typing.get_type_hints(hint)
    if missing := sorted(hint.__required_keys__ - set(_record(value, field))):
        raise WrongType(f"{_location(field)} lacks {', '.join(missing)}")
    return value | {name: typed(value[name], of, _inside(field, name)) for name, of in hints.items() if name in value}


def _dataclass(value: Any, kind: type[T], field: str) -> T:
    hints = typing.get_type_hints(kind, include_extras=True)
    names = [each.name for each in dataclasses.fields(kind) if each.init]
    if unknown := sorted(set(_record(value, field)) - set(names)):
        raise WrongType(f"{kind.__name__} has no settings {', '.join(map(visible, unknown))}")
    return kind(**{name: typed(item, hints[name], _inside(field, name)) for name, item in value.items()})


def _inside(field: str, name: str) -> str:
    return f"{field}.{visible(name)}" if field else visible(name)


def _location(field: str) -> str:
    return field or "the file"


def _wrong(field: str, wanted: str, value: Any) -> WrongType:
    got = visible(repr(value)) if isinstance(value, int | float | str | None) else f"a {type(value).__name__}"
    return WrongType(f"{_location(field)} wants {wanted}, got {got if len(got) <= 60 else got[:57] + '...'}")
