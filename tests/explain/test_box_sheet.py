"""The sheet has a row for each user, with the regions of their items where the boxes are."""

import dataclasses

import numpy as np
import pytest
from looks import looked_at
from matplotlib.patches import Rectangle

from socialjax.explain import box_sheet
from socialjax.explain.attributes import profile
from socialjax.explain.gallery import Card, Section
from socialjax.explain.record import records

WORLD, DATA, MODEL = looked_at()


def section(user, items):
    why = records(MODEL.explain(DATA, None, np.full(len(items), user), np.array(items)), DATA)
    cards = [Card(record, WORLD.pictures.pixels[item], "recommended") for record, item in zip(why, items)]
    return Section(DATA.describe_user(user), profile(MODEL, DATA, None, DATA, user), cards)


def test_every_user_has_a_row_of_items_with_their_regions(monkeypatch, tmp_path):
    kept = []
    write = box_sheet.save
    monkeypatch.setattr(box_sheet, "save", lambda figure, path: (kept.append(figure), write(figure, path)))
    box_sheet.draw_sheet(tmp_path / "sheet.png", "A sheet", [section(0, [2, 5]), section(3, [7])])
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
        box_sheet.draw_sheet(tmp_path / "sheet.png", "A sheet", sections)
