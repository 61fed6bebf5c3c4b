import dataclasses

import numpy as np

from socialjax.data.facts import facts
from socialjax.data.schema import Dataset, Links, Provenance, interactions


def test_facts_of_a_world_counted_by_hand():
    # Users 0 - 1 - 2 in a chain (1 and 2 mutual), 3 follows 4, 5 alone; item 4 never occurs, item 3 is cold.
    data = Dataset(
        name="toy",
        num_users=6,
        num_items=5,
        train=interactions([0, 0, 1, 2], [0, 1, 1, 2]),
        validation=interactions([0], [2]),
        test=interactions([1, 2, 2, 0], [0, 1, 0, 3]),
        links=Links(np.array([0, 1, 2, 3], np.int32), np.array([1, 2, 1, 4], np.int32)),
        provenance=Provenance("planted", "counted by hand"),
    )
    found = facts(data)
    expected = {
        "all pairs": 9,
        "pairs in two parts": 0,
        "users as DiffNet splits, %": 50.0,  # users 3, 4, 5 have nothing; 0, 1, 2 too many held out
        "users in test": 3,
        "test users not in train": 0,
        "users without rating": 3,
        "items without rating": 1,
        "items with one train pair": 2,
        "cold test pairs": 1,
        "train items per user": (0.5, 0.7, 2),
        "test items per user": (1, 1.33, 2),
        "users by train items": (6, 0, 0, 0, 0),
        "reciprocated links": 2,
        "undirected links": 3,
        "symmetrised entries": 6,
        "users without links": 1,
        "users without outgoing": 2,
        "users without incoming": 3,
        "social degree": (1, 1.0, 2),
        "components": 3,
        "largest component": 3,
        # (1, 0) from 0; (2, 1) from 1; (2, 0): only two hops away; (0, 3): nobody had it
        "test pairs friends had, %": 50.0,
        "test users by social degree": (3, 0, 0, 0, 0, 0),
    }
    assert {key: found[key] for key in expected} == expected
    # 0 follows 1, who owns items 0 and 2; 1 follows 2, who owns item 3; nobody owns item 4, 0 owns item 1.
    owned = facts(dataclasses.replace(data, owners=np.array([1, 0, 1, 2, -1], np.int32)))
    assert owned == found | {
        "items without owner": 1,
        "users without uploads": 3,
        "uploads per user": (0.5, 0.7, 2),
        "pairs on own items": 2,  # (0, 1) and (1, 0)
        "pairs on items of followees, %": 44.4,  # (0, 0), (0, 2), (2, 0) and (2, 2) of nine
    }
    without = facts(dataclasses.replace(data, links=None))
    assert "social degree" not in without and without["test"] == 4
