"""Full-ranking metrics estimated from sampled ones (Krichene and Rendle, KDD 2020 and CACM 2022: BV estimator).

A positive with `rank` of its user's `population` negatives above it (from 0) has `seen` of the m sampled ones above it:
hypergeometric when they are drawn without replacement, binomial with. A metric f of the full rank is then read from a
function g of the sampled one that balances bias against variance, with all ranks equally likely beforehand:

    minimise over g   sum over ranks  (E[g(seen) | rank] - f(rank))^2 + gamma Var[g(seen) | rank]

Nothing is fitted to full metrics. The paper has one positive among the candidates. Here a positive is also ranked after
`ahead` other positives of its user, which are among all candidates, so that the sampled evaluation has their exact
number; the full place is ahead + rank, so that f, and with it g, has one column for each `ahead` below the cut-off.
Sampled negatives represent all others: validation items, which `full` ranks and `sampledN-strict` never draws, count as
average ones. `sampledN-official` also draws training items, which `full` masks: for a trained model the estimate is
then too low. An estimate near 0 may come out slightly below it; cutting it off would bias the mean over models or
seeds.

Direction of its error: for a trained model the estimate is too low, since ranks near the top are more frequent than all
ranks alike have it. At 38,300 items and 1,000 drawn the function of rank 0 has expectation .42 there in place of 1.
Other priors were tried on three models of Yelp (popularity, friends, BPR; mean absolute error of NDCG@10 .0012 with all
ranks alike): the ranks' distribution found from the sampled counts by expectation-maximisation, .0012 after 10 steps
and worse after more, since the sample cannot distinguish the first 38 places; a power law fitted to all counts, .0024,
and to counts below 8 alone, .0009. None halves the error, so none is offered.
"""

import functools

import numpy as np
from scipy.special import gammaln

from socialjax.eval.metrics import Counts

# Fixed beforehand, for every set and model. Small, because a mean over thousands of positives takes most of the
# variance away and none of the bias; not 0, because g would then swing between ranks that no sample distinguishes.
GAMMA = 0.01
_LONGEST = 200  # g is 0 from here on: a metric of the first places does not depend on so low a sampled rank
_SPREAD = 8.0  # standard deviations after which a rank is taken to be out of reach
_STEP = 0.01  # populations that differ by less share a solution


def estimate(counts: Counts, population: np.ndarray, k: int = 10, replace: bool = False) -> dict[str, float]:
    """Estimates of the full metrics from a sampled evaluation.

    Args:
      counts: Of the sampled evaluation.
      population: i64[U], the negatives of each user under `full`, of which the counted ones are a sample; `populations`
        computes it.
      k: The cut-off.
      replace: Whether they were drawn with replacement.

    Returns:
      `HR@k` and `NDCG@k`, means over users.

    Raises:
      ValueError: for a population smaller than a sample without replacement.
    """
    population, drawn = np.asarray(population), counts.num_negatives
    if population.shape != drawn.shape:
        raise ValueError(f"population must have one entry for each of {len(drawn)} users, got {population.shape}")
    if not replace and (population < drawn).any():
        raise ValueError(
            f"a sample of {drawn.max()} without replacement needs a population of that size, got {population.min()}; "
            "count the items that the user took in no part"
        )
    num_positives = np.diff(counts.offsets)
    ideal = np.minimum(num_positives, k)
    discounts = np.cumsum(1 / np.log2(np.arange(k) + 2))
    weights = np.stack([1 / ideal, 1 / discounts[ideal - 1]]) / len(ideal)  # of a user's positives: HR, NDCG
    values = np.stack([np.ones(k), 1 / np.log2(np.arange(k) + 2)])  # at places 0 .. k - 1
    total = np.zeros(2)
    for size, m, users in _similar_users(population, drawn):
        g = solution(int(size), int(m), k, replace)  # [S, k]: indicator of each rank -> function of `seen`
        seen = np.stack(
            [_histogram(counts, users, user_weights, k, len(g)) for user_weights in weights]
        )  # [2, ahead, S]
        for ahead in range(k):
            total += ((seen[:, ahead] @ g[:, : k - ahead]) * values[:, ahead:]).sum(axis=1)
    return {f"HR@{k}": float(total[0]), f"NDCG@{k}": float(total[1])}


