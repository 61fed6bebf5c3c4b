"""The figures of a data set: all models as bars, accuracy against coverage and popularity, sampled against full
ranking, and groups of users as lines.

Metrics by how much is known: of a user, training items and friends; of an item, its users in training.

How models are ordered by sampled lists and by all items.
"""

import dataclasses
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from socialjax.drawing import BLUE, COLOURS, SILVER, blank, save
from socialjax.eval.beyond import MEANINGS
from socialjax.eval.metrics import cell, escaped
from socialjax.eval.significance import mean_interval
from socialjax.report.gather import Kept, about, beyond_references, main_rows, newest, references
from socialjax.report.overall import NONE, label
from socialjax.report.papers import Paper
from socialjax.run.display import beyond_shown

TITLES = {
    "bars": "all models by {0} and {1}",
    "beyond": "{1} beside how much of the catalogue is recommended, and how popular it is",
    "orders": "does {1} by sampled lists order the models as over all items?",
    "groups": "{1} by how much is known of users and items",
}
MARKERS = "osv^D<>PX*"
AGAINST = ("Coverage", "Popularity")  # metrics beyond accuracy of the figure


def drawn(runs: Sequence[Kept]) -> dict[str, Callable]:
    """The figures that these runs give: name -> its function of (paper, runs, path)."""
    names = protocols(runs)
    functions: dict[str, Callable] = {"bars": bars} if main_rows(runs) else {}
    if any(beyond_shown(run.record, AGAINST) for run in main_rows(runs)):
        functions["beyond"] = beyond
    if FULL in names and len(names) > 1:
        functions["orders"] = orders
    if kinds(runs):
        functions["groups"] = groups
    return functions


def bars(paper: Paper, runs: Sequence[Kept], path: Path) -> None:
    """Hits and NDCG with 95 % intervals over seeds; baselines without parameters are grey."""
    rows, baselines = main_rows(runs), references(runs)
    labels = [*baselines, *(label(paper, run) for run in rows)]
    figure = blank(10, 1.2 + 0.3 * len(labels))
    _title(figure, "bars", rows, paper)
    for axis, metric in zip(figure.subplots(1, len(paper.metrics), sharey=True), paper.metrics):
        summaries = [run.record.metrics[metric] for run in rows]
        values = [line[metric] for line in baselines.values()] + [f["mean"] for f in summaries]
        widths = [0.0] * len(baselines) + [f["ci95"] or 0.0 for f in summaries]
        colours = [SILVER] * len(baselines) + [BLUE] * len(rows)
        positions = range(len(labels))
        axis.barh(positions, values, color=colours, height=0.7)
        for position, value, width in zip(positions, values, widths):
            if width:
                axis.errorbar(value, position, xerr=width, color="black", capsize=2, linewidth=1)
            axis.text(value + width, position, f" {value:.4f}", va="center", fontsize=8)
        axis.set(title=metric, xlim=(0, 1.18 * max(v + w for v, w in zip(values, widths))))
        axis.set_yticks(positions, labels, fontsize=8)
        axis.tick_params(axis="x", labelsize=8)
    figure.axes[0].invert_yaxis()  # shared by both
    _key(figure, "black" if any(widths) else None)
    save(figure, path)


