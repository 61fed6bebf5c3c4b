"""What a model was given of each user: the training items, newest first, and the friends."""

import numpy as np

from socialjax.contract import Model
from socialjax.data.schema import Dataset


class Profiles:
    """Training items and friends of every user, as columns sorted by user.

    Args:
        data: of the run.
        model: of the run. Where it counts links in both directions (`symmetric`), followers are friends too.
    """

    def __init__(self, data: Dataset, model: Model):
        train = data.train
        newest = -train.time if train.time is not None else np.arange(len(train))
        order = np.lexsort((newest, train.user))
        self._items = train.item[order]
        self._items_from = _starts(train.user[order], data.num_users)
        links = data.links
        follower, followee = (np.zeros(0, np.int32),) * 2 if links is None else (links.follower, links.followee)
        if getattr(model, "symmetric", False):
            follower, followee = np.concatenate([follower, followee]), np.concatenate([followee, follower])
        others = follower != followee
        follower, followee = follower[others], followee[others]
        order = np.lexsort((followee, follower))
        self._friends = followee[order]
        self._friends_from = _starts(follower[order], data.num_users)

    def history(self, user: int) -> list[int]:
        """Row numbers of the user's training items, each once; in the order of the file where there are no times."""
        return list(dict.fromkeys(self._items[slice(*self._items_from[user : user + 2])].tolist()))

    def friends(self, user: int) -> list[int]:
        """Row numbers of the user's friends, ascending, each once."""
        return list(dict.fromkeys(self._friends[slice(*self._friends_from[user : user + 2])].tolist()))


def _starts(owner: np.ndarray, size: int) -> np.ndarray:
    """i64[size + 1]: the entries of owner u, which are sorted, are starts[u] to starts[u + 1] - 1."""
    return np.searchsorted(owner, np.arange(size + 1))
