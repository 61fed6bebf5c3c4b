"""The gallery page needs nothing but itself, escapes what it is given, and has its rectangles where the boxes are."""

import base64
import dataclasses
import io
import re
import xml.etree.ElementTree as tree

import numpy as np
import pytest
from looks import looked_at
from PIL import Image

from socialjax.data.schema import Provenance
from socialjax.explain.attributes import Card, Section, profile
from socialjax.explain.gallery import gallery, write_gallery
from socialjax.explain.record import records

WORLD, DATA, MODEL = looked_at()


def section(user, items, data=DATA, pictures=WORLD.pictures.pixels, note=""):
    why = MODEL.explain(data, None, np.full(len(items), user), np.array(items))
    cards = [Card(record, pictures[item], note) for record, item in zip(records(why, data), items)]
    return Section(data.describe_user(user), profile(MODEL, data, None, data, user), cards)


def drawings(page) -> list[tree.Element]:
    """The pictures of a page, in their order, as XML."""
    return [tree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.S)]


def test_rectangles_are_the_boxes_in_pixels_and_the_picture_is_the_items():
    page = gallery("A page", [section(0, [2, 5]), section(3, [7])])
    found = drawings(page)
    assert len(found) == 3
    for svg, item, user in zip(found, (2, 5, 7), (0, 0, 3)):
        assert svg.get("viewBox") == "0 0 32 32"
        image = svg.find("image")
        kept = Image.open(io.BytesIO(base64.b64decode(image.get("href").removeprefix("data:image/png;base64,"))))
        np.testing.assert_array_equal(np.asarray(kept), WORLD.pictures.pixels[item])
        # Each rectangle has a light one below; the first attribute's comes last, above all others.
        boxes = svg.findall("rect")[1::2]
        salient = int(WORLD.planted(user, item))
        x0, y0, x1, y1 = 32 * DATA.attributes.boxes[item, salient]
        last = [float(boxes[-1].get(name)) for name in ("x", "y", "width", "height")]
        np.testing.assert_allclose(last, [x0, y0, x1 - x0, y1 - y0], atol=0.11)
        assert len(boxes) == DATA.attributes.valid[item].sum()
        label = WORLD.pictures.labels[item, salient]
        name = f"{DATA.attributes.names[salient]}: {DATA.attributes.classes[salient][label]} - 0.60"
        assert svg.get("aria-label") == name and re.search(
            f'<p class="caption"><i [^>]*></i>{re.escape(name)}</p>', page
        )
        # Every box has a colour of its own, that of the swatch beside its attribute's name.
        strokes = [each.get("stroke") for each in boxes]
        listed = re.findall(r'<i class="swatch" style="color:(#\w+)"></i>([^<]*)</span>', page)
        assert len(set(strokes)) == len(strokes) and {stroke for stroke, _ in listed} >= set(strokes)


def test_no_box_is_drawn_where_nothing_stood_out_and_the_page_says_so():
    fallback = np.ones_like(DATA.attributes.fallback)
    data = dataclasses.replace(DATA, attributes=dataclasses.replace(DATA.attributes, fallback=fallback))
    page = gallery("A page", [section(0, [2], data)])
    assert drawings(page)[0].findall("rect") == [] and "(no region stood out)" in page
    assert "swatch" not in page.split("<body>")[1]


def test_what_is_made_says_so_and_real_data_are_called_real():
    page = gallery("A page", [section(0, [2]), section(3, [7])])
    # First and last, in the browser's tab and beside each user: whoever cuts a piece out takes it along.
    assert page.count("PLANTED: garments-8-of-24 was generated") == 2 and "<title>PLANTED: A page</title>" in page
    body = page.split("<body>")[1]
    assert body.strip().startswith('<p class="kind made">PLANTED') and "PLANTED" in body.split("<footer>")[1]
    assert re.findall("<h2>(.*?)</h2>", page) == [f'User {u} <b class="tag made">PLANTED</b>' for u in (0, 3)]
    page = gallery("A page", [section(0, [2], dataclasses.replace(DATA, provenance=Provenance("real", "test")))])
    assert "Real data: garments-8-of-24" in page and "generated" not in page
    assert 'class="tag' not in page and "<title>A page</title>" in page
    count = section(0, [2]).profile.items
    assert f"mean attention over {count} training item{'s' * (count > 1)}; the mark is" in page


def test_texts_are_escaped_and_nothing_is_loaded_from_elsewhere(tmp_path):
    nasty = '<script>alert("1")</script> & "quotes"'
    data = dataclasses.replace(
        DATA,
        item_titles=np.array([nasty] * DATA.num_items),
        user_names=np.array([f"<b>{user}</b>" for user in range(DATA.num_users)]),
        attributes=dataclasses.replace(DATA.attributes, classes=(("<i>", '"', "'"),) * 5),
    )
    write_gallery(tmp_path / "page.html", nasty, [section(0, [2, 5], data, note="<u>")], ["<u>told"])
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for tag in ("script", "b>0", "u>", "i>", "a ", "link", "iframe"):
        assert f"<{tag}" not in page.lower()
    assert "&lt;script&gt;" in page and "&lt;u&gt;told" in page and "http" not in page.replace("http-equiv", "")
    assert all(found.startswith("data:image/") for found in re.findall(r'(?:href|src)="([^"]*)"', page))
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_large_pictures_are_made_small_and_their_boxes_stay_in_place():
    large = np.repeat(np.repeat(WORLD.pictures.pixels, 40, axis=1), 20, axis=2)  # 1,280 high and 640 wide
    svg = drawings(gallery("A page", [section(0, [2], pictures=large)]))[0]
    uri = svg.find("image").get("href")
    kept = Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))))
    assert kept.size == (192, 384) and svg.get("viewBox") == "0 0 640 1280"
    salient = int(WORLD.planted(0, 2))
    assert float(svg.findall("rect")[-1].get("y")) == pytest.approx(
        1280 * DATA.attributes.boxes[2, salient, 1], abs=0.1
    )


def test_a_page_of_nothing_and_a_record_without_attributes_are_refused():
    with pytest.raises(ValueError, match="at least one user with one item"):
        gallery("A page", [])
    bare = section(0, [2])
    card = dataclasses.replace(bare.cards[0], record=bare.cards[0].record | {"attributes": []})
    with pytest.raises(ValueError, match="items 2 have no attributes"):
        gallery("A page", [dataclasses.replace(bare, cards=[card])])
