"""From files to frames of items: real videos and images through the real decoder, kept once, broken ones stated."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from clips import clip
from PIL import Image

from socialjax.atomic_write import atomic_write
from socialjax.formats.file_bytes import DataError
from socialjax.vision.key_frames import collect, video
from socialjax.vision.key_frames.collect import FrameSettings, frames_of, key_frames_of
from socialjax.vision.key_frames.cuts import find_cuts
from socialjax.worlds.picture_world import film

needs_av = pytest.mark.skipif(not importlib.util.find_spec("av"), reason='needs PyAV: pip install -e ".[video]"')
SHORT = dict(num_shots=3, shot=(16, 18))
SETTINGS = FrameSettings(at_most=3, width=64)


@pytest.fixture(scope="module")
def made():
    """Two short clips, so that each test need not draw them."""
    return [clip(seed, **SHORT) for seed in (1, 2)]


@pytest.fixture
def folder(tmp_path, made):
    """An item for each kind: a video, another, images of a subfolder, a subfolder without files."""
    place = tmp_path / "media"
    (place / "photos").mkdir(parents=True)
    (place / "empty").mkdir()
    for name, one in zip(("first", "second"), made):
        video.write(place / f"{name}.mp4", one.frames)
    for n in (0, 20):
        Image.fromarray(made[0].frames[n]).save(place / "photos" / f"{n:02}.png")
    return place


@needs_av
def test_an_encoded_clip_comes_back_with_its_cuts_and_times(tmp_path, made):
    video.write(tmp_path / "a.mp4", made[0].frames, fps=25)
    back = video.read(tmp_path / "a.mp4", width=96)
    assert back.frames.shape == made[0].frames.shape
    assert np.abs(back.frames.astype(int) - made[0].frames).mean() < 12
    np.testing.assert_allclose(back.time_s, np.arange(len(back.frames)) / 25, atol=1e-6)
    assert find_cuts(back.frames).tolist() == made[0].cuts.tolist()
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@needs_av
def test_the_same_frames_give_the_same_bytes(tmp_path):
    """With AVX-512 x264 made six kinds of files of these frames, by turns."""
    frames, kinds = film(np.arange(4), seed=3, item=0), set()
    for number in range(12):
        video.write(tmp_path / f"{number}.mp4", frames, options={"preset": "veryfast"})
        kinds.add((tmp_path / f"{number}.mp4").read_bytes())
    assert len(kinds) == 1


@needs_av
def test_intra_frames_alone_are_some_of_all_and_wanted_positions_are_those(tmp_path, made):
    video.write(tmp_path / "a.mp4", made[0].frames, intra_every=10)
    everything, intra = video.read(tmp_path / "a.mp4", 96), video.read(tmp_path / "a.mp4", 96, only_intra=True)
    assert len(made[0].frames) // 10 <= len(intra.frames) < len(everything.frames) // 4
    for frame, time in zip(intra.frames, intra.time_s):
        np.testing.assert_array_equal(frame, everything.frames[round(time * 25)])
    some = video.read(tmp_path / "a.mp4", 96, wanted=np.array([3, 17]))
    np.testing.assert_array_equal(some.frames, everything.frames[[3, 17]])


@needs_av
def test_many_intra_frames_spare_the_full_decoding(tmp_path, made):
    video.write(tmp_path / "a.mp4", made[0].frames, intra_every=2)
    few = key_frames_of(tmp_path / "a.mp4", FrameSettings(at_most=2, enough_intra=8))
    assert few.only_intra and len(few.pictures) == 2
    assert not key_frames_of(tmp_path / "a.mp4", FrameSettings(at_most=2, enough_intra=100)).only_intra


@needs_av
@pytest.mark.parametrize("name, cuts", [("mov_bbb", [95]), ("bikes", [30, 76, 137, 187, 242])])
def test_cuts_and_key_frames_of_real_videos(name, cuts):
    path = Path(os.environ.get("SOCIALJAX_DATA", ""), "video", f"{name}.mp4")
    if "SOCIALJAX_DATA" not in os.environ or not path.exists():
        pytest.skip("set SOCIALJAX_DATA to the folder that holds video/ to run this test")
    found = key_frames_of(path)
    edges = [0, *cuts, 250]
    assert len(found.position) == len(cuts) + 1  # one in each shot
    assert all(first <= at < last for first, at, last in zip(edges, found.position, edges[1:]))
    np.testing.assert_allclose(found.time_s, found.position / 25, atol=1e-6)


@needs_av
def test_every_item_has_its_frames_in_order(folder, tmp_path, made):
    table = frames_of(folder, SETTINGS, cache=tmp_path / "kept", progress=False)
    assert table.item_names.tolist() == ["empty", "first", "photos", "second"]
    counts = dict(zip(table.item_names.tolist(), np.diff(table.offsets).tolist()))
    assert counts == {"empty": 0, "first": 3, "photos": 2, "second": 3}
    assert table.sources == ("first.mp4", "photos/00.png", "photos/20.png", "second.mp4")
    first = slice(*table.offsets[1:3])
    assert (np.diff(table.time_s[first]) > 0).all() and set(table.source[first]) == {0}
    assert made[0].shots[np.rint(table.time_s[first] * 25).astype(int)].tolist() == [0, 1, 2]
    assert table.picture(table.offsets[1]).shape == (36, 64, 3)
    photo = table.picture(table.offsets[2] + 1)
    assert np.abs(photo.mean() - made[0].frames[20].mean()) < 2
    assert set(table.provenance.files) == set(table.sources) and not table.skipped


@needs_av
def test_broken_files_are_stated_and_the_others_worked(folder, tmp_path, caplog):
    whole = (folder / "first.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "text.mp4").write_text("no video\n" * 40)
    (folder / "nothing.mp4").write_bytes(b"")
    table = frames_of(folder, SETTINGS, cache=tmp_path / "kept", progress=False)
    assert set(table.skipped) == {"cut.mp4", "text.mp4", "nothing.mp4"}
    assert table.item_names.tolist() == ["cut", "empty", "first", "nothing", "photos", "second", "text"]
    assert np.diff(table.offsets).tolist() == [0, 0, 3, 0, 2, 3, 0]
    assert "skipped text.mp4" in table.provenance.repairs and "text.mp4" in caplog.text
    for name in table.skipped:
        with pytest.raises(DataError, match=rf"{name}: wanted .* got"):
            video.read(folder / name, 96)


@needs_av
def test_a_video_cut_behind_its_index_is_an_error_too(tmp_path, made):
    av = video.require_av()
    video.write(tmp_path / "a.mp4", made[0].frames)
    with (
        av.open(str(tmp_path / "a.mp4")) as source,
        av.open(str(tmp_path / "b.mp4"), "w", options={"movflags": "faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    whole = (tmp_path / "b.mp4").read_bytes()
    assert len(video.read(tmp_path / "b.mp4", 96).frames) == len(made[0].frames)
    (tmp_path / "b.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    for only_intra in (False, True):
        with pytest.raises(DataError, match=r"b\.mp4: wanted"):
            video.read(tmp_path / "b.mp4", 96, only_intra)


@needs_av
def test_a_second_run_decodes_nothing_and_a_stopped_one_goes_on(folder, tmp_path, monkeypatch):
    worked = []

    def counted(path, settings):
        worked.append(path.name)
        if path.name == stop_at:
            raise KeyboardInterrupt
        return key_frames_of(path, settings)

    monkeypatch.setattr(collect, "key_frames_of", counted)
    stop_at, kept = "second.mp4", tmp_path / "kept"
    with pytest.raises(KeyboardInterrupt):
        frames_of(folder, SETTINGS, cache=kept, progress=False)
    stop_at = None
    worked.clear()
    table = frames_of(folder, SETTINGS, cache=kept, progress=False)
    assert worked == ["second.mp4"]
    worked.clear()
    again = frames_of(folder, SETTINGS, cache=kept, progress=False)
    assert worked == [] and again.provenance == table.provenance
    np.testing.assert_array_equal(again.time_s, table.time_s)
    table.kept[0].write_bytes(table.kept[0].read_bytes()[:200])  # damaged on disk: made anew
    frames_of(folder, SETTINGS, cache=kept, progress=False)
    frames_of(folder, FrameSettings(at_most=1, width=64), cache=kept, progress=False)
    assert worked == ["first.mp4", "first.mp4", "00.png", "20.png", "second.mp4"]
    assert not list(kept.glob(".*")), "no temporary files are left"


@needs_av
def test_folders_that_cannot_be_used_say_why(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        frames_of(tmp_path / "none", cache=tmp_path / "kept")
    place = tmp_path / "media"
    place.mkdir()
    with pytest.raises(DataError, match=r"got none; known endings: \.avi"):
        frames_of(place, cache=tmp_path / "kept")
    (place / "a.mp4").write_text("text")
    with pytest.raises(DataError, match="none of 1 files can be used"):
        frames_of(place, cache=tmp_path / "kept")
    (place / "a.mkv").write_text("text")
    with pytest.raises(DataError, match="two items are named 'a'"):
        frames_of(place, cache=tmp_path / "kept")


@pytest.mark.parametrize("wrong", [dict(at_most=0), dict(width=1), dict(small_width=0), dict(enough_intra=0)])
def test_settings_that_ask_for_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match="wanted"):
        FrameSettings(**wrong)


@needs_av
def test_what_a_killed_run_left_half_written_is_removed_after_an_hour(folder, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    writers = [atomic_write(kept / name) for name in ("old.npz", "new.npz")]
    old, new = (writer.__enter__() for writer in writers)  # and never left: killed
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    frames_of(folder, SETTINGS, cache=kept, progress=False)
    assert set(kept.glob(".*")) == {new}


@needs_av
def test_pictures_of_odd_sides_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="even sides"):
        video.write(tmp_path / "a.mp4", np.zeros((3, 5, 4, 3), np.uint8))


def test_without_the_extra_pictures_are_read_and_for_videos_the_error_says_what_to_install(tmp_path):
    place, kept = tmp_path / "media", tmp_path / "kept"
    (place / "photos").mkdir(parents=True)
    Image.new("RGB", (8, 6)).save(place / "photos" / "a.png")
    code = (
        "import pathlib, sys; sys.modules['av'] = None\n"
        "from socialjax.vision.key_frames.collect import frames_of\n"
        f"assert len(frames_of({str(place)!r}, cache={str(kept)!r}, progress=False)) == 1\n"
        f"pathlib.Path({str(place)!r}, 'film.mp4').write_bytes(b'x')\n"
        f"try: frames_of({str(place)!r}, cache={str(kept)!r}, progress=False)\n"
        "except ImportError as error: assert 'socialjax[video]' in str(error)\n"
        "else: raise SystemExit('no error')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
