"""What each model needs, uses and can do; with a name, its settings.

python -m socialjax models
python -m socialjax models diffnet
python -m socialjax models social_bpr --import my_package
"""

import dataclasses
import inspect
import itertools
import re
import shutil
import sys
import textwrap

from socialjax.contract import Choice, Model, Range
from socialjax.eval.metrics import text_table
from socialjax.models import MODELS
from socialjax.run.command import exit_code, fail, say

PARTS = {"links": "links", "user_features": "user features", "item_features": "item features"}
PARTS |= {"social_features": "social features", "owners": "owners of items", "item_groups": "categories of items"}


def main(arguments: list[str]) -> int:
    """Exit code of `socialjax models` with these arguments."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if len(arguments) > 1:
        return fail(f"models takes the name of one model, got {' '.join(arguments)}")
    if arguments and arguments[0] not in MODELS:
        return fail(MODELS.unknown(arguments[0]))
    return exit_code(lambda: say(_one(arguments[0]) if arguments else _all()), saves=False)


def _all() -> str:
    rows = [["model", "needs", "uses where there are", "new users", "explanation", "what it is"]]
    lines = []
    for name in MODELS:
        try:
            kind = MODELS[name]
        except ValueError as error:  # of another package: it must not hide the others
            lines.append(str(error))
            continue
        traits = kind.traits
        explains = kind.explain is not Model.explain
        rows.append(
            [
                name,
                _parts(traits.needs),
                _parts(traits.uses),
                "yes" if traits.new_users else "",
                ("parts add up" if traits.additive else "attention") if explains else "",
                _first_sentence(kind) + ("" if MODELS.is_own(name) else f" ({kind.__module__.partition('.')[0]})"),
            ]
        )
    lines += [
        "all of them need pairs of a user and an item; `socialjax models NAME` lists the settings of one",
        "new users: `recommend_new` answers for somebody who was not there in training",
    ]
    return "\n".join([_left(_within(rows, _width())), "", *lines])


def _width() -> int:
    """Columns of the terminal; where the output goes elsewhere, no line is too long."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000


GAP, NARROW, SHORTEST = 2, 18, 20  # between columns; a column of words; a sentence of which something is left


def _within(rows: list[list[str]], width: int) -> list[list[str]]:
    """The table on a screen of that width: what a model needs and uses on several lines, and as much of the last
    column as there is room for; the whole stands with the name."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    fixed = sum(widths[column] + GAP for column in (0, 3, 4))
    if fixed + sum(widths[column] + GAP for column in (1, 2)) + widths[5] <= width:
        return rows
    share = max((width - fixed - 2 * GAP - SHORTEST) // 2, NARROW)
    words = [min(widths[column], share) for column in (1, 2)]
    left = width - fixed - sum(words) - 2 * GAP
    out = []
    for row in rows:
        needs, uses = (textwrap.wrap(row[1 + place], wide) or [""] for place, wide in enumerate(words))
        sentence = [] if left < SHORTEST else [row[5] if len(row[5]) <= left else row[5][: left - 3] + "..."]
        for line, (need, use) in enumerate(itertools.zip_longest(needs, uses, fillvalue="")):
            own = line == 0
            out.append([row[0] * own, need, use, row[3] * own, row[4] * own, *(text * own for text in sentence)])
    return out


def _left(rows: list[list[str]]) -> str:
    """The table with columns aligned on the left, which suits words."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    padded = [[*(cell.ljust(width) for cell, width in zip(row, widths)), row[-1]] for row in rows]
    return text_table([["  ".join(row).rstrip()] for row in padded])


def _one(name: str) -> str:
    kind = MODELS[name]
    about, help_of = described(kind)
    rows = [["setting", "default", "searched by tune", "what it is"]]
    for field in dataclasses.fields(kind):
        searched = _range(kind.search_space[field.name]) if field.name in kind.search_space else ""
        rows.append([_flag(field.name), str(field.default), searched, help_of.get(field.name, "")])
    needs = _parts(kind.traits.needs) or "pairs alone"
    uses = _parts(kind.traits.uses)
    lines = [f"{name}: {about}", "", f"needs {needs}" + (f"; uses {uses} where there are" if uses else ""), ""]
    lines += [_left(rows), "", f"python -m socialjax train {name} --data.name NAME --help    lists all other settings"]
    return "\n".join(lines)


def described(kind: type[Model]) -> tuple[str, dict[str, str]]:
    """The text of a class's docstring, and what its `Attributes:` and those of its bases say of each setting."""
    help_of: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        entries = inspect.cleandoc(base.__dict__.get("__doc__") or "").partition("\n\nAttributes:\n")[2]
        for match in re.finditer(r"^ {1,4}(\w+): (.*(?:\n {5,}.*)*)", entries, re.M):
            help_of[match[1]] = " ".join(match[2].split())
    return inspect.cleandoc(kind.__doc__ or kind.__name__).partition("\n\nAttributes:")[0], help_of


def _first_sentence(kind: type[Model]) -> str:
    return " ".join(described(kind)[0].partition("\n\n")[0].split())


def _parts(needs: tuple[str, ...]) -> str:
    return ", ".join(PARTS.get(need, need) for need in needs)


def _flag(field: str) -> str:
    return f"--model.{field.replace('_', '-')}"


def _range(values: Range) -> str:
    if isinstance(values, Choice):
        return ", ".join(map(str, values.values))
    kind = "log-uniform" if "Log" in type(values).__name__ else "uniform"
    return f"{kind} {values.low} to {values.high}"
