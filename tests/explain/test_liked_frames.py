"""A case study orders an item's frames for each user; pictures stand for frames where they are, patches where not."""

import dataclasses

import numpy as np
import pytest
from matplotlib import image

from socialjax.contract import Traits
from socialjax.data.schema import Frames
from socialjax.explain.liked_frames import case_study, describe_frame, faces, favourites
from socialjax.models.cf.reference import Popular
from socialjax.worlds.frames import frames_world

WORLD = frames_world(0, users=20, items=40, frames=5, features=6)


class Truth:
    """Ranks frames by what was planted."""

    traits = Traits(ranks_frames=True)

    def frame_scores(self, state, side, users, frames):
        return WORLD.preference()[users[:, None], frames]


def test_frames_are_ordered_for_each_user_and_the_past_is_what_they_like_of_training_items():
    rows = case_study(Truth(), None, None, WORLD.data, [3, 8, 11], 7)
    for row, user in zip(rows, (3, 8, 11)):
        assert (row.user, row.label) == (user, str(user))
        assert sorted(row.frames) == [35, 36, 37, 38, 39]
        assert row.liked.tolist() == sorted(WORLD.preference()[user, 35:40].tolist(), reverse=True)
        mine = WORLD.data.train.item[WORLD.data.train.user == user]
        best = {item: WORLD.preference()[user, item * 5 : item * 5 + 5].max() for item in mine}
        assert len(set(row.past // 5)) == 3 and set(row.past // 5) <= set(mine)
        np.testing.assert_allclose(WORLD.preference()[user, row.past], sorted(best.values(), reverse=True)[:3])


def test_a_frame_is_called_by_its_picture_or_its_place():
    frames = Frames(np.array([0, 2, 2, 5]), np.zeros((5, 2), np.float32))
    assert [describe_frame(frames, row) for row in (1, 2, 4)] == ["frame 2 of 2", "frame 1 of 3", "frame 3 of 3"]
    named = Frames(frames.offsets, frames.features, np.array(["a.png", "", "c", "d", "e"]))
    assert [describe_frame(named, row) for row in (0, 1)] == ["a.png", "frame 2 of 2"]


def test_pictures_stand_for_frames_where_they_can_be_read_and_lie_inside_the_folder(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    red = np.zeros((400, 200, 3), np.uint8)
    red[..., 0] = 255
    for place in (folder / "red.png", tmp_path / "outside.png"):
        image.imsave(place, red)
    (folder / "broken.png").write_text("no picture")
    names = np.array(["red.png", "broken.png", "../outside.png", "absent.png"])
    frames = Frames(np.array([0, 4]), np.eye(4, dtype=np.float32), names)
    face = faces(frames, folder)
    picture = face(0)
    assert max(picture.shape) <= 160 and picture.shape[0] == 2 * picture.shape[1] and (picture[..., 0] == 1).all()
    assert [face(row).shape for row in (1, 2, 3)] == [(24, 24, 3)] * 3


def test_frames_of_one_style_have_one_colour_and_those_alike_similar_ones():
    by_style = faces(WORLD.data.frames, styles=WORLD.style)
    one, other = (np.flatnonzero(WORLD.style == style) for style in (0, 1))
    np.testing.assert_array_equal(by_style(one[0]), by_style(one[5]))
    assert (by_style(one[0]) != by_style(other[0])).any()
    by_look = faces(WORLD.data.frames)
    colours = lambda rows: np.stack([by_look(row)[0, 0] for row in rows])  # noqa: E731
    within = np.linalg.norm(colours(one) - colours(one).mean(axis=0), axis=1).mean()
    assert within < np.linalg.norm(colours(one).mean(axis=0) - colours(other).mean(axis=0))


def test_an_item_without_frames_and_a_model_that_ranks_none_are_refused():
    with pytest.raises(ValueError, match="ranks no frames"):
        case_study(Popular(), None, None, WORLD.data, [0], 0)


def test_frames_that_a_user_likes_most_are_of_different_training_items_and_none_without_any():
    taken = np.unique(WORLD.data.train.item[WORLD.data.train.user == 3])
    best = favourites(Truth(), None, None, WORLD.data, 3, 100)
    assert sorted(best // 5) == taken.tolist()
    assert favourites(Truth(), None, None, WORLD.data, 3, 2).tolist() == best[:2].tolist()
    nobody = dataclasses.replace(WORLD.data, train=WORLD.data.train.take(WORLD.data.train.user != 3))
    assert favourites(Truth(), None, None, nobody, 3, 2).tolist() == []
    offsets = np.concatenate([[0, 0], WORLD.data.frames.offsets[2:]])
    lacking = dataclasses.replace(WORLD.data, frames=Frames(offsets, WORLD.data.frames.features))
    with pytest.raises(ValueError, match="has no frames; choose another item"):
        case_study(Truth(), None, None, lacking, [0], 0)
