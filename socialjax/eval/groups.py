"""Metrics of a part of users or items: by training interactions or friends, and AUC and NDCG of cold-start items."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from socialjax.contract import Model, State
from socialjax.data.schema import Dataset, Interactions, Links
from socialjax.eval import protocol, ranking
from socialjax.eval.metrics import Counts, Result, Rows, joined, per_user, rows_of
from socialjax.graph import unique_ints

BOUNDS = (0, 8, 16, 32, 64)  # half-open groups [0, 8), [8, 16), ..., [64, inf): DiffNet
FINE_BOUNDS = (0, 4, 8, 16, 32, 64)  # DiffNet++
ITEM_BOUNDS = (0, 1, 4, 16)  # [0, 1) are the cold items, without training pairs


def interaction_counts(data: Dataset) -> np.ndarray:
    """Training items of each user, i64[U]."""
    return rows_of([data.train], data.num_users, data.num_items).lengths()


def item_counts(data: Dataset) -> np.ndarray:
    """Users who took each item in train, i64[I]."""
    return np.bincount(rows_of([data.train], data.num_users, data.num_items).items, minlength=data.num_items)


def cold_items(data: Dataset, result: Result) -> Result:
    """A result on cold items alone: other positives are left out of the candidates, users without any left out."""
    return result.among(item_counts(data) == 0)


def social_degrees(links: Links, num_users: int) -> np.ndarray:
    """Friends of each user when every link counts in both directions, i64[U]."""
    a = np.concatenate([links.follower, links.followee]).astype(np.int64)
    b = np.concatenate([links.followee, links.follower]).astype(np.int64)
    return np.bincount(unique_ints(a[a != b] * num_users + b[a != b]) // num_users, minlength=num_users)


def labels(bounds: Sequence[int]) -> list[str]:
    """`[0, 8)`, ..., `[64, inf)`."""
    return [f"[{low}, {high})" for low, high in zip(bounds, (*bounds[1:], "inf"))]


def members(users: np.ndarray, counts: np.ndarray, bounds: Sequence[int] = BOUNDS) -> dict[str, np.ndarray]:
    """Which of the users are in each group.

    Args:
      users: i32[R].
      counts: i64[U], of all users.
      bounds: The smallest count of each group, ascending.

    Returns:
      Label -> bool[R].

    Raises:
      ValueError: for bounds that do not ascend, and where counts are missing for a user or below the first bound.
    """
    _check_bounds(bounds)
    if len(counts) <= users.max(initial=-1):
        raise ValueError(f"counts must cover user {users.max()}, got {len(counts)} of them; count all users")
    user_counts = np.asarray(counts)[users]
    if user_counts.min(initial=bounds[0]) < bounds[0]:
        raise ValueError(
            f"a count of {user_counts.min()} lies below the first bound {bounds[0]}; let the bounds start lower"
        )
    group = np.searchsorted(bounds, user_counts, side="right") - 1
    return {label: group == index for index, label in enumerate(labels(bounds))}


def by_group(result: Result, counts: np.ndarray, bounds: Sequence[int] = BOUNDS) -> dict[str, dict[str, float]]:
    """Mean metrics of groups of users.

    The mean is over the evaluated users of a group: DiffNet++'s code divides by all of them, which makes groups whose
    users have no test pair 0 by construction.

    Args:
      result: Of an evaluation.
      counts: i64[U], of all users.
      bounds: The smallest count of each group, ascending.

    Returns:
      Label -> {"users": number of evaluated users, metric: their mean}; an empty group has only {"users": 0}.

    Raises:
      ValueError: as `members`.
    """
    out = {}
    for label, is_member in members(result.users, counts, bounds).items():
        out[label] = {"users": int(is_member.sum())}
        if is_member.any():
            means = {name: float(values[is_member].mean(dtype=np.float64)) for name, values in result.per_user.items()}
            out[label].update(means)
    return out


def by_item_group(
    result: Result, counts: np.ndarray, bounds: Sequence[int] = ITEM_BOUNDS
) -> dict[str, dict[str, float]]:
    """Mean metrics of groups of items, whose candidates are the positives in the group and all negatives.

    Args:
      result: Of an evaluation, with positives.
      counts: i64[I], of all items.
      bounds: The smallest count of each group, ascending.

    Returns:
      Label -> {"users": users with a positive in the group, "pairs": these positives, metric: mean over these users};
      a group without positives has only {"users": 0, "pairs": 0}.

    Raises:
      ValueError: for bounds that do not ascend.
    """
    _check_bounds(bounds)
    counts, out = np.asarray(counts), {}
    for label, low, high in zip(labels(bounds), bounds, (*bounds[1:], np.inf)):
        group_result = result.among((counts >= low) & (counts < high))
        out[label] = {"users": len(group_result.users), "pairs": len(group_result.positives.items)}
        if len(group_result.users):
            out[label].update(group_result.mean())
    return out


def _check_bounds(bounds: Sequence[int]) -> None:
    if list(bounds) != sorted(set(bounds)) or not len(bounds):
        raise ValueError(f"bounds must ascend, such as 0 8 16, got {tuple(bounds)}")


COLD_BELOW = 5  # training pairs
ALL_UP_TO = 5000  # items: AUC against all of them; beyond, against a sample
K = 10


@dataclasses.dataclass(frozen=True)
class PairMetrics:
    """Metrics of each pair.

    Attributes:
      user: i32[P].
      item: i32[P].
      values: AUC and NDCG@10, f32[P] each.
      negatives: How many there were for each metric; None for all items that the user did not take.
    """

    user: np.ndarray
    item: np.ndarray
    values: dict[str, np.ndarray]
    negatives: dict[str, int | None]

    def mean(self) -> dict[str, float]:
        """The mean over pairs of each metric."""
        return {name: float(values.mean(dtype=np.float64)) for name, values in self.values.items()}


def cold_start_items(data: Dataset, below: int = COLD_BELOW) -> np.ndarray:
    """bool[I]: items with fewer than `below` training pairs. `groups.cold_items` are those without any."""
    return np.bincount(data.train.item, minlength=data.num_items) < below


def evaluate_pairs(
    model: Model,
    state: State,
    data: Dataset,
    pairs: Interactions,
    among: np.ndarray | None = None,
    taken: Sequence[Interactions] = (),
    auc_negatives: int = 1000,
    ndcg_negatives: int = 500,
    seed: int = 0,
) -> PairMetrics:
    """The metrics of each pair alone, by user and item.

    Args:
      model: The model.
      state: As `model.encode` gives it.
      data: The data set, whose pairs are no negatives.
      pairs: The pairs to evaluate.
      among: bool[I], the items negatives are drawn from; all by default.
      taken: Further pairs whose items are no negatives of their user.
      auc_negatives: Negatives of each user for AUC, where the catalogue has more than `ALL_UP_TO` items.
      ndcg_negatives: Negatives of each user for NDCG.
      seed: Seed of the negatives.

    Returns:
      Metrics of all pairs. Where a user has fewer negatives than asked for, all users get as few, and
      `PairMetrics.negatives` is that number.

    Raises:
      ValueError: without pairs and for a user who has no negative.
    """
    users, wanted, known, pool = _pool_of(data, pairs, among, taken)
    candidates = protocol.Candidates(protocol.parse("full", ks=(K,)), "test", data.num_items, users, wanted)
    if data.num_items <= ALL_UP_TO:
        against_all = dataclasses.replace(candidates, masked=pool.others(known))
    else:
        against_all = pool.sampled(candidates, auc_negatives, seed)
    against_some = pool.sampled(candidates, ndcg_negatives, seed + 1)
    values = {
        "AUC": _pair_metrics(model, state, against_all)["AUC"],
        f"NDCG@{K}": _pair_metrics(model, state, against_some)[f"NDCG@{K}"],
    }
    sizes = [None if each.negatives is None else each.negatives.shape[1] for each in (against_all, against_some)]
    return PairMetrics(users[wanted.owners()], wanted.items, values, dict(zip(values, sizes)))


def check_pairs(
    data: Dataset, pairs: Interactions, among: np.ndarray | None = None, taken: Sequence[Interactions] = ()
) -> None:
    """Raises the ValueError of `evaluate_pairs`, from counts: before anything is trained."""
    _pool_of(data, pairs, among, taken)


def _pool_of(data: Dataset, pairs: Interactions, among: np.ndarray | None, taken: Sequence[Interactions]):
    """The users of the pairs i32[U], their pairs' items, all items they took, and what negatives are drawn from."""
    if not len(pairs):
        raise ValueError(f"wanted test pairs of data set '{data.name}' to evaluate, got none; split off some")
    among = np.ones(data.num_items, bool) if among is None else np.asarray(among, bool)
    wanted = rows_of([pairs], data.num_users, data.num_items)
    users = np.flatnonzero(wanted.lengths()).astype(np.int32)
    wanted = wanted.take(users)
    known = rows_of([*data.parts().values(), pairs, *taken], data.num_users, data.num_items).take(users)
    pool = _Pool(among, known)
    if not pool.left.min():
        raise ValueError(
            f"data set '{data.name}': user {users[pool.left.argmin()]} took every item that negatives are drawn from "
            f"({pool.size} of {data.num_items}); leave their pairs out"
        )
    return users, wanted, known, pool


