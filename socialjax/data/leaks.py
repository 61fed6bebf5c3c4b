"""Leaks of held-out pairs into what a model may read: pairs, features, evaluation negatives, ids, times.

Each test has a null hypothesis under which nothing leaks, and a threshold far from it, to avoid false alarms.
"""

import dataclasses
from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import gammaln

from socialjax.data.schema import PARTS, Dataset, Interactions, pair_keys
from socialjax.graph import isin_ints, unique_ints

SHOWN = 5
ORDERED = 0.7  # of the largest association of ids with test counts; clean published sets reach 0.42
SURE_OF_ORDER = 6.0  # standard deviations
ALIKE = 0.7  # Jaccard index from which a column and an item are considered to mark the same users
FEWEST = 3  # columns, and users of one: fewer agree by chance
CLOSE = 0.5  # error over the least that a user's taste allows: 1 or more in a clean set
SURE_OF_COLUMNS = 5.0  # standard deviations
_CHUNK = 256
_NONE = np.zeros(0, np.int32)
Split = Literal["auto", "ratio", "leave-one-out", "time"]


@dataclasses.dataclass(frozen=True)
class Finding:
    """A leak.

    Attributes:
        kind: which leak.
        what: a description.
        number: how many pairs, columns or users.
        rows: a few examples.
        advice: what to do.
    """

    kind: str
    what: str
    number: int
    rows: tuple[str, ...]
    advice: str

    def __str__(self) -> str:
        shown = "".join(f"\n    {row}" for row in self.rows)
        return f"leak ({self.kind}): {self.what}; {self.advice}{shown}"


def find(data: Dataset, split: Split = "auto") -> list[Finding]:
    """Looks for all leaks in the columns of a data set. Evaluation negatives have their own test, `negatives`.

    Args:
        data: may hold pairs that `validate.check` refuses.
        split: the order of times to expect. `time`: no training pair after a test pair; `leave-one-out`: none of the
            same user; `ratio`: any; `auto`: the order that most pairs follow.

    Returns:
        The findings.
    """
    findings = [*overlaps(data), ids_by_popularity(data), *features(data), order_in_time(data, split)]
    return [finding for finding in findings if finding is not None]


def overlaps(data: Dataset) -> list[Finding]:
    """Pairs of validation and test that are in an earlier part too."""
    findings, parts = [], data.parts()
    for earlier, later in ((PARTS[a], PARTS[b]) for a in range(3) for b in range(a + 1, 3)):
        shared = isin_ints(pair_keys(parts[later], data.num_items), pair_keys(parts[earlier], data.num_items))
        if shared.any():
            findings.append(
                Finding(
                    f"{later} in {earlier}",
                    f"{shared.sum():,} of {len(shared):,} pairs of {later} are in {earlier} too",
                    int(shared.sum()),
                    _pairs(data, parts[later].take(np.flatnonzero(shared)[:SHOWN])),
                    f"drop them from {earlier}, or from {later} if {earlier} is right",
                )
            )
    return findings


def negatives(data: Dataset, user: np.ndarray, item: np.ndarray, source: str) -> Finding | None:
    """Evaluation negatives that the user took in any part.

    Args:
        data: the data set.
        user: i[N].
        item: i[N], a negative of each user.
        source: of the negatives, for the finding.

    Returns:
        The finding; None without one.
    """
    given = Interactions(np.asarray(user, np.int32), np.asarray(item, np.int32))
    keys = pair_keys(given, data.num_items)
    holds = {part: isin_ints(keys, pair_keys(pairs, data.num_items)) for part, pairs in data.parts().items()}
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
    """Item ids that reveal test counts beyond what training counts reveal.

    Among items with as many training pairs (or training and validation pairs), the order of ids is compared with the
    test counts: sum of (rank of id)(test count), centred, over the same sum when the ids are sorted. Under the null,
    ids are exchangeable within such a group, which gives mean 0 and the exact variance of a permutation. Ids in order
    of first appearance are slightly correlated without being sorted, hence the threshold on the share, not on its
    significance alone.
    """
    counts = {part: np.bincount(pairs.item, minlength=data.num_items) for part, pairs in data.parts().items()}
    groups = (counts["train"], counts["train"] + counts["validation"])
    share, sigmas = max((_order_of_ids(group, counts["test"]) for group in groups), key=lambda found: abs(found[0]))
    if abs(share) < ORDERED or abs(sigmas) < SURE_OF_ORDER:
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
    rank = np.arange(len(order)) - (np.cumsum(size) - size)[number] - (size[number] - 1) / 2
    value -= (np.bincount(number, value) / size)[number]
    largest = rank @ value[np.lexsort((value, number))]
    square = lambda column: np.bincount(number, column**2)  # noqa: E731
    variance = (square(rank) * square(value) / np.maximum(size - 1, 1)).sum()
    return (rank @ value / largest, rank @ value / np.sqrt(variance)) if variance > 0 else (0.0, 0.0)


