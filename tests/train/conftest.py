"""A tiny world, and programs compiled with all optimisations."""

import jax
import pytest

from socialjax.data import planted
from socialjax.data.batches import resident


@pytest.fixture(scope="module", autouse=True)
def compiled_as_for_users():
    """What is promised here is bits: that they survive a stop, other devices, another way to spread the work."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="session")
def world():
    """48 users, 32 items, links."""
    return planted.checkerboard(num_users=48, num_items=32, links=3)


@pytest.fixture(scope="session")
def pairs(world):
    return resident(world)
