"""Tables of all models: their metrics, what is reported elsewhere beside them, and what they cost."""

from collections.abc import Sequence

from socialjax.eval.tables import cell, metric_rows
from socialjax.run.report.gather import Kept, main_rows, references
from socialjax.run.report.paper import Paper

METRICS = ("HR@5", "HR@10", "HR@15", "NDCG@5", "NDCG@10", "NDCG@15")
NONE = "not available"


def label(paper: Paper, run: Kept) -> str:
    """What a run's row is called."""
    return paper.label(run.name, run.model)


def overall(paper: Paper, runs: Sequence[Kept]) -> list[list[str]]:
    """Reference lines and all models by HR and NDCG at 5, 10 and 15, the best model of each column in bold.

    Reference lines are never bold, nor is a model that stands alone.
    """
    mine = main_rows(runs)
    best = best_of(mine) if sum(not run.is_stale for run in mine) > 1 else {}
    table = metric_rows(list(references(runs).items()), METRICS)
    for run in mine:
        cells = [cell(run.record["metrics"].get(metric)) for metric in METRICS]
        table.append([label(paper, run), *(f"**{c}**" if best.get(m) is run else c for m, c in zip(METRICS, cells))])
    return table


def notes(paper: Paper, runs: Sequence[Kept]) -> str:
    """What is to be said of models without a run: why, where there is a reason, and which are not run."""
    there, mine = {run.name for run in main_rows(runs)}, {run.model for run in main_rows(runs)}
    said = [f" {paper.models[model]}: {why}." for model, why in paper.notes.items() if model not in there]
    absent = [text for model, text in paper.models.items() if model not in mine and model not in paper.notes]
    return "".join(said) + (f" Not run: {', '.join(absent)}." if absent else "")


def best_of(runs: Sequence[Kept]) -> dict[str, Kept]:
    """Metric -> the run with the highest mean, stale runs aside."""
    found = {}
    for metric in METRICS:
        having = [run for run in runs if metric in run.record["metrics"] and not run.is_stale]
        if having:
            found[metric] = max(having, key=lambda run: run.record["metrics"][metric]["mean"])
    return found


def reported(paper: Paper, runs: Sequence[Kept], dataset: str) -> list[list[str]]:
    """Each model's HR@10 and NDCG@10 beside what is reported for it; not available where nothing verified is."""
    shown = ("HR@10", "NDCG@10")
    heads = [f"{metric} {what}" for metric in shown for what in ("reported", "reproduced", "difference")]
    table = [["", "reported by", *heads]]
    for run in main_rows(runs):
        rows = paper.reported_for(dataset, run.model)
        for row in rows or [None]:
            cells = []
            for metric in shown:
                theirs, ours = row and row.metrics.get(metric), run.record["metrics"].get(metric)
                both = theirs is not None and ours is not None
                cells += [cell(theirs), cell(ours), f"{ours['mean'] - theirs:+.4f}" if both else NONE]
            table.append([label(paper, run), _source(row, shown) if row else NONE, *cells])
    return table


def _source(row, shown: Sequence[str]) -> str:
    others = ", ".join(f"{metric} {value:.4f}" for metric, value in row.metrics.items() if metric not in shown)
    return f"{row.name}: {row.note}" + (f"; also {others}" if others else "")


def cost(paper: Paper, runs: Sequence[Kept]) -> list[list[str]]:
    """Time of one seed and peak memory."""
    table = [["", "training, s a seed", "validation", "test", "pairs/s", "epochs chosen", "peak memory, GiB", "device"]]
    for run in main_rows(runs):
        record, seeds = run.record, len(run.seeds)
        times = [f"{record['seconds'][part] / seeds:.0f}" for part in ("train", "eval", "test")]
        epochs = " ".join(map(str, record["epoch"]))
        memory = f"{record['peak_memory_bytes'] / 2**30:.2f}"
        table.append(
            [label(paper, run), *times, f"{record['pairs_per_second']:,.0f}", epochs, memory, record["device"]]
        )
    return table
