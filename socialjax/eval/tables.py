"""Tables of metrics as plain text and Markdown."""

from collections.abc import Sequence

from socialjax.names import visible

OBEYED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "\\|", "`": "\\`"})


def cell(metric: dict | float | None) -> str:
    """`0.3142 ±0.0010`, `0.3142`, or `not available`; metric: a number or {"mean", "ci95"}."""
    if metric is None:
        return "not available"
    if isinstance(metric, dict):
        width = "" if metric.get("ci95") is None else f" ±{metric['ci95']:.4f}"
        return f"{metric['mean']:.4f}{width}"
    return f"{metric:.4f}"


def metric_rows(rows: Sequence[tuple[str, dict]], metrics: Sequence[str]) -> list[list[str]]:
    """The header and a row for each (name, {metric: value}), with `not available` for metrics that it lacks."""
    return [["", *metrics], *([name, *(cell(found.get(metric)) for metric in metrics)] for name, found in rows)]


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns, with a rule below the header; line breaks and control characters in cells are made visible."""
    rows = [[visible(cell) for cell in row] for row in rows]
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    line = lambda row: "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))])  # noqa: E731
    return "\n".join([line(rows[0]).rstrip(), "-" * len(line(rows[0])), *(line(row).rstrip() for row in rows[1:])])


def escaped(text: str) -> str:
    """One line of text, escaped so that neither Markdown nor HTML reads tags, cells, links or code in it."""
    return visible(text).translate(OBEYED).replace("](", "]\\(")


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """The same as a Markdown table."""
    head, *body = ["| " + " | ".join(map(escaped, row)) + " |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])
