"""Pictures made ready for a backbone: the middle of the shorter side, resized, colours centred and scaled (NumPy)."""

import dataclasses
from typing import Literal

import numpy as np

Filter = Literal["linear", "cubic"]


@dataclasses.dataclass(frozen=True)
class Preparation:
    """What a backbone's weights were trained to see. Colours are in 0..1 before mean and deviation."""

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
    weights = resize_weights(len(square), preparation.size, preparation.filter)
    # Rounded to bytes after each pass, columns first, as Pillow does: so were the pictures that the weights met.
    small = _rounded(np.einsum("wj,ijc->iwc", weights, square.astype(np.float32), optimize=True))
    small = _rounded(np.einsum("hi,iwc->hwc", weights, small, optimize=True)) / 255
    return ((small - np.float32(preparation.mean)) / np.float32(preparation.deviation)).astype(np.float32)


def centred(pictures, preparation: Preparation):
    """Pictures that have their size already, with the backbone's colours: u8[..., 3] -> f32[..., 3]; also compiled."""
    mean, deviation = (
        np.float32(values).reshape((1,) * (pictures.ndim - 1) + (3,))
        for values in (preparation.mean, preparation.deviation)
    )
    return (pictures.astype(np.float32) / 255 - mean) / deviation


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.clip(np.floor(values + np.float32(0.5)), 0, 255)


def _middle(picture: np.ndarray, part: float) -> np.ndarray:
    side = max(1, round(min(picture.shape[:2]) * part))
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]


def resize_weights(before: int, after: int, kind: Filter) -> np.ndarray:
    """f32[after, before]: how much of each old line is in each new one.

    The filter is widened where the image shrinks, so that no line is left out (as Pillow does, a = -0.5 in the cubic).
    """
    ratio = before / after
    reach = max(ratio, 1.0)
    centres = (np.arange(after) + 0.5) * ratio - 0.5
    distance = np.abs(np.arange(before)[None] - centres[:, None]) / reach
    if kind == "linear":
        weights = np.maximum(1 - distance, 0)
    else:
        near = 1.5 * distance**3 - 2.5 * distance**2 + 1
        far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
        weights = np.where(distance < 1, near, np.where(distance < 2, far, 0))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
