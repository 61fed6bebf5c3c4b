"""How large the published sets are and how their degrees are spread: what a stand-in copies, and nothing more."""

import dataclasses

import numpy as np

# Shares of users or items, from the least to the most active, at which the tables below give a degree.
SHARES = (0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1)
STEP = 20  # DiffNet's rule works on n modulo 20: floor(n / 20) to validation, floor(3 n / 20) to both
UP, DOWN = {"validation": (19,), "both": (6, 13)}, {"validation": (0,), "both": (7, 14)}  # remainders that cross


@dataclasses.dataclass(frozen=True)
class Shape:
    """Counts as `schema.counts` gives them, degrees at `SHARES`, and how the degrees of one user go together.

    idle: numbers of zeros among the degrees user, item, out, into; lonely: users without any link.
    reciprocated: lines of the link file whose opposite is there too. social: rank correlation of a user's numbers of
    pairs and links; mutual: of the numbers of links out and in. diffnet_split: the parts follow DiffNet's rule.
    values: the rating or count that stands with a pair, at equal steps from least to most; () for none.
    one_held_out: the parts follow leave-one-out instead. uploads: items made by a user, () when nobody owns any;
    famous: rank correlation of uploads and followers; admired: share of the items whose owner some taker follows.
    """

    users: int
    items: int
    train: int
    validation: int
    test: int
    links: int
    reciprocated: int
    user: tuple[int, ...]
    item: tuple[int, ...]
    out: tuple[int, ...]
    into: tuple[int, ...]
    idle: tuple[int, int, int, int]
    lonely: int
    social: float
    mutual: float
    diffnet_split: bool
    values: tuple[float, ...] = ()
    one_held_out: bool = False
    uploads: tuple[int, ...] = ()
    famous: float = 0.0
    admired: float = 0.0

    @property
    def pairs(self) -> int:
        return self.train + self.validation + self.test


SHAPES = {
    "yelp": Shape(
        users=17237, items=38342, train=185869, validation=3497, test=18579, links=143765, reciprocated=28516,
        user=(0, 3, 4, 4, 5, 6, 7, 8, 9, 12, 16, 23, 33, 50, 68, 87, 136, 403),
        item=(0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 7, 12, 18, 29, 40, 54, 94, 202),
        out=(0, 0, 0, 0, 1, 1, 2, 3, 4, 6, 10, 20, 33, 60, 86, 119, 199, 419),
        into=(0, 0, 0, 1, 1, 1, 2, 3, 4, 6, 10, 19, 34, 61, 85, 119, 205, 372),
        idle=(2, 964, 1829, 1685), lonely=0, social=0.41, mutual=0.81, diffnet_split=True,
    ),
    "flickr": Shape(
        users=8358, items=82120, train=282444, validation=13006, test=32365, links=187273, reciprocated=21594,
        user=(0, 1, 1, 2, 5, 7, 11, 16, 22, 33, 50, 94, 154, 263, 362, 504, 763, 1749),
        item=(1, 1, 1, 1, 1, 1, 2, 2, 3, 4, 6, 9, 12, 18, 23, 29, 45, 129),
        out=(1, 3, 4, 6, 10, 14, 17, 20, 24, 28, 33, 41, 48, 56, 62, 68, 80, 100),
        into=(0, 0, 1, 2, 4, 6, 8, 11, 15, 21, 30, 51, 77, 130, 174, 233, 332, 1307),
        idle=(106, 0, 0, 213), lonely=0, social=0.4, mutual=0.3, diffnet_split=True,
    ),
    "lastfm": Shape(
        users=1892, items=4489, train=38792, validation=3343, test=10533, links=25434, reciprocated=25434,
        user=(0, 7, 14, 18, 22, 25, 27, 29, 31, 32, 35, 37, 39, 41, 42, 43, 45, 46),
        item=(3, 3, 3, 3, 3, 4, 5, 6, 7, 10, 15, 27, 45, 72, 82, 89, 96, 100),
        out=(1, 1, 1, 1, 2, 3, 4, 6, 9, 13, 21, 36, 52, 72, 80, 88, 106, 119),
        into=(1, 1, 1, 1, 2, 3, 4, 6, 9, 13, 21, 36, 52, 72, 80, 88, 106, 119),
        idle=(12, 0, 0, 0), lonely=0, social=-0.21, mutual=1.0, diffnet_split=False,
        values=(7, 28, 51, 74, 98, 122, 148, 175, 206, 240, 280, 327, 382, 450, 539, 654, 819, 1091, 1571, 3186),
    ),
    "filmtrust": Shape(
        users=1642, items=2071, train=31026, validation=2722, test=1746, links=1853, reciprocated=1088,
        user=(0, 0, 0, 1, 3, 6, 10, 14, 19, 28, 44, 50, 51, 67, 101, 137, 197, 244),
        item=(1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 5, 8, 14, 389, 590, 734, 915, 1044),
        out=(0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 3, 5, 9, 16, 19, 23, 59),
        into=(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 3, 5, 8, 12, 17, 28, 59),
        idle=(134, 0, 1033, 910), lonely=768, social=0.04, mutual=0.59, diffnet_split=False,
        values=(0.5, 1, 1.5, *[2] * 3, *[2.5] * 4, *[3] * 7, *[3.5] * 7, *[4] * 9),
    ),
    "yelp_hin": Shape(
        users=16239, items=14284, train=119055, validation=3383, test=11738, links=158590, reciprocated=158590,
        user=(0, 0, 0, 0, 1, 1, 1, 2, 3, 6, 11, 20, 35, 66, 91, 119, 202, 493),
        item=(0, 0, 0, 0, 1, 1, 2, 2, 3, 5, 10, 23, 41, 74, 106, 155, 288, 515),
        out=(0, 0, 0, 0, 0, 0, 1, 1, 3, 5, 8, 20, 40, 88, 143, 214, 492, 1391),
        into=(0, 0, 0, 0, 0, 0, 1, 1, 3, 5, 8, 20, 40, 88, 143, 214, 492, 1391),
        idle=(2009, 1546, 5659, 5659), lonely=5659, social=0.33, mutual=1.0, diffnet_split=True,
        values=(*[4] * 9, *[5] * 7),
    ),
    "hasc_fs": Shape(
        users=4418, items=31460, train=752948, validation=4418, test=4418, links=184990, reciprocated=42150,
        user=(10, 11, 13, 18, 27, 41, 56, 77, 107, 149, 227, 406, 653, 1041, 1478, 1836, 2914, 5345),
        item=(10, 10, 10, 11, 12, 13, 15, 18, 21, 25, 32, 45, 59, 81, 101, 121, 189, 446),
        out=(5, 8, 11, 15, 21, 27, 32, 38, 44, 51, 60, 74, 87, 104, 115, 123, 148, 178),
        into=(0, 1, 3, 5, 9, 12, 17, 22, 29, 40, 58, 97, 149, 231, 320, 375, 503, 1552),
        idle=(0, 0, 0, 36), lonely=0, social=0.29, mutual=0.21, diffnet_split=False, one_held_out=True,
        uploads=(1, 1, 1, 1, 1, 1, 2, 3, 3, 5, 8, 16, 28, 49, 71, 98, 193, 279), famous=0.53, admired=0.9,
    ),
}  # fmt: skip


