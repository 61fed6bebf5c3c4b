"""A tiny world."""

import pytest

from socialjax.train.step import resident
from socialjax.worlds import planted


@pytest.fixture(scope="session")
def world():
    """48 users, 32 items, links."""
    return planted.checkerboard(num_users=48, num_items=32, links=3)


@pytest.fixture(scope="session")
def pairs(world):
    return resident(world)
