"""Published weights: tensors by name from PyTorch's files and from `.safetensors`, without PyTorch, nothing unpickled.

Both formats of PyTorch (`.pth`, `.pt`) are read: a zip archive with one pickle and a file for each storage (PyTorch 1.6
and later), and the older sequence of pickles followed by the storages. The pickles are interpreted by
`formats.pickled.Machine` on inert records: a storage is its key and type, a tensor is a view of a storage. No function
that a file names is looked up. Formats: torch/serialization.py of PyTorch, as of 2.0.

`.safetensors` (https://huggingface.co/docs/safetensors): a header in JSON with the position of each tensor, then their
numbers. The header is checked against the size of the file before any number is read.
"""

import dataclasses
import io
import json
import math
import pickletools
import struct
import warnings
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from socialjax.formats.file_bytes import DataError, FileBytes, read_bytes
from socialjax.formats.pickled import Machine, Name, Refused

ADMITTED = "tensors by name"
MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # the pickle of torch.serialization.MAGIC_NUMBER
_VERSION = b"\x80\x02M\xe9\x03."  # the pickle of 1001, the one version that the older format had
STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
_REBUILT = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")
LARGEST_HEADER = 100_000_000  # bytes, the format's own limit
SAFETENSORS_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Tensors:
    """`by_name` as the file has them, `sha256` of the file for the provenance of what is computed with them."""

    path: Path
    by_name: dict[str, np.ndarray]
    sha256: str


def read_tensors(path: Path) -> Tensors:
    """The tensors of a `.safetensors` file or of a PyTorch file. Nothing is unpickled. Raises DataError."""
    file = read_bytes(path)
    reader = read_torch if is_torch(file.data) or file.path.suffix in (".pth", ".pt") else read_safetensors
    return Tensors(file.path, reader(file), file.sha256)


class _Storage(NamedTuple):
    """Numbers that lie under `key`."""

    key: str
    kind: str
    number: int


