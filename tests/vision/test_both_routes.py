"""A picture is the same pixels as a picture and as a frame of an item, and clips are upright: whatever kind of file."""

import importlib.util
import struct
import subprocess
import sys
import zlib
from fractions import Fraction

import numpy as np
import odd_media
import pytest
from odd_media import HEIGHT, WIDTH, encoded, four_colours
from PIL import Image

from socialjax.formats.file_bytes import DataError
from socialjax.formats.picture_files import read_picture
from socialjax.vision.key_frames import video
from socialjax.vision.key_frames.collect import FrameSettings, key_frames_of

needs_av = pytest.mark.skipif(not importlib.util.find_spec("av"), reason='needs PyAV: pip install -e ".[video]"')

# EXIF 2.32, 4.6.4: the side of the scene at the first row and at the first column; how such a picture is put upright.
UPRIGHT = {
    1: lambda a: a,  # top, left
    2: lambda a: a[:, ::-1],  # top, right
    3: lambda a: a[::-1, ::-1],  # bottom, right
    4: lambda a: a[::-1],  # bottom, left
    5: lambda a: a.transpose(1, 0, 2),  # left, top
    6: lambda a: a[::-1].transpose(1, 0, 2),  # right, top
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),  # right, bottom
    8: lambda a: a[:, ::-1].transpose(1, 0, 2),  # left, bottom
}


def both(content, name, folder):
    """The picture u8[H, W, 3] of a file, which both routes agree on."""
    path = folder / name
    path.write_bytes(content)
    picture = read_picture(path)
    frame = key_frames_of(path, FrameSettings(width=picture.shape[1]))
    np.testing.assert_array_equal(frame.pictures, picture[None])
    assert frame.time_s.tolist() == [0] and frame.position.tolist() == [0]
    return picture


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", [*odd_media.EXACT, "JPEG"])
def test_photos_are_upright(kind, orientation, tmp_path):
    ending, options = odd_media.EXACT.get(kind, (".jpg", {"quality": 95, "subsampling": 0}))
    content = odd_media.oriented(Image.fromarray(four_colours()), kind, orientation, **options)
    found = both(content, f"a{ending}", tmp_path)
    np.testing.assert_allclose(found, UPRIGHT[orientation](four_colours()), atol=20 if kind == "JPEG" else 0)


def deep():
    """(u16[H, W], the same as u8[H, W, 3])."""
    values = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) * 65535 // (HEIGHT * WIDTH)).astype(np.uint16)
    return values, np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_upright_too(kind, orientation, tmp_path):
    values, grey = deep()
    content = odd_media.oriented(Image.fromarray(values), kind, orientation)
    np.testing.assert_array_equal(both(content, "a.png", tmp_path), UPRIGHT[orientation](grey))


def tiff(values, photometric=1, order="<", bits=16):
    """A grey TIFF, by hand. Rows: width, height, bits, compression, photometric, offset, samples, rows, bytes."""
    body = values.astype(f"{order}u2").tobytes()
    if bits == 12:  # two pixels in three bytes, the high bits first
        even, odd = values[:, ::2] >> 4, values[:, 1::2] >> 4
        body = np.stack([even >> 4, even % 16 * 16 + (odd >> 8), odd % 256], axis=2).astype(np.uint8).tobytes()
    height, width = values.shape
    rows = ((256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1), (278, height))
    directory = struct.pack(f"{order}H", 9)
    for tag, value in (*rows, (279, len(body))):
        directory += struct.pack(f"{order}HHII", tag, 4, 1, value)
    return {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8 + len(body)) + body + directory + bytes(4)


@pytest.mark.parametrize("content, want", [
    (tiff(deep()[0]), deep()[1]),
    (tiff(deep()[0], order=">"), deep()[1]),
    (tiff(deep()[0], photometric=0), 255 - deep()[1]),
    (tiff(deep()[0], bits=12), deep()[1]),
    (b"P5 %d %d 65535\n" % (WIDTH, HEIGHT) + deep()[0].astype(">u2").tobytes(), deep()[1]),
], ids=["little endian", "big endian", "0 is white", "twelve bits", "PGM"])  # fmt: skip
def test_sixteen_bits_of_every_kind(content, want, tmp_path):
    np.testing.assert_array_equal(both(content, "a.pgm", tmp_path), want)


