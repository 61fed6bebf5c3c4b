"""One odd file among good videos costs itself alone: it is named once with its reason, and the others are as ever."""

import errno
import importlib.util
import logging
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from socialjax.formats.file_bytes import DataError
from socialjax.stop import Interrupted
from socialjax.vision.key_frames import collect, video
from socialjax.vision.key_frames.collect import FrameSettings, frames_of

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("av"), reason='needs PyAV: pip install -e ".[video]"')
SETTINGS = FrameSettings(at_most=2, width=32, small_width=32)
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'


def encode(path, width=32, height=24, count=12):
    frames = np.empty((count, height, width, 3), np.uint8)
    frames[:] = (20 * (np.arange(count) // 6) % 250)[:, None, None, None]
    video.write(path, frames, options={"preset": "ultrafast"})


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "good.mp4"
    encode(path)
    return path


@pytest.fixture
def folder(tmp_path, clip):
    """A good video and an item of two good pictures, one of them of another format than its ending says."""
    place = tmp_path / "media"
    (place / "photos").mkdir(parents=True)
    shutil.copy(clip, place / "good.mp4")
    Image.new("RGB", (8, 6), (9, 99, 200)).save(place / "photos" / "a.png")
    Image.new("RGB", (8, 6), (9, 99, 200)).save(place / "photos" / "b.jpg", format="PNG")
    return place


def remuxed(source, place, **metadata):
    av = video.require_av()
    with av.open(str(source)) as given, av.open(str(place), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        made.metadata.update(metadata)
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)


def title_in_latin_1(folder):
    remuxed(folder / "good.mp4", folder / "film.mp4", title="QQQQ film")
    content = (folder / "film.mp4").read_bytes()
    assert b"QQQQ" in content
    (folder / "film.mp4").write_bytes(content.replace(b"QQQQ", b"Caf\xe9"))


def writing(name, content):
    def write(folder):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def picture(name, size):
    def write(folder):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("1", size).save(folder / name)

    return write


def linking(name, target):
    def link(folder):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(target)

    return link


def pattern(folder):
    """FFmpeg would read x1.png for this name."""
    Image.new("RGB", (8, 6)).save(folder / "photos" / "x1.png")
    (folder / "photos" / "x%d.png").write_bytes(b"")


def out_of_the_folder(folder):
    shutil.copy(folder / "good.mp4", folder.parent / "secret.mp4")
    (folder / "film.mp4").symlink_to("../secret.mp4")


def folder_out_of_the_folder(folder):
    shutil.copytree(folder / "photos", folder.parent / "secret")
    (folder / "others").symlink_to("../secret")


def playlist(name):
    def write(folder):
        (folder / name).write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\ngood.mp4\n#EXT-X-ENDLIST\n")

    return write


def cut(folder):
    (folder / "film.mp4").write_bytes((folder / "good.mp4").read_bytes()[:-900])


# What is odd -> how it is made, the file that is skipped, and why; no file where it can be used all the same.
ODD = {
    "a title in Latin-1": (title_in_latin_1, None, ""),
    "SVG called PNG": (writing("logo/x.png", SVG), "logo/x.png", "wanted a whole picture"),
    "SVG called MP4": (writing("film.mp4", SVG), "film.mp4", "wanted"),
    "an empty picture": (writing("logo/x.png", b""), "logo/x.png", "wanted"),
    "an empty video": (writing("film.mkv", b""), "film.mkv", "wanted"),
    "a text": (writing("film.avi", "text " * 99), "film.avi", "wanted"),
    "a photo of a phone that is not read": (
        writing("photos/x.heic", b"\0\0\0\x18ftypheic" + bytes(99)),
        "photos/x.heic",
        "another format",
    ),
    "the same called JPEG": (
        writing("photos/x.jpg", b"\0\0\0\x18ftypmif1" + bytes(99)),
        "photos/x.jpg",
        "another format",
    ),
    "a tall picture": (picture("bar/x.png", (2, 16000)), "bar/x.png", "at most 20 times as long as wide"),
    "a wide picture": (picture("bar/x.png", (16000, 2)), "bar/x.png", "at most 20 times as long as wide"),
    "a huge picture": (picture("bar/x.png", (9000, 9000)), "bar/x.png", "at most 50000000 pixels"),
    "a tall video": (lambda folder: encode(folder / "film.mp4", 16, 4096, 3), "film.mp4", "at most 20 times as long"),
    "a pipe": (lambda folder: os.mkfifo(folder / "film.mp4"), "film.mp4", "wanted a plain file"),
    "a pipe among pictures": (lambda folder: os.mkfifo(folder / "photos" / "x.png"), "photos/x.png", "a plain file"),
    "a device": (linking("film.mp4", "/dev/zero"), "film.mp4", "wanted a plain file"),
    "a dangling link": (linking("film.mp4", "gone.mp4"), "film.mp4", "wanted a plain file"),
    "a loop": (linking("film.mp4", "film.mp4"), "film.mp4", "wanted a plain file"),
    "a folder called like a video": (
        lambda folder: (folder / "photos" / "x.mp4").mkdir(),
        "photos/x.mp4",
        "plain file",
    ),
    "a link out": (out_of_the_folder, "film.mp4", "wanted a plain file inside the folder"),
    "a folder that is a link out": (folder_out_of_the_folder, "others", "it is a link"),
    "a pattern of names": (pattern, "photos/x%d.png", "wanted"),
    "a playlist called MP4": (playlist("film.mp4"), "film.mp4", "wanted"),
    "a playlist called TS": (playlist("film.ts"), "film.ts", "wanted"),
    "a list of files": (writing("film.mkv", "ffconcat version 1.0\nfile good.mp4\n"), "film.mkv", "wanted"),
    "an escape in a name": (writing("\x1b[2J.mp4", b"x"), r"\x1b[2J.mp4", "cannot be shown"),
    "a line feed among pictures": (writing("photos/a\nb.png", b"x"), r"photos/a\nb.png", "wanted"),
    "a cut video": (cut, "film.mp4", "wanted"),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_file_costs_itself_alone(folder, tmp_path, caplog, odd):
    make, skipped, why = ODD[odd]
    make(folder)
    with caplog.at_level(logging.WARNING, collect.__name__):
        found = frames_of(folder, SETTINGS, tmp_path / "cache", progress=False)
    assert {"good.mp4", "photos/a.png", "photos/b.jpg"} <= set(found.sources)
    assert list(found.skipped) == ([skipped] if skipped else [])
    assert all(why in reason and reason.isprintable() for reason in found.skipped.values())
    said = [record.getMessage() for record in caplog.records if record.name == collect.__name__]
    assert len(said) == len(found.skipped) and all(text.startswith("skipped ") and text.isprintable() for text in said)
    by_name = dict(zip(found.item_names, np.diff(found.offsets)))
    assert by_name["good"] == 1
    np.testing.assert_allclose(found.pictures(found.sources.index("photos/b.jpg"))[0, 0, 0], (9, 99, 200), atol=3)


def test_clips_with_changed_bytes_never_end_the_work(folder, tmp_path, clip):
    whole, draw = clip.read_bytes(), np.random.default_rng(0)
    for number in range(60):
        content = bytearray(whole)
        for place in draw.integers(0, len(whole), draw.integers(1, 11)):
            content[place] = draw.integers(256)
        (folder / f"changed{number:02}.mp4").write_bytes(bytes(content))
    found = frames_of(folder, SETTINGS, tmp_path / "cache", progress=False)
    assert "good.mp4" in found.sources and len(found.sources) + len(found.skipped) == 63
    assert found.skipped


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])  # the second does not say how many frames it has
def test_more_pictures_than_the_budget_are_skipped(folder, tmp_path, monkeypatch, name):
    encode(folder / name, count=40)
    monkeypatch.setattr(video, "MOST_BYTES", 3 * 32 * 24 * 20)
    found = frames_of(folder, SETTINGS, tmp_path / "cache", progress=False)
    assert list(found.skipped) == [name] and "wanted pictures of at most 46080 bytes, got" in found.skipped[name]
    assert {"good.mp4"} <= set(found.sources)


def test_the_declared_size_is_asked_before_anything_is_decoded(tmp_path, monkeypatch):
    encode(tmp_path / "film.mp4", count=40)
    monkeypatch.setattr(video, "MOST_BYTES", 3 * 32 * 24 * 20)
    with pytest.raises(DataError, match="got 40 of 32 x 24"):
        video.read(tmp_path / "film.mp4", 32)


@pytest.mark.parametrize("limit, number, why", [
    ("MOST_PIXELS", 10 * 32 * 24, "wanted at most 7680 pixels in all"),
    ("_MOST_DECODED", 32 * 24, "wanted pictures of at most 768 bytes, got 32 x 24 of 12 bits"),
])  # fmt: skip
def test_what_decoding_may_take_is_limited(clip, monkeypatch, limit, number, why):
    monkeypatch.setattr(video, limit, number)
    with pytest.raises(DataError, match=why):
        video.read(clip, 32)


def test_a_frame_that_cannot_be_scaled_costs_its_file_alone(folder, tmp_path, monkeypatch):
    """FFmpeg's scaler refuses some of what its decoders make of damaged clips."""

    def refuse(frame):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(video, "_turn", refuse)
    found = frames_of(folder, SETTINGS, tmp_path / "cache", progress=False)
    assert (
        list(found.skipped) == ["good.mp4"] and "cannot be decoded (OSError: Operation not" in found.skipped["good.mp4"]
    )


def test_pictures_are_kept_in_room_that_grows(tmp_path):
    """Of each number of frames up to some powers of two."""
    for count in (1, 2, 3, 4, 5, 16, 17):
        encode(tmp_path / f"{count}.mp4", count=count)
        found = video.read(tmp_path / f"{count}.mp4", 32)
        assert len(found.frames) == len(found.time_s) == count and found.frames.flags.owndata
        np.testing.assert_allclose(found.frames[:, 12, 16, 0], 20 * (np.arange(count) // 6), atol=5)


@pytest.mark.parametrize("problem", [MemoryError(), Interrupted(15), KeyboardInterrupt()], ids=repr)
def test_what_is_no_fault_of_the_file_is_raised(folder, tmp_path, monkeypatch, problem):
    def read(*_, **__):
        raise problem

    monkeypatch.setattr(collect.video, "read", read)
    with pytest.raises(type(problem)):
        frames_of(folder, SETTINGS, tmp_path / "cache", progress=False)


def test_a_full_disk_is_no_fault_of_the_file(folder, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(collect.np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        frames_of(folder, SETTINGS, tmp_path / "cache", progress=False)


def test_each_ending_has_a_format_that_is_there():
    av = video.require_av()
    for name in {*video.FORMATS.values(), *(mark[0] for mark in video.MARKS)} - {video.PICTURE}:
        assert av.format.ContainerFormat(name, "r").is_input
    assert set(video.READ) | set(video.UNREAD) == collect.VIDEOS | collect.IMAGES
