"""SAERS and its attribute network on drawn garments: users look at one attribute, and it is known which.

Attributes come from the true labels, which separates the recommender from the network that finds attributes; those of
such a network can replace them. The global features of an item, 32 principal components of its pixels, carry little
information on the small parts that users look at.
"""

import dataclasses
import functools
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from socialjax.contract import Model
from socialjax.data.schema import Attributes, Dataset, no_interactions
from socialjax.eval import groups
from socialjax.explain.attributes import deletion_test
from socialjax.models.cf.bpr import BPR
from socialjax.models.visual import saers_attention
from socialjax.models.visual.saers import SAERS
from socialjax.models.visual.vbpr import VBPR
from socialjax.recommender import Run
from socialjax.train.step import TrainSettings
from socialjax.vision.catalogue_attributes import SMALL_TRAINING, attributes_of, trained
from socialjax.vision.training import AttributeTraining
from socialjax.worlds.bars import Bar, train_only
from socialjax.worlds.garments import GarmentWorld, drawn, garment_world
from socialjax.worlds.garments import garments as labelled_garments

# All epochs are trained: one validation item a user is too few to choose an epoch by.
TRAINING = TrainSettings(epochs=60, batch_size=512, learning_rate=1e-2, save_seconds=1e9)
COMPONENTS = 32  # of the pixels
ATTENTION = SAERS(dim=16, l2=1e-2)

# With the l2, of 0.001, 0.01 and 0.05, that is best for each of them on warm items.
BASELINES: dict[str, Model] = {
    "bpr": BPR(dim=16, l2=0.05),
    "vbpr": VBPR(dim=16, visual_dim=16, cold="features", l2=0.05, bias_l2=0.025, feature_l2=1e-4),
}
LARGE = {"items": 1500, "purchases": 60}  # about 46 for training a user: attention can be found


@dataclasses.dataclass(frozen=True)
class AttentionFigures:
    """Figures of attention on the test pairs.

    Attributes:
        first: how often the attribute with the largest share is the one that the user looks at.
        chance: how often an attribute drawn from those of the item is.
        outside: the largest share of an attribute that an item does not have.
        deletion: how often deleting the first attribute costs more than deleting another one.
    """

    first: float
    chance: float
    outside: float
    deletion: float


def fitted(model: Model, data: Dataset, seed: int) -> Run:
    """After all epochs."""
    data = dataclasses.replace(data, validation=no_interactions())
    return train_only(model, data, TRAINING, seed)


def seen(world: GarmentWorld, attributes: Attributes | None = None) -> Dataset:
    """The world's data with attributes, by default those of the true labels, and the components of its pixels."""
    return dataclasses.replace(
        world.data,
        attributes=world.label_attributes() if attributes is None else attributes,
        item_features=pixel_components(world.pictures.pixels),
    )


def pixel_components(pixels: np.ndarray) -> np.ndarray:
    """u8[I, H, W, 3], sides multiples of 16 -> f32[I, 32]: where pictures of 16 by 16 pixels differ most."""
    count, height, width, _ = pixels.shape
    small = pixels.reshape(count, 16, height // 16, 16, width // 16, 3).mean(axis=(2, 4)).reshape(count, -1)
    centred = (small - small.mean(axis=0)) / 255
    return (centred @ np.linalg.svd(centred, full_matrices=False)[2][:COMPONENTS].T).astype(np.float32)


def attention_figures(model: SAERS, side, state, world: GarmentWorld) -> AttentionFigures:
    """Measured on the warm test pairs, whose items have training interactions."""
    pairs = world.data.test
    share = np.asarray(saers_attention.attended(model, state, pairs.user, pairs.item[:, None]).share)[:, 0]
    valid = np.asarray(state.attribute_vectors.valid)[pairs.item]
    first = share.argmax(axis=1) == world.planted(pairs.user, pairs.item)
    deletion = deletion_test(model.explain(state, side, pairs.user, pairs.item))
    everything = saers_attention.attended(model, state, np.arange(world.data.num_users), _all_items(world.data))
    outside = np.where(np.asarray(state.attribute_vectors.valid), 0.0, np.asarray(everything.share)).max()
    return AttentionFigures(float(first.mean()), float((1 / valid.sum(axis=1)).mean()), float(outside), deletion.share)


def auc(model: Model, state, world: GarmentWorld) -> tuple[float, float]:
    """AUC of warm test pairs against all items, and of cold ones against cold items."""
    data = world.data
    warm = groups.evaluate_pairs(model, state, data, data.test, taken=[world.cold_test])
    cold = groups.evaluate_pairs(model, state, data, world.cold_test, among=world.cold)
    return warm.mean()["AUC"], cold.mean()["AUC"]


def attention_bars(seeds: list[int], name: str = "saers") -> list[Bar]:
    """Whether attention finds what users look at, by the true labels."""
    figures = []
    for seed in seeds:
        world = garment_world(seed, **LARGE)
        run = fitted(ATTENTION, seen(world), seed)
        figures.append(attention_figures(ATTENTION, run.side, run.state, world))
    mean = lambda field: float(np.mean([getattr(figure, field) for figure in figures]))  # noqa: E731
    chance = mean("chance")
    return [
        Bar(
            name, f"garments, attribute the user looks at first, over chance {chance:.3f}", 0.15, mean("first") - chance
        ),
        Bar(name, "garments, deletion, first costs more than another", 0.60, mean("deletion")),
        Bar(name, "garments, share of what is not there", 0.0, max(figure.outside for figure in figures), at_most=True),
    ]


def ranking_bars(
    seeds: list[int], name: str = "saers", attributes: Callable[[GarmentWorld, int], Attributes] | None = None
) -> list[Bar]:
    """AUC of warm and cold items.

    Args:
        seeds: of the worlds and trainings.
        name: of the model in the report.
        attributes: (world, seed) -> attributes of its items; the true labels without.

    Returns:
        The bars, means over seeds.
    """
    areas: dict[str, list] = {"saers": [], **{baseline: [] for baseline in BASELINES}}
    for seed in seeds:
        world = garment_world(seed)
        data = seen(world, attributes and attributes(world, seed))
        for line, model in {"saers": ATTENTION, **BASELINES}.items():
            areas[line].append(auc(model, fitted(model, data, seed).state, world))
    warm, cold = ({line: float(np.mean([pair[n] for pair in each])) for line, each in areas.items()} for n in (0, 1))
    return [
        Bar(name, f"garments, AUC warm, over VBPR on pixels {warm['vbpr']:.3f}", 0.03, warm["saers"] - warm["vbpr"]),
        Bar(name, f"garments, AUC cold (VBPR on pixels {cold['vbpr']:.3f})", 0.60, cold["saers"]),
        Bar(name, "garments, AUC cold of BPR, away from 0.5", 0.03, abs(cold["bpr"] - 0.5), at_most=True),
    ]


def bars(seeds: list[int], name: str = "saers") -> list[Bar]:
    """All bars of the recommender, means over seeds."""
    return attention_bars(seeds, name) + ranking_bars(seeds, name)


def _all_items(data: Dataset) -> np.ndarray:
    return np.broadcast_to(np.arange(data.num_items), (data.num_users, data.num_items))


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


def network_bars(seeds: list[int], name: str = "sen") -> list[Bar]:
    """The bars of the attribute network, alone and under SAERS; means over seeds."""

    def seen_by_network(world: GarmentWorld, seed: int) -> Attributes:
        return trained_network(seed)[1]

    seeing = seeing_bars([trained_network(seed)[0] for seed in seeds], name)
    return seeing + ranking_bars(seeds, name, seen_by_network)
