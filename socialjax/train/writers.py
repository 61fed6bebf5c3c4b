"""Where the numbers of a training go besides metrics.jsonl: TensorBoard, Weights & Biases, MLflow, or one of yours.

A writer is made of a `Place` and has two functions, `write` and `close`. Yours is registered by
`socialjax.WRITERS["mine"] = MyWriter`, or by an entry point of the group `socialjax.writers`, and named in
`--train.writers mine`.
"""

import hashlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from socialjax.atomic_write import atomic_write
from socialjax.registry import Registry


@dataclass(frozen=True)
class Place:
    """Which training a writer writes of.

    Attributes:
        folder: of the seed.
        step: where training goes on; what an earlier start wrote beyond it is void.
        settings: of the run, flat, such as {"model.dim": 64}; empty where there is no run.
    """

    folder: Path
    step: int
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Such as `diffnet/yelp seed_0`."""
        *_, over, run, seed = ("", "", *self.folder.absolute().parts)
        return f"{over}/{run} {seed}"

    @property
    def id(self) -> str:
        """The same for every start of this training on this machine, 16 hexadecimal digits."""
        return hashlib.sha256(str(self.folder.absolute()).encode()).hexdigest()[:16]


class Writer(Protocol):
    """What gets the numbers of a training."""

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """The loss and the validation metrics after `step` steps."""

    def close(self) -> None:
        """Training has ended, or was stopped."""


class TensorBoard:
    """Scalars under `tensorboard/` in the folder of the seed."""

    def __init__(self, place: Place):
        from tensorboardX import SummaryWriter

        purge_step = place.step + 1 if place.step else None
        self._writer = SummaryWriter(str(place.folder / "tensorboard"), purge_step=purge_step)

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name.replace("@", "_"), value, step)  # it renames them so, with a line for each

    def close(self) -> None:
        self._writer.close()


class WandB:
    """A run of Weights & Biases, project `socialjax` unless WANDB_PROJECT says otherwise; WANDB_MODE=offline keeps it
    here. A training that goes on is the same run there."""

    def __init__(self, place: Place):
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "socialjax"),
            name=place.name,
            id=place.id,
            resume="allow",
            dir=str(place.folder),
            config=dict(place.settings),
            reinit="create_new",
        )
        self._run.define_metric("*", step_metric="training_step")

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        self._run.log({"training_step": step, **numbers})

    def close(self) -> None:
        self._run.finish()


class MLflow:
    """A run of MLflow, experiment `socialjax` unless MLFLOW_EXPERIMENT_NAME says otherwise.

    It is where MLFLOW_TRACKING_URI says, else in `mlflow.db` of the current folder. A training that goes on is the same
    run there.
    """

    def __init__(self, place: Place):
        from mlflow import MlflowClient

        self._client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db"))
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "socialjax")
        experiment = self._client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else self._client.create_experiment(name)
        note = place.folder / "mlflow_run"
        self._id = note.read_text().strip() if note.is_file() else ""
        if not self._id or not self._is_there():
            self._id = self._client.create_run(number, run_name=place.name).info.run_id
            with atomic_write(note) as temporary:
                temporary.write_text(self._id + "\n")
            for setting, value in place.settings.items():
                self._client.log_param(self._id, setting, value)

    def _is_there(self) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_run(self._id).info.lifecycle_stage == "active"
        except MlflowException:
            return False

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self._client.log_metric(self._id, name.replace("@", "_at_"), value, step=step)

    def close(self) -> None:
        self._client.set_terminated(self._id)


WRITERS: Registry[Callable[[Place], Writer]] = Registry(
    "writer", "socialjax.writers", {"tensorboard": TensorBoard, "wandb": WandB, "mlflow": MLflow}
)
EXTRAS = {"tensorboard": "tensorboardX", "wandb": "wandb", "mlflow": "mlflow"}  # what the library's own need


def check(names: tuple[str, ...]) -> None:
    """Raises ValueError for a writer that nobody registered, and for one whose package is not installed."""
    for name in names:
        if name not in WRITERS:
            raise ValueError(f"--train.writers: {WRITERS.unknown(name)}")
        if WRITERS.is_own(name) and importlib.util.find_spec(EXTRAS[name]) is None:
            raise ValueError(
                f"--train.writers {name} needs the package {EXTRAS[name]}, which is not installed: "
                f"pip install 'socialjax[{name}]'"
            )


def opened(names: tuple[str, ...], place: Place) -> dict[str, Writer]:
    """The writers of these names, and TensorBoard where it is installed.

    Raises ValueError for one that cannot begin.
    """
    usual = ("tensorboard",) if importlib.util.find_spec(EXTRAS["tensorboard"]) else ()
    writers: dict[str, Writer] = {}
    for name in dict.fromkeys((*usual, *names)):
        try:
            writers[name] = WRITERS[name](place)
        except Exception as error:
            for writer in writers.values():
                writer.close()
            raise ValueError(
                f"the writer {name} cannot begin ({type(error).__name__}: {error}); mend that, or leave it out of "
                "--train.writers"
            ) from error
    return writers
