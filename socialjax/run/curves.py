"""Curves of a run over its epochs, and the table and picture of a sweep over its values."""

from pathlib import Path

from socialjax.drawing import BLUE, GREEN, GREY, ORANGE, blank, save
from socialjax.eval.metrics import metric_rows, text_table
from socialjax.run.record import RunRecord
from socialjax.train.step import METRIC


def draw_curves(path: Path, lines: list[dict], title: str, chosen_epoch: int, floor: float | None) -> None:
    """lines: those of metrics.jsonl. floor: popularity's validation metric, drawn as a dotted line."""
    figure = blank(9, 3.6)
    figure.suptitle(title, fontsize=10)
    left, right = figure.subplots(1, 2)
    epochs = [line["epoch"] for line in lines]
    left.plot(epochs, [line["loss"] for line in lines], marker=".", color=BLUE)
    left.set(xlabel="epoch", ylabel="training loss (with L2)")
    validated = [line for line in lines if "validation" in line]
    if validated:
        right.plot(
            [line["epoch"] for line in validated],
            [line["validation"][METRIC] for line in validated],
            marker=".",
            color=GREEN,
        )
        right.axvline(chosen_epoch, color=ORANGE, linewidth=1, label=f"chosen: epoch {chosen_epoch}")
        if floor is not None:
            right.axhline(floor, color=GREY, linestyle=":", label="popularity")
        right.legend(fontsize=8, loc="lower right")
    else:
        right.text(0.5, 0.5, "no validation part", ha="center", transform=right.transAxes)
    right.set(xlabel="epoch", ylabel=f"validation {METRIC}")
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.xaxis.get_major_locator().set_params(integer=True)
    save(figure, path)


SHOWN = ("HR@10", "NDCG@10")


def summary(name: str, records: dict[str, RunRecord], folder: Path) -> str:
    """Table of label -> result record, with popularity above; names sweep_NAME.png in `folder`, which `draw` draws."""
    first = next(iter(records.values()))
    rows = [("popularity", first.references["popularity"])]
    rows += [(f"{label}{_marked(record)}", record.metrics) for label, record in records.items()]
    head = f"sweep of {name} on {first.dataset} ({first.data}), {first.protocol}, test"
    head += f"; {folder / f'sweep_{name}.png'}"
    return "\n".join(["", head, text_table(metric_rows(rows, SHOWN))])


def _marked(record: RunRecord) -> str:
    return ", STAND-IN" if record.data == "stand-in" else ""


def draw_sweep(path: Path, name: str, records: dict[str, RunRecord]) -> None:
    """A bar for each value."""
    first = next(iter(records.values()))
    figure = blank(9, 1.4 + 0.45 * len(records))
    figure.suptitle(f"{first.experiment} on {first.dataset} ({first.data}), {first.protocol}", fontsize=10)
    labels = [label.replace(",", "\n") for label in records]
    for axis, metric in zip(figure.subplots(1, len(SHOWN), sharey=True), SHOWN):
        found = [record.metrics[metric] for record in records.values()]
        means, widths = [f["mean"] for f in found], [f["ci95"] or 0.0 for f in found]
        axis.barh(labels, means, xerr=widths if any(widths) else None, color=BLUE, height=0.6)
        axis.axvline(first.references["popularity"][metric], color=GREY, linestyle=":", label="popularity")
        for row, mean in enumerate(means):
            axis.text(mean, row, f" {mean:.4f}", va="center", fontsize=8)
        axis.set(title=metric, xlim=(0, 1.2 * max(means)))
        axis.tick_params(labelsize=8)
        axis.invert_yaxis() if metric == SHOWN[0] else None
    figure.axes[0].set_ylabel(name)
    figure.axes[-1].legend(fontsize=8, loc="lower right")
    save(figure, path)
