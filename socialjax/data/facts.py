"""Facts of a social data set that say whether it is the one the papers used: `facts(data)` beside `FACTS[name]`.

Computed once from the released files; `python -m socialjax data check yelp flickr yelp_hin` compares.
"""

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from socialjax.data.schema import PARTS, Dataset, counts, pair_keys
from socialjax.graph import Edges, edges, in_degree, out_degree, symmetrise

GROUP_BOUNDS = (0, 8, 16, 32, 64)  # half-open, the last without end
SOCIAL_BOUNDS = (0, 4, 8, 16, 32, 64)

FACTS: dict[str, dict[str, object]] = {
    "yelp": {
        "users": 17_237,
        "items": 38_342,
        "train": 185_869,
        "validation": 3_497,
        "test": 18_579,
        "links": 143_765,
        "all pairs": 207_945,
        "pairs in two parts": 0,
        "duplicate pairs": 0,
        "users as DiffNet splits, %": 100.0,
        "users in train": 17_235,
        "users in validation": 2_402,
        "users in test": 10_622,
        "validation users not in test": 0,
        "test users not in train": 0,
        "users without rating": 2,
        "items without rating": 964,
        "items in train": 36_443,
        "items with one train pair": 9_025,
        "cold test pairs": 877,
        "train items per user": (7, 10.8, 343),
        "train users per item": (3, 4.8, 187),
        "test items per user": (1, 1.75, 40),
        "users with one test item": 6_301,
        "users with over 10 test items": 43,
        "duplicate links": 0,
        "self links": 0,
        "reciprocated links": 28_516,
        "undirected links": 129_507,
        "symmetrised entries": 259_014,
        "users without links": 0,
        "users without outgoing": 1_829,
        "users without incoming": 1_685,
        "social degree": (5, 15.0, 715),
        "users of social degree 1": 2_572,
        "components": 48,
        "largest component": 17_138,
        "test pairs friends had, %": 17.3,
        "users by train items": (9_422, 4_938, 2_162, 585, 130),
        "test users by train items": (2_807, 4_938, 2_162, 585, 130),
        "users by social degree": (6_377, 3_996, 2_976, 1_946, 1_154, 788),
        "test users by social degree": (2_859, 2_452, 2_154, 1_548, 931, 678),
    },
    "flickr": {
        "users": 8_358,
        "items": 82_120,
        "train": 282_444,
        "validation": 13_006,
        "test": 32_365,
        "links": 187_273,
        "all pairs": 327_815,
        "pairs in two parts": 0,
        "duplicate pairs": 0,
        "users as DiffNet splits, %": 100.0,
        "users in train": 8_252,
        "users in validation": 3_703,
        "users in test": 6_111,
        "validation users not in test": 0,
        "test users not in train": 0,
        "users without rating": 106,
        "items without rating": 0,
        "items in train": 78_358,
        "items with one train pair": 26_492,
        "cold test pairs": 2_961,
        "train items per user": (14, 33.8, 1_487),
        "train users per item": (2, 3.4, 114),
        "test items per user": (2, 5.30, 175),
        "users with one test item": 1_490,
        "users with over 10 test items": 707,
        "duplicate links": 0,
        "self links": 0,
        "reciprocated links": 21_594,
        "undirected links": 176_476,
        "symmetrised entries": 352_952,
        "users without links": 0,
        "users without outgoing": 0,
        "users without incoming": 213,
        "social degree": (33, 42.2, 1_320),
        "users of social degree 1": 9,
        "test pairs friends had, %": 19.6,
        "users by train items": (2_750, 1_647, 1_675, 1_192, 1_094),
        "test users by train items": (503, 1_647, 1_675, 1_192, 1_094),
    },
    "yelp_hin": {  # split by seed 0; sizes of parts and users in them are those of any seed
        "users": 16_239,
        "items": 14_284,
        "train": 119_055,
        "validation": 3_383,
        "test": 11_738,
        "links": 158_590,
        "all pairs": 134_176,
        "pairs in two parts": 0,
        "duplicate pairs": 0,
        "users as DiffNet splits, %": 100.0,
        "users in train": 14_230,
        "users in validation": 1_645,
        "users in test": 4_529,
        "validation users not in test": 0,
        "test users not in train": 0,
        "users without rating": 2_009,
        "items without rating": 1_546,
        "items in train": 12_346,
        "items with one train pair": 3_455,
        "cold test pairs": 337,
        "train items per user": (2, 7.3, 420),
        "train users per item": (2, 8.3, 473),
        "test items per user": (2, 2.59, 49),
        "users with one test item": 1_956,
        "users with over 10 test items": 107,
        "duplicate links": 0,
        "self links": 0,
        "reciprocated links": 158_590,
        "undirected links": 79_295,
        "symmetrised entries": 158_590,
        "users without links": 5_659,
        "users without outgoing": 5_659,
        "users without incoming": 5_659,
        "social degree": (1, 9.8, 1_391),
        "users of social degree 1": 2_497,
        "components": 5_769,
        "largest component": 10_354,
        "test pairs friends had, %": 40.9,
        "users by train items": (12_376, 1_993, 1_113, 506, 251),
        "test users by train items": (666, 1_993, 1_113, 506, 251),
        "users by social degree": (10_610, 2_037, 1_551, 984, 560, 497),
        "test users by social degree": (1_947, 718, 683, 517, 323, 341),
    },
    "hasc_fs": {
        "users": 4_418,
        "items": 31_460,
        "train": 752_948,
        "validation": 4_418,
        "test": 4_418,
        "links": 184_990,
        "all pairs": 761_784,
        "pairs in two parts": 0,
        "duplicate pairs": 0,
        "users as DiffNet splits, %": 0.0,
        "users in train": 4_418,
        "users in validation": 4_418,
        "users in test": 4_418,
        "validation users not in test": 0,
        "test users not in train": 0,
        "users without rating": 0,
        "items without rating": 0,
        "items in train": 31_460,
        "items with one train pair": 0,
        "cold test pairs": 0,
        "train items per user": (75, 170.4, 5_343),
        "train users per item": (18, 23.9, 440),
        "test items per user": (1, 1.0, 1),
        "users with one test item": 4_418,
        "users with over 10 test items": 0,
        "users by train items": (0, 429, 677, 878, 2_434),
        "test users by train items": (0, 429, 677, 878, 2_434),
        "duplicate links": 0,
        "self links": 0,
        "reciprocated links": 42_150,
        "undirected links": 163_915,
        "symmetrised entries": 327_830,
        "users without links": 0,
        "users without outgoing": 0,
        "users without incoming": 36,
        "social degree": (59, 74.2, 1_555),
        "users of social degree 1": 0,
        "components": 1,
        "largest component": 4_418,
        "test pairs friends had, %": 66.4,
        "users by social degree": (0, 9, 124, 621, 1_692, 1_972),
        "test users by social degree": (0, 9, 124, 621, 1_692, 1_972),
        "items without owner": 0,
        "users without uploads": 0,
        "uploads per user": (3, 7.1, 279),
        "pairs on own items": 0,
        "pairs on items of followees, %": 24.6,
    },
    "tiktok": {
        "users": 9_308,
        "items": 6_710,
        "train": 59_541,
        "validation": 3_051,
        "test": 6_130,
        "links": 0,
        "all pairs": 68_722,
        "pairs in two parts": 0,
        "duplicate pairs": 0,
        "users as DiffNet splits, %": 1.35,
        "users in train": 9_298,
        "users in validation": 3_051,
        "users in test": 6_130,
        "validation users not in test": 3_051,
        "test users not in train": 5,
        "users without rating": 0,
        "items without rating": 0,
        "items in train": 6_245,
        "items with one train pair": 1_733,
        "cold test pairs": 449,
        "train items per user": (2, 6.4, 603),
        "train users per item": (3, 8.9, 315),
        "test items per user": (1, 1.0, 1),
        "users with one test item": 6_130,
        "users with over 10 test items": 0,
        "users by train items": (9_205, 0, 0, 0, 103),
        "test users by train items": (6_061, 0, 0, 0, 69),
    },
}


