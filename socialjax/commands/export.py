"""Writes a finished run for other programs and machines, as the ending of the file says.

    python -m socialjax export runs/diffnet_yelp/yelp model.stablehlo     a program that JAX alone runs
    python -m socialjax export runs/diffnet_yelp/yelp model.onnx          one for ONNX Runtime
    python -m socialjax export runs/diffnet_yelp/yelp items.faiss         an index of item vectors
    python -m socialjax export runs/diffnet_yelp/yelp vectors             a folder of vectors in Parquet
    python -m socialjax export runs/diffnet_yelp/yelp run.zip             the whole run with its data in one file

CPU, a few seconds. docs/export.md says how other programs read each of them.
"""

import dataclasses
import time
from pathlib import Path
from typing import Literal

import tyro

from socialjax import load
from socialjax.explain.text import stand_in
from socialjax.run.command import FinishedRun, exit_code, say, set_up_logging


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments(FinishedRun):
    """Writes a finished run for other programs and machines."""

    file: tyro.conf.Positional[Path]
    """What is written: .stablehlo, .onnx, .faiss, .zip, or without an ending a folder of vectors in Parquet."""
    k: int | None = None
    """Items in an answer of a program, 100 by default; a caller takes as many of the first as it wants."""
    include_seen: bool = False
    """Let programs answer with training items too."""
    platforms: tuple[Literal["cpu", "cuda", "rocm", "tpu"], ...] = ("cpu", "cuda", "tpu")
    """Where a .stablehlo will run."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line -> exit status."""
    set_up_logging()
    chosen = tyro.cli(Arguments, prog="python -m socialjax export", args=arguments)
    return exit_code(lambda: export(chosen), saves=False)


def export(arguments: Arguments) -> None:
    """Writes the file and says what it is."""
    run = load(*arguments.where())
    began = time.monotonic()
    path = run.export(arguments.file, arguments.k, not arguments.include_seen, arguments.platforms)
    seconds = time.monotonic() - began
    files = sorted(path.iterdir()) if path.is_dir() else [path, *path.parent.glob(f"{path.name}.ids.json")]
    lines = [f"{file}: {file.stat().st_size / 1e6:,.1f} MB" for file in files]
    sizes = f"{run.data.num_users:,} users and {run.data.num_items:,} items"
    about = f"{type(run.model).__name__} of seed {run.seed} on {run.data.name}, {sizes}: written in {seconds:.1f} s"
    warning = stand_in({"data": run.data.provenance.kind, "data_set": run.data.name})
    say("\n".join([*lines, about, *([warning] if warning else [])]))
