"""Which finished runs lie in the folders that people name: a run, or a study or a sweep with runs inside."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from socialjax.run.study.aside import is_aside

RESULT = "result.json"
SEED = "seed_"
DEEPEST = 20  # folders inside one another


@dataclasses.dataclass(frozen=True)
class Found:
    """runs: folders of finished runs, in the order given, each once. left_out: folder -> why it is none of them."""

    runs: list[Path]
    left_out: dict[Path, str]


def finished(folders: Sequence[Path]) -> Found:
    """Every finished run in the folders and below them; links, what was put aside and what has not ended are left out.

    Raises ValueError for a name that is no folder and for one below which nothing has finished.
    """
    found = Found([], {})
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"{folder} is no folder; name folders of finished runs, or a folder that holds some")
        before = len(found.runs), len(found.left_out)
        _look(folder, found)
        if (len(found.runs), len(found.left_out)) == before and folder not in found.runs:
            raise ValueError(
                f"{folder} holds no finished run, neither {RESULT} nor a folder with one; name the folder of a run, "
                "the one with a folder for each seed, or a folder that holds such folders"
            )
    if not found.runs:
        why = "; ".join(f"{folder}: {why}" for folder, why in found.left_out.items())
        raise ValueError(f"there is no finished run among them ({why}); run the same command again to finish one")
    return found


def _look(folder: Path, found: Found, depth: int = 0) -> None:
    if depth and folder.is_symlink():
        found.left_out[folder] = "a link; name the folder itself to keep what it leads to"
    elif depth > DEEPEST:
        found.left_out[folder] = f"more than {DEEPEST} folders deep"
    elif is_aside(folder):
        found.left_out[folder] = "put aside as out of date"
    elif (folder / RESULT).is_file() and not _is_report(folder):
        if folder not in found.runs:
            found.runs.append(folder)
    elif any(folder.glob(f"{SEED}*/")):
        found.left_out[folder] = f"not finished, {RESULT} is missing"
    else:
        for inside in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
            _look(inside, found, depth + 1)


def _is_report(folder: Path) -> bool:
    """Whether its result.json sums up runs inside, as experiments of several runs wrote before report.json."""
    return any(folder.glob(f"*/{RESULT}")) and not any(folder.glob(f"{SEED}*/"))
