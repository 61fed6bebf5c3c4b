"""Hard cuts between shots, found on the small frames of a clip, and one key frame for each shot.

Two measures of difference between frames complement each other: shift-tolerant grey difference and colour histograms.
Key frames are the sharpest pictures near the middle of the longest shots.
"""

import dataclasses

import numpy as np

_COLOURS = 6  # levels of each channel in the histogram
_PAIRS = 512  # of frames that are compared at a time


@dataclasses.dataclass(frozen=True)
class Signature:
    """Features of n frames for comparison.

    Attributes:
        grey: f32[n, h, w], in 0..1, small.
        colour: f32[n, 216], histograms that sum to 1.
    """

    grey: np.ndarray
    colour: np.ndarray

    def __len__(self) -> int:
        return len(self.grey)


def signature(frames: np.ndarray, width: int = 32) -> Signature:
    """Features of frames for comparison.

    Args:
        frames: u8[n, H, W, 3].
        width: cells across; the height is in proportion.

    Returns:
        Their signature.
    """
    height = max(4, round(frames.shape[1] * width / frames.shape[2]))
    grey = np.empty((len(frames), height, width), np.float32)
    colour = np.empty((len(frames), _COLOURS**3), np.float32)
    weights = np.array([0.299, 0.587, 0.114], np.float32) / 255
    for n, frame in enumerate(frames):  # one by one: the float copy of a whole clip would fill the memory
        grey[n] = _cells(frame @ weights, height, width)
        level = frame.astype(np.uint16) * _COLOURS // 256
        code = (level[..., 0] * _COLOURS + level[..., 1]) * _COLOURS + level[..., 2]
        colour[n] = np.bincount(code.ravel(), minlength=_COLOURS**3) / code.size
    return Signature(grey, colour)


