"""Attributes of a catalogue's items, from an attribute network trained on labelled pictures and evaluated on others."""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from socialjax.data.cache import key_of
from socialjax.data.schema import Attributes, Dataset, Interactions
from socialjax.data.sets import amazon_fashion
from socialjax.eval.groups import cold_start_items
from socialjax.formats.file_bytes import DataError
from socialjax.formats.picture_files import PictureFiles
from socialjax.vision import taken
from socialjax.vision.accuracy import accuracies, regions
from socialjax.vision.feature_maps import feature_maps, in_shards, pretrained
from socialjax.vision.labelled import label_tables, labelled_pictures
from socialjax.vision.labelled.label_tables import LabelledPictures
from socialjax.vision.labelled.photos import Resident
from socialjax.vision.sen import SEN, SmallCNN, locate
from socialjax.vision.training import AttributeTraining, predicted, train_attributes

log = logging.getLogger(__name__)
Squares = Callable[[np.ndarray], np.ndarray]  # rows i[n] -> u8[n, S, S, 3]


@dataclasses.dataclass(frozen=True)
class Material:
    """A catalogue.

    Attributes:
        data: without attributes.
        cold_test: test pairs on cold items.
        cold: bool[I].
        items: pictures of the items, as squares of one size.
        labelled: other pictures with labels.
        learned: their pixels, as squares of the same size.
        absent: attribute -> classes that are the absence of a feature.
        picture_source: folder or archive of the items' pictures, for explanations; None: inside the folder of the data.
    """

    data: Dataset
    cold_test: Interactions
    cold: np.ndarray
    items: Squares
    labelled: LabelledPictures
    learned: Squares
    absent: dict[str, tuple[str, ...]]
    picture_source: Path | None = None


def real(source: Path, folder: Path, labels: str, labels_dir: Path | None, size: int = 224) -> Material:
    """DVBPR's Amazon Fashion and a set of labelled pictures. An item without a picture has no valid attribute.

    Args:
        source: folder of the release.
        folder: gets the archive of the items' pictures.
        labels: name of the labelled set.
        labels_dir: its folder.
        size: pixels along a side of a square.

    Returns:
        The catalogue.

    Raises:
        DataError: files are missing, or no item has a picture.
    """
    release = amazon_fashion.read(source)
    data = release.data
    if not (has_picture := data.item_pictures != "").any():
        raise DataError(f"{source}: wanted pictures of items, got none of {data.num_items}; fetch the file again")
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "pictures.tar"
    if not archive.is_file():
        for problem in amazon_fashion.write_pictures(release, archive):
            log.warning("left out: %s", problem)
    files = PictureFiles(archive)
    damaged = files.missing(data.item_pictures[has_picture].tolist())
    data = dataclasses.replace(
        data, item_pictures=np.where(np.isin(data.item_pictures, damaged), "", data.item_pictures)
    )
    if not (has_picture := data.item_pictures != "").all():
        log.warning("%d items have no picture; their attributes are not valid", int((~has_picture).sum()))
    labelled = labelled_pictures(labels, labels_dir)
    return _by_files(data, files, archive, labelled, size)


def own(source: Path, size: int = 224) -> Material:
    """A user's own table of labelled pictures with interactions (`picture_table`): attributes are learned from its
    labels.

    Args:
        source: folder of the table.
        size: pixels along a side of a square.

    Returns:
        The catalogue.

    Raises:
        DataError: as the readers do.
    """
    labelled = label_tables.read(source)
    data = taken.of_pictures(source, labelled)
    return _by_files(data, PictureFiles(labelled.folder), Path(labelled.folder), labelled, size)


def _by_files(data: Dataset, files: PictureFiles, source: Path, labelled: LabelledPictures, size: int) -> Material:
    """Pictures are read lazily; that of an item without one is white."""
    learned = PictureFiles(labelled.folder)
    white = np.full((size, size, 3), 255, np.uint8)
    cold = cold_start_items(data)
    test = data.test.take(cold[data.test.item])

    def of_items(rows: np.ndarray) -> np.ndarray:
        names = data.item_pictures[rows]
        return np.stack([files.read(str(name), size) if name else white for name in names])

    def of_labelled(rows: np.ndarray) -> np.ndarray:
        return np.stack([learned.read(str(name), size) for name in labelled.files[rows]])

    return Material(data, test, cold, of_items, labelled, of_labelled, {}, source)


BATCH, SMALL_BATCH = 64, 32
PIXEL_DIRECTIONS = 32