def png(values, colour_type, transparent=None):
    """A PNG of 16 bits, u16[H, W, channels], by hand."""
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))  # noqa: E731
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour_type, 0, 0, 0)
    clear = b"" if transparent is None else chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent))
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + clear + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_what_is_transparent_in_sixteen_bits_is_white(tmp_path):
    values, grey = deep()
    alpha = np.full_like(values, 65535)
    alpha[:5] = 0
    want = grey.copy()
    want[:5] = 255
    np.testing.assert_array_equal(both(png(np.stack([values, alpha], 2), 4), "a.png", tmp_path), want)
    colours = np.stack([values, values, values, alpha], 2)
    np.testing.assert_array_equal(both(png(colours, 6), "a.png", tmp_path), want)
    values[:5] = 1234
    np.testing.assert_array_equal(both(png(values[..., None], 0, (1234,)), "a.png", tmp_path), want)


def of_several(kind, **options):
    first, second = Image.fromarray(four_colours()), Image.fromarray(255 - four_colours())
    if kind == "GIF":
        first, second = first.quantize(4), second.quantize(4)
    return encoded(first, kind, save_all=True, append_images=[second], **options)


@pytest.mark.parametrize("kind, options", [("GIF", {}), ("TIFF", {}), ("PNG", {}), ("WEBP", {"lossless": True})])
def test_of_animations_and_pages_the_first_is_taken(kind, options, tmp_path):
    np.testing.assert_array_equal(both(of_several(kind, **options), "a.gif", tmp_path), four_colours())


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_a_transparent_colour_is_white(kind, tmp_path):
    palette = Image.fromarray(four_colours()).quantize(4)
    clear = int(np.asarray(palette)[0, 0])
    want = four_colours()
    want[: HEIGHT // 2, : WIDTH // 2] = 255
    np.testing.assert_array_equal(both(encoded(palette, kind, transparency=clear), "a.gif", tmp_path), want)


@pytest.mark.parametrize("mode, kind", [("CMYK", "JPEG"), ("CMYK", "TIFF"), ("YCbCr", "TIFF"), ("RGBA", "TIFF")])
def test_other_colours_are_rgb(mode, kind, tmp_path):
    picture = Image.fromarray(four_colours()).convert(mode)
    options = {"quality": 98, "subsampling": 0} if kind == "JPEG" else {}
    np.testing.assert_allclose(both(encoded(picture, kind, **options), "a.jpg", tmp_path), four_colours(), atol=8)


def test_cmyk_of_a_jpeg_is_light_with_the_mark_of_adobe_and_without(tmp_path):
    """Photoshop writes CMYK inverted and so do all who followed it, as browsers assume; a TIFF holds ink."""
    content = encoded(Image.fromarray(four_colours()).convert("CMYK"), "JPEG", quality=98, subsampling=0)
    place = content.index(b"\xff\xee")
    unmarked = content[:place] + content[place + 2 + int.from_bytes(content[place + 2 : place + 4], "big") :]
    assert b"Adobe" in content and b"Adobe" not in unmarked
    np.testing.assert_allclose(both(unmarked, "a.jpg", tmp_path), four_colours(), atol=8)


@pytest.mark.parametrize("name", odd_media.pictures())
def test_every_kind_is_the_same_by_both_routes_whatever_its_ending(name, tmp_path):
    content = odd_media.pictures()[name]
    found = both(content, name, tmp_path)
    if not name.endswith(("ppm", "pgm")):
        np.testing.assert_array_equal(both(content, "film.mp4", tmp_path), found)


def test_damaged_tags_do_not_cost_the_picture(tmp_path):
    content = odd_media.oriented(Image.fromarray(four_colours()), "PNG", 6)
    tags = content.index(b"eXIf")
    length = int.from_bytes(content[tags - 4 : tags], "big")
    data = b"II*\0" + b"\xff" * (length - 4)
    spoiled = b"eXIf" + data
    content = content[:tags] + spoiled + struct.pack(">I", zlib.crc32(spoiled)) + content[tags + 8 + length :]
    np.testing.assert_array_equal(both(content, "a.png", tmp_path), four_colours())


def test_a_jpeg_of_endless_passes_is_refused(tmp_path):
    """Each pass goes over all pixels: some kilobytes would take minutes."""
    content = encoded(Image.new("L", (7000, 7000)), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    with pytest.raises(DataError, match=r"got 7000 x 7000 in 5\d\d passes"):
        read_picture(content[:-2] + 500 * content[last:-2] + content[-2:])


def test_tiles_larger_than_a_picture_may_be_are_refused():
    """Decoders make room for a whole tile of a TIFF, be the picture ever so small."""
    content = bytearray(tiff(deep()[0]))
    for tag, new, value in ((277, 322, 1 << 17), (278, 323, 1 << 17)):
        place = content.rindex(struct.pack("<HHI", tag, 4, 1))
        content[place : place + 12] = struct.pack("<HHII", new, 4, 1, value)
    with pytest.raises(DataError, match="tiles of 17179869184"):
        read_picture(bytes(content))


# The display matrix (a, b, c, d) moves (p, q) to (ap + cq, bp + dq), q downwards -> the same in words of EXIF.
MATRICES = {
    (1, 0, 0, 1): 1, (-1, 0, 0, 1): 2, (-1, 0, 0, -1): 3, (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5, (0, 1, -1, 0): 6, (0, -1, -1, 0): 7, (0, -1, 1, 0): 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    video.write(path, np.repeat(four_colours()[None], 4, axis=0), options={"preset": "ultrafast"})
    return path.read_bytes()


@needs_av
@pytest.mark.parametrize("matrix", MATRICES)
def test_clips_are_upright(clip, matrix, tmp_path):
    (tmp_path / "a.mp4").write_bytes(odd_media.with_matrix(clip, matrix))
    want = UPRIGHT[MATRICES[matrix]](four_colours())
    for found in (
        video.read(tmp_path / "a.mp4", want.shape[1]).frames[3],
        key_frames_of(tmp_path / "a.mp4", FrameSettings(width=want.shape[1])).pictures[0],
    ):
        assert found.shape == want.shape
        inside = [(y, x) for y in (4, want.shape[0] - 5) for x in (4, want.shape[1] - 5)]
        for y, x in inside:
            np.testing.assert_allclose(found[y, x], want[y, x], atol=8)


@needs_av
@pytest.mark.parametrize("matrix, nearest", [
    ((0.94, 0.34, -0.34, 0.94), 1), ((0.34, 0.94, -0.94, 0.34), 6), ((0, 2, -2, 0), 6), ((0, 0, 0, 0), 1),
])  # fmt: skip
def test_of_other_angles_and_scales_the_nearest_quarter_is_taken(clip, matrix, nearest, tmp_path):
    (tmp_path / "a.mp4").write_bytes(odd_media.with_matrix(clip, matrix))
    want = UPRIGHT[nearest](four_colours())
    found = video.read(tmp_path / "a.mp4", want.shape[1]).frames[0]
    assert found.shape == want.shape
    np.testing.assert_allclose(found[4, 4], want[4, 4], atol=8)


@needs_av
def test_pixels_that_are_not_square_are_made_square(clip, tmp_path):
    frames = np.repeat(four_colours()[None], 3, axis=0)
    odd_media.clip_of(frames, tmp_path / "a.mp4", "libx264", "yuv420p", sample_aspect_ratio=Fraction(2, 1))
    assert video.read(tmp_path / "a.mp4", 64).frames.shape == (3, 24, 64, 3)
    turned = odd_media.with_matrix((tmp_path / "a.mp4").read_bytes(), (0, 1, -1, 0))
    (tmp_path / "a.mp4").write_bytes(turned)
    assert video.read(tmp_path / "a.mp4", 24).frames.shape == (3, 64, 24, 3)


@needs_av
@pytest.mark.parametrize("name", odd_media.CODECS)
def test_clips_of_every_kind_have_their_colours(name, tmp_path):
    codec, pixels = odd_media.CODECS[name]
    odd_media.clip_of(np.repeat(four_colours()[None], 12, axis=0), tmp_path / name, codec, pixels)
    found = key_frames_of(tmp_path / name, FrameSettings(at_most=2, width=WIDTH)).pictures[0]
    for y, x in ((4, 4), (4, -5), (-5, 4), (-5, -5)):
        np.testing.assert_allclose(found[y, x], four_colours()[y, x], atol=30)


MEMORY = """
import sys
from socialjax.formats.picture_files import read_picture
def kilobytes(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name))
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before = kilobytes("VmRSS")
read_picture(sys.argv[1])
print(kilobytes("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode, kind", [
    ("RGB", "JPEG"), ("RGBA", "PNG"), ("1", "PNG"), ("I;16", "PNG"), ("P", "GIF"), ("RGB", "TIFF"), ("RGBA", "WEBP"),
])  # fmt: skip
def test_the_largest_picture_takes_20_bytes_a_pixel(mode, kind, tmp_path):
    (tmp_path / "a").write_bytes(odd_media.oriented(Image.new(mode, (7000, 7000)), kind, 6))
    asked = [sys.executable, "-c", MEMORY, str(tmp_path / "a")]
    took = int(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
    assert took * 1024 < 20 * 7000 * 7000
