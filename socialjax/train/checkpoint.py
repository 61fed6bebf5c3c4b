"""Checkpoints: the one place that knows Orbax.

Each checkpoint holds the latest state, the best parameters so far and what the loop remembers, committed as one: no
moment exists at which they belong to different steps. The last two are kept.
"""

import logging
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

log = logging.getLogger(__name__)


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be read or does not belong to this run."""


class Checkpoints:
    """The checkpoints in `folder`, of the run with this `fingerprint` (a hash of its settings)."""

    def __init__(self, folder: Path, fingerprint: str, asynchronous: bool = True):
        self.folder, self.fingerprint = Path(folder).absolute(), fingerprint
        options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=asynchronous)
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def save(self, step: int, state: Any, best: Any, notes: dict) -> None:
        """Starts saving; returns once the arrays are copied. Failures of the write before are raised here or in close.

        Raises CheckpointError when the disk refuses, with the folder and the reason.
        """
        items = {
            "state": ocp.args.StandardSave(state),
            "best": ocp.args.StandardSave(best),
            "notes": ocp.args.JsonSave({"fingerprint": self.fingerprint, **notes}),
        }
        try:
            if step not in self._manager.all_steps():
                self._manager.save(step, args=ocp.args.Composite(**items), force=True)
        except Exception as error:
            raise self._refused(error) from error

    def restore(self, state: Any, best: Any) -> tuple[Any, Any, dict] | None:
        """(state, best, notes) of the newest checkpoint that can be read, None when there is none.

        state and best give shapes, types and devices. A damaged checkpoint is reported and the one before it is used.
        Raises CheckpointError when none can be read or when they belong to another run.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        for step in steps:
            try:
                return self._read(step, state, best)
            except CheckpointError:
                raise
            except Exception as error:  # whatever a damaged file makes Orbax raise
                log.warning("checkpoint %s cannot be read (%s); trying the one before it", step, _first_line(error))
                self._manager.delete(step)
        if steps:
            raise CheckpointError(
                f"none of the checkpoints in {self.folder} can be read; delete the folder to train from the start"
            )
        return None

    def _read(self, step: int, state, best):
        notes = self._manager.restore(step, args=ocp.args.Composite(notes=ocp.args.JsonRestore()))["notes"]
        if notes.get("fingerprint") != self.fingerprint:
            raise CheckpointError(
                f"the checkpoint of step {step} in {self.folder} belongs to a run with other settings; "
                "choose another --workdir, or delete the folder to start anew"
            )
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, (state, best))
        items = ocp.args.Composite(
            state=ocp.args.StandardRestore(abstract[0]), best=ocp.args.StandardRestore(abstract[1])
        )
        read = self._manager.restore(step, args=items)
        return read["state"], read["best"], notes

    def wait(self) -> None:
        """Returns when everything started is on disk."""
        try:
            self._manager.wait_until_finished()
            self._manager.check_for_errors()
        except Exception as error:
            raise self._refused(error) from error

    def close(self) -> None:
        self.wait()
        self._manager.close()

    def _refused(self, error: Exception) -> CheckpointError:
        return CheckpointError(
            f"the checkpoint could not be saved under {self.folder}: {_first_line(error)}; make room or choose another "
            "--workdir, then start the same command again: it goes on from the last checkpoint that was saved"
        )


def read_best(folder: Path) -> tuple[Any, dict]:
    """(best parameters as NumPy arrays in plain dicts, notes) of the newest readable checkpoint of a finished run.

    Raises CheckpointError when there is none.
    """
    manager = ocp.CheckpointManager(Path(folder).absolute(), options=ocp.CheckpointManagerOptions(read_only=True))
    with manager:
        for step in sorted(manager.all_steps(), reverse=True):
            try:
                items = ocp.args.Composite(best=ocp.args.StandardRestore(), notes=ocp.args.JsonRestore())
                read = manager.restore(step, args=items)
                return read["best"], read["notes"]
            except Exception as error:
                log.warning("checkpoint %s cannot be read (%s); trying the one before it", step, _first_line(error))
    raise CheckpointError(f"no readable checkpoint in {folder}; is it the checkpoints folder of a run?")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
