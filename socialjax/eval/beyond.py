"""Metrics beyond accuracy: what lists of recommendations are like, whether or not they are right.

All are functions of `Lists`: the first K items of each evaluated user among all but those the user took in train. With
R_u the list of user u, I the items of the catalogue, N the users with a training pair and n_i those who took item i in
train (`Catalogue.popularity`):

    Coverage@K    |union of all R_u| / |I|; a share
    Gini@K        sum_j (2 j - |I| - 1) e_j / (|I| sum_j e_j), with e_1 <= e_2 <= ... the lists that each item is in
    Novelty@K     mean over u of the mean over R_u of log2(N / max(n_i, 1)); bits
    ILD@K         mean over u of the mean over pairs of R_u of 1 - cosine of the two items' training users; 0 to 1
    FeatureILD@K  the same with the cosine of the items' features, where the data have some; 0 to 2
    Popularity@K  mean over u of the mean over R_u of n_i; users
    Lift@K        the same / the mean over u of the mean n_i of what u took in train, - 1; over users who took something
    Head@K, Mid@K, Tail@K  share of the lists' places that items of that part of the catalogue have (`Catalogue.tier`)

Sources, in this order: Ge, Delgado-Battenfeld and Jannach, RecSys 2010 (catalogue coverage); Shani and Gunawardana,
Recommender Systems Handbook, 2011 (Gini index); Zhou, Kuscsik, Liu, Medo, Wakeling and Zhang, PNAS 2010 (self
information); Ziegler, McNee, Konstan and Lausen, WWW 2005 (intra-list similarity), with the cosines of Zhang,
O Seaghdha, Quercia and Jambor, WSDM 2012; Yin, Cui, Li, Yao and Chen, VLDB 2012 (average recommendation popularity);
Abdollahpouri, Mansoury, Burke and Mobasher, RecSys 2020 (popularity lift; head, mid and tail).
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from socialjax.data.schema import Dataset
from socialjax.eval.metrics import Rows, rows_of
from socialjax.graph import unique_ints
from socialjax.registry import Registry

HEAD, MID, TAIL = 0, 1, 2
FIFTH = 5  # the head has one in so many of the training pairs, and the tail as well
SHORT = (10, 20)  # cut-offs of lists that people see
CELLS = 1 << 22  # of a table of numbers that is held at once


class Catalogue:
    """What the lists of a data set are measured against, made once and on demand.

    Attributes:
      data: The data set.
    """

    def __init__(self, data: Dataset):
        self.data = data

    @functools.cached_property
    def taken(self) -> Rows:
        """The training items of each user, U rows."""
        return rows_of([self.data.train], self.data.num_users, self.data.num_items)

    @functools.cached_property
    def takers(self) -> Rows:
        """The users who took each item in train, I rows."""
        order = np.argsort(self.taken.items, kind="stable")
        return Rows(np.concatenate([[0], np.cumsum(self.popularity)]), self.taken.owners()[order].astype(np.int32))

    @functools.cached_property
    def popularity(self) -> np.ndarray:
        """Users who took each item in train, i64[I]."""
        return np.bincount(self.taken.items, minlength=self.data.num_items)

    @functools.cached_property
    def tier(self) -> np.ndarray:
        """HEAD, MID or TAIL of each item, i8[I].

        From the most popular item on, the lower number first where several are as popular: head while the items before
        have less than a fifth of the training pairs, tail from where they have four fifths; what nobody took is tail.
        """
        order = np.argsort(-self.popularity, kind="stable")
        counts = self.popularity[order]
        before = np.cumsum(counts) - counts
        fifth = FIFTH * before // max(counts.sum(), 1)  # in which of them an item begins
        tier = np.empty(len(order), np.int8)
        tier[order] = np.where(counts == 0, TAIL, np.where(fifth < 1, HEAD, np.where(fifth < FIFTH - 1, MID, TAIL)))
        return tier

    @functools.cached_property
    def feature_lengths(self) -> np.ndarray | None:
        """The Euclidean length of each item's features, f64[I]; None without features."""
        features = self.data.item_features
        if features is None:
            return None
        blocks = [features[rows].astype(np.float64) for rows in _blocks(*features.shape)]
        return np.concatenate([np.linalg.norm(block, axis=1) for block in blocks])


