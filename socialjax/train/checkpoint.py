"""Checkpoints of training, and the folders of their steps: the only module that imports Orbax.

Each checkpoint holds the latest state, the best parameters so far and what the loop remembers, committed as one: no
moment exists at which they belong to different steps. The last two are kept. Orbax does not notice array files whose
bytes have changed, so each checkpoint lists its arrays with their shapes and digests.
"""

import json
import logging
import os
import re
import stat
import sys
import warnings
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from socialjax import json_files, memory
from socialjax.train import digests
from socialjax.train.digests import Damaged
from socialjax.train.parallel import is_first, of_first

MOST_FILES = 20_000  # of one checkpoint; ours have some tens for each process that wrote them
LARGEST_NOTE = 16 << 20  # bytes of a file that holds no arrays
ALWAYS_FINE = 64 << 20  # bytes of arrays that nobody needs to ask about
RATIO = 100  # of the bytes of arrays to those on disk; parameters barely compress, made-up ones do by thousands
ARRAYS = "d"  # the folder in which OCDBT keeps them


def newest(folder: Path) -> list[int]:
    """The steps of which `folder` has a checkpoint, the newest first; nothing in them is opened."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.isascii() and entry.name.isdecimal()]
    except OSError:
        return []
    return sorted((int(name) for name in names if len(name) < 20 and name == str(int(name))), reverse=True)


def bytes_on_disk(folder: Path) -> int:
    """What the files of one checkpoint take on the disk, holes left out.

    Raises Damaged for anything but plain files and folders (a pipe would be waited for, a link leads elsewhere), for
    more files than a checkpoint has, and for notes as large as arrays.
    """
    total = count = 0
    waiting = [Path(folder)]
    while waiting:
        inside = waiting.pop()
        if not stat.S_ISDIR(os.lstat(inside).st_mode):
            raise Damaged(f"{inside.name} is no folder")
        with os.scandir(inside) as entries:
            for entry in entries:
                count += 1
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(Path(entry.path))
                elif not stat.S_ISREG(status.st_mode):
                    raise Damaged(f"{entry.name} is no plain file")
                elif status.st_size > LARGEST_NOTE and inside.name != ARRAYS:
                    raise Damaged(f"{entry.name} has {status.st_size} bytes, wanted at most {LARGEST_NOTE}")
                total += min(status.st_size, 512 * status.st_blocks)
                if count > MOST_FILES:
                    raise Damaged(f"it has more than {MOST_FILES} files")
    return total


def check_weight(shapes: Iterable[tuple[np.dtype, tuple[int, ...]]], on_disk: int) -> None:
    """Raises Damaged for arrays that are far larger than the files they are to come from."""
    wanted = sum(np.dtype(dtype).itemsize * int(np.prod(sizes, dtype=object)) for dtype, sizes in shapes)
    if wanted > max(ALWAYS_FINE, RATIO * on_disk):
        raise Damaged(f"its arrays would have {wanted} bytes and come from files of {on_disk}")


log = logging.getLogger(__name__)
OURS = ("fingerprint", "arrays", "check")  # what is added to the notes
MOST_TRIED = 8  # checkpoints tried in an untrusted folder; ours keep two
CLOSED = "Event loop is closed"
NEVER_ASKED = "exception was never retrieved"
NEVER_STARTED = r"coroutine 'Store\._get_array_metadatas' was never awaited"
MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
ASIDE = "damaged-"  # before the step in the name of a folder in which Orbax does not look
DAMAGE = (digests.Damaged, ValueError, LookupError, TypeError, AttributeError, EOFError, zlib.error, *MISSING)


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be read or does not belong to this run."""


