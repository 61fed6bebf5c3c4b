"""A planted world of communities: any range on its own, shares and means as asked for, a taste to find."""

import numpy as np
import pytest

from socialjax.data.large.prepare import prepare
from socialjax.data.large.settings import PrepareSettings
from socialjax.memory import peak_bytes
from socialjax.worlds.communities import LINKS, PAIRS, Communities

WORLD = Communities(3000, 2000, 10, pairs_per_user=12, links_per_user=8, seed=4)


@pytest.mark.parametrize("stream", [PAIRS, LINKS])
def test_any_range_of_users_is_made_on_its_own(stream):
    whole = WORLD.drawn(0, 3000, stream)
    parts = [WORLD.drawn(begin, begin + 500, stream) for begin in range(0, 3000, 500)]
    for column, pieces in zip(whole, zip(*parts)):
        np.testing.assert_array_equal(column, np.concatenate(pieces))
    assert not np.array_equal(whole[1], Communities(3000, 2000, 10, 12, 8, seed=5).drawn(0, 3000, stream)[1])


@pytest.mark.parametrize("stream, size, mean", [(PAIRS, 2000, 12), (LINKS, 3000, 8)])
def test_shares_means_and_popularity_are_those_asked_for(stream, size, mean):
    user, other = WORLD.drawn(0, 3000, stream)
    assert 0 <= other.min() and other.max() < size and set(user) == set(range(3000))
    assert len(user) / 3000 == pytest.approx(mean - 0.5, rel=0.05)  # half a draw is lost when it is made whole
    inside = (user % 10 == other % 10).mean()
    assert inside == pytest.approx(0.8 + 0.2 / 10, abs=0.01)
    count = np.bincount(other, minlength=size)
    first, last = count[: size // 10].mean(), count[-size // 10 :].mean()
    assert first > 4 * last > 0


def test_pieces_are_the_world_whatever_is_read_at_a_time():
    for rows in (7, 100_000):
        pieces = list(WORLD.pairs().pieces(rows))
        assert max(len(left) for left, _ in pieces) <= rows
        for column, wanted in zip(map(np.concatenate, zip(*pieces)), WORLD.drawn(0, 3000, PAIRS)):
            np.testing.assert_array_equal(column, wanted)
    with pytest.raises(ValueError, match="row numbers as ids, not text"):
        next(WORLD.links().pieces(3, text=True))


def test_who_knows_the_communities_ranks_better_than_who_knows_popularity(tmp_path):
    room = peak_bytes() + (1 << 30)  # beyond what the tests hold already
    settings = PrepareSettings(ids="row numbers", num_users=3000, num_items=2000, memory_bytes=room)
    graph = prepare(tmp_path / "g", WORLD.pairs(), WORLD.links(), settings, progress=False)
    popularity = graph.item_users.degree.astype(float)
    items, own = np.arange(2000), np.zeros((10, 2000))
    for community in range(10):
        own[community] = np.where(items % 10 == community, popularity, 0)
    hits = {"own": 0, "all": 0}
    top = {"own": np.argsort(-own, axis=1)[:, :20], "all": np.argsort(-popularity)[None, :20].repeat(10, axis=0)}
    for name, lists in top.items():
        hits[name] = np.mean([item in lists[user % 10] for user, item in zip(graph.test.user, graph.test.item)])
    assert hits["own"] > 3 * hits["all"]
    assert (graph.follows.columns % 10 == np.repeat(np.arange(3000), graph.follows.degree) % 10).mean() > 0.75


@pytest.mark.parametrize(
    "change, wanted",
    [({"communities": 3000}, r"wanted 1\.\.2000 communities"), ({"inside": 2.0}, "wanted inside in 0..1")],
)
def test_worlds_that_make_no_sense_are_refused(change, wanted):
    with pytest.raises(ValueError, match=wanted):
        Communities(**{"num_users": 3000, "num_items": 2000, "communities": 10} | change)