def degrees(table: tuple[int, ...], idle: int, number: int, total: int, rng: np.random.Generator) -> np.ndarray:
    """i64[number], ascending, spread as `table` says at `SHARES`, `idle` of them 0, with exactly this sum."""
    smooth = np.expm1(np.interp((np.arange(number) + 0.5) / number, SHARES, np.log1p(table)))[idle:]
    top, low, high = table[-1], 0.25, 4.0
    scaled = lambda scale: np.clip(np.rint(smooth * scale), 1, top).astype(np.int64)  # noqa: E731
    for _ in range(40):  # the table is coarse, so its mean is off by some per cent
        scale = (low + high) / 2
        low, high = (scale, high) if scaled(scale).sum() < total else (low, scale)
    n = scaled(low)
    while (missing := total - int(n.sum())) != 0:
        step = 1 if missing > 0 else -1
        able = np.flatnonzero((n + step >= 1) & (n + step <= top))
        if not len(able):
            raise ValueError(f"{len(n)} degrees between 1 and {top} cannot sum to {total}")
        n[rng.permutation(able)[: abs(missing)]] += step
    return np.concatenate([np.zeros(idle, np.int64), np.sort(n)])


def fit_split(n: np.ndarray, shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """`n` moved by as little as gives DiffNet's rule the exact sizes of `shape`'s parts; the sum stays."""
    n, top = n.copy(), max(shape.user)
    for part, share, wanted in (("validation", 1, shape.validation), ("both", 3, shape.validation + shape.test)):
        for _ in range(200):
            missing = wanted - int((share * n // STEP).sum())
            if missing == 0:
                break
            crossing, step = (UP[part], 1) if missing > 0 else (DOWN[part], -1)
            done = _nudge(n, crossing, step, abs(missing), top, rng)
            feeding = [(r - step) % STEP for r in crossing]  # those who come next to cross
            _nudge(n, feeding, step, 2 * (abs(missing) - done), top, rng)
    for _ in range(200):
        missing = shape.pairs - int(n.sum())
        step = 1 if missing > 0 else -1
        crossing = {r for remainders in (UP if step > 0 else DOWN).values() for r in remainders}
        _nudge(n, [r for r in range(STEP) if r not in crossing], step, abs(missing), top, rng)
    return n


def _nudge(n, remainders, step: int, number: int, top: int, rng) -> int:
    """Moves at most `number` entries with one of these remainders by `step`, in place -> how many."""
    able = np.flatnonzero(np.isin(n % STEP, remainders) & (n + step >= 1) & (n + step <= top) & (n > 0))
    chosen = rng.permutation(able)[:number]
    n[chosen] += step
    return len(chosen)
