"""Tensors from `.safetensors` files: a header in JSON that says where each lies, then their numbers.

Format: https://huggingface.co/docs/safetensors. The header is compared with the bytes that are there before any number
is read.
"""

import json
import math
import struct

import numpy as np

from socialjax.data.formats.file_bytes import FileBytes
from socialjax.data.formats.torch_files import widened
from socialjax.data.schema import DataError

LARGEST_HEADER = 100_000_000  # bytes, the format's own limit
TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip


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
    kind, shape, (start, end) = TYPES.get(entry["dtype"]), entry["shape"], entry["data_offsets"]
    if kind is None:
        raise ValueError(f"the type {str(entry['dtype'])[:20]} of {name[:60]}")
    if not all(type(size) is int and size >= 0 for size in (*shape, start, end)) or len(shape) > 8:
        raise ValueError(f"sizes of {name[:60]} that are not whole numbers")
    if end > len(body) or end - start != math.prod(shape) * np.dtype(kind).itemsize:
        raise ValueError(f"{end - start} bytes up to {end} of {len(body)} for {name[:60]} of shape {shape}")
    numbers = np.frombuffer(body[start:end], kind)
    return (widened(numbers) if entry["dtype"] == "BF16" else numbers).reshape(shape)
