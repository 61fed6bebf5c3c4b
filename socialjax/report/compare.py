"""One's own runs side by side: figures, tests of their differences, groups of users and cost on one page.

Nothing is kept elsewhere and no page of a paper is touched: all that is written lies in one folder.
"""

import base64
import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from socialjax import pages
from socialjax.drawing import attempt
from socialjax.eval.metrics import html_table, metric_rows, plain_html, text_table
from socialjax.names import as_identifier
from socialjax.report import comparisons, page
from socialjax.report.figures import TITLES, drawn
from socialjax.report.gather import Kept, as_csv, export_csv, finished, measured_alike, of_run, references
from socialjax.report.papers import Paper
from socialjax.run.display import baseline_figures, figures, swept
from socialjax.run.record import RunRecord

PARTS = ("overall", "beyond", "paired", "groups", "orders", "cost")  # those of a paper that any runs give


@dataclasses.dataclass(frozen=True)
class Report:
    """Runs on one data set, compared.

    Attributes:
        runs: in the order of the tables.
        parts: heading -> Markdown.
        figures: the pictures that were drawn.
        folder: where all of it was written; None if nowhere.
        summary: the figures and what the differences from the baseline are worth, as a screen shows them.
    """

    runs: tuple[Kept, ...]
    parts: dict[str, str]
    figures: tuple[Path, ...] = ()
    folder: Path | None = None
    summary: str = ""

    def __repr__(self) -> str:
        return "\n\n".join(f"## {heading}\n\n{text}" for heading, text in self.parts.items())

    def _repr_html_(self) -> str:
        """The same as the result of a notebook's cell, all text escaped."""
        blocks = (block for heading, text in self.parts.items() for block in (("part", heading), *_elements(text)))
        return "\n".join(_block_html(kind, content) for kind, content in blocks)

    def to_pandas(self):
        """A pandas.DataFrame with a row for each run and baseline, and a column for each metric, those beyond accuracy
        last."""
        import pandas as pd

        rows = baseline_figures(self.runs[0].record)
        rows |= {run.name: {name: of["mean"] for name, of in figures(run.record).items()} for run in self.runs}
        return pd.DataFrame.from_dict(rows, orient="index")


def compare(
    runs: Sequence[Any], baseline: str | None = None, out: Path | None = None, names: Sequence[str] = ()
) -> Report:
    """Compares finished runs.

    Args:
        runs: what `socialjax.fit` or `load` gave, folders of runs, or folders that hold some, such as that of a table.
        baseline: name of the run with which every other is compared: BPR's by default, or the first.
        out: a folder for `report.md`, `report.html` (all in one file), `figures.csv` and the pictures.
        names: of the runs in their order; by default the model, or the folder where models occur twice.

    Raises:
        ValueError: no finished runs, names that are no names, runs that were not measured alike, or no run of the name
            of the baseline.
    """
    found = finished([Path(getattr(run, "folder", run)) for run in runs]).runs
    records = [RunRecord.read(folder / "result.json") for folder in found]
    hits, ndcg = _metrics(records[0])
    every_name = _names(found, records, names)
    runs = measured_alike([of_run(run, name, (hits, ndcg)) for run, name in zip(found, every_name)])
    dataset = runs[0].record.dataset
    called = [run.name for run in runs]
    if baseline is None:
        baseline = "bpr" if "bpr" in called else called[0]
    elif baseline not in called:
        raise ValueError(f"no run is called '{baseline}'; there are {', '.join(called)}")
    paper = Paper(
        "report", f"Runs on {dataset}", (), {name: name for name in called}, metrics=(hits, ndcg), baseline=baseline,
        one_family=True,
    )  # fmt: skip
    parts = {page.HEADS[name]: page.part(paper, runs, dataset, name) for name in PARTS if _has(name, runs)}
    short = _summary(paper, runs)
    if out is None:
        return Report(tuple(runs), parts, summary=short)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    pictures = []
    for figure, draw in drawn(runs).items():
        path = out / f"{figure}.png"
        if attempt(path, lambda path, draw=draw: draw(paper, runs, path), anew=True):
            pictures.append(path)
    title = paper.title
    blocks = [f"# {title}", *(f"## {heading}\n\n{text}" for heading, text in parts.items()), "## Figures"]
    blocks += [f"![{_caption(path, paper)}]({path.name})" for path in pictures]
    pages.write(out / "report.md", "\n\n".join(blocks) + "\n")
    pages.write(out / "figures.csv", as_csv(export_csv(runs)))
    captions = {path: _caption(path, paper) for path in pictures}
    pages.write(out / "report.html", _html(title, runs[0].record, parts, captions))
    return Report(tuple(runs), parts, tuple(pictures), out, short)


