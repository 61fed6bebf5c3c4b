"""What of a held-out part shows where a model may look: pairs, features, evaluation negatives, ids, times.

Each test has a null under which nothing leaks, and a threshold far from it: a clean set is not to be accused.
"""

import dataclasses
from typing import Literal

import numpy as np

from socialjax import sorted_ints
from socialjax.data import feature_leaks
from socialjax.data.schema import PARTS, Dataset, Interactions, pair_keys

SHOWN = 5
ORDERED = 0.7  # of the largest association of ids with test counts; clean published sets reach 0.42
SURE = 6.0  # standard deviations
Split = Literal["auto", "ratio", "leave-one-out", "time"]


@dataclasses.dataclass(frozen=True)
class Finding:
    """kind: which leak; what: in words; number: how many; rows: a few examples; advice: what to do."""

    kind: str
    what: str
    number: int
    rows: tuple[str, ...]
    advice: str

    def __str__(self) -> str:
        shown = "".join(f"\n    {row}" for row in self.rows)
        return f"leak ({self.kind}): {self.what}; {self.advice}{shown}"


def find(data: Dataset, split: Split = "auto") -> list[Finding]:
    """All findings in the columns of `data`, which may hold pairs that `validate.check` refuses.

    split: what the order of times has to be. `time`: no training pair after a test pair; `leave-one-out`: none of the
    same user; `ratio`: any; `auto`: what most of the pairs keep to. Negatives have their own test, `negatives`.
    """
    found = [*overlaps(data), ids_by_popularity(data), *features(data), order_in_time(data, split)]
    return [finding for finding in found if finding is not None]


def overlaps(data: Dataset) -> list[Finding]:
    """Pairs of validation and test that stand in an earlier part too."""
    found, parts = [], data.parts()
    for earlier, later in ((PARTS[a], PARTS[b]) for a in range(3) for b in range(a + 1, 3)):
        shared = sorted_ints.isin(pair_keys(parts[later], data.num_items), pair_keys(parts[earlier], data.num_items))
        if shared.any():
            found.append(
                Finding(
                    f"{later} in {earlier}",
                    f"{shared.sum():,} of {len(shared):,} pairs of {later} are in {earlier} too",
                    int(shared.sum()),
                    _pairs(data, parts[later].take(np.flatnonzero(shared)[:SHOWN])),
                    f"drop them from {earlier}, or from {later} if {earlier} is right",
                )
            )
    return found


def negatives(data: Dataset, user: np.ndarray, item: np.ndarray, source: str) -> Finding | None:
    """Evaluation negatives user[N], item[N] that the user took in any part; `source` says where they come from."""
    given = Interactions(np.asarray(user, np.int32), np.asarray(item, np.int32))
    keys = pair_keys(given, data.num_items)
    holds = {part: sorted_ints.isin(keys, pair_keys(pairs, data.num_items)) for part, pairs in data.parts().items()}
    wrong = np.any(list(holds.values()), axis=0)
    if not wrong.any():
        return None
    split = ", ".join(f"{mask.sum():,} of {part}" for part, mask in holds.items() if mask.any())
    return Finding(
        "negatives that are positives",
        f"{wrong.sum():,} of {len(wrong):,} negatives in {source} were taken by their user ({split})",
        int(wrong.sum()),
        _pairs(data, given.take(np.flatnonzero(wrong)[:SHOWN])),
        "draw them from the items that the user took in no part",
    )


def ids_by_popularity(data: Dataset) -> Finding | None:
    """Item ids that tell test counts beyond what training counts tell.

    Among items with as many training pairs (or training and validation pairs), the order of ids is compared with the
    test counts: sum of (place of id)(test count), centred, over the same sum when the ids are sorted. Under the null,
    ids are exchangeable within such a group, which gives mean 0 and the exact variance of a permutation. Ids in order
    of first appearance lean a little that way without being sorted, hence the threshold on the share, not on its
    significance alone.
    """
    counts = {part: np.bincount(pairs.item, minlength=data.num_items) for part, pairs in data.parts().items()}
    groups = (counts["train"], counts["train"] + counts["validation"])
    share, sigmas = max((_order_of_ids(group, counts["test"]) for group in groups), key=lambda found: abs(found[0]))
    if abs(share) < ORDERED or abs(sigmas) < SURE:
        return None
    order = np.argsort(-counts["test"], kind="stable")[:SHOWN]
    way = "rise" if share > 0 else "fall"
    return Finding(
        "ids by test popularity",
        f"test counts {way} with item ids among items of equal training counts: {abs(share):.0%} of a full sort, "
        f"{abs(sigmas):.0f} standard deviations",
        int((counts["test"] > 0).sum()),
        tuple(f"item {data.describe_item(i)}: id {i}, {counts['test'][i]} test pairs" for i in order),
        "shuffle the item ids, and never feed them as numbers",
    )


