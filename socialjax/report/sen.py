"""The table of SEN on real photos, as Markdown, with the bars where there are some.

Photos with the map and the box of each attribute, one photo a row.
"""

from pathlib import Path

import numpy as np

from socialjax.drawing import INK, RED, blank, save
from socialjax.vision.labelled.photos import Photos

# Accuracy that a network over published ImageNet features should reach on the test part.
BARS = {
    "fashion_products": {"masterCategory": 0.97, "subCategory": 0.92, "articleType": 0.80, "gender": 0.78},
}


def report(results: dict, name: str) -> str:
    """The page of a result."""
    bars, photos = BARS.get(name, {}), results["photos"]
    lines = [
        f"# SEN on {name} ({results['data']['kind']} photos)",
        "",
        f"{photos['train']:,} photos to learn from, {photos['validation']:,} to choose epochs by, {photos['test']:,} "
        "to judge by. Balanced: mean over classes of the share of their photos that are right. Most frequent: accuracy "
        "of the class most frequent among those learned from. Regions: accuracy from inside the boxes alone.",
        "",
        "| attribute | accuracy | bar | balanced | most frequent | regions |",
        "|---|---|---|---|---|---|",
    ]
    for attribute, scores in results["accuracy"].items():
        if "accuracy" not in scores:
            continue
        bar = f">= {bars[attribute]:.2f}" if attribute in bars else "-"
        inside = results["accuracy_of_regions"][attribute]["accuracy"]
        figures = [scores["balanced_accuracy"], scores["majority"], inside]
        lines.append(
            f"| {attribute} | {scores['accuracy']:.3f} | {bar} | {' | '.join(f'{figure:.3f}' for figure in figures)} |"
        )
    lines += [
        "",
        "## Do the maps look at the product?",
        "",
        "Share of a map's mass on the product, which is what is not white; what an even map gets, and what the maps of "
        "other photos get there.",
        "",
        "| attribute | mass on the product | even map | maps of other photos | empty maps |",
        "|---|---|---|---|---|",
    ]
    for attribute, shares in results["on_product"].items():
        figures = [f"{shares[share]:.3f}" if share in shares else "-" for share in ("mass", "even", "others")]
        lines.append(f"| {attribute} | {' | '.join(figures)} | {shares['empty']} |")
    lines += ["", f"Training took {results['seconds']['training']:.0f} s once feature maps were there."]
    below = missed(results, name)
    lines += ["", f"Below its bar: {', '.join(below)}."] if below else []
    return "\n".join(lines) + "\n"


def missed(results: dict, name: str) -> list[str]:
    """The attributes below their bars."""
    return [
        attribute
        for attribute, bar in BARS.get(name, {}).items()
        if results["accuracy"].get(attribute, {}).get("accuracy", 0) < bar
    ]


PHOTOS = 8


def draw_sheet(path: Path, photos: Photos, rows: np.ndarray, seen: dict[str, np.ndarray], count: int = PHOTOS) -> None:
    """Writes a PNG: of `count` photos spread over `rows` each attribute's map over the photo, its box, class and
    probability; a class that is not the labelled one in red, with the labelled one. seen: as `looked` gives, for
    `rows`."""
    labelled = photos.labelled
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))
    wide = 1 + len(labelled.names)
    figure = blank(1.75 * wide, 2.1 * len(chosen))
    axes = figure.subplots(len(chosen), wide, squeeze=False)
    for row_axes, index in zip(axes, chosen):
        photo = photos[rows[index]]
        for axis in row_axes:
            axis.imshow(photo, extent=(0, 1, 1, 0))
            axis.set_xticks([])
            axis.set_yticks([])
        row_axes[0].set_title(f"{labelled.ids[rows[index]]}", fontsize=8)
        for k, axis in enumerate(row_axes[1:]):
            _attribute(axis, labelled, k, labelled.labels[rows[index], k], {n: v[index, k] for n, v in seen.items()})
    save(figure, path)


def _attribute(axis, labelled, k: int, true: int, seen: dict) -> None:
    from matplotlib.patches import Rectangle

    classes = labelled.classes[k]
    axis.imshow(seen["maps"], extent=(0, 1, 1, 0), cmap="magma", alpha=0.55, vmin=0, vmax=1, interpolation="bilinear")
    if not seen["fallback"]:
        x0, y0, x1, y1 = seen["boxes"]
        axis.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor="#0c6", linewidth=2, clip_on=False))
    title = f"{labelled.names[k]}\n{classes[seen['label']]} {seen['probability']:.0%}"
    is_wrong = true >= 0 and true != seen["label"]
    title += f"\nlabelled {classes[true]}" if is_wrong else "\n"
    axis.set_title(title, fontsize=7, color=RED if is_wrong else INK)
