"""Figures that identify a social data set as the one the papers used.

Those of the released files were computed once and are kept with each set in `data/sets`;
`python -m socialjax data check yelp flickr yelp_hin` compares them with `facts(data)`.
"""

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from socialjax.data.schema import PARTS, Dataset, counts, pair_keys
from socialjax.graph import Edges, edges, in_degree, isin_ints, out_degree, symmetrise, unique_ints

GROUP_BOUNDS = (0, 8, 16, 32, 64)  # half-open, the last without end
SOCIAL_BOUNDS = (0, 4, 8, 16, 32, 64)


def facts(data: Dataset) -> dict[str, object]:
    """All figures by name; triples are median, mean and maximum over all ids (over test users for test)."""
    keys = {part: pair_keys(pairs, data.num_items) for part, pairs in data.parts().items()}
    every = np.concatenate(list(keys.values()))
    distinct = sum(len(unique_ints(part)) for part in keys.values())
    user = {part: np.bincount(pairs.user, minlength=data.num_users) for part, pairs in data.parts().items()}
    item = {part: np.bincount(pairs.item, minlength=data.num_items) for part, pairs in data.parts().items()}
    figures: dict[str, object] = {
        **counts(data),
        "all pairs": len(every),
        "pairs in two parts": distinct - len(unique_ints(every)),
        "duplicate pairs": len(every) - distinct,
        "users as DiffNet splits, %": _split_rule_share(user),
        **{f"users in {part}": _number(user[part] > 0) for part in PARTS},
        "validation users not in test": _number((user["validation"] > 0) & (user["test"] == 0)),
        "test users not in train": _number((user["test"] > 0) & (user["train"] == 0)),
        "users without rating": _number(sum(user.values()) == 0),
        "items without rating": _number(sum(item.values()) == 0),
        "items in train": _number(item["train"] > 0),
        "items with one train pair": _number(item["train"] == 1),
        "cold test pairs": _number(item["train"][data.test.item] == 0),
        "train items per user": _summary(user["train"], 1),
        "train users per item": _summary(item["train"], 1),
        "test items per user": _summary(user["test"][user["test"] > 0], 2),
        "users with one test item": _number(user["test"] == 1),
        "users with over 10 test items": _number(user["test"] > 10),
        "users by train items": _groups(user["train"], GROUP_BOUNDS),
        "test users by train items": _groups(user["train"][user["test"] > 0], GROUP_BOUNDS),
    }
    if data.links is not None:
        figures |= _link_facts(data, user["test"] > 0)
    return figures if data.owners is None else figures | owner_facts(data)


def _link_facts(data: Dataset, is_tested: np.ndarray) -> dict[str, object]:
    links = edges(data.links.followee, data.links.follower, data.num_users, data.num_users)
    both = symmetrise(links)
    degree = in_degree(both)
    sent = unique_ints(links.senders.astype(np.int64) * data.num_users + links.receivers)
    turned = links.receivers.astype(np.int64) * data.num_users + links.senders
    friends = _matrix(both)
    components, label = connected_components(friends, directed=False)
    return {
        "duplicate links": len(links) - len(sent),
        "self links": _number(links.senders == links.receivers),
        "reciprocated links": _number(isin_ints(turned, sent)),
        "undirected links": len(both) // 2,
        "symmetrised entries": len(both),
        "users without links": _number(degree == 0),
        "users without outgoing": _number(in_degree(links) == 0),  # messages go from followee to follower
        "users without incoming": _number(out_degree(links) == 0),
        "social degree": _summary(degree, 1),
        "users of social degree 1": _number(degree == 1),
        "components": int(components),
        "largest component": int(np.bincount(label).max()),
        "test pairs friends had, %": _friends_share(data, friends),
        "users by social degree": _groups(degree, SOCIAL_BOUNDS),
        "test users by social degree": _groups(degree[is_tested], SOCIAL_BOUNDS),
    }


def owner_facts(data: Dataset) -> dict[str, object]:
    """The figures of `facts` about who made which item. `data.owners` must be there."""
    uploads = np.bincount(data.owners[data.owners >= 0], minlength=data.num_users)
    user, item = (np.concatenate([getattr(part, c) for part in data.parts().values()]) for c in ("user", "item"))
    owner = data.owners[item]
    figures: dict[str, object] = {
        "items without owner": _number(data.owners < 0),
        "users without uploads": _number(uploads == 0),
        "uploads per user": _summary(uploads, 1),
        "pairs on own items": _number(owner == user),
    }
    if data.links is None:
        return figures
    follows = unique_ints(data.links.follower.astype(np.int64) * data.num_users + data.links.followee)
    followed = (owner >= 0) & isin_ints(user.astype(np.int64) * data.num_users + owner, follows)
    return figures | {"pairs on items of followees, %": round(100.0 * float(followed.mean()), 1)}


def _split_rule_share(user: dict[str, np.ndarray]) -> float:
    """Share of users with floor(.05 n) validation and floor(.15 n) - floor(.05 n) test pairs, n being all of theirs."""
    n = sum(user.values())
    fits = (user["validation"] == n * 5 // 100) & (user["test"] == n * 15 // 100 - n * 5 // 100)
    return round(100.0 * float(fits.mean()), 2)


def _friends_share(data: Dataset, friends: sparse.csr_matrix) -> float:
    """Share of test pairs whose item some direct friend, in either direction, has in train."""
    if not len(data.test):
        return 0.0
    ones = np.ones(len(data.train), np.float32)
    train = sparse.csr_matrix((ones, (data.train.user, data.train.item)), (data.num_users, data.num_items))
    shared = friends[data.test.user].multiply(train.T.tocsr()[data.test.item])  # friends who had the item, pair by pair
    return round(100.0 * float((shared.getnnz(axis=1) > 0).mean()), 1)


def _matrix(graph: Edges) -> sparse.csr_matrix:
    return sparse.csr_matrix((graph.weight, (graph.receivers, graph.senders)), (graph.num_receivers, graph.num_senders))


def _summary(count: np.ndarray, digits: int) -> tuple[int | float, float, int]:
    """(median, mean, maximum)."""
    if not len(count):
        return 0, 0.0, 0
    median = float(np.median(count))
    return int(median) if median.is_integer() else median, round(float(count.mean()), digits), int(count.max())


def _groups(count: np.ndarray, bounds: tuple[int, ...]) -> tuple[int, ...]:
    """How many values lie in [bounds[0], bounds[1]), ..., [bounds[-1], infinity)."""
    place = np.searchsorted(bounds, count, side="right") - 1
    return tuple(np.bincount(place, minlength=len(bounds)).tolist())


def _number(claim: np.ndarray) -> int:
    return int(np.count_nonzero(claim))