@dataclasses.dataclass(frozen=True)
class Lists:
    """Recommendations.

    Attributes:
      users: i32[U].
      items: i32[U, K], best first; -1, at the end, where fewer than K items were left.
      catalogue: That of the data set.
      positives: U rows, the test items of each user, for metrics of one's own.
    """

    users: np.ndarray
    items: np.ndarray
    catalogue: Catalogue
    positives: Rows | None = None

    @property
    def data(self) -> Dataset:
        """The data set."""
        return self.catalogue.data

    def first(self, k: int) -> "Lists":
        """The lists' first k items."""
        return dataclasses.replace(self, items=self.items[:, :k])

    def of(self, is_chosen: np.ndarray) -> "Lists":
        """The lists of some users; is_chosen: bool[U]."""
        rows = np.flatnonzero(is_chosen)
        positives = None if self.positives is None else self.positives.take(rows)
        return dataclasses.replace(self, users=self.users[rows], items=self.items[rows], positives=positives)

    def recommended(self) -> np.ndarray:
        """The items of all lists, one after the other, i32[N]."""
        return self.items[self.items >= 0]

    def mean_of(self, values: np.ndarray) -> np.ndarray:
        """The mean over each list of a number of each item: f64[I] -> f64[U], NaN for an empty list."""
        held = self.items >= 0
        totals = np.where(held, values[np.maximum(self.items, 0)], 0).sum(axis=1, dtype=np.float64)
        return _quotient(totals, held.sum(axis=1))


# A number of each user, f64[U], NaN where there is none, of which the mean over users is taken; or one of all lists.
Metric = Callable[[Lists], np.ndarray | float]


def coverage(lists: Lists) -> float:
    """The share of the catalogue that is in a list."""
    return len(unique_ints(lists.recommended())) / lists.data.num_items


def gini(lists: Lists) -> float:
    """How unequally the lists' places are spread over all items: 0 evenly, towards 1 all to one item."""
    size = lists.data.num_items
    exposure = np.sort(np.bincount(lists.recommended(), minlength=size))
    weighted = (2 * np.arange(1, size + 1) - size - 1) @ exposure.astype(np.float64)
    return float(weighted / (size * exposure.sum())) if exposure.any() else float("nan")


def novelty(lists: Lists) -> np.ndarray:
    """Mean self-information of each list's items in bits, f64[U]; what nobody took counts as taken by one user."""
    catalogue = lists.catalogue
    users = max(np.count_nonzero(catalogue.taken.lengths()), 1)
    return lists.mean_of(np.log2(users / np.maximum(catalogue.popularity, 1)))


def popularity(lists: Lists) -> np.ndarray:
    """Mean number of training users of each list's items, f64[U]."""
    return lists.mean_of(lists.catalogue.popularity)


def lift(lists: Lists) -> float:
    """By which share the lists are more popular than what their users took: 0 as popular, 1 twice, negative less."""
    catalogue = lists.catalogue
    profiles = catalogue.taken.take(lists.users)
    total = np.bincount(profiles.owners(), weights=catalogue.popularity[profiles.items], minlength=len(profiles))
    before, now = _quotient(total, profiles.lengths()), popularity(lists)
    both = np.isfinite(before) & np.isfinite(now)
    return float(now[both].mean() / before[both].mean() - 1) if both.any() else float("nan")


def exposure(tier: int) -> Metric:
    """The metric that is the share of the lists' places with items of that part of the catalogue."""

    def share(lists: Lists) -> float:
        tiers = lists.catalogue.tier[lists.recommended()]
        return float(np.mean(tiers == tier)) if len(tiers) else float("nan")

    return share


