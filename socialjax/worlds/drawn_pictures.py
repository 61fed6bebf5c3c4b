"""Pictures drawn by NumPy in four distinct styles: night city, green landscape, warm portrait, blue sea.

Every picture has its own composition, colours and textures; only the subject is its style.
"""

import colorsys

import numpy as np

STYLES = ("night city", "green landscape", "warm portrait", "blue sea")


def draw(style: int, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Draws a picture, at twice the size and averaged, so that edges are smooth.

    Args:
        style: index into STYLES.
        rng: source of randomness.
        height: pixels.
        width: pixels.

    Returns:
        u8[height, width, 3].

    Raises:
        ValueError: no such style.
    """
    if not 0 <= style < len(STYLES):
        raise ValueError(f"wanted a style from 0 to {len(STYLES) - 1}, got {style}; the styles are {', '.join(STYLES)}")
    canvas = np.zeros((2 * height, 2 * width, 3), np.float32)
    (_city, _landscape, _portrait, _sea)[style](canvas, rng)
    canvas = canvas.reshape(height, 2, width, 2, 3).mean(axis=(1, 3))
    return np.clip(np.rint(255 * canvas), 0, 255).astype(np.uint8)


def _city(canvas: np.ndarray, rng) -> None:
    """A skyline over ground or water, or a street between two rows of houses; windows, moon, stars, lights."""
    height, width, _ = canvas.shape
    down, _ = _grid(canvas)
    night, glow = _colour(rng, (0.6, 0.78), (0.5, 0.9), (0.04, 0.16)), _colour(rng, (0.0, 1.0), (0.4, 0.8), (0.1, 0.4))
    canvas[:] = _slope(night, glow, down**2)
    stars = rng.random((height, width)) > 1 - rng.uniform(0, 0.002)
    canvas[stars & (down < 0.5)] = rng.uniform(0.5, 0.9)
    if rng.random() < 0.35:
        _disc(canvas, rng.uniform(0.08, 0.3), rng.uniform(0.1, 0.9), rng.uniform(0.03, 0.08), (0.95, 0.93, 0.8))
    kind, ground, vanishing = rng.choice(["ground", "water", "street"]), rng.uniform(0.68, 0.95), rng.uniform(0.3, 0.7)
    for layer in range(int(rng.integers(1, 4))):
        x = -rng.uniform(0, 0.1)
        shade = _colour(rng, (0.55, 0.75), (0.2, 0.6), (0.03, 0.12)) + 0.05 * (layer == 0)
        while x < 1:
            wide = rng.uniform(0.05, 0.16)
            tall = rng.uniform(0.15, 0.55 - 0.1 * layer)
            if kind == "street":
                tall = (0.12 + 1.5 * abs(x + wide / 2 - vanishing)) * rng.uniform(0.7, 1.0)
            _house(canvas, ground - tall, ground, x, wide, shade * rng.uniform(0.6, 1.3), rng)
            x += wide + rng.uniform(0, 0.03)
    below = down >= ground
    if kind == "water":
        lines = np.arange(height)[int(ground * height) :]
        mirrored = np.maximum(2 * int(ground * height) - lines - 1, 0)
        shift = np.rint(rng.normal(0, 1 + 4 * (lines / height - ground) / (1 - ground), len(lines))).astype(int)
        for line, source, by in zip(lines, mirrored, shift):
            canvas[line] = 0.55 * np.roll(canvas[source], by, axis=0) + 0.02
    else:
        canvas[below] = _colour(rng, (0.6, 0.8), (0.1, 0.4), (0.03, 0.1))
        for _ in range(int(rng.integers(4, 16))):
            y = rng.uniform(ground, 1)
            x = vanishing + (y - ground) / (1 - ground) * rng.normal(0, 0.6) if kind == "street" else rng.random()
            lamp = [(1, 0.9, 0.6), (1, 0.2, 0.1), (0.9, 0.95, 1)][rng.integers(3)]
            _disc(canvas, y, x, rng.uniform(0.008, 0.03), lamp, blur=0.02)
    if rng.random() < 0.3:  # lights before the lens, out of focus
        for _ in range(int(rng.integers(5, 15))):
            lamp = _colour(rng, (0.0, 1.0), (0.3, 0.9), (0.7, 1.0))
            _disc(canvas, rng.random(), rng.random(), rng.uniform(0.02, 0.07), lamp, share=rng.uniform(0.2, 0.6))


def _house(canvas, top: float, ground: float, left: float, wide: float, shade, rng) -> None:
    """A block with a grid of windows, some of them lit."""
    height, width, _ = canvas.shape
    rows = slice(max(0, int(top * height)), int(ground * height))
    columns = slice(max(0, int(left * width)), max(0, int((left + wide) * width)))
    block = canvas[rows, columns]
    if block.size == 0:
        return
    block[:] = shade
    high, across = (int(n) for n in rng.integers(6, 13, 2))
    down, right = np.mgrid[: block.shape[0], : block.shape[1]]
    lit = rng.random((block.shape[0] // high + 1, block.shape[1] // across + 1)) < rng.uniform(0.15, 0.7)
    inside = (down % high > high // 3) & (right % across > across // 3)
    light = _colour(rng, (0.08, 0.16), (0.1, 0.7), (0.6, 1.0))
    if rng.random() < 0.2:
        light = _colour(rng, (0.5, 0.9), (0.3, 0.7), (0.6, 1.0))
    block[inside & lit[down // high, right // across]] = light


def _landscape(canvas: np.ndarray, rng) -> None:
    """Hills behind hills under a strip of sky, with woods, flowers, a path or a river."""
    height, width, _ = canvas.shape
    down, right = _grid(canvas)
    horizon = rng.uniform(0.12, 0.5)
    sky = _colour(rng, (0.5, 0.62), (0.1, 0.5), (0.75, 1.0)), _colour(rng, (0.1, 0.6), (0.02, 0.25), (0.85, 1.0))
    canvas[:] = _slope(*sky, np.minimum(down / horizon, 1))
    clouds = np.clip(3 * (_cloud(rng, height, width, 4, 8) - rng.uniform(0.45, 0.8)), 0, 1)
    _paint(canvas, 0.8 * clouds, (1, 1, 1))
    layers, hue = int(rng.integers(2, 6)), rng.uniform(0.22, 0.38)
    for layer in range(layers):
        base = horizon + (0.95 - horizon) * (layer / layers) ** 1.2
        swing = rng.uniform(0.02, 0.12) * (1 - 0.5 * layer / layers)
        ridge = base + sum(
            swing / n * np.sin(2 * np.pi * (n * rng.uniform(0.4, 1.0) * right + rng.random())) for n in (1, 2, 4)
        )
        if layer == 0 and rng.random() < 0.4:  # mountains
            ridge = ridge - 0.15 * np.abs(((right * rng.uniform(2, 5) + rng.random()) % 1) - 0.5) * 2
        near = (layer + 1) / layers
        green = _colour(rng, (hue - 0.04, hue + 0.04), (0.35 + 0.3 * near, 0.9), (0.3, 0.75))
        grain = _cloud(rng, height, width, int(rng.integers(6, 30)), int(rng.integers(20, 60)))
        area = np.clip((down - ridge) * height, 0, 1)
        _paint(canvas, area, green * (0.65 + 0.7 * grain[..., None]))
        for _ in range(int(rng.poisson(rng.choice([1, 4, 12])))):
            x = rng.random()
            foot = ridge[0, min(width - 1, int(x * width))] + rng.uniform(0, 0.1)
            _tree(canvas, foot, x, rng.uniform(0.06, 0.2) * (0.4 + 0.8 * near), hue, rng)
    if rng.random() < 0.4:
        bend, wide = rng.normal(0, 0.15), rng.uniform(0.05, 0.2)
        depth = np.clip((down - horizon) / (1 - horizon), 0, 1)
        middle = rng.uniform(0.3, 0.7) + bend * np.sin(6 * depth) * (1 - 0.5 * depth)
        way = np.clip((wide * depth**1.5 - np.abs(right - middle)) * width / 2, 0, 1) * (down > horizon + 0.1)
        _paint(canvas, way, (0.65, 0.55, 0.4) if rng.random() < 0.5 else (0.5, 0.7, 0.8))
    if rng.random() < 0.4:
        dots = (rng.random((height, width)) < 0.02) & (down > rng.uniform(0.6, 0.8))
        canvas[dots | np.roll(dots, 1, 0) | np.roll(dots, 1, 1)] = _colour(rng, (0.0, 1.0), (0.3, 0.9), (0.8, 1.0))


def _tree(canvas, foot: float, x: float, tall: float, hue: float, rng) -> None:
    """A fir, a triangle of steps, or a leafy tree, a few discs; above `foot`."""
    part, down, right = _near(canvas, foot - tall / 2, x, tall, tall)
    dark = _colour(rng, (hue - 0.03, hue + 0.06), (0.5, 0.9), (0.15, 0.45))
    trunk = (np.abs(right - x) < 0.05 * tall) & (np.abs(down - foot + tall / 6) < tall / 6)
    _paint(part, 1.0 * trunk, (0.3, 0.2, 0.1))
    if rng.random() < 0.5:
        share = (down - foot + tall) / (0.85 * tall)
        inside = (share > 0) & (share < 1) & (np.abs(right - x) < 0.22 * tall * (0.6 * share + 0.4 * (3 * share % 1)))
        _paint(part, 1.0 * inside, dark)
    else:
        for _ in range(4):
            shade = dark * rng.uniform(0.8, 1.3)
            at = foot - tall * rng.uniform(0.5, 0.8), x + tall * rng.normal(0, 0.1)
            _disc(canvas, *at, tall * rng.uniform(0.15, 0.28), shade)


def _portrait(canvas: np.ndarray, rng) -> None:
    """One face or two before a warm, blurred ground."""
    height, width, _ = canvas.shape
    _, right = _grid(canvas)
    one, two = (_colour(rng, (-0.04, 0.12), (0.35, 0.85), (0.25, 0.95)) for _ in range(2))
    canvas[:] = _slope(one, two, _cloud(rng, height, width, 3, 3))
    for _ in range(int(rng.integers(0, 14))):
        light = _colour(rng, (-0.02, 0.14), (0.2, 0.7), (0.7, 1.0))
        _disc(canvas, rng.random(), rng.random(), rng.uniform(0.03, 0.12), light, share=rng.uniform(0.15, 0.5))
    if rng.random() < 0.25:
        size = rng.uniform(0.17, 0.22)
        for middle in (0.3, 0.7):
            _person(canvas, rng.uniform(0.35, 0.5), middle + rng.normal(0, 0.03), size * rng.uniform(0.9, 1.1), rng)
    else:
        _person(canvas, rng.uniform(0.36, 0.52), rng.uniform(0.3, 0.7), rng.uniform(0.2, 0.34), rng)
    side = right if rng.random() < 0.5 else 1 - right
    canvas *= 1 - rng.uniform(0, 0.5) * side[..., None]  # light from one side
    canvas *= np.array([1.08, 1.0, 0.88], np.float32)


def _person(canvas, y: float, x: float, size: float, rng) -> None:
    """Hair, shoulders, neck and a face of `size` (half its height) at (y, x)."""
    skin = _colour(rng, (0.04, 0.09), (0.25, 0.6), (0.45, 0.98))
    hair = _colour(rng, (0.0, 0.12), (0.2, 0.8), (0.05, 0.6))
    cloth = _colour(rng, (-0.05, 0.13), (0.2, 0.9), (0.2, 0.9))
    long = rng.uniform(0.9, 2.0)
    _oval(canvas, y + size * (long - 1) * 0.6, x, size * long * 0.95, size * 0.98, hair)
    _oval(canvas, y + size * 2.6, x, size * 1.3, size * rng.uniform(1.5, 2.2), cloth)
    _oval(canvas, y + size * 1.1, x, size * 0.55, size * 0.35, 0.85 * skin)
    _oval(canvas, y - size * 0.15, x, size * 1.1, size * 0.86, hair)
    _oval(canvas, y, x, size, size * 0.74, skin)
    turn = rng.normal(0, 0.08) * size
    if rng.random() < 0.6:  # a fringe
        _oval(canvas, y - size * 0.85, x + rng.normal(0, 0.25) * size, size * 0.38, size * 0.66, hair)
    iris = _colour(rng, (0.05, 0.65), (0.3, 0.7), (0.15, 0.5))
    for side in (-1, 1):
        eye = x + turn + side * 0.3 * size
        _oval(canvas, y - 0.1 * size, eye, 0.08 * size, 0.14 * size, (0.95, 0.92, 0.88))
        _oval(canvas, y - 0.1 * size, eye + 0.2 * turn, 0.08 * size, 0.075 * size, iris)
        _oval(canvas, y - 0.29 * size, eye, 0.03 * size, 0.17 * size, 0.7 * hair)
        _oval(canvas, y + 0.3 * size, x + turn + side * 0.42 * size, 0.12 * size, 0.14 * size, skin * (1.05, 0.85, 0.8))
    _oval(canvas, y + 0.18 * size, x + turn, 0.14 * size, 0.06 * size, 0.85 * skin)
    _oval(
        canvas,
        y + 0.52 * size,
        x + turn,
        rng.uniform(0.04, 0.09) * size,
        rng.uniform(0.2, 0.3) * size,
        (0.7, 0.22, 0.2),
    )


def _sea(canvas: np.ndarray, rng) -> None:
    """Waves to a horizon, or water seen from above; foam, sun, a sail, an island."""
    height, width, _ = canvas.shape
    down, right = _grid(canvas)
    above = rng.random() < 0.25
    horizon = -0.6 if above else rng.uniform(0.15, 0.6)
    sky = _colour(rng, (0.53, 0.63), (0.2, 0.7), (0.5, 1.0)), _colour(rng, (0.5, 0.62), (0.02, 0.3), (0.75, 1.0))
    canvas[:] = _slope(*sky, np.clip(down / max(horizon, 0.1), 0, 1))
    clouds = np.clip(3 * (_cloud(rng, height, width, 5, 6) - rng.uniform(0.4, 0.8)), 0, 1)
    _paint(canvas, 0.7 * clouds, (0.97, 0.98, 1))
    sun = rng.uniform(0.1, 0.9) if rng.random() < 0.45 and not above else None
    if sun is not None:
        _disc(canvas, horizon * rng.uniform(0.2, 0.8), sun, rng.uniform(0.03, 0.06), (1, 0.98, 0.85), blur=0.02)
    if not above and rng.random() < 0.3:
        middle, wide, tall = rng.random(), rng.uniform(0.1, 0.35), rng.uniform(0.03, 0.12)
        top = horizon - tall * np.clip(1 - ((right - middle) / wide) ** 2, 0, 1) * (0.6 + 0.4 * np.sin(30 * right))
        _paint(canvas, 1.0 * ((down > top) & (down < horizon + 0.01)), (0.25, 0.32, 0.4))
    depth = np.clip((down - horizon) / (1 - horizon), 0.003, 1)
    far, near = (
        _colour(rng, (0.53, 0.62), (0.4, 0.8), (0.45, 0.85)),
        _colour(rng, (0.52, 0.63), (0.6, 1.0), (0.2, 0.65)),
    )
    tilt, length, waves = rng.normal(0, 0.8), rng.uniform(3, 9), np.zeros((height, width), np.float32)
    wobble = _cloud(rng, height, width, 6, 6)
    for n in (1, 2.3, 4.1):
        phase = length * n * (np.log(depth + 0.05) * 1.6 + 0.25 * tilt * right) + 5 * wobble + 6.3 * rng.random()
        waves += np.sin(phase + np.sin(right * 9 * n)) / n
    water = down > horizon
    colours = _slope(far, near, depth) * (1 + 0.22 * waves[..., None] * rng.uniform(0.5, 1.3))
    canvas[water] = colours[water]
    crest = rng.uniform(0.75, 1.3)
    foam = np.clip(3 * (waves - crest), 0, 1) * (_cloud(rng, height, width, 24, 40) > rng.uniform(0.3, 0.6))
    _paint(canvas, foam * water * (0.3 + 0.7 * depth), (0.93, 0.97, 1))
    if sun is not None:
        path = np.exp(-(((right - sun) / (0.04 + 0.12 * depth)) ** 2)) * (rng.random((height, width)) < 0.35)
        _paint(canvas, path * water * (waves > 0), (1, 0.98, 0.88))
    if not above and rng.random() < 0.4:
        y, x, size = horizon + rng.uniform(0.01, 0.15), rng.uniform(0.15, 0.85), rng.uniform(0.08, 0.25)
        hull = (np.abs(down - y) < 0.07 * size) & (np.abs(right - x) < 0.35 * size - (down - y))
        share = (down - y + size) / size
        sail = (share > 0) & (share < 0.9) & (right > x) & (right < x + 0.4 * size * share)
        jib = (share > 0.2) & (share < 0.9) & (right < x - 0.01) & (right > x - 0.25 * size * (share - 0.2))
        _paint(canvas, 1.0 * hull, (0.3, 0.15, 0.12))
        _paint(canvas, 1.0 * (sail | jib), _colour(rng, (0.0, 1.0), (0.0, 0.3), (0.85, 1.0)))


def _grid(canvas) -> tuple[np.ndarray, np.ndarray]:
    """(down, right) of each point, 0 to 1, f32[H, W] each."""
    height, width, _ = canvas.shape
    down, right = np.mgrid[:height, :width].astype(np.float32)
    return down / height, right / width


def _colour(rng, hue, saturation, value) -> np.ndarray:
    """f32[3] RGB from ranges; hue goes around."""
    return np.array(
        colorsys.hsv_to_rgb(rng.uniform(*hue) % 1, rng.uniform(*saturation), rng.uniform(*value)), np.float32
    )


def _slope(start, end, share) -> np.ndarray:
    """f32[H, W, 3] from colour one (share 0) to two (share 1)."""
    return start + (end - start) * share[..., None]


def _paint(canvas, share, colour) -> None:
    """Lays a colour, or f32[H, W, 3], over the canvas; share f32[H, W] says how much of it shows."""
    canvas += share[..., None].astype(np.float32) * (np.asarray(colour, np.float32) - canvas)


def _disc(canvas, y: float, x: float, radius: float, colour, blur: float = 0.004, share: float = 1.0) -> None:
    """Round on the screen; radius is a share of the height."""
    _oval(canvas, y, x, radius, radius, colour, blur, share)


def _oval(canvas, y, x, tall, wide, colour, blur: float = 0.006, share: float = 1.0) -> None:
    """Half axes `tall` and `wide`, as shares of the height."""
    height, width, _ = canvas.shape
    reach = max(tall, wide) + blur
    part, down, right = _near(canvas, y, x, reach, reach)
    away = np.hypot((down - y) / tall, (right - x) * width / height / wide)
    _paint(part, share * np.clip((1 - away) * min(tall, wide) / blur + 0.5, 0, 1), colour)


def _near(canvas, y: float, x: float, tall: float, wide: float):
    """(view of the canvas, its down, its right) within `tall` and `wide`, shares of the height, of (y, x)."""
    height, width, _ = canvas.shape
    top, left = max(0, int((y - tall) * height)), max(0, int(x * width - wide * height))
    part = canvas[top : max(0, int((y + tall) * height) + 2), left : max(0, int(x * width + wide * height) + 2)]
    down = np.arange(top, top + part.shape[0], dtype=np.float32)[:, None] / height
    right = np.arange(left, left + part.shape[1], dtype=np.float32)[None] / width
    return part, down, right


def _cloud(rng, height: int, width: int, rows: int, columns: int) -> np.ndarray:
    """f32[height, width] in 0 to 1: smooth noise with about so many bumps along each side, and finer ones on them."""
    total, weight = np.zeros((height, width), np.float32), 0.0
    for octave in range(3):
        n, m = rows * 2**octave, columns * 2**octave
        coarse = rng.random((n + 1, m + 1)).astype(np.float32)
        total += _stretched(_stretched(coarse, height, 0), width, 1) / 2**octave
        weight += 1 / 2**octave
    return total / weight


def _stretched(values, length: int, axis: int) -> np.ndarray:
    """Linear in between, along one axis."""
    at = np.arange(length, dtype=np.float32) / length * (values.shape[axis] - 1)
    low = at.astype(int)
    share = np.expand_dims(at - low, 1 - axis)
    share = share * share * (3 - 2 * share)
    return np.take(values, low, axis) * (1 - share) + np.take(values, low + 1, axis) * share
