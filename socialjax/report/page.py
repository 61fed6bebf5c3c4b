"""A paper's results in Markdown: parts, a page of them all for each data set, and pages of others that hold some.

They are written with the tidy table of all figures and the pictures.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from socialjax import pages
from socialjax.drawing import attempt
from socialjax.eval.metrics import markdown_table
from socialjax.report import comparisons, figures, keep
from socialjax.report.comparisons import other_differences, variation, varied_runs
from socialjax.report.figures import TITLES, drawn
from socialjax.report.gather import LISTS, Kept, about, as_csv, export_csv, folders, gather, main_rows
from socialjax.report.overall import (
    NONE,
    beyond,
    beyond_columns,
    beyond_meanings,
    cost,
    label,
    leaderboard,
    leaders,
    legend,
    meanings,
    notes,
    overall,
    reported,
)
from socialjax.report.papers import Paper

HEADS = {
    "overall": "All models",
    "beyond": "Beyond accuracy",
    "figures": "Figures",
    "reported": "Reported and reproduced",
    "paired": "Differences: other users, other trainings",
    "orders": "Sampled beside full ranking",
    "corrected": "Estimates of full ranking from samples",
    "groups": "Groups of users",
    "search": "Settings found on validation",
    "cost": "Time and memory",
}
SHORT = ("leaders",)  # parts of other pages, which the page of all does not need
BY_GROUP = ("Novelty", "Lift")  # metrics beyond accuracy whose groups of users are shown
PART = re.compile(r"(<!-- begin: (\S+) (\S+) (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def parts(paper: Paper) -> list[str]:
    """Names of the parts of a data set."""
    return [*HEADS, *paper.swept]


def part(paper: Paper, runs: Sequence[Kept], dataset: str, name: str, pictures: str = "") -> str:
    """One part as Markdown. pictures: what stands before the names of the figures' files, such as `results/`.

    Raises ValueError for a part that does not exist.
    """
    if name not in (*parts(paper), *SHORT):
        raise ValueError(f"there is no part '{name}' of {paper.name}; there are {', '.join(parts(paper))}")
    if not main_rows(runs):
        return f"No finished runs on {dataset} are kept yet."
    return "\n\n".join(_blocks(paper, runs, dataset, name, pictures))


def page(paper: Paper, runs: Sequence[Kept], dataset: str) -> str:
    """All parts of a data set, with headings."""
    blocks = [
        f"# {paper.title}: {dataset}",
        f"Made by `python -m socialjax tables --paper {paper.name}`; not by hand.",
    ]
    for name in parts(paper):
        if name == "beyond" and not beyond_columns(runs):
            continue  # runs of before were not measured so
        blocks += [f"## {HEADS.get(name, f'Varying {name}')}", part(paper, runs, dataset, name)]
    return "\n\n".join(blocks) + "\n"


def update(text: str, paper: Paper, kept: Path, pictures: str) -> str:
    """A page with what stands between `<!-- begin: PAPER DATASET PART -->` and `<!-- end -->` made anew.

    Parts of other papers stay. Raises ValueError for a part or a data set that does not exist, and for a begin
    without an end.
    """
    runs_by_dataset: dict[str, list[Kept]] = {}
    if text.count("<!-- begin:") != len(PART.findall(text)) or any("<!-- begin:" in m[5] for m in PART.finditer(text)):
        raise ValueError("every <!-- begin: PAPER DATASET PART --> needs its <!-- end --> on a later line")

    def anew(match: re.Match) -> str:
        begin, of, dataset, name, _, end = match.groups()
        if of != paper.name:
            return match[0]
        if dataset.removesuffix("-stand-in") not in paper.datasets:
            raise ValueError(f"{paper.name} has no data set '{dataset}'; it has {', '.join(paper.datasets)}")
        if dataset not in runs_by_dataset:
            runs_by_dataset[dataset] = gather(kept, dataset, paper)
        return f"{begin}{part(paper, runs_by_dataset[dataset], dataset, name, pictures)}\n{end}"

    return PART.sub(anew, text)


def figure_name(paper: Paper, dataset: str, figure: str) -> str:
    """The file of a figure."""
    return f"{paper.name}-{dataset}-{figure}.png"


def texts(paper: Paper, kept: Path, datasets: tuple[str, ...] = ()) -> dict[str, str]:
    """File name -> content of every page and of the CSV; nothing for data sets without kept runs."""
    pages_by_name, lines = {}, []
    for dataset in datasets or paper.datasets:
        if folders(kept, dataset):
            runs = gather(kept, dataset, paper)
            pages_by_name[f"{paper.name}-{dataset}.md"] = page(paper, runs, dataset)
            lines += export_csv(runs)
    return pages_by_name | ({f"{paper.name}.csv": as_csv(lines)} if lines else {})


def write_tables(paper: Paper, kept: Path, out: Path, datasets: tuple[str, ...] = ()) -> list[Path]:
    """Writes pages, CSV and figures into `out` -> what was written. Raises ValueError when nothing is kept."""
    content = texts(paper, kept, datasets)
    if not content:
        raise ValueError(
            f"{kept} holds no runs on {', '.join(datasets or paper.datasets)}; keep some with "
            "`python -m socialjax tables keep RUNFOLDER`"
        )
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in content.items():
        pages.write(out / name, text)
        written.append(out / name)
    for dataset in datasets or paper.datasets:
        if folders(kept, dataset):
            runs = gather(kept, dataset, paper)
            for figure, draw in drawn(runs).items():
                path = out / figure_name(paper, dataset, figure)
                if attempt(path, lambda path, draw=draw, runs=runs: draw(paper, runs, path), anew=True):
                    written.append(path)
    return written


def update_page(paper: Paper, kept: Path, out: Path, path: Path) -> bool:
    """Makes the generated parts of the page `path` anew, figures from `out` -> whether anything changed."""
    before = path.read_text()
    after = update(before, paper, kept, where_pictures_are(out, path))
    if after != before:
        pages.write(path, after)
    return after != before


def where_pictures_are(out: Path, path: Path) -> str:
    """What stands before the name of a figure in `out` on the page `path`: `results/`."""
    prefix = Path(os.path.relpath(out.absolute(), path.absolute().parent)).as_posix()
    return "" if prefix == "." else f"{prefix}/"


def _blocks(paper: Paper, runs: Sequence[Kept], dataset: str, name: str, pictures: str) -> Iterator[str]:
    rows = main_rows(runs)
    caption = lambda shown, protocol=None: about(shown, lambda run: label(paper, run), protocol)  # noqa: E731
    if name == "overall":
        yield markdown_table(overall(paper, runs))
        yield caption(rows) + meanings(paper, rows) + legend(paper, runs) + notes(paper, runs)
    elif name == "leaders":
        yield markdown_table(leaderboard(paper, runs))
        yield f"{caption(leaders(paper, runs))} {len(leaders(paper, runs))} of {len(rows)} trained models."
    elif name == "beyond":
        yield from _beyond(paper, runs, caption)
    elif name == "figures":
        for figure in drawn(runs):
            title = TITLES[figure].format(*paper.metrics)
            yield f"![{dataset}: {title}]({pictures}{figure_name(paper, dataset, figure)})"
        yield caption(rows)
    elif name == "reported":
        yield markdown_table(reported(paper, runs, dataset))
        yield (
            f"{caption(rows)} Ours stand beside figures of the same protocol and width alone; where reported ones had "
            "features, ours have none. The difference is ours less theirs."
        )
    elif name == "paired":
        yield from _paired(paper, runs, caption)
    elif name == "orders":
        lines, names = figures.lines(paper, runs), figures.protocols(runs)
        for metric in reversed(paper.metrics):
            yield markdown_table(figures.sampled_and_full(lines, names, metric))
        sentences = [*figures.taus(lines, names, paper.metrics[::-1]), figures.swapped(lines, names, paper.metrics[1])]
        yield " ".join([caption(rows, ", ".join(names)), *filter(None, sentences)])
    elif name == "corrected":
        yield from comparisons.blocks(figures.lines(paper, runs), lambda names: caption(rows, names))
    elif name == "groups":
        for kind in figures.kinds(runs):
            for metric in paper.metrics:
                yield f"**{figures.heading(kind, metric)}**"
                yield markdown_table(figures.by_sparsity(paper, runs, kind, metric))
        yield caption(rows)
    elif name == "search":
        found = {run.model: run.search for run in runs if run.search is not None}
        yield markdown_table(keep.settings_table(paper, found)) if found else f"No search on {dataset} is kept yet."
        if found:
            yield keep.caption(found)
    elif name == "cost":
        yield markdown_table(cost(paper, runs))
        yield (
            caption(rows)
            + " Means over the seeds; of memory the highest. One process; other work may have run beside it."
        )
    elif not (swept := varied_runs(runs, name)):
        yield f"No finished runs on {dataset} that vary {name} are kept yet."
    else:
        for metric in paper.metrics:
            yield markdown_table(variation(paper, runs, name, metric))
        yield f"{caption(swept)} {other_differences(paper, runs, name)}"


def _beyond(paper: Paper, runs: Sequence[Kept], caption) -> Iterator[str]:
    columns = beyond_columns(runs)
    if not columns:
        yield "No kept run was measured beyond accuracy."
        return
    for table in beyond(paper, runs):
        yield markdown_table(table)
    yield f"{caption(main_rows(runs), LISTS)}{beyond_meanings(runs)}"
    for kind in figures.kinds(runs):
        for metric in (name for name in columns if name.partition("@")[0] in BY_GROUP):
            table = figures.by_sparsity(paper, runs, kind, metric)
            if any(cell != NONE for row in table[1:] for cell in row[1:]):
                yield f"**{figures.heading(kind, metric)}**"
                yield markdown_table(table)


def _paired(paper: Paper, runs: Sequence[Kept], caption) -> Iterator[str]:
    main = main_rows(runs)
    against, best = comparisons.against_baseline(paper, runs), comparisons.best_against_each(paper, runs)
    features = comparisons.with_and_without_features(runs)
    family = comparisons.family_of(against, best, features) if paper.one_family else []
    cold = comparisons.on_cold_items(features)
    for heading, rows in (
        (f"Every model less {paper.label(paper.baseline, paper.baseline)}", against),
        (f"The best model by {paper.metrics[1]} less every other", best),
        ("With features less without", features),
        (
            "With features less without, on test items that nobody has in training",
            cold,
        ),
    ):
        if rows:
            tests = family if rows is not cold else []  # of other users
            yield f"**{heading}**"
            yield markdown_table(comparisons.comparison(paper, rows, tests))
            yield comparisons.reading(paper, rows, tests)
    yield caption(main) if len(main) > 1 else "A difference needs two models."
