"""What a preparation promises, in plain Python with everything in memory."""

from collections import Counter

import numpy as np

from socialjax.data import split
from socialjax.data.schema import interactions


def prepared(pairs, links=None, k_core=0, how="ratio", ratios=split.DIFFNET_RATIOS, seed=0, order=lambda name: name):
    """{name of an array: list}, and the ids of rows in order: of lists of (user, item) and (follower, followee).

    order: the key by which ids are numbered.
    """
    pairs = set(pairs)
    while k_core:
        users, items = Counter(user for user, _ in pairs), Counter(item for _, item in pairs)
        core = {(user, item) for user, item in pairs if min(users[user], items[item]) >= k_core}
        if core == pairs:
            break
        pairs = core
    known = {user for user, _ in pairs}
    if links is not None and not k_core:
        known |= {user for link in links for user in link}
    users, items = sorted(known, key=order), sorted({item for _, item in pairs}, key=order)
    user_row, item_row = ({name: row for row, name in enumerate(names)} for names in (users, items))
    rows = sorted((user_row[user], item_row[item]) for user, item in pairs)
    columns = interactions(*np.array(rows).T)
    parts = split.by_ratio(columns, ratios, seed) if how == "ratio" else split.leave_one_out(columns, seed)
    train = list(zip(parts.train.user.tolist(), parts.train.item.tolist()))
    arrays = {"train_user": [user for user, _ in train]}
    for part in ("validation", "test"):
        held = getattr(parts, part)
        arrays |= {f"{part}_user": held.user.tolist(), f"{part}_item": held.item.tolist()}
    arrays |= csr("user_item", "user", train, len(users))
    arrays |= csr("item_user", "item", [(item, user) for user, item in train], len(items))
    if links is not None:
        kept = {(user_row[a], user_row[b]) for a, b in links if a != b and a in user_row and b in user_row}
        arrays |= csr("follows", "follows", kept, len(users))
        arrays |= csr("followed_by", "followed_by", [(b, a) for a, b in kept], len(users))
    return arrays, users, items


def csr(name, degree, edges, size):
    """The three arrays of edges (row, column), from a list for each row."""
    rows = [sorted(column for row, column in edges if row == number) for number in range(size)]
    return {
        f"{name}_offsets": [sum(map(len, rows[:number])) for number in range(size + 1)],
        f"{name}_columns": [column for row in rows for column in row],
        f"{degree}_degree": [len(row) for row in rows],
    }