def features(data: Dataset) -> list[Finding]:
    """User features that hold test items as columns, or are explained by test items better than chance allows."""
    findings = []
    columns, user, item = item_columns(data)
    if len(columns):
        findings.append(
            Finding(
                "test items in user features",
                f"{len(columns):,} columns of the user features mark who took an item, {len(user):,} test pairs in it",
                len(user),
                _pairs(data, Interactions(user[:SHOWN], item[:SHOWN])),
                "make the features from the training pairs alone",
            )
        )
    columns, users, parts, ratio = explained_columns(data)
    if len(columns):
        findings.append(
            Finding(
                "test items in user features",
                f"{len(columns):,} columns of the user features follow the item features of {parts} more closely than "
                f"a user's taste could: the error is {ratio:.2g} of what the chance of the test items alone makes",
                len(users),
                tuple(f"user {data.describe_user(user)}" for user in users[:SHOWN]),
                "make the features from the training pairs alone",
            )
        )
    return findings


def order_in_time(data: Dataset, split: Split = "auto") -> Finding | None:
    """Training pairs later than the test pairs, where both parts have times."""
    if data.train.time is None or data.test.time is None or not len(data.test) or not len(data.train):
        return None
    train, test = data.train, data.test
    if split in ("auto", "time"):
        late, cut = _beyond_the_cut(train.time, test.time)
        # Split at random, the best cut is at one end and puts every test pair on the wrong side; where users are
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
        out_of_order = len(unique_ints(train.user[late])) / max(len(tested), 1)
        if split == "leave-one-out" or out_of_order < _by_chance(data, tested) / 2:
            return _late(data, (late, late[:0]), "users are tested on their latest pairs")
    return None


def _beyond_the_cut(train: np.ndarray, test: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    """The moment with the fewest training pairs after and test pairs before it -> (rows of both), moment."""
    moments = unique_ints(np.concatenate([train, test]))
    after = len(train) - np.searchsorted(np.sort(train), moments, side="right")
    before = np.searchsorted(np.sort(test), moments, side="left")
    cut = int(moments[np.argmin(after + before)])
    return (np.flatnonzero(train > cut), np.flatnonzero(test < cut)), cut


def _by_chance(data: Dataset, users: np.ndarray) -> float:
    """Share of users with a training pair after a test pair when pairs are parted at random: 1 - 1 / C(n + k, k)."""
    n, k = (np.bincount(part.user, minlength=data.num_users)[users] for part in (data.train, data.test))
    return float((1 - 1 / choose(n + k, k)).mean()) if len(users) else 0.0


def _late(data: Dataset, rows: tuple[np.ndarray, np.ndarray], claim: str) -> Finding | None:
    train, test = data.train.take(rows[0]), data.test.take(rows[1])
    number = len(train) + len(test)
    if not number:
        return None
    examples = [f"train: {row}, time {time}" for row, time in zip(_pairs(data, train), train.time)]
    examples += [f"test: {row}, time {time}" for row, time in zip(_pairs(data, test), test.time)]
    return Finding(
        "training after test",
        f"{claim}, but {len(train):,} training pairs are later"
        + (f", {len(test):,} test pairs earlier" * bool(len(test))),
        number,
        tuple(examples[:SHOWN]),
        "split again by time, or say --split ratio if the order does not matter",
    )


def _pairs(data: Dataset, pairs: Interactions) -> tuple[str, ...]:
    rows = zip(pairs.user[:SHOWN], pairs.item[:SHOWN])
    return tuple(f"user {data.describe_user(user)}, item {data.describe_item(item)}" for user, item in rows)


def choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    """n over k as f64."""
    return np.exp(gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0))


