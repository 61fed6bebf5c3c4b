"""Damaged pictures, clips and archives are read or refused in one line: no other exception, and no hang."""

import importlib.util
import signal
import time

import numpy as np
import odd_media
import pytest

from socialjax.formats.file_bytes import DataError
from socialjax.formats.picture_files import PictureFiles, read_picture
from socialjax.vision.key_frames import collect
from socialjax.vision.key_frames.collect import FrameSettings, frames_of, key_frames_of

SETTINGS = FrameSettings(at_most=2, width=32, small_width=32)
needs_av = pytest.mark.skipif(not importlib.util.find_spec("av"), reason='needs PyAV: pip install -e ".[video]"')
PATIENCE = 60  # seconds for one small file, on a machine that has much else to do
few_and_many = pytest.mark.parametrize("count", [150, pytest.param(4000, marks=pytest.mark.slow)])


@pytest.fixture(autouse=True)
def impatient():
    """A file that takes longer than PATIENCE is a failure, not a wait."""

    def give_up(*_):
        raise BaseException("a file took too long")

    before = signal.signal(signal.SIGALRM, give_up)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def refusals(samples, count, read, also=()):
    """How many of `count` damaged samples `read` refuses, each in a line that can be shown."""
    draw, names, refused = np.random.default_rng(7), sorted(samples), 0
    for number in range(count):
        name = names[number % len(names)]
        content = odd_media.damaged(samples[name], draw)
        signal.alarm(PATIENCE)
        try:
            read(name, content)
        except DataError as error:
            refused += 1
            assert str(error).isprintable() and name in str(error), (number, name)
        except also:
            refused += 1
    return refused


@few_and_many
def test_damaged_pictures(count):
    def read(name, content):
        assert read_picture(content, 16, name=name).shape == (16, 16, 3)

    assert count // 4 < refusals(odd_media.pictures(), count, read) < count


@few_and_many
def test_damaged_pictures_by_way_of_frames(count, tmp_path):
    def read(name, content):
        (tmp_path / name).write_bytes(content)
        assert key_frames_of(tmp_path / name, SETTINGS).pictures.shape[::2] == (1, 32)

    assert count // 4 < refusals(odd_media.pictures(), count, read, collect.ODD) < count


@few_and_many
def test_damaged_archives(count, tmp_path):
    def read(name, content):
        (tmp_path / name).write_bytes(content)
        files = PictureFiles(tmp_path / name)
        for each in files.names():
            assert files.read(each, 8).shape == (8, 8, 3)

    assert count // 4 < refusals(odd_media.archives(), count, read) < count


@needs_av
@few_and_many
def test_damaged_clips(count, tmp_path):
    def read(name, content):
        (tmp_path / name).write_bytes(content)
        assert len(key_frames_of(tmp_path / name, SETTINGS).pictures) in (1, 2)

    assert count // 4 < refusals(odd_media.clips(tmp_path), count, read, collect.ODD) < count


@needs_av
def test_a_damaged_file_in_a_folder_costs_itself_alone(tmp_path):
    """Every kind of picture and clip, each damaged once, beside each as it was."""
    place, draw = tmp_path / "media", np.random.default_rng(3)
    for folder in ("whole", "damaged"):
        (place / folder).mkdir(parents=True)
    samples = odd_media.pictures() | odd_media.clips(tmp_path)
    for name, content in samples.items():
        (place / "whole" / name).write_bytes(content)
        (place / "damaged" / name).write_bytes(odd_media.damaged(content, draw))
    started = time.monotonic()
    found = frames_of(place, SETTINGS, tmp_path / "cache", progress=False)
    assert time.monotonic() - started < PATIENCE
    assert {name for name in found.sources if name.startswith("whole/")} == {f"whole/{name}" for name in samples}
    assert found.skipped and len(found.sources) + len(found.skipped) == 2 * len(samples)
    assert all(name.startswith("damaged/") and why.isprintable() for name, why in found.skipped.items())
