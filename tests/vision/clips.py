"""Made clips in which every cut is known: hard cuts among what only looks like one (pans, motion, fades, flashes)."""

import dataclasses

import numpy as np

HEIGHT, WIDTH = 54, 96
_FADE = (8, 20)  # frames, from and to


@dataclasses.dataclass(frozen=True)
class Clip:
    """frames u8[n, HEIGHT, WIDTH, 3] at `fps`. cuts i64[C]: first frame of each shot after a hard cut, rising.

    fades: (first, last) frame of each gradual change of shot. flashes: (first, last) frame of each flash. pans: (first,
    last) frame of each shot whose camera moves fast; shots i32[n]: number of the shot that shows most at each frame.
    """

    frames: np.ndarray
    fps: int
    cuts: np.ndarray
    fades: tuple[tuple[int, int], ...]
    flashes: tuple[tuple[int, int], ...]
    pans: tuple[tuple[int, int], ...]
    shots: np.ndarray


def clip(seed: int = 0, num_shots: int = 7, shot: tuple[int, int] = (20, 40), fps: int = 25, noise: float = 3) -> Clip:
    """`num_shots` shots of drawn scenes, their lengths in `shot`, each change a hard cut (2 of 3) or a fade.

    A shot has things that move; a third of the shots pan fast (6 to 14 points a frame), a third slowly; every second
    shot uses the colours of the one before, so that histograms alone find no cut; two in five hold a flash of 1 to 3
    frames. Fades dissolve or go through black. Grey-level Gaussian noise on every frame.
    """
    rng = np.random.default_rng([seed, 31])
    changes = rng.permutation(np.arange(num_shots - 1) % 3 == 2)  # true: a fade
    palette, parts, fades, flashes, pans, cuts, shots = None, [], [], [], [], [], []
    for number in range(num_shots):
        palette = _palette(rng) if number % 2 == 0 else palette
        length, start = int(rng.integers(shot[0], shot[1] + 1)), sum(map(len, parts))
        fast = number % 3 == 1
        pictures = _shot(palette, length, (0, 1, 0.15)[number % 3] * rng.uniform(6, 14), rng)
        if number and changes[number - 1]:
            over = int(rng.integers(*_FADE)) // 2 * 2
            parts[-1] = np.concatenate([parts[-1], _fade(parts[-1][-1], pictures[0], over, bool(rng.integers(2)))])
            fades.append((start, start + over - 1))
            shots += [number - 1] * (over // 2) + [number] * (over // 2)
            start += over
        elif number:
            cuts.append(start)
        if fast:
            pans.append((start, start + length - 1))
        if rng.random() < 0.4:
            first, lasts = int(rng.integers(6, length - 8)), int(rng.integers(1, 4))
            strength = rng.uniform(0.5, 1)
            pictures[first : first + lasts] += strength * (255 - pictures[first : first + lasts])
            flashes.append((start + first, start + first + lasts - 1))
        shots += [number] * length
        parts.append(pictures)
    frames = np.concatenate(parts)
    frames += rng.normal(0, noise, (*frames.shape[:3], 1)).astype(np.float32)
    frames = np.clip(np.rint(frames), 0, 255).astype(np.uint8)
    return Clip(
        frames, fps, np.array(cuts, np.int64), tuple(fades), tuple(flashes), tuple(pans), np.array(shots, np.int32)
    )


def _palette(rng) -> np.ndarray:
    """f32[6, 3]: six colours around one of their own."""
    middle = rng.uniform(50, 205, 3)
    return np.clip(middle + rng.normal(0, 55, (6, 3)), 0, 255).astype(np.float32)


def _shot(palette: np.ndarray, length: int, speed: float, rng) -> np.ndarray:
    """f32[length, HEIGHT, WIDTH, 3]: a camera that moves `speed` points a frame over a scene in which things move."""
    scene = _scene(palette, WIDTH + int(speed * length) + 2, rng)
    things = [
        (rng.uniform(0, HEIGHT), rng.uniform(0, WIDTH), rng.normal(0, 1.2, 2), rng.integers(4, 10), rng.integers(6))
        for _ in range(3)
    ]
    down, right = np.mgrid[:HEIGHT, :WIDTH]
    pictures = np.empty((length, HEIGHT, WIDTH, 3), np.float32)
    left_to_right = rng.random() < 0.5
    for n in range(length):
        at = int(speed * (n if left_to_right else length - 1 - n))
        pictures[n] = scene[:, at : at + WIDTH]
        for y, x, velocity, radius, colour in things:
            centre = y + n * velocity[0], x + n * velocity[1]
            pictures[n, (down - centre[0]) ** 2 + (right - centre[1]) ** 2 < radius**2] = palette[colour]
    return pictures


def _scene(palette: np.ndarray, width: int, rng) -> np.ndarray:
    """f32[HEIGHT, width, 3]: a slope of two colours with a grain, boxes and discs in front, one each 8 columns."""
    down, right = np.mgrid[:HEIGHT, :width]
    one, two = palette[rng.choice(len(palette), 2, replace=False)]
    share = (down / HEIGHT)[..., None].astype(np.float32)
    scene = one * (1 - share) + two * share
    grain = rng.normal(0, 12, (HEIGHT // 6 + 1, width // 6 + 1)).astype(np.float32)
    scene += np.kron(grain, np.ones((6, 6), np.float32))[:HEIGHT, :width, None]
    for _ in range(width // 8):
        y, x, high, wide = rng.uniform(0, HEIGHT), rng.uniform(0, width), rng.uniform(3, 14), rng.uniform(3, 14)
        if rng.random() < 0.5:
            inside = (np.abs(down - y) < high) & (np.abs(right - x) < wide)
        else:
            inside = ((down - y) / high) ** 2 + ((right - x) / wide) ** 2 < 1
        scene[inside] = palette[rng.integers(len(palette))]
    return scene


def _fade(before: np.ndarray, after: np.ndarray, over: int, black: bool) -> np.ndarray:
    """f32[over, HEIGHT, WIDTH, 3] from one picture to another: mixed, or through black."""
    share = ((np.arange(over) + 1) / (over + 1)).astype(np.float32)[:, None, None, None]
    if black:
        return np.maximum(0, 1 - 2 * share) * before + np.maximum(0, 2 * share - 1) * after
    return (1 - share) * before + share * after