def diversity(lists: Lists) -> np.ndarray:
    """1 - mean over the pairs of each list of the cosine of the two items' training users, f64[U].

    The cosine of items i and j is |users of both| / sqrt(n_i n_j), and 0 where nobody took one of them. NaN for lists
    of fewer than two items.
    """
    popularity, size = lists.catalogue.popularity, lists.data.num_items
    first, second = np.triu_indices(lists.items.shape[1], 1)
    total = np.zeros(len(lists.users))
    for rows in _blocks(len(lists.users), len(first)):
        pairs = np.stack([lists.items[rows][:, first], lists.items[rows][:, second]])
        held = pairs.min(axis=0) >= 0
        pairs = np.sort(pairs[:, held], axis=0).astype(np.int64)
        distinct, place = np.unique(pairs[0] * size + pairs[1], return_inverse=True)
        a, b = np.divmod(distinct, size)
        cosine = _common_users(a, b, lists.catalogue) / np.sqrt(np.maximum(popularity[a] * popularity[b], 1))
        total[rows] = np.bincount(np.nonzero(held)[0], weights=cosine[place], minlength=len(held))
    return 1 - _quotient(total, _num_pairs(lists))


def feature_diversity(lists: Lists) -> np.ndarray:
    """1 - mean over the pairs of each list of the cosine of the two items' features, f64[U].

    The cosine is 0 where one of them has no features but zeros. NaN for lists of fewer than two items, and all NaN for
    a data set without item features.
    """
    features, lengths = lists.data.item_features, lists.catalogue.feature_lengths
    if features is None:
        return np.full(len(lists.users), np.nan)
    items = np.maximum(lists.items, 0)
    has_length = (lists.items >= 0) & (lengths[items] > 0)
    scale = np.divide(1.0, lengths[items], out=np.zeros(items.shape), where=has_length)
    total = np.empty(len(items))
    for rows in _blocks(len(items), items.shape[1] * features.shape[1]):
        sums = scale[rows][:, None, :] @ features[items[rows]].astype(np.float64)
        # sum over pairs of <a, b> = (|sum of all|^2 - sum of |a|^2) / 2, with |a| = 1
        total[rows] = ((sums[:, 0] ** 2).sum(axis=1) - has_length[rows].sum(axis=1)) / 2
    return 1 - _quotient(total, _num_pairs(lists))


# One more line is one more metric of every run, table and page.
LISTED: dict[str, Metric] = {
    "Coverage": coverage,
    "Gini": gini,
    "Novelty": novelty,
    "ILD": diversity,
    "FeatureILD": feature_diversity,
    "Popularity": popularity,
    "Lift": lift,
    "Head": exposure(HEAD),
    "Mid": exposure(MID),
    "Tail": exposure(TAIL),
}

# With those of other packages, which a run measures when it names them in `EvalSettings.metrics`.
METRICS: Registry[Metric] = Registry("metric", "socialjax.metrics", LISTED)

# What each metric is, for readers of tables.
MEANINGS = {
    "Coverage": "share of the catalogue that is in somebody's first K",
    "Gini": "how unequally the places are spread over all items: 0 evenly, 1 all to one",
    "Novelty": "mean self-information of the items in bits, log2(users / users who took it in training)",
    "ILD": "intra-list diversity, 1 - mean cosine of the training users of two items of a list",
    "FeatureILD": "the same with the cosine of the items' features",
    "Popularity": "mean number of training users of the items",
    "Lift": "by which share the lists are more popular than what their users took in training; 0 is as popular",
    "Head": "share of places with the most popular items, which have 20 % of the training pairs",
    "Mid": "share of places with items between head and tail",
    "Tail": "share of places with the least popular items, which have 20 % of the training pairs, or none",
}


def cut_offs(ks: Sequence[int]) -> tuple[int, ...]:
    """Of the cut-offs of a run those of these metrics: 10 and 20, or its first two where it has neither."""
    return tuple(k for k in ks if k in SHORT) or tuple(ks[:2])


@dataclasses.dataclass(frozen=True)
class Measured:
    """Metrics of lists; those that are defined for no user are absent.

    Attributes:
      figures: `Coverage@10`, ... -> a number.
      groups: Kind of group -> label -> the same of the lists of its users; absent for empty groups.
    """

    figures: dict[str, float]
    groups: dict[str, dict[str, dict[str, float]]]


