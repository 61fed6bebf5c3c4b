"""Tables of all models: their metrics, what is reported elsewhere beside them, and what they cost."""

from collections.abc import Sequence

from socialjax.eval.beyond import MEANINGS
from socialjax.eval.metrics import cell, escaped, metric_rows
from socialjax.eval.metrics import legend as metrics_legend
from socialjax.report.gather import Kept, beyond_references, main_rows, references
from socialjax.report.papers import Paper, Reported
from socialjax.run.display import beyond_shown, is_published, others, shown

METRICS = ("HR@5", "HR@10", "HR@15", "NDCG@5", "NDCG@10", "NDCG@15")
SIDE_BY_SIDE = ("HR@10", "NDCG@10")
POPULAR = ("Popularity", "Lift", "Head", "Mid", "Tail")  # metrics beyond accuracy of how popular items are
NONE = "not available"
LEADERS = 4  # models of a short table, beside the baseline and the paper's own
OLDER = " (older protocol)"  # of rows that were searched less or whose epoch was chosen on other lists


def label(paper: Paper, run: Kept) -> str:
    """What a run's row is called; one of the older protocol says so."""
    return paper.label(run.name, run.model) + OLDER * run.is_older


def comparable(paper: Paper, runs: Sequence[Kept]) -> list[Kept]:
    """The main runs that may be called better or worse than each other: without those that stand apart and, where some
    are of today's protocol, without those of the older one."""
    candidates = [run for run in main_rows(runs) if run.name not in paper.apart]
    return [run for run in candidates if not run.is_older] or candidates


def columns(paper: Paper, runs: Sequence[Kept]) -> Sequence[str]:
    """The metrics of the table of all models: HR and NDCG at 5, 10 and 15, and of one's own data what a run prints."""
    return METRICS if _is_of_papers(paper, runs) else shown(runs[0].record)


def _is_of_papers(paper: Paper, runs: Sequence[Kept]) -> bool:
    name = runs[0].record.dataset
    return name in paper.datasets or is_published(name)


def overall(paper: Paper, runs: Sequence[Kept]) -> list[list[str]]:
    """Baselines and all models by the metrics of `columns`, the best model of each column in bold.

    Baselines are never bold, nor is a model that stands alone or apart.
    """
    rows, rivals, metrics = main_rows(runs), comparable(paper, runs), columns(paper, runs)
    best = _in_bold(rivals, metrics)
    table = metric_rows(list(references(runs).items()), metrics)
    for run in rows:
        cells = [cell(run.record.metrics.get(metric)) for metric in metrics]
        table.append([label(paper, run), *(f"**{c}**" if best.get(m) is run else c for m, c in zip(metrics, cells))])
    return table


def leaders(paper: Paper, runs: Sequence[Kept]) -> list[Kept]:
    """The best models by NDCG among those that may be compared, and always the baseline and the paper's own model,
    best first; runs that stand apart are left out."""
    by = paper.metrics[1]
    value = lambda run: run.record.metrics[by]["mean"]  # noqa: E731
    measured = [run for run in main_rows(runs) if by in run.record.metrics]
    best = sorted((run for run in comparable(paper, measured)), key=value, reverse=True)[:LEADERS]
    wanted = {run.name for run in best} | {paper.baseline, paper.name}
    return sorted((run for run in measured if run.name in wanted), key=value, reverse=True)


def leaderboard(paper: Paper, runs: Sequence[Kept]) -> list[list[str]]:
    """The leaders by hits and NDCG, the best comparable one of each in bold, above the baselines that rank by what
    others took."""
    best = _in_bold(comparable(paper, runs), paper.metrics)
    table = [["", *paper.metrics]]
    for run in leaders(paper, runs):
        cells = [(metric, cell(run.record.metrics.get(metric))) for metric in paper.metrics]
        table.append([label(paper, run), *(f"**{c}**" if best.get(metric) is run else c for metric, c in cells)])
    below = [(name, found) for name, found in references(runs).items() if name != "random"]
    return table + metric_rows(below[::-1], paper.metrics)[1:]


def meanings(paper: Paper, runs: Sequence[Kept]) -> str:
    """What the columns mean, and HR of the parts below, under the table of one's own data.

    The page of results says it of published sets.
    """
    if _is_of_papers(paper, runs):
        return ""
    return _sentences(metrics_legend([*columns(paper, runs), *paper.metrics]))


def _sentences(lines: Sequence[str]) -> str:
    return " " + " ".join(f"{line[0].upper()}{line[1:]}." for line in lines)


def beyond_columns(runs: Sequence[Kept]) -> list[str]:
    """The metrics beyond accuracy that a run has, at one cut-off; empty where none was measured."""
    found = (beyond_shown(run.record, (*MEANINGS, *others(run.record))) for run in main_rows(runs))
    return max(found, key=len, default=[])


def beyond(paper: Paper, runs: Sequence[Kept]) -> list[list[list[str]]]:
    """Baselines and all models by the metrics beyond accuracy, none of them bold: high is not better, nor low.

    Two tables, each as wide as a page: what the lists are like, and how popular their items are.
    """
    rows = [(label(paper, run), run.record.beyond or {}) for run in main_rows(runs)]
    rows = [*beyond_references(runs).items(), *rows]
    columns = beyond_columns(runs)
    about_popularity = [name for name in columns if name.partition("@")[0] in POPULAR]
    halves = [name for name in columns if name not in about_popularity], about_popularity
    return [metric_rows(rows, half) for half in halves if half]


