"""Writes a paper's pages, tidy table and figures, and the generated parts of other pages."""

import os
from pathlib import Path

from socialjax.report.figures import drawn
from socialjax.report.gather import as_csv, folders, gather, tidy
from socialjax.report.page import figure_name, update
from socialjax.report.page import page as page_of
from socialjax.report.papers import Paper
from socialjax.run.pictures import attempt
from socialjax.whole import whole


def texts(paper: Paper, kept: Path, datasets: tuple[str, ...] = ()) -> dict[str, str]:
    """File name -> content of every page and of the CSV; nothing for data sets without kept runs."""
    found, lines = {}, []
    for dataset in datasets or paper.datasets:
        if folders(kept, dataset):
            runs = gather(kept, dataset, paper)
            found[f"{paper.name}-{dataset}.md"] = page_of(paper, runs, dataset)
            lines += tidy(runs)
    return found | ({f"{paper.name}.csv": as_csv(lines)} if lines else {})


def tables(paper: Paper, kept: Path, out: Path, datasets: tuple[str, ...] = ()) -> list[Path]:
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
        _write(out / name, text)
        written.append(out / name)
    for dataset in datasets or paper.datasets:
        if folders(kept, dataset):
            runs = gather(kept, dataset, paper)
            for figure, draw in drawn(runs).items():
                path = out / figure_name(paper, dataset, figure)
                if attempt(path, lambda path, draw=draw, runs=runs: draw(paper, runs, path), anew=True):
                    written.append(path)
    return written


def page(paper: Paper, kept: Path, out: Path, path: Path) -> bool:
    """Makes the generated parts of the page `path` anew, figures from `out` -> whether anything changed."""
    before = path.read_text()
    after = update(before, paper, kept, pictures(out, path))
    if after != before:
        _write(path, after)
    return after != before


def pictures(out: Path, path: Path) -> str:
    """What stands before the name of a figure in `out` on the page `path`: `results/`."""
    place = Path(os.path.relpath(out.absolute(), path.absolute().parent)).as_posix()
    return "" if place == "." else f"{place}/"


def _write(path: Path, text: str) -> None:
    with whole(path) as temporary:
        temporary.write_text(text)
