"""Metrics by groups of users, by training interactions or friends, and of items, by training interactions."""

from collections.abc import Sequence

import numpy as np

from socialjax import sorted_ints
from socialjax.data.schema import Dataset, Links
from socialjax.eval.metrics import Result, rows_of

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
    return np.bincount(sorted_ints.unique(a[a != b] * num_users + b[a != b]) // num_users, minlength=num_users)


def labels(bounds: Sequence[int]) -> list[str]:
    """`[0, 8)`, ..., `[64, inf)`."""
    return [f"[{low}, {high})" for low, high in zip(bounds, (*bounds[1:], "inf"))]


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
      ValueError: for bounds that do not ascend, and where counts are missing for a user or below the first bound.
    """
    _check_bounds(bounds)
    if len(counts) <= result.users.max(initial=-1):
        raise ValueError(f"counts must cover user {result.users.max()}, got {len(counts)} of them; count all users")
    user_counts = np.asarray(counts)[result.users]
    if user_counts.min(initial=bounds[0]) < bounds[0]:
        raise ValueError(
            f"a count of {user_counts.min()} lies below the first bound {bounds[0]}; let the bounds start lower"
        )
    group = np.searchsorted(bounds, user_counts, side="right") - 1
    out = {}
    for index, label in enumerate(labels(bounds)):
        members = group == index
        out[label] = {"users": int(members.sum())}
        if members.any():
            means = {name: float(values[members].mean(dtype=np.float64)) for name, values in result.per_user.items()}
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