def _cells(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """f32[H, W] -> f32[height, width], the mean of each cell; a picture smaller than the grid repeats its points."""
    for axis, size in ((0, height), (1, width)):
        edges = np.arange(size) * picture.shape[axis] // size
        counts = np.maximum(np.diff(np.append(edges, picture.shape[axis])), 1)
        picture = np.add.reduceat(picture, edges, axis=axis) / np.expand_dims(counts, 1 - axis)
    return picture


def moved_difference(before: np.ndarray, after: np.ndarray, reach: int = 3, block: int = 6) -> np.ndarray:
    """Motion-tolerant grey difference: each block of `after` is compared with `before` where it matches best.

    Cells that a shift brings in from outside repeat the border.

    Args:
        before: f32[m, h, w].
        after: f32[m, h, w], pair by pair.
        reach: largest shift in cells, along both axes.
        block: cells along a side of a block; the last ones may be smaller.

    Returns:
        f32[m], the mean over blocks of the least mean absolute difference over all shifts.
    """
    _, height, width = after.shape
    padded = np.pad(before, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    rows, columns = np.arange(0, height, block), np.arange(0, width, block)
    sizes = np.diff(np.append(rows, height))[:, None] * np.diff(np.append(columns, width))[None]
    least = np.full((len(after), len(rows), len(columns)), np.inf, np.float32)
    for down in range(2 * reach + 1):
        for right in range(2 * reach + 1):
            apart = np.abs(after - padded[:, down : down + height, right : right + width])
            sums = np.add.reduceat(np.add.reduceat(apart, rows, axis=1), columns, axis=2)
            np.minimum(least, sums / sizes.astype(np.float32), out=least)
    return least.reshape(len(after), len(rows) * len(columns)).mean(axis=1)


def colour_distance(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Half the L1 distance of histograms, pair by pair.

    Args:
        before: f32[m, C], histograms that sum to 1.
        after: f32[m, C].

    Returns:
        f32[m] in 0..1.
    """
    return np.abs(before - after).sum(axis=1) / 2


_REACH = 3  # cells of 32 across that things move from one frame to the next


@dataclasses.dataclass(frozen=True)
class CutSettings:
    """One setting for all clips.

    floor: the least difference of a cut, where 0 is the same picture and 1.3 black against white.
    ratio: how often a cut's difference must hold the second largest among those of `around` frames on either side; the
    second, so that another cut or one jerk nearby hides nothing. Fast motion and pans last several frames and fail.
    flash: longest flash in frames. A picture that comes back within it was never left.
    same: share of the difference below which a picture counts as come back.
    leaves: least step out of a flash, as a share of the step into it.
    shortest: fewest frames from one cut to the next; of two that are closer the smaller is dropped.
    colour: weight of the histograms' distance beside the moved grey difference.
    """

    floor: float = 0.08
    ratio: float = 2.0
    around: int = 5
    flash: int = 4
    same: float = 0.6
    leaves: float = 0.4
    shortest: int = 4
    colour: float = 0.3


def find_cuts(frames: np.ndarray, settings: CutSettings = CutSettings()) -> np.ndarray:
    """Finds hard cuts.

    Fades are gradual and no cut. A shot of at most `flash` frames between two looks of the same shot is no cut either.

    Args:
        frames: u8[n, h, w, 3], in order.
        settings: one for all clips.

    Returns:
        i64[cuts], positions of the first frame of each new shot, rising, 0 left out.

    Raises:
        ValueError: other shapes and types.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise ValueError(
            f"wanted frames uint8[n, h, w, 3], got {frames.dtype}{list(frames.shape)}; decode to RGB first"
        )
    if len(frames) < 2:
        return np.zeros(0, np.int64)
    seen = signature(frames)
    score = _without_flashes(seen, _steps(seen, settings), settings)
    return 1 + _apart(np.flatnonzero(_stands_out(score, settings)), score, settings.shortest)


def steps(frames: np.ndarray, settings: CutSettings = CutSettings()) -> np.ndarray:
    """The difference of each frame to the next, without regard to neighbours.

    Args:
        frames: u8[n, h, w, 3], in order.
        settings: one for all clips.

    Returns:
        f32[n - 1].
    """
    return _steps(signature(frames), settings)


def _steps(seen: Signature, settings: CutSettings) -> np.ndarray:
    first = np.arange(len(seen) - 1)
    blocks = np.split(first, np.arange(_PAIRS, len(first), _PAIRS))  # those of a whole clip would fill the memory
    return np.concatenate([_difference(seen, block, block + 1, settings) for block in blocks])


def _difference(seen: Signature, before, after, settings: CutSettings, reach: int = _REACH) -> np.ndarray:
    """f32[m] of the pairs of frames before i64[m], after i64[m]."""
    moved = moved_difference(seen.grey[before], seen.grey[after], reach)
    colour = settings.colour * colour_distance(seen.colour[before], seen.colour[after])
    return moved + np.minimum(colour, 2 * moved)  # a flat area that brightens by one level moves a whole histogram


def _without_flashes(seen: Signature, score: np.ndarray, settings: CutSettings) -> np.ndarray:
    """score f32[n - 1], at t the step from frame t to t + 1, with the steps into and out of flashes made small.

    When frame t looks like a frame t + 1 + k soon after, all steps between are at most as large as those two are apart.
    """
    first, score = score, score.copy()
    # A fade to black and back goes step by step; a flash comes out of calm.
    sudden = (first >= settings.floor) & (first >= settings.ratio * np.append(0, first[:-1]))
    for step in np.flatnonzero(sudden):
        for lag in range(2, min(2 + settings.flash, len(seen) - step)):
            if first[step + lag - 1] < settings.leaves * first[step]:
                continue  # nothing ends here; a far search would find some similarity in a long pan too
            colours = colour_distance(seen.colour[step : step + 1], seen.colour[step + lag : step + lag + 1])[0]
            if settings.colour * colours > settings.same * score[step]:
                continue  # too far apart already, and the search below is the costly part
            # A camera that pans goes on while it flashes: look as much further as it may have come.
            [apart] = _difference(seen, [step], [step + lag], settings, reach=_REACH * lag)
            if apart <= settings.same * score[step]:
                between = slice(step, step + lag)
                score[between] = np.minimum(score[between], apart)
                break
    return score


def _stands_out(score: np.ndarray, settings: CutSettings) -> np.ndarray:
    """bool[n - 1]: at least the floor, and `ratio` times the second largest of the neighbours."""
    around = settings.around
    padded = np.pad(score, around)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * around + 1)
    neighbours = np.delete(windows, around, axis=1)
    return (score >= settings.floor) & (score >= settings.ratio * np.sort(neighbours, axis=1)[:, -2])


def _apart(steps: np.ndarray, score: np.ndarray, shortest: int) -> np.ndarray:
    """The steps, the largest first, that are not within `shortest` frames of one already taken; rising."""
    taken: list[int] = []
    for step in steps[np.argsort(-score[steps], kind="stable")].tolist():
        if all(abs(step - other) >= shortest for other in taken):
            taken.append(step)
    return np.array(sorted(taken), np.int64)


def sharpness(frames: np.ndarray) -> np.ndarray:
    """The variance of the Laplacian of the grey picture; blurred and plain ones have a low one.

    Args:
        frames: u8[n, h, w, 3].

    Returns:
        f32[n].
    """
    variances = np.empty(len(frames), np.float32)
    for n, frame in enumerate(frames):
        grey = frame.astype(np.float32).mean(axis=2)
        inside = grey[1:-1, 1:-1]
        variances[n] = np.var(grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inside)
    return variances


def key_frames(frames: np.ndarray, cuts: np.ndarray, at_most: int) -> np.ndarray:
    """The sharpest frame in the middle half of each shot, the first of equals.

    The outer quarters of a shot are left out: fades live there. With more than `at_most` shots the longest are kept,
    the earlier of equals.

    Args:
        frames: u8[n, h, w, 3].
        cuts: i64[C], the first frame of each shot but the first, rising.
        at_most: how many.

    Returns:
        i64[k], k <= at_most, positions, rising.
    """
    edges = np.concatenate([[0], cuts, [len(frames)]]).astype(np.int64)
    lengths = np.diff(edges)
    kept = np.sort(np.argsort(-lengths, kind="stable")[:at_most])
    kept = kept[lengths[kept] > 0]
    picked = []
    for shot in kept:
        margin = lengths[shot] // 4
        first, last = edges[shot] + margin, edges[shot + 1] - margin
        picked.append(first + int(np.argmax(sharpness(frames[first:last]))))
    return np.array(picked, np.int64)
