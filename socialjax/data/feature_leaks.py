"""Whether user features hold what the users took in the test part."""

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import gammaln

from socialjax.data.schema import Dataset, Interactions

ALIKE = 0.7  # Jaccard index from which a column and an item are taken to mark the same users
FEWEST = 3  # columns, and users of one: fewer agree by chance
CLOSE = 0.5  # error over the least that a user's taste allows: 1 or more in a clean set
SURE = 5.0  # standard deviations
_CHUNK = 256
_NONE = np.zeros(0, np.int32)


def choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    """n over k as f64."""
    return np.exp(gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0))


def item_columns(data: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns that mark who took an item, test pairs among them -> (columns i64[c], user i32[N], item i32[N] of test).

    A column and an item belong together when the users with a value and those who took the item in train and test (or
    all parts, or test alone) are almost the same; at least half of the item's test users must be among them. An
    attribute of users, or a column made from train alone, does not do that, but by chance for the rarest items.
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
    """Columns made from the item features of what users took, test items among it.

    -> (columns i64[c], users i64[n] whose features show it, the parts, error over the bound).

    Suppose x = C m + error with m the mean (or sum, or unit vector) of the item features y over some parts, C fitted to
    half of the users and judged on the other. Whatever taste stands behind x, the user's k test items are chosen from
    it without a look at x, so that C m carries their chance: the squared error of x is at least w^2 k var(C y), with w
    the weight of an item in m and var the variance over the user's items. Features from train alone, attributes and
    noise lie above that bound for every C; only x that saw the very items of the test part can lie below it.
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
            columns = np.flatnonzero(tells & (sigmas < -SURE))
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
