"""Metrics of key frames equal their definition over all orders of ties, and chance its closed form."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

from socialjax.data.schema import Dataset, FrameLikes, Frames, Provenance, interactions, no_interactions
from socialjax.eval import keyframes


def data_set(counts, likes) -> Dataset:
    """counts: frames of each item; likes: (user, item, place among the item's frames)."""
    offsets = np.concatenate([[0], np.cumsum(counts)])
    rows = np.array([(user, item, offsets[item] + place) for user, item, place in likes], np.int32).reshape(-1, 3)
    return Dataset(
        "toy", 5, len(counts), interactions([0], [0]), no_interactions(), no_interactions(),
        Provenance("planted", "a test"),
        frames=Frames(offsets, np.zeros((offsets[-1], 2), np.float32)), frame_likes=FrameLikes(*rows.T),
    )  # fmt: skip


# Item 1 has a single frame; user 2 likes both frames of item 2; item 4 has none.
COUNTS = [4, 1, 2, 7, 0]
LIKES = [(3, 3, 6), (0, 0, 2), (0, 0, 1), (1, 1, 0), (2, 2, 0), (2, 2, 1), (3, 0, 3), (1, 3, 0), (1, 3, 4), (1, 3, 2)]
DATA = data_set(COUNTS, LIKES)


def one_order(liked, k):
    """Frames in their order, best first -> (HR@k, NDCG@k)."""
    gain = lambda flags: sum(flag / math.log2(place + 2) for place, flag in enumerate(flags[:k]))  # noqa: E731
    return float(any(liked[:k])), gain(liked) / gain(sorted(liked, reverse=True))


def slow(scores, liked, k):
    """The mean of both over all orders of the frames that go down in score."""
    orders = [
        order
        for order in itertools.permutations(range(len(scores)))
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]
    return np.mean([one_order([liked[k] for k in order], k) for order in orders], axis=0)


def test_records_are_users_and_items_with_all_frames_of_the_item_and_others_are_counted():
    of = keyframes.records(DATA)
    assert list(zip(of.users.tolist(), of.items.tolist())) == [(0, 0), (1, 3), (3, 0), (3, 3)]
    assert of.skipped == {"a single frame": 1, "all frames liked": 1}
    rows = np.split(of.frames, of.offsets[1:-1])
    np.testing.assert_array_equal(rows[0], [0, 1, 2, 3])
    np.testing.assert_array_equal(rows[1], np.arange(7, 14))
    liked = [row[flags].tolist() for row, flags in zip(rows, np.split(of.liked, of.offsets[1:-1]))]
    assert liked == [[1, 2], [7, 9, 11], [3], [13]]
    frames, there = of.padded()
    assert frames.shape == (4, 7) and there.sum(axis=1).tolist() == [4, 7, 4, 7]
    np.testing.assert_array_equal(frames[there], of.frames)


@pytest.mark.parametrize("levels", [1, 3, 100])
def test_metrics_equal_the_mean_over_all_orders_of_ties(levels):
    of, rng = keyframes.records(DATA), np.random.default_rng(levels)
    scores = rng.integers(levels, size=len(of.frames)).astype(np.float32)
    found = keyframes.frame_metrics(scores, of)
    for record, (start, stop) in enumerate(itertools.pairwise(of.offsets)):
        for k in (1, 3, 5):
            hit, gain = slow(scores[start:stop].tolist(), of.liked[start:stop].tolist(), k)
            assert found.values[f"HR@{k}"][record] == pytest.approx(hit, abs=1e-6)
            if k > 1:
                assert found.values[f"NDCG@{k}"][record] == pytest.approx(gain, abs=1e-6)


def test_chance_is_what_equal_scores_get_and_the_published_figures_for_eleven_frames():
    of = keyframes.records(DATA)
    even = keyframes.frame_metrics(np.zeros(len(of.frames)), of)
    for name, values in even.values.items():
        np.testing.assert_allclose(values, even.chance[name], atol=1e-6)
    eleven = keyframes.chance(keyframes.records(data_set([11], [(0, 0, 4)])))
    expected = {"HR@1": 0.091, "HR@3": 0.273, "HR@5": 0.455, "NDCG@3": 0.194, "NDCG@5": 0.268}
    assert {name: round(float(value[0]), 3) for name, value in eleven.items()} == expected


def test_chance_is_the_mean_of_many_random_orders():
    of = keyframes.records(DATA)
    rng = np.random.default_rng(0)
    drawn = [keyframes.frame_metrics(rng.random(len(of.frames)), of).values for _ in range(3000)]
    for name, expected in keyframes.chance(of).items():
        np.testing.assert_allclose(np.mean([values[name] for values in drawn], axis=0), expected, atol=0.04)


def test_records_of_one_user_count_as_one_in_the_interval():
    """Every record twice, by the same user: the same interval; by another user: a narrower one."""
    values, users = np.array([0.1, 0.9, 0.4, 0.3, 1.0]), np.array([0, 1, 1, 2, 3])
    mean, half = keyframes.clustered_interval(values, users)
    again, same = keyframes.clustered_interval(np.tile(values, 2), np.tile(users, 2))
    _, narrower = keyframes.clustered_interval(np.tile(values, 2), np.concatenate([users, users + 10]))
    assert mean == again == pytest.approx(values.mean()) and same == pytest.approx(half) and narrower < 0.8 * half
    by_user = [values[users == user] - mean for user in range(4)]
    error = math.sqrt(sum(sum(each) ** 2 for each in by_user) * 4 / 3) / 5
    assert half == pytest.approx(3.1824463 * error)  # t of 3 degrees
    assert keyframes.clustered_interval(values[:1], users[:1]) == (0.1, None)
    assert keyframes.clustered_interval(values[:0], users[:0]) == (0.0, None)


def test_the_summary_has_means_over_records_and_users_with_chance_beside_them():
    of = keyframes.records(DATA)
    scores = np.where(of.liked, 1.0, 0.0)
    scores[of.offsets[2] : of.offsets[3]] *= -1  # record 2, of user 3, is the wrong way round
    found = keyframes.frame_metrics(scores, of).summary()
    assert (found["records"], found["users"]) == (4, 3)
    assert found["skipped"] == {"a single frame": 1, "all frames liked": 1}
    assert found["metrics"]["HR@1"]["mean"] == pytest.approx(0.75)
    assert found["metrics"]["HR@1"]["per_user"] == pytest.approx((1 + 1 + 0.5) / 3)
    assert found["metrics"]["HR@1"]["random"] == pytest.approx((2 / 4 + 3 / 7 + 1 / 4 + 1 / 7) / 4)


class Counted:
    """Scores a frame by its row and its user; each call must have one shape."""

    def frame_scores(self, state, side, users, frames):
        return state * frames + users[:, None]


def test_scores_of_a_model_come_back_for_each_frame_in_the_order_of_the_records(monkeypatch):
    monkeypatch.setattr(keyframes, "_RECORDS", 3)
    of = keyframes.records(DATA)
    scores = keyframes.record_scores(Counted(), np.float32(2), None, of)
    np.testing.assert_allclose(scores, 2 * of.frames + np.repeat(of.users, of.lengths()))


def test_data_without_likes_have_no_records_and_likes_that_say_nothing_none_that_count():
    assert keyframes.records(dataclasses.replace(DATA, frame_likes=None)) is None
    of = keyframes.records(data_set([1, 2], [(0, 0, 0)]))
    assert len(of) == 0 and keyframes.record_scores(Counted(), 1, None, of).shape == (0,)
    found = keyframes.frame_metrics(np.zeros(0), of).summary()
    assert found | {"skipped": 0} == {"records": 0, "users": 0, "skipped": 0, "metrics": {}}


@pytest.mark.parametrize("scores", [np.zeros(3), np.full(22, np.nan)])
def test_scores_that_do_not_fit_are_refused(scores):
    with pytest.raises(ValueError, match="wanted 22 finite scores, one for each frame"):
        keyframes.frame_metrics(scores, keyframes.records(DATA))
