"""AUC and NDCG of single test pairs, of all items or of cold-start items among themselves (docs/saers.md).

    AUC      share of the user's negatives that score below the item, a tie is half
    NDCG@10  1 / log2(place + 2) among the item and 500 negatives if place < 10, else 0; in expectation over the order
             of ties

Negatives are items that the user took in no part. Those of a cold-start item should be cold-start items too (`among`):
a model that has learned of them only that they are rare would otherwise look worse than chance, and one that ranks them
all first better. VBPR (He and McAuley, AAAI 2016) counts an item as cold start below 5 training pairs.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from socialjax.contract import Model, State
from socialjax.data.schema import Dataset, Interactions
from socialjax.eval import protocol, ranking
from socialjax.eval.metrics import Counts, Rows, joined, per_user, rows_of

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


def evaluate(
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
