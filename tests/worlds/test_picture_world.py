"""Drawn pictures are told apart by style alone, films hold the shots that were planted, and stopped work goes on."""

import dataclasses
import importlib.util

import numpy as np
import pytest

from socialjax.data.schema import Dataset, Frames, Provenance, interactions
from socialjax.formats.file_bytes import DataError
from socialjax.vision.key_frames import video
from socialjax.vision.key_frames.collect import DEFAULT, FrameTable, frames_of
from socialjax.vision.key_frames.cuts import find_cuts
from socialjax.worlds import picture_world
from socialjax.worlds.drawn_pictures import STYLES, draw
from socialjax.worlds.frames import FramesWorld
from socialjax.worlds.picture_world import (
    FPS,
    FrameMatch,
    film,
    item_name,
    match,
    seen,
    shot_edges,
    write_films,
)

needs_av = pytest.mark.skipif(not importlib.util.find_spec("av"), reason='needs PyAV: pip install -e ".[video]"')
MADE = Provenance("planted", "by hand")
STYLE = np.array([0, 1, 2, 3, 3, 0], np.int32)


@pytest.fixture
def world():
    """Three items of 3, 0 and 3 frames; user 0 loves style 0, user 1 style 3, user 2 all alike."""
    taste = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.2, 0.1, 0.6], [0.25] * 4], np.float32)
    data = Dataset(
        "by-hand", 3, 3,
        train=interactions([0, 1, 2], [1, 1, 1]),
        validation=interactions([], []),
        test=interactions([0, 0, 1, 1, 2], [0, 2, 0, 2, 2]),
        provenance=MADE,
        frames=Frames(np.array([0, 3, 3, 6]), np.zeros((6, 1), np.float32)),
    )  # fmt: skip
    return FramesWorld(data, STYLE, taste, np.zeros((4, 1), np.float32))


@pytest.fixture(scope="module")
def drawn():
    """u8[4, 6, 60, 80, 3]."""
    return np.array([[draw(style, np.random.default_rng(n), 60, 80) for n in range(6)] for style in range(len(STYLES))])


def test_styles_are_told_apart_and_pictures_of_one_style_are_not_alike(drawn):
    assert drawn.dtype == np.uint8 and drawn.shape == (4, 6, 60, 80, 3)
    colours = drawn.mean(axis=(2, 3)) / 255
    centre = colours[:, :3].mean(axis=1)
    away = np.linalg.norm(colours[:, 3:, None] - centre[None, None], axis=-1)
    assert (away.argmin(axis=-1) == np.arange(4)[:, None]).mean() >= 0.9  # even the mean colour nearly says it
    grey = drawn.mean(axis=-1).reshape(4, 6, -1)
    for pictures in grey:
        for one in range(6):
            for other in range(one):
                assert np.abs(pictures[one] - pictures[other]).mean() > 8, "a composition of its own"


def test_a_picture_follows_from_its_seed_and_unknown_styles_are_refused(drawn):
    np.testing.assert_array_equal(draw(2, np.random.default_rng(1), 60, 80), drawn[2, 1])
    with pytest.raises(ValueError, match="style from 0 to 3, got 4; the styles are night city"):
        draw(4, np.random.default_rng(0), 8, 8)


def test_cuts_of_a_film_are_found_between_shots_of_one_style_too():
    planted = found = right = 0
    for item, styles in enumerate([[0, 0, 0, 1], [1, 1, 1, 1], [2, 2, 3, 2], [3, 3, 3, 0]]):
        frames, edges = film(np.array(styles), seed=5, item=item), shot_edges(5, item, 4)
        assert frames.shape == (edges[-1], 120, 160, 3) and frames.dtype == np.uint8
        cuts = find_cuts(frames)
        planted, found, right = planted + 3, found + len(cuts), right + len(set(cuts) & set(edges[1:-1]))
    assert right >= 11 and found == right, f"{right} of {planted} cuts, {found - right} false"


def test_the_camera_drifts_within_a_shot_and_never_jumps():
    frames = film(np.array([1]), seed=0, item=0).astype(float)
    apart = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    assert (apart > 0).all() and apart.max() < np.abs(frames[0] - film(np.array([1]), 0, 1)[0]).mean()


