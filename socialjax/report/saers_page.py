"""The table of SAERS's experiment, and how well attributes were found, as Markdown."""

from pathlib import Path

from socialjax.data.schema import Dataset
from socialjax.eval.cold_start import evaluate
from socialjax.eval.significance import mean_interval
from socialjax.recommender import load
from socialjax.run.results import read_json
from socialjax.vision.catalogue_attributes import Material

FIGURES = ("AUC", "NDCG@10", "cold AUC", "cold NDCG@10")
# A public leaderboard that quotes the paper; its tables could not be read.
REPORTED = {"saers": {"AUC": 0.816, "NDCG@10": 0.171}}


def measured(folder: Path, data: Dataset, material: Material) -> dict:
    """Figure -> {"mean", "ci95", "values"} over the seeds of a finished row; cold items among cold items."""
    values: dict[str, list[float]] = {}
    for seed in read_json(folder / "result.json")["seeds"]:
        run = load(folder, seed)
        metrics = evaluate(run.model, run.state, data, data.test, taken=(material.cold_test,)).mean()
        if len(material.cold_test):
            cold = evaluate(run.model, run.state, data, material.cold_test, among=material.cold).mean()
            metrics |= {f"cold {name}": value for name, value in cold.items()}
        for name, value in metrics.items():
            values.setdefault(name, []).append(value)
    return {name: _over_seeds(of_seeds) for name, of_seeds in values.items()}


def _over_seeds(values: list[float]) -> dict:
    mean, half = mean_interval(values)
    return {"mean": mean, "ci95": half, "values": values}


def report(results: dict[str, dict], attributes: dict, data: Dataset, banner: str, has_page: bool) -> str:
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
        f"{data.num_users:,} users, {data.num_items:,} items, {len(data.train):,} training pairs. Each test pair alone "
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
