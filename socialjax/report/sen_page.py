"""The table of SEN on real photos, as Markdown, with the bars where there are some."""

# Accuracy that a network over published ImageNet features should reach on the test part.
BARS = {
    "fashion_products": {"masterCategory": 0.97, "subCategory": 0.92, "articleType": 0.80, "gender": 0.78},
}


def report(found: dict, name: str) -> str:
    """The page of a result."""
    bars, photos = BARS.get(name, {}), found["photos"]
    lines = [
        f"# SEN on {name} ({found['data']['kind']} photos)",
        "",
        f"{photos['train']:,} photos to learn from, {photos['validation']:,} to choose epochs by, {photos['test']:,} "
        "to judge by. Balanced: mean over classes of the share of their photos that are right. Most frequent: accuracy "
        "of the class most frequent among those learned from. Regions: accuracy from inside the boxes alone.",
        "",
        "| attribute | accuracy | bar | balanced | most frequent | regions |",
        "|---|---|---|---|---|---|",
    ]
    for attribute, of in found["accuracy"].items():
        if "accuracy" not in of:
            continue
        bar = f">= {bars[attribute]:.2f}" if attribute in bars else "-"
        inside = found["accuracy_of_regions"][attribute]["accuracy"]
        figures = [of["balanced_accuracy"], of["majority"], inside]
        lines.append(
            f"| {attribute} | {of['accuracy']:.3f} | {bar} | {' | '.join(f'{each:.3f}' for each in figures)} |"
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
    for attribute, of in found["on_product"].items():
        figures = [f"{of[each]:.3f}" if each in of else "-" for each in ("mass", "even", "others")]
        lines.append(f"| {attribute} | {' | '.join(figures)} | {of['empty']} |")
    lines += ["", f"Training took {found['seconds']['training']:.0f} s once feature maps were there."]
    below = missed(found, name)
    lines += ["", f"Below its bar: {', '.join(below)}."] if below else []
    return "\n".join(lines) + "\n"


def missed(found: dict, name: str) -> list[str]:
    """The attributes below their bars."""
    return [
        attribute
        for attribute, bar in BARS.get(name, {}).items()
        if found["accuracy"].get(attribute, {}).get("accuracy", 0) < bar
    ]