def item_columns(data: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns of user features that mark who took an item, test pairs included.

    A column and an item match when the users with a value and those who took the item in train and test (or all parts,
    or test alone) are almost the same; at least half of the item's test users must be among them. An attribute of
    users, or a column made from train alone, matches only by chance, for the rarest items.

    Returns:
        Columns i64[c], and the test pairs in them: user i32[N], item i32[N].
    """
    if data.user_features is None or not len(data.test):
        return np.zeros(0, np.int64), _NONE, _NONE
    marked = data.user_features != 0
    number = marked.sum(axis=0)
    usable = np.flatnonzero((number >= FEWEST) & (number <= data.num_users / 2))
    train, validation, test = (_taken(data, part) for part in data.parts().values())
    matched: dict[int, int] = {}
    for whole in ((train + test) > 0, (train + validation + test) > 0, test > 0):
        whole = whole.astype(np.float64)
        size = np.asarray(whole.sum(axis=0)).ravel()
        for start in range(0, len(usable), _CHUNK):
            some = usable[start : start + _CHUNK]
            both = (csr_matrix(marked[:, some].astype(np.float64)).T @ whole).tocoo()
            alike = both.data / (number[some][both.row] + size[both.col] - both.data)
            enough = (alike >= ALIKE) & (size[both.col] >= FEWEST)
            matched.update(zip(some[both.row[enough]].tolist(), both.col[enough].tolist()))
    columns, users, items = [], [], []
    for column, item in sorted(matched.items()):
        tested = data.test.user[data.test.item == item]
        hits = tested[marked[tested, column]]
        if len(hits) and 2 * len(hits) >= len(tested):
            columns.append(column)
            users.append(hits)
            items.append(np.full(len(hits), item, np.int32))
    if len(columns) < FEWEST:
        return np.zeros(0, np.int64), _NONE, _NONE
    return np.array(columns), np.concatenate(users), np.concatenate(items)


def explained_columns(data: Dataset) -> tuple[np.ndarray, np.ndarray, str, float]:
    """Columns of user features computed from the item features of what users took, test items included.

    Suppose x = C m + error with m the mean (or sum, or unit vector) of the item features y over some parts, C fitted on
    half of the users and evaluated on the other. Whatever taste determines x, the user's k test items are drawn from it
    independently of x, so that C m carries their randomness: the squared error of x is at least w^2 k var(C y), with w
    the weight of an item in m and var the variance over the user's items. Features from train alone, attributes and
    noise lie above that bound for every C; only x computed from the test items themselves can lie below it.

    Returns:
        Columns i64[c], users i64[n] whose features show it, the parts, and the error over the bound.
    """
    none = np.zeros(0, np.int64), np.zeros(0, np.int64), "", 0.0
    if data.user_features is None or data.item_features is None or not len(data.test):
        return none
    x, y = data.user_features.astype(np.float64), data.item_features.astype(np.float64)
    train, validation, test = (_taken(data, part) for part in data.parts().values())
    best = none
    wholes = {"train and test": (train + test) > 0, "all parts": (train + validation + test) > 0, "test": test > 0}
    for parts, whole in wholes.items():
        whole = whole.astype(np.float64)
        length, tested = (np.asarray(part.sum(axis=1)).ravel() for part in (whole, test))
        users = np.flatnonzero((tested > 0) & (length >= 2))
        if len(users) < 4 * (y.shape[1] + 1):
            continue
        held, total = whole[users], whole[users] @ y
        norm = np.sqrt((total**2).sum(axis=1))
        for weight in (1 / length[users], np.ones(len(users)), 1 / np.maximum(norm, 1e-30)):
            error, bound = _halves(x[users], y, held, weight, tested[users])
            short = error - CLOSE * bound
            # Columns in which nothing varies say nothing; float32 cannot tell an error below this share from none.
            tells = bound.sum(axis=0) > 1e-6 * (x[users] - x[users].mean(axis=0)).var(axis=0) * len(users)
            sigmas = short.mean(axis=0) / np.maximum(short.std(axis=0), 1e-30) * np.sqrt(len(users))
            columns = np.flatnonzero(tells & (sigmas < -SURE_OF_COLUMNS))
            if len(columns) > len(best[0]):
                error, bound = error[:, columns].sum(axis=1), bound[:, columns].sum(axis=1)
                best = columns, users[error < CLOSE * bound], parts, float(error.sum() / bound.sum())
    return best


def _halves(x, y, held, weight, tested) -> tuple[np.ndarray, np.ndarray]:
    """Squared error and its bound, f64[n, F] each, C fitted to the other half of the users."""
    m = np.concatenate([weight[:, None] * (held @ y), np.ones((len(x), 1))], axis=1)
    length = np.asarray(held.sum(axis=1)).ravel()[:, None]
    error, bound = np.empty(x.shape), np.empty(x.shape)
    for half in (np.arange(len(x)) % 2 == 0, np.arange(len(x)) % 2 == 1):
        fit = np.linalg.lstsq(m[~half], x[~half], rcond=1e-9)[0]
        seen = y @ fit[:-1]
        first, second = held[half] @ seen, held[half] @ seen**2
        variance = np.maximum(second - first**2 / length[half], 0) / (length[half] - 1)
        error[half] = (x[half] - m[half] @ fit) ** 2
        bound[half] = (weight**2 * tested)[half, None] * variance
    return error, bound


def _taken(data: Dataset, part: Interactions) -> csr_matrix:
    """Who took what, f64[U, I]."""
    ones = np.ones(len(part))
    return csr_matrix((ones, (part.user, part.item)), shape=(data.num_users, data.num_items))
