"""What a run writes while it trains: metrics.jsonl, a progress bar, and the writers that are asked for."""

import importlib.util
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tqdm.auto
from tqdm.contrib.logging import logging_redirect_tqdm

from socialjax.atomic_write import atomic_write
from socialjax.train.step import METRIC, TrainSettings
from socialjax.train.writers import Place, Writer, opened

log = logging.getLogger(__name__)
Callback = Callable[[dict[str, Any]], object]


class MetricsLog:
    """metrics.jsonl: one JSON object a line, one line per evaluation."""

    def __init__(self, path: Path):
        self.path = Path(path)

    def cut_back(self, step: int) -> list[dict]:
        """Drops lines beyond `step`, and a line that was cut off, so that the file is as the checkpoint left it.

        Returns the lines that stay.
        """
        kept = [line for line in self.read() if line["step"] <= step]
        with atomic_write(self.path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
        return kept

    def read(self) -> list[dict]:
        """All whole lines, in order."""
        lines = []
        if self.path.exists():
            for text in self.path.read_text().splitlines():
                try:
                    lines.append(json.loads(text))
                except json.JSONDecodeError:
                    break
        return lines

    def append(self, line: dict) -> None:
        """Raises OSError that names the file."""
        try:
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")
                file.flush()
                os.fsync(file.fileno())  # a checkpoint, which is synced, must not outlive the lines before it
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error


class Progress:
    """A bar on a terminal or in a notebook; elsewhere a line now and then."""

    def __init__(self, total: int, start: int, label: str, quiet: bool = False, every_seconds: float = 20.0):
        self._is_screen = is_screen()
        self._label, self._total, self._quiet, self._every = label, total, quiet, every_seconds
        self._last_line = time.monotonic() - every_seconds + 3.0
        self._redirect = logging_redirect_tqdm()
        self._redirect.__enter__()
        self._bar = bar(
            total=total,
            initial=start,
            desc=label,
            disable=quiet or not self._is_screen,
            dynamic_ncols=not in_notebook(),
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total} epochs [{elapsed}<{remaining}{postfix}]",
        )

    def update(self, epoch: float, **metrics: float) -> None:
        """epoch: how far we are; shown: names and numbers beside the bar."""
        numbers = {name: f"{value:.4f}" for name, value in metrics.items()}
        self._bar.set_postfix(numbers, refresh=False)
        self._bar.update(round(epoch, 2) - self._bar.n)
        if not (self._quiet or self._is_screen) and time.monotonic() - self._last_line >= self._every:
            self._last_line = time.monotonic()
            log.info(
                "%s epoch %g/%d  %s",
                *(self._label, round(epoch, 1), self._total, "  ".join(f"{k} {v}" for k, v in numbers.items())),
            )

    def close(self) -> None:
        self._bar.close()
        self._redirect.__exit__(None, None, None)


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook, whose cells show bars although they are no terminals."""
    get_shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)
    return type(get_shell()).__name__ == "ZMQInteractiveShell"


def bar(**options: Any) -> tqdm.tqdm:
    """A bar of tqdm, in notebooks with ipywidgets one of theirs."""
    has_widgets = in_notebook() and importlib.util.find_spec("ipywidgets") is not None
    return (tqdm.auto.tqdm if has_widgets else tqdm.tqdm)(**options)


def is_screen() -> bool:
    """Whether a bar can be shown: in a notebook, and where standard error is a terminal with room for one; some
    containers give one without rows or columns."""
    if in_notebook():
        return True
    try:
        return sys.stderr.isatty() and all(os.get_terminal_size(sys.stderr.fileno()))
    except OSError:
        return False


class TrainingLog:
    """metrics.jsonl, the progress bar and the writers of one training.

    Args:
        folder: of the seed.
        label: before the bar.
        settings: of the training.
        step: from which it goes on.
        per_epoch: steps of an epoch.
        writes: whether this process writes files and shows the bar.
        metric: of the validation part, shown by the bar.
        callbacks: each gets every line of metrics.jsonl, after it was written.
        described: settings of the run, for writers.
    """

    def __init__(
        self,
        folder: Path,
        label: str,
        settings: TrainSettings,
        step: int,
        per_epoch: int,
        writes: bool,
        metric: str = METRIC,
        callbacks: Sequence[Callback] = (),
        described: Mapping[str, Any] | None = None,
    ):
        self._per_epoch, self._metric, self._callbacks = per_epoch, metric, callbacks if writes else ()
        self._shown: dict[str, float] = {}
        self._metrics, self._writers = None, dict[str, Writer]()
        if writes:
            self._metrics = MetricsLog(folder / "metrics.jsonl")
            self._metrics.cut_back(step)
            self._writers = opened(settings.writers, Place(folder, step, described or {}))
        self._progress = Progress(settings.epochs, step // per_epoch, label, settings.quiet or not writes)

    def line(self, line: dict) -> None:
        """line: of metrics.jsonl."""
        validation = line.get("validation", {})
        self._shown = {self._metric: validation[self._metric]} if validation else {}
        if self._metrics is not None:
            self._metrics.append(line)
            own = {
                name: value for name, value in line.items() if name not in ("epoch", "step", "seconds", "validation")
            }
            self._each("write", line["step"], own | validation)
        for callback in self._callbacks:
            callback(line)

    def progress(self, step: int, loss: float) -> None:
        self._progress.update(step / self._per_epoch, loss=loss, **self._shown)

    def close(self) -> None:
        self._progress.close()
        self._each("close")

    def _each(self, act: str, *given: Any) -> None:
        """Calls that function of every writer; one that fails is left out, for training must not hang on it."""
        for name, writer in list(self._writers.items()):
            try:
                getattr(writer, act)(*given)
            except Exception as error:
                del self._writers[name]
                log.warning("the writer %s failed and gets nothing more: %s: %s", name, type(error).__name__, error)
