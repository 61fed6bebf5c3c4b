"""curves.png: how the loss fell and the validation metric rose."""

from pathlib import Path

from socialjax.drawing import BLUE, GREEN, GREY, ORANGE, blank, save
from socialjax.train.settings import METRIC


def draw(path: Path, lines: list[dict], title: str, chosen_epoch: int, floor: float | None) -> None:
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
