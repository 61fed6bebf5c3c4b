"""Labelled photos as squares, their feature maps by a backbone with published weights, and masks of the product."""

import dataclasses
import functools
import hashlib
import time
from collections.abc import Sequence

import numpy as np

from socialjax.data.picture_files import PictureFiles
from socialjax.vision.accuracy import mass_inside
from socialjax.vision.feature_maps import Pretrained, feature_maps
from socialjax.vision.labelled.label_tables import LabelledPictures

WHITE = 240  # a shop's white, with what JPEG makes of it: a pixel with a colour below is product


@dataclasses.dataclass(frozen=True)
class Photos:
    """Photos of a labelled set, read lazily: `photos[row]` is u8[size, size, 3], the whole photo on white.

    Attributes:
        labelled: the set.
        size: pixels along a side.
        mirror: whether they are mirrored left to right.
    """

    labelled: LabelledPictures
    size: int
    mirror: bool = False

    @functools.cached_property
    def files(self) -> PictureFiles:
        return PictureFiles(self.labelled.folder)

    def __len__(self) -> int:
        return len(self.labelled)

    def __getitem__(self, row: int) -> np.ndarray:
        square = self.files.read(str(self.labelled.files[row]), self.size)
        return square[:, ::-1] if self.mirror else square

    @functools.cached_property
    def key(self) -> str:
        """sha256 of the files and of the preprocessing."""
        digest = hashlib.sha256(f"{self.size} pad{' mirror' * self.mirror}".encode())
        for name in self.labelled.files:
            digest.update(str(name).encode() + hashlib.sha256(self.files.bytes(str(name))).digest())
        return digest.hexdigest()


def maps_of(photos: Photos, network: Pretrained) -> tuple[np.ndarray, float]:
    """(feature maps f16[N, h, w, D], seconds they took); cached, so that a second call reads them."""
    started = time.monotonic()
    return feature_maps(photos, network, photos.key), time.monotonic() - started


def on_product(photos: Photos, rows: np.ndarray, maps: np.ndarray, names: Sequence[str]) -> dict[str, dict]:
    """The share of the maps' mass on the product.

    Args:
        photos: of a labelled set.
        rows: i[n], the photos of the maps.
        maps: f32[n, K, h, w].
        names: of the attributes.

    Returns:
        For each attribute by name:

            mass     share of a map inside the product, mean over photos whose map is not empty
            even     that of a uniform map: the product's share of the square
            others   that of the maps of other photos: products are in the middle, and so may be any map
            empty    number of empty maps
    """
    masks = np.stack([product(photos[row]) for row in rows])
    result = {}
    for k, name in enumerate(names):
        mass, even = mass_inside(maps[:, k], masks)
        others, _ = mass_inside(np.roll(maps[:, k], 1, axis=0), masks)
        has_mass = ~np.isnan(mass)
        result[name] = {"empty": int((~has_mass).sum())}
        if has_mass.any():
            result[name] |= {
                "mass": float(mass[has_mass].mean()),
                "even": float(even[has_mass].mean()),
                "others": float(np.nanmean(others)),
            }
    return result


def product(photo: np.ndarray) -> np.ndarray:
    """u8[H, W, 3] -> bool[H, W]: the pixels that are not white."""
    return (photo < WHITE).any(axis=-1)
