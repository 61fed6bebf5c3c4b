"""Reads the pictures of video and image files upright and scaled, and writes videos: the only user of PyAV."""

import dataclasses
import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from socialjax.atomic_write import atomic_write
from socialjax.formats.file_bytes import DataError
from socialjax.formats.picture_files import read_picture

MOST_BYTES = 512 << 20  # of the scaled pictures of one file; nine hours of intra frames have 80 MB
_LARGEST = 16384  # points along a side; a damaged header may ask for any number
_MOST_DECODED = 112 << 20  # bytes of one picture as it is decoded, 8K in 10 bits; decoders keep up to 32
MOST_PIXELS = 200_000_000_000  # of all decoded pictures of one file: an hour in full HD
_LONGEST = 20  # times as long as wide: scaled to one width, a narrow picture would be as high as it likes

PICTURE = "picture"  # in place of a format of FFmpeg: read as all pictures are, by `read_picture`
UNREAD = (".avif", ".heic", ".heif")  # pictures that are refused, so that nobody misses them in silence
# FFmpeg's formats that are read, by ending; others may name further files or addresses, or start decoders of text.
FORMATS = {
    **dict.fromkeys((".mp4", ".m4v", ".mov"), "mov"),
    **dict.fromkeys((".mkv", ".webm"), "matroska"),
    **dict.fromkeys((".mpg", ".mpeg"), "mpeg"),
    ".avi": "avi", ".ts": "mpegts", ".wmv": "asf", ".flv": "flv", ".ogv": "ogg",
    **dict.fromkeys((".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"), PICTURE),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm", *UNREAD), PICTURE),
}  # fmt: skip
READ = sorted(set(FORMATS) - set(UNREAD))
# Format, offset and bytes at the start of a file, the first that fits; endings are often wrong.
MARKS = (
    (PICTURE, 0, b"\xff\xd8\xff"), (PICTURE, 0, b"\x89PNG\r\n\x1a\n"), (PICTURE, 8, b"WEBP"), (PICTURE, 0, b"GIF8"),
    (PICTURE, 0, b"BM"), (PICTURE, 0, b"II*\0"), (PICTURE, 0, b"MM\0*"), (PICTURE, 4, b"ftyphei"),
    (PICTURE, 4, b"ftypmif"), (PICTURE, 4, b"ftypmsf"), (PICTURE, 4, b"ftypavi"), ("mov", 4, b"ftyp"),
    ("matroska", 0, b"\x1a\x45\xdf\xa3"), ("avi", 8, b"AVI "), ("mpeg", 0, b"\x00\x00\x01\xba"),
    ("mpegvideo", 0, b"\x00\x00\x01\xb3"), ("asf", 0, b"\x30\x26\xb2\x75"), ("flv", 0, b"FLV\x01"),
    ("ogg", 0, b"OggS"),
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
    """The pictures of a video or image file, upright, scaled to `width` pixels across, the height in proportion.

    Clips are turned and mirrored as their display matrix says, and pixels that are not square are made square. An image
    file has one picture, that of `read_picture`.

    Args:
        path: of the file.
        width: pixels across.
        only_intra: only frames that are coded independently (every few seconds), a small part of the cost of all.
        wanted: i64[k], only these positions among the frames that would be read without it; reading stops after the
            last.

    Returns:
        The pictures.

    Raises:
        DataError: the file is no video and no image, is empty, truncated or damaged, or its pictures would take more
            than MOST_BYTES, or decoding them more than MOST_PIXELS.
    """
    path = Path(path)
    if (found := format_of(path)) == PICTURE:
        return _picture(path, width)
    av = require_av()
    wanted_set = None if wanted is None else set(np.asarray(wanted).tolist())
    try:
        return _clip(path, found, width, only_intra, wanted_set)
    except (av.FFmpegError, OSError, EOFError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise DataError(
            f"{path}: wanted a video or image, got one that cannot be decoded ({type(problem).__name__}: {reason}); "
            "copy or download it again, or leave it out of the folder"
        ) from None


def _clip(path: Path, demuxer: str, width: int, only_intra: bool, wanted: set[int] | None) -> Pictures:
    """`read` of a clip, with the errors of PyAV."""
    frames, times, left = None, [], MOST_BYTES
    for position, (frame, aspect) in enumerate(_decoded(path, demuxer, width, only_intra, wanted)):
        if wanted is None or position in wanted:
            quarters, mirrored = _turn(frame)
            sides = (frame.width * aspect, frame.height)
            height = _height(path, *(sides[::-1] if quarters % 2 else sides), width)
            left -= 3 * width * height
            if left < 0:
                raise _too_much(path, f"more than {len(times)} of {width} x {height}")
            size = (height, width) if quarters % 2 else (width, height)
            small = frame.reformat(*size, format="rgb24", interpolation="AREA").to_ndarray()
            if frames is None:
                frames = np.empty((1, height, width, 3), np.uint8)
            elif frames.shape[1] != height:
                raise DataError(f"{path}: wanted one picture size, got a change at {position}; convert the file")
            if len(times) == len(frames):  # grown in place: a list and its stack would be twice as much
                frames.resize((2 * len(frames), height, width, 3), refcheck=False)
            frames[len(times)] = np.rot90(small[:, ::-1] if mirrored else small, -quarters)
            times.append(float(frame.time or 0))
        if wanted is not None and position >= max(wanted, default=-1):
            break
    if not times or (wanted is not None and len(times) < len(wanted)):
        raise DataError(f"{path}: wanted pictures, got {len(times)} of those asked for; copy or download it again")
    frames.resize((len(times), *frames.shape[1:]), refcheck=False)
    return Pictures(frames, np.array(times))


def _picture(path: Path, width: int) -> Pictures:
    """The one picture of an image file."""
    whole = read_picture(path)
    size = (width, _height(path, whole.shape[1], whole.shape[0], width))
    small = whole if size == whole.shape[1::-1] else Image.fromarray(whole).resize(size, Image.Resampling.BICUBIC)
    return Pictures(np.asarray(small)[None], np.zeros(1))


def _turn(frame) -> tuple[int, bool]:
    """How a frame is put upright by its display matrix.

    The matrix (a, b, u, c, d, v, x, y, w) moves the point (p, q) to (ap + cq + x, bp + dq + y), q downwards: ISO/IEC
    14496-12, 6.2.2. Of other angles the nearest quarter is taken.

    Args:
        frame: of PyAV.

    Returns:
        Quarters clockwise, and whether it is mirrored left to right before.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None or len(content := bytes(matrix)) != 36:
        return 0, False
    a, b, _, c, d, *_ = struct.unpack("=9i", content)
    mirrored = a * d < b * c
    angle = math.atan2(-b, -a) if mirrored else math.atan2(b, a)
    return round(angle / (math.pi / 2)) % 4, mirrored


def _decoded(path: Path, demuxer: str, width: int, only_intra: bool, wanted: set[int] | None) -> Iterator:
    """(frame of PyAV, how much wider than high its pixels are), one by one; without `wanted`, everything is read, and
    must be there."""
    av = require_av()
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
        most = _MOST_DECODED * 8 // _bits(stream)
        stream.codec_context.options = {"max_pixels": str(most)}  # of frames, whatever the header says
        stream.codec_context.skip_frame = "NONKEY" if only_intra else "DEFAULT"
        aspect, packets, left = float(stream.sample_aspect_ratio or 1), 0, MOST_PIXELS
        for packet in container.demux(stream):
            packets += packet.size > 0
            for frame in packet.decode():
                left -= frame.width * frame.height
                if left < 0:
                    raise DataError(f"{path}: wanted at most {MOST_PIXELS} pixels in all; cut the video into pieces")
                yield frame, aspect
        if wanted is None and packets < 0.98 * stream.frames:
            raise DataError(f"{path}: wanted {stream.frames} frames, got {packets}; the file is cut, copy it again")


def format_of(path: Path) -> str:
    """The format of a file by its first bytes or else by its ending.

    Args:
        path: of the file.

    Returns:
        FFmpeg's name, one of those in FORMATS and MARKS, or PICTURE.

    Raises:
        DataError: another format, no plain file, or one that cannot be read.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            raise DataError(f"{path}: wanted a plain file, got none; leave it out of the folder")
        with open(path, "rb") as file:
            start = file.read(12)
    except OSError as problem:
        raise DataError(f"{path}: cannot be read ({problem.strerror}); check its permissions") from None
    found = [name for name, offset, mark in MARKS if start[offset:].startswith(mark)]
    named = FORMATS.get(path.suffix.lower())
    if not found and named is None:
        raise DataError(f"{path}: wanted one of {', '.join(READ)}, got another ending; leave it out")
    return found[0] if found else named


def _check_size(path: Path, stream, width: int, only_intra: bool, wanted: set[int] | None) -> None:
    """Raises DataError for implausible sides, shapes or numbers of pictures, before one is decoded."""
    if not (0 < stream.width <= _LARGEST and 0 < stream.height <= _LARGEST):
        raise DataError(f"{path}: wanted sides of 1 to {_LARGEST}, got {stream.width} x {stream.height}")
    if stream.width * stream.height * _bits(stream) > 8 * _MOST_DECODED:
        raise DataError(
            f"{path}: wanted pictures of at most {_MOST_DECODED} bytes, got {stream.width} x {stream.height} of "
            f"{_bits(stream)} bits; make it smaller"
        )
    sides = (stream.width * float(stream.sample_aspect_ratio or 1), stream.height)
    height = min(_height(path, *sides, width), _height(path, *sides[::-1], width))  # it may be turned
    if wanted is None and not only_intra and 3 * width * height * stream.frames > MOST_BYTES:
        raise _too_much(path, f"{stream.frames} of {width} x {height}")


def _bits(stream) -> int:
    """Of a pixel as it is decoded."""
    known = stream.codec_context.format
    return max(8, known.padded_bits_per_pixel) if known is not None else 24


def _height(path: Path, width: float, height: float, wanted: int) -> int:
    if max(width, height) > _LONGEST * min(width, height):
        raise DataError(
            f"{path}: wanted pictures at most {_LONGEST} times as long as wide, got {width:.0f} x {height:.0f}; crop "
            "it, or leave it out of the folder"
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
    """Writes frames as a video, atomically; the same frames give the same bytes.

    x264's macroblock trees do not, with AVX-512: their sums depend on where memory lies. They are switched off.

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
    exact = {"x264-params": "mbtree=0"} if codec == "libx264" else {}
    with atomic_write(path) as temporary, av.open(str(temporary), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=exact | dict(options or {}))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = intra_every
        stream.codec_context.thread_count = 1
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