class _Tensor(NamedTuple):
    """A view of a storage; offset and strides count numbers, not bytes."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _TorchMachine(Machine):
    """Pickles of dictionaries of tensors."""

    names = {  # noqa: RUF012 (never written to)
        ("collections", "OrderedDict"): "OrderedDict",
        **{("torch._utils", name): name for name in _REBUILT},
        **{("torch", name): name for name in STORAGES},
    }

    def op_BINPERSID(self, _) -> None:
        """What PyTorch keeps outside the pickle: storages alone."""
        match self.stack.pop():
            case ("storage", Name(kind), str() as key, str(), int() as number, *view) if (
                kind in STORAGES and number >= 0
            ):
                if view not in ([], [None]):
                    raise Refused("a storage that is a part of another")
                self.stack.append(_Storage(key, kind, number))
            case other:
                raise Refused(f"{type(other).__name__} outside the pickle, which is no storage")

    def _call(self, name: str, arguments: tuple):
        match name, arguments:
            case "OrderedDict", ():
                return {}
            case "OrderedDict", (list() as pairs,):
                self.budget -= len(pairs)
                if self.budget < 0 or not all(map(_is_entry, pairs)):
                    raise Refused("a dictionary from something else than its entries")
                return dict(pairs)
            case (
                "_rebuild_tensor" | "_rebuild_tensor_v2",
                (_Storage() as storage, int() as offset, tuple() as shape, tuple() as strides, *_),
            ):
                return _checked(_Tensor(storage, offset, shape, strides))
            case "_rebuild_parameter", (_Tensor() as tensor, *_):
                return tensor
        raise Refused(f"an unknown form of {name}")

    def op_BUILD(self, _) -> None:
        """The state of an OrderedDict are versions of layers, which say nothing about the numbers."""
        state, built = self.stack.pop(), self.stack[-1]
        if type(built) is not dict or type(state) is not dict:
            raise Refused("a state for something that is no dictionary")


def _is_entry(pair) -> bool:
    return type(pair) in (list, tuple) and len(pair) == 2 and type(pair[0]) is str


def _checked(tensor: _Tensor) -> _Tensor:
    """The tensor if it lies within its storage and repeats none of it: no shape may ask for memory of its own."""
    sizes = (tensor.offset, *tensor.shape, *tensor.strides)
    if len(tensor.shape) != len(tensor.strides) or len(tensor.shape) > 8:
        raise Refused(f"a tensor of {len(tensor.shape)} axes with {len(tensor.strides)} strides")
    if not all(type(size) is int and size >= 0 for size in sizes):
        raise Refused("a tensor whose sizes are not whole numbers")
    number = math.prod(tensor.shape)
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides))
    if number and (last >= tensor.storage.number or number > tensor.storage.number):
        raise Refused(f"a tensor of {number} numbers that leaves its storage of {tensor.storage.number}")
    return tensor


def is_torch(data: bytes) -> bool:
    """Whether the bytes begin as a file of PyTorch does, in either format."""
    return data.startswith((MAGIC, b"PK\x03\x04"))


def read_torch(file: FileBytes) -> dict[str, np.ndarray]:
    """The tensors of a saved dictionary, by name, in the file's order; arrays may be views of the file's bytes.

    bfloat16 becomes float32. Raises DataError that says what was refused, and for damaged files.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in texts that are refused a moment later
            loaded, storages = _from_zip(file.data) if file.data[:2] == b"PK" else _from_sequence(file.data)
        if type(loaded) is not dict or not all(type(key) is str for key in loaded):
            raise Refused("something else than a dictionary with names as keys")
        strange = [key for key, value in loaded.items() if not isinstance(value, _Tensor)]
        if strange:
            raise Refused(f"{strange[0][:60]!r}, which is no tensor; save the model's state_dict() alone")
        numbers = {storage: _numbers(storage, storages) for storage in {tensor.storage for tensor in loaded.values()}}
        return {name: _view(tensor, numbers[tensor.storage]) for name, tensor in loaded.items()}
    except Refused as refused:
        raise DataError(
            f"{file.path}: wanted a PyTorch file of {ADMITTED}, got {refused}; nothing of it was run. "
            "Do not open this file with torch.load; fetch the published one"
        ) from None
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, EOFError, RuntimeError, NotImplementedError,
            struct.error, zipfile.BadZipFile) as problem:  # fmt: skip
        raise DataError(
            f"{file.path}: wanted a whole PyTorch file of {ADMITTED}, got a damaged one ({type(problem).__name__}); "
            "copy or download it again"
        ) from None


def _run(program: bytes):
    return _TorchMachine(len(program)).run(program)