def _order_of_ids(group: np.ndarray, test: np.ndarray) -> tuple[float, float]:
    """(share of a full sort in -1..1, standard deviations from chance) of ids against test counts within groups."""
    order = np.lexsort((np.arange(len(group)), group))
    number, value = np.unique(group[order], return_inverse=True)[1], test[order].astype(np.float64)
    size = np.bincount(number)
    place = np.arange(len(order)) - (np.cumsum(size) - size)[number] - (size[number] - 1) / 2
    value -= (np.bincount(number, value) / size)[number]
    largest = place @ value[np.lexsort((value, number))]
    square = lambda column: np.bincount(number, column**2)  # noqa: E731
    variance = (square(place) * square(value) / np.maximum(size - 1, 1)).sum()
    return (place @ value / largest, place @ value / np.sqrt(variance)) if variance > 0 else (0.0, 0.0)


def features(data: Dataset) -> list[Finding]:
    """User features that hold test items as columns, or are explained by test items better than can be."""
    found = []
    columns, user, item = feature_leaks.item_columns(data)
    if len(columns):
        found.append(
            Finding(
                "test items in user features",
                f"{len(columns):,} columns of the user features mark who took an item, {len(user):,} test pairs in it",
                len(user),
                _pairs(data, Interactions(user[:SHOWN], item[:SHOWN])),
                "make the features from the training pairs alone",
            )
        )
    columns, users, parts, ratio = feature_leaks.explained_columns(data)
    if len(columns):
        found.append(
            Finding(
                "test items in user features",
                f"{len(columns):,} columns of the user features follow the item features of {parts} more closely than "
                f"a user's taste could: the error is {ratio:.2g} of what the chance of the test items alone makes",
                len(users),
                tuple(f"user {data.describe_user(user)}" for user in users[:SHOWN]),
                "make the features from the training pairs alone",
            )
        )
    return found


def order_in_time(data: Dataset, split: Split = "auto") -> Finding | None:
    """Training pairs later than what they are tested on, where both parts have times."""
    if data.train.time is None or data.test.time is None or not len(data.test) or not len(data.train):
        return None
    train, test = data.train, data.test
    if split in ("auto", "time"):
        late, cut = _beyond_the_cut(train.time, test.time)
        # Parted at random, the best cut is at one end and puts every test pair on the wrong side; where users are
        # tested on their latest pairs, it still puts about half of them there.
        if split == "time" or len(late[0]) + len(late[1]) < len(test) / 10:
            if split == "time":
                late = np.flatnonzero(train.time > test.time.min()), late[1][:0]
            return _late(data, late, "the split is one moment in time" + ("" if split == "time" else f", {cut}"))
    if split in ("auto", "leave-one-out"):
        first = np.full(data.num_users, np.iinfo(np.int64).max)
        np.minimum.at(first, test.user, test.time)
        late = np.flatnonzero(train.time > first[train.user])
        tested = np.intersect1d(train.user, test.user)
        out_of_order = len(sorted_ints.unique(train.user[late])) / max(len(tested), 1)
        if split == "leave-one-out" or out_of_order < _by_chance(data, tested) / 2:
            return _late(data, (late, late[:0]), "users are tested on their latest pairs")
    return None


def _beyond_the_cut(train: np.ndarray, test: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    """The moment with the fewest training pairs after and test pairs before it -> (rows of both), moment."""
    moments = sorted_ints.unique(np.concatenate([train, test]))
    after = len(train) - np.searchsorted(np.sort(train), moments, side="right")
    before = np.searchsorted(np.sort(test), moments, side="left")
    cut = int(moments[np.argmin(after + before)])
    return (np.flatnonzero(train > cut), np.flatnonzero(test < cut)), cut


def _by_chance(data: Dataset, users: np.ndarray) -> float:
    """Share of users with a training pair after a test pair when pairs are parted at random: 1 - 1 / C(n + k, k)."""
    n, k = (np.bincount(part.user, minlength=data.num_users)[users] for part in (data.train, data.test))
    return float((1 - 1 / feature_leaks.choose(n + k, k)).mean()) if len(users) else 0.0


def _late(data: Dataset, rows: tuple[np.ndarray, np.ndarray], claim: str) -> Finding | None:
    train, test = data.train.take(rows[0]), data.test.take(rows[1])
    number = len(train) + len(test)
    if not number:
        return None
    shown = [f"train: {row}, time {time}" for row, time in zip(_pairs(data, train), train.time)]
    shown += [f"test: {row}, time {time}" for row, time in zip(_pairs(data, test), test.time)]
    return Finding(
        "training after test",
        f"{claim}, but {len(train):,} training pairs are later"
        + (f", {len(test):,} test pairs earlier" * bool(len(test))),
        number,
        tuple(shown[:SHOWN]),
        "split again by time, or say --split ratio if the order does not matter",
    )


def _pairs(data: Dataset, pairs: Interactions) -> tuple[str, ...]:
    rows = zip(pairs.user[:SHOWN], pairs.item[:SHOWN])
    return tuple(f"user {data.describe_user(user)}, item {data.describe_item(item)}" for user, item in rows)
