"""The made worlds hold what they say: sizes, parts, and likes that are the best frames and no others."""

import numpy as np
import pytest

from socialjax.data import validate
from socialjax.worlds.frames import frames_world

SMALL = {"users": 30, "items": 50, "frames": 5, "features": 6, "styles": 3}


@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_it_has_the_sizes_asked_for_and_passes_the_checks(pooling):
    world = frames_world(1, pooling, **SMALL)
    found = validate.check(world.data).counts
    assert (found["users"], found["items"], found["frames"]) == (30, 50, 250)
    assert (found["train"], found["validation"], found["test"]) == (30 * 24, 30 * 2, 30 * 6)
    assert world.taste.shape == (30, 3) and world.style.shape == (250,) and world.prototypes.shape == (3, 6)
    np.testing.assert_allclose(world.taste.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(world.preference()[4, 17], world.taste[4, world.style[17]] - 1 / 3, rtol=1e-5)


def test_likes_are_the_best_frames_of_test_items_that_have_worse_ones():
    world = frames_world(2, "max", **SMALL)
    wanted = set()
    for user, item in zip(world.data.test.user, world.data.test.item):
        rows = range(item * 5, item * 5 + 5)
        liked = [world.taste[user, world.style[row]] for row in rows]
        if min(liked) < max(liked):
            wanted |= {(user, item, row) for row, value in zip(rows, liked) if value == max(liked)}
    likes = world.data.frame_likes
    assert wanted == set(zip(likes.user.tolist(), likes.item.tolist(), likes.frame.tolist()))
    assert len(wanted) == len(likes) > 100


def test_users_take_what_their_eyes_like_and_the_two_worlds_differ_in_what_an_item_looks_like():
    """In MAX the best frame decides, in MEAN all do: the taken stand out by more in the world's own sense."""
    for pooling, own, other in (("max", np.max, np.mean), ("mean", np.mean, np.max)):
        world = frames_world(0, pooling, users=200, items=200)
        liked = world.taste[:, world.style].reshape(200, 200, 8)
        taken = np.zeros((200, 200), bool)
        taken[world.data.train.user, world.data.train.item] = True
        gain = lambda how: (how(liked, axis=2)[taken].mean() - how(liked, axis=2).mean()) / how(liked, axis=2).std()  # noqa: B023, E731
        assert gain(own) > 0.5 and gain(own) > 1.05 * gain(other)


def test_seeds_differ_and_repeat():
    one, again, other = (frames_world(seed, **SMALL).data for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.train.item, again.train.item)
    np.testing.assert_array_equal(one.frames.features, again.frames.features)
    assert (one.train.item != other.train.item).any()


def test_shuffling_moves_frames_between_items_and_nothing_else():
    plain, shuffled = frames_world(0, **SMALL), frames_world(0, shuffled=True, **SMALL)
    np.testing.assert_array_equal(plain.data.train.item, shuffled.data.train.item)
    np.testing.assert_array_equal(plain.data.frame_likes.frame, shuffled.data.frame_likes.frame)
    mine, theirs = plain.data.frames.features, shuffled.data.frames.features
    assert (mine != theirs).any(axis=1).mean() > 0.9
    np.testing.assert_array_equal(np.sort(mine, axis=0), np.sort(theirs, axis=0))


@pytest.mark.parametrize("wrong", [{"items": 32}, {"styles": 1}, {"pooling": "att"}, {"frames": 0}])
def test_worlds_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="wanted more than 32 items"):
        frames_world(**wrong)


def test_its_source_is_the_one_by_which_runs_on_it_go_on():
    """The source is part of what a run is known by: under another one, runs that were begun would not go on."""
    data = frames_world(0, users=24, items=40, frames=3, features=6, styles=2).data
    assert data.provenance.source == f"socialjax.worlds.frames, {data.name}"
