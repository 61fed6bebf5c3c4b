"""Drawn garments show their classes inside their boxes and nowhere else; the world of users holds what it says."""

import numpy as np
import pytest

from socialjax.data import validate
from socialjax.worlds.garments import CLASSES, GROUP_OF, NAMES, PRESENT, draw_garments, garment_world, garments

TOP, SHOE = [0, 1, 1, -1, -1], [-1, -1, -1, 1, 1]


@pytest.mark.parametrize("attribute", range(5))
def test_classes_differ_inside_the_boxes_of_their_attribute_and_nowhere_else(attribute):
    """The same chance, another class: what changes is in the box, up to the pixel that its edge cuts."""
    size = 48
    for seed in range(6):
        seen = []
        for chosen in range(3):
            labels = np.array([TOP if attribute < 3 else SHOE], np.int16)
            labels[0, attribute] = chosen
            pixels, boxes = draw_garments(labels, size, np.random.default_rng(seed))
            seen.append(pixels[0].astype(int))
        inside = np.zeros((size, size), bool)
        for x0, y0, x1, y1 in size * boxes[0, attribute][~np.isnan(boxes[0, attribute, :, 0])]:
            inside[int(y0) : int(np.ceil(y1)) + 1, int(x0) : int(np.ceil(x1)) + 1] = True
        for one, other in ((0, 1), (1, 2), (0, 2)):
            differs = (seen[one] != seen[other]).any(axis=-1)
            assert differs.sum() > 12 and not (differs & ~inside).any()


def test_boxes_have_the_sizes_that_make_small_parts_learnable():
    """In pixels of a picture of 64: the neckline at least 20 wide however small the garment is drawn."""
    pictures = garments(3, 200)
    size = 64 * (pictures.boxes[..., 2:] - pictures.boxes[..., :2])
    assert np.nanmin(size[:, 0, 0, 0]) >= 20 and np.nanmin(size[:, 0, 0, 1]) >= 12
    widest = {name: np.nanmax(size[:, k, 0], axis=0) for k, name in enumerate(NAMES)}
    assert (
        (widest["heel"] <= [16, 23]).all() and (widest["toe"] <= [23, 15]).all() and (widest["hem"] <= [31, 29]).all()
    )
    two = ~np.isnan(pictures.boxes[..., 0])
    assert (two.sum(axis=(0, 2)) == 100 * np.array([1, 2, 1, 1, 1])).all()  # both sleeves, on 100 tops
    assert np.nanmin(pictures.boxes) >= 0 and np.nanmax(pictures.boxes) <= 1


def test_labels_are_those_of_the_group_uniform_and_independent():
    pictures = garments(0, 3000, size=16)
    tops = pictures.groups == "top"
    assert tops.sum() == 1500 and pictures.pixels.shape == (3000, 16, 16, 3) and pictures.pixels.dtype == np.uint8
    assert (pictures.labels[tops][:, 3:] == -1).all() and (pictures.labels[~tops][:, :3] == -1).all()
    assert pictures.labels.dtype == np.int16 and pictures.names == NAMES and pictures.classes == CLASSES
    for rows, one, other in ((tops, 0, 1), (tops, 1, 2), (~tops, 3, 4)):
        table = np.zeros((3, 3))
        np.add.at(table, (pictures.labels[rows, one], pictures.labels[rows, other]), 1)
        assert table.min() > 1500 / 9 - 50 and table.max() < 1500 / 9 + 50  # four deviations
    assert [len(pictures.rows(part)) for part in ("train", "validation", "test")] == [2160, 240, 600]
    assert len(set(pictures.ids.tolist())) == 3000 and PRESENT.shape == (5, 3)


def test_colour_and_place_say_nothing_of_the_labels():
    """Background, and where the garment is, are the same whatever the labels, given the same chance."""
    labels = np.array([TOP, TOP], np.int16)
    other = np.array([[2, 0, 2, -1, -1], SHOE], np.int16)
    pixels, boxes = draw_garments(labels, 32, np.random.default_rng(5))
    changed, moved = draw_garments(other, 32, np.random.default_rng(5))
    np.testing.assert_array_equal(boxes[0], moved[0])
    np.testing.assert_array_equal(pixels[:, 0, 0], changed[:, 0, 0])


