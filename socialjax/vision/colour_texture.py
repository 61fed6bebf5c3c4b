"""Colours and textures of pictures as plain statistics, which need no network.

DCFA joins features of a network with those of another one that was trained to judge aesthetics (Yu, Zhang, He, Chen,
Xiong, Qin: Aesthetic-based Clothing Recommendation, WWW 2018). As the second network is not published, VBPR on `joined`
features of a network and of these statistics replaces it; it is not that model and is called VBPR on colour and
texture.
"""

import numpy as np

_BINS = 8  # of hue, saturation, value and the direction of edges
_PICTURES = 64  # at once
# Uniform local binary patterns by how many of the eight neighbours are at least as bright; the rest together.
_LBP = 10
WIDTH = 9 + 3 * _BINS + _BINS + 1 + _LBP


def colour_texture(pixels: np.ndarray) -> np.ndarray:
    """Statistics of colour and texture, all in about 0..1.

    Mean, deviation and skewness of red, green and blue; histograms of hue (weighted by chroma), of saturation and of
    value; of the direction of edges, weighted by their strength, and that strength; of uniform local binary patterns of
    the brightness (Ojala, Pietikainen, Maenpaa: Multiresolution Gray-Scale and Rotation Invariant Texture
    Classification, TPAMI 2002).

    Args:
        pixels: u8[N, H, W, 3], RGB.

    Returns:
        f32[N, 52].

    Raises:
        ValueError: another shape or type.
    """
    if pixels.ndim != 4 or pixels.shape[3] != 3 or pixels.dtype != np.uint8 or min(pixels.shape[1:3]) < 3:
        raise ValueError(
            f"wanted pictures u8[N, H, W, 3] of at least 3 by 3 pixels, got {pixels.dtype} {pixels.shape}; "
            "read them as RGB bytes"
        )
    out = np.empty((len(pixels), WIDTH), np.float32)
    for start in range(0, len(pixels), _PICTURES):
        rgb = pixels[start : start + _PICTURES].astype(np.float32) / 255
        grey = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
        out[start : start + len(rgb)] = np.concatenate([_moments(rgb), _colours(rgb), _edges(grey), _patterns(grey)], 1)
    return out


def joined(*tables: np.ndarray) -> np.ndarray:
    """Concatenates feature tables of the same items.

    Each column is standardised, and each table scaled so that all have the same mean row length and thus equal weight.
    A constant column becomes 0.

    Args:
        tables: f32[I, F_n] each.

    Returns:
        f32[I, sum of F_n].
    """
    parts = []
    for table in tables:
        centred = table.astype(np.float64) - table.mean(axis=0, dtype=np.float64)
        deviation = centred.std(axis=0)
        same = deviation <= 1e-6 * np.abs(table).max(axis=0, initial=1e-30)
        centred = np.where(same, 0.0, centred / np.where(same, 1.0, deviation))
        length = np.linalg.norm(centred, axis=1).mean()
        parts.append(centred / (length or 1.0))
    return np.concatenate(parts, axis=1).astype(np.float32)


def _moments(rgb: np.ndarray) -> np.ndarray:
    """f32[n, 9]; skewness as the cube root of the third moment."""
    flat = rgb.reshape(len(rgb), -1, 3)
    mean = flat.mean(axis=1)
    away = flat - mean[:, None]
    return np.concatenate([mean, np.sqrt((away**2).mean(axis=1)), np.cbrt((away**3).mean(axis=1))], axis=1)


def _colours(rgb: np.ndarray) -> np.ndarray:
    """Histograms of hue, saturation and value, f32[n, 24]."""
    value, least = rgb.max(axis=3), rgb.min(axis=3)
    spread = value - least
    saturation = np.divide(spread, value, out=np.zeros_like(value), where=value > 0)
    red, green, blue = np.moveaxis(rgb, 3, 0)
    safe = np.where(spread > 0, spread, 1)
    sector = np.select(
        [value == red, value == green], [((green - blue) / safe) % 6, (blue - red) / safe + 2], (red - green) / safe + 4
    )
    every = np.ones_like(value)
    return np.concatenate(
        [_histogram(sector / 6, spread), _histogram(saturation, every), _histogram(value, every)], axis=1
    )


def _edges(grey: np.ndarray) -> np.ndarray:
    """Directions of the gradient over half a turn, weighted by its length, and its mean length, f32[n, 9]."""
    down, right = np.gradient(grey, axis=(1, 2))
    strength = np.hypot(down, right)
    direction = np.arctan2(down, right) % np.pi / np.pi
    return np.concatenate([_histogram(direction, strength), strength.mean(axis=(1, 2))[:, None]], axis=1)


def _patterns(grey: np.ndarray) -> np.ndarray:
    """Uniform local binary patterns of radius 1, f32[n, 10]."""
    rows, columns = grey.shape[1:]
    around = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0)]  # once around the pixel
    middle = grey[:, 1:-1, 1:-1]
    bright = np.stack([grey[:, y : rows - 2 + y, x : columns - 2 + x] >= middle for y, x in around], axis=-1)
    changes = (bright != np.roll(bright, 1, axis=-1)).sum(axis=-1)
    code = np.where(changes <= 2, bright.sum(axis=-1), _LBP - 1)
    return np.stack([(code == kind).mean(axis=(1, 2)) for kind in range(_LBP)], axis=1).astype(np.float32)


def _histogram(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """values in 0..1 with weights, f32[n, H, W] each -> shares of the weight, f32[n, 8]; all 0 without weight."""
    places = np.minimum((values * _BINS).astype(np.int64), _BINS - 1)
    places = places + np.arange(len(values))[:, None, None] * _BINS
    total = np.bincount(places.ravel(), weights.ravel().astype(np.float64), len(values) * _BINS).reshape(-1, _BINS)
    whole = total.sum(axis=1, keepdims=True)
    return np.divide(total, whole, out=np.zeros_like(total), where=whole > 0).astype(np.float32)
