"""The table of key frames of a study: the models of its rows that rank frames, beside chance and the controls."""

import dataclasses
from pathlib import Path

import numpy as np

from socialjax.data.schema import Dataset
from socialjax.eval import keyframes, ranking
from socialjax.eval.metrics import text_table
from socialjax.run.execute import work_folder
from socialjax.run.study.settings import Row
from socialjax.train.checkpoint import CheckpointError, read_best
from socialjax.train.step import on_device

METRICS = ("HR@1", "HR@3", "NDCG@3", "HR@5", "NDCG@5")


def measured(rows: dict[str, Row], data: Dataset, style: str = "") -> dict[str, dict] | None:
    """Key-frame metrics of the baselines RND, FIRST, CENTROID and POPSTYLE and of each row whose model ranks frames.

    A record's figure is its mean over the seeds, so that the interval, clustered by user, is that of the mean; `values`
    are the means of each seed.

    Args:
        rows: label -> row of the study.
        data: the data set.
        style: label of the row whose model gives the mean preferences of users for POPSTYLE; no POPSTYLE without it.

    Returns:
        Name -> `FrameResult.summary`; None for data without likes of frames.

    Raises:
        CheckpointError: a row has no parameters.
    """
    records = keyframes.records(data)
    if records is None:
        return None
    seeds = next((row.experiment.seeds for row in rows.values()), (0,))
    scores_by_name = {
        "RND": [keyframes.random(records, seed) for seed in seeds],
        "FIRST": [keyframes.first(records)],
        "CENTROID": [keyframes.centroid(records, data.frames)],
    }
    for label, row in rows.items():
        if row.experiment.model.traits.ranks_frames:
            scores_by_name |= _scores(label, row, data, records, label == style)
    models = [name for name in scores_by_name if name not in ("RND", "FIRST", "CENTROID", "POPSTYLE")]
    order = ["RND", "FIRST", "CENTROID", *(["POPSTYLE"] if "POPSTYLE" in scores_by_name else []), *models]
    return {
        name: _summary([keyframes.frame_metrics(scores, records) for scores in scores_by_name[name]]) for name in order
    }


def _scores(label: str, row: Row, data: Dataset, records: keyframes.Records, with_style: bool) -> dict[str, list]:
    """Scores of the records' frames, f32[T] for each seed, of the row and, when asked for, of its POPSTYLE."""
    model, folder = row.experiment.model, work_folder(row.definition, row.experiment, data, row.place)
    side = on_device(model.prepare(data))
    scores, common = [], []
    for seed in row.experiment.seeds:
        state = ranking.encode(model, _best(folder, seed), side)
        scores.append(keyframes.record_scores(model, state, side, records))
        if with_style:
            common.append(keyframes.popular_style(model, state, side, records, data.num_users))
    return {label: scores} | ({"POPSTYLE": common} if with_style else {})


def _best(folder: Path, seed: int):
    checkpoints = folder / f"seed_{seed}" / "checkpoints"
    if not checkpoints.is_dir():
        raise CheckpointError(
            f"{checkpoints} is missing, so there are no parameters to rank frames with; delete {folder}"
        )
    return read_best(checkpoints)[0]


def _summary(results: list[keyframes.FrameResult]) -> dict:
    """The summary of the means over seeds, with the mean of each seed as `values`."""
    values = {name: np.mean([each.values[name] for each in results], axis=0) for name in results[0].values}
    summary = dataclasses.replace(results[0], values=values).summary()
    for name, metric in summary["metrics"].items():
        metric["values"] = [each.summary()["metrics"][name]["mean"] for each in results]
    return summary


def table(summaries: dict[str, dict], head: str) -> str:
    """A line for each ranker; each figure with its interval and, in brackets, what chance gets on the same records."""
    first = next(iter(summaries.values()))
    metrics = [name for name in METRICS if name in first["metrics"]]
    lines = [[name, *(_cell(of["metrics"][metric]) for metric in metrics)] for name, of in summaries.items()]
    skipped = ", ".join(f"{number:,} skipped for {why}" for why, number in first["skipped"].items() if number)
    head += (
        f", key frames: {first['records']:,} records of {first['users']:,} users{', ' if skipped else ''}{skipped}; "
        "± 95 % clustered by user (closed form of chance)"
    )
    return "\n".join(["", head, text_table([["", *metrics], *lines]), keyframes.MEANING])


def _cell(metric: dict) -> str:
    width = "" if metric["ci95"] is None else f" ±{metric['ci95']:.3f}"
    return f"{metric['mean']:.3f}{width} ({metric['random']:.3f})"
