"""One tidy table of all figures: a line for each run, protocol, metric and cut-off."""

import csv
import io
from collections.abc import Sequence

from socialjax.report.gather import Kept, altered, references
from socialjax.visible import visible

HEAD = "dataset data features model protocol metric k mean ci95 seeds commit".split()
TEXTS = frozenset(HEAD) - {"k", "mean", "ci95"}
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # as spreadsheets read them, wide ones too
METRICS = ("HR", "Recall", "NDCG")


def tidy(runs: Sequence[Kept]) -> list[list[str]]:
    """Lines of a data set's runs, its reference lines first; without the head."""
    found = []
    for name, metrics in references(runs).items():
        record = runs[0].record
        start = [record["dataset"], record["data"] + altered(record), "none", name, record["protocol"]]
        found += [[*start, *_at(m), f"{v:.6f}", "", "", ""] for m, v in metrics.items() if _is_wanted(m)]
    for run in runs:
        record = run.record
        end = [" ".join(map(str, run.seeds)), record["commit"][:12] + ("-dirty" if "dirty" in record["commit"] else "")]
        for protocol, metrics in {record["protocol"]: record["metrics"], **record["also"]}.items():
            start = [record["dataset"], record["data"] + altered(record), record["features"], run.name, protocol]
            for metric, value in metrics.items():
                if _is_wanted(metric):
                    width = "" if value["ci95"] is None else f"{value['ci95']:.6f}"
                    found.append([*start, *_at(metric), f"{value['mean']:.6f}", width, *end])
    return found


def as_csv(lines: Sequence[Sequence[str]]) -> str:
    """With its head. Texts that a spreadsheet would take for a formula have a quote before them."""
    text = io.StringIO()
    of_texts = [column in TEXTS for column in HEAD]
    plain = [[cell_text(cell) if is_text else cell for cell, is_text in zip(line, of_texts)] for line in lines]
    csv.writer(text, lineterminator="\n").writerows([HEAD, *plain])
    return text.getvalue()


def cell_text(text: str) -> str:
    """A text that no spreadsheet computes, on one line."""
    shown = visible(text)
    return f"'{shown}" if shown.lstrip().startswith(FORMULA) else shown


def _is_wanted(metric: str) -> bool:
    return metric.partition("@")[0] in METRICS


def _at(metric: str) -> list[str]:
    name, _, k = metric.partition("@")
    return [name, k]
