"""A synthetic world of images, owners and follows, in which it is known why users favour images (docs/hasc.md)."""

import dataclasses

import numpy as np

from socialjax.data.schema import Dataset, Links, Provenance, taken_by_row

UPLOADS, SOCIAL, OWNERS = 0, 1, 2


@dataclasses.dataclass(frozen=True)
class AspectWorld:
    """A data set with the truth that was planted in it.

    In a shuffled world `group`, `informative` and `hub` are what the features encode, and carry no information.

    Attributes:
        data: the data set.
        group: i32[U], the one aspect that decides a user's favourites: UPLOADS, SOCIAL or OWNERS.
        informative: bool[I], uploads that show their owner's taste.
        hub: bool[U], users that others follow for their topic.
        celebrity: bool[U], users whose images are favoured by the group OWNERS.
        topic: i32[I], of each image.
        taste: i32[U], the topic of a user's informative uploads.
        hub_topic: i32[U], the topic of the two hubs that a user follows.
    """

    data: Dataset
    group: np.ndarray
    informative: np.ndarray
    hub: np.ndarray
    celebrity: np.ndarray
    topic: np.ndarray
    taste: np.ndarray
    hub_topic: np.ndarray


def aspects(
    seed: int = 0,
    shuffled: bool = False,
    num_users: int = 600,
    uploads: int = 4,
    num_topics: int = 8,
    follows: int = 8,
    history: int = 10,
    rule: float = 0.9,
    width: int = 16,
    noise: float = 0.3,
) -> AspectWorld:
    """Each user favours `history` + 2 images, one for validation, one for test; with probability `rule` by their group.

    UPLOADS: images of the topic of the user's informative uploads, which are half of all uploads; the others are decoys
    of random topics. SOCIAL: images of the topic of the two hubs that the user follows; the other followees are no
    hubs. OWNERS: images made by one of the celebrities, a fifteenth of the users. Otherwise any image; never one of
    their own. A tenth of the users are hubs, whose topic is their taste. Taste, hub topic and group are independent.

    Features f32[., width], Gaussian noise added: of an image, a flag of informative uploads and the topic one-hot; of a
    user, the group one-hot; social, a flag of hubs.

    Args:
        seed: of all random numbers.
        shuffled: a control: favourites, owners and follows are the same, but the flag of each user's uploads, the flags
            of hubs and the groups are permuted, in the features and in what is returned, so that they carry no
            information. Each user keeps as many flagged uploads; of followees, a tenth is flagged, not 2 of `follows`.
        num_users: how many.
        uploads: images of each user.
        num_topics: how many.
        follows: users that each user follows.
        history: training favourites of each user.
        rule: probability that a favourite follows the user's group.
        width: columns of each feature table.
        noise: deviation of the noise on features.

    Returns:
        The world.

    Raises:
        ValueError: too few users, uploads or columns for these numbers.
    """
    num_hubs, num_celebrities = num_users // 10, max(1, num_users // 15)
    if num_hubs < 3 * num_topics or follows < 3 or uploads < 2 or width < num_topics + 1 or width < 3:
        raise ValueError(
            f"wanted 3 hubs a topic ({30 * num_topics} users), 3 follows, 2 uploads and {max(3, num_topics + 1)} "
            f"columns, got {num_users} users, {follows} follows, {uploads} uploads, {width} columns; raise them"
        )
    rng = np.random.default_rng([seed, 14])
    group = rng.permutation(np.arange(num_users, dtype=np.int32) % 3)
    hub, celebrity = (_random_flags(num_users, number, rng) for number in (num_hubs, num_celebrities))
    taste = rng.permutation(np.arange(num_users, dtype=np.int32) % num_topics)
    taste[hub] = np.arange(num_hubs, dtype=np.int32) % num_topics
    hub_topic = rng.permutation(np.arange(num_users, dtype=np.int32) % num_topics)

    num_items = num_users * uploads
    order = rng.permutation(num_items)  # so that an image's number does not reveal its owner
    owners = np.repeat(np.arange(num_users, dtype=np.int32), uploads)[order]
    informative = (np.arange(num_items) % uploads < uploads // 2)[order]
    topic = np.where(informative, taste[owners], rng.integers(num_topics, size=num_items)).astype(np.int32)

    wanted = (
        lambda user: topic == taste[user],
        lambda user: topic == hub_topic[user],
        lambda user: celebrity[owners],
    )
    favourites = np.empty((num_users, history + 2), np.int32)
    for user in range(num_users):
        foreign = owners != user
        count = rng.binomial(history + 2, rule)
        ruled = rng.choice(np.flatnonzero(wanted[group[user]](user) & foreign), count, replace=False)
        foreign[ruled] = False
        anything = rng.choice(np.flatnonzero(foreign), history + 2 - count, replace=False)
        favourites[user] = rng.permutation(np.concatenate([ruled, anything]))
    links = [_followees(user, hub_topic[user], taste, hub, follows, rng) for user in range(num_users)]

    noises = [rng.normal(0, noise, (number, width)) for number in (num_items, num_users, num_users)]
    if shuffled:
        other = np.random.default_rng([seed, 15])
        group, hub = other.permutation(group), other.permutation(hub)
        informative = _permuted_within(owners, informative, other)
    image = _columns([informative, *(topic == t for t in range(num_topics))], noises[0])
    profile = _columns([group == g for g in range(3)], noises[1])
    social = _columns([hub], noises[2])

    name = f"aspects{'-shuffled' if shuffled else ''}"
    everyone = np.arange(num_users)
    parts = (np.sort(favourites[:, :history]), favourites[:, history : history + 1], favourites[:, history + 1 :])
    train, validation, test = map(taken_by_row, parts)
    data = Dataset(
        name=name,
        num_users=num_users,
        num_items=num_items,
        train=train,
        validation=validation,
        test=test,
        provenance=Provenance("planted", f"socialjax.worlds.aspects, {name}", "Apache-2.0"),
        links=Links(np.repeat(everyone, follows).astype(np.int32), np.concatenate(links).astype(np.int32)),
        user_features=profile,
        item_features=image,
        owners=owners,
        social_features=social,
        item_titles=np.array([f"topic {t}, image {i} by user {o}" for i, (t, o) in enumerate(zip(topic, owners))]),
    )
    return AspectWorld(data, group, informative, hub, celebrity, topic, taste, hub_topic)


def _random_flags(size: int, number: int, rng) -> np.ndarray:
    """bool[size], `number` of them true."""
    return rng.permutation(np.arange(size) < number)


def _followees(user: int, hub_topic: int, taste, hub, follows: int, rng) -> np.ndarray:
    """i64[follows], sorted: two hubs of the topic `hub_topic` and others that are no hubs; never the user."""
    other = np.arange(len(hub)) != user
    hubs = rng.choice(np.flatnonzero(hub & (taste == hub_topic) & other), 2, replace=False)
    return np.sort(np.concatenate([hubs, rng.choice(np.flatnonzero(~hub & other), follows - 2, replace=False)]))


def _permuted_within(group: np.ndarray, flag: np.ndarray, rng) -> np.ndarray:
    """flag bool[N] permuted among the entries of each group i32[N]."""
    to, origin = np.argsort(group, kind="stable"), np.lexsort((rng.random(len(group)), group))
    permuted = np.empty_like(flag)
    permuted[to] = flag[origin]
    return permuted


def _columns(flags: list[np.ndarray], noise: np.ndarray) -> np.ndarray:
    """f32[N, width]: the flags as first columns, noise f64[N, width] on all."""
    noise[:, : len(flags)] += np.stack(flags, axis=1)
    return noise.astype(np.float32)
