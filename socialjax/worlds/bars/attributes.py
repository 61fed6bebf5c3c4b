"""SEN on drawn garments: does it classify every attribute, locate it, and describe items well enough to recommend them.

The network learns from 4,000 other pictures and is evaluated on a fifth of them, held out, and on the items of a world
(docs/saers.md). The pointing game is over the classes that have a region to point at, all of an attribute together; for
"no sleeves" and "no heel" a map may highlight anything.
"""

import functools
import logging
import tempfile
from pathlib import Path

import numpy as np

from socialjax.data.schema import Attributes
from socialjax.vision.catalogue_attributes import SMALL_TRAINING, attributes_of, trained
from socialjax.vision.training import AttributeTraining
from socialjax.worlds.bars import garments
from socialjax.worlds.bars.bars import Bar
from socialjax.worlds.garments import GarmentWorld, drawn, garment_world
from socialjax.worlds.garments import garments as labelled_garments

log = logging.getLogger(__name__)
PICTURES = 4000
ACCURACY, POINTING = 0.95, {"sleeve": 0.9}  # for the other attributes the bar is twice the chance


@functools.cache
def trained_network(
    seed: int,
    pictures: int = PICTURES,
    training: AttributeTraining = SMALL_TRAINING,
    items: int = 700,
    size: int = 64,
) -> tuple[dict, Attributes]:
    """Trains a network with that seed.

    Returns:
        Its figures on held-out pictures, and its attributes of the items of the seed's world.
    """
    of = drawn(garment_world(seed, items=items, size=size), labelled_garments(seed, pictures, size))
    with tempfile.TemporaryDirectory() as folder:
        network = trained(of, training, "small", Path(folder), seed)
        return network.judged, attributes_of(of, network, Path(folder))


def seeing_bars(judged: list[dict], name: str = "sen") -> list[Bar]:
    """Accuracy and pointing of each attribute, means over the networks; pointing of each class goes to the log."""
    result = []
    for attribute in judged[0]["accuracy"]:
        accuracy = float(np.mean([network["accuracy"][attribute]["accuracy"] for network in judged]))
        result.append(Bar(name, f"garments, accuracy of {attribute}", ACCURACY, accuracy))
    for attribute in judged[0]["regions"]:
        pooled = [network["regions"][attribute]["pooled"] for network in judged]
        pointing, chance = (
            float(np.mean([figures[measure] for figures in pooled])) for measure in ("pointing", "chance")
        )
        bar = max(2 * chance, POINTING.get(attribute, 0))
        result.append(Bar(name, f"garments, pointing at {attribute} (chance {chance:.3f})", bar, pointing))
        for label in judged[0]["regions"][attribute]["classes"]:
            values = [run["regions"][attribute]["classes"][label]["pointing"] for run in judged]
            log.info("pointing at %s %s: %.3f over %d seeds", attribute, label, np.mean(values), len(values))
    return result


def bars(seeds: list[int], name: str = "sen") -> list[Bar]:
    """The bars of the attribute network, alone and under SAERS; means over seeds."""

    def seen_by_network(world: GarmentWorld, seed: int) -> Attributes:
        return trained_network(seed)[1]

    seeing = seeing_bars([trained_network(seed)[0] for seed in seeds], name)
    return seeing + garments.ranking_bars(seeds, name, seen_by_network)