def _key(figure, interval: str | None) -> None:
    """Below a figure, what its colours mean; interval: the colour of intervals, if it has some."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    key = [Patch(color=SILVER, label="reference line, not trained"), Patch(color=BLUE, label="model")]
    if interval:
        key.append(Line2D([], [], color=interval, linewidth=1, label="95 % interval over seeds"))
    figure.legend(handles=key, fontsize=8, loc="outside lower center", ncols=len(key))


def beyond(paper: Paper, runs: Sequence[Kept], path: Path) -> None:
    """Accuracy, up, against coverage and popularity of the lists, across, with 95 % intervals over seeds; baselines
    without parameters are grey, chance is left out."""
    having = [run for run in main_rows(runs) if beyond_shown(run.record, AGAINST)]
    metrics, accuracy = beyond_shown(having[0].record, AGAINST), paper.metrics[1]
    exact = lambda found, names: {name: {"mean": found[name], "ci95": None} for name in names if name in found}  # noqa: E731
    # Chance is far from all others in every direction: with it they would be one point.
    points = [
        (name, exact(references(runs).get(name, {}) | found, [*metrics, accuracy]))
        for name, found in beyond_references(runs).items()
        if name != "random"
    ]
    trained = [(label(paper, run), run.record.metrics | run.record.beyond) for run in having]
    figure = blank(5.6 * len(metrics), 1.6 + max(3.0, 0.22 * len(points + trained)))
    _title(figure, "beyond", having, paper)
    for axis, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics):
        shown = []
        for rows, colour in ((points, SILVER), (trained, BLUE)):
            for name, found in rows:
                if metric in found and accuracy in found:
                    x, y = found[metric], found[accuracy]
                    bars = {"xerr": x["ci95"], "yerr": y["ci95"]}
                    axis.errorbar(x["mean"], y["mean"], **bars, color=colour, marker="o", markersize=5, linewidth=1)
                    shown.append((x["mean"], y["mean"], name))
        _write_beside(axis, *zip(*shown))
        axis.set_xlabel(f"{metric}: {MEANINGS[metric.partition('@')[0]]}", fontsize=8)
        axis.set_ylabel(accuracy, fontsize=9)
        axis.grid(alpha=0.3)
        axis.tick_params(labelsize=8)
    _key(figure, BLUE if any(found[accuracy]["ci95"] for _, found in trained) else None)
    save(figure, path)


def orders(paper: Paper, runs: Sequence[Kept], path: Path) -> None:
    """Each model's NDCG by sampled lists, across, and over all items, up; a panel for each sampled protocol, with
    Kendall's tau of the two orders."""
    sampled = [name for name in protocols(runs) if name != FULL]
    trained = [line for line in lines(paper, runs) if line.is_trained]  # the others lie far below
    figure = blank(5.6 * len(sampled), 1.6 + max(3.0, 0.22 * len(trained)))
    _title(figure, "orders", main_rows(runs), paper, ", ".join([*sampled, FULL]))
    metric = paper.metrics[1]
    full = means(trained, FULL, metric)
    for axis, name in zip(figure.subplots(1, len(sampled), squeeze=False)[0], sampled):
        sampled_means = means(trained, name, metric)
        axis.scatter(sampled_means, full, color=BLUE, s=18, zorder=3)
        _write_beside(axis, sampled_means, full, [line.label for line in trained])
        axis.set(xlabel=f"{metric}, {name}", ylabel=f"{metric}, {FULL}")
        axis.set_title(f"{len(trained)} models, Kendall's tau {format_tau(tau(sampled_means, full))}", fontsize=9)
        axis.locator_params(axis="x", nbins=6)
        axis.grid(alpha=0.3)
        axis.tick_params(labelsize=8)
    save(figure, path)


def groups(paper: Paper, runs: Sequence[Kept], path: Path) -> None:
    """NDCG by training items and by friends, a line for each model."""
    rows = main_rows(runs)
    figure = blank(5.0 * len(kinds(runs)) + 2.2, max(4.0, 1.2 + 0.2 * len(rows)))
    _title(figure, "groups", rows, paper)
    for axis, kind in zip(figure.subplots(1, len(kinds(runs)), squeeze=False)[0], kinds(runs)):
        sizes = group_sizes(runs, kind)
        for index, run in enumerate(rows):
            summaries = [group_metric(run, kind, group, paper.metrics[1]) for group in sizes]
            axis.plot(
                range(len(sizes)),
                [f["mean"] if f else float("nan") for f in summaries],
                marker=MARKERS[index % len(MARKERS)],
                color=COLOURS[index % len(COLOURS)],
                linestyle="-" if index < len(COLOURS) else "--",
                markersize=5,
                linewidth=1.2,
                label=label(paper, run),
            )
        axis.set_xticks(range(len(sizes)), [f"{group}\n{size:,} users" for group, size in sizes.items()], fontsize=8)
        axis.set(xlabel=NAMES.get(kind, kind), ylabel=paper.metrics[1])
        axis.grid(alpha=0.3)
        axis.tick_params(axis="y", labelsize=8)
    handles, texts = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, texts, fontsize=8, loc="outside right center")
    save(figure, path)


