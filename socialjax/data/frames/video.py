"""Pictures out of video and image files, and video files out of pictures: the only place that knows PyAV."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from socialjax.data.errors import DataError
from socialjax.whole import whole

_LARGEST = 16384  # points along a side; a damaged header may ask for any number


@dataclasses.dataclass(frozen=True)
class Pictures:
    """frames u8[n, h, w, 3] in order of time, at time_s f64[n] seconds."""

    frames: np.ndarray
    time_s: np.ndarray


def require_av():
    """The module `av`. Raises ImportError that says how to get it."""
    try:
        import av
    except ImportError:
        raise ImportError(
            'videos and images want the package av (PyAV), which is not installed; pip install "socialjax[video]"'
        ) from None
    return av


def read(path: Path, width: int, only_intra: bool = False, wanted: np.ndarray | None = None) -> Pictures:
    """The pictures of a video or image file, scaled to `width` points across, the height in proportion.

    only_intra: those that stand alone in the file (every few seconds), which costs a small part of decoding all.
    wanted i64[k]: only these positions, counted among what would have come without it; reading stops after the last.
    Raises DataError for a file that is no video, is empty, or is cut or damaged on the way.
    """
    wanted_set = None if wanted is None else set(np.asarray(wanted).tolist())
    frames, times = [], []
    for position, frame in enumerate(_decoded(Path(path), only_intra, whole=wanted_set is None)):
        if wanted_set is None or position in wanted_set:
            height = max(2, round(frame.height * width / frame.width))
            small = frame.reformat(width, height, format="rgb24", interpolation="AREA").to_ndarray()
            if frames and small.shape != frames[0].shape:
                raise DataError(f"{path}: wanted one picture size, got a change at {position}; convert the file")
            frames.append(small)
            times.append(float(frame.time or 0))
        if wanted_set is not None and position >= max(wanted_set, default=-1):
            break
    if not frames or (wanted_set is not None and len(frames) < len(wanted_set)):
        raise DataError(f"{path}: wanted pictures, got {len(frames)} of those asked for; copy or download it again")
    return Pictures(np.stack(frames), np.array(times))


def _decoded(path: Path, only_intra: bool, whole: bool) -> Iterator:
    """The decoded frames of PyAV, one by one; whole: everything is read, and must be there."""
    av = require_av()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path}: wanted pictures, got a file without; leave it out of the folder")
            stream = container.streams.video[0]
            if not (0 < stream.width <= _LARGEST and 0 < stream.height <= _LARGEST):
                raise DataError(f"{path}: wanted sides of 1 to {_LARGEST}, got {stream.width} x {stream.height}")
            stream.codec_context.skip_frame = "NONKEY" if only_intra else "DEFAULT"
            packets = 0
            for packet in container.demux(stream):
                packets += packet.size > 0
                yield from packet.decode()
            if whole and packets < 0.98 * stream.frames:
                raise DataError(f"{path}: wanted {stream.frames} frames, got {packets}; the file is cut, copy it again")
    except (av.FFmpegError, OSError, EOFError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise DataError(
            f"{path}: wanted a video or image, got one that cannot be decoded ({type(problem).__name__}: {reason}); "
            "copy or download it again, or leave it out of the folder"
        ) from None


def write(
    path: Path,
    frames: np.ndarray,
    fps: int = 25,
    codec: str = "libx264",
    intra_every: int = 250,
    options: Mapping[str, str] | None = None,
) -> None:
    """Writes frames u8[n, h, w, 3], sides even, as a video; to a temporary name first, then renamed.

    options: of the codec, by FFmpeg's names: {"preset": "veryfast"} makes libx264 four times as fast.
    Raises ValueError for other shapes and types.
    """
    if (
        frames.ndim != 4
        or frames.shape[-1] != 3
        or frames.dtype != np.uint8
        or frames.shape[1] % 2
        or frames.shape[2] % 2
    ):
        raise ValueError(
            f"wanted frames uint8[n, h, w, 3] of even sides, got {frames.dtype}{list(frames.shape)}; crop them"
        )
    av, path = require_av(), Path(path)
    with whole(path) as temporary, av.open(str(temporary), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=dict(options or {}))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = intra_every
        stream.codec_context.thread_count = 1
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