def facts(data: Dataset) -> dict[str, object]:
    """Every figure of `FACTS`; triples are median, mean and maximum over all ids (over test users for test)."""
    keys = {part: pair_keys(pairs, data.num_items) for part, pairs in data.parts().items()}
    every = np.concatenate(list(keys.values()))
    distinct = sum(len(np.unique(part)) for part in keys.values())
    user = {part: np.bincount(pairs.user, minlength=data.num_users) for part, pairs in data.parts().items()}
    item = {part: np.bincount(pairs.item, minlength=data.num_items) for part, pairs in data.parts().items()}
    found: dict[str, object] = {
        **counts(data),
        "all pairs": len(every),
        "pairs in two parts": distinct - len(np.unique(every)),
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
        found |= _link_facts(data, user["test"] > 0)
    return found if data.owners is None else found | owner_facts(data)


def _link_facts(data: Dataset, is_tested: np.ndarray) -> dict[str, object]:
    links = edges(data.links.followee, data.links.follower, data.num_users, data.num_users)
    both = symmetrise(links)
    degree = in_degree(both)
    sent = np.unique(links.senders.astype(np.int64) * data.num_users + links.receivers)
    turned = links.receivers.astype(np.int64) * data.num_users + links.senders
    friends = _matrix(both)
    components, label = connected_components(friends, directed=False)
    return {
        "duplicate links": len(links) - len(sent),
        "self links": _number(links.senders == links.receivers),
        "reciprocated links": _number(np.isin(turned, sent)),
        "undirected links": len(both) // 2,
        "symmetrised entries": len(both),
        "users without links": _number(degree == 0),
        "users without outgoing": _number(in_degree(links) == 0),  # to follow is to hear: the follower receives
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
    found: dict[str, object] = {
        "items without owner": _number(data.owners < 0),
        "users without uploads": _number(uploads == 0),
        "uploads per user": _summary(uploads, 1),
        "pairs on own items": _number(owner == user),
    }
    if data.links is None:
        return found
    follows = np.unique(data.links.follower.astype(np.int64) * data.num_users + data.links.followee)
    followed = (owner >= 0) & np.isin(user.astype(np.int64) * data.num_users + owner, follows)
    return found | {"pairs on items of followees, %": round(100.0 * float(followed.mean()), 1)}


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