def _title(figure, name: str, runs: Sequence[Kept], paper: Paper, protocol: str | None = None) -> None:
    """What the picture shows, and below it the line that stands below every table."""
    text = about(runs, lambda run: label(paper, run), protocol)
    title = TITLES[name].format(*paper.metrics)
    title = title[0].upper() + title[1:]
    figure.suptitle(f"{title}\n{textwrap.fill(text, int(14 * figure.get_figwidth()))}", fontsize=9)


def _write_beside(axis, across: Sequence[float], up: Sequence[float], texts: Sequence[str]) -> None:
    """Names in a column to the right, each with a thin line to its point."""
    low, high = axis.get_ylim()
    order = sorted(range(len(texts)), key=lambda k: up[k])
    for k, height in zip(order, spread([(up[k] - low) / (high - low) for k in order])):
        axis.annotate(
            texts[k],
            xy=(across[k], up[k]),
            xytext=(1.05, height),
            textcoords="axes fraction",
            fontsize=8,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": "grey", "linewidth": 0.5, "shrinkB": 3, "relpos": (0, 0.5)},
        )


def spread(heights: Sequence[float]) -> list[float]:
    """Ascending places in [0, 1], moved as far up, then down, as it takes to stand a line's height apart."""
    gap = min(0.045, 1 / max(len(heights) - 1, 1))
    moved: list[float] = []
    for height in heights:
        moved.append(max(height, moved[-1] + gap) if moved else height)
    ceiling = 1.0
    for k in reversed(range(len(moved))):
        moved[k] = min(moved[k], ceiling)
        ceiling = moved[k] - gap
    return moved


NAMES = {
    "interactions": "training items of a user",
    "social degree": "friends of a user",
    "item interactions": "training users of an item",
}


def kinds(runs: Sequence[Kept]) -> list[str]:
    """By what the users are grouped."""
    return list(dict.fromkeys(kind for run in main_rows(runs) for kind in run.record.groups[0]))


def group_sizes(runs: Sequence[Kept], kind: str) -> dict[str, int]:
    """Label -> evaluated users of the group, empty groups left out."""
    first = next(run for run in main_rows(runs) if kind in run.record.groups[0])
    return {group: found["users"] for group, found in first.record.groups[0][kind].items() if found["users"]}


def group_metric(run: Kept, kind: str, group: str, metric: str) -> dict | None:
    """{"mean", "ci95"} over seeds; None where the run has no such group or metric."""
    values = [seed.get(kind, {}).get(group, {}).get(metric) for seed in run.record.groups]
    if any(value is None for value in values):
        return None
    mean, half = mean_interval(values)
    return {"mean": mean, "ci95": half}


def heading(kind: str, metric: str) -> str:
    """What stands above a table of groups."""
    return f"{metric} by {NAMES.get(kind) or escaped(kind)}"


def by_sparsity(paper: Paper, runs: Sequence[Kept], kind: str, metric: str) -> list[list[str]]:
    """A row for each model and a column for each group; a group of fewer than `FEW` users has means without intervals,
    for those are of seeds and would say that a mean of five users is sure."""
    sizes = group_sizes(runs, kind)
    table = [["", *(f"{group}, {size:,} users" for group, size in sizes.items())]]
    for run in main_rows(runs):
        found = [(group_metric(run, kind, group, metric), size) for group, size in sizes.items()]
        table.append([label(paper, run), *(_of_group(value, size) for value, size in found)])
    return table


FEW = 10  # users


def _of_group(value: dict | None, size: int) -> str:
    """A cell of a group of so many users."""
    if value is None or size >= FEW:
        return cell(value)
    return f"{cell(value['mean'])} (too few users)"


FULL = "full"


@dataclasses.dataclass(frozen=True)
class Line:
    """A model or a baseline: protocol -> its metrics there, and protocol -> the estimates of full ones from it.

    A metric is a number, or {"mean", "ci95"} over seeds.
    """

    label: str
    metrics: dict[str, dict]
    estimates: dict[str, dict]
    is_trained: bool = True