# For pictures of 64 pixels, trained from scratch: experiments.planted_all holds it to the bars on drawn garments. With
# plain logits maps point beside hems and toes; with fewer layers, whose receptive field is less than a part, more do.
SMALL = {"hidden": 32, "dropout": 0.2, "region_dim": 32, "bins": 3, "centred": True}
SMALL_BACKBONE = SmallCNN(channels=(16, 24, 32, 48, 48), strides=(2, 2, 1, 1, 1))
SMALL_CHANGES = {"shift": 3, "hidden": 2}  # augmentation of training pictures
SMALL_TRAINING = AttributeTraining(epochs=8, region_epochs=4, learning_rate=2e-3, patience=100)


@dataclasses.dataclass(frozen=True)
class Network:
    """A trained attribute network.

    Attributes:
        network: takes pictures.
        variables: of the network.
        judged: figures on held-out pictures, ready for JSON.
        key: hash of everything that the variables depend on.
    """

    network: SEN
    variables: dict
    judged: dict
    key: str


def trained(material: Material, settings: AttributeTraining, backbone: str, folder: Path, seed: int) -> Network:
    """Trains an attribute network on the labelled pictures of a catalogue.

    Args:
        material: the catalogue.
        settings: of the training.
        backbone: `small`, trained from scratch, or one with published weights, which stay frozen.
        folder: for checkpoints.
        seed: of initial values, order and dropout.

    Returns:
        The network, with its figures on the test part.
    """
    labelled = material.labelled
    parts = {part: labelled.rows(part) for part in ("train", "validation", "test")}
    classes = tuple(map(len, labelled.classes))
    digest = hashlib.sha256(labelled.labels.tobytes() + "".join(map(str, labelled.ids)).encode()).hexdigest()
    if backbone == "small":
        network = SEN(classes, SMALL_BACKBONE, **SMALL)
        variables = dict(jax.jit(network.init)(jax.random.key(seed), jnp.asarray(material.learned(np.arange(2)))))
        inputs = {part: material.learned(rows) for part, rows in parts.items()}
        learner, whole, weights = network, lambda learned: learned, None
        settings = dataclasses.replace(settings, backbone_rate=settings.learning_rate)
    else:
        published = pretrained(backbone, classes=0)
        weights = published.sha256
        pictures = _Lazily(material.learned, len(labelled))
        maps = feature_maps(pictures, published, digest)
        inputs = {part: maps[rows] for part, rows in parts.items()}
        learner, network = SEN(classes), SEN(classes, published.network)
        variables = dict(jax.jit(learner.init)(jax.random.key(seed), jnp.zeros((1, *maps.shape[1:]))))

        def whole(learned):
            rest = {name: {"backbone": value} for name, value in published.variables.items() if name != "params"}
            return {"params": {**learned["params"], "backbone": published.variables["params"]}, **rest}

    size, changes = (SMALL_BATCH, SMALL_CHANGES) if backbone == "small" else (BATCH, {})
    described = dict(labels=digest, part=labelled.part.tolist(), settings=repr(settings), network=repr(learner))
    key = key_of("saers-sen", **described, weights=weights, seed=seed, batch=size, **changes)
    batches = Resident(inputs["train"], labelled.labels[parts["train"]], size, seed, **changes)
    validation = inputs["validation"], labelled.labels[parts["validation"]]
    result = train_attributes(learner, variables, batches, validation, settings, seed, folder / f"sen-{key[:8]}", key)
    judged = _judged(material, learner, result.variables, inputs["test"], parts)
    judged["seconds"] = result.seconds
    return Network(network, whole(dict(result.variables)), judged, key)


def _judged(material: Material, network: SEN, variables, inputs: np.ndarray, parts) -> dict:
    """Accuracy on the test part and, where its true boxes are known, the quality of maps and boxes."""
    labelled, rows = material.labelled, parts["test"]
    labels = labelled.labels[rows]
    found = predicted(network, variables, inputs)
    judged = {"accuracy": accuracies(labels, found, labelled.names, labelled.classes, labelled.labels[parts["train"]])}
    if labelled.boxes is not None:
        seen = extract(network, variables, inputs)
        judged["regions"] = regions(
            labels, seen["maps"], seen["boxes"], labelled.boxes[rows], labelled.names, labelled.classes, material.absent
        )
    return judged


def attributes_of(material: Material, network: Network, folder: Path) -> Attributes:
    """The attributes of all items by the network, kept in shards; `valid_on` decides where they are valid.

    Args:
        material: the catalogue.
        network: trained.
        folder: for the shards.

    Returns:
        Attributes of all items.
    """
    data, labelled = material.data, material.labelled
    pictures = hashlib.sha256(json.dumps([data.num_items, data.provenance.as_dict()]).encode()).hexdigest()
    described = {"network": network.key, "pictures": pictures}
    shards = folder / f"attributes-{key_of('attributes', **described)[:8]}"
    extracted = in_shards(
        data.num_items,
        lambda rows: extract(network.network, network.variables, material.items(rows)),
        shards,
        described,
    )
    valid = valid_on(data, labelled, extracted["label"])
    return Attributes(
        names=labelled.names,
        classes=labelled.classes,
        features=extracted["features"],
        valid=valid,
        label=np.where(valid, extracted["label"], -1).astype(np.int16),
        probability=extracted["probability"],
        boxes=extracted["boxes"],
        fallback=extracted["fallback"],
    )


