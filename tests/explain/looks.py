"""A data set of drawn garments with known attributes, and one whose attention is a known formula."""

import dataclasses

import numpy as np

from socialjax.contract import Explanation, Kind, Ragged
from socialjax.data.schema import Dataset
from socialjax.worlds.garments import GarmentWorld, garment_world

ATTRIBUTES = Kind(
    ("attribute",),
    "its attributes",
    part="semantic",
    ranked_by="weight",
    words={"weight": "attention", "affinity": "affinity"},
    note="attention: how much of the user's look",
)


def rows(offsets, ids, weight, share, affinity) -> Ragged:
    """Elements that are attributes."""
    return Ragged(offsets, ids, weight, share, ATTRIBUTES, {"affinity": affinity})


@dataclasses.dataclass(frozen=True)
class Looker:
    """Everybody looks at the salient attribute of the item's group 0.6, at the others alike with the rest.

    A score is 1 for each attribute, shared as attention is, and the bias 0.5.
    """

    world: GarmentWorld

    def explain(self, state, side, users, items) -> Explanation:
        ids, weights, ends = [], [], [0]
        for user, item in zip(users.tolist(), items.tolist()):
            there = np.flatnonzero(state.attributes.valid[item])
            salient = int(self.world.planted(user, item))
            ids += there.tolist()
            weights += [0.6 if k == salient else 0.4 / (len(there) - 1) for k in there]
            ends.append(len(ids))
        weight = np.array(weights, np.float32)
        elements = rows(np.array(ends), np.array(ids, np.int32), weight, weight, (weight / 2 + 0.5).astype(np.float32))
        parts = {"attributes": np.ones(len(users), np.float32), "item_bias": np.full(len(users), 0.5, np.float32)}
        return Explanation(users, items, np.full(len(users), 1.5, np.float32), parts, {"attributes": elements})


def looked_at(users: int = 6, items: int = 24) -> tuple[GarmentWorld, Dataset, Looker]:
    """A small world, its data with the true labels as attributes, and who looks at them."""
    world = garment_world(seed=3, users=users, items=items, purchases=8, size=32)
    return world, dataclasses.replace(world.data, attributes=world.label_attributes()), Looker(world)