@needs_av
def test_from_films_to_planted_frames(world, tmp_path):
    place = write_films(tmp_path / "made", world, progress=False)
    assert sorted(path.name for path in place.iterdir()) == ["item_00000.mp4", "item_00002.mp4"]
    lines = (tmp_path / "made" / "interactions.tsv").read_text().splitlines()
    assert len(lines) == 8 and lines[0] == "user_00000\titem_00001"
    table = frames_of(place, cache=tmp_path / "kept", progress=False)
    found = match(table, world)
    assert found.planted.tolist() == [0, 1, 2, 3, 4, 5] and found.missed == found.repeated == 0
    assert "6 frames found for 6 planted shots; 0 shots without one" in str(found)


@needs_av
def test_a_stopped_call_goes_on_and_no_half_file_stays(world, tmp_path, monkeypatch):
    folder, write, calls = tmp_path / "made", video.write, []

    def stops(path, *given, **more):
        if calls:
            raise KeyboardInterrupt
        calls.append(path)
        write(path, *given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(video, "write", stops)
        with pytest.raises(KeyboardInterrupt):
            write_films(folder, world, progress=False)
    first = folder / "videos" / "item_00000.mp4"
    assert list((folder / "videos").iterdir()) == [first]
    before = first.stat().st_mtime_ns
    write_films(folder, world, progress=False)
    assert first.stat().st_mtime_ns == before and len(list((folder / "videos").iterdir())) == 2


def test_a_folder_of_something_else_is_refused(world, tmp_path):
    picture_world._claim(tmp_path / "made", world, seed=0)
    picture_world._claim(tmp_path / "made", world, seed=0)  # the same one again
    with pytest.raises(DataError, match="wanted a new folder or this world's"):
        write_films(tmp_path / "made", world, seed=1)
    other = dataclasses.replace(world, style=STYLE[::-1])
    with pytest.raises(DataError, match="name another"):
        write_films(tmp_path / "made", other)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(DataError, match="name another"):
        write_films(tmp_path / "mine", world)
    (tmp_path / "made" / "world.json").write_text("{")
    with pytest.raises(DataError, match="name another"):
        write_films(tmp_path / "made", world)


def table_of(world, times):
    """A table of frames at these times, {item: seconds}, as `frames_of` would have made it."""
    items = sorted(times)
    offsets = np.concatenate([[0], np.cumsum([len(times[item]) for item in items])])
    source = np.repeat(np.arange(len(items)), np.diff(offsets)).astype(np.int32)
    return FrameTable(
        item_names=np.array([item_name(item) for item in items]),
        offsets=offsets,
        time_s=np.concatenate([times[item] for item in items]),
        source=source,
        place=np.zeros(len(source), np.int32),
        sources=tuple(f"{item_name(item)}.mp4" for item in items),
        kept=(),
        skipped={},
        settings=DEFAULT,
        provenance=MADE,
    )


def test_merged_and_split_shots_are_counted(world):
    edges = shot_edges(0, 0, 3)
    # Item 0: its first shot twice (first and last frame), the second never, the first frame of the third.
    times = {0: [0.0, (edges[1] - 1) / FPS, edges[2] / FPS], 2: [(shot_edges(0, 2, 3)[1]) / FPS]}
    found = match(table_of(world, times), world)
    assert found.planted.tolist() == [0, 0, 2, 4]
    assert (found.missed, found.repeated, found.total) == (3, 1, 6)
    with pytest.raises(DataError, match="wanted the 2 videos of this world, got 1"):
        match(table_of(world, {0: [0.0]}), world)


def test_likes_are_those_of_the_style_preferred_most_among_the_frames_found(world):
    # Frame 0 (style 0) was not found; item 2 lost the first of its two frames of style 3, and has frame 5 twice.
    planted = np.array([1, 2, 4, 5, 5])
    table = table_of(world, {0: [0.0, 1.0], 2: [0.0, 1.0, 2.0]})
    frames = Frames(table.offsets, np.arange(5, dtype=np.float32)[:, None], np.array(list("abcde")))
    data = seen(world, table, frames, FrameMatch(planted, 1, 1, 6), MADE)
    assert data.frames.offsets.tolist() == [0, 2, 2, 5]
    likes = set(
        zip(*(column.tolist() for column in (data.frame_likes.user, data.frame_likes.item, data.frame_likes.frame)))
    )
    # User 0 likes frames 1 and 2 (styles 1 and 2) of item 0 alike: no record. User 2 likes everything alike.
    assert likes == {(0, 2, 3), (0, 2, 4), (1, 0, 0), (1, 2, 2)}
    assert (data.frames.item[data.frame_likes.frame] == data.frame_likes.item).all()
