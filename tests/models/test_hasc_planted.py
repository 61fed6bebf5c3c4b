"""HASC finds what was planted: every bar of its own world, three seeds."""

import pytest

from socialjax.worlds.bars import aspects


@pytest.mark.slow
def test_attention_finds_who_follows_uploads_friends_and_owners_and_why():
    missed = [bar for bar in aspects.bars([0, 1, 2]) if not bar.met]
    assert missed == []
