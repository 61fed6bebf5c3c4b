"""Why a finished run scores items as it does: own vector, own history and each friend at each layer, adding up.

    python -m experiments.explain runs/diffnet_yelp/yelp --user 17 --item 345
    python -m experiments.explain runs/diffnet_yelp/yelp --user 17 --k 3 --out why     the top items; JSON and pictures
    python -m experiments.explain runs/jifr/films --user 17 --user 4 --item 345 --out why    key frames of both users

CPU, a few seconds. Shares are exact where the model is a sum, and marked as estimates where it is not.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import tyro

from socialjax import load
from socialjax.explain.case_picture import draw_case_study, faces
from socialjax.explain.keyframes import case_study
from socialjax.explain.picture import draw
from socialjax.explain.record import records
from socialjax.explain.text import report, stand_in
from socialjax.models.visual.key_frames import RanksFrames
from socialjax.run.command import exit_code, set_up_logging
from socialjax.run.results import write_json


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Why a finished run scores items as it does."""

    run: tyro.conf.Positional[Path]
    """Folder of a finished run, or of one of its seeds."""
    user: Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
    """Whose scores; may be repeated."""
    item: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Which items; may be repeated. Without it, each user's top items."""
    k: int = 3
    """Top items of each user, without --item."""
    shown: int = 8
    """Friends and items listed for each part."""
    out: Path | None = None
    """Folder for explanation.json and one picture for each pair."""
    pictures: Path | None = None
    """Folder in which the names of frames are files; by default --data.dir. Frames without one are coloured patches."""
    seed: int | None = None
    """Of the run; its lowest by default."""
    data_dir: Annotated[Path | None, tyro.conf.arg(name="data.dir")] = None
    """Where the data lies now, when that is not where it was."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line -> exit status."""
    set_up_logging()
    chosen = tyro.cli(Arguments, prog="python -m experiments.explain", args=arguments)
    return exit_code(lambda: explain(chosen))


def explain(of: Arguments) -> None:
    """Prints the report and writes the files."""
    if not of.user:
        raise ValueError("say whose scores: --user ID")
    if of.shown < 1:
        raise ValueError(f"--shown must be at least 1, got {of.shown}")
    run = load(of.run, of.seed, of.data_dir)
    found, files = [], []
    for user in of.user:
        why = run.explain(user, of.item or [ranked.item for ranked in run.recommend(user, of.k)[0]])
        found += records(why, run.data)
        # Row numbers: ids may hold what the name of a file may not.
        files += [f"user_{number}_item_{item}.png" for number, item in zip(why.users, why.items)]
    print(report(found, of.shown))
    if of.out is None:
        return
    of.out.mkdir(parents=True, exist_ok=True)
    content = {"run": str(run.folder), "seed": run.seed, "data": run.data.provenance.kind, "explanations": found}
    write_json(of.out / "explanation.json", content)
    for file, record in zip(files, found):
        draw(of.out / file, record)
    files += _key_frames(of, run, found)
    warning = stand_in({"data": run.data.provenance.kind, "data_set": run.data.name})
    print(f"\nexplanation.json and {', '.join(files)} are in {of.out}" + (f"\n{warning}" if warning else ""))


def _key_frames(of: Arguments, run, found: list[dict]) -> list[str]:
    """Draws, of each item, its frames as every user likes them; the names of the files, none without frames."""
    if not isinstance(run.model, RanksFrames) or run.data.frames is None:
        return []
    face = faces(run.data.frames, of.pictures or of.data_dir)
    users, files = run.user_numbers(list(of.user)), []
    for item in run.item_numbers(list(dict.fromkeys(record["item"] for record in found))):
        if run.data.frames.offsets[item] == run.data.frames.offsets[item + 1]:
            continue
        title = f"{run.data.describe_item(item)}: {type(run.model).__name__} on {run.data.name}"
        title += "" if run.data.provenance.kind == "real" else f" ({run.data.provenance.kind})"
        rows = case_study(run.model, run.state, run.side, run.data, users, int(item))
        files.append(f"key_frames_item_{item}.png")
        draw_case_study(of.out / files[-1], rows, run.data.frames, face, title)
    return files


if __name__ == "__main__":
    sys.exit(main())
