"""The picture of an item has its rectangles where the boxes are, and none where there is none."""

import dataclasses

import numpy as np
import pytest
from looks import looked_at
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from socialjax.explain import picture
from socialjax.explain.attributes import Card, Section, profile
from socialjax.explain.record import records

WORLD, DATA, MODEL = looked_at()


def drawn(monkeypatch, tmp_path, record, **more) -> list:
    """The axes of the figure that is saved."""
    kept = []
    write = picture.save
    monkeypatch.setattr(picture, "save", lambda figure, path: (kept.append(figure), write(figure, path)))
    picture.draw_boxes(tmp_path / "boxes.png", record, WORLD.pictures.pixels[record["item_number"]], **more)
    assert (tmp_path / "boxes.png").read_bytes().startswith(b"\x89PNG")
    assert isinstance(kept[0], Figure)
    return kept[0].axes


def record_of(user, item):
    found = records(MODEL.explain(DATA, None, np.array([user]), np.array([item])), DATA)[0]
    return found | {"item_number": item}


def test_rectangles_are_the_boxes_in_pixels_the_first_thickest(monkeypatch, tmp_path):
    item = int(np.flatnonzero(WORLD.group == 0)[0])
    record = record_of(0, item)
    axes = drawn(monkeypatch, tmp_path, record, profile=profile(MODEL, DATA, None, DATA, 0))
    boxes = [patch for patch in axes[0].patches if isinstance(patch, Rectangle)]
    corners = {
        tuple(np.round([*b.get_xy(), b.get_xy()[0] + b.get_width(), b.get_xy()[1] + b.get_height()], 1)) for b in boxes
    }
    assert corners == {tuple(np.round(32 * np.array(each["box"]), 1)) for each in record["attributes"]}
    thickest = max(boxes, key=lambda b: b.get_linewidth())
    np.testing.assert_allclose(thickest.get_xy(), np.round(32 * np.array(record["attributes"][0]["box"][:2]), 1))
    assert axes[0].get_xlim() == (0, 32) and axes[0].get_ylim() == (32, 0)
    assert axes[0].get_xlabel() == f"{record['attributes'][0]['name']}: {record['attributes'][0]['class_name']} - 0.60"
    assert len(axes) == 3 and axes[2].get_yticklabels()[0].get_text() in DATA.attributes.names


def test_no_box_is_drawn_where_nothing_stood_out_and_the_caption_says_so(monkeypatch, tmp_path):
    record = record_of(0, int(np.flatnonzero(WORLD.group == 1)[0]))
    record["attributes"][0]["box_fallback"] = True
    axes = drawn(monkeypatch, tmp_path, record)
    assert len(axes[0].patches) == 1 and "(no region stood out)" in axes[0].get_xlabel()


def test_a_record_without_attributes_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the record of item 3 has no attributes"):
        picture.draw_boxes(tmp_path / "x.png", {"item": 3}, WORLD.pictures.pixels[0])


def section(user, items):
    why = records(MODEL.explain(DATA, None, np.full(len(items), user), np.array(items)), DATA)
    cards = [Card(record, WORLD.pictures.pixels[item], "recommended") for record, item in zip(why, items)]
    return Section(DATA.describe_user(user), profile(MODEL, DATA, None, DATA, user), cards)


def test_every_user_has_a_row_of_items_with_their_regions(monkeypatch, tmp_path):
    kept = []
    write = picture.save
    monkeypatch.setattr(picture, "save", lambda figure, path: (kept.append(figure), write(figure, path)))
    picture.draw_sheet(tmp_path / "sheet.png", "A sheet", [section(0, [2, 5]), section(3, [7])])
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
    (figure,) = kept
    assert "A sheet\nPLANTED: garments-8-of-24 was" in figure.get_suptitle()
    axes = np.array(figure.axes).reshape(2, 3)
    assert [axis.get_title(loc="left") for axis in axes[:, 0]] == ["user 0 looks at", "user 3 looks at"]
    assert not axes[1, 2].axison and not axes[1, 2].patches  # the second user has one item
    for axis, user, item in ((axes[0, 1], 0, 2), (axes[0, 2], 0, 5), (axes[1, 1], 3, 7)):
        boxes = [patch for patch in axis.patches if isinstance(patch, Rectangle)]
        thickest = max(boxes, key=lambda box: box.get_linewidth())
        x0, y0, x1, _ = 32 * DATA.attributes.boxes[item, int(WORLD.planted(user, item))]
        np.testing.assert_allclose([*thickest.get_xy(), thickest.get_width()], [x0, y0, x1 - x0], atol=0.11)
        assert len(boxes) == DATA.attributes.valid[item].sum() and axis.get_xlabel().endswith(" - 0.60")
    assert axes[0, 0].get_yticklabels()[0].get_text() == section(0, [2]).profile.as_list()[0]["name"]


@pytest.mark.parametrize("sections", [[], [dataclasses.replace(section(0, [2]), cards=[])]])
def test_a_sheet_of_nothing_is_refused(tmp_path, sections):
    with pytest.raises(ValueError, match="wanted users with at least one item each"):
        picture.draw_sheet(tmp_path / "sheet.png", "A sheet", sections)