def test_pictures_that_cannot_be_drawn_are_refused():
    rng = np.random.default_rng(0)
    for wrong in ([0, 1, -1, -1, -1], [0, 1, 3, -1, -1], [0, 1, 1, 0, 0], [-1] * 5):
        with pytest.raises(ValueError, match="attributes of one group"):
            draw_garments(np.array([TOP, wrong], np.int16), 32, rng)
    with pytest.raises(ValueError, match="at least 16 pixels"):
        draw_garments(np.array([TOP], np.int16), 8, rng)
    with pytest.raises(ValueError, match="at least 10 pictures"):
        garments(count=3)


WORLD = {"users": 60, "items": 200, "purchases": 18, "size": 16}


def test_the_world_passes_the_checks_and_cold_items_are_in_no_part_but_theirs():
    world = garment_world(1, **WORLD)
    found = validate.check(world.data).counts
    assert (found["users"], found["items"]) == (60, 200) and world.cold.sum() == 40
    everything = [*world.data.parts().values(), world.cold_test]
    assert sum(len(part) for part in everything) == 60 * 18
    keys = np.concatenate([part.user.astype(int) * 200 + part.item for part in everything])
    assert len(set(keys.tolist())) == 60 * 18  # nobody takes an item twice
    assert not any(world.cold[part.item].any() for part in everything[:3]) and world.cold[world.cold_test.item].all()
    assert (np.bincount(world.data.test.user) == 2).all() and (np.bincount(world.data.validation.user) == 1).all()
    assert (world.data.item_pictures == world.pictures.ids).all() and len(world.pictures) == 200
    assert world.data.item_groups.tolist() == world.pictures.groups.tolist()


def test_utility_is_liking_of_one_class_of_one_attribute_of_each_group():
    world = garment_world(2, **WORLD)
    liking = np.zeros((60, 200))
    for user in range(60):
        for item in range(200):
            attribute = world.salient[user, world.group[item]]
            assert GROUP_OF[attribute] == world.group[item] and world.planted(user, item) == attribute
            liking[user, item] = 3 * (world.pictures.labels[item, attribute] == world.liked[user, world.group[item]])
    rest = world.utility - liking
    np.testing.assert_allclose(rest, np.tile(rest[:1], (60, 1)), atol=1e-5)  # the item's popularity
    assert 0.2 < rest[0].std() < 0.4


def test_purchases_follow_utility():
    """A third of the items has e^3 times the chance of the others."""
    world = garment_world(3, users=200, items=400, size=16)
    pairs = world.data.train
    share = (world.utility[pairs.user, pairs.item] > 1.5).mean()
    # e^3 / (e^3 + 2) = 0.91, a little less as the best are used up.
    assert 0.85 < share < 0.93


def test_label_vectors_say_the_class_in_own_or_in_shared_directions():
    world = garment_world(4, **WORLD)
    own, shared = world.label_attributes("own"), world.label_attributes("shared")
    assert own.features.shape == (200, 5, 15) and shared.features.shape == (200, 5, 3)
    for item in range(0, 200, 17):
        for k in range(5):
            label = world.pictures.labels[item, k]
            hot = np.zeros(15)
            hot[3 * k + label if label >= 0 else []] = 1
            np.testing.assert_array_equal(own.features[item, k], hot)
            np.testing.assert_array_equal(shared.features[item, k], np.arange(3) == label)
    np.testing.assert_array_equal(own.valid, world.pictures.labels >= 0)
    assert np.isfinite(own.boxes).all() and (own.boxes[~own.valid] == [0, 0, 1, 1]).all()
    with pytest.raises(ValueError, match="own or shared"):
        world.label_attributes("other")


def test_seeds_differ_and_repeat():
    one, again, other = (garment_world(seed, **WORLD) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.data.train.item, again.data.train.item)
    np.testing.assert_array_equal(one.pictures.pixels, again.pictures.pixels)
    assert not np.array_equal(one.pictures.labels, other.pictures.labels)


def test_impossible_worlds_are_refused():
    with pytest.raises(ValueError, match="half as many purchases"):
        garment_world(items=20, purchases=18)
