"""Drawn pictures of tops and shoes whose attributes, and the regions that show them, are known (docs/saers.md).

Parts are polygons on a canvas of 64 x 64, drawn four times as large as requested and averaged. What distinguishes the
classes of an attribute lies inside its boxes and nowhere else: the upper of a shoe, for example, is the same on every
heel.
"""

import colorsys

import numpy as np
from PIL import Image, ImageDraw

GROUPS = ("top", "shoe")
NAMES = ("neckline", "sleeve", "hem", "heel", "toe")
CLASSES = (
    ("V", "round", "square"),
    ("none", "short", "long"),
    ("crop", "regular", "long"),
    ("flat", "mid", "high"),
    ("round", "pointed", "open"),
)
GROUP_OF = np.array([0, 0, 0, 1, 1])  # the group that has the attribute
# Classes that have a region to point at; "no sleeves" and "no heel" are recognised by what is missing.
PRESENT = np.array([[1, 1, 1], [0, 1, 1], [1, 1, 1], [0, 1, 1], [1, 1, 1]], bool)

CANVAS, OVERSAMPLED = 64, 4
SHIFT, SCALE = 4.0, (0.88, 1.08)  # nuisances: where the garment is, and how large
LINED, NOISE = 0.4, 0.02  # the share of pictures with lines across, and the deviation of the noise
Polygon = list[tuple[float, float]]

# (x0, y0, x1, y1) on the canvas before shift and scale; sleeves come in pairs.
_PLACES = (
    [(20, 7, 44, 22)],
    [(5, 8, 21, 38), (43, 8, 59, 38)],
    [(18, 32, 46, 58)],
    [(7, 38, 21, 59)],
    [(37, 39, 58, 52)],
)


def draw_garments(labels: np.ndarray, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws one picture for each row of labels.

    Random numbers are drawn picture by picture and do not depend on the labels: colours, shift, scale and lines are
    independent of them.

    Args:
        labels: i16[N, K], -1 for the attributes of the other group.
        size: pixels along a side.
        rng: source of randomness.

    Returns:
        Pixels u8[N, size, size, 3] and boxes f32[N, K, 2, 4], which follow shift and scale, are clipped at the edge of
        the picture, and are NaN where there is none.

    Raises:
        ValueError: labels that fit no group, or too small a size.
    """
    group = GROUP_OF[np.argmax(labels >= 0, axis=1)]
    fits = np.where(GROUP_OF == group[:, None], (labels >= 0) & (labels < 3), labels == -1).all(axis=1)
    if not fits.all() or size < 16:
        row = labels[np.argmin(fits)].tolist()
        raise ValueError(
            f"wanted pictures of at least 16 pixels, and for each the classes 0 to 2 of the attributes of one group "
            f"and -1 for the others, got {size} pixels and labels such as {row}; the attributes are {NAMES}"
        )
    pixels = np.empty((len(labels), size, size, 3), np.uint8)
    boxes = np.full((len(labels), len(NAMES), 2, 4), np.nan, np.float32)
    for row, classes in enumerate(labels):
        scale, shift = rng.uniform(*SCALE), rng.uniform(-SHIFT, SHIFT, 2)
        parts = _top(*classes[:3]) if group[row] == 0 else _shoe(*classes[3:])
        pixels[row] = _paint([(paint, scale * (np.array(p) - 32) + 32 + shift) for paint, p in parts], size, rng)
        for attribute in np.flatnonzero(GROUP_OF == group[row]):
            places = scale * (np.array(_PLACES[attribute], float) - 32) + 32 + np.tile(shift, 2)
            boxes[row, attribute, : len(places)] = np.clip(places / CANVAS, 0, 1)
    return pixels, boxes


def _paint(parts: list[tuple[str, np.ndarray]], size: int, rng: np.random.Generator) -> np.ndarray:
    """u8[size, size, 3]: polygons over a light background, with lines across some, and noise."""
    light = _colour(rng, (0.0, 0.12), (0.82, 1.0))
    cloth = _colour(rng, (0.2, 0.9), (0.15, 0.6))
    paints = {"background": light, "cloth": cloth, "dark": tuple(int(0.6 * c) for c in cloth)}
    lined, ends = rng.random() < LINED, rng.uniform(0, OVERSAMPLED * size, (3, 4))
    ink = _colour(rng, (0.0, 1.0), (0.0, 1.0))
    noise = rng.standard_normal((size, size, 3), np.float32)

    picture = Image.new("RGB", (OVERSAMPLED * size, OVERSAMPLED * size), light)
    pen = ImageDraw.Draw(picture)
    for paint, polygon in parts:
        pen.polygon((polygon * (OVERSAMPLED * size / CANVAS)).ravel().tolist(), fill=paints[paint])
    for line in ends[: 3 * lined]:
        pen.line(line.tolist(), fill=ink, width=max(1, size // 24))
    smooth = np.asarray(picture.reduce(OVERSAMPLED), np.float32) + 255 * NOISE * noise
    return np.clip(np.rint(smooth), 0, 255).astype(np.uint8)


def _colour(rng: np.random.Generator, saturation, value) -> tuple[int, ...]:
    return tuple(
        round(255 * c) for c in colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
    )


def _top(neckline: int, sleeve: int, hem: int) -> list[tuple[str, Polygon]]:
    """Body and sleeves, seen from the front, with the neckline cut out."""
    bottom = (36, 46, 57)[hem]
    body = [(15, 10), (20, 7), (44, 7), (49, 10), (46, 21), (46, bottom), (18, bottom), (18, 21)]
    neck = (
        [(20, 6), (44, 6), (32, 22)],
        _arc((32, 6), 12, 14, 0, 180),
        [(21, 6), (43, 6), (43, 19), (21, 19)],
    )[neckline]
    length = (0.0, 0.42, 1.0)[sleeve]
    left = [(16, 9.5), (16 - 10.5 * length, 9.5 + 26 * length), (19 - 7 * length, 18 + 20 * length), (19, 18)]
    sleeves = [left, [(CANVAS - x, y) for x, y in left]] if sleeve else []
    return [*(("cloth", part) for part in sleeves), ("cloth", body), ("background", neck)]


def _shoe(heel: int, toe: int) -> list[tuple[str, Polygon]]:
    """A pump seen from the side, its toe to the right."""
    upper = [(8, 23), (11, 22), (18, 30), (28, 33), (38, 39), (38, 51), (36, 51), (28, 46), (20, 41), (8, 40)]
    under = (
        [(8, 39), (20, 40), (20, 43), (8, 43)],
        [(8, 39), (20, 40), (18, 50), (9, 50)],
        [(8, 39), (18, 40), (13, 58), (10, 58)],
    )[heel]
    sole = [(38, 49.5), (54, 49.5), (54, 51), (38, 51)]
    toes = (
        [("cloth", [(37, 39), (44, 39), *_arc((44, 51), 11, 12, -90, 0), (37, 51)])],
        [("cloth", [(37, 39), (41, 40), (58, 50), (58, 51), (37, 51)])],
        [("cloth", [(37, 39), (42, 41), (42, 45), (37, 47)]), ("dark", sole)],
    )[toe]
    return [("dark", under), ("cloth", upper), *toes]


def _arc(centre: tuple[float, float], wide: float, tall: float, start: float, end: float) -> Polygon:
    """Points on an ellipse, from one angle to another (degrees, clockwise from the right)."""
    angles = np.radians(np.linspace(start, end, 24))
    return [(centre[0] + wide * float(np.cos(a)), centre[1] + tall * float(np.sin(a))) for a in angles]
