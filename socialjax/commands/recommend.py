"""What a finished run recommends, and from which part of the model each score comes.

    python -m socialjax recommend runs/diffnet_yelp/yelp --user 17 --k 10
    python -m socialjax recommend runs/diffnet_yelp/yelp --items 3 5 --friends 17     a new user, without training
    python -m socialjax recommend runs/diffnet_yelp/yelp --all best.csv               a file of all users'

CPU, a few seconds. Users and items are named by the ids of their files. `socialjax explain` says more.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from socialjax import load
from socialjax.contract import Model
from socialjax.explain.record import records
from socialjax.explain.text import shorten, stand_in
from socialjax.names import visible
from socialjax.recommender import Ranked, Run
from socialjax.run.command import FinishedRun, exit_code, say, set_up_logging


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments(FinishedRun):
    """What a finished run recommends, with titles or ids, and where each score comes from."""

    user: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Whom to recommend to; may be repeated."""
    items: tuple[str, ...] = ()
    """Instead of --user: what a new user took."""
    friends: tuple[str, ...] = ()
    """Instead of --user: whom a new user follows."""
    all: Path | None = None
    """Instead of --user: write the items of all users to this file, .parquet, .csv, .tsv or .jsonl."""
    titles: bool = True
    """With --all: a column of titles, where items have some."""
    k: int = 10
    """Items for each user."""
    include_seen: bool = False
    """Recommend training items too."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line -> exit status."""
    set_up_logging()
    chosen = tyro.cli(Arguments, prog="python -m socialjax recommend", args=arguments)
    return exit_code(lambda: recommend(chosen), saves=False)


def recommend(arguments: Arguments) -> None:
    """Prints a table for each user."""
    asked = (bool(arguments.user), bool(arguments.items or arguments.friends), arguments.all is not None)
    if sum(asked) != 1:
        raise ValueError("give either --user, or --items and --friends of a new user, or --all FILE")
    run = load(*arguments.where())
    warning = stand_in({"data": run.data.provenance.kind, "data_set": run.data.name})
    blocks = [warning] if warning else []
    if arguments.all is not None:
        seen = not arguments.include_seen
        path = run.recommend_all(arguments.all, arguments.k, exclude_seen=seen, titles=arguments.titles)
        blocks.append(f"{path}: {arguments.k} items for each of {run.data.num_users:,} users")
    elif arguments.user:
        for user, ranked_items in zip(
            arguments.user, run.recommend(arguments.user, arguments.k, not arguments.include_seen)
        ):
            blocks.append(f"user {visible(user)}\n{_with_parts(run, user, ranked_items)}")
    else:
        ranked_items = run.recommend_new(arguments.items, arguments.friends, arguments.k)
        blocks.append(f"a new user\n{_table(ranked_items, [])}")
    say("\n\n".join(blocks + ([warning] if warning else [])))


def _with_parts(run: Run, user: str, ranked_items: list[Ranked]) -> str:
    if not ranked_items or type(run.model).explain is Model.explain:
        return _table(ranked_items, [])
    why = records(run.explanation(user, [ranked.item for ranked in ranked_items]), run.data, kept=0)
    return _table(ranked_items, [{part["label"]: part["value"] for part in record["parts"]} for record in why])


def _table(ranked_items: list[Ranked], parts: list[dict[str, float]]) -> str:
    """Rank, item, title (where it is not the id) and score, which the columns after it add up to."""
    titled = any(str(ranked.item) != ranked.title for ranked in ranked_items)
    columns = list(parts[0]) if parts else []
    rows = [["", "item", *(["title"] if titled else []), "score", *columns]]
    for rank, ranked in enumerate(ranked_items):
        names = [str(rank + 1), visible(ranked.item), *([shorten(ranked.title)] if titled else [])]
        rows.append(names + [f"{ranked.score:.3f}"] + [f"{parts[rank][column]:+.3f}" for column in columns])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    texts = {1, 2} if titled else {1}
    align = lambda c, text: text.ljust(widths[c]) if c in texts else text.rjust(widths[c])  # noqa: E731
    return "\n".join("  ".join(align(c, text) for c, text in enumerate(row)).rstrip() for row in rows)
