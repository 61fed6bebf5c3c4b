"""The figures of a data set: all models as bars, sampled against full ranking, and groups of users as lines."""

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from socialjax.report.gather import Kept, about, main_rows, references
from socialjax.report.orders import FULL, lines, means, protocols, said_tau, tau
from socialjax.report.overall import label
from socialjax.report.paper import Paper
from socialjax.report.sparsity import NAMES, group_metric, group_sizes, kinds
from socialjax.run.pictures import blank, save

BARS = ("HR@10", "NDCG@10")
METRIC = "NDCG@10"
TITLES = {
    "bars": "all models by HR@10 and NDCG@10",
    "orders": "does NDCG@10 by sampled lists order the models as over all items?",
    "groups": "NDCG@10 by how much is known of users and items",
}
MARKERS = "osv^D<>PX*"


def drawn(runs: Sequence[Kept]) -> dict[str, Callable]:
    """The figures that these runs give: name -> its function of (paper, runs, path)."""
    names = protocols(runs)
    found: dict[str, Callable] = {"bars": bars} if main_rows(runs) else {}
    if FULL in names and len(names) > 1:
        found["orders"] = orders
    if kinds(runs):
        found["groups"] = groups
    return found


def bars(paper: Paper, runs: Sequence[Kept], path: Path) -> None:
    """HR@10 and NDCG@10 with 95 % intervals over seeds; the reference lines are grey."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    mine, grey = main_rows(runs), references(runs)
    labels = [*grey, *(label(paper, run) for run in mine)]
    figure = blank(10, 1.2 + 0.3 * len(labels))
    _title(figure, "bars", mine, paper)
    for axis, metric in zip(figure.subplots(1, len(BARS), sharey=True), BARS):
        found = [run.record["metrics"][metric] for run in mine]
        values = [line[metric] for line in grey.values()] + [f["mean"] for f in found]
        widths = [0.0] * len(grey) + [f["ci95"] or 0.0 for f in found]
        colours = ["silver"] * len(grey) + ["tab:blue"] * len(mine)
        places = range(len(labels))
        axis.barh(places, values, color=colours, height=0.7)
        for place, value, width in zip(places, values, widths):
            if width:
                axis.errorbar(value, place, xerr=width, color="black", capsize=2, linewidth=1)
            axis.text(value + width, place, f" {value:.4f}", va="center", fontsize=8)
        axis.set(title=metric, xlim=(0, 1.18 * max(v + w for v, w in zip(values, widths))))
        axis.set_yticks(places, labels, fontsize=8)
        axis.tick_params(axis="x", labelsize=8)
    figure.axes[0].invert_yaxis()  # shared by both
    key = [Patch(color="silver", label="reference line, not trained"), Patch(color="tab:blue", label="model")]
    if any(widths):
        key.append(Line2D([], [], color="black", linewidth=1, label="95 % interval over seeds"))
    figure.legend(handles=key, fontsize=8, loc="outside lower center", ncols=len(key))
    save(figure, path)


def orders(paper: Paper, runs: Sequence[Kept], path: Path) -> None:
    """Each model's NDCG@10 by sampled lists, across, and over all items, up; a panel for each sampled protocol, with
    Kendall's tau of the two orders."""
    sampled = [name for name in protocols(runs) if name != FULL]
    some = [line for line in lines(paper, runs) if line.is_trained]  # the others lie far below
    figure = blank(5.6 * len(sampled), 1.6 + max(3.0, 0.22 * len(some)))
    _title(figure, "orders", main_rows(runs), paper, ", ".join([*sampled, FULL]))
    up = means(some, FULL, METRIC)
    for axis, name in zip(figure.subplots(1, len(sampled), squeeze=False)[0], sampled):
        across = means(some, name, METRIC)
        axis.scatter(across, up, color="tab:blue", s=18, zorder=3)
        _write_beside(axis, across, up, [line.label for line in some])
        axis.set(xlabel=f"{METRIC}, {name}", ylabel=f"{METRIC}, {FULL}")
        axis.set_title(f"{len(some)} models, Kendall's tau {said_tau(tau(across, up))}", fontsize=9)
        axis.locator_params(axis="x", nbins=6)
        axis.grid(alpha=0.3)
        axis.tick_params(labelsize=8)
    save(figure, path)


def groups(paper: Paper, runs: Sequence[Kept], path: Path) -> None:
    """NDCG@10 by training items and by friends, a line for each model."""
    mine = main_rows(runs)
    figure = blank(5.0 * len(kinds(runs)) + 2.2, max(4.0, 1.2 + 0.2 * len(mine)))
    _title(figure, "groups", mine, paper)
    for axis, kind in zip(figure.subplots(1, len(kinds(runs)), squeeze=False)[0], kinds(runs)):
        sizes = group_sizes(runs, kind)
        for place, run in enumerate(mine):
            found = [group_metric(run, kind, group, METRIC) for group in sizes]
            axis.plot(
                range(len(sizes)),
                [f["mean"] if f else float("nan") for f in found],
                marker=MARKERS[place % len(MARKERS)],
                color=f"C{place % 10}",
                linestyle="-" if place < 10 else "--",
                markersize=5,
                linewidth=1.2,
                label=label(paper, run),
            )
        axis.set_xticks(range(len(sizes)), [f"{group}\n{size:,} users" for group, size in sizes.items()], fontsize=8)
        axis.set(xlabel=NAMES.get(kind, kind), ylabel=METRIC)
        axis.grid(alpha=0.3)
        axis.tick_params(axis="y", labelsize=8)
    handles, texts = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, texts, fontsize=8, loc="outside right center")
    save(figure, path)


def _title(figure, name: str, runs: Sequence[Kept], paper: Paper, protocol: str | None = None) -> None:
    """What the picture shows, and below it the line that stands below every table."""
    text = about(runs, lambda run: label(paper, run), protocol)
    title = TITLES[name][0].upper() + TITLES[name][1:]
    figure.suptitle(f"{title}\n{textwrap.fill(text, int(14 * figure.get_figwidth()))}", fontsize=9)


def _write_beside(axis, across: Sequence[float], up: Sequence[float], texts: Sequence[str]) -> None:
    """Names in a column to the right, each with a thin line to its point."""
    low, high = axis.get_ylim()
    order = sorted(range(len(texts)), key=lambda k: up[k])
    for k, place in zip(order, spread([(up[k] - low) / (high - low) for k in order])):
        axis.annotate(
            texts[k],
            xy=(across[k], up[k]),
            xytext=(1.05, place),
            textcoords="axes fraction",
            fontsize=8,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": "grey", "linewidth": 0.5, "shrinkB": 3, "relpos": (0, 0.5)},
        )


def spread(places: Sequence[float]) -> list[float]:
    """Ascending places in [0, 1], moved as far up, then down, as it takes to stand a line's height apart."""
    gap = min(0.045, 1 / max(len(places) - 1, 1))
    found: list[float] = []
    for place in places:
        found.append(max(place, found[-1] + gap) if found else place)
    ceiling = 1.0
    for k in reversed(range(len(found))):
        found[k] = min(found[k], ceiling)
        ceiling = found[k] - gap
    return found