def beyond_meanings(runs: Sequence[Kept]) -> str:
    """What their columns mean."""
    return _sentences(metrics_legend(beyond_columns(runs), MEANINGS))


def notes(paper: Paper, runs: Sequence[Kept]) -> str:
    """Notes below the table: why a model has no run, which runs stand apart, and which models are not run."""
    names, run_models = {run.name for run in main_rows(runs)}, {run.model for run in main_rows(runs)}
    sentences = [f" {paper.models[model]}: {why}." for model, why in paper.notes.items() if model not in names]
    apart = [run for run in main_rows(runs) if run.name in paper.apart]
    sentences += [f" {label(paper, run)} is neither bold nor tested: {paper.apart[run.name]}." for run in apart]
    absent = [text for model, text in paper.models.items() if model not in run_models and model not in paper.notes]
    return "".join(sentences) + (f" Not run: {', '.join(absent)}." if absent else "")


def legend(paper: Paper, runs: Sequence[Kept]) -> str:
    """With which loss and negatives each main run was trained, and which have an item bias: names do not say so."""
    losses: dict[str, list[Kept]] = {}
    biases: dict[bool, list[Kept]] = {}
    for run in main_rows(runs):
        model = run.record.settings["model"]
        if "objective" in model:
            loss = f"{escaped(model['objective'])} with {_negatives(model.get('negatives'))}"
            losses.setdefault(loss, []).append(run)
            biases.setdefault(bool(model.get("item_bias")), []).append(run)
    if not losses:
        return ""
    names = lambda some: ", ".join(paper.label(run.name, run.model) for run in some)  # noqa: E731
    losses_text = "; ".join(f"{loss}: {names(some)}" for loss, some in losses.items())
    bias = "all have an item bias" if not biases.get(False) else f"no item bias: {names(biases[False])}"
    return f" Trained with {losses_text}; {bias if biases.get(True) else 'none has an item bias'}."


def _negatives(number: int) -> str:
    return f"{escaped(number)} negative{'s' * (number != 1)}"


def best_of(runs: Sequence[Kept], metrics: Sequence[str] = METRICS) -> dict[str, Kept]:
    """Metric -> the run with the highest mean, stale runs aside."""
    best = {}
    for metric in metrics:
        having = [run for run in runs if metric in run.record.metrics and not run.is_stale]
        if having:
            best[metric] = max(having, key=lambda run: run.record.metrics[metric]["mean"])
    return best


def _in_bold(rivals: Sequence[Kept], metrics: Sequence[str]) -> dict[str, Kept]:
    """`best_of` where there are two to compare."""
    return best_of(rivals, metrics) if sum(not run.is_stale for run in rivals) > 1 else {}


def reported(paper: Paper, runs: Sequence[Kept], dataset: str) -> list[list[str]]:
    """Each model's HR@10 and NDCG@10 beside what is reported for it, under the same protocol and at the same width.

    Not available where nothing verified is reported, or where no run of ours was measured like it.
    """
    heads = [f"{metric} {what}" for metric in SIDE_BY_SIDE for what in ("reported", "reproduced", "difference")]
    table = [["", "reported by", "protocol, D", *heads]]
    for model in dict.fromkeys(run.model for run in main_rows(runs)):
        for row in paper.reported_for(dataset, model):
            ours = like(runs, row)
            text = paper.models[model] if ours is None else label(paper, ours)
            cells = [text, _source(row), f"{row.protocol}, {row.dim}"]
            for metric in SIDE_BY_SIDE:
                reproduced = ours and measured(ours, row.protocol).get(metric)
                published = row.metrics.get(metric)
                both = published is not None and reproduced is not None
                cells += [cell(published), cell(reproduced), f"{reproduced['mean'] - published:+.4f}" if both else NONE]
            table.append(cells)
    return table


def like(runs: Sequence[Kept], row: Reported) -> Kept | None:
    """Our run of that model at that width and measured under that protocol, a main run before a sweep's; or None."""
    candidates = sorted((run for run in runs if run.model == row.model), key=lambda run: (bool(run.swept), run.name))
    width = lambda run: run.record.settings["model"].get("dim")  # noqa: E731
    return next((run for run in candidates if width(run) == row.dim and measured(run, row.protocol)), None)


def measured(run: Kept, protocol: str) -> dict[str, dict]:
    """The run's metrics under that protocol; empty if it was not measured under it."""
    record = run.record
    return record.metrics if record.protocol == protocol else record.also.get(protocol, {})


def _source(row: Reported) -> str:
    others = ", ".join(f"{name} {value:.4f}" for name, value in row.metrics.items() if name not in SIDE_BY_SIDE)
    return f"{row.name}: {row.note}" + (f"; also {others}" if others else "")


def cost(paper: Paper, runs: Sequence[Kept]) -> list[list[str]]:
    """Time of one seed and peak memory."""
    table = [["", "training, s a seed", "validation", "test", "pairs/s", "epochs chosen", "peak memory, GiB", "device"]]
    for run in main_rows(runs):
        record, seeds = run.record, len(run.seeds)
        times = [f"{record.seconds[part] / seeds:.0f}" for part in ("train", "eval", "test")]
        epochs = " ".join(map(str, record.epoch))
        memory = f"{record.peak_memory_bytes / 2**30:.2f}"
        table.append([label(paper, run), *times, f"{record.pairs_per_second:,.0f}", epochs, memory, record.device])
    return table
