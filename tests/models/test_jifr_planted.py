"""JIFR finds the frames that users like in its own worlds, by attention where the best frame decides and only there."""

import numpy as np
import pytest

from socialjax.eval import keyframes
from socialjax.worlds.bars import frames
from socialjax.worlds.frames import frames_world


@pytest.mark.slow
def test_attention_finds_key_frames_where_the_best_frame_decides_and_not_where_all_do():
    missed = [bar for bar in frames.bars([0, 1, 2]) if not bar.met]
    assert missed == []


def test_the_controls_know_nothing_and_the_planted_preference_everything():
    """So the bars stand on a measure that can tell: chance 0.43 in MAX and 0.64 in MEAN, the truth 1."""
    for pooling, expected in (("max", 0.43), ("mean", 0.64)):
        world = frames_world(0, pooling)
        of = keyframes.records(world.data)
        truth = world.preference()[np.repeat(of.users, of.lengths()), of.frames]
        assert frames.of_frames(truth, world)["NDCG@3"] == pytest.approx(1.0)
        assert frames.random_frames(world) == pytest.approx(expected, abs=0.02)
    assert frames.popular_style(frames_world(0)) == pytest.approx(0.43, abs=0.05)
