"""Small pictures and clips of many formats and kinds, and ways to damage them."""

import functools
import io
import struct
import tarfile

import numpy as np
from PIL import Image

from socialjax.vision.key_frames import video

HEIGHT, WIDTH = 48, 64
QUARTERS = (
    (230, 30, 40),
    (30, 220, 50),
    (40, 50, 210),
    (220, 210, 60),
)  # top left, top right, bottom left, bottom right
# Formats without loss -> ending, and how Pillow writes them.
EXACT = {"PNG": (".png", {}), "WEBP": (".webp", {"lossless": True}), "TIFF": (".tif", {"compression": "tiff_lzw"})}
# Format -> FFmpeg's encoder and its format of pixels.
CODECS = {
    "h264.mp4": ("libx264", "yuv420p"), "h264.mkv": ("libx264", "yuv420p"), "h264.ts": ("libx264", "yuv420p"),
    "ten_bits.mov": ("libx264", "yuv420p10le"), "vp9.webm": ("libvpx-vp9", "yuv420p"),
    "mpeg4.avi": ("mpeg4", "yuv420p"), "mjpeg.avi": ("mjpeg", "yuvj420p"), "mpeg2.mpg": ("mpeg2video", "yuv420p"),
    "flv.flv": ("flv", "yuv420p"), "wmv.wmv": ("wmv2", "yuv420p"), "png.mov": ("png", "rgb24"),
}  # fmt: skip


def four_colours(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """u8[H, W, 3], a colour in each quarter: no two ways of turning it look alike."""
    picture = np.empty((height, width, 3), np.uint8)
    halves = (slice(0, height // 2), slice(height // 2, None)), (slice(0, width // 2), slice(width // 2, None))
    for place, colour in enumerate(QUARTERS):
        picture[halves[0][place // 2], halves[1][place % 2]] = colour
    return picture


def encoded(picture: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def oriented(picture: Image.Image, kind: str, orientation: int, **options) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return encoded(picture, kind, exif=tags, **options)


@functools.cache
def pictures() -> dict[str, bytes]:
    """File name -> content."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    noise[:20] = (9, 99, 200)
    image, grey = Image.fromarray(noise), Image.fromarray(noise[..., 0].astype(np.uint16) * 250)
    few = image.quantize(16)
    made = {
        "turned.jpg": oriented(image, "JPEG", 6), "passes.jpg": encoded(image, "JPEG", progressive=True),
        "cmyk.jpg": encoded(image.convert("CMYK"), "JPEG"), "grey.jpg": encoded(image.convert("L"), "JPEG"),
        "turned.png": oriented(image, "PNG", 8), "palette.png": encoded(few, "PNG", transparency=3),
        "deep.png": encoded(grey, "PNG"), "clear.png": encoded(image.convert("RGBA"), "PNG"),
        "turned.webp": oriented(image, "WEBP", 3), "exact.webp": encoded(image.convert("RGBA"), "WEBP", lossless=True),
        "moving.webp": encoded(image, "WEBP", save_all=True, append_images=[image.rotate(90)]),
        "moving.gif": encoded(few, "GIF", save_all=True, append_images=[few.rotate(180)], transparency=2),
        "plain.bmp": encoded(image, "BMP"), "palette.bmp": encoded(few, "BMP"), "plain.ppm": encoded(image, "PPM"),
        "grey.pgm": encoded(image.convert("L"), "PPM"), "deep.tif": encoded(grey, "TIFF"),
        "pages.tif": encoded(image, "TIFF", save_all=True, append_images=[image]),
        "cmyk.tif": encoded(image.convert("CMYK"), "TIFF", compression="tiff_lzw"),
    }  # fmt: skip
    for packing in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        made[f"{packing}.tif"] = oriented(image, "TIFF", 5, compression=packing)
    return made


def clip_of(frames: np.ndarray, path, codec: str, pixels: str, **options):
    """Writes u8[n, H, W, 3]; options are attributes of the stream's codec."""
    av = video.require_av()
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], pixels
        for name, value in options.items():
            setattr(stream.codec_context, name, value)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


@functools.cache
def clips(folder) -> dict[str, bytes]:
    """File name -> content, of twelve frames with a cut in the middle."""
    frames = np.repeat(four_colours()[None], 12, axis=0)
    frames[6:] = 255 - frames[6:]
    made = {}
    for name, (codec, pixels) in CODECS.items():
        clip_of(frames, folder / name, codec, pixels)
        made[name] = (folder / name).read_bytes()
    return made | {"turned.mp4": with_matrix(made["h264.mp4"], (0, 1, -1, 0))}


def with_matrix(clip: bytes, matrix: tuple[float, float, float, float]) -> bytes:
    """An MP4 file with (a, b, c, d) of its track's display matrix replaced."""
    kind = clip.index(b"tkhd")
    place = kind + 8 + (32 if clip[kind + 4] else 20) + 16
    a, b, c, d = (round(value * 65536) for value in matrix)
    return clip[:place] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + clip[place + 36 :]


@functools.cache
def archives() -> dict[str, bytes]:
    """File name -> content of tar archives of each flavour, with long names and a link."""
    made = {}
    for name, flavour in (("u", tarfile.USTAR_FORMAT), ("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=flavour) as archive:
            for file in ("turned.png", "turned.jpg"):
                entry = tarfile.TarInfo("deep/" * 25 + "é" + file)
                entry.size = len(pictures()[file])
                archive.addfile(entry, io.BytesIO(pictures()[file]))
            link = tarfile.TarInfo("link.png")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
        made[f"{name}.tar"] = stream.getvalue()
    return made


def damaged(content: bytes, draw: np.random.Generator) -> bytes:
    """One to ten bytes or stretches changed, left out, put in or copied elsewhere, half the time near the beginning;
    one in ten is cut off too."""
    changed, way = bytearray(content), draw.integers(6)
    reach = len(content) if draw.random() < 0.5 else 600
    for _ in range(draw.integers(1, 11)):
        place, length = int(draw.integers(max(1, min(reach, len(changed))))), int(draw.integers(1, 9))
        if way == 0:
            changed[place : place + 1] = bytes([draw.integers(256)])
        elif way == 1:
            changed[place : place + 1] = bytes(byte ^ 1 << draw.integers(8) for byte in changed[place : place + 1])
        elif way == 2:
            changed[place : place + length] = bytes([draw.choice([0, 127, 128, 255])]) * length
        elif way == 3:
            del changed[place : place + length]
        elif way == 4:
            changed[place:place] = draw.bytes(length)
        else:
            other = int(draw.integers(len(changed) + 1))
            changed[place : place + 5 * length] = changed[other : other + 5 * length]
    return bytes(changed[: draw.integers(len(changed) + 1)] if draw.random() < 0.1 else changed)
