"""Object arrays in `.npy` files, whose body is a pickle, read without unpickling anything.

A pickle is a program: loading it runs what its writer chose. Even NumPy's own reconstruction functions are not safe to
call with foreign arguments (the flags of a dtype decide whether bytes are taken for pointers). So the opcodes, which
`pickletools` decodes, are interpreted here, on nothing but dict, defaultdict, set, list, tuple, int, text and NumPy
arrays of them; no function that the file names is ever looked up, far less called. Everything else is refused. Memory
and time are bounded by the size of the file.
"""

import math
import pickletools
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from socialjax.formats.file_bytes import ALWAYS_FINE, DataError, FileBytes, read_header

LARGEST = 256 << 20  # bytes of a file
ADMITTED = "dict, defaultdict, set, list, int and NumPy arrays of them"
_INTEGERS = {"BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1"}
_TEXTS = {"SHORT_BINSTRING", "BINSTRING", "BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINBYTES", "BINBYTES"}
_BUILTINS = ("__builtin__", "builtins")
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
# Names that a file may contain -> what they become here. Both spellings are those of Python 2 and 3, NumPy 1 and 2.
NAMES = {
    **{(module, kind): kind for module in _BUILTINS for kind in ("set", "list", "dict", "int")},
    ("collections", "defaultdict"): "defaultdict",
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    **{(module, kind): kind for module in _MULTIARRAY for kind in ("_reconstruct", "scalar")},
}


class Name(NamedTuple):
    """A type or function that the file names: one of the values of NAMES, never the thing itself."""

    name: str


class _Dtype(NamedTuple):
    """An object ("O") or an integer type of NumPy."""

    code: str


class _Array:
    """An array under construction: BUILD gives its elements."""

    elements: list | None = None
    shape: tuple[int, ...] = ()


# Bytes, about: of an empty object and its place, of a text, and of an entry of the memo.
_SIZES = {list: 64, dict: 72, set: 224, tuple: 56}
_TEXT, _MEMO = 64, 100


class Refused(Exception):
    """A request of the file that is refused."""


def read_objects(file: FileBytes):
    """The content of an object array: of shape () its one object, of shape (n,) a list of n objects.

    Objects are int, str, list, tuple, set of int or str, dict with such keys (a defaultdict becomes a dict).
    Raises DataError that says what was refused, for damaged files and for arrays of another kind.
    """
    if len(file.data) > LARGEST:
        raise DataError(f"{file.path}: wanted at most {LARGEST} bytes, got {len(file.data)}; this is another file")
    shape, _, dtype, body = read_header(file)
    if dtype.kind != "O" or len(shape) > 1:
        raise DataError(
            f"{file.path}: wanted an array of objects of shape () or (n,), got {dtype} {shape}; fetch the file again"
        )
    return objects_of(file.path, shape, Machine(len(file.data)), file.data[body:])