class Checkpoints:
    """The checkpoints in `folder`, of the run with this `fingerprint` (a hash of its settings)."""

    def __init__(self, folder: Path, fingerprint: str, asynchronous: bool = True):
        self.folder, self.fingerprint = Path(folder).absolute(), fingerprint
        _silence_follow_up_errors()
        options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=asynchronous)
        try:
            self._manager = ocp.CheckpointManager(self.folder, options=options)
        except OSError as error:
            raise self._refused(error) from error

    def save(self, step: int, state: Any, best: Any, notes: dict) -> None:
        """Starts saving; returns once the arrays are copied. Failures of the write before are raised here or in close.

        notes: what JSON can hold. Raises CheckpointError when the disk refuses, with the folder and the reason.
        """
        try:
            if step in self._manager.all_steps():
                return
            notes = {**notes, "fingerprint": self.fingerprint, "arrays": digests.listed(state=state, best=best)}
            items = {
                "state": ocp.args.StandardSave(state),
                "best": ocp.args.StandardSave(best),
                "notes": ocp.args.JsonSave({**notes, "check": _check_sum(notes)}),
            }
            self._manager.save(step, args=ocp.args.Composite(**items), force=True)
        except Exception as error:
            raise self._refused(error) from error

    def restore(self, state: Any, best: Any) -> tuple[Any, Any, dict] | None:
        """(state, best, notes) of the newest checkpoint that can be read, None when there is none.

        state and best give shapes, types and devices. A damaged checkpoint is reported and the one before it is used;
        then it is put aside, under a name in which nobody looks. Nothing is ever deleted here. Raises CheckpointError
        when none can be read or when they belong to another run, NotEnoughMemory, and OSError where the system refuses
        to read: neither says anything of a file.
        """
        damaged: dict[int, str] = {}
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                restored = self._read(step, state, best)
            except Exception as error:
                damaged[step] = _damage(error, step, self.folder)
                log.warning("checkpoint %s cannot be read (%s); trying the one before it", step, damaged[step])
                continue
            self._put_aside(damaged)
            return restored
        if damaged:
            reasons = "; ".join(f"step {step}: {why}" for step, why in damaged.items())
            raise CheckpointError(
                f"none of the checkpoints in {self.folder} can be read, and all were left as they are ({reasons}); put "
                "back a copy of them, choose another --workdir, or delete the folder to train from the start"
            )
        return None

    def _put_aside(self, damaged: Iterable[int]) -> None:
        """Only with a good one at hand: without, the run would start anew."""
        for step in damaged:
            if is_first():
                names = (f"{ASIDE}{step}{'' if n == 1 else f'-{n}'}" for n in range(1, 1000))
                aside = next(path for path in map(self.folder.joinpath, names) if not path.exists())
                os.replace(self.folder / str(step), aside)
                log.warning("the damaged checkpoint of step %s is %s now; delete it when nobody needs it", step, aside)
        if damaged:
            of_first(0)  # the others look when it is gone
            self._manager.reload()

    def _read(self, step: int, state, best):
        notes = _read_notes(self._manager, step)
        if notes["fingerprint"] != self.fingerprint:
            raise CheckpointError(
                f"the checkpoint of step {step} in {self.folder} belongs to a run with other settings; "
                "choose another --workdir, or delete the folder to start anew"
            )
        self._must_fit(step, notes, digests.shapes(state=state, best=best))
        like = lambda leaf: leaf if isinstance(leaf, np.ndarray) else ocp.utils.to_shape_dtype_struct(leaf)  # noqa: E731
        abstract = jax.tree.map(like, (state, best))  # what is NumPy's stays so, and goes to no device
        items = ocp.args.Composite(
            state=ocp.args.StandardRestore(abstract[0]), best=ocp.args.StandardRestore(abstract[1])
        )
        read = self._manager.restore(step, args=items)
        digests.check(notes["arrays"], state=read["state"], best=read["best"])
        return read["state"], read["best"], {name: value for name, value in notes.items() if name not in OURS}

    def _must_fit(self, step: int, notes: dict, wanted: dict) -> None:
        saved = {name: shape for name, (shape, _) in notes["arrays"].items()}
        differ = sorted(name for name in {*saved, *wanted} if saved.get(name) != wanted.get(name))
        if differ:
            raise CheckpointError(
                f"the checkpoint of step {step} in {self.folder} holds other arrays ({differ[0]}: "
                f"{saved.get(differ[0])} there, {wanted.get(differ[0])} now): model or data have changed since; "
                "choose another --workdir, or delete the folder to start anew"
            )

    def wait(self) -> None:
        """Returns when everything started is on disk."""
        try:
            self._manager.wait_until_finished()
            self._manager.check_for_errors()
        except Exception as error:
            raise self._refused(error) from error

    def close(self) -> None:
        try:
            self.wait()
        finally:
            self._manager.close()

    def _refused(self, error: Exception) -> Exception:
        if memory.of_memory(error):
            return memory.NotEnoughMemory(
                f"not enough memory to save a checkpoint in {self.folder} ({_first_line(error)}); {memory.ADVICE}: "
                "it goes on from the last checkpoint that was saved"
            )
        return CheckpointError(
            f"the checkpoint could not be saved under {self.folder}: {_reason(error)}; make room or choose another "
            "--workdir, then start the same command again: it goes on from the last checkpoint that was saved"
        )


def read_best(folder: Path, like: Any = None, fingerprint: str | None = None) -> tuple[Any, dict]:
    """(best parameters as NumPy arrays in plain dicts, notes) of the newest readable checkpoint of a finished run.

    like: what the parameters must be, a tree of anything with shape and dtype; fingerprint: of the run they must belong
    to. Both are compared with the notes before an array is read, and the files with the notes: untrusted ones may
    claim any size. Raises CheckpointError when there is no checkpoint that can be read and for one of another run.
    """
    _silence_follow_up_errors()
    folder = Path(folder).absolute()
    for step in newest(folder)[:MOST_TRIED]:
        try:
            return _read_best(folder, step, like, fingerprint)
        except Exception as error:
            why = _damage(error, step, folder)
            log.warning("checkpoint %s cannot be read (%s); trying the one before it", step, why)
    raise CheckpointError(f"no readable checkpoint in {folder}; is it the checkpoints folder of a run?")


