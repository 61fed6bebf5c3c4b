"""SAERS finds what users look at in drawn garments, and ranks those that nobody took yet."""

import numpy as np
import pytest

from socialjax.models.visual.saers import SAERS
from socialjax.worlds.bars import garments
from socialjax.worlds.garments import garment_world

MODEL = SAERS(dim=15, attention="user", space="semantic", item_bias=False)
OTHERS = np.roll(np.arange(80), 1)


@pytest.mark.slow
def test_attention_finds_the_planted_attribute_and_cold_items_are_ranked():
    missed = [bar for bar in garments.bars([0, 1, 2]) if not bar.met]
    assert missed == []


@pytest.fixture(scope="module")
def world():
    return garment_world(0, users=80, items=160, purchases=20, size=32)


def of_params(world, order=None):
    """(side, state) of a taste of 1 for the liked class of the salient attribute of each group, and of attention on
    these attributes alone; of other users where `order` says whose."""
    order = np.arange(80) if order is None else order
    taste = np.zeros((80, 15), np.float32)
    for group in range(2):
        taste[np.arange(80), 3 * world.salient[order, group] + world.liked[order, group]] = 1
    side = MODEL.prepare(garments.seen(world))
    params = {
        "attribute_users": taste,
        "attribute_projection": np.eye(15, dtype=np.float32),
        "attention": {"attributes": np.float32(50 * np.repeat(np.eye(5), 3, axis=1))},
    }
    return side, MODEL.encode(params, side)


def test_the_planted_attention_passes_and_one_of_other_users_does_not(world):
    """So the bars stand on measures that can tell. Where an item has not the liked class, nothing costs anything."""
    right = garments.attention_figures(MODEL, *of_params(world), world)
    assert right.first == 1 and right.outside == 0 and right.deletion > 0.85
    wrong = garments.attention_figures(MODEL, *of_params(world, OTHERS), world)
    assert wrong.first == pytest.approx(wrong.chance, abs=0.12) and wrong.deletion < 0.75


def test_the_planted_taste_ranks_warm_and_cold_items_and_that_of_others_none(world):
    """Popularity apart it is all there is to know; about two thirds of an attribute's items tie."""
    _, state = of_params(world)
    assert min(garments.auc(MODEL, state, world)) > 0.75
    _, state = of_params(world, OTHERS)
    assert max(garments.auc(MODEL, state, world)) < 0.65


def test_components_of_pixels_keep_what_differs_most(world):
    pixels = world.pictures.pixels[:40]
    found = garments.pixel_components(pixels)
    assert found.shape == (40, 32) and found.dtype == np.float32
    variance = found.var(axis=0)
    assert (np.diff(variance) <= 1e-6).all()
    cells = [(2 * y, 2 * x) for y in range(16) for x in range(16)]
    small = np.array([[p[y : y + 2, x : x + 2].mean(axis=(0, 1)) for y, x in cells] for p in pixels]) / 255
    centred = small.reshape(40, -1) - small.reshape(40, -1).mean(axis=0)
    assert variance.sum() == pytest.approx(np.sort(np.linalg.eigvalsh(centred @ centred.T / 40))[-32:].sum(), rel=1e-4)
