import dataclasses

import numpy as np
import pytest

from socialjax.data import validate
from socialjax.data.schema import (
    Attributes,
    Dataset,
    FrameLikes,
    Frames,
    Links,
    Provenance,
    counts,
    interactions,
    no_interactions,
)
from socialjax.formats.file_bytes import DataError


def links(*pairs):
    follower, followee = np.array(pairs, np.int32).reshape(-1, 2).T
    return Links(follower, followee)


def frames(offsets=(0, 2, 2, 3, 5), features=None, names=None):
    """Two frames of item 0, none of item 1, one of item 2, two of item 3."""
    return Frames(np.array(offsets), np.ones((5, 2), np.float16) if features is None else features, names)


def likes(*rows):
    """(user, item, frame), one a row."""
    return FrameLikes(*np.array(rows, np.int32).reshape(-1, 3).T)


def broken(row: int, value: float, dtype=np.float16):
    """Features in which one row holds a number that is none."""
    features = np.ones((5, 2), dtype)
    features[row, 1] = value
    return frames(features=features)


def attributes(**changes) -> Attributes:
    """Two attributes of four items; item 1 has none, item 3 the first alone."""
    valid = np.array([[1, 1], [0, 0], [1, 1], [1, 0]], bool)
    boxes = np.where(valid[..., None], np.float32([0, 0.25, 1, 0.5]), np.nan).astype(np.float32)
    probability = np.where(valid, 0.5, np.nan).astype(np.float32)
    cells = valid, np.where(valid, 1, -1).astype(np.int16), probability, boxes, ~valid
    whole = Attributes(("heel", "toe"), (("flat", "high"),) * 2, np.ones((4, 2, 3), np.float32), *cells)
    return dataclasses.replace(whole, **changes)


def put(name: str, place, value):
    """The attributes with one number of a table replaced."""
    table = getattr(attributes(), name)
    table[place] = value
    return attributes(**{name: table})


def data_set(**changes) -> Dataset:
    whole = Dataset(
        name="toy",
        num_users=3,
        num_items=4,
        train=interactions([0, 0, 1, 2], [0, 1, 1, 2], value=[1, 2, 3, 4]),
        validation=interactions([0], [2]),
        test=interactions([1], [3]),
        links=links((0, 1), (1, 0), (2, 1)),
        provenance=Provenance("planted", "a test"),
    )
    return dataclasses.replace(whole, **changes)


def test_a_sound_data_set_passes_with_counts_and_notes():
    report = validate.check(data_set(), counts(data_set()))
    assert report.counts == {"users": 3, "items": 4, "train": 4, "validation": 1, "test": 1, "links": 3}
    assert report.repairs == ()
    assert report.notes == ("1 test pairs on items without training pairs",)


def test_items_without_an_owner_are_noted():
    data = data_set(owners=np.array([0, -1, 2, -1], np.int32), social_features=np.zeros((3, 2), np.float32))
    assert "2 items without an owner" in validate.check(data).notes


FAULTS = {
    "train users must be in 0..2, got 0..3": {"train": interactions([0, 3], [0, 1])},
    "test items must be in 0..3, got -1..-1": {"test": interactions([0], [-1])},
    "followees must be in 0..2": {"links": links((0, 3))},
    "wanted training pairs, got none": {"train": no_interactions()},
    "wanted no pairs that stand twice in train, got 2": {"train": interactions([0, 0, 0, 1], [1, 1, 1, 1])},
    "wanted no pairs of test that are in train too, got 2": {"test": interactions([0, 1, 2], [0, 1, 0])},
    "wanted no pairs of validation that are in train too, got 1": {"validation": interactions([2], [2])},
    "wanted no pairs of test that are in validation too, got 1": {"test": interactions([0], [2])},
    "wanted no links of users to themselves, got 1": {"links": links((0, 1), (2, 2))},
    "wanted no links that stand twice, got 1": {"links": links((0, 1), (1, 0), (0, 1))},
    "user_features must have 3 rows, got shape (4, 2)": {"user_features": np.zeros((4, 2), np.float32)},
    "in 2 of 4 rows (1, 3)": {"item_features": np.array([[0], [np.nan], [0], [np.inf]], np.float32)},
    "item_names must have 4 entries": {"item_names": np.array(["a"])},
    "owners (-1 for nobody) must be in -1..2, got 0..3": {"owners": np.array([0, 1, 3, 2], np.int32)},
    "owners (-1 for nobody) must be in -1..2, got -2..1": {"owners": np.array([0, 1, -2, 1], np.int32)},
    "owners must have 4 entries, got (3,)": {"owners": np.array([0, 1, 2], np.int32)},
    "social_features must have 3 rows, got shape (4, 2)": {"social_features": np.zeros((4, 2), np.float32)},
    "social_features: wanted finite float32 numbers, got NaN or infinity in 1 of 3 rows (1)": {
        "social_features": np.array([[0], [np.nan], [0]], np.float32)
    },
    "offsets of frames must be 5 numbers that rise from 0 to 5, one more": {"frames": frames((0, 2, 1, 3, 5))},
    "got shape (5,) from 0 to 4": {"frames": frames((0, 1, 2, 3, 4))},
    "got shape (4,) from 0 to 5": {"frames": frames((0, 1, 2, 5))},
    "features f16 or f32 [frames, numbers], got float64 (5, 2)": {"frames": frames(features=np.ones((5, 2)))},
    "names of frames must have 5 entries, got (1,)": {"frames": frames(names=np.array(["a"]))},
    "in 1 of 5 rows, first in row 2, a frame of item 2": {"frames": broken(2, np.nan)},
    "in 1 of 5 rows, first in row 4, a frame of item 3": {"frames": broken(4, -np.inf, np.float32)},
    "wanted frames for 1 likes of frames, got none": {"frame_likes": likes((0, 0, 0))},
    "users of likes of frames must be in 0..2, got 3..3": {"frames": frames(), "frame_likes": likes((3, 0, 0))},
    "items of likes of frames must be in 0..3, got -1..-1": {"frames": frames(), "frame_likes": likes((0, -1, 0))},
    "frames of likes of frames must be in 0..4, got 0..5": {
        "frames": frames(),
        "frame_likes": likes((0, 0, 0), (0, 3, 5)),
    },
    "first in row 1: frame 1 is of item 0, not of item 2": {
        "frames": frames(),
        "frame_likes": likes((0, 0, 1), (1, 2, 1)),
    },
    "attributes must have names, each another, got 'toe', 'toe'": {"attributes": attributes(names=("toe", "toe"))},
    "each of 2 attributes must have the names of its classes, got [2] classes": {
        "attributes": attributes(classes=(("flat", "high"),))
    },
    "features f32 [4 items, 2 attributes, numbers], got float32 (3, 2, 3)": {
        "attributes": attributes(features=np.ones((3, 2, 3), np.float32))
    },
    "got float64 (4, 2, 3); convert them": {"attributes": attributes(features=np.ones((4, 2, 3)))},
    "valid of attributes must be bool (4, 2), got int64 (4, 2)": {"attributes": attributes(valid=np.ones((4, 2), int))},
    "boxes of attributes must be floats (4, 2, 4), got float64 (4, 4)": {
        "attributes": attributes(boxes=np.ones((4, 4)))
    },
    "wanted features that are finite, got 1 others of 8, first item 1, toe": {
        "attributes": put("features", (1, 1, 2), np.nan)
    },
    "wanted labels in -1..(classes - 1), got 1 others of 8, first item 0, heel": {
        "attributes": put("label", (0, 0), 2)
    },
    "wanted probabilities in 0..1, got 1 others of 8, first item 3, heel": {
        "attributes": put("probability", (3, 0), np.nan)
    },
    "wanted boxes with 0 <= x0 < x1 <= 1 and the same for y, got 1 others of 8, first item 2, toe": {
        "attributes": put("boxes", (2, 1), [0.5, 0, 0.5, 1])
    },
    "item_groups must be 4 texts": {"item_groups": np.array(["top"] * 3)},
    "item_pictures must be 4 texts": {"item_pictures": np.zeros(4)},
}


