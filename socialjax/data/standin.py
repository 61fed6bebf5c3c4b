"""A generated stand-in for a published set: its counts and degrees, with planted taste and influence. Never real data.

Taste: users and items lie on a line that is cut into topics; a user's pairs come mostly from one topic, some from a
second, some from anywhere. Influence: links join mostly users of one main topic, and some of a user's pairs have the
position of a friend's pair, so that both often hold the same item. Degrees of users and items are exact: sorted by
position, the half-edges of users and those of items are joined one to one (a configuration model on a line).

Owners: numbers of uploads as the shape specifies, many of them by users whom those who took the item follow; no user
takes an item of their own.
"""

import dataclasses

import numpy as np

from socialjax.data.schema import Dataset, Interactions, Links, Provenance, interactions
from socialjax.data.sets import SHAPES
from socialjax.data.split import by_ratio, leave_one_out
from socialjax.data.standin_shapes import Shape, degrees, fit_split
from socialjax.formats.file_bytes import DataError
from socialjax.graph import unique_ints

ROUNDS = 12  # of proposals; items that are still without an owner then get any user with uploads left
DRAWS = 64  # draws of a user who took the item and of one of their followees; the most frequent one is proposed


def owners(shape: Shape, pairs: Interactions, links: Links, rng: np.random.Generator) -> np.ndarray:
    """Owners of the items of a stand-in; users with many followers own more.

    Args:
        shape: counts and degrees. The share `shape.admired` of the items goes to users, with uploads left, whom many of
            those who took the item follow.
        pairs: all interactions.
        links: of the users.
        rng: source of randomness.

    Returns:
        i32[I].

    Raises:
        DataError: the degrees leave too little room.
    """
    left = _uploads(shape, np.bincount(links.followee, minlength=shape.users), rng)
    owner = np.full(shape.items, -1, np.int32)
    takers, follows = _Rows(pairs.item, pairs.user, shape.items), _Rows(links.follower, links.followee, shape.users)
    chosen = rng.random(shape.items) < shape.admired
    for _ in range(ROUNDS):
        waiting = rng.permutation(np.flatnonzero(chosen & (owner < 0) & (takers.number > 0)))
        taker = takers.draw(np.repeat(waiting, DRAWS), rng)
        follows_anyone = follows.number[taker] > 0
        candidate = np.full(len(taker), shape.users)
        candidate[follows_anyone] = follows.draw(taker[follows_anyone], rng)
        candidate[np.append(left, 0)[candidate] == 0] = shape.users  # nobody, who sorts last and has no uploads
        proposed = _most_frequent(candidate.reshape(-1, DRAWS), shape.users)
        order = np.argsort(proposed, kind="stable")
        waiting, proposed = waiting[order], proposed[order]
        waiting, proposed = waiting[proposed < shape.users], proposed[proposed < shape.users]
        granted = np.arange(len(proposed)) - np.searchsorted(proposed, proposed) < left[proposed]
        owner[waiting[granted]] = proposed[granted]
        left -= np.bincount(proposed[granted], minlength=shape.users)
    owner[owner < 0] = rng.permutation(np.repeat(np.arange(shape.users), left))
    return _foreign(owner, pairs, rng)


class _Rows:
    """The values of each row of a table, of which one can be drawn: row i[N], value i[N] -> number i64[rows]."""

    def __init__(self, row: np.ndarray, value: np.ndarray, rows: int):
        self.value = value[np.argsort(row, kind="stable")]
        self.number = np.bincount(row, minlength=rows)
        self.first = np.cumsum(self.number) - self.number

    def draw(self, row: np.ndarray, rng) -> np.ndarray:
        """One value of each given row, none of which may be empty."""
        return self.value[self.first[row] + (rng.random(len(row)) * self.number[row]).astype(np.int64)]


def _most_frequent(rows: np.ndarray, nobody: int) -> np.ndarray:
    """The value below `nobody` that each row of i64[n, k] holds most often; `nobody` if it holds none."""
    rows = np.sort(rows, axis=1)
    begins = np.concatenate([np.ones((len(rows), 1), bool), rows[:, 1:] != rows[:, :-1]], axis=1)
    place = np.arange(rows.shape[1])
    length = place - np.maximum.accumulate(np.where(begins, place, 0), axis=1)  # at the end of a run: its length - 1
    return rows[np.arange(len(rows)), np.where(rows < nobody, length, -1).argmax(axis=1)]


