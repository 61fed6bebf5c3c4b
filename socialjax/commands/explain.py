"""Why a finished run scores items as it does: own embedding, history and each friend at each layer, adding up.

    python -m socialjax explain runs/diffnet_yelp/yelp --user 17 --item 345
    python -m socialjax explain runs/diffnet_yelp/yelp --user 17 --k 3 --out why     the top items; JSON and pictures
    python -m socialjax explain runs/jifr/films --user 17 --user 4 --item 345 --out why    key frames of both users
    python -m socialjax explain runs/hasc/photos --user 17 --out why --aspects    how much each aspect counts over users
    python -m socialjax explain runs/saers/garments --k 6 --gallery page.html    what some users look at, as a page

CPU, a few seconds. Shares are exact where the model is a sum, and marked as estimates where it is not.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from socialjax import load
from socialjax.explain.aspects import draw_population, population, weights_over_users
from socialjax.explain.gallery import ItemPictures, box_pictures, boxes_in_pixels, explained, gallery_page, some_users
from socialjax.explain.liked_frames import case_study, draw_frames, faces
from socialjax.explain.picture import draw
from socialjax.explain.text import report, stand_in
from socialjax.names import file_part
from socialjax.run.command import FinishedRun, exit_code, say, set_up_logging
from socialjax.run.processes import only_one
from socialjax.run.results import write_json


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments(FinishedRun):
    """Why a finished run scores items as it does."""

    user: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Whose scores; may be repeated. A gallery without it takes some users."""
    item: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Which items; may be repeated. Without it, each user's top items."""
    k: int = 3
    """Top items of each user, without --item."""
    shown: int = 8
    """Friends and items listed for each part."""
    out: Path | None = None
    """Folder for explanation.json and one picture for each pair."""
    gallery: Path | None = None
    """File for a page of all of it in HTML: items with the regions of their attributes. For SAERS."""
    aspects: bool = False
    """With --out, also how much each aspect counts over users: figures and a picture. For HASC."""
    pictures: Path | None = None
    """Folder (of items also a tar archive) in which the names of pictures are files; by default that of the data.
    Frames without one are coloured patches."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line -> exit status."""
    set_up_logging()
    chosen = tyro.cli(Arguments, prog="python -m socialjax explain", args=arguments)
    return exit_code(lambda: explain(chosen), saves=False)


def explain(arguments: Arguments) -> None:
    """Prints the report and writes the files that `arguments` ask for."""
    if not arguments.user and arguments.gallery is None:
        raise ValueError("say whose scores: --user ID")
    if arguments.aspects and arguments.out is None:
        raise ValueError("--aspects writes files: say where with --out DIR")
    if arguments.shown < 1:
        raise ValueError(f"--shown must be at least 1, got {arguments.shown}")
    run = load(*arguments.where())
    records, pairs = explained(run, arguments.user or some_users(run), arguments.item, arguments.k)
    by_attributes = any(record.get("attributes") for record in records)
    if arguments.gallery is not None and not by_attributes:
        raise ValueError(f"{type(run.model).__name__} weighs no attributes, so there is no gallery; take SAERS")
    say(report(records, arguments.shown))
    warning = stand_in({"data": run.data.provenance.kind, "data_set": run.data.name})
    pictures = ItemPictures(run, arguments.pictures, arguments.data_dir) if by_attributes else None
    if arguments.gallery is not None:
        gallery_page(arguments.gallery, run, records, pairs, pictures)
        say(f"\nthe page is {arguments.gallery}")
    if arguments.out is None:
        return
    with only_one(arguments.out):
        files = _write(arguments, run, records, pairs, pictures)
    say(f"\nexplanation.json and {', '.join(files)} are in {arguments.out}" + (f"\n{warning}" if warning else ""))


def _write(arguments: Arguments, run, records: list[dict], pairs, pictures: ItemPictures | None) -> list[str]:
    """Writes explanation.json and the pictures; the names of the pictures."""
    by_attributes = pictures is not None
    written = [boxes_in_pixels(r, item, pictures) for r, (_, item) in zip(records, pairs)] if by_attributes else records
    content = {"run": str(run.folder), "seed": run.seed, "data": run.data.provenance.kind, "explanations": written}
    write_json(arguments.out / "explanation.json", content)
    files = []
    for record, (user, item) in zip(records, pairs):
        files.append(f"user_{file_part(user)}_item_{file_part(item)}.png")
        draw(arguments.out / files[-1], record)
    files += _key_frames(arguments, run, records)
    files += _aspects(arguments.out, run) if arguments.aspects else []
    files += box_pictures(arguments.out, run, records, pairs, pictures) if by_attributes else []
    return files


def _aspects(out: Path, run) -> list[str]:
    """Writes how much each aspect counts over users; the names of the files."""
    gamma, labels = weights_over_users(run.model, run.state, run.side, run.data)
    content = {"run": str(run.folder), "seed": run.seed, "data": run.data.provenance.kind, **population(gamma, labels)}
    write_json(out / "aspects.json", content)
    title = f"{type(run.model).__name__} on {run.data.name} ({run.data.provenance.kind})"
    draw_population(out / "aspects.png", gamma, labels, title)
    return ["aspects.json", "aspects.png"]


def _key_frames(arguments: Arguments, run, records: list[dict]) -> list[str]:
    """Draws, of each item, its frames as every user likes them; the names of the files, none without frames."""
    if not run.model.traits.ranks_frames or run.data.frames is None:
        return []
    face = faces(run.data.frames, arguments.pictures or arguments.data_dir)
    users, files = run.user_numbers(list(arguments.user)), []
    for item in run.item_numbers(list(dict.fromkeys(record["item"] for record in records))):
        if run.data.frames.offsets[item] == run.data.frames.offsets[item + 1]:
            continue
        title = f"{run.data.describe_item(item)}: {type(run.model).__name__} on {run.data.name}"
        title += "" if run.data.provenance.kind == "real" else f" ({run.data.provenance.kind})"
        rows = case_study(run.model, run.state, run.side, run.data, users, int(item))
        files.append(f"key_frames_item_{file_part(item)}.png")
        draw_frames(arguments.out / files[-1], title, run.data.frames, rows, face)
    return files
