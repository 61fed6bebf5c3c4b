"""SEN tells the attributes of drawn garments, looks where they are, and says enough of them to recommend by."""

import dataclasses

import numpy as np
import pytest

from socialjax.vision.catalogue_attributes import SMALL_TRAINING
from socialjax.worlds.bars import garments
from socialjax.worlds.garments import NAMES

QUICK = dataclasses.replace(SMALL_TRAINING, epochs=1, region_epochs=1, quiet=True)


@pytest.mark.slow
def test_attributes_are_told_and_pointed_at_and_items_ranked_by_them():
    assert [(bar.what, bar.figure) for bar in garments.network_bars([0, 1, 2]) if not bar.met] == []


def judged(accuracy=0.96, pointing=0.95, chance=0.2):
    figures = {"pointing": pointing, "chance": chance}
    return {
        "accuracy": {name: {"accuracy": accuracy} for name in NAMES},
        "regions": {name: {"pooled": figures, "classes": {"a": figures}} for name in NAMES},
    }


def test_bars_are_on_means_over_networks_and_sleeves_have_one_of_their_own():
    found = garments.seeing_bars([judged(), judged(0.94)])
    assert len(found) == 10 and all(bar.met for bar in found)
    assert [bar.bar for bar in found[5:]] == pytest.approx([0.4, 0.9, 0.4, 0.4, 0.4])
    below = garments.seeing_bars([judged(0.93), judged()])
    assert [bar.met for bar in below[:5]] == [False] * 5
    lost = garments.seeing_bars([judged(pointing=0.45)])
    assert [bar.what.split()[3] for bar in lost if not bar.met] == ["sleeve"]


@pytest.mark.slow
def test_the_network_is_judged_on_pictures_of_its_own_and_asked_about_the_items_of_the_world():
    of, said = garments.trained_network(3, pictures=40, training=QUICK, items=40)
    assert set(of["accuracy"]) == set(NAMES) and of["accuracy"]["toe"]["labelled"] == 4
    assert of["regions"]["sleeve"]["absent"] == ["none"]
    assert said.features.shape[:2] == (40, 5) and said.valid.any(axis=1).all()
    top = said.valid[:, NAMES.index("sleeve")]
    np.testing.assert_array_equal(said.valid[:, NAMES.index("heel")], ~top)
