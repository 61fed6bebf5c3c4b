"""Features of items' frames: pictures through a backbone with published weights, in batches, each file cached."""

import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from socialjax import stop
from socialjax.atomic_write import atomic_write, sweep
from socialjax.data.cache import cache_folder, key_of
from socialjax.data.schema import Frames, Provenance
from socialjax.formats.file_bytes import DataError
from socialjax.vision.backbones.weights import prepared
from socialjax.vision.feature_maps import Pretrained, pretrained
from socialjax.vision.key_frames.collect import FrameTable

log = logging.getLogger(__name__)
FORMAT = 2  # raise when the same pictures and weights would give other vectors


class ItemFrames(NamedTuple):
    """frames: the vectors, and where each comes from. rows i64[L]: the row of the table of each; all but the skipped.

    skipped: {file: why} of the table's and of what has no finite vectors.
    """

    frames: Frames
    rows: np.ndarray
    skipped: dict[str, str]
    provenance: Provenance


def frame_features(
    table: FrameTable,
    backbone: str = "efficientnet_lite0",
    weights: Path | None = None,
    tap: str = "pooled",
    batch: int = 16,
    cache: Path | None = None,
    progress: bool = True,
) -> ItemFrames:
    """What the backbone makes of each frame: f32[L, F], the activations `tap` of its network.

    table: of a folder of videos, or of images per item (`frames_of`). tap: "pooled" averages the last activations over
    the picture; VGG16 also has "fc1" and "fc2". The vectors of a file are kept in `cache` ($SOCIALJAX_CACHE/features)
    as soon as they are known, under its pictures, the backbone and the weights' sha256: a run that was stopped goes on.
    A file with a vector that is not finite is skipped, with a warning; its item stays. Raises DataError as `pretrained`
    does, for a table without frames, for an unknown tap and when nothing is left.
    """
    if not len(table):
        raise DataError("wanted frames, got none in the table; give videos or images that can be opened")
    if batch < 1:
        raise ValueError(f"wanted a batch of at least 1 picture, got {batch}; 16 suits most machines")
    network = pretrained(backbone, weights, **({"classes": 0} if tap == "pooled" else {}))
    cache = Path(cache) if cache is not None else cache_folder() / "features"
    cache.mkdir(parents=True, exist_ok=True)
    sweep(cache)
    described = {"features": FORMAT, "backbone": backbone, "tap": tap, "weights": network.sha256}
    at = [cache / f"{key_of('features', pictures=path.stem, **described)}.npy" for path in table.kept]
    counts = np.bincount(table.source, minlength=len(at))
    vectors = {source: _load(path, counts[source]) for source, path in enumerate(at)}
    todo = [source for source, known in vectors.items() if known is None]
    skipped = dict(table.skipped)
    with tqdm(total=int(counts[todo].sum()), desc="features", unit="frame", disable=None if progress else True) as bar:
        for source, made in _made(network, table, todo, tap, batch, bar):
            vectors[source] = made
            if np.isfinite(made).all():
                _keep(made, at[source], table.provenance.files.get(table.sources[source], ""), described)
    finite = np.array([np.isfinite(vectors[source]).all() for source in range(len(at))])
    for source in np.flatnonzero(~finite):
        name = table.sources[source]
        skipped[name] = (
            f"{name}: wanted finite features, got NaN or infinity from {backbone}; leave it out of the folder"
        )
        log.warning("skipped %s", skipped[name])
    rows = np.flatnonzero(finite[table.source])
    if not len(rows):
        raise DataError(f"wanted finite features, got none of {backbone}; check the weights ({network.sha256[:12]}...)")
    features = np.stack([vectors[table.source[row]][table.place[row]] for row in rows])
    offsets = np.concatenate([[0], np.cumsum(finite[table.source])])[table.offsets]
    names = np.array([f"{table.sources[table.source[row]]} at {table.time_s[row]:.2f} s" for row in rows])
    digest = hashlib.sha256(np.ascontiguousarray(features).tobytes() + offsets.tobytes()).hexdigest()
    provenance = Provenance(
        table.provenance.kind,
        f"{table.provenance.source}, {tap} of {backbone}",
        files=table.provenance.files | {"weights": network.sha256, "features": digest},
        repairs=tuple(f"skipped {name}" for name in skipped),
    )
    return ItemFrames(Frames(offsets, features, names), rows, skipped, provenance)


def _made(
    network: Pretrained, table: FrameTable, sources: list[int], tap: str, batch: int, bar: tqdm
) -> Iterator[tuple[int, np.ndarray]]:
    """(source, its f32[k, F]) of each source, in order; batches span files, since most have few pictures."""
    run = jax.jit(lambda variables, images: network.network.apply(variables, images)[1].get(tap))
    waiting: list[tuple[int, np.ndarray]] = []
    collected: dict[int, list[np.ndarray]] = {source: [] for source in sources}
    left = {source: int((table.source == source).sum()) for source in sources}

    def flush() -> Iterator[tuple[int, np.ndarray]]:
        images = np.zeros((batch, *waiting[0][1].shape), np.float32)  # one shape, one compilation
        for place, (_, image) in enumerate(waiting):
            images[place] = image
        vectors = run(network.variables, jnp.asarray(images))
        if vectors is None:
            raise DataError(f"{type(network.network).__name__} has no activations {tap!r}; pooled is there for all")
        for (source, _), vector in zip(waiting, np.asarray(vectors, np.float32)):
            collected[source].append(vector)
            if len(collected[source]) == left[source]:
                yield source, np.stack(collected.pop(source))
        bar.update(len(waiting))
        waiting.clear()

    for source in sources:
        stop.check()
        for picture in table.pictures(source):
            waiting.append((source, prepared(picture, network.network.preparation)))
            if len(waiting) == batch:
                yield from flush()
    if waiting:
        yield from flush()


def _load(path: Path, count: int) -> np.ndarray | None:
    """f32[count, F] from the cache; None if it does not exist or, with a warning, if it is damaged."""
    if not path.is_file():
        return None
    try:
        vectors = np.load(path, allow_pickle=False)
        if vectors.ndim != 2 or len(vectors) != count or vectors.dtype != np.float32 or not np.isfinite(vectors).all():
            raise ValueError(f"wanted {count} finite vectors, got {vectors.dtype}{list(vectors.shape)}")
        return vectors
    except (ValueError, OSError, EOFError) as problem:
        log.warning("%s is damaged and is made anew (%s)", path, problem)
        return None


def _keep(vectors: np.ndarray, at: Path, sha256: str, described: dict) -> None:
    """Writes features, and a note of what they were made from, each atomically."""
    note = json.dumps({**described, "file": sha256}, sort_keys=True).encode()
    for path, write in (
        (at.with_suffix(".json"), lambda file: file.write(note)),
        (at, lambda file: np.save(file, vectors)),
    ):
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            write(file)
