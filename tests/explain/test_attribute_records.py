"""Records of attributes hold class, region and attention, most attention first, and profiles are means of it."""

import dataclasses
import json

import numpy as np
import pytest
from looks import Looker, looked_at, rows

from socialjax.contract import Explanation
from socialjax.explain.attributes import caption, in_pixels, profile, unpadded
from socialjax.explain.record import records
from socialjax.explain.text import report as as_text

WORLD, DATA, MODEL = looked_at()


def explained(users, items) -> list[dict]:
    return records(MODEL.explain(DATA, None, np.array(users, np.int32), np.array(items, np.int32)), DATA)


def test_a_record_lists_the_attributes_of_its_item_and_no_others_most_attention_first():
    for item in range(DATA.num_items):
        (record,) = explained([2], [item])
        listed = record["attributes"]
        names = {DATA.attributes.names[k] for k in np.flatnonzero(DATA.attributes.valid[item])}
        assert {each["name"] for each in listed} == names
        assert listed[0]["name"] == DATA.attributes.names[int(WORLD.planted(2, item))]
        assert [each["like"] for each in listed] == sorted((each["like"] for each in listed), reverse=True)
        assert sum(each["like"] for each in listed) == pytest.approx(1)
        for each in listed:
            k = DATA.attributes.names.index(each["name"])
            assert each["class_name"] == DATA.attributes.classes[k][WORLD.pictures.labels[item, k]]
            assert each["box"] == DATA.attributes.boxes[item, k].tolist() and not each["box_fallback"]
            assert each["class_probability"] == 1 and each["affinity"] == pytest.approx(each["like"] / 2 + 0.5)
            assert set(each) == {
                "name", "class_name", "class_probability", "box", "box_fallback", "like", "affinity",
            }  # fmt: skip
    json.dumps(record, allow_nan=False)


def test_elements_are_ranked_by_attention_even_where_another_adds_more():
    ids, weight, share = np.array([0, 1], np.int32), np.array([0.3, 0.7], np.float32), np.array([2.0, -0.1], np.float32)
    item = int(np.flatnonzero(WORLD.group == 0)[0])
    elements = rows(np.array([0, 2]), ids, weight, share, weight)
    parts = {"semantic": np.array([1.9], np.float32)}
    why = Explanation(np.array([0]), np.array([item]), np.array([1.9], np.float32), parts, {"attributes": elements})
    (group,) = records(why, DATA)[0]["elements"]
    assert (group["kind"], [e["id"] for e in group["ranked"]]) == ("attribute", ["sleeve", "neckline"])
    assert group["ranked"][0]["title"].startswith("sleeve: ")
    assert group["ranked"][0]["affinity"] == pytest.approx(0.7)
    report = as_text(records(why, DATA))
    assert "its attributes (+1.900): 2 attributes" in report and group["part"] == "semantic"
    assert (
        "attention 0.700  affinity 0.700  class 100%" in report and "attention: how much of the user's look" in report
    )
    other = dataclasses.replace(why, parts={"whole": parts["semantic"]})  # a model whose parts are called otherwise
    assert records(other, DATA)[0]["elements"][0]["part"] == "attributes"


def test_data_without_attributes_has_no_list_of_them():
    bare = dataclasses.replace(DATA, attributes=None)
    why = Explanation(np.array([0]), np.array([0]), np.array([0.0], np.float32), {}, {})
    assert "attributes" not in records(why, bare)[0]


def test_boxes_in_pixels_are_parts_times_the_size_and_captions_say_what_is_seen():
    listed = [
        {"name": "toe", "class_name": "open", "like": 0.618, "box": [0.25, 0.5, 0.75, 1.0], "box_fallback": False}
    ]
    assert in_pixels(listed, 200, 100)[0]["box"] == [50.0, 50.0, 150.0, 100.0]
    assert listed[0]["box"] == [0.25, 0.5, 0.75, 1.0]
    assert caption(listed[0]) == "toe: open - 0.62"
    assert caption(listed[0] | {"box_fallback": True}) == "toe: open - 0.62 (no region stood out)"


def test_boxes_of_a_padded_square_come_back_into_the_picture():
    listed = [{"box": [0.5, 0.25, 0.75, 1.0]}]  # of a picture 50 wide and 100 high: 25 pixels are white on each side
    assert unpadded(listed, 50, 100)[0]["box"] == [25.0, 25.0, 50.0, 100.0]
    assert unpadded(listed, 100, 50)[0]["box"] == [50.0, 0.0, 75.0, 50.0]
    assert unpadded(listed, 80, 80) == in_pixels(listed, 80, 80)


def test_a_profile_is_the_mean_attention_over_the_users_training_items():
    for user in range(3):
        found = profile(MODEL, DATA, None, DATA, user)
        items = set(DATA.train.item[DATA.train.user == user].tolist())
        like, present = dict.fromkeys(found.names, 0.0), dict.fromkeys(found.names, 0)
        for item in items:
            for each in explained([user], [item])[0]["attributes"]:
                like[each["name"]] += each["like"] / len(items)
                present[each["name"]] += 1
        assert found.items == len(items)
        np.testing.assert_allclose(found.like, list(like.values()), rtol=1e-5)
        assert found.present.tolist() == list(present.values())
        assert found.like.sum() == pytest.approx(1) and found.even.sum() == pytest.approx(1)
        listed = found.as_list()
        assert listed[0]["like"] == found.like.max() and {each["name"] for each in listed} == set(found.names)


def test_somebody_without_training_items_has_an_empty_profile_and_another_model_none():
    nobody = dataclasses.replace(DATA, train=DATA.train.take(DATA.train.user != 1))
    found = profile(MODEL, DATA, None, nobody, 1)
    assert found.items == 0 and not found.like.any() and found.classes == ("",) * 5

    class Other(Looker):
        def explain(self, *of):
            return dataclasses.replace(super().explain(*of), elements={})

    with pytest.raises(ValueError, match="Other on 'garments-8-of-24' weighs no attributes; take SAERS"):
        profile(Other(WORLD), DATA, None, DATA, 0)
