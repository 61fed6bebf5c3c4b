"""SEN on real catalogue photos: seven attributes of 8,090 products, and whether its maps look at the product.

    python -m experiments.sen_fashion                                  # $SOCIALJAX_DATA/fashion_products
    python -m experiments.sen_fashion --labels-dir FOLDER --seed 1
    python -m experiments.sen_fashion --labels mine --labels-dir FOLDER     # a table of your own (docs/data.md)

EfficientNet-Lite0 stays as published on ImageNet: its feature maps are computed once and kept in the cache, and the
branches learn from them. The epochs are chosen on the validation part; the test part is read once, at the end. The
workdir holds report.md, report.json and maps.png, photos of the test part with maps and boxes (the photos are a
shop's: not for publication). The same command goes on where it was stopped.

Expect 13 minutes on a busy core for feature maps, once only, then 3 on a quiet one, half of them training:
masterCategory 0.994, subCategory 0.957, articleType 0.849, gender 0.872.
"""

import dataclasses
import logging
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from socialjax import stop
from socialjax.atomic_write import atomic_write
from socialjax.data.cache import key_of
from socialjax.drawing import attempt
from socialjax.report.saers import draw_sheet, missed, sen_report
from socialjax.run.command import exit_code, say, set_up_logging
from socialjax.run.processes import only_one
from socialjax.run.results import made_with, write_json
from socialjax.vision.accuracy import accuracies
from socialjax.vision.catalogue_attributes import extract
from socialjax.vision.feature_maps import pretrained
from socialjax.vision.labelled import labelled_pictures
from socialjax.vision.labelled.label_tables import LabelledPictures
from socialjax.vision.labelled.photos import Photos, Resident, maps_of, on_product
from socialjax.vision.sen import SEN
from socialjax.vision.training import AttributeTraining, predicted, train_attributes

log = logging.getLogger(__name__)
BATCH = 64
TRAINING = AttributeTraining(epochs=15, region_epochs=3, learning_rate=5e-4, weight_decay=0.01, patience=5)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """The command line."""

    labels: str = "fashion_products"
    """Labelled photos (docs/data.md)."""
    labels_dir: Path | None = None
    """Their folder; by default $SOCIALJAX_DATA/LABELS."""
    backbone: str = "efficientnet_lite0"
    """With published weights."""
    weights: Path | None = None
    """File of these, where no package ships them."""
    size: int = 224
    """Side in pixels of the squares that the backbone sees."""
    hidden: int = 256
    """Of each attribute's branch."""
    dropout: float = 0.5
    """Of the branches and of the layers over regions."""
    seed: int = 0
    """Of the first parameters and the order of the photos."""
    workdir: Path | None = None
    """Where everything is kept; default runs/sen_LABELS."""
    train: AttributeTraining = TRAINING


def attributes_with_labels(labelled: LabelledPictures) -> LabelledPictures:
    """Without attributes that have fewer than two classes in the training part: there is nothing to learn."""
    train = labelled.labels[labelled.rows("train")]
    kept = [k for k in range(len(labelled.names)) if len(np.unique(train[train[:, k] >= 0, k])) > 1]
    return dataclasses.replace(
        labelled,
        names=tuple(labelled.names[k] for k in kept),
        classes=tuple(labelled.classes[k] for k in kept),
        labels=labelled.labels[:, kept],
        boxes=None,
    )


def show(chosen: Arguments) -> dict:
    """Every stage; the figures."""
    folder = chosen.workdir or Path("runs") / f"sen_{chosen.labels}"
    with only_one(folder):
        return _show_in(folder, chosen)


def _show_in(folder: Path, chosen: Arguments) -> dict:
    labelled = attributes_with_labels(labelled_pictures(chosen.labels, chosen.labels_dir))
    published = pretrained(chosen.backbone, chosen.weights, classes=0)
    photos = Photos(labelled, chosen.size)
    maps, seconds = maps_of(photos, published)
    parts = {part: labelled.rows(part) for part in ("train", "validation", "test")}
    labels = {part: labelled.labels[rows] for part, rows in parts.items()}

    network = SEN(
        tuple(map(len, labelled.classes)), hidden=chosen.hidden, dropout=chosen.dropout, region_dim=128, centred=True
    )
    variables = dict(jax.jit(network.init)(jax.random.key(chosen.seed), jnp.zeros((1, *maps.shape[1:]))))
    key = key_of("sen-fashion", photos=photos.key, weights=published.sha256, network=repr(network),
                 settings=repr(chosen.train), seed=chosen.seed, labels=labels_digest(labelled))  # fmt: skip
    batches = Resident(maps[parts["train"]], labels["train"], BATCH, chosen.seed)
    validation = maps[parts["validation"]], labels["validation"]
    learned = train_attributes(
        network, variables, batches, validation, chosen.train, chosen.seed, folder / f"sen-{key[:8]}", key
    )

    stop.check()
    test = maps[parts["test"]]
    accuracy_by_stage = {
        stage: accuracies(
            labels["test"], predicted(network, learned.variables, test, stage), labelled.names, labelled.classes,
            labels["train"],
        )
        for stage in learned.accuracy
    }  # fmt: skip
    seen = extract(network, learned.variables, test)
    results = {
        "data": labelled.provenance.as_dict(),
        "photos": {part: len(rows) for part, rows in parts.items()},
        "accuracy": accuracy_by_stage["classes"],
        "accuracy_of_regions": accuracy_by_stage["regions"],
        "validation": {stage: each.tolist() for stage, each in learned.accuracy.items()},
        "epoch": learned.epoch,
        "on_product": on_product(photos, parts["test"], seen["maps"], labelled.names),
        "seconds": {"training": learned.seconds, "feature maps, or reading them": seconds},
        "settings": {"network": repr(network), "training": dataclasses.asdict(chosen.train), "seed": chosen.seed},
        **made_with(),
    }
    write_json(folder / "report.json", results)
    text = sen_report(results, chosen.labels)
    with atomic_write(folder / "report.md") as temporary:
        temporary.write_text(text)
    say(text)
    attempt(folder / "maps.png", lambda path: draw_sheet(path, photos, parts["test"], seen), anew=True)
    return results


def labels_digest(labelled: LabelledPictures) -> str:
    """What the labels are, in which part."""
    return key_of("labels", labels=labelled.labels.tolist(), part=labelled.part.tolist(), classes=labelled.classes)


def main(words: list[str] | None = None) -> int:
    """Runs the command line -> exit status; 1 when a bar is missed."""
    set_up_logging()
    below: list[str] = []

    def act():
        chosen = tyro.cli(Arguments, prog="python -m experiments.sen_fashion", description=__doc__, args=words)
        below.extend(missed(show(chosen), chosen.labels))

    return exit_code(act) or (1 if below else 0)


if __name__ == "__main__":
    sys.exit(main())
