"""Batches of labelled pictures, read from files by threads while the device works, with augmentation (Grain).

What is drawn depends on the seed and on the place of a picture in the order of all epochs, and on nothing else: neither
the number of threads or processes nor stopping and going on changes a pixel. The iterator's `get_state` and `set_state`
are Grain's, for checkpoints.
"""

import dataclasses

import grain
import numpy as np
from PIL import Image, ImageEnhance

from socialjax.data.picture_files import Fit, PictureFiles, fitted
from socialjax.vision.labelled.label_tables import LabelledPictures


@dataclasses.dataclass(frozen=True)
class Augment:
    """What is changed by chance in a training picture. Boxes do not follow; labels are the same in a mirror.

    flip: the chance of a mirror image. crop: the least share of the side that a square cut keeps, stretched to the full
    size again; 1 cuts nothing. jitter: how far brightness, contrast and saturation go, 0.1 for 0.9 to 1.1.
    """

    flip: float = 0.5
    crop: float = 0.85
    jitter: float = 0.1

    def __post_init__(self):
        if not (0 <= self.flip <= 1 and 0 < self.crop <= 1 and 0 <= self.jitter < 1):
            raise ValueError(f"wanted flip in 0..1, crop above 0 and up to 1, jitter from 0 and below 1, got {self}")

    def __call__(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """u8[size, size, 3] -> u8[size, size, 3]."""
        size = len(pixels)
        mirror, side = rng.random() < self.flip, size * rng.uniform(self.crop, 1)
        left, top = rng.uniform(0, size - side, 2)
        factors = rng.uniform(1 - self.jitter, 1 + self.jitter, 3)
        picture = Image.fromarray(pixels)
        if self.crop < 1:
            box = (left, top, left + side, top + side)
            picture = picture.resize((size, size), Image.Resampling.BILINEAR, box=box)
        if mirror:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.jitter:
            for change, factor in zip((ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color), factors):
                picture = change(picture).enhance(factor)
        return np.asarray(picture)


class Rows:
    """Random access to rows of labelled pictures, one dict each: row i64, pixels u8[size, size, 3], labels i16[K],
    weight f32, which is 0 for rows below 0: padding. Raises DataError for pictures that are missing or broken.
    """

    def __init__(self, pictures: LabelledPictures, rows: np.ndarray, size: int, fit: Fit = "pad"):
        self.pictures, self.rows, self.size, self.fit = pictures, np.asarray(rows, np.int64), size, fit
        self.files = None if pictures.pixels is not None else PictureFiles(pictures.folder)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> dict[str, np.ndarray]:
        row = self.rows[place]
        real = max(row, 0)
        if self.files is not None:
            pixels = self.files.read(str(self.pictures.files[real]), self.size, self.fit)
        else:
            pixels = np.asarray(fitted(Image.fromarray(self.pictures.pixels[real]), self.size, self.fit))
        weight = np.float32(row >= 0)
        return {"row": np.int64(row), "pixels": pixels, "labels": self.pictures.labels[real], "weight": weight}


def training_batches(
    pictures: LabelledPictures,
    size: int,
    batch: int,
    part: str = "train",
    augment: Augment | None = Augment(),
    seed: int = 0,
    epochs: int | None = None,
    process: int = 0,
    processes: int = 1,
    threads: int = 2,
    fit: Fit = "pad",
) -> grain.IterDataset:
    """Shuffled anew in each epoch, without end where epochs is None: dicts as of `Rows`, with a leading axis.

    batch: of all processes; this one gives every `processes`-th picture, batch // processes of them. Rows that do not
    fill the last batch of all epochs are left out. Raises ValueError where no batch can be filled.
    """
    rows = pictures.rows(part)
    if batch % processes or not 0 <= process < processes or batch < 1 or len(rows) * (epochs or batch) < batch:
        raise ValueError(
            f"wanted a batch that {processes} processes share evenly, process {process} among them, and pictures for "
            f"one batch at least, got a batch of {batch} and {len(rows)} pictures of {part} in {epochs or 'all'} epochs"
        )
    stream = grain.MapDataset.source(Rows(pictures, rows, size, fit)).seed(seed).shuffle().repeat(epochs)
    if augment is not None:
        stream = stream.random_map(lambda one, rng: one | {"pixels": augment(one["pixels"], rng)})
    stream = stream.slice(slice(process, None, processes)).batch(batch // processes, drop_remainder=True)
    return stream.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads))


def evaluation_batches(
    pictures: LabelledPictures, rows: np.ndarray, size: int, batch: int, threads: int = 2, fit: Fit = "pad"
) -> grain.IterDataset:
    """The given rows in their order, unchanged, once. The last batch is filled with padding: row -1 and weight 0."""
    rows = np.asarray(rows, np.int64)
    filled = np.concatenate([rows, np.full(-len(rows) % batch, -1, np.int64)])
    stream = grain.MapDataset.source(Rows(pictures, filled, size, fit)).batch(batch)
    return stream.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads))
