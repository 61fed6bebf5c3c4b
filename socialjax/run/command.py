"""The command line of an experiment: dataclasses through tyro, presets, sweeps, exit codes."""

import contextlib
import dataclasses
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import tyro

from socialjax import memory, stop
from socialjax.formats.file_bytes import DataError
from socialjax.names import visible, visible_lines
from socialjax.run import compiled
from socialjax.run.settings import Definition, Experiment
from socialjax.stop import Interrupted
from socialjax.train.checkpoint import CheckpointError
from socialjax.train.loop import Diverged

log = logging.getLogger(__name__)
# Reported in one line; anything else is a bug.
EXPECTED = (DataError, CheckpointError, Diverged, ValueError, OSError, NotImplementedError)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """What every command about a finished run takes: which, and where its data are now."""

    run: tyro.conf.Positional[Path]
    """Folder of a finished run, or of one of its seeds, or the .zip of one."""
    seed: int | None = None
    """Of the run; its lowest by default."""
    data_dir: Annotated[Path | None, tyro.conf.arg(name="data.dir")] = None
    """Where the data lies now, when that is not where it was."""
    features: Annotated[Path | None, tyro.conf.arg(name="data.features")] = None
    """Where the file of item features lies now, when that is not where it was."""

    def where(self) -> tuple[Path, int | None, Path | None, Path | None]:
        """The arguments of `socialjax.load`."""
        return self.run, self.seed, self.data_dir, self.features


class ShownFormatter(logging.Formatter):
    """Messages as a terminal may show them: names and errors that stand in them on one line, without escapes."""

    def format(self, record: logging.LogRecord) -> str:
        if isinstance(record.args, tuple):
            arguments = tuple(
                visible(arg) if isinstance(arg, BaseException | os.PathLike) else arg for arg in record.args
            )
            record = logging.makeLogRecord(record.__dict__ | {"args": arguments})
        return visible_lines(super().format(record))


def say(text: object = "", flush: bool = True) -> None:
    """Prints text that may hold names from untrusted files: line feeds stay, control characters are escaped."""
    print(visible_lines(text), flush=flush)


def set_up_logging() -> None:
    """Plain lines on standard error; messages of libraries from warnings up.

    absl is silent: Orbax logs every failed write with several tracebacks, and then raises it, for us to report.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ShownFormatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for noisy in ("absl", "jax", "jax._src", "matplotlib", "orbax", "tensorstore"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL if noisy == "absl" else logging.WARNING)


@contextlib.contextmanager
def shown_in_python() -> Iterator[None]:
    """Shows our log lines on standard error for a while, as commands do, where the caller has no logging of her own."""
    ours, absl = logging.getLogger("socialjax"), logging.getLogger("absl")
    if ours.isEnabledFor(logging.INFO):  # by default nobody shows lines below warnings
        yield
        return
    handler, before = logging.StreamHandler(sys.stderr), (ours.level, absl.level)
    handler.setFormatter(ShownFormatter("%(message)s"))
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    absl.setLevel(logging.CRITICAL)
    propagates, ours.propagate = ours.propagate, False
    try:
        yield
    finally:
        ours.removeHandler(handler)
        ours.propagate = propagates
        ours.setLevel(before[0])
        absl.setLevel(before[1])


def read_arguments(definition: Definition, arguments: Sequence[str]) -> Experiment:
    """Settings from the command line over those of the preset. tyro ends the program on a misspelt field."""
    chosen = value_of("--preset", arguments)
    if chosen is not None and chosen not in definition.presets:
        raise ValueError(f"--preset must be one of {_names(definition.presets)}, got '{chosen}'")
    default = definition.presets[chosen] if chosen else definition.default
    description = f"{definition.summary}\n\nPresets: {_names(definition.presets)}. Sweeps: {_names(definition.sweeps)}."
    experiment = tyro.cli(
        Experiment[type(default.model)],
        prog=definition.typed(),
        description=description,
        default=default,
        args=list(arguments),
    )
    if experiment.sweep is not None and experiment.sweep not in definition.sweeps:
        raise ValueError(f"--sweep must be one of {_names(definition.sweeps)}, got '{experiment.sweep}'")
    return experiment


def variants(definition: Definition, experiment: Experiment) -> list[tuple[str, Experiment]]:
    """(label, experiment) for each value of the sweep; one with an empty label without a sweep."""
    if experiment.sweep is None:
        return [("", experiment)]
    return [
        (
            ",".join(f"{field}={value}" for field, value in change.items()),
            dataclasses.replace(experiment, model=dataclasses.replace(experiment.model, **change)),
        )
        for change in definition.sweeps[experiment.sweep]
    ]


def exit_code(action: Callable[[], None], saves: bool = True) -> int:
    """Runs `action` and reports expected errors in one line.

    Args:
        action: the command.
        saves: whether it checks `stop` and saves its work when a signal arrives; else a signal ends it at once.

    Returns:
        0 when done, 1 after an error, 128 + n when stopped by signal n.
    """
    try:
        with stop.heeded(is_program=True) if saves else contextlib.nullcontext():
            memory.check_address_space()
            compiled.keep()
            action()
    except Interrupted as stopped:
        log.warning("%s", stopped)
        return 128 + stopped.signal
    except KeyboardInterrupt:
        log.warning("stopped by SIGINT; start the same command again")
        return 130
    except Exception as error:
        is_memory = memory.of_memory(error)
        if os.environ.get("SOCIALJAX_TRACEBACK") or not (is_memory or _is_expected(error)):
            raise
        return fail(memory.sentence(error) if is_memory else str(error) or type(error).__name__, code=1)
    return 0


def _is_expected(error: Exception) -> bool:
    """Whether one line says all: what a model is not, what is not installed, and `EXPECTED`.

    An ImportError with a sentence for the reader is one of ours; one of the import system names a module, and is a bug.
    """
    return isinstance(error, EXPECTED) or (isinstance(error, ImportError) and error.name is None)


def fail(message: str, code: int = 2) -> int:
    """Says what is wrong in one line on standard error; returns the exit code."""
    set_up_logging()
    log.error("error: %s", visible(" ".join(message.split())))
    return code


def value_of(flag: str, arguments: Sequence[str]) -> str | None:
    """The word after `flag`, or after `flag=`; None where it is not given."""
    for position, argument in enumerate(arguments):
        if argument == flag and position + 1 < len(arguments):
            return arguments[position + 1]
        if argument.startswith(f"{flag}="):
            return argument.split("=", 1)[1]
    return None


def _names(table) -> str:
    return ", ".join(table) or "none"
