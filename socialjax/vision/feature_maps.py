"""Feature maps of pictures by a frozen backbone, computed once: what an attribute network can be trained from."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from socialjax import stop
from socialjax.data.cache import cache_folder, key_of
from socialjax.data.errors import DataError
from socialjax.vision.backbones.pictures import centred
from socialjax.vision.pretrained import Pretrained
from socialjax.vision.shards import in_shards

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
    """f16[N, h, w, D]: the activations `tap` of the backbone for each picture.

    pictures: N squares u8[S, S, 3], all of one size, as the backbone shall see them. key: what they are, such as a
    sha256 of their files and how they were cut. Kept in `cache` ($SOCIALJAX_CACHE/maps) in shards: a run that was
    stopped goes on. Raises DataError for no pictures, an unknown tap, and maps that are not finite in half precision.
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
        found = []
        for start in range(0, len(rows), batch):
            stop.check()
            some = rows[start : start + batch]
            images = np.zeros((batch, *size), np.uint8)  # one shape, one compilation
            for place, row in enumerate(some):
                images[place] = pictures[row]
            maps = run(network.variables, images)
            if maps is None:
                raise DataError(f"{what['backbone']} has no activations {tap!r}; features is there for all")
            found.append(np.asarray(maps)[: len(some)])
        maps = np.concatenate(found)
        if not np.isfinite(maps).all():
            raise DataError(
                f"wanted maps that are finite in half precision, got NaN or infinity of {what['backbone']}; "
                f"check its weights ({network.sha256[:12]}...)"
            )
        return {"maps": maps}

    return in_shards(len(pictures), make, folder, what, label="feature maps", progress=progress)["maps"]


def digest_of(pictures: np.ndarray) -> str:
    """sha256 of pictures that are in memory, u8[N, S, S, 3]: a key for them."""
    return hashlib.sha256(repr(pictures.shape).encode() + np.ascontiguousarray(pictures).tobytes()).hexdigest()