def valid_on(data: Dataset, labelled: LabelledPictures, label: np.ndarray) -> np.ndarray:
    """Which attributes are valid on which items.

    An attribute is valid on items of the groups in whose labelled pictures it occurs (on all items without groups)
    where its class is not "Invisible"; on an item where that would leave none, all of its group are valid. Items
    without a picture have none; nor have groups whose labelled pictures have no labels, with a warning.

    Args:
        data: with groups and pictures of items, where known.
        labelled: the pictures that the attributes were learned from.
        label: i[I, K], the class of each attribute.

    Returns:
        bool[I, K].
    """
    of_group = np.ones(label.shape, bool)
    if data.item_groups is not None and labelled.groups is not None:
        known = {group: (labelled.labels[labelled.groups == group] >= 0).any(axis=0) for group in set(labelled.groups)}
        everything = np.ones(len(labelled.names), bool)
        of_group = np.stack([known.get(group, everything) for group in data.item_groups])
        for group in sorted(group for group, there in known.items() if not there.any()):
            count = int((data.item_groups == group).sum())
            log.warning("group '%s' has no attribute: %d items are scored by their look as a whole", group, count)
    if data.item_pictures is not None:
        of_group &= (data.item_pictures != "")[:, None]
    seen = of_group.copy()
    for k, classes in enumerate(labelled.classes):
        seen[:, k] &= np.array([name != "Invisible" for name in classes])[label[:, k]]
    return np.where(seen.any(axis=1, keepdims=True), seen, of_group)


def look_of_items(material: Material, backbone: str) -> np.ndarray:
    """Global features of the items' pictures, which know no attributes.

    Args:
        material: the catalogue.
        backbone: one with published weights, whose pooled activations are taken, or `small`: the leading principal
            components of the pixels of drawn pictures.

    Returns:
        f32[I, F].
    """
    everything = np.arange(material.data.num_items)
    if backbone != "small":
        published = pretrained(backbone, classes=0)
        key = hashlib.sha256(json.dumps(material.data.provenance.as_dict()).encode()).hexdigest()
        pictures = _Lazily(material.items, len(everything))
        return feature_maps(pictures, published, key, tap="pooled").astype(np.float32)
    flat = material.items(everything).reshape(len(everything), -1).astype(np.float32) / 255
    flat -= flat.mean(axis=0)
    # There are fewer pictures than pixels: the components come from inner products of pictures.
    values, vectors = np.linalg.eigh(flat @ flat.T)
    top = np.argsort(-values)[: min(PIXEL_DIRECTIONS, len(everything) - 1)]
    return (vectors[:, top] * np.sqrt(np.maximum(values[top], 0))).astype(np.float32)


def extract(network: SEN, variables, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Classes, regions and features of pictures, in batches of one shape.

    Args:
        network: an attribute network.
        variables: of the network.
        inputs: pictures u8[N, H, W, 3] or feature maps float[N, h, w, D].

    Returns:
        label i16[N, K], probability f32[N, K], boxes f32[N, K, 4] in fractions of the picture, fallback bool[N, K],
        features f32[N, K, F], maps f32[N, K, h, w].
    """
    rows = []
    for start in range(0, len(inputs), BATCH):
        chunk = inputs[start : start + BATCH]
        filled = np.concatenate([chunk, np.repeat(chunk[:1], BATCH - len(chunk), axis=0)])
        at = jax.device_get(_locate(network, variables, filled))
        height, width = at.feature_maps.shape[1:3]
        chance = np.asarray(jax.nn.softmax(at.activation.logits, axis=-1))
        cells = np.float32([width, height, width, height])
        made = {
            "label": at.activation.label.astype(np.int16),
            "probability": chance.max(axis=-1).astype(np.float32),
            "boxes": (at.boxes / cells).astype(np.float32),
            "fallback": np.asarray(at.fallback),
            "features": at.vectors.astype(np.float32),
            "maps": at.activation.maps.astype(np.float32),
        }
        rows.append({name: values[: len(chunk)] for name, values in made.items()})
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


_locate = jax.jit(locate, static_argnums=0)


class _Lazily:
    """Pictures that are read lazily."""

    def __init__(self, squares, count: int):
        self.squares, self.count = squares, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int) -> np.ndarray:
        return self.squares(np.array([row]))[0]