def test_sound_frames_and_likes_pass_are_counted_and_items_without_frames_noted():
    data = data_set(frames=frames(names=np.array(list("abcde"))), frame_likes=likes((0, 0, 1), (2, 3, 4)))
    report = validate.check(data)
    assert (report.counts["frames"], report.counts["frame likes"]) == (5, 2)
    assert "1 items without a frame" in report.notes
    np.testing.assert_array_equal(data.frames.item, [0, 0, 2, 3, 3])


def test_sound_attributes_pass_are_counted_and_what_is_missing_is_noted():
    groups = np.array(["top", "", "top", "shoe"])
    report = validate.check(data_set(attributes=attributes(), item_groups=groups, item_pictures=groups))
    assert report.counts["attributes"] == 2 and "attributes" not in validate.check(data_set()).counts
    assert {"1 items without an attribute", "1 items whose product group is not known"} <= set(report.notes)
    nobodys = validate.check(data_set(attributes=put("valid", (slice(None), 1), False)))
    assert "attributes that no item has: toe" in nobodys.notes


def test_half_precision_at_its_largest_is_finite():
    assert validate.check(data_set(frames=broken(1, 65504.0)))


@pytest.mark.parametrize("message", FAULTS)
def test_each_fault_is_an_error_that_says_how_many(message):
    with pytest.raises(DataError, match="'toy'") as problem:
        validate.check(data_set(**FAULTS[message]))
    assert message in str(problem.value)


def test_other_counts_than_published_give_a_table_of_wanted_and_got():
    with pytest.raises(DataError, match=r"(?s)is not the published one.*train +5 +4  <- differs\n +links +3 +3$"):
        validate.check(data_set(), {"train": 5, "links": 3})


def test_repair_keeps_the_first_of_duplicates_drops_self_links_and_says_so():
    data = data_set(
        train=interactions([1, 0, 1, 0, 1], [1, 0, 1, 0, 1], value=[5, 1, 2, 3, 4]),
        links=links((1, 1), (0, 1), (2, 0), (0, 1), (0, 0)),
    )
    mended = validate.repair(data)
    assert mended.train.user.tolist() == [1, 0] and mended.train.value.tolist() == [5, 1]
    assert mended.links.follower.tolist() == [0, 2] and mended.links.followee.tolist() == [1, 0]
    assert mended.provenance.repairs == (
        "3 duplicate pairs in train dropped, the first of each kept",
        "2 self links dropped",
        "1 duplicate links dropped, the first of each kept",
    )
    validate.check(mended)


def test_pairs_in_two_parts_are_left_for_check_unless_the_loader_asks():
    leaky = data_set(validation=interactions([0, 1], [1, 3]))  # (0, 1) is in train, (1, 3) in test
    assert len(validate.repair(leaky).validation) == 2
    mended = validate.repair(leaky, overlap="keep earlier")
    assert (len(mended.train), len(mended.validation), len(mended.test)) == (4, 1, 0)
    assert len(mended.provenance.repairs) == 2
    validate.check(mended)


def test_repair_of_a_sound_data_set_changes_nothing():
    mended = validate.repair(data_set())
    assert mended.provenance.repairs == ()
    for before, after in zip(data_set().parts().values(), mended.parts().values()):
        np.testing.assert_array_equal(before.user, after.user)
        np.testing.assert_array_equal(before.item, after.item)
