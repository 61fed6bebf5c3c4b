"""The steps of a preparation, each recorded when its files are on the disk, so that an interrupted one goes on."""

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from socialjax import json_files
from socialjax.data.large.array_files import sync_folder
from socialjax.data.large.layout import ArrayFile
from socialjax.formats.file_bytes import DataError
from socialjax.names import visible

WORK, JOURNAL = "work", "steps.json"


@dataclasses.dataclass(frozen=True)
class Done:
    """What a step left: final arrays and those of the work folder by name, numbers for later steps, and notes."""

    arrays: dict[str, ArrayFile] = dataclasses.field(default_factory=dict)
    work: dict[str, ArrayFile] = dataclasses.field(default_factory=dict)
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Recorded:
    """The content of the journal: by what the preparation is told from another, and its finished steps in order."""

    identity: dict[str, Any]
    done: dict[str, Done]


class Journal:
    """The steps of the preparation in `folder`; `Journal.of` opens it.

    Attributes:
        folder: of the final arrays.
        work: folder of what only later steps read; removed at the end.
        done: finished steps by name, in order.
    """

    def __init__(self, folder: Path, recorded: Recorded):
        self.folder, self.work, self.done = folder, folder / WORK, dict(recorded.done)
        self._identity = recorded.identity

    @classmethod
    @contextlib.contextmanager
    def of(cls, folder: Path, identity: dict[str, Any]) -> Iterator["Journal"]:
        """The journal of a folder that is new, empty or half prepared from the same input by the same settings.

        Raises:
            DataError: the folder holds something else, or another process prepares it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        work = folder / WORK
        if not work.is_dir() and any(folder.iterdir()):
            raise DataError(f"{visible(folder)}: wanted a new or empty folder, got other files; choose another folder")
        work.mkdir(exist_ok=True)
        identity = json.loads(json.dumps(identity))
        number = os.open(work, os.O_RDONLY)
        try:
            _lock(number, folder)
            path, recorded = work / JOURNAL, Recorded(identity, {})
            if path.exists():
                recorded = json_files.typed(json_files.read(path, advice="remove the folder"), Recorded)
            if recorded.identity != identity:
                differing = sorted(
                    n for n in {*recorded.identity, *identity} if recorded.identity.get(n) != identity.get(n)
                )
                raise DataError(
                    f"{visible(folder)}: wanted to go on with the preparation that was begun here, got another "
                    f"{', '.join(map(visible, differing))}; prepare by the same settings, or remove the folder"
                )
            yield cls(folder, recorded)
        finally:
            os.close(number)

    def step(self, name: str, act: Callable[[], Done], consumes: tuple[str, ...] = ()) -> Done:
        """Does a step unless it is done, records it, and removes the files of the work folder that it used up."""
        if name not in self.done:
            done = act()
            self.done[name] = done
            self._write()
        for used in consumes:
            (self.work / f"{used}.npy").unlink(missing_ok=True)
            shutil.rmtree(self.work / used, ignore_errors=True)
        return self.done[name]

    def fact(self, name: str) -> Any:
        """A number that some finished step left."""
        return next(done.facts[name] for done in self.done.values() if name in done.facts)

    def finish(self) -> None:
        """Removes the work folder, after meta.json was written."""
        shutil.rmtree(self.work)

    def _write(self) -> None:
        recorded = dataclasses.asdict(Recorded(self._identity, self.done))
        write_json(self.work / JOURNAL, recorded)


def write_json(path: Path, value: Any) -> None:
    """A JSON file that is on the disk, whole, or absent."""
    temporary = path.with_name(f".part.{path.name}")
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_folder(path.parent)


def _lock(number: int, folder: Path) -> None:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise DataError(f"{visible(folder)}: another process prepares this folder; wait until it has ended") from None