def _uploads(shape: Shape, followers: np.ndarray, rng) -> np.ndarray:
    """i64[U], correlated by rank with the numbers of followers as the shape says."""
    number = degrees(shape.uploads, 0, shape.users, shape.items, rng)
    fame = np.argsort(np.argsort(followers + rng.random(shape.users))) / shape.users
    fame = (fame - 0.5) * np.sqrt(12)
    score = shape.famous * fame + np.sqrt(1 - shape.famous**2) * rng.normal(size=shape.users)
    return number[np.argsort(np.argsort(score))]


def _foreign(owner: np.ndarray, pairs: Interactions, rng) -> np.ndarray:
    """Exchanges owners between items until no user took an item of their own."""
    taken = unique_ints(pairs.user.astype(np.int64) * len(owner) + pairs.item)
    items = np.arange(len(owner))
    for _ in range(100):
        keys = owner.astype(np.int64) * len(owner) + items
        own = items[taken[np.minimum(np.searchsorted(taken, keys), len(taken) - 1)] == keys]
        if not len(own):
            return owner
        for item, other in zip(own, rng.integers(len(owner), size=len(own))):
            owner[[item, other]] = owner[[other, item]]
    raise DataError(f"{len(own)} items are still taken by their owners: these degrees leave too little room")


VERSION = 1  # raise when the same seed gives other columns


@dataclasses.dataclass(frozen=True)
class Taste:
    """The planted taste and influence.

    Attributes:
        main: share of a user's pairs from the main topic.
        second: share from the second topic.
        copied: share of pairs copied from followees.
        homophily: share of links within a topic.
        users_per_topic: number of users for each topic.
    """

    main: float = 0.7
    second: float = 0.15
    copied: float = 0.1
    homophily: float = 0.4
    users_per_topic: int = 600


def make(name: str, seed: int = 0, taste: Taste = Taste()) -> Dataset:
    """The stand-in of the published set `name`; one seed, one set. Raises DataError for a name without a shape."""
    if name not in SHAPES:
        raise DataError(f"there is no stand-in of {name!r}, only of {', '.join(SHAPES)}")
    return generate(name, SHAPES[name], seed, taste)