def lines(paper: Paper, runs: Sequence[Kept]) -> list[Line]:
    """The baselines and the main runs that were measured under every protocol that any was."""
    record = newest(runs).record
    also, estimates = record.references_also, record.references_corrected
    rows = [Line(name, metrics, estimates.get(name, {}), False) for name, metrics in also.items()]
    for run in main_rows(runs):
        metrics = run.record.by_protocol()
        rows.append(Line(label(paper, run), metrics, run.record.corrected or {}))
    return [line for line in rows if all(paper.metrics[1] in line.metrics.get(name, {}) for name in protocols(runs))]


def sets(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """All lines, and the trained models apart: baselines far below make every order look alike."""
    trained = [line for line in lines if line.is_trained]
    subsets = {f"{len(trained)} models": trained} if trained else {}
    return subsets if len(trained) == len(lines) else {f"{len(lines)} lines": list(lines), **subsets}


def protocols(runs: Sequence[Kept]) -> list[str]:
    """All that were evaluated, the table's first and `full` last."""
    names = dict.fromkeys(name for run in main_rows(runs) for name in run.record.by_protocol())
    return sorted(names, key=lambda name: name == FULL)


def number(metric: dict | float) -> float:
    """The metric, or its mean over seeds."""
    return metric["mean"] if isinstance(metric, dict) else metric


def means(lines: Sequence[Line], protocol: str, metric: str) -> list[float]:
    """One value for each line."""
    return [number(line.metrics[protocol][metric]) for line in lines]


def ranks(values: Sequence[float]) -> list[int]:
    """1 for the highest; equal values share the better rank."""
    return [1 + sum(other > value for other in values) for value in values]


def tau(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Kendall's tau-b of two orders; None for fewer than two models or for an order in which all are equal."""
    if len(a) < 2 or len(set(a)) == 1 or len(set(b)) == 1:
        return None
    from scipy import stats

    return float(stats.kendalltau(a, b).statistic)


def sampled_and_full(lines: Sequence[Line], names: Sequence[str], metric: str) -> list[list[str]]:
    """Each line's metric under every protocol, with its rank there."""
    table = [["", *(head for name in names for head in (f"{metric} {name}", "rank"))]]
    order = {name: ranks(means(lines, name, metric)) for name in names}
    for row, line in enumerate(lines):
        cells = [text for name in names for text in (cell(line.metrics[name][metric]), str(order[name][row]))]
        table.append([line.label, *cells])
    return table


def taus(lines: Sequence[Line], names: Sequence[str], metrics: Sequence[str]) -> list[str]:
    """A sentence for each sampled protocol: how much its order of the models agrees with that over all items."""
    sentences = []
    for name in names if FULL in names else ():
        if name != FULL:
            values = []
            for subset_name, subset in sets(lines).items():
                by_metric = {
                    metric: tau(means(subset, name, metric), means(subset, FULL, metric)) for metric in metrics
                }
                texts = [f"{metric} {format_tau(value)}" for metric, value in by_metric.items()]
                values.append(f"{subset_name}, {', '.join(texts)}")
            sentences.append(f"Kendall's tau between the orders by `{name}` and by `full`: {'; '.join(values)}.")
    return sentences


def format_tau(value: float | None) -> str:
    """`0.714`, or that there is none."""
    return NONE if value is None else f"{value:.3f}"


def swapped(lines: Sequence[Line], names: Sequence[str], metric: str) -> str:
    """The pairs that the table's protocol and `full` order differently, in words; empty without `full`."""
    if FULL not in names[1:] or len(lines) < 2:
        return ""
    sampled, full = means(lines, names[0], metric), means(lines, FULL, metric)
    places = range(len(lines))
    pairs = [(a, b) for a in places for b in places if sampled[a] > sampled[b] and full[a] < full[b]]
    if not pairs:
        return f"By {metric}, both order all pairs alike."
    listed = "; ".join(f"{escaped(lines[a].label)} above {escaped(lines[b].label)}" for a, b in pairs)
    return f"In the sampled order by {metric}, but the other way round over all items: {listed}."
