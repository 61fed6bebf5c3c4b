"""SAERS beside BPR, VBPR, DeepStyle and JRL: overall and on cold items, with the attributes it found on the pictures.

    python -m experiments.saers_amazon_fashion                          # a drawn world of tops and shoes
    python -m experiments.saers_amazon_fashion --only bpr vbpr saers    # some of the rows
    python -m experiments.saers_amazon_fashion --data.dir FOLDER --labels fashion_products    # Amazon Fashion

With a folder that holds DVBPR's AmazonFashion6ImgPartitioned.npy it runs on that, with attributes learned from the
labelled pictures of --labels; with a table of your own pictures with labels, and who took which, on that. Otherwise all
runs on drawn garments whose attributes, regions and likings are known: it says PLANTED first and last, and its figures
say nothing about real shoppers.

One attribute network is trained and asked about every item once; then all rows are trained on what it found. The
workdir holds report.md, report.json, gallery.html, gallery.png and every stage's results: the same command goes on
where it was stopped. Of the paper two figures are known, from a leaderboard: AUC 0.816 and NDCG@10 0.171 with 500
negatives.

Expect a minute on one core for the attribute network and one row and seed of drawn garments, 4 for all of them.
"""

import dataclasses
import logging
import sys
from pathlib import Path

import numpy as np
import tyro

from socialjax import load, stop
from socialjax.atomic_write import atomic_write
from socialjax.data import sources
from socialjax.data.own import attribute_files
from socialjax.data.schema import Dataset
from socialjax.data.sources import DataSettings
from socialjax.drawing import attempt
from socialjax.explain.gallery import ItemPictures, explained, gallery_page, some_users
from socialjax.explain.picture import draw_sheet
from socialjax.report.saers import check as check_measurable
from socialjax.report.saers import how_sure, measured, saers_report
from socialjax.run.command import exit_code, say, set_up_logging
from socialjax.run.execute import work_folder
from socialjax.run.processes import only_one
from socialjax.run.results import write_json
from socialjax.run.settings import EvalSettings
from socialjax.run.study.baselines import compare_on
from socialjax.run.study.settings import Arguments as Rows
from socialjax.run.study.settings import Setting, Study
from socialjax.train.step import TrainSettings
from socialjax.vision.catalogue_attributes import (
    SMALL_TRAINING,
    Material,
    attributes_of,
    look_of_items,
    own,
    real,
    trained,
)
from socialjax.vision.colour_texture import colour_texture, joined
from socialjax.vision.labelled import label_tables
from socialjax.vision.training import AttributeTraining
from socialjax.worlds.garments import made

log = logging.getLogger(__name__)
BANNER = "PLANTED: drawn garments in place of Amazon Fashion; these figures say nothing about real shoppers"
COLOUR = "vbpr_colour_texture"  # of other features than the other rows
NEGATIVES = 500
TRAINING = TrainSettings(epochs=60, batch_size=512, learning_rate=1e-2, evaluate_every=2, patience=20, plateau=20)


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the real set lies."""

    dir: Path | None = None
    """Folder with AmazonFashion6ImgPartitioned.npy, or with pictures.csv and interactions.csv of your own
    (docs/data.md); without it garments are drawn."""


@dataclasses.dataclass(frozen=True)
class Arguments:
    """The command line."""

    data: Place = dataclasses.field(default_factory=Place)
    labels: str = "fashion_products"
    """Labelled pictures that attributes are learned from, beside Amazon Fashion (docs/data.md)."""
    labels_dir: Path | None = None
    """Their folder; by default $SOCIALJAX_DATA/LABELS."""
    backbone: str = "efficientnet_lite0"
    """With published weights, for real pictures; `small` is one that is learned on 64 pixels, as for drawn ones."""
    users: int = 300
    """Of the drawn world."""
    items: int = 1500
    """Of the drawn world."""
    purchases: int = 60
    """Of each user of the drawn world."""
    pictures: int = 4000
    """Drawn pictures that attributes are learned from."""
    only: tuple[str, ...] = ()
    """Some of the rows."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the rows; the attribute network has the first."""
    workdir: Path | None = None
    """Where everything is kept; default runs/saers_amazon_fashion[-planted]."""
    sen: AttributeTraining = SMALL_TRAINING
    train: TrainSettings = TRAINING


def settings(dim: int, train: TrainSettings) -> dict[str, Setting]:
    """The rows that read the same features."""
    shared = {"dim": dim, "l2": 1e-3}
    return {
        "bpr": Setting(shared, train),
        "vbpr": Setting(shared, train),
        "deepstyle": Setting(shared, train),
        "jrl": Setting(shared, train),
        "saers": Setting(shared, train),
        "saers_uniform": Setting({**shared, "attention": "uniform"}, train, model="saers"),
        "saers_no_global": Setting({**shared, "space": "semantic"}, train, model="saers"),
        "saers_no_semantic": Setting({**shared, "space": "global"}, train, model="saers"),
        "saers_no_regions": Setting({**shared, "regions": False}, train, model="saers"),
    }


