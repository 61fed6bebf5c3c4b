"""Synthetic worlds with a known answer: a correct model must find it, a broken one cannot."""

import dataclasses

import numpy as np

from socialjax.data.schema import Dataset, Interactions, Links, Provenance, interactions

SPEAKER, RELAY, LISTENER = 0, 1, 2  # roles: users with a history; silent users between them and others; silent users


@dataclasses.dataclass(frozen=True)
class World:
    """A data set with the truth that was planted in it.

    Relays (silent users between other silent users and the speakers) have no held-out pairs: metrics on `silent` in the
    two-hop world are over users who are two links away from anyone with a history.

    Attributes:
        data: the data set.
        silent: bool[U], users with at most two training interactions.
        topic: i32[U], the topic that a user likes.
        item_topic: i32[I], the topic of each item.
    """

    data: Dataset
    silent: np.ndarray
    topic: np.ndarray
    item_topic: np.ndarray


def checkerboard(num_users: int = 60, num_items: int = 40, seed: int = 0, links: int = 0) -> Dataset:
    """Even users like even items, odd users odd items; of each user's pairs a tenth is validation, a tenth test.

    Args:
        num_users: how many.
        num_items: how many, at least 6.
        seed: of all random numbers.
        links: users of the same parity that each user follows; 0 leaves the data set without links.

    Returns:
        The data set.

    Raises:
        ValueError: a user would be left without a pair in one of the parts, or without enough users to follow.
    """
    if num_users < 2 * (links + 1) or num_items < 6:
        raise ValueError(
            f"a checkerboard needs at least {2 * (links + 1)} users for {links} links each, and 6 items, "
            f"got {num_users} users and {num_items} items; make it larger"
        )
    rng = np.random.default_rng(seed)
    parts: tuple[list, list, list] = ([], [], [])
    for user in range(num_users):
        liked = rng.permutation(np.arange(user % 2, num_items, 2))
        held = max(1, len(liked) // 10)
        for rows, chosen in zip(parts, np.split(liked, [len(liked) - 2 * held, len(liked) - held])):
            rows.extend((user, item) for item in chosen)
    follows = [
        (user, followee)
        for user in range(num_users)
        for followee in rng.choice(np.setdiff1d(np.arange(user % 2, num_users, 2), [user]), links, replace=False)
    ]
    titles = [f"{'even' if item % 2 == 0 else 'odd'} item {item}" for item in range(num_items)]
    return _dataset("checkerboard", num_users, num_items, parts, follows if links else None, titles)


def influence(
    seed: int = 0,
    two_hop: bool = False,
    rewired: bool = False,
    num_users: int = 1200,
    num_items: int = 800,
    num_topics: int = 16,
    history: int = 16,
    links: int = 8,
    loyalty: float = 0.9,
    own_taste: float = 0.2,
) -> World:
    """Two thirds of the users are silent: their taste can be inferred from those they follow, not from their history.

    Speakers take `history` items, nine in ten of their own topic. Silent users take none to two, of their topic with
    probability `own_taste`, else whatever is popular; their held-out items (two for validation, four for test) are
    all of their topic. Every user follows `links` others, of the same topic with probability `loyalty`.

    Args:
        seed: of all random numbers.
        two_hop: a quarter of the silent users are relays, who take nothing and follow speakers; the other silent users
            follow relays only, so that speakers are exactly two links away. Otherwise everyone follows speakers.
        rewired: a control: followees are shuffled over all links; every user keeps both degrees, and links carry no
            information any more.
        num_users: how many.
        num_items: how many.
        num_topics: how many.
        history: items of a speaker, validation and test included.
        links: users that each user follows.
        loyalty: probability that a followee has the follower's topic.
        own_taste: probability that a silent user's training item is of their topic.

    Returns:
        The world.

    Raises:
        ValueError: too few users or items for these numbers.
    """
    rng = np.random.default_rng(seed)
    speakers_a_topic = num_users // num_topics // 3
    relays_a_topic = num_users // num_topics // 6
    if relays_a_topic <= links or num_items // num_topics < 10 or history < 3:
        raise ValueError(
            f"a topic needs more than {links} relays, 10 items and a history of 3, got {relays_a_topic} relays, "
            f"{num_items // num_topics} items, history {history}; take more users or items, or fewer topics or links"
        )
    topic = rng.permutation(np.arange(num_users, dtype=np.int32) % num_topics)
    item_topic = rng.permutation(np.arange(num_items, dtype=np.int32) % num_topics)
    role = np.full(num_users, LISTENER)
    for members in (rng.permutation(np.flatnonzero(topic == t)) for t in range(num_topics)):
        role[members[:speakers_a_topic]] = SPEAKER
        if two_hop:
            role[members[speakers_a_topic : speakers_a_topic + relays_a_topic]] = RELAY

    appeal = _appeal(item_topic, rng)

    def draw(count, allowed):
        return rng.choice(num_items, count, replace=False, p=allowed * appeal / (allowed * appeal).sum())

    def take(user, count, taste):
        """`count` different items, each of the user's topic with probability `taste`, else any."""
        own_topic = item_topic == topic[user]
        liked = draw(rng.binomial(count, taste), own_topic)
        return np.concatenate([liked, draw(count - len(liked), ~np.isin(np.arange(num_items), liked))])

    parts: tuple[list, list, list] = ([], [], [])
    for user in range(num_users):
        if role[user] == SPEAKER:
            taken = rng.permutation(take(user, history, 0.9))
            chosen = taken[2:], taken[:1], taken[1:2]
        elif role[user] == LISTENER:
            taken = take(user, rng.integers(0, 3), own_taste)
            held = draw(6, (item_topic == topic[user]) & ~np.isin(np.arange(num_items), taken))
            chosen = taken, held[:2], held[2:]
        else:
            continue
        for rows, items in zip(parts, chosen):
            rows.extend((user, item) for item in items)

    follows = _follows(topic, role, two_hop, links, loyalty, rng)
    if rewired:
        follows = rewire(follows, rng)

    name = f"influence{'-two-hop' if two_hop else ''}{'-rewired' if rewired else ''}"
    titles = [f"topic {t}, item {item}" for item, t in enumerate(item_topic)]
    data = _dataset(name, num_users, num_items, parts, follows, titles)
    return World(data, role != SPEAKER, topic, item_topic)


def _appeal(item_topic, rng) -> np.ndarray:
    """f64[I]: equally skewed inside every topic, so that popularity is a baseline worth beating."""
    appeal = np.empty(len(item_topic))
    for t in range(item_topic.max() + 1):
        members = np.flatnonzero(item_topic == t)
        appeal[members] = rng.permutation(1.0 / np.sqrt(1.0 + np.arange(len(members))))
    return appeal


def _follows(topic, role, two_hop, links, loyalty, rng) -> np.ndarray:
    """i64[U * links, 2] of (follower, followee): speakers, or for listeners of the two-hop world relays."""
    rows = []
    for user in range(len(topic)):
        allowed = role == (RELAY if two_hop and role[user] == LISTENER else SPEAKER)
        allowed[user] = False
        same = allowed & (topic == topic[user])
        loyal = rng.binomial(links, loyalty)
        rows.extend((user, followee) for followee in rng.choice(np.flatnonzero(same), loyal, replace=False))
        rows.extend(
            (user, other) for other in rng.choice(np.flatnonzero(allowed & ~same), links - loyal, replace=False)
        )
    return np.array(rows)


def rewire(follows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shuffles followees over links: same degrees, no self links, no duplicate links.

    Args:
        follows: i[E, 2], (follower, followee).
        rng: source of randomness.

    Returns:
        i[E, 2], the rewired links.

    Raises:
        ValueError: the graph is too dense.
    """
    follower, followee = follows[:, 0], rng.permutation(follows[:, 1])
    for _ in range(1000):
        _, first = np.unique(follower.astype(np.int64) * (follows.max() + 1) + followee, return_index=True)
        wrong = np.union1d(np.setdiff1d(np.arange(len(follower)), first), np.flatnonzero(follower == followee))
        if not len(wrong):
            return np.stack([follower, followee], axis=1)
        # A swap of followees between two links keeps every degree; the next round checks whether it helped.
        for row, other in zip(wrong, rng.integers(len(follower), size=len(wrong))):
            followee[[row, other]] = followee[[other, row]]
    raise ValueError(f"{len(follows)} links cannot be rewired without repeats; the graph is too dense")


def _dataset(name, num_users, num_items, parts, follows, titles) -> Dataset:
    """Rows (user, item) of the three parts and rows (follower, followee), or None, as a Dataset with sorted rows."""

    def columns(rows) -> Interactions:
        rows = np.array(rows)
        rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
        return interactions(rows[:, 0], rows[:, 1])

    return Dataset(
        name=name,
        num_users=num_users,
        num_items=num_items,
        train=columns(parts[0]),
        validation=columns(parts[1]),
        test=columns(parts[2]),
        provenance=Provenance("planted", f"socialjax.worlds.planted, {name}", "Apache-2.0"),
        links=None if follows is None else Links(*np.array(follows, np.int32).T.copy()),
        item_titles=np.array(titles),
    )