def _summary(paper: Paper, runs: Sequence[Kept]) -> str:
    """All models by the two metrics and, below, each less the baseline with the p of both questions."""
    rows = [*references(runs).items(), *((run.name, run.record.metrics) for run in runs)]
    blocks = [text_table(metric_rows(rows, paper.metrics))]
    pairs, best = comparisons.against_baseline(paper, runs), comparisons.best_against_each(paper, runs)
    if pairs:
        table = [["", *(f"{m} {what}" for m in paper.metrics for what in ("difference", "p users", "p trainings"))]]
        cells: dict[str, list[str]] = {}
        for test in comparisons.against(paper, pairs, comparisons.family_of(pairs, best)):
            _, p_users, _, p_trainings = comparisons.questions(test)
            cells.setdefault(test.a.name, []).extend([f"{test.users.difference:+.4f}", p_users, p_trainings])
        blocks.append(text_table(table + [[f"{name} - {paper.baseline}", *found] for name, found in cells.items()]))
        blocks.append(
            "p users: would other users agree? p trainings: would the difference stand if both were trained anew? Both "
            "after Holm's correction over all differences of the report."
        )
    return "\n\n".join(blocks)


def _metrics(record: RunRecord) -> tuple[str, str]:
    """Hits and NDCG at the cut-off by which the table is read. Raises ValueError for a run without."""
    metrics = swept(record)
    if len(metrics) != 2:
        raise ValueError(f"wanted runs with hits and NDCG at one cut-off, got {', '.join(record.metrics)}")
    return metrics[0], metrics[1]


def _names(folders: Sequence[Path], records: Sequence[RunRecord], given: Sequence[str]) -> list[str]:
    """A name for each run, all different. Raises ValueError for another number of names, or the same twice."""
    if given:
        if len(given) != len(folders) or len(set(given)) != len(given):
            raise ValueError(f"wanted {len(folders)} different names, one for each run, got {', '.join(given)}")
        return [as_identifier(name) for name in given]
    models = [record.model for record in records]
    names = [
        model if models.count(model) == 1 else as_identifier(f"{model}-{folder.name}")
        for model, folder in zip(models, folders)
    ]
    if len(set(names)) != len(names):
        names = [as_identifier(f"{model}-{folder.parent.name}-{folder.name}") for model, folder in zip(models, folders)]
    if len(set(names)) != len(names):
        raise ValueError(f"runs are called alike: {', '.join(names)}; name them with `names`")
    return names


def _has(part: str, runs: Sequence[Kept]) -> bool:
    if part in ("orders", "groups", "beyond"):
        return part in drawn(runs)
    return part != "paired" or len(runs) > 1


def _caption(path: Path, paper: Paper) -> str:
    return TITLES[path.stem].format(*paper.metrics)


def _html(title: str, record: RunRecord, parts: dict[str, str], figures: dict[Path, str]) -> str:
    """The report as one page that needs nothing else."""
    sections = [(heading, _elements(text)) for heading, text in parts.items()]
    pictures = [(base64.b64encode(path.read_bytes()).decode(), caption) for path, caption in figures.items()]
    made = "" if record.data == "real" else record.data.upper()
    data = f"{record.dataset}, {record.data} data, {record.protocol}, test part"
    return pages.page("report.html", title=title, kind=made, banner=data, sections=sections, pictures=pictures)


def _elements(markdown: str) -> list[tuple[str, object]]:
    """The blocks of a part: ("table", rows of (cell, whether it is bold)), ("heading", words) or ("text", words)."""
    blocks: list[tuple[str, object]] = []
    for block in markdown.split("\n\n"):
        if block.startswith("|"):
            rows = [[_plain(cell) for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in block.splitlines()]
            blocks.append(("table", [row for row in rows if not all(set(cell) <= set("-:") for cell, _ in row)]))
        else:
            text, is_bold = _plain(block)
            blocks.append(("heading" if is_bold else "text", text))
    return blocks


def _block_html(kind: str, content: Any) -> str:
    """A block of `_elements`, or the heading of a part, in HTML."""
    if kind == "table":
        return html_table([[text for text, _ in row] for row in content])
    tag = {"part": "h3", "heading": "h4", "text": "p"}[kind]
    return f"<{tag}>{plain_html(content)}</{tag}>"


def _plain(cell: str) -> tuple[str, bool]:
    """Text without Markdown's escapes, and whether it was bold."""
    text = cell.strip()
    bold = text.startswith("**") and text.endswith("**")
    return re.sub(r"\\(.)", r"\1", text.strip("*") if bold else text.replace("*", "").replace("`", "")), bold
