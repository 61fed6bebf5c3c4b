"""Where one shot ends and the next begins: hard cuts among the small frames of a clip, without a decoder."""

import dataclasses

import numpy as np

from socialjax.vision.key_frames.differences import Signature, colour_distance, moved_difference, signature

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
    """frames u8[n, h, w, 3], in order -> i64[cuts]: positions of the first frame of each new shot, rising, 0 left out.

    Fades are gradual and no cut. A shot of at most `flash` frames between two looks of the same shot is no cut either.
    Raises ValueError for other shapes and types.
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
    """frames u8[n, h, w, 3] -> f32[n - 1]: how unlike each is to the next, whatever lies around."""
    return _steps(signature(frames), settings)


def _steps(seen: Signature, settings: CutSettings) -> np.ndarray:
    everyone = np.arange(len(seen))
    return _difference(seen, everyone[:-1], everyone[1:], settings)


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
                continue  # nothing ends here; a far search would find some likeness in a long pan too
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
