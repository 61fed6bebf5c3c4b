"""Features for real: DiffNet, DiffNet++ and FM on Yelp with categories and cities, each with and without them.

    python -m experiments.features_yelp_hin                               # all models, seeds 0-4; resumes
    python -m experiments.features_yelp_hin --models diffnet --seeds 0 1

Both sides of a comparison differ in `use_features` alone. Cold items are those that nobody has in train: their test
pairs alone are the positives, against the same negatives. Paired tests are over users, whose metrics are means over
the seeds; Holm's correction is over all tests of the table. Shared settings are those of DiffNet on Yelp. DiffNet has
`cold_bias`, which acts with features only. With 0, 0.25, 0.5, 0.75 and 1 of it, cold items have an HR@10 of .02,
.02, .06, .10 and .10 on validation and all items an NDCG@10 of .226, .225, .225, .223 and .221; without it 0 and .227.

Expect some minutes a seed and variant on 2 cores.
"""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import tyro

from socialjax.data import sources
from socialjax.data.sources import DataSettings
from socialjax.eval.significance import holm, mean_interval, paired
from socialjax.eval.tables import cell, text_table
from socialjax.models.cf.fm import FM
from socialjax.models.social.diffnet import DiffNet
from socialjax.models.social.diffnet_pp import DiffNetPP
from socialjax.run import results
from socialjax.run.command import exit_code, set_up_logging
from socialjax.run.execute import run, work_folder
from socialjax.run.settings import Definition, Experiment
from socialjax.train.processes import is_first, join_processes
from socialjax.train.settings import TrainSettings

SHARED = dict(objective="softmax", negatives=16, l2=0.05)
MODELS = {
    "diffnet": DiffNet(layers="all", dropout=0.5, exclude_target=True, cold_bias=0.5, **SHARED),
    "diffnet_pp": DiffNetPP(dropout=0.5, **SHARED),
    "fm": FM(dropout=0.5, **SHARED),
}
DATA = DataSettings(name="yelp_hin", require_real=True)  # the stand-in has no features
TRAIN = TrainSettings(epochs=140, evaluate_every=4, patience=40)
METRICS = ("HR@10", "NDCG@10")
GROUPS = {"all": "per_user.npz", "cold items": "cold_per_user.npz"}
COLD = "[0, 1)"
DEFINITION = Definition(
    name="features_yelp_hin",
    summary="Item and user features on yelp_hin: with and without.",
    default=Experiment(model=MODELS["diffnet"], data=DATA, train=TRAIN),
)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Which models, and which seeds."""

    models: tuple[str, ...] = tuple(MODELS)
    """Some of the names that the table has."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    data: DataSettings = DATA
    train: TrainSettings = TRAIN
    workdir: Path | None = None
    """Default runs/features_yelp_hin/yelp_hin; one folder inside for each model and variant."""

    def __post_init__(self):
        unknown = sorted(set(self.models) - set(MODELS))
        if unknown or not self.models:
            raise ValueError(f"--models wants some of {', '.join(MODELS)}, got {', '.join(unknown) or 'none'}")


def variants(arguments: Arguments) -> dict[tuple[str, bool], Experiment]:
    """(model, with features) -> what is run."""
    return {
        (name, given): Experiment(
            model=dataclasses.replace(MODELS[name], use_features=given),
            data=arguments.data,
            train=arguments.train,
            seeds=arguments.seeds,
            workdir=arguments.workdir,
        )
        for name in arguments.models
        for given in (True, False)
    }


def per_user(folder: Path, seeds: tuple[int, ...], group: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """(users i32[U], f64[U] the metric of each, its mean over the seeds) of one group."""
    kept = [np.load(folder / f"seed_{seed}" / GROUPS[group]) for seed in seeds]
    return kept[0]["users"], np.mean([one[metric].astype(np.float64) for one in kept], axis=0)


def over_seeds(record: dict, group: str, metric: str) -> dict:
    """{"mean", "ci95"} over the seeds of a result."""
    if group == "all":
        return record["metrics"][metric]
    mean, half = mean_interval([seed["item interactions"][COLD][metric] for seed in record["groups"]])
    return {"mean": mean, "ci95": half}


def compare(records: dict[tuple[str, bool], dict], folders: dict[tuple[str, bool], Path]) -> list[dict]:
    """Each model with features less the same without, on all users and on cold items: one row a test."""
    rows = []
    for name in dict.fromkeys(name for name, _ in records):
        for group in GROUPS:
            for metric in METRICS:
                sides = []
                for given in (True, False):
                    sides.append(per_user(folders[name, given], records[name, given]["seeds"], group, metric))
                if not np.array_equal(sides[0][0], sides[1][0]):
                    raise ValueError(f"the two runs of {name} evaluated different users; delete one and run it again")
                test = paired(sides[0][1], sides[1][1])
                rows.append({"model": name, "group": group, "metric": metric, **dataclasses.asdict(test)})
    corrected = holm({str(place): row["p_t"] for place, row in enumerate(rows)})
    return [{**row, "p_holm": corrected[str(place)]} for place, row in enumerate(rows)]


def table(records: dict[tuple[str, bool], dict], rows: list[dict]) -> str:
    """Metrics with 95 % intervals over seeds, then the differences with 95 % intervals over users."""
    titles = [f"{metric}, {group}" for group in GROUPS for metric in METRICS]
    figures = [["", *titles]]
    for (name, given), record in records.items():
        cells = [cell(over_seeds(record, group, metric)) for group in GROUPS for metric in METRICS]
        figures.append([f"{name}, {'with features' if given else 'without'}", *cells])
    tests = [["with - without", "users", "difference", "95 % interval", "p (t)", "p (Wilcoxon)", "p (t, Holm)"]]
    for row in rows:
        tests.append(
            [
                f"{row['model']}: {row['metric']}, {row['group']}",
                f"{row['num_users']:,}",
                f"{row['difference']:+.4f}",
                f"{row['low']:+.4f} .. {row['high']:+.4f}",
                *(f"{row[p]:.2g}" for p in ("p_t", "p_wilcoxon", "p_holm")),
            ]
        )
    return "\n".join(["", text_table(figures), "", text_table(tests)])


def main(given=None) -> int:
    """Runs what is not finished, prints the table and keeps it as comparison.json; returns the exit code."""
    set_up_logging()

    def act():
        arguments = tyro.cli(Arguments, prog=DEFINITION.typed(), description=DEFINITION.summary, args=given)
        join_processes()
        data = sources.load(arguments.data)
        records, folders = {}, {}
        for (name, with_features), experiment in variants(arguments).items():
            label = f"{name},use_features={with_features}"
            records[name, with_features] = run(DEFINITION, experiment, data, label)
            folders[name, with_features] = work_folder(DEFINITION, experiment, data, label)
        if is_first():
            rows = compare(records, folders)
            folder = next(iter(folders.values())).parent
            results.write_json(folder / "comparison.json", rows)
            print(table(records, rows) + f"\nkept in {folder}", flush=True)

    return exit_code(act)


if __name__ == "__main__":
    sys.exit(main())
