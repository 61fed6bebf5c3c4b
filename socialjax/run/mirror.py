"""A copy of a work folder in an object store: what is lost with the machine is brought back on the next one.

Work folders need locks, renames and appends, which object stores do not have, so they are local and are copied: every
file as an object named by its sha256, then `manifest.json`, which names the files, with their sizes and digests. An
object is written whole or not at all, and the manifest comes last: what it describes is all there, at whatever moment
the copying was ended. On the way back every file is verified, and the folder is used when all of them are.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypedDict

from socialjax import json_files, stop
from socialjax.json_files import WrongType, typed
from socialjax.names import below, visible
from socialjax.object_store import MOST_OBJECTS, Folder, StoreError, parts
from socialjax.run import results
from socialjax.train.checkpoint import newest

log = logging.getLogger(__name__)
MANIFEST, OBJECTS, CLAIM = "manifest.json", "objects", "settings.json"
FORMAT = 1
STAGED = ".restoring"  # holds what has been brought back while there is no run in the folder yet
LARGEST = 1 << 40  # bytes of a whole folder that is brought back, and at most half of the free room
LARGEST_MANIFEST = 32 << 20
TRIES = 5  # to copy a folder whose newest checkpoint is removed meanwhile
LOOK_SECONDS = 2.0  # between two looks for a new checkpoint


class File(TypedDict):
    """A file as the manifest has it."""

    size: int
    sha256: str


class Manifest(TypedDict):
    """What a mirror holds. run: a digest of settings and data; steps: of the newest checkpoint of each seed in it."""

    format: int
    run: str
    steps: dict[str, int]
    files: dict[str, File]


@contextlib.contextmanager
def mirrored(folder: Path, url: str | None) -> Iterator[None]:
    """While the block runs, and at its end, however it ends, `folder` is copied to `url`; nothing happens without one.

    Whoever enters holds the folder and has claimed it. A copy that fails is reported, and the run goes on; the last one
    must succeed where the run did.

    Raises:
        StoreError: the mirror holds another run, or a later state of this one; or the last copy failed.
    """
    if url is None:
        yield
        return
    mirror = Mirror(folder, url)
    mirror.must_be_ours()
    with mirror.in_background():
        yield
    mirror.push()
    log.info("%s holds a copy of %s", mirror.store.url, folder)


class Mirror:
    """`folder` and its copy below `url`."""

    def __init__(self, folder: Path, url: str):
        self.folder, self.store = Path(folder), Folder(url, "--mirror")
        self._known: dict[str, tuple[tuple[int, int], File]] = {}  # name -> size and time of the file that was copied
        self._there: set[str] | None = None  # names of objects, when they have been listed
        self._before: set[str] = set()  # digests of the last manifest but one: somebody may be reading it

    def restore(self) -> bool:
        """Brings the run back when the folder holds none and the mirror does. Whoever calls holds the folder.

        Returns:
            Whether it was brought back.

        Raises:
            StoreError: the mirror cannot be read, is damaged or too large; the folder stays without a run.
            OSError: the folder cannot be written.
        """
        staged = self.folder / STAGED
        if (self.folder / CLAIM).exists():
            return False
        was_at_it = staged.is_dir()
        others = sorted(path.name for path in self.folder.iterdir() if path.name != STAGED)
        manifest = self._manifest()
        if manifest is None:
            return False
        if others and not was_at_it:
            raise StoreError(
                f"{self.folder} has files ({', '.join(map(visible, others[:3]))}) and no run, so the run in "
                f"{self.store.url} is not brought back there; choose an empty --workdir"
            )
        total = sum(file["size"] for file in manifest["files"].values())
        room = min(LARGEST, shutil.disk_usage(self.folder).free // 2)
        log.info(
            "%s: %s files, %s bytes, brought back to %s",
            self.store.url,
            len(manifest["files"]),
            f"{total:,}",
            self.folder,
        )
        if total > room:
            raise StoreError(
                f"{self.store.url} wants {total:,} bytes, more than the {room:,} that are half of the free room of the "
                "disk; make room or choose another --workdir"
            )
        staged.mkdir(exist_ok=True)
        for name, file in manifest["files"].items():
            self._bring(staged, name, file)
        tops = dict.fromkeys(parts(name)[0] for name in manifest["files"])
        for top in sorted(tops, key=lambda top: top == CLAIM):  # with the claim the folder holds a run
            target = self.folder / top
            if target.is_dir():  # of a start that was ended here
                shutil.rmtree(target)
            os.replace(staged / top, target)
        shutil.rmtree(staged)
        return True

    def _bring(self, staged: Path, name: str, file: File) -> None:
        stop.check()
        target = below(staged, *parts(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_file() and target.stat().st_size == file["size"] and _sha256(target) == file["sha256"]:
            return  # of a start that was ended here
        found = self.store.fetch(f"{OBJECTS}/{file['sha256']}", target, file["size"])
        if found != file["sha256"]:
            target.unlink()
            raise StoreError(
                f"{self.store.url}: the content of {visible(name)} has sha256 {found}, wanted {file['sha256']}: it was "
                "damaged or changed since it was copied; nothing of it is used"
            )

    def _manifest(self) -> Manifest | None:
        """What the mirror says of itself, checked, or None when nothing was ever copied there. Raises StoreError."""
        content = self.store.get(MANIFEST, LARGEST_MANIFEST)
        if content is None:
            return None
        try:
            manifest = typed(json_files.parse(content), Manifest)
        except (ValueError, WrongType) as error:
            raise StoreError(
                f"{self.store.url}/{MANIFEST} is damaged ({visible(error)}); choose another --mirror"
            ) from None
        if manifest["format"] != FORMAT:
            raise StoreError(
                f"{self.store.url} has format {manifest['format']}, and this version reads {FORMAT}; choose another "
                "--mirror"
            )
        if CLAIM not in manifest["files"] or len(manifest["files"]) > MOST_OBJECTS:
            raise StoreError(f"{self.store.url}/{MANIFEST} is that of no run; choose another --mirror")
        for name, file in manifest["files"].items():
            parts(name)
            is_digest = len(file["sha256"]) == 64 and set(file["sha256"]) <= set("0123456789abcdef")
            if not is_digest or not 0 <= file["size"] <= LARGEST:
                raise StoreError(f"{self.store.url}/{MANIFEST}: {visible(name)} has no sha256 or an impossible size")
        return manifest

    def must_be_ours(self) -> None:
        """Raises StoreError when the mirror holds another run, or a later state than the folder does."""
        manifest = self._manifest()
        if manifest is None:
            return
        if manifest["run"] != _run(self.folder):
            raise StoreError(
                f"{self.store.url} holds a run with other settings or data than {self.folder}; choose another --mirror"
            )
        here = _steps(self.folder)
        ahead = [seed for seed, step in manifest["steps"].items() if step > here.get(seed, -1)]
        if ahead:
            raise StoreError(
                f"{self.store.url} holds a later state of {visible(ahead[0])} than {self.folder} (step "
                f"{manifest['steps'][ahead[0]]}, here {here.get(ahead[0], 'none')}): another machine has gone on with "
                "this run. Choose an empty --workdir to go on from there, or another --mirror to go on from here"
            )

    @contextlib.contextmanager
    def in_background(self) -> Iterator[None]:
        """A thread copies the folder after each new checkpoint; at the end it is waited for."""
        ended = threading.Event()
        thread = threading.Thread(target=self._watch, args=(ended,), daemon=True, name="mirror")
        thread.start()
        try:
            yield
        except BaseException:
            ended.set()
            thread.join()
            try:
                self.push()
            except (StoreError, OSError) as failure:  # the error on its way out says what has gone wrong
                log.warning("%s; it may lack the last checkpoint", visible(failure))
            raise
        ended.set()
        thread.join()

    def _watch(self, ended: threading.Event) -> None:
        copied = None
        while not ended.wait(LOOK_SECONDS):
            state = _steps(self.folder)
            if state and state != copied:
                try:
                    self.push()
                    copied = state
                except (StoreError, OSError) as error:
                    log.warning("%s; the run goes on, and the next checkpoint is copied again", visible(error))
                    copied = state

    def push(self) -> None:
        """Copies what has changed, then the manifest; what neither it nor the one before names is removed.

        Raises StoreError, and OSError where a file cannot be read.
        """
        if self._there is None:
            self._there = {stored.name.rpartition("/")[2] for stored in self.store.listed() if "/" in stored.name}
        for _ in range(TRIES):
            newest_then, files = _steps(self.folder), self._copied()
            steps = {seed: _newest_of(seed, files) for seed in newest_then}
            if all(steps[seed] >= step for seed, step in newest_then.items()):
                break  # else Orbax removed the newest checkpoint in between, since a later one is whole
        manifest = Manifest(format=FORMAT, run=_run(self.folder), steps=steps, files=files)
        self.store.put(MANIFEST, json.dumps(manifest, sort_keys=True).encode())
        now = {file["sha256"] for file in files.values()}
        unused = self._there - now - self._before
        self.store.delete([f"{OBJECTS}/{digest}" for digest in sorted(unused)])
        self._there, self._before = self._there - unused, now

    def _copied(self) -> dict[str, File]:
        """All files of the folder, which are in the store now; of a checkpoint all or none."""
        names, files = _names(self.folder), dict[str, File]()
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # Orbax removes a checkpoint when a later one is whole
                files[name] = self._pushed(name)
        for step in {_checkpoint_of(name) for name in files} - {None}:
            inside = {name for name in names if _checkpoint_of(name) == step}
            if not _is_there(self.folder, step, inside):
                files = {name: file for name, file in files.items() if name not in inside}
        return files

    def _pushed(self, name: str) -> File:
        """The file, which is in the store now."""
        path = self.folder / name
        status = path.stat()
        stamp = (status.st_size, status.st_mtime_ns)
        known = self._known.get(name)
        if known is not None and known[0] == stamp and known[1]["sha256"] in self._there:
            return known[1]
        if _checkpoint_of(name):  # never written again once it has its name
            file = File(size=status.st_size, sha256=_sha256(path))
            content = path
        else:  # may grow meanwhile
            content = path.read_bytes()
            file = File(size=len(content), sha256=hashlib.sha256(content).hexdigest())
        if file["sha256"] not in self._there:
            self.store.put(f"{OBJECTS}/{file['sha256']}", content)
            self._there.add(file["sha256"])
        self._known[name] = (stamp, file)
        return file


def _names(folder: Path) -> list[str]:
    """All files of a run but temporary ones, whatever else lies there, with slashes; the claim is the last."""
    found = []
    for inside, folders, files in os.walk(folder):
        is_checkpoints = Path(inside).name == "checkpoints"
        folders[:] = [
            name for name in folders if not name.startswith(".") and not (is_checkpoints and not name.isdecimal())
        ]
        relative = Path(inside).relative_to(folder)
        found += [(relative / name).as_posix() for name in files if not name.startswith(".")]
    return sorted(found, key=lambda name: (name == CLAIM, name))


def _steps(folder: Path) -> dict[str, int]:
    """The step of the newest checkpoint of each seed, 0 where there is none: some models do not train."""
    return {seed.name: max(newest(seed / "checkpoints"), default=0) for seed in sorted(folder.glob("seed_*"))}


def _newest_of(seed: str, files: Iterable[str]) -> int:
    """The step of the newest checkpoint of a seed among these files, 0 where there is none."""
    found = (_checkpoint_of(name) for name in files)
    return max((int(Path(step).name) for step in found if step and Path(step).parts[0] == seed), default=0)


def _checkpoint_of(name: str) -> str | None:
    """`seed_0/checkpoints/122` of a file in it, None for other files."""
    found = Path(name).parts[:3]
    return "/".join(found) if len(found) == 3 and found[1] == "checkpoints" and found[2].isdecimal() else None


def _is_there(folder: Path, step: str, names: set[str]) -> bool:
    """Whether a checkpoint still has all these files: Orbax removes one when a later one is whole."""
    return {path.relative_to(folder).as_posix() for path in (folder / step).rglob("*") if path.is_file()} == names


def _run(folder: Path) -> str:
    """A digest of the settings and data that decide the figures of the run in `folder`."""
    claim = results.read_claim(folder / CLAIM)
    return results.fingerprint(claim["settings"], claim["data"], 0)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
