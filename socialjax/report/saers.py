"""Tables of SAERS and of SEN, its attribute network, as Markdown, with the bars where there are some."""

from pathlib import Path

import numpy as np

from socialjax.data.schema import Dataset
from socialjax.drawing import INK, RED, blank, save
from socialjax.eval.groups import check_pairs, evaluate_pairs
from socialjax.eval.significance import mean_interval
from socialjax.fitting import load
from socialjax.run.display import users_line
from socialjax.run.results import read_json
from socialjax.run.workbench import evaluated_users
from socialjax.vision.catalogue_attributes import Material
from socialjax.vision.labelled.photos import Photos

FIGURES = ("AUC", "NDCG@10", "cold AUC", "cold NDCG@10")
# A public leaderboard that quotes the paper; its tables could not be read.
REPORTED = {"saers": {"AUC": 0.816, "NDCG@10": 0.171}}


def check(data: Dataset, material: Material) -> None:
    """Raises ValueError for what `measured` could not evaluate, before anything is trained."""
    check_pairs(data, data.test, taken=(material.cold_test,))
    if len(material.cold_test):
        check_pairs(data, material.cold_test, among=material.cold)


def measured(folder: Path, data: Dataset, material: Material) -> dict:
    """Figure -> {"mean", "ci95", "values"} over the seeds of a finished row; cold items among cold items."""
    values: dict[str, list[float]] = {}
    for seed in read_json(folder / "result.json")["seeds"]:
        run = load(folder, seed)
        metrics = evaluate_pairs(run.model, run.state, data, data.test, taken=(material.cold_test,)).mean()
        if len(material.cold_test):
            cold = evaluate_pairs(run.model, run.state, data, material.cold_test, among=material.cold).mean()
            metrics |= {f"cold {name}": value for name, value in cold.items()}
        for name, value in metrics.items():
            values.setdefault(name, []).append(value)
    return {name: _over_seeds(of_seeds) for name, of_seeds in values.items()}


def _over_seeds(values: list[float]) -> dict:
    mean, half = mean_interval(values)
    return {"mean": mean, "ci95": half, "values": values}


def saers_report(results: dict[str, dict], attributes: dict, data: Dataset, banner: str, has_page: bool) -> str:
    """The page as Markdown.

    Args:
        results: label of a row -> figure -> {"mean", "ci95", "values"}.
        attributes: how well attributes were found: `accuracy` and perhaps `regions`, by attribute.
        data: the data set.
        banner: shown first and last; may be empty.
        has_page: whether gallery.html was written.
    """
    lines = [f"# SAERS on {data.name} ({data.provenance.kind})", ""]
    lines += [f"**{banner}**", ""] if banner else []
    lines += [
        f"{data.num_users:,} users, {data.num_items:,} items, {len(data.train):,} training pairs; "
        f"{users_line(evaluated_users(data))}. Each test pair alone "
        "against items that its user took in no part: AUC against all of them (beyond 5,000 items a sample of 1,000), "
        "NDCG@10 against 500, or as many as there are; cold items against cold items. Chance is an AUC of 0.5. Mean "
        "and 95 % interval over seeds. The tables of single rows rank all test items of a user together, so that their "
        "NDCG@10 is another figure. What was reported is of Amazon Fashion.",
        "",
    ]
    head = [*FIGURES, *(f"reported {name}" for name in FIGURES)]
    lines += [f"| model | {' | '.join(head)} |", f"|---|{'---|' * len(head)}"]
    for label, row in results.items():
        ours = [_cell(row.get(name)) for name in FIGURES]
        published = [_reported(label, name) for name in FIGURES]
        lines.append(f"| {label} | {' | '.join([*ours, *published])} |")
    lines += ["", "## Attributes on pictures that were not learned from", "", *_attributes(attributes), ""]
    lines += ["The page of explanations is gallery.html, and gallery.png is its beginning.", ""] if has_page else []
    lines += [f"**{banner}**"] if banner else []
    return "\n".join(lines) + "\n"


def _cell(figure: dict | None) -> str:
    if figure is None:
        return "-"
    return f"{figure['mean']:.4f}" + ("" if figure["ci95"] is None else f" ± {figure['ci95']:.4f}")


def _reported(label: str, name: str) -> str:
    value = REPORTED.get(label, {}).get(name)
    return "not available" if value is None else f"{value:.3f}"


def how_sure(attributes: dict) -> list[str]:
    """What readers of boxes must know, as lines: how often class and place are right on pictures not learned from."""
    parts, regions = [], attributes.get("regions", {})
    for name, scores in attributes["accuracy"].items():
        if "accuracy" not in scores:
            continue
        pooled = regions.get(name, {}).get("pooled", {})
        location = f", place {pooled['pointing']:.0%} (chance {pooled['chance']:.0%})" if "pointing" in pooled else ""
        usual = "" if location else f" (most frequent class {scores['majority']:.0%})"
        parts.append(f"{name} class {scores['accuracy']:.0%}{usual}{location}")
    meant = "; place is where the evidence peaks" if regions else ""
    return [f"How often the attribute network is right on pictures it did not learn from{meant}: {'; '.join(parts)}."]


def _attributes(attributes: dict):
    regions = attributes.get("regions", {})
    yield "| attribute | accuracy | balanced | most frequent class | pointing (chance) | IoU (box put anywhere) |"
    yield "|---|---|---|---|---|---|"
    for name, scores in attributes["accuracy"].items():
        if "accuracy" not in scores:
            continue
        pooled = regions.get(name, {}).get("pooled", {})
        pointing = f"{pooled['pointing']:.3f} ({pooled['chance']:.3f})" if "pointing" in pooled else "-"
        overlap = f"{pooled['iou']:.2f} ({pooled['iou_anywhere']:.2f})" if "iou" in pooled else "-"
        figures = [scores["accuracy"], scores["balanced_accuracy"], scores["majority"]]
        yield f"| {name} | {' | '.join(f'{value:.3f}' for value in figures)} | {pointing} | {overlap} |"
    if regions:
        yield ""
        yield "Pointing by class, of classes that are something to point at:"
        yield ""
        for name, region in regions.items():
            figures = [
                f"{c} {f['pointing']:.2f}"
                for c, f in region["classes"].items()
                if f["pictures"] and c not in region["absent"]
            ]
            yield f"- {name}: {', '.join(figures)}"


# Accuracy that a network over published ImageNet features should reach on the test part.
BARS = {
    "fashion_products": {"masterCategory": 0.97, "subCategory": 0.92, "articleType": 0.80, "gender": 0.78},
}


def sen_report(results: dict, name: str) -> str:
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