def measure(
    lists: Lists,
    ks: Sequence[int],
    groups: Mapping[str, Mapping[str, np.ndarray]] | None = None,
    metrics: Mapping[str, Metric] = LISTED,
) -> Measured:
    """All metrics at all cut-offs.

    Args:
      lists: At least as long as the largest cut-off.
      ks: The cut-offs.
      groups: Kind of group -> label -> its users among the lists', bool[U].
      metrics: Name -> function of `Lists` that gives f[U], one number for each user, NaN where it has none, or one
        number for all lists, which is computed anew for each group.

    Raises:
      ValueError: For lists shorter than a cut-off, and for a metric that gives another shape.
    """
    if max(ks) > lists.items.shape[1]:
        raise ValueError(f"lists of {lists.items.shape[1]} items have no first {max(ks)}; rank more items")
    found = Measured(
        {}, {kind: {label: {} for label, who in by.items() if who.any()} for kind, by in (groups or {}).items()}
    )
    parts = {(kind, label): groups[kind][label] for kind, by in found.groups.items() for label in by}
    for k in ks:
        short = lists.first(k)
        shorter = {key: short.of(members) for key, members in parts.items()}
        for metric, function in metrics.items():
            name, values = f"{metric}@{k}", np.asarray(function(short), np.float64)
            if values.shape not in ((), (len(lists.users),)):
                raise ValueError(
                    f"metric {metric} must give a number, or one for each of {len(lists.users)} users, got an array of "
                    f"shape {values.shape}"
                )
            _put(found.figures, name, values)
            for (kind, label), members in parts.items():
                here = values[members] if values.ndim else np.asarray(function(shorter[kind, label]), np.float64)
                _put(found.groups[kind][label], name, here)
    return found


def _put(figures: dict[str, float], name: str, values: np.ndarray) -> None:
    """The mean of the values that are numbers, if there are some."""
    defined = values[np.isfinite(values)]
    if defined.size:
        figures[name] = float(defined.mean())


def _quotient(totals: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """totals / numbers, NaN where there is nothing."""
    return np.divide(totals, numbers, out=np.full(len(totals), np.nan), where=numbers > 0)


def _num_pairs(lists: Lists) -> np.ndarray:
    """Pairs of different places of each list, i64[U]."""
    lengths = (lists.items >= 0).sum(axis=1)
    return lengths * (lengths - 1) // 2


def _blocks(num_rows: int, width: int) -> Iterator[slice]:
    """Rows of a table of that width, as many at a time as `CELLS` allow."""
    step = max(1, CELLS // max(width, 1))
    for start in range(0, num_rows, step):
        yield slice(start, min(start + step, num_rows))


def _common_users(a: np.ndarray, b: np.ndarray, catalogue: Catalogue) -> np.ndarray:
    """Users who took both items of each pair in train: items i64[P] and i64[P] -> i64[P].

    The users of the less popular item are looked up among those of the other, which are marked in a table.
    """
    takers, num_users, popularity = catalogue.takers, catalogue.data.num_users, catalogue.popularity
    few, many = np.where(popularity[a] > popularity[b], (b, a), (a, b))
    common = np.zeros(len(a), np.int64)
    order = np.argsort(many, kind="stable")
    order = order[popularity[few[order]] > 0]
    items, starts = np.unique(many[order], return_index=True)
    for block in _blocks(len(items), num_users):
        marked = takers.take(items[block])
        is_taker = np.zeros((len(marked), num_users), bool)
        is_taker[marked.owners(), marked.items] = True
        pairs = order[starts[block.start] : starts[block.stop] if block.stop < len(starts) else None]
        row = np.searchsorted(items[block], many[pairs])
        sizes = popularity[few[pairs]]
        piece = np.cumsum(sizes) // CELLS
        for low, high in itertools.pairwise([*np.unique(piece, return_index=True)[1], len(pairs)]):
            looked_up = takers.take(few[pairs[low:high]])
            found = is_taker.ravel()[np.repeat(row[low:high] * num_users, sizes[low:high]) + looked_up.items]
            common[pairs[low:high]] = np.add.reduceat(found, looked_up.offsets[:-1], dtype=np.int64)
    return common
