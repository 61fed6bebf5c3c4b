"""Several processes as one: what launch/multiprocess.sh and the cluster scripts put into the environment."""

import os

import jax


def join_processes() -> None:
    """Joins the other processes when SOCIALJAX_COORDINATOR (host:port) is set, with SOCIALJAX_NUM_PROCESSES and
    SOCIALJAX_PROCESS_ID; `auto` lets JAX find them (SLURM, Cloud TPU). Raises ValueError when one of them is missing.
    """
    coordinator = os.environ.get("SOCIALJAX_COORDINATOR")
    if not coordinator or jax.distributed.is_initialized():
        return
    if coordinator == "auto":
        jax.distributed.initialize()
        return
    try:
        count, number = (int(os.environ[name]) for name in ("SOCIALJAX_NUM_PROCESSES", "SOCIALJAX_PROCESS_ID"))
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"SOCIALJAX_COORDINATOR is set, so SOCIALJAX_NUM_PROCESSES and SOCIALJAX_PROCESS_ID must be numbers: {error}"
        ) from None
    jax.distributed.initialize(coordinator, num_processes=count, process_id=number)


def is_first() -> bool:
    """Whether this process writes the files and talks."""
    return jax.process_index() == 0
