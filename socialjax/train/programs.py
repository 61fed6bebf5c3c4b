"""What trainings of one shape share: a runner with its compiled programs, so that further seeds compile nothing.

The runner of the last training is kept. It fits the next one where the model, the fixed data and all settings that a
step depends on are the same.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import optax

from socialjax.ops.forest import sampled
from socialjax.train.parallel import make_runner
from socialjax.train.recipe import optimizer_of
from socialjax.train.rows import check_drawn
from socialjax.train.step import OPTIMIZERS, Resident, TrainSettings, TrainState, steps_per_epoch
from socialjax.train.together import SideBySide, Stacked

Run = Callable[[Sequence[TrainState], Sequence[int]], list[TrainState]]
# Settings of training that change no step.
NO_STEP = ("epochs", "evaluate_every", "patience", "plateau", "save_seconds", "together", "quiet", "writers")


@dataclasses.dataclass(frozen=True)
class Made:
    """A runner, and what it was made of.

    Attributes:
        key: what must be equal for it to fit.
        held: what must be the same objects.
        optimizer: of the settings.
        drawn: the fixed data that steps get, with neighbourhoods to be sampled where the settings say so.
        runner: of `train.parallel`.
        stack: makes what trains several seeds in one program.
    """

    key: tuple
    held: tuple
    optimizer: optax.GradientTransformation
    drawn: Any
    runner: Any
    stack: Callable[[], Stacked]

    @functools.cached_property
    def _stacked(self) -> Stacked:
        return self.stack()

    @functools.cached_property
    def _threads(self) -> SideBySide:
        return SideBySide(self.runner)

    def one(self, states: Sequence[TrainState], untils: Sequence[int]) -> list[TrainState]:
        """One after the other, each trained up to its step."""
        return [self.runner.run(state, until) for state, until in zip(states, untils)]

    def side_by_side(self, states: Sequence[TrainState], untils: Sequence[int]) -> list[TrainState]:
        """As many at a time as there are cores."""
        return self._threads.run(states, untils)

    def stacked(self, states: Sequence[TrainState], untils: Sequence[int]) -> list[TrainState]:
        """In one program; all take as many steps as the first."""
        return self._stacked.run(states, untils[0] - int(states[0].step))


class Programs:
    """Keeps the last runner."""

    def __init__(self):
        self._last: Made | None = None

    def of(self, model, side, pairs: Resident, settings: TrainSettings, devices: Sequence) -> Made:
        """The runner for this training, made anew where the last one does not fit.

        Raises ValueError for settings that do not go together, with the model or with the devices.
        """
        fields = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
        kept = tuple(value for name, value in fields.items() if name not in NO_STEP)
        registered = OPTIMIZERS[settings.optimizer] if settings.optimizer in OPTIMIZERS else None
        epochs = settings.epochs if settings.schedule != "constant" else None
        key, held = (model, kept, epochs, tuple(devices)), (side, pairs, registered)
        last = self._last
        if last is not None and last.key == key and all(a is b for a, b in zip(last.held, held)):
            return last
        self._last = last = None  # let go before another one takes room
        self._last = _made(key, held, model, side, pairs, settings, devices)
        return self._last


def _made(key, held, model, side, pairs: Resident, settings: TrainSettings, devices: Sequence) -> Made:
    steps = settings.epochs * steps_per_epoch(pairs.users.shape[0], settings.batch_size)
    optimizer = optimizer_of(settings, steps, share=settings.batch_size // len(devices))
    drawn = side
    if settings.fanouts:
        drawn = sampled(side, settings.fanouts)
        check_drawn(model, drawn, optimizer)
    mesh = {"table_shards": settings.table_shards} if settings.backend == "jit" else {}
    runner = make_runner(settings.backend, model, optimizer, drawn, pairs, settings.batch_size, devices=devices, **mesh)

    def stack() -> Stacked:
        return Stacked(model, optimizer, runner.side, runner.resident, settings.batch_size)

    return Made(key, held, optimizer, drawn, runner, stack)
