"""Published weights: tensors by name from a file, whichever of the known formats it has."""

import dataclasses
from pathlib import Path

import numpy as np

from socialjax.data.formats.file_bytes import read_bytes
from socialjax.data.formats.safetensors_files import read_safetensors
from socialjax.data.formats.torch_files import is_torch, read_torch


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