def generate(name: str, shape: Shape, seed: int = 0, taste: Taste = Taste()) -> Dataset:
    """A data set with exactly this shape's counts."""
    rng = np.random.default_rng([seed, VERSION])
    active, out, into = _user_degrees(shape, rng)
    topics = max(8, shape.users // taste.users_per_topic)
    main = rng.integers(topics, size=shape.users)
    follower, followee = _links(shape, out, into, main, taste, rng)
    place = _places(active, main, topics, follower, followee, taste, rng)
    user = np.repeat(np.arange(shape.users), active)[np.argsort(place, kind="stable")]
    popularity = rng.permutation(degrees(shape.item, shape.idle[1], shape.items, shape.pairs, rng))
    user, item = _distinct(user, _item_ends(popularity, taste.users_per_topic, rng), rng)
    order = rng.permutation(len(user))
    pairs = interactions(user[order], item[order], _values(user[order], item[order], shape, rng))
    if shape.one_held_out:
        train, validation, test = leave_one_out(pairs, seed)
    elif shape.diffnet_split:
        train, validation, test = by_ratio(pairs, seed=seed)
    else:
        train, validation, test = _proportional(pairs, shape, rng)
    links = Links(follower.astype(np.int32), followee.astype(np.int32))
    source = (
        f"generated (version {VERSION}, seed {seed}): counts and degree shapes of {name}, planted taste and influence"
    )
    return Dataset(
        name=name,
        num_users=shape.users,
        num_items=shape.items,
        train=train,
        validation=validation,
        test=test,
        provenance=Provenance(kind="stand-in", source=source, licence="none needed: made by this program"),
        links=links,
        owners=owners(shape, pairs, links, rng) if shape.uploads else None,
    )


def _user_degrees(shape: Shape, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs, links out, links in of every user, correlated by rank as the shape says; i64[U] each."""
    n = degrees(shape.user, shape.idle[0], shape.users, shape.pairs, rng)
    if shape.diffnet_split:
        n = np.sort(fit_split(n, shape, rng))
    activity, social, own = rng.normal(size=(3, shape.users))
    social = shape.social * activity + np.sqrt(1 - shape.social**2) * social
    inward = shape.mutual * social + np.sqrt(1 - shape.mutual**2) * own
    out, into = (
        degrees(table, idle, shape.users, shape.links, rng)
        for table, idle in ((shape.out, shape.idle[2]), (shape.into, shape.idle[3]))
    )
    rank = lambda score: np.argsort(np.argsort(score))  # noqa: E731
    out, into = out[rank(social)], into[rank(inward)]
    # Too many without any link: some get the few followers of somebody who follows others.
    alone = rng.permutation(np.flatnonzero((out == 0) & (into == 0)))[shape.isolated :]
    linked = rng.permutation(np.flatnonzero((out > 0) & (into > 0)))
    givers = linked[np.argsort(into[linked], kind="stable")][: len(alone)]
    into[alone[: len(givers)]], into[givers] = into[givers], 0
    return n[rank(activity)], out, into


def _links(shape: Shape, out, into, main, taste: Taste, rng) -> tuple[np.ndarray, np.ndarray]:
    """(follower, followee) i64[E]: `reciprocated` lines in both directions, the rest in one."""
    one_way = shape.links - shape.reciprocated // 2
    follower, followee = (_ends(degree, one_way, rng) for degree in (out, into))
    wanted = np.where(rng.random(one_way) < taste.homophily, main[follower], rng.integers(main.max() + 1, size=one_way))
    # Ends of one topic are joined as far as both sides have some; what is left over is joined at random.
    follower, wanted = (column[np.argsort(wanted, kind="stable")] for column in (follower, wanted))
    followee = followee[np.argsort(main[followee], kind="stable")]
    demand, supply = _rank_in_group(wanted), _rank_in_group(main[followee])
    size = np.minimum(*(np.bincount(group, minlength=main.max() + 1) for group in (wanted, main[followee])))
    a, b = demand < size[wanted], supply < size[main[followee]]
    follower = np.concatenate([follower[a], follower[~a]])
    followee = np.concatenate([followee[b], followee[~b]])
    follower, followee = _distinct(follower, followee, rng, undirected=True)
    back = rng.permutation(one_way)[: shape.reciprocated // 2]
    return np.concatenate([follower, followee[back]]), np.concatenate([followee, follower[back]])


def _ends(degree, number: int, rng) -> np.ndarray:
    """i64[number]: nodes, each at most as often as its degree says, and at least once if that is not 0."""
    node = np.repeat(np.arange(len(degree)), degree)
    return node[np.lexsort((rng.random(len(node)), _rank_in_group(node) > 0))[:number]]


def _places(active, main, topics: int, follower, followee, taste: Taste, rng) -> np.ndarray:
    """f64[N]: the position of each pair of each user on the line of topics."""
    owner = np.repeat(np.arange(len(active)), active)
    second = rng.integers(topics, size=len(active))
    draw = rng.random(len(owner))
    topic = np.where(draw < taste.main, main[owner], rng.integers(topics, size=len(owner)))
    topic = np.where((draw >= taste.main) & (draw < taste.main + taste.second), second[owner], topic)
    position = topic + rng.random(len(owner))
    # A copied pair has the position of a random pair of a random followee; the item there is mostly the same.
    graph = follower[np.argsort(follower, kind="stable")], followee[np.argsort(follower, kind="stable")]
    first, number = np.searchsorted(graph[0], np.arange(len(active))), np.bincount(follower, minlength=len(active))
    start = np.cumsum(active) - active
    friend = graph[1][
        np.minimum(first[owner] + (rng.random(len(owner)) * number[owner]).astype(int), len(follower) - 1)
    ]
    copies = (rng.random(len(owner)) < taste.copied) & (number[owner] > 0) & (active[friend] > 0)
    copied = np.minimum(start[friend] + (rng.random(len(owner)) * active[friend]).astype(int), len(owner) - 1)
    return np.where(copies, position[copied], position)


def _item_ends(popularity, reach: int, rng) -> np.ndarray:
    """i64[N]: every item as often as its degree, at its position on the line; what exceeds `reach` goes anywhere.

    An item that most users take cannot belong to one topic.
    """
    item = np.repeat(np.arange(len(popularity)), popularity)
    place = np.repeat(rng.random(len(popularity)), popularity)
    stays = rng.random(len(item)) < reach / 3 / np.maximum(popularity[item], reach / 3)
    return item[np.argsort(np.where(stays, place, rng.random(len(item))), kind="stable")]


def _distinct(a, b, rng, undirected: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Exchanges ends `b` of pairs (a, b), near ones first, until no pair occurs twice; undirected: nor a self link."""
    b, size = b.copy(), int(max(a.max(), b.max())) + 1

    def keys(x, y):
        return np.minimum(x, y) * size + np.maximum(x, y) if undirected else x * size + y

    for attempt in range(400):
        have = keys(a, b)
        order = np.argsort(have, kind="stable")
        bad = np.zeros(len(a), bool)
        known = have[order]
        bad[order[1:]] = known[1:] == known[:-1]
        if undirected:
            bad |= a == b
        rows = rng.permutation(np.flatnonzero(bad))
        if not len(rows):
            return a, b
        rows = np.tile(rows, 1 + 2000 // len(rows))  # the last few need many proposals
        reach = min(len(a), 32 << attempt) if attempt < 20 else len(a)
        other = (rows + rng.integers(-reach, reach + 1, size=len(rows))) % len(a)
        proposed = np.stack([keys(a[rows], b[other]), keys(a[other], b[rows])])
        taken = known[np.minimum(np.searchsorted(known, proposed), len(known) - 1)] == proposed
        fine = ~taken.any(0) & (proposed[0] != proposed[1])
        if undirected:
            fine &= (a[rows] != b[other]) & (a[other] != b[rows])
        fine[fine] = _first_use(np.stack([rows[fine], other[fine]])) & _first_use(proposed[:, fine])
        rows, other = rows[fine], other[fine]
        b[rows], b[other] = b[other], b[rows]
    raise DataError(f"{len(rows)} pairs still stand twice: these degrees leave too little room")


def _first_use(columns: np.ndarray) -> np.ndarray:
    """bool[N]: no entry of column n of [2, N] occurs in an earlier column, nor twice in it."""
    flat = columns.T.reshape(-1)
    first = np.zeros(len(flat), bool)
    first[np.unique(flat, return_index=True)[1]] = True
    return first.reshape(-1, 2).all(1)


def _rank_in_group(group: np.ndarray) -> np.ndarray:
    """Rank of each entry among its equals in a sorted array."""
    return np.arange(len(group)) - np.searchsorted(group, group)


def _values(user, item, shape: Shape, rng) -> np.ndarray | None:
    """f32[N] with the shape's spread: high where the item is good, the user generous, or by chance; None for none."""
    if not shape.values:
        return None
    good, generous = rng.normal(size=shape.items)[item], rng.normal(size=shape.users)[user]
    rank = np.argsort(np.argsort(good + generous + rng.normal(size=len(user))))
    return np.array(shape.values, np.float32)[rank * len(shape.values) // len(user)]


def _proportional(pairs: Interactions, shape: Shape, rng) -> tuple[Interactions, Interactions, Interactions]:
    """Every k-th pair, user after user: each user gives a share, and the parts have exactly the shape's sizes."""
    order = np.argsort(pairs.user, kind="stable")
    held = shape.validation + shape.test
    stops = ((np.arange(held) + rng.random()) * len(pairs) / held).astype(int) % len(pairs)
    is_test = np.zeros(held, bool)
    is_test[((np.arange(shape.test) + 0.5) * held / shape.test).astype(int)] = True
    parts = np.full(len(pairs), 0)
    parts[order[stops]] = np.where(is_test, 2, 1)
    return tuple(pairs.take(parts == part) for part in range(3))
