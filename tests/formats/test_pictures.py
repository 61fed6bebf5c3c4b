"""Pictures of every kind become RGB bytes of the size asked for; broken and missing ones are errors that name them."""

import io
import os
import pickle
import tarfile
import time

import numpy as np
import pytest
from PIL import Image

from socialjax.formats.file_bytes import DataError
from socialjax.formats.picture_files import PictureFiles, read_picture

RED = (220, 30, 40)


def encoded(picture, kind="PNG", **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def plain(size=(30, 20), colour=RED):
    return Image.new("RGB", size, colour)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("RGB", "PNG"), ("RGB", "JPEG"), ("P", "PNG"), ("P", "GIF"), ("CMYK", "JPEG"), ("CMYK", "TIFF"), ("RGB", "BMP"),
     ("YCbCr", "JPEG"), ("RGB", "WEBP"), ("RGBA", "PNG"), ("RGB", "PPM")],
)  # fmt: skip
def test_coloured_pictures_of_every_kind_are_rgb(mode, kind, tmp_path):
    file = tmp_path / "picture"
    file.write_bytes(encoded(plain().quantize() if mode == "P" else plain().convert(mode), kind))
    found = read_picture(file)
    assert found.shape == (20, 30, 3) and found.dtype == np.uint8
    np.testing.assert_allclose(found, np.broadcast_to(RED, (20, 30, 3)), atol=6)  # JPEG and palettes are not exact


@pytest.mark.parametrize("mode", ["L", "1", "I;16", "LA"])
def test_grey_pictures_have_three_equal_colours(mode):
    grey = Image.fromarray(np.full((5, 4), 255, np.uint8))
    if mode == "I;16":
        grey = Image.fromarray(np.full((5, 4), 200 * 257, np.uint16))
    found = read_picture(encoded(grey if mode == "I;16" else grey.convert(mode)))
    np.testing.assert_array_equal(found, np.full((5, 4, 3), 200 if mode == "I;16" else 255))


def test_what_is_transparent_is_white():
    half = np.zeros((2, 2, 4), np.uint8)
    half[0] = (*RED, 255)
    found = read_picture(encoded(Image.fromarray(half)))
    np.testing.assert_array_equal(found[0], [RED, RED])
    np.testing.assert_array_equal(found[1], [[255] * 3] * 2)
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 0, *RED])
    palette.putdata([0, 1])
    found = read_picture(encoded(palette, transparency=0))
    np.testing.assert_array_equal(found[0], [[255] * 3, RED])


def test_a_square_keeps_all_or_the_middle_or_is_stretched():
    """40 wide, 20 high: red, in the middle 20 columns blue."""
    wide = np.full((20, 40, 3), RED, np.uint8)
    wide[:, 10:30] = (0, 0, 255)
    data = encoded(Image.fromarray(wide))
    padded, cropped, stretched = (read_picture(data, 20, fit) for fit in ("pad", "crop", "stretch"))
    assert padded.shape == cropped.shape == stretched.shape == (20, 20, 3)
    assert (padded[:5] == 255).all() and (padded[15:] == 255).all() and (padded[7:13, :3] == RED).all()
    assert (cropped == (0, 0, 255)).all()
    assert (stretched[:, :3] == RED).all() and (stretched[:, 8:12] == (0, 0, 255)).all()
    with pytest.raises(ValueError, match="pad, crop or stretch, got 20 and 'whole'"):
        read_picture(data, 20, "whole")


def test_a_picture_that_the_camera_held_sideways_is_turned():
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by a quarter, clockwise
    assert read_picture(encoded(plain(), "JPEG", exif=turned)).shape == (30, 20, 3)


def noise(kind):
    return encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)), kind)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
@pytest.mark.parametrize("part", [0.5, 0.1])
def test_a_picture_that_was_cut_off_is_an_error_that_names_it(kind, part, tmp_path):
    file = tmp_path / "shoe.jpg"
    data = noise(kind)
    file.write_bytes(data[: int(part * len(data))])
    with pytest.raises(DataError, match=r"shoe\.jpg: wanted a whole picture .* cannot be decoded .* leave its row out"):
        read_picture(file)


