"""JIFR beside BPR, CDL, VBPR, VPOI and ACF: items, and the frame of each item that the user likes best.

    python -m experiments.jifr_douban                                # all rows, seeds 0-4
    python -m experiments.jifr_douban --only bpr jifr jifr_na        # some of them
    python -m experiments.jifr_douban --data.dir FOLDER              # your own films and frames

The crawl of Douban that the paper used is not distributed. Whoever has one, or any items with frames, puts items.tsv,
frames.npy, train.tsv, val.tsv, test.tsv and test_frames.tsv (docs/data.md) into $SOCIALJAX_DATA/douban-frames or names
their folder. Otherwise all runs on the planted world MAX, in which it is known how much each user likes each frame: it
says PLANTED first and last, and its figures say nothing about Douban. Frames wider than 256 numbers are reduced once,
and every model sees the same table. No like of a frame is read in training or in choosing an epoch.

The settings for Douban are first guesses, nothing was searched; those of the planted world are its prototype's.
Expect on 2 cores: 10 minutes on the planted world.
"""

import dataclasses
import logging
import sys
from pathlib import Path

from socialjax.data import sources
from socialjax.data.schema import Dataset
from socialjax.data.sources import DataSettings
from socialjax.models.visual.item_features import frame_table
from socialjax.run.command import exit_code, say, set_up_logging
from socialjax.run.processes import only_one
from socialjax.run.results import write_json
from socialjax.run.settings import EvalSettings
from socialjax.run.study import key_frames
from socialjax.run.study.baselines import compare_on
from socialjax.run.study.settings import Arguments, Setting, Study, read_arguments
from socialjax.train.step import TrainSettings
from socialjax.worlds.frames import frames_world

log = logging.getLogger(__name__)
WIDEST = 256  # numbers of a frame
BANNER = "PLANTED: a synthetic world in place of Douban; these figures say nothing about the real data"


def settings(shared: dict, visual: dict, cdl: dict, train: TrainSettings) -> dict[str, Setting]:
    """The rows. shared: fields of all models; visual: of those that project frames; cdl: of CDL."""
    return {
        "bpr": Setting(shared, train),
        "cdl": Setting({**shared, **cdl}, train),
        "vbpr": Setting({**shared, **visual}, train),
        "vpoi": Setting(shared, train),
        "acf": Setting(shared, train),
        "jifr_na": Setting({**shared, **visual, "pool": "mean"}, train, model="jifr"),
        "jifr": Setting({**shared, **visual}, train),
    }


STUDY = Study(
    name="jifr_douban",
    summary=__doc__,
    data=DataSettings(name="douban-frames"),
    settings=settings(
        {"dim": 32, "l2": 1e-3},
        {"visual_dim": 32},
        {"lambda_n": 10.0},
        TrainSettings(epochs=60, batch_size=1024, learning_rate=1e-3, evaluate_every=2, patience=10),
    ),
    eval=EvalSettings(
        protocol="sampled100-strict", also=("full",), validation_protocol="sampled100-strict", ks=(5, 10)
    ),
)
PLANTED = dataclasses.replace(
    STUDY,
    settings=settings(
        {"dim": 8, "l2": 1e-3},
        {"visual_dim": 8},
        {"hidden": 32, "lambda_n": 1.0},
        TrainSettings(epochs=60, batch_size=512, learning_rate=1e-2, evaluate_every=2, patience=20),
    ),
)


def prepared(asked: DataSettings) -> Dataset:
    """The data of a folder, else the planted world; no frame wider than WIDEST."""
    if sources.find(asked) is None and not asked.require_real:
        log.warning("%s", BANNER)
        return frames_world(0, pooling="max").data
    data = sources.load(asked)
    if data.frames is None or data.frames.features.shape[1] <= WIDEST:
        return data
    note = f"features of frames reduced from {data.frames.features.shape[1]} to {WIDEST} numbers"
    log.info("%s", note)
    frames = dataclasses.replace(data.frames, features=frame_table(data.frames.features, WIDEST))
    provenance = dataclasses.replace(data.provenance, repairs=(*data.provenance.repairs, note))
    return dataclasses.replace(data, frames=frames, provenance=provenance)


def show(arguments: Arguments) -> list[str]:
    """Trains or reads every row, prints both tables, and keeps that of the frames; labels of rows that failed."""
    if arguments.jobs > 1:
        raise ValueError(f"--jobs must be 1 here, where all rows share one table of frames, got {arguments.jobs}")
    data = prepared(arguments.data)
    planted = data.provenance.kind == "planted"
    folder = arguments.workdir or Path("runs") / (f"{STUDY.name}-planted" if planted else STUDY.name)
    with only_one(folder):
        return _show_in(folder, dataclasses.replace(arguments, workdir=folder), data)


def _show_in(folder: Path, arguments: Arguments, data: Dataset) -> list[str]:
    planted = data.provenance.kind == "planted"
    rows, failed = compare_on(PLANTED if planted else STUDY, arguments, data)
    frames = key_frames.measured(rows, data, style="jifr")
    if frames is None:
        say(f"\nno table of key frames: '{data.name}' has no likes of frames (test_frames.tsv)")
    else:
        say(key_frames.table(frames, f"{STUDY.name} on {data.name} ({data.provenance.kind})"))
        write_json(folder / "key_frames.json", {"dataset": data.name, "data": data.provenance.kind, "rows": frames})
    if planted:
        say(BANNER)
    return failed


def main(arguments: list[str] | None = None) -> int:
    """The whole command; 0 when every model has its row."""
    set_up_logging()
    failed: list[str] = []
    code = exit_code(lambda: failed.extend(show(read_arguments(STUDY, arguments))))
    return code or (1 if failed else 0)


if __name__ == "__main__":
    sys.exit(main())
