"""The key frames of one file, chosen on small pictures and then read again at the size that is kept."""

import dataclasses
from pathlib import Path

import numpy as np

from socialjax.vision.key_frames import video
from socialjax.vision.key_frames.choose import key_frames
from socialjax.vision.key_frames.cuts import CutSettings, find_cuts, steps

IMAGES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
VIDEOS = frozenset(video.DEMUXERS) - IMAGES


@dataclasses.dataclass(frozen=True)
class FrameSettings:
    """at_most: key frames of a video. width: points across of the kept pictures, small_width: of those compared.

    enough_intra: a video with this many intra frames a key frame is judged by them alone and never decoded whole; a
    long film has thousands, a short clip one or two. unlike: difference from which two of them are different shots.
    """

    at_most: int = 8
    width: int = 256
    small_width: int = 96
    enough_intra: int = 8
    unlike: float = 0.15
    cuts: CutSettings = dataclasses.field(default_factory=CutSettings)

    def __post_init__(self):
        least = {"at_most": 1, "width": 2, "small_width": 2, "enough_intra": 1}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ValueError(f"wanted {name} of at least {value}, got {getattr(self, name)}; raise it")


DEFAULT = FrameSettings()


@dataclasses.dataclass(frozen=True)
class KeyFrames:
    """pictures u8[k, h, w, 3] at time_s f64[k]; position i64[k] among the frames read: all, or only_intra."""

    pictures: np.ndarray
    time_s: np.ndarray
    position: np.ndarray
    only_intra: bool


def key_frames_of(path: Path, settings: FrameSettings = DEFAULT) -> KeyFrames:
    """The key frames of a video, or the one picture of an image file. Raises DataError as `video.read` does."""
    path = Path(path)
    if path.suffix.lower() in IMAGES:
        picture = video.read(path, settings.width, wanted=np.zeros(1, np.int64))  # of an animation the first
        return KeyFrames(picture.frames[:1], np.zeros(1), np.zeros(1, np.int64), False)
    small = video.read(path, settings.small_width, only_intra=True)
    only_intra = len(small.frames) >= settings.enough_intra * settings.at_most
    if only_intra:
        cuts = 1 + np.flatnonzero(steps(small.frames, settings.cuts) >= settings.unlike)
    else:
        small = video.read(path, settings.small_width)
        cuts = find_cuts(small.frames, settings.cuts)
    chosen = key_frames(small.frames, cuts, settings.at_most)
    kept = video.read(path, settings.width, only_intra, wanted=chosen)
    return KeyFrames(kept.frames, kept.time_s, chosen, only_intra)