def _from_zip(data: bytes):
    """(what the pickle leaves, storages by key) of an archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if len(entries) != len(archive.infolist()):
            raise Refused("an archive with two files of one name")
        # PyTorch does not compress; with what it stores, an archive cannot hold more than its own size.
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
            raise Refused("an archive with compressed files")
        if sum(entry.file_size for entry in entries.values()) > len(data):
            raise Refused("an archive whose files overlap")
        roots = [
            name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl") and name.count("/") == 1
        ]
        if len(roots) != 1:
            raise Refused("an archive without data.pkl")
        order = f"{roots[0]}byteorder"
        if order in entries and archive.read(order) != b"little":
            raise Refused("numbers whose first byte is the largest")
        folder = f"{roots[0]}data/"
        storages = {name.removeprefix(folder): archive.read(name) for name in entries if name.startswith(folder)}
        return _run(archive.read(f"{roots[0]}data.pkl")), storages


def _from_sequence(data: bytes):
    """The same of the older format: magic, version, facts of the machine, object, keys of storages, storages."""
    if not data.startswith(MAGIC + _VERSION):
        raise Refused("neither a zip archive nor the older format's first bytes")
    stream = io.BytesIO(data)
    stream.seek(len(MAGIC + _VERSION))
    facts, loaded, keys = (_run(_next_program(stream, data)) for _ in range(3))
    if type(facts) is not dict or facts.get("little_endian") is not True:
        raise Refused("numbers whose first byte is the largest")
    if type(keys) is not list or not all(type(key) is str for key in keys):
        raise Refused("a list of storages that is none")
    kinds = {}
    for tensor in loaded.values() if type(loaded) is dict else ():
        if isinstance(tensor, _Tensor):
            kinds[tensor.storage.key] = tensor.storage
    storages, start = {}, stream.tell()
    for key in keys:
        (number,) = struct.unpack_from("<q", data, start)
        end = start + 8 + number * _width(kinds[key].kind)
        if number != kinds[key].number or end > len(data):
            raise ValueError
        storages[key] = memoryview(data)[start + 8 : end]
        start = end
    return loaded, storages


def _next_program(stream: io.BytesIO, data: bytes) -> bytes:
    start = stream.tell()
    for _ in pickletools.genops(stream):
        pass
    return data[start : stream.tell()]


def _width(kind: str) -> int:
    return 2 if kind == "BFloat16Storage" else np.dtype(STORAGES[kind]).itemsize


def _numbers(storage: _Storage, storages) -> np.ndarray:
    content, kind = storages[storage.key], STORAGES[storage.kind]
    if len(content) != storage.number * _width(storage.kind):
        raise ValueError
    return widened(np.frombuffer(content, "<u2")) if kind == "bfloat16" else np.frombuffer(content, kind)


def _view(tensor: _Tensor, numbers: np.ndarray) -> np.ndarray:
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, numbers.dtype)
    strides = tuple(stride * numbers.itemsize for stride in tensor.strides)
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, strides, writeable=False)


def widened(numbers: np.ndarray) -> np.ndarray:
    """bfloat16, given as u16, as float32: the same sign and exponent, zeros behind the fraction."""
    return (numbers.astype(np.uint32) << 16).view(np.float32)


def read_safetensors(file: FileBytes) -> dict[str, np.ndarray]:
    """The tensors by name, as views of the file's bytes; BF16 becomes float32. Raises DataError for damaged files."""
    try:
        (length,) = struct.unpack_from("<Q", file.data)
        if length > min(LARGEST_HEADER, len(file.data) - 8):
            raise ValueError(f"a header of {length} bytes")
        header = json.loads(file.data[8 : 8 + length], object_pairs_hook=_without_repeats)
        body = memoryview(file.data)[8 + length :]
        header.pop("__metadata__", None)
        if sum(end - start for start, end in (entry["data_offsets"] for entry in header.values())) > len(body):
            raise ValueError("tensors that overlap")
        return {name: _tensor(name, entry, body) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as problem:
        raise DataError(
            f"{file.path}: wanted a whole safetensors file, got {str(problem)[:200] or type(problem).__name__}; "
            "copy or download it again"
        ) from None


def _without_repeats(pairs: list) -> dict:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name twice in the header")
    return dict(pairs)


def _tensor(name: str, entry: dict, body: memoryview) -> np.ndarray:
    kind, shape, (start, end) = SAFETENSORS_TYPES.get(entry["dtype"]), entry["shape"], entry["data_offsets"]
    if kind is None:
        raise ValueError(f"the type {str(entry['dtype'])[:20]} of {name[:60]}")
    if not all(type(size) is int and size >= 0 for size in (*shape, start, end)) or len(shape) > 8:
        raise ValueError(f"sizes of {name[:60]} that are not whole numbers")
    if end > len(body) or end - start != math.prod(shape) * np.dtype(kind).itemsize:
        raise ValueError(f"{end - start} bytes up to {end} of {len(body)} for {name[:60]} of shape {shape}")
    numbers = np.frombuffer(body[start:end], kind)
    return (widened(numbers) if entry["dtype"] == "BF16" else numbers).reshape(shape)