def objects_of(path: Path, shape: tuple[int, ...], machine: "Machine", program):
    """What `machine` makes of a program (bytes, or a file mapped into memory, at its place) of an array of that shape.
    Returns and raises as `read_objects`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in texts that are refused a moment later
            array = machine.run(program)
        if not isinstance(array, _Array) or array.elements is None:
            raise Refused(f"{_describe(array)} instead of an array")
        if array.shape != shape:
            raise Refused(f"an array of shape {array.shape} under a header of shape {shape}")
    except Refused as refused:
        raise DataError(
            f"{path}: wanted a pickle of {ADMITTED} alone, got {refused}; nothing of it was run. "
            "Do not open this file with numpy.load; fetch the published one"
        ) from None
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, UnicodeDecodeError) as problem:
        raise DataError(
            f"{path}: wanted a whole pickle of {ADMITTED}, got a damaged one ({type(problem).__name__}); "
            "copy or download it again"
        ) from None
    return array.elements if shape else array.elements[0]


class Machine:
    """The stack machine of pickle, restricted to admitted operations. Readers of other kinds of pickle extend it."""

    names = NAMES
    floats = False  # whether floating numbers and arrays of them are admitted

    def __init__(self, budget: int):
        self.budget = budget  # elements that sets may copy in all: as many as the file has bytes
        self.room = ALWAYS_FINE + 16 * budget  # bytes that what it makes may take: one byte of a file can ask for 200
        self.stack: list = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}

    def run(self, program):
        """Runs a program and returns the object that it leaves. Nothing may follow its end.

        Args:
            program: bytes, or a mapped file at the position where the program begins.
        """
        stack = self.stack
        for opcode, argument, position in pickletools.genops(program):
            name = opcode.name
            if name in _INTEGERS:
                stack.append(_checked_int(argument))
            elif name == "STOP":
                if position + 1 != len(program) or len(stack) != 1:
                    raise Refused("more than one object")
                return stack[0]
            else:
                step = getattr(self, f"op_{name}", None)
                if step is not None:
                    step(argument)
                elif name in _TEXTS:
                    self.take(_TEXT)
                    stack.append(argument)
                else:
                    raise Refused(f"the operation {name}")
        raise ValueError

    def since_mark(self) -> list:
        """Takes what was pushed since the last mark."""
        start = self.marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def take(self, number: int) -> None:
        """Counts memory before it is taken. Raises Refused when there is no room left."""
        self.room -= number
        if self.room < 0:
            raise Refused("objects of more memory than a file of this size may ask for")

    def put(self, index: int) -> None:
        self.take(_MEMO)
        self.memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    op_PUT = op_BINPUT = op_LONG_BINPUT = put
    op_GET = op_BINGET = op_LONG_BINGET = get

    def op_MEMOIZE(self, _) -> None:
        self.put(len(self.memo))

    def op_PROTO(self, version: int) -> None:
        if version > 5:
            raise Refused(f"pickle protocol {version}")

    def op_FRAME(self, _) -> None:
        """A hint for readers of streams."""

    def op_MARK(self, _) -> None:
        self.marks.append(len(self.stack))

    def op_BINFLOAT(self, value: float) -> None:
        if not self.floats:
            raise Refused("the operation BINFLOAT")
        self.stack.append(value)

    def op_NONE(self, _) -> None:
        self.stack.append(None)

    def op_NEWTRUE(self, _) -> None:
        self.stack.append(True)

    def op_NEWFALSE(self, _) -> None:
        self.stack.append(False)

    def op_EMPTY_TUPLE(self, _) -> None:
        self.stack.append(())

    def op_TUPLE(self, _) -> None:
        self.take(_SIZES[tuple])
        self.stack.append(tuple(self.since_mark()))

    def _tuple(self, number: int) -> None:
        if len(self.stack) < number:
            raise IndexError
        self.take(_SIZES[tuple] + 8 * number)
        self.stack[-number:] = [tuple(self.stack[-number:])]

    def op_TUPLE1(self, _) -> None:
        self._tuple(1)

    def op_TUPLE2(self, _) -> None:
        self._tuple(2)

    def op_TUPLE3(self, _) -> None:
        self._tuple(3)

    def _new(self, kind: type) -> None:
        self.take(_SIZES[kind])
        self.stack.append(kind())

    def op_EMPTY_LIST(self, _) -> None:
        self._new(list)

    def op_EMPTY_DICT(self, _) -> None:
        self._new(dict)

    def op_EMPTY_SET(self, _) -> None:
        self._new(set)

    def op_LIST(self, _) -> None:
        self.take(_SIZES[list])
        self.stack.append(self.since_mark())

    def op_APPEND(self, _) -> None:
        value = self.stack.pop()
        _want(self.stack[-1], list).append(value)

    def op_APPENDS(self, _) -> None:
        values = self.since_mark()
        _want(self.stack[-1], list).extend(values)

    def op_ADDITEMS(self, _) -> None:
        values = self.since_mark()
        _want(self.stack[-1], set).update(map(_key, values))

    def op_DICT(self, _) -> None:
        values = self.since_mark()
        self._new(dict)
        _fill(self.stack[-1], values)

    def op_SETITEM(self, _) -> None:
        values = [self.stack.pop(), self.stack.pop()][::-1]
        _fill(_want(self.stack[-1], dict), values)

    def op_SETITEMS(self, _) -> None:
        values = self.since_mark()
        _fill(_want(self.stack[-1], dict), values)

    def op_GLOBAL(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._name(module, name)

    def op_STACK_GLOBAL(self, _) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self._name(module, name)

    def _name(self, module, name) -> None:
        known = self.names.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
        if known is None:
            raise Refused(f"{str(module)[:60]}.{str(name)[:60]}")
        self.stack.append(Name(known))

    def op_REDUCE(self, _) -> None:
        arguments, called = self.stack.pop(), self.stack.pop()
        if not isinstance(called, Name) or type(arguments) is not tuple:
            raise Refused(f"a call of {_describe(called)}")
        self.stack.append(self._call(called.name, arguments))

    def _call(self, name: str, arguments: tuple):
        """What the call would give for the few forms of arguments that pickles of such objects have."""
        match name, arguments:
            case ("set" | "list" | "dict" | "defaultdict", ()) | ("defaultdict", (Name("set" | "list" | "dict"),)):
                self._new({"set": set, "list": list}.get(name, dict))
                return self.stack.pop()
            case "defaultdict", (Name("int"),):
                return {}
            case "set", (list() as values,):
                self.budget -= len(values)
                if self.budget < 0:
                    raise Refused("sets of more elements than the file has bytes")
                return set(map(_key, values))
            case "dtype", (str() as code, *_) if _is_code(code) or (self.floats and code in ("f4", "f8")):
                return _Dtype(code)
            case "_reconstruct", (Name("ndarray"), (0,), "b" | b"b"):
                return _Array()
            case "scalar", (_Dtype() as dtype, bytes() | str() as content):
                content = content.encode("latin1") if isinstance(content, str) else content
                return _numbers(dtype, content, 1)[0]
        raise Refused(f"a call of {name} with {', '.join(map(_describe, arguments)) or 'nothing'}")

    def op_BUILD(self, _) -> None:
        state, built = self.stack.pop(), self.stack[-1]
        match built, state:
            case _Dtype(), (int(), "<" | "|" | "=" as order, None, None, None, *_):
                if order == "<" or built.code[0] == "O" or built.code[1:] == "1":
                    return
            case _Array(elements=None), (1, tuple() as shape, _Dtype() as dtype, bool(), content):
                if len(shape) > 1 or not all(type(size) is int and size >= 0 for size in shape):
                    raise Refused(f"an array of shape {_describe(shape)}")
                built.elements, built.shape = _elements(dtype, content, math.prod(shape)), shape
                return
        raise Refused(f"a state for {_describe(built)}")


def _elements(dtype: _Dtype, content, number: int) -> list:
    """What an array of `number` elements holds: objects from a list, integers from bytes."""
    if dtype.code[0] == "O":
        if type(content) is not list or len(content) != number:
            raise Refused(f"{_describe(content)} as the {number} objects of an array")
        return [_finished(value) for value in content]
    content = content.encode("latin1") if isinstance(content, str) else content
    if not isinstance(content, bytes):
        raise Refused(f"{_describe(content)} as the numbers of an array")
    return _numbers(dtype, content, number)


def _finished(value):
    """An array inside an array as a list of its elements."""
    if not isinstance(value, _Array):
        return value
    if value.elements is None:
        raise Refused("an array without content")
    return value.elements


def _numbers(dtype: _Dtype, content: bytes, number: int) -> list[int]:
    if dtype.code[0] == "O" or len(content) != number * int(dtype.code[1:]):
        raise Refused(f"{len(content)} bytes for {number} numbers {dtype.code}")
    return np.frombuffer(content, f"<{dtype.code}").tolist()


def _is_code(code: str) -> bool:
    return code in ("O8", "O4", "O") or (len(code) == 2 and code[0] in "iu" and code[1] in "1248")


def _checked_int(value) -> int:
    """Integers as such: INT also writes truth values, and a number of any length."""
    if type(value) is bool or not -(2**63) <= value < 2**63:
        raise Refused(f"{'a truth value' if type(value) is bool else 'a number'} beyond 64-bit integers")
    return value


def _key(value):
    """Elements of sets and keys: int and str alone, since the hash of nested tuples may take for ever."""
    if type(value) not in (int, str):
        raise Refused(f"{_describe(value)} as an element of a set or a key")
    return value


def _fill(made: dict, values: list) -> None:
    if len(values) % 2:
        raise ValueError
    made.update(zip(map(_key, values[::2]), values[1::2]))


def _want(value, kind: type):
    if type(value) is not kind:
        raise Refused(f"elements for {_describe(value)}, which is no {kind.__name__}")
    return value


def _describe(value) -> str:
    """A short description of a value; its content is foreign, so little of it is shown."""
    return f"the name {value.name}" if isinstance(value, Name) else f"a {type(value).__name__.lstrip('_').lower()}"
