"""Preprocessing of pictures for a backbone: centre crop, resizing, colours centred and scaled."""

import dataclasses
from typing import Literal

import numpy as np
from PIL import Image

Filter = Literal["linear", "cubic"]
RESAMPLING = {"linear": Image.Resampling.BILINEAR, "cubic": Image.Resampling.BICUBIC}


@dataclasses.dataclass(frozen=True)
class Preparation:
    """The preprocessing that a backbone's weights were trained with. Colours are in 0..1 before mean and deviation."""

    size: int
    part: float  # of the shorter side, that the square crop keeps
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    filter: Filter


TORCHVISION = Preparation(224, 224 / 256, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "linear")


def prepared(picture: np.ndarray, preparation: Preparation) -> np.ndarray:
    """u8[H, W, 3], or grey u8[H, W] -> f32[size, size, 3]. Raises ValueError for other shapes and types."""
    picture = np.asarray(picture)
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise ValueError(f"wanted a picture u8[H, W, 3], got {picture.dtype} {picture.shape}; convert it to RGB bytes")
    square = _middle(picture, preparation.part)
    size = (preparation.size, preparation.size)
    # Pillow's filters, rounding to bytes included, as for the pictures that the weights were trained on.
    small = np.asarray(Image.fromarray(square).resize(size, RESAMPLING[preparation.filter]))
    return centred(small, preparation)


def centred(pictures, preparation: Preparation):
    """Centres and scales colours of pictures of the right size: u8[..., 3] -> f32[..., 3]; also inside jit."""
    mean, deviation = (
        np.float32(values).reshape((1,) * (pictures.ndim - 1) + (3,))
        for values in (preparation.mean, preparation.deviation)
    )
    return (pictures.astype(np.float32) / 255 - mean) / deviation


def _middle(picture: np.ndarray, part: float) -> np.ndarray:
    side = max(1, round(min(picture.shape[:2]) * part))
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]