class _Pool:
    """The items negatives are drawn from, and how many of them each user did not take."""

    def __init__(self, among: np.ndarray, known: Rows):
        self.among, self.items = among, np.flatnonzero(among)
        inside = among[known.items]
        owners = known.owners()[inside]
        lengths = np.bincount(owners, minlength=len(known))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        # The users' items by their place in the pool: ascending still.
        self.rejected = Rows(offsets, np.searchsorted(self.items, known.items[inside]).astype(np.int32))
        self.size, self.left = len(self.items), len(self.items) - lengths

    def sampled(self, candidates: protocol.Candidates, count: int, seed: int) -> protocol.Candidates:
        """Candidates with `count` different negatives of each user, or as many as all users have."""
        count = int(min(count, self.left.min()))
        drawn = protocol.draw(candidates.users, self.rejected, self.size, count, seed, replace=False)
        named = protocol.parse(f"sampled{count}-strict", ks=(K,))
        return dataclasses.replace(candidates, protocol=named, negatives=self.items[drawn].astype(np.int32))

    def others(self, known: Rows) -> Rows:
        """What is no negative of each user: the user's items and all outside the pool."""
        outside = np.flatnonzero(~self.among).astype(np.int32)
        offsets = np.arange(len(known) + 1, dtype=np.int64) * len(outside)
        return joined(known, Rows(offsets, np.tile(outside, len(known))))


def _pair_metrics(model: Model, state: State, candidates: protocol.Candidates) -> dict[str, np.ndarray]:
    """The metrics of every positive as if it were its user's only one."""
    counts = ranking.count(model, state, candidates)
    number = np.repeat(counts.num_negatives, np.diff(counts.offsets))
    alone = Counts(np.arange(len(number) + 1), counts.score, counts.higher, counts.tied, number)
    return per_user(alone, (K,))
