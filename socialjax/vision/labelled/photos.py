"""Labelled photos as squares, in batches, with their feature maps by a backbone and masks of the product."""

import dataclasses
import functools
import hashlib
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from socialjax.formats.picture_files import PictureFiles
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


class LabelledBatches(Protocol):
    """Training data of an attribute network: `steps` batches of one size in each epoch.

    `epoch(number)` is deterministic and gives (inputs, labels i16[B, K]), where -1 is a missing label. Inputs are
    pictures u8[B, H, W, 3] or feature maps float[B, h, w, D]. Padding rows have no labels at all.
    """

    steps: int

    def epoch(self, number: int) -> Iterator[tuple[np.ndarray, np.ndarray]]: ...


class Resident:
    """Batches from arrays in memory, or mapped from files.

    Args:
        inputs: pictures u8[N, H, W, 3] or feature maps float[N, h, w, D].
        labels: i[N, K], -1 where unlabelled.
        batch_size: rows of a batch.
        seed: of order and augmentation.
        mirror: half of the pictures are mirrored, left to right.
        shift: pictures are moved by up to so many pixels each way, their edges repeated.
        hidden: up to so many patches of one colour each, 10 to 23 pixels wide and tall, cover each picture, so that no
            single place is the only evidence for a class.

    Raises:
        ValueError: lengths that differ, or augmentation of feature maps.
    """

    def __init__(
        self,
        inputs: np.ndarray,
        labels: np.ndarray,
        batch_size: int = 64,
        seed: int = 0,
        mirror: bool = False,
        shift: int = 0,
        hidden: int = 0,
    ):
        if len(inputs) != len(labels) or not len(inputs) or batch_size < 1:
            raise ValueError(
                f"wanted as many labels as pictures, and some, got {len(inputs)} pictures, {len(labels)} labels and "
                f"batches of {batch_size}"
            )
        if (mirror or shift or hidden) and inputs.dtype != np.uint8:
            raise ValueError(
                f"wanted pictures u8 to mirror, to move or to hide, got {inputs.dtype}; leave feature maps alone"
            )
        self.inputs, self.labels, self.batch_size = inputs, labels.astype(np.int16), min(batch_size, len(inputs))
        self.seed, self.mirror, self.shift, self.hidden = seed, mirror, shift, hidden
        self.steps = -(-len(inputs) // self.batch_size)

    def epoch(self, number: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        rng = np.random.default_rng([self.seed, number])
        order = rng.permutation(len(self.inputs))
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            spare = self.batch_size - len(rows)
            inputs, labels = self.inputs[rows], self.labels[rows]
            if spare:
                inputs = np.concatenate([inputs, np.repeat(inputs[:1], spare, axis=0)])
                labels = np.concatenate([labels, np.full((spare, labels.shape[1]), -1, np.int16)])
            yield self._changed(inputs, rng), labels

    def _changed(self, inputs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.mirror:
            turned = rng.random(len(inputs)) < 0.5
            inputs = np.where(turned[:, None, None, None], inputs[:, :, ::-1], inputs)
        if self.shift:
            height, width = inputs.shape[1:3]
            up, left = rng.integers(-self.shift, self.shift + 1, (2, len(inputs)))
            rows = np.clip(np.arange(height) + up[:, None], 0, height - 1)
            columns = np.clip(np.arange(width) + left[:, None], 0, width - 1)
            inputs = inputs[np.arange(len(inputs))[:, None, None], rows[:, :, None], columns[:, None, :]]
        if self.hidden:
            inputs = inputs.copy()
            for picture in inputs:
                for _ in range(rng.integers(0, self.hidden + 1)):
                    y, x = (rng.integers(-8, side - 4) for side in picture.shape[:2])
                    height, width = rng.integers(10, 24, 2)
                    picture[max(y, 0) : y + height, max(x, 0) : x + width] = rng.integers(0, 256, 3)
        return inputs