def test_any_damage_is_a_data_error_or_a_picture():
    """Two hundred random changes of a JPEG and a PNG: never another exception."""
    rng = np.random.default_rng(1)
    refused = 0
    for data in (noise("JPEG"), noise("PNG")):
        for _ in range(100):
            changed = bytearray(data)
            for place in rng.integers(0, min(len(data), 400), 4):
                changed[place] = rng.integers(256)
            try:
                assert read_picture(bytes(changed), 16).shape == (16, 16, 3)
            except DataError:
                refused += 1
    assert refused > 50


def test_what_is_no_picture_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"gone\.jpg: wanted a picture, got No such file"):
        read_picture(tmp_path / "gone.jpg")
    with pytest.raises(DataError, match="got an empty file"):
        read_picture(b"")
    with pytest.raises(DataError, match="notes: wanted a whole picture"):
        read_picture(b"this is a text, not a picture", name="notes")
    with pytest.raises(DataError, match="wanted a whole picture"):  # PostScript would start another program
        read_picture(encoded(plain(), "EPS"))
    with pytest.raises(DataError, match="8 or 16 bits a colour, got mode F"):
        read_picture(encoded(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF"))
    with pytest.raises(DataError, match=r"at most 50000000 pixels, got 8000 x 8000"):
        read_picture(encoded(Image.new("1", (8000, 8000))))


@pytest.fixture(params=["folder", "archive"])
def place(request, tmp_path):
    (tmp_path / "images" / "deep").mkdir(parents=True)
    (tmp_path / "images" / "1.png").write_bytes(encoded(plain()))
    (tmp_path / "images" / "deep" / "2.png").write_bytes(encoded(plain(colour=(0, 255, 0))))
    if request.param == "folder":
        return tmp_path / "images"
    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        for name in ("1.png", "deep/2.png"):
            archive.add(tmp_path / "images" / name, name)
    return tmp_path / "images.tar"


def test_a_folder_and_an_archive_give_the_same_pictures(place):
    for files in (PictureFiles(place), pickle.loads(pickle.dumps(PictureFiles(place)))):
        assert files.names() == ["1.png", "deep/2.png"]
        assert files.missing(["deep/2.png", "3.png", "1.png"]) == ["3.png"]
        np.testing.assert_array_equal(files.read("deep/2.png", 8, "stretch"), np.full((8, 8, 3), (0, 255, 0)))
        with pytest.raises(DataError, match=r"wanted the picture '3\.png', got .* leave its row out"):
            files.read("3.png")


def test_names_do_not_lead_out_of_a_folder(tmp_path):
    (tmp_path / "secret.png").write_bytes(encoded(plain()))
    (tmp_path / "images").mkdir()
    for name in ("../secret.png", str(tmp_path / "secret.png"), ""):
        with pytest.raises(DataError, match="a file below this folder"):
            PictureFiles(tmp_path / "images").read(name)


def test_a_broken_picture_of_an_archive_is_named(tmp_path):
    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        entry = tarfile.TarInfo("./1.jpg")
        entry.size = 300
        archive.addfile(entry, io.BytesIO(noise("JPEG")[:300]))
    with pytest.raises(DataError, match=r"images\.tar: 1\.jpg: wanted a whole picture"):
        PictureFiles(tmp_path / "images.tar").read("1.jpg")


def test_a_place_that_is_neither_folder_nor_archive_is_refused(tmp_path):
    with pytest.raises(DataError, match="got nothing"):
        PictureFiles(tmp_path / "none")
    with tarfile.open(tmp_path / "packed.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("1.png"))
    with pytest.raises(DataError, match=r"uncompressed tar archive .* unpack it"):
        PictureFiles(tmp_path / "packed.tar.gz")


def test_pictures_are_plain_files_of_the_folder(tmp_path):
    place = tmp_path / "pictures"
    place.mkdir()
    (tmp_path / "secret.png").write_bytes(encoded(Image.new("RGB", (2, 2))))
    (place / "out.png").symlink_to("../secret.png")
    (place / "zero.png").symlink_to("/dev/zero")
    os.mkfifo(place / "pipe.png")
    with open(place / "hole.png", "wb") as hole:
        hole.truncate(20 << 30)
    files = PictureFiles(place)
    for name in ("out.png", "zero.png", "../secret.png", "/etc/passwd", "a\0b", "", ".", ".."):
        with pytest.raises(DataError, match="wanted the name of a file below this folder"):
            files.read(name)
    with pytest.raises(DataError, match=r"'pipe\.png', got no plain file"):
        files.read("pipe.png")
    with pytest.raises(DataError, match=r"'hole\.png', got 21474836480 bytes"):
        files.read("hole.png")
    assert files.names() == ["hole.png"]
    for source in (place / "pipe.png", "/dev/zero", place / "hole.png", str(place / "a\0b")):
        with pytest.raises(DataError, match="wanted a picture, got"):
            read_picture(source)


def member(name, size, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("size", [-5, 8 << 30, 1 << 60])
def test_archives_give_only_what_lies_in_them(tmp_path, size):
    picture = encoded(Image.new("RGB", (2, 2)))
    padded = picture + bytes(-len(picture) % 512)
    (tmp_path / "some.tar").write_bytes(member("a.png", len(picture)) + padded + member("b.png", size) + bytes(1024))
    try:
        files = PictureFiles(tmp_path / "some.tar")
    except DataError as error:
        assert "some.tar" in str(error)
    else:
        assert files.names() == ["a.png"] and files.read("a.png").shape == (2, 2, 3)


def test_an_archive_that_is_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.tar")
    with pytest.raises(DataError, match="no plain file"):
        PictureFiles(tmp_path / "pipe.tar")


def extended(kind, content):
    """A header of an archive with content that is about the next."""
    return member("x", len(content), kind) + content + bytes(-len(content) % 512)


def holes_without_end():
    """A header of a file with holes that says that the list of them goes on, where the archive ends."""
    header = bytearray(member("a.png", 0, tarfile.GNUTYPE_SPARSE))
    header[482] = 1
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


ENDLESS = {
    "a number of 200,000 digits": extended(tarfile.XHDTYPE, b"1" * 200_000),
    "one of 60,000 digits": extended(tarfile.XHDTYPE, b"1" * 60_000),
    "50,000 global values": extended(tarfile.XGLTYPE, b"".join(b"10 k%04d=\n" % n for n in range(50_000))),
    "500 global values": extended(tarfile.XGLTYPE, b"".join(b"10 k%04d=\n" % n for n in range(500))) + member("a", 0),
    "2,000 nested headers": 2000 * extended(tarfile.XHDTYPE, b"") + member("a", 0),
    "2,000 nested names": 2000 * extended(tarfile.GNUTYPE_LONGNAME, b"a") + member("a", 0),
    "a list of holes that is cut off": holes_without_end(),
}


@pytest.mark.parametrize("content", ENDLESS.values(), ids=ENDLESS)
def test_headers_that_would_take_minutes_or_all_memory_are_refused(content, tmp_path):
    (tmp_path / "some.tar").write_bytes(content)
    started = time.monotonic()
    with pytest.raises(DataError, match=r"some\.tar: wanted a folder or an uncompressed tar archive"):
        PictureFiles(tmp_path / "some.tar")
    assert time.monotonic() - started < 10


def test_an_archive_of_git_and_one_with_long_names_are_read(tmp_path):
    name = "d/" * 400 + "é.png"
    more = {"format": tarfile.PAX_FORMAT, "pax_headers": {"comment": "0" * 40}}
    with tarfile.open(tmp_path / "some.tar", "w", **more) as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(encoded(plain()))
        archive.addfile(entry, io.BytesIO(encoded(plain())))
    files = PictureFiles(tmp_path / "some.tar")
    assert files.names() == [name] and files.read(name).shape == (20, 30, 3)