def _read_best(folder: Path, step: int, like: Any, fingerprint: str | None) -> tuple[Any, dict]:
    here = folder / str(step)
    on_disk = bytes_on_disk(here)
    notes = _checked(_plain_notes(here / "notes" / "metadata"))
    if fingerprint is not None and notes.get("fingerprint") != fingerprint:
        raise CheckpointError(f"the checkpoint in {folder} belongs to another run than the settings.json of its folder")
    noted = digests.listed_shapes(notes["arrays"], "best")
    if like is not None and noted != (wanted := digests.shapes(best=like)):
        raise CheckpointError(
            f"the parameters in {folder} do not fit the model: wanted {_some(wanted)}, got {_some(noted)}; "
            "they were saved by another version, so run the experiment again with another --workdir"
        )
    check_weight(map(digests.dtype_and_sizes, noted.values()), on_disk)
    handler = ocp.StandardCheckpointHandler()
    try:
        stored = handler.metadata(here / "best").tree
    except RecursionError:
        raise digests.Damaged("what it says of its arrays is nested too deeply") from None
    _must_be_stored(stored, noted)
    best = ocp.Checkpointer(handler).restore(
        here / "best", args=ocp.args.StandardRestore(digests.as_listed(notes["arrays"], "best"))
    )
    digests.check(notes["arrays"], best=best)
    return best, notes


def _plain_notes(path: Path) -> Any:
    """As Orbax reads them, but with limits of size and depth. Raises Damaged for no notes within them."""
    try:
        return json_files.read(path, nonfinite=True)
    except (json_files.JsonError, FileNotFoundError) as error:
        raise digests.Damaged(f"its notes cannot be read: {error}") from None


def _must_be_stored(stored: Any, noted: dict[str, str]) -> None:
    """Raises Damaged unless the files hold the arrays of the notes, in pieces that are no larger than they are."""
    if digests.shapes(best=stored) != noted:
        raise digests.Damaged("its files hold other arrays than its notes say")
    for leaf in jax.tree.leaves(stored):
        piece = leaf.storage.chunk_shape
        if len(piece) != len(leaf.shape) or any(part > max(size, 1) for part, size in zip(piece, leaf.shape)):
            raise digests.Damaged(f"its files keep {leaf.name} of {list(leaf.shape)} in pieces of {list(piece)}")


def _some(shapes: dict[str, str]) -> str:
    """A few of them, for a message."""
    return ", ".join(f"{name} {shape}" for name, shape in list(shapes.items())[:8]) + (
        " ..." if len(shapes) > 8 else ""
    )


def _damage(error: Exception, step: int, folder: Path) -> str:
    """How the error of reading a checkpoint shows that it is damaged. Raises what shows no damage: it as it is, an
    OSError for what Orbax made of one, NotEnoughMemory for all that means it."""
    if isinstance(error, CheckpointError):
        raise error
    if memory.of_memory(error):
        raise memory.NotEnoughMemory(
            f"not enough memory to read the checkpoint of step {step} in {folder} ({_first_line(error)}); "
            f"{memory.ADVICE}: no checkpoint was changed"
        ) from error
    if (refusal := memory.of_system(error)) is not None:
        raise refusal if refusal.filename else OSError(refusal.errno, refusal.strerror, str(folder / str(step)))
    # Of digests and checksums, of TensorStore, of JSON, of Orbax about its own files, of names and sizes in them. Orbax
    # wraps some of TensorStore's in a bare Exception.
    if not (isinstance(error, DAMAGE) or type(error) is Exception):
        raise error
    return _first_line(error)


def _read_notes(manager: ocp.CheckpointManager, step: int) -> dict:
    return _checked(manager.restore(step, args=ocp.args.Composite(notes=ocp.args.JsonRestore()))["notes"])


def _checked(notes: dict) -> dict:
    """The notes without their check sum. Raises Damaged when they are not those that were written."""
    if not isinstance(notes, dict):
        raise digests.Damaged("its notes are no record")
    if notes.pop("check", None) != _check_sum(notes):
        raise digests.Damaged("its notes have changed since they were written")
    return notes


def _check_sum(notes: dict) -> int:
    return zlib.crc32(json.dumps(notes, sort_keys=True).encode())


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _reason(error: Exception) -> str:
    """The message of the system at the end of a TensorStore error, else the first line."""
    match = re.search(r"([^:]+) \[os_error_code=", str(error))
    return match[1].strip() if match else _first_line(error)


def _silence_follow_up_errors() -> None:
    """Once: the first failure of a read or a write is raised to us; Orbax's other tasks then end as tracebacks that
    nobody can catch: of its event loop, closed by then, and of tasks whose exceptions were never asked for; what it had
    not yet started is warned of where it is thrown away."""
    before = sys.unraisablehook

    def report(unraisable):
        if str(unraisable.exc_value) != CLOSED:
            before(unraisable)

    if getattr(before, "__qualname__", "") != report.__qualname__:
        sys.unraisablehook = report
        warnings.filterwarnings("ignore", NEVER_STARTED, RuntimeWarning)
        logging.getLogger("asyncio").addFilter(_no_echo)


def _no_echo(record: logging.LogRecord) -> bool:
    """False for the news of an exception of TensorStore that nobody asked for."""
    return not (NEVER_ASKED in record.getMessage() and record.exc_info and "os_error_code" in str(record.exc_info[1]))
