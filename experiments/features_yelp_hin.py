"""Features for real: DiffNet, DiffNet++ and FM on Yelp with categories and cities, each with and without them.

    python -m experiments.features_yelp_hin                             # all models, seeds 0-4; resumes
    python -m experiments.features_yelp_hin --only diffnet --seeds 0 1    # some of them

Both sides of a comparison differ in `use_features` alone. Cold items are those that nobody has in train: their test
pairs alone are the positives, against the same negatives. Paired tests are over users, whose metrics are means over
the seeds; Holm's correction is over the tests of a table, as on the results page. Settings were searched on validation
with seed 0, for DiffNet with features and without: softmax over 32 negatives, L2 .05 and dropout .6 are the best of
either side (NDCG@10 .228 and .215; with 16 negatives and dropout .5 .227 and .214). DiffNet has `cold_bias`, which acts
in evaluation with features only. With 0, 0.25, 0.5, 0.75 and 1 of it and 16 negatives, cold items have an HR@10 of .02,
.02, .06, .10 and .10 on validation and all items an NDCG@10 of .226, .225, .225, .223 and .221; without it 0 and .227.
0 is the best of all items that shows cold ones at all. A first run with 0.5 had on test, against none of the features:
all items NDCG@10 .2309 and .2281, cold items HR@10 .0700 and 0. With 0: .2326 and .2281 (+.0044; over other trainings
+.0025 to +.0064, p .001; over other users +.0002 to +.0087, p .08), cold items HR@10 .0463 and 0 (p 2e-4 and 5e-5), p
after Holm's correction.

Expect some minutes a seed and variant on 2 cores.
"""

import contextlib
import dataclasses
import logging
import sys
from pathlib import Path

import tyro

from socialjax.data import sources
from socialjax.data.sources import DataSettings
from socialjax.eval.metrics import cell, text_table
from socialjax.eval.significance import mean_interval
from socialjax.models.cf.fm import FM
from socialjax.models.social.diffnet import DiffNet
from socialjax.models.social.diffnet_pp import DiffNetPP
from socialjax.report import comparisons
from socialjax.report.gather import Kept, of_run
from socialjax.report.overall import label
from socialjax.report.papers import Paper
from socialjax.run import results
from socialjax.run.command import exit_code, say, set_up_logging
from socialjax.run.execute import run, work_folder
from socialjax.run.processes import only_one
from socialjax.run.settings import Definition, Experiment
from socialjax.run.study.baselines import make_room
from socialjax.train import relay, watch
from socialjax.train.parallel import is_first, join_processes
from socialjax.train.step import TrainSettings

log = logging.getLogger(__name__)
SHARED = dict(objective="softmax", negatives=32, l2=0.05, dropout=0.6)
MODELS = {
    "diffnet": DiffNet(layers="all", exclude_target=True, cold_bias=0.0, feature_scale=0.2, **SHARED),
    "diffnet_pp": DiffNetPP(**SHARED),
    "fm": FM(**SHARED),
}
DATA = DataSettings(name="yelp_hin", require_real=True)  # the stand-in has no features
TRAIN = TrainSettings(epochs=140, evaluate_every=4, patience=40)
GROUPS = ("all", "cold items")
COLD = "[0, 1)"
PAPER = Paper(
    name="features_yelp_hin",
    title="With features and without",
    datasets=("yelp_hin",),
    models={"diffnet": "DiffNet", "diffnet_pp": "DiffNet++", "fm": "FM"},
)
DEFINITION = Definition(
    name="features_yelp_hin",
    summary=__doc__,
    default=Experiment(model=MODELS["diffnet"], data=DATA, train=TRAIN),
)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """The command line."""

    only: tuple[str, ...] = ()
    """Some of the models."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One run each; their mean and 95 % interval are shown."""
    data: DataSettings = DATA
    train: TrainSettings = TRAIN
    workdir: Path | None = None
    """Default runs/features_yelp_hin/yelp_hin; one folder inside for each model and variant."""

    def __post_init__(self):
        if strange := [name for name in self.only if name not in MODELS]:
            raise ValueError(f"--only must name some of {', '.join(MODELS)}, got {', '.join(strange)}")


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
        for name in arguments.only or MODELS
        for given in (True, False)
    }


def over_seeds(run: Kept, group: str, metric: str) -> dict:
    """{"mean", "ci95"} over the seeds of a run."""
    if group == "all":
        return run.record.metrics[metric]
    mean, half = mean_interval([seed["item interactions"][COLD][metric] for seed in run.record.groups])
    return {"mean": mean, "ci95": half}


def paired_rows(runs: list[Kept]) -> dict[str, list[tuple[Kept, Kept]]]:
    """Group -> (with features, without) of each model, on all test items and on those nobody has in train."""
    pairs = comparisons.with_and_without_features(runs)
    return {"all": pairs, "cold items": comparisons.on_cold_items(pairs)}


def compared(runs: list[Kept]) -> list[dict]:
    """The tests of the tables as plain records."""
    return [
        {
            "model": test.b.name,
            "group": group,
            "metric": test.metric,
            "over_users": dataclasses.asdict(test.users) | {"p_holm": test.p_users},
            "over_trainings": test.trainings and dataclasses.asdict(test.trainings) | {"p_holm": test.p_trainings},
        }
        for group, rows in paired_rows(runs).items()
        for test in comparisons.against(PAPER, rows)
    ]


def tables(runs: list[Kept]) -> str:
    """Metrics with 95 % intervals over seeds, then the differences over other users and other trainings."""
    figures = [["", *(f"{metric}, {group}" for group in GROUPS for metric in PAPER.metrics)]]
    for kept in runs:
        cells = [cell(over_seeds(kept, group, metric)) for group in GROUPS for metric in PAPER.metrics]
        figures.append([label(PAPER, kept), *cells])
    lines = ["", text_table(figures)]
    for group, rows in paired_rows(runs).items():
        if rows:
            tests = [["with features - without", "difference", *comparisons.QUESTIONS]]
            for test in comparisons.against(PAPER, rows):
                cells = [f"{test.users.difference:+.4f}", *comparisons.questions(test)]
                tests.append([f"{label(PAPER, test.b)}, {test.metric}", *cells])
            lines += ["", f"{group}:", text_table(tests), comparisons.reading(PAPER, rows)]
    return "\n".join(lines)


def main(given=None) -> int:
    """Runs what is not finished, prints the tables and keeps the tests as comparison.json; returns the exit code."""
    set_up_logging()

    def act():
        arguments = tyro.cli(Arguments, prog=DEFINITION.typed(), description=DEFINITION.summary, args=given)
        relay.before_joining()
        join_processes()
        with watch.peers():
            act_on(arguments)

    def act_on(arguments: Arguments):
        data = sources.load(arguments.data)
        runs = []
        if is_first():
            held.enter_context(only_one(work_folder(DEFINITION, next(iter(variants(arguments).values())), data, "")))
        for (name, with_features), experiment in variants(arguments).items():
            where = f"{name},use_features={with_features}"
            folder = work_folder(DEFINITION, experiment, data, where)
            if is_first() and (moved := make_room(folder, experiment, data)) is not None:
                log.info("%s", moved)
            run(DEFINITION, experiment, data, where)
            if is_first():
                runs.append(of_run(folder, f"{name}-features" if with_features else name))
        if is_first():
            results.write_json(folder.parent / "comparison.json", compared(runs))
            say(f"{tables(runs)}\nkept in {folder.parent}", flush=True)

    with contextlib.ExitStack() as held:
        return exit_code(act)


if __name__ == "__main__":
    sys.exit(main())