def prepared(chosen: Arguments, folder: Path) -> tuple[Material, Dataset, Dataset, dict]:
    """What there is to learn from; the data set with attributes, and with colours and textures beside the look; how
    well attributes were found. Both data sets are folders, from which runs are read back."""
    is_made, data_folder = chosen.data.dir is None, folder / "data"
    backbone = "small" if is_made else chosen.backbone
    if is_made:
        log.warning("%s", BANNER)
        material = made(data_folder, chosen.users, chosen.items, chosen.purchases, chosen.pictures)
    else:
        source, side = chosen.data.dir, 64 if backbone == "small" else 224
        is_own = label_tables.is_here(source)
        material = own(source, side) if is_own else real(source, data_folder, chosen.labels, chosen.labels_dir, side)
    network = trained(material, chosen.sen, backbone, folder / "attributes", chosen.seeds[0])
    look = look_of_items(material, backbone)
    attributes = attributes_of(material, network, folder / "attributes")
    data = dataclasses.replace(material.data, attributes=attributes, item_features=look)
    both = joined(look, _colours(material))
    other = dataclasses.replace(data, name=f"{data.name}-colour-texture", item_features=both)
    kept = []
    for each, at in ((data, data_folder), (other, folder / "data_colour_texture")):
        attribute_files.write(at, each)
        kept.append(sources.load(DataSettings(name=each.name, dir=at)))
    return material, *kept, network.judged


def show(chosen: Arguments) -> list[str]:
    """Every stage; the rows that failed."""
    folder = chosen.workdir or Path("runs") / ("saers_amazon_fashion" + "-planted" * (chosen.data.dir is None))
    with only_one(folder):
        return _show_in(folder, chosen)


def _show_in(folder: Path, chosen: Arguments) -> list[str]:
    is_made = chosen.data.dir is None
    rows = settings(16 if is_made else 64, chosen.train)
    if unknown := [name for name in chosen.only if name not in {*rows, COLOUR}]:
        raise ValueError(f"--only must name some of {', '.join([*rows, COLOUR])}, got {', '.join(unknown)}")
    material, data, other, judged = prepared(chosen, folder)
    most = min(NEGATIVES, data.num_items // 2)
    protocol = EvalSettings(
        protocol=f"sampled{most}-strict", also=("full",), validation_protocol=f"sampled{most}-strict", ks=(5, 10)
    )
    study = Study(
        "saers_amazon_fashion", __doc__, DataSettings(name=data.name, dir=folder / "data"), rows, eval=protocol
    )
    colour = dataclasses.replace(
        study,
        data=DataSettings(name=other.name, dir=folder / "data_colour_texture"),
        settings={COLOUR: dataclasses.replace(rows["vbpr"], model="vbpr")},
    )
    results, failed = {}, []
    for table, dataset in ((study, data), (colour, other)):
        asked = tuple(name for name in chosen.only if name in table.settings)
        if chosen.only and not asked:
            continue
        words = Rows(data=table.data, only=asked, seeds=chosen.seeds, workdir=folder)
        stop.check()
        check_measurable(dataset, material)
        done, failed_rows = compare_on(table, words, dataset)
        failed += failed_rows
        for label, row in done.items():
            results[label] = measured(
                work_folder(row.definition, row.experiment, dataset, row.place), dataset, material
            )
    text = saers_report(results, judged, data, BANNER if is_made else "", "saers" in results)
    with atomic_write(folder / "report.md") as temporary:
        temporary.write_text(text)
    write_json(
        folder / "report.json",
        {"rows": results, "attributes": judged, "data": data.provenance.as_dict(), "seeds": chosen.seeds},
    )
    say(f"\nreport.md is in {folder}\n\n{text}")
    if "saers" in results and attempt(
        folder / "gallery.html", lambda path: _pages(path, folder / "saers", judged, material.picture_source), anew=True
    ):
        log.info("gallery.html is in %s", folder)
    return failed


def _pages(gallery: Path, saers: Path, judged: dict, pictures_folder: Path | None) -> None:
    """The gallery of some users, and a picture of its beginning."""
    run = load(saers)
    pictures = ItemPictures(run, pictures_folder, None)
    records, pairs = explained(run, some_users(run), (), 4)
    users = gallery_page(gallery, run, records, pairs, pictures, how_sure(judged))
    title = f"What users look at in what SAERS recommends them, {run.data.name}"
    attempt(gallery.with_suffix(".png"), lambda path: draw_sheet(path, title, users[:3]), anew=True)


def _colours(material: Material) -> np.ndarray:
    blocks = np.array_split(np.arange(material.data.num_items), max(1, material.data.num_items // 512))
    return np.concatenate([colour_texture(material.items(rows)) for rows in blocks])


def main(arguments: list[str] | None = None) -> int:
    """The whole command; 0 when every row is there."""
    set_up_logging()
    failed: list[str] = []

    def act():
        chosen = tyro.cli(
            Arguments, prog="python -m experiments.saers_amazon_fashion", description=__doc__, args=arguments
        )
        failed.extend(show(chosen))

    return exit_code(act) or (1 if failed else 0)


if __name__ == "__main__":
    sys.exit(main())