def populations(num_items: int, masked: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """Negatives of each user under `full`, i64[U]: all items less masked i64[U] and less positives i64[U]."""
    return num_items - np.asarray(masked) - np.asarray(positives)


@functools.lru_cache(maxsize=64)
def solution(population: int, m: int, k: int, replace: bool = False, gamma: float = GAMMA) -> np.ndarray:
    """g f64[S, k]: column r estimates "the rank is r" from `seen`. Least squares over all ranks, each as likely.

    A metric is a sum of such columns, so one solution serves every metric. S is m + 1, at most 200.
    """
    size = min(m + 1, _LONGEST)
    reach = population * (size + _SPREAD * np.sqrt(size) + _SPREAD**2) / m
    ranks = np.arange(min(population, int(np.ceil(reach))) + 1)
    p = sampling(ranks, population, m, size, replace)
    squares = (1 - gamma) * (p.T @ p) + gamma * np.diag(p.sum(axis=0))
    targets = np.zeros((size, k))
    held = min(k, len(ranks))
    targets[:, :held] = p[:held].T
    # With gamma = 0 or m near the population, rows that no rank reaches leave the system without full rank.
    return np.linalg.lstsq(squares, targets, rcond=1e-13)[0]


def sampling(ranks: np.ndarray, population: int, m: int, size: int, replace: bool = False) -> np.ndarray:
    """P(seen | rank), the probability that so many of m sampled negatives are above a positive of that rank.

    Args:
      ranks: i64[R].
      population: Negatives from which m are drawn.
      m: Size of the sample.
      size: Values of `seen`, 0..size - 1.
      replace: Whether they are drawn with replacement.

    Returns:
      f64[R, size].
    """
    rank, seen = np.asarray(ranks, np.float64)[:, None], np.arange(size, dtype=np.float64)[None, :]
    if replace:
        share = np.clip(rank / max(population, 1), 0, 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = _choose(m, seen) + np.where(seen > 0, seen * np.log(share), 0)
            logs = logs + np.where(seen < m, (m - seen) * np.log1p(-share), 0)
        return np.where(seen <= m, np.exp(logs), 0.0)
    possible = (seen <= rank) & (m - seen <= population - rank) & (seen <= m)
    logs = _choose(rank, np.minimum(seen, rank)) - _choose(population, m)
    return np.where(possible, np.exp(logs + _choose(population - rank, np.where(possible, m - seen, 0))), 0.0)


def _choose(n, k):
    """log of n over k."""
    return gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)


def _similar_users(population: np.ndarray, drawn: np.ndarray):
    """Groups of users whose populations are within one step in proportion: yields (population, sample size, bool[U]).

    Populations close to the size of the sample are not grouped: there, one negative more or less changes much.
    """
    step = np.floor(np.log(np.maximum(population, 1)) / _STEP)
    label = np.where(population < 2 * drawn, -1.0 - population, step)
    for m in np.unique(drawn):
        for group in np.unique(label[drawn == m]):
            users = (drawn == m) & (label == group)
            yield round(population[users].mean()), m, users


def _histogram(counts: Counts, users: np.ndarray, weights: np.ndarray, k: int, size: int) -> np.ndarray:
    """f64[k, size]: weight of the positives with so many positives ahead and so many sampled negatives above.

    Equal scores are in random order. The one of p tied positives with j of them ahead has a beta-binomial
    (b, j + 1, p - j) number of b tied negatives above it: as many uniform keys as lie below the j-th smallest of p.
    """
    owner = np.repeat(np.arange(len(weights)), np.diff(counts.offsets))
    order = np.lexsort((-counts.score, owner))
    ahead = np.arange(len(order)) - counts.offsets[owner[order]]
    opens = np.ones(len(order), bool)
    opens[1:] = (np.diff(owner[order]) != 0) | (np.diff(counts.score[order]) != 0)
    start = np.flatnonzero(opens)[np.cumsum(opens) - 1]
    nth, tied_positives = np.arange(len(order)) - start, np.bincount(start)[start]
    # A tied positive's order decides `ahead` and `nth` alone: equals share their counts.
    higher, tied = counts.higher[order], counts.tied[order]
    keep = users[owner[order]] & (ahead < k) & (higher < size)
    rows = np.stack([ahead, higher, tied, nth, tied_positives])[:, keep]
    rows, group = np.unique(rows, axis=1, return_inverse=True)
    weight = np.bincount(group.ravel(), weights[owner[order]][keep], minlength=rows.shape[1])
    out = np.zeros((k, size))
    alone = rows[2] == 0
    np.add.at(out, (rows[0, alone], rows[1, alone]), weight[alone])
    for (a, h, b, j, p), w in zip(rows[:, ~alone].T, weight[~alone]):
        above = np.arange(min(b, size - 1 - h) + 1)
        shares = np.exp(_choose(above + j, j) + _choose(b - above + p - 1 - j, p - 1 - j) - _choose(b + p, p))
        out[a, h : h + len(above)] += w * shares
    return out
