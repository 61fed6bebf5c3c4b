"""A tiny world, and programs compiled with all optimisations."""

import pytest

from socialjax.data import planted
from socialjax.data.batches import resident


@pytest.fixture(scope="module", autouse=True)
def bits_as_for_users(compiled_as_for_users):
    """What is promised here is bits: that they survive a stop, other devices, another way to spread the work."""


@pytest.fixture(scope="session")
def world():
    """48 users, 32 items, links."""
    return planted.checkerboard(num_users=48, num_items=32, links=3)


@pytest.fixture(scope="session")
def pairs(world):
    return resident(world)
