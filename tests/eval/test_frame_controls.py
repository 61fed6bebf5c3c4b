"""Orders of frames that know nothing of the user: against slow twins, and chance against its closed form."""

import dataclasses

import numpy as np
import pytest

from socialjax.data.schema import FrameLikes, Frames
from socialjax.eval import keyframes
from socialjax.worlds.frames import frames_world


def ragged(seed=0, users=400, items=30):
    """A planted world whose items have two to nine frames, of which a user likes one to all but one."""
    rng = np.random.default_rng(seed)
    data = frames_world(0, users=users, items=80, frames=1).data
    count = rng.integers(2, 10, size=80)
    offsets = np.concatenate([[0], np.cumsum(count)])
    rows = []
    for user in range(users):
        for item in rng.choice(items, 2, replace=False):
            liked = rng.choice(count[item], rng.integers(1, count[item]), replace=False)
            rows += [(user, item, offsets[item] + frame) for frame in liked]
    likes = FrameLikes(*np.array(rows, np.int32).T.copy())
    features = (rng.normal(size=(offsets[-1], 5)) * 2 + 1).astype(np.float16)
    return dataclasses.replace(data, frames=Frames(offsets, features), frame_likes=likes)


def test_a_random_order_gets_what_the_closed_form_says_within_three_standard_errors():
    of = keyframes.records(ragged())
    draws = [keyframes.frame_metrics(keyframes.random(of, seed), of) for seed in range(10)]
    assert set(draws[0].values) == {"HR@1", "HR@3", "HR@5", "NDCG@3", "NDCG@5"}
    for name in draws[0].values:
        away = np.concatenate([each.values[name] - each.chance[name] for each in draws])
        error = away.std() / np.sqrt(len(away))
        assert abs(away.mean()) < 3 * error < 0.02, name
    assert (keyframes.random(of, 0) != keyframes.random(of, 1)).any()
    np.testing.assert_array_equal(keyframes.random(of, 3), keyframes.random(of, 3))


def test_first_takes_the_frames_as_they_come():
    of = keyframes.records(ragged())
    scores = keyframes.first(of)
    for record in (0, 5, len(of) - 1):
        mine = slice(of.offsets[record], of.offsets[record + 1])
        assert scores[mine].tolist() == [-place for place in range(of.lengths()[record])]


def test_centroid_is_the_cosine_with_the_mean_of_the_item():
    data = ragged()
    data.frames.features[data.frames.offsets[3] : data.frames.offsets[4]] = 0
    of = keyframes.records(data)
    rows, scores = data.frames.features.astype(np.float64), keyframes.centroid(of, data.frames)
    assert 3 in of.items
    for record, item in enumerate(of.items):
        members = range(data.frames.offsets[item], data.frames.offsets[item + 1])
        mean = sum(rows[k] for k in members) / len(members)
        for place, k in enumerate(members):
            length = np.sqrt((rows[k] ** 2).sum() * (mean**2).sum())
            expected = (rows[k] * mean).sum() / length if length else 0.0
            assert scores[of.offsets[record] + place] == pytest.approx(expected, abs=1e-6)


class Likes:
    """Says for each user and frame what stands in a table."""

    def frame_scores(self, state, side, users, frames):
        return state[users[:, None], frames]


@pytest.mark.parametrize("users", [50, 3000])
def test_popular_style_is_the_mean_over_users(users):
    of = keyframes.records(ragged(users=60))
    table = np.random.default_rng(1).normal(size=(users, 1000)).astype(np.float32)
    got = keyframes.popular_style(Likes(), table, None, of, users)
    if users <= keyframes.MOST_USERS:
        np.testing.assert_allclose(got, table.astype(np.float64).mean(axis=0)[of.frames], rtol=1e-4, atol=1e-6)
    else:  # some of them
        away = got - table.mean(axis=0)[of.frames]
        assert 0 < np.abs(away).max() < 5 / np.sqrt(keyframes.MOST_USERS)


def test_controls_of_no_record_are_empty():
    data = ragged()
    none = dataclasses.replace(data, frame_likes=FrameLikes(*np.zeros((3, 0), np.int32)))
    of = keyframes.records(none)
    assert len(of) == 0
    for scores in (
        keyframes.random(of),
        keyframes.first(of),
        keyframes.centroid(of, data.frames),
        keyframes.popular_style(Likes(), np.zeros((2, 1000), np.float32), None, of, 2),
    ):
        assert scores.shape == (0,) and keyframes.frame_metrics(scores, of).values["HR@1"].shape == (0,)
