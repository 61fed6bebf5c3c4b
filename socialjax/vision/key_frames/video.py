"""Reads pictures from video and image files, and writes videos: the only user of PyAV."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from socialjax.atomic_write import atomic_write
from socialjax.data.schema import DataError

MOST_BYTES = 512 << 20  # of the scaled pictures of one file; nine hours of intra frames have 80 MB
_LARGEST = 16384  # points along a side; a damaged header may ask for any number
_MOST_PIXELS = 50_000_000  # of one picture
_LONGEST = 20  # times as long as wide: scaled to one width, a narrow picture would be as high as it likes

# FFmpeg's formats that are read, by ending; others may name further files or addresses, or start decoders of text.
DEMUXERS = {
    **dict.fromkeys((".mp4", ".m4v", ".mov"), "mov"),
    **dict.fromkeys((".mkv", ".webm"), "matroska"),
    **dict.fromkeys((".mpg", ".mpeg"), "mpeg"),
    **dict.fromkeys((".jpg", ".jpeg"), "jpeg_pipe"),
    ".avi": "avi", ".ts": "mpegts", ".wmv": "asf", ".flv": "flv", ".ogv": "ogg",
    ".png": "png_pipe", ".bmp": "bmp_pipe", ".webp": "webp_pipe",
}  # fmt: skip
# Format, offset and bytes at the start of a file; extensions are often wrong.
MARKS = (
    ("mov", 4, b"ftyp"), ("matroska", 0, b"\x1a\x45\xdf\xa3"), ("avi", 8, b"AVI "), ("mpeg", 0, b"\x00\x00\x01\xba"),
    ("mpegvideo", 0, b"\x00\x00\x01\xb3"), ("asf", 0, b"\x30\x26\xb2\x75"), ("flv", 0, b"FLV\x01"), ("ogg", 0, b"OggS"),
    ("jpeg_pipe", 0, b"\xff\xd8\xff"), ("png_pipe", 0, b"\x89PNG\r\n\x1a\n"), ("bmp_pipe", 0, b"BM"),
    ("webp_pipe", 8, b"WEBP"),
)  # fmt: skip


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
    """The pictures of a video or image file, scaled to `width` pixels across, the height in proportion.

    Args:
        path: of the file.
        width: pixels across.
        only_intra: only frames that are coded independently (every few seconds), a small part of the cost of all.
        wanted: i64[k], only these positions among the frames that would be read without it; reading stops after the
            last.

    Returns:
        The pictures.

    Raises:
        DataError: the file is no video, is empty, truncated or damaged, or its pictures would take more than
            MOST_BYTES.
    """
    wanted_set = None if wanted is None else set(np.asarray(wanted).tolist())
    frames, times, left = [], [], MOST_BYTES
    for position, frame in enumerate(_decoded(Path(path), width, only_intra, wanted_set)):
        if wanted_set is None or position in wanted_set:
            height = _height(path, frame.width, frame.height, width)
            left -= 3 * width * height
            if left < 0:
                raise _too_much(path, f"more than {len(frames)} of {width} x {height}")
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


def _decoded(path: Path, width: int, only_intra: bool, wanted: set[int] | None) -> Iterator:
    """The decoded frames of PyAV, one by one; without `wanted`, everything is read, and must be there."""
    av = require_av()
    demuxer = _demuxer(path)
    try:
        # As a file and nothing else: neither a pattern of names nor an address, and no other file is opened by it.
        with av.open(
            f"file:{path.absolute()}",
            format=demuxer,
            container_options={"protocol_whitelist": "file", "max_streams": "64"},
            metadata_errors="replace",
        ) as container:
            if not container.streams.video or container.streams.video[0].codec_context is None:
                raise DataError(f"{path}: wanted pictures, got a file without any that are known; leave it out")
            stream = container.streams.video[0]
            _check_size(path, stream, width, only_intra, wanted)
            stream.codec_context.options = {"max_pixels": str(_MOST_PIXELS)}  # of frames, whatever the header says
            stream.codec_context.skip_frame = "NONKEY" if only_intra else "DEFAULT"
            packets = 0
            for packet in container.demux(stream):
                packets += packet.size > 0
                yield from packet.decode()
            if wanted is None and packets < 0.98 * stream.frames:
                raise DataError(f"{path}: wanted {stream.frames} frames, got {packets}; the file is cut, copy it again")
    except (av.FFmpegError, OSError, EOFError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise DataError(
            f"{path}: wanted a video or image, got one that cannot be decoded ({type(problem).__name__}: {reason}); "
            "copy or download it again, or leave it out of the folder"
        ) from None


def _demuxer(path: Path) -> str:
    """FFmpeg's name of the format, by the file's first bytes or its ending: one of the list, and of plain files alone.

    Raises DataError for another format, and for what is no file or cannot be read.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            raise DataError(f"{path}: wanted a plain file, got none; leave it out of the folder")
        with open(path, "rb") as file:
            start = file.read(12)
    except OSError as problem:
        raise DataError(f"{path}: cannot be read ({problem.strerror}); check its permissions") from None
    found = [name for name, offset, mark in MARKS if start[offset:].startswith(mark)]
    named = DEMUXERS.get(path.suffix.lower())
    if not found and named is None:
        raise DataError(f"{path}: wanted one of {', '.join(sorted(DEMUXERS))}, got another ending; leave it out")
    return found[0] if found else named


def _check_size(path: Path, stream, width: int, only_intra: bool, wanted: set[int] | None) -> None:
    """Raises DataError for implausible sides, shapes or numbers of pictures, before one is decoded."""
    if not (0 < stream.width <= _LARGEST and 0 < stream.height <= _LARGEST):
        raise DataError(f"{path}: wanted sides of 1 to {_LARGEST}, got {stream.width} x {stream.height}")
    if stream.width * stream.height > _MOST_PIXELS:
        raise DataError(f"{path}: wanted at most {_MOST_PIXELS} points, got {stream.width} x {stream.height}")
    height = _height(path, stream.width, stream.height, width)
    if wanted is None and not only_intra and 3 * width * height * stream.frames > MOST_BYTES:
        raise _too_much(path, f"{stream.frames} of {width} x {height}")


def _height(path: Path, width: int, height: int, wanted: int) -> int:
    if max(width, height) > _LONGEST * min(width, height):
        raise DataError(
            f"{path}: wanted pictures at most {_LONGEST} times as long as wide, got {width} x {height}; crop it, or "
            "leave it out of the folder"
        )
    return max(2, round(height * wanted / width))


def _too_much(path: Path, what: str) -> DataError:
    return DataError(
        f"{path}: wanted pictures of at most {MOST_BYTES} bytes, got {what}; cut the video into pieces in a subfolder, "
        "or leave it out of the folder"
    )


def write(
    path: Path,
    frames: np.ndarray,
    fps: int = 25,
    codec: str = "libx264",
    intra_every: int = 250,
    options: Mapping[str, str] | None = None,
) -> None:
    """Writes frames as a video, atomically.

    Args:
        path: of the file.
        frames: u8[n, h, w, 3], sides even.
        fps: frames per second.
        codec: FFmpeg's name.
        intra_every: frames between intra frames, at most.
        options: of the codec, by FFmpeg's names: {"preset": "veryfast"} makes libx264 four times as fast.

    Raises:
        ValueError: other shapes and types.
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
    with atomic_write(path) as temporary, av.open(str(temporary), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=dict(options or {}))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = intra_every
        stream.codec_context.thread_count = 1
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
